import json
import sys

import numpy as np
import pytest
import torch

from cvlnet.config import ModelConfig
from cvlnet.errors import InputError
from cvlnet.model.build import build_model
from cvlnet.model.export import TOLERANCE, export
from cvlnet.model.ssm import match
from cvlnet.types import ClipFeatures, MapFeatures

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra cvlnet[export] is not installed")
MODEL = ModelConfig(image_width_px=64, image_height_px=32, clip_cells=8, window_cells=2, channels=4)


def written(tmp_path, config):
    torch.manual_seed(0)
    network = build_model(config).eval()
    differences = export(network, tmp_path / "onnx", frames=2)
    return network, differences, json.loads((tmp_path / "onnx" / "model.json").read_text(encoding="utf-8"))


def session(tmp_path, name):
    return onnxruntime.InferenceSession(tmp_path / "onnx" / f"{name}.onnx", providers=["CPUExecutionProvider"])


def test_the_graphs_say_what_the_network_says(tmp_path):
    network, differences, described = written(tmp_path, MODEL)
    assert set(differences) == {"overhead", "ground", "match"}
    assert max(differences.values()) <= TOLERANCE
    assert described["inputs"]["ground.onnx"]["images"] == ["clips", "frames", 3, 32, 64]
    assert described["frames"] is None
    channels, cells, steps = MODEL.descriptor_channels, network.map_grid.rows, network.steps
    clips, tiles = torch.randn(5, channels, 8, 8), torch.randn(4, channels, cells, cells)
    weight, uncertainty = torch.rand(5, 8, 8), torch.rand(4, steps, steps) + 0.5
    named = {
        "clip_descriptor": clips.numpy(),
        "clip_weight": weight.numpy(),
        "tile_descriptor": tiles.numpy(),
        "tile_uncertainty": uncertainty.numpy(),
    }
    (scores,) = session(tmp_path, "match").run(["scores"], named)
    expected = match(
        ClipFeatures(clips, weight, network.clip_grid), MapFeatures(tiles, uncertainty, network.map_grid)
    ).scores
    np.testing.assert_allclose(scores, expected.numpy(), atol=TOLERANCE)
    pixels = torch.randint(0, 256, (6, 3, *2 * [network.tile_grid.rows]), dtype=torch.uint8)
    with torch.no_grad():
        features = network.encode_map(pixels)
    descriptor, prior = session(tmp_path, "overhead").run(None, {"tiles": pixels.numpy()})
    np.testing.assert_allclose(descriptor, features.descriptor.numpy(), atol=TOLERANCE)
    np.testing.assert_allclose(prior, features.uncertainty.numpy(), atol=TOLERANCE)


@pytest.mark.slow
def test_a_sequence_of_one_length_is_written_for_that_length(tmp_path):
    config = ModelConfig(
        image_width_px=64,
        image_height_px=32,
        clip_cells=8,
        window_cells=2,
        heights_m=(0.0,),
        fusion="fuse_LSTM",
        channels=4,
    )
    _, differences, described = written(tmp_path, config)
    assert max(differences.values()) <= TOLERANCE
    assert described["frames"] == 2
    assert described["inputs"]["ground.onnx"]["images"] == ["clips", 2, 3, 32, 64]


def test_an_interrupted_export_leaves_no_description_of_other_graphs(tmp_path, monkeypatch):
    def interrupted(graph, *_):
        if graph.name == "ground":
            raise KeyboardInterrupt

    (tmp_path / "model.json").write_text("{}")
    monkeypatch.setattr("cvlnet.model.export._write", interrupted)
    monkeypatch.setattr("cvlnet.model.export._difference", lambda *_: 0.0)
    with pytest.raises(KeyboardInterrupt):
        export(build_model(MODEL).eval(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"overhead.onnx"}


def test_without_onnx_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"cvlnet\[export\]"):
        export(build_model(MODEL).eval(), tmp_path / "onnx")
    assert not list((tmp_path / "onnx").glob("*"))
