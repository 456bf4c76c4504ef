"""How likely a fix is right, from what the match says of itself: its score, its lead over other places, its spread.

A logistic regression, fitted once for a network (`cvlnet.evaluation.fit_confidence`) to queries in towns that it never
saw, each once with its place on the map and once without, and kept with the weights. The share of queries whose place
is on the map is not known in advance: `Confidence.with_prior` adapts to any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import beta

from cvlnet.arrays import F64, I64, Bools
from cvlnet.config import SHARE_MAPPED
from cvlnet.errors import InputError

FOUND_M = 10.0  # a fix within this distance of the vehicle has found the place: it is right
ELSEWHERE_M = 10.0  # fixes farther apart than this are different places
PRECISION = 0.99  # of the answers, from the threshold on
SURENESS = 0.95  # of each bound for the share of wrong answers
FOLDS = 5
_RIDGE = 1e-3  # keeps the weights finite where right and wrong fixes are separable
_SUREST = float(np.nextafter(1.0, 0.0))  # no fix reaches a threshold of 1
_LEAST_EVENTS = 10  # for an estimate of the design effect
_THRESHOLDS = expit(np.arange(-3.0, 8.01, 0.2))


def sigma_m(covariance_m2: F64) -> F64:
    """The longer half-axis of the one-sigma ellipse of covariances [*batch, 2, 2]."""
    return np.asarray(np.sqrt(np.linalg.eigvalsh(covariance_m2)[..., -1]))


@dataclass(frozen=True)
class OperatingPoint:
    """The outcome of giving only fixes with at least the confidence ``threshold`` as answers.

    right, wrong: shares of the queries on the map that are answered rightly and wrongly. misled: share of the queries
    off the map that are answered. wrong and misled are upper bounds, each 95 % sure.
    """

    threshold: float
    right: float
    wrong: float
    misled: float

    def precision(self, share_mapped: float) -> float:
        """Lower bound of the share of right answers, where ``share_mapped`` of the queries are on the map."""
        wrong = share_mapped * self.wrong + (1 - share_mapped) * self.misled
        return share_mapped * self.right / (share_mapped * self.right + wrong)


@dataclass(frozen=True)
class Confidence:
    """Log-odds that a fix is right to 10 m: bias + score s + margin m + log_sigma ln(sigma / 1 m).

    share_mapped: the prior, the share of queries whose place is on the map. share_found: the share of those whose best
    fix is right. threshold: of the answers from this confidence on, 99 % are right; 1, no answer, where there is no
    evidence for any such threshold. points: the evidence, by rising threshold. neutral: the score that speaks neither
    for a place nor against it (`cvlnet.evaluation.fit_neutral`); None in weights of earlier versions.
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
    neutral: float | None = None

    def __post_init__(self) -> None:
        weights = (self.bias, self.score, self.margin, self.log_sigma, self.neutral or 0.0)
        if not (all(map(isfinite, weights)) and 0 <= self.threshold <= 1):
            raise ValueError(f"confidence has finite weights and a threshold from 0 to 1, not {self}")
        if not (0 < self.share_mapped < 1 and 0 < self.share_found <= 1):
            raise ValueError(f"the share of queries on the map lies between 0 and 1, not at {self.share_mapped}")

    def of(self, score: F64, margin: F64, sigma_m: F64) -> F64:
        """Probability that fixes are right, below 1. sigma_m: the longer half-axis of the one-sigma ellipse.

        Of two fixes at different places one at most is right, whatever the prior. A fix that leads by a margin m is
        preferred to its rival, whose margin is -m, by the log-odds (score + 2 margin) m; its probability is at most
        that of being the right one of the two: a half without a lead.
        """
        log_odds = self.bias + self.score * score + self.margin * margin + self.log_sigma * np.log(sigma_m)
        preferred = self.score + 2 * self.margin
        if preferred > 0:
            log_odds = np.minimum(log_odds, preferred * margin)
        return np.asarray(expit(log_odds).clip(max=_SUREST))

    def with_prior(self, share_mapped: float) -> Confidence:
        """The confidence where another share of the queries has its place on the map.

        The threshold follows from the points, which were measured on and off the map. The log-odds shift by those of
        the prior of a right fix (Saerens et al. 2002, "Adjusting the outputs of a classifier to new a priori
        probabilities"); this assumes that wrong fixes look the same whether the query is on the map or off it.
        Without points, as in weights of earlier versions, the same fixes are answered under a more favourable prior and
        none under a less favourable one. Raises ValueError if the share is not between 0 and 1.
        """
        changed = replace(self, share_mapped=share_mapped)
        shift = float(logit(share_mapped * self.share_found) - logit(self.share_mapped * self.share_found))

        def shifted(threshold: float) -> float:
            return float(expit(logit(threshold) + shift))

        points = tuple(replace(point, threshold=shifted(point.threshold)) for point in self.points)
        unknown = shifted(self.threshold) if shift >= 0 else 1.0
        threshold = threshold_of(points, share_mapped) if points else unknown
        return replace(changed, bias=self.bias + shift, points=points, threshold=threshold)

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


