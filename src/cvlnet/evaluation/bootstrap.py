"""Cluster bootstrap: percentile intervals from resampling groups, the same draws for every metric.

Neighbouring frames of a drive are not independent samples, so that the groups are stretches of road. A single group
says nothing of the spread between groups: without a second one there is no interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvlnet.arrays import F64, I64, Bools
from cvlnet.evaluation.metrics import Interval

INTERVAL_LEVEL = 0.95  # of confidence intervals
REPETITIONS = 1000


@dataclass(frozen=True)
class Redraws:
    """Bootstrap draws of groups of samples.

    group: group number of each sample, [samples]. times: how often each group was drawn, [repetitions, groups].
    """

    group: I64
    times: I64

    @staticmethod
    def of(groups: npt.NDArray[np.generic], *, repetitions: int = REPETITIONS, seed: int = 0) -> Redraws:
        """Draw the groups with replacement, as many as exist. Raises ValueError if there is no sample."""
        if len(groups) == 0:
            raise ValueError("no samples to draw from")
        names, group = np.unique(groups, return_inverse=True)
        count = len(names)
        drawn = np.random.default_rng(seed).integers(count, size=(repetitions, count))
        times = np.bincount((drawn + count * np.arange(repetitions)[:, None]).ravel(), minlength=repetitions * count)
        return Redraws(group.astype(np.int64), times.reshape(repetitions, count).astype(np.int64))

    def mean(self, values: F64 | Bools, chosen: Bools | None = None, weight: F64 | None = None) -> Interval:
        """Weighted mean of the chosen samples (default: all, equally); NaN if none is chosen.

        The mean of booleans is a share. Where all of them agree, redrawing shows no spread; the interval is then the
        exact binomial one (Clopper and Pearson 1934), for as many independent samples as there are groups.
        """
        kept = np.ones(len(values), dtype=bool) if chosen is None else chosen
        if values.dtype == np.bool_ and kept.any() and (values[kept] == values[kept][0]).all():
            return _unanimous(right=bool(values[kept][0]), groups=self._groups(kept))
        weights = np.ones(len(values))[kept] if weight is None else weight[kept]
        groups = self.times.shape[1]
        total = np.bincount(self.group[kept], values[kept] * weights, minlength=groups)
        number = np.bincount(self.group[kept], weights, minlength=groups)
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = (self.times @ total) / (self.times @ number)
            return _interval(float(total.sum() / number.sum()), drawn, self._groups(kept))

    def quantiles(self, values: F64, levels: tuple[float, ...], chosen: Bools | None = None) -> tuple[Interval, ...]:
        """Quantiles (linear, as `numpy.quantile`) of the chosen samples (default: all); NaN if none is chosen."""
        kept = np.flatnonzero(np.ones(len(values), dtype=bool) if chosen is None else chosen)
        if len(kept) == 0:
            return tuple(Interval(np.nan, np.nan, np.nan) for _ in levels)
        rising = kept[np.argsort(values[kept], kind="stable")]
        drawn_up_to = self.times[:, self.group[rising]].cumsum(axis=1, dtype=np.int32)
        whole, groups = np.arange(1, len(rising) + 1, dtype=np.int32)[None], self._groups(kept)
        return tuple(
            _interval(float(_quantile(values[rising], whole, q)[0]), _quantile(values[rising], drawn_up_to, q), groups)
            for q in levels
        )

    def _groups(self, kept: Bools | I64) -> int:
        """How many groups the samples are of."""
        return len(np.unique(self.group[kept]))


def _quantile(rising: F64, drawn_up_to: npt.NDArray[np.int32], level: float) -> F64:
    """Quantile in each repetition, from the cumulative number of draws up to each sample; NaN if none was drawn."""
    place = level * np.maximum(drawn_up_to[:, -1] - 1, 0)
    before = np.floor(place).astype(np.int32)
    after = np.minimum(before + 1, np.maximum(drawn_up_to[:, -1] - 1, 0))
    low, high = (rising[_first_above(drawn_up_to, rank)] for rank in (before, after))
    with np.errstate(invalid="ignore"):
        value = np.where(low == high, low, low + (high - low) * (place - before))
    return np.where(drawn_up_to[:, -1] > 0, value, np.nan)


def _first_above(drawn_up_to: npt.NDArray[np.int32], rank: npt.NDArray[np.int32]) -> I64:
    """Index of the sample at ``rank`` (from 0) once every sample is repeated as often as it was drawn."""
    index = (drawn_up_to <= rank[:, None]).sum(axis=1)
    return np.asarray(np.minimum(index, drawn_up_to.shape[1] - 1), dtype=np.int64)


def _interval(value: float, drawn: F64, groups: int) -> Interval:
    """Percentile interval over the repetitions in which the metric is defined."""
    defined = drawn[~np.isnan(drawn)]
    if len(defined) == 0 or groups == 1:
        return Interval(value, np.nan, np.nan)
    low, high = np.quantile(defined, [(1 - INTERVAL_LEVEL) / 2, (1 + INTERVAL_LEVEL) / 2])
    return Interval(value, float(low), float(high))


def _unanimous(*, right: bool, groups: int) -> Interval:
    """The share of right ones among groups that are all right, or all wrong."""
    if groups == 1:
        return Interval(float(right), np.nan, np.nan)
    beyond = 1 - ((1 - INTERVAL_LEVEL) / 2) ** (1 / groups)  # the largest share of the others
    return Interval(1.0, 1 - beyond, 1.0) if right else Interval(0.0, 0.0, beyond)
