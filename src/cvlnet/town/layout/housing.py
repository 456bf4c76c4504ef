"""Plots with detached houses: gardens, garages, driveways and fences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from shapely.geometry import LineString, Polygon

from cvlnet.arrays import Corners, Points
from cvlnet.town.layout.greenery import GARDEN, border, fence, hedge, scatter
from cvlnet.town.layout.lots import Frame, Plot, cut_plots, fits
from cvlnet.town.plan import Block, Building, Item, Patch, Prop, Rgb, RoofKind, Spot, Surface, Zone
from cvlnet.town.polygons import largest
from cvlnet.town.scene import Material
from cvlnet.town.streams import chance, object_seed, pick
from cvlnet.town.style import FLAT_ROOFS, LAWNS, METAL_ROOFS, Style, one_of, varied

WATER: Rgb = (72, 140, 160)
SHED_COLOURS: tuple[Rgb, ...] = ((124, 96, 70), (96, 80, 66), (150, 60, 48), (84, 100, 84), (170, 160, 146))
PAVINGS: tuple[Rgb, ...] = ((150, 146, 140), (166, 150, 134), (140, 112, 100), (124, 122, 120), (178, 172, 160))
BRICKS: tuple[Rgb, ...] = ((140, 86, 70), (156, 104, 84), (120, 76, 66))
FLOOR_M = 2.8
CROSSING_M = 6.0  # at least as wide as any pavement with its verge


@dataclass(frozen=True)
class HouseKind:
    """Ranges of plot and house sizes, metres, and weights of the roof kinds."""

    plot_m: tuple[float, float]
    house_m: tuple[float, float]
    depth_m: tuple[float, float]
    setback_m: tuple[float, float]
    floors: tuple[float, ...]
    roofs: dict[str, float]


DETACHED = HouseKind(
    (15.0, 23.0), (9.0, 12.0), (8.5, 11.5), (3.0, 7.0), (1.2, 1.5, 1.5, 2.2), {"gable": 7.0, "hip": 2.0, "flat": 1.0}
)
VILLA = HouseKind(
    (22.0, 34.0),
    (12.0, 17.0),
    (11.0, 14.0),
    (6.0, 11.0),
    (2.2, 2.2, 2.6),
    {"hip": 5.0, "gable": 2.0, "mansard": 2.0, "flat": 1.5},
)


def fill_houses(block: Block, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """A block of houses with gardens."""
    kind = VILLA if block.zone is Zone.VILLAS else DETACHED
    yield Patch(block.polygon, Surface.LAWN, varied(rng, style.lawn, 6.0, 3.0))
    along_street = chance(rng, 0.65)
    setback = rng.uniform(*kind.setback_m)
    for plot in cut_plots(block.polygon, rng, kind.plot_m):
        if chance(rng, 0.04):
            yield from _empty_plot(plot, rng)
        else:
            yield from _house_plot(
                plot, kind, style, rng, along_street if chance(rng, 0.85) else not along_street, setback
            )


def house(
    corners_m: Corners, floors: float, roof: RoofKind, style: Style, rng: np.random.Generator,
    *, along_front: bool = True, wall: Material | None = None, party: bool = False,
) -> Building:  # fmt: skip
    """A dwelling on given corners, in the town's colours."""
    short = min(np.hypot(*(corners_m[1] - corners_m[0])), np.hypot(*(corners_m[2] - corners_m[1])))
    span = np.hypot(*(corners_m[3] - corners_m[0])) if along_front else np.hypot(*(corners_m[1] - corners_m[0]))
    pitch = {"gable": rng.uniform(0.65, 1.0), "hip": rng.uniform(0.45, 0.75)}.get(roof, 0.0)
    rise = {"flat": 1.0, "shed": short * 0.2, "mansard": 3.8}.get(roof, span / 2 * pitch)
    flat = roof == "flat"
    metal = roof == "shed" or chance(rng, 0.04)
    covering = Material.ROOF_FLAT if flat else Material.ROOF_METAL if metal else Material.ROOF_TILES
    palette = FLAT_ROOFS if flat else METAL_ROOFS if covering is Material.ROOF_METAL else style.roofs
    facade = wall or (Material.BRICK_FACADE if chance(rng, 0.12) else Material.PLASTER_FACADE)
    colour = one_of(rng, BRICKS if facade is Material.BRICK_FACADE else style.walls)
    overhang = 0.0 if flat else float(rng.uniform(0.3, 0.7))
    return Building(
        corners_m, 0.4 + floors * FLOOR_M, float(rise), roof, along_front, overhang, facade, colour, covering,
        one_of(rng, palette, 9.0, 4.0), object_seed(rng), party,
    )  # fmt: skip


