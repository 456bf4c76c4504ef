"""A town from its configuration: plan first, then paint, triangles, drives. The same configuration, the same bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cvlnet.town.barriers import barrier_mesh
from cvlnet.town.buildings import building_mesh
from cvlnet.town.clearance import cleared
from cvlnet.town.config import TownConfig
from cvlnet.town.drives import make_drive, make_routes
from cvlnet.town.fill import fill_blocks
from cvlnet.town.furniture import prop_mesh
from cvlnet.town.junctions import Approach, approaches
from cvlnet.town.land import Land, make_land
from cvlnet.town.paint import paint_ground
from cvlnet.town.parking import joined, split_by_time, standing_cars
from cvlnet.town.plan import Network, Plan, Points
from cvlnet.town.scene import Drive, Ground, Mesh, Scene
from cvlnet.town.solids import Array
from cvlnet.town.streams import stream
from cvlnet.town.streets import make_network
from cvlnet.town.streetside import street_side
from cvlnet.town.style import Style, make_style
from cvlnet.town.terrain import height_at
from cvlnet.town.traffic import traffic_at_flight, traffic_of_drive
from cvlnet.town.vegetation import tree_mesh
from cvlnet.town.zones import make_zones


def build_town(config: TownConfig) -> tuple[Scene, tuple[Drive, ...]]:
    """The scene and the drives of a town. Raises ValueError if the town is too small for any road to be driven."""
    style = make_style(config.seed)
    network, ends, land, plan = make_plan(config, style)
    ground = paint_ground(config, network, ends, land, plan, style)
    scene = _make_scene(config, network, ends, land, plan, ground)
    drives = []
    for number, route in enumerate(make_routes(config, network, ends)):
        drive = make_drive(route, ground)
        traffic = traffic_of_drive(config.seed, number, network, ends, route, drive, config.nuisances.traffic)
        drives.append(replace(drive, traffic=traffic))
    return scene, tuple(drives)


def make_plan(config: TownConfig, style: Style) -> tuple[Network, dict[tuple[int, int], Approach], Land, Plan]:
    """Streets, their junctions and areas, and all that stands in the town."""
    zone_at = make_zones(config.seed, config.size_m, style)
    network = make_network(config.seed, config.size_m, style, zone_at)
    ends = approaches(network)
    land = make_land(network, ends, config.size_m, zone_at)
    blocks = fill_blocks(land.blocks, config.seed, style)
    along = street_side(network, ends, style, stream(config.seed, "street side"))
    plan = cleared(Plan.of([*blocks, *along]), land, config.size_m / 2)
    return network, ends, land, plan


def _make_scene(
    config: TownConfig, network: Network, ends: dict[tuple[int, int], Approach], land: Land, plan: Plan, ground: Ground
) -> Scene:
    half, nuisances = config.size_m / 2, config.nuisances
    always, flight, drive = split_by_time(plan, land, config.seed, nuisances.alterations, half)
    standing = standing_cars(plan.spots, config.seed, nuisances.parked_changes, ground)
    times = joined(standing, plan_mesh(flight, ground), plan_mesh(drive, ground))
    return Scene(
        ground,
        plan_mesh(always, ground),
        times.at_flight,
        times.at_drive,
        traffic_at_flight(config.seed, network, ends, ground, half, nuisances.traffic),
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
