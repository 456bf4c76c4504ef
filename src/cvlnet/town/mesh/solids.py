"""Meshes of simple solids. Surface coordinates are metres: u along the lower edge, v up from it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from cvlnet.arrays import Points, Xy
from cvlnet.town.plan import Rgb
from cvlnet.town.polygons import rectangle
from cvlnet.town.scene import Material, Mesh


def triangles(
    xyz_m: Float64[np.ndarray, "triangles 3 3"],
    uv_m: Float64[np.ndarray, "triangles 3 2"],
    material: Material,
    rgb: Rgb,
    seed: int,
) -> Mesh:
    """A mesh of one material and colour."""
    count = len(xyz_m)
    return Mesh(
        np.asarray(xyz_m, dtype=np.float32).reshape(count, 3, 3),
        np.asarray(uv_m, dtype=np.float32).reshape(count, 3, 2),
        np.full(count, int(material), np.uint8),
        np.broadcast_to(np.asarray(rgb, dtype=np.uint8), (count, 3)).copy(),
        np.full(count, seed & 0xFFFFFFFF, np.uint32),
    )


def quads(
    corners_m: Float64[np.ndarray, "quads 4 3"],
    material: Material,
    rgb: Rgb,
    seed: int,
    *,
    u0_m: float = 0.0,
    v0_m: float = 0.0,
) -> Mesh:
    """Plane quadrilaterals. The first side is the lower edge: u starts at ``u0_m`` along it, v at ``v0_m``."""
    c = np.asarray(corners_m, dtype=np.float64).reshape(-1, 4, 3)
    along = c[:, 1] - c[:, 0]
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    relative = c - c[:, :1]
    u = np.einsum("qkc,qc->qk", relative, along)
    rest = relative - u[..., None] * along[:, None]
    v = np.linalg.norm(rest, axis=2)
    uv = np.stack([u + u0_m, v + v0_m], axis=-1)
    order = [0, 1, 2, 0, 2, 3]
    return triangles(c[:, order].reshape(-1, 3, 3), uv[:, order].reshape(-1, 3, 2), material, rgb, seed)


def wall(a: Xy, b: Xy, low_m: float, high_m: float, material: Material, rgb: Rgb, seed: int) -> Mesh:
    """An upright rectangle on the line from ``a`` to ``b``, facing its right side; v is the height."""
    corner = np.array([[*a, low_m], [*b, low_m], [*b, high_m], [*a, high_m]])
    return quads(corner[None], material, rgb, seed, v0_m=low_m)


def prism(
    outline_m: Points, low_m: float, high_m: float, material: Material, rgb: Rgb, seed: int,
    *, top: Material | None = None, top_rgb: Rgb | None = None,
) -> Mesh:  # fmt: skip
    """Walls on a convex, counter-clockwise outline, with a flat top that may have its own material."""
    n = len(outline_m)
    following = np.roll(outline_m, -1, axis=0)
    sides = np.empty((n, 4, 3))
    sides[:, 0, :2], sides[:, 1, :2], sides[:, 2, :2], sides[:, 3, :2] = outline_m, following, following, outline_m
    sides[:, :2, 2], sides[:, 2:, 2] = low_m, high_m
    fan = np.array([[0, i, i + 1] for i in range(1, n - 1)])
    lid = np.concatenate([outline_m, np.full((n, 1), high_m)], axis=1)[fan]
    cover = material if top is None else top
    return Mesh.join(
        [
            quads(sides, material, rgb, seed, v0_m=low_m),
            triangles(lid, lid[..., :2] - outline_m[0], cover, rgb if top_rgb is None else top_rgb, seed),
        ]
    )


def block(
    size_m: tuple[float, float, float], center_m: tuple[float, float], low_m: float,
    material: Material, rgb: Rgb, seed: int,
) -> Mesh:  # fmt: skip
    """A box of a given length (along x), width and height, whose lower face is at ``low_m``."""
    outline = rectangle(size_m[0], size_m[1], center_m)
    return prism(outline, low_m, low_m + size_m[2], material, rgb, seed)


def pole(radius_m: float, low_m: float, high_m: float, material: Material, rgb: Rgb, seed: int, sides: int = 5) -> Mesh:
    """An upright pole at the origin, open at both ends."""
    angle = np.arange(sides) / sides * 2 * np.pi
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * radius_m
    following = np.roll(ring, -1, axis=0)
    corners = np.empty((sides, 4, 3))
    corners[:, 0, :2], corners[:, 1, :2], corners[:, 2, :2], corners[:, 3, :2] = ring, following, following, ring
    corners[:, :2, 2], corners[:, 2:, 2] = low_m, high_m
    return quads(corners, material, rgb, seed, v0_m=low_m)


def disc(radius_m: float, sides: int) -> Points:
    """Corners of a regular polygon, counter-clockwise."""
    angle = np.arange(sides) / sides * 2 * np.pi
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1) * radius_m


def ball(level: int) -> Float64[np.ndarray, "triangles 3 3"]:
    """Triangles of a unit sphere: an icosahedron, subdivided ``level`` times."""
    g = (1 + 5**0.5) / 2
    v = np.array(
        [[-1, g, 0], [1, g, 0], [-1, -g, 0], [1, -g, 0], [0, -1, g], [0, 1, g],
         [0, -1, -g], [0, 1, -g], [g, 0, -1], [g, 0, 1], [-g, 0, -1], [-g, 0, 1]]
    )  # fmt: skip
    faces = np.array(
        [[0, 11, 5], [0, 5, 1], [0, 1, 7], [0, 7, 10], [0, 10, 11], [1, 5, 9], [5, 11, 4], [11, 10, 2], [10, 7, 6],
         [7, 1, 8], [3, 9, 4], [3, 4, 2], [3, 2, 6], [3, 6, 8], [3, 8, 9], [4, 9, 5], [2, 4, 11], [6, 2, 10],
         [8, 6, 7], [9, 8, 1]]
    )  # fmt: skip
    corners = (v / np.linalg.norm(v[0]))[faces]
    for _ in range(level):
        a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        corners = np.concatenate([np.stack(p, axis=1) for p in parts])
        corners /= np.linalg.norm(corners, axis=2, keepdims=True)
    return np.asarray(corners)
