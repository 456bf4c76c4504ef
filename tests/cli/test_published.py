import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cvlnet.checkpoint import load_tensors
from cvlnet.cli.published import Options, evaluate_script, model_of, run, train_script, training_of
from cvlnet.config import ModelConfig, TrainConfig

ROOT = Path(__file__).parents[2]
SMALL = ModelConfig(
    image_width_px=128, image_height_px=32, overhead_m_per_px=0.8, clip_cells=16, window_cells=2, channels=8,
    descriptor_channels=4,
)  # fmt: skip


@pytest.fixture
def small_network(monkeypatch):
    """Instead of VGG16, which would take minutes."""
    monkeypatch.setattr("cvlnet.cli.published.model_of", lambda options: SMALL)


def test_defaults_are_those_of_the_published_code():
    model, training = model_of(Options()), training_of(Options(), 1000)
    assert model == replace(ModelConfig.paper_like(), fusion="fuse_Transformer", sequence=4)
    assert (training.steps, training.batch_size, training.frames, training.clip_step) == (5 * 125, 8, 4, 3)
    assert (training.learning_rate, training.backbone_learning_rate, training.loss) == (1e-4, 1e-4, "soft_margin")
    assert training.cameras == (2,)
    assert training.min_distance_m == pytest.approx(7 * 3.133, abs=0.01)


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        (Options(fuse_method="vis_LSTM"), {"fusion": "vis_LSTM"}),
        (Options(proj="Unet"), {"projection": "unet"}),
        (Options(proj="Reshape"), {"projection": "reshape"}),
        (Options(project_grd=1), {"projection": "images"}),
        (
            Options(polar_sat=1, shift_range=0, uncertainty=0),
            {"projection": "polar", "window_cells": 0, "uncertainty": False},
        ),
        (Options(shift_range=5), {"window_cells": 5}),
        (Options(sim=1), {"consistency": True}),
        (Options(sequence=8, stereo=1), {"sequence": 16}),
    ],
)  # fmt: skip
def test_every_option_changes_its_part(options, changes):
    assert model_of(options) == replace(
        ModelConfig.paper_like(), **{"fusion": "fuse_Transformer", "sequence": 4} | changes
    )


def test_variants_have_folders_of_their_own():
    chosen = [
        Options(), Options(sequence=8), Options(stereo=1), Options(fuse_method="vis_LSTM"), Options(proj="Unet"),
        Options(project_grd=1), Options(polar_sat=1, shift_range=0, uncertainty=0), Options(shift_range=0),
        Options(uncertainty=0), Options(sim=1),
    ]  # fmt: skip
    assert Options().name == "fuse_Transformer-Geometry-sim0-stereo0-s4-shift3"
    assert len({options.name for options in chosen}) == len(chosen)


@pytest.mark.parametrize(
    ("tokens", "line"),
    [
        ([], "Parameter --root requires an argument"),
        (["--root", "nowhere"], "train_files_with_sat_GPS.txt: the file is missing"),
        (["--root", ".", "--fuse_method", "vis_GRU"], "vis_GRU"),
        (["--root", ".", "--polar_sat", "1"], "only without displacement"),
        (["--root", ".", "--proj", "Unet", "--project_grd", "1"], "--proj Unet goes with neither"),
        (["--root", ".", "--stage", "1"], "--stage"),
        (["--root", ".", "--epochs", "0"], "epochs must be at least 1"),
        (["--root", ".", "--batch_size", "0"], "batch_size must be at least 1"),
        (["--root", ".", "--sequence", "17"], "frames must be at most 16"),
        (["--root", ".", "--sequence", "1.5"], "--sequence: 1.5 is not a whole number"),
        (["--root", ".", "--workers", "-1"], "--workers"),
    ],
)
def test_wrong_options_end_in_one_line(tokens, line, capsys, tmp_path):
    assert run("train.py", train_script, [*tokens, "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1


def test_train_and_test_on_a_town(tiny_town, tmp_path, small_network, capsys):
    shared = ["--root", str(tiny_town), "--out", str(tmp_path), "--sequence", "2", "--shift_range", "0"]
    assert run("train.py", train_script, [*shared, "--batch_size", "2", "--epochs", "1"]) == 0
    weights = tmp_path / "fuse_Transformer-Geometry-sim0-stereo0-s2-shift0" / "best.safetensors"
    _, provenance = load_tensors(weights)
    assert provenance.model == SMALL
    assert isinstance(provenance.train, TrainConfig)
    assert provenance.train.clip_step == 3
    capsys.readouterr()
    assert run("test.py", evaluate_script, shared) == 0
    said = capsys.readouterr().out
    assert f"weights: {weights}" in said
    assert "with distractors" in said
    assert "without distractors" not in said
    assert run("test.py", evaluate_script, [*shared, "--test_wo_destractors"]) == 0
    said = capsys.readouterr().out
    for gallery in ("without distractors", "with distractors"):
        _, _, figures = said.partition(f"------------- {gallery} -----------------\n")
        lines = figures.splitlines()
        assert lines[0].startswith("median: ")
        assert [line.split()[0] for line in lines[1:5]] == ["top-1", "top-5", "top-10", "top-100"]


def test_lists_may_lie_in_dataloader(tiny_town, tmp_path, small_network, capsys):
    """As in the published code, whose lists are not in the data set's folder."""
    root = tmp_path / "KITTI"
    (root / "dataLoader").mkdir(parents=True)
    for path in tiny_town.iterdir():
        inside = path.name.endswith("_files_with_sat_GPS.txt")
        (root / "dataLoader" / path.name if inside else root / path.name).symlink_to(path)
    shared = ["--root", str(root), "--out", str(tmp_path / "Models"), "--sequence", "2", "--workers", "0"]
    assert run("test.py", evaluate_script, shared) == 0
    assert "weights: " in capsys.readouterr().out


@pytest.mark.slow
def test_the_scripts_train_the_paper_s_network(tiny_town, tmp_path):
    shared = ["--root", str(tiny_town), "--out", str(tmp_path), "--sequence", "1", "--shift_range", "0"]
    for script, more in (("train.py", ["--batch_size", "2", "--epochs", "1"]), ("test.py", [])):
        done = subprocess.run([sys.executable, ROOT / script, *shared, *more], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "top-1 within 10 and 25 meters" in done.stdout


@pytest.mark.parametrize("script", ["train.py", "test.py"])
def test_the_scripts_have_help(script):
    done = subprocess.run([sys.executable, ROOT / script, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert f"python {script} --root KITTI" in done.stdout
    assert "--fuse_method" in done.stdout
