from dataclasses import replace
from typing import get_args

import pytest
import torch

from cvlnet.config import Fusion, ModelConfig
from cvlnet.grid import Grid
from cvlnet.model.build import build_model
from cvlnet.model.cvlnet import feature_grid
from cvlnet.model.encoder import PaperEncoder, Pyramid

SMALL = ModelConfig(image_width_px=128, image_height_px=64, clip_cells=16, window_cells=2, channels=8)
PAPER = ModelConfig(
    "vgg16", image_width_px=128, image_height_px=64, overhead_m_per_px=0.196, clip_cells=20, window_cells=1, channels=4
)


@pytest.mark.parametrize("config", [SMALL, PAPER])
def test_the_chain_gives_a_volume_for_every_pair(config, make_clip):
    torch.manual_seed(0)
    model = build_model(config).eval()
    side = model.tile_grid.rows
    tiles = torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8)
    with torch.no_grad():
        clip = model.encode_clip(make_clip([0.1, 2.0]))
        volume = model(make_clip([0.1, 2.0]), tiles)
    steps = 2 * config.window_cells + 1
    assert volume.scores.shape == (2, 3, steps, steps)
    assert volume.scores.isfinite().all()
    assert 0 < (clip.weight > 0).float().mean() < 1
    assert clip.grid.cell_m == pytest.approx(config.overhead_m_per_px * model.overhead_encoder.stride)


@pytest.mark.parametrize(("encoder", "row", "col", "half_cells"), [(Pyramid, 30, 33, 0.375), (PaperEncoder, 7, 8, 0.0)])
def test_map_features_lie_where_the_grid_says(encoder, row, col, half_cells):
    """The pixels that act on a feature have their middle where the feature's cell has its centre, to a thousandth.

    EfficientNet's features lie off the middle of their cells, to the south-east: the grid around its tile is not the
    tile's own. Positive weights keep every unit open, so that influence is even; pooling by the mean makes it exact.
    """
    pixels = Grid(256, 256, 0.4, (7.0, -3.0))
    network = encoder(4).double().eval()
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 0.01)
    if encoder is PaperEncoder:
        layers = network.backbone.features
        for index in [i for i, layer in enumerate(layers) if isinstance(layer, torch.nn.MaxPool2d)]:
            layers[index] = torch.nn.AvgPool2d(2)
    image = torch.full((1, 3, 256, 256), 0.5, dtype=torch.float64, requires_grad=True)
    network(image)[0, :, row, col].sum().backward()
    influence = image.grad[0].sum(dim=0).flatten()
    middle_m = (influence @ pixels.cell_centers_xy_m().reshape(-1, 2)) / influence.sum()
    grid = feature_grid(pixels, network.stride, network.first_center_px)
    place_m = grid.xy_m(torch.tensor([float(row), float(col)], dtype=torch.float64))
    torch.testing.assert_close(middle_m, place_m, atol=1e-3 * grid.cell_m, rtol=0)
    off_m = half_cells * grid.cell_m
    assert grid.center_xy_m == pytest.approx((7.0 + off_m, -3.0 - off_m))


@pytest.mark.parametrize("config", [SMALL, PAPER])
def test_map_and_clip_have_the_grid_of_their_features(config):
    model = build_model(config)
    encoder = model.overhead_encoder
    assert model.tile_grid == Grid(*2 * [config.tile_cells * encoder.stride], config.overhead_m_per_px)
    assert model.map_grid == feature_grid(model.tile_grid, encoder.stride, encoder.first_center_px)
    assert model.clip_grid == replace(model.map_grid, rows=config.clip_cells, cols=config.clip_cells)


def test_bfloat16_says_nearly_the_same_and_is_taken_only_where_the_device_has_it(make_clip, monkeypatch):
    torch.manual_seed(0)
    model = build_model(SMALL).eval()
    tiles = torch.randint(0, 256, (2, 3, *2 * [model.tile_grid.rows]), dtype=torch.uint8)
    with torch.no_grad():
        exact = model(make_clip([0.1, 2.0]), tiles).scores
        model.precision = "bfloat16"
        monkeypatch.setattr("cvlnet.model.network.computes_bfloat16", lambda device: False)
        elsewhere = model(make_clip([0.1, 2.0]), tiles).scores
        monkeypatch.setattr("cvlnet.model.network.computes_bfloat16", lambda device: True)
        rounded = model(make_clip([0.1, 2.0]), tiles).scores
    assert torch.equal(elsewhere, exact)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert float((rounded - exact).std()) < 0.03 * float(exact.std())


def test_frames_of_any_number(make_clip):
    model = build_model(SMALL).eval()
    with torch.no_grad():
        for frames in (1, 2, 16):
            assert model.encode_clip(make_clip([0.5], frames=frames)).descriptor.isfinite().all()


def test_paper_configuration():
    model = build_model(ModelConfig.paper_like())
    assert model.map_grid.cell_m == pytest.approx(3.133, abs=1e-3)
    assert model.map_grid.center_xy_m == (0.0, 0.0)
    assert (model.clip_grid.rows, model.window_cells) == (32, 3)


PLAIN = replace(SMALL, heights_m=(0.0,), ground_trunk="convolution")
VARIANTS = [
    *(replace(PLAIN, fusion=fusion) for fusion in get_args(Fusion)),
    *(replace(PLAIN, fusion=fusion, consistency=True) for fusion in get_args(Fusion) if "_" in fusion),
    *(replace(PLAIN, projection=projection) for projection in ("images", "unet", "reshape")),
    replace(PLAIN, window_cells=0),
    replace(PLAIN, projection="polar", window_cells=0, uncertainty=False),
    replace(PLAIN, uncertainty=False),
    replace(PAPER, heights_m=(0.0,), projection="images", clip_cells=8),
]


@pytest.mark.parametrize("config", VARIANTS, ids=str)
def test_every_variant_matches_and_learns(config, make_clip):
    torch.manual_seed(0)
    model = build_model(config)
    side = model.tile_grid.rows
    tiles = torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8)
    volume = model(make_clip([0.1, 2.0]), tiles)
    assert volume.scores.shape == (2, 3, model.steps, model.steps)
    volume.scores.square().sum().backward()
    learned = [p.grad for name, p in model.named_parameters() if "_labels" not in name and "sharpness" not in name]
    assert all(grad is not None and grad.isfinite().all() for grad in learned)


def test_without_uncertainty_scores_are_correlations(make_clip):
    torch.manual_seed(0)
    model = build_model(replace(SMALL, uncertainty=False)).eval()
    tiles = torch.randint(0, 256, (3, 3, model.tile_grid.rows, model.tile_grid.rows), dtype=torch.uint8)
    with torch.no_grad():
        assert (model.encode_map(tiles).uncertainty == 1).all()
        assert model(make_clip([0.1]), tiles).scores.abs().max() <= 1 + 1e-5
