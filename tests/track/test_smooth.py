"""The pose without jumps, by hand."""

from __future__ import annotations

from math import exp, pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvlnet.data.odometry import OdometryPose
from cvlnet.track.pose_filter import PoseBelief
from cvlnet.track.smooth import SmoothPose

START = OdometryPose(0.0, 5.0, 5.0, 0.0)


def ahead(dx_m: float, dy_m: float = 0.0) -> OdometryPose:
    return OdometryPose(0.1, 5.0 + dx_m, 5.0 + dy_m, 0.0)


def estimate(x_m: float, y_m: float, turn: float = 0.0) -> PoseBelief:
    return PoseBelief(np.array([x_m, y_m, turn, 0.0, 0.0]), np.eye(5))


def test_without_an_estimate_it_moves_as_the_odometry() -> None:
    found = SmoothPose(np.array([1.0, 2.0, pi / 2])).moved(START, ahead(3.0, 1.0), None)
    assert found.mean == pytest.approx([0.0, 5.0, pi / 2])
    assert found.follows


def test_a_small_difference_fades_with_the_way() -> None:
    found = SmoothPose(np.array([0.0, 0.0, 0.0])).moved(START, ahead(1.5), estimate(2.5, 0.5, 0.2))
    share = 1 - exp(-1.5 / 15)
    assert found.mean == pytest.approx([1.5 + share * 1.0, share * 0.5, share * 0.2])


def test_a_large_difference_is_made_up_by_a_fifth_of_the_way() -> None:
    found = SmoothPose(np.array([0.0, 0.0, 0.0])).moved(START, ahead(1.5), estimate(1.5 + 6.0, 8.0, 0.5))
    assert found.mean == pytest.approx([1.5 + 0.3 * 0.6, 0.3 * 0.8, 0.5 * 0.3 / 10])
    assert found.follows


def test_far_from_the_estimate_it_follows_no_more() -> None:
    start = SmoothPose(np.array([0.0, 0.0, 0.0]))
    assert start.moved(START, ahead(1.0), estimate(1.0 + 29.9, 0.0)).follows
    assert not start.moved(START, ahead(1.0), estimate(1.0, 30.1)).follows


def test_a_turn_is_drawn_the_short_way_round() -> None:
    found = SmoothPose(np.array([0.0, 0.0, pi - 0.1])).moved(START, ahead(15.0), estimate(-15.0, 0.0, -pi + 0.1))
    share = 1 - exp(-1)
    assert abs(found.mean[2]) == pytest.approx(pi - abs(0.1 - share * 0.2))


def test_a_vehicle_that_stands_is_not_drawn() -> None:
    found = SmoothPose(np.array([1.0, 2.0, 0.3])).moved(START, START, estimate(5.0, 5.0, 1.0))
    assert found.mean == pytest.approx([1.0, 2.0, 0.3])


@given(st.floats(0, 20), st.floats(-100, 100), st.floats(-100, 100), st.floats(-3, 3))
@settings(deadline=None)
def test_it_never_leaves_the_motion_by_more_than_a_fifth(way_m: float, x_m: float, y_m: float, turn: float) -> None:
    found = SmoothPose(np.zeros(3)).moved(START, ahead(way_m), estimate(x_m, y_m, turn))
    assert np.hypot(found.mean[0] - way_m, found.mean[1]) <= 0.2 * way_m + 1e-9
