"""The data set on disk: complete, readable by the reader of KITTI-CVL, resumed to the same bytes."""

import errno
import json
import os
import shutil
from contextlib import redirect_stderr
from dataclasses import replace
from io import StringIO
from multiprocessing import active_children
from pathlib import Path

import cv2
import numpy as np
import pytest

from cvlnet.cli import run
from cvlnet.data.clips import ClipSpec, assemble_clip
from cvlnet.data.kitti_cvl import read_recordings, read_split
from cvlnet.data.label_maps import read_label_map
from cvlnet.errors import InputError
from cvlnet.geo import LocalFrame
from cvlnet.image_spec import ImageSpec
from cvlnet.io.outputs import write_text
from cvlnet.town.dataset import synthesize
from cvlnet.town.dataset.survey import survey
from cvlnet.town.dataset.synthesize import describe, jobs_of, pictures_of, write_dataset
from cvlnet.town.dataset.tiles import nearest_tiles, query_tiles
from cvlnet.town.drive.routes import FRAMES_PER_S
from cvlnet.town.ground.groundtruth import label_grid
from cvlnet.town.presets import Nuisances, TownConfig, preset_towns

TOWN = TownConfig(7, 220.0, drives=3, frames_per_drive=12, frame_width_px=621)  # as the shared fixture has it


@pytest.fixture
def copy(tiny_town: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_town, tmp_path / "copy")


def test_every_query_has_its_frames_and_stands_near_the_middle_of_its_tile(tiny_town: Path) -> None:
    for name in ("train", "test1", "test2"):
        split = read_split(tiny_town, name)
        assert split.queries
        assert not split.left_out
        recordings = read_recordings(split)
        for query in split.queries:
            frames = {frame.index: frame for frame in recordings[query.recording].frames}
            assert all(set(frames[query.frame - back].images) == {2, 3} for back in (0, 3, 6, 9))
            position = frames[query.frame].position
            offset = LocalFrame(split.tiles[query.tile].center).xy_world_m(
                [position.latitude_deg, position.longitude_deg]
            )
            assert np.hypot(*offset) < 6.0


def test_no_query_is_far_from_its_tile() -> None:
    town = survey(TownConfig(seed=7, size_m=300.0, drives=1, frames_per_drive=90), 0)
    tiles = query_tiles(town, 0)
    xy_m = town.measured_motions[0].xyz_m[:, :2]
    apart_m = [np.hypot(*(xy_m[frame] - tile.center_xy_m)) for frame, tile in nearest_tiles(town, 0, tiles)]
    assert len(tiles) > 2
    assert max(apart_m) < 6.0


def test_the_last_drive_is_held_out_and_has_distractors(tiny_town: Path) -> None:
    train, test1, test2 = (read_split(tiny_town, name) for name in ("train", "test1", "test2"))
    assert {q.recording[-9:] for q in train.queries} == {"0001_sync", "0002_sync"}
    assert {q.recording[-9:] for q in test1.queries} == {"0003_sync"}
    assert test1.queries == test2.queries
    assert set(test1.tiles) < set(test2.tiles)
    rows = (tiny_town / "satmap" / "test.csv").read_text().splitlines()
    assert rows[0] == "drive,latitude,longitude,holds_query"
    assert len(rows) - 1 == len(test2.tiles)
    assert sum(row.endswith(",1") for row in rows) == len(test1.tiles)


def test_pictures_are_the_calibration_s_and_tiles_are_what_the_data_set_says(tiny_town: Path) -> None:
    about = json.loads((tiny_town / "dataset.json").read_text())
    size_px = about["tile"]["size_px"]
    assert size_px * about["tile"]["m_per_px"] == pytest.approx(TOWN.tile_size_m)
    assert (about["seed"], about["role"], about["preset"]) == (7, "train", "tiny")
    recording = next(iter(read_recordings(read_split(tiny_town, "train")).values()))
    camera = recording.cameras[2].camera
    assert camera.width_px == TOWN.frame_width_px
    for path in [*tiny_town.rglob("image_0?/data/*.png"), *tiny_town.rglob("satmap/**/*.png")]:
        shape = (size_px, size_px, 3) if "satmap" in path.parts else (camera.height_px, camera.width_px, 3)
        assert np.asarray(cv2.imread(str(path))).shape == shape


