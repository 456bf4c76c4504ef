"""A camera by CameraInfo and transforms; bags of both ROS versions are tested in test_bag.py."""

from __future__ import annotations

import array
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from recorded import HEIGHT_PX, WIDTH_PX, Messages
from scipy.spatial.transform import Rotation

from cvlnet.config import MeasuredMounting
from cvlnet.data.ros_camera import (
    body_from,
    calibration_of,
    frame_name,
    mounting_of,
    require_upward,
    transforms_of,
)
from cvlnet.errors import InputError

OPTICAL = (-0.5, 0.5, -0.5, 0.5)  # of a camera that looks ahead


class Slotted:
    """A message of rclpy has its fields as properties over slots, and no dictionary of them."""

    __slots__ = ("binning_x", "binning_y", "d", "distortion_model", "height", "k", "p", "roi", "width")

    def __init__(self, message: Any) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(message, name))
        self.d = array.array("d", message.d)


def info(d: Sequence[float] = (0.1, 0.0, 0.0, 0.0, 0.0)) -> Any:
    messages = Messages(is_1=False)
    messages.info(d, p=[50, 0, 30, 0, 0, 51, 20, 0, 0, 0, 1, 0])
    return messages.stamped[0][2]


def transforms(*steps: tuple[str, str, Sequence[float], Sequence[float]]) -> list[Any]:
    messages = Messages(is_1=False)
    for parent, child, xyz_m, xyzw in steps:
        messages.transform(parent, child, xyz_m, xyzw)
    return [message for _, _, message in messages.stamped]


def test_a_calibration_of_either_library() -> None:
    found = calibration_of(Slotted(info()), "/cam/image_raw", "/cam/camera_info")
    assert found == calibration_of(info(), "/cam/image_raw", "/cam/camera_info")
    assert (found.width_px, found.height_px, found.focal_px) == (WIDTH_PX, HEIGHT_PX, (60.0, 60.0))
    assert (found.model, found.coefficients) == ("opencv", (0.1, 0.0, 0.0, 0.0, 0.0))


def test_rectified_topics_have_the_projection() -> None:
    found = calibration_of(Slotted(info()), "/cam/image_rect", "/cam/camera_info")
    assert (found.focal_px, found.principal_point_px, found.model) == ((50.0, 51.0), (30.0, 20.0), None)


def test_a_mounting_by_a_chain_of_transforms() -> None:
    up = ("base_footprint", "base_link", (0, 0, 0.4), (0, 0, 0, 1))
    messages = transforms(up, ("base_link", "/optical", (1.5, 0.2, 1.1), OPTICAL))
    found = mounting_of(transforms_of(messages, "/tf_static"), "optical", None, None, "/tf_static")
    assert found.height_m == pytest.approx(1.5)
    assert (found.forward_m, found.left_m) == pytest.approx((1.5, 0.2))
    assert (found.roll_deg, found.pitch_deg, found.yaw_deg) == pytest.approx((0, 0, 0), abs=1e-9)


def test_frames_may_be_connected_from_either_side() -> None:
    """Some robots have base_footprint, or base_link itself, below other frames than the camera's."""
    down = ("base_link", "base_footprint", (0.5, 0, -0.4), (0, 0, 0, 1))
    messages = transforms(down, ("base_link", "optical", (1.5, 0.2, 1.1), OPTICAL))
    found = mounting_of(transforms_of(messages, "/tf_static"), "optical", None, None, "/tf_static")
    assert (found.height_m, found.forward_m, found.left_m) == pytest.approx((1.5, 1.0, 0.2))
    beside = ("chassis", "base_link", (0, 0, 0.3), (0, 0, 0, 1)), ("chassis", "imu", (2.0, 0, 0.5), (0, 0, 0, 1))
    imu = body_from(transforms_of(transforms(*beside), "/tf_static"), "imu")
    assert imu is not None
    assert imu.translation_m.tolist() == pytest.approx([2.0, 0, 0.2])


