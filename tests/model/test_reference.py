"""Parity with the published network, on seeded weights and inputs (../shared/reference/README.md)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cvlnet.model.reference import ReferenceNetwork, Variant, our_name, published_shift_m
from reference_parity import outputs, relative_error

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
NAMES = ["fuse_Transformer-Geometry", "vis_Conv2D-Geometry", "fuse_LSTM-Geometry", "fuse_Transformer-Unet"]
needs_reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"no expected outputs at {REFERENCE}")


def test_names_are_read_by_their_grammar():
    assert Variant.parse("vis_LSTM-Reshape-sim0-stereo1-s16") == Variant("vis_LSTM", "Reshape", True, 16)
    assert Variant.parse("vis_LSTM-Reshape-sim0-stereo1-s16").pictures == 32
    for name in ("vis_LSTM-Reshape-sim1-stereo1-s4", "vis_LSTM-Reshape-sim0-stereo1-s17", "LSTM-Unet-sim0-stereo0-s1"):
        with pytest.raises(ValueError, match="not a variant's name"):
            Variant.parse(name)


def test_a_name_is_what_it_was_read_from():
    name = "fuse_Conv3D-Unet-sim0-stereo1-s7"
    assert Variant.parse(name).name == name


def test_published_shift_by_hand():
    volume = torch.zeros(1, 7, 7)
    volume[0, 1, 5] = 1
    torch.testing.assert_close(published_shift_m(volume, 2.6), torch.tensor([[2.5, 1.5]]) * 2.6)


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
    expected = np.load(REFERENCE / "expected.npz")
    found = outputs(Variant.parse(name), json.loads((REFERENCE / "keys.json").read_text())[name])
    for title, value in found.items():
        assert relative_error(value, expected[f"{name}/{title}"]) <= 1e-4, title
