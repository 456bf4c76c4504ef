"""Every recipe is a set of options of the command that its comment names."""

import subprocess
from pathlib import Path

import pytest

from cvlnet.cli import run

RECIPES = Path(__file__).parents[1] / "recipes"
STAGES = sorted((RECIPES / "shipped-weights").glob("*.toml"), key=lambda path: int(path.stem.partition("-")[0]))
TRAININGS = [*STAGES, RECIPES / "ablation.toml"]


@pytest.fixture
def asked(monkeypatch):
    """What `train` and `synth` are called with."""
    calls = []
    monkeypatch.setattr("cvlnet.training.loop.train", lambda *given: calls.append(given))
    monkeypatch.setattr(
        "cvlnet.town.dataset.synthesize.synthesize", lambda *given, **options: calls.append((given, options))
    )
    return calls


@pytest.mark.parametrize("recipe", TRAININGS, ids=lambda path: path.stem)
def test_recipes_are_options_of_train(recipe, asked, tmp_path):
    data = ["--stream", "routes"] if "stream" in recipe.stem else ["data"]
    assert run(["train", *data, "--out", str(tmp_path), "--config", str(recipe)]) == 0
    ((_, training, _),) = asked
    single = recipe.stem in ("1-frames", "3-varied", "5-streets", "6-places")
    assert training.frames == (1 if single else 4)


def test_varied_towns_are_options_of_synth(asked, tmp_path):
    assert run(["synth", str(tmp_path), "--seed", "1", "--config", str(RECIPES / "varied.toml")]) == 0
    ((_, options),) = asked
    assert options["nuisances"].oblique == 1.0


def test_the_script_of_the_shipped_weights_names_recipes_that_are_there():
    script = RECIPES / "shipped-weights" / "make.sh"
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    called = [line.split() for line in script.read_text().splitlines() if line.startswith("train ")]
    stages = [words[2] for words in called if words[1].isdigit()]
    names = [path.stem for path in STAGES]
    assert stages == [*names[:8], "8-routes", *names[8:]]
