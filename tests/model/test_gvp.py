import math

import torch

from cvlnet.grid import Grid
from cvlnet.model.gvp import project_to_ground

STRIDE, FIRST_PX = 4, 3.5


def pixel_coordinates(clip):
    """Feature maps that hold their own centres' pixel coordinates (x, y)."""
    rows, cols = clip.camera.height_px // STRIDE, clip.camera.width_px // STRIDE
    y, x = torch.meshgrid(torch.arange(rows) * STRIDE + FIRST_PX, torch.arange(cols) * STRIDE + FIRST_PX, indexing="ij")
    return torch.stack([x, y]).expand(*clip.images.shape[:2], 2, rows, cols)


def test_cells_take_the_features_at_their_pixels(make_clip):
    clip = make_clip([0.3, -2.0])
    grid = Grid(16, 16, 2.0, (0.5, -0.5))
    projected = project_to_ground(pixel_coordinates(clip), clip.camera, clip.ground_from_cam, grid, STRIDE, FIRST_PX)
    xy_m = grid.cell_centers_xy_m(torch.float32).reshape(-1, 2)
    xyz_m = torch.cat([xy_m, torch.zeros(len(xy_m), 1)], dim=1).expand(2, 4, -1, 3)
    xy_px, visible = clip.camera.project(clip.ground_from_cam.inverse().transform(xyz_m))
    assert visible.any()
    assert torch.equal(projected.visible.flatten(-2), visible)
    between = visible & (xy_px >= FIRST_PX).all(-1)
    between &= xy_px[..., 0] <= clip.camera.width_px - STRIDE + FIRST_PX
    between &= xy_px[..., 1] <= clip.camera.height_px - STRIDE + FIRST_PX
    assert between.sum() > 100
    sampled = projected.features.flatten(-2).mT
    torch.testing.assert_close(sampled[between], xy_px[between], atol=1e-3, rtol=1e-5)


def test_the_points_above_a_cell_take_the_features_at_their_own_pixels(make_clip):
    clip = make_clip([0.3])
    grid = Grid(16, 16, 2.0)
    projected = project_to_ground(
        pixel_coordinates(clip), clip.camera, clip.ground_from_cam, grid, STRIDE, FIRST_PX, (0.0, 1.0)
    )
    assert projected.features.shape[2] == 4
    xy_m = grid.cell_centers_xy_m(torch.float32).reshape(-1, 2)
    xyz_m = torch.cat([xy_m, torch.ones(len(xy_m), 1)], dim=1).expand(1, 4, -1, 3)
    xy_px, visible = clip.camera.project(clip.ground_from_cam.inverse().transform(xyz_m))
    above = projected.features[:, :, 2:].flatten(-2).mT
    inside = visible & (xy_px >= FIRST_PX).all(-1) & (xy_px[..., 0] <= 124) & (xy_px[..., 1] <= 60)
    assert inside.sum() > 100
    torch.testing.assert_close(above[inside], xy_px[inside], atol=1e-3, rtol=1e-5)
    assert (above[~visible] == 0).all()


def test_what_is_not_seen_is_zero(make_clip):
    clip = make_clip([0.0])
    projected = project_to_ground(
        torch.ones(1, 4, 3, 16, 32), clip.camera, clip.ground_from_cam, Grid(16, 16, 2.0), STRIDE, FIRST_PX
    )
    assert (projected.features[~projected.visible.unsqueeze(2).expand_as(projected.features)] == 0).all()
    behind = projected.visible[0, 0, :, :8]  # the newest frame looks east
    assert not behind.any()
    assert projected.visible[0, 0, :, 8:].any()


def test_a_turned_world_turns_the_map_and_nothing_else(make_clip):
    grid = Grid(16, 16, 2.0)
    features = torch.rand(1, 4, 3, 16, 32, generator=torch.Generator().manual_seed(1))
    straight, turned = (make_clip([yaw]) for yaw in (0.4, 0.4 + math.pi / 2))
    a, b = (
        project_to_ground(features, clip.camera, clip.ground_from_cam, grid, STRIDE, FIRST_PX)
        for clip in (straight, turned)
    )
    # a quarter turn counter-clockwise carries east (columns) to north (rows upward)
    torch.testing.assert_close(b.features, a.features.rot90(1, (-2, -1)), atol=1e-4, rtol=1e-4)
    assert (b.visible == a.visible.rot90(1, (-2, -1))).all()


