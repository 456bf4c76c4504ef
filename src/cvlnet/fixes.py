"""The best fix of every query of one gallery, beside the truth: what maps, histograms and figures are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvlnet.evaluate import Predictions, Ranking
from cvlnet.metrics import F64, longitudinal_lateral_m, position_errors_m

I64 = npt.NDArray[np.int64]

ELSEWHERE_M = 10.0  # fixes farther apart than this name two places


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
        return np.asarray(np.sqrt(np.linalg.eigvalsh(self.covariance_m2)[:, -1]))

    @property
    def mahalanobis(self) -> F64:
        """The error in units of its own standard deviation, [q]: up to 1 lies within the one-sigma ellipse."""
        error_xy_m = (self.xy_m - self.true_xy_m)[..., None]
        squared = np.swapaxes(error_xy_m, 1, 2) @ np.linalg.solve(self.covariance_m2, error_xy_m)
        return np.asarray(np.sqrt(squared[:, 0, 0]))


def best_fixes(predictions: Predictions, split: str) -> BestFixes:
    """Rank one of a split, in the order of its queries."""
    ranking = predictions.rankings[split]
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
