"""Metrics of predictions: pure functions on arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; low and high are NaN where there is none."""

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


def precision_over_answers(
    trust: Float64[np.ndarray, " n"], right: Bool[np.ndarray, " n"]
) -> tuple[Int64[np.ndarray, " thresholds"], Float64[np.ndarray, " thresholds"]]:
    """If only the surest of ``n`` are answered: how many are, and the share of these that is right.

    One entry for each value of the trust, from the largest on: those of equal trust are answered together.
    """
    order = np.argsort(-trust, kind="stable")
    last = np.flatnonzero(np.append(np.diff(trust[order]) != 0, True)[: len(order)])
    return last + 1, np.cumsum(right[order])[last] / (last + 1)


def longitudinal_lateral_m(
    error_xy_m: Float64[np.ndarray, "q 2"], yaw_rad: Float64[np.ndarray, " q"]
) -> Float64[np.ndarray, "q 2"]:
    """Errors (east, north) along and across the vehicles' headings (ahead, to the left)."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    east_m, north_m = error_xy_m[:, 0], error_xy_m[:, 1]
    return np.stack([east_m * cos + north_m * sin, -east_m * sin + north_m * cos], axis=-1)
