"""Bags of ROS 1 and 2 and MCAP, read back by rosbags and by evo."""

from math import isnan, radians

import numpy as np
import pytest
from drives import COVARIANCE, NOON, NOON_S, TRACKED, drive
from evo.tools.file_interface import read_bag_trajectory
from rosbags.highlevel import AnyReader
from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag2 import Reader as Reader2

from cvlnet.geo import LatLon
from cvlnet.track.formats import write_trajectory

DRIVE = drive()
STARTED = 4  # fixes from this one on have a smooth pose


@pytest.fixture(params=[".bag", ".mcap", ".rosbag2"])
def path(request, tmp_path):
    path = tmp_path / f"drive{request.param}"
    write_trajectory(DRIVE, path, start=NOON)
    return path


def messages(path, topic):
    with AnyReader([path]) as bag:
        connections = [connection for connection in bag.connections if connection.topic == topic]
        return [(stamp, bag.deserialize(raw, kind.msgtype)) for kind, stamp, raw in bag.messages(connections)]


def seconds(message):
    return message.header.stamp.sec - NOON_S + message.header.stamp.nanosec / 1e9


def test_every_fix_is_a_nav_sat_fix(path):
    found = messages(path, "/fix")
    assert [seconds(message) for _, message in found] == [fix.time_s for fix in DRIVE.fixes]
    assert [stamp for stamp, _ in found] == [(NOON_S * 2 + number) * 500_000_000 for number in range(len(DRIVE.fixes))]
    assert [number for number, (_, message) in enumerate(found) if message.status.status == 0] == list(TRACKED)
    assert {message.status.status for _, message in found} == {-1, 0}
    for number, ((_, message), fix) in enumerate(zip(found, DRIVE.fixes, strict=True)):
        assert message.header.frame_id == "base_link"
        assert isnan(message.altitude)
        if fix.position is None:
            assert isnan(message.latitude)
            assert isnan(message.longitude)
            assert message.position_covariance_type == message.COVARIANCE_TYPE_UNKNOWN
            assert (message.position_covariance == 0).all()
            continue
        assert (message.latitude, message.longitude) == fix.position.degrees
        assert message.position_covariance_type == message.COVARIANCE_TYPE_KNOWN
        k = 1 + number
        expected = [1.0 * k, 0.2 * k, 0, 0.2 * k, 2.25 * k, 0, 0, 0, 1e6]  # east, north, up: row by row
        assert message.position_covariance.tolist() == pytest.approx(expected)


def test_tracked_poses_lie_in_the_map(path):
    found = messages(path, "/pose")
    assert [seconds(message) for _, message in found] == [number / 2 for number in TRACKED]
    for number, (_, message) in zip(TRACKED, found, strict=True):
        assert message.header.frame_id == "map"
        place, rotation = message.pose.pose.position, message.pose.pose.orientation
        assert (place.x, place.y, place.z) == pytest.approx((3.0 * (number - 3), 4.0 * (number - 3), 0.0), abs=1e-4)
        half_rad = radians(50 + number) / 2
        assert (rotation.x, rotation.y) == (0, 0)
        assert (rotation.z, rotation.w) == pytest.approx((np.sin(half_rad), np.cos(half_rad)), abs=1e-5)
        expected = np.zeros((6, 6))
        for i, row in zip((0, 1, 5), COVARIANCE * (1 + number), strict=True):
            expected[i, 0], expected[i, 1], expected[i, 5] = row
        np.testing.assert_allclose(message.pose.covariance.reshape(6, 6), expected)


def test_smooth_poses_lie_in_the_same_frame(path):
    found = messages(path, "/smooth_pose")
    assert len(found) == len(DRIVE.fixes) - STARTED
    for number, (_, message) in enumerate(found, STARTED):
        assert message.header.frame_id == "map"
        place = message.pose.position
        assert (place.x, place.y) == pytest.approx((3.0 * (number - 3), 4.0 * (number - 3) + 0.5), abs=1e-4)
        assert message.pose.orientation.z == pytest.approx(np.sin(radians(49 + number) / 2), abs=1e-5)


def test_the_origin_of_the_map_and_the_credit_are_told_once(path):
    ((_, origin),) = messages(path, "/map_origin")
    assert (origin.latitude, origin.longitude) == DRIVE.fixes[3].position.degrees
    assert origin.header.frame_id == "map"
    ((_, credit),) = messages(path, "/credit")
    assert credit.data == 'Bilder: © "LGL" & <Ämter>, 2023'


@pytest.mark.parametrize(("topic", "count"), [("/pose", len(TRACKED)), ("/smooth_pose", 9)])
def test_evo_reads_the_poses(path, topic, count):
    with (Reader1 if path.suffix == ".bag" else Reader2)(path) as bag:
        found = read_bag_trajectory(bag, topic)
    assert found.check()[0]
    assert found.num_poses == count
    assert found.path_length == pytest.approx(5.0 * (9 if topic == "/pose" else 8), abs=1e-4)
    assert found.timestamps[0] == NOON_S + (1.5 if topic == "/pose" else 2.0)


def test_times_keep_their_nanoseconds(tmp_path):
    write_trajectory(DRIVE, tmp_path / "drive.mcap")
    assert [stamp for stamp, _ in messages(tmp_path / "drive.mcap", "/fix")][:2] == [0, 500_000_000]


def test_poses_go_on_across_the_antimeridian(tmp_path):
    write_trajectory(drive(LatLon(10.0, 179.9999)), tmp_path / "drive.bag")
    found = [message.pose.pose.position for _, message in messages(tmp_path / "drive.bag", "/pose")]
    assert [place.x for place in found] == pytest.approx([3.0 * (number - 3) for number in TRACKED], abs=1e-3)
