"""Perimeter blocks of the old centre: adjoining houses along the border, a courtyard with sheds and trees inside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float64
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from cvlnet.arrays import Corners, Points
from cvlnet.town.curves import resample
from cvlnet.town.layout.greenery import GARDEN, fence, plant, scatter
from cvlnet.town.layout.housing import PAVINGS, flat_house, house
from cvlnet.town.layout.lots import Frame
from cvlnet.town.plan import Block, Building, Item, Patch, RoofKind, Spot, Surface
from cvlnet.town.polygons import border_line, polygons, random_points
from cvlnet.town.scene import Material
from cvlnet.town.streams import chance, pick
from cvlnet.town.style import LAWNS, Style, one_of, varied

CORNER_RAD = 0.42  # larger turns of the block's border are corners
DEEPEST_M = 12.5
ROOFS = {"gable": 6.0, "mansard": 3.0, "flat": 1.0}


def fill_perimeter(block: Block, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """A closed perimeter block with occasional gaps."""
    yield Patch(block.polygon, Surface.SLABS, one_of(rng, PAVINGS))
    depth = min(DEEPEST_M, float(np.sqrt(block.polygon.area)) * 0.24)
    outer = _stations(block.polygon.buffer(-0.6, join_style="mitre"))
    if outer is None:
        return
    inner = outer + _mitres(outer) * depth
    floors = int(rng.integers(3, 6))
    for i in range(len(outer)):
        j = (i + 1) % len(outer)
        corners = np.array([outer[i], outer[j], inner[j], inner[i]])
        shape = Polygon(corners)
        if not shape.is_valid or shape.area < 30 or not shape.exterior.is_ccw or chance(rng, 0.06):
            continue
        if not block.polygon.buffer(0.5).contains(shape):
            continue
        yield _town_house(corners, floors, style, rng)
        yield from _yard(
            inner[[i, j]], (_mitres(outer) * depth)[[i, j]] * rng.uniform(0.5, 1.1), block.polygon, style, rng
        )
    yield from _courtyard(block.polygon.buffer(-depth - 1.5), style, rng)


def _town_house(corners: Corners, floors: int, style: Style, rng: np.random.Generator) -> Building:
    roof: RoofKind = pick(rng, ROOFS)  # type: ignore[assignment]
    wall = pick(rng, {"shop": 4.0, "plaster": 5.0, "brick": 1.5})
    material = {"shop": Material.SHOP_FACADE, "plaster": Material.PLASTER_FACADE, "brick": Material.BRICK_FACADE}[wall]
    own = max(2.0, floors + rng.choice([-1, 0, 0, 0, 1]))
    model = house(corners, own * 1.12, roof, style, rng, wall=material, party=True)
    return replace(model, overhang_m=0.0 if roof == "flat" else 0.35)


def _stations(polygon: BaseGeometry) -> Points | None:
    """Boundaries of the houses along a block's border: its corners, and points about 14 m apart between them."""
    border = border_line(polygon.simplify(0.4))
    if border is None:
        return None
    ring = border[:-1]
    corners = [i for i in range(len(ring)) if _turn(ring, i) > CORNER_RAD]
    if len(corners) < 3:
        return None
    stations = []
    for a, b in zip(corners, [*corners[1:], corners[0] + len(ring)], strict=True):
        side = ring[[k % len(ring) for k in range(a, b + 1)]]
        stations.append(resample(side, 14.0)[:-1])
    points = np.concatenate(stations)
    keep = np.hypot(*(points - np.roll(points, 1, axis=0)).T) > 5.0
    return points[keep] if keep.sum() >= 4 else None


def _turn(ring: Points, i: int) -> float:
    a, b = ring[i] - ring[i - 1], ring[(i + 1) % len(ring)] - ring[i]
    return float(abs(np.arctan2(a[0] * b[1] - a[1] * b[0], a @ b)))


def _mitres(points: Float64[np.ndarray, "points 2"]) -> Float64[np.ndarray, "points 2"]:
    """Inward mitre vectors at the points of a counter-clockwise ring: offsets along them keep its sides parallel."""
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    normals = []
    for a, b in zip(before, after, strict=True):
        n0, n1 = np.array([-a[1], a[0]]) / np.hypot(*a), np.array([-b[1], b[0]]) / np.hypot(*b)
        middle = n0 + n1
        normals.append(middle / max(0.5, 1 + float(n0 @ n1)))
    return np.array(normals)


def _yard(
    back: Float64[np.ndarray, "2 2"],
    inward: Float64[np.ndarray, "2 2"],
    lot: Polygon,
    style: Style,
    rng: np.random.Generator,
) -> Iterator[Item]:
    """The yard behind one house: paving or lawn, a wall, an annex."""
    strip = Polygon(np.array([back[0], back[1], back[1] + inward[1], back[0] + inward[0]]))
    if not strip.is_valid or not lot.buffer(-8).contains(strip.centroid):
        return
    surface = (Surface.LAWN, Surface.SLABS, Surface.PAVERS, Surface.GRAVEL, Surface.ASPHALT)[int(rng.integers(5))]
    colour = one_of(rng, LAWNS if surface is Surface.LAWN else PAVINGS)
    yield Patch(strip, surface, colour, _direction_rad(back))
    if chance(rng, 0.5):
        yield fence(rng, np.array([back[0], back[0] + inward[0]]), "wall" if chance(rng, 0.6) else None)
    if chance(rng, 0.35):
        share = rng.uniform(0.3, 0.55)
        side = back[0] + (back[1] - back[0]) * share
        corners = np.array([back[0], side, side + inward[1] * 0.9, back[0] + inward[0] * 0.9])
        annex = Polygon(corners)
        if annex.is_valid and annex.exterior.is_ccw and lot.buffer(-6.0).contains(annex):
            yield flat_house(corners, float(rng.uniform(2.6, 9)), style, rng)
    elif surface is Surface.LAWN:
        yield from scatter(rng, strip.buffer(-1.5), 3, GARDEN, 2.0, 0.9)


def _direction_rad(line: Points) -> float:
    """Direction of a line from its first to its last point."""
    east, north = line[-1] - line[0]
    return float(np.arctan2(north, east))


def _courtyard(yard: BaseGeometry, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    for part in polygons(yard):
        if part.area < 60:
            continue
        green = chance(rng, 0.5)
        if green:
            yield Patch(part.buffer(-1.5), Surface.LAWN, varied(rng, style.lawn, 6.0, 3.0))
            yield from scatter(rng, part.buffer(-2), int(part.area / 45 * style.tree_density), GARDEN, 3.0)
        angle = style.rotation_rad + rng.normal(0, 0.05)
        for x, y in random_points(part.buffer(-5.0), rng, int(part.area / 300), 11.0):
            frame = Frame(np.array([x, y]), np.array([np.cos(angle), np.sin(angle)]))
            size = rng.uniform((4, 4), (8, 12))
            corners = frame.rectangle(-size[0] / 2, size[0] / 2, -size[1] / 2, size[1] / 2)
            if part.contains(Polygon(corners)):
                yield flat_house(corners, float(rng.uniform(2.5, 5)), style, rng, Material.BARE_WALL)
        if not green:
            for xy in random_points(part.buffer(-2.5), rng, int(part.area / 80), 5.5):
                yield Spot(xy, angle + np.pi / 2 * int(rng.integers(4)), 0.6)
            yield from (plant(rng, xy, "broadleaf", size=0.8) for xy in random_points(part.buffer(-3), rng, 2, 6.0))