def test_what_is_given_replaces_the_transforms() -> None:
    messages = transforms(("base_link", "optical", (1.5, 0.2, 1.1), OPTICAL))
    found = mounting_of(transforms_of(messages, "/tf_static"), "optical", 1.7, 2.0, "/tf_static")
    assert (found.height_m, found.pitch_deg, found.forward_m) == (1.7, 2.0, pytest.approx(1.5))
    assert mounting_of(transforms_of([], "/tf_static"), "optical", 1.7, None, "/tf_static") == MeasuredMounting(
        1.7, 0.0
    )


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([], "no static transforms lead from base_link to the camera (optical)"),
        (
            [("mast", "optical", (0, 0, 1), OPTICAL)],
            "no static transforms lead from base_link to the camera (optical), only",
        ),
        ([("base_link", "optical", (0, 0, 1), OPTICAL)], "does not say how high base_link is above the road"),
        ([("base_link", "optical", (0, 0, 1), (0, 0, 0, 1))], "optical is not mounted like a camera"),
        ([("base_link", "optical", (0, 0, 1), (0, 0, 0, 0))], "the transform from base_link to optical is none"),
        ([("base_link", "optical", (np.nan, 0, 1), OPTICAL)], "the transform from base_link to optical is none"),
    ],
)
def test_a_mounting_that_is_none(steps: Any, says: str) -> None:
    with pytest.raises(InputError) as caught:
        mounting_of(transforms_of(transforms(*steps), "/tf_static"), "optical", None, None, "/tf_static")
    assert str(caught.value).startswith(f"/tf_static: {says}")


def test_names_of_frames() -> None:
    assert (frame_name("/optical"), frame_name("optical")) == ("optical", "optical")


def tilted(pitch_deg: float) -> tuple[float, ...]:
    return tuple(Rotation.from_euler("y", pitch_deg, degrees=True).as_quat().tolist())


@pytest.mark.parametrize("robot", ["", "robot/"])
def test_the_attitude_is_that_over_the_road(robot: str) -> None:
    """A vehicle that rests with its front 3 degrees lower, and a camera 2 m ahead and 1 m up."""
    steps = (
        (f"{robot}base_footprint", f"{robot}base_link", (0, 0, 0.4), tilted(3.0)),
        (f"{robot}base_link", "optical", (2.0, 0.0, 1.0), OPTICAL),
    )
    found = mounting_of(transforms_of(transforms(*steps), "/tf_static"), "optical", None, None, "/tf_static")
    assert (found.pitch_deg, found.yaw_deg) == pytest.approx((3.0, 0.0), abs=1e-9)
    turned_m = Rotation.from_euler("y", 3.0, degrees=True).apply([2.0, 0.0, 1.0])
    assert (found.forward_m, found.height_m) == pytest.approx((turned_m[0], 0.4 + turned_m[2]))


def test_without_transforms_a_camera_looks_straight_ahead(caplog: pytest.LogCaptureFixture) -> None:
    none = transforms_of([], "/tf_static")
    assert mounting_of(none, "optical", 1.7, None, "/tf_static") == MeasuredMounting(1.7, 0.0)
    assert "it is taken to look straight ahead and level from above the vehicle's origin" in caplog.messages[0]
    elsewhere = transforms_of(transforms(("mast", "optical", (0, 0, 1), OPTICAL)), "/tf_static")
    with pytest.raises(InputError, match="only from mast"):
        mounting_of(elsewhere, "optical", 1.7, None, "/tf_static")
    assert mounting_of(elsewhere, "optical", 1.7, 2.0, "/tf_static") == MeasuredMounting(1.7, 2.0)


def test_frames_of_the_vehicle() -> None:
    """An IMU 3 m ahead that looks to the left, and a frame below which base_link is mounted."""
    left = (0.0, 0.0, 0.5**0.5, 0.5**0.5)
    steps = ("base_link", "imu", (3, 0, 0), left), ("chassis", "base_link", (0, 1, 0), (0, 0, 0, 1))
    known = transforms_of(transforms(*steps), "/tf_static")
    for name in ("base_link", "robot/base_link", "base_footprint"):
        pose = body_from(known, name)
        assert pose is not None
        assert pose.translation_m.tolist() == [0, 0, 0]
    imu, chassis = body_from(known, "imu"), body_from(known, "chassis")
    assert imu is not None
    assert chassis is not None
    assert imu.translation_m.tolist() == [3, 0, 0]
    assert imu.rotation[:, 0].tolist() == pytest.approx([0, 1, 0])
    assert chassis.translation_m.tolist() == [0, -1, 0]
    assert body_from(known, "lidar") is None


@pytest.mark.parametrize("frames", [("odom_ned", "base_link"), ("odom", "base_link_frd")])
def test_axes_that_point_down_are_refused(frames: tuple[str, str]) -> None:
    require_upward(("odom", "base_link"), "/odom")
    with pytest.raises(InputError, match="points down; publish odometry with x ahead, y left and z up"):
        require_upward(frames, "/odom")
