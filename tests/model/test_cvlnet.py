import pytest
import torch

from cvlnet.config import ModelConfig
from cvlnet.model.build import build_model

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


@pytest.mark.parametrize("config", [SMALL, PAPER])
def test_map_features_lie_where_the_grid_says(config):
    # a bright square's features answer most strongly at the cell that holds its centre
    torch.manual_seed(0)
    model = build_model(config).eval()
    side = model.tile_grid.rows
    empty = torch.full((1, 3, side, side), 100, dtype=torch.uint8)
    lit = empty.clone()
    row_px, col_px = side // 2 + 5, side // 4 + 3
    lit[..., row_px - 2 : row_px + 3, col_px - 2 : col_px + 3] = 255
    center_m = model.tile_grid.xy_m(torch.tensor([float(row_px), float(col_px)]))
    with torch.no_grad():
        change = (model.encode_map(lit).descriptor - model.encode_map(empty).descriptor).abs().sum(dim=1)[0]
    places_m = model.map_grid.cell_centers_xy_m(torch.float32)
    middle_m = (places_m * change.unsqueeze(-1) ** 2).sum(dim=(0, 1)) / (change**2).sum()
    assert (middle_m - center_m).norm() < model.map_grid.cell_m


def test_frames_of_any_number(make_clip):
    model = build_model(SMALL).eval()
    with torch.no_grad():
        for frames in (1, 2, 16):
            assert model.encode_clip(make_clip([0.5], frames=frames)).descriptor.isfinite().all()


def test_paper_configuration():
    model = build_model(ModelConfig.paper())
    assert model.map_grid.cell_m == pytest.approx(3.133, abs=1e-3)
    assert model.map_grid.center_xy_m == (0.0, 0.0)
    assert (model.clip_grid.rows, model.window_cells) == (32, 3)
