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


def test_a_pose_turns_and_then_moves() -> None:
    """A vehicle at (10, 20, 1) that heads north: 2 m ahead of it and 1 m to its left."""
    world_from_body = pose((0.0, 0.0, pi / 2, 10.0, 20.0, 1.0))
    xyz_m = world_from_body.transform(torch.tensor([[2.0, 1.0, 0.5]], dtype=torch.float64))
    assert torch.allclose(xyz_m, torch.tensor([[9.0, 22.0, 1.5]], dtype=torch.float64))


def test_points_of_many_poses_and_cameras_at_once() -> None:
    """[2 clips, 3 frames] of 4 points each are what each pose and camera alone makes of them."""
    generator = torch.Generator().manual_seed(0)

    def rand(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    poses = Pose.from_euler(rand(2, 3), rand(2, 3), rand(2, 3), rand(2, 3, 3))
    cameras = Camera(20 + rand(2, 3, 2), 10 + rand(2, 3, 2), 32, 24)
    xyz_m, depth_m = rand(2, 3, 4, 3) + 0.2, rand(2, 3, 4) + 1
    moved, (xy_px, seen) = poses.transform(xyz_m), cameras.project(xyz_m)
    rays = cameras.unproject(xy_px, depth_m)
    for clip in range(2):
        of_clip, camera_of_clip = poses[clip], cameras[clip : clip + 1]
        for frame in range(3):
            alone = of_clip[frame]
            camera = Camera(camera_of_clip.focal_px[0, frame], camera_of_clip.principal_point_px[0, frame], 32, 24)
            assert torch.allclose(moved[clip, frame], alone.transform(xyz_m[clip, frame]))
            pixels, inside = camera.project(xyz_m[clip, frame])
            assert torch.allclose(xy_px[clip, frame], pixels)
            assert torch.equal(seen[clip, frame], inside)
            assert torch.allclose(rays[clip, frame], camera.unproject(pixels, depth_m[clip, frame]))
            assert torch.allclose(rays[clip, frame, :, 2], depth_m[clip, frame])


def test_a_pixel_s_ray_by_hand() -> None:
    camera = Camera(torch.tensor([20.0, 40.0]), torch.tensor([30.0, 10.0]), 64, 32)
    xyz_m = camera.unproject(torch.tensor([[50.0, 30.0]]), torch.tensor([4.0]))
    assert xyz_m.tolist() == [[4.0, 2.0, 4.0]]
    assert camera.project(xyz_m)[0].tolist() == [[50.0, 30.0]]


def test_the_edge_of_the_image_is_inside() -> None:
    camera = Camera(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.0]), 64, 32)
    xy = [(0.0, 0.0), (64.0, 32.0), (-0.01, 5.0), (5.0, -0.01), (64.01, 5.0), (5.0, 32.01)]
    _, seen = camera.project(torch.tensor([[x, y, 1.0] for x, y in xy]))
    assert seen.tolist() == [True, True, False, False, False, False]


def test_what_is_nearer_than_a_millimetre_is_not_in_front() -> None:
    camera = Camera(torch.tensor([1.0, 1.0]), torch.tensor([5.0, 5.0]), 10, 10)
    _, seen = camera.project(torch.tensor([[0.0, 0.0, z] for z in (0.0011, 0.0009, 0.0, -1.0)]))
    assert seen.tolist() == [True, False, False, False]


def test_poses_and_cameras_change_their_precision_as_a_whole() -> None:
    camera = Camera(torch.ones(2), torch.ones(2), 4, 4).to(torch.float64)
    assert (camera.focal_px.dtype, camera.principal_point_px.dtype) == (torch.float64, torch.float64)
    whole = Pose.identity().to(torch.float32)
    assert (whole.rotation.dtype, whole.translation_m.dtype) == (torch.float32, torch.float32)


def test_the_camera_of_a_calibration_shares_no_memory_with_it() -> None:
    k = torch.tensor([[700.0, 0.0, 600.0], [0.0, 710.0, 170.0], [0.0, 0.0, 1.0]])
    camera = Camera.from_matrix(k, 1242, 375)
    k.zero_()
    assert camera.focal_px.tolist() == [700.0, 710.0]
    assert camera.principal_point_px.tolist() == [600.5, 170.5]


def test_a_level_camera_looks_along_x_with_its_right_to_minus_y() -> None:
    level = Pose.level_from_cam()
    assert level.rotation.T.tolist() == [[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]
    assert level.translation_m.tolist() == [0.0, 0.0, 0.0]
