"""Every view is the map that its camera, grid or sun says."""

import numpy as np
import torch
from handmade import F64, camera, standing
from hypothesis import given
from hypothesis import strategies as st

from cvlnet.grid import Grid
from cvlnet.town.render.light import sun_direction
from cvlnet.town.render.view import View, from_above, from_sun, perspective

METRES = st.floats(-40, 40)
HEIGHTS = st.floats(0, 10)


def seen_at(view: View, xyz_m: F64) -> tuple[F64, float, float]:
    """Pixel, W and nearness / W of a point."""
    x, y, w, nearness = view.matrix @ np.append(xyz_m, 1.0)
    return np.array([x / w, y / w]), w, nearness / w


@given(METRES, METRES, st.floats(-3, 3), st.floats(2, 100), st.floats(-20, 20), HEIGHTS)
def test_perspective_is_the_camera(x: float, y: float, yaw: float, ahead: float, aside: float, up: float) -> None:
    world_from_cam = standing(x, y, yaw, pitch_rad=0.02)
    point_cam = torch.tensor([[aside, 1.65 - up, ahead]], dtype=torch.float64)
    point = world_from_cam.transform(point_cam)[0].numpy()
    pixel, depth, nearness = seen_at(perspective(camera(), world_from_cam), point)
    expected, _ = camera().project(point_cam)
    np.testing.assert_allclose(pixel, expected[0].numpy(), atol=1e-6)
    np.testing.assert_allclose([depth, nearness], [ahead, 1 / ahead], rtol=1e-9)


@given(METRES, METRES, st.floats(0.05, 2), st.integers(1, 50), st.integers(1, 50))
def test_overhead_is_the_grid(x: float, y: float, cell_m: float, rows: int, cols: int) -> None:
    grid = Grid(rows, cols, cell_m, (3.0, -8.0))
    pixel, w, height = seen_at(from_above(grid), np.array([x, y, 0.7]))
    row, col = grid.row_col(torch.tensor([x, y], dtype=torch.float64)).tolist()
    np.testing.assert_allclose(pixel, [col + 0.5, row + 0.5], atol=1e-9 / cell_m + 1e-9)
    assert (w, height) == (1.0, 0.7)


@given(METRES, METRES, HEIGHTS, st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
def test_lean_moves_what_is_high_and_only_that(x: float, y: float, z: float, east: float, north: float) -> None:
    grid = Grid(40, 40, 0.5)
    upright, _, _ = seen_at(from_above(grid), np.array([x, y, z]))
    leaning, _, _ = seen_at(from_above(grid, (east, north)), np.array([x, y, z]))
    np.testing.assert_allclose((leaning - upright) * 0.5, [east * z, -north * z], atol=1e-9)


@given(st.floats(-3, 3), st.floats(0.2, 1.4), METRES, METRES, HEIGHTS, st.floats(0.1, 30))
def test_the_sun_sees_a_ray_as_a_point(az: float, el: float, x: float, y: float, z: float, further: float) -> None:
    toward_sun = sun_direction(az, el)
    view = from_sun(toward_sun, np.full(3, -50.0), np.full(3, 50.0), 0.25)
    point = np.array([x, y, z])
    pixel, _, near = seen_at(view, point)
    nearer_pixel, _, nearer = seen_at(view, point + further * toward_sun)
    np.testing.assert_allclose(nearer_pixel, pixel, atol=1e-6)
    np.testing.assert_allclose(nearer - near, further, atol=1e-9)
    assert (pixel >= 0).all()
    assert (pixel <= [view.width_px, view.height_px]).all()