def test_every_town_has_a_label_map_around_its_own_middle(tiny_town: Path) -> None:
    (path,) = (tiny_town / "labels").glob("*.png")
    labels = read_label_map(tiny_town, path.stem)
    assert labels is not None
    grid = label_grid(TOWN)
    assert labels.pixels.shape == (grid.rows, grid.cols)
    recording = next(iter(read_recordings(read_split(tiny_town, "train")).values()))
    place_m = LocalFrame(labels.center).xy_world_m(recording.frames[0].position.degrees)
    assert np.abs(place_m).max() < TOWN.size_m / 2


def test_nothing_unfinished_is_left(tiny_town: Path) -> None:
    assert not [path for path in tiny_town.rglob("*") if "unfinished" in path.name]


@pytest.mark.slow
def test_a_run_goes_on_to_the_same_bytes(copy: Path, tiny_town: Path) -> None:
    gone = [
        *sorted(copy.rglob("image_02/data/*.png"))[5:6],
        *sorted(copy.rglob("image_03/data/*.png"))[-1:],
        *sorted(copy.rglob("oxts/data/*.txt"))[3:4],
        *sorted(copy.rglob("satmap/*/*/*.png"))[:1],
        copy / "test2_files_with_sat_GPS.txt",
    ]
    assert len(gone) == 5
    for path in gone:
        path.unlink()
    write_dataset(copy, (TOWN,), name="tiny", workers=2)
    files = sorted(path.relative_to(tiny_town) for path in tiny_town.rglob("*") if path.is_file())
    assert sorted(path.relative_to(copy) for path in copy.rglob("*") if path.is_file()) == files
    assert all((copy / path).read_bytes() == (tiny_town / path).read_bytes() for path in files)


def test_a_whole_data_set_is_left_alone(copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    write_dataset(copy, (TOWN,), name="tiny", workers=1)
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_a_data_set_from_before_a_nuisance_is_whole(copy: Path) -> None:
    about = json.loads((copy / "dataset.json").read_text())
    for town in about["towns"]:
        del town["nuisances"]["autumn"]
    (copy / "dataset.json").write_text(json.dumps(about))
    write_dataset(copy, (TOWN,), name="tiny", workers=1)
    assert json.loads((copy / "dataset.json").read_text()) == about
    late = replace(TOWN, nuisances=replace(TOWN.nuisances, autumn=1.0))
    with pytest.raises(InputError, match="another seed"):
        write_dataset(copy, (late,), name="tiny", workers=1)


def test_a_folder_of_another_town_is_refused(tiny_town: Path) -> None:
    other = TownConfig(seed=8, size_m=220.0, drives=3, frames_per_drive=12)
    with pytest.raises(InputError, match="another seed"):
        write_dataset(tiny_town, (other,), name="tiny", workers=1)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(InputError, match="other files"):
        write_dataset(tmp_path, (TOWN,), name="tiny", workers=1)
    with pytest.raises(InputError, match="is a file"):
        write_dataset(tmp_path / "holiday.jpg", (TOWN,), name="tiny", workers=1)


def test_a_folder_that_cannot_be_made_gets_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert run(["synth", str(tmp_path / "file" / "town"), "--seed", "7", "--preset", "tiny"]) == 2
    expected = (
        f"cvlnet: {tmp_path / 'file' / 'town'}: the folder cannot be used (Not a directory); choose another folder\n"
    )
    assert capsys.readouterr().err == expected


def test_a_folder_that_cannot_be_written_gets_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("tempfile.mkstemp", refuse)  # permissions do not hold for root, as whom tests may run
    assert run(["synth", str(tmp_path / "town"), "--seed", "7", "--preset", "tiny"]) == 2
    expected = f"cvlnet: {tmp_path / 'town' / 'unfinished.json'}: cannot be written (Permission denied); choose"
    assert capsys.readouterr().err == f"{expected} another place\n"


def test_a_file_that_a_worker_cannot_write_gets_its_own_line(tmp_path: Path) -> None:
    out = tmp_path / "town"
    write_text(out / "unfinished.json", json.dumps(describe((TOWN,), "tiny")))
    (out / "raw_data").touch()  # the pictures' folder cannot be made
    with pytest.raises(InputError, match=r"raw_data/.*: cannot be written \(Not a directory\); choose another place"):
        write_dataset(out, (TOWN,), name="tiny", workers=2)
    assert not active_children()


def die(*args: object) -> None:
    os._exit(9)


def test_a_killed_worker_is_told_and_the_run_can_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesize, "start_worker", die)
    with pytest.raises(InputError, match="a worker process was killed"):
        write_dataset(tmp_path / "town", (TOWN,), name="tiny", workers=2)
    assert (tmp_path / "town" / "unfinished.json").is_file()
    assert not active_children()


