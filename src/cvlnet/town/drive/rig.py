"""The camera rig, and its calibration files in KITTI's format.

The default is KITTI's car (setup page of the raw data); other rigs vary it. The transforms in the files, imu -> velo ->
cam 0 -> rectified cam 2 or 3, compose exactly to the mounting.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from cvlnet.geometry import Camera, Pose
from cvlnet.io.outputs import write_text

WIDTH_PX, HEIGHT_PX = 1242, 375
FOCAL_PX = 721.5377
CENTER_PX = (609.5593, 172.854)  # counted from pixel centres, as in the files
BODY_HEIGHT_M = 0.93  # of the GPS/IMU unit above the road
CAMERA_HEIGHT_M = 1.65  # above the road
CAMERA_2_M = (1.08, -0.26)  # forward and left of the unit
BASELINE_M = 0.54  # from camera 2 to camera 3
CAMERA_2_BESIDE_0_M = 0.06  # camera 2 is to the left of camera 0
BASELINE_GREY_M = 0.537  # from camera 0 to camera 1
MOUNTING_TILT_DEG = 0.5  # largest pitch and yaw of the cameras on KITTI's car
OTHER_TILT_DEG = np.array([0.8, 2.5, 1.5])  # largest additional roll, pitch and yaw on another car
LOWEST_M, HIGHEST_M = 1.2, 2.6  # camera heights of other cars above the road
NARROWEST, WIDEST = 1.4, 0.75  # focal lengths, as multiples of KITTI's
TALLEST = 9 / 16  # largest ratio of a picture's height to its width
VELO_M = (0.81, -0.32, 0.8)  # the laser scanner: forward, left and up from the unit
RECTIFYING_RAD = (0.0043, -0.0074, -0.0098)  # rotation that rectifies camera 0


@dataclass(frozen=True)
class Rig:
    """The cameras of a town's car.

    tilt_rad: the cameras' common roll (left side up), pitch (front down) and yaw (to the left) relative to the body.
    height_m: of the cameras above the road. camera: the pinhole model of all rectified pictures.
    """

    tilt_rad: tuple[float, float, float]
    height_m: float
    camera: Camera

    @staticmethod
    def kitti(width_px: int = WIDTH_PX, pitch_rad: float = 0.0, yaw_rad: float = 0.0) -> Rig:
        """KITTI's car, optionally with pictures of another width or with tilted cameras."""
        camera = _pinhole(FOCAL_PX, CENTER_PX, HEIGHT_PX).resize(width_px, round(HEIGHT_PX * width_px / WIDTH_PX))
        return Rig((0.0, pitch_rad, yaw_rad), CAMERA_HEIGHT_M, camera)

    def body_from_cam(self, camera_id: int) -> Pose:
        """Pose of camera 2 or 3 in the body frame, whose origin is the GPS/IMU unit."""
        roll, pitch, yaw = torch.tensor(self.tilt_rad, dtype=torch.float64)
        place_m = torch.tensor([*CAMERA_2_M, self.height_m - BODY_HEIGHT_M], dtype=torch.float64)
        beside = torch.tensor([BASELINE_M if camera_id == 3 else 0.0, 0, 0], dtype=torch.float64)
        identity = torch.eye(3, dtype=torch.float64)
        tilt = Pose.from_euler(roll, pitch, yaw, place_m)
        return tilt @ Pose.level_from_cam() @ Pose(identity, beside)


def make_rig(rng: np.random.Generator, askew: float, variety: float, width_px: int = WIDTH_PX) -> Rig:
    """Draw a rig. askew: largest tilt in half degrees; variety: how much the rig differs from KITTI's."""
    tilt_rad = np.radians(np.append(0.0, rng.uniform(-1, 1, 2) * MOUNTING_TILT_DEG * askew))
    tilt_rad += np.radians(rng.uniform(-1, 1, 3) * OTHER_TILT_DEG * variety)
    height_m = float(np.clip(CAMERA_HEIGHT_M + variety * rng.uniform(-0.35, 0.75), LOWEST_M, HIGHEST_M))
    focal_px = FOCAL_PX * float(np.clip(np.exp(0.16 * variety * rng.normal()), WIDEST, NARROWEST))
    shape = HEIGHT_PX / WIDTH_PX
    tall = max(0.0, rng.uniform(-1.0, 1.0)) * min(variety, 1.0)  # half of the rigs keep KITTI's aspect ratio
    height_px = round(WIDTH_PX * (shape + tall * (TALLEST - shape)))
    center_px = np.array(CENTER_PX) * [1.0, height_px / HEIGHT_PX] + 0.01 * WIDTH_PX * variety * rng.normal(0, 1, 2)
    camera = _pinhole(focal_px, (float(center_px[0]), float(center_px[1])), height_px)
    roll, pitch, yaw = tilt_rad.tolist()
    return Rig((roll, pitch, yaw), height_m, camera.resize(width_px, round(height_px * width_px / WIDTH_PX)))


def _pinhole(focal_px: float, center_px: tuple[float, float], height_px: int) -> Camera:
    """A camera of KITTI's width. center_px: measured from pixel centres, as in the files."""
    focal = torch.tensor([focal_px, focal_px], dtype=torch.float64)
    return Camera(focal, torch.tensor(center_px, dtype=torch.float64) + 0.5, WIDTH_PX, height_px)


def write_calibration(date_dir: Path, rig: Rig) -> None:
    """Write the files calib_cam_to_cam.txt, calib_imu_to_velo.txt and calib_velo_to_cam.txt of a date."""
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


def _cameras(rectifying: Float64[np.ndarray, "3 3"], camera: Camera) -> str:
    """Text of calib_cam_to_cam.txt: four cameras without distortion, displaced along one baseline."""
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


def _line(name: str, values: Float64[np.ndarray, " ..."]) -> str:
    return f"{name}: " + " ".join(f"{value:e}" for value in values.ravel()) + "\n"
