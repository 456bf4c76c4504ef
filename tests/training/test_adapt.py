from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch

import cvlnet.training.adapt as adapting
from cvlnet.checkpoint import load_model, load_tensors
from cvlnet.cli.app import run
from cvlnet.config import AdaptConfig
from cvlnet.data.clips import ClipSpec
from cvlnet.data.drive_samples import DriveSamples, Taken, taken_along
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.data.samples import Draw
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.grid import Grid
from cvlnet.imagery.georef import open_overhead
from cvlnet.map.region import encode_region
from cvlnet.town.dataset.writers import write_overhead
from cvlnet.town.drive.rig import Rig, write_calibration
from cvlnet.training.adapt import Skill, adapt, divided, mean_of, registration_m, skill, training_of
from small_data import DATE, FRAME, write_drive

STEPS = AdaptConfig(steps=3, batch_size=2, hold_out=0.45)


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """A straight drive of 220 m to the east over an image of noise."""
    root = tmp_path_factory.mktemp("adapt")
    rng = np.random.default_rng(0)
    xy_m = np.stack([np.arange(-110.0, 110.0), np.zeros(220)], axis=1)
    folder = root / "raw_data" / DATE / f"{DATE}_drive_0001_sync"
    write_drive(folder, xy_m, 0.0, rng)
    write_calibration(root / "raw_data" / DATE, Rig.kitti())
    ground = rng.integers(0, 256, (160, 640, 3), dtype=np.uint8)
    write_overhead(root / "overhead.tif", ground, FRAME, Grid(160, 640, 0.5))
    return folder, root / "overhead.tif"


def read(drive):
    recording = read_recording(drive[0])
    return recording, {frame.index: frame.position for frame in recording.frames}, open_overhead(drive[1])


def adapted(drive, weights, out, config=STEPS):
    recording, positions, image = read(drive)
    return adapt(recording, positions, image, weights, out, config, workers=0, progress=False)


def samples_of(drive, model, spacing_m=10.0):
    recording, positions, image = read(drive)
    spec = ClipSpec(model.image_spec, frames=2)
    taken = taken_along(recording, positions, spec, image, model.tile_grid, spacing_m)
    return DriveSamples(recording, taken, image, spec, model.tile_grid)


def test_clips_are_taken_along_the_way_where_the_image_shows_it(drive, weights):
    model, _ = load_model(weights)
    recording, positions, image = read(drive)
    spec = ClipSpec(model.image_spec, frames=2)
    taken = taken_along(recording, positions, spec, image, model.tile_grid, 10.0)
    steps_m = np.diff([clip.way_m for clip in taken])
    assert ((steps_m >= 10.0 - 1e-6) & (steps_m < 11.5)).all()
    assert all(clip.frame >= 1 for clip in taken)
    some = {number: place for number, place in positions.items() if number >= 100}
    assert min(clip.frame for clip in taken_along(recording, some, spec, image, model.tile_grid, 10.0)) >= 100
    far = {number: LatLon(place.latitude_deg + 0.01, place.longitude_deg) for number, place in positions.items()}
    assert taken_along(recording, far, spec, image, model.tile_grid, 10.0) == ()


def test_a_sample_stands_where_it_was_taken(drive, weights):
    model, _ = load_model(weights)
    samples = samples_of(drive, model)
    sample = samples[Draw(3, 0)]
    assert sample.offset_m.tolist() == [0.0, 0.0]
    assert sample.latlon_deg.tolist() == list(samples.taken[3].position.degrees)
    east = samples.taken[3].shifted((3.0, -2.0)).position
    np.testing.assert_allclose(LocalFrame(samples.taken[3].position).xy_world_m(east.degrees), [3.0, -2.0], atol=1e-3)


def test_the_offset_is_that_at_which_most_clips_fit(drive, weights, monkeypatch):
    model, _ = load_model(weights)
    samples = samples_of(drive, model)
    region = encode_region(model, samples.image)
    cell_m, asked = region.places.cell_m, []

    def scores_around(clips, region, place, reach):
        scores = torch.zeros(1, 2 * reach + 1, 2 * reach + 1)
        wrong = len(asked) % 3 == 0  # every third clip fits better elsewhere, each at another place
        row, col = (len(asked) % 5, 2) if wrong else (reach - 2, reach + 1)
        scores[0, row, col] = 3.0 if wrong else 2.0
        asked.append(place)
        return scores

    monkeypatch.setattr(adapting, "scores_around", scores_around)
    assert registration_m(model, samples, region) == (cell_m, 2 * cell_m)
    assert len(asked) == len(samples)