def flat_house(
    corners_m: Corners,
    height_m: float,
    style: Style,
    rng: np.random.Generator,
    wall: Material = Material.PLASTER_FACADE,
) -> Building:
    """A plain building with a flat roof: annexes, offices, halls."""
    return Building(
        corners_m, height_m, 1.0, "flat", True, 0.0, wall, one_of(rng, style.walls), Material.ROOF_FLAT,
        one_of(rng, FLAT_ROOFS), object_seed(rng),
    )  # fmt: skip


def garage(frame: Frame, x0: float, y0: float, style: Style, rng: np.random.Generator) -> Building:
    """A garage of 3 m by 6 m at a point of the plot's frame."""
    flat = chance(rng, 0.75)
    return Building(
        frame.rectangle(x0, x0 + 3.0, y0, y0 + 6.0), 2.5, 0.0 if flat else 1.3, "flat" if flat else "gable", False,
        0.15, Material.BARE_WALL, one_of(rng, style.walls), Material.ROOF_FLAT if flat else Material.ROOF_TILES,
        one_of(rng, FLAT_ROOFS if flat else style.roofs), object_seed(rng),
    )  # fmt: skip


def _house_plot(
    plot: Plot, kind: HouseKind, style: Style, rng: np.random.Generator, along_street: bool, setback_m: float
) -> Iterator[Item]:
    if chance(rng, 0.7):
        yield Patch(plot.polygon, Surface.LAWN, one_of(rng, LAWNS, 6.0, 3.0))
    corners = _house_corners(plot, kind, rng, setback_m)
    if corners is None:
        yield from _empty_plot(plot, rng)
        return
    frame = plot.frame
    local = frame.local(corners)
    x0, x1, y0, y1 = local[0, 0], local[1, 0], local[0, 1], local[2, 1]
    roof: RoofKind = pick(rng, kind.roofs)  # type: ignore[assignment]
    floors = kind.floors[int(rng.integers(len(kind.floors)))]
    yield house(corners, floors, roof, style, rng, along_front=along_street)
    yield from _wing(plot, (x0, x1, y0, y1), floors, style, rng)
    yield from _front_yard(plot, (x0, x1, y0, y1), style, rng)
    yield from _garden(plot, (x0, x1, y0, y1), style, rng)
    yield from _borders(plot, rng)


def _house_corners(plot: Plot, kind: HouseKind, rng: np.random.Generator, setback_m: float) -> Corners | None:
    """Corners of the largest house of its kind that fits the plot, or None."""
    width, depth = rng.uniform(*kind.house_m), rng.uniform(*kind.depth_m)
    for shrink in (1.0, 0.86, 0.74, 0.62):
        w, d = min(width * shrink, plot.width_m - 4), depth * shrink
        shift = rng.uniform(-0.5, 0.5) * max(0.0, plot.width_m - w - 5)
        y0 = setback_m * (0.4 + 0.6 * shrink) + rng.normal(0, 0.4)
        corners = plot.frame.rectangle(shift - w / 2, shift + w / 2, y0, y0 + d)
        if w > 5.5 and fits(plot.polygon, corners, 0.8):
            return corners
    return None


