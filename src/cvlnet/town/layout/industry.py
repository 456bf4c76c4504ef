"""Industry and retail: large halls, yards with containers, supermarkets behind their car parks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from cvlnet.arrays import Corners
from cvlnet.town.layout.carparks import bay_row, car_park
from cvlnet.town.layout.greenery import GROVE, fence, hedge, scatter
from cvlnet.town.layout.housing import lowered_kerb
from cvlnet.town.layout.lots import Frame, Plot, cut_plots
from cvlnet.town.plan import Block, Building, Item, Patch, Prop, Rgb, RoofKind, Spot, Surface
from cvlnet.town.polygons import border_line, polygons, random_points
from cvlnet.town.scene import Material
from cvlnet.town.streams import chance, object_seed, pick
from cvlnet.town.style import FLAT_ROOFS, INDUSTRY_WALLS, METAL_ROOFS, Style, one_of, varied

CONTAINERS: tuple[Rgb, ...] = ((150, 60, 44), (44, 80, 120), (70, 100, 70), (170, 170, 166), (190, 120, 40))
HEAPS: tuple[Rgb, ...] = ((138, 128, 112), (120, 110, 96), (150, 148, 142), (104, 92, 78))
GOODS: tuple[Rgb, ...] = (
    (150, 130, 100),
    (120, 120, 118),
    (90, 100, 120),
    (180, 160, 60),
    (160, 80, 60),
    (200, 200, 196),
)


def fill_industry(block: Block, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """Large plots, each with a factory, a shop or storage."""
    yield Patch(block.polygon, Surface.ASPHALT, varied(rng, style.old_asphalt, 8.0, 2.0))
    for plot in cut_plots(block.polygon, rng, (40.0, 85.0)):
        use = pick(rng, {"works": 6.0, "retail": 3.0, "storage": 0.7, "fallow": 0.6})
        makers = {"works": _works, "retail": _retail, "storage": _storage, "fallow": _fallow}
        yield from makers[use](plot, style, rng)
        if chance(rng, 0.6):
            line = border_line(plot.polygon, 0.8)
            if line is not None:
                yield fence(rng, line[: max(2, len(line) - 2)], "mesh_fence")
        strip = plot.polygon.intersection(
            Polygon(plot.frame.rectangle(-plot.width_m / 2, plot.width_m / 2 - 9, -1.0, 3.0))
        )
        if chance(rng, 0.7):
            yield Patch(strip, Surface.LAWN, varied(rng, style.lawn, 6.0, 3.0))
            for part in polygons(strip):
                yield from scatter(
                    rng, part.buffer(-0.7), int(part.area / 14), {"bush": 4.0, "young": 2.0, "broadleaf": 0.7}, 2.5
                )


def hall(corners: Corners, eaves_m: float, rng: np.random.Generator, style: Style) -> Building:
    """An industrial hall with a random kind of roof and wall."""
    roof: RoofKind = pick(rng, {"flat": 6.0, "gable": 3.0, "sawtooth": 1.2, "hip": 0.6})  # type: ignore[assignment]
    span = float(np.hypot(*(corners[3] - corners[0])))
    tiles = roof in ("gable", "hip") and chance(rng, 0.25)
    covering = (
        Material.ROOF_FLAT
        if roof == "flat" and chance(rng, 0.7)
        else Material.ROOF_TILES
        if tiles
        else Material.ROOF_METAL
    )
    palette = {Material.ROOF_FLAT: FLAT_ROOFS, Material.ROOF_TILES: style.roofs}.get(covering, METAL_ROOFS)
    rise = {"flat": 1.0, "sawtooth": 2.6}.get(roof, span * rng.uniform(0.06, 0.16))
    wall = pick(rng, {"sheet": 6.0, "brick": 1.5, "plaster": 2.0})
    material = {
        "sheet": Material.INDUSTRIAL_FACADE,
        "brick": Material.BRICK_FACADE,
        "plaster": Material.PLASTER_FACADE,
    }[wall]
    colour: Rgb = (142, 92, 74) if wall == "brick" else one_of(rng, INDUSTRY_WALLS if wall == "sheet" else style.walls)
    return Building(
        corners, eaves_m, float(rise), roof, True, 0.0 if roof in ("flat", "sawtooth") else 0.4, material,
        varied(rng, colour, 6.0, 2.0), covering, one_of(rng, palette), object_seed(rng),
    )  # fmt: skip


def _largest_rectangle(plot: Plot, x0: float, x1: float, y0: float, y1: float, margin_m: float) -> Corners | None:
    """A rectangle in the plot's frame, shrunk until it fits; None if it gets too small."""
    middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2
    inner = plot.polygon.buffer(-margin_m)
    for shrink in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5):
        w, d = (x1 - x0) / 2 * shrink, (y1 - y0) / 2 * shrink
        corners = plot.frame.rectangle(middle_x - w, middle_x + w, middle_y - d, middle_y + d)
        if w > 4 and d > 4 and inner.contains(Polygon(corners)):
            return corners
    return None


