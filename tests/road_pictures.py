"""Pictures of a textured road below a textured sky at infinity: every pixel by its ray, so all geometry is exact."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import cos, sin

import cv2
import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from cvlnet.arrays import Rgb
from cvlnet.data.odometry import OdometryPose
from cvlnet.geometry import Camera
from cvlnet.road.geometry import Mounting, matrix, rays, rotations

CAMERA = Camera(
    torch.tensor([300.0, 300.0], dtype=torch.float64), torch.tensor([240.0, 90.0], dtype=torch.float64), 480, 200
)
TRUE = Mounting(0.01, 0.03, -0.02, 1.6, 1.0, -0.2)
_CELL_M, _CELL_RAD = 0.2, 0.008


@cache
def texture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 255, (512, 512)).astype(np.float32)
    smooth = gaussian_filter(noise, 1.2, mode="wrap")
    return np.asarray(255 * (smooth - smooth.min()) / np.ptp(smooth), np.float32)


def picture(pose: OdometryPose, mounting: Mounting = TRUE, camera: Camera = CAMERA, nod_rad: float = 0.0) -> Rgb:
    """What a camera sees from a pose on the road. nod_rad: by which the front is down at this moment."""
    rows, cols = np.indices((camera.height_px, camera.width_px), dtype=np.float64)
    pixels = np.stack([cols.ravel(), rows.ravel()], axis=1)
    angles = np.array([[mounting.roll_rad], [mounting.pitch_rad + nod_rad], [mounting.yaw_rad + pose.yaw_rad]])
    x, y, z = (rays(matrix(camera), pixels) @ rotations(*angles)[0].T).T
    c, s = cos(pose.yaw_rad), sin(pose.yaw_rad)
    at_x = pose.x_m + c * mounting.forward_m - s * mounting.left_m
    at_y = pose.y_m + s * mounting.forward_m + c * mounting.left_m
    far = mounting.height_m / np.maximum(-z, 1e-4)
    road = _sampled(texture(1), (at_x + x * far) / _CELL_M, (at_y + y * far) / _CELL_M)
    sky = _sampled(texture(2), np.arctan2(y, x) / _CELL_RAD, np.arctan2(z, np.hypot(x, y)) / _CELL_RAD)
    gray = np.where(z < -0.02, road, sky).reshape(camera.height_px, camera.width_px)
    return np.repeat(gray.round().astype(np.uint8)[..., None], 3, axis=2)


def _sampled(cells: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = (np.mod(v, 512).astype(np.float32).reshape(-1, 1) for v in (x, y))
    padded = np.pad(cells, ((0, 1), (0, 1)), mode="wrap")
    parts = zip(_parts(x), _parts(y), strict=True)
    return np.concatenate([cv2.remap(padded, *part, cv2.INTER_LINEAR) for part in parts]).ravel()


def _parts(values: np.ndarray) -> list[np.ndarray]:
    return np.array_split(values, 1 + len(values) // 30000)  # OpenCV's remap takes at most 32767 rows


def way(count: int, step_m: float = 1.1, turn_rad: float = 0.01) -> list[OdometryPose]:
    """A gentle bend to the left."""
    poses = [OdometryPose(0.0, 5.0, -3.0, 0.3)]
    for i in range(1, count):
        last = poses[-1]
        course = last.yaw_rad + turn_rad / 2
        poses.append(
            OdometryPose(
                0.1 * i, last.x_m + step_m * cos(course), last.y_m + step_m * sin(course), last.yaw_rad + turn_rad
            )
        )
    return poses


def off(mounting: Mounting, pitch_rad: float = 0.0, height_m: float = 0.0) -> Mounting:
    """A mounting that is wrong by so much."""
    return replace(mounting, pitch_rad=mounting.pitch_rad + pitch_rad, height_m=mounting.height_m + height_m)
