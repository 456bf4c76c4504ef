"""Background: the land around the town, a skyline of trees and roofs, the sky."""

from __future__ import annotations

from math import atan2, exp, floor, sqrt
from typing import NamedTuple

from cvlnet.arrays import F64
from cvlnet.town.compiled import hash01, kernel, noise2, ramp
from cvlnet.town.render.ground_texture import sample_land
from cvlnet.town.render.light import Autumn, Light

Triple = tuple[float, float, float]

OVERCAST = 1.15  # radiance of clouds
BLOCKS_PER_RAD = 28.0  # buildings of the skyline per radian
BUILT_SHARE = 0.3
HIGHEST_SKYLINE = 0.055  # sine of its elevation


class Weather(NamedTuple):
    """A `Light` for compiled code; tuples of numbers, because arrays would cost reference counting in every call.

    open_ground: radiance of a white, level surface without shadow.
    """

    toward_sun: Triple
    sun: Triple
    sky: Triple
    zenith: Triple
    horizon: Triple
    open_ground: Triple
    leaf_tint: Triple
    grass_tint: Triple
    leafless: float
    autumn: Autumn
    cloud: float
    shadow_strength: float
    wetness: float
    haze_m: float
    seed: int


def weather(light: Light) -> Weather:
    """The light for compiled code."""
    x, y, up = (float(v) for v in light.toward_sun)
    red, green, blue = (sky + sun * max(up, 0.0) for sky, sun in zip(light.sky, light.sun, strict=True))
    return Weather(
        toward_sun=(x, y, up),
        sun=light.sun,
        sky=light.sky,
        zenith=light.zenith,
        horizon=light.horizon,
        open_ground=(red, green, blue),
        leaf_tint=light.leaf_tint,
        grass_tint=light.grass_tint,
        leafless=light.leafless,
        autumn=light.autumn,
        cloud=light.cloud,
        shadow_strength=light.shadow_strength,
        wetness=light.wetness,
        haze_m=light.haze_m,
        seed=light.seed,
    )


@kernel
def sky_radiance(x: float, y: float, z: float, now: Weather, clouds: bool, out: F64) -> None:
    """Radiance of the sky in a direction (unit vector), clamped to the horizon."""
    z = max(z, 0.0)
    up = sqrt(min(z, 1.0))
    facing = max(x * now.toward_sun[0] + y * now.toward_sun[1] + z * now.toward_sun[2], 0.0)
    glow = (0.55 * facing**6 + 1.2 * facing**40 + 30.0 * ramp(facing, 0.9992, 0.9999)) * now.sun[1]
    veil = 0.0
    if clouds and now.cloud > 0.0:
        u, v = x / (z + 0.12), y / (z + 0.12)
        wisps = 0.6 * noise2(u * 1.1, v * 1.1, now.seed) + 0.3 * noise2(u * 3.1, v * 3.1, now.seed + 1)
        wisps += 0.1 * noise2(u * 9.0, v * 9.0, now.seed + 2)
        veil = 0.85 * ramp(wisps, 0.95 - now.cloud, 1.25 - now.cloud)
    for c in range(3):
        clear = now.horizon[c] + (now.zenith[c] - now.horizon[c]) * up + glow
        out[c] = clear + max(OVERCAST - clear, 0.0) * veil


@kernel
def beyond(direction: F64, eye: F64, now: Weather, out: F64) -> None:
    """Radiance of the background in a direction [3] (unit vector) from the eye: land, skyline or sky."""
    if direction[2] < -0.0005:
        distance = max(eye[2], 0.1) / -direction[2]
        land(eye[0] + distance * direction[0], eye[1] + distance * direction[1], 0.2 + 0.002 * distance, now, out)
        near = exp(-distance / 150.0)
        for c in range(3):
            out[c] = _distant(0.16, now, c) * (1.0 - near) + out[c] * near
        return
    sky_radiance(direction[0], direction[1], direction[2], now, True, out)
    if direction[2] > HIGHEST_SKYLINE:
        return
    share = _skyline(direction, now.seed)
    if share > 0.0:
        tone = _skyline_tone(direction, now.seed)
        for c in range(3):
            out[c] += (_distant(tone, now, c) - out[c]) * share


@kernel
def land(x: float, y: float, pixel_m: float, now: Weather, out: F64) -> None:
    """Radiance of the land around the town at a point."""
    sample_land(x, y, pixel_m, out)
    for c in range(3):
        out[c] = out[c] * out[c] * now.open_ground[c] * now.grass_tint[c]


@kernel
def _distant(tone: float, now: Weather, channel: int) -> float:
    """Radiance of a distant object of the given tone, in the haze."""
    return float(tone * tone * now.open_ground[channel] + 0.07 * now.horizon[channel])


@kernel
def _skyline(direction: F64, seed: int) -> float:
    """Coverage of a direction by the skyline's trees and roofs, 0 to 1."""
    azimuth = atan2(direction[1], direction[0])
    trees = 0.012 + 0.020 * noise2(azimuth * 9.0, 0.0, seed + 5) + 0.012 * noise2(azimuth * 60.0, 0.0, seed + 6)
    trees += 0.006 * noise2(azimuth * 350.0, 0.0, seed + 7)
    block = floor(azimuth * BLOCKS_PER_RAD)
    roof = 0.018 + 0.02 * hash01(block, 3, seed) if hash01(block, 1, seed) < BUILT_SHARE else 0.0
    height = max(trees, roof)
    return 1.0 - ramp(direction[2], height - 0.0015, height + 0.0015)


@kernel
def _skyline_tone(direction: F64, seed: int) -> float:
    """Tone of the skyline: walls with windows, or crowns."""
    azimuth = atan2(direction[1], direction[0])
    block = floor(azimuth * BLOCKS_PER_RAD)
    if hash01(block, 1, seed) < BUILT_SHARE and direction[2] < 0.018 + 0.02 * hash01(block, 3, seed):
        windows = noise2(azimuth * 260.0, direction[2] * 420.0, seed + 9)
        return 0.26 + 0.22 * hash01(block, 2, seed) + 0.1 * windows
    return 0.12 + 0.16 * noise2(azimuth * 260.0, direction[2] * 260.0, seed + 8)
