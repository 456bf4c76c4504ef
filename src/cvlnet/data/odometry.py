"""Odometry: where a vehicle is relative to where it began, in a frame of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import atan2, cos, hypot, isfinite, pi, radians, remainder, sin

import numpy as np

from cvlnet.arrays import Xy
from cvlnet.data.recording import MountedCamera, Recording
from cvlnet.geo import LocalFrame
from cvlnet.geometry import Pose

_ZERO_RAD = radians(2.0)  # the first moment may come a little after the first measurement


@dataclass(frozen=True)
class OdometryPose:
    """The vehicle's pose in the odometry's frame: x, y in metres on the ground, yaw counter-clockwise from x.

    The frame may have any origin and direction, but has to stay the same. time_s: increases from pose to pose.
    Raises ValueError for numbers that are not finite.
    """

    time_s: float
    x_m: float
    y_m: float
    yaw_rad: float

    def __post_init__(self) -> None:
        if not all(map(isfinite, (self.time_s, self.x_m, self.y_m, self.yaw_rad))):
            raise ValueError(f"a pose has finite numbers, not {self}")

    def way_m(self, other: OdometryPose) -> float:
        """The straight distance to another pose."""
        return hypot(other.x_m - self.x_m, other.y_m - self.y_m)

    def step_m(self, other: OdometryPose, turn_rad: float = 0.0) -> Xy:
        """The displacement to another pose, in axes from which the odometry's frame is turned counter-clockwise."""
        return turned_m((other.x_m - self.x_m, other.y_m - self.y_m), turn_rad)


def odometry_of(recording: Recording) -> tuple[OdometryPose, ...]:
    """The relative motion of a drive, a pose for each of its frames, from (0, 0) on, with the recorded yaw.

    Where the drive is on earth does not enter. Positions are taken metre by metre from frame to frame.
    """
    poses: list[OdometryPose] = []
    x_m = y_m = 0.0
    for before, frame in zip((None, *recording.frames), recording.frames, strict=False):
        if before is not None and frame.index not in recording.jumps_m:
            east_m, north_m = LocalFrame(before.position).xy_world_m(frame.position.degrees).tolist()
            x_m, y_m = x_m + east_m, y_m + north_m
        poses.append(OdometryPose(frame.time_s, x_m, y_m, frame.yaw_rad))
    return tuple(poses)


def begins_at_zero(yaw_rad: float, cameras: Iterable[MountedCamera] = ()) -> bool:
    """Whether the first yaw of a drive, or that of one of its cameras, is about 0.

    Wheel and visual odometry begin so, whatever the heading.
    """
    mounted = [camera.body_from_cam @ Pose.level_from_cam().inverse() for camera in cameras]
    to_left_rad = [atan2(float(pose.rotation[1, 0]), float(pose.rotation[0, 0])) for pose in mounted]
    return any(abs(wrapped_rad(yaw_rad + of_camera_rad)) <= _ZERO_RAD for of_camera_rad in (0.0, *to_left_rad))


def has_headings(recording: Recording) -> bool:
    """Whether the yaw of a drive counts from east: so it does unless its places are in metres and it begins at 0."""
    return recording.geographic or not begins_at_zero(recording.frames[0].yaw_rad, recording.cameras.values())


def turned_m(xy_m: tuple[float, float], turn_rad: float) -> Xy:
    """A displacement, turned counter-clockwise."""
    x_m, y_m = xy_m
    return np.array([cos(turn_rad) * x_m - sin(turn_rad) * y_m, sin(turn_rad) * x_m + cos(turn_rad) * y_m])


def wrapped_rad(angle_rad: float) -> float:
    """The same angle between -pi and pi."""
    return remainder(angle_rad, 2 * pi)
