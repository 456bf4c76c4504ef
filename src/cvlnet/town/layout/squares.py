"""Squares of the old centre: paving, a church, rows of trees, benches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from shapely.geometry import Point, Polygon
from shapely.geometry.base import BaseGeometry

from cvlnet.arrays import Corners
from cvlnet.town.layout.greenery import plant
from cvlnet.town.layout.lots import Frame, long_frame
from cvlnet.town.plan import Block, Building, Item, Patch, Prop, Rgb, RoofKind, Surface
from cvlnet.town.polygons import random_points
from cvlnet.town.scene import Material
from cvlnet.town.streams import chance, object_seed
from cvlnet.town.style import Style, one_of, varied

STONE: tuple[Rgb, ...] = ((176, 150, 128), (196, 186, 168), (150, 112, 96), (208, 200, 184))
PAVING: tuple[Rgb, ...] = ((142, 134, 124), (158, 148, 134), (126, 120, 116), (150, 126, 112))
CLOTH: tuple[Rgb, ...] = ((190, 50, 44), (220, 200, 80), (230, 226, 216), (60, 110, 80), (70, 100, 150))
COPPER: Rgb = (112, 142, 128)
TREE_GRID_M = 7.5


def fill_square(block: Block, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """A paved square, with a church if it fits."""
    area = block.polygon
    frame, length, depth = long_frame(area)
    surface = Surface.COBBLES if chance(rng, 0.5) else Surface.PAVERS
    yield Patch(area, surface, one_of(rng, PAVING), frame.yaw_rad)
    free: BaseGeometry = area.buffer(-2.0)
    if chance(rng, 0.6):
        church = list(
            _church(Frame(frame.world(np.array([length / 2, depth / 2])), frame.along), min(length, depth), style, rng)
        )
        if all(free.contains(Polygon(part.corners_m)) for part in church):
            yield from church
            for part in church:
                free = free.difference(Polygon(part.corners_m).buffer(4.0))
    if chance(rng, 0.7):
        yield from _tree_grid(free.difference(area.buffer(-12.0)), frame, (length, depth), style, rng)
    for xy in random_points(free.buffer(-2.0), rng, int(area.area / 350), 6.0):
        name = ("bench", "short_lamp", "parasol", "parasol", "column", "bin", "bollard")[int(rng.integers(7))]
        colour = one_of(rng, CLOTH) if name in ("parasol", "column") else (70, 74, 72)
        yield Prop(name, xy, float(rng.uniform(0, 2 * np.pi)), colour, object_seed(rng))


def _tree_grid(
    strip: BaseGeometry, frame: Frame, size_m: tuple[float, float], style: Style, rng: np.random.Generator
) -> Iterator[Item]:
    """Rows of trees near the square's border, each in its pit."""
    for x in np.arange(4.0, size_m[0], TREE_GRID_M):
        for y in np.arange(4.0, size_m[1], TREE_GRID_M):
            at = frame.place(float(x), float(y))
            if strip.contains(Point(at)) and chance(rng, 0.85):
                yield Patch(Point(at).buffer(0.8), Surface.GRAVEL, varied(rng, (140, 130, 112), 6.0, 2.0))
                yield plant(rng, at, "broadleaf", style.avenue, 0.75)


def _church(frame: Frame, room_m: float, style: Style, rng: np.random.Generator) -> Iterator[Building]:
    """Nave, choir and tower along the frame's x axis, scaled to the available room."""
    long_m, wide_m = float(np.clip(room_m * 0.5, 16, 34)), float(np.clip(room_m * 0.22, 8, 14))
    stone, roof = one_of(rng, STONE), one_of(rng, style.roofs)
    tower_m = wide_m * 0.55
    nave = frame.rectangle(-long_m / 2, long_m / 2, -wide_m / 2, wide_m / 2)
    choir = frame.rectangle(long_m / 2 - 0.1, long_m / 2 + wide_m * 0.6, -wide_m * 0.35, wide_m * 0.35)
    tower = frame.rectangle(-long_m / 2 - tower_m, -long_m / 2 + 0.1, -tower_m / 2, tower_m / 2)
    high = wide_m * 0.95
    top = (COPPER, Material.ROOF_METAL) if chance(rng, 0.4) else (roof, Material.ROOF_TILES)
    yield _stone_house(nave, high, wide_m * 0.6, "gable", stone, (roof, Material.ROOF_TILES), rng)
    yield _stone_house(choir, high * 0.75, wide_m * 0.35, "hip", stone, (roof, Material.ROOF_TILES), rng)
    yield _stone_house(tower, high * 2.1, tower_m * rng.uniform(1.0, 2.4), "hip", stone, top, rng)


def _stone_house(
    corners_m: Corners, eaves_m: float, rise_m: float, roof: RoofKind, stone: Rgb,
    top: tuple[Rgb, Material], rng: np.random.Generator,
) -> Building:  # fmt: skip
    return Building(
        corners_m, eaves_m, float(rise_m), roof, True, 0.3, Material.BARE_WALL, stone, top[1], top[0],
        object_seed(rng),
    )  # fmt: skip
