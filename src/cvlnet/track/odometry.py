"""A model of the odometry's errors, and odometry with errors added, for experiments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf, radians

import numpy as np

from cvlnet.data.journey import Journey, Moment
from cvlnet.data.odometry import OdometryPose, wrapped_rad


@dataclass(frozen=True)
class OdometryNoise:
    """Standard deviations of an odometry's errors.

    scale: relative error of all distances. drift_rad_per_m: constant drift of the yaw. way_share, yaw_rad: random
    errors of distance and yaw per metre; they grow with the square root of the distance. fastest_m_s: largest speed of
    the vehicle, for its motion while there was no odometry. longest_gap_s: largest time between poses without a gap.
    """

    scale: float = 0.02
    drift_rad_per_m: float = radians(0.005)
    way_share: float = 0.03
    yaw_rad: float = radians(0.05)
    fastest_m_s: float = 20.0
    longest_gap_s: float = 2.0

    def __post_init__(self) -> None:
        if not all(0 <= value < inf for value in vars(self).values()):
            raise ValueError(f"standard deviations are finite and not negative: {self}")

    def gap_m(self, before: OdometryPose, after: OdometryPose) -> float:
        """How far the vehicle may have moved unobserved between two poses; 0 if there is no gap between them."""
        return self.fastest_m_s * max(0.0, after.time_s - before.time_s - self.longest_gap_s)


@dataclass(frozen=True)
class OdometryErrors:
    """Errors to add to odometry: a relative error of distances, a constant drift and an initial error of the yaw."""

    scale: float = 0.0
    drift_rad_per_m: float = 0.0
    yaw_rad: float = 0.0

    @staticmethod
    def drawn(
        seed: int, *, scale: float = 0.01, drift_deg_per_100_m: float = 0.5, yaw_deg: float = 0.0
    ) -> OdometryErrors:
        """Errors of these sizes with random signs; the yaw is anywhere between -``yaw_deg`` and ``yaw_deg``."""
        rng = np.random.default_rng(seed)
        signs = rng.choice((-1.0, 1.0), 2)
        yaw_rad = radians(yaw_deg) * float(rng.uniform(-1, 1))
        return OdometryErrors(scale * float(signs[0]), radians(drift_deg_per_100_m) / 100 * float(signs[1]), yaw_rad)


def disturbed(poses: tuple[OdometryPose, ...], errors: OdometryErrors) -> tuple[OdometryPose, ...]:
    """Odometry with errors added; the frame stays that of the first pose."""
    if not poses:
        return ()
    found, way_m, turn_rad = [poses[0]], 0.0, errors.yaw_rad
    found[0] = replace(poses[0], yaw_rad=poses[0].yaw_rad + turn_rad)
    for before, pose in pairwise(poses):
        east_m, north_m = ((1 + errors.scale) * before.step_m(pose, turn_rad)).tolist()
        x_m, y_m = found[-1].x_m + east_m, found[-1].y_m + north_m
        way_m += before.way_m(pose)
        turn_rad = errors.yaw_rad + errors.drift_rad_per_m * way_m
        found.append(OdometryPose(pose.time_s, x_m, y_m, wrapped_rad(pose.yaw_rad + turn_rad)))
    return tuple(found)


def with_errors(journey: Journey, errors: OdometryErrors) -> Journey:
    """A journey whose odometry has errors added."""

    def moments() -> Iterator[Moment]:
        clean = tuple(journey.moments())
        poses = disturbed(tuple(moment.odometry for moment in clean), errors)
        for moment, pose in zip(clean, poses, strict=True):
            yield replace(moment, odometry=pose)

    return replace(journey, moments=moments)
