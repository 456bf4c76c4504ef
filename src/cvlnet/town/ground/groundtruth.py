"""The label map: ground truth of a town as seen from above, without nuisances."""

from __future__ import annotations

from math import ceil

import numpy as np
from jaxtyping import Bool, UInt8
from shapely.geometry import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from cvlnet.grid import Grid
from cvlnet.labels import Label
from cvlnet.town.ground.canvas import Canvas
from cvlnet.town.ground.paint import paint_surfaces
from cvlnet.town.layout.alterations import split_by_time
from cvlnet.town.layout.blueprint import Blueprint
from cvlnet.town.plan import Barrier, Plan, Surface
from cvlnet.town.presets import TownConfig
from cvlnet.town.streams import stream

LABEL_M_PER_PX = 0.4
GREEN = (Surface.LAWN, Surface.MEADOW, Surface.FIELD, Surface.SOIL)
NEITHER = (Surface.WATER, Surface.SAND)
MARKED = 64  # coverage with paint, of 255, from which a cell is a marking
THINNEST_M = 0.4  # thinner barriers are drawn this thick


def label_grid(config: TownConfig) -> Grid:
    """Pixel grid of a town's label map: its square with a margin of half a tile."""
    half = ceil((config.size_m + config.tile_size_m) / 2 / LABEL_M_PER_PX)
    return Grid(2 * half, 2 * half, LABEL_M_PER_PX)


def draw_labels(blueprint: Blueprint) -> UInt8[np.ndarray, "rows cols"]:
    """Draw the label map of a town on `label_grid`: what is there both at the flight and at the drives."""
    config, land = blueprint.config, blueprint.land
    canvas = Canvas.blank(label_grid(config))
    paint_surfaces(canvas, blueprint, stream(config.seed, "paint"))
    always, _, _ = split_by_time(blueprint.plan, land, config.seed, config.nuisances.alterations, config.size_m / 2)
    surface = canvas.kind[..., 0]
    carriageway = _covered(canvas.grid, [land.carriageway])
    green, neither = np.isin(surface, GREEN), np.isin(surface, NEITHER)
    holds = {
        Label.ROAD: carriageway & ~green & ~neither,
        Label.PAVED: ~carriageway & ~green & ~neither,
        Label.MARKING: canvas.marking >= MARKED,
        Label.GREEN: green,
        **{label: _covered(canvas.grid, areas) for label, areas in _standing(always).items()},
    }
    bits = [np.where(held, np.uint8(label.bit), np.uint8(0)) for label, held in holds.items()]
    return np.asarray(np.bitwise_or.reduce(bits), np.uint8)


def _standing(plan: Plan) -> dict[Label, list[BaseGeometry]]:
    """Outlines of the objects on the ground, by label."""
    lines = [(b.kind == "hedge", _thick(b)) for b in plan.barriers]
    return {
        Label.BUILDING: [Polygon(b.corners_m) for b in plan.buildings],
        Label.TREE: [Point(t.xy_m).buffer(t.crown_m / 2) for t in plan.trees],
        Label.HEDGE: [line for is_hedge, line in lines if is_hedge],
        Label.BARRIER: [line for is_hedge, line in lines if not is_hedge],
    }


def _thick(barrier: Barrier) -> BaseGeometry:
    width_m = max(barrier.thickness_m, THINNEST_M)
    return LineString(barrier.xy_m).buffer(width_m / 2, cap_style="flat")


def _covered(grid: Grid, areas: list[BaseGeometry]) -> Bool[np.ndarray, "rows cols"]:
    canvas = Canvas.blank(grid)
    for area in areas:
        canvas.fill(area, Surface.ASPHALT, (255, 255, 255))
    return canvas.rgb[..., 0] >= 128
