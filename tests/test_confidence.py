import numpy as np
import pytest

from cvlnet.confidence import Confidence, fit, threshold_of

RNG = np.random.default_rng(0)


def drawn(count=20_000, seed=1):
    """Fixes whose odds of being right follow a known law."""
    rng = np.random.default_rng(seed)
    similarity, margin, sigma_m = rng.normal(1.2, 0.2, count), rng.exponential(0.1, count), rng.uniform(0.5, 8.0, count)
    true = Confidence(-6.0, 3.0, 40.0, -1.0, 0.5)
    return similarity, margin, sigma_m, rng.random(count) < true.of(similarity, margin, sigma_m), true


def test_the_law_is_found_again():
    similarity, margin, sigma_m, right, true = drawn()
    found = fit(similarity, margin, sigma_m, right)
    assert found.similarity == pytest.approx(true.similarity, rel=0.1)
    assert found.margin == pytest.approx(true.margin, rel=0.1)
    assert found.log_sigma == pytest.approx(true.log_sigma, rel=0.1)
    confidence = found.of(similarity, margin, sigma_m)
    assert confidence.mean() == pytest.approx(right.mean(), abs=0.01)
    sure = confidence >= found.threshold
    assert right[sure].mean() == pytest.approx(0.99, abs=0.005)
    assert sure.mean() > 0.1


def test_threshold_by_hand():
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    assert threshold_of(confidence, np.array([True, True, False, True]), precision=0.75) == 0.6
    assert threshold_of(confidence, np.array([True, True, False, True])) == 0.8
    assert threshold_of(confidence, np.array([False, True, True, True])) == 1.0


@pytest.mark.parametrize("right", [np.ones(4, bool), np.zeros(4, bool)])
def test_nothing_is_learned_from_one_kind(right):
    with pytest.raises(ValueError, match="some are right and some are not"):
        fit(np.ones(4), np.ones(4), np.ones(4), right)


def test_fixes_that_fall_apart_entirely_give_finite_weights():
    margin = np.concatenate([np.zeros(50), np.ones(50)])
    found = fit(np.ones(100), margin, np.ones(100), margin > 0.5)
    assert found.of(np.ones(1), np.ones(1), np.ones(1))[0] > 0.99


@pytest.mark.parametrize("change", [{"margin": float("nan")}, {"threshold": 1.5}])
def test_a_confidence_that_cannot_be_is_refused(change):
    with pytest.raises(ValueError, match="finite weights"):
        Confidence(**({"bias": 0.0, "similarity": 1.0, "margin": 1.0, "log_sigma": 0.0, "threshold": 0.5} | change))