def test_what_is_judged_by_shares_nothing_with_what_is_learned():
    taken = along([(4.0 * i, 0.0) for i in range(101)])
    learned, judged = divided(taken, 0.25)
    assert learned == taken[:75]
    assert judged == tuple(clip for clip in taken if clip.way_m >= 350.0)


def test_nothing_is_learned_from_a_street_to_which_the_drive_comes_back():
    """400 m to the east, a lane of 4 m to the north, and half of the way back."""
    taken = along([(4.0 * i, 0.0) for i in range(101)] + [(400.0 - 4.0 * i, 4.0) for i in range(51)])
    learned, judged = divided(taken, 0.25)
    east_m, judged_m = (
        sorted(float(FRAME.xy_world_m(clip.position.degrees)[0]) for clip in part) for part in (learned, judged)
    )
    assert (judged_m[0], judged_m[-1]) == pytest.approx((200.0, 300.0), abs=0.1)
    assert {round(each_m) for each_m in east_m} == {*range(0, 150, 4), *range(352, 401, 4)}


def along(places_m):
    """Clips 4 m apart along the way."""
    return tuple(Taken(i, LatLon(*FRAME.latlon_deg(xy_m).tolist()), 4.0 * i) for i, xy_m in enumerate(places_m))


def test_the_mean_of_weights():
    start, tuned = {"a": torch.tensor([0.0, 4.0]), "n": torch.tensor(3)}, {"a": torch.tensor([2.0, 0.0])}
    assert mean_of(start, tuned | {"n": torch.tensor(9)}, 0.5)["a"].tolist() == [1.0, 2.0]
    assert mean_of(start, tuned | {"n": torch.tensor(9)}, 1.0)["a"].tolist() == [2.0, 0.0]
    assert mean_of(start, tuned | {"n": torch.tensor(9)}, 1.0)["n"] == 3


def test_skill_is_certain_where_only_the_right_places_score(drive, weights, monkeypatch):
    model, _ = load_model(weights)
    samples = samples_of(drive, model, spacing_m=40.0)
    region = encode_region(model, samples.image)
    centers_m = region.places.cell_centers_xy_m()

    class Knows:
        def __init__(self, shift_m):
            self.shift_m, self.asked = shift_m, 0

        def __call__(self, clips, device, neutral):
            place_m = region.frame.xy_world_m(samples.taken[self.asked].position.degrees)
            true_m = place_m + np.array([0.0, self.shift_m])
            self.asked += 1
            away_m = torch.linalg.vector_norm(centers_m - torch.from_numpy(true_m), dim=-1)
            return torch.where(away_m < 3, 100.0, 0.0).masked_fill(~region.searched, -torch.inf)[None]

    monkeypatch.setattr(type(region), "scores", Knows(0.0))
    right = skill(model, samples, region, 5.0)
    assert right.found == 1.0
    assert right.log_probability == pytest.approx(0.0, abs=1e-6)
    monkeypatch.setattr(type(region), "scores", Knows(25.0))
    wrong = skill(model, samples, region, 5.0)
    assert wrong.found == 0.0
    assert wrong.log_probability < -10


def test_better_weights_are_written_with_their_origin(drive, weights, tmp_path, monkeypatch):
    skills = iter([Skill(0.5, -2.0), Skill(0.5, -1.5)])
    monkeypatch.setattr(adapting, "skill", lambda *args: next(skills))
    out = tmp_path / "mine.safetensors"
    found = adapted(drive, weights, out)
    assert found.is_better
    assert found.after == Skill(0.5, -1.5)
    tensors, provenance = load_tensors(out)
    before, _ = load_tensors(weights)
    assert any(not torch.equal(tensors[name], before[name]) for name in before)
    assert provenance.train == training_of(STEPS)
    assert provenance.confidence is None
    assert provenance.step == STEPS.steps
    assert provenance.data[0]["name"].endswith("drive_0001_sync")
    assert len(provenance.data[0]["sha256"]) == 64
    assert len(provenance.ancestors) == 1
    assert list(tmp_path.iterdir()) == [out]


