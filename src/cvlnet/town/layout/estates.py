"""Apartment estates: slab blocks on lawns, with paths, garages, car parks and playgrounds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from cvlnet.arrays import Corners
from cvlnet.town.layout.carparks import car_park
from cvlnet.town.layout.greenery import PARK, scatter
from cvlnet.town.layout.housing import PAVINGS, garage
from cvlnet.town.layout.lots import Frame, fits, long_frame
from cvlnet.town.plan import Block, Building, Item, Patch, Prop, Rgb, RoofKind, Spot, Surface
from cvlnet.town.polygons import place_within, polygons
from cvlnet.town.scene import Material
from cvlnet.town.streams import chance, object_seed
from cvlnet.town.style import FLAT_ROOFS, LAWNS, Style, one_of, varied


def fill_estate(block: Block, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """Parallel slab blocks of flats on a lawn."""
    yield Patch(block.polygon, Surface.LAWN, varied(rng, style.lawn, 5.0, 2.0))
    frame, length, depth = long_frame(block.polygon)
    walls, flat, floors = one_of(rng, style.walls), chance(rng, 0.45), int(rng.integers(3, 7))
    roof_rgb = one_of(rng, FLAT_ROOFS if flat else style.roofs)
    bars = _bars(frame, length, depth, rng)
    taken = []
    for own, (long_m, wide_m) in bars:
        while long_m > 11 and not fits(
            block.polygon, own.rectangle(-long_m / 2, long_m / 2, -wide_m / 2, wide_m / 2), 3.0
        ):
            long_m *= 0.8
        if long_m <= 11:
            continue
        corners = own.rectangle(-long_m / 2, long_m / 2, -wide_m / 2, wide_m / 2)
        taken.append(Polygon(corners).buffer(4.0))
        yield _bar(corners, floors + int(rng.integers(-1, 2)), flat, walls, roof_rgb, rng)
        yield from _paths(own, long_m, wide_m, block.polygon, rng)
    rest: BaseGeometry = block.polygon.buffer(-2)
    for shape in taken:
        rest = rest.difference(shape)
    yield from _outdoors(rest, frame, style, rng)


def _bars(
    frame: Frame, length: float, depth: float, rng: np.random.Generator
) -> list[tuple[Frame, tuple[float, float]]]:
    """Frames (origin at the centre) and sizes of parallel slabs, along the block's long side or across it."""
    upright = np.array([-frame.along[1], frame.along[0]])
    bars = []
    if depth > 60 and chance(rng, 0.5):
        for x in np.arange(rng.uniform(13, 18), length - 10.0, rng.uniform(26, 34)):
            middle = frame.world(np.array([x, depth / 2 + rng.normal(0, 2)]))
            bars.append((Frame(middle, upright), (depth * rng.uniform(0.55, 0.8), 11.5)))
        return bars
    rows = max(1, int(depth / rng.uniform(27, 33)))
    for row in range(rows):
        x = rng.uniform(6, 14)
        while x < length - 20:
            long_m = rng.uniform(22, 52)
            middle = frame.world(np.array([x + long_m / 2, depth * (row + 0.5) / rows + rng.normal(0, 1)]))
            bars.append((Frame(middle, frame.along), (min(long_m, length - x - 6), 11.5)))
            x += long_m + rng.uniform(9, 16)
    return bars


def _bar(
    corners: Corners, floors: int, flat: bool, wall_rgb: Rgb, roof_rgb: Rgb, rng: np.random.Generator,
) -> Building:  # fmt: skip
    length = float(np.hypot(*(corners[1] - corners[0])))
    roof: RoofKind = "flat" if flat else "hip" if chance(rng, 0.3) else "gable"
    return Building(
        corners, 0.6 + max(2, floors) * 2.9, 1.0 if flat else 3.2, roof, True, 0.0 if flat else 0.5,
        Material.PLASTER_FACADE, varied(rng, wall_rgb, 5.0, 3.0), Material.ROOF_FLAT if flat else Material.ROOF_TILES,
        varied(rng, roof_rgb, 5.0, 2.0), object_seed(rng),
        balconies=int(length / rng.uniform(7, 10)),
    )  # fmt: skip


def _paths(own: Frame, long_m: float, wide_m: float, lot: Polygon, rng: np.random.Generator) -> Iterator[Item]:
    colour = one_of(rng, PAVINGS)
    front = Polygon(own.rectangle(-long_m / 2, long_m / 2, -wide_m / 2 - 4.0, -wide_m / 2 - 2.2))
    yield Patch(front.intersection(lot), Surface.SLABS, colour, own.yaw_rad)
    for x in np.arange(-long_m / 2 + 5, long_m / 2 - 3, 14.0):
        stub = Polygon(own.rectangle(x, x + 1.6, -wide_m / 2 - 2.4, -wide_m / 2))
        yield Patch(stub, Surface.SLABS, colour, own.yaw_rad)
    link = Polygon(own.rectangle(long_m / 2 - 2, long_m / 2, -wide_m / 2 - 60, -wide_m / 2 - 3))
    yield Patch(link.intersection(lot), Surface.SLABS, colour, own.yaw_rad)


def _outdoors(rest: BaseGeometry, frame: Frame, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """Car park, rows of garages, playground and trees in the space between the slabs."""
    for part in polygons(rest):
        left: BaseGeometry = part
        if part.area > 900 and chance(rng, 0.6):
            own = Frame(np.array(place_within(part)), frame.along)
            size = rng.uniform((22, 16), (40, 17.5))
            lot = Polygon(own.rectangle(-size[0] / 2, size[0] / 2, -size[1] / 2, size[1] / 2)).intersection(part)
            for piece in polygons(lot):
                if piece.area > 300:
                    yield from car_park(piece, style, rng, 0.65)
                    left = left.difference(piece.buffer(1.5))
        for piece in polygons(left):
            yield from _green(piece, frame, style, rng)


def _green(part: Polygon, frame: Frame, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    inner: BaseGeometry = part.buffer(-3.0)
    if part.area > 500 and chance(rng, 0.5) and not inner.is_empty:
        at = inner.representative_point()
        yield Patch(at.buffer(rng.uniform(5, 8)).intersection(part), Surface.SAND, (196, 178, 138))
        yield Prop("playhouse", (at.x, at.y), float(rng.uniform(0, 6.28)), (170, 60, 50), object_seed(rng))
    if part.area > 350 and chance(rng, 0.5):
        own = Frame(np.array(place_within(part)), frame.along)
        row = own.rectangle(-10.0, 10.0, -7.0, 7.0)
        if part.contains(Polygon(row)):
            yield Patch(Polygon(row), Surface.ASPHALT, varied(rng, style.old_asphalt, 8.0, 2.0))
            for x in np.arange(-9.5, 8.0, 3.05):
                yield garage(own, float(x), 0.8, style, rng)
                yield Spot(own.place(float(x) + 1.5, -2.6), own.yaw_rad + np.pi / 2, 0.35)
            inner = inner.difference(Polygon(row).buffer(1.5))
    if chance(rng, 0.5):
        yield Patch(part, Surface.MEADOW, one_of(rng, LAWNS, 5.0, 3.0))
        path = LineString([part.bounds[:2], place_within(part), part.bounds[2:]])
        yield Patch(path.buffer(0.9).intersection(part), Surface.PAVERS, one_of(rng, PAVINGS))
    yield from scatter(rng, inner if not inner.is_empty else part, int(part.area / 60 * style.tree_density), PARK, 3.5)
