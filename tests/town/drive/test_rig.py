"""The calibration files tell the mounting, read by a parser of the test's own."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cvlnet.town.drive.rig import Rig, make_rig, write_calibration

F64 = npt.NDArray[np.float64]


def entries(path: Path) -> dict[str, F64]:
    pairs = [line.split(": ", 1) for line in path.read_text().splitlines()]
    return {key: np.array(values.split(), float) for key, values in pairs if key != "calib_time"}


def rigid(rotation: F64, translation: F64) -> F64:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation.reshape(3, 3), translation
    return matrix


def cam_from_imu(folder: Path, camera: int) -> F64:
    """Rectified camera from unit, as KITTI's development kit describes the chain."""
    imu, velo = entries(folder / "calib_imu_to_velo.txt"), entries(folder / "calib_velo_to_cam.txt")
    cams = entries(folder / "calib_cam_to_cam.txt")
    projection = cams[f"P_rect_{camera:02d}"].reshape(3, 4)
    beside = rigid(np.eye(3), np.linalg.inv(projection[:, :3]) @ projection[:, 3])
    rect = rigid(cams["R_rect_00"], np.zeros(3))
    return np.asarray(beside @ rect @ rigid(velo["R"], velo["T"]) @ rigid(imu["R"], imu["T"]))


@pytest.mark.parametrize(
    "rig", [Rig.kitti(), Rig.kitti(1242, 0.008, -0.006), make_rig(np.random.default_rng(3), 1.0, 1.0)]
)
def test_the_chain_ends_at_the_mounting(rig: Rig, tmp_path: Path) -> None:
    write_calibration(tmp_path, rig)
    for camera in (2, 3):
        found, told = cam_from_imu(tmp_path, camera), rig.body_from_cam(camera).inverse()
        np.testing.assert_allclose(found[:3, :3], told.rotation.numpy(), atol=2e-6)
        np.testing.assert_allclose(found[:3, 3], told.translation_m.numpy(), atol=5e-6)


def test_level_cameras_stand_where_kitti_has_them(tmp_path: Path) -> None:
    write_calibration(tmp_path, Rig.kitti())
    for camera, right_m in ((2, 0.26), (3, 0.80)):
        place = np.linalg.inv(cam_from_imu(tmp_path, camera))[:3, 3]
        np.testing.assert_allclose(place, [1.08, -right_m, 1.65 - 0.93], atol=1e-5)
        ahead = cam_from_imu(tmp_path, camera)[:3, :3] @ [1.0, 0.0, 0.0]
        np.testing.assert_allclose(ahead, [0, 0, 1], atol=1e-5)


def test_pitch_turns_the_nose_down_and_yaw_to_the_left(tmp_path: Path) -> None:
    write_calibration(tmp_path, Rig.kitti(pitch_rad=0.01))
    assert (np.linalg.inv(cam_from_imu(tmp_path, 2))[:3, :3] @ [0, 0, 1.0])[2] == pytest.approx(-0.01, rel=1e-3)
    write_calibration(tmp_path, Rig.kitti(yaw_rad=0.01))
    assert (np.linalg.inv(cam_from_imu(tmp_path, 2))[:3, :3] @ [0, 0, 1.0])[1] == pytest.approx(0.01, rel=1e-3)


def test_all_four_cameras_are_complete_and_sized(tmp_path: Path) -> None:
    write_calibration(tmp_path, Rig.kitti(pitch_rad=0.001, yaw_rad=0.002))
    cams = entries(tmp_path / "calib_cam_to_cam.txt")
    sizes = {"S": 2, "K": 9, "D": 5, "R": 9, "T": 3, "S_rect": 2, "R_rect": 9, "P_rect": 12}
    assert cams.pop("corner_dist").shape == (1,)
    assert {k: v.size for k, v in cams.items()} == {f"{k}_{i:02d}": n for k, n in sizes.items() for i in range(4)}
    np.testing.assert_array_equal(cams["S_rect_02"], [1242, 375])


def test_a_rig_is_askew_by_half_a_degree_at_most_and_level_without_shake() -> None:
    tilts = np.degrees([make_rig(np.random.default_rng(seed), 1.0, 0.0).tilt_rad for seed in range(50)])
    assert 0.3 < np.abs(tilts).max() <= 0.5
    assert make_rig(np.random.default_rng(1), 0.0, 0.0).tilt_rad == (0.0, 0.0, 0.0)


def test_a_rig_without_variety_is_kittis() -> None:
    rig, kitti = make_rig(np.random.default_rng(1), 0.0, 0.0, 621), Rig.kitti(621)
    assert (rig.height_m, rig.camera.width_px, rig.camera.height_px) == (1.65, 621, 188)
    assert rig.camera.focal_px.tolist() == kitti.camera.focal_px.tolist()
    assert rig.camera.principal_point_px.tolist() == kitti.camera.principal_point_px.tolist()


def test_rigs_differ_within_what_is_usual_on_roads() -> None:
    rigs = [make_rig(np.random.default_rng(seed), 1.0, 1.0) for seed in range(200)]
    heights_m, focals_px = np.array([r.height_m for r in rigs]), np.array([float(r.camera.focal_px[0]) for r in rigs])
    assert heights_m.min() >= 1.2
    assert np.ptp(heights_m) > 0.8
    fields_deg = np.degrees(2 * np.arctan(1242 / 2 / focals_px))
    assert 60 < fields_deg.min() < 70
    assert 92 < fields_deg.max() < 100
    shapes = [r.camera.height_px for r in rigs]
    assert 0.35 < np.mean(np.array(shapes) == 375) < 0.65
    assert max(shapes) <= 1242 * 9 / 16
