"""KITTI raw as it lies on disk (http://www.cvlibs.net/datasets/kitti/raw_data.php, synced and rectified).

    ROOT/<date>/calib_cam_to_cam.txt  calib_imu_to_velo.txt  calib_velo_to_cam.txt
    ROOT/<date>/<drive>/oxts/timestamps.txt          one line a frame
    ROOT/<date>/<drive>/oxts/data/<frame>.txt        one line of 30 values, see `Oxts`
    ROOT/<date>/<drive>/image_02/data/<frame>.png    left colour camera; image_03: right

Frame numbers may have holes, and a frame may lack pictures. The picture's size differs between dates. The body frame is
that of the GPS/IMU unit: x forward, y left, z up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from math import radians
from pathlib import Path

import torch

from cvlnet.data.recording import MountedCamera, RecordedFrame, Recording
from cvlnet.data.text import read_text, to_numbers
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.geometry import Camera, Pose

OXTS_VALUES = 30
UNIT_HEIGHT_M = 0.93  # of the GPS/IMU unit above the road, KITTI's setup page
# The unit is mounted with its front down against the road, and the cameras point half a degree up from the unit, so
# that they are level. KITTI's papers do not say so; its measurements do. The measured pitch plus the slope of the way
# (altitude over 10 m of it) has a median of 0.50 degrees on 2011_09_26 (95 % interval 0.43 to 0.57; 36 drives, without
# 0002 and 0009, which the benchmark of real frames uses, and 0005) and of 0.49 on 2011_10_03; on 2011_09_30 it is 0.70,
# and 0.8 to 0.9 on the 550 m that can be used of 2011_09_28 and 29. The frames of 0002, 0005 and 0009 agree: the road
# in pictures taken 0.3 s apart matches best at 0.5 to 0.6 degrees. Half a degree moves the road 20 m ahead by 2 m.
UNIT_PITCH_RAD = radians(0.5)
COLOUR_CAMERAS = (2, 3)
_COPY_AGAIN = "copy or download the drive again"
_GET_KITTI = "download the date's calibration from KITTI's raw data page and unpack it there"


@dataclass(frozen=True)
class Oxts:
    """One measurement of the GPS/IMU unit: what is used here by name, and all 30 values in the file's order.

    roll: positive is left side up; pitch: positive is front down; yaw: 0 is east, counter-clockwise.
    Velocities are parallel to the earth's surface.
    """

    position: LatLon
    altitude_m: float
    roll_rad: float
    pitch_rad: float
    yaw_rad: float
    forward_m_per_s: float
    leftward_m_per_s: float
    values: tuple[float, ...]


@dataclass(frozen=True)
class Calibration:
    """The rectified colour cameras of a date, by number, on the GPS/IMU unit's frame."""

    cameras: Mapping[int, MountedCamera]


def read_oxts_file(path: Path) -> Oxts:
    """Read one oxts file.

    Raises InputError if it is missing or empty, has not 30 values, or holds what is no number or no place on earth.
    """
    fields = read_text(path, remedy="unpack the drive's oxts folder").split()
    if len(fields) != OXTS_VALUES:
        raise InputError(f"holds {len(fields)} of {OXTS_VALUES} values", where=path, remedy=_COPY_AGAIN)
    values = tuple(to_numbers(fields, where=path, remedy=_COPY_AGAIN))
    try:
        position = LatLon(values[0], values[1])
    except ValueError as error:
        raise InputError(str(error), where=path, remedy="the file begins with latitude and longitude") from error
    altitude_m, roll_rad, pitch_rad, yaw_rad = values[2:6]
    forward_m_per_s, leftward_m_per_s = values[8:10]
    return Oxts(position, altitude_m, roll_rad, pitch_rad, yaw_rad, forward_m_per_s, leftward_m_per_s, values)


def read_calibration(date_dir: Path, *, nominal_mounting: bool = False) -> Calibration:
    """Read a date's three calibration files.

    With ``nominal_mounting`` only ``calib_cam_to_cam.txt`` is read, and the cameras stand where KITTI's setup page puts
    them, looking straight ahead. Raises InputError if a file is missing, or lacks an entry.
    """
    cam_to_cam = _CalibrationFile.read(date_dir / "calib_cam_to_cam.txt")
    cameras = {i: _rectified_camera(cam_to_cam, i) for i in COLOUR_CAMERAS}
    if nominal_mounting:
        body_from_cam = nominal_body_from_cam()
    else:
        velo_from_body = _CalibrationFile.read(date_dir / "calib_imu_to_velo.txt").pose()
        cam0_from_velo = _CalibrationFile.read(date_dir / "calib_velo_to_cam.txt").pose()
        rect_from_cam0 = Pose(cam_to_cam.matrix("R_rect_00", 3, 3), torch.zeros(3, dtype=torch.float64))
        rect_from_body = rect_from_cam0 @ cam0_from_velo @ velo_from_body
        body_from_cam = {i: (_cam_from_rect(cam_to_cam, i) @ rect_from_body).inverse() for i in COLOUR_CAMERAS}
    return Calibration({i: MountedCamera(cameras[i], body_from_cam[i]) for i in COLOUR_CAMERAS})


def nominal_body_from_cam() -> dict[int, Pose]:
    """Where KITTI's setup page puts cameras 2 and 3: 1.08 m ahead and 0.26 m right of the unit, 1.65 m above the road.

    The right camera stands a baseline further right.
    """
    baseline_m = 0.54
    cameras_height_m = 1.65
    level = torch.tensor([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]], dtype=torch.float64)
    left = torch.tensor([1.08, -0.26, cameras_height_m - UNIT_HEIGHT_M], dtype=torch.float64)
    right = left - torch.tensor([0.0, baseline_m, 0.0], dtype=torch.float64)
    return {2: Pose(level, left), 3: Pose(level, right)}


