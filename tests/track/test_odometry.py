"""Errors of odometry: what is known of them, and errors that are added."""

from __future__ import annotations

from dataclasses import fields
from math import cos, pi, radians, sin

import numpy as np
import pytest

from cvlnet.data.journey import Journey, Moment
from cvlnet.data.odometry import OdometryPose
from cvlnet.geometry import Pose
from cvlnet.track.odometry import OdometryErrors, OdometryNoise, disturbed, with_errors

# 4 m ahead, a bend to the left, 3 m to the left
WAY = (
    OdometryPose(0.0, 1.0, 2.0, 0.0),
    OdometryPose(0.5, 3.0, 2.0, 0.0),
    OdometryPose(1.0, 5.0, 2.0, pi / 2),
    OdometryPose(1.5, 5.0, 5.0, pi / 2),
)


def numbers(poses: tuple[OdometryPose, ...]) -> list[list[float]]:
    return [[pose.time_s, pose.x_m, pose.y_m, pose.yaw_rad] for pose in poses]


def test_no_errors_change_nothing() -> None:
    np.testing.assert_allclose(numbers(disturbed(WAY, OdometryErrors())), numbers(WAY), atol=1e-15)
    assert disturbed((), OdometryErrors(0.1)) == ()


def test_ways_that_are_too_long() -> None:
    found = disturbed(WAY, OdometryErrors(scale=0.1))
    np.testing.assert_allclose(
        numbers(found),
        [[0.0, 1.0, 2.0, 0.0], [0.5, 3.2, 2.0, 0.0], [1.0, 5.4, 2.0, pi / 2], [1.5, 5.4, 5.3, pi / 2]],
    )


def test_a_yaw_that_is_wrong_from_the_start_turns_the_way_about_its_start() -> None:
    found = disturbed(WAY, OdometryErrors(yaw_rad=pi / 2))
    np.testing.assert_allclose(
        numbers(found),
        [[0.0, 1.0, 2.0, pi / 2], [0.5, 1.0, 4.0, pi / 2], [1.0, 1.0, 6.0, pi], [1.5, -2.0, 6.0, pi]],
        atol=1e-12,
    )


def test_a_yaw_that_turns_away_with_the_true_way() -> None:
    """Each step has the turn of its begin; a scale does not make the yaw drift faster."""
    found = disturbed(WAY, OdometryErrors(scale=0.5, drift_rad_per_m=0.1))
    assert [pose.yaw_rad for pose in found] == pytest.approx([0.0, 0.2, 0.4 + pi / 2, 0.7 + pi / 2])
    x_m, y_m = 1.0 + 3.0 + 3.0 * cos(0.2), 2.0 + 3.0 * sin(0.2)
    assert (found[2].x_m, found[2].y_m) == pytest.approx((x_m, y_m))
    assert (found[3].x_m, found[3].y_m) == pytest.approx((x_m - 4.5 * sin(0.4), y_m + 4.5 * cos(0.4)))


def test_errors_are_drawn_with_random_signs_and_given_sizes() -> None:
    drawn = [OdometryErrors.drawn(seed, scale=0.02, drift_deg_per_100_m=2.0, yaw_deg=5.0) for seed in range(40)]
    assert {round(errors.scale, 9) for errors in drawn} == {-0.02, 0.02}
    assert {round(errors.drift_rad_per_m, 9) for errors in drawn} == {
        round(sign * radians(0.02), 9) for sign in (-1, 1)
    }
    yaws = [errors.yaw_rad for errors in drawn]
    assert max(map(abs, yaws)) <= radians(5.0)
    assert min(yaws) < -radians(3.0)
    assert max(yaws) > radians(3.0)
    assert drawn[3] == OdometryErrors.drawn(3, scale=0.02, drift_deg_per_100_m=2.0, yaw_deg=5.0)


def test_a_journey_with_errors_has_all_else_as_it_was() -> None:
    moments = tuple(Moment(7 + i, pose, {2: print} if i else {}) for i, pose in enumerate(WAY))  # type: ignore[dict-item]
    level = Pose.level_from_cam()
    journey = Journey("a", {}, level, lambda: iter(moments))
    found = with_errors(journey, OdometryErrors(scale=0.1))
    for _ in range(2):  # it may be read again
        seen = tuple(found.moments())
        assert [moment.odometry for moment in seen] == list(disturbed(WAY, OdometryErrors(scale=0.1)))
        assert [(moment.index, moment.pictures) for moment in seen] == [(m.index, m.pictures) for m in moments]
    assert (found.name, found.road_from_body) == ("a", level)


@pytest.mark.parametrize(("seconds", "gap_m"), [(0.1, 0.0), (2.0, 0.0), (2.5, 5.0), (12.0, 100.0)])
def test_a_gap_is_what_the_vehicle_may_have_gone_unseen(seconds: float, gap_m: float) -> None:
    noise = OdometryNoise(fastest_m_s=10.0, longest_gap_s=2.0)
    assert noise.gap_m(OdometryPose(5.0, 0.0, 0.0, 0.0), OdometryPose(5.0 + seconds, 9.0, 9.0, 0.0)) == pytest.approx(
        gap_m
    )


@pytest.mark.parametrize("name", [field.name for field in fields(OdometryNoise)])
@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan")])
def test_what_is_no_deviation_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match="standard deviations are finite and not negative"):
        OdometryNoise(**{name: value})
