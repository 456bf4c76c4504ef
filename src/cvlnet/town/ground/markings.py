"""Road markings by the German rules: lane lines, stop lines, crossings, arrows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64

from cvlnet.arrays import Points, Xy
from cvlnet.town.curves import cut, dashes, length_m, offset, points_at, resample
from cvlnet.town.layout.junctions import Ends, between_junctions
from cvlnet.town.plan import Marking, Network, Profile, Surface
from cvlnet.town.streams import chance

NARROW_M, WIDE_M = 0.12, 0.25
DASH_M, GAP_M = 3.0, 6.0
BEFORE_JUNCTION_M = 20.0  # length of the solid centre line
STOP_LINE_M = 0.5
ZEBRA_STRIPE_M, ZEBRA_DEPTH_M = 0.5, 4.0
FORD_M = 4.0  # between the two dashed lines of a crossing at traffic lights
ARROW_EVERY_M = 22.0


def road_markings(network: Network, ends: Ends, rng: np.random.Generator) -> Iterator[Marking]:
    """Markings of all roads."""
    marked: dict[int, bool] = {}
    for i, road in enumerate(network.roads):
        profile = road.profile
        if profile.surface is not Surface.ASPHALT:
            continue
        strength = float(rng.uniform(0.65, 1.0))
        lined = marked.setdefault(road.street, _has_centre_line(profile, rng))
        through = between_junctions(network, ends, i, pass_through=True)
        inner = between_junctions(network, ends, i)
        if through is not None and lined:
            yield from _lines_along(through, profile, strength)
        if inner is not None:
            yield from _at_ends(network, ends, i, inner, strength, rng)


def _has_centre_line(profile: Profile, rng: np.random.Generator) -> bool:
    return profile.kind == "main" or (profile.kind == "collector" and chance(rng, 0.75)) or chance(rng, 0.06)


def _lines_along(xy: Points, profile: Profile, strength: float) -> Iterator[Marking]:
    length = length_m(xy)
    if profile.median_m == 0:
        solid_m = min(BEFORE_JUNCTION_M, length / 4)
        for piece in dashes(cut(xy, solid_m, length - solid_m), DASH_M, GAP_M):
            yield Marking(piece, NARROW_M, strength)
        if profile.kind == "main":
            yield Marking(cut(xy, 0.0, solid_m), NARROW_M, strength)
            yield Marking(cut(xy, length - solid_m, length), NARROW_M, strength)
    for sign in (1, -1):
        for lane in range(1, profile.lanes):
            between = profile.driven_half_m - lane * profile.lane_m
            for piece in dashes(offset(xy, sign * between), DASH_M, GAP_M):
                yield Marking(piece, NARROW_M, strength)
        if profile.cycle_m > 0:
            edge = offset(xy, sign * profile.driven_half_m)
            pieces = dashes(edge, 1.0, 1.0) if profile.lanes == 1 else [edge]
            for piece in pieces:
                yield Marking(piece, WIDE_M if len(pieces) == 1 else NARROW_M, strength)
        elif profile.kind == "main" and profile.verge_m > 0:
            yield Marking(offset(xy, sign * (profile.driven_half_m - 0.2)), NARROW_M, strength)


def _at_ends(
    network: Network, ends: Ends, index: int, inner: Points, strength: float, rng: np.random.Generator
) -> Iterator[Marking]:
    """Markings across the lanes, and arrows, before each of a road's junctions."""
    road = network.roads[index]
    for node in (road.start, road.end):
        leaving = inner if node == road.start else inner[::-1]
        control = ends[index, node].control
        if control == "signal":
            yield from _stop_line(leaving, road.profile, FORD_M + 1.5, STOP_LINE_M, strength)
            yield from _ford(leaving, road.profile, strength)
            yield from _arrows(leaving, road.profile, strength)
        elif control == "yield" and road.profile.kind != "lane":
            yield from _give_way_line(leaving, road.profile, strength)
            if network.nodes[node].roundabout_m > 0 or chance(rng, 0.15):
                yield from _zebra(leaving, road.profile, strength)


