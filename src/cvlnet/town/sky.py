"""What is seen where no triangle is: the land beyond the town, its trees and roofs on the horizon, and the sky."""

from __future__ import annotations

from math import atan2, sqrt

import numpy as np
import numpy.typing as npt

from cvlnet.town.compiled import hash01, kernel, noise2, ramp

F64 = npt.NDArray[np.float64]


@kernel
def sky_radiance(x: float, y: float, z: float, toward_sun: F64, sky: F64, cloud: float, seed: int, out: F64) -> None:
    """Radiance of the sky in the direction (x, y, z), z not negative. sky: rows zenith and horizon, [2, 3]."""
    up = sqrt(min(max(z, 0.0), 1.0))
    facing = max(x * toward_sun[0] + y * toward_sun[1] + z * toward_sun[2], 0.0)
    glow = 0.55 * facing**6 + 1.2 * facing**40 + 30.0 * ramp(facing, 0.9992, 0.9999)
    plane = 1.0 / (z + 0.12)
    wisps = 0.6 * noise2(x * plane * 1.1, y * plane * 1.1, seed) + 0.3 * noise2(x * plane * 3.1, y * plane * 3.1, seed + 1)
    wisps += 0.1 * noise2(x * plane * 9.0, y * plane * 9.0, seed + 2)
    veil = ramp(wisps, 0.95 - cloud, 1.25 - cloud) if cloud > 0.0 else 0.0
    for c in range(3):
        clear = sky[1, c] + (sky[0, c] - sky[1, c]) * up + glow
        out[c] = clear + (1.15 - clear) * veil * 0.85 if clear < 1.15 else clear


@kernel
def skyline(x: float, y: float, z: float, seed: int) -> float:
    """How much of the horizon's trees and roofs covers the direction (unit vector), 0 to 1."""
    azimuth = atan2(y, x)
    trees = 0.020 + 0.022 * noise2(azimuth * 9.0, 0.0, seed + 5) + 0.012 * noise2(azimuth * 60.0, 0.0, seed + 6)
    trees += 0.006 * noise2(azimuth * 350.0, 0.0, seed + 7)
    block = int(azimuth * 28.0)
    roof = 0.022 + 0.045 * hash01(block, 3, seed) if hash01(block, 1, seed) < 0.35 else 0.0
    height = max(trees, roof)
    return 1.0 - ramp(z, height - 0.0015, height + 0.0015)


@kernel
def skyline_colour(x: float, y: float, z: float, seed: int, colour: F64) -> None:
    """sRGB (0 to 1) of the horizon's trees and roofs."""
    azimuth = atan2(y, x)
    block = int(azimuth * 28.0)
    built = hash01(block, 1, seed) < 0.35
    leaf = 0.6 + 0.8 * noise2(azimuth * 260.0, z * 260.0, seed + 8)
    if built:
        tone = 0.35 + 0.4 * hash01(block, 2, seed)
        colour[0], colour[1], colour[2] = tone, tone * 0.97, tone * 0.92
    else:
        colour[0], colour[1], colour[2] = 0.19 * leaf, 0.26 * leaf, 0.15 * leaf
