import sys

import pytest

from cvlnet.checkpoint import shipped_weights
from cvlnet.cli import run
from cvlnet.config import RasterHints
from cvlnet.map import on_ray
from cvlnet.map.build import build_map
from cvlnet.map.on_ray import Inputs
from geotiffs import write_pattern
from seeing import MIDDLE


@pytest.fixture
def picture(tmp_path):
    return write_pattern(tmp_path / "map.tif", MIDDLE, size_m=60.0, pixel_m=0.5)


@pytest.fixture
def built(monkeypatch):
    """The engines that maps are built with."""
    engines = []

    def build(model, image, out, *, engine, **named):
        engines.append(engine)
        return build_map(model, image, out, **named)

    monkeypatch.setattr("cvlnet.map.build.build_map", build)
    return engines


def test_maps_are_built_on_ray_as_asked_for(picture, built, monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr(on_ray, "on_ray", lambda inputs, **named: asked.append((inputs, named)) or "engine")
    out = ["--out", str(tmp_path / "map")]
    options = ["--engine", "ray", "--address", "head:1", "--workers", "3", "--cores", "2", "--bands", "1", "2", "3"]
    monkeypatch.chdir(tmp_path)
    assert run(["map", "build", "map.tif", *out, *options]) == 0
    inputs = Inputs(shipped_weights(), picture, RasterHints(bands=(1, 2, 3)), "cpu", "float32")
    assert asked == [(inputs, {"address": "head:1", "workers": 3, "cores": 2})]
    assert built == ["engine"]
    assert "km2 in cells of 1.6 m" in capsys.readouterr().out


@pytest.mark.parametrize("option", [["--address", "head:1"], ["--workers", "2"], ["--cores", "2"]])
def test_options_of_ray_without_it_are_refused(picture, tmp_path, capsys, option):
    assert run(["map", "build", str(picture), "--out", str(tmp_path / "map"), *option]) == 2
    assert capsys.readouterr().err == (
        "cvlnet: --address, --workers or --cores: belongs to --engine ray; give both, or neither\n"
    )


def test_without_ray_one_line_says_how_to_install_it(picture, tmp_path, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "cvlnet.map.on_ray")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(["map", "build", str(picture), "--out", str(tmp_path / "map"), "--engine", "ray"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("cvlnet: --engine ray: is not installed (")
    assert error.endswith("; install it: pip install 'cvlnet[ray]'\n")


def test_a_map_is_copied(picture, tmp_path, capsys):
    source, target = str(tmp_path / "a"), str(tmp_path / "b")
    assert run(["map", "build", str(picture), "--out", source]) == 0
    assert run(["map", "copy", source, target]) == 0
    assert run(["map", "info", target, "--verify"]) == 0
    assert run(["map", "copy", source, "zip2://x"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
