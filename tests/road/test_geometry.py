from math import pi

import numpy as np
import pytest
import torch

from cvlnet.geometry import Camera, Pose
from cvlnet.road.geometry import Motion, Mounting, mapped, matrix, rays, road_homography
from road_pictures import CAMERA, TRUE


def test_a_mounting_and_its_pose_say_the_same() -> None:
    again = Mounting.of(TRUE.road_from_cam)
    np.testing.assert_allclose(list(vars(again).values()), list(vars(TRUE).values()), atol=1e-12)
    torch.testing.assert_close(Mounting(0.0, 0.0, 0.0, 1.5).road_from_cam.rotation, Pose.level_from_cam().rotation)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((0.0, 0.0, 0.0), (2.0, 1.0, 0.5), (2, 1, 0.5)),
        ((5.0, 5.0, pi / 2), (4.0, 7.0, pi / 2), (2, 1, 0)),
        ((0.0, 0.0, 3.1), (0.0, 0.0, -3.1), (0, 0, 2 * pi - 6.2)),
    ],
)
def test_motion_is_seen_from_the_first_pose(
    before: tuple[float, float, float], after: tuple[float, float, float], expected: tuple[float, float, float]
) -> None:
    motion = Motion.between(before, after)
    np.testing.assert_allclose((motion.forward_m, motion.left_m, motion.turn_rad), expected, atol=1e-12)


def test_pixels_are_counted_from_the_centre() -> None:
    assert matrix(CAMERA)[0, 2] == 239.5
    np.testing.assert_allclose(rays(matrix(CAMERA), np.array([[239.5, 89.5], [539.5, 89.5]])), [[0, 0, 1], [1, 0, 1]])


def test_homography_takes_the_road_from_picture_to_picture() -> None:
    road_m = np.array([[8.0, 1.0, 0.0], [12.0, -2.0, 0.0], [20.0, 3.0, 0.0]])
    motion = Motion(2.0, 0.3, 0.1)
    body = Pose.from_euler(*torch.tensor([0.0, 0.0, 0.1], dtype=torch.float64), torch.tensor([2.0, 0.3, 0.0]).double())
    seen = [_seen(CAMERA, pose @ TRUE.road_from_cam, road_m) for pose in (Pose.identity(), body)]
    np.testing.assert_allclose(mapped(road_homography(matrix(CAMERA), TRUE, motion), seen[0]), seen[1], atol=1e-9)


def _seen(camera: Camera, road_from_cam: Pose, road_m: np.ndarray) -> np.ndarray:
    xy_px, inside = camera.project(road_from_cam.inverse().transform(torch.from_numpy(road_m)))
    assert inside.all()
    return xy_px.numpy() - 0.5
