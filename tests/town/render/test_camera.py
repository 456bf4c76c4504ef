"""The two views agree on the ground, and with the camera's own projection."""

import cv2
import numpy as np
import numpy.typing as npt
import torch
from handmade import blotched_ground, box, camera, even_light, ground, standing

from cvlnet.geometry import Pose
from cvlnet.grid import Grid
from cvlnet.town.presets import Nuisances
from cvlnet.town.render.camera import present_mesh, render_camera
from cvlnet.town.render.light import drive_light, sun_direction
from cvlnet.town.render.overhead import render_overhead
from cvlnet.town.render.photo import TONES, tone_curve
from cvlnet.town.render.stage import prepare
from cvlnet.town.scene import Mesh, MovingObject, Scene

NOTHING = Mesh.join([])
HIGH_SUN = sun_direction(-1.0, 1.0)


def homography_px(world_from_cam: Pose, grid: Grid) -> npt.NDArray[np.float64]:
    """From pixels of an overhead picture on ``grid`` to pixels of the camera, by the plane z = 0 alone."""
    view = camera()
    k = np.diag([*view.focal_px.tolist(), 1.0])
    k[:2, 2] = view.principal_point_px.numpy()
    cam_from_world = world_from_cam.inverse()
    cam_from_plane = np.stack([*cam_from_world.rotation.numpy().T[:2], cam_from_world.translation_m.numpy()], axis=1)
    west_north_m = grid.xy_m(torch.tensor([-0.5, -0.5], dtype=torch.float64)).numpy()
    plane_from_px = np.array([[grid.cell_m, 0, west_north_m[0]], [0, -grid.cell_m, west_north_m[1]], [0, 0, 1]])
    centres = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # OpenCV counts from pixel centres
    return np.asarray(np.linalg.inv(centres) @ k @ cam_from_plane @ plane_from_px @ centres)


def test_the_overhead_picture_through_the_camera_is_the_frame() -> None:
    scene = Scene(blotched_ground(), NOTHING, NOTHING, NOTHING, NOTHING)
    none, grid = Nuisances.none(), Grid(500, 500, 0.06, (-5.0, 5.0))
    world_from_cam = standing(-12.0, 3.0, 0.3, pitch_rad=0.05)
    picture = render_overhead(scene, grid, none, np.random.default_rng(1))
    stage = prepare([], scene.ground, drive_light(np.random.default_rng(1), 0.0, 0.0, 0.0, 0.0))
    radiance, _ = render_camera(stage, camera(), world_from_cam)
    frame = tone_curve(0.0)[(np.sqrt(np.minimum(radiance, 1)) * (TONES - 1)).astype(int)]
    homography = homography_px(world_from_cam, grid)

    def likeness(right_px: float, down_px: float, rows: slice) -> float:
        shifted = np.array([[1, 0, right_px], [0, 1, down_px], [0, 0, 1]]) @ homography
        warped = cv2.warpPerspective(picture, shifted, (320, 160)).astype(np.float32)
        seen, told = (cv2.GaussianBlur(p[rows, 20:300, 1], (0, 0), 1.0) for p in (frame, warped))
        return float(np.corrcoef(seen.ravel(), told.ravel())[0, 1])

    for rows in (slice(85, 117), slice(117, 160)):
        exact = likeness(0, 0, rows)
        assert exact > 0.97
        shifts = [(x, y) for x in (-0.5, 0, 0.5) for y in (-0.5, 0, 0.5) if (x, y) != (0, 0)]
        assert exact > max(likeness(x, y, rows) for x, y in shifts)


def test_a_pole_stands_where_the_camera_says() -> None:
    pole = box((9.95, 1.95, 0), (10.05, 2.05, 3.0), grey=250)
    stage = prepare([pole], ground(grey=20), even_light(HIGH_SUN))
    world_from_cam = standing(0, 0, 0)
    frame, depth_m = render_camera(stage, camera(), world_from_cam)
    ends = torch.tensor([[9.95, 2.0, 0.0], [9.95, 2.0, 3.0]], dtype=torch.float64)
    (foot, top), _ = camera().project(world_from_cam.inverse().transform(ends))
    rows = np.flatnonzero(np.abs(depth_m[:, int(foot[0])] - 9.95) < 0.01)
    assert abs(rows.max() + 1 - float(foot[1])) <= 1
    assert abs(rows.min() - max(float(top[1]), 0.0)) <= 1
    assert frame[rows, int(foot[0])].mean() > frame[150, 160].mean()


def test_depth_of_the_ground_is_the_plane_s() -> None:
    stage = prepare([], ground(), even_light(HIGH_SUN))
    _, depth_m = render_camera(stage, camera(), standing(-20, 0, 0))
    rows = np.arange(100, 160)
    expected = 1.65 * 0.58 * 320 / (rows + 0.5 - (80 - 7.8))
    np.testing.assert_allclose(depth_m[100:160, 155], expected, rtol=1e-4)
    assert np.isinf(depth_m[10]).all()


def test_moving_things_leave_no_trace() -> None:
    stage = prepare([], ground(), even_light(HIGH_SUN))
    before, _ = render_camera(stage, camera(), standing(-10, 0, 0))
    car = box((-2, -1, 0), (2, 1, 1.5), grey=200)
    with_car, _ = render_camera(stage, camera(), standing(-10, 0, 0), [car, car.moved((3.0, 0.5, 0.0), 0.2)])
    after, _ = render_camera(stage, camera(), standing(-10, 0, 0))
    assert not np.array_equal(before, with_car)
    np.testing.assert_array_equal(before, after)


def test_moving_things_cast_shadows() -> None:
    stage = prepare([], ground(), even_light(sun_direction(np.pi / 2, 0.6)))  # from the left: shadow to the right
    plain, _ = render_camera(stage, camera(), standing(-10, 0, 0))
    shaded, depth_m = render_camera(stage, camera(), standing(-10, 0, 0), [box((-1, 0.5, 0), (1, 2, 2))])
    (pixel,), _ = camera().project(standing(-10, 0, 0).inverse().transform(torch.tensor([[0, -0.5, 0.0]]).double()))
    col, row = (int(v) for v in pixel)
    assert shaded[row, col, 0] < 0.4 * plain[row, col, 0]
    assert abs(depth_m[row, col] - 10) < 0.3


def test_a_moving_object_is_where_its_track_says() -> None:
    thing = MovingObject(
        box((-2, -1, 0), (2, 1, 1.5)),
        np.array([1.0, 2.0]),
        np.array([[0.0, 0.0], [4.0, 2.0]]),
        np.array([3.0, -3.0]),  # the short way round
    )
    height_m = np.array([0.0, 0.2])
    middle = present_mesh(thing, 1.5, height_m)
    assert middle is not None
    np.testing.assert_allclose(middle.xyz_m.reshape(-1, 3).min(0)[2], 0.1, atol=1e-6)
    centre = (middle.xyz_m.reshape(-1, 3).min(0) + middle.xyz_m.reshape(-1, 3).max(0))[:2] / 2
    np.testing.assert_allclose(centre, [2.0, 1.0], atol=1e-5)
    np.testing.assert_allclose(np.ptp(middle.xyz_m[..., 0]), 4.0, atol=0.02)  # turned by half a circle
    assert present_mesh(thing, 0.9, height_m) is None
    assert present_mesh(thing, 2.1, height_m) is None
