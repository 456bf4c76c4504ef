"""Paints pavements, verges, kerbs and carriageways, with their wear and repairs."""

from __future__ import annotations

import cv2
import numpy as np
from shapely.geometry import Point, Polygon

from cvlnet.arrays import Points
from cvlnet.town.curves import arc_length_m, cut, length_m, offset, points_at, resample, ribbon, tangents
from cvlnet.town.ground.canvas import Canvas
from cvlnet.town.layout.junctions import RANK, Ends, between_junctions
from cvlnet.town.layout.land import Land
from cvlnet.town.plan import SIDES, Network, Node, Rgb, Road, Surface
from cvlnet.town.polygons import polygons
from cvlnet.town.streams import chance
from cvlnet.town.style import Style, varied

PIECE_M = 12.0  # length of pavement over which the pattern keeps its direction
ANGLE_STEPS = 16  # directions of patterns are rounded to agree between neighbouring pieces
KERB_M = 0.15
TRACK_M = 0.75  # from a lane's centre to the wheel tracks
RAIL_GAUGE_M = 1.435
TRAM_TRACKS_M = 3.0  # between the centres of two tram tracks
IRON: Rgb = (84, 80, 76)
RAIL: Rgb = (124, 120, 116)
CONCRETE: Rgb = (158, 154, 146)


def paint_pavements(
    canvas: Canvas, network: Network, ends: Ends, land: Land, style: Style, rng: np.random.Generator
) -> None:
    """Paint the street corridors except the carriageways."""
    canvas.fill(land.corridor, Surface.SLABS, style.pavement)
    canvas.fill(land.footpaths, Surface.PAVERS, varied(rng, style.pavement, 8.0, 1.5))
    finish: dict[int, tuple[Surface, Rgb]] = {}
    for road in network.roads:
        if road.street not in finish:
            surface = (Surface.SLABS, Surface.SLABS, Surface.PAVERS, Surface.ASPHALT)[int(rng.integers(4))]
            base = style.old_asphalt if surface is Surface.ASPHALT else style.pavement
            finish[road.street] = (surface, varied(rng, base, 9.0, 1.5))
        _paint_pavement(canvas, road, *finish[road.street])
    for i, road in enumerate(network.roads):
        inner = between_junctions(network, ends, i)
        if road.profile.verge_m > 0 and inner is not None:
            colour, half = varied(rng, style.lawn, 6.0, 3.0), road.profile.verge_m / 2
            for sign, side in SIDES:
                middle = offset(inner, sign * (road.profile.kerb_m(side) + half))
                canvas.fill(ribbon(middle, half, half), Surface.MEADOW, colour)


def _paint_pavement(canvas: Canvas, road: Road, surface: Surface, colour: Rgb) -> None:
    for sign, side in SIDES:
        inner, outer = road.profile.kerb_m(side) + road.profile.verge_m, road.profile.border_m(side)
        middle, half = offset(road.xy_m, sign * (inner + outer) / 2), (outer - inner) / 2 + 0.05
        length = length_m(middle)
        for start in np.arange(0, length, PIECE_M):
            piece = cut(middle, start, min(start + PIECE_M + 0.1, length))
            east, north = piece[-1] - piece[0]
            angle = round(float(np.arctan2(north, east)) / np.pi * ANGLE_STEPS) * np.pi / ANGLE_STEPS
            canvas.fill(ribbon(piece, half, half), surface, colour, angle)


def paint_carriageways(
    canvas: Canvas, network: Network, ends: Ends, land: Land, style: Style, rng: np.random.Generator
) -> None:
    """Paint the carriageways: surface, wear, repairs, kerbs, islands and rails."""
    canvas.fill(land.carriageway, Surface.ASPHALT, style.asphalt)
    for road in sorted(network.roads, key=lambda r: RANK[r.profile.kind]):
        east, north = road.xy_m[-1] - road.xy_m[0]
        own = ribbon(road.xy_m, road.profile.kerb_m("left"), road.profile.kerb_m("right"))
        canvas.fill(own, road.profile.surface, road.profile.rgb, float(np.arctan2(north, east)))
    for road in network.roads:
        _wear_tracks(canvas, road, rng)
    cv2.blur(canvas.wear, (9, 9), canvas.wear)
    for road in network.roads:
        if road.profile.surface is Surface.ASPHALT:
            _paint_repairs(canvas, road, rng)
        _paint_lids(canvas, road, rng)
    for node in network.nodes:
        if node.roundabout_m > 0:
            _paint_roundabout(canvas, node, style)
    for i, road in enumerate(network.roads):
        if road.profile.median_m > 0 or road.profile.tram:
            _paint_median(canvas, network, ends, i, style)
    _paint_kerbs(canvas, land, style)


def _wear_tracks(canvas: Canvas, road: Road, rng: np.random.Generator) -> None:
    tone, oil = rng.normal(0, 0.05), -abs(rng.normal(0.02, 0.02))
    for lane in range(road.profile.lanes):
        for sign in (1, -1):
            middle = sign * road.profile.lane_offset_m(lane)
            canvas.wear_line(offset(road.xy_m, middle), 0.7, oil)
            for track_m in (-TRACK_M, TRACK_M):
                canvas.wear_line(offset(road.xy_m, middle + track_m), 0.6, tone)
    for sign, side in SIDES:  # dirt along the kerbs
        canvas.wear_line(offset(road.xy_m, sign * (road.profile.kerb_m(side) - 0.25)), 0.5, -0.12)


