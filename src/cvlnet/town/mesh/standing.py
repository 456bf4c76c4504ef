"""Meshes of all standing objects: the items of a plan, and the parked cars at two times."""

from __future__ import annotations

import numpy as np

from cvlnet.town.mesh.barriers import barrier_mesh
from cvlnet.town.mesh.buildings import building_mesh
from cvlnet.town.mesh.furniture import prop_mesh
from cvlnet.town.mesh.vegetation import tree_mesh
from cvlnet.town.mesh.vehicles import vehicle_mesh
from cvlnet.town.plan import Plan, Spot
from cvlnet.town.scene import Ground, Mesh
from cvlnet.town.streams import chance, stream

SAME_AFTER_YEARS = 0.2  # share of the spots that are not redrawn at strength 1


def plan_mesh(plan: Plan, ground: Ground) -> Mesh:
    """Mesh of the buildings, barriers, trees and props of a plan, on the ground."""
    meshes = [building_mesh(b, float(ground.height_at(b.corners_m.mean(axis=0)))) for b in plan.buildings]
    meshes += [barrier_mesh(b, ground.height_at) for b in plan.barriers]
    meshes += [tree_mesh(t).moved((*t.xy_m, float(ground.height_at(np.array(t.xy_m)))), 0.0) for t in plan.trees]
    meshes += [prop_mesh(p).moved((*p.xy_m, float(ground.height_at(np.array(p.xy_m)))), p.yaw_rad) for p in plan.props]
    return Mesh.join(meshes)


def standing_cars(spots: tuple[Spot, ...], seed: int, changes: float, ground: Ground) -> tuple[Mesh, Mesh]:
    """Parked cars at the flight and at the drives; with ``changes`` 0 they are the same, with 1 most differ."""
    redrawn = 1 - SAME_AFTER_YEARS**changes
    at_flight, at_drive = [], []
    for i, spot in enumerate(spots):
        before = _occupant(spot, stream(seed, "spot", i, "flight"), ground)
        changed = chance(stream(seed, "spot", i, "changed"), redrawn)
        after = _occupant(spot, stream(seed, "spot", i, "drive"), ground) if changed else before
        at_flight += before
        at_drive += after
    return Mesh.join(at_flight), Mesh.join(at_drive)


def _occupant(spot: Spot, rng: np.random.Generator, ground: Ground) -> list[Mesh]:
    if not chance(rng, spot.occupied):
        return []
    kind = spot.kinds[int(rng.integers(len(spot.kinds)))]
    z = float(ground.height_at(np.array(spot.xy_m)))
    return [vehicle_mesh(kind, rng).moved((*spot.xy_m, z), spot.yaw_rad)]
