import math

import pytest
import torch
from torch import nn

from cvlnet.grid import Grid
from cvlnet.image_spec import ImageSpec
from cvlnet.model.network import MatchingNetwork, computes_bfloat16, in_its_precision
from cvlnet.model.variants.sequences import FuseConv3d
from cvlnet.types import ClipFeatures, MapFeatures


class Small(MatchingNetwork):
    """Clips are cut from the only tile that there is."""

    def __init__(self):
        super().__init__()
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(7.0)))
        self.image_spec, self.tile_grid = ImageSpec(32, 16), Grid(20, 20, 0.5)
        self.map_grid, self.clip_grid = Grid(10, 10, 1.0), Grid(6, 6, 1.0)

    def encode_map(self, tiles):
        generator = torch.Generator().manual_seed(0)
        return MapFeatures(
            torch.rand(len(tiles), 3, 10, 10, generator=generator), torch.ones(len(tiles), 5, 5), self.map_grid
        )

    def encode_clip(self, clip):
        descriptor = self.encode_map(torch.zeros(1, 3, 20, 20, dtype=torch.uint8)).descriptor[:, :, 1:7, 3:9]
        return ClipFeatures(descriptor, torch.ones(1, 6, 6), self.clip_grid)

    @in_its_precision
    def product(self, a, b):
        return a @ b


def test_what_follows_from_the_grids_and_the_parameters():
    network = Small()
    assert (network.window_cells, network.steps) == (2, 5)
    assert network.sharpness.item() == pytest.approx(7.0)
    assert network.device == torch.device("cpu")
    assert network.precision == "float32"


def test_a_clip_is_matched_with_tiles(make_clip):
    volume = Small()(make_clip([0.0]), torch.zeros(2, 3, 20, 20, dtype=torch.uint8))
    assert volume.scores.shape == (1, 2, 5, 5)
    assert volume.scores[0, 0].argmax() == 1 * 5 + 3
    assert float(volume.scores[0, 0, 1, 3]) == pytest.approx(1, abs=1e-5)


def test_the_least_pictures_are_those_of_its_fusion():
    network = Small()
    assert network.least_pictures == 1
    network.fusion = nn.Sequential(nn.ReLU(), FuseConv3d(4, (1, 2, 2)))
    assert network.least_pictures == 3
    network.other = FuseConv3d(4, (2, 4, 2))
    assert network.least_pictures == 6
    network.own = nn.ReLU()
    network.own.least_pictures = 9
    assert network.least_pictures == 9


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_a_method_computes_in_bfloat16_where_the_device_has_it(has_bfloat16, monkeypatch):
    monkeypatch.setattr("cvlnet.model.network.computes_bfloat16", lambda device: has_bfloat16)
    network, a = Small(), torch.rand(3, 3)
    assert network.product(a, a).dtype == torch.float32
    network.precision = "bfloat16"
    assert network.product(a, a).dtype == (torch.bfloat16 if has_bfloat16 else torch.float32)
    assert network.product(a=a, b=a).shape == (3, 3)
    assert Small.product.__name__ == "product"


def test_in_single_precision_a_caller_s_autocast_stays():
    a = torch.rand(3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert Small().product(a, a).dtype == torch.bfloat16


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_bfloat16_is_asked_of_each_kind_of_device(has_bfloat16, monkeypatch):
    monkeypatch.setattr("torch.ops.mkldnn._is_mkldnn_bf16_supported", lambda: has_bfloat16)
    emulated = []

    def supported(including_emulation):
        emulated.append(including_emulation)
        return has_bfloat16

    monkeypatch.setattr("torch.cuda.is_bf16_supported", supported)
    assert computes_bfloat16(torch.device("cpu")) == has_bfloat16
    assert computes_bfloat16(torch.device("cuda")) == has_bfloat16
    assert emulated == [False]
    assert computes_bfloat16(torch.device("mps"))
