from math import pi

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cvlnet.geometry import Camera, Pose

angles = st.floats(-pi, pi)
lengths = st.floats(-100, 100)
numbers = st.tuples(angles, st.floats(-1.5, 1.5), angles, lengths, lengths, lengths)


def pose(numbers: tuple[float, ...]) -> Pose:
    roll, pitch, yaw, *xyz = torch.tensor(numbers, dtype=torch.float64)
    return Pose.from_euler(roll, pitch, yaw, torch.stack(xyz))


def same(a: Pose, b: Pose) -> bool:
    return torch.allclose(a.rotation, b.rotation, atol=1e-9) and torch.allclose(
        a.translation_m, b.translation_m, atol=1e-6
    )


poses = st.builds(pose, numbers)
forward, left = (
    torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64),
    torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64),
)


@given(poses, poses, poses)
def test_poses_form_a_group(a: Pose, b: Pose, c: Pose) -> None:
    assert same((a @ b) @ c, a @ (b @ c))
    assert same(a @ a.inverse(), Pose.identity())
    assert same(a.inverse() @ a, Pose.identity())
    assert same(a @ Pose.identity(), a)


@given(poses, poses, st.tuples(lengths, lengths, lengths))
def test_a_product_moves_points_one_pose_after_the_other(a: Pose, b: Pose, point: tuple[float, float, float]) -> None:
    xyz_m = torch.tensor([point], dtype=torch.float64)
    assert torch.allclose((a @ b).transform(xyz_m), a.transform(b.transform(xyz_m)), atol=1e-6)


@given(angles)
def test_yaw_is_counter_clockwise_from_x(yaw: float) -> None:
    zero = torch.zeros((), dtype=torch.float64)
    turned = Pose.from_euler(zero, zero, zero + yaw, torch.zeros(3, dtype=torch.float64))
    assert torch.allclose(turned.yaw_rad().cos(), (zero + yaw).cos(), atol=1e-12)
    assert torch.allclose(turned.yaw_rad().sin(), (zero + yaw).sin(), atol=1e-12)


def test_euler_angles_turn_as_oxts_says() -> None:
    nose_down = pose((0.0, 0.1, 0.0, 0.0, 0.0, 0.0)).transform(forward)[0]
    left_up = pose((0.1, 0.0, 0.0, 0.0, 0.0, 0.0)).transform(left)[0]
    to_north = pose((0.0, 0.0, pi / 2, 0.0, 0.0, 0.0)).transform(forward)[0]
    assert nose_down[2] < 0
    assert left_up[2] > 0
    assert torch.allclose(to_north, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64), atol=1e-12)


def test_poses_are_batched_over_leading_dimensions() -> None:
    a, b = pose((0.1, 0.2, 0.3, 1.0, 2.0, 3.0)), pose((0.3, 0.2, 0.1, 3.0, 2.0, 1.0))
    stacked = Pose.stack([a, b])
    assert same(stacked[1], b)
    assert same((a @ stacked)[1], a @ b)
    assert same(stacked.inverse()[0], a.inverse())
    assert stacked.to(torch.float32).rotation.dtype == torch.float32


cameras = st.builds(
    lambda f, g, x, y: Camera(torch.tensor([f, g]).double(), torch.tensor([x, y]).double(), 64, 32),
    st.floats(10, 100),
    st.floats(10, 100),
    st.floats(0, 64),
    st.floats(0, 32),
)
pixels = st.tuples(st.floats(0.01, 63.99), st.floats(0.01, 31.99))


@given(cameras, pixels, st.floats(0.1, 100))
def test_project_undoes_unproject(camera: Camera, pixel: tuple[float, float], depth: float) -> None:
    xy_px = torch.tensor([pixel], dtype=torch.float64)
    again, seen = camera.project(camera.unproject(xy_px, torch.tensor([depth], dtype=torch.float64)))
    assert torch.allclose(again, xy_px, atol=1e-8)
    assert seen.all()


@given(cameras, pixels, st.integers(1, 200), st.integers(1, 200))
def test_resize_and_crop_move_pixels_as_the_picture_does(
    camera: Camera, pixel: tuple[float, float], width: int, height: int
) -> None:
    point = camera.unproject(torch.tensor([pixel], dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    resized, _ = camera.resize(width, height).project(point)
    cropped, _ = camera.crop(5.5, 3.0, 20, 10).project(point)
    assert torch.allclose(resized[0], torch.tensor([pixel[0] * width / 64, pixel[1] * height / 32]).double(), atol=1e-6)
    assert torch.allclose(cropped[0], torch.tensor([pixel[0] - 5.5, pixel[1] - 3.0]).double(), atol=1e-6)


def test_what_is_behind_or_beside_is_not_seen_and_stays_finite() -> None:
    camera = Camera(torch.tensor([20.0, 20.0]), torch.tensor([32.0, 16.0]), 64, 32)
    points = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [0.0, 0.0, 0.0], [9.0, 0.0, 1.0], [0.0, 9.0, 1.0]])
    xy_px, seen = camera.project(points)
    assert seen.tolist() == [True, False, False, False, False]
    assert xy_px.isfinite().all()


def test_a_matrix_that_counts_from_pixel_centres_is_shifted_by_half_a_pixel() -> None:
    matrix = torch.tensor([[700.0, 0.0, 600.0], [0.0, 710.0, 170.0], [0.0, 0.0, 1.0]])
    camera = Camera.from_matrix(matrix, 1242, 375)
    assert camera.focal_px.tolist() == [700.0, 710.0]
    assert camera.principal_point_px.tolist() == [600.5, 170.5]


def test_cameras_of_two_sizes_do_not_stack() -> None:
    camera = Camera(torch.tensor([20.0, 20.0]), torch.tensor([32.0, 16.0]), 64, 32)
    assert Camera.stack([camera, camera]).focal_px.shape == (2, 2)
    with pytest.raises(ValueError, match="share an image size"):
        Camera.stack([camera, camera.resize(32, 16)])
    with pytest.raises(ValueError, match="at least one pixel"):
        camera.resize(0, 16)
