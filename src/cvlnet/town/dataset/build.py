"""From the blueprint to the scene and the drives; the same configuration gives the same bytes."""

from __future__ import annotations

from dataclasses import replace

from cvlnet.town.drive.routes import make_drive, make_routes
from cvlnet.town.drive.traffic import traffic_at_flight, traffic_of_drive
from cvlnet.town.ground.paint import paint_ground
from cvlnet.town.layout.alterations import split_by_time
from cvlnet.town.layout.blueprint import Blueprint
from cvlnet.town.mesh.standing import plan_mesh, standing_cars
from cvlnet.town.scene import Drive, Ground, Mesh, Scene


def build_town(blueprint: Blueprint) -> tuple[Scene, tuple[Drive, ...]]:
    """Build the scene and the drives of a town. Raises ValueError if the town is too small to be driven through."""
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
    cars_at_flight, cars_at_drive = standing_cars(plan.spots, config.seed, nuisances.parked_changes, ground)
    return Scene(
        ground,
        plan_mesh(always, ground),
        Mesh.join([cars_at_flight, plan_mesh(flight, ground)]),
        Mesh.join([cars_at_drive, plan_mesh(drive, ground)]),
        traffic_at_flight(config.seed, blueprint.network, blueprint.ends, ground, half, nuisances.traffic),
    )
