"""The z-buffer: which triangle each pixel sees, in any view, without clipping (homogeneous edge functions).

A pixel p = (x, y, 1) sees the point sum(b_i corner_i) / sum(b_i) with b = M^-1 p, where the columns of M are the
corners (X, Y, W) of the triangle in the view (Olano and Greer, Triangle scan conversion using 2D homogeneous
coordinates, 1997).
"""

from __future__ import annotations

from math import ceil, floor, inf, sqrt
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from cvlnet.arrays import F32, F64, U8
from cvlnet.town.compiled import I32, U32, allocating_kernel, hash01, kernel, leaf_noise, ramp
from cvlnet.town.render.view import View
from cvlnet.town.scene import Material, Mesh

FOLIAGE, NEEDLES, FENCE = int(Material.FOLIAGE), int(Material.NEEDLES), int(Material.FENCE)
SPRIG_M = 0.22  # size of the holes in foliage
TWIGS = 0.42  # share of a crown's coverage that remains without leaves
DENSE, THIN = 0.74, 0.3  # share of a crown's surface that is covered, at its centre and at its outline
BAR_M, BAR_SHARE = 0.12, 0.45  # spacing of fence bars, and the smallest share of it that a bar covers
MESH_M, WIRE_SHARE, POSTS_M = 0.07, 0.28, 2.5  # the same for wire mesh, and the spacing of its posts


class Sight(NamedTuple):
    """A `View` for compiled code."""

    matrix: F64
    eye: F64
    m_per_px: float
    nearest: float


class Surfaces(NamedTuple):
    """A `Mesh` for compiled code."""

    xyz_m: F32
    uv_m: F32
    material: U8
    rgb: U8
    seed: U32


def sight_of(view: View) -> Sight:
    """The view for compiled code."""
    return Sight(view.matrix, view.eye, view.m_per_px, view.nearest)


def surfaces_of(mesh: Mesh) -> Surfaces:
    """The mesh for compiled code."""
    return Surfaces(mesh.xyz_m, mesh.uv_m, mesh.material, mesh.rgb, mesh.seed)


def empty_picture(view: View) -> tuple[Float32[np.ndarray, "height width"], Int32[np.ndarray, "height width"]]:
    """An empty z-buffer: nearness / W, and index of the triangle (-1: none) of every pixel."""
    shape = (view.height_px, view.width_px)
    return np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int32)


def rasterise(
    view: View,
    mesh: Mesh,
    nearness: Float32[np.ndarray, "height width"],
    triangle: Int32[np.ndarray, "height width"],
    leafless: float = 0.0,
) -> None:
    """Draw a mesh into the z-buffer ``nearness`` and ``triangle``, in place.

    leafless: share of the trees without leaves.
    """
    _rasterise(sight_of(view), surfaces_of(mesh), leafless, nearness, triangle)


@kernel
def edge_functions(matrix: F64, xyz_m: F32, corners: F64, inverse: F64) -> float:
    """Fill ``corners`` [3, 3] (rows X, Y, W of the corners) and its ``inverse``; return the determinant."""
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
    return float(determinant)


@kernel
def _bounds(corners: F64, nearest: float, bounds: F64) -> None:
    """Bounds (left, right, top, bottom) in pixels of a triangle's part with W >= ``nearest``."""
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
def between_leaves(x: float, y: float, z: float, pixel_m: float, cover: float, seed: int) -> bool:
    """Whether there is a gap in a crown at a point in the world; ``cover``: share of its surface with leaves."""
    sprig = 0.6 * leaf_noise(x, y, z, max(SPRIG_M, pixel_m), seed)
    if sprig > cover or sprig + 0.4 <= cover:  # whatever the leaves are
        return sprig > cover
    return sprig + 0.4 * leaf_noise(x, y, z, max(0.5 * SPRIG_M, pixel_m), seed + 1) > cover


@kernel
def is_bare(material: int, seed: int, leafless: float) -> bool:
    """Whether a surface belongs to a bare tree, if a share ``leafless`` of the trees is bare."""
    return bool(material == FOLIAGE and hash01(seed, 0, 31) < leafless)


@kernel
def between_bars(u_m: float, v_m: float, seed: int) -> bool:
    """Whether there is a gap in a fence; by its seed it has bars with two rails, or wire mesh with posts."""
    if seed % 2 == 0:
        bar = u_m / BAR_M - floor(u_m / BAR_M)
        rail = (v_m > 0.15 and v_m < 0.25) or (v_m > 0.75 and v_m < 0.85)
        return bar > BAR_SHARE + 0.3 * (seed % 4 == 2) and not rail
    diagonal, other = (u_m + v_m) / MESH_M, (u_m - v_m) / MESH_M
    post = u_m / POSTS_M - floor(u_m / POSTS_M) < 0.03
    wire = diagonal - floor(diagonal) < WIRE_SHARE or other - floor(other) < WIRE_SHARE
    return not (post or wire)


