"""Odometry of a recorded drive shows its motion, and nothing of where on earth that was."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, radians
from pathlib import Path

import numpy as np
import pytest
from recorded import CAMERA

from cvlnet.data.camera_file import camera_file_of
from cvlnet.data.odometry import OdometryPose, begins_at_zero, odometry_of, wrapped_rad
from cvlnet.data.recording import RecordedFrame, Recording
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.geometry import Pose

WAY_M = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.5], [2.5, 1.5], [2.5, 3.0]])


def recording(origin: LatLon, way_m: np.ndarray = WAY_M, *, jumps: Sequence[int] = ()) -> Recording:
    """Frames numbered from 3, a tenth of a second apart."""
    frames = tuple(
        RecordedFrame(3 + i, 0.1 * i, LatLon(*place), 0.01, 0.02, 0.3 * i, {})
        for i, place in enumerate(LocalFrame(origin).latlon_deg(way_m).tolist())
    )
    return Recording("drive", {}, Pose.level_from_cam(), frames, dict.fromkeys(jumps, 50.0))


def xy_m(poses: tuple[OdometryPose, ...]) -> list[list[float]]:
    return [[pose.x_m, pose.y_m] for pose in poses]


@pytest.mark.parametrize(
    "origin", [LatLon(49.0, 8.4), LatLon(-33.9, 151.2), LatLon(0.0, 180.0), LatLon(70.0, -179.99999)]
)
def test_the_same_motion_gives_the_same_poses_anywhere_on_earth(origin: LatLon) -> None:
    poses = odometry_of(recording(origin))
    np.testing.assert_allclose(xy_m(poses), WAY_M, atol=1e-5)
    assert [pose.yaw_rad for pose in poses] == pytest.approx([0.3 * i for i in range(5)])
    assert [pose.time_s for pose in poses] == pytest.approx([0.1 * i for i in range(5)])


def test_a_drive_begins_at_zero_wherever_that_is() -> None:
    np.testing.assert_allclose(
        xy_m(odometry_of(recording(LatLon(49.0, 8.4), WAY_M + np.array([300.0, -200.0])))), WAY_M, atol=1e-3
    )


def test_a_jump_of_the_positions_is_no_motion() -> None:
    jumped = WAY_M + np.array([[0.0, 0.0]] * 2 + [[40.0, 30.0]] * 3)
    poses = odometry_of(recording(LatLon(49.0, 8.4), jumped, jumps=[5]))
    expected = WAY_M - np.array([[0.0, 0.0]] * 2 + [[1.0, 0.5]] * 3)  # the step from frame 4 to frame 5 is not known
    np.testing.assert_allclose(xy_m(poses), expected, atol=1e-4)


def test_a_drive_of_no_frames() -> None:
    assert odometry_of(Recording("drive", {}, Pose.level_from_cam(), ())) == ()


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_poses_have_finite_numbers(number: int, value: float) -> None:
    numbers = [1.0, 2.0, 3.0, 0.5]
    OdometryPose(*numbers)
    numbers[number] = value
    with pytest.raises(ValueError, match="a pose has finite numbers"):
        OdometryPose(*numbers)


def test_the_way_between_poses_is_straight() -> None:
    assert OdometryPose(0.0, 1.0, 2.0, 0.0).way_m(OdometryPose(9.0, 4.0, -2.0, 1.0)) == 5.0


@pytest.mark.parametrize(
    ("angle", "expected"), [(0.1, 0.1), (pi + 0.1, -pi + 0.1), (-pi - 0.1, pi - 0.1), (7 * pi + 0.2, -pi + 0.2)]
)
def test_an_angle_is_wrapped(angle: float, expected: float) -> None:
    assert wrapped_rad(angle) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("yaw_deg", "expected"),
    [(0.0, True), (1.5, True), (-1.5, True), (3.0, False), (-30.0, True), (30.0, False), (330.0, True)],
)
def test_what_begins_at_zero(yaw_deg: float, expected: bool) -> None:
    """A camera looks 30 degrees to the left: the vehicle's yaw is -30 degrees where its own is 0."""
    camera = camera_file_of({**CAMERA, "yaw_deg": 30.0, "pitch_deg": 5.0}, Path("camera.json")).mounted
    assert begins_at_zero(radians(yaw_deg), [camera]) == expected
    assert begins_at_zero(radians(yaw_deg)) == (abs(yaw_deg) < 2)
