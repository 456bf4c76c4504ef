"""The best fix of every query of one gallery, beside the truth: what maps, histograms and figures are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cvlnet.confidence import Confidence
from cvlnet.evaluate import Predictions, Ranking
from cvlnet.metrics import F64, longitudinal_lateral_m, position_errors_m, sigma_m

I64 = npt.NDArray[np.int64]

ELSEWHERE_M = 10.0  # fixes farther apart than this name two places
UNMAPPED_M = 50.0  # a tile so far away shows next to nothing of what a query sees


@dataclass(frozen=True)
class BestFixes:
    """The first-ranked fixes, one a query; places in metres (east, north) around the predictions' anchor.

    query: index into the predictions' queries; tile: into their tiles. ahead_left_m: the error along and across the
    heading. similarity: the score; margin: its lead over the best fix that lies elsewhere.
    """

    query: I64  # [q]
    tile: I64  # [q]
    true_xy_m: F64  # [q, 2]
    yaw_rad: F64  # [q]
    xy_m: F64  # [q, 2]
    covariance_m2: F64  # [q, 2, 2]
    error_m: F64  # [q]
    ahead_left_m: F64  # [q, 2]
    similarity: F64  # [q]
    margin: F64  # [q]

    def __len__(self) -> int:
        return len(self.query)

    @property
    def sigma_m(self) -> F64:
        """The longer half-axis of the one-sigma ellipse, [q]."""
        return sigma_m(self.covariance_m2)

    def confidence(self, of: Confidence) -> F64:
        """How likely each is right, [q]."""
        return of.of(self.similarity, self.margin, self.sigma_m)

    @property
    def mahalanobis(self) -> F64:
        """The error in units of its own standard deviation, [q]: up to 1 lies within the one-sigma ellipse."""
        error_xy_m = (self.xy_m - self.true_xy_m)[..., None]
        squared = np.swapaxes(error_xy_m, 1, 2) @ np.linalg.solve(self.covariance_m2, error_xy_m)
        return np.asarray(np.sqrt(squared[:, 0, 0]))


def best_fixes(predictions: Predictions, split: str) -> BestFixes:
    """Rank one of a split, in the order of its queries."""
    return _first_ranked(predictions, predictions.rankings[split])


def unmapped_fixes(predictions: Predictions, split: str) -> BestFixes | None:
    """What would be said if the map ended 50 m before each query's place: all of it is wrong.

    Only ranked tiles are left to choose from. None if some query has fewer than two of them.
    """
    ranking = predictions.rankings[split]
    true_xy_m = predictions.true_xy_m[ranking.queries]
    away_m = np.linalg.norm(predictions.tile_xy_m[ranking.tile] - true_xy_m[:, None], axis=-1)
    mapped = away_m < UNMAPPED_M
    left = int((~mapped).sum(axis=1).min())
    if left < 2:
        return None
    order = np.argsort(mapped, axis=1, kind="stable")[:, :left]
    row = np.arange(len(order))[:, None]
    names = ("tile", "similarity", "xy_m", "covariance_m2")
    return _first_ranked(predictions, replace(ranking, **{name: getattr(ranking, name)[row, order] for name in names}))


def _first_ranked(predictions: Predictions, ranking: Ranking) -> BestFixes:
    true_xy_m, yaw_rad = predictions.true_xy_m[ranking.queries], predictions.yaw_rad[ranking.queries]
    xy_m = ranking.xy_m[:, 0]
    return BestFixes(
        query=ranking.queries,
        tile=ranking.tile[:, 0],
        true_xy_m=true_xy_m,
        yaw_rad=yaw_rad,
        xy_m=xy_m,
        covariance_m2=ranking.covariance_m2[:, 0],
        error_m=position_errors_m(ranking.xy_m[:, :1], true_xy_m)[:, 0],
        ahead_left_m=longitudinal_lateral_m(xy_m - true_xy_m, yaw_rad),
        similarity=ranking.similarity[:, 0],
        margin=margins(ranking),
    )


def margins(ranking: Ranking) -> F64:
    """Lead of each query's best fix over the best that lies elsewhere, [q].

    Where all ranked fixes name one place, the lead over the last of them: the others are lower still.
    """
    apart_m = np.linalg.norm(ranking.xy_m - ranking.xy_m[:, :1], axis=-1)
    elsewhere = apart_m > ELSEWHERE_M
    rival = np.where(elsewhere.any(axis=1), elsewhere.argmax(axis=1), ranking.similarity.shape[1] - 1)
    return np.asarray(ranking.similarity[:, 0] - ranking.similarity[np.arange(len(rival)), rival])