def test_jobs_hold_every_drive_and_every_map_once() -> None:
    for count, workers in ((1, 1), (1, 2), (1, 8), (4, 2), (3, 7)):
        towns = [TownConfig(i, 220.0, drives=3, frames_per_drive=12) for i in range(count)]
        jobs = jobs_of(Path("out"), towns, workers)
        assert sorted((s.index, d) for s in jobs for d in s.drives) == [(i, d) for i in range(count) for d in range(3)]
        assert sorted(s.index for s in jobs if s.tiles) == list(range(count))


def _driven_s(towns: tuple[TownConfig, ...]) -> float:
    return sum(town.drives * town.frames_per_drive for town in towns) / FRAMES_PER_S


def test_presets_keep_their_promises() -> None:
    for preset in ("tiny", "demo", "bench"):
        towns = preset_towns(preset, 200_000, Nuisances())
        assert all(town.tile_size_m >= 140 for town in towns)
        assert len({town.seed for town in towns}) == len(towns)
    assert sum(town.drives * (town.frames_per_drive - 9) for town in preset_towns("bench", 0, Nuisances())) >= 5000
    assert [town.seed for town in preset_towns("bench", 0, Nuisances(), count=2)] == [0, 1]
    streets, routes = (preset_towns(preset, 0, Nuisances()) for preset in ("streets", "routes"))
    assert _driven_s(routes) > 2.5 * _driven_s(streets)
    assert {town.frames_per_drive for town in preset_towns("drives", 0, Nuisances())} == {1000}
    assert sum(map(pictures_of, routes)) < 1.5 * sum(map(pictures_of, streets))
    with pytest.raises(ValueError, match="partly"):
        preset_towns("bench", 99_998, Nuisances())


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A town of small frames by one camera, and what was shown while it was made."""
    out, shown = tmp_path_factory.mktemp("sparse") / "town", StringIO()
    config = TownConfig(11, 220.0, drives=2, frames_per_drive=16, frame_step=3, frame_width_px=414, cameras=(2,))
    with redirect_stderr(shown):
        write_dataset(out, (config,), name="sparse", workers=1)
    return out, shown.getvalue()


def test_progress_says_what_is_being_done_and_ends_with_all_pictures(sparse: tuple[Path, str]) -> None:
    _, shown = sparse
    told = [shown.index(f"sparse, {doing}") for doing in ("planning, compiling", "frames", "overhead images")]
    assert told == sorted(told)
    assert "12/12" in shown.rpartition("sparse, ")[2]


def test_progress_of_other_processes_is_seen_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = jobs_of(Path("out"), [TownConfig(i, 220.0, drives=1, frames_per_drive=2) for i in range(2)], 2)
    looks, ends = iter([3, 3, 5, 8, 8]), iter([False, False, False, True])
    monkeypatch.setattr(synthesize, "_count_pictures", lambda out: next(looks))
    monkeypatch.setattr(synthesize, "_at_end", lambda pending: next(ends))
    told: list[tuple[str, int]] = []
    synthesize._follow([], jobs, lambda doing, more: told.append((doing, more)))
    planning, overhead = "planning, compiling", "overhead images"
    assert told == [(planning, 0), (planning, 0), ("frames", 2), (overhead, 3), (overhead, 0)]


def test_a_sparse_set_has_small_frames_of_one_camera_and_whole_clips(sparse: tuple[Path, str]) -> None:
    split = read_split(sparse[0], "train")
    assert [query.frame for query in split.queries] == [9, 12, 15]
    recording = read_recordings(split)[split.queries[0].recording]
    drawn = [frame.index for frame in recording.frames if frame.images]
    assert drawn == [0, 3, 6, 9, 12, 15]
    assert all(set(frame.images) <= {2} for frame in recording.frames)
    clip = assemble_clip(recording, 9, ClipSpec(ImageSpec(384, 96)))
    assert clip.images.shape == (4, 3, 96, 384)
    camera = recording.cameras[2].camera
    assert (camera.width_px, camera.height_px) == (414, 125)
    assert camera.focal_px.tolist() == pytest.approx([721.5377 / 3] * 2, rel=1e-6)
