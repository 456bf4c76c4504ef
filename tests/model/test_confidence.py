"""Confidence follows the odds that fixes have, and its threshold keeps what it promises on fixes it has not seen."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binom

from cvlnet.errors import InputError
from cvlnet.model.confidence import (
    PRECISION,
    Confidence,
    JudgedFixes,
    OperatingPoint,
    described,
    fit,
    for_prior,
    held_out_confidence,
    operating_points,
    threshold_of,
    upper_bounds,
)

TRUE = Confidence(-6.0, 3.0, 40.0, -1.0, 0.5)


def drawn(count=20_000, seed=1, a_stretch=1):
    """Fixes whose odds of being right follow a known law; of the wrong ones every third place is on the map.

    Each ``a_stretch`` neighbours are alike in everything.
    """
    rng = np.random.default_rng(seed)
    score, margin, sigma_m = rng.normal(1.2, 0.2, count), rng.exponential(0.1, count), rng.uniform(0.5, 8.0, count)
    right = rng.random(count) < TRUE.of(score, margin, sigma_m)
    mapped = right | (rng.random(count) < 1 / 3)
    columns = (score, margin, sigma_m, right, mapped, np.arange(count))
    return JudgedFixes(*(np.repeat(column, a_stretch) for column in columns))


def test_the_law_is_found_again():
    fixes = drawn(12_000)
    found = fit(fixes, float(fixes.mapped.mean()))
    assert found.score == pytest.approx(TRUE.score, rel=0.1)
    assert found.margin == pytest.approx(TRUE.margin, rel=0.1)
    assert found.log_sigma == pytest.approx(TRUE.log_sigma, rel=0.1)
    assert found.share_found == pytest.approx(fixes.right[fixes.mapped].mean())
    confidence = found.of(fixes.score, fixes.margin, fixes.sigma_m)
    assert confidence.mean() == pytest.approx(fixes.right.mean(), abs=0.01)
    sure = confidence >= found.threshold
    assert 0.99 <= fixes.right[sure].mean() < 0.998
    assert sure.mean() > 0.05


def test_the_most_likely_weights_by_another_way():
    """At the optimum the residuals are orthogonal to the features, but for the slight ridge."""
    fixes = drawn(2000)
    found = fit(fixes, float(fixes.mapped.mean()))
    residual = found.of(fixes.score, fixes.margin, fixes.sigma_m) - fixes.right
    features = np.stack([np.ones(len(fixes)), fixes.score, fixes.margin, np.log(fixes.sigma_m)])
    assert np.abs(features @ residual).max() < 0.05


def test_a_threshold_keeps_its_promise_on_fixes_that_it_has_not_seen():
    """In nineteen of twenty calibrations, on stretches of two fixes each; the best threshold of each does in half."""
    fresh = drawn(60_000, seed=99)
    prior = float(fresh.mapped.mean())
    kept, answered, kept_without_bound = [], [], []
    for seed in range(8):
        fixes = drawn(15_000, seed, a_stretch=2)
        fitted = fit(fixes, prior)
        confidence = fitted.of(fresh.score, fresh.margin, fresh.sigma_m)
        sure = confidence >= fitted.threshold
        kept.append(not sure.any() or fresh.right[sure].mean() >= PRECISION)
        answered.append(sure.mean())
        own = fitted.of(fixes.score, fixes.margin, fixes.sigma_m)
        order = np.argsort(-own)
        precision = fixes.right[order].cumsum() / np.arange(1, len(order) + 1)
        lowest = own[order[np.flatnonzero(precision >= PRECISION)[-1]]]
        kept_without_bound.append(fresh.right[confidence >= lowest].mean() >= PRECISION)
    assert sum(kept) >= 7
    assert np.median(answered) > 0.05
    assert sum(kept_without_bound) < 6


def exact_bound(events, count):
    """The share at which so few events, or fewer, come in one of twenty trials."""
    shares = np.linspace(0, 1, 200_001)
    return shares[np.flatnonzero(binom.cdf(events, count, shares) >= 0.05)[-1]]


def bounds_of(events, stretch, count=None):
    """Bounds at the thresholds below and above a confidence of one half, which the events' is."""
    counted = np.asarray(events, dtype=bool)
    bounds = upper_bounds(np.full(len(counted), 0.501), counted, np.asarray(stretch))
    assert len(set(bounds)) == 2
    assert bounds == sorted(bounds, reverse=True)
    return bounds[0], bounds[-1]


