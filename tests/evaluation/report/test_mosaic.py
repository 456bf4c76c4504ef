import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cvlnet.data.kitti_cvl import Tile
from cvlnet.evaluation.report.mosaic import areas, grid_around, stitched
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.grid import Grid

FRAME = LocalFrame(LatLon(48.0, 11.0))


def test_places_that_hang_together_are_one_area_and_lone_tiles_none():
    xy_m = np.array([[0.0, 0], [150, 0], [300, 100], [5000, 0], [5100, 50], [9000, 9000]])
    is_query = np.array([True, False, True, True, False, False])
    assert [group.tolist() for group in areas(xy_m, is_query)] == [[0, 1, 2], [3, 4]]


def test_squares_that_touch_at_a_corner_are_one_area_and_equal_areas_come_from_west_to_east():
    xy_m = np.array([[4500.0, 0.0], [100.0, 100.0], [300.0, 300.0], [700.0, 300.0]])
    every = np.ones(4, dtype=bool)
    assert [group.tolist() for group in areas(xy_m, every)] == [[1, 2], [3], [0]]


@given(st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5)), min_size=1, max_size=20))
def test_every_query_is_in_just_one_area(places):
    xy_m = np.array(places)
    groups = areas(xy_m, np.ones(len(xy_m), dtype=bool))
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(xy_m)))


@given(st.lists(st.tuples(st.floats(-500, 500), st.floats(-500, 500)), min_size=1, max_size=8))
def test_a_grid_holds_its_places_and_a_margin(places):
    xy_m = np.array(places)
    grid = grid_around(xy_m, 500)
    assert 499 <= max(grid.rows, grid.cols) <= 501
    cells = grid.row_col(torch.from_numpy(xy_m)).numpy()
    assert (cells > 0).all()
    assert (cells < [grid.rows - 1, grid.cols - 1]).all()


@pytest.fixture
def tile(tmp_path):
    def make(name, xy_m, rgb):
        path = tmp_path / f"{name}.png"
        cv2.imwrite(str(path), np.full((100, 100, 3), rgb[::-1], dtype=np.uint8))
        return Tile(name, path, LatLon(*FRAME.latlon_deg(xy_m).tolist()), 0.5, holds_query=True)

    return make


def test_tiles_lie_where_they_belong(tile):
    grid = Grid(100, 200, 1.0, (50.0, 0.0))
    picture = stitched([tile("a", [0.0, 0.0], (255, 0, 0)), tile("b", [100.0, 20.0], (0, 0, 255))], grid, FRAME)

    def seen(east_m, north_m):
        row, col = grid.row_col(torch.tensor([east_m, north_m])).round().int().tolist()
        return picture[row, col].tolist()

    assert seen(0.0, 0.0) == seen(-23.0, -23.0) == seen(23.0, 23.0) == [255, 0, 0]
    assert seen(100.0, 20.0) == seen(78.0, 42.0) == [0, 0, 255]
    assert seen(-28.0, 0.0) == seen(100.0, -8.0) == seen(50.0, 0.0)  # where no tile is


def test_a_tile_over_the_edge_is_cut_and_a_covered_one_not_opened(tile, tmp_path):
    grid = Grid(60, 60, 1.0)
    below = tile("below", [0.0, 0.0], (0, 255, 0))
    below.path.unlink()
    big = tile("big", [0.0, 0.0], (255, 0, 0))
    over = tile("over", [40.0, 40.0], (0, 0, 255))
    picture = stitched([big, below, over], grid, FRAME)
    assert picture[30, 30].tolist() == [255, 0, 0]
    assert picture[0, 59].tolist() == [0, 0, 255]


def test_a_tile_far_away_changes_nothing(tile):
    grid = Grid(60, 60, 1.0)
    alone = stitched([tile("a", [0.0, 0.0], (255, 0, 0))], grid, FRAME)
    with_far = stitched([tile("far", [900.0, 0.0], (9, 9, 9)), tile("a", [0.0, 0.0], (255, 0, 0))], grid, FRAME)
    np.testing.assert_array_equal(alone, with_far)
