import math

import pytest
import torch
from torch.nn import functional

from cvlnet.grid import Grid
from cvlnet.model.cvlnet import feature_grid
from cvlnet.model.encoder import PaperEncoder, Pyramid
from cvlnet.model.gvp import project_to_ground
from cvlnet.model.variants.projections import (
    ImageProjection,
    LearnedProjection,
    PolarProjection,
    PolarView,
    ReshapeWarp,
    UnetWarp,
    pixels_below,
    polar_directions,
    turn_north,
)
from formulas import by_formula, waves

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


class Look(PaperEncoder):
    """An encoder of stride one that gives what it is given."""

    stride, first_center_px = 1, 0.5

    def forward(self, pictures):
        return pictures


def test_a_learned_map_is_turned_north_and_every_cell_counts(make_clip):
    """Two clips of two frames: what the warp gives ahead comes to lie where each frame looks."""
    clip = make_clip([0.0, math.pi / 2], frames=2, step_m=3.0)
    asked = []

    class Ahead(torch.nn.Module):
        def forward(self, picture):
            asked.append(picture)
            ahead = torch.zeros(len(picture), 2, 16, 16)
            ahead[:, 0, 2, 8], ahead[:, 1] = torch.arange(1.0, len(picture) + 1), 5.0
            return ahead

    projection = LearnedProjection(Ahead())
    encoded = torch.rand(2, 2, 3, 12, 40)
    seen = projection(Look(3), encoded, clip.camera, clip.ground_from_cam, GRID)
    assert asked[0].shape == (4, 3, 8, 32)
    expected = torch.nn.functional.interpolate(encoded.flatten(0, 1), (8, 32), mode="bilinear")
    torch.testing.assert_close(asked[0], expected)
    assert seen.features.shape == (2, 2, 2, 16, 16)
    assert seen.visible.all()
    for number, places in ((0, (8, 13)), (1, (2, 8))):  # east: to the right; north: at the top
        for frame in range(2):
            row, col = divmod(int(seen.features[number, frame, 0].argmax()), 16)
            assert (row, col) == places
            assert float(seen.features[number, frame, 0].max()) == pytest.approx(2 * number + frame + 1, rel=1e-3)
    cells_m = GRID.cell_centers_xy_m(torch.float32)
    for number, frame, row, col in ((0, 1, 3, 5), (1, 1, 0, 0), (1, 0, 15, 2)):
        expected_m = cells_m[row, col] - clip.ground_from_cam.translation_m[number, frame, :2]
        torch.testing.assert_close(seen.ray_m[number, frame, :, row, col], expected_m)


def test_projected_images_are_what_the_camera_sees_of_each_pixel_below(make_clip):
    """Of a picture whose values are its pixels' places: exactly where each pixel of the ground is seen."""
    clip = make_clip([0.4], frames=2)
    y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(128) + 0.5, indexing="ij")
    pictures = torch.stack([x, y, torch.ones_like(x)]).expand(1, 2, -1, -1, -1)
    seen = ImageProjection()(Look(3), pictures, clip.camera, clip.ground_from_cam, GRID)
    cells = project_to_ground(pictures, clip.camera, clip.ground_from_cam, GRID, 1, 0.5)
    torch.testing.assert_close(seen.features, cells.features)
    assert torch.equal(seen.visible, cells.visible)
    torch.testing.assert_close(seen.ray_m, cells.ray_m)
    assert (seen.features[~seen.visible.unsqueeze(2).expand_as(seen.features)] == 0).all()


def test_what_an_encoder_makes_of_unseen_cells_is_left_out(make_clip):
    clip = make_clip([0.4], frames=2)

    class Bright(Look):
        def forward(self, pictures):
            return pictures * 0 + 3

    seen = ImageProjection()(Bright(3), torch.rand(1, 2, 3, 64, 128), clip.camera, clip.ground_from_cam, GRID)
    expected = 3.0 * seen.visible.unsqueeze(2).expand_as(seen.features)
    assert 0 < seen.visible.float().mean() < 1
    assert torch.equal(seen.features, expected)