def _paint_repairs(canvas: Canvas, road: Road, rng: np.random.Generator) -> None:
    """Patches, trenches, seams and cracks; their number grows with the road's length and its random age."""
    length, half = length_m(road.xy_m), road.profile.kerb_m("left")
    age = rng.gamma(1.5, 0.6)
    for _ in range(rng.poisson(length / 60 * age)):
        size = rng.uniform((0.8, 0.6), (6.0, 2.4)) if chance(rng, 0.6) else rng.uniform((8, 0.5), (40, 1.1))
        start = rng.uniform(0, max(0.1, length - size[0]))
        piece = offset(cut(road.xy_m, start, min(start + size[0], length)), rng.uniform(-half + 1, half - 1))
        area = ribbon(piece, size[1] / 2, size[1] / 2)
        canvas.wear_area(area, rng.choice([-1, -1, 1]) * rng.uniform(0.05, 0.2))
        for part in polygons(area):
            canvas.wear_line(np.asarray(part.exterior.coords), 0.1, -rng.uniform(0.1, 0.4))
    if chance(rng, 0.5):
        canvas.wear_line(offset(road.xy_m, rng.uniform(-0.2, 0.2)), 0.1, -rng.uniform(0.1, 0.35))
    for _ in range(rng.poisson(length / 22 * age)):
        _paint_crack(canvas, road, rng)


def _paint_crack(canvas: Canvas, road: Road, rng: np.random.Generator) -> None:
    """A crack, or its tar seal, across or along the road."""
    s = rng.uniform(0, length_m(road.xy_m))
    across = chance(rng, 0.6)
    count = int(rng.integers(4, 12))
    half = road.profile.driven_half_m
    walk = np.cumsum(rng.normal(0, 0.25, count))
    ways = s + walk if across else s + np.linspace(0, rng.uniform(3, 14), count)
    sides = np.linspace(-half, half, count) * rng.uniform(0.4, 1) if across else rng.uniform(-half, half) + walk
    base = points_at(road.xy_m, ways)
    normal = np.stack([-tangents(road.xy_m)[:, 1], tangents(road.xy_m)[:, 0]], axis=-1)
    index = np.clip(np.searchsorted(arc_length_m(road.xy_m), ways), 0, len(normal) - 1)
    canvas.wear_line(base + normal[index] * sides[:, None], 0.1, -rng.uniform(0.15, 0.5))


def _paint_lids(canvas: Canvas, road: Road, rng: np.random.Generator) -> None:
    """Manhole covers on the carriageway, gullies at the kerbs."""
    length = length_m(road.xy_m)
    line_m = rng.uniform(-1.5, 1.5)
    for s in np.arange(rng.uniform(5, 30), length, rng.uniform(28, 45)):
        place = offset(road.xy_m, line_m + rng.normal(0, 0.3))
        x, y = points_at(place, s)
        canvas.fill(Point(x, y).buffer(0.42), Surface.CONCRETE, CONCRETE)
        canvas.fill(Point(x, y).buffer(0.3), Surface.PLAIN, IRON)
    for sign, side in SIDES:
        gutter = offset(road.xy_m, sign * (road.profile.kerb_m(side) - 0.3))
        for s in np.arange(rng.uniform(3, 20), length - 1, rng.uniform(22, 35)):
            canvas.stroke(cut(gutter, s, min(s + 0.5, length_m(gutter))), 0.35, Surface.PLAIN, IRON)


def _paint_roundabout(canvas: Canvas, node: Node, style: Style) -> None:
    island_m = node.roundabout_m - 6.0
    middle = Point(node.xy_m)
    canvas.fill(middle.buffer(island_m + 0.9), Surface.COBBLES, (128, 118, 110))
    canvas.fill(middle.buffer(island_m), Surface.PLAIN, style.kerb)
    canvas.fill(middle.buffer(island_m - 0.2), Surface.LAWN, style.lawn)


def _paint_median(canvas: Canvas, network: Network, ends: Ends, index: int, style: Style) -> None:
    road = network.roads[index]
    xy = between_junctions(network, ends, index)
    half = road.profile.median_m / 2
    if half > 0 and xy is not None:
        canvas.fill(ribbon(xy, half, half), Surface.PLAIN, style.kerb)
        bed = (Surface.GRAVEL, (122, 116, 108)) if road.street % 2 else (Surface.LAWN, style.lawn)
        surface, colour = bed if road.profile.tram else (Surface.MEADOW, style.lawn)
        canvas.fill(ribbon(xy, half - KERB_M, half - KERB_M), surface, colour)
        canvas.wear_area(ribbon(xy, half, half), 0.0)  # removes cracks and patches of the carriageway
        if road.profile.tram and surface is Surface.GRAVEL:
            _paint_sleepers(canvas, xy)
    if road.profile.tram:
        for track in (-TRAM_TRACKS_M / 2, TRAM_TRACKS_M / 2):
            for rail in (-RAIL_GAUGE_M / 2, RAIL_GAUGE_M / 2):
                canvas.wear_line(offset(road.xy_m, track + rail), 0.2, -0.3)
                canvas.stroke(offset(road.xy_m, track + rail), 0.07, Surface.PLAIN, RAIL)


def _paint_sleepers(canvas: Canvas, xy_m: Points) -> None:
    even = resample(xy_m, 0.65)
    for track in (-TRAM_TRACKS_M / 2, TRAM_TRACKS_M / 2):
        left, right = offset(even, track + 1.2), offset(even, track - 1.2)
        for a, b in zip(left, right, strict=True):
            canvas.stroke(np.stack([a, b]), 0.26, Surface.CONCRETE, CONCRETE)


def _paint_kerbs(canvas: Canvas, land: Land, style: Style) -> None:
    for part in polygons(land.carriageway):
        for ring in (part.exterior, *part.interiors):
            stones = Polygon(ring).buffer(KERB_M / 2).difference(Polygon(ring).buffer(-KERB_M / 2))
            canvas.fill(stones, Surface.PLAIN, style.kerb)
