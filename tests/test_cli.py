import subprocess
import sys
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from cvlnet import __version__
from cvlnet.cli import build_app, run
from cvlnet.config import ModelConfig, TrainConfig
from cvlnet.errors import InputError
from cvlnet.town.presets import Nuisances

COMMANDS = ("demo", "localize", "evaluate", "train", "synth", "calibrate", "ablate", "average", "convert", "export")


@pytest.fixture
def trained(monkeypatch):
    """What `train` is called with."""
    calls = []

    def train(model, training, run):
        calls.append((model, training, run))
        return {"score": 0.5}

    monkeypatch.setattr("cvlnet.training.loop.train", train)
    return calls


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_help_lists_the_commands(capsys):
    assert run(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example(capsys, command):
    assert run([command, "--help"]) == 0
    _, _, after = capsys.readouterr().out.partition("For example:")
    assert f"cvlnet {command}" in after


@pytest.mark.parametrize(
    ("command", "configuration"), [("train", ModelConfig), ("train", TrainConfig), ("synth", Nuisances)]
)
def test_every_setting_can_be_reached(capsys, command, configuration):
    run([command, "--help"])
    printed = capsys.readouterr().out
    options = [f"--{field.name.replace('_', '-')}" for field in fields(configuration)]
    assert options
    assert [option for option in options if option not in printed] == []


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        (["lokalize"], 'Did you mean "localize"?'),
        (["train", "x", "--out", "y", "--stepz", "3"], "Did you mean --steps?"),
        (["train", "x", "--out", "y", "--steps", "many"], '"many"'),
        (["train", "x", "--out", "y", "--steps", "0"], "steps must be at least 1, not 0"),
        (["train", "x", "--out", "y", "--device", "abacus"], "device abacus"),
        (["train", "x"], "--out"),
        (["train", "missing", "--out", "y"], "train_files_with_sat_GPS.txt"),
        (["localize"], "MAP"),
        (["localize", "x", "--frame", "1.5"], "--frame"),
        (["localize", "x", "--radius-m", "inf"], "--radius-m"),
        (["localize", "x", "--frames", "17"], "frames must be from 1 to 16, not 17"),
        (["localize", "x", "--frames", "-1"], "frames must be from 1 to 16, not -1"),
        (["localize", "x", "--frame", "-1"], "frame must be 0 or greater, not -1"),
        (["localize", "x", "--way-m", "inf"], "way_m must be positive and finite, not inf"),
        (["localize", "x", "--way-m", "nan"], "way_m must be positive and finite, not nan"),
        (["localize", "x", "--way-m", "-3"], "way_m must be positive and finite, not -3.0"),
        (["evaluate", "x", "--out", "y", "--way-m", "inf"], "way_m must be positive and finite, not inf"),
        (["localize", "x", "--near", "91", "8"], "latitude 91"),
        (["localize", "x", "--weights", "missing.safetensors"], "missing.safetensors: there is no such file"),
        (["evaluate", "missing", "--weights", "missing.safetensors", "--out", "y"], "missing.safetensors"),
        (["average", "missing.safetensors", "--out", "y"], "missing.safetensors: there is no such file"),
        (["average", "--out", "y"], "WEIGHTS"),
        (["average", "missing.safetensors", "--out", "."], "is a directory"),
        (["calibrate", "x", "--weights", "missing.safetensors", "--out", "."], "is a directory"),
        (["localize", "x", "--region", "."], "is a directory"),
        (["synth", "x", "--seed", "1", "--preset", "huge"], "huge"),
        (["synth", "x", "--seed", "-1"], "-1"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_status_2(tmp_path, monkeypatch, capsys, tokens, told):
    monkeypatch.chdir(tmp_path)
    assert run(tokens) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("cvlnet: ")
    assert told in printed.err
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_interruption_is_one_line_and_status_130(monkeypatch, capsys, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("cvlnet.training.loop.train", interrupted)
    assert run(["train", "x", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_our_own_mistakes_keep_their_traceback(monkeypatch, tmp_path):
    def mistaken(*_, **__):
        raise ValueError("a mistake")

    monkeypatch.setattr("cvlnet.training.loop.train", mistaken)
    with pytest.raises(ValueError, match="a mistake"):
        run(["train", "x", "--out", str(tmp_path)])


def test_error_of_several_lines_is_told_in_one(monkeypatch, capsys, tmp_path):
    def refused(*_, **__):
        raise InputError("two\n lines", where="here", remedy="do that")

    monkeypatch.setattr("cvlnet.training.loop.train", refused)
    assert run(["train", "x", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "cvlnet: here: two lines; do that\n"


def test_training_gets_what_is_asked_for(trained, capsys):
    tokens = ["train", "a", "b", "--out", "o", "--validation", "v", "w", "--steps", "7", "--backbone", "vgg16"]
    assert run([*tokens, "--no-rotate-world", "--overfit-batch"]) == 0
    [(model, training, asked)] = trained
    assert model == ModelConfig(backbone="vgg16")
    assert training == TrainConfig(steps=7, rotate_world=False)
    assert (asked.data, asked.validation, asked.out) == ((Path("a"), Path("b")), (Path("v"), Path("w")), Path("o"))
    assert asked.overfit_batch
    assert capsys.readouterr().out == "score 0.500\n"


def test_settings_come_from_a_file_unless_they_are_given(trained, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('steps = 11\nbatch-size = 2\nneighbours = 0\nbackbone = "vgg16"\n')
    assert run(["train", "a", "--out", "o", "--config", str(file), "--steps", "7"]) == 0
    [(model, training, _)] = trained
    assert model == ModelConfig(backbone="vgg16")
    assert training == TrainConfig(steps=7, batch_size=2, neighbours=0)


@pytest.mark.parametrize("text", ["stepz = 3\n", "steps = = 3\n", None])
def test_settings_file_that_cannot_be_used_is_told(trained, tmp_path, capsys, text):
    file = tmp_path / "settings.toml"
    if text is not None:
        file.write_text(text)
    assert run(["train", "a", "--out", "o", "--config", str(file)]) == 2
    assert "settings.toml" in capsys.readouterr().err
    assert trained == []


def test_town_is_made_as_asked_for(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "cvlnet.town.dataset.synthesize.synthesize", lambda *args, **kwargs: calls.append((args, kwargs))
    )
    assert run(["synth", "o", "--seed", "5", "--preset", "tiny", "--towns", "2", "--shake", "0"]) == 0
    assert calls == [((Path("o"), 5, "tiny"), {"towns": 2, "nuisances": Nuisances(shake=0.0), "workers": None})]


def test_heavy_modules_wait_for_the_command_that_needs_them():
    program = (
        "import sys, cvlnet.cli; print(sorted({'torch', 'numba', 'matplotlib', 'pyproj', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))


@pytest.mark.parametrize("recipe", [path for path in RECIPES if path.stem not in ("ablation", "varied")], ids=str)
def test_every_recipe_for_training_is_one(recipe):
    _, bound, _ = build_app().parse_args(
        ["train", "data", "--out", "run", "--config", str(recipe)], exit_on_error=False
    )
    settings = pytest.importorskip("tomllib").loads(recipe.read_text(encoding="utf-8"))
    given = {
        **asdict(bound.arguments.get("model", ModelConfig())),
        **asdict(bound.arguments.get("training", TrainConfig())),
    }
    for name, value in settings.items():
        expected = tuple(value) if isinstance(value, list) else value
        assert given[name.replace("-", "_")] == expected


def test_the_recipe_of_the_paper_has_the_network_that_is_like_it():
    path = next(path for path in RECIPES if path.stem == "paper")
    _, bound, _ = build_app().parse_args(["train", "data", "--out", "run", "--config", str(path)], exit_on_error=False)
    assert bound.arguments["model"] == ModelConfig.paper_like()
    training = bound.arguments["training"]
    assert (training.loss, training.displacement_weight, training.label_weight) == ("soft_margin", 0, 0)
