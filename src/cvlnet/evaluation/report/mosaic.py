"""The map behind the fixes: connected areas of a data set, and overhead tiles stitched to one picture of each."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from cvlnet.arrays import F64, I64, U8
from cvlnet.data.kitti_cvl import Tile, open_tile
from cvlnet.geo import LocalFrame
from cvlnet.grid import Grid
from cvlnet.imagery.crop import resampled

_NEIGHBOURS_M = 200.0  # places in neighbouring squares of this side belong to one area
_EDGE_M = 60.0  # shown around the outermost places
_COVERED = 0.98  # a tile that adds less than the rest is not opened
_UNSEEN_RGB = (52, 58, 68)


def areas(xy_m: F64, kept: npt.NDArray[np.bool_]) -> tuple[I64, ...]:
    """Groups of places [n, 2] that hang together, as indices; only groups with a kept place, largest number first."""
    squares, square_of = np.unique(np.floor(xy_m / _NEIGHBOURS_M), axis=0, return_inverse=True)
    touching = cKDTree(squares).query_pairs(1.0, p=np.inf, output_type="ndarray")  # also at a corner
    graph = coo_array((np.ones(len(touching)), (touching[:, 0], touching[:, 1])), shape=(len(squares),) * 2)
    _, area_of = connected_components(graph, directed=False)
    area = area_of[square_of]
    groups = [np.flatnonzero(area == i) for i in np.unique(area[kept])]
    return tuple(sorted(groups, key=lambda group: -int(kept[group].sum())))


def grid_around(xy_m: F64, longest_px: int) -> Grid:
    """A grid of square cells that holds all places and a margin; its longer side has so many cells."""
    low, high = xy_m.min(axis=0) - _EDGE_M, xy_m.max(axis=0) + _EDGE_M
    cell_m = float((high - low).max()) / longest_px
    cols, rows = (ceil(extent / cell_m) for extent in high - low)
    east_m, north_m = (low + high) / 2
    return Grid(rows, cols, cell_m, (float(east_m), float(north_m)))


def stitched(tiles: Iterable[Tile], grid: Grid, frame: LocalFrame) -> U8:
    """The picture of a grid of ``frame``, [rows, columns, 3], from the tiles that overlap it; grey where none does.

    A tile lands on whole cells: half a cell of error is not seen in a picture. Raises InputError as `open_tile` does.
    """
    canvas = np.empty((grid.rows, grid.cols, 3), dtype=np.uint8)
    canvas[:] = _UNSEEN_RGB
    covered = np.zeros((grid.rows, grid.cols), dtype=bool)
    like = Grid(2, 2, grid.cell_m)
    half_cells = 0
    for tile in tiles:
        xy_m = frame.xy_world_m([tile.center.latitude_deg, tile.center.longitude_deg])
        row, col = (grid.row_col(torch.from_numpy(xy_m)) + 0.5).round().int().tolist()
        if half_cells and _covered(covered, row, col, half_cells):
            continue
        pixels = resampled(open_tile(tile), like).pixels
        half_rows, half_cols = pixels.shape[0] // 2, pixels.shape[1] // 2
        half_cells = min(half_rows, half_cols)
        target = _window(canvas.shape, row, col, half_rows, half_cols)
        top, left = half_rows - row, half_cols - col  # of the canvas, in the tile's rows and columns
        rows, cols = target
        source = slice(rows.start + top, rows.stop + top), slice(cols.start + left, cols.stop + left)
        fresh = ~covered[target]
        canvas[target][fresh] = pixels[source][fresh]
        covered[target] = True
    return canvas


def _covered(covered: npt.NDArray[np.bool_], row: int, col: int, half_cells: int) -> bool:
    window = covered[_window(covered.shape, row, col, half_cells, half_cells)]
    return window.size == 0 or bool(window.mean() > _COVERED)


def _window(shape: tuple[int, ...], row: int, col: int, half_rows: int, half_cols: int) -> tuple[slice, slice]:
    """The part of an array within so many rows and columns of the corner (row, col); empty if it lies outside."""
    top, bottom = np.clip([row - half_rows, row + half_rows], 0, shape[0]).tolist()
    left, right = np.clip([col - half_cols, col + half_cols], 0, shape[1]).tolist()
    return slice(top, bottom), slice(left, right)
