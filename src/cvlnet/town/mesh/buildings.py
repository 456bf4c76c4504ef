"""Buildings as triangles: walls, roofs, roof structures, balconies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64

from cvlnet.arrays import Corners
from cvlnet.town.mesh.roofs import Roof, lifted, make_roof
from cvlnet.town.mesh.solids import prism, quads, wall
from cvlnet.town.plan import Building, Rgb
from cvlnet.town.scene import Material, Mesh
from cvlnet.town.streams import chance

FOUNDATION_M = 0.7  # walls continue this far below the ground
FLOOR_M = 2.9
BRICK: Rgb = (128, 84, 70)
PANEL: Rgb = (34, 42, 66)
ROOF_WINDOW: Rgb = (96, 106, 116)
SKYLIGHT: Rgb = (206, 212, 214)
MACHINE: Rgb = (176, 178, 178)


def building_mesh(b: Building, ground_m: float) -> Mesh:
    """Mesh of a building in the world, on ground of the given height."""
    rng = np.random.default_rng(b.seed)
    roof = make_roof(b)
    parts = [*_walls(b), roof.mesh, *_on_roof(b, roof, rng), *_balconies(b)]
    return Mesh.join(parts).moved((0.0, 0.0, ground_m), 0.0)


def _walls(b: Building) -> Iterator[Mesh]:
    for i in range(4):
        a, c = b.corners_m[i], b.corners_m[(i + 1) % 4]
        material = Material.PLAIN if b.party_walls and i in (1, 3) else b.wall
        if material is Material.SHOP_FACADE and i != 0:
            material = Material.PLASTER_FACADE
        yield wall(a, c, -FOUNDATION_M, b.eaves_m, material, b.wall_rgb, b.seed)


def _on_roof(b: Building, roof: Roof, rng: np.random.Generator) -> Iterator[Mesh]:
    area = float(np.hypot(*(b.corners_m[1] - b.corners_m[0])) * np.hypot(*(b.corners_m[2] - b.corners_m[1])))
    if area < 45:
        return
    if b.roof in ("gable", "hip", "mansard"):
        yield from _chimneys(b, roof, rng)
        if b.covering is Material.ROOF_TILES or b.covering is Material.ROOF_METAL:
            yield from _openings(b, roof, rng)
    if b.roof == "flat" and b.rise_m > 0:
        yield from _machines(b, roof, rng, area)


def _on_face(face: Float64[np.ndarray, "4 3"], s: float, t: float, lift_m: float) -> Float64[np.ndarray, " 3"]:
    """The point at the fractions ``s`` along and ``t`` up a roof face, raised above it by ``lift_m``."""
    low, high = face[0] + (face[1] - face[0]) * s, face[3] + (face[2] - face[3]) * s
    normal = np.cross(face[1] - face[0], face[3] - face[0])
    return np.asarray(low + (high - low) * t + normal / max(float(np.linalg.norm(normal)), 1e-9) * lift_m)


def _plate(
    face: Float64[np.ndarray, "4 3"], s0: float, s1: float, t0: float, t1: float, lift_m: float
) -> Float64[np.ndarray, "4 3"]:
    return np.array([_on_face(face, s, t, lift_m) for s, t in ((s0, t0), (s1, t0), (s1, t1), (s0, t1))])


def _chimneys(b: Building, roof: Roof, rng: np.random.Generator) -> Iterator[Mesh]:
    top = b.eaves_m + b.rise_m
    for _ in range(int(rng.integers(0, 3)) if len(roof.faces) else 0):
        face = roof.faces[int(rng.integers(min(2, len(roof.faces))))]
        at = _on_face(face, rng.uniform(0.15, 0.85), rng.uniform(0.7, 0.95), 0.0)
        size = rng.uniform(0.3, 0.55)
        along = (face[1] - face[0])[:2] / max(float(np.hypot(*(face[1] - face[0])[:2])), 1e-6)
        across = np.array([-along[1], along[0]])
        outline = np.array(
            [at[:2] + along * x + across * y for x, y in ((-size, -0.3), (size, -0.3), (size, 0.3), (-size, 0.3))]
        )
        yield prism(outline, at[2] - 0.8, top + rng.uniform(0.4, 0.9), Material.PLAIN, BRICK, b.seed)


def _openings(b: Building, roof: Roof, rng: np.random.Generator) -> Iterator[Mesh]:
    """Solar panels, dormers or roof windows on the main faces of a roof."""
    for face in roof.faces[:2]:
        length = float(np.linalg.norm(face[1] - face[0]))
        slope = float(np.linalg.norm(face[3] - face[0]))
        if slope < 3 or length < 5:
            continue
        kind = rng.random()
        if kind < 0.16:
            s0, s1 = np.sort(rng.uniform(0.08, 0.92, 2))
            t0, t1 = rng.uniform(0.12, 0.3), rng.uniform(0.6, 0.88)
            if (s1 - s0) * length > 2:
                yield quads(_plate(face, s0, s1, t0, t1, 0.1)[None], Material.SOLAR, PANEL, b.seed)
        elif kind < 0.42 and b.roof != "hip":
            count = max(1, int(length / rng.uniform(3.5, 6)))
            for i in range(count):
                yield from _dormer(b, face, (i + 0.5) / count, length)
        elif kind < 0.8:
            for _ in range(int(rng.integers(1, max(2, int(length / 4))))):
                s, t = rng.uniform(0.08, 0.85), rng.uniform(0.25, 0.6)
                plate = _plate(face, s, s + 0.8 / length, t, t + 1.2 / slope, 0.06)
                yield quads(plate[None], Material.GLASS, ROOF_WINDOW, b.seed)


def _dormer(b: Building, face: Float64[np.ndarray, "4 3"], s: float, length_m: float) -> Iterator[Mesh]:
    half = 0.75 / length_m
    foot0, foot1 = _on_face(face, s - half, 0.22, 0.0), _on_face(face, s + half, 0.22, 0.0)
    back0, back1 = _on_face(face, s - half, 0.75, 0.0), _on_face(face, s + half, 0.75, 0.0)
    z = foot0[2] + min(1.5, 0.85 * (back0[2] - foot0[2]))
    rise = (z - foot0[2]) / max(back0[2] - foot0[2], 1e-6)
    meet0, meet1 = foot0 + (back0 - foot0) * rise, foot1 + (back1 - foot1) * rise
    head0, head1 = np.array([*foot0[:2], z]), np.array([*foot1[:2], z])
    yield quads(np.array([[foot0, foot1, head1, head0]]), Material.GLASS, ROOF_WINDOW, b.seed)
    cheeks = np.array([[meet0, foot0, head0, head0], [foot1, meet1, meet1, head1]])
    yield quads(cheeks, Material.PLAIN, b.wall_rgb, b.seed)
    out = (foot0 - back0) * [1, 1, 0] * 0.08
    eaves = np.array([0.0, 0.0, 0.25])
    lid = np.array([[head0 + out, head1 + out, meet1 + eaves, meet0 + eaves]])
    yield quads(lid, b.covering, b.roof_rgb, b.seed)


def _machines(b: Building, roof: Roof, rng: np.random.Generator, area_m2: float) -> Iterator[Mesh]:
    """Structures on a flat roof: rows of skylights, ventilation units, a lift house, solar panels."""
    deck = roof.faces[0]
    frame = (deck[1] - deck[0])[:2], (deck[3] - deck[0])[:2]
    size = float(np.hypot(*frame[0])), float(np.hypot(*frame[1]))

    def outline(s: float, t: float, length: float, width: float) -> Corners:
        at = deck[0][:2] + frame[0] * s + frame[1] * t
        u, v = frame[0] / size[0] * length / 2, frame[1] / size[1] * width / 2
        return np.array([at - u - v, at + u - v, at + u + v, at - u + v])

    z = b.eaves_m
    if area_m2 > 500 and chance(rng, 0.7):
        rows, cols = max(1, int(size[1] / rng.uniform(9, 14))), max(1, int(size[0] / rng.uniform(8, 16)))
        shape = rng.uniform((1.2, 1.2), (2.2, 4.5))
        for i in range(min(rows * cols, 60)):
            spot = outline((i % cols + 0.5) / cols, (i // cols + 0.5) / rows, shape[0], shape[1])
            yield prism(spot, z, z + 0.45, Material.PLAIN, SKYLIGHT, b.seed)
    for _ in range(rng.poisson(min(6.0, area_m2 / 180))):
        spot = outline(*rng.uniform((0.12, 0.12, 0.7, 0.7), (0.88, 0.88, 2.6, 2.6)))
        yield prism(spot, z, z + rng.uniform(0.5, 1.6), Material.ROOF_METAL, MACHINE, b.seed)
    if b.eaves_m > 8 and area_m2 > 120:
        lift = outline(rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7), 3.2, 2.8)
        yield prism(lift, z, z + 2.2, Material.PLAIN, b.wall_rgb, b.seed, top=Material.ROOF_FLAT, top_rgb=b.roof_rgb)
    if chance(rng, 0.2):
        rows = max(1, int(size[1] * 0.5 / 2.2))
        for i in range(min(rows, 14)):
            panel = lifted(outline(0.5, 0.25 + 0.5 * (i + 0.5) / rows, size[0] * 0.6, 1.2), z + 0.25)
            panel[2:, 2] += 0.45
            yield quads(panel[None], Material.SOLAR, PANEL, b.seed)


def _balconies(b: Building) -> Iterator[Mesh]:
    """Columns of balconies along the back."""
    if b.balconies == 0:
        return
    a, c = b.corners_m[2], b.corners_m[3]
    length = float(np.hypot(*(c - a)))
    along = (c - a) / length
    out = np.array([along[1], -along[0]])
    floors = int(b.eaves_m / FLOOR_M)
    for i in range(b.balconies):
        start, end = (
            a + along * (length * (i + 0.5) / b.balconies - 1.7),
            a + along * (length * (i + 0.5) / b.balconies + 1.7),
        )
        outline = np.array([start + out * 1.5, end + out * 1.5, end, start])
        for floor in range(1, floors):
            z = floor * FLOOR_M
            yield prism(outline, z, z + 1.0, Material.PLAIN, tuple(int(v * 0.9) for v in b.wall_rgb), b.seed,  # type: ignore[arg-type]
                        top=Material.PLAIN, top_rgb=(120, 116, 110))  # fmt: skip
