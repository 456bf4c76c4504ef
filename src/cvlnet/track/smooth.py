"""A pose without jumps: the odometry's motion, drawn little by little towards the estimate."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

import numpy as np

from cvlnet.arrays import F64
from cvlnet.data.odometry import OdometryPose, wrapped_rad
from cvlnet.track.pose_filter import PoseBelief

_DRAWN_M = 15.0  # of the way, after which a third of a difference is left
_LARGEST_SHARE = 0.2  # of a metre of the way, by which the pose is drawn at most
_FARTHEST_M = 30.0  # from the estimate: beyond it the estimate was wrong, or is, and the pose begins anew


@dataclass(frozen=True)
class SmoothPose:
    """mean: x, y on the map in metres, and the turn of the odometry's frame. follows: whether it is near the estimate.

    It moves as the odometry does, and is drawn towards the estimate by at most a fifth of the way, so that what steers
    by it never sees a jump while the vehicle is tracked.
    """

    mean: F64
    follows: bool = True

    def moved(self, before: OdometryPose, now: OdometryPose, estimate: PoseBelief | None) -> SmoothPose:
        """After a motion; the estimate is that after it, None where the vehicle is not tracked."""
        way_m, mean = before.way_m(now), self.mean.copy()
        mean[:2] += before.step_m(now, float(mean[2]))
        if estimate is None:
            return SmoothPose(mean)
        apart = estimate.mean[:3] - mean
        apart[2] = wrapped_rad(float(apart[2]))
        away_m = hypot(apart[0], apart[1])
        share = 1 - np.exp(-way_m / _DRAWN_M)
        if away_m * share > _LARGEST_SHARE * way_m:
            share = _LARGEST_SHARE * way_m / away_m
        mean = mean + share * apart
        mean[2] = wrapped_rad(float(mean[2]))
        return SmoothPose(mean, away_m < _FARTHEST_M)
