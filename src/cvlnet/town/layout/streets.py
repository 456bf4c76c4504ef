"""The street network: a square subdivided by chords, then warped by a smooth field.

The first chords cross the whole town: main streets, which meet at X junctions. Later chords divide one cell each and
make T junctions, or X junctions where two ends meet. Some of them stop half-way, as dead ends continued by a footpath.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from shapely.geometry import Polygon

from cvlnet.arrays import Points, Xy
from cvlnet.town.curves import cut, length_m, resample
from cvlnet.town.layout.profiles import make_profile
from cvlnet.town.plan import Network, Node, Road, StreetKind, Zone
from cvlnet.town.polygons import envelope_corners
from cvlnet.town.streams import chance, stream
from cvlnet.town.style import Style

# longest short and long side of a cell that is not divided, between centrelines
CELL_M: dict[Zone, tuple[float, float]] = {
    Zone.CENTRE: (88.0, 130.0),
    Zone.SUBURB: (86.0, 190.0),
    Zone.VILLAS: (100.0, 210.0),
    Zone.APARTMENTS: (125.0, 210.0),
    Zone.INDUSTRY: (175.0, 260.0),
    Zone.FIELDS: (230.0, 420.0),
}
MARGIN_M = 90.0  # streets continue this far beyond the square
MAIN_SPACING_M = (230.0, 340.0)
SNAP_M = 24.0  # ends of chords closer than this are joined
APART_M = 34.0  # and others keep at least this distance
DEAD_END_SHARE = 0.3


@dataclass(frozen=True)
class Chord:
    """A street before warping."""

    start: Xy
    end: Xy
    kind: StreetKind
    zone: Zone

    def place(self, point: Xy) -> tuple[float, float]:
        """Position of a point along the chord, and its distance from it."""
        direction = self.end - self.start
        length = float(np.hypot(*direction))
        along, across = direction / length, np.array([-direction[1], direction[0]]) / length
        return float((point - self.start) @ along), abs(float((point - self.start) @ across))


def make_network(seed: int, size_m: float, style: Style, zone_at: Callable[[Xy], Zone]) -> Network:
    """The streets of a town, which leave the square on all sides."""
    rng = stream(seed, "streets")
    chords, joints = _divide_square(rng, size_m, style, zone_at)
    return _bend(chords, joints, rng, style, size_m)


def _divide_square(
    rng: np.random.Generator, size_m: float, style: Style, zone_at: Callable[[Xy], Zone]
) -> tuple[list[Chord], list[Xy]]:
    half = size_m / 2 + MARGIN_M
    cells = [np.array([[-half, -half], [half, -half], [half, half], [-half, half]], dtype=np.float64)]
    chords: list[Chord] = []
    joints: list[Xy] = []
    for axis in (0, 1):
        angle = style.rotation_rad + axis * np.pi / 2
        normal = np.array([-np.sin(angle), np.cos(angle)])
        for number, offset_m in enumerate(_main_offsets(rng, size_m)):
            direction = angle + rng.normal(0, 0.05)
            along = np.array([np.cos(direction), np.sin(direction)])
            kind: StreetKind = "main" if chance(rng, 0.5) or number == axis == 0 else "collector"
            start = normal * offset_m - along * half * 3
            zone = zone_at(normal * offset_m)
            parts = [_split(cell, start, along) for cell in cells]
            ends = [p for part in parts if part is not None for p in part[2]]
            if not ends:
                continue
            ways = [float((p - start) @ along) for p in ends]
            chords.append(Chord(ends[int(np.argmin(ways))], ends[int(np.argmax(ways))], kind, zone))
            joints += ends
            cells = [c for cell, part in zip(cells, parts, strict=True) for c in (part[:2] if part else (cell,))]
    while cells:
        _divide_cell(cells.pop(), cells, chords, joints, rng, zone_at)
    return chords, joints


def _main_offsets(rng: np.random.Generator, size_m: float) -> list[float]:
    """Offsets of the parallel main streets from the town's centre; the first passes near it."""
    offsets = [float(rng.uniform(-8, 8))]
    for sign in (-1, 1):
        offset_m = offsets[0]
        while abs(offset_m) < size_m * 0.7:
            offset_m += sign * rng.uniform(*MAIN_SPACING_M)
            offsets.append(float(offset_m))
    return offsets


