"""The Kalman filter of a tracked vehicle: motion by hand, Jacobians by differences, measurements by the textbook."""

from __future__ import annotations

from math import cos, exp, log, pi, radians, sin

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvlnet.arrays import F64
from cvlnet.data.odometry import OdometryPose
from cvlnet.track.odometry import OdometryNoise
from cvlnet.track.pose_filter import AIM, DRIFT, LOG_SCALE, TURN, PoseBelief, motion_from

EXACT = OdometryNoise(scale=0.0, drift_rad_per_m=0.0, way_share=0.0, yaw_rad=0.0)
START = OdometryPose(0.0, 0.0, 0.0, 0.0)
angles = st.floats(-pi, pi)


def mean(
    x: float = 0.0, y: float = 0.0, turn: float = 0.0, log_scale: float = 0.0, drift: float = 0.0, aim: float = 0.0
) -> F64:
    return np.array([x, y, turn, log_scale, drift, aim])


def random_covariance(seed: int) -> F64:
    root = np.random.default_rng(seed).normal(size=(6, 6))
    return np.asarray(root @ root.T)


def moved(at: F64, dx_m: float, dy_m: float) -> F64:
    return motion_from(at, START, OdometryPose(0.1, dx_m, dy_m, 0.0), EXACT).mean


def test_a_motion_straight_ahead() -> None:
    assert moved(mean(5.0, 7.0), 2.0, 1.0) == pytest.approx([7.0, 8.0, 0.0, 0.0, 0.0, 0.0])


def test_a_motion_under_a_turn() -> None:
    assert moved(mean(turn=pi / 2), 2.0, 1.0) == pytest.approx([-1.0, 2.0, pi / 2, 0.0, 0.0, 0.0])


def test_a_motion_of_another_scale() -> None:
    assert moved(mean(log_scale=log(1.1)), 2.0, 1.0) == pytest.approx([2.2, 1.1, 0.0, log(1.1), 0.0, 0.0])


def test_a_motion_that_drifts_is_a_chord_of_its_arc() -> None:
    """The turn grows by a tenth of a radian for each of 5 m; the chord has half of it."""
    found = moved(mean(drift=0.1), 3.0, 4.0)
    assert found[:2] == pytest.approx([3 * cos(0.25) - 4 * sin(0.25), 3 * sin(0.25) + 4 * cos(0.25)])
    assert found[2:] == pytest.approx([0.5, 0.0, 0.1, 0.0])


def test_the_turn_is_wrapped() -> None:
    assert moved(mean(turn=pi - 0.1, drift=0.1), 3.0, 0.0)[TURN] == pytest.approx(-pi + 0.2)


def test_only_the_difference_of_the_poses_counts() -> None:
    before, after = OdometryPose(3.0, 100.0, -50.0, 1.0), OdometryPose(3.5, 101.0, -48.0, 1.1)
    at = mean(1.0, 2.0, 0.3, 0.01, 0.001)
    there = motion_from(at, before, after, EXACT)
    here = motion_from(at, START, OdometryPose(0.5, 1.0, 2.0, 0.1), EXACT)
    np.testing.assert_allclose(there.mean, here.mean)
    np.testing.assert_allclose(there.change, here.change)


@given(
    st.tuples(st.floats(-50, 50), st.floats(-50, 50), angles, *[st.floats(-size, size) for size in (0.2, 0.01, 0.1)]),
    st.floats(-8, 8),
    st.floats(-8, 8),
)
@settings(deadline=None)
def test_the_jacobian_is_that_of_the_motion(at: tuple[float, ...], dx_m: float, dy_m: float) -> None:
    after, step = OdometryPose(0.1, dx_m, dy_m, 0.0), 1e-6
    motion = motion_from(np.array(at), START, after, EXACT)
    for number in range(6):
        aside = np.zeros(6)
        aside[number] = step
        above = motion_from(np.array(at) + aside, START, after, EXACT).mean
        below = motion_from(np.array(at) - aside, START, after, EXACT).mean
        apart = above - below
        apart[TURN] = (apart[TURN] + pi) % (2 * pi) - pi
        np.testing.assert_allclose(motion.change[:, number], apart / (2 * step), atol=1e-5)


