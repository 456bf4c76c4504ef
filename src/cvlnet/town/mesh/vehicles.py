"""Cars, vans, trucks, buses and cyclists of few triangles. The origin is on the ground at the centre, +x ahead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64

from cvlnet.arrays import Corners, Points
from cvlnet.town.mesh.solids import block, disc, pole, prism, quads, triangles
from cvlnet.town.plan import Rgb
from cvlnet.town.scene import Material, Mesh
from cvlnet.town.streams import object_seed, pick
from cvlnet.town.style import one_of

# weighted below as cars are registered in Germany
PAINTS: dict[str, tuple[Rgb, ...]] = {
    "grey": ((150, 152, 156), (110, 112, 116), (178, 180, 182), (84, 86, 90)),
    "black": ((26, 26, 28), (36, 36, 40), (22, 24, 30)),
    "white": ((226, 227, 226), (214, 214, 210)),
    "blue": ((40, 62, 110), (58, 88, 140), (30, 40, 72)),
    "red": ((140, 26, 28), (110, 22, 30), (170, 40, 34)),
    "other": ((70, 84, 60), (120, 100, 76), (190, 160, 60), (180, 90, 40), (60, 100, 96)),
}
PAINT_SHARES = {"grey": 30.0, "black": 27.0, "white": 20.0, "blue": 10.0, "red": 8.0, "other": 5.0}
TRUCK_COLOURS: tuple[Rgb, ...] = ((220, 220, 216), (180, 40, 36), (40, 80, 140), (230, 190, 60), (120, 124, 126))
BUS_COLOURS: tuple[Rgb, ...] = ((220, 190, 60), (200, 40, 40), (226, 226, 222), (60, 110, 160))
CLOTHES: tuple[Rgb, ...] = ((60, 70, 96), (140, 50, 50), (44, 44, 48), (180, 176, 168), (90, 100, 70), (220, 200, 60))
DARK: Rgb = (24, 25, 27)
UNPAINTED: Rgb = (128, 128, 128)
TINTED: Rgb = (34, 38, 42)
LAMP, TAIL = (214, 214, 206), (120, 20, 18)


@dataclass(frozen=True)
class Shape:
    """Shape of a car: half length and width, then heights and positions along x in the side view."""

    half_length_m: float
    half_width_m: float
    hood_m: float  # height of the bonnet
    belt_m: float  # height of the windows' lower edge
    roof_m: float
    screen_foot_m: float  # x of the lower and upper ends of the windscreen and the rear window
    screen_top_m: float
    rear_top_m: float
    rear_foot_m: float
    wheel_m: float = 0.31


SHAPES: dict[str, Shape] = {
    "hatchback": Shape(2.05, 0.88, 0.86, 0.98, 1.47, 0.98, 0.32, -1.45, -1.95),
    "sedan": Shape(2.32, 0.90, 0.86, 0.98, 1.44, 0.92, 0.22, -1.05, -1.65),
    "estate": Shape(2.33, 0.90, 0.87, 0.99, 1.48, 0.95, 0.25, -1.95, -2.24),
    "suv": Shape(2.26, 0.94, 1.02, 1.14, 1.68, 0.98, 0.38, -1.75, -2.15, 0.36),
    "small": Shape(1.75, 0.82, 0.90, 1.00, 1.50, 1.05, 0.45, -1.30, -1.68, 0.29),
    "minivan": Shape(2.28, 0.92, 1.00, 1.10, 1.70, 1.45, 0.70, -1.95, -2.20),
}
SHAPE_SHARES = {"hatchback": 32.0, "sedan": 16.0, "estate": 20.0, "suv": 16.0, "small": 10.0, "minivan": 6.0}
VAN = Shape(2.65, 0.98, 1.15, 1.30, 1.98, 2.10, 1.45, -2.60, -2.65, 0.34)
BIG_VAN = Shape(3.0, 1.0, 1.25, 1.45, 2.55, 2.45, 1.75, -2.96, -3.0, 0.36)


def vehicle_mesh(kind: str, rng: np.random.Generator) -> Mesh:
    """Draw a vehicle: ``car``, ``van``, ``truck``, ``trailer``, ``bus`` or ``cyclist``."""
    makers: dict[str, Callable[[np.random.Generator], Mesh]] = {
        "car": lambda r: _car(SHAPES[pick(r, SHAPE_SHARES)], _paint(r), r, glazed=True),
        "van": _van,
        "truck": _truck,
        "trailer": _trailer,
        "bus": _bus,
        "cyclist": _cyclist,
    }
    return makers[kind](rng)


def _paint(rng: np.random.Generator) -> Rgb:
    return one_of(rng, PAINTS[pick(rng, PAINT_SHARES)], 5.0, 2.0)


def _car(shape: Shape, paint: Rgb, rng: np.random.Generator, *, glazed: bool) -> Mesh:
    """A painted car. glazed: with side and rear windows."""
    model, seed = _unpainted(shape, glazed), object_seed(rng)
    painted = (model.material == Material.CAR_PAINT)[:, None]
    rgb = np.where(painted, np.array(paint, np.uint8), model.rgb)
    return Mesh(model.xyz_m, model.uv_m, model.material, rgb, np.full(len(model), seed, np.uint32))


@lru_cache(maxsize=32)
def _unpainted(shape: Shape, glazed: bool) -> Mesh:
    """Body, cabin with inset windows, lights, wheels."""
    s, w, seed = shape, shape.half_width_m, 0
    side = np.array(
        [[-s.half_length_m + 0.08, 0.24], [s.half_length_m - 0.1, 0.24], [s.half_length_m, 0.5],
         [s.half_length_m - 0.06, s.hood_m - 0.14], [s.screen_foot_m, s.belt_m], [s.rear_foot_m, s.belt_m],
         [-s.half_length_m + 0.02, s.belt_m - 0.06], [-s.half_length_m, 0.5]]
    )  # fmt: skip
    foot = _across(s.rear_foot_m, s.screen_foot_m, w * 0.93)
    head = _across(s.rear_top_m, s.screen_top_m, w * 0.76)
    cabin = _frustum(foot, s.belt_m, head, s.roof_m)
    windows = _windows(cabin) if glazed else _windows(cabin)[:1]
    roof = np.concatenate([head, np.full((4, 1), s.roof_m)], axis=1)
    sill = _across(-s.half_length_m + 0.3, s.half_length_m - 0.3, w * 0.97)
    return Mesh.join(
        [
            _extruded(side, w, s.half_length_m, UNPAINTED, seed),
            prism(sill, 0.16, 0.3, Material.PLAIN, DARK, seed),
            quads(np.concatenate([cabin, roof[None]]), Material.CAR_PAINT, UNPAINTED, seed),
            quads(windows, Material.GLASS, TINTED, seed),
            _lights(s, seed),
            *_wheels(s.half_length_m * 0.6, w, s.wheel_m, seed),
        ]
    )


def _across(back_m: float, front_m: float, half_width_m: float) -> Corners:
    """A rectangle over the car's width, counter-clockwise from the back right."""
    x, y = (back_m, front_m), half_width_m
    return np.array([[x[0], -y], [x[1], -y], [x[1], y], [x[0], y]])