def _across(leaving: Points, at_m: float, from_left_m: float, to_left_m: float) -> Float64[np.ndarray, "2 2"]:
    """A line across a road, between two offsets to the left of its centreline."""
    place, normal = _station(leaving, at_m)
    return np.stack([place + normal * from_left_m, place + normal * to_left_m])


def _station(leaving: Points, at_m: float) -> tuple[Xy, Xy]:
    """A point of a centreline, and the unit normal to its left."""
    length = length_m(leaving)
    ahead, behind = points_at(leaving, min(at_m + 0.5, length)), points_at(leaving, max(at_m - 0.5, 0.0))
    direction = (ahead - behind) / np.hypot(*(ahead - behind))
    return points_at(leaving, at_m), np.array([-direction[1], direction[0]])


def _stop_line(leaving: Points, profile: Profile, at_m: float, width_m: float, strength: float) -> Iterator[Marking]:
    """Stop line across the approaching lanes, which lie to the left when looking away from the junction."""
    if length_m(leaving) > at_m + 5:
        yield Marking(_across(leaving, at_m, profile.median_m / 2 + 0.1, profile.driven_half_m), width_m, strength)


def _give_way_line(leaving: Points, profile: Profile, strength: float) -> Iterator[Marking]:
    line = _across(leaving, 0.6, 0.1, profile.driven_half_m)
    for piece in dashes(line, 0.5, 0.25):
        yield Marking(piece, WIDE_M * 1.4, strength)


def _ford(leaving: Points, profile: Profile, strength: float) -> Iterator[Marking]:
    half = profile.driven_half_m + profile.cycle_m
    for at_m in (0.8, 0.8 + FORD_M):
        if length_m(leaving) > at_m + 5:
            for piece in dashes(_across(leaving, at_m, -half, half), 0.5, 0.25):
                yield Marking(piece, NARROW_M, strength)


def _zebra(leaving: Points, profile: Profile, strength: float) -> Iterator[Marking]:
    half = profile.driven_half_m - 0.2
    if length_m(leaving) < ZEBRA_DEPTH_M + 10:
        return
    strip = cut(leaving, 5.0, 5.0 + ZEBRA_DEPTH_M)
    for left_m in np.arange(-half + 0.3, half, 2 * ZEBRA_STRIPE_M):
        yield Marking(offset(strip, left_m), ZEBRA_STRIPE_M, strength)


def _arrows(leaving: Points, profile: Profile, strength: float) -> Iterator[Marking]:
    if profile.kind != "main" or length_m(leaving) < 45:
        return
    for lane in range(profile.lanes):
        for at_m in (14.0, 14.0 + ARROW_EVERY_M):
            place, normal = _station(leaving, at_m)
            forward = np.array([-normal[1], normal[0]])  # toward the junction
            origin = place + normal * profile.lane_offset_m(lane)
            turn = 1 if lane == profile.lanes - 1 and profile.lanes > 1 else -1 if lane == 0 and at_m < 20 else 0
            for points, width_m in _arrow(turn):
                frame = np.stack([forward, np.array([-forward[1], forward[0]])])
                yield Marking(origin + points @ frame, width_m, strength)


def _arrow(turn: int) -> list[tuple[Points, float]]:
    """Strokes of an arrow (x forward, y left) and their widths; turn: a branch to the left (1) or right (-1)."""
    shaft = np.array([[-2.0, 0.0], [1.2, 0.0]])
    head = [(np.array([[1.0 + i * 0.2, 0.0], [1.2 + i * 0.2, 0.0]]), 0.9 - i * 0.15) for i in range(6)]
    strokes = [(shaft, 0.15), *head]
    if turn:
        bend = resample(np.array([[-1.2, 0.0], [0.0, 0.05 * turn], [0.3, 0.6 * turn]]), 0.2)
        tip = [
            (np.array([[0.3, (0.6 + i * 0.15) * turn], [0.3, (0.75 + i * 0.15) * turn]]), 0.8 - i * 0.15)
            for i in range(5)
        ]
        strokes += [(bend, 0.15), *tip]
    return strokes
