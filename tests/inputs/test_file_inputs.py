"""Damaged, odd and hostile files of ours: weights, predictions and settings, each refused in one line or read.

A table for each kind: what is done to a good file, and the line that comes of it.
"""

import io
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from cvlnet.checkpoint import load_network, save_tensors
from cvlnet.cli import run
from cvlnet.config import ModelConfig
from cvlnet.errors import InputError
from cvlnet.evaluation.predict import Predictions, Ranking
from cvlnet.geo import LatLon
from cvlnet.model.build import build_model
from cvlnet.model.provenance import Provenance

MODEL = ModelConfig(image_width_px=128, image_height_px=32, clip_cells=16, window_cells=2, channels=8)
Tensors = dict[str, torch.Tensor]
Damage = Callable[[Path], bytes]


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "good.safetensors"
    torch.manual_seed(0)
    save_tensors(path, build_model(MODEL).state_dict(), Provenance(MODEL))
    return path


def raw(change: Callable[[bytes], bytes]) -> Damage:
    return lambda path: change(path.read_bytes())


def tensors(change: Callable[[Tensors], object]) -> Damage:
    def damaged(path: Path) -> bytes:
        network, _ = load_network(path)
        named = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        change(named)
        return save(named, metadata=_metadata(path))

    return damaged


def described(**changed: Any) -> Damage:
    def damaged(path: Path) -> bytes:
        network, _ = load_network(path)
        header = json.loads(_metadata(path)["cvlnet"])
        return save(dict(network.state_dict()), metadata={"cvlnet": json.dumps(header | changed)})

    return damaged


def model(**changed: Any) -> Damage:
    return lambda path: described(model=json.loads(_metadata(path)["cvlnet"])["model"] | changed)(path)


def _metadata(path: Path) -> dict[str, str]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    return {"cvlnet": header["__metadata__"]["cvlnet"]}  # without the checksum


