"""Laws of the routes: on the carriageway, in the right lane, inside the square, over different streets."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import shapely

from cvlnet.town.curves import length_m
from cvlnet.town.drive.motion import tightest_radius_m
from cvlnet.town.drive.routes import Route, allowed_half_m, make_drive, make_routes
from cvlnet.town.ground.terrain import make_height
from cvlnet.town.layout.junctions import Ends, approaches
from cvlnet.town.layout.land import make_land
from cvlnet.town.layout.streets import make_network
from cvlnet.town.layout.zones import make_zones
from cvlnet.town.plan import Network
from cvlnet.town.presets import Nuisances, TownConfig
from cvlnet.town.scene import Drive, Ground
from cvlnet.town.style import make_style

SEEDS = (11, 12, 100_013, 200_014)


def config_of(seed: int) -> TownConfig:
    return TownConfig(seed, size_m=450.0, drives=3, frames_per_drive=150, nuisances=Nuisances.none())


@lru_cache(maxsize=8)
def routes_of(seed: int) -> tuple[Network, Ends, tuple[Route, ...]]:
    config, style = config_of(seed), make_style(seed)
    network = make_network(seed, config.size_m, style, make_zones(seed, config.size_m, style))
    ends = approaches(network)
    return network, ends, make_routes(config, network, ends)


def drives_of(seed: int) -> list[Drive]:
    grid, height = make_height(seed, 450.0, 0.0)
    ground = Ground(grid, np.zeros((grid.rows, grid.cols, 3), np.uint8), grid, height)
    return [make_drive(route, ground) for route in routes_of(seed)[2]]


def left_of_centreline_m(network: Network, drive: Drive) -> np.ndarray:
    """Distance to the left of the nearest centreline, seen along the drive, at the frames away from junctions."""
    centre = np.concatenate([r.xy_m[:-1] for r in network.roads])
    ahead = np.concatenate([np.diff(r.xy_m, axis=0) for r in network.roads])
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    junctions = np.array([n.xy_m for n in network.nodes if len(n.roads) > 2])
    xy, yaw = drive.xyz_m[:, :2], drive.yaw_rad
    away = np.linalg.norm(xy[:, None] - junctions, axis=2).min(axis=1) > 20.0
    nearest = np.linalg.norm(xy[away][:, None] - centre, axis=2).argmin(axis=1)
    along, to_car = ahead[nearest], xy[away] - centre[nearest]
    same_way = np.sign(np.cos(yaw[away]) * along[:, 0] + np.sin(yaw[away]) * along[:, 1])
    return np.asarray((along[:, 0] * to_car[:, 1] - along[:, 1] * to_car[:, 0]) * same_way)


@pytest.mark.parametrize("seed", SEEDS)
def test_drives_keep_to_the_right_of_the_road(seed: int) -> None:
    config, style = config_of(seed), make_style(seed)
    network, ends, _ = routes_of(seed)
    land = make_land(network, ends, config.size_m, make_zones(seed, config.size_m, style))
    checked = 0
    for drive in drives_of(seed):
        assert shapely.contains_xy(land.driven, drive.xyz_m[:, :2]).all()
        left_m = left_of_centreline_m(network, drive)
        assert (left_m < -0.5).all()
        checked += len(left_m)
    assert checked > 40


@pytest.mark.parametrize("seed", SEEDS)
def test_drives_keep_their_distance_from_the_border(seed: int) -> None:
    for drive in drives_of(seed):
        assert np.abs(drive.xyz_m[:, :2]).max() <= allowed_half_m(config_of(seed))


def test_half_a_tile_lies_on_towns_of_every_size() -> None:
    for size_m in (200.0, 220.0, 260.0, 320.0, 450.0, 1000.0):
        config = TownConfig(1, size_m, 1, 10)
        assert allowed_half_m(config) <= size_m / 2 - config.tile_size_m / 2 or size_m < 220
        assert allowed_half_m(config) >= 25.0


def test_drives_take_different_streets() -> None:
    for seed in SEEDS:
        taken = [{leg.road for leg in route.legs} for route in routes_of(seed)[2]]
        assert len(set.union(*taken)) > max(map(len, taken))


def test_drives_turn_no_tighter_than_cars_can_and_are_long_enough() -> None:
    for seed in SEEDS:
        for route in routes_of(seed)[2]:
            assert tightest_radius_m(route.way.xy_m) > 3.0
            assert length_m(route.way.xy_m) > 60.0
            assert (np.diff(route.s_m) >= 0).all()


def test_speed_changes_as_cars_can() -> None:
    for seed in SEEDS:
        for route in routes_of(seed)[2]:
            speed = np.diff(route.s_m) / 0.1
            assert 3.0 < speed.max() < 15.0
            assert np.abs(np.diff(speed)).max() / 0.1 < 4.0