def test_a_panorama_of_a_frame_has_its_columns_at_their_azimuths(make_clip):
    """Features that hold their own pixels' places, at stride 4: each column of the panorama, each row, each ray."""
    clip, grid = make_clip([0.3, -1.2], frames=2), Grid(4, 120, 2.0)

    class Coarse(PaperEncoder):
        stride, first_center_px = 4, 3.5

    rows, cols = 16, 32
    y, x = torch.meshgrid(torch.arange(rows) * 4 + 3.5, torch.arange(cols) * 4 + 3.5, indexing="ij")
    encoded = torch.stack([x, y]).expand(2, 2, 2, rows, cols)
    seen = PolarProjection()(Coarse(2), encoded, clip.camera, clip.ground_from_cam, grid)
    assert seen.features.shape == (2, 2, 2, 4, 120)
    for number, yaw_rad in ((0, 0.3), (1, -1.2)):
        for col in range(120):
            azimuth_rad = 2 * math.pi * (col + 0.5) / 120
            angle_rad = azimuth_rad - (math.pi / 2 - yaw_rad)  # to the right of the heading
            ahead = math.cos(angle_rad)
            x_px = (
                clip.camera.focal_px[number, 0, 0] * math.tan(angle_rad) + clip.camera.principal_point_px[number, 0, 0]
            )
            visible = ahead > 0 and 0 <= x_px <= 128
            assert bool(seen.visible[number, 0, 0, col]) == visible
            if visible and 3.5 <= x_px <= 127.5:
                assert seen.features[number, 1, 0, 0, col].item() == pytest.approx(float(x_px), abs=1e-3)
                # four rows share sixteen: each shows the middle of its four
                assert seen.features[number, 1, 1, :, col].tolist() == pytest.approx([9.5, 25.5, 41.5, 57.5], abs=1e-3)
            if not visible:
                assert not seen.features[number, :, :, :, col].any()
    assert torch.equal(seen.visible, seen.visible[:, :, :1].expand_as(seen.visible))
    east_north = polar_directions(120)
    for row, range_m in enumerate((7.0, 5.0, 3.0, 1.0)):  # the farthest first
        torch.testing.assert_close(seen.ray_m[1, 1, :, row], east_north * range_m)


def test_a_panorama_of_half_precision_is_drawn_in_single(make_clip):
    clip = make_clip([0.3], frames=1)
    encoded = torch.rand(1, 1, 2, 16, 32).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        seen = PolarProjection()(Look(3), encoded, clip.camera, clip.ground_from_cam, Grid(4, 120, 2.0))
    again = PolarProjection()(Look(3), encoded.float(), clip.camera, clip.ground_from_cam, Grid(4, 120, 2.0))
    assert seen.features.dtype == torch.float32
    assert torch.equal(seen.features, again.features)
    assert torch.equal(seen.visible, again.visible)


def test_a_panorama_s_places_are_no_weights():
    assert not PolarView(Grid(64, 64, 0.5), 16, 8, 15.0).state_dict()


def test_the_u_net_reads_its_middle_in_the_order_of_memory():
    """By the same layers, one after the other; the middle of 64 channels is read as a square."""
    warp, picture = by_formula(UnetWarp(6)), waves(2, 6, 8, 32)
    with torch.no_grad():
        x = functional.max_pool2d(warp.down[0](picture.relu()), 2)
        x = functional.max_pool2d(warp.down[1](x.relu()), 2)
        assert x.shape == (2, 64, 2, 8)
        x = warp.up[0](x.reshape(2, 64, 4, 4).relu())
        x = warp.up[1](x.repeat_interleave(2, -1).repeat_interleave(2, -2).relu())
        x = warp.up[2](x.repeat_interleave(2, -1).repeat_interleave(2, -2).relu())
        torch.testing.assert_close(warp(picture), x)
    assert [(conv.in_channels, conv.out_channels) for conv in (*warp.down, *warp.up)] == [
        *((6, 32), (32, 64)),
        *((64, 32), (32, 32), (32, 6)),
    ]


def test_a_picture_is_read_as_a_square_row_by_row():
    picture = torch.arange(2 * 2 * 8.0).reshape(1, 2, 2, 8)
    assert ReshapeWarp()(picture)[0, 1].tolist() == [
        [16, 17, 18, 19],
        [20, 21, 22, 23],
        [24, 25, 26, 27],
        [28, 29, 30, 31],
    ]
