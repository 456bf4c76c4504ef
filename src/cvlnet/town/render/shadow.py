"""Lookup of the sun and sky that reach a point, in the maps of `light`."""

from __future__ import annotations

from math import floor
from typing import NamedTuple

from cvlnet.arrays import F32, F64
from cvlnet.town.compiled import kernel, ramp
from cvlnet.town.render.light import SkyMap, SunMap

UNDER_COVER = 0.4  # visible share of the sky below a crown or an eave
OPEN_AFTER_M = 15.0  # height above its cell's topmost surface from which a point sees the whole sky
SHADOW_BIAS_M = 0.25  # along the sun's rays, against self-shadowing
OFF_SURFACE_M = 0.08  # along the normal, for the same reason


class Maps(NamedTuple):
    """`SunMap` and `SkyMap` for compiled code. sky_frame: centre (east, north) and cell of the sky map, m."""

    sun_matrix: F64
    sun_nearness: F32
    sky_frame: tuple[float, float, float]
    sky_visible: F32
    sky_top_m: F32


def maps(sun: SunMap, sky: SkyMap) -> Maps:
    """Both maps for compiled code."""
    frame = (*sky.grid.center_xy_m, sky.grid.cell_m)
    return Maps(sun.view.matrix, sun.nearness, frame, sky.visible, sky.top_m)


@kernel
def sunlit(place: F64, normal: F64, known: Maps) -> float:
    """Share of the sun that reaches a point, bilinear between the cells of the map for soft edges."""
    matrix, nearness = known.sun_matrix, known.sun_nearness
    x, y = place[0] + OFF_SURFACE_M * normal[0], place[1] + OFF_SURFACE_M * normal[1]
    z = place[2] + OFF_SURFACE_M * normal[2]
    col = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3] - 0.5
    row = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3] - 0.5
    near = matrix[3, 0] * x + matrix[3, 1] * y + matrix[3, 2] * z + matrix[3, 3] + SHADOW_BIAS_M
    i, j = floor(row), floor(col)
    if i < 0 or j < 0 or i + 1 >= nearness.shape[0] or j + 1 >= nearness.shape[1]:
        return 1.0
    t, s = row - i, col - j
    top = (1.0 - s) * (near > nearness[i, j]) + s * (near > nearness[i, j + 1])
    bottom = (1.0 - s) * (near > nearness[i + 1, j]) + s * (near > nearness[i + 1, j + 1])
    return float(top * (1.0 - t) + bottom * t)


@kernel
def sky_share(place: F64, normal: F64, known: Maps) -> float:
    """Visible share of the sky at a point: the map's value on the topmost surface, less below it, more above it."""
    frame, visible, top_m = known.sky_frame, known.sky_visible, known.sky_top_m
    rows, cols = visible.shape
    col = (place[0] + normal[0] - frame[0]) / frame[2] + 0.5 * (cols - 1)  # a metre in front of a wall
    row = 0.5 * (rows - 1) - (place[1] + normal[1] - frame[1]) / frame[2]
    i, j = floor(row), floor(col)
    if i < 0 or j < 0 or i + 1 >= rows or j + 1 >= cols:
        return 1.0
    t, s = row - i, col - j
    share = 0.0
    for k in range(4):
        r, c = i + k // 2, j + k % 2
        weight = (t if k // 2 else 1.0 - t) * (s if k % 2 else 1.0 - s)
        above = place[2] - top_m[r, c]
        open_sky = visible[r, c] + (1.0 - visible[r, c]) * min(max(above / OPEN_AFTER_M, 0.0), 1.0)
        share += weight * (UNDER_COVER + (open_sky - UNDER_COVER) * ramp(above, -1.2, -0.2))
    return share