def _wing(
    plot: Plot, box: tuple[float, float, float, float], floors: float, style: Style, rng: np.random.Generator
) -> Iterator[Item]:
    """An annex of one storey at the back."""
    x0, x1, _, y1 = box
    if chance(rng, 0.3):
        w, d = rng.uniform(3, max(3.5, (x1 - x0) * 0.7)), rng.uniform(2.5, 4.5)
        start = rng.uniform(x0, x1 - w)
        corners = plot.frame.rectangle(start, start + w, y1 - 0.05, y1 + d)
        if fits(plot.polygon, corners, 0.3):
            yield house(corners, min(1.0, floors), "flat", style, rng)


def _front_yard(
    plot: Plot, box: tuple[float, float, float, float], style: Style, rng: np.random.Generator
) -> Iterator[Item]:
    """Path to the door, driveway with a garage, parked cars."""
    frame, (x0, x1, y0, _) = plot.frame, box
    colour = one_of(rng, PAVINGS)
    door = rng.uniform(x0 + 1, x1 - 1)
    yield Patch(Polygon(frame.rectangle(door - 0.7, door + 0.7, -0.5, y0)), Surface.SLABS, colour, frame.yaw_rad)
    if chance(rng, 0.25):
        yield Patch(
            Polygon(frame.rectangle(x0, x1, 0.2, y0)).intersection(plot.polygon), Surface.PAVERS, colour, frame.yaw_rad
        )
    right = plot.width_m / 2 - x1 > plot.width_m / 2 + x0
    edge = x1 + 0.4 if right else x0 - 3.6
    if abs(edge + 1.5) + 1.5 > plot.width_m / 2 + 0.6:
        return
    back = y0 + rng.uniform(0.5, 4.0)
    surface = (Surface.PAVERS, Surface.SLABS, Surface.ASPHALT, Surface.GRAVEL)[int(rng.integers(4))]
    drive = Polygon(frame.rectangle(edge, edge + 3.2, -0.5, back))
    yield Patch(drive, surface, colour, frame.yaw_rad)
    yield lowered_kerb(frame, edge, edge + 3.2, style, rng)
    built = frame.rectangle(edge, edge + 3.0, back, back + 6.0)
    if chance(rng, 0.75) and fits(plot.polygon, built, 0.05):
        yield garage(frame, edge, back, style, rng)
    if back > 4.6:
        yaw = frame.yaw_rad + (np.pi / 2 if chance(rng, 0.7) else -np.pi / 2)
        yield Spot(frame.place(edge + 1.55, back - 2.5), float(yaw), 0.5)


def lowered_kerb(frame: Frame, x0: float, x1: float, style: Style, rng: np.random.Generator) -> Patch:
    """Vehicle crossing over pavement and verge to a plot; the carriageway is painted over its far end."""
    crossing = Polygon(frame.rectangle(x0, x1, -CROSSING_M, 0.0))
    return Patch(crossing, Surface.PAVERS, varied(rng, style.pavement, 8.0, 1.5), frame.yaw_rad, "pavement")


