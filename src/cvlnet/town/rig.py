"""The car: where its cameras stand, and the calibration files that say so in KITTI's format.

Figures of the mounting are KITTI's (setup page of the raw data); the chain in the files is imu -> velo -> cam 0 ->
rectified cam 2 or 3 and ends at exactly this mounting.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import radians
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from cvlnet.geometry import Camera, Pose
from cvlnet.town.files import write_text

F64 = npt.NDArray[np.float64]

WIDTH_PX, HEIGHT_PX = 1242, 375
FOCAL_PX = 721.5377
CENTER_PX = (609.5593, 172.854)  # counted from pixel centres, as in the files
BODY_HEIGHT_M = 0.93  # of the GPS/IMU unit above the road
CAMERA_2_M = (1.08, -0.26, 1.65 - BODY_HEIGHT_M)  # ahead, left and up of the unit
BASELINE_M = 0.54  # from camera 2 to camera 3
CAMERA_2_BESIDE_0_M = 0.06  # camera 2 stands to the left of camera 0
BASELINE_GREY_M = 0.537  # from camera 0 to camera 1
MOUNTING_TILT_DEG = 0.5  # largest pitch and yaw of the cameras on the car
VELO_M = (0.81, -0.32, 0.8)  # the laser scanner, ahead, left and up of the unit
RECTIFYING_RAD = (0.0043, -0.0074, -0.0098)  # camera 0's own small rotation before rectification


@dataclass(frozen=True)
class Rig:
    """One town's car. The cameras' common pitch (nose down) and yaw (to the left) on the body, and their width."""

    pitch_rad: float
    yaw_rad: float
    width_px: int = WIDTH_PX

    @property
    def camera(self) -> Camera:
        """The pinhole camera of all rectified pictures: KITTI's, or the same at another width."""
        focal = torch.tensor([FOCAL_PX, FOCAL_PX], dtype=torch.float64)
        center = torch.tensor(CENTER_PX, dtype=torch.float64) + 0.5
        height_px = round(HEIGHT_PX * self.width_px / WIDTH_PX)
        return Camera(focal, center, WIDTH_PX, HEIGHT_PX).resize(self.width_px, height_px)

    def body_from_cam(self, camera_id: int) -> Pose:
        """Pose of camera 2 or 3 on the body, whose origin is the GPS/IMU unit."""
        zero = torch.zeros((), dtype=torch.float64)
        tilt = Pose.from_euler(
            zero, zero + self.pitch_rad, zero + self.yaw_rad, torch.tensor(CAMERA_2_M, dtype=torch.float64)
        )
        axes = torch.tensor([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], dtype=torch.float64)
        beside = torch.tensor([BASELINE_M if camera_id == 3 else 0.0, 0, 0], dtype=torch.float64)
        identity = torch.eye(3, dtype=torch.float64)
        return tilt @ Pose(axes, torch.zeros(3, dtype=torch.float64)) @ Pose(identity, beside)


def make_rig(rng: np.random.Generator, strength: float, width_px: int = WIDTH_PX) -> Rig:
    """A car whose cameras are a little askew, by up to half a degree times ``strength``."""
    pitch_rad, yaw_rad = (float(v) for v in rng.uniform(-1, 1, 2) * radians(MOUNTING_TILT_DEG) * strength)
    return Rig(pitch_rad, yaw_rad, width_px)


def write_calibration(date_dir: Path, rig: Rig) -> None:
    """Write calib_cam_to_cam.txt, calib_imu_to_velo.txt and calib_velo_to_cam.txt of one date, whole or not at all."""
    roll, pitch, yaw = (torch.tensor(v, dtype=torch.float64) for v in RECTIFYING_RAD)
    rect = Pose.from_euler(roll, pitch, yaw, torch.zeros(3, dtype=torch.float64))
    velo_from_imu = Pose(torch.eye(3, dtype=torch.float64), -torch.tensor(VELO_M, dtype=torch.float64))
    beside = Pose(torch.eye(3, dtype=torch.float64), torch.tensor([-CAMERA_2_BESIDE_0_M, 0, 0], dtype=torch.float64))
    rect_from_imu = beside @ rig.body_from_cam(2).inverse()
    cam_from_velo = rect.inverse() @ rect_from_imu @ velo_from_imu.inverse()
    write_text(date_dir / "calib_imu_to_velo.txt", _motion(velo_from_imu))
    focus = "delta_f: 0.000000e+00 0.000000e+00\ndelta_c: 0.000000e+00 0.000000e+00\n"
    write_text(date_dir / "calib_velo_to_cam.txt", _motion(cam_from_velo) + focus)
    write_text(date_dir / "calib_cam_to_cam.txt", _cameras(rect.rotation.numpy(), rig.camera))


_CALIBRATED = "calib_time: 26-Sep-2011 12:00:00\n"


def _motion(pose: Pose) -> str:
    return _CALIBRATED + _line("R", pose.rotation.numpy()) + _line("T", pose.translation_m.numpy())


def _cameras(rectifying: F64, camera: Camera) -> str:
    """The text of calib_cam_to_cam.txt: four cameras without distortion that differ by their place on one line."""
    (focal_x, focal_y), (x, y) = camera.focal_px.tolist(), (camera.principal_point_px - 0.5).tolist()
    k = np.array([[focal_x, 0, x], [0, focal_y, y], [0, 0, 1]])
    places_m = (0.0, BASELINE_GREY_M, -CAMERA_2_BESIDE_0_M, BASELINE_M - CAMERA_2_BESIDE_0_M)
    text = _CALIBRATED + "corner_dist: 9.950000e-02\n"
    size = np.array([camera.width_px, camera.height_px], np.float64)
    for number, right_m in enumerate(places_m):
        unrectified = rectifying.T @ np.array([-right_m, 0.0, 0.0])
        projection = np.concatenate([k, [[-focal_x * right_m], [0.0], [0.0]]], axis=1)
        fields = {
            "S": size,
            "K": k,
            "D": np.zeros(5),
            "R": np.eye(3),
            "T": unrectified,
            "S_rect": size,
            "R_rect": rectifying,
            "P_rect": projection,
        }
        text += "".join(_line(f"{name}_{number:02d}", values) for name, values in fields.items())
    return text


def _line(name: str, values: F64) -> str:
    return f"{name}: " + " ".join(f"{value:e}" for value in values.ravel()) + "\n"
