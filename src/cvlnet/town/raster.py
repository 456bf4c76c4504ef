"""Which triangle every pixel sees: a z-buffer for all views, without clipping (homogeneous edge functions).

A pixel p = (x, y, 1) sees the point sum(b_i corner_i) / sum(b_i) with b = M^-1 p, where the columns of M are the corners
(X, Y, W) of the triangle in the view (Olano and Greer, Triangle scan conversion using 2D homogeneous coordinates, 1997).
"""

from __future__ import annotations

from math import ceil, floor, inf

import numpy as np
import numpy.typing as npt

from cvlnet.town.compiled import hash01, kernel
from cvlnet.town.scene import Material, Mesh
from cvlnet.town.view import F64, View

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]

FOLIAGE, FENCE = int(Material.FOLIAGE), int(Material.FENCE)
LEAF_M = 0.14  # size of the holes in foliage
LEAF_COVER = 0.72  # share of a crown's surface that is there
BAR_M, BAR_SHARE = 0.12, 0.45  # spacing of fence bars, and how much of it a bar takes


def empty_picture(view: View) -> tuple[F32, I32]:
    """Nearness / W and triangle of every pixel (-1: none) before anything is drawn."""
    shape = (view.height_px, view.width_px)
    return np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int32)


def rasterise(view: View, mesh: Mesh, nearness: F32, triangle: I32) -> None:
    """Draw a mesh into ``nearness`` and ``triangle`` (both [height, width], changed in place)."""
    _rasterise(
        view.matrix, view.nearest, view.m_per_px, mesh.xyz_m, mesh.uv_m, mesh.material, mesh.seed, nearness, triangle
    )


@kernel
def edge_functions(matrix: F64, xyz_m: F32, corners: F64, inverse: F64) -> float:
    """Fill ``corners`` (rows X, Y, W of the view, columns corners, [3, 3]) and its ``inverse``; return the determinant."""
    for c in range(3):
        x, y, z = xyz_m[c, 0], xyz_m[c, 1], xyz_m[c, 2]
        for r in range(3):
            corners[r, c] = matrix[r, 0] * x + matrix[r, 1] * y + matrix[r, 2] * z + matrix[r, 3]
    for r in range(3):
        r1, r2 = (r + 1) % 3, (r + 2) % 3
        for c in range(3):
            c1, c2 = (c + 1) % 3, (c + 2) % 3
            inverse[c, r] = corners[r1, c1] * corners[r2, c2] - corners[r1, c2] * corners[r2, c1]
    determinant = corners[0, 0] * inverse[0, 0] + corners[0, 1] * inverse[1, 0] + corners[0, 2] * inverse[2, 0]
    if determinant != 0.0:
        for r in range(3):
            for c in range(3):
                inverse[r, c] /= determinant
    return determinant


@kernel
def _bounds(corners: F64, nearest: float, bounds: F64) -> None:
    """Smallest and largest pixel coordinates (left, right, top, bottom) of the part with W of ``nearest`` or more."""
    bounds[0], bounds[1], bounds[2], bounds[3] = inf, -inf, inf, -inf
    for c in range(3):
        d = (c + 1) % 3
        w0, w1 = corners[2, c], corners[2, d]
        x, y, w = corners[0, c], corners[1, c], w0
        for _ in range(2):
            if w >= nearest:
                bounds[0], bounds[1] = min(bounds[0], x / w), max(bounds[1], x / w)
                bounds[2], bounds[3] = min(bounds[2], y / w), max(bounds[3], y / w)
            if (w0 < nearest) == (w1 < nearest):
                break
            t = (nearest - w0) / (w1 - w0)
            x = corners[0, c] + t * (corners[0, d] - corners[0, c])
            y = corners[1, c] + t * (corners[1, d] - corners[1, c])
            w = nearest


