"""Polygons drawn by coverage: a cell takes the colour in proportion to its area within the polygon.

OpenCV's anti-aliased polygons snap to whole rows and grow by half a cell, which is visible on lane lines of 12 cm.
"""

from __future__ import annotations

from math import floor

import numpy as np
from jaxtyping import UInt8

from cvlnet.arrays import F64, U8, Points
from cvlnet.town.compiled import allocating_kernel, kernel

SCANS = 8  # scan lines per row; along a scan line the coverage is exact


def paint_polygon(
    colours: UInt8[np.ndarray, "rows cols channels"],
    colour: UInt8[np.ndarray, " channels"],
    codes: UInt8[np.ndarray, "_ _ layers"],
    code: UInt8[np.ndarray, " layers"],
    rings: list[Points],
) -> None:
    """Blend ``colour`` into ``colours``, and set ``codes`` to ``code`` where at least half of a cell is covered.

    rings: outer border and holes as (column, row), integers at cell centres; filled by the even-odd rule.
    """
    edges = np.concatenate([np.concatenate([ring, np.roll(ring, -1, axis=0)], axis=1) for ring in rings]) + 0.5
    edges = edges[edges[:, 1] != edges[:, 3]]
    edges = np.where((edges[:, 1] < edges[:, 3])[:, None], edges, edges[:, [2, 3, 0, 1]])
    edges = edges[(edges[:, 3] > 0) & (edges[:, 1] < colours.shape[0])]
    if len(edges):
        edges = np.ascontiguousarray(edges[np.argsort(edges[:, 1], kind="stable")])
        rows = max(0, floor(edges[0, 1])), min(colours.shape[0], floor(edges[:, 3].max()) + 1)
        _paint(colours, colour, codes, code, edges, *rows)


@allocating_kernel
def _paint(colours: U8, colour: U8, codes: U8, code: U8, edges: F64, first_row: int, end_row: int) -> None:
    """Edges [E, 4]: upper and lower end as (column, row), sorted by upper row; cell i spans i to i + 1."""
    _, cols, channels = colours.shape
    active = np.empty(len(edges), np.int64)
    crossings = np.empty(len(edges), np.float64)
    cover = np.zeros(cols + 1, np.float64)
    count, coming = 0, 0
    for row in range(first_row, end_row):
        while coming < len(edges) and edges[coming, 1] < row + 1:
            active[count] = coming
            count += 1
            coming += 1
        kept = 0
        for k in range(count):
            if edges[active[k], 3] > row:
                active[kept] = active[k]
                kept += 1
        count = kept
        left, right = cols, 0
        for scan in range(SCANS):
            y = row + (scan + 0.5) / SCANS
            found = 0
            for k in range(count):
                e = active[k]
                if edges[e, 1] <= y < edges[e, 3]:
                    share = (y - edges[e, 1]) / (edges[e, 3] - edges[e, 1])
                    _insert(crossings, found, edges[e, 0] + share * (edges[e, 2] - edges[e, 0]))
                    found += 1
            for k in range(0, found - 1, 2):
                start, stop = min(max(crossings[k], 0.0), float(cols)), min(max(crossings[k + 1], 0.0), float(cols))
                if stop > start:
                    _cover(cover, start, stop)
                    left, right = min(left, floor(start)), max(right, min(cols, floor(stop) + 1))
        for col in range(left, right):
            share = min(1.0, cover[col])
            cover[col] = 0.0
            for c in range(channels):
                before = float(colours[row, col, c])
                colours[row, col, c] = np.uint8(before + (colour[c] - before) * share + 0.5)
            if share >= 0.5:
                for c in range(len(code)):
                    codes[row, col, c] = code[c]


@kernel
def _insert(rising: F64, count: int, value: float) -> None:
    """Insert a value into the first ``count`` values, which are sorted."""
    k = count
    while k > 0 and rising[k - 1] > value:
        rising[k] = rising[k - 1]
        k -= 1
    rising[k] = value


@kernel
def _cover(cover: F64, start: float, stop: float) -> None:
    """Add the span of one scan line to the coverage of a row."""
    first, last = floor(start), floor(stop)
    if first == last:
        cover[first] += (stop - start) / SCANS
        return
    cover[first] += (first + 1 - start) / SCANS
    for col in range(first + 1, last):
        cover[col] += 1.0 / SCANS
    cover[last] += (stop - last) / SCANS
