"""Light of a drive or flight: sun, sky and season; the shadow map of the sun, and the visible share of the sky."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from cvlnet.grid import Grid
from cvlnet.town.render.raster import empty_picture, rasterise
from cvlnet.town.render.view import View, from_above, from_sun
from cvlnet.town.scene import Mesh

LinearRgb = tuple[float, float, float]

BARE_FLIGHTS_SHARE, BARE_DRIVES_SHARE = 0.3, 0.12  # of the flights and drives have bare trees, at strength 1
AUTUMN_FLIGHTS_SHARE, AUTUMN_DRIVES_SHARE = 0.25, 0.6  # and are of a dry summer or of autumn


class Autumn(NamedTuple):
    """What dryness and autumn have done, 0 to 1: shares of the green ground that are straw or bare soil, of the ground
    that lies under fallen leaves, and of the trees whose leaves have turned.
    """

    dry: float = 0.0
    litter: float = 0.0
    turned: float = 0.0


@dataclass(frozen=True)
class Light:
    """Light and weather of one drive or flight. Radiance is linear; a white surface in full sun and sky is about 1.

    toward_sun: unit vector. sun, sky: radiance of a white surface that faces the sun, or upwards. zenith, horizon:
    radiance of the sky. cloud: share of the sky with clouds. wetness: of the roads. haze_m: distance at which haze has
    replaced 63 % of the radiance. leaf_tint, grass_tint: factors on green crowns and green ground. leafless: share of
    the trees without leaves.
    """

    toward_sun: Float64[np.ndarray, " 3"]
    sun: LinearRgb
    sky: LinearRgb
    zenith: LinearRgb
    horizon: LinearRgb
    cloud: float
    shadow_strength: float
    wetness: float
    haze_m: float
    leaf_tint: LinearRgb
    grass_tint: LinearRgb
    leafless: float
    autumn: Autumn
    seed: int


NEUTRAL_TINT: LinearRgb = (1.0, 1.0, 1.0)


def sun_direction(azimuth_rad: float, elevation_rad: float) -> Float64[np.ndarray, " 3"]:
    """Unit vector towards the sun; the azimuth is counter-clockwise from east."""
    flat = cos(elevation_rad)
    return np.array([flat * cos(azimuth_rad), flat * sin(azimuth_rad), sin(elevation_rad)])


def drive_light(
    rng: np.random.Generator, strength: float, shadow_strength: float, leafless: float, autumn: float
) -> Light:
    """Draw the light of a drive: clear noon at strength 0, otherwise also low sun, clouds or wet roads."""
    overcast = min(1.0, strength * float(rng.choice([0.0, 0.0, 0.25, 0.6, 1.0])))
    azimuth = -pi / 2 + strength * rng.uniform(-1.3, 1.3)
    elevation = np.clip(0.85 + strength * rng.uniform(-0.5, 0.2), 0.25, 1.2)
    warmth = min(0.5 * strength * rng.uniform(0.0, 1.0) * (1.2 - elevation), 1.0)
    direct, cast = 1.0 - 0.85 * overcast, rng.uniform(-0.06, 0.06, 3) * min(strength, 2.0)
    sun = np.array([1.0, 0.95 - 0.1 * warmth, 0.86 - 0.25 * warmth]) * direct
    sky = np.array([0.082, 0.102, 0.13]) * (1.0 + 2.2 * overcast) * (1.0 + cast)
    blue, grey = np.array([0.28, 0.52, 0.95]), np.array([0.85, 0.9, 0.98])
    zenith = (blue + (grey - blue) * overcast) * np.exp(0.3 * strength * rng.uniform(-1, 1))
    horizon = np.array([1.05, 1.12, 1.2]) * np.exp(0.35 * strength * rng.uniform(-1, 1))
    return Light(
        toward_sun=sun_direction(azimuth, float(elevation)),
        sun=_rgb(sun),
        sky=_rgb(sky),
        zenith=_rgb(zenith),
        horizon=_rgb(horizon),
        cloud=min(1.0, 0.25 + strength * rng.uniform(-0.25, 0.4) + 0.5 * overcast),
        shadow_strength=min(1.0, shadow_strength),
        wetness=min(1.0, strength * max(0.0, rng.uniform(-3.0, 1.0))),
        haze_m=3500.0 / (1.0 + strength * rng.uniform(0.0, 3.0)),
        leaf_tint=NEUTRAL_TINT,
        grass_tint=NEUTRAL_TINT,
        leafless=_leafless(rng, leafless, BARE_DRIVES_SHARE),
        seed=(seed := int(rng.integers(2**31))),
        autumn=_autumn(seed, autumn, AUTUMN_DRIVES_SHARE),
    )


def flight_light(
    rng: np.random.Generator, strength: float, shadow_strength: float, season: float, leafless: float, autumn: float
) -> Light:
    """Draw the light of an overhead flight: always clear, with its own sun and season."""
    azimuth = -pi / 2 + strength * rng.uniform(-0.9, 0.9)
    elevation = float(np.clip(0.85 + strength * rng.uniform(-0.3, 0.25), 0.4, 1.2))
    dry, spring = season * rng.uniform(0.0, 1.0), season * rng.uniform(-1.0, 1.0)
    return Light(
        toward_sun=sun_direction(azimuth, elevation),
        sun=(0.93, 0.92, 0.89),
        sky=(0.115, 0.145, 0.19),
        zenith=(0.28, 0.52, 0.95),
        horizon=(0.9, 0.95, 1.0),
        cloud=0.0,
        shadow_strength=min(1.0, shadow_strength),
        wetness=0.0,
        haze_m=1e9,
        leaf_tint=_rgb(np.exp(spring * np.array([0.22, 0.11, -0.1]))),
        grass_tint=_rgb(np.exp(dry * np.array([0.15, 0.05, 0.0]))),
        leafless=_leafless(rng, leafless, BARE_FLIGHTS_SHARE),
        seed=(seed := int(rng.integers(2**31))),
        autumn=_autumn(seed, autumn, AUTUMN_FLIGHTS_SHARE),
    )


def _leafless(rng: np.random.Generator, strength: float, often: float) -> float:
    """Draw the share of trees without leaves: mostly none, sometimes many."""
    cold, share = rng.uniform(0.0, 1.0), rng.uniform(0.3, 1.0)
    return float(share) if cold < often * strength else 0.0


def _autumn(seed: int, strength: float, often: float) -> Autumn:
    """Draw an autumn from a seed, which leaves everything else as it is without one."""
    rng = np.random.default_rng((seed, 9))
    late, dry, litter, turned = rng.uniform(0.0, 1.0, 4)
    return Autumn(float(dry), float(litter**2), float(turned**2)) if late < often * strength else Autumn()


def _rgb(values: Float64[np.ndarray, " 3"]) -> LinearRgb:
    red, green, blue = (float(v) for v in values)
    return red, green, blue


@dataclass(frozen=True)
class SunMap:
    """Shadow map: ``nearness`` of the first surface that the sun's rays hit."""

    view: View
    nearness: Float32[np.ndarray, "height width"]


