"""Terraced houses: rows of equal, adjoining houses with strips of garden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
from shapely.geometry import Polygon

from cvlnet.arrays import Corners
from cvlnet.town.layout.greenery import border, hedge, scatter
from cvlnet.town.layout.housing import PAVINGS, SHED_COLOURS, house, line_inside
from cvlnet.town.layout.lots import Plot, cut_plots, fits
from cvlnet.town.plan import Block, Building, Item, Patch, Prop, Rgb, RoofKind, Surface
from cvlnet.town.streams import chance, object_seed, pick
from cvlnet.town.style import LAWNS, Style, one_of, varied

ROOFS = {"gable": 4.0, "flat": 1.0}
HOUSE_M, DEPTH_M, SETBACK_M = (6.2, 8.2), (9.0, 11.0), (3.0, 5.0)


def fill_terraces(block: Block, style: Style, rng: np.random.Generator) -> Iterator[Item]:
    """Rows of equal houses, each with its strip of garden."""
    roof: RoofKind = pick(rng, ROOFS)  # type: ignore[assignment]
    yield Patch(block.polygon, Surface.LAWN, varied(rng, style.lawn, 6.0, 3.0))
    setback, depth = rng.uniform(*SETBACK_M), rng.uniform(*DEPTH_M)
    for plot in cut_plots(block.polygon, rng, (26.0, 50.0)):
        count = max(2, int((plot.width_m - 3) / rng.uniform(*HOUSE_M)))
        wide = min(7.8, (plot.width_m - 2.5) / count)
        edges = (np.arange(count + 1) - count / 2) * wide
        walls, tiles = one_of(rng, style.walls), one_of(rng, style.roofs)
        for x0, x1 in pairwise(edges.tolist()):
            front = _terrace_front(plot, x0, x1, setback, depth)
            if front is None:
                continue
            yield _terrace_house(plot.frame.rectangle(x0, x1, front, front + depth), roof, (walls, tiles), style, rng)
            yield from _strip(plot, (x0, x1, front + depth), rng, style)
            path = Polygon(plot.frame.rectangle(x0 + 0.5, x0 + 2.0, -0.5, front))
            yield Patch(path, Surface.SLABS, one_of(rng, PAVINGS), plot.frame.yaw_rad)
            hedged = plot.frame.line((x0 + 2.4, 0.8), (x1 - 0.4, 0.8))
            if chance(rng, 0.5) and line_inside(plot.polygon, hedged):
                yield hedge(rng, hedged, 0.9)


def _terrace_front(plot: Plot, x0: float, x1: float, setback_m: float, depth_m: float) -> float | None:
    """The smallest setback, from ``setback_m`` on, at which a house of the row fits; None if there is none."""
    for front in (setback_m, setback_m + 1.5, setback_m + 3.0, setback_m + 5.0):
        if fits(plot.polygon, plot.frame.rectangle(x0, x1, front, front + depth_m), 0.2):
            return front
    return None


def _terrace_house(
    corners: Corners, roof: RoofKind, colours: tuple[Rgb, Rgb], style: Style, rng: np.random.Generator
) -> Building:
    """A house of a row, with the row's roof and usually the row's wall colour."""
    model = house(corners, 2.2, roof, style, rng, party=True)
    wall = colours[0] if chance(rng, 0.6) else model.wall_rgb
    if roof == "flat":
        return replace(model, wall_rgb=wall)
    depth = float(np.hypot(*(corners[3] - corners[0])))
    return replace(
        model, wall_rgb=wall, roof_rgb=varied(rng, colours[1], 4.0, 2.0), rise_m=depth / 2 * 0.8, overhang_m=0.4
    )


def _strip(plot: Plot, strip: tuple[float, float, float], rng: np.random.Generator, style: Style) -> Iterator[Item]:
    frame, (x0, x1, y0) = plot.frame, strip
    garden = Polygon(frame.rectangle(x0, x1, y0, plot.depth_m - 0.5)).intersection(plot.polygon)
    if garden.area < 20:
        return
    yield Patch(garden, Surface.LAWN, one_of(rng, LAWNS, 5.0, 3.0))
    yield Patch(
        Polygon(frame.rectangle(x0 + 0.2, x1 - 0.2, y0, y0 + 3)), Surface.SLABS, one_of(rng, PAVINGS), frame.yaw_rad
    )
    yield from scatter(
        rng,
        garden.buffer(-0.8),
        int(rng.poisson(garden.area / 22 * style.tree_density)),
        {"bush": 4.0, "young": 2.0},
        2.0,
        0.8,
    )
    line = frame.line((x1, y0 + 0.5), (x1, plot.depth_m - 1.0))
    if plot.depth_m - y0 > 4 and line_inside(plot.polygon, line):
        yield border(rng, line)
    if chance(rng, 0.3):
        yield Prop(
            "shed",
            frame.place((x0 + x1) / 2, plot.depth_m - 3.0),
            frame.yaw_rad,
            one_of(rng, SHED_COLOURS),
            object_seed(rng),
        )
