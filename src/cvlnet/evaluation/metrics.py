"""Metrics of predictions: pure functions on arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval."""

    value: float
    low: float
    high: float


def position_errors_m(
    predicted_xy_m: Float64[np.ndarray, "q ranks 2"], true_xy_m: Float64[np.ndarray, "q 2"]
) -> Float64[np.ndarray, "q ranks"]:
    """Distances of ranked predictions from the true positions; infinite where one is NaN."""
    distance_m = np.linalg.norm(predicted_xy_m - true_xy_m[:, None], axis=-1)
    return np.where(np.isnan(distance_m), np.inf, distance_m)


def found(errors_m: Float64[np.ndarray, "q ranks"], k: int, radius_m: float) -> Bool[np.ndarray, " q"]:
    """Whether one of the best ``k`` predictions lies within the radius."""
    return np.asarray((errors_m[:, :k] <= radius_m).any(axis=1))


def longitudinal_lateral_m(
    error_xy_m: Float64[np.ndarray, "q 2"], yaw_rad: Float64[np.ndarray, " q"]
) -> Float64[np.ndarray, "q 2"]:
    """Errors (east, north) along and across the vehicles' headings (ahead, to the left)."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    east_m, north_m = error_xy_m[:, 0], error_xy_m[:, 1]
    return np.stack([east_m * cos + north_m * sin, -east_m * sin + north_m * cos], axis=-1)
