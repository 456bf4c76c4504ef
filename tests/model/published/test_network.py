"""Parity with the published network, on seeded weights and inputs (../shared/reference/README.md)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cvlnet.model.encoder import PaperEncoder
from cvlnet.model.published.network import PublishedVariant, ReferenceNetwork, our_name, published_shift_m, scores
from cvlnet.model.published.weights import published_network
from reference_parity import K_PX, clip, outputs, relative_error, seeded, wave

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
NAMES = ["fuse_Transformer-Geometry", "vis_Conv2D-Geometry", "fuse_LSTM-Geometry", "fuse_Transformer-Unet"]
needs_reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"no expected outputs at {REFERENCE}")


def test_names_are_read_by_their_grammar():
    assert PublishedVariant.parse("vis_LSTM-Reshape-sim0-stereo1-s16") == PublishedVariant(
        "vis_LSTM", "Reshape", True, 16
    )
    assert PublishedVariant.parse("vis_LSTM-Reshape-sim0-stereo1-s16").pictures == 32
    for name in ("vis_LSTM-Reshape-sim1-stereo1-s4", "vis_LSTM-Reshape-sim0-stereo1-s17", "LSTM-Unet-sim0-stereo0-s1"):
        with pytest.raises(ValueError, match="not a variant's name"):
            PublishedVariant.parse(name)


def test_a_name_is_what_it_was_read_from():
    name = "fuse_Conv3D-Unet-sim0-stereo1-s7"
    assert PublishedVariant.parse(name).name == name


def test_published_shift_by_hand():
    volume = torch.zeros(1, 7, 7)
    volume[0, 1, 5] = 1
    torch.testing.assert_close(published_shift_m(volume, 2.6), torch.tensor([[2.5, 1.5]]) * 2.6)


@needs_reference
def test_every_published_parameter_has_its_place():
    for name, keys in json.loads((REFERENCE / "keys.json").read_text()).items():
        variant = PublishedVariant.parse(name)
        with torch.device("meta"):
            ours = ReferenceNetwork(variant).state_dict()
        published = {our_name(key, variant): tuple(shape) for key, shape in dict(keys).items()}
        assert published == {key: tuple(value.shape) for key, value in ours.items()}


class Known(torch.nn.Module):
    """An encoder that has its features already."""

    def __init__(self, features):
        super().__init__()
        self.features = features

    def forward(self, _images):
        return self.features


@needs_reference
def test_outputs_are_the_published_ones(monkeypatch):
    """Of four variants, whose encoders have the same weights and so encode the same images once."""
    expected, keys = np.load(REFERENCE / "expected.npz"), json.loads((REFERENCE / "keys.json").read_text())
    encoded = []

    def share_encoders(*given):
        network = published_network(*given)
        ground, overhead = network.network.ground_encoder, network.network.overhead_encoder
        if not encoded:
            frames = clip(PublishedVariant.parse(f"{NAMES[0]}-sim0-stereo0-s4"))[0][0]
            with torch.no_grad():
                encoded.extend([Known(ground(frames)), Known(overhead(wave(512, 512, 300)[None]))])
        network.network.ground_encoder, network.network.overhead_encoder = encoded
        return network

    monkeypatch.setattr("reference_parity.published_network", share_encoders)
    for name in (f"{name}-sim0-stereo0-s4" for name in NAMES):
        for title, value in outputs(PublishedVariant.parse(name), keys[name]).items():
            assert relative_error(value, expected[f"{name}/{title}"]) <= 1e-4, (name, title)


def our_seeded(module, prefix):
    """The module with weights that follow from its parameters' names, in evaluation mode."""
    module.load_state_dict({name: seeded(f"{prefix}.{name}", t.shape) for name, t in module.state_dict().items()})
    return module.eval()


