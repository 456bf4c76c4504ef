from itertools import pairwise
from math import degrees, hypot

import numpy as np

from cvlnet.data.odometry import OdometryPose, wrapped_rad
from cvlnet.data.visual_odometry import visual_odometry
from road_pictures import CAMERA, TRUE, off, picture, way


def run(poses: list[OdometryPose], **wrong: float) -> list[OdometryPose]:
    pictures = ((pose.time_s, picture(pose)) for pose in poses)
    return list(visual_odometry(pictures, CAMERA, off(TRUE, **wrong).road_from_cam))


def test_a_bend_is_found_in_metres() -> None:
    poses = way(11)
    found = run(poses)
    assert [pose.time_s for pose in found] == [pose.time_s for pose in poses]
    assert found[0] == OdometryPose(0.0, 0.0, 0.0, 0.0)
    way_m = [a.way_m(b) for a, b in pairwise(found)]
    np.testing.assert_allclose(way_m, 1.1, rtol=0.06)
    assert abs(sum(way_m) - 11.0) < 0.2
    assert abs(degrees(wrapped_rad(found[-1].yaw_rad - 0.1))) < 0.4
    end = poses[-1]
    assert abs(hypot(found[-1].x_m, found[-1].y_m) - hypot(end.x_m - 5.0, end.y_m + 3.0)) < 0.2
    assert found[-1].y_m > 0.2  # to the left


def test_a_sharp_bend_is_turned_the_right_way() -> None:
    found = run(way(4, turn_rad=-0.09))
    turns = [wrapped_rad(after.yaw_rad - before.yaw_rad) for before, after in pairwise(found)]
    np.testing.assert_allclose(turns, -0.09, atol=0.01)
    assert found[-1].y_m < -0.2


def test_the_way_has_the_scale_of_the_height() -> None:
    poses = way(5, turn_rad=0.0)
    right, high = run(poses)[-1], run(poses, height_m=0.16)[-1]
    assert 1.05 < high.x_m / right.x_m < 1.15


def test_a_vehicle_that_stands_does_not_move() -> None:
    still = [OdometryPose(0.1 * i, 5.0, -3.0, 0.3) for i in range(4)]
    assert [(pose.x_m, pose.y_m, pose.yaw_rad) for pose in run(still)] == [(0.0, 0.0, 0.0)] * 4


def test_a_black_picture_does_not_end_the_way() -> None:
    poses = way(7, turn_rad=0.0)
    pictures = [(pose.time_s, picture(pose)) for pose in poses]
    pictures[4] = (poses[4].time_s, np.zeros_like(pictures[4][1]))
    found = list(visual_odometry(pictures, CAMERA, TRUE.road_from_cam))
    assert abs(found[-1].x_m - 6.6) < 0.4


def test_nothing_and_one_picture() -> None:
    assert run([]) == []
    assert run(way(1)) == [OdometryPose(0.0, 0.0, 0.0, 0.0)]