def _garden(
    plot: Plot, box: tuple[float, float, float, float], style: Style, rng: np.random.Generator
) -> Iterator[Item]:
    frame, (x0, x1, y0, y1) = plot.frame, box
    terrace = Polygon(frame.rectangle(rng.uniform(x0, (x0 + x1) / 2), x1, y1, y1 + rng.uniform(2, 4.5)))
    yield Patch(terrace.intersection(plot.polygon), Surface.SLABS, one_of(rng, PAVINGS), frame.yaw_rad)
    taken = Polygon(frame.rectangle(x0 - 3.5, x1 + 3.5, -1.0, y1 + 3))
    rest = plot.polygon.buffer(-1.0).difference(taken)
    back = largest(rest)
    if back is None or back.area < 25:
        return
    for _ in range(int(rng.integers(0, 3))):
        yield from _bed(back, frame, rng)
    if chance(rng, 0.07) and back.area > 150:
        pool = frame.rectangle(-2.0, 2.0, y1 + 6, y1 + 13)
        if fits(back, pool, 0.5):
            yield Patch(Polygon(pool).buffer(0.8), Surface.SLABS, one_of(rng, PAVINGS), frame.yaw_rad)
            yield Patch(Polygon(pool), Surface.WATER, WATER)
    count = rng.poisson(back.area / 34 * style.tree_density)
    yield from scatter(rng, back, int(count), GARDEN, 2.8, 0.9)
    front = plot.polygon.buffer(-0.6).intersection(Polygon(frame.rectangle(-40.0, 40.0, 0.0, y0 - 1)))
    yield from scatter(rng, front, int(rng.poisson(3.5)), {"bush": 6.0, "young": 1.5, "conifer": 0.5}, 1.5, 0.7)
    for name, share in (("shed", 0.4), ("trampoline", 0.1), ("parasol", 0.1)):
        if chance(rng, share):
            yield Prop(name, _somewhere(back, rng), frame.yaw_rad, one_of(rng, SHED_COLOURS), object_seed(rng))


def _somewhere(area: Polygon, rng: np.random.Generator) -> tuple[float, float]:
    """A random point near an area's border."""
    inner = largest(area.buffer(-1.8)) or area
    point = inner.exterior.interpolate(rng.uniform(0, inner.exterior.length))
    return float(point.x), float(point.y)


def _bed(area: Polygon, frame: Frame, rng: np.random.Generator) -> Iterator[Item]:
    x, y = _somewhere(area, rng)
    size = rng.uniform((1.0, 2.0), (3.0, 8.0))
    bed = Frame(np.array([x, y]), frame.along).rectangle(-size[0] / 2, size[0] / 2, -size[1] / 2, size[1] / 2)
    surface = Surface.SOIL if chance(rng, 0.6) else Surface.GRAVEL
    colour: Rgb = (92, 76, 60) if surface is Surface.SOIL else (166, 160, 150)
    yield Patch(Polygon(bed).intersection(area), surface, varied(rng, colour, 8.0, 3.0), frame.yaw_rad)


def _borders(plot: Plot, rng: np.random.Generator) -> Iterator[Item]:
    """Hedges and fences at the front (with gaps), at the back, and on one side; the neighbour has the other."""
    frame, half, depth = plot.frame, plot.width_m / 2 - 0.3, plot.depth_m
    inside = plot.polygon.buffer(-0.3)
    front = rng.random()
    if front < 0.75:
        line = frame.line((-half, 0.5), (half * 0.15, 0.5))
        other = frame.line((half * 0.15 + 1.6, 0.5), (half - 3.4, 0.5))
        make = hedge if front < 0.4 else fence
        for piece in (line, other):
            if np.hypot(*(piece[-1] - piece[0])) > 1.5 and line_inside(inside, piece):
                yield make(rng, piece)
    if chance(rng, 0.85):
        side = frame.line((half, 5.0), (half, depth - 1.0))
        if depth > 10 and line_inside(inside.buffer(0.5), side):
            yield border(rng, side)
    if chance(rng, 0.7):
        rear = frame.line((-half, depth - 0.6), (half, depth - 0.6))
        if line_inside(inside.buffer(0.4), rear):
            yield border(rng, rear)


def line_inside(area: Polygon, line: Points) -> bool:
    """Whether a line lies within an area."""
    return bool(area.contains(LineString(line)))


def _empty_plot(plot: Plot, rng: np.random.Generator) -> Iterator[Item]:
    yield Patch(plot.polygon, Surface.MEADOW, one_of(rng, LAWNS, 6.0, 4.0))
    yield from scatter(rng, plot.polygon.buffer(-2), int(plot.polygon.area / 60), GARDEN, 3.0)