def _windows(cabin: Float64[np.ndarray, "4 4 3"]) -> Float64[np.ndarray, "6 4 3"]:
    """Panes just outside the cabin's sides: windscreen, rear window, two on each side."""
    right, front, left, back = cabin
    cuts = [(front, 0.05, 0.95), (back, 0.08, 0.92)]
    cuts += [(wall, low, high) for wall in (right, left) for low, high in ((0.07, 0.49), (0.54, 0.93))]
    panes = []
    for wall, low, high in cuts:
        bottom = [wall[0] + (wall[1] - wall[0]) * s for s in (low, high)]
        top = [wall[3] + (wall[2] - wall[3]) * s for s in (low, high)]
        pane = np.array([bottom[0], bottom[1], top[1], top[0]])
        pane[:2], pane[2:] = pane[:2] + 0.06 * (pane[[3, 2]] - pane[:2]), pane[2:] - 0.1 * (pane[2:] - pane[[1, 0]])
        outward = np.cross(pane[1] - pane[0], pane[3] - pane[0])
        panes.append(pane + 0.012 * outward / np.linalg.norm(outward))
    return np.array(panes)


def _extruded(profile: Points, half_width_m: float, half_length_m: float, rgb: Rgb, seed: int) -> Mesh:
    """A side view (x, z), counter-clockwise seen from the right, extruded to both sides; narrower at both ends."""
    n = len(profile)
    ends = np.clip(np.abs(profile[:, 0]) / half_length_m - 0.8, 0, 0.2) / 0.2
    width = half_width_m * (1 - 0.13 * ends) * np.where(profile[:, 1] > 0.6, 0.97, 1.0)
    right = np.stack([profile[:, 0], -width, profile[:, 1]], axis=-1)
    left = right * [1, -1, 1]
    fan = np.array([[0, i, i + 1] for i in range(1, n - 1)])
    sides = np.concatenate([right[fan], left[fan[:, ::-1]]])
    strip = np.stack([left, right, np.roll(right, -1, axis=0), np.roll(left, -1, axis=0)], axis=1)
    paint = Material.CAR_PAINT
    return Mesh.join([triangles(sides, sides[..., [0, 2]], paint, rgb, seed), quads(strip[1:], paint, rgb, seed)])


