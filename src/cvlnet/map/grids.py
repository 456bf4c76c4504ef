"""Grids of maps that share their cells: how one lies in another, and how they grow by whole windows."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import torch

from cvlnet.errors import InputError
from cvlnet.grid import Grid
from cvlnet.map.header import MapHeader, Source
from cvlnet.map.region import Layout


def extended(cells: Grid, window: int, east_m: float, north_m: float, layout: Layout) -> Grid:
    """A grid, grown by whole windows until it holds what reaches so far from the anchor."""
    around_m = layout.clip_cells * layout.cell_m / 2
    north_west, _, south_east, _ = cells.corners_xy_m().tolist()
    side_m = window * cells.cell_m
    west, north, east, south = (
        max(0, ceil((reach_m + around_m - had_m) / side_m))
        for reach_m, had_m in (
            (east_m, -north_west[0]),
            (north_m, north_west[1]),
            (east_m, south_east[0]),
            (north_m, -south_east[1]),
        )
    )
    rows = -(-cells.rows // window) * window if south else cells.rows
    cols = -(-cells.cols // window) * window if east else cells.cols
    rows, cols = rows + (north + south) * window, cols + (west + east) * window
    corner = (north_west[0] - west * side_m, north_west[1] + north * side_m)
    return from_corner(corner, rows, cols, cells.cell_m)


def from_corner(north_west_m: tuple[float, float], rows: int, cols: int, cell_m: float) -> Grid:
    """The grid with this outer corner, (east, north)."""
    return Grid(rows, cols, cell_m, (north_west_m[0] + cols * cell_m / 2, north_west_m[1] - rows * cell_m / 2))


def joined(base: MapHeader, cells: Grid, sources: tuple[Source, ...]) -> MapHeader:
    """The header of a map with another grid laid over it; the base's windows stay windows."""
    window, m = base.window, base.cells.cell_m
    (west, north), _, (east, south), _ = base.cells.corners_xy_m().tolist()
    (far_west, far_north), _, (far_east, far_south), _ = cells.corners_xy_m().tolist()
    left, top = (max(0, ceil((more - 1e-6) / (window * m))) for more in (west - far_west, far_north - north))
    right_m, bottom_m = max(east, far_east), min(south, far_south)
    corner = (west - left * window * m, north + top * window * m)
    rows, cols = round((corner[1] - bottom_m) / m), round((right_m - corner[0]) / m)
    return replace(base, cells=from_corner(corner, rows, cols, m), sources=(*base.sources, *sources))


def offset_of(outer: Grid, inner: Grid) -> tuple[int, int]:
    """Row and column of a grid's first cell in a larger one. Raises InputError if it lies between cells."""
    corner = inner.corners_xy_m()[0] + torch.tensor([inner.cell_m / 2, -inner.cell_m / 2], dtype=torch.float64)
    exact = outer.row_col(corner)
    if float((exact - exact.round()).abs().max()) > 1e-3:
        remedy = "build it again by cvlnet map build --onto the first one"
        raise InputError("the cells of the two maps do not coincide", where="map", remedy=remedy)
    row, col = exact.round().long().tolist()
    return row, col