def test_a_moved_vehicle_moves_the_map_by_cells(make_clip):
    grid = Grid(16, 16, 2.0)
    features = torch.rand(1, 4, 3, 16, 32, generator=torch.Generator().manual_seed(1))
    here, there = make_clip([0.4]), make_clip([0.4], shift_m=(2.0, 4.0))
    a, b = (
        project_to_ground(features, clip.camera, clip.ground_from_cam, grid, STRIDE, FIRST_PX) for clip in (here, there)
    )
    torch.testing.assert_close(b.features[..., :-2, 1:], a.features[..., 2:, :-1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(b.ray_m[..., :-2, 1:], a.ray_m[..., 2:, :-1], atol=1e-4, rtol=1e-4)


def test_autocast_moves_no_place(make_clip):
    clip, grid = make_clip([0.3]), Grid(16, 16, 1.5)
    features = torch.rand(1, clip.images.shape[1], 2, 16, 32)
    exact = project_to_ground(features, clip.camera, clip.ground_from_cam, grid, 4, 2.0)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = project_to_ground(features, clip.camera, clip.ground_from_cam, grid, 4, 2.0)
    assert torch.equal(rounded.features, exact.features)
    assert torch.equal(rounded.visible, exact.visible)


def test_features_of_the_border_reach_to_the_edge_of_the_image(make_clip):
    """Between the outermost centres and the image's edge the outermost features are taken, and never anything else."""
    clip = make_clip([0.3])
    rows, cols = clip.camera.height_px // STRIDE, clip.camera.width_px // STRIDE
    features = torch.zeros(1, 4, 1, rows, cols)
    features[..., -1, :], features[..., 0, :], features[..., :, 0], features[..., :, -1] = 7.0, 7.0, 7.0, 7.0
    grid = Grid(24, 24, 1.0)
    projected = project_to_ground(features, clip.camera, clip.ground_from_cam, grid, STRIDE, FIRST_PX)
    xy_m = grid.cell_centers_xy_m(torch.float32).reshape(-1, 2)
    xyz_m = torch.cat([xy_m, torch.zeros(len(xy_m), 1)], dim=1).expand(1, 4, -1, 3)
    xy_px, visible = clip.camera.project(clip.ground_from_cam.inverse().transform(xyz_m))
    x, y = xy_px.unbind(-1)
    at_edge = visible & ((x < 3.5) | (x > 127.5) | (y < 3.5) | (y > 63.5))
    assert at_edge.sum() > 5
    sampled = projected.features.flatten(-2)[:, :, 0]
    assert torch.equal(sampled[at_edge], torch.full((int(at_edge.sum()),), 7.0))


def test_features_in_half_precision_are_sampled_in_single(make_clip):
    clip, grid = make_clip([0.3]), Grid(16, 16, 1.5)
    features = torch.rand(1, 4, 2, 16, 32).bfloat16()
    sampled = project_to_ground(features, clip.camera, clip.ground_from_cam, grid, STRIDE, FIRST_PX)
    again = project_to_ground(features.float(), clip.camera, clip.ground_from_cam, grid, STRIDE, FIRST_PX)
    assert sampled.features.dtype == torch.float32
    assert torch.equal(sampled.features, again.features)


def test_rays_go_from_the_camera_s_foot_to_the_cell(make_clip):
    clip, grid = make_clip([0.3, 2.0]), Grid(6, 8, 1.5, (0.2, 0.1))
    projected = project_to_ground(
        torch.rand(2, 4, 1, 16, 32), clip.camera, clip.ground_from_cam, grid, STRIDE, FIRST_PX
    )
    foot_m = clip.ground_from_cam.translation_m[..., :2]
    cells_m = grid.cell_centers_xy_m(torch.float32)
    for clip_number, frame, row, col in ((0, 0, 0, 0), (1, 2, 5, 3), (1, 3, 2, 7)):
        expected_m = cells_m[row, col] - foot_m[clip_number, frame]
        torch.testing.assert_close(projected.ray_m[clip_number, frame, :, row, col], expected_m)
