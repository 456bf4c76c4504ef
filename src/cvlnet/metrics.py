"""Figures from predictions: pure functions on arrays, no model, no files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Interval:
    """A figure and the bounds within which a repetition of the experiment would fall."""

    value: float
    low: float
    high: float


def position_errors_m(predicted_xy_m: F64, true_xy_m: F64) -> F64:
    """Distances [Q, K] of ranked predictions [Q, K, 2] from the true places [Q, 2]; NaN is infinitely far."""
    distance_m = np.linalg.norm(predicted_xy_m - true_xy_m[:, None], axis=-1)
    return np.where(np.isnan(distance_m), np.inf, distance_m)


def found(errors_m: F64, k: int, radius_m: float) -> Bools:
    """Whether one of the best ``k`` predictions lies within the radius, [Q]; errors are ranked, [Q, K]."""
    return np.asarray((errors_m[:, :k] <= radius_m).any(axis=1))


def longitudinal_lateral_m(error_xy_m: F64, yaw_rad: F64) -> F64:
    """Errors (east, north), [Q, 2], as (ahead, to the left) of vehicles with the given headings, [Q, 2]."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    east_m, north_m = error_xy_m[:, 0], error_xy_m[:, 1]
    return np.stack([east_m * cos + north_m * sin, -east_m * sin + north_m * cos], axis=-1)


def bootstrap(
    statistic: Callable[[npt.NDArray[np.generic]], float],
    samples: npt.NDArray[np.generic],
    groups: npt.NDArray[np.generic],
    *,
    confidence: float = 0.95,
    repetitions: int = 1000,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a statistic of the samples' first axis, redrawing whole groups.

    Neighbouring frames of one drive are no independent samples; a group is a stretch of road. Raises ValueError if
    there is no sample.
    """
    if len(samples) == 0:
        raise ValueError("no samples to draw from")
    rng = np.random.default_rng(seed)
    names, index = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(index == g) for g in range(len(names))]
    values = [
        statistic(samples[np.concatenate([members[g] for g in rng.integers(len(members), size=len(members))])])
        for _ in range(repetitions)
    ]
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(statistic(samples), float(low), float(high))