# What this network gave for the seeded weights and inputs below when its outputs were those of the published code
ENCODED = [
    0.214724,
    0.542638,
    0.645607,
    -0.854588,
    -0.44624,
    -0.0798091,
    0.56078,
    -0.428721,
    -0.229683,
    0.23313,
    0.40763,
    -0.0500724,
]
UNCERTAINTY = [0.497759, 0.497814, 0.49767, 0.49773, 0.497804, 0.497671, 0.497825, 0.497818, 0.497655]
SCORES = [
    0.970467,
    1.01712,
    0.953689,
    0.893819,
    0.951159,
    0.903701,
    0.800078,
    0.861205,
    0.829192,
    0.416862,
    0.400114,
    0.401982,
    0.431296,
    0.411316,
    0.408501,
    0.406104,
    0.385191,
    0.380401,
]
GROUND = {
    "vis_Conv2D-Geometry-sim0-stereo0-s4": [-0.0223361, 0.0334531, 0.0626011, 0.0],
    "vis_Conv3D-Geometry-sim0-stereo0-s4": [-0.0281311, 0.00921434, 0.0599477, 0.0],
    "vis_LSTM-Geometry-sim0-stereo0-s4": [-0.0270949, 0.03079, 0.0592365, 0.0],
    "fuse_Conv2D-Geometry-sim0-stereo0-s4": [0.280641, 0.297932, 0.276318, -0.0502578],
    "fuse_Conv3D-Geometry-sim0-stereo0-s4": [0.38939, 0.11043, 0.363958, -0.0171641],
    "fuse_LSTM-Geometry-sim0-stereo0-s4": [0.124989, 0.275421, 0.448976, -0.126913],
    "fuse_Transformer-Geometry-sim0-stereo0-s4": [3.87763, 2.14075, 1.9388, 5.49214],
    "fuse_Transformer-Unet-sim0-stereo0-s4": [4.02296, 3.01252, 2.27364, 4.78034],
    "fuse_Transformer-Reshape-sim0-stereo0-s4": [3.08193, 1.95639, 2.4701, 4.94317],
    "vis_Conv2D-Geometry-sim0-stereo1-s2": [-0.0219785, 0.0316697, 0.0121173, 0.0],
}
PLACES = [0, 1, 2, 3], [6, 14, 19, 28], [22, 30, 17, 12]  # channel, row, column of the fused map


def waves(count, channels, height, width):
    """Smooth maps [count, channels, height, width] about zero."""
    pictures = [wave(height, width, seed) for seed in range(-(-count * channels // 3))]
    return torch.cat(pictures)[: count * channels].reshape(count, channels, height, width) - 0.5


def is_known(value, known):
    torch.testing.assert_close(value.flatten(), torch.tensor(known), atol=2e-5 * max(map(abs, known)), rtol=0)


def test_the_encoder_gives_the_known_features():
    encoder = our_seeded(PaperEncoder(16), "encoder")
    with torch.no_grad():
        features = encoder(wave(64, 96, 1)[None])
    assert features.shape == (1, 16, 4, 6)
    is_known(features[0, ::5, 1, ::2], ENCODED)


def test_the_overhead_side_and_the_scores_are_the_known_ones():
    network = ReferenceNetwork(PublishedVariant.parse("vis_Conv2D-Geometry-sim0-stereo0-s1"))
    network.overhead_encoder = Known(waves(1, 16, 32, 32))
    our_seeded(network.overhead_head, "head")
    our_seeded(network.uncertainty, "uncertainty")
    with torch.no_grad():
        descriptor, uncertainty = network.encode_overhead(torch.zeros(1, 3, 512, 512))
        volume = scores(waves(2, 4, 32, 32), descriptor, uncertainty)
    is_known(uncertainty[0, ::3, ::3], UNCERTAINTY)
    is_known(volume[:, 0, ::3, ::3], SCORES)


@pytest.mark.parametrize("name", GROUND)
def test_the_ground_side_gives_the_known_map(name):
    variant = PublishedVariant.parse(name)
    network = ReferenceNetwork(variant)
    network.ground_encoder = Known(waves(variant.pictures, 16, 16, 64))
    for part in ("projection", "fusion", "ground_head"):
        our_seeded(getattr(network, part), part)
    _, xy_m, yaw_rad = clip(variant)
    k = torch.tensor([*K_PX, (0.0, 0.0, 1.0)]).expand(1, variant.pictures, 3, 3)
    with torch.no_grad():
        ground = network.eval().encode_ground(torch.zeros(1, variant.pictures, 3, 256, 1024), k, xy_m, yaw_rad, 3.13)
    is_known(ground[0][PLACES], GROUND[name])
