"""The score that speaks neither for a place nor against it, from queries with their place on the map and without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from cvlnet.arrays import F64, Bools
from cvlnet.evaluation.best_fixes import UNMAPPED_M
from cvlnet.evaluation.predict import Predictions
from cvlnet.model.confidence import FOUND_M

_START = (log(30.0), 1.0)
_BOUNDS = ((log(1.0), log(1000.0)), (0.0, 2.0))  # of the logarithm of the sharpness, and of scores


@dataclass(frozen=True)
class _Ranked:
    """Ranked tiles of queries. log_prior: of each peak, its share of all places of the gallery."""

    score: F64  # [q, ranks]
    log_prior: F64  # [q, ranks]
    right: Bools  # [q, ranks]
    away: Bools  # [q, ranks]


def neutral_score(predictions: Sequence[Predictions], split: str, tile_m2: float) -> float:
    """The neutral score: that at which the place of a clip is as likely as it was before the clip.

    A place is taken to be ``exp(sharpness * (score - neutral))`` times likelier after a clip than before; both numbers
    are those under which the truth is most likely. Each query counts twice: once with its place on the map, which is
    one of all places of the gallery, and once without, if the map ends 50 m before it. What is off the map is as likely
    as all of the map before the clip. tile_m2: the area of a tile's places; of them a peak has those within its
    ellipse.
    """
    ranked = [_ranked(of_data, split, tile_m2) for of_data in predictions]

    def loss(numbers: F64) -> float:
        return sum(_surprise(part, float(np.exp(numbers[0])), float(numbers[1])) for part in ranked)

    return float(minimize(loss, _START, method="Nelder-Mead", bounds=_BOUNDS).x[1])


def _ranked(predictions: Predictions, split: str, tile_m2: float) -> _Ranked:
    ranking = predictions.rankings[split]
    true_xy_m = predictions.true_xy_m[ranking.queries][:, None]
    ellipse_m2 = 2 * np.pi * np.sqrt(np.linalg.det(ranking.covariance_m2))
    return _Ranked(
        score=ranking.score,
        log_prior=np.log(np.minimum(ellipse_m2 / tile_m2, 1.0) / ranking.gallery_size),
        right=np.linalg.norm(ranking.xy_m - true_xy_m, axis=-1) <= FOUND_M,
        away=np.linalg.norm(predictions.tile_xy_m[ranking.tile] - true_xy_m, axis=-1) >= UNMAPPED_M,
    )


def _surprise(ranked: _Ranked, sharpness: float, neutral: float) -> float:
    """Minus the log-likelihood of the truth. A right place that is not ranked is as likely as the least likely one."""
    evidence = sharpness * (ranked.score - neutral) + ranked.log_prior  # in relation to that of being off the map
    right = np.where(ranked.right, evidence, -np.inf)
    right_or_last = np.where(ranked.right.any(axis=1), logsumexp(right, axis=1), evidence.min(axis=1))
    mapped = np.logaddexp(0.0, logsumexp(evidence, axis=1)) - right_or_last
    unmapped = np.logaddexp(0.0, logsumexp(np.where(ranked.away, evidence, -np.inf), axis=1))
    return float(mapped.sum() + unmapped.sum())
