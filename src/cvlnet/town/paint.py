"""From the plan to the painted ground: lots, pavements, carriageways, markings, then the weather on all of it."""

from __future__ import annotations

import numpy as np
from shapely.geometry import box

from cvlnet.grid import Grid
from cvlnet.town.canvas import Canvas
from cvlnet.town.config import TownConfig
from cvlnet.town.junctions import Approach
from cvlnet.town.land import Land
from cvlnet.town.markings import road_markings
from cvlnet.town.paint_roads import paint_carriageways, paint_pavements
from cvlnet.town.plan import Layer, Network, Plan, Surface
from cvlnet.town.scene import Ground
from cvlnet.town.streams import stream
from cvlnet.town.style import Style
from cvlnet.town.terrain import make_height
from cvlnet.town.texture import weather


def paint_ground(
    config: TownConfig, network: Network, ends: dict[tuple[int, int], Approach], land: Land, plan: Plan, style: Style
) -> Ground:
    """The ground of a town, albedo and height."""
    cells = round(config.size_m / config.albedo_cell_m)
    canvas = Canvas.blank(Grid(cells, cells, config.albedo_cell_m))
    rng = stream(config.seed, "paint")
    paint_surfaces(canvas, config, network, ends, land, plan, style, rng)
    weather(canvas, int(rng.integers(2**32)), style.marking_wear)
    height_grid, height_m = make_height(config.seed, config.size_m, config.nuisances.unevenness)
    return Ground(canvas.grid, np.ascontiguousarray(canvas.rgb), height_grid, height_m)


def paint_surfaces(
    canvas: Canvas,
    config: TownConfig,
    network: Network,
    ends: dict[tuple[int, int], Approach],
    land: Land,
    plan: Plan,
    style: Style,
    rng: np.random.Generator,
) -> None:
    """Everything that lies on the ground, before the weather."""
    half = config.size_m / 2 + 1.0
    canvas.fill(box(-half, -half, half, half), Surface.MEADOW, style.lawn)
    _paint_patches(canvas, plan, "lot")
    paint_pavements(canvas, network, ends, land, style, rng)
    _paint_patches(canvas, plan, "pavement")
    paint_carriageways(canvas, network, ends, land, style, rng)
    _paint_patches(canvas, plan, "road")
    for line in road_markings(network, ends, rng):
        canvas.mark(line)
    for line in plan.lines:
        canvas.mark(line)


def _paint_patches(canvas: Canvas, plan: Plan, layer: Layer) -> None:
    for patch in plan.patches:
        if patch.layer == layer:
            canvas.fill(patch.area, patch.surface, patch.rgb, patch.angle_rad)
