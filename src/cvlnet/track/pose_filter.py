"""A vehicle whose place is known: position, heading and the odometry's own errors, as a Gaussian (a Kalman filter)."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np

from cvlnet.arrays import F64
from cvlnet.data.odometry import OdometryPose, wrapped_rad
from cvlnet.track.odometry import OdometryNoise

X, Y, TURN, LOG_SCALE, DRIFT = range(5)


@dataclass(frozen=True)
class PoseBelief:
    """The Gaussian over (x, y, turn, log scale, drift).

    x, y: the vehicle on the map, metres. turn: of the odometry's frame against the map's, counter-clockwise. scale:
    metres on the map for each of the odometry's. drift: radians by which the turn grows with each metre.
    """

    mean: F64
    covariance: F64

    @staticmethod
    def at(mean: F64, covariance: F64, noise: OdometryNoise) -> PoseBelief:
        """From a place and a turn (x, y, turn); the odometry's errors are as likely as ``noise`` says."""
        whole = np.zeros((5, 5))
        whole[:3, :3] = covariance
        whole[LOG_SCALE, LOG_SCALE], whole[DRIFT, DRIFT] = noise.scale**2, noise.drift_rad_per_m**2
        return PoseBelief(np.concatenate([mean, [0.0, 0.0]]), whole)

    @property
    def xy_m(self) -> tuple[float, float]:
        """The place (east, north)."""
        return float(self.mean[X]), float(self.mean[Y])

    @property
    def turn_rad(self) -> float:
        """Of the odometry's frame."""
        return float(self.mean[TURN])

    def moved(self, before: OdometryPose, after: OdometryPose, noise: OdometryNoise) -> PoseBelief:
        """After a motion of the odometry."""
        motion = motion_from(self.mean, before, after, noise)
        covariance = motion.change @ self.covariance @ motion.change.T + motion.grown
        return PoseBelief(motion.mean, covariance)

    def measured(self, values: F64, covariance: F64, parts: tuple[int, ...]) -> PoseBelief:
        """After a measurement of some of the numbers, with its covariance."""
        observe = np.eye(5)[list(parts)]
        apart = values - observe @ self.mean
        if TURN in parts:
            at = parts.index(TURN)
            apart[at] = wrapped_rad(float(apart[at]))
        gain = self.covariance @ observe.T @ np.linalg.inv(observe @ self.covariance @ observe.T + covariance)
        mean = self.mean + gain @ apart
        mean[TURN] = wrapped_rad(float(mean[TURN]))
        left = np.eye(5) - gain @ observe
        return PoseBelief(mean, left @ self.covariance @ left.T + gain @ covariance @ gain.T)


@dataclass(frozen=True)
class Motion:
    """A motion of the odometry from some state: the mean behind it, its Jacobian, and the covariance that it adds."""

    mean: F64
    change: F64
    grown: F64


def motion_from(mean: F64, before: OdometryPose, after: OdometryPose, noise: OdometryNoise) -> Motion:
    """The motion from one pose of the odometry to the next, linearised at a mean."""
    way_m = before.way_m(after)
    turn = mean[TURN] + mean[DRIFT] * way_m / 2
    step_m = exp(mean[LOG_SCALE]) * before.step_m(after, turn)
    aside_m = np.array([-step_m[1], step_m[0]])
    moved = mean.copy()
    moved[:2] += step_m
    moved[TURN] = wrapped_rad(moved[TURN] + mean[DRIFT] * way_m)
    change = np.eye(5)
    change[:2, TURN], change[:2, LOG_SCALE], change[:2, DRIFT] = aside_m, step_m, aside_m * way_m / 2
    change[TURN, DRIFT] = way_m
    gap_m = noise.gap_m(before, after)
    place_m2 = noise.way_share**2 * way_m + gap_m**2
    return Motion(moved, change, np.diag([place_m2, place_m2, noise.yaw_rad**2 * way_m, 0.0, 0.0]))