def test_no_better_weights_are_not_written(drive, weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(adapting, "skill", lambda *args: Skill(0.5, -1.0))
    out = tmp_path / "mine.safetensors"
    assert not adapted(drive, weights, out).is_better
    assert list(tmp_path.iterdir()) == []
    options = [
        "--steps",
        "2",
        "--hold-out",
        "0.45",
        "--batch-size",
        "2",
        "--workers",
        "0",
        "--weights",
        str(weights),
        "--out",
        str(out),
    ]
    assert run(["adapt", str(drive[0]), "--imagery", str(drive[1]), *options]) == 2
    said = capsys.readouterr()
    assert "no better at the end of the drive" in said.err
    assert "before: 50 % found" in said.out


def test_clips_in_holes_of_the_imagery_are_left_out(drive, weights, tmp_path):
    """The sheet of the last 15 m is missing; nothing there can be judged by."""
    folder, path = drive
    with rasterio.open(path) as source:
        pixels, profile = source.read(), source.profile
    pixels[:, :, -130:] = 0
    pixels[:, :, :-130] = pixels[:, :, :-130].clip(1)
    with rasterio.open(tmp_path / "hole.tif", "w", **(profile | {"nodata": 0})) as target:
        target.write(pixels)
    found = adapted((folder, tmp_path / "hole.tif"), weights, tmp_path / "w.safetensors")
    assert np.isfinite([found.before.log_probability, found.after.log_probability]).all()


def test_positions_that_are_right_to_less_than_a_cell_have_a_right_place(drive, weights):
    model, _ = load_model(weights)
    samples = samples_of(drive, model, spacing_m=40.0)
    assert np.isfinite(skill(model, samples, encode_region(model, samples.image), 0.1).log_probability)


def test_an_interrupted_adaptation_goes_on(drive, weights, tmp_path, monkeypatch):
    skills = [Skill(0.0, -9.0), Skill(0.0, -1.0)]
    monkeypatch.setattr(adapting, "skill", lambda *args: skills.pop(0))
    adapted(drive, weights, tmp_path / "whole.safetensors")
    skills[:] = [Skill(0.0, -9.0), Skill(0.0, -9.0)]

    monkeypatch.setattr(adapting, "_SAVE_EVERY_S", 0.0)
    update = adapting.Trainer.update

    def interrupted(self, batch):
        if self.step == 2:
            raise KeyboardInterrupt
        return update(self, batch)

    monkeypatch.setattr(adapting.Trainer, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        adapted(drive, weights, tmp_path / "again.safetensors")
    assert not (tmp_path / "again.safetensors").exists()
    monkeypatch.setattr(adapting.Trainer, "update", update)
    with pytest.raises(InputError, match="another training configuration"):
        adapted(drive, weights, tmp_path / "again.safetensors", replace(STEPS, learning_rate=1e-3))
    skills[:] = [Skill(0.0, -9.0)]
    recording, positions, image = read(drive)
    moved = positions | {0: LatLon(0.0, 0.0)}
    with pytest.raises(InputError, match="another data"):
        adapt(recording, moved, image, weights, tmp_path / "again.safetensors", STEPS, workers=0, progress=False)
    skills[:] = [Skill(0.0, -9.0), Skill(0.0, -1.0)]
    adapted(drive, weights, tmp_path / "again.safetensors")
    whole, again = (load_tensors(tmp_path / f"{name}.safetensors")[0] for name in ("whole", "again"))
    assert all(torch.allclose(whole[name], again[name], atol=1e-6) for name in whole)


def test_a_short_drive_is_refused(drive, weights, tmp_path):
    recording, positions, image = read(drive)
    few = {number: place for number, place in positions.items() if number < 100}
    with pytest.raises(InputError, match="40 are needed"):
        adapt(recording, few, image, weights, tmp_path / "out", STEPS, workers=0, progress=False)


def test_what_cannot_work_is_refused_before_the_work(drive, weights, tmp_path, capsys):
    (tmp_path / "file").write_text("kept")
    options = ["--imagery", str(drive[1]), "--weights", str(weights)]
    for asked, said in (
        ([str(drive[0]), "--out", str(tmp_path / "file" / "mine")], "cannot be written"),
        ([str(drive[0]), "--out", str(tmp_path / "mine"), "--camera", "7"], "has no camera 7"),
        ([str(drive[1]), "--out", str(tmp_path / "mine")], "is a file, not the folder of a drive"),
    ):
        assert run(["adapt", *asked, *options]) == 2
        assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_drive_whose_end_is_too_short_to_judge_by_is_refused(drive, weights, tmp_path):
    with pytest.raises(InputError, match="to judge by, 50 m behind the others, and 5 are needed"):
        adapted(drive, weights, tmp_path / "out", replace(STEPS, hold_out=0.2))


def test_every_place_within_the_positions_error_is_right():
    assert training_of(AdaptConfig(position_error_m=8.0)).right_m == 8.0
    assert training_of(AdaptConfig(position_error_m=20.0)).min_distance_m == 40.0
    assert training_of(AdaptConfig()).displacement_weight == 0