def test_the_errors_of_a_motion_grow_with_the_root_of_the_way() -> None:
    noise = OdometryNoise(way_share=0.1, yaw_rad=0.02)
    grown = motion_from(mean(), START, OdometryPose(0.1, 3.0, 4.0, 0.0), noise).grown
    np.testing.assert_allclose(grown, np.diag([0.1**2 * 5, 0.1**2 * 5, 0.02**2 * 5, 0.0, 0.0, 0.0]))


def test_what_the_vehicle_did_unseen_adds_to_the_place_alone() -> None:
    noise = OdometryNoise(way_share=0.0, yaw_rad=0.0, fastest_m_s=10.0, longest_gap_s=2.0)
    grown = motion_from(mean(), START, OdometryPose(5.0, 3.0, 4.0, 0.0), noise).grown
    np.testing.assert_allclose(grown, np.diag([30.0**2, 30.0**2, 0.0, 0.0, 0.0, 0.0]))


def test_a_belief_moves_with_its_covariance() -> None:
    """2 m ahead: a doubt of 0.1 about the turn becomes one of 0.2 m to the side, that about the scale 0.04 m ahead."""
    noise = OdometryNoise(scale=0.02, drift_rad_per_m=0.003, way_share=0.0, yaw_rad=0.0)
    start = PoseBelief.at(np.array([1.0, 2.0, 0.0]), np.diag([0.25, 1.0, 0.01]), noise)
    assert np.diag(start.covariance) == pytest.approx([0.25, 1.0, 0.01, 0.02**2, 0.003**2, 0.0])
    after = start.moved(START, OdometryPose(0.1, 2.0, 0.0, 0.0), noise)
    assert after.xy_m == pytest.approx((3.0, 2.0))
    assert after.covariance[0, 0] == pytest.approx(0.25 + 0.04**2)
    assert after.covariance[1, 1] == pytest.approx(1.0 + 0.2**2 + (2.0 * 2.0 / 2 * 0.003) ** 2)
    assert after.covariance[1, TURN] == pytest.approx(2.0 * 0.01 + 2.0 * 2.0 / 2 * 2.0 * 0.003**2)
    assert after.covariance[TURN, TURN] == pytest.approx(0.01 + (2.0 * 0.003) ** 2)
    assert after.covariance[LOG_SCALE, LOG_SCALE] == pytest.approx(0.02**2)


def test_pictures_show_the_sum_of_turn_and_aim() -> None:
    """A place that they found says as much of the sum as before, and of the turn alone no more than of the aim."""
    belief = PoseBelief.at(np.array([1.0, 2.0, 0.3]), np.diag([0.25, 1.0, 0.01**2]), OdometryNoise(), 0.05)
    both = belief.covariance[[TURN, AIM]][:, [TURN, AIM]]
    assert belief.turn_rad == 0.3
    assert belief.aim_rad == 0.0
    assert both.sum() == pytest.approx(0.01**2)
    assert np.diag(both) == pytest.approx([0.01**2 + 0.05**2, 0.05**2])


def test_a_measured_place_by_hand() -> None:
    """Variances of 4 and 1: four fifths of the way towards the measurement, and a variance of 0.8."""
    belief = PoseBelief(mean(10.0), np.diag([4.0, 1.0, 0.1, 0.1, 0.1, 0.1]))
    after = belief.located(np.array([15.0, 0.0]), np.eye(2))
    assert after.mean == pytest.approx([14.0, 0, 0, 0, 0, 0])
    assert np.diag(after.covariance) == pytest.approx([0.8, 0.5, 0.1, 0.1, 0.1, 0.1])


