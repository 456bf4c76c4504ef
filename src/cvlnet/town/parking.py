"""Standing cars at two times, and the other things that change between the flight and the drive."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cvlnet.town.land import Land
from cvlnet.town.plan import Plan, Prop, Rgb, Spot
from cvlnet.town.scene import Ground, Mesh
from cvlnet.town.streams import chance, object_seed, stream
from cvlnet.town.style import one_of
from cvlnet.town.terrain import height_at
from cvlnet.town.vehicles import vehicle_mesh

SAME_AFTER_YEARS = 0.2  # share of the spots that look the same at strength 1
ALTERED_SHARE = 0.03  # of trees and sheds, at strength 1
NEWCOMERS_PER_HA = 0.6
NEW_COLOURS: tuple[Rgb, ...] = ((150, 60, 44), (60, 90, 130), (200, 170, 50), (120, 100, 76), (170, 170, 168))


@dataclass(frozen=True)
class Times:
    """What stands at the flight, and at the drive."""

    at_flight: Mesh
    at_drive: Mesh


def standing_cars(spots: tuple[Spot, ...], seed: int, changes: float, ground: Ground) -> Times:
    """Cars on the spots at both times; ``changes`` 0 makes the two alike, 1 redraws most spots."""
    redrawn = 1 - SAME_AFTER_YEARS**changes
    at_flight, at_drive = [], []
    for i, spot in enumerate(spots):
        before = _occupant(spot, stream(seed, "spot", i, "flight"), ground)
        changed = chance(stream(seed, "spot", i, "changed"), redrawn)
        after = _occupant(spot, stream(seed, "spot", i, "drive"), ground) if changed else before
        at_flight += before
        at_drive += after
    return Times(Mesh.join(at_flight), Mesh.join(at_drive))


def _occupant(spot: Spot, rng: np.random.Generator, ground: Ground) -> list[Mesh]:
    if not chance(rng, spot.occupied):
        return []
    kind = spot.kinds[int(rng.integers(len(spot.kinds)))]
    z = float(height_at(ground, np.array(spot.xy_m)))
    return [vehicle_mesh(kind, rng).moved((*spot.xy_m, z), spot.yaw_rad)]


def split_by_time(plan: Plan, land: Land, seed: int, strength: float, half_m: float) -> tuple[Plan, Plan, Plan]:
    """What stands always, only at the flight, and only at the drive: cut trees, new sheds, skips and containers."""
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


def joined(standing: Times, flight_only: Mesh, drive_only: Mesh) -> Times:
    """The cars and the other changes together."""
    return Times(Mesh.join([standing.at_flight, flight_only]), Mesh.join([standing.at_drive, drive_only]))
