"""Pictures and odometry by their times."""

from collections.abc import Iterator
from math import pi, radians
from pathlib import Path

import pytest
from recorded import CAMERA

from cvlnet.data.camera_file import camera_file_of
from cvlnet.data.journey import Picture
from cvlnet.data.odometry import OdometryPose
from cvlnet.data.synchronize import OdometryTrack, Pictures, synchronized
from cvlnet.errors import InputError

CAM = camera_file_of(CAMERA, Path("camera.json")).mounted
WAY = tuple(OdometryPose(float(i), 2.0 * i, -1.0 * i, 0.1 * i) for i in range(5))


def pose_at(time_s: float, x_m: float, yaw_rad: float = 0.0) -> OdometryPose:
    return OdometryPose(time_s, x_m, 0.0, yaw_rad)


def no_picture(window):
    raise AssertionError("nobody asks for it")


def pictures(*times_s: float) -> Pictures:
    def taken() -> Iterator[tuple[int, float, Picture]]:
        return ((index, time_s, no_picture) for index, time_s in enumerate(times_s))

    return Pictures("drive.mp4", CAM, taken, min(times_s), max(times_s))


def test_a_pose_in_between_lies_between_its_neighbours() -> None:
    pose = OdometryTrack(WAY).at(1.25)
    assert pose is not None
    assert vars(pose) == pytest.approx({"time_s": 1.25, "x_m": 2.5, "y_m": -1.25, "yaw_rad": 0.125})
    assert OdometryTrack(WAY).at(3.0) == WAY[3]
    assert OdometryTrack(WAY).at(-0.001) is None
    assert OdometryTrack(WAY).at(4.001) is None
    assert OdometryTrack(WAY[:1]).at(0.0) == WAY[0]


def test_the_yaw_goes_the_short_way_round() -> None:
    track = OdometryTrack([pose_at(0.0, 0.0, radians(179)), pose_at(1.0, 1.0, radians(-179))])
    pose = track.at(0.5)
    assert pose is not None
    assert abs(pose.yaw_rad) == pytest.approx(pi)


def test_a_long_gap_has_no_poses() -> None:
    track = OdometryTrack([pose_at(0.0, 0.0), pose_at(2.0, 1.0), pose_at(4.1, 2.0)])
    assert track.at(1.0) is not None
    assert track.at(3.0) is None
    assert track.at(4.1) == pose_at(4.1, 2.0)


def test_moments_are_those_of_the_pictures_with_odometry() -> None:
    journey = synchronized(pictures(-1.0, 0.5, 0.5, 1.0, 0.75, 4.0, 5.0), WAY, "odometry.csv", has_headings=True)
    for _ in range(2):  # every call starts anew
        assert [(moment.index, moment.odometry.time_s) for moment in journey.moments()] == [
            (1, 0.5),
            (3, 1.0),
            (5, 4.0),
        ]


def test_times_that_do_not_overlap_are_refused() -> None:
    told = (
        r"drive.mp4: the pictures' times go from 0 to 1 s, and those of odometry.csv from 1700000000 to 1700000004 s; "
        r"give --time-offset-s, which is added to the pictures' times \(\+1700000000 more if both began together\)"
    )
    late = tuple(OdometryPose(1.7e9 + p.time_s, p.x_m, p.y_m, p.yaw_rad) for p in WAY)
    with pytest.raises(InputError, match=told):
        synchronized(pictures(0.0, 1.0), late, "odometry.csv", has_headings=True)


@pytest.mark.parametrize(("last_s", "warns"), [(8.0, False), (8.1, True)])
def test_an_overlap_of_less_than_half_is_a_warning(
    last_s: float, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    synchronized(pictures(0.0, last_s), WAY, "odometry.csv", has_headings=True)
    assert ["less than half of the pictures have odometry" in message for message in caplog.messages] == [True] * warns


@pytest.mark.parametrize(("spacing_s", "warns"), [(1.0, False), (2.5, True)])
def test_pictures_in_gaps_of_the_odometry_are_told(
    spacing_s: float, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    way = [pose_at(spacing_s * i, float(i)) for i in range(11)]
    journey = synchronized(pictures(*(0.25 * i for i in range(40))), way, "wheels.csv", has_headings=False)
    assert not journey.has_headings
    moments = list(journey.moments())
    told = f"drive.mp4: {40 - len(moments)} of 40 pictures are left out: wheels.csv has gaps of more than 2 s; check"
    assert [message.startswith(told) for message in caplog.messages] == [True] * warns
