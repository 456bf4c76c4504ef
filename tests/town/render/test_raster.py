"""Every pixel sees the triangle that covers its centre and lies nearest."""

import numpy as np
import pytest
from handmade import camera, quad, standing

from cvlnet.grid import Grid
from cvlnet.town.compiled import leaf_noise
from cvlnet.town.render.raster import between_leaves, empty_picture, rasterise
from cvlnet.town.render.view import from_above, perspective
from cvlnet.town.scene import Material, Mesh

GRID = Grid(20, 30, 1.0)


def test_a_quad_covers_the_cells_whose_centres_it_holds() -> None:
    nearness, triangle = empty_picture(from_above(GRID))
    rasterise(from_above(GRID), quad((-5, -2, 1.5), (7, -2, 1.5), (7, 6, 1.5), (-5, 6, 1.5)), nearness, triangle)
    expected = np.zeros((20, 30), bool)
    expected[4:12, 10:22] = True
    np.testing.assert_array_equal(triangle >= 0, expected)
    np.testing.assert_allclose(nearness[expected], 1.5, rtol=1e-6)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_higher_one_is_seen_from_above_in_any_order(order: tuple[int, int]) -> None:
    sheets = [quad((-9, -9, z), (9, -9, z), (9, 9, z), (-9, 9, z)) for z in (1.0, 2.0)]
    nearness, triangle = empty_picture(from_above(GRID))
    rasterise(from_above(GRID), Mesh.join([sheets[i] for i in order]), nearness, triangle)
    assert set((triangle[triangle >= 0] // 2).tolist()) == {order.index(1)}


def test_a_wall_that_reaches_behind_the_camera_covers_its_side() -> None:
    view = perspective(camera(), standing(0, 0, 0))
    wall = quad((-50, 2, -20), (50, 2, -20), (50, 2, 40), (-50, 2, 40))
    nearness, triangle = empty_picture(view)
    rasterise(view, wall, nearness, triangle)
    columns = np.arange(view.width_px) + 0.5
    depth_m = 2 * 0.58 * 320 / np.maximum(320 / 2 - 5.3 - columns, 1e-9)  # where the ray meets the wall
    expected = (depth_m > 0) & (depth_m < 50)
    np.testing.assert_array_equal(triangle[100] >= 0, expected)
    np.testing.assert_allclose(1 / nearness[100][expected], depth_m[expected], rtol=1e-4)


def test_what_lies_behind_the_camera_is_not_seen() -> None:
    view = perspective(camera(), standing(0, 0, 0))
    nearness, triangle = empty_picture(view)
    rasterise(view, quad((-5, -5, -9), (-5, 5, -9), (-5, 5, 9), (-5, -5, 9)), nearness, triangle)
    assert (triangle < 0).all()


@pytest.mark.parametrize(("material", "seed"), [(Material.FOLIAGE, 1), (Material.FENCE, 1), (Material.FENCE, 2)])
def test_leaves_and_bars_have_holes(material: Material, seed: int) -> None:
    view = from_above(Grid(200, 200, 0.02))
    nearness, triangle = empty_picture(view)
    rasterise(view, quad((-2, -2, 0), (2, -2, 0), (2, 2, 0), (-2, 2, 0), material, seed=seed), nearness, triangle)
    assert 0.2 < (triangle >= 0).mean() < 0.95


def test_bare_trees_are_seen_through_and_conifers_are_not() -> None:
    view = from_above(GRID)

    def covered(material: Material, leafless: float) -> int:
        nearness, triangle = empty_picture(view)
        sheet = quad((-5, -5, 2), (5, -5, 2), (5, 5, 2), (-5, 5, 2), material, seed=3)
        rasterise(view, sheet, nearness, triangle, leafless)
        return int((triangle >= 0).sum())

    assert 0 < covered(Material.FOLIAGE, 1.0) < 0.7 * covered(Material.FOLIAGE, 0.0)
    assert covered(Material.NEEDLES, 1.0) == covered(Material.NEEDLES, 0.0)


@pytest.mark.parametrize("cover", [0.1, 0.3, 0.5, 0.74, 1.0])
def test_gaps_between_leaves_are_where_twigs_and_leaves_together_leave_them(cover: float) -> None:
    places = np.random.default_rng(0).uniform(-9, 9, (2000, 3))
    gaps = [between_leaves(x, y, z, 0.02, cover, 5) for x, y, z in places]
    sprigs = np.array([leaf_noise(x, y, z, 0.22, 5) for x, y, z in places])
    leaves = np.array([leaf_noise(x, y, z, 0.11, 6) for x, y, z in places])
    np.testing.assert_array_equal(gaps, 0.6 * sprigs + 0.4 * leaves > cover)
