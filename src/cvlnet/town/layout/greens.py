"""Open blocks: parks, cemeteries, allotments, fields, sports grounds, building sites, woods."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from shapely.geometry import LineString, Point, Polygon

from cvlnet.arrays import Points
from cvlnet.town.curves import resample
from cvlnet.town.layout.greenery import GARDEN, GROVE, PARK, border, fence, hedge, plant, scatter
from cvlnet.town.layout.housing import PAVINGS, SHED_COLOURS
from cvlnet.town.layout.lots import cut_plots, long_frame
from cvlnet.town.plan import Block, Building, Item, Marking, Patch, Prop, Rgb, Surface
from cvlnet.town.polygons import border_line, place_within, polygons, random_points
from cvlnet.town.scene import Material
from cvlnet.town.streams import chance, object_seed
from cvlnet.town.style import FLAT_ROOFS, LAWNS, Style, one_of, varied

POND: Rgb = (66, 78, 70)
GRAVEL: Rgb = (176, 164, 140)
STONES: tuple[Rgb, ...] = ((120, 118, 116), (70, 68, 68), (170, 166, 160), (140, 120, 110))
CROPS: tuple[Rgb, ...] = ((120, 112, 64), (86, 100, 48), (128, 100, 74), (150, 132, 78), (104, 112, 58), (108, 88, 68))
PITCH_RED: Rgb = (146, 84, 66)
EARTH: Rgb = (134, 112, 88)


def fill_park(block: Block, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """Lawn, winding paths, groves, a pond, a playground."""
    area = block.polygon
    yield Patch(area, Surface.LAWN, varied(rng, style.lawn, 6.0, 3.0))
    for x, y in random_points(area, rng, int(area.area / 900), 12.0):
        blob = Point(x, y).buffer(rng.uniform(5, 12)).intersection(area)
        yield Patch(blob, Surface.MEADOW, one_of(rng, LAWNS, 6.0, 4.0))
    paths = [_winding(area, rng) for _ in range(max(2, int(area.area / 2500)))]
    surface, colour = (Surface.GRAVEL, GRAVEL) if chance(rng, 0.6) else (Surface.ASPHALT, style.old_asphalt)
    wide = rng.uniform(1.1, 1.7)
    for path in paths:
        yield Patch(LineString(path).buffer(wide).intersection(area), surface, colour)
        for x, y in resample(path, 26.0)[1:-1]:
            if area.contains(Point(x, y)):
                name = "bench" if chance(rng, 0.5) else "short_lamp"
                yield Prop(
                    name, (float(x + 2.2), float(y)), float(rng.uniform(0, 6.28)), (70, 74, 72), object_seed(rng)
                )
    free = area.buffer(-3).difference(LineString(paths[0]).buffer(3.2)).difference(LineString(paths[1]).buffer(3.2))
    if area.area > 3500 and chance(rng, 0.5):
        pond = _blob(Point(place_within(area)), rng.uniform(8, 15), rng).intersection(area.buffer(-6))
        yield Patch(pond.buffer(0.8), Surface.GRAVEL, STONES[0])
        yield Patch(pond, Surface.WATER, varied(rng, POND, 6.0, 3.0))
        free = free.difference(pond.buffer(1.5))
    if chance(rng, 0.6):
        for xy in random_points(area.buffer(-10), rng, 1, 1.0):
            yield Patch(Point(xy).buffer(8.0), Surface.SAND, (196, 178, 138))
            yield Prop("playhouse", xy, float(rng.uniform(0, 6.28)), (60, 90, 150), object_seed(rng))
            free = free.difference(Point(xy).buffer(9.0))
    for part in polygons(free):
        yield from scatter(rng, part, int(part.area / rng.uniform(32, 75) * style.tree_density), PARK, 3.5, 1.15)


def _winding(area: Polygon, rng: np.random.Generator) -> Points:
    """A path between two points of an area's border, through a point within."""
    ring = area.exterior
    s = rng.uniform(0, ring.length)
    a, b = ring.interpolate(s), ring.interpolate((s + ring.length * rng.uniform(0.3, 0.7)) % ring.length)
    c = np.array(place_within(area)) + rng.normal(0, 8, 2)
    t = np.linspace(0, 1, 24)[:, None]
    start, end = np.array([a.x, a.y]), np.array([b.x, b.y])
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * (2 * c - (start + end) / 2) + t**2 * end)


def _blob(center: Point, radius_m: float, rng: np.random.Generator) -> Polygon:
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    phase = rng.uniform(0, 2 * np.pi, 3)
    reach = radius_m * (1 + 0.25 * np.sin(2 * angle + phase[0]) + 0.15 * np.sin(3 * angle + phase[1]))
    return Polygon(np.stack([center.x + reach * np.cos(angle), center.y + reach * np.sin(angle)], axis=-1))