def test_the_bound_of_independent_queries_is_the_binomial_one():
    events = np.zeros(400, dtype=bool)
    events[[250, 300]] = True
    reached, none = bounds_of(events, np.arange(400))
    assert reached == pytest.approx(exact_bound(2, 400), abs=1e-5)
    assert none == pytest.approx(1 - 0.05 ** (1 / 400))


def test_queries_that_fail_together_count_as_one():
    """Stretches of five that fail as a whole or not at all are as much evidence as one query each."""
    events = np.zeros(80, dtype=bool)
    events[[7, 50, 60]] = True
    whole = bounds_of(events.repeat(5), np.arange(80).repeat(5))
    assert whole[0] == pytest.approx(exact_bound(3, 80), abs=1e-5)
    assert whole[1] == pytest.approx(1 - 0.05 ** (1 / 80))  # where none fails, neighbours are as alike as below
    apart = bounds_of(events.repeat(5), np.arange(400))
    assert apart[0] < whole[0]


def test_a_few_events_say_nothing_of_their_neighbours():
    """Nine in three stretches: above them the queries count one by one."""
    events = np.zeros(80, dtype=bool)
    events[[7, 50, 60]] = True
    _, none = bounds_of(events.repeat(3), np.arange(80).repeat(3))
    assert none == pytest.approx(1 - 0.05 ** (1 / 240))


def test_where_all_fail_the_bound_is_one():
    assert bounds_of(np.ones(30), np.arange(30))[0] == 1.0


def test_what_thresholds_give_by_hand():
    """Of four on the map two are right from 0.6 on and one is wrong from 0.9 on; off it one of two reaches 0.7."""
    confidence = np.array([0.6, 0.99, 0.9, 0.1, 0.7, 0.2])
    right = np.array([True, True, False, False, False, False])
    mapped = np.array([True] * 4 + [False] * 2)
    ones = np.ones(6)
    points = operating_points(confidence, JudgedFixes(ones, ones, ones, right, mapped, np.arange(6)))
    thresholds = [point.threshold for point in points]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] < 0.05 < 0.999 < thresholds[-1]
    for point in points:
        assert point.right == (right & (confidence >= point.threshold))[:4].mean()
        wrong, misled = ((~right & (confidence >= point.threshold))[of].sum() for of in (slice(0, 4), slice(4, 6)))
        assert point.wrong == pytest.approx(exact_bound(wrong, 4), abs=1e-5)
        assert point.misled == pytest.approx(1.0 if misled == 2 else exact_bound(misled, 2), abs=1e-5)


def test_precision_by_hand():
    point = OperatingPoint(0.9, right=0.8, wrong=0.01, misled=0.02)
    assert point.precision(0.5) == pytest.approx(0.4 / (0.4 + 0.005 + 0.01))
    assert point.precision(0.9) == pytest.approx(0.72 / (0.72 + 0.009 + 0.002))


def ladder(*precisions):
    """Points of rising thresholds with these precisions where all queries are on the map."""
    return [OperatingPoint(0.1 * i, p, 1 - p, 0.0) for i, p in enumerate(precisions, 1)]


def test_the_first_failure_ends_the_search_for_a_lower_threshold():
    assert threshold_of(ladder(0.5, 0.9, 0.99, 0.995, 0.98), 0.5) == pytest.approx(0.3)
    assert threshold_of(ladder(0.5, 0.992, 0.98, 0.995, 0.999, 0.97), 0.5) == pytest.approx(0.4)
    assert threshold_of(ladder(0.992, 0.995), 0.5) == pytest.approx(0.1)
    assert threshold_of(ladder(0.5, 0.9), 0.5) == 1.0
    assert threshold_of(ladder(0.5, 0.9), 0.5, precision=0.8) == pytest.approx(0.2)


def test_where_the_evidence_is_too_thin_nothing_is_answered():
    fixes = drawn(600)
    assert fit(fixes, float(fixes.mapped.mean())).threshold == 1.0


def test_no_fix_reaches_a_threshold_that_nothing_is_to_reach():
    sure = Confidence(1000.0, 0.0, 0.0, 0.0, threshold=1.0)
    (confidence,) = sure.of(np.ones(1), np.ones(1), np.ones(1))
    assert 1 - 1e-15 < confidence < sure.threshold


