import math

import pytest
import torch

from cvlnet.grid import Grid
from cvlnet.model.cvlnet import feature_grid
from cvlnet.model.encoder import PaperEncoder, Pyramid
from cvlnet.model.projections import (
    ImageProjection,
    PolarProjection,
    PolarView,
    ReshapeWarp,
    UnetWarp,
    pixels_below,
    turn_north,
)

GRID = Grid(16, 16, 1.6)


@pytest.mark.parametrize(("yaw_deg", "row", "col"), [(90, 2, 11), (0, 11, 13), (180, 4, 2), (270, 13, 4)])
def test_what_lies_ahead_is_turned_to_where_the_vehicle_heads(yaw_deg, row, col):
    ahead = torch.zeros(1, 1, 16, 16)
    ahead[0, 0, 2, 11] = 1.0  # 5.5 cells ahead, 3.5 to the right
    turned = turn_north(ahead, torch.tensor([math.radians(yaw_deg)]))
    assert turned[0, 0].argmax() == row * 16 + col
    assert float(turned.max()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("encoder", [Pyramid, PaperEncoder])
def test_features_of_the_pixels_below_lie_at_the_cells(encoder):
    pixels = pixels_below(Grid(8, 8, 1.6, (0.2, -0.2)), encoder(4))
    cells = feature_grid(pixels, encoder.stride, encoder.first_center_px)
    assert (cells.rows, cells.cell_m) == (8, pytest.approx(1.6))
    assert cells.center_xy_m == pytest.approx((0.2, -0.2))


def test_projected_images_look_like_the_ground(make_clip):
    """A world whose left half is bright: from above, so is the half to the left of the vehicle."""
    clip = make_clip([math.pi / 2], frames=1)
    images = torch.zeros(1, 1, 3, 64, 128)
    images[..., :64] = 1.0

    class Look(PaperEncoder):
        stride, first_center_px = 1, 0.5

        def forward(self, pictures):
            return pictures

    seen = ImageProjection()(Look(3), images, clip.camera, clip.ground_from_cam, GRID)
    lit, visible = seen.features[0, 0, 0], seen.visible[0, 0]
    assert visible[:5].any()
    assert not visible[8:].any()  # behind it
    assert lit[:, :8][visible[:, :8]].min() > 0.9
    assert lit[:, 9:][visible[:, 9:]].max() < 0.1  # the camera stands a little to the right of the middle


@pytest.mark.parametrize("warp", [UnetWarp(6), ReshapeWarp()])
def test_warps_give_a_square(warp):
    assert warp(torch.rand(2, 6, 12, 48)).shape == (2, 6, 24, 24)


def test_a_panorama_of_the_map_begins_in_the_north_and_ends_at_the_vehicle():
    pixels = Grid(64, 64, 0.5)
    xy_m = pixels.cell_centers_xy_m(torch.float32)
    image = torch.stack([xy_m[..., 0], xy_m[..., 1], torch.zeros(64, 64)])[None]
    seen = PolarView(pixels, 16, 8, 15.0)(image)[0]
    azimuth_rad, range_m = 2 * math.pi * (torch.arange(8) + 0.5) / 8, 15 * (torch.arange(16, 0, -1) - 0.5) / 16
    torch.testing.assert_close(seen[0], range_m[:, None] * azimuth_rad.sin(), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen[1], range_m[:, None] * azimuth_rad.cos(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("yaw_deg", [90.0, 0.0, -120.0])
def test_a_frame_stands_at_its_azimuth(make_clip, yaw_deg):
    """A bright line in the middle of the frame is seen where the vehicle heads."""
    clip = make_clip([math.radians(yaw_deg)], frames=1)
    encoded = torch.zeros(1, 1, 1, 64, 128)
    encoded[..., 63:65] = 1.0

    class Look(PaperEncoder):
        stride, first_center_px = 1, 0.5

    seen = PolarProjection()(Look(3), encoded, clip.camera, clip.ground_from_cam, Grid(4, 360, 1.0))
    column = int(seen.features[0, 0, 0, 0].argmax())
    assert (column + 0.5 - (90 - yaw_deg)) % 360 == pytest.approx(0, abs=1.1) or (
        column + 0.5 - (90 - yaw_deg)
    ) % 360 > 358.9
    assert seen.visible[0, 0, 0].sum() == pytest.approx(80, abs=2)  # degrees of view