def _frustum(foot: Corners, low_m: float, head: Corners, high_m: float) -> Float64[np.ndarray, "4 4 3"]:
    """The four sides between two horizontal quadrilaterals: right, front, left, back."""
    a = np.concatenate([foot, np.full((4, 1), low_m)], axis=1)
    b = np.concatenate([head, np.full((4, 1), high_m)], axis=1)
    return np.stack([a, np.roll(a, -1, axis=0), np.roll(b, -1, axis=0), b], axis=1)


def _lights(s: Shape, seed: int) -> Mesh:
    def plates(x: float, z: float, y: float, width: float, rgb: Rgb, material: Material) -> Mesh:
        sides = []
        for sign in (1, -1):
            c, step = sign * y, width / 2
            sides.append([[x, c - step, z], [x, c + step, z], [x, c + step, z + 0.13], [x, c - step, z + 0.13]])
        return quads(np.array(sides), material, rgb, seed)

    w = s.half_width_m
    return Mesh.join(
        [
            plates(s.half_length_m + 0.005, 0.55, w - 0.3, 0.36, LAMP, Material.PLAIN),
            plates(-s.half_length_m - 0.005, 0.66, w - 0.26, 0.28, TAIL, Material.PLAIN),
            plates(-s.half_length_m - 0.01, 0.48, 0.13, 0.26, (210, 210, 204), Material.PLAIN),
        ]
    )


def _wheels(axle_m: float, half_width_m: float, radius_m: float, seed: int) -> list[Mesh]:
    tyre, hub = disc(radius_m, 8), disc(radius_m * 0.55, 6)
    parts = []
    for x in (-axle_m, axle_m):
        for side in (-1, 1):
            for ring, reach, material, rgb in (
                (tyre, 0.015, Material.TYRE, DARK),
                (hub, 0.025, Material.METAL, (140, 142, 146)),
            ):
                y = np.full(len(ring), side * (half_width_m + reach))
                rim = np.stack([x + ring[:, 0], y, radius_m + ring[:, 1]], axis=-1)
                fan = np.array([[0, i, i + 1] for i in range(1, len(ring) - 1)])
                corners = rim[fan if side < 0 else fan[:, ::-1]]
                parts.append(triangles(corners, corners[..., [0, 2]] - [x, radius_m], material, rgb, seed))
    return parts


def _van(rng: np.random.Generator) -> Mesh:
    paint: Rgb = (224, 224, 221) if rng.random() < 0.45 else _paint(rng)
    return _car(VAN if rng.random() < 0.5 else BIG_VAN, paint, rng, glazed=bool(rng.random() < 0.3))


def _truck(rng: np.random.Generator) -> Mesh:
    seed = object_seed(rng)
    paint, load = one_of(rng, TRUCK_COLOURS), one_of(rng, TRUCK_COLOURS)
    length = rng.uniform(5.0, 7.0)
    front = length / 2 + 1.0
    return Mesh.join(
        [
            block((length, 2.45, rng.uniform(2.2, 2.7)), (-1.1, 0.0), 0.95, Material.CAR_PAINT, load, seed),
            block((length + 1.6, 1.0, 0.35), (-0.3, 0.0), 0.6, Material.METAL, DARK, seed),
            block((1.9, 2.4, 1.0), (front - 0.5, 0.0), 0.5, Material.CAR_PAINT, paint, seed),
            prism(_across(front - 1.42, front + 0.4, 1.15), 1.5, 2.3, Material.GLASS, TINTED, seed,
                  top=Material.CAR_PAINT, top_rgb=paint),
            block((1.8, 2.35, 0.4), (front - 0.55, 0.0), 2.3, Material.CAR_PAINT, paint, seed),
            *_wheels(front - 0.9, 1.2, 0.48, seed),
        ]
    )  # fmt: skip


