from dataclasses import asdict
from pathlib import Path

import pytest

from cvlnet.cli import run
from cvlnet.cli.app import build_app
from cvlnet.config import ModelConfig, TrainConfig
from cvlnet.town.presets import Nuisances
from cvlnet.training.stream import Stream

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))


def test_training_gets_what_is_asked_for(trained, capsys):
    tokens = ["train", "a", "b", "--out", "o", "--validation", "v", "w", "--steps", "7", "--backbone", "vgg16"]
    assert run([*tokens, "--no-rotate-world", "--overfit-batch"]) == 0
    [(model, training, asked)] = trained
    assert model == ModelConfig(backbone="vgg16")
    assert training == TrainConfig(steps=7, rotate_world=False)
    assert (asked.data, asked.validation, asked.out) == ((Path("a"), Path("b")), (Path("v"), Path("w")), Path("o"))
    assert asked.overfit_batch
    assert capsys.readouterr().out == "score 0.500\n"


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


def test_towns_are_streamed_as_asked_for(trained, tmp_path):
    (tmp_path / "stream.toml").write_text('stream = "routes"\nrig = 1.0\nsteps = 9\n')
    tokens = ["train", "--out", "o", "--config", str(tmp_path / "stream.toml"), "--drawers", "3", "--first-seed", "77"]
    assert run(tokens) == 0
    [(_, training, asked)] = trained
    assert training.steps == 9
    assert asked.data == ()
    assert asked.stream == Stream("routes", 77, mixed_towns=4, drawers=3, nuisances=Nuisances(rig=1.0))


def test_data_sets_and_towns_may_be_trained_on_together(trained):
    assert run(["train", "a", "--out", "o", "--stream", "streets"]) == 0
    [(_, _, asked)] = trained
    assert (asked.data, asked.stream) == ((Path("a"),), Stream("streets", 20_000))


def test_differences_between_views_need_towns_to_draw(trained, capsys):
    assert run(["train", "a", "--out", "o", "--rig", "1"]) == 2
    told = "cvlnet: nuisances of streamed towns: there are no towns to draw; draw towns with --stream"
    assert capsys.readouterr().err.startswith(told)
    assert trained == []


def test_a_training_on_nothing_gets_one_line(capsys):
    assert run(["train", "--out", "o"]) == 2
    told = "cvlnet: cvlnet train: there is nothing to train on; name a data set, or let --stream PRESET draw towns\n"
    assert capsys.readouterr().err == told
