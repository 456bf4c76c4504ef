import json
import struct
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from cvlnet.checkpoint import average, digest_of, load_model, load_tensors, save_tensors, shipped_weights
from cvlnet.config import ModelConfig, TrainConfig
from cvlnet.errors import InputError
from cvlnet.model.build import build_model
from cvlnet.model.confidence import Confidence
from cvlnet.model.provenance import Ancestor, Part, Provenance

MODEL = ModelConfig(image_width_px=64, image_height_px=32, clip_cells=8, window_cells=2, channels=4)
KNOWN = Confidence(-1.0, 2.0, 3.0, -0.5, 0.9)


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
    data = [{"name": name, "sha256": name * 64, "labels": True} for name in "aba"]
    for step, (path, model) in enumerate(zip(paths, models, strict=True)):
        made = Provenance(MODEL, TrainConfig(seed=step), (data[step],), step, {"recall": 0.5}, KNOWN)
        save_tensors(path, model.state_dict(), made)
    average(paths, tmp_path / "mean.safetensors")
    mean, provenance = load_model(tmp_path / "mean.safetensors")
    assert (provenance.train, provenance.step, provenance.figures, provenance.confidence) == (None, 0, None, None)
    assert provenance.data == (data[0], data[1])
    assert provenance.ancestors == tuple(
        Ancestor(digest_of(path), (data[step],), step, TrainConfig(seed=step)) for step, path in enumerate(paths)
    )
    assert provenance.parents == tuple(Part(place, 1 / 3) for place in range(3))
    for own, *others in zip(mean.parameters(), *(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(own, sum(others) / 3)
    other = ModelConfig(image_width_px=64, image_height_px=32, clip_cells=8, window_cells=2, channels=8)
    save_tensors(paths[0], build_model(other).state_dict(), Provenance(other))
    with pytest.raises(InputError, match=r"0\.safetensors: are of another network than .*2\.safetensors"):
        average(paths, tmp_path / "none.safetensors")
    finer = replace(MODEL, overhead_m_per_px=0.2)  # the tensors have the same shapes
    save_tensors(paths[0], build_model(finer).state_dict(), Provenance(finer))
    with pytest.raises(InputError, match=r"0\.safetensors: are of another network than .*2\.safetensors"):
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
    elif kind == "ancestors in a circle":
        header = {"format": 1, "model": {}, "train": None, "data": [], "step": 0, "figures": None}
        header |= {"ancestors": [{"sha256": None, "parents": [{"ancestor": 0, "share": 1.0}]}]}
        save_file({"a": torch.zeros(1)}, path, metadata={"cvlnet": json.dumps(header)})
    elif kind == "a number of many digits":
        save_file({"a": torch.zeros(1)}, path, metadata={"cvlnet": '{"format": ' + "1" * 5000 + "}"})
    elif kind == "a number beyond floats":
        header = {"format": 1, "model": {"heights_m": [0, 10**400]}, "train": None, "data": [], "step": 0}
        save_file({"a": torch.zeros(1)}, path, metadata={"cvlnet": json.dumps(header | {"figures": None})})
    elif kind == "later format":
        save_file({"a": torch.zeros(1)}, path, metadata={"cvlnet": json.dumps({"format": 99})})


KINDS = [
    *("no header", "text", "huge header", "cut short", "unknown setting", "wrong setting", "later format", "missing"),
    *("ancestors in a circle", "a number of many digits", "a number beyond floats"),
]


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
    names = ["streets", "streets2", "streets3", "streets4", "streets-7000", "streets-8000", "routes-9000"]
    names += ["towns from seed 22000 on", "towns from seed 23000 on"]
    assert [data["name"] for data in provenance.data] == [data["name"] for data in provenance.all_data] == names
    assert [part.share for part in provenance.parents] == [0.5, 0.5]
    assert sum(ancestor.is_mean for ancestor in provenance.ancestors) == 3
    assert path.stat().st_size < 12 * 10**6