def _split(cell: Points, through: Xy, along: Xy) -> tuple[Points, Points, tuple[Xy, Xy]] | None:
    """Both parts of a convex cell divided by a line, and the ends of the chord; None if the line misses the cell."""
    side = (cell - through) @ np.array([-along[1], along[0]])
    left: list[Xy] = []
    right: list[Xy] = []
    ends: list[Xy] = []
    for i in range(len(cell)):
        j = (i + 1) % len(cell)
        (left if side[i] >= 0 else right).append(cell[i])
        if (side[i] >= 0) != (side[j] >= 0):
            crossing = cell[i] + (cell[j] - cell[i]) * side[i] / (side[i] - side[j])
            ends.append(crossing)
            left.append(crossing)
            right.append(crossing)
    return (np.array(left), np.array(right), (ends[0], ends[1])) if len(ends) == 2 else None


def _divide_cell(
    cell: Points,
    cells: list[Points],
    chords: list[Chord],
    joints: list[Xy],
    rng: np.random.Generator,
    zone_at: Callable[[Xy], Zone],
) -> None:
    """Divide a cell that is too large for its zone; adds the parts to ``cells`` and the street to ``chords``."""
    zone = zone_at(cell.mean(axis=0))
    short_limit, long_limit = CELL_M[zone]
    box = envelope_corners(Polygon(cell))
    sides = np.diff(box[:3], axis=0)
    lengths = np.hypot(*sides.T)
    long_axis = sides[int(np.argmax(lengths))] / lengths.max()
    short_axis = np.array([-long_axis[1], long_axis[0]])
    short_m, long_m = lengths.min(), lengths.max()
    if short_m > short_limit:  # a street along the cell's long side
        along, extent, across = long_axis, short_m, short_axis
    elif long_m > long_limit:
        along, extent, across = short_axis, long_m, long_axis
    else:
        return
    for attempt in range(12):
        shift = rng.uniform(-0.12, 0.12) * extent * (1 + attempt / 6)
        turn = rng.normal(0, 0.07)
        direction = along * np.cos(turn) + across * np.sin(turn)
        chord = _snapped_chord(cell, box.mean(axis=0) + across * shift, direction, joints)
        if chord is None or np.hypot(*(chord[1] - chord[0])) < APART_M:
            continue
        part = _split(cell, chord[0], (chord[1] - chord[0]) / np.hypot(*(chord[1] - chord[0])))
        if part is None or min(Polygon(part[0]).area, Polygon(part[1]).area) < 900:
            continue
        kind: StreetKind = "lane" if zone is Zone.CENTRE and chance(rng, 0.3) else "residential"
        if np.hypot(*(chord[1] - chord[0])) > 190 and chance(rng, 0.4):
            kind = "collector"
        chords.append(Chord(chord[0], chord[1], kind, zone))
        joints += list(chord)
        cells += [part[0], part[1]]
        return


def _snapped_chord(cell: Points, through: Xy, along: Xy, joints: list[Xy]) -> tuple[Xy, Xy] | None:
    """Ends of a chord, snapped to joints nearby; None if an end is too close to a joint or corner to be used."""
    part = _split(cell, through, along)
    if part is None:
        return None
    known = np.array([*joints, *cell]) if joints else cell
    ends = []
    for end in part[2]:
        distances = np.hypot(*(known - end).T)
        nearest = int(np.argmin(distances))
        at_corner = np.hypot(*(cell - known[nearest]).T).min() < 1e-6
        on_border = Polygon(cell).exterior.distance(shapely.Point(known[nearest])) < 1e-6
        if distances[nearest] < SNAP_M and on_border and not at_corner:
            ends.append(known[nearest])
        elif distances[nearest] < APART_M:
            return None
        else:
            ends.append(end)
    return ends[0], ends[1]


