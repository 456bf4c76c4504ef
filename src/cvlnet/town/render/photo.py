"""From radiance to an 8-bit picture: windscreen, exposure, motion blur, vignetting, noise, tone curve.

None of this shifts the picture. A frame's picture depends only on the frame and on the drive's settings, so that frames
can be drawn in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from cvlnet.arrays import F32, F64, U8
from cvlnet.geometry import Camera
from cvlnet.town.compiled import hash01, kernel
from cvlnet.town.presets import Nuisances
from cvlnet.town.render.windscreen import Windscreen, make_windscreen

TONES = 4096  # number of entries of the tone curve
BLUR_TAPS = 5
LENS_SIGMA_PX = 0.45
BRIGHTEST = 1.6  # saturation of the sensor; keeps blur from spreading the sun
MIDDLE_RADIANCE = 0.125  # target of the automatic exposure for the mean of the lower two thirds


@dataclass(frozen=True)
class DrivePhoto:
    """Settings of the camera on one drive. exposure: factor of each frame. noise: of mid-grey, relative to white."""

    exposure: Float64[np.ndarray, " frames"]
    automatic: float
    cast: Float64[np.ndarray, " 3"]
    vignetting: float
    noise: float
    shutter_s: float
    contrast: float
    windscreen: Windscreen | None
    seed: int


def drive_photo(
    rng: np.random.Generator, nuisances: Nuisances, camera: Camera, time_s: Float64[np.ndarray, " frames"]
) -> DrivePhoto:
    """Draw exposure, colour cast, noise and windscreen of a drive."""
    phase, period_s = rng.uniform(0, 2 * np.pi, 3), rng.uniform(4.0, 25.0, 3)
    waves = np.sin(2 * np.pi * time_s[:, None] / period_s + phase).sum(1) / 3
    offset, cast = float(rng.normal(0.0, 0.16)), rng.normal(0.0, 0.03, 3) + np.array([-0.01, 0.0, 0.02])
    return DrivePhoto(
        exposure=np.exp(nuisances.exposure * (offset + 0.15 * waves)),
        automatic=float(np.clip(0.55 + 0.25 * nuisances.contrast * rng.uniform(-1, 1), 0.0, 0.9)),
        cast=1.0 + nuisances.camera_light * cast,
        vignetting=0.35 * min(nuisances.camera_light, 2.0) * float(rng.uniform(0.5, 1.0)),
        noise=0.014 * nuisances.camera_noise * float(rng.uniform(0.6, 1.5)),
        shutter_s=0.006 * nuisances.motion_blur * float(rng.uniform(0.4, 1.3)),
        contrast=float(np.clip(0.8 + 0.5 * nuisances.contrast * rng.uniform(-1.0, 0.4), 0.0, 1.0)),
        windscreen=_windscreen(rng, nuisances, camera),
        seed=int(rng.integers(2**31)),
    )


def _windscreen(rng: np.random.Generator, nuisances: Nuisances, camera: Camera) -> Windscreen | None:
    """Draw the windscreen; None if it is clear."""
    view = make_windscreen(rng, nuisances.windscreen, camera.height_px, camera.width_px)
    return None if view.is_clear else view


def photograph(
    radiance: Float32[np.ndarray, "height width 3"],
    depth_m: Float32[np.ndarray, "height width"],
    camera: Camera,
    photo: DrivePhoto,
    exposure: float,
    seed: int,
    speed_m_s: float,
    yaw_rate_rad_s: float,
) -> UInt8[np.ndarray, "height width 3"]:
    """The 8-bit RGB picture of a frame's linear radiance.

    exposure: the frame's factor. seed: of the frame's noise. speed_m_s, yaw_rate_rad_s: for motion blur.
    """
    height, width = radiance.shape[:2]
    light = np.minimum(radiance, np.float32(BRIGHTEST))
    focal_px, (cx, cy) = float(camera.focal_px[0]), camera.principal_point_px.tolist()
    if photo.shutter_s > 0.0 and (speed_m_s > 0.2 or abs(yaw_rate_rad_s) > 0.01):
        moved_m, turned_px = speed_m_s * photo.shutter_s, focal_px * yaw_rate_rad_s * photo.shutter_s
        blurred = np.empty_like(light)
        _blur(light, depth_m, cx, cy, moved_m, turned_px, blurred)
        light = blurred
    if photo.windscreen is not None:
        light = light * photo.windscreen.passes + photo.windscreen.adds
    light = np.asarray(cv2.GaussianBlur(light, (0, 0), LENS_SIGMA_PX), np.float32)
    middle = float(light[height // 3 :, width // 8 : -width // 8 or None].mean())
    automatic = (MIDDLE_RADIANCE / max(middle, 1e-4)) ** photo.automatic
    gain = exposure * automatic
    picture = np.empty((height, width, 3), np.uint8)
    _develop(light, gain * photo.cast, photo.vignetting, tone_curve(photo.contrast), photo.noise, 7919 * seed, picture)
    return picture


def tone_curve(contrast: float) -> Float32[np.ndarray, " tones"]:
    """Display value, 0 to 255, at TONES equal steps of the square root of radiance."""
    root = np.linspace(0.0, 1.0, TONES)
    shaped = root**0.95
    s_curve = shaped * shaped * (3 - 2 * shaped)
    return np.asarray(255.0 * (shaped + contrast * (s_curve - shaped)), np.float32)


@kernel
def _blur(light: F32, depth_m: F32, cx: float, cy: float, moved_m: float, turned_px: float, out: F32) -> None:
    """Average along each pixel's motion while the shutter is open; symmetric in time, so that nothing shifts."""
    height, width = depth_m.shape
    for row in range(height):
        for col in range(width):
            dx = (col + 0.5 - cx) * moved_m / depth_m[row, col] + turned_px
            dy = (row + 0.5 - cy) * moved_m / depth_m[row, col]
            length = sqrt(dx * dx + dy * dy)
            if length < 0.7:
                for c in range(3):
                    out[row, col, c] = light[row, col, c]
                continue
            if length > 24.0:
                dx, dy = dx * 24.0 / length, dy * 24.0 / length
            red, green, blue = 0.0, 0.0, 0.0
            for k in range(BLUR_TAPS):
                step = k / (BLUR_TAPS - 1.0) - 0.5
                r = min(max(int(row + 0.5 + step * dy), 0), height - 1)
                s = min(max(int(col + 0.5 + step * dx), 0), width - 1)
                red += light[r, s, 0]
                green += light[r, s, 1]
                blue += light[r, s, 2]
            out[row, col, 0], out[row, col, 1], out[row, col, 2] = red / BLUR_TAPS, green / BLUR_TAPS, blue / BLUR_TAPS


@kernel
def _develop(light: F32, gain: F64, vignetting: float, curve: F32, noise: float, seed: int, out: U8) -> None:
    height, width = light.shape[0], light.shape[1]
    for row in range(height):
        y = (row + 0.5 - 0.5 * height) / width
        for col in range(width):
            x = (col + 0.5 - 0.5 * width) / width
            falloff = 1.0 - vignetting * min(2.2 * (x * x + y * y), 0.9)
            shared = hash01(row, col, seed) + hash01(row, col, seed + 1) - 1.0
            for c in range(3):
                exposed = max(light[row, col, c] * gain[c] * falloff, 0.0)
                value = curve[min(int(sqrt(exposed) * (TONES - 1)), TONES - 1)]
                own = hash01(row, col, seed + 2 + c) + hash01(row, col, seed + 5 + c) - 1.0
                # the sum of two uniform numbers has a variance of 1/6; noise is scaled by brightness
                strength = noise * 255.0 * 2.449 * (0.45 + 0.55 * sqrt(min(exposed, 1.0)))
                value += strength * (0.6 * shared + 0.8 * own) if value < 254.0 else 0.0
                out[row, col, c] = int(min(max(value + 0.5, 0.0), 255.0))
