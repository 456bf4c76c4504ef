"""Roofs on four corners. Heights are above the building's ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from cvlnet.arrays import Corners, Xy
from cvlnet.town.mesh.solids import quads, triangles
from cvlnet.town.plan import Building
from cvlnet.town.scene import Material, Mesh

PARAPET_M = 0.35
RIM_M = 0.3  # width of the parapet
MANSARD_INSET_M = 1.0
TOOTH_M = 7.0  # of a sawtooth roof


@dataclass(frozen=True)
class Roof:
    """A roof.

    faces: its plane faces, with the first side along the eaves. mesh: all its triangles, including gables.
    """

    faces: Float64[np.ndarray, "faces 4 3"]
    mesh: Mesh


def make_roof(b: Building) -> Roof:
    """Make the roof of a building."""
    corners = b.corners_m if b.ridge_along_front else np.roll(b.corners_m, -1, axis=0)
    makers = {
        "gable": _gable, "hip": _hip, "flat": _flat, "shed": _shed, "mansard": _mansard, "sawtooth": _sawtooth,
    }  # fmt: skip
    return makers[b.roof](b, corners)


def lifted(xy_m: Float64[np.ndarray, "*places 2"], z_m: float) -> Float64[np.ndarray, "*places 3"]:
    """Points in the plane, at a height."""
    return np.concatenate([xy_m, np.full((*xy_m.shape[:-1], 1), z_m)], axis=-1)


def _ridge(corners: Corners) -> tuple[Xy, Xy, float, Xy]:
    """Left and right end of the ridge, half the span, unit direction of the ridge."""
    left, right = (corners[0] + corners[3]) / 2, (corners[1] + corners[2]) / 2
    half = float(np.hypot(*(corners[0] - corners[3])) + np.hypot(*(corners[1] - corners[2]))) / 4
    return left, right, half, (right - left) / max(float(np.hypot(*(right - left))), 1e-6)


def _gable(b: Building, c: Corners) -> Roof:
    left, right, half, along = _ridge(c)
    top = b.eaves_m + b.rise_m
    side = 0.0 if b.party_walls else b.overhang_m
    drop = b.overhang_m * b.rise_m / half
    out_front, out_back = _outward(c[0], c[3]) * b.overhang_m, _outward(c[3], c[0]) * b.overhang_m
    l3, r3 = lifted(left - along * side, top), lifted(right + along * side, top)
    front = [
        lifted(c[0] - along * side + out_front, b.eaves_m - drop),
        lifted(c[1] + along * side + out_front, b.eaves_m - drop),
        r3,
        l3,
    ]
    back = [
        lifted(c[2] + along * side + out_back, b.eaves_m - drop),
        lifted(c[3] - along * side + out_back, b.eaves_m - drop),
        l3,
        r3,
    ]
    faces = np.array([front, back])
    gables = np.array(
        [
            [lifted(c[1], b.eaves_m), lifted(c[2], b.eaves_m), lifted(right, top)],
            [lifted(c[3], b.eaves_m), lifted(c[0], b.eaves_m), lifted(left, top)],
        ]
    )
    v = gables[..., 2]
    u = np.linalg.norm(gables[..., :2] - gables[:, :1, :2], axis=2)
    wall = Material.PLAIN if b.party_walls else b.wall
    ends = triangles(gables, np.stack([u, v], axis=-1), wall, b.wall_rgb, b.seed)
    return Roof(faces, Mesh.join([quads(faces, b.covering, b.roof_rgb, b.seed), ends]))


def _outward(a: Xy, across: Xy) -> Xy:
    """Unit vector from ``across`` to ``a``."""
    return np.asarray((a - across) / max(float(np.hypot(*(a - across))), 1e-6))


def _hip(b: Building, c: Corners) -> Roof:
    left, right, half, along = _ridge(c)
    length = float(np.hypot(*(right - left)))
    inset = min(half, length * 0.48)
    grown = _grown(c, b.overhang_m)
    low = b.eaves_m - b.overhang_m * b.rise_m / half
    l3, r3 = lifted(left + along * inset, b.eaves_m + b.rise_m), lifted(right - along * inset, b.eaves_m + b.rise_m)
    g = lifted(grown, low)
    faces = np.array([[g[0], g[1], r3, l3], [g[2], g[3], l3, r3], [g[1], g[2], r3, r3], [g[3], g[0], l3, l3]])
    return Roof(faces[:2], quads(faces, b.covering, b.roof_rgb, b.seed))


def _grown(c: Corners, by_m: float) -> Corners:
    """The corners moved outwards by ``by_m`` along both of their sides."""
    before, after = np.roll(c, 1, axis=0), np.roll(c, -1, axis=0)
    out = [_outward(c[i], before[i]) + _outward(c[i], after[i]) for i in range(4)]
    return c + np.array(out) * by_m


def _flat(b: Building, c: Corners) -> Roof:
    z = b.eaves_m
    deck = quads(lifted(c, z)[None], b.covering, b.roof_rgb, b.seed)
    if b.rise_m == 0:
        return Roof(lifted(c, z)[None], deck)
    inner = _grown(c, -RIM_M)
    rim = np.stack([c, np.roll(c, -1, axis=0), np.roll(inner, -1, axis=0), inner], axis=1)
    light = tuple(int(min(255, 40 + 0.8 * v)) for v in b.roof_rgb)
    edge = quads(lifted(rim, z + PARAPET_M), Material.ROOF_METAL, light, b.seed)  # type: ignore[arg-type]
    following = np.roll(c, -1, axis=0)
    upstand = np.stack(
        [lifted(c, z), lifted(following, z), lifted(following, z + PARAPET_M), lifted(c, z + PARAPET_M)], axis=1
    )
    band = quads(upstand, Material.PLAIN, b.wall_rgb, b.seed)
    return Roof(lifted(inner, z)[None], Mesh.join([deck, edge, band]))


def _shed(b: Building, c: Corners) -> Roof:
    grown = _grown(c, b.overhang_m)
    low, high = b.eaves_m, b.eaves_m + b.rise_m
    face = np.array([[lifted(grown[0], low), lifted(grown[1], low), lifted(grown[2], high), lifted(grown[3], high)]])
    sides = np.array(
        [
            [lifted(c[1], low), lifted(c[2], low), lifted(c[2], high)],
            [lifted(c[3], low), lifted(c[0], low), lifted(c[3], high)],
        ]
    )
    back = np.array([[lifted(c[2], low), lifted(c[3], low), lifted(c[3], high), lifted(c[2], high)]])
    walls = [
        triangles(sides, sides[..., 1:], Material.PLAIN, b.wall_rgb, b.seed),
        quads(back, Material.PLAIN, b.wall_rgb, b.seed),
    ]
    return Roof(face, Mesh.join([quads(face, b.covering, b.roof_rgb, b.seed), *walls]))


def _mansard(b: Building, c: Corners) -> Roof:
    steep_m = min(2.6, b.rise_m * 0.7)
    inset = MANSARD_INSET_M / max(float(np.hypot(*(c[0] - c[3]))), 1.0)
    mid = c.copy()
    mid[0], mid[3] = c[0] + (c[3] - c[0]) * inset, c[3] + (c[0] - c[3]) * inset
    mid[1], mid[2] = c[1] + (c[2] - c[1]) * inset, c[2] + (c[1] - c[2]) * inset
    low, kink = lifted(c, b.eaves_m), lifted(mid, b.eaves_m + steep_m)
    steep = np.array([[low[0], low[1], kink[1], kink[0]], [low[2], low[3], kink[3], kink[2]]])
    ends = np.array([[low[1], low[2], kink[2], kink[1]], [low[3], low[0], kink[0], kink[3]]])
    left, right, _, _ = _ridge(mid)
    top = b.eaves_m + b.rise_m
    flat = np.array(
        [
            [kink[0], kink[1], lifted(right, top), lifted(left, top)],
            [kink[2], kink[3], lifted(left, top), lifted(right, top)],
        ]
    )
    gable = np.array([[kink[1], kink[2], lifted(right, top)], [kink[3], kink[0], lifted(left, top)]])
    wall = Material.PLAIN if b.party_walls else b.wall
    return Roof(
        steep,
        Mesh.join(
            [
                quads(np.concatenate([steep, flat]), b.covering, b.roof_rgb, b.seed),
                quads(ends, wall, b.wall_rgb, b.seed, v0_m=b.eaves_m),
                triangles(gable, gable[..., 1:], Material.BARE_WALL, b.wall_rgb, b.seed),
            ]
        ),
    )


def _sawtooth(b: Building, c: Corners) -> Roof:
    left, right, _, _ = _ridge(c)
    count = max(2, round(float(np.hypot(*(right - left))) / TOOTH_M))
    slopes, lights, cheeks = [], [], []
    for i in range(count):
        s, t = i / count, (i + 1) / count
        a0, a1 = c[0] + (c[1] - c[0]) * s, c[0] + (c[1] - c[0]) * t
        d0, d1 = c[3] + (c[2] - c[3]) * s, c[3] + (c[2] - c[3]) * t
        low, high = b.eaves_m, b.eaves_m + b.rise_m
        slopes.append([lifted(d0, low), lifted(a0, low), lifted(a1, high), lifted(d1, high)])
        lights.append([lifted(a1, low), lifted(d1, low), lifted(d1, high), lifted(a1, high)])
        cheeks += [
            [lifted(a0, low), lifted(a1, low), lifted(a1, high)],
            [lifted(d1, low), lifted(d0, low), lifted(d1, high)],
        ]
    sides = np.array(cheeks)
    return Roof(
        np.array(slopes),
        Mesh.join(
            [
                quads(np.array(slopes), b.covering, b.roof_rgb, b.seed),
                quads(np.array(lights), Material.GLASS, (150, 160, 166), b.seed),
                triangles(sides, sides[..., 1:], Material.PLAIN, b.wall_rgb, b.seed),
            ]
        ),
    )
