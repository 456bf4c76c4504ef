"""Shadows fall away from the sun, and walls take sky away."""

import numpy as np
import pytest
from handmade import F64, box, even_light, ground

from cvlnet.grid import Grid
from cvlnet.town.render.light import Autumn, Light, drive_light, flight_light, sky_map, sun_direction
from cvlnet.town.render.raster import empty_picture, rasterise
from cvlnet.town.render.shade import shade
from cvlnet.town.render.stage import prepare
from cvlnet.town.render.view import from_above
from cvlnet.town.scene import Mesh

GRID = Grid(200, 200, 0.2)


def brightness_from_above(mesh: Mesh, toward_sun: F64, shadow_strength: float = 1.0) -> F64:
    """Brightness of a scene on level, even ground, [200, 200]."""
    stage = prepare([mesh], ground(), even_light(toward_sun, shadow_strength))
    nearness, triangle = empty_picture(from_above(GRID))
    rasterise(from_above(GRID), stage.mesh, nearness, triangle)
    return np.asarray(shade(from_above(GRID), stage.mesh, triangle, stage.lighting)[..., 1], np.float64)


@pytest.mark.parametrize("azimuth", [-2.5, -0.7, 0.4, 1.9])
def test_the_shadow_of_a_tower_reaches_as_far_as_the_sun_says(azimuth: float) -> None:
    elevation, height_m = 0.7, 6.0
    brightness = brightness_from_above(box((-1, -1, 0), (1, 1, height_m)), sun_direction(azimuth, elevation))
    reach_m = height_m / np.tan(elevation)

    def at(distance_m: float) -> float:
        x, y = -distance_m * np.cos(azimuth), -distance_m * np.sin(azimuth)
        return float(brightness[round(99.5 - y / 0.2), round(99.5 + x / 0.2)])

    open_ground = float(np.median(brightness))
    assert at(reach_m - 1.0) < 0.3 * open_ground
    assert at(reach_m + 1.6) > 0.8 * open_ground
    assert at(-3.0) > 0.7 * open_ground


def test_without_shadows_even_ground_is_evenly_bright() -> None:
    brightness = brightness_from_above(box((-1, -1, 0), (1, 1, 6)), sun_direction(-1.0, 0.7), shadow_strength=0.0)
    outside = np.ones((200, 200), bool)
    outside[90:110, 90:110] = False
    assert brightness[outside].std() < 0.1 * brightness[outside].mean()


def test_a_yard_sees_less_sky_than_a_field_and_a_roof_sees_all() -> None:
    walls = [box((-8, -8, 0), (8, -6, 9)), box((-8, 6, 0), (8, 8, 9)), box((-8, -6, 0), (-6, 6, 9))]
    visible = sky_map(Mesh.join([*walls, box((6, -6, 0), (8, 6, 9))]), 60.0, 1.0, 0.0).visible
    assert visible[30, 30] < 0.6 < 0.95 < visible[2, 2]
    assert visible[30 - 7, 30] > 0.95


@pytest.mark.parametrize("strength", [0.0, 1.0, 2.0, 10.0])
def test_any_strength_gives_a_sun_above_the_horizon_and_positive_light(strength: float) -> None:
    for seed in range(20):
        for light in (
            drive_light(np.random.default_rng(seed), strength, strength, strength, strength),
            flight_light(np.random.default_rng(seed), strength, strength, strength, strength, strength),
        ):
            assert np.linalg.norm(light.toward_sun) == pytest.approx(1)
            assert light.toward_sun[2] > 0.2
            tints = (light.sun, light.sky, light.zenith, light.horizon, light.leaf_tint, light.grass_tint)
            assert min(min(tint) for tint in tints) > 0
            assert 0 <= light.shadow_strength <= 1
            assert 0 <= light.wetness <= 1


def test_strength_zero_is_the_same_weather_for_every_seed() -> None:
    lights = [drive_light(np.random.default_rng(seed), 0.0, 0.0, 0.0, 0.0) for seed in (1, 2)]
    assert lights[0].sun == lights[1].sun
    np.testing.assert_array_equal(lights[0].toward_sun, lights[1].toward_sun)


def test_trees_are_bare_only_where_it_is_asked_for() -> None:
    def shares(strength: float) -> list[float]:
        return [flight_light(np.random.default_rng(seed), 1.0, 1.0, 1.0, strength, 0.0).leafless for seed in range(200)]

    assert set(shares(0.0)) == {0.0}
    assert 0.2 < np.mean(np.array(shares(1.0)) > 0) < 0.4
    assert min(shares(10.0)) >= 0.3


def test_autumn_comes_only_where_it_is_asked_for_and_changes_nothing_else() -> None:
    def drives(strength: float) -> list[Light]:
        return [drive_light(np.random.default_rng(seed), 1.0, 1.0, 1.0, strength) for seed in range(200)]

    def flights(strength: float) -> list[Light]:
        return [flight_light(np.random.default_rng(seed), 1.0, 1.0, 1.0, 1.0, strength) for seed in range(200)]

    for lights, share in ((drives, 0.6), (flights, 0.25)):
        assert {light.autumn for light in lights(0.0)} == {Autumn()}
        autumns = [light.autumn for light in lights(1.0)]
        assert abs(np.mean([autumn != Autumn() for autumn in autumns]) - share) < 0.1
        assert max(max(autumn.dry, autumn.litter, autumn.turned) for autumn in autumns) <= 1
        for green, late in zip(lights(0.0), lights(10.0), strict=True):
            assert min(late.autumn.dry, late.autumn.litter, late.autumn.turned) > 0
            assert green.seed == late.seed
            assert (green.sun, green.wetness, green.leafless) == (late.sun, late.wetness, late.leafless)
