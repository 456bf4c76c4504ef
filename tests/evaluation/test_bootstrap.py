import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvlnet.evaluation.bootstrap import Redraws
from cvlnet.evaluation.metrics import Interval


def bootstrap(statistic, samples, groups, *, confidence=0.95, repetitions=1000, seed=0):
    """What `Redraws` does all at once, one repetition after another."""
    rng = np.random.default_rng(seed)
    names, index = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(index == g) for g in range(len(names))]
    values = [
        statistic(samples[np.concatenate([members[g] for g in rng.integers(len(members), size=len(members))])])
        for _ in range(repetitions)
    ]
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(statistic(samples), float(low), float(high))


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 12))
def test_agrees_with_the_plain_bootstrap(seed, samples, groups):
    rng = np.random.default_rng(seed)
    values, group = rng.exponential(5.0, samples), rng.integers(groups, size=samples)
    redraws = Redraws.of(group, repetitions=50)
    means = bootstrap(lambda x: float(np.mean(x)), values, group, repetitions=50)
    medians = bootstrap(lambda x: float(np.median(x)), values, group, repetitions=50)
    tails = bootstrap(lambda x: float(np.quantile(x, 0.95)), values, group, repetitions=50)
    if len(np.unique(group)) == 1:
        assert np.isnan([redraws.mean(values).low, redraws.quantiles(values, (0.5,))[0].high]).all()
        return
    as_array = lambda interval: [interval.value, interval.low, interval.high]  # noqa: E731
    np.testing.assert_allclose(as_array(redraws.mean(values)), as_array(means))
    median, tail = redraws.quantiles(values, (0.5, 0.95))
    np.testing.assert_allclose(as_array(median), as_array(medians))
    np.testing.assert_allclose(as_array(tail), as_array(tails))


def test_a_choice_of_samples_is_as_if_the_others_were_not_there():
    values, groups = np.array([1.0, 100.0, 3.0, 200.0]), np.array([0, 0, 1, 1])
    redraws = Redraws.of(groups)
    chosen = np.array([True, False, True, False])
    assert redraws.mean(values, chosen).value == 2.0
    (median,) = redraws.quantiles(values, (0.5,), chosen)
    assert (median.low, median.value, median.high) == (1.0, 2.0, 3.0)


def test_nothing_chosen_is_undefined_and_nothing_at_all_is_refused():
    redraws, none = Redraws.of(np.arange(3)), np.zeros(3, dtype=bool)
    assert np.isnan(redraws.mean(np.ones(3), none).value)
    assert np.isnan(redraws.quantiles(np.ones(3), (0.5,), none)[0].low)
    with pytest.raises(ValueError, match="no samples"):
        Redraws.of(np.array([]))


def test_repetitions_without_a_chosen_sample_do_not_count():
    redraws = Redraws.of(np.array([0, 1, 2]), repetitions=200)
    two = redraws.mean(np.array([7.0, 8.0, 100.0]), np.array([True, True, False]))
    assert (two.low, two.value, two.high) == (7.0, 7.5, 8.0)


def test_one_group_has_no_interval():
    """However many samples it has: nothing says how much another stretch of road would differ."""
    redraws = Redraws.of(np.array([0, 0, 0, 1]))
    alone = np.array([True, True, True, False])
    for interval in (
        redraws.mean(np.array([1.0, 2.0, 6.0, 0.0]), alone),
        redraws.mean(np.array([True, True, False, False]), alone),
        redraws.mean(np.ones(4, dtype=bool), alone),
        *redraws.quantiles(np.array([1.0, 2.0, 6.0, 0.0]), (0.5,), alone),
    ):
        assert np.isfinite(interval.value)
        assert np.isnan([interval.low, interval.high]).all()


def test_shares_of_all_and_of_none_have_the_exact_interval():
    """40 samples of 10 groups: of 10 right ones in 10, the exact interval begins at 0.025 ** (1 / 10)."""
    redraws = Redraws.of(np.arange(40) // 4)
    every, none = redraws.mean(np.ones(40, dtype=bool)), redraws.mean(np.zeros(40, dtype=bool))
    assert (every.value, every.low, every.high) == pytest.approx((1.0, 0.6915, 1.0), abs=1e-4)
    assert (none.value, none.low, none.high) == pytest.approx((0.0, 0.0, 0.3085), abs=1e-4)
    weighted = redraws.mean(np.ones(40, dtype=bool), np.arange(40) < 20, np.linspace(1, 2, 40))
    assert weighted.low == pytest.approx(0.025 ** (1 / 5))


def test_one_infinite_error_leaves_the_median_finite():
    (median,) = Redraws.of(np.arange(9)).quantiles(np.array([1.0] * 8 + [np.inf]), (0.5,))
    assert median.value == 1.0
    assert median.low == 1.0


def test_intervals_bracket_the_mean_and_respect_groups():
    rng = np.random.default_rng(0)
    values = rng.normal(3.0, 1.0, 400)
    alone = Redraws.of(np.arange(400)).mean(values)
    assert alone.low < alone.value < alone.high
    assert alone.value == pytest.approx(values.mean())
    assert alone.high - alone.low == pytest.approx(2 * 1.96 / 20, rel=0.2)
    copies = Redraws.of(np.repeat(np.arange(40), 10)).mean(np.repeat(values[:40], 10))
    naive = Redraws.of(np.arange(400)).mean(np.repeat(values[:40], 10))
    assert copies.high - copies.low > 2 * (naive.high - naive.low)


def test_samples_of_twice_the_weight_count_twice():
    values, groups = np.array([1.0, 4.0, 10.0]), np.array([0, 1, 2])
    weighted = Redraws.of(groups).mean(values, weight=np.array([1.0, 2.0, 1.0]))
    assert weighted.value == pytest.approx(19 / 4)
    chosen = Redraws.of(groups).mean(values, np.array([True, True, False]), np.array([1.0, 2.0, 1.0]))
    assert (chosen.low, chosen.value, chosen.high) == pytest.approx((1.0, 3.0, 4.0))