def read_drive(
    root_raw: Path,
    date: str,
    drive: str,
    *,
    nominal_mounting: bool = False,
    unit_pitch_rad: float = UNIT_PITCH_RAD,
) -> Recording:
    """List a drive: calibration and oxts are read, pictures only named. ``drive`` is the folder's name.

    nominal_mounting: see `read_calibration`; such cameras are level as they are, without ``unit_pitch_rad``.
    Raises InputError if the drive or its calibration is missing, and as `read_oxts_file` does.
    """
    drive_dir = root_raw / date / drive
    if not drive_dir.is_dir():
        raise InputError("the drive is not there", where=drive_dir, remedy="unpack it there, or correct its name")
    calibration = read_calibration(root_raw / date, nominal_mounting=nominal_mounting)
    oxts_paths = _numbered(drive_dir / "oxts" / "data", ".txt")
    if not oxts_paths:
        raise InputError("no oxts files", where=drive_dir / "oxts" / "data", remedy="unpack the drive's oxts folder")
    times_s = _times_by_frame(drive_dir / "oxts" / "timestamps.txt", sorted(oxts_paths))
    images = {i: _numbered(drive_dir / f"image_{i:02d}" / "data", ".png") for i in COLOUR_CAMERAS}
    frames = []
    for index, path in sorted(oxts_paths.items()):
        oxts = read_oxts_file(path)
        attitude_rad = (oxts.roll_rad, oxts.pitch_rad, oxts.yaw_rad)
        pictures = {i: images[i][index] for i in COLOUR_CAMERAS if index in images[i]}
        frames.append(RecordedFrame(index, times_s[index], oxts.position, *attitude_rad, pictures))
    road_from_body = _road_from_body(0.0 if nominal_mounting else unit_pitch_rad)
    return Recording(f"{date}/{drive}", calibration.cameras, road_from_body, tuple(frames))


def _road_from_body(pitch_rad: float) -> Pose:
    zero = torch.zeros((), dtype=torch.float64)
    return Pose.from_euler(zero, zero + pitch_rad, zero, torch.tensor([0.0, 0.0, UNIT_HEIGHT_M], dtype=torch.float64))


@dataclass(frozen=True)
class _CalibrationFile:
    """Lines ``key: values`` of one calibration file."""

    path: Path
    entries: Mapping[str, str]

    @staticmethod
    def read(path: Path) -> _CalibrationFile:
        text = read_text(path, remedy=_GET_KITTI)
        return _CalibrationFile(path, dict(line.split(":", 1) for line in text.splitlines() if ":" in line))

    def matrix(self, key: str, rows: int, cols: int) -> torch.Tensor:
        if key not in self.entries:
            raise InputError(f"has no entry {key}", where=self.path, remedy=_GET_KITTI)
        values = to_numbers(self.entries[key].split(), where=self.path, remedy=_GET_KITTI)
        if len(values) != rows * cols:
            raise InputError(f"{key} has {len(values)} of {rows * cols} values", where=self.path, remedy=_GET_KITTI)
        return torch.tensor(values, dtype=torch.float64).reshape(rows, cols)

    def pose(self) -> Pose:
        return Pose(self.matrix("R", 3, 3), self.matrix("T", 1, 3)[0])


def _rectified_camera(cam_to_cam: _CalibrationFile, camera_id: int) -> Camera:
    width_px, height_px = cam_to_cam.matrix(f"S_rect_{camera_id:02d}", 1, 2)[0].tolist()
    return Camera.from_matrix(cam_to_cam.matrix(f"P_rect_{camera_id:02d}", 3, 4)[:, :3], int(width_px), int(height_px))


def _cam_from_rect(cam_to_cam: _CalibrationFile, camera_id: int) -> Pose:
    """From the rectified frame of camera 0: ``P_rect = K [I | t]``, so that its fourth column tells t."""
    projection = cam_to_cam.matrix(f"P_rect_{camera_id:02d}", 3, 4)
    translation_m = torch.linalg.solve(projection[:, :3], projection[:, 3])
    return Pose(torch.eye(3, dtype=torch.float64), translation_m)


def _times_by_frame(path: Path, indices: list[int]) -> dict[int, float]:
    """Seconds since 1970 (UTC) of each frame.

    Line i tells of frame i; where there are too few for that but as many as frames, of the i-th frame.
    """
    lines = read_text(path, remedy="unpack the drive's oxts folder").split("\n")
    lines = [line for line in lines if line.strip()]
    if len(lines) > indices[-1]:
        return {index: _seconds(lines[index], where=path) for index in indices}
    if len(lines) == len(indices):
        return {index: _seconds(line, where=path) for index, line in zip(indices, lines, strict=True)}
    raise InputError(
        f"holds {len(lines)} times, the last frame is number {indices[-1]}",
        where=path,
        remedy=_COPY_AGAIN,
    )


def _seconds(stamp: str, where: Path) -> float:
    whole, _, fraction = stamp.strip().partition(".")
    try:
        moment = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
        return moment.timestamp() + float(f"0.{fraction or 0}")
    except ValueError as error:
        raise InputError(
            f"{stamp.strip()!r} is no time", where=where, remedy="write times as 2011-09-26 13:02:44.335092332"
        ) from error


def _numbered(folder: Path, suffix: str) -> dict[int, Path]:
    """Files named by a frame number; none if the folder is not there."""
    if not folder.is_dir():
        return {}
    return {int(path.stem): path for path in folder.iterdir() if path.suffix == suffix and path.stem.isdecimal()}
