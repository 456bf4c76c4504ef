import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cvlnet.grid import Grid

grids = st.builds(
    Grid,
    st.integers(1, 65),
    st.integers(1, 65),
    st.floats(0.05, 20),
    st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
indices = st.tuples(st.floats(-10, 80), st.floats(-10, 80))


@given(grids, indices)
def test_indices_and_metres_are_inverse(grid: Grid, row_col: tuple[float, float]) -> None:
    index = torch.tensor(row_col, dtype=torch.float64)
    assert torch.allclose(grid.row_col(grid.xy_m(index)), index, atol=1e-6)


@given(grids)
def test_cell_centres_lie_evenly_around_the_centre(grid: Grid) -> None:
    xy_m = grid.cell_centers_xy_m()
    assert xy_m.shape == (grid.rows, grid.cols, 2)
    center = torch.tensor(grid.center_xy_m, dtype=torch.float64)
    assert torch.allclose(xy_m.mean(dim=(0, 1)), center, atol=1e-6)
    assert torch.allclose(xy_m.flip(0, 1) - center, center - xy_m, atol=1e-6)


@given(grids)
def test_corners_enclose_the_whole_cells(grid: Grid) -> None:
    north_west, north_east, south_east, south_west = grid.corners_xy_m()
    assert torch.allclose(north_east - south_west, torch.tensor(grid.size_m, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(
        south_east - north_west, torch.tensor(grid.size_m).double() * torch.tensor([1, -1]), atol=1e-6
    )
    half_a_cell = torch.tensor([grid.cell_m, -grid.cell_m], dtype=torch.float64) / 2
    assert torch.allclose(north_west + half_a_cell, grid.cell_centers_xy_m()[0, 0], atol=1e-6)


@given(grids, st.integers(1, 4))
def test_joined_cells_cover_the_same_ground(grid: Grid, factor: int) -> None:
    fine = Grid(grid.rows * factor, grid.cols * factor, grid.cell_m / factor, grid.center_xy_m)
    coarse = fine.resampled(factor)
    assert (coarse.rows, coarse.cols) == (grid.rows, grid.cols)
    assert torch.allclose(coarse.corners_xy_m(), fine.corners_xy_m(), atol=1e-6)


def test_rows_run_south_and_columns_east() -> None:
    grid = Grid(3, 3, 2.0, (10.0, 20.0))
    assert grid.xy_m(torch.tensor([1.0, 1.0])).tolist() == [10.0, 20.0]
    assert grid.xy_m(torch.tensor([2.0, 1.0])).tolist() == [10.0, 18.0]
    assert grid.xy_m(torch.tensor([1.0, 2.0])).tolist() == [12.0, 20.0]
    assert grid.row_col(torch.tensor([12.0, 18.0])).tolist() == [2.0, 2.0]


def test_a_moved_grid_keeps_its_cells() -> None:
    moved = Grid(4, 6, 0.5).centered_at((3.0, -2.0))
    assert (moved.rows, moved.cols, moved.cell_m, moved.center_xy_m) == (4, 6, 0.5, (3.0, -2.0))


@pytest.mark.parametrize(("rows", "cols", "cell_m"), [(0, 1, 1.0), (1, 0, 1.0), (1, 1, 0.0), (1, 1, float("nan"))])
def test_a_grid_without_cells_is_refused(rows: int, cols: int, cell_m: float) -> None:
    with pytest.raises(ValueError, match="at least one cell"):
        Grid(rows, cols, cell_m)


def test_cells_that_do_not_divide_are_not_joined() -> None:
    with pytest.raises(ValueError, match="10 x 9 cells cannot be joined in groups of 2 x 2"):
        Grid(10, 9, 1.0).resampled(2)


def test_indices_and_metres_of_batches() -> None:
    grid = Grid(7, 5, 0.5, (2.0, -1.0))
    index = torch.rand(4, 3, 2, dtype=torch.float64) * 9
    each = torch.stack([torch.stack([grid.xy_m(place) for place in row]) for row in index])
    assert torch.equal(grid.xy_m(index), each)
    assert torch.allclose(grid.row_col(each), index)


def test_a_grid_lies_around_the_origin_unless_it_is_told_another_centre() -> None:
    assert Grid(2, 4, 1.5).center_xy_m == (0.0, 0.0)
    assert Grid(2, 4, 1.5).size_m == (6.0, 3.0)
    assert Grid(2, 4, 1.5).cell_centers_xy_m()[1, 0].tolist() == [-2.25, -0.75]
