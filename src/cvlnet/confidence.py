"""How likely a fix is right, from what the match says of itself: its score, its lead over other places, its spread.

A logistic regression, fitted once for a network (see `cvlnet.calibrate`) to queries in towns that it never saw, each
once with its place on the map and once without, and kept with the weights. The share of queries whose place is on the
map is not known in advance: `Confidence.with_prior` adapts to any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import beta

from cvlnet.config import SHARE_MAPPED
from cvlnet.errors import InputError
from cvlnet.metrics import F64, Bools

I64 = npt.NDArray[np.int64]

PRECISION = 0.99  # of the answers, from the threshold on
SURENESS = 0.95  # of the statement that the precision is at least that
FOLDS = 5
_SUREST = float(np.nextafter(1.0, 0.0))  # no fix reaches a threshold of 1
_LEAST_WRONG = 10  # that the design effect is estimated from
_RIDGE = 1e-3  # keeps the weights finite where right and wrong fixes are separable
_LADDER = expit(logit(PRECISION) + 0.2 * np.arange(-24, 13))  # of precisions, from 45 to 99.9 %


@dataclass(frozen=True)
class OperatingPoint:
    """Of the answers with at least the confidence ``threshold``, at least ``precision`` are right (95 % sure)."""

    threshold: float
    precision: float


@dataclass(frozen=True)
class Confidence:
    """Log-odds that a fix is right to 10 m: bias + score s + margin m + log_sigma ln(sigma / 1 m).

    share_mapped: the prior, the share of queries whose place is on the map. share_found: the share of those whose best
    fix is right. threshold: of the answers from this confidence on, 99 % are right; 1, no answer, where there is no
    evidence for any such threshold. points: what other thresholds give, in rising order.
    Raises ValueError for weights that are not finite, a threshold outside [0, 1] or shares outside (0, 1).
    """

    bias: float
    score: float
    margin: float
    log_sigma: float
    threshold: float
    share_mapped: float = SHARE_MAPPED
    share_found: float = 1.0
    points: tuple[OperatingPoint, ...] = ()

    def __post_init__(self) -> None:
        weights = (self.bias, self.score, self.margin, self.log_sigma)
        if not (all(map(isfinite, weights)) and 0 <= self.threshold <= 1):
            raise ValueError(f"confidence has finite weights and a threshold from 0 to 1, not {self}")
        if not (0 < self.share_mapped < 1 and 0 < self.share_found <= 1):
            raise ValueError(f"the share of queries on the map lies between 0 and 1, not at {self.share_mapped}")

    def of(self, score: F64, margin: F64, sigma_m: F64) -> F64:
        """Probability that fixes are right, below 1. sigma_m: the longer half-axis of the one-sigma ellipse."""
        log_odds = self.bias + self.score * score + self.margin * margin + self.log_sigma * np.log(sigma_m)
        return np.asarray(expit(log_odds).clip(max=_SUREST))

    def with_prior(self, share_mapped: float) -> Confidence:
        """The confidence where another share of the queries has its place on the map.

        The prior odds of a right fix change, and all posterior odds with them, those of the answers, too (Saerens et
        al. 2002, "Adjusting the outputs of a classifier to new a priori probabilities"). That right fixes look the same
        under any prior is certain, that wrong ones do, wherever their place is, is assumed.
        Raises ValueError if the share is not between 0 and 1.
        """
        changed = replace(self, share_mapped=share_mapped)
        shift = logit(share_mapped * self.share_found) - logit(self.share_mapped * self.share_found)
        points = tuple(
            OperatingPoint(float(expit(logit(at.threshold) + shift)), float(expit(logit(at.precision) + shift)))
            for at in self.points or (OperatingPoint(self.threshold, PRECISION),)
        )
        return replace(changed, bias=self.bias + float(shift), points=points, threshold=threshold_of(points))

    @staticmethod
    def of_json(values: Mapping[str, Any]) -> Confidence:
        """From the JSON object that `dataclasses.asdict` makes of it, or one that an earlier version wrote.

        Raises TypeError, AttributeError or ValueError for anything else.
        """
        named = {"score" if name == "similarity" else name: value for name, value in values.items()}
        points = tuple(OperatingPoint(**point) for point in named.pop("points", ()))
        return Confidence(**named, points=points)


@dataclass(frozen=True)
class JudgedFixes:
    """Fixes of which it is known whether they are right. mapped: whether the query's place was on the map.

    stretch: number of the stretch of road that the query stands on; fixes of one stretch are not independent.
    """

    score: F64
    margin: F64
    sigma_m: F64
    right: Bools
    mapped: Bools
    stretch: I64

    def __len__(self) -> int:
        return len(self.right)

    def __getitem__(self, chosen: Bools) -> JudgedFixes:
        """Some of the fixes."""
        return JudgedFixes(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @staticmethod
    def joined(parts: Sequence[JudgedFixes]) -> JudgedFixes:
        """The fixes of several data sets, which have no stretch in common."""
        starts = np.cumsum([0] + [int(part.stretch.max()) + 1 for part in parts])
        apart = [replace(part, stretch=part.stretch + start) for part, start in zip(parts, starts[:-1], strict=True)]
        return JudgedFixes(*(np.concatenate([getattr(part, f.name) for part in apart]) for f in fields(JudgedFixes)))


def for_prior(confidence: Confidence | None, share_mapped: float | None, weights: Path) -> Confidence | None:
    """What the file ``weights`` holds, for the prior that the user states, or for its own.

    Raises InputError if a prior is stated for weights without a confidence, or is none.
    """
    if share_mapped is None:
        return confidence
    if confidence is None:
        remedy = "calibrate them with cvlnet calibrate, or leave --share-mapped out"
        raise InputError("no confidence to adapt to a prior", where=weights, remedy=remedy)
    try:
        return confidence.with_prior(share_mapped)
    except ValueError as error:
        raise InputError(str(error), where="--share-mapped", remedy="give a share such as 0.9") from error


def described(confidence: Confidence) -> str:
    """The threshold and what it is for, in one line."""
    prior = f"if {100 * confidence.share_mapped:.3g} % of the queries have their place on the map"
    if confidence.threshold == 1:
        return f"no confidence is proven to give {100 * PRECISION:.0f} % right answers, {prior}; calibrate on more data"
    return (
        f"{100 * PRECISION:.0f} % of the answers are right from a confidence of {confidence.threshold:.3f} on, {prior}"
    )


def fit(fixes: JudgedFixes, share_mapped: float = SHARE_MAPPED) -> Confidence:
    """The most likely weights, and the thresholds that are safe by fixes which these were not fitted to.

    Raises ValueError if all fixes are right, or none is, or if all have their place on the map, or none has.
    """
    if fixes.right.all() or not fixes.right.any():
        raise ValueError("confidence is learned from fixes of which some are right and some are not")
    if fixes.mapped.all() or not fixes.mapped.any():
        raise ValueError("confidence is learned from queries with their place on the map and from queries without")
    points = operating_points(held_out_confidence(fixes), fixes.right, fixes.stretch)
    fitted = replace(
        _regression(fixes),
        threshold=threshold_of(points),
        share_mapped=float(fixes.mapped.mean()),
        share_found=float(fixes.right[fixes.mapped].mean()),
        points=points,
    )
    return fitted.with_prior(share_mapped)


def held_out_confidence(fixes: JudgedFixes) -> F64:
    """Confidence of each fix by weights that were fitted to other stretches of road, [n]."""
    stretches, number = np.unique(fixes.stretch, return_inverse=True)
    fold = (np.random.default_rng(0).permutation(len(stretches)) % FOLDS)[number]
    confidence = np.empty(len(fixes))
    for own in (fold == i for i in range(FOLDS)):
        held_out = fixes[own]
        confidence[own] = _regression(fixes[~own]).of(held_out.score, held_out.margin, held_out.sigma_m)
    return confidence


def operating_points(confidence: F64, right: Bools, stretch: I64) -> tuple[OperatingPoint, ...]:
    """The lowest threshold for each of a ladder of precisions, for those that the fixes are evidence of.

    A level is reached where `precision_bounds` is above it, at this threshold and at all higher ones down from the one
    with the highest bound: the first failure ends the search, or else the best of many thresholds would be chosen.
    """
    order = np.argsort(-confidence, kind="stable")
    bound = precision_bounds(right[order], stretch[order])
    best = int(bound.argmax())
    holds = np.minimum.accumulate(bound[best:])
    lowest = [
        (confidence[order[best + np.flatnonzero(holds >= level)[-1]]], level) for level in _LADDER if level <= holds[0]
    ]
    return tuple(OperatingPoint(float(threshold), float(level)) for threshold, level in lowest)


def precision_bounds(right: Bools, stretch: I64) -> F64:
    """One-sided lower bounds (95 %) for the share of right ones among the first fix, the first two, and so on, [n].

    Exact binomial bounds (Clopper and Pearson 1934) for the effective number of fixes, which is smaller than their
    number by the design effect of the stretches (Korn and Graubard 1998): the more the wrong ones are neighbours, the
    less do the others prove. Fewer than ten wrong ones say little of the design effect: it is then at least that of the
    first fixes among which there are ten.
    """
    _, group = np.unique(stretch, return_inverse=True)
    wrong = (~right).astype(float)
    count = np.arange(1, len(right) + 1)
    share = wrong.cumsum() / count
    in_group = np.zeros((2, group.max() + 1))  # numbers of answers and of wrong ones
    squares = np.zeros((len(right), 3))  # sums over the stretches of answers^2, answers * wrong, wrong^2
    total = np.zeros(3)
    for i, own in enumerate(group):
        answers, errors = in_group[:, own]
        total += (2 * answers + 1, errors + wrong[i] * (answers + 1), wrong[i] * (2 * errors + 1))
        in_group[:, own] += (1, wrong[i])
        squares[i] = total
    between = squares[:, 2] - 2 * share * squares[:, 1] + share**2 * squares[:, 0]
    mixed = (share > 0) & (share < 1)
    effect = np.divide(between, count * share * (1 - share), out=np.ones(len(count)), where=mixed).clip(min=1.0)
    enough = min(int(wrong.cumsum().searchsorted(_LEAST_WRONG)), len(effect) - 1)
    effect[:enough] = effect[:enough].clip(min=effect[enough])
    effective = count / effect
    known = share < 1
    bound = np.zeros(len(count))
    bound[known] = beta.ppf(1 - SURENESS, ((1 - share) * effective)[known], (share * effective + 1)[known])
    return bound


def threshold_of(points: Sequence[OperatingPoint], precision: float = PRECISION) -> float:
    """The lowest threshold that gives the precision; 1 if none does."""
    return min((point.threshold for point in points if point.precision >= precision - 1e-9), default=1.0)


def _regression(fixes: JudgedFixes) -> Confidence:
    """The most likely weights, without a threshold."""
    features = np.stack([fixes.score, fixes.margin, np.log(fixes.sigma_m)], axis=-1)
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-9
    design = np.concatenate([np.ones((len(features), 1)), (features - mean) / scale], axis=-1)

    def loss(weights: F64) -> tuple[float, F64]:
        log_odds = design @ weights
        value = (np.logaddexp(0, log_odds) - fixes.right * log_odds).sum() + _RIDGE / 2 * weights @ weights
        return float(value), design.T @ (expit(log_odds) - fixes.right) + _RIDGE * weights

    weights = minimize(loss, np.zeros(4), jac=True, method="BFGS", options={"gtol": 1e-7}).x
    slopes = weights[1:] / scale
    score, margin, log_sigma = slopes.tolist()
    return Confidence(float(weights[0] - slopes @ mean), score, margin, log_sigma, threshold=1.0)
