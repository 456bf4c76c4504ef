"""Metrics of predictions: pure functions on arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cvlnet.arrays import F64, Bools


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval."""

    value: float
    low: float
    high: float


def position_errors_m(predicted_xy_m: F64, true_xy_m: F64) -> F64:
    """Distances [Q, K] of ranked predictions [Q, K, 2] from the true positions [Q, 2]; infinite where one is NaN."""
    distance_m = np.linalg.norm(predicted_xy_m - true_xy_m[:, None], axis=-1)
    return np.where(np.isnan(distance_m), np.inf, distance_m)


def found(errors_m: F64, k: int, radius_m: float) -> Bools:
    """Whether one of the best ``k`` predictions lies within the radius, [Q]; errors are ranked, [Q, K]."""
    return np.asarray((errors_m[:, :k] <= radius_m).any(axis=1))


def longitudinal_lateral_m(error_xy_m: F64, yaw_rad: F64) -> F64:
    """Errors (east, north), [Q, 2], along and across the vehicles' headings (ahead, to the left), [Q, 2]."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    east_m, north_m = error_xy_m[:, 0], error_xy_m[:, 1]
    return np.stack([east_m * cos + north_m * sin, -east_m * sin + north_m * cos], axis=-1)
