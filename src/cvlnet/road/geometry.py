"""A camera over a plane road, and the vehicle's motion between two pictures, as arrays of NumPy.

Pixels are counted from the centre of the top-left one here, as OpenCV does.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, atan2, cos, remainder, sin, tau

import numpy as np
import torch
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from cvlnet.geometry import Camera, Pose

Matrix3 = Float64[np.ndarray, "3 3"]
Matrices3 = Float64[np.ndarray, "n 3 3"]
Pixels = Float64[np.ndarray, "n 2"]
Rays = Float64[np.ndarray, "n 3"]

_LEVEL_FROM_CAM = Pose.level_from_cam().rotation.numpy()


@dataclass(frozen=True)
class Mounting:
    """How a camera is mounted over a level road: roll (left side up), pitch (front down), yaw (to the left), height.

    forward_m, left_m: of the camera from the vehicle's reference point.
    """

    roll_rad: float
    pitch_rad: float
    yaw_rad: float
    height_m: float
    forward_m: float = 0.0
    left_m: float = 0.0

    @staticmethod
    def of(road_from_cam: Pose) -> Mounting:
        """The mounting that a pose means. Exactly undone by `road_from_cam`, unless the camera looks straight down."""
        turn = road_from_cam.rotation.to(torch.float64).numpy() @ _LEVEL_FROM_CAM.T
        roll_rad, yaw_rad = atan2(turn[2, 1], turn[2, 2]), atan2(turn[1, 0], turn[0, 0])
        forward_m, left_m, height_m = road_from_cam.translation_m.tolist()
        return Mounting(roll_rad, asin(-turn[2, 0]), yaw_rad, height_m, forward_m, left_m)

    @property
    def road_from_cam(self) -> Pose:
        """The mounting as a pose."""
        roll, pitch, yaw = torch.tensor([self.roll_rad, self.pitch_rad, self.yaw_rad], dtype=torch.float64)
        place_m = torch.tensor([self.forward_m, self.left_m, self.height_m], dtype=torch.float64)
        return Pose.from_euler(roll, pitch, yaw, place_m) @ Pose.level_from_cam()


@dataclass(frozen=True)
class Motion:
    """The vehicle's motion on the road from one picture to the next: metres forward and left, turn to the left."""

    forward_m: float
    left_m: float
    turn_rad: float

    @staticmethod
    def between(before: tuple[float, float, float], after: tuple[float, float, float]) -> Motion:
        """From two poses x, y (metres) and yaw of one frame."""
        (x_m, y_m, yaw_rad), (to_x_m, to_y_m, to_yaw_rad) = before, after
        dx_m, dy_m = to_x_m - x_m, to_y_m - y_m
        ahead_m = cos(yaw_rad) * dx_m + sin(yaw_rad) * dy_m
        return Motion(ahead_m, cos(yaw_rad) * dy_m - sin(yaw_rad) * dx_m, remainder(to_yaw_rad - yaw_rad, tau))


def matrix(camera: Camera) -> Matrix3:
    """The camera matrix, for pixels that are counted from the centre of the top-left one."""
    (focal_x, focal_y), (x, y) = camera.focal_px.tolist(), (camera.principal_point_px - 0.5).tolist()
    return np.array([[focal_x, 0.0, x], [0.0, focal_y, y], [0.0, 0.0, 1.0]])


def rotations(
    roll_rad: Float64[np.ndarray, " n"], pitch_rad: Float64[np.ndarray, " n"], yaw_rad: Float64[np.ndarray, " n"]
) -> Matrices3:
    """Rotations from the frames of cameras to those of roads, as in `Mounting`."""
    turns = Rotation.from_euler("ZYX", np.stack([yaw_rad, pitch_rad, roll_rad], axis=1))
    return np.asarray(turns.as_matrix() @ _LEVEL_FROM_CAM)


def turned(turn_rad: Float64[np.ndarray, " n"]) -> Matrices3:
    """Rotations about the z axis."""
    return np.asarray(Rotation.from_euler("Z", turn_rad[:, None]).as_matrix())


def road_homography(camera: Matrix3, mounting: Mounting, motion: Motion) -> Matrix3:
    """Takes pixels of the road in one picture to the next: ``K (R + t n^T / h) K^-1``."""
    angles = np.array([[mounting.roll_rad], [mounting.pitch_rad], [mounting.yaw_rad]])
    road_from_cam = rotations(*angles)[0]
    back = turned(np.array([-motion.turn_rad]))[0]
    centre_m = np.array([mounting.forward_m, mounting.left_m, mounting.height_m])
    moved_m = np.array([motion.forward_m, motion.left_m, 0.0])
    rotation = road_from_cam.T @ back @ road_from_cam
    translation_m = road_from_cam.T @ (back @ (centre_m - moved_m) - centre_m)
    normal = -road_from_cam[2] / mounting.height_m  # n^T x = 1 for points x of the road in the camera's frame
    return np.asarray(camera @ (rotation + np.outer(translation_m, normal)) @ np.linalg.inv(camera))


def mapped(homography: Matrix3, points_px: Pixels) -> Pixels:
    """Points by a homography."""
    found = points_px @ homography[:, :2].T + homography[:, 2]
    return np.asarray(found[:, :2] / found[:, 2:])


def rays(camera: Matrix3, points_px: Pixels) -> Rays:
    """Directions of pixels in the camera's frame, with depth 1."""
    return np.asarray(points_px @ np.linalg.inv(camera)[:, :2].T + np.linalg.inv(camera)[:, 2])
