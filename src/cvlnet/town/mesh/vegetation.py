"""Trees and bushes as triangles. Crowns are clumps of randomly deformed spheres."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64

from cvlnet.town.mesh.solids import ball, pole, triangles
from cvlnet.town.plan import Rgb, Tree
from cvlnet.town.scene import Material, Mesh

BARK: tuple[Rgb, ...] = ((84, 70, 58), (98, 86, 74), (70, 60, 52), (120, 112, 104))
HEADROOM_M = 2.7  # streets are clear of branches up to this height
LARGE_CROWN_M = 4.5  # larger crowns get finer triangles


def tree_mesh(tree: Tree) -> Mesh:
    """Mesh of a tree at the origin."""
    rng = np.random.default_rng(tree.seed)
    make = {"broadleaf": _broadleaf, "young": _broadleaf, "conifer": _conifer, "poplar": _poplar, "bush": _bush}
    return make[tree.kind](tree, rng)


def _broadleaf(tree: Tree, rng: np.random.Generator) -> Mesh:
    radius, height = tree.crown_m / 2, tree.height_m
    bare = height * rng.uniform(0.2, 0.32)
    if tree.near_street and height > LARGE_CROWN_M:
        bare = max(bare, min(HEADROOM_M, height * 0.5))
    middle, half = (height + bare) / 2, (height - bare) / 2
    fine = tree.near_street and tree.crown_m > LARGE_CROWN_M
    core = 0.74 if fine else 0.84
    parts = [_clump((0.0, 0.0, middle + half * 0.06), (radius * core, radius * core, half * 0.9), int(fine), tree, rng)]
    count = 4 if fine else 3 if tree.crown_m > LARGE_CROWN_M else 1
    angle = rng.uniform(0, 2 * np.pi)
    for i in range(count):
        turn = angle + 2 * np.pi * i / count + rng.normal(0, 0.4)
        reach = radius * rng.uniform(0.42, 0.64)
        size = radius * rng.uniform(0.45, 0.62)
        thick = min(size, half * 0.7)
        z = max(middle + half * rng.uniform(-0.6, 0.5), bare + thick)
        parts.append(_clump((reach * np.cos(turn), reach * np.sin(turn), z), (size, size, thick), 0, tree, rng))
    return Mesh.join([_trunk(tree, bare + half * 0.5, rng), *parts])


def _poplar(tree: Tree, rng: np.random.Generator) -> Mesh:
    radius, bare = tree.crown_m / 2, tree.height_m * 0.1
    half = (tree.height_m - bare) / 2
    return Mesh.join(
        [
            _trunk(tree, bare + 1.0, rng),
            _clump((0.0, 0.0, bare + half * 0.9), (radius, radius, half * 0.9), 1, tree, rng),
            _clump((0.0, 0.0, bare + half * 1.6), (radius * 0.5, radius * 0.5, half * 0.42), 0, tree, rng),
        ]
    )


def _bush(tree: Tree, rng: np.random.Generator) -> Mesh:
    radius = tree.crown_m / 2
    return _clump((0.0, 0.0, tree.height_m * 0.42), (radius, radius, tree.height_m * 0.56), 0, tree, rng)


def _conifer(tree: Tree, rng: np.random.Generator) -> Mesh:
    radius, height, sides, tiers = tree.crown_m / 2, tree.height_m, 8, 4
    parts = [_trunk(tree, height * 0.15, rng)]
    for tier in range(tiers):
        low = height * (0.08 + 0.84 * tier / tiers)
        top = height * min(1.0, 0.08 + 0.84 * (tier + 1.75) / tiers)
        wide = radius * (1 - 0.86 * tier / tiers)
        angle = np.arange(sides) / sides * 2 * np.pi + rng.uniform(0, 1)
        reach = wide * rng.uniform(0.72, 1.12, sides)
        ring = np.stack([np.cos(angle) * reach, np.sin(angle) * reach, low + rng.normal(0, 0.1, sides)], axis=-1)
        corners = np.stack([ring, np.roll(ring, -1, axis=0), np.tile([0.0, 0.0, top], (sides, 1))], axis=1)
        parts.append(_foliage(corners, tree, rng, Material.NEEDLES))
    return Mesh.join(parts)


def _trunk(tree: Tree, height_m: float, rng: np.random.Generator) -> Mesh:
    radius = float(np.clip(tree.height_m * 0.017, 0.05, 0.32)) * rng.uniform(0.8, 1.2)
    return pole(radius, -0.4, height_m, Material.BARK, BARK[int(rng.integers(len(BARK)))], tree.seed, sides=6)


@lru_cache(maxsize=2)
def _ball(level: int) -> tuple[Float64[np.ndarray, "triangles 3 3"], Int64[np.ndarray, "triangles 3"], int]:
    """Triangles of a sphere, the vertex index of each corner, and the number of vertices."""
    corners = ball(level)
    places, number = np.unique(np.round(corners.reshape(-1, 3), 6), axis=0, return_inverse=True)
    return corners, np.asarray(number).reshape(corners.shape[:2]), len(places)


def _clump(
    center_m: tuple[float, float, float], radii_m: tuple[float, float, float], level: int, tree: Tree,
    rng: np.random.Generator,
) -> Mesh:  # fmt: skip
    corners, number, count = _ball(level)
    reach = rng.uniform(0.78, 1.18, count)[number]
    return _foliage(corners * reach[..., None] * np.array(radii_m) + np.array(center_m), tree, rng)


def _foliage(
    corners_m: Float64[np.ndarray, "triangles 3 3"],
    tree: Tree,
    rng: np.random.Generator,
    material: Material = Material.FOLIAGE,
) -> Mesh:
    around = np.arctan2(corners_m[..., 1], corners_m[..., 0])
    around = np.where(around - around[:, :1] > np.pi, around - 2 * np.pi, around)
    around = np.where(around - around[:, :1] < -np.pi, around + 2 * np.pi, around)
    uv = np.stack([around * tree.crown_m / 2, corners_m[..., 2]], axis=-1)
    mesh = triangles(corners_m, uv, material, tree.rgb, tree.seed)
    shade = rng.uniform(0.86, 1.14, (len(mesh), 1))
    tinted = np.clip(mesh.rgb * shade, 0, 255).astype(np.uint8)
    return Mesh(mesh.xyz_m, mesh.uv_m, mesh.material, tinted, mesh.seed)
