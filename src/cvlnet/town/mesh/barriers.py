"""Hedges, fences and garden walls as triangles along lines on the ground."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from cvlnet.arrays import Points
from cvlnet.town.curves import left_normals, resample
from cvlnet.town.mesh.solids import quads
from cvlnet.town.plan import Barrier
from cvlnet.town.scene import Material, Mesh

STEP_M = 5.0  # spacing of the points that follow the ground
BELOW_M = 0.3
MATERIALS = {
    "hedge": Material.HEDGE,
    "wood_fence": Material.FENCE,
    "mesh_fence": Material.FENCE,
    "wall": Material.BARE_WALL,
    "brick_wall": Material.BARE_WALL,
}


def barrier_mesh(barrier: Barrier, height_at: Callable[[Points], Float64[np.ndarray, " _"]]) -> Mesh:
    """Mesh of a barrier in the world; ``height_at`` gives the height of the ground at points."""
    material = MATERIALS[barrier.kind]
    line = resample(barrier.xy_m, STEP_M)
    ground = height_at(line)
    half = barrier.thickness_m / 2
    if half == 0:
        return quads(_sheet(line, ground, barrier.height_m), material, barrier.rgb, barrier.seed, v0_m=-BELOW_M)
    normal = left_normals(line) * half
    rng = np.random.default_rng(barrier.seed)
    bumps = rng.normal(0, 0.06, len(line)) if barrier.kind == "hedge" else np.zeros(len(line))
    left, right = line + normal * (1 + 2 * bumps[:, None]), line - normal * (1 - 2 * bumps[:, None])
    height = barrier.height_m * (1 + bumps)
    sides = [_sheet(right, ground, height), _sheet(left[::-1], ground[::-1], height[::-1])]
    for end in (0, -1):
        pair = np.stack([left[end], right[end]]) if end == 0 else np.stack([right[end], left[end]])
        sides.append(_sheet(pair, ground[[end, end]], height[end]))
    walls = quads(np.concatenate(sides), material, barrier.rgb, barrier.seed, v0_m=-BELOW_M)
    return Mesh.join([walls, quads(_top(left, right, ground + height), material, barrier.rgb, barrier.seed)])


def _sheet(
    line: Float64[np.ndarray, "points 2"],
    ground_m: Float64[np.ndarray, " points"],
    height_m: float | Float64[np.ndarray, " points"],
) -> Float64[np.ndarray, "points-1 4 3"]:
    """Upright rectangles along a line, facing its right side."""
    low = np.concatenate([line, ground_m[:, None] - BELOW_M], axis=1)
    high = np.concatenate([line, (ground_m + height_m)[:, None]], axis=1)
    return np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1)


def _top(
    left: Float64[np.ndarray, "points 2"],
    right: Float64[np.ndarray, "points 2"],
    height_m: Float64[np.ndarray, " points"],
) -> Float64[np.ndarray, "points-1 4 3"]:
    a = np.concatenate([right, height_m[:, None]], axis=1)
    b = np.concatenate([left, height_m[:, None]], axis=1)
    return np.stack([a[:-1], a[1:], b[1:], b[:-1]], axis=1)
