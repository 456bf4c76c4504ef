"""Every variant of the paper's tables trains for a few steps and is evaluated; a stopped ablation goes on."""

import csv
import json
import shutil
from dataclasses import replace

import pytest
import torch

from cvlnet.checkpoint import load_tensors, save_tensors
from cvlnet.cli.evaluate import ABLATED, ABLATION
from cvlnet.errors import InputError
from cvlnet.model.build import build_model
from cvlnet.model.provenance import Provenance
from cvlnet.training import ablation
from cvlnet.training.ablation import TABLES, Setting, variants, write_table

MODEL = replace(ABLATED, image_width_px=128, image_height_px=32, clip_cells=16, window_cells=2, channels=8)
TRAINING = replace(
    ABLATION, steps=2, batch_size=2, frames=2, warmup_steps=1, neighbours=0, min_distance_m=5.0, label_weight=0.0
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def setting(tiny_town, tmp_path, cache, monkeypatch):
    monkeypatch.setattr("cvlnet.training.ablation.LENGTHS", (1, 2))
    return Setting((tiny_town,), (tiny_town,), tmp_path / "out", seeds=1, most_queries=3, cache=cache, workers=0)


@pytest.mark.parametrize("table", TABLES)
def test_every_variant_trains_and_is_evaluated(table, setting):
    written = write_table(table, variants(table, MODEL, TRAINING), setting)
    asked = [(v.name, str(frames)) for v in variants(table, MODEL, TRAINING) for frames in v.frames]
    assert [row[:2] for row in written.rows] == asked
    folder = setting.out / table
    rows = list(csv.DictReader((folder / f"{table}.csv").open()))
    assert [(row["variant"], row["frames"]) for row in rows] == asked
    assert all(0 <= float(row["test2_10m_low"]) <= float(row["test2_10m"]) <= 1 for row in rows)
    assert len(json.loads((folder / f"{table}.json").read_text())) == len(asked)
    assert (folder / f"{table}.md").read_text() == written.markdown()
    assert (folder / f"{table}.png").stat().st_size > 5_000


def test_a_stopped_ablation_goes_on_and_says_the_same(setting, monkeypatch):
    two_seeds = replace(setting, seeds=2)
    trained = []
    plain = ablation.train
    monkeypatch.setattr(ablation, "train", lambda *a: trained.append(a[2].out.name) or plain(*a))
    first = write_table("matching", variants("matching", MODEL, TRAINING), two_seeds)
    assert trained == ["0", "1"] * 4
    again = write_table("matching", variants("matching", MODEL, TRAINING), two_seeds)
    assert trained == ["0", "1"] * 4
    assert again == first
    assert all(len(row[-1].split(", ")) == 2 for row in again.rows)


def test_the_first_row_is_as_it_was_asked_for():
    for table in ("projection", "matching"):
        assert variants(table, MODEL, TRAINING)[0].model == MODEL


def test_another_budget_is_not_mistaken_for_the_one_before(setting):
    write_table("matching", variants("matching", MODEL, TRAINING), setting)
    with pytest.raises(InputError, match="holds a training with another training configuration"):
        write_table("matching", variants("matching", MODEL, replace(TRAINING, steps=3)), setting)
    few = write_table("matching", variants("matching", MODEL, TRAINING), replace(setting, most_queries=1))
    assert few != write_table("matching", variants("matching", MODEL, TRAINING), setting)


def test_data_to_test_on_that_is_missing_is_told_before_any_training(setting, tmp_path):
    with pytest.raises(InputError, match=r"test2_files_with_sat_GPS\.txt: the file is missing"):
        write_table("matching", variants("matching", MODEL, TRAINING), replace(setting, tests=(tmp_path,)))
    assert not setting.out.exists()


def test_variants_are_evaluated_with_clips_like_those_of_their_training(setting, monkeypatch):
    asked, plain = [], ablation.predict
    monkeypatch.setattr(ablation, "predict", lambda *a, **k: asked.append(a[2]) or plain(*a, **k))
    write_table("matching", variants("matching", MODEL, replace(TRAINING, way_m=9.0))[:1], setting)
    assert {(spec.way_m, spec.step) for spec in asked} == {(9.0, None)}


def test_data_sets_are_told_apart_by_their_test_lists(tiny_town, tmp_path):
    copies = [shutil.copytree(tiny_town, tmp_path / name, symlinks=True) for name in ("a", "b")]
    digests = [ablation._digest(copy) for copy in copies]
    assert len({*digests, ablation._digest(tiny_town)}) == 3
    lines = (copies[0] / "test2_files_with_sat_GPS.txt").read_text().splitlines(keepends=True)
    (copies[0] / "test2_files_with_sat_GPS.txt").write_text("".join(lines[1:]))
    assert ablation._digest(copies[0]) not in digests


def test_variants_take_what_fits_them_of_given_weights(setting, tmp_path, monkeypatch):
    other = replace(MODEL, fusion="vis_LSTM", descriptor_channels=4)
    start = build_model(other)
    save_tensors(tmp_path / "start.safetensors", start.state_dict(), Provenance(other))
    begun = replace(setting, init=tmp_path / "start.safetensors")
    still = replace(TRAINING, learning_rate=1e-12, backbone_learning_rate=1e-12)
    write_table("matching", variants("matching", MODEL, still)[:1], begun)
    weights, provenance = load_tensors(
        setting.out / "matching" / "displacement-and-uncertainty" / "0" / ablation.WEIGHTS
    )
    assert provenance.init is not None
    named = start.state_dict()
    fits = [name for name, tensor in weights.items() if name in named and tensor.shape == named[name].shape]
    assert 0.5 < len(fits) / len(weights) < 1
    for name in fits:
        torch.testing.assert_close(weights[name], named[name], rtol=0, atol=1e-6)
    with pytest.raises(InputError, match="holds a training with another start"):
        write_table("matching", variants("matching", MODEL, still)[:1], setting)


def test_a_fusion_of_a_fixed_length_is_not_asked_about_shorter_clips(setting):
    table = variants("sequence", replace(MODEL, fusion="fuse_Conv3D"), TRAINING)
    assert [(v.model.sequence, v.frames) for v in table] == [(1, (1, 2)), (2, (2,))]
    written = write_table("sequence", table, setting)
    assert [row[1] for row in written.rows] == ["1", "2", "2"]
