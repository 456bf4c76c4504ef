import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from cvlnet.checkpoint import Provenance, average, load_model, load_tensors, save_tensors, shipped_weights
from cvlnet.config import ModelConfig
from cvlnet.errors import InputError
from cvlnet.model.build import build_model

MODEL = ModelConfig(image_width_px=64, image_height_px=32, clip_cells=8, window_cells=2, channels=4)


def test_weights_come_back(tmp_path):
    torch.manual_seed(0)
    model = build_model(MODEL)
    save_tensors(tmp_path / "w.safetensors", model.state_dict(), Provenance(MODEL, step=7, figures={"recall": 0.5}))
    again, provenance = load_model(tmp_path / "w.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
    assert (provenance.step, provenance.figures) == (7, {"recall": 0.5})
    assert list(tmp_path.iterdir()) == [tmp_path / "w.safetensors"]


def test_the_mean_of_weights(tmp_path):
    paths = [tmp_path / f"{i}.safetensors" for i in range(3)]
    models = [build_model(MODEL) for _ in paths]
    for step, (path, model) in enumerate(zip(paths, models, strict=True)):
        save_tensors(path, model.state_dict(), Provenance(MODEL, step=step, figures={"recall": 0.5}))
    average(paths, tmp_path / "mean.safetensors")
    mean, provenance = load_model(tmp_path / "mean.safetensors")
    assert (provenance.step, provenance.figures) == (2, None)
    for own, *others in zip(mean.parameters(), *(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(own, sum(others) / 3)
    other = ModelConfig(image_width_px=64, image_height_px=32, clip_cells=8, window_cells=2, channels=8)
    save_tensors(paths[0], build_model(other).state_dict(), Provenance(other))
    with pytest.raises(InputError, match=r"0\.safetensors: the tensors do not fit"):
        average(paths, tmp_path / "none.safetensors")
    assert not (tmp_path / "none.safetensors").exists()


def test_tensors_that_do_not_fit_are_listed(tmp_path):
    tensors = build_model(MODEL).state_dict()
    tensors["surplus"] = tensors.pop("log_sharpness")
    tensors["fusion.mix.bias"] = torch.zeros(99)
    save_tensors(tmp_path / "w.safetensors", tensors, Provenance(MODEL))
    with pytest.raises(InputError) as error:
        load_model(tmp_path / "w.safetensors")
    for part in ("missing log_sharpness", "unknown surplus", "of another shape fusion.mix.bias"):
        assert part in str(error.value)


def hostile(path, kind):
    if kind == "no header":
        save_file({"a": torch.zeros(1)}, path)
    elif kind == "text":
        path.write_text("weights")
    elif kind == "huge header":
        path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    elif kind == "cut short":
        save_tensors(path, build_model(MODEL).state_dict(), Provenance(MODEL))
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "unknown setting":
        header = {"format": 1, "model": {"colour": "blue"}, "train": None, "data": [], "step": 0, "figures": None}
        save_file({"a": torch.zeros(1)}, path, metadata={"cvlnet": json.dumps(header)})
    elif kind == "wrong setting":
        header = {"format": 1, "model": {"clip_cells": -4}, "train": None, "data": [], "step": 0, "figures": None}
        save_file({"a": torch.zeros(1)}, path, metadata={"cvlnet": json.dumps(header)})
    elif kind == "later format":
        save_file({"a": torch.zeros(1)}, path, metadata={"cvlnet": json.dumps({"format": 99})})


KINDS = ["no header", "text", "huge header", "cut short", "unknown setting", "wrong setting", "later format", "missing"]


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_are_no_weights_get_one_line(tmp_path, kind):
    path = tmp_path / "w.safetensors"
    hostile(path, kind)
    with pytest.raises(InputError) as error:
        load_tensors(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_the_shipped_weights_load_and_are_small():
    path = shipped_weights()
    _, provenance = load_model(path)
    assert provenance.confidence is not None
    assert provenance.recognises
    assert provenance.published is None
    assert path.stat().st_size < 12 * 10**6
