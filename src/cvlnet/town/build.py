"""A town from its blueprint: paint, triangles, drives. The same configuration, the same bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cvlnet.town.barriers import barrier_mesh
from cvlnet.town.blueprint import Blueprint
from cvlnet.town.buildings import building_mesh
from cvlnet.town.drives import make_drive, make_routes
from cvlnet.town.furniture import prop_mesh
from cvlnet.town.paint import paint_ground
from cvlnet.town.parking import joined, split_by_time, standing_cars
from cvlnet.town.plan import Plan, Points
from cvlnet.town.scene import Drive, Ground, Mesh, Scene
from cvlnet.town.solids import Array
from cvlnet.town.terrain import height_at
from cvlnet.town.traffic import traffic_at_flight, traffic_of_drive
from cvlnet.town.vegetation import tree_mesh


def build_town(blueprint: Blueprint) -> tuple[Scene, tuple[Drive, ...]]:
    """The scene and the drives of a town. Raises ValueError if the town is too small for any road to be driven."""
    config, network, ends = blueprint.config, blueprint.network, blueprint.ends
    ground = paint_ground(blueprint)
    scene = _make_scene(blueprint, ground)
    drives = []
    for number, route in enumerate(make_routes(config, network, ends)):
        drive = make_drive(route, ground)
        traffic = traffic_of_drive(config.seed, number, network, ends, route, drive, config.nuisances.traffic)
        drives.append(replace(drive, traffic=traffic))
    return scene, tuple(drives)


def _make_scene(blueprint: Blueprint, ground: Ground) -> Scene:
    config, plan = blueprint.config, blueprint.plan
    half, nuisances = config.size_m / 2, config.nuisances
    always, flight, drive = split_by_time(plan, blueprint.land, config.seed, nuisances.alterations, half)
    standing = standing_cars(plan.spots, config.seed, nuisances.parked_changes, ground)
    times = joined(standing, plan_mesh(flight, ground), plan_mesh(drive, ground))
    return Scene(
        ground,
        plan_mesh(always, ground),
        times.at_flight,
        times.at_drive,
        traffic_at_flight(config.seed, blueprint.network, blueprint.ends, ground, half, nuisances.traffic),
    )


def plan_mesh(plan: Plan, ground: Ground) -> Mesh:
    """Buildings, barriers, trees and props of a plan as triangles on the ground."""

    def height(xy_m: Points) -> Array:
        return height_at(ground, xy_m)

    meshes = [building_mesh(b, float(height(b.corners_m.mean(axis=0)))) for b in plan.buildings]
    meshes += [barrier_mesh(b, height) for b in plan.barriers]
    meshes += [tree_mesh(t).moved((*t.xy_m, float(height(np.array(t.xy_m)))), 0.0) for t in plan.trees]
    meshes += [prop_mesh(p).moved((*p.xy_m, float(height(np.array(p.xy_m)))), p.yaw_rad) for p in plan.props]
    return Mesh.join(meshes)
