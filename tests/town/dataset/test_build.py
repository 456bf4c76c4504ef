"""Laws of whole towns: the same bytes again, nothing in the lanes, inside the square, flat when asked."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import shapely

from cvlnet.town.dataset.build import build_town
from cvlnet.town.drive.routes import allowed_half_m
from cvlnet.town.layout.blueprint import draw_blueprint
from cvlnet.town.presets import Nuisances, TownConfig
from cvlnet.town.scene import Drive, Material, Mesh, Scene

CONFIG = TownConfig(seed=7, size_m=200.0, drives=2, frames_per_drive=20, albedo_cell_m=0.5)
SEEDS = (7, 200_004)
CALM = replace(CONFIG, nuisances=Nuisances.none())


@lru_cache(maxsize=8)
def town(config: TownConfig) -> tuple[Scene, tuple[Drive, ...]]:
    return build_town(draw_blueprint(config))


def arrays(mesh: Mesh) -> list[np.ndarray]:
    return [mesh.xyz_m, mesh.uv_m, mesh.material, mesh.rgb, mesh.seed]


def same(a: Mesh, b: Mesh) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(arrays(a), arrays(b), strict=True))


def test_same_seed_same_bytes() -> None:
    scene, drives = town(CONFIG)
    again, drives_again = build_town(draw_blueprint(CONFIG))
    assert np.array_equal(scene.ground.albedo, again.ground.albedo)
    assert np.array_equal(scene.ground.height_m, again.ground.height_m)
    for part in ("static", "parked_at_flight", "parked_at_drive", "traffic_at_flight"):
        assert same(getattr(scene, part), getattr(again, part)), part
    for a, b in zip(drives, drives_again, strict=True):
        assert np.array_equal(a.xyz_m, b.xyz_m)
        assert np.array_equal(a.yaw_rad, b.yaw_rad)
        assert len(a.traffic) == len(b.traffic)


def test_another_seed_is_another_town() -> None:
    scene, _ = town(CONFIG)
    other, _ = town(replace(CONFIG, seed=8))
    assert not np.array_equal(scene.ground.albedo, other.ground.albedo)
    assert len(scene.static) != len(other.static)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_town_has_everything_and_stays_inside(seed: int) -> None:
    config = replace(CONFIG, seed=seed)
    scene, drives = town(config)
    cells = round(config.size_m / config.albedo_cell_m)
    assert scene.ground.albedo.shape == (cells, cells, 3)
    assert min(scene.ground.height_grid.size_m) >= config.size_m
    present = {int(m) for m in np.unique(scene.static.material)}
    assert {Material.FOLIAGE, Material.BARK, Material.METAL} <= present
    assert len(scene.static) > 2000
    assert len(scene.parked_at_drive) > 0
    for mesh in (scene.static, scene.parked_at_flight, scene.parked_at_drive, scene.traffic_at_flight):
        assert np.isfinite(mesh.xyz_m).all()
        assert np.isfinite(mesh.uv_m).all()
        assert np.abs(mesh.xyz_m[..., :2]).max() < config.size_m / 2 + 40.0
        assert mesh.xyz_m[..., 2].min() > -2.0
        assert mesh.xyz_m[..., 2].max() < 60.0
    assert len(drives) == config.drives
    for drive in drives:
        assert drive.xyz_m.shape == (config.frames_per_drive, 3)
        assert np.allclose(np.diff(drive.time_s), 0.1)
        assert np.abs(drive.xyz_m[:, :2]).max() <= allowed_half_m(config)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_stands_in_the_driven_lane(seed: int) -> None:
    config = replace(CONFIG, seed=seed)
    plan = draw_blueprint(config).plan
    for drive in town(config)[1]:
        xy = drive.xyz_m[:, :2]
        swept = shapely.LineString(xy).buffer(1.0)
        assert not any(swept.intersects(shapely.Polygon(b.corners_m)) for b in plan.buildings)
        assert not any(swept.contains(shapely.Point(t.xy_m)) for t in plan.trees)
        assert not any(swept.contains(shapely.Point(p.xy_m)) for p in plan.props)
        assert not any(swept.contains(shapely.Point(s.xy_m)) for s in plan.spots)


def test_nothing_solid_hangs_into_the_driven_space() -> None:
    for seed in SEEDS:
        scene, drives = town(replace(CONFIG, seed=seed))
        solid = scene.static.selected(scene.static.material != Material.FOLIAGE)
        for mesh in (solid, scene.parked_at_drive):
            middle = mesh.xyz_m.mean(axis=1)
            low = middle[middle[:, 2] < 2.5]
            for drive in drives:
                distance = np.hypot(*(low[:, None, :2] - drive.xyz_m[None, ::3, :2]).T)
                assert distance.min() > 0.9


def test_no_nuisances_no_differences() -> None:
    scene, drives = town(CALM)
    assert not scene.ground.height_m.any()
    assert same(scene.parked_at_flight, scene.parked_at_drive)
    assert len(scene.traffic_at_flight) == 0
    for drive in drives:
        assert not drive.xyz_m[:, 2].any()
        assert not drive.pitch_rad.any()
        assert not drive.roll_rad.any()
        assert drive.traffic == ()


def test_nuisances_do_not_move_the_drives() -> None:
    for calm, usual in zip(town(CALM)[1], town(CONFIG)[1], strict=True):
        assert np.array_equal(calm.xyz_m[:, :2], usual.xyz_m[:, :2])
        assert np.array_equal(calm.yaw_rad, usual.yaw_rad)


def test_parked_changes_alone() -> None:
    still = Nuisances.none()
    changed, _ = town(replace(CONFIG, nuisances=replace(still, parked_changes=1.0)))
    assert not same(changed.parked_at_flight, changed.parked_at_drive)
    assert same(changed.parked_at_flight, town(CALM)[0].parked_at_flight)


def test_alterations_alone() -> None:
    altered, _ = town(replace(CONFIG, nuisances=replace(Nuisances.none(), alterations=1.0)))
    assert not same(altered.parked_at_flight, altered.parked_at_drive)


def test_the_car_follows_the_ground() -> None:
    scene, drives = town(CONFIG)
    for drive in drives:
        assert np.allclose(drive.xyz_m[:, 2], scene.ground.height_at(drive.xyz_m[:, :2]))
        ahead = np.stack([np.cos(drive.yaw_rad), np.sin(drive.yaw_rad)], axis=-1)
        rise = scene.ground.height_at(drive.xyz_m[:, :2] + ahead) - scene.ground.height_at(drive.xyz_m[:, :2] - ahead)
        steep = np.abs(rise) > 0.01
        assert (np.sign(drive.pitch_rad[steep]) == -np.sign(rise[steep])).all()


def test_drives_turn_no_tighter_than_cars_can() -> None:
    for seed in SEEDS:
        for drive in town(replace(CONFIG, seed=seed))[1]:
            turned = np.abs(np.diff(np.unwrap(drive.yaw_rad)))
            moved = np.hypot(*np.diff(drive.xyz_m[:, :2], axis=0).T)
            assert (turned <= moved / 3.5 + 1e-6).all()


def test_drives_move_as_cars_do() -> None:
    for seed in SEEDS:
        for drive in town(replace(CONFIG, seed=seed))[1]:
            step = np.diff(drive.xyz_m[:, :2], axis=0)
            speed = np.hypot(*step.T) / 0.1
            assert speed.max() < 15.0
            assert np.abs(np.diff(speed)).max() / 0.1 < 4.5
            moving = speed > 1.0
            off = np.angle(np.exp(1j * (np.arctan2(step[:, 1], step[:, 0]) - drive.yaw_rad[:-1])))
            assert np.abs(off[moving]).max(initial=0.0) < 0.15


def test_traffic_keeps_away_from_the_camera_car() -> None:
    met = 0
    for seed in SEEDS:
        for drive in town(replace(CONFIG, seed=seed))[1]:
            for thing in drive.traffic:
                met += 1
                assert (np.diff(thing.time_s) > 0).all()
                at = np.searchsorted(drive.time_s, thing.time_s).clip(0, len(drive.time_s) - 1)
                assert np.hypot(*(thing.xy_m - drive.xyz_m[at, :2]).T).min() > 1.3
    assert met > 0
