"""Plants and garden borders with random sizes and colours."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from shapely.geometry.base import BaseGeometry

from cvlnet.arrays import Points
from cvlnet.town.plan import Barrier, Rgb, Tree, TreeKind
from cvlnet.town.polygons import random_points
from cvlnet.town.streams import chance, object_seed, pick
from cvlnet.town.style import HEDGES, LEAVES, NEEDLES, RARE_LEAVES, one_of, varied

GARDEN = {"broadleaf": 4.0, "young": 3.0, "conifer": 2.0, "bush": 5.0, "poplar": 0.2}
PARK = {"broadleaf": 8.0, "young": 1.5, "conifer": 1.5, "bush": 2.5, "poplar": 0.3}
GROVE = {"broadleaf": 8.0, "young": 2.0, "conifer": 1.0, "bush": 3.0}


def plant(
    rng: np.random.Generator, xy_m: tuple[float, float], kind: str, leaf: Rgb | None = None, size: float = 1.0
) -> Tree:
    """A plant of a kind; ``leaf`` sets its colour, ``size`` scales it."""
    heights = {"broadleaf": (7, 15), "young": (4, 7), "conifer": (7, 18), "poplar": (14, 22), "bush": (0.8, 2.4)}
    height = rng.uniform(*heights[kind]) * size
    spread = {
        "broadleaf": (0.62, 0.95),
        "young": (0.45, 0.7),
        "conifer": (0.26, 0.42),
        "poplar": (0.14, 0.2),
        "bush": (0.9, 1.7),
    }
    palette = NEEDLES if kind == "conifer" else RARE_LEAVES if chance(rng, 0.07) else LEAVES
    colour = one_of(rng, palette, 7.0, 3.0) if leaf is None else varied(rng, leaf, 5.0, 2.0)
    kind_: TreeKind = kind  # type: ignore[assignment]
    return Tree(xy_m, kind_, float(height), float(height * rng.uniform(*spread[kind])), colour, object_seed(rng))


def scatter(
    rng: np.random.Generator,
    area: BaseGeometry,
    count: int,
    mix: dict[str, float],
    apart_m: float = 3.0,
    size: float = 1.0,
) -> Iterator[Tree]:
    """Plants at random points of an area, with kinds drawn by the weights of ``mix``."""
    for xy in random_points(area, rng, count, apart_m):
        yield plant(rng, xy, pick(rng, mix), size=size)


def hedge(rng: np.random.Generator, xy_m: Points, height_m: float | None = None) -> Barrier:
    """A hedge along a line."""
    height = float(rng.uniform(0.9, 2.1)) if height_m is None else height_m
    return Barrier(xy_m, "hedge", height, one_of(rng, HEDGES, 6.0, 3.0), object_seed(rng))


def fence(rng: np.random.Generator, xy_m: Points, kind: str | None = None) -> Barrier:
    """A fence or garden wall along a line."""
    kind = kind or pick(rng, {"wood_fence": 3.0, "mesh_fence": 3.0, "wall": 1.5, "brick_wall": 0.6})
    looks: dict[str, tuple[tuple[float, float], tuple[Rgb, ...]]] = {
        "wood_fence": ((0.9, 1.8), ((124, 96, 70), (98, 76, 58), (150, 132, 110), (200, 198, 192))),
        "mesh_fence": ((1.0, 2.0), ((92, 104, 92), (120, 124, 124), (70, 80, 72))),
        "wall": ((0.6, 1.8), ((190, 184, 172), (160, 154, 146), (206, 200, 188))),
        "brick_wall": ((0.8, 2.2), ((138, 88, 70), (150, 108, 86), (166, 124, 104))),
    }
    heights, colours = looks[kind]
    return Barrier(xy_m, kind, float(rng.uniform(*heights)), one_of(rng, colours, 6.0, 3.0), object_seed(rng))  # type: ignore[arg-type]


def border(rng: np.random.Generator, xy_m: Points) -> Barrier:
    """A hedge or fence between two gardens."""
    return hedge(rng, xy_m) if chance(rng, 0.5) else fence(rng, xy_m)
