"""Paints the ground: lots, pavements, carriageways, markings, then the texture over all of them."""

from __future__ import annotations

import numpy as np
from shapely.geometry import box

from cvlnet.grid import Grid
from cvlnet.town.ground.canvas import Canvas
from cvlnet.town.ground.markings import road_markings
from cvlnet.town.ground.paint_roads import paint_carriageways, paint_pavements
from cvlnet.town.ground.terrain import make_height
from cvlnet.town.ground.texture import apply_texture
from cvlnet.town.layout.blueprint import Blueprint
from cvlnet.town.plan import Layer, Plan, Surface
from cvlnet.town.scene import Ground
from cvlnet.town.streams import stream


def paint_ground(blueprint: Blueprint) -> Ground:
    """Paint the ground of a town: albedo and height."""
    config = blueprint.config
    cells = round(config.size_m / config.albedo_cell_m)
    canvas = Canvas.blank(Grid(cells, cells, config.albedo_cell_m))
    rng = stream(config.seed, "paint")
    paint_surfaces(canvas, blueprint, rng)
    apply_texture(canvas, int(rng.integers(2**32)), blueprint.style.marking_wear)
    height_grid, height_m = make_height(config.seed, config.size_m, config.nuisances.unevenness)
    return Ground(canvas.grid, np.ascontiguousarray(canvas.rgb), height_grid, height_m)


def paint_surfaces(canvas: Canvas, blueprint: Blueprint, rng: np.random.Generator) -> None:
    """Paint all surfaces and markings, without texture."""
    network, ends, land, style = blueprint.network, blueprint.ends, blueprint.land, blueprint.style
    half = blueprint.config.size_m / 2 + 1.0
    canvas.fill(box(-half, -half, half, half), Surface.MEADOW, style.lawn)
    _paint_patches(canvas, blueprint.plan, "lot")
    paint_pavements(canvas, network, ends, land, style, rng)
    _paint_patches(canvas, blueprint.plan, "pavement")
    paint_carriageways(canvas, network, ends, land, style, rng)
    _paint_patches(canvas, blueprint.plan, "road")
    for marking in (*road_markings(network, ends, rng), *blueprint.plan.markings):
        canvas.mark(marking)


def _paint_patches(canvas: Canvas, plan: Plan, layer: Layer) -> None:
    for patch in plan.patches:
        if patch.layer == layer:
            canvas.fill(patch.area, patch.surface, patch.rgb, patch.angle_rad)
