"""Items along the streets: parked cars, bays, trees, lamps, signs, traffic lights, bus stops."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64
from shapely.geometry import Point, Polygon

from cvlnet.arrays import Points
from cvlnet.town.curves import cut, length_m, offset, points_at, ribbon, yaws_rad
from cvlnet.town.layout.greenery import plant
from cvlnet.town.layout.junctions import Ends, between_junctions, from_node
from cvlnet.town.plan import SIDES, CarKind, Item, Marking, Network, Patch, Prop, Rgb, Road, Side, Spot, Surface
from cvlnet.town.streams import chance, object_seed
from cvlnet.town.style import Style, varied

SPOT_M = 5.9  # along the kerb
FREE_M = 6.0  # without parked cars, next to a junction
KERB_KINDS: tuple[CarKind, ...] = ("car",) * 30 + ("van", "van", "trailer")
POLE: Rgb = (112, 118, 116)
MAST: Rgb = (92, 96, 92)
SIGN: Rgb = (190, 40, 40)
BOLLARD: Rgb = (64, 66, 68)


def street_side(network: Network, ends: Ends, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """Items beside the lanes of all roads, and at the junctions."""
    occupied: dict[int, float] = {}
    for i, road in enumerate(network.roads):
        xy = between_junctions(network, ends, i)
        if xy is None:
            continue
        share = occupied.setdefault(road.street, float(np.clip(rng.normal(0.62, 0.2), 0.15, 0.95)))
        for sign, side in SIDES:
            parking_m = road.profile.parking_left_m if side == "left" else road.profile.parking_right_m
            if parking_m > 0 and length_m(xy) > 2 * FREE_M + SPOT_M:
                strip = cut(xy, FREE_M, length_m(xy) - FREE_M)
                yield from _standing(strip, road, sign, side, parking_m, share, style, rng)
            elif road.profile.trees:
                yield from _trees(xy, road, sign, side, style, rng)
            yield from _furniture(xy, road, sign, side, rng)
        if road.profile.median_m > 0:
            yield from _median(xy, road, style, rng)
    for n, node in enumerate(network.nodes):
        for r in node.roads:
            yield from _at_junction(network, ends, r, n, rng)


def _line_at(
    xy: Float64[np.ndarray, "points 2"], sign: int, out_m: float
) -> tuple[Float64[np.ndarray, "points 2"], Float64[np.ndarray, " points"]]:
    """A line parallel to the road on one side, with the driving direction of that side at its points."""
    line = offset(xy, sign * out_m)
    return line, yaws_rad(line) + (np.pi if sign > 0 else 0.0)


def _at(
    line: Float64[np.ndarray, "points 2"], yaws: Float64[np.ndarray, " points"], s: float
) -> tuple[tuple[float, float], float]:
    place = points_at(line, s)
    nearest = int(np.argmin(np.hypot(*(line - place).T)))
    return (float(place[0]), float(place[1])), float(yaws[nearest])


def _standing(
    strip: Points, road: Road, sign: int, side: Side, parking_m: float, share: float, style: Style,
    rng: np.random.Generator,
) -> Iterator[Item]:  # fmt: skip
    """Spots along the kerb; bays have their own paving, and trees between them."""
    middle = road.profile.kerb_m(side) - parking_m / 2
    line, yaws = _line_at(strip, sign, middle)
    length = length_m(line)
    if road.profile.bays:
        paved = (Surface.PAVERS, Surface.COBBLES, Surface.SLABS)[road.street % 3]
        half = parking_m / 2
        yield Patch(ribbon(line, half, half), paved, varied(rng, style.pavement, 8.0, 1.0), float(yaws[0]), "road")
        yield Marking(offset(line, -sign * (half - 0.06)), 0.12, 0.7)
    elif road.street % 4 == 0:
        yield Marking(offset(line, -sign * parking_m / 2), 0.12, 0.75)
    every = int(rng.integers(3, 6))
    for k, s in enumerate(np.arange(SPOT_M / 2, length - SPOT_M / 2, SPOT_M)):
        place, yaw = _at(line, yaws, s)
        if road.profile.bays and road.profile.trees and k % every == every - 1:
            pit = Point(place).buffer(1.0, cap_style="square")
            yield Patch(pit, Surface.SOIL, (104, 92, 72), yaw, "road")
            yield plant(rng, place, "broadleaf", style.avenue, rng.uniform(0.75, 1.0))
            continue
        turn = np.pi if chance(rng, 0.12) else 0.0
        wander = np.array([np.cos(yaw), np.sin(yaw)]) * rng.normal(0, 0.25) + np.array(
            [-np.sin(yaw), np.cos(yaw)]
        ) * rng.normal(0, 0.05)
        yield Spot(
            (place[0] + wander[0], place[1] + wander[1]), float(yaw + turn + rng.normal(0, 0.015)), share, KERB_KINDS
        )


def _trees(xy: Points, road: Road, sign: int, side: Side, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """A row of trees on the verge, or in pits of the pavement."""
    p = road.profile
    out = p.kerb_m(side) + (p.verge_m / 2 if p.verge_m > 0 else 0.8)
    if p.verge_m == 0 and p.pavement_m < 2.0:
        return
    line, yaws = _line_at(xy, sign, out)
    spacing = rng.uniform(8, 14)
    size = rng.uniform(0.7, 1.15)
    for s in np.arange(rng.uniform(2, 8), length_m(line) - 2, spacing):
        if chance(rng, 0.12):
            continue
        place, yaw = _at(line, yaws, s + rng.normal(0, 0.3))
        if p.verge_m == 0:
            pit = Polygon(np.array([[-0.7, -0.7], [0.7, -0.7], [0.7, 0.7], [-0.7, 0.7]]) + place)
            yield Patch(pit, Surface.SOIL, (100, 88, 70), yaw, "pavement")
        yield plant(
            rng, place, "broadleaf" if chance(rng, 0.9) else "young", style.avenue, size * rng.uniform(0.85, 1.1)
        )


def _furniture(xy: Points, road: Road, sign: int, side: Side, rng: np.random.Generator) -> Iterator[Item]:
    p = road.profile
    line, yaws = _line_at(xy, sign, p.kerb_m(side) + 0.45)
    length = length_m(line)
    to_road = -sign * np.pi / 2 if sign < 0 else np.pi / 2  # from the driving direction to the road's centre
    lamps = sign > 0 if p.kind in ("residential", "lane") else True
    if lamps:
        name = "lamp" if p.kind in ("main", "collector") else "short_lamp"
        for s in np.arange(rng.uniform(4, 15), length - 2, rng.uniform(24, 32)):
            place, yaw = _at(line, yaws, s)
            yield Prop(name, place, yaw + abs(to_road), POLE, object_seed(rng))
    if p.tram:
        for s in np.arange(8.0, length - 2, 30.0):
            place, yaw = _at(line, yaws, s)
            yield Prop("mast", place, yaw + np.pi / 2, MAST, object_seed(rng))
    for _ in range(rng.poisson(length / 55)):
        place, yaw = _at(line, yaws, rng.uniform(1, max(1.5, length - 1)))
        name = ("sign", "sign", "bin", "bollard", "bollard", "sign")[int(rng.integers(6))]
        colour: Rgb = {"sign": SIGN, "bin": (70, 80, 70), "bollard": BOLLARD}[name]
        yield Prop(name, place, yaw + np.pi, colour, object_seed(rng))
    if p.kind in ("residential", "lane") and chance(rng, 0.35):
        behind, turned = _line_at(xy, sign, p.border_m(side) - 0.35)
        for _ in range(int(rng.integers(2, 7))):
            place, yaw = _at(behind, turned, rng.uniform(1, max(1.5, length_m(behind) - 1)))
            yield Prop(
                "bin", place, yaw, ((50, 52, 54), (60, 90, 60), (40, 70, 120))[int(rng.integers(3))], object_seed(rng)
            )
    if p.kind == "main" and p.pavement_m > 2.6 and chance(rng, 0.2):
        place, yaw = _at(*_line_at(xy, sign, p.border_m(side) - 0.9), rng.uniform(2, max(2.5, length - 2)))
        yield Prop("column", place, yaw, SIGN, object_seed(rng))
    if p.kind in ("main", "collector") and p.pavement_m > 2.4 and length > 70 and chance(rng, 0.25):
        yield from _bus_stop(xy, road, sign, side, rng)


def _bus_stop(xy: Points, road: Road, sign: int, side: Side, rng: np.random.Generator) -> Iterator[Item]:
    p = road.profile
    s = length_m(xy) * rng.uniform(0.3, 0.7)
    line, yaws = _line_at(xy, sign, p.border_m(side) - 1.0)
    place, yaw = _at(line, yaws, s)
    yield Prop("shelter", place, yaw + np.pi / 2, (60, 90, 150), object_seed(rng))
    kerb, kerb_yaws = _line_at(xy, sign, p.kerb_m(side) + 0.4)
    pole, pole_yaw = _at(kerb, kerb_yaws, s + 5)
    yield Prop("sign", pole, pole_yaw + np.pi, (220, 190, 40), object_seed(rng))
    zigzag = cut(offset(xy, sign * (p.driven_half_m - 0.4)), max(0.0, s - 12), min(length_m(xy), s + 12))
    sway = np.where(np.arange(len(zigzag)) % 2 == 0, 0.0, -sign * 0.9)
    yield Marking(offset(zigzag, sway), 0.12, 0.8)


def _median(xy: Points, road: Road, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    if road.profile.tram or not road.profile.trees:
        return
    for s in np.arange(6.0, length_m(xy) - 5, rng.uniform(9, 15)):
        x, y = points_at(xy, s)
        yield plant(
            rng, (float(x), float(y)), "broadleaf" if road.profile.median_m > 2.8 else "bush", style.avenue, 0.8
        )


def _at_junction(network: Network, ends: Ends, r: int, n: int, rng: np.random.Generator) -> Iterator[Item]:
    """Traffic lights and give-way signs, to the right of approaching cars."""
    end, road = ends[r, n], network.roads[r]
    if end.control == "none" or len(network.nodes[n].roads) < 3 or length_m(road.xy_m) < end.trim_m + 8:
        return
    leaving = from_node(network, r, n)
    side: Side = "left" if road.start == n else "right"  # the right of approaching cars, seen along the road
    line = offset(leaving, road.profile.kerb_m(side) + 0.6)
    yaws = yaws_rad(leaving)
    for name, share, colour in (("signal", 1.0, (70, 90, 80)), ("sign", 0.8, SIGN)):
        wanted = {"signal": "signal", "sign": "yield"}[name]
        if end.control == wanted and chance(rng, share):
            at_m = end.trim_m + (6.5 if name == "signal" else 0.5)
            place, yaw = _at(line, yaws, at_m)
            yield Prop(name, place, yaw, colour, object_seed(rng))