def neutral_of(confidence: Confidence | None) -> float | None:
    """The neutral score of weights with this confidence; None if it is not known."""
    return None if confidence is None else confidence.neutral


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
    prior = f"if {100 * confidence.share_mapped:.3g} % of the queries are on the map"
    if confidence.threshold == 1:
        return f"no confidence is proven to give {100 * PRECISION:.0f} % right answers, {prior}; calibrate on more data"
    return (
        f"{100 * PRECISION:.0f} % of the answers are right from a confidence of {confidence.threshold:.3f} on, {prior}"
    )


def fit(fixes: JudgedFixes, share_mapped: float = SHARE_MAPPED) -> Confidence:
    """The most likely weights, and the outcome of thresholds by cross-validation over stretches of road.

    Raises ValueError if all fixes are right, or none is; if all queries are on the map, or none is; or if they stand on
    fewer stretches than there are folds.
    """
    if fixes.right.all() or not fixes.right.any():
        raise ValueError("confidence is learned from fixes of which some are right and some are not")
    if fixes.mapped.all() or not fixes.mapped.any():
        raise ValueError("confidence is learned from queries on the map and from queries off it")
    if len(np.unique(fixes.stretch)) < FOLDS:
        raise ValueError(f"confidence is learned from fixes on at least {FOLDS} stretches of road")
    fitted = replace(
        _regression(fixes),
        share_mapped=float(fixes.mapped.mean()),
        share_found=float(fixes.right[fixes.mapped].mean()),
        points=operating_points(held_out_confidence(fixes), fixes),
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


def operating_points(confidence: F64, fixes: JudgedFixes) -> tuple[OperatingPoint, ...]:
    """The outcome for a ladder of thresholds. confidence: of the fixes, by weights that were not fitted to them."""
    wrong, misled = (
        upper_bounds(confidence[chosen], ~fixes.right[chosen], fixes.stretch[chosen])
        for chosen in (fixes.mapped, ~fixes.mapped)
    )
    right = [float((fixes.right & (confidence >= threshold))[fixes.mapped].mean()) for threshold in _THRESHOLDS]
    return tuple(
        OperatingPoint(float(threshold), *shares)
        for threshold, *shares in zip(_THRESHOLDS, right, wrong, misled, strict=True)
    )


def upper_bounds(confidence: F64, counted: Bools, stretch: I64) -> list[float]:
    """For each threshold a one-sided upper bound (95 %) for the share of queries that are counted and reach it.

    The bounds are the exact binomial ones (Clopper and Pearson 1934) for the effective number of queries: their number
    over the design effect of the stretches (Korn and Graubard 1998), since neighbouring queries fail together. The
    design effect cannot be estimated from fewer than ten events; it is then at least that of the highest threshold
    which ten reach.
    """
    _, group = np.unique(stretch, return_inverse=True)
    count, of_group = len(counted), np.bincount(group)
    bounds, at_least = [], 1.0
    for threshold in _THRESHOLDS:
        event = counted & (confidence >= threshold)
        share = float(event.mean())
        between = float(((np.bincount(group, event) - share * of_group) ** 2).sum())
        effect = max(between / (count * share * (1 - share)), 1.0) if 0 < share < 1 else 1.0
        if event.sum() >= _LEAST_EVENTS:
            at_least = effect
        effective = count / max(effect, at_least)
        bound = beta.ppf(SURENESS, share * effective + 1, (1 - share) * effective) if share < 1 else 1.0
        bounds.append(float(bound))
    return bounds


def threshold_of(points: Sequence[OperatingPoint], share_mapped: float, precision: float = PRECISION) -> float:
    """The lowest threshold that gives the precision; 1 if none does.

    The search goes down from the threshold of the highest precision and ends at the first that fails: the lowest of all
    that pass may pass by chance.
    """
    precisions = np.array([point.precision(share_mapped) for point in points])
    best = int(precisions.argmax())
    failing = np.flatnonzero(precisions[: best + 1] < precision)
    lowest = int(failing[-1]) + 1 if len(failing) else 0
    return points[lowest].threshold if lowest <= best else 1.0


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
