"""The smoother gives what all measurements together give; before a stretch the odometry leads back."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import log, pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvlnet.arrays import F64
from cvlnet.data.odometry import OdometryPose
from cvlnet.track.odometry import OdometryNoise
from cvlnet.track.pose_filter import TURN, PoseBelief, motion_from
from cvlnet.track.smoother import Followed, smoothed

NOISE = OdometryNoise(scale=0.05, drift_rad_per_m=0.002, way_share=0.1, yaw_rad=0.01)


def poses(count: int, *, step_m: float = 2.0) -> list[OdometryPose]:
    return [OdometryPose(float(i), step_m * i, 0.0, 0.0) for i in range(count)]


def filtered(
    start: PoseBelief, odometry: list[OdometryPose], measured: list[F64 | None], noise: OdometryNoise = NOISE
) -> list[PoseBelief]:
    """The Kalman filter of places with a variance of a quarter."""
    found = [start]
    for before, after in pairwise(odometry):
        found.append(found[-1].moved(before, after, noise))
        values = measured[len(found) - 1]
        if values is not None:
            found[-1] = found[-1].located(values, np.eye(2) * 0.25)
    return found


def test_it_is_the_least_squares_solution_of_everything() -> None:
    """A straight way east whose doubts do not change the linearization: motions and places in one system."""
    noise = replace(NOISE, yaw_rad=0.0)
    odometry = poses(5)
    start = PoseBelief(np.zeros(6), np.diag([1.0, 1.0, 1e-10, 1e-10, 1e-12, 1e-10]))
    offsets = np.array([[0.0, 0.0], [0.4, -0.3], [0.1, 0.5], [0.7, 0.6], [0.9, 0.2]])
    measured = [None, *(np.array([2.0 * i, 0.0]) + offsets[i] for i in range(1, 5))]
    beliefs = filtered(start, odometry, measured, noise)
    found = smoothed([Followed(o, b, 1) for o, b in zip(odometry, beliefs, strict=True)], noise)
    # unknown: how far the vehicle is from the odometry's place at each moment, for each axis alone
    step_variance = NOISE.way_share**2 * 2.0
    information, target = np.zeros((5, 5)), np.zeros((5, 2))
    information[0, 0] += 1 / 1.0
    for i in range(4):
        row = np.zeros(5)
        row[i], row[i + 1] = -1, 1
        information += np.outer(row, row) / step_variance
    for i in range(1, 5):
        information[i, i] += 1 / 0.25
        target[i] += offsets[i] / 0.25
    covariance = np.linalg.inv(information)
    expected = covariance @ target
    for i, belief in enumerate(found):
        assert belief is not None
        assert belief.mean[:2] - [2.0 * i, 0.0] == pytest.approx(expected[i], abs=1e-4)
        np.testing.assert_allclose(belief.covariance[:2, :2], np.eye(2) * covariance[i, i], atol=1e-4)


def test_later_places_tell_the_turn_and_the_scale_of_the_beginning() -> None:
    odometry = poses(40)
    start = PoseBelief.at(np.array([0.0, 0.0, 0.0]), np.diag([0.25, 0.25, 0.1**2]), NOISE)
    measured: list[F64 | None] = [
        np.array([1.03 * 2 * i * np.cos(0.08), 1.03 * 2 * i * np.sin(0.08)]) for i in range(40)
    ]
    beliefs = filtered(start, odometry, measured)
    found = smoothed([Followed(o, b, 1) for o, b in zip(odometry, beliefs, strict=True)], NOISE)
    first = found[0]
    assert first is not None
    assert first.turn_rad == pytest.approx(0.08, abs=0.02)
    assert first.mean[3] == pytest.approx(log(1.03), abs=0.01)
    assert first.covariance[TURN, TURN] < beliefs[0].covariance[TURN, TURN] / 5
    np.testing.assert_array_equal(found[-1].mean, beliefs[-1].mean)  # type: ignore[union-attr]
    for after, before in zip(found, beliefs, strict=True):
        assert after is not None
        assert np.trace(after.covariance[:2, :2]) <= np.trace(before.covariance[:2, :2]) + 1e-9
        assert np.linalg.eigvalsh(after.covariance).min() > -1e-12


@given(st.floats(-pi, pi), st.floats(-0.1, 0.1), st.floats(-0.01, 0.01), st.floats(-5, 5), st.floats(-5, 5))
@settings(deadline=None, max_examples=40)
def test_the_way_back_undoes_the_motion(turn: float, scale: float, drift: float, dx_m: float, dy_m: float) -> None:
    before, after = OdometryPose(0.0, 7.0, 8.0, 0.1), OdometryPose(0.5, 7.0 + dx_m, 8.0 + dy_m, 0.2)
    truth = np.array([3.0, -2.0, turn, scale, drift, 0.02])
    exact = OdometryNoise(0.0, 0.0, 0.0, 0.0)
    motion = motion_from(truth, before, after, exact)
    covariance = np.diag([1.0, 2.0, 0.01, 1e-4, 1e-6, 1e-4])
    behind = PoseBelief(motion.mean, motion.change @ covariance @ motion.change.T)
    first, _ = smoothed([Followed(before, None, None), Followed(after, behind, 1)], exact)
    assert first is not None
    apart = first.mean - truth
    apart[TURN] = (apart[TURN] + pi) % (2 * pi) - pi
    assert apart == pytest.approx(np.zeros(6), abs=1e-9)
    np.testing.assert_allclose(first.covariance, covariance, atol=1e-9)


def test_the_way_back_adds_its_doubt() -> None:
    odometry = poses(2)
    behind = PoseBelief(np.array([2.0, 0.0, 0.0, 0.0, 0.0, 0.0]), np.diag([0.5, 0.5, 0.0, 0.0, 0.0, 0.0]))
    first, last = smoothed([Followed(odometry[0], None, None), Followed(odometry[1], behind, 1)], NOISE)
    assert last is behind
    assert first is not None
    assert first.mean == pytest.approx(np.zeros(6))
    grown = NOISE.way_share**2 * 2
    assert first.covariance[0, 0] == pytest.approx(0.5 + grown)
    assert first.covariance[1, 1] == pytest.approx(0.5 + grown + 2.0**2 * NOISE.yaw_rad**2 * 2)


def test_a_stretch_ends_where_nothing_was_tracked() -> None:
    """What lies between two stretches is led back from the later one; the earlier one knows nothing of that."""
    odometry = poses(4)
    here = PoseBelief(np.zeros(6), np.eye(6) * 0.1)
    there = PoseBelief(np.array([100.0, 0.0, 0.0, 0.0, 0.0, 0.0]), np.eye(6) * 0.1)
    moments = [
        Followed(odometry[0], here, 1),
        Followed(odometry[1], None, None),
        Followed(odometry[2], there, 2),
        Followed(odometry[3], there.moved(odometry[2], odometry[3], NOISE), 2),
    ]
    found = smoothed(moments, NOISE)
    assert found[0] is here
    assert found[1] is not None
    assert found[1].xy_m == pytest.approx((98.0, 0.0))
    assert found[2] is not None
    assert found[2].mean == pytest.approx(there.mean)


def test_stretches_without_a_moment_between_them_are_kept_apart() -> None:
    odometry = poses(2)
    here = PoseBelief(np.zeros(6), np.eye(6) * 0.1)
    there = PoseBelief(np.array([100.0, 0.0, 0.0, 0.0, 0.0, 0.0]), np.eye(6) * 0.1)
    found = smoothed([Followed(odometry[0], here, 1), Followed(odometry[1], there, 2)], NOISE)
    assert found == (here, there)


def test_where_the_place_is_too_vague_it_is_not_told() -> None:
    """Each step back adds a doubt of 20 m: after the sixth it is 49 m, after the seventh 53 m."""
    noise = OdometryNoise(0.0, 0.0, 10.0, 0.0)
    odometry = poses(10, step_m=4.0)
    moments = [*(Followed(pose, None, None) for pose in odometry[:-1])]
    moments.append(Followed(odometry[-1], PoseBelief(np.array([36.0, 0, 0, 0, 0, 0]), np.eye(6) * 1e-8), 1))
    found = smoothed(moments, noise)
    assert [belief is not None for belief in found] == [False] * 3 + [True] * 7


def test_a_drive_that_was_never_tracked() -> None:
    assert smoothed([Followed(pose, None, None) for pose in poses(3)], NOISE) == (None, None, None)
    assert smoothed([], NOISE) == ()


def test_turns_across_half_a_turn() -> None:
    odometry = poses(3)
    start = PoseBelief(np.array([0.0, 0.0, pi - 0.01, 0.0, 0.0, 0.0]), np.diag([0.1, 0.1, 0.01, 1e-6, 1e-9, 1e-9]))
    beliefs = [start]
    for before, after in pairwise(odometry):
        moved = beliefs[-1].moved(before, after, NOISE)
        beliefs.append(moved.turned(-pi + 0.03, 0.001))
    found = smoothed([Followed(o, b, 1) for o, b in zip(odometry, beliefs, strict=True)], NOISE)
    for belief in found:
        assert belief is not None
        assert abs(belief.turn_rad) > pi - 0.05
        assert abs(belief.turn_rad) <= pi
