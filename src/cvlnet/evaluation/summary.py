"""Metrics of an evaluation, from predictions alone: recall, errors, calibration, each with a confidence interval.

The intervals come from resampling whole stretches of road, because neighbouring frames are not independent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from cvlnet.arrays import F64, I64, Bools
from cvlnet.evaluation.best_fixes import BestFixes, best_fixes, unmapped_fixes
from cvlnet.evaluation.bootstrap import INTERVAL_LEVEL, Redraws
from cvlnet.evaluation.metrics import Interval, found, position_errors_m
from cvlnet.evaluation.predict import Predictions
from cvlnet.io.files import written_whole
from cvlnet.model.confidence import FOUND_M

FORMAT = 1
RANKS = (1, 5, 10, 100)
RADII_M = (5.0, 10.0, 25.0)
STRETCH_M = 50.0


@dataclass(frozen=True)
class Recall:
    """Share of queries for which one of the best ``rank`` fixes lies within the radius."""

    rank: int
    radius_m: float
    share: Interval


@dataclass(frozen=True)
class AxisErrors:
    """Absolute error along one axis: its median, and the shares of queries within 1, 3 and 5 metres."""

    median_m: Interval
    within_1m: Interval
    within_3m: Interval
    within_5m: Interval


@dataclass(frozen=True)
class Accuracy:
    """Errors along the heading (longitudinal) and across it (lateral)."""

    longitudinal: AxisErrors
    lateral: AxisErrors


@dataclass(frozen=True)
class Trusted:
    """What is left if only fixes with at least the confidence ``threshold`` are given as answers.

    coverage: share of the queries that are answered; precision: share of these answers that are right to 10 m.
    unmapped: share of the queries that are answered if their place is not on the map. overall: share of all answers
    that are right if ``share_mapped`` of the queries have their place on the map, which the threshold is to keep at
    99 %. The latter two are None where the gallery has no tiles 50 m away from a query.
    """

    threshold: float
    share_mapped: float
    coverage: Interval
    precision: Interval
    unmapped: Interval | None
    overall: Interval | None


@dataclass(frozen=True)
class SplitFigures:
    """Metrics of one gallery. Intervals are NaN where they have no samples, for example if no query is found.

    queries_left_out: of the data set's list, because their drive, their tile or a frame of their clip is missing.
    found: share of queries whose best fix is right to 10 m. accuracy_found, within_1_sigma and within_2_sigma are those
    of the found queries; the latter are the shares of errors inside the fix's own ellipse, 39 % and 86 % if it is well
    calibrated. trusted: None for weights whose confidence has not been calibrated.
    """

    queries: int
    queries_left_out: int
    gallery: int
    stretches: int
    recall: tuple[Recall, ...]
    median_m: Interval
    mean_m: Interval
    p95_m: Interval
    found: Interval
    accuracy_found: Accuracy
    accuracy_all: Accuracy
    within_1_sigma: Interval
    within_2_sigma: Interval
    trusted: Trusted | None = None

    def recall_at(self, rank: int, radius_m: float) -> Interval:
        """Recall at a rank within a radius. Raises KeyError if it was not computed."""
        for recall in self.recall:
            if (recall.rank, recall.radius_m) == (rank, radius_m):
                return recall.share
        raise KeyError(f"recall@{rank} within {radius_m} m")


@dataclass(frozen=True)
class Figures:
    """The metrics of every gallery, by split."""

    splits: Mapping[str, SplitFigures]

    def to_json(self) -> str:
        """JSON; undefined values are null."""
        return _json({"splits": self._described()})

    def _described(self) -> dict[str, Any]:
        return {name: asdict(split) for name, split in self.splits.items()}

    def save(self, path: Path) -> None:
        """Write the JSON, whole or not at all."""
        with written_whole(path) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")


def save_all(figures: Mapping[str, Figures], path: Path) -> None:
    """Write several figures by name as JSON, whole or not at all."""
    with written_whole(path) as temporary:
        text = _json({name: {"splits": one._described()} for name, one in figures.items()})
        temporary.write_text(text, encoding="utf-8")


def figures_of(predictions: Predictions) -> Figures:
    """The metrics of all galleries of the predictions."""
    return Figures({name: _split_figures(predictions, name) for name in predictions.rankings})


def stretch_of_road(xy_m: F64) -> I64:
    """Number of the 50 m square that contains each position, [q]; repeated passes are the same stretch."""
    squares = np.floor(xy_m / STRETCH_M).astype(np.int64)
    return np.unique(squares, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _split_figures(predictions: Predictions, name: str) -> SplitFigures:
    ranking, fixes = predictions.rankings[name], best_fixes(predictions, name)
    errors_m = position_errors_m(ranking.xy_m, fixes.true_xy_m)
    redraws = Redraws.of(stretch_of_road(fixes.true_xy_m))
    is_found, everyone = fixes.error_m <= FOUND_M, np.ones(len(fixes), dtype=bool)
    median_m, p95_m = redraws.quantiles(fixes.error_m, (0.5, 0.95))
    return SplitFigures(
        queries=len(fixes),
        queries_left_out=ranking.left_out,
        gallery=ranking.gallery_size,
        stretches=redraws.times.shape[1],
        recall=tuple(Recall(k, r, redraws.mean(found(errors_m, k, r))) for r in RADII_M for k in RANKS),
        median_m=median_m,
        mean_m=redraws.mean(fixes.error_m),
        p95_m=p95_m,
        found=redraws.mean(is_found),
        accuracy_found=_accuracy(fixes, is_found, redraws),
        accuracy_all=_accuracy(fixes, everyone, redraws),
        within_1_sigma=redraws.mean(fixes.mahalanobis <= 1, is_found),
        within_2_sigma=redraws.mean(fixes.mahalanobis <= 2, is_found),
        trusted=_trusted(predictions, name, fixes, redraws),
    )


def _trusted(predictions: Predictions, name: str, fixes: BestFixes, redraws: Redraws) -> Trusted | None:
    confidence = predictions.confidence
    if confidence is None:
        return None
    answered, right = fixes.confidence(confidence) >= confidence.threshold, fixes.error_m <= FOUND_M
    unmapped, elsewhere, overall = unmapped_fixes(predictions, name), None, None
    if unmapped is not None:
        answered_elsewhere = unmapped.confidence(confidence) >= confidence.threshold
        elsewhere = Redraws.of(stretch_of_road(unmapped.true_xy_m)).mean(answered_elsewhere)
        shares = confidence.share_mapped / len(fixes), (1 - confidence.share_mapped) / len(unmapped)
        overall = Redraws.of(stretch_of_road(np.concatenate([fixes.true_xy_m, unmapped.true_xy_m]))).mean(
            np.concatenate([right, np.zeros(len(unmapped), dtype=bool)]),
            np.concatenate([answered, answered_elsewhere]),
            np.repeat(shares, [len(fixes), len(unmapped)]),
        )
    return Trusted(
        threshold=confidence.threshold,
        share_mapped=confidence.share_mapped,
        coverage=redraws.mean(answered),
        precision=redraws.mean(right, answered),
        unmapped=elsewhere,
        overall=overall,
    )


def _accuracy(fixes: BestFixes, chosen: Bools, redraws: Redraws) -> Accuracy:
    longitudinal, lateral = (_axis(np.abs(fixes.ahead_left_m[:, axis]), chosen, redraws) for axis in (0, 1))
    return Accuracy(longitudinal, lateral)


def _axis(error_m: F64, chosen: Bools, redraws: Redraws) -> AxisErrors:
    (median_m,) = redraws.quantiles(error_m, (0.5,), chosen)
    within = [redraws.mean(error_m <= radius_m, chosen) for radius_m in (1, 3, 5)]
    return AxisErrors(median_m, *within)


def _json(content: dict[str, Any]) -> str:
    """With how the figures were made; undefined values are null."""
    made = {"format": FORMAT, "confidence": INTERVAL_LEVEL, "stretch_m": STRETCH_M, "found_m": FOUND_M}
    return json.dumps(_finite(made | content), indent=2, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """The value with null for NaN and infinity, which JSON lacks."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