WEIGHTS: dict[str, tuple[Damage, str]] = {
    "nothing": (
        raw(lambda _: b""),
        "not a whole safetensors file (Error while deserializing header: header too small)",
    ),
    "cut in the header": (raw(lambda good: good[:100]), "invalid header length"),
    "cut at the end": (raw(lambda good: good[:-10]), "file not fully covered"),
    "a flipped bit": (
        raw(lambda good: good[:-9] + bytes([good[-9] ^ 1]) + good[-8:]),
        "damaged: its contents do not have their checksum",
    ),
    "bytes after the end": (raw(lambda good: good + b"x"), "file not fully covered"),
    "a header of 4 EiB": (raw(lambda _: struct.pack("<Q", 2**62) + b"{}"), "header too large"),
    "a header longer than the file": (raw(lambda _: struct.pack("<Q", 10**8) + b" " * 50), "invalid header length"),
    "text": (raw(lambda _: b"these are no weights at all"), "not a whole safetensors file"),
    "a pickle": (raw(lambda _: pickle.dumps({"a": 1})), "not a whole safetensors file"),
    "a PyTorch file": (raw(lambda _: b"PK\x03\x04" + b"\0" * 60), "not a whole safetensors file"),
    "weights of others": (raw(lambda _: save({"a": torch.zeros(2)})), "no description of CVLNet weights inside; give"),
    "a description that is no JSON": (
        raw(lambda _: save({}, metadata={"cvlnet": "{x"})),
        "not a whole safetensors file",
    ),
    "a description of endless brackets": (
        raw(lambda _: save({}, metadata={"cvlnet": "[" * 100_000})),
        "not a whole safetensors file",
    ),
    "figures that are text": (described(figures={"score": "high"}), "no description of CVLNet weights inside"),
    "a description that is a list": (raw(lambda _: save({}, metadata={"cvlnet": "[1]"})), "no description of CVLNet"),
    "a description that is a number": (raw(lambda _: save({}, metadata={"cvlnet": "7"})), "no description of CVLNet"),
    "a later format": (described(format=99), "format 99, not 1; install a newer cvlnet"),
    "no configuration": (described(model={}), "the tensors do not fit the model"),
    "an unknown setting": (model(evil=1), "unknown settings evil"),
    "a billion channels": (model(channels=10**9), "channels must be from 1 to 1024, not 1000000000"),
    "half a channel": (model(channels=8.5), "no description of CVLNet weights inside"),
    "channels as text": (model(channels="8"), "no description of CVLNet weights inside"),
    "channels that are true": (model(channels=True), "channels must be a whole number, not True"),
    "a backbone that is a path": (model(backbone="../../x"), "no description of CVLNet weights inside"),
    "a negative window": (model(window_cells=-1), "window_cells must be from 0 to 256, not -1"),
    "an infinite height": (model(heights_m=[0.0, 1e400]), "heights_m must be 0 and up to 15 others, not (0.0, inf)"),
    "frames of ten million pixels": (model(image_width_px=10**7), "image_width_px must be a multiple of 16"),
    "an odd grid": (model(clip_cells=17), "clip_cells must be even, from 2 to 1024, not 17"),
    "another model's weights": (model(channels=16), "the tensors do not fit the model: of another shape"),
    "a weight that is not a number": (
        tensors(lambda t: t["log_sharpness"].fill_(torch.nan)),
        "not finite log_sharpness",
    ),
    "a missing tensor": (tensors(lambda t: t.pop("log_sharpness")), "do not fit the model: missing log_sharpness"),
    "a tensor too many": (tensors(lambda t: t.update(evil=torch.zeros(3))), "do not fit the model: unknown evil"),
    "whole numbers": (tensors(lambda t: t.update(log_sharpness=torch.tensor(2))), "of another type log_sharpness"),
    "a published name of nothing": (described(published="x"), "not a variant's name: 'x'"),
    "settings of no training": (described(train={"steps": 0}), "steps must be at least 1, not 0"),
    "half a confidence": (described(confidence={"bias": 1.0}), "no description of CVLNet weights inside"),
    "parents that are not there": (
        described(parents=[{"ancestor": 5, "share": 1}]),
        "weights come from earlier ones only",
    ),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_that_cannot_be_used_get_one_line(kind: str, weights_file: Path, tmp_path: Path) -> None:
    damage, line = WEIGHTS[kind]
    path = tmp_path / "weights.safetensors"
    path.write_bytes(damage(weights_file))
    with pytest.raises(InputError) as caught:
        load_network(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_in_half_precision_are_taken(weights_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    halves = tensors(lambda t: t.update({n: v.half() for n, v in t.items() if v.is_floating_point()}))
    path.write_bytes(halves(weights_file))
    network, _ = load_network(path)
    original, _ = load_network(weights_file)
    assert network.log_sharpness.dtype == torch.float32
    assert network.log_sharpness.item() == pytest.approx(original.log_sharpness.item(), abs=1e-2)


QUERIES = 3


@pytest.fixture
def predictions_file(tmp_path: Path) -> Path:
    ranking = Ranking(
        np.arange(QUERIES),
        np.zeros((QUERIES, 2), dtype=np.int64),
        np.ones((QUERIES, 2)),
        np.zeros((QUERIES, 2, 2)),
        np.tile(np.eye(2), (QUERIES, 2, 1, 1)),
        5,
    )
    truth = np.zeros((QUERIES, 2)), np.zeros(QUERIES)
    path = tmp_path / "predictions.npz"
    Predictions(LatLon(49.0, 8.0), ("a", "b", "c"), *truth, ("t", "u"), np.zeros((2, 2)), {"test2": ranking}).save(path)
    return path


def arrays(**changed: Any) -> Damage:
    def damaged(path: Path) -> bytes:
        with np.load(path) as file:
            named = {name: file[name] for name in file.files}
        described = json.loads(str(named["described"]))
        described |= {name: value for name, value in changed.items() if name in described}
        named["described"] = np.array(json.dumps(described))
        named |= {name.replace("__", "/"): value for name, value in changed.items() if name not in described}
        buffer = io.BytesIO()
        np.savez(buffer, **named)
        return buffer.getvalue()

    return damaged


def _with_an_object(_: bytes) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, described=np.array({"a": 1}, dtype=object))
    return buffer.getvalue()


def _with_brackets(_: bytes) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, described=np.array("[" * 100_000))
    return buffer.getvalue()


PREDICTIONS: dict[str, tuple[Damage, str]] = {
    "nothing": (raw(lambda _: b""), "No data left in file"),
    "half a file": (raw(lambda good: good[: len(good) // 2]), "File is not a zip file"),
    "text": (raw(lambda _: b"no predictions"), "no .npz file of plain arrays"),
    "a pickle": (raw(lambda _: pickle.dumps([1])), "no .npz file of plain arrays"),
    "a pickle in an array": (raw(_with_an_object), "no .npz file of plain arrays"),
    "a flipped byte": (raw(lambda good: good[:400] + bytes([good[400] ^ 255]) + good[401:]), "Bad CRC-32"),
    "an anchor off the earth": (arrays(anchor=[91.0, 8.0]), "latitude 91.0 is not within -90 to 90 degrees"),
    "fewer names than queries": (arrays(query_ids=["a"]), "true_xy_m is float64 of (3, 2), not float64 of (1, 2)"),
    "fewer names than tiles": (arrays(tile_ids=["t"]), "tile_xy_m is float64 of (2, 2), not float64 of (1, 2)"),
    "a split that is not there": (arrays(gallery_size={"test9": 3}), "test9/queries is not a file in the archive"),
    "an impossible gallery": (arrays(gallery_size={"test2": -3}), "more than its gallery of -3 tiles"),
    "places of other queries": (arrays(test2__xy_m=np.zeros((2, 2, 2))), "no predictions inside"),
    "scores that are text": (arrays(test2__score=np.full((3, 2), "a")), "no predictions inside"),
    "scores that are not numbers": (arrays(test2__score=np.full((3, 2), np.nan)), "test2/score has values"),
    "a truth that is not a number": (arrays(true_xy_m=np.full((3, 2), np.nan)), "true_xy_m has values"),
    "a tile that is not there": (
        arrays(test2__tile=np.full((3, 2), 99)),
        "test2/tile has values that are not finite, or",
    ),
    "a query that is not there": (arrays(test2__queries=np.array([0, 1, 77])), "test2/queries has values"),
    "a description of endless brackets": (raw(_with_brackets), "maximum recursion depth exceeded"),
    "a negative query": (arrays(test2__queries=np.array([0, 1, -1])), "test2/queries has values"),
    "half a confidence": (arrays(confidence={"bias": 1}), "missing"),
}


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_predictions_that_cannot_be_used_get_one_line(kind: str, predictions_file: Path) -> None:
    damage, line = PREDICTIONS[kind]
    predictions_file.write_bytes(damage(predictions_file))
    with pytest.raises(InputError) as caught:
        Predictions.load(predictions_file)
    assert str(caught.value).startswith(f"{predictions_file}: no predictions inside (")
    assert line in str(caught.value)


SETTINGS: dict[str, tuple[bytes, str]] = {
    "an unknown option": (b"stepz = 3", "stepz"),
    "no TOML": (b"steps 3", "settings.toml: cannot be used"),
    "half a line": (b"steps =", "settings.toml: cannot be used"),
    "not UTF-8": (b"# \xff\xfe\nsteps = 3", "settings.toml: cannot be used"),
    "a fraction": (b"steps = 3.5", "--steps: 3.5 is not a whole number; give a whole number"),
    "text for a number": (b'steps = "many"', "many"),
    "a number out of range": (b"steps = 0", "steps must be at least 1, not 0"),
    "an infinite distance": (b"way_m = inf", "way_m must be"),
    "a distance that is not a number": (b"way_m = nan", "way_m must be"),
    "a list for a number": (b"steps = [1, 2]", "steps"),
    "a choice that does not exist": (b'backbone = "resnet"', "resnet"),
    "the same option twice": (b"steps = 3\nsteps = 4", "settings.toml: cannot be used"),
    "a table of options": (b"[model]\nchannels = 8", "settings.toml: cannot be used"),
    "a byte order mark": (
        b"\xef\xbb\xbfsteps = 3",
        "settings.toml: cannot be used (TOMLDecodeError: Invalid statement",
    ),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_settings_that_cannot_be_used_get_one_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content, line = SETTINGS[kind]
    monkeypatch.chdir(tmp_path)
    refused_with(line, content, ["train", "data", "--out", "run"], capsys)


def refused_with(line: str, content: bytes, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A command refuses this file of settings with one line, and leaves nothing else in the working folder."""
    Path("settings.toml").write_bytes(content)
    assert run([*command, "--config", "settings.toml"]) == 2
    printed = capsys.readouterr().err
    assert line in printed
    assert printed.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["settings.toml"]


TOWN_SETTINGS: dict[str, tuple[bytes, str]] = {
    "an unknown option": (b"parked = 1", "parked"),
    "a strength that is not a number": (b"rig = nan", "the strength of rig is 0 to 10, not nan"),
    "an infinite strength": (b"rig = inf", "the strength of rig is 0 to 10, not inf"),
    "a negative strength": (b"parked_changes = -1", "the strength of parked_changes is 0 to 10, not -1.0"),
    "text for a strength": (b'rig = "strong"', 'unable to convert "strong" into float'),
    "no town at all": (b"towns = 0", "towns"),
}


@pytest.mark.parametrize("kind", TOWN_SETTINGS)
def test_settings_of_a_town_that_cannot_be_used_get_one_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content, line = TOWN_SETTINGS[kind]
    monkeypatch.chdir(tmp_path)
    refused_with(line, content, ["synth", "out", "--seed", "7", "--preset", "tiny"], capsys)


@pytest.mark.parametrize("command", [["train", "data", "--out", "run"], ["synth", "out", "--seed", "7"]])
def test_a_folder_of_settings_gets_one_line(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--config", str(tmp_path)]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"cvlnet: {tmp_path}: cannot be used ([Errno 21] Is a directory: ")
    assert printed.count("\n") == 1
