"""Changes between the flight and the drives: felled trees, new sheds, skips and containers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cvlnet.town.layout.land import Land
from cvlnet.town.plan import Plan, Prop, Rgb
from cvlnet.town.streams import object_seed, stream
from cvlnet.town.style import one_of

ALTERED_SHARE = 0.03  # of the trees and props, at strength 1
NEWCOMERS_PER_HA = 0.6
NEW_COLOURS: tuple[Rgb, ...] = ((150, 60, 44), (60, 90, 130), (200, 170, 50), (120, 100, 76), (170, 170, 168))


def split_by_time(plan: Plan, land: Land, seed: int, strength: float, half_m: float) -> tuple[Plan, Plan, Plan]:
    """Split a plan into what is there at both times, at the flight only, and at the drives only."""
    rng = stream(seed, "alterations")
    share = min(0.5, ALTERED_SHARE * strength)
    tree_fate = rng.random(len(plan.trees))
    prop_fate = rng.random(len(plan.props))
    newcomers = _newcomers(land, rng, strength, half_m)
    parts = []
    for low, high in ((0.0, share / 2), (share / 2, share)):
        trees = tuple(t for t, f in zip(plan.trees, tree_fate, strict=True) if low <= f < high)
        props = tuple(p for p, f in zip(plan.props, prop_fate, strict=True) if low <= f < high)
        parts.append(Plan(trees=trees, props=props + newcomers[: len(newcomers) // 2]))
        newcomers = newcomers[len(newcomers) // 2 :]
    always = replace(
        plan,
        trees=tuple(t for t, f in zip(plan.trees, tree_fate, strict=True) if f >= share),
        props=tuple(p for p, f in zip(plan.props, prop_fate, strict=True) if f >= share),
    )
    return always, parts[0], parts[1]


def _newcomers(land: Land, rng: np.random.Generator, strength: float, half_m: float) -> tuple[Prop, ...]:
    found = []
    for _ in range(rng.poisson(NEWCOMERS_PER_HA * strength * (2 * half_m / 100) ** 2)):
        block = land.blocks[int(rng.integers(len(land.blocks)))].polygon if land.blocks else None
        inner = block.buffer(-2.5) if block is not None else None
        if inner is None or inner.is_empty:
            continue
        point = inner.boundary.interpolate(rng.uniform(0, inner.boundary.length))
        if max(abs(point.x), abs(point.y)) < half_m - 4:
            name = ("skip", "container", "shed", "racks")[int(rng.integers(4))]
            place = (float(point.x), float(point.y))
            found.append(Prop(name, place, float(rng.uniform(0, 6.28)), one_of(rng, NEW_COLOURS), object_seed(rng)))
    return tuple(found)
