"""The best fix of every query in a gallery, with the ground truth: the input of maps, histograms and metrics."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cvlnet.evaluation.metrics import longitudinal_lateral_m, position_errors_m
from cvlnet.evaluation.predict import Predictions, Ranking
from cvlnet.model.confidence import ELSEWHERE_M, Confidence, sigma_m

UNMAPPED_M = 50.0  # a tile this far away shows next to nothing of what a query sees


@dataclass(frozen=True)
class BestFixes:
    """The first-ranked fix of each query; positions in metres (east, north) around the predictions' anchor.

    query: index into the predictions' queries; tile: into their tiles. ahead_left_m: the error along and across the
    heading. margin: the score's lead over the best fix that lies elsewhere.
    """

    query: Int64[np.ndarray, " q"]
    tile: Int64[np.ndarray, " q"]
    true_xy_m: Float64[np.ndarray, "q 2"]
    yaw_rad: Float64[np.ndarray, " q"]
    xy_m: Float64[np.ndarray, "q 2"]
    covariance_m2: Float64[np.ndarray, "q 2 2"]
    error_m: Float64[np.ndarray, " q"]
    ahead_left_m: Float64[np.ndarray, "q 2"]
    score: Float64[np.ndarray, " q"]
    margin: Float64[np.ndarray, " q"]

    def __len__(self) -> int:
        return len(self.query)

    @property
    def sigma_m(self) -> Float64[np.ndarray, " q"]:
        """The longer half-axis of the one-sigma ellipse."""
        return sigma_m(self.covariance_m2)

    def confidence(self, of: Confidence) -> Float64[np.ndarray, " q"]:
        """Probability that each is right."""
        return of.of(self.score, self.margin, self.sigma_m)

    @property
    def mahalanobis(self) -> Float64[np.ndarray, " q"]:
        """Mahalanobis distance of the error: at most 1 inside the one-sigma ellipse."""
        error_xy_m = (self.xy_m - self.true_xy_m)[..., None]
        squared = np.swapaxes(error_xy_m, 1, 2) @ np.linalg.solve(self.covariance_m2, error_xy_m)
        return np.asarray(np.sqrt(squared[:, 0, 0]))


def best_fixes(predictions: Predictions, split: str) -> BestFixes:
    """The first-ranked fix of every query of a split."""
    ranking = predictions.rankings[split]
    return _best(predictions, ranking, np.ones(ranking.tile.shape, dtype=bool))


def unmapped_fixes(predictions: Predictions, split: str) -> BestFixes | None:
    """The fixes if the map ended 50 m before each query's place: all of them are wrong.

    The ranked tiles that far away are left to choose from; queries with fewer than two of them are left out. None if
    all are.
    """
    ranking = predictions.rankings[split]
    true_xy_m = predictions.true_xy_m[ranking.queries]
    away = np.linalg.norm(predictions.tile_xy_m[ranking.tile] - true_xy_m[:, None], axis=-1) >= UNMAPPED_M
    asked = np.flatnonzero(away.sum(axis=1) >= 2)
    names = ("queries", "tile", "score", "xy_m", "covariance_m2")
    chosen = replace(ranking, **{name: getattr(ranking, name)[asked] for name in names})
    return _best(predictions, chosen, away[asked]) if len(asked) else None


def _best(predictions: Predictions, ranking: Ranking, on_map: Bool[np.ndarray, "q ranks"]) -> BestFixes:
    """Of each query the first of the ranked fixes whose tile is on the map."""
    row, first = np.arange(len(on_map)), on_map.argmax(axis=1)
    true_xy_m, yaw_rad = predictions.true_xy_m[ranking.queries], predictions.yaw_rad[ranking.queries]
    xy_m = ranking.xy_m[row, first]
    return BestFixes(
        query=ranking.queries,
        tile=ranking.tile[row, first],
        true_xy_m=true_xy_m,
        yaw_rad=yaw_rad,
        xy_m=xy_m,
        covariance_m2=ranking.covariance_m2[row, first],
        error_m=position_errors_m(xy_m[:, None], true_xy_m)[:, 0],
        ahead_left_m=longitudinal_lateral_m(xy_m - true_xy_m, yaw_rad),
        score=ranking.score[row, first],
        margin=_margins(ranking, on_map),
    )


def _margins(ranking: Ranking, on_map: Bool[np.ndarray, "q ranks"]) -> Float64[np.ndarray, " q"]:
    """Lead of each query's best fix over the best that lies elsewhere, among the fixes on the map.

    Where all of them name one place, the lead over the last of them: what is not ranked scores lower still.
    """
    row, first = np.arange(len(on_map)), on_map.argmax(axis=1)
    last = on_map.shape[1] - 1 - on_map[:, ::-1].argmax(axis=1)
    apart_m = np.linalg.norm(ranking.xy_m - ranking.xy_m[row, first][:, None], axis=-1)
    elsewhere = on_map & (apart_m > ELSEWHERE_M)
    rival = np.where(elsewhere.any(axis=1), elsewhere.argmax(axis=1), last)
    return np.asarray(ranking.score[row, first] - ranking.score[row, rival])
