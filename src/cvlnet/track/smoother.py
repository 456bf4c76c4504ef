"""A drive as it looks from its end: what came later corrects what was known at the time, and the search before it.

The smoother of Rauch, Tung and Striebel (1965) over the Kalman filter of each stretch that was tracked without a break.
What lies before a stretch is followed back by the odometry, to the stretch before it, or to the first moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np

from cvlnet.arrays import F64
from cvlnet.data.odometry import OdometryPose, wrapped_rad
from cvlnet.model.confidence import sigma_m
from cvlnet.track.odometry import OdometryNoise
from cvlnet.track.pose_filter import DRIFT, LOG_SCALE, TURN, PoseBelief, motion_from

_FARTHEST_SIGMA_M = 50.0  # of a place that is followed back


@dataclass(frozen=True)
class Followed:
    """A moment of a track: its odometry, and the Kalman filter's belief behind it, in a stretch without a break.

    pose: None while nothing is tracked. stretch: number of the stretch; None there.
    """

    odometry: OdometryPose
    pose: PoseBelief | None
    stretch: int | None


def smoothed(moments: Sequence[Followed], noise: OdometryNoise) -> tuple[PoseBelief | None, ...]:
    """The belief at every moment, given all of them; None where no stretch reaches back to."""
    found: list[PoseBelief | None] = [None] * len(moments)
    for at in range(len(moments) - 1, -1, -1):
        now = moments[at]
        later = found[at + 1] if at + 1 < len(moments) else None
        if now.pose is None:
            if later is not None:
                back = _back(later, now.odometry, moments[at + 1].odometry, noise)
                found[at] = back if sigma_m(back.covariance[:2, :2]) <= _FARTHEST_SIGMA_M else None
        elif later is None or moments[at + 1].stretch != now.stretch:
            found[at] = now.pose
        else:
            found[at] = _with_later(now.pose, later, now.odometry, moments[at + 1].odometry, noise)
    return tuple(found)


def _with_later(
    pose: PoseBelief, later: PoseBelief, before: OdometryPose, after: OdometryPose, noise: OdometryNoise
) -> PoseBelief:
    motion = motion_from(pose.mean, before, after, noise)
    predicted = motion.change @ pose.covariance @ motion.change.T + motion.grown
    gain = np.linalg.lstsq(predicted, motion.change @ pose.covariance)[0].T  # what is known exactly has no variance
    mean = _plus(pose.mean, gain @ _apart(later.mean, motion.mean))
    return PoseBelief(mean, pose.covariance + gain @ (later.covariance - predicted) @ gain.T)


def _back(later: PoseBelief, before: OdometryPose, after: OdometryPose, noise: OdometryNoise) -> PoseBelief:
    """The belief before a motion, from that behind it alone."""
    way_m, mean = before.way_m(after), later.mean.copy()
    mean[TURN] = wrapped_rad(mean[TURN] - mean[DRIFT] * way_m)
    mean[:2] -= exp(mean[LOG_SCALE]) * before.step_m(after, mean[TURN] + mean[DRIFT] * way_m / 2)
    motion = motion_from(mean, before, after, noise)
    undo = np.linalg.inv(motion.change)
    return PoseBelief(mean, undo @ (later.covariance + motion.grown) @ undo.T)


def _apart(mean: F64, other: F64) -> F64:
    apart = mean - other
    apart[TURN] = wrapped_rad(float(apart[TURN]))
    return np.asarray(apart)


def _plus(mean: F64, change: F64) -> F64:
    found = mean + change
    found[TURN] = wrapped_rad(float(found[TURN]))
    return np.asarray(found)
