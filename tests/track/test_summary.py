"""Figures of several drives together, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isnan, log, nan

import numpy as np
import pytest

from cvlnet.track.evaluate import TrackErrors
from cvlnet.track.summary import confidence_shares, ellipse_shares, figures_of, precision_over_coverage


def drive(
    distances_m: Sequence[float],
    tracked: Sequence[bool] | None = None,
    *,
    nees: Sequence[float] | None = None,
    confidence: Sequence[float] | None = None,
    name: str = "drive",
) -> TrackErrors:
    """A moment and ten metres after each other; errors to the north, across the way."""
    count = len(distances_m)
    across_m = np.array(distances_m, dtype=np.float64)
    return TrackErrors(
        name=name,
        begin_s=0.0,
        time_s=np.arange(float(count)),
        way_m=10.0 * np.arange(count),
        tracked=np.array([True] * count if tracked is None else tracked),
        error_m=np.column_stack([np.zeros(count), across_m]),
        along_m=np.zeros(count),
        across_m=across_m,
        yaw_rad=np.full(count, np.radians(-2.0)),
        nees=across_m**2 if nees is None else np.array(nees, dtype=np.float64),
        confidence=np.full(count, 0.9) if confidence is None else np.array(confidence, dtype=np.float64),
    )


def test_moments_are_pooled_and_drives_counted() -> None:
    """Two drives, one of which is never found."""
    found = figures_of([drive([-1, 3, 6], [False, True, True]), drive([50, 70], [False, False])])
    values = {name: interval.value for name, interval in found.items()}
    assert values == pytest.approx(
        {
            "way_m": 15.0,
            "converged": 0.5,
            "converged_m": inf,
            "available": 0.5,
            "misled_s": 0.0,
            "median_m": 4.5,
            "p95_m": 5.85,
            "median_relative_m": 1.5,
            "along_m": 0.0,
            "across_m": 4.5,
            "per_100m_m": nan,
            "yaw_deg": 2.0,
            "within_5m": 0.5,
            "in_ellipse": 0.0,
            "nees": 22.5,
        },
        nan_ok=True,
    )


def test_intervals_come_from_redrawing_drives() -> None:
    found = figures_of([drive([1.0] * 30), drive([3.0] * 10)])
    assert (found["median_m"].value, found["median_m"].low, found["median_m"].high) == (1.0, 1.0, 3.0)
    assert found["nees"].value == pytest.approx((30 * 1 + 10 * 9) / 40)
    assert (found["nees"].low, found["nees"].high) == pytest.approx((1.0, 9.0))
    single = figures_of([drive([1.0, 2.0])])["median_m"]
    assert single.value == 1.5
    assert isnan(single.low)


def test_a_long_drive_is_counted_in_full_and_its_interval_from_some_moments() -> None:
    distances_m = np.linspace(0, 4, 20_001)
    found = figures_of([drive(distances_m), drive(distances_m)])["median_m"]
    assert found.value == pytest.approx(2.0)
    assert (found.low, found.high) == pytest.approx((2.0, 2.0), abs=0.01)


def test_the_motion_is_compared_within_a_drive() -> None:
    """Over ten moments; not from one drive to the next."""
    found = figures_of([drive([0.0] * 10 + [4.0]), drive([7.0] * 11)])["per_100m_m"]
    assert found.value == pytest.approx(2.0)


def test_a_drive_without_a_tracked_moment_has_figures_nevertheless() -> None:
    found = figures_of([drive([50.0], [False])])
    assert found["converged"].value == 0.0
    assert all(isnan(found[name].value) for name in ("median_m", "per_100m_m", "within_5m", "in_ellipse", "nees"))
    with pytest.raises(ValueError, match="there is no track"):
        figures_of([])


def test_ellipses_hold_what_they_say() -> None:
    """A place lies in the ellipse of probability p where the squared error is at most -2 log(1 - p)."""
    nees = [-2 * log(1 - p) for p in (0.1, 0.42, 0.9, 0.99)]
    shares = dict(ellipse_shares([drive([1.0] * 5, [True] * 4 + [False], nees=[*nees, 0.0])]))
    rounded = {round(level, 2): share for level, share in shares.items()}
    assert (rounded[0.05], rounded[0.15], rounded[0.5], rounded[0.95]) == (0.0, 0.25, 0.5, 0.75)
    assert ellipse_shares([drive([1.0], nees=[nan])]) == []


def test_confidence_beside_how_often_it_is_right() -> None:
    found = confidence_shares(
        [
            drive([1.0, 20.0, 1.0], [True, False, True], confidence=[0.6, 0.7, 1.0]),
            drive([20.0, nan], [False, False], confidence=[0.1, 0.0]),
        ]
    )
    assert [one[2] for one in found] == [1, 2, 1]
    assert [one[0] for one in found] == pytest.approx([0.1, 0.65, 1.0])
    assert [one[1] for one in found] == [0.0, 0.5, 1.0]


def test_the_surest_moments_are_answered_first() -> None:
    """Five moments, one of them without a place."""
    drives = [drive([1.0, 20.0, nan], confidence=[0.9, 0.5, 0.0]), drive([8.0, 1.0], confidence=[0.7, 0.4])]
    answered, right = precision_over_coverage(drives)
    assert answered.tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert right.tolist() == pytest.approx([1.0, 1.0, 2 / 3, 3 / 4])
    assert precision_over_coverage(drives, 5.0)[1].tolist() == pytest.approx([1.0, 0.5, 1 / 3, 0.5])


def test_moments_of_equal_confidence_are_answered_together() -> None:
    """In whatever order the drives are given: none of three equal moments is surer than the others."""
    one, other = drive([1.0, 20.0], confidence=[0.9, 0.8]), drive([20.0, 1.0], confidence=[0.9, 0.9])
    for drives in ([one, other], [other, one]):
        answered, right = precision_over_coverage(drives)
        assert answered.tolist() == pytest.approx([0.75, 1.0])
        assert right.tolist() == pytest.approx([2 / 3, 0.5])
    assert [len(values) for values in precision_over_coverage([drive([nan])])] == [0, 0]
