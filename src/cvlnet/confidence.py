"""How likely a fix is right, from what the match says of itself: its score, its lead over other places, its spread.

A logistic regression, fitted once for a network on towns that it never saw (`fit`), on queries whose place is on the
map and on queries whose place is not, and kept with the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

from cvlnet.metrics import F64, Bools

PRECISION = 0.99  # of the answers, from the threshold on
_RIDGE = 1e-3  # keeps weights finite where right and wrong fall apart entirely
_STEPS = 50


@dataclass(frozen=True)
class Confidence:
    """Log-odds that a fix is right to 10 m: bias + similarity s + margin m + log_sigma ln(sigma / 1 m).

    threshold: confidences from here on were right in 99 % of the cases.
    """

    bias: float
    similarity: float
    margin: float
    log_sigma: float
    threshold: float

    def __post_init__(self) -> None:
        weights = (self.bias, self.similarity, self.margin, self.log_sigma)
        if not (all(map(isfinite, weights)) and 0 <= self.threshold <= 1):
            raise ValueError(f"confidence has finite weights and a threshold from 0 to 1, not {self}")

    def of(self, similarity: F64, margin: F64, sigma_m: F64) -> F64:
        """Probability that fixes are right. sigma_m: the longer half-axis of the one-sigma ellipse."""
        log_odds = self.bias + self.similarity * similarity + self.margin * margin + self.log_sigma * np.log(sigma_m)
        return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -700, 700))))


def fit(similarity: F64, margin: F64, sigma_m: F64, right: Bools) -> Confidence:
    """The most likely weights, by Newton's method, and the threshold that answers most with 99 % precision.

    Raises ValueError if all fixes are right, or none is.
    """
    if right.all() or not right.any():
        raise ValueError("confidence is learned from fixes of which some are right and some are not")
    features = np.stack([similarity, margin, np.log(sigma_m)], axis=-1)
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-9
    design = np.concatenate([np.ones((len(features), 1)), (features - mean) / scale], axis=-1)
    weights = np.zeros(4)
    for _ in range(_STEPS):
        likely = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (likely - right) + _RIDGE * weights
        curvature = (design.T * (likely * (1 - likely))) @ design + _RIDGE * np.eye(4)
        weights = weights - np.linalg.solve(curvature, gradient)
    slopes = weights[1:] / scale
    bias, (of_similarity, of_margin, of_log_sigma) = float(weights[0] - slopes @ mean), slopes.tolist()
    unbounded = Confidence(bias, of_similarity, of_margin, of_log_sigma, threshold=1.0)
    return replace(unbounded, threshold=threshold_of(unbounded.of(similarity, margin, sigma_m), right))


def threshold_of(confidence: F64, right: Bools, precision: float = PRECISION) -> float:
    """The lowest confidence from which on that share of the fixes is right; 1 if there is none."""
    order = np.argsort(-confidence, kind="stable")
    shares = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(shares >= precision)
    return float(confidence[order[good[-1]]]) if len(good) else 1.0
