"""A vehicle whose place is known: position, heading, and the errors of odometry and cameras (a Kalman filter)."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np

from cvlnet.arrays import F64
from cvlnet.data.odometry import OdometryPose, wrapped_rad
from cvlnet.track.odometry import OdometryNoise

X, Y, TURN, LOG_SCALE, DRIFT, AIM = range(6)


@dataclass(frozen=True)
class PoseBelief:
    """The Gaussian over (x, y, turn, log scale, drift, aim).

    x, y: the vehicle on the map, metres. turn: of the odometry's frame against the map's, counter-clockwise. scale:
    metres on the map for each of the odometry's. drift: radians by which the turn grows with each metre. aim: radians
    by which the cameras look farther to the left than is described. A picture shows turn and aim together; they differ
    in where the vehicle goes.
    """

    mean: F64
    covariance: F64

    @staticmethod
    def at(mean: F64, covariance: F64, noise: OdometryNoise, aim_sigma_rad: float = 0.0) -> PoseBelief:
        """From the place and the turn (x, y, turn) that pictures show, with cameras aimed as is described.

        The odometry's errors are as likely as ``noise`` says; aim_sigma_rad: standard deviation of the aim.
        """
        whole = np.zeros((6, 6))
        whole[:3, :3] = covariance
        whole[LOG_SCALE, LOG_SCALE], whole[DRIFT, DRIFT] = noise.scale**2, noise.drift_rad_per_m**2
        whole[AIM, AIM] = aim_sigma_rad**2
        seen = np.eye(6)
        seen[TURN, AIM] = -1.0
        return PoseBelief(np.concatenate([mean, [0.0, 0.0, 0.0]]), seen @ whole @ seen.T)

    @property
    def xy_m(self) -> tuple[float, float]:
        """The place (east, north)."""
        return float(self.mean[X]), float(self.mean[Y])

    @property
    def turn_rad(self) -> float:
        """Of the odometry's frame."""
        return float(self.mean[TURN])

    @property
    def aim_rad(self) -> float:
        """Of the cameras, farther to the left than is described."""
        return float(self.mean[AIM])

    @property
    def scale(self) -> float:
        """Metres on the map for each of the odometry's."""
        return exp(self.mean[LOG_SCALE])

    def moved(self, before: OdometryPose, after: OdometryPose, noise: OdometryNoise) -> PoseBelief:
        """After a motion of the odometry."""
        motion = motion_from(self.mean, before, after, noise)
        covariance = motion.change @ self.covariance @ motion.change.T + motion.grown
        return PoseBelief(motion.mean, covariance)

    def located(self, xy_m: F64, covariance_m2: F64) -> PoseBelief:
        """After a measurement of the place (x, y)."""
        return self._measured(xy_m - self.mean[:2], covariance_m2, np.eye(6)[:2])

    def turned(self, seen_rad: float, variance: float) -> PoseBelief:
        """After a measurement of the turn that the pictures show, which is the sum of turn and aim."""
        apart_rad = wrapped_rad(seen_rad - self.turn_rad - self.aim_rad)
        return self._measured(np.array([apart_rad]), np.array([[variance]]), np.eye(6)[[TURN]] + np.eye(6)[[AIM]])

    def _measured(self, apart: F64, covariance: F64, observe: F64) -> PoseBelief:
        """After a measurement that is so far from what is expected. observe: its derivatives by the six numbers."""
        gain = self.covariance @ observe.T @ np.linalg.inv(observe @ self.covariance @ observe.T + covariance)
        mean = self.mean + gain @ apart
        mean[TURN] = wrapped_rad(float(mean[TURN]))
        left = np.eye(6) - gain @ observe
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
    change = np.eye(6)
    change[:2, TURN], change[:2, LOG_SCALE], change[:2, DRIFT] = aside_m, step_m, aside_m * way_m / 2
    change[TURN, DRIFT] = way_m
    gap_m = noise.gap_m(before, after)
    place_m2 = noise.way_share**2 * way_m + gap_m**2
    return Motion(moved, change, np.diag([place_m2, place_m2, noise.yaw_rad**2 * way_m, 0.0, 0.0, 0.0]))