def sun_map(mesh: Mesh, toward_sun: Float64[np.ndarray, " 3"], cell_m: float, leafless: float) -> SunMap:
    """Draw the shadow map of a mesh, in cells of ``cell_m``."""
    corners = mesh.xyz_m.reshape(-1, 3).astype(np.float64)
    low, high = (corners.min(0), corners.max(0)) if len(corners) else (np.zeros(3), np.ones(3))
    view = from_sun(toward_sun, low, high, cell_m)
    nearness, triangle = empty_picture(view)
    rasterise(view, mesh, nearness, triangle, leafless)
    return SunMap(view, nearness)


@dataclass(frozen=True)
class SkyMap:
    """Share of the sky that is visible from the topmost surface, 0 to 1, and that surface's height, on ``grid``."""

    grid: Grid
    visible: Float32[np.ndarray, "rows cols"]
    top_m: Float32[np.ndarray, "rows cols"]


def sky_map(mesh: Mesh, size_m: float, cell_m: float, leafless: float) -> SkyMap:
    """Estimate the visible share of the sky from the horizon in eight directions, for every cell of the town."""
    cells = max(int(np.ceil(size_m / cell_m)), 1)
    grid = Grid(cells, cells, cell_m)
    view = from_above(grid)
    top_m, triangle = empty_picture(view)
    rasterise(view, mesh, top_m, triangle, leafless)
    top_m[triangle < 0] = 0.0
    visible = np.zeros_like(top_m)
    for east, north in ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)):
        slope = np.zeros_like(top_m)
        for steps in (1, 2, 4, 7, 12, 20):
            distance_m = steps * cell_m * float(np.hypot(east, north))
            moved = _shifted(top_m, steps * north, -steps * east)
            slope = np.maximum(slope, (moved - top_m) / distance_m)
        visible += 1.0 / (1.0 + slope * slope) / 8
    return SkyMap(grid, visible.astype(np.float32), top_m)


def _shifted(image: Float32[np.ndarray, "rows cols"], down: int, right: int) -> Float32[np.ndarray, "rows cols"]:
    """The image shifted by whole cells, with its border replicated."""
    rows = np.clip(np.arange(image.shape[0]) - down, 0, image.shape[0] - 1)
    cols = np.clip(np.arange(image.shape[1]) - right, 0, image.shape[1] - 1)
    return np.asarray(image[rows][:, cols])
