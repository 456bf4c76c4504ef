"""What the errors of several tracks say together: figures with intervals, and whether stated doubts hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.stats import chi2

from cvlnet.arrays import F64, I64, Bools
from cvlnet.evaluation.bootstrap import Redraws
from cvlnet.evaluation.metrics import Interval, precision_over_answers
from cvlnet.track.evaluate import ELLIPSE, LOST_M, RELATIVE_M, RIGHT_M, TrackErrors

CONFIDENCES = (0.0, 0.2, 0.5, 0.8, 0.95, 0.99, 1.0)  # bounds within which stated confidences are counted together
_MOST_MOMENTS = 5_000  # of which an interval is drawn: neighbouring moments hardly differ
_NEVER_M = 1e12  # stands for infinity, between which and other numbers there is nothing
_NOTHING = Interval(np.nan, np.nan, np.nan)
ELLIPSES = tuple(np.linspace(0.05, 0.95, 19).tolist())  # probabilities of ellipses, beside the truth


def figures_of(drives: Sequence[TrackErrors]) -> dict[str, Interval]:
    """The figures of all drives together, by the names of `TrackErrors.figures`, and ``converged``, the share found.

    Those of tracked moments pool the moments of all drives; the others are means over drives, but for the median of
    ``converged_m`` and the largest of ``misled_s``. Intervals come from redrawing whole drives; with a single one there
    are none. Raises ValueError without a drive.
    """
    if not drives:
        raise ValueError("there is no track to evaluate")
    each = [drive.figures() for drive in drives]
    by_drive = Redraws.of(np.arange(len(drives)))

    def of_drives(name: str) -> F64:
        return np.array([figures[name] for figures in each])

    converged_m, misled_s = of_drives("converged_m"), of_drives("misled_s")
    found = {
        "way_m": by_drive.mean(of_drives("way_m")),
        "converged": by_drive.mean(np.isfinite(converged_m)),
        "converged_m": _or_never(by_drive.quantiles(np.minimum(converged_m, _NEVER_M), (0.5,))[0]),
        "available": by_drive.mean(of_drives("available")),
        "misled_s": Interval(float(misled_s.max()), np.nan, np.nan),
    }
    return found | _of_moments(drives)


def _or_never(way_m: Interval) -> Interval:
    """Ways between one that ended and one that never did are infinite."""
    return Interval(*(np.inf if value > _NEVER_M / 1000 else value for value in (way_m.value, way_m.low, way_m.high)))


def _of_moments(drives: Sequence[TrackErrors]) -> dict[str, Interval]:
    """The figures of tracked moments, all drives pooled."""

    def median(values: Callable[[TrackErrors], F64], level: float = 0.5) -> Interval:
        return _quantile([np.abs(values(drive)[drive.tracked]) for drive in drives], level)

    def share(values: Callable[[TrackErrors], F64], most: float = np.inf) -> Interval:
        """Of the values, those up to ``most``; their mean if nothing is said."""
        kept, drive = _known([values(drive)[drive.tracked] for drive in drives])
        return Redraws.of(drive).mean(kept if most == np.inf else kept <= most) if len(kept) else _NOTHING

    return {
        "median_m": median(lambda drive: drive.distance_m),
        "p95_m": median(lambda drive: drive.distance_m, 0.95),
        "median_relative_m": median(lambda drive: np.linalg.norm(drive.error_m - drive.offset_m, axis=1)),
        "along_m": median(lambda drive: drive.along_m),
        "across_m": median(lambda drive: drive.across_m),
        "per_100m_m": _quantile([drive.relative_m(RELATIVE_M) for drive in drives], 0.5),
        "yaw_deg": median(lambda drive: np.degrees(drive.yaw_rad)),
        "within_5m": share(lambda drive: drive.distance_m, RIGHT_M),
        "in_ellipse": share(lambda drive: drive.nees, float(chi2.ppf(ELLIPSE, 2))),
        "nees": share(lambda drive: drive.nees),
    }


def _known(of_drives: Sequence[F64]) -> tuple[F64, I64]:
    """The finite values of all drives, and the number of the drive of each."""
    values = np.concatenate(of_drives)
    drive = np.repeat(np.arange(len(of_drives)), [len(one) for one in of_drives])
    return values[np.isfinite(values)], drive[np.isfinite(values)]


def _quantile(of_drives: Sequence[F64], level: float) -> Interval:
    """A quantile of all values; its interval is that of some of them, evenly spread, where there are very many."""
    values, drive = _known(of_drives)
    if not len(values):
        return _NOTHING
    step = -(-len(values) // _MOST_MOMENTS)
    (interval,) = Redraws.of(drive[::step]).quantiles(values[::step], (level,))
    return replace(interval, value=float(np.quantile(values, level)))


def ellipse_shares(drives: Sequence[TrackErrors]) -> list[tuple[float, float]]:
    """For ellipses of rising probability, the share of tracked moments whose true place lies within theirs."""
    nees = np.concatenate([drive.nees[drive.tracked] for drive in drives])
    nees = nees[np.isfinite(nees)]
    if not len(nees):
        return []
    return [(level, float(np.mean(nees <= chi2.ppf(level, 2)))) for level in ELLIPSES]


def confidence_shares(drives: Sequence[TrackErrors]) -> list[tuple[float, float, int]]:
    """How often stated places are right to 10 m, tracked or not: mean confidence, share, and number of moments.

    One for each range between `CONFIDENCES` that any confidence lies in. Moments without a place are left out.
    """
    confidence, right = _stated(drives)
    found = []
    for low, high in pairwise(CONFIDENCES):
        chosen = (confidence >= low) & ((confidence < high) | (high == 1.0))
        if chosen.any():
            found.append((float(confidence[chosen].mean()), float(right[chosen].mean()), int(chosen.sum())))
    return found


def precision_over_coverage(drives: Sequence[TrackErrors], within_m: float = LOST_M) -> tuple[F64, F64]:
    """If only the surest moments are answered: the share of all moments that is, and the share of them that is right.

    From the surest moments to all that have a place; moments of equal confidence are answered together.
    """
    answered, right = precision_over_answers(*_stated(drives, within_m))
    return answered / sum(len(drive.confidence) for drive in drives), right


def _stated(drives: Sequence[TrackErrors], within_m: float = LOST_M) -> tuple[F64, Bools]:
    """Confidence of all moments with a place, and whether it is right."""
    distance_m = np.concatenate([drive.distance_m for drive in drives])
    known = np.isfinite(distance_m)
    confidence = np.concatenate([drive.confidence for drive in drives])
    return confidence[known], np.asarray(distance_m[known] <= within_m)