def _bend(chords: list[Chord], joints: list[Xy], rng: np.random.Generator, style: Style, size_m: float) -> Network:
    warp = _warp_field(rng, style.warp_m)
    node_of: dict[tuple[int, int], int] = {}
    places: list[Xy] = []
    roads: list[Road] = []
    footpaths: list[Points] = []

    def node_at(point: Xy) -> int:
        key = (round(point[0] * 100), round(point[1] * 100))
        if key not in node_of:
            node_of[key] = len(places)
            places.append(warp(point[None])[0])
        return node_of[key]

    unique_joints = list({(round(j[0], 2), round(j[1], 2)): j for j in joints}.values())
    for street, chord in enumerate(chords):
        stops = sorted((s, i) for i, j in enumerate(unique_joints) for s, d in [chord.place(j)] if d < 0.05)
        length = float(np.hypot(*(chord.end - chord.start)))
        stops = [(s, i) for s, i in stops if -0.05 < s < length + 0.05]
        profile = make_profile(rng, chord.kind, chord.zone, style)
        points = [unique_joints[i] for _, i in stops]
        alone = len(points) == 2 and chord.kind == "residential" and 80 < length < 260
        for a, b in pairwise(points):
            steps = max(2, round(float(np.hypot(*(b - a))) / 2.0))
            xy = warp(a + (b - a) * np.linspace(0, 1, steps + 1)[:, None])
            if alone and chance(rng, DEAD_END_SHARE):
                if chance(rng, 0.5):
                    a, b, xy = b, a, xy[::-1]
                stop_m = length_m(xy) * rng.uniform(0.5, 0.72)
                footpaths.append(cut(xy, stop_m, length_m(xy)))
                xy = resample(cut(xy, 0.0, stop_m), 2.0)
                start = node_at(a)
                places.append(xy[-1])
                roads.append(Road(start, len(places) - 1, street, profile, xy, dead_end=True))
            else:
                roads.append(Road(node_at(a), node_at(b), street, profile, xy))
    return Network(_make_nodes(places, roads, rng, size_m), tuple(roads), tuple(footpaths))


def _make_nodes(places: list[Xy], roads: list[Road], rng: np.random.Generator, size_m: float) -> tuple[Node, ...]:
    """Nodes with their roads; about one junction per town becomes a roundabout."""
    meeting: list[list[int]] = [[] for _ in places]
    for i, road in enumerate(roads):
        meeting[road.start].append(i)
        meeting[road.end].append(i)
    radii = np.zeros(len(places))
    for i, ends in enumerate(meeting):
        profiles = [roads[r].profile for r in ends]
        roomy = all(p.median_m == 0 and not p.tram and p.lanes == 1 for p in profiles)
        inside = np.abs(places[i]).max() < size_m / 2 - 30
        straight = all(length_m(roads[r].xy_m) > 55 for r in ends)
        if len(ends) in (3, 4) and roomy and inside and straight and chance(rng, 0.1):
            radii[i] = rng.uniform(13, 16)
    return tuple(
        Node((float(p[0]), float(p[1])), tuple(m), float(r)) for p, m, r in zip(places, meeting, radii, strict=True)
    )


def _warp_field(rng: np.random.Generator, amplitude_m: float) -> Callable[[Points], Points]:
    """A smooth warp of the plane that leaves the origin fixed."""
    count = 6
    wavelength_m = rng.uniform(170, 520, count)
    angle, phase = rng.uniform(0, 2 * np.pi, (2, count))
    waves = 2 * np.pi / wavelength_m[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    push = rng.normal(0, 1, (count, 2)) * amplitude_m * (wavelength_m / 400)[:, None] / np.sqrt(count / 2)

    def field(xy: Points) -> Points:
        return np.asarray(np.sin(xy @ waves.T + phase) @ push)

    return lambda xy: xy + field(xy) - field(np.zeros((1, 2)))