@kernel
def is_hole(material: int, u_m: float, v_m: float, xyz_sum_m: F64, pixel_m: float, seed: int) -> bool:
    """Whether one looks through a surface here: between leaves (told by the place), between bars (by u and v)."""
    if material == FOLIAGE:
        cell_m = max(LEAF_M, pixel_m)
        i, j = int(floor(xyz_sum_m[0] / cell_m)), int(floor(xyz_sum_m[1] / cell_m))
        k = int(floor(xyz_sum_m[2] / cell_m))
        return hash01(i, j, seed + 977 * k) > LEAF_COVER
    if seed % 2 == 0:  # wooden or iron bars with two rails
        bar = u_m / BAR_M - floor(u_m / BAR_M)
        rail = (v_m > 0.15 and v_m < 0.25) or (v_m > 0.75 and v_m < 0.85)
        return bar > BAR_SHARE + 0.3 * (seed % 4 == 2) and not rail
    diagonal, other = (u_m + v_m) / 0.07, (u_m - v_m) / 0.07  # wire mesh between posts
    post = u_m / 2.5 - floor(u_m / 2.5) < 0.03
    wire = diagonal - floor(diagonal) < 0.28 or other - floor(other) < 0.28
    return not (post or wire)


@kernel
def _rasterise(
    matrix: F64,
    nearest: float,
    m_per_px: float,
    xyz_m: F32,
    uv_m: F32,
    material: npt.NDArray[np.uint8],
    seed: npt.NDArray[np.uint32],
    nearness: F32,
    triangle: I32,
) -> None:
    height, width = nearness.shape
    corners, inverse = np.empty((3, 3)), np.empty((3, 3))
    bounds, place = np.empty(4), np.empty(3)
    for t in range(len(material)):
        if edge_functions(matrix, xyz_m[t], corners, inverse) == 0.0:
            continue
        _bounds(corners, nearest, bounds)
        if not (bounds[0] < width and bounds[1] > 0 and bounds[2] < height and bounds[3] > 0):
            continue
        left, right = max(bounds[0], 0.0), min(bounds[1], float(width))
        # nearness / W is linear in the pixel, as the b are
        k0, k1, k2 = 0.0, 0.0, 0.0
        for c in range(3):
            x, y, z = xyz_m[t, c, 0], xyz_m[t, c, 1], xyz_m[t, c, 2]
            key = matrix[3, 0] * x + matrix[3, 1] * y + matrix[3, 2] * z + matrix[3, 3]
            k0 += inverse[c, 0] * key
            k1 += inverse[c, 1] * key
            k2 += inverse[c, 2] * key
        holes = material[t] == FOLIAGE or material[t] == FENCE
        for row in range(max(int(ceil(bounds[2] - 0.5)), 0), min(int(floor(bounds[3] - 0.5)), height - 1) + 1):
            py = row + 0.5
            low, high = left, right
            for c in range(3):  # the pixels of this row where b_c is not negative
                slope, offset = inverse[c, 0], inverse[c, 1] * py + inverse[c, 2]
                if slope > 0:
                    low = max(low, -offset / slope)
                elif slope < 0:
                    high = min(high, -offset / slope)
                elif offset < 0:
                    high = -inf
            if not low <= high:
                continue
            for col in range(max(int(ceil(low - 0.5)), 0), min(int(floor(high - 0.5)), width - 1) + 1):
                px = col + 0.5
                near = np.float32(k0 * px + k1 * py + k2)
                if near <= nearness[row, col]:
                    continue
                if holes:
                    u, v, total = 0.0, 0.0, 0.0
                    place[:] = 0.0
                    for c in range(3):
                        b = inverse[c, 0] * px + inverse[c, 1] * py + inverse[c, 2]
                        total += b
                        u += b * uv_m[t, c, 0]
                        v += b * uv_m[t, c, 1]
                        for axis in range(3):
                            place[axis] += b * xyz_m[t, c, axis]
                    place /= total
                    if is_hole(material[t], u / total, v / total, place, m_per_px / total, seed[t]):
                        continue
                nearness[row, col] = near
                triangle[row, col] = t
