"""Parity with the published network, on seeded weights and inputs (../shared/reference/README.md)."""

import json
import zlib
from math import cos, radians, sin
from pathlib import Path

import numpy as np
import pytest
import torch

from cvlnet.model.reference import ReferenceNetwork, Variant, our_name, published_shift_m, scores

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
M_PER_PX = 156543.03392 * cos(radians(49.015)) / 2**18 / 2
NAMES = ["fuse_Transformer-Geometry", "vis_Conv2D-Geometry", "fuse_LSTM-Geometry", "fuse_Transformer-Unet"]
needs_reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"no expected outputs at {REFERENCE}")


def test_names_are_read_by_their_grammar():
    assert Variant.parse("vis_LSTM-Reshape-sim0-stereo1-s16") == Variant("vis_LSTM", "Reshape", True, 16)
    assert Variant.parse("vis_LSTM-Reshape-sim0-stereo1-s16").pictures == 32
    for name in ("vis_LSTM-Reshape-sim1-stereo1-s4", "vis_LSTM-Reshape-sim0-stereo1-s17", "LSTM-Unet-sim0-stereo0-s1"):
        with pytest.raises(ValueError, match="not a variant's name"):
            Variant.parse(name)


def test_published_shift_by_hand():
    volume = torch.zeros(1, 7, 7)
    volume[0, 1, 5] = 1
    expected_m = torch.tensor([[2.5, 1.5]]) * 0.1 * 512 / 38
    torch.testing.assert_close(published_shift_m(volume, 0.1), expected_m)


@needs_reference
def test_every_published_parameter_has_its_place():
    for name, keys in json.loads((REFERENCE / "keys.json").read_text()).items():
        variant = Variant.parse(name)
        with torch.device("meta"):
            ours = ReferenceNetwork(variant).state_dict()
        published = {our_name(key, variant): tuple(shape) for key, shape in dict(keys).items()}
        assert published == {key: tuple(value.shape) for key, value in ours.items()}


@needs_reference
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_the_published_ones(name):
    name = f"{name}-sim0-stereo0-s4"
    variant, expected = Variant.parse(name), np.load(REFERENCE / "expected.npz")
    keys = dict(json.loads((REFERENCE / "keys.json").read_text())[name])
    network = ReferenceNetwork(variant).eval()
    network.load_state_dict({our_name(key, variant): seeded(key, shape) for key, shape in keys.items()})
    ahead = torch.tensor([[-3.0 * i * cos(0.4), -3.0 * i * sin(0.4)] for i in range(4)])
    k = torch.tensor(
        [[721.5377 * 1024 / 1242, 0, 609.5593 * 1024 / 1242], [0, 721.5377 * 256 / 375, 172.854 * 256 / 375], [0, 0, 1]]
    )
    images = torch.stack([wave(256, 1024, 100 + i) for i in range(4)])
    yaw_rad = 0.4 + 0.02 * torch.arange(4.0)
    with torch.no_grad():
        overhead, uncertainty = network.encode_overhead(wave(512, 512, 300)[None])
        ground = network.encode_ground(images[None], k.expand(1, 4, 3, 3), ahead[None], yaw_rad[None], 16 * M_PER_PX)
        volume = scores(ground, overhead, uncertainty)
    found = {
        "ground": ground,
        "overhead": overhead,
        "uncertainty": uncertainty[:, None],
        "score": volume.flatten(-2).amax(dim=-1),
        "shift": published_shift_m(volume, M_PER_PX),
    }
    for title, value in found.items():
        wanted = expected[f"{name}/{title}"]
        assert np.abs(value.numpy() - wanted).max() <= 1e-4 * np.abs(wanted).max(), title


def wave(height, width, seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    total = np.zeros((3, height, width))
    for channel in range(3):
        for _ in range(3):
            fx, fy = rng.uniform(-0.06, 0.06, 2)
            total[channel] += np.sin(fx * x + fy * y + rng.uniform(0, 2 * np.pi))
    return torch.from_numpy((0.5 + total / 6).astype(np.float32))


def seeded(key, shape):
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    value = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if key.endswith("running_var"):
        value = np.abs(value) * 0.5 + 0.5
    elif key.endswith("running_mean"):
        value = value * 0.1
    elif len(shape) >= 2:
        value = value * np.sqrt(2 / np.prod(shape[1:]))
    else:
        value = value * 0.05 if ".bias" in key else 1 + 0.1 * value
    return torch.from_numpy(value.astype(np.float32))
