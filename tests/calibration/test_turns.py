from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from math import cos, pi, sin

import pytest

from cvlnet.arrays import Rgb
from cvlnet.calibration.turns import TurnDoubt, turn_doubt
from cvlnet.data.images import pixels
from cvlnet.data.journey import Journey, Moment
from cvlnet.data.odometry import OdometryPose
from cvlnet.data.recording import MountedCamera
from cvlnet.errors import InputError
from cvlnet.geometry import Pose
from cvlnet.image_spec import Window
from road_pictures import CAMERA, TRUE, picture

STEP_S = 0.2


@cache
def drive(count: int = 120) -> tuple[OdometryPose, ...]:
    """A bend to the left and one to the right, on a way of 8 m/s."""
    poses, x_m, y_m, yaw_rad = [], 0.0, 0.0, 0.3
    for i in range(count):
        poses.append(OdometryPose(STEP_S * i, x_m, y_m, yaw_rad))
        yaw_rad += 0.06 if 30 <= i < 50 else -0.05 if 70 <= i < 90 else 0.0
        x_m, y_m = x_m + 8 * STEP_S * cos(yaw_rad), y_m + 8 * STEP_S * sin(yaw_rad)
    return tuple(poses)


@cache
def seen(at: int, roll_rad: float = 0.0) -> Rgb:
    return picture(drive()[at], replace(TRUE, roll_rad=roll_rad))


def journey(
    late: int = 0, sign: float = 1.0, roll_rad: float = 0.0, yaw_rad: float = 0.0, focal_scale: float = 1.0
) -> Journey:
    """Whose odometry is that of so many moments before the pictures."""
    poses = drive()

    def moments() -> Iterator[Moment]:
        for i in range(late, len(poses)):
            pose = replace(poses[i - late], time_s=poses[i].time_s)
            shown = seen(i, roll_rad)
            yield Moment(i, replace(pose, yaw_rad=sign * pose.yaw_rad), {2: lambda w, shown=shown: pixels(w, shown)})

    mounting = replace(TRUE, roll_rad=roll_rad, yaw_rad=yaw_rad)
    mounted = MountedCamera(replace(CAMERA, focal_px=CAMERA.focal_px / focal_scale), mounting.road_from_cam)
    return Journey("drive", {2: mounted}, Pose.identity(), moments)


def test_pictures_and_odometry_of_one_clock_are_not_doubted() -> None:
    assert turn_doubt(journey(), 2) is None


def test_an_offset_of_the_clocks_is_found() -> None:
    doubt = turn_doubt(journey(late=5), 2)
    assert doubt is not None
    assert abs(doubt.offset_s - 1.0) < 0.1
    assert str(doubt).startswith("the pictures show each bend 1.0 s earlier")
    assert doubt.remedy.startswith("add +1.0 s to the pictures' times")


def test_damaged_pictures_are_left_out() -> None:
    def damaged(_: Window) -> Rgb:
        raise InputError("is not a whole picture", where="0.png", remedy="copy it again")

    whole = journey(late=5)

    def moments() -> Iterator[Moment]:
        for moment in whole.moments():
            yield replace(moment, pictures={2: damaged}) if moment.index % 7 == 0 else moment

    doubt = turn_doubt(replace(whole, moments=moments), 2)
    assert doubt is not None
    assert abs(doubt.offset_s - 1.0) < 0.1


def test_turns_with_the_wrong_sign_are_found() -> None:
    assert turn_doubt(journey(sign=-1.0), 2) == TurnDoubt(mirrored=True)


@pytest.mark.parametrize(("scale", "told"), [(1.5, "% more than"), (0.7, "% less than")])
def test_a_focal_length_of_other_pictures_is_found(scale: float, told: str) -> None:
    doubt = turn_doubt(journey(focal_scale=scale), 2)
    assert doubt is not None
    assert doubt.focal_scale == pytest.approx(scale, rel=0.12)
    assert told in str(doubt)
    assert "check that the focal length is that of these pictures" in doubt.remedy


def test_a_camera_upside_down_turns_as_the_vehicle_does() -> None:
    assert turn_doubt(journey(roll_rad=pi), 2) is None


def test_a_camera_that_looks_aside_says_nothing() -> None:
    assert turn_doubt(journey(late=5, yaw_rad=pi / 2), 2) is None


@pytest.mark.parametrize("count", [1, 18])
def test_a_drive_that_hardly_turns_says_nothing(count: int) -> None:
    whole = journey(late=5)
    short = replace(whole, moments=lambda: iter(list(whole.moments())[:count]))
    assert turn_doubt(short, 2) is None