def fill_cemetery(block: Block, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """Rows of graves, old trees, a surrounding wall."""
    area = block.polygon
    yield Patch(area, Surface.LAWN, varied(rng, style.lawn, 6.0, 3.0))
    frame, length, depth = long_frame(area)
    inner = area.buffer(-4)
    for x in np.arange(10.0, length, 24.0):
        lane = Polygon(frame.rectangle(x - 1.2, x + 1.2, 0.0, depth)).intersection(inner)
        yield Patch(lane, Surface.GRAVEL, GRAVEL)
        for y in np.arange(6.0, depth, 2.9):
            if chance(rng, 0.12):
                continue
            for side in (-10.0, -7.2, -4.4, 4.4, 7.2, 10.0):
                at = frame.place(x + side, y)
                if inner.contains(Point(at)) and chance(rng, 0.85):
                    yield Prop("grave", at, frame.yaw_rad, one_of(rng, STONES), object_seed(rng))
        for y in np.arange(8.0, depth, rng.uniform(14, 26)):
            at = frame.place(x + 2.2, y)
            if inner.contains(Point(at)):
                yield plant(rng, at, "conifer" if chance(rng, 0.4) else "broadleaf", size=0.9)
    yield from scatter(rng, inner, int(area.area / 90 * style.tree_density), PARK, 5.0, 1.1)
    ring = border_line(area, 1.0)
    if ring is not None:
        yield fence(rng, ring[:-1], "brick_wall" if chance(rng, 0.5) else "wall")


def fill_allotments(block: Block, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """Small gardens with beds and huts."""
    yield Patch(block.polygon, Surface.LAWN, varied(rng, style.lawn, 6.0, 3.0))
    for plot in cut_plots(block.polygon.buffer(-1.0), rng, (10.0, 15.0)):
        frame = plot.frame
        yield Patch(plot.polygon.buffer(-0.4), Surface.LAWN, one_of(rng, LAWNS, 8.0, 4.0))
        for y in np.arange(6.0, plot.depth_m - 3, rng.uniform(2.4, 5)):
            if chance(rng, 0.7):
                bed = Polygon(frame.rectangle(-plot.width_m * 0.35, plot.width_m * rng.uniform(0, 0.35), y, y + 1.4))
                surface = Surface.FIELD if chance(rng, 0.5) else Surface.SOIL
                yield Patch(bed.intersection(plot.polygon), surface, one_of(rng, CROPS), frame.yaw_rad)
        hut = frame.place(rng.uniform(-2, 2), rng.uniform(4, max(5.0, plot.depth_m - 5)))
        if plot.polygon.buffer(-2).contains(Point(hut)):
            yield Prop("shed", hut, frame.yaw_rad, one_of(rng, SHED_COLOURS), object_seed(rng))
        yield from scatter(
            rng, plot.polygon.buffer(-1.2), int(rng.poisson(4)), {"bush": 5.0, "young": 3.0, "broadleaf": 0.5}, 2.5, 0.8
        )
        line = frame.line((plot.width_m / 2 - 0.3, 1.0), (plot.width_m / 2 - 0.3, plot.depth_m - 1.5))
        if plot.depth_m > 6 and plot.polygon.buffer(0.5).contains(LineString(line)):
            yield border(rng, line)


def fill_fields(block: Block, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """Strips of crops and meadow, hedgerows, sometimes a copse."""
    yield Patch(block.polygon, Surface.MEADOW, varied(rng, style.lawn, 6.0, 3.0))
    frame, length, depth = long_frame(block.polygon)
    inner = block.polygon.buffer(-2.5)
    across = chance(rng, 0.5)
    extent, other = (length, depth) if across else (depth, length)
    x = 0.0
    while x < extent:
        wide = rng.uniform(22, 65)
        sides = (x, x + wide - 1.0, -1.0, other + 1) if across else (-1.0, other + 1, x, x + wide - 1.0)
        strip = Polygon(frame.rectangle(*sides)).intersection(inner)
        surface = Surface.FIELD if chance(rng, 0.7) else Surface.MEADOW
        yaw = frame.yaw_rad + (np.pi / 2 if across else 0.0)
        yield Patch(strip, surface, one_of(rng, CROPS if surface is Surface.FIELD else LAWNS, 8.0, 4.0), yaw)
        if chance(rng, 0.3):
            for part in polygons(Polygon(frame.rectangle(*_edge(sides, across))).intersection(inner)):
                yield from scatter(rng, part, int(part.area / 12), GROVE, 3.0, 0.9)
        x += wide
    if chance(rng, 0.4):
        for xy in random_points(inner.buffer(-12), rng, 1, 1.0):
            yield from scatter(rng, _blob(Point(xy), rng.uniform(10, 22), rng).intersection(inner), 45, GROVE, 3.0, 1.2)


def _edge(sides: tuple[float, float, float, float], across: bool) -> tuple[float, float, float, float]:
    return (sides[1] - 3.0, sides[1], sides[2], sides[3]) if across else (sides[0], sides[1], sides[3] - 3.0, sides[3])


def fill_wood(block: Block, _style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """A small wood."""
    yield Patch(block.polygon, Surface.SOIL, varied(rng, (86, 82, 54), 5.0, 3.0))
    count = int(block.polygon.area / 32)
    mix = GROVE if chance(rng, 0.6) else {"conifer": 6.0, "broadleaf": 3.0, "bush": 2.0}
    yield from scatter(rng, block.polygon.buffer(-1.5), min(count, 420), mix, 3.2, 1.3)


def fill_sports(block: Block, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """A pitch, a red court, a hall, and trees around them."""
    area = block.polygon
    yield Patch(area, Surface.LAWN, varied(rng, style.lawn, 6.0, 3.0))
    frame, length, depth = long_frame(area)
    size = (min(90.0, length * 0.62), min(56.0, depth * 0.72))
    x0, y0 = length * 0.04 + 4, (depth - size[1]) / 2
    pitch = Polygon(frame.rectangle(x0, x0 + size[0], y0, y0 + size[1])).intersection(area.buffer(-3))
    yield Patch(pitch, Surface.LAWN, (92, 122, 58))
    for i in range(0, int(size[0] / 10), 2):
        stripe = Polygon(frame.rectangle(x0 + i * 10, x0 + i * 10 + 10, y0, y0 + size[1]))
        yield Patch(stripe.intersection(pitch), Surface.LAWN, (84, 112, 52))
    touch = border_line(pitch, 2.0)
    if touch is not None:
        yield Marking(touch, 0.12, 0.8)
        middle = frame.line((x0 + size[0] / 2, y0 + 2), (x0 + size[0] / 2, y0 + size[1] - 2))
        yield Marking(middle, 0.12, 0.8)
        for x, turn in ((x0 + 2.2, 0.0), (x0 + size[0] - 2.2, np.pi)):
            yield Prop(
                "goal", frame.place(x, y0 + size[1] / 2), frame.yaw_rad + turn, (230, 230, 230), object_seed(rng)
            )
    x1 = x0 + size[0] + 6
    court = Polygon(frame.rectangle(x1, x1 + 16, y0, y0 + 26)).intersection(area.buffer(-3))
    yield Patch(court, Surface.ASPHALT, PITCH_RED)
    hall = frame.rectangle(x1, min(x1 + 26, length - 6), y0 + 30, min(y0 + 48, depth - 6))
    if area.buffer(-2).contains(Polygon(hall)) and Polygon(hall).is_valid and Polygon(hall).exterior.is_ccw:
        yield Building(hall, 7.5, 1.0, "flat", True, 0.0, Material.PLASTER_FACADE, one_of(rng, style.walls),
                       Material.ROOF_FLAT, one_of(rng, FLAT_ROOFS), object_seed(rng))  # fmt: skip
        yield Patch(Polygon(hall).buffer(3.0), Surface.PAVERS, one_of(rng, PAVINGS), frame.yaw_rad)
    around = area.buffer(-1.5).difference(area.buffer(-7)).difference(court.buffer(2))
    for part in polygons(around):
        yield from scatter(rng, part, int(part.area / 26 * style.tree_density), PARK, 3.2)


def fill_building_site(block: Block, _style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """Bare earth, a concrete shell, a crane, heaps and containers, a fence."""
    area = block.polygon
    yield Patch(area, Surface.SOIL, varied(rng, EARTH, 6.0, 3.0))
    inner = area.buffer(-6)
    frame, length, depth = long_frame(area)
    carcass = frame.rectangle(length * 0.3, length * 0.3 + 22, depth * 0.3, depth * 0.3 + 14)
    if inner.contains(Polygon(carcass)):
        yield Patch(Polygon(carcass).buffer(3), Surface.GRAVEL, STONES[2])
        yield Building(carcass, float(rng.uniform(3, 9)), 0.0, "flat", True, 0.0, Material.BARE_WALL, (158, 156, 150),
                       Material.PLAIN, (164, 160, 154), object_seed(rng))  # fmt: skip
        yield Prop(
            "crane",
            frame.place(length * 0.3 - 4, depth * 0.3 + 7),
            float(rng.uniform(0, 6.28)),
            (210, 180, 50),
            object_seed(rng),
        )
    for xy in random_points(inner, rng, int(area.area / 180), 8.0):
        name = ("rubble", "container", "racks", "skip", "rubble")[int(rng.integers(5))]
        colour: Rgb = varied(rng, EARTH, 8.0, 3.0) if name == "rubble" else one_of(rng, SHED_COLOURS)
        yield Prop(name, xy, float(rng.uniform(0, 6.28)), colour, object_seed(rng))
    ring = border_line(area, 1.2)
    if ring is not None:
        yield fence(rng, ring[:-1], "mesh_fence")


def fill_scrap(block: Block, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """A leftover piece of land: grass, bushes, a hedge."""
    yield Patch(block.polygon, Surface.MEADOW, varied(rng, style.lawn, 8.0, 4.0))
    yield from scatter(rng, block.polygon.buffer(-1.5), int(block.polygon.area / 60), GARDEN, 3.0)
    if block.polygon.area > 200 and chance(rng, 0.4):
        ring = border_line(block.polygon, 1.0)
        if ring is not None:
            yield hedge(rng, ring[: max(2, len(ring) // 2)])