def _works(plot: Plot, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    half, depth = plot.width_m / 2, plot.depth_m
    yield lowered_kerb(plot.frame, half - 9.0, half - 2.0, style, rng)
    front = rng.uniform(6, 14)
    side = rng.uniform(4, 18)
    corners = _largest_rectangle(plot, -half + side, half - 4, front, depth - rng.uniform(4, 12), 2.5)
    if corners is not None:
        yield hall(corners, float(rng.uniform(5, 10)), rng, style)
        local = plot.frame.local(corners)
        if chance(rng, 0.6):
            office = plot.frame.rectangle(local[0, 0], local[0, 0] + 12, local[0, 1] - 7, local[0, 1])
            if plot.polygon.contains(Polygon(office)):
                yield Building(office, 6.8, 1.0, "flat", True, 0.0, Material.PLASTER_FACADE, one_of(rng, style.walls),
                               Material.ROOF_FLAT, one_of(rng, FLAT_ROOFS), object_seed(rng))  # fmt: skip
    yield from _yard(plot, corners, style, rng)


def _yard(plot: Plot, built: Corners | None, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """Yard around a hall: more halls, parked cars along the fence, patches, containers, goods, trucks."""
    free: BaseGeometry = plot.polygon.buffer(-3.0)
    if built is not None:
        free = free.difference(Polygon(built).buffer(5.0))
    for corners in _more_halls(free, plot.frame, rng):
        yield hall(corners, float(rng.uniform(4, 9)), rng, style)
        free = free.difference(Polygon(corners).buffer(3.5))
    for xy in random_points(free, rng, 3, 15.0):
        patch = Frame(np.array(xy), plot.frame.along).rectangle(-rng.uniform(4, 14), 8.0, -rng.uniform(4, 12), 6.0)
        surface = (Surface.CONCRETE, Surface.PAVERS, Surface.ASPHALT)[int(rng.integers(3))]
        yield Patch(
            Polygon(patch).intersection(free), surface, varied(rng, style.pavement, 14.0, 3.0), plot.frame.yaw_rad
        )
    half, depth = plot.width_m / 2, plot.depth_m
    if chance(rng, 0.75):
        yield from bay_row(free, plot.frame, (-half + 3, half - 3), 3.4, rng)
    if chance(rng, 0.6):
        side = plot.frame.turned(half - 3.2, 4.0)
        yield from bay_row(free, side, (0.0, depth - 12), 0.0, rng)
    for part in polygons(free):
        for xy in random_points(part, rng, int(rng.poisson(part.area / 190)), 7.0):
            turn = plot.frame.yaw_rad + np.pi / 2 * int(rng.integers(4)) + rng.normal(0, 0.03)
            kind = pick(rng, {"container": 1.2, "goods": 3.0, "car": 4.0, "truck": 1.2, "skip": 0.5})
            if kind == "goods":
                yield Prop("racks", xy, float(turn), one_of(rng, GOODS), object_seed(rng))
            elif kind in ("container", "skip"):
                yield Prop(kind, xy, float(turn), one_of(rng, CONTAINERS), object_seed(rng))
            else:
                yield Spot(xy, float(turn), 0.6, ("truck",) if kind == "truck" else ("car", "car", "van"))


def _more_halls(free: BaseGeometry, frame: Frame, rng: np.random.Generator) -> list[Corners]:
    """Further halls in the free space, large ones first, with room to drive between them."""
    found: list[Corners] = []
    for size in (34.0, 24.0, 16.0, 10.0):
        for xy in random_points(free, rng, 12, 4.0):
            length, width = size * rng.uniform(1.0, 1.8), size * rng.uniform(0.6, 1.0)
            corners = Frame(np.array(xy), frame.along).rectangle(-length / 2, length / 2, -width / 2, width / 2)
            shape = Polygon(corners)
            if free.contains(shape.buffer(4.5)) and not any(shape.distance(Polygon(c)) < 8.0 for c in found):
                found.append(corners)
    return found[:6]


def _retail(plot: Plot, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    half, depth = plot.width_m / 2, plot.depth_m
    yield lowered_kerb(plot.frame, half - 9.0, half - 2.0, style, rng)
    back = depth * rng.uniform(0.5, 0.6)
    corners = _largest_rectangle(plot, -half + 3, half - 3, back, depth - 3, 2.0)
    if corners is None:
        yield from _storage(plot, style, rng)
        return
    tiled = chance(rng, 0.4)
    yield Building(
        corners, 4.8, 4.5 if tiled else 1.0, "hip" if tiled else "flat", True, 0.8 if tiled else 0.0,
        Material.SHOP_FACADE, one_of(rng, style.walls), Material.ROOF_TILES if tiled else Material.ROOF_FLAT,
        one_of(rng, style.roofs if tiled else FLAT_ROOFS), object_seed(rng),
    )  # fmt: skip
    front = plot.polygon.intersection(Polygon(plot.frame.rectangle(-half + 1.5, half - 1.5, 4.0, back - 2.5)))
    for part in polygons(front):
        if part.area > 250:
            yield from car_park(part, style, rng, 0.55)
    for x in np.arange(-half + 6, half - 4, rng.uniform(7, 12)):
        yield Prop(
            "flags", plot.frame.place(float(x), 1.5), plot.frame.yaw_rad, one_of(rng, CONTAINERS), object_seed(rng)
        )
    yield Prop(
        "billboard", plot.frame.place(half - 4.0, 2.5), plot.frame.yaw_rad - np.pi / 2, (200, 40, 40), object_seed(rng)
    )


def _storage(plot: Plot, _style: Style, rng: np.random.Generator) -> Iterator[Item]:
    yield Patch(plot.polygon.buffer(-1), Surface.GRAVEL, varied(rng, (150, 144, 132), 8.0, 3.0))
    for xy in random_points(plot.polygon.buffer(-4), rng, int(plot.polygon.area / 130), 6.0):
        name = pick(rng, {"racks": 3.0, "container": 2.0, "rubble": 1.0})
        colour = one_of(rng, {"racks": GOODS, "container": CONTAINERS, "rubble": HEAPS}[name])
        yield Prop(name, xy, plot.frame.yaw_rad + np.pi / 2 * int(rng.integers(2)), colour, object_seed(rng))


def _fallow(plot: Plot, _style: Style, rng: np.random.Generator) -> Iterator[Item]:
    yield Patch(plot.polygon.buffer(-1), Surface.MEADOW, varied(rng, (112, 110, 78), 8.0, 4.0))
    yield from scatter(rng, plot.polygon.buffer(-3), int(plot.polygon.area / 55), GROVE, 3.0, 0.8)
    if chance(rng, 0.5):
        yield hedge(rng, plot.frame.line((-plot.width_m / 2 + 2, 2.0), (plot.width_m / 2 - 2, 2.0)), 1.5)