def test_no_fix_is_judged_by_weights_that_its_stretch_was_fitted_to():
    fixes = drawn(300, a_stretch=2)
    before = held_out_confidence(fixes)
    own = fixes.stretch == fixes.stretch[0]
    after = held_out_confidence(replace(fixes, right=fixes.right ^ own))
    np.testing.assert_array_equal(after[own], before[own])
    assert (after != before).mean() > 0.7


def test_another_prior_shifts_the_odds_of_all_fixes():
    points = (OperatingPoint(0.6, 0.9, 0.002, 0.05), OperatingPoint(0.9, 0.8, 0.001, 0.005))
    known = Confidence(-6.0, 3.0, 40.0, -1.0, 0.9, 0.5, 0.8, points)
    rare = known.with_prior(0.1)
    factor = (0.08 / 0.92) / (0.4 / 0.6)
    score, margin, sigma_m = np.array([1.2, 1.5]), np.array([0.1, 0.0]), np.array([1.0, 3.0])
    odds = [of / (1 - of) for of in (known.of(score, margin, sigma_m), rare.of(score, margin, sigma_m))]
    np.testing.assert_allclose(odds[1] / odds[0], factor)
    assert (rare.share_mapped, rare.share_found) == (0.1, 0.8)
    for point, before in zip(rare.points, points, strict=True):
        assert point == replace(before, threshold=point.threshold)
        shift = (point.threshold / (1 - point.threshold)) / (before.threshold / (1 - before.threshold))
        assert shift == pytest.approx(factor)


@pytest.mark.parametrize("share_mapped", [0.5, 0.9, 0.999])
def test_two_places_that_score_alike_are_right_with_at_most_one_half_each(share_mapped: float) -> None:
    """Such as on a map that shows a place twice: whatever the prior, both cannot be almost certain."""
    confidence = Confidence(-37.6, 27.6, 20.3, 0.1, 0.978, 0.5, 0.985).with_prior(share_mapped)
    score, margin = np.array([1.6, 1.59]), np.array([0.01, -0.01])
    first, second = confidence.of(score, margin, np.ones(2)).tolist()
    assert first <= expit((27.6 + 2 * 20.3) * 0.01) + 1e-12
    assert first + second <= 1
    assert float(confidence.of(np.array(1.6), np.array(0.0), np.array(1.0))) == 0.5
    assert float(confidence.of(np.array(1.6), np.array(0.2), np.array(1.0))) > 0.99


def test_the_threshold_of_another_prior_follows_from_what_was_measured():
    """The same answers are right less often where most queries are off the map."""
    points = (OperatingPoint(0.6, 0.9, 0.002, 0.05), OperatingPoint(0.9, 0.8, 0.001, 0.005))
    known = Confidence(-6.0, 3.0, 40.0, -1.0, 0.9, 0.5, 0.8, points)
    assert known.with_prior(0.1).threshold == 1.0
    half, most = known.with_prior(0.5), known.with_prior(0.9)
    assert half.threshold == pytest.approx(0.9)
    assert most.threshold == most.points[0].threshold
    assert most.points[0].precision(0.9) > 0.99 > known.points[0].precision(0.5)


def test_priors_do_not_add_up():
    fixes = drawn(3000)
    fitted = fit(fixes)
    assert fitted.share_mapped == 0.5
    again = fitted.with_prior(0.9).with_prior(0.2).with_prior(0.5)
    assert again.bias == pytest.approx(fitted.bias)
    assert again.threshold == pytest.approx(fitted.threshold)
    assert fit(fixes, 0.9).bias == pytest.approx(fitted.with_prior(0.9).bias)


def test_another_prior_keeps_probabilities_true():
    """Of fixes of which nine in ten have their place on the map as many are right as the confidence says."""
    fixes = drawn(20_000, seed=5)
    fitted = fit(fixes, float(fixes.mapped.mean()))
    keep = fixes.mapped | (np.random.default_rng(0).random(len(fixes)) < 0.1)
    often = fixes[keep]
    changed = fitted.with_prior(float(often.mapped.mean()))
    confidence = changed.of(often.score, often.margin, often.sigma_m)
    assert confidence.mean() == pytest.approx(often.right.mean(), abs=0.02)
    near_half = np.abs(confidence - 0.5) < 0.1
    assert often.right[near_half].mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("right", [np.ones(4, bool), np.zeros(4, bool)])
