"""Car parks: rows of bays, aisles, islands with trees."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from shapely.geometry import Point, Polygon
from shapely.geometry.base import BaseGeometry

from cvlnet.town.layout.greenery import hedge, plant
from cvlnet.town.layout.lots import Frame, long_frame
from cvlnet.town.plan import Item, Marking, Patch, Prop, Rgb, Spot, Surface
from cvlnet.town.polygons import border_line
from cvlnet.town.streams import chance, object_seed
from cvlnet.town.style import Style, varied

BAY_M, BAY_DEPTH_M, AISLE_M = 2.5, 5.0, 6.2
PAVER_RED: Rgb = (140, 98, 86)


def car_park(area: Polygon, style: Style, rng: np.random.Generator, occupied: float) -> Iterator[Item]:
    """Double rows of bays over an area, with aisles between them."""
    yield Patch(area, Surface.ASPHALT, varied(rng, style.asphalt, 10.0, 2.0))
    frame, length, depth = long_frame(area)
    paved = chance(rng, 0.4)
    y = 1.0
    islands = chance(rng, 0.6)
    while y + BAY_DEPTH_M < depth:
        double = y + 2 * BAY_DEPTH_M + AISLE_M < depth
        rows = [(y, -1)] if not double else [(y, -1), (y + BAY_DEPTH_M + (1.6 if islands else 0.0), 1)]
        for low, facing in rows:
            for x, bay in _bays(area, frame, (2.0, length - 2.0), low):
                if paved:
                    yield Patch(bay, Surface.PAVERS, varied(rng, PAVER_RED, 3.0, 1.0), frame.yaw_rad)
                yield from _bay(frame, x, low, facing, occupied, rng)
        if double and islands:
            yield from _island(area, frame, length, y + BAY_DEPTH_M, style, rng)
        y = rows[-1][0] + BAY_DEPTH_M + AISLE_M
    border = border_line(area, 0.7)
    if border is not None and chance(rng, 0.5):
        yield hedge(rng, border[: max(2, len(border) * 2 // 3)], 0.9)


def bay_row(
    area: BaseGeometry, frame: Frame, reach_m: tuple[float, float], low: float, rng: np.random.Generator
) -> Iterator[Item]:
    """One row of bays along a frame's x axis within ``reach_m``, from y = ``low`` upwards, cars facing +y."""
    occupied = rng.uniform(0.3, 0.85)
    for x, _ in _bays(area, frame, reach_m, low):
        yield from _bay(frame, x, low, 1, occupied, rng)


def _bays(
    area: BaseGeometry, frame: Frame, reach_m: tuple[float, float], low: float
) -> Iterator[tuple[float, Polygon]]:
    """The bays of a row that lie within an area: x at which each starts, and its outline."""
    inner = area.buffer(-0.8)
    for x in np.arange(reach_m[0], reach_m[1] - BAY_M, BAY_M):
        bay = Polygon(frame.rectangle(float(x), float(x) + BAY_M, low, low + BAY_DEPTH_M))
        if inner.contains(bay):
            yield float(x), bay


def _bay(frame: Frame, x: float, low: float, facing: int, occupied: float, rng: np.random.Generator) -> Iterator[Item]:
    """Lines of a bay, and the spot for its car."""
    for edge in (x, x + BAY_M):
        yield Marking(frame.line((edge, low), (edge, low + BAY_DEPTH_M)), 0.1, 0.8)
    turn = facing if chance(rng, 0.8) else -facing
    middle = frame.place(x + BAY_M / 2 + rng.normal(0, 0.08), low + BAY_DEPTH_M / 2 + rng.normal(0, 0.2))
    yield Spot(middle, float(frame.yaw_rad + turn * np.pi / 2 + rng.normal(0, 0.02)), occupied)


def _island(
    area: Polygon, frame: Frame, length: float, low: float, style: Style, rng: np.random.Generator
) -> Iterator[Item]:
    strip = Polygon(frame.rectangle(3.0, length - 3.0, low + 0.1, low + 1.5)).intersection(area.buffer(-2.0))
    yield Patch(strip, Surface.SOIL if chance(rng, 0.5) else Surface.LAWN, varied(rng, style.lawn, 6.0, 3.0))
    for x in np.arange(6.0, length - 5.0, 8.0):
        at = frame.place(x, low + 0.8)
        if strip.contains(Point(at)):
            yield plant(rng, at, "broadleaf" if chance(rng, 0.5) else "young", style.avenue, 0.6)
            yield plant(rng, frame.place(x + 3.0, low + 0.8), "bush", size=0.6)
    if length > 36 and chance(rng, 0.5):
        yield Prop("lamp", frame.place(length / 2, low + 0.8), frame.yaw_rad, (150, 152, 152), object_seed(rng))