@kernel
def _cover(xyz_m: F32, eye: F64) -> float:
    """Coverage of a crown's triangle: dense where it faces the viewer, thin at the crown's outline."""
    ax, ay, az = xyz_m[1, 0] - xyz_m[0, 0], xyz_m[1, 1] - xyz_m[0, 1], xyz_m[1, 2] - xyz_m[0, 2]
    bx, by, bz = xyz_m[2, 0] - xyz_m[0, 0], xyz_m[2, 1] - xyz_m[0, 1], xyz_m[2, 2] - xyz_m[0, 2]
    nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    x, y, z = eye[0] - eye[3] * xyz_m[0, 0], eye[1] - eye[3] * xyz_m[0, 1], eye[2] - eye[3] * xyz_m[0, 2]
    lengths = sqrt((nx * nx + ny * ny + nz * nz) * (x * x + y * y + z * z)) + 1e-12
    return THIN + (DENSE - THIN) * ramp(abs(nx * x + ny * y + nz * z) / lengths, 0.0, 0.55)


@kernel
def _span(inverse: F64, py: float, left: float, right: float) -> tuple[float, float]:
    """The interval of a row of pixels within a triangle, where no b_c is negative; empty if low > high."""
    low, high = left, right
    for c in range(3):
        slope, offset = inverse[c, 0], inverse[c, 1] * py + inverse[c, 2]
        if slope > 0:
            low = max(low, -offset / slope)
        elif slope < 0:
            high = min(high, -offset / slope)
        elif offset < 0:
            high = -inf
    return low, high


@kernel
def _looks_through(mesh: Surfaces, t: int, inverse: F64, px: float, py: float, m_per_px: float, cover: float) -> bool:
    """Whether a pixel of a triangle with holes falls into one."""
    xyz_m, uv_m = mesh.xyz_m[t], mesh.uv_m[t]
    b0 = inverse[0, 0] * px + inverse[0, 1] * py + inverse[0, 2]
    b1 = inverse[1, 0] * px + inverse[1, 1] * py + inverse[1, 2]
    b2 = inverse[2, 0] * px + inverse[2, 1] * py + inverse[2, 2]
    w = 1.0 / (b0 + b1 + b2)
    b0, b1, b2 = b0 * w, b1 * w, b2 * w
    x = b0 * xyz_m[0, 0] + b1 * xyz_m[1, 0] + b2 * xyz_m[2, 0]
    y = b0 * xyz_m[0, 1] + b1 * xyz_m[1, 1] + b2 * xyz_m[2, 1]
    z = b0 * xyz_m[0, 2] + b1 * xyz_m[1, 2] + b2 * xyz_m[2, 2]
    if mesh.material[t] != FENCE:
        return between_leaves(x, y, z, m_per_px * w, cover, mesh.seed[t])
    u = b0 * uv_m[0, 0] + b1 * uv_m[1, 0] + b2 * uv_m[2, 0]
    v = b0 * uv_m[0, 1] + b1 * uv_m[1, 1] + b2 * uv_m[2, 1]
    return between_bars(u, v, mesh.seed[t])


@allocating_kernel
def _rasterise(sight: Sight, mesh: Surfaces, leafless: float, nearness: F32, triangle: I32) -> None:
    height, width = nearness.shape
    matrix, xyz_m, material, seed = sight.matrix, mesh.xyz_m, mesh.material, mesh.seed
    corners, inverse, bounds, slope = np.empty((3, 3)), np.empty((3, 3)), np.empty(4), np.empty(3)
    for t in range(len(material)):
        if edge_functions(matrix, xyz_m[t], corners, inverse) == 0.0:
            continue
        _bounds(corners, sight.nearest, bounds)
        if not (bounds[0] < width and bounds[1] > 0 and bounds[2] < height and bounds[3] > 0):
            continue
        _nearness_slope(matrix, xyz_m[t], inverse, slope)
        leaves = material[t] == FOLIAGE or material[t] == NEEDLES
        cover = _cover(xyz_m[t], sight.eye) if leaves else 1.0
        if is_bare(material[t], seed[t], leafless):
            cover *= TWIGS
        holes = leaves or material[t] == FENCE
        for row in range(max(ceil(bounds[2] - 0.5), 0), min(floor(bounds[3] - 0.5), height - 1) + 1):
            py = row + 0.5
            low, high = _span(inverse, py, max(bounds[0], 0.0), min(bounds[1], float(width)))
            if not low <= high:
                continue
            for col in range(max(ceil(low - 0.5), 0), min(floor(high - 0.5), width - 1) + 1):
                px = col + 0.5
                near = np.float32(slope[0] * px + slope[1] * py + slope[2])
                if near <= nearness[row, col]:
                    continue
                if holes and _looks_through(mesh, t, inverse, px, py, sight.m_per_px, cover):
                    continue
                nearness[row, col] = near
                triangle[row, col] = t


@kernel
def _nearness_slope(matrix: F64, xyz_m: F32, inverse: F64, slope: F64) -> None:
    """Coefficients of nearness / W, which is linear in a pixel's x and y like the b."""
    slope[0], slope[1], slope[2] = 0.0, 0.0, 0.0
    for c in range(3):
        x, y, z = xyz_m[c, 0], xyz_m[c, 1], xyz_m[c, 2]
        near = matrix[3, 0] * x + matrix[3, 1] * y + matrix[3, 2] * z + matrix[3, 3]
        for k in range(3):
            slope[k] += inverse[c, k] * near