def test_nothing_is_learned_from_one_kind(right):
    mapped = np.array([True, True, False, False])
    with pytest.raises(ValueError, match="some are right and some are not"):
        fit(JudgedFixes(np.ones(4), np.ones(4), np.ones(4), right, mapped, np.arange(4)))


@pytest.mark.parametrize("mapped", [np.ones(4, bool), np.zeros(4, bool)])
def test_queries_on_the_map_alone_teach_nothing(mapped):
    right = np.array([True, True, False, False])
    with pytest.raises(ValueError, match="queries on the map and from queries off it"):
        fit(JudgedFixes(np.ones(4), np.ones(4), np.ones(4), right, mapped, np.arange(4)))


def test_a_few_stretches_are_not_enough():
    fixes = drawn(100)
    with pytest.raises(ValueError, match="at least 5 stretches of road"):
        fit(replace(fixes, stretch=fixes.stretch % 4))


def test_fixes_that_fall_apart_entirely_give_finite_weights():
    margin = np.concatenate([np.zeros(50), np.ones(50)])
    ones = np.ones(100)
    found = fit(JudgedFixes(ones, margin, ones, margin > 0.5, margin > 0.5, np.arange(100)))
    assert found.of(np.ones(1), np.ones(1), np.ones(1))[0] > 0.99


def test_stretches_of_different_data_are_different():
    part = drawn(5)
    joined = JudgedFixes.joined([part, part, part])
    assert joined.stretch.tolist() == list(range(15))
    assert joined.score.tolist() == part.score.tolist() * 3


def test_it_comes_back_from_json_by_old_names_and_by_new():
    known = fit(drawn(1000))
    assert Confidence.of_json(json.loads(json.dumps(asdict(known)))) == known
    old = {"bias": -1.0, "similarity": 2.0, "margin": 3.0, "log_sigma": -0.5, "threshold": 0.9}
    assert Confidence.of_json(old) == Confidence(-1.0, 2.0, 3.0, -0.5, 0.9, share_mapped=0.5, share_found=1.0)
    with pytest.raises(TypeError):
        Confidence.of_json({**old, "colour": 1.0})


def test_a_prior_for_a_confidence_of_an_earlier_version_keeps_what_is_safe():
    old = Confidence(-1.0, 2.0, 3.0, -0.5, 0.9)
    assert old.with_prior(0.8).threshold == pytest.approx(expit(logit(0.9) + logit(0.8)))
    assert old.with_prior(0.4).threshold == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"margin": float("nan")}, "finite weights"),
        ({"bias": float("inf")}, "finite weights"),
        ({"threshold": 1.5}, "finite weights"),
        ({"threshold": -0.1}, "finite weights"),
        ({"share_mapped": 0.0}, "between 0 and 1"),
        ({"share_mapped": 1.0}, "between 0 and 1"),
        ({"share_found": 0.0}, "between 0 and 1"),
        ({"share_found": 1.1}, "between 0 and 1"),
    ],
)
def test_a_confidence_that_cannot_be_is_refused(change, message):
    values = {"bias": 0.0, "score": 1.0, "margin": 1.0, "log_sigma": 0.0, "threshold": 0.5, "share_found": 0.9}
    assert Confidence(**values).threshold == 0.5
    with pytest.raises(ValueError, match=message):
        Confidence(**(values | change))


def test_a_prior_is_stated_for_weights_that_have_a_confidence():
    known, path = Confidence(-1.0, 2.0, 3.0, -0.5, 0.9), Path("w.safetensors")
    assert for_prior(known, None, path) == known
    assert for_prior(None, None, path) is None
    assert for_prior(known, 0.8, path) == known.with_prior(0.8)
    with pytest.raises(InputError) as error:
        for_prior(None, 0.8, path)
    assert str(error.value) == (
        "w.safetensors: no confidence to adapt to a prior; "
        "calibrate them with cvlnet calibrate, or leave --share-mapped out"
    )
    with pytest.raises(InputError, match=r"^--share-mapped: .* not at 1.5; give a share such as 0.9$"):
        for_prior(known, 1.5, path)


def test_a_threshold_is_told_with_its_prior():
    known = Confidence(-1.0, 2.0, 3.0, -0.5, 0.9, 0.75)
    assert described(known) == (
        "99 % of the answers are right from a confidence of 0.900 on, if 75 % of the queries are on the map"
    )
    assert described(replace(known, threshold=1.0)) == (
        "no confidence is proven to give 99 % right answers, "
        "if 75 % of the queries are on the map; calibrate on more data"
    )