def test_a_measured_turn_by_hand() -> None:
    """Turn and aim, each of variance 1, are shown 0.3 too far by a measurement of variance 2: each takes a quarter."""
    belief = PoseBelief(mean(turn=1.0, aim=0.2), np.diag([1.0, 1.0, 1.0, 1.0, 1.0, 1.0]))
    after = belief.turned(1.5, 2.0)
    assert after.mean == pytest.approx([0.0, 0.0, 1.075, 0.0, 0.0, 0.275])
    assert np.diag(after.covariance) == pytest.approx([1.0, 1.0, 0.75, 1.0, 1.0, 0.75])


@given(st.integers(0, 999), st.booleans())
@settings(deadline=None)
def test_a_measurement_as_information(seed: int, of_place: bool) -> None:
    """Inverse covariances add up, and means are weighted by them."""
    rng = np.random.default_rng(seed)
    before = PoseBelief(np.append(rng.normal(size=3) / 3, [0.01, 0.02, 0.03]), random_covariance(seed))
    count = 2 if of_place else 1
    values, root = rng.normal(size=count) / 3, rng.normal(size=(count, count))
    covariance = root @ root.T + 0.1 * np.eye(count)
    observe = np.eye(6)[:2] if of_place else np.array([[0.0, 0.0, 1.0, 0.0, 0.0, 1.0]])
    after = before.located(values, covariance) if of_place else before.turned(float(values[0]), float(covariance[0, 0]))
    information = np.linalg.inv(before.covariance) + observe.T @ np.linalg.inv(covariance) @ observe
    expected = np.linalg.solve(
        information, np.linalg.solve(before.covariance, before.mean) + observe.T @ np.linalg.solve(covariance, values)
    )
    expected[TURN] = (expected[TURN] + pi) % (2 * pi) - pi
    np.testing.assert_allclose(after.covariance, np.linalg.inv(information), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(after.mean, expected, rtol=1e-4, atol=1e-5)


def test_a_measured_turn_is_taken_the_short_way_round() -> None:
    belief = PoseBelief(mean(turn=radians(179)), np.diag([1.0, 1.0, 0.01, 1.0, 1.0, 0.0]))
    assert belief.turned(radians(-177), 0.01).turn_rad == pytest.approx(radians(-179))


def test_the_aim_is_learned_from_where_the_vehicle_goes() -> None:
    """Pictures show a turn that is 2 degrees too far, and the vehicle does not go that way."""
    noise = OdometryNoise(way_share=0.001, yaw_rad=1e-5)
    belief = PoseBelief.at(mean(turn=radians(2))[:3], np.diag([1e-2, 1e-2, 1e-4]), noise, radians(1.5))
    truth = mean()
    for step in range(60):
        before, after = (OdometryPose(float(t), float(t), 0.0, 0.0) for t in (step, step + 1))
        truth = motion_from(truth, before, after, noise).mean
        belief = belief.moved(before, after, noise).located(truth[:2], np.eye(2) * 0.1).turned(radians(2), 1e-3)
    assert belief.aim_rad == pytest.approx(radians(2), abs=radians(0.2))
    assert belief.turn_rad == pytest.approx(0.0, abs=radians(0.2))
    assert belief.covariance[AIM, AIM] ** 0.5 < radians(0.5)


def test_scale_and_drift_are_learned_from_places() -> None:
    """A vehicle that goes 2 % further than its odometry says, on an arc of which that knows nothing."""
    noise = OdometryNoise(scale=0.05, drift_rad_per_m=1e-3, way_share=0.001, yaw_rad=1e-5)
    belief = PoseBelief.at(np.zeros(3), np.diag([1e-4, 1e-4, 1e-6]), noise)
    truth = mean(log_scale=log(1.02), drift=4e-4)
    for step in range(200):
        before, after = (OdometryPose(float(t), float(t), 0.0, 0.0) for t in (step, step + 1))
        truth = motion_from(truth, before, after, noise).mean
        belief = belief.moved(before, after, noise).located(truth[:2], np.eye(2) * 0.01)
    assert exp(belief.mean[LOG_SCALE]) == pytest.approx(1.02, abs=2e-3)
    assert belief.mean[DRIFT] == pytest.approx(4e-4, rel=0.02)
    assert np.linalg.eigvalsh(belief.covariance[:AIM, :AIM]).min() > 0
