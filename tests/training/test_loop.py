import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from cvlnet.checkpoint import digest_of, load_model, load_tensors
from cvlnet.config import ModelConfig, TrainConfig
from cvlnet.data.samples import Draw
from cvlnet.errors import InputError
from cvlnet.model.build import build_model
from cvlnet.training.loop import BEST, LAST, Run, train, training_samples
from cvlnet.training.step import Trainer, turned_xy_m

MODEL = ModelConfig(image_width_px=128, image_height_px=32, clip_cells=16, window_cells=2, channels=8)
WITH_DROPOUT = replace(MODEL, fusion="fuse_Transformer", heights_m=(0.0,))
CONFIG = TrainConfig(
    steps=4,
    batch_size=2,
    frames=2,
    warmup_steps=2,
    neighbours=0,
    min_distance_m=5.0,
    validate_every=2,
    validate_queries=4,
    freeze_early=False,
)


def losses_of(run):
    lines = [json.loads(line) for line in (run.out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "retrieval" in line]


@pytest.fixture
def run(tiny_town, tmp_path):
    return Run(data=(tiny_town,), validation=(tiny_town,), out=tmp_path / "run", cache=tmp_path / "cache", workers=0)


@pytest.mark.parametrize("model", [MODEL, WITH_DROPOUT], ids=["visibility", "fuse_Transformer"])
def test_a_resumed_training_has_the_same_losses_and_weights(run, tmp_path, monkeypatch, model):
    train(model, CONFIG, run)
    broken = replace(run, out=tmp_path / "broken")

    class InterruptedTrainingError(Exception):
        pass

    def interrupt(trainer, run):
        if trainer.step == 4:
            raise InterruptedTrainingError
        return {}

    with monkeypatch.context() as patch:
        patch.setattr("cvlnet.training.loop.validate", interrupt)
        with pytest.raises(InterruptedTrainingError):
            train(model, CONFIG, broken)
    torch.rand(3)  # whatever else the process draws
    train(model, CONFIG, broken)
    assert len(losses_of(run)) == 4
    assert losses_of(broken) == losses_of(run)
    whole, resumed = (load_tensors(r.out / LAST)[0] for r in (run, broken))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_second_training_in_the_same_folder_is_refused_and_changes_nothing(run, monkeypatch):
    seen = []

    def validate(trainer, run):
        seen.append((run.out / "log.jsonl").read_text())
        with pytest.raises(InputError, match=r"run: another training goes on in this folder; wait until it has ended"):
            train(MODEL, CONFIG, run)
        assert (run.out / "log.jsonl").read_text() == seen[-1]
        return {}

    with monkeypatch.context() as patch:
        patch.setattr("cvlnet.training.loop.validate", validate)
        train(MODEL, CONFIG, run)
    assert len(seen) == 2
    assert not (run.out / ".lock").exists()


def test_a_validation_on_training_data_is_told(run, tiny_town, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("cvlnet.training.loop.validate", lambda trainer, run: {})
    train(MODEL, replace(CONFIG, steps=1), replace(run, validation=()))
    assert caplog.text == ""
    (tmp_path / "copy").symlink_to(tiny_town)
    train(MODEL, replace(CONFIG, steps=1), replace(run, validation=(tmp_path / "copy",)))
    assert "copy: is trained on as well: the best weights are chosen by places that they have seen; " in caplog.text


def test_a_training_that_diverges_stops_before_it_destroys_the_network(run):
    diverging = replace(CONFIG, learning_rate=1e30, backbone_learning_rate=1e30, warmup_steps=0)
    with pytest.raises(
        InputError, match=r"step \d: the training diverges: its gradient is nan; lower the learning rate"
    ):
        train(MODEL, diverging, run)
    assert not (run.out / LAST).exists()


def test_an_interruption_costs_no_more_than_the_time_between_two_savings(run, tmp_path, monkeypatch):
    train(MODEL, CONFIG, run)
    broken = replace(run, out=tmp_path / "broken")
    update = Trainer.update

    def interrupt(trainer, batch):
        if trainer.step == 3:
            raise KeyboardInterrupt
        return update(trainer, batch)

    with monkeypatch.context() as patch:
        patch.setattr("cvlnet.training.loop.SAVE_EVERY_S", 0.0)
        patch.setattr(Trainer, "update", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(MODEL, CONFIG, broken)
    assert load_tensors(broken.out / LAST)[1].step == 3
    train(MODEL, CONFIG, broken)
    assert losses_of(broken) == losses_of(run)


def test_whole_weights_need_no_others_to_start_from(run, tmp_path, monkeypatch):
    train(MODEL, replace(CONFIG, steps=1), run)

    def missing(_model):
        raise AssertionError("ImageNet's weights were asked for")

    monkeypatch.setattr("cvlnet.training.loop.load_pretrained_backbone", missing)
    again = replace(run, out=tmp_path / "again", init=run.out / BEST)
    train(MODEL, replace(CONFIG, steps=1), again)
    assert load_tensors(again.out / BEST)[1].init == digest_of(run.out / BEST)


def test_a_town_for_tests_chooses_nothing(run, tmp_path):
    (tmp_path / "test-town").mkdir()
    (tmp_path / "test-town" / "dataset.json").write_text(
        json.dumps({"role": "test", "tile": {"m_per_px": 0.2, "size_px": 800}})
    )
    with pytest.raises(InputError, match="for tests, not for validation"):
        train(MODEL, CONFIG, replace(run, validation=(tmp_path / "test-town",)))
    assert not run.out.exists()


def test_data_to_validate_on_that_is_missing_is_told_before_any_training(run, tmp_path):
    with pytest.raises(InputError, match=r"test2_files_with_sat_GPS\.txt: the file is missing"):
        train(MODEL, CONFIG, replace(run, validation=(tmp_path / "none",)))
    assert not run.out.exists()


def test_a_batch_learned_by_heart_leaves_weights_although_nothing_validates_them(run):
    train(MODEL, replace(CONFIG, steps=1), replace(run, overfit_batch=True))
    assert (run.out / BEST).is_file()


def test_clips_of_fewer_pictures_than_a_network_fuses_are_told_before_any_training(run):
    with pytest.raises(InputError, match="clips of 2: this network fuses 6 pictures or more"):
        train(replace(MODEL, fusion="fuse_Conv3D", sequence=8, heights_m=(0.0,)), CONFIG, run)


def test_checkpoints_tell_where_they_come_from(run):
    figures = train(MODEL, CONFIG, run)
    model, provenance = load_model(run.out / BEST)
    assert not model.training
    assert (provenance.model, provenance.train) == (MODEL, CONFIG)
    assert provenance.data[0]["sha256"]
    assert provenance.figures == figures
    assert 0 <= figures["recall_10m"] <= 1


def test_another_configuration_does_not_continue(run):
    train(MODEL, replace(CONFIG, steps=2), run)
    with pytest.raises(InputError, match="another training configuration"):
        train(MODEL, replace(CONFIG, steps=2, learning_rate=0.1), run)


@pytest.mark.parametrize("loss", ["infonce", "soft_margin"])
def test_one_batch_can_be_learned_by_heart(run, loss):
    config = replace(CONFIG, steps=10, loss=loss, learning_rate=3e-3, validate_every=10, photometric=0.0)
    train(MODEL, config, replace(run, overfit_batch=True))
    values = [line["retrieval"] + line["displacement"] for line in losses_of(run)]
    assert values[-1] < 0.6 * values[0]


def test_a_batch_that_is_encoded_in_parts_teaches_the_same(run, tmp_path):
    config = replace(CONFIG, batch_size=4, min_distance_m=0.5, steps=2, warmup_steps=20)
    train(MODEL, config, run)
    parts = replace(run, out=tmp_path / "parts")
    train(MODEL, replace(config, encode_at_once=3), parts)
    for whole, in_parts in zip(losses_of(run), losses_of(parts), strict=True):
        assert in_parts == pytest.approx(whole, rel=1e-4)


def test_one_batch_can_be_learned_by_heart_in_bfloat16(run, device, monkeypatch):
    monkeypatch.setattr("cvlnet.training.step.computes_bfloat16", lambda device: True)
    config = replace(CONFIG, steps=10, learning_rate=3e-3, validate_every=10, photometric=0.0, amp=True)
    train(MODEL, config, replace(run, overfit_batch=True, device=device))
    values = [line["retrieval"] + line["displacement"] for line in losses_of(run)]
    assert values[-1] < 0.6 * values[0]


def test_where_bfloat16_would_be_emulated_a_training_is_in_float32(run, tmp_path, monkeypatch):
    train(MODEL, replace(CONFIG, steps=2), run)
    monkeypatch.setattr("cvlnet.training.step.computes_bfloat16", lambda device: False)
    asked = replace(run, out=tmp_path / "asked")
    train(MODEL, replace(CONFIG, steps=2, amp=True), asked)
    assert losses_of(asked) == losses_of(run)


def test_the_first_losses_are_the_same_on_every_device(run, tmp_path, device):
    train(MODEL, replace(CONFIG, steps=2), run)
    there = replace(run, out=tmp_path / device, device=device)
    train(MODEL, replace(CONFIG, steps=2), there)
    for here, on_device in zip(losses_of(run), losses_of(there), strict=True):
        assert on_device == pytest.approx(here, rel=1e-2, abs=1e-3)


def test_a_test_town_is_refused(run, tiny_town, tmp_path):
    described = json.loads((tiny_town / "dataset.json").read_text())
    copy = tmp_path / "test-town"
    copy.mkdir()
    (copy / "dataset.json").write_text(json.dumps(described | {"role": "test"}))
    with pytest.raises(InputError, match="not for training"):
        train(MODEL, CONFIG, replace(run, data=(copy,)))


@pytest.mark.parametrize("mirror_world", [False, True])
def test_places_and_clips_turn_alike(tiny_town, mirror_world):
    """A car that drives straight on faces the place where it stands a little later, however the world is turned."""
    config = replace(CONFIG, frames=1, heading_error_deg=0.0, mirror_world=mirror_world)
    samples = training_samples(Run((tiny_town,), (), tiny_town), build_model(MODEL), config)
    batch = next(n for n in range(20) if (torch.det(samples[Draw(0, 0, n)].crop_from_world) < 0) == mirror_world)
    first, later = (samples[Draw(item, 0, batch)] for item in (0, 1))
    assert first.query_id.partition("/")[0] == later.query_id.partition("/")[0]
    assert torch.equal(first.crop_from_world, later.crop_from_world)
    assert first.crop_from_world[0, 1] != 0
    latlon_deg = torch.stack([first.latlon_deg, later.latlon_deg])
    move_m = turned_xy_m(latlon_deg, torch.stack([first.crop_from_world, later.crop_from_world]))[1]
    ahead = first.clip.ground_from_cam.rotation[0, :2, 2].double()
    assert float(move_m.norm()) > 0.5
    assert float(nn.functional.cosine_similarity(move_m, ahead, dim=0)) > 0.95