def _trailer(rng: np.random.Generator) -> Mesh:
    """A caravan, or a trailer with a tarpaulin."""
    seed = object_seed(rng)
    caravan = rng.random() < 0.5
    size = (5.2, 2.2, 2.1) if caravan else (2.4, 1.4, rng.uniform(0.5, 1.2))
    rgb: Rgb = (230, 230, 226) if caravan else one_of(rng, ((90, 92, 96), (50, 80, 130), (110, 110, 106)))
    return Mesh.join(
        [
            block(size, (0.0, 0.0), 0.5, Material.CAR_PAINT if caravan else Material.PLAIN, rgb, seed),
            block((1.2, 0.1, 0.1), (size[0] / 2 + 0.6, 0.0), 0.5, Material.METAL, DARK, seed),
            *_wheels(0.0, size[1] / 2, 0.3, seed)[:4],
        ]
    )


def _bus(rng: np.random.Generator) -> Mesh:
    seed, paint = object_seed(rng), one_of(rng, BUS_COLOURS)
    outline = _across(-6.0, 6.0, 1.26)
    panes = []
    for k in range(6):
        for sign in (1, -1):
            x, y = -5.7 + 1.9 * k, -1.27 * sign
            panes.append([[x, y, 1.2], [x + 1.7 * sign, y, 1.2], [x + 1.7 * sign, y, 2.4], [x, y, 2.4]])
            if sign < 0:
                panes[-1] = [[px + 1.7, py, pz] for px, py, pz in panes[-1]]
    for x, sign, low in ((6.01, 1, 1.0), (-6.01, -1, 1.5)):
        panes.append([[x, -1.15 * sign, low], [x, 1.15 * sign, low], [x, 1.15 * sign, 2.5], [x, -1.15 * sign, 2.5]])
    tail = np.array(
        [[[-6.02, y, 0.7], [-6.02, y - 0.3, 0.7], [-6.02, y - 0.3, 1.0], [-6.02, y, 1.0]] for y in (1.15, -0.85)]
    )
    return Mesh.join(
        [
            prism(outline, 0.32, 3.0, Material.CAR_PAINT, paint, seed, top=Material.PLAIN, top_rgb=(206, 206, 202)),
            quads(np.array(panes), Material.GLASS, TINTED, seed),
            quads(tail, Material.PLAIN, TAIL, seed),
            *_wheels(3.4, 1.26, 0.48, seed),
        ]
    )


def _cyclist(rng: np.random.Generator) -> Mesh:
    seed = object_seed(rng)
    jacket, trousers = one_of(rng, CLOTHES), one_of(rng, CLOTHES)
    wheels = []
    for x in (-0.52, 0.52):
        for material, radius in ((Material.TYRE, 0.34),):
            ring = disc(radius, 10)
            rim = np.stack([x + ring[:, 0], np.zeros(10), radius + ring[:, 1]], axis=-1)
            inner = np.stack([x + ring[:, 0] * 0.86, np.zeros(10), radius + ring[:, 1] * 0.86], axis=-1)
            strip = np.stack([rim, np.roll(rim, -1, axis=0), np.roll(inner, -1, axis=0), inner], axis=1)
            wheels.append(quads(strip, material, DARK, seed))
    head = pole(0.11, 1.52, 1.76, Material.PLAIN, (176, 140, 120), seed, 6)
    return Mesh.join(
        [
            *wheels,
            block((0.9, 0.05, 0.06), (0.0, 0.0), 0.6, Material.METAL, (70, 74, 90), seed),
            block((0.05, 0.5, 0.05), (0.45, 0.0), 1.0, Material.METAL, DARK, seed),
            block((0.26, 0.3, 0.5), (-0.12, 0.0), 0.5, Material.PLAIN, trousers, seed),
            block((0.3, 0.42, 0.56), (-0.05, 0.0), 0.97, Material.PLAIN, jacket, seed),
            block((0.5, 0.5, 0.1), (0.15, 0.0), 1.2, Material.PLAIN, jacket, seed),
            head.moved((0.08, 0.0, 0.0), 0.0),
        ]
    )
