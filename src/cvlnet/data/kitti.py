"""KITTI raw as it lies on disk (http://www.cvlibs.net/datasets/kitti/raw_data.php, synced and rectified).

    ROOT/<date>/calib_cam_to_cam.txt  calib_imu_to_velo.txt  calib_velo_to_cam.txt
    ROOT/<date>/<drive>/oxts/timestamps.txt          one line a frame
    ROOT/<date>/<drive>/oxts/data/<frame>.txt        one line of 30 values, see `Oxts`
    ROOT/<date>/<drive>/image_02/data/<frame>.png    left colour camera; image_03: right

Frame numbers may have holes, and a frame may lack pictures. The picture's size differs between dates. The body frame is
that of the GPS/IMU unit: x forward, y left, z up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import degrees, isfinite, radians
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from cvlnet.arrays import Series
from cvlnet.data.heading import Reading, contradiction
from cvlnet.data.plausibility import elapsed_s
from cvlnet.data.recording import MountedCamera, RecordedFrame, Recording
from cvlnet.data.screening import Rows, Screened, screen, without_fix
from cvlnet.errors import InputError, warn
from cvlnet.geo import LatLon, LocalFrame, earth_centred_m
from cvlnet.geometry import Camera, Pose
from cvlnet.io.listing import PICTURES, files_in
from cvlnet.io.text import measured, read_text, to_numbers

OXTS_VALUES = 30
FRAME_S = 0.1  # the unit and the cameras measure ten times a second
UNIT_HEIGHT_M = 0.93  # of the GPS/IMU unit above the road, KITTI's setup page
# The unit is mounted with its front down against the road, and the cameras point half a degree up from the unit, so
# that they are level. KITTI's papers do not say so; its measurements do. The measured pitch plus the slope of the way
# (altitude over 10 m of it) has a median of 0.50 degrees on 2011_09_26 (95 % interval 0.43 to 0.57; 36 drives, without
# 0002 and 0009, which the benchmark of real frames uses, and 0005) and of 0.49 on 2011_10_03; on 2011_09_30 it is 0.70,
# and 0.8 to 0.9 on the 550 m that can be used of 2011_09_28 and 29. The frames of 0002, 0005 and 0009 agree: the road
# in pictures taken 0.3 s apart matches best at 0.5 to 0.6 degrees. Half a degree moves the road 20 m ahead by 2 m.
UNIT_PITCH_RAD = radians(0.5)
COLOUR_CAMERAS = (2, 3)
FARTHEST_M = 30.0  # of a camera from the unit
_MOSTLY = 0.8  # cosine of an angle: about that axis
_ROUNDED = 0.01  # files round rotations
_COPY_AGAIN = "copy or download the drive again"
_GET_KITTI = "download the date's calibration from KITTI's raw data page and unpack it there"


@dataclass(frozen=True)
class Oxts:
    """One measurement of the GPS/IMU unit: the values that are used by name, and all 30 in the file's order.

    position: None where the unit had no fix (0, 0, or no number; the heading may be none, too).
    roll: positive is left side up; pitch: positive is front down; yaw: 0 is east, counter-clockwise.
    Velocities are parallel to the earth's surface.
    """

    position: LatLon | None
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

    Values may be nan, which the unit writes for what it has not measured.
    Raises InputError if the file is missing or empty, has not 30 values, or holds words or no place on earth.
    """
    fields = read_text(path, remedy="unpack the drive's oxts folder").split()
    if len(fields) != OXTS_VALUES:
        raise InputError(f"holds {len(fields)} of {OXTS_VALUES} values", where=path, remedy=_COPY_AGAIN)
    values = tuple(measured(field, repr(field), path, _COPY_AGAIN) for field in fields)
    try:
        position = None if without_fix(np.array(values[:2])) else LatLon(values[0], values[1])
    except ValueError as error:
        raise InputError(str(error), where=path, remedy="the file begins with latitude and longitude") from error
    altitude_m, roll_rad, pitch_rad, yaw_rad = values[2:6]
    forward_m_per_s, leftward_m_per_s = values[8:10]
    return Oxts(position, altitude_m, roll_rad, pitch_rad, yaw_rad, forward_m_per_s, leftward_m_per_s, values)


def read_calibration(date_dir: Path, *, nominal_mounting: bool = False) -> Calibration:
    """Read a date's three calibration files.

    With ``nominal_mounting`` only ``calib_cam_to_cam.txt`` is read, and the cameras stand where KITTI's setup page puts
    them, looking straight ahead.
    Raises InputError if a file is missing, lacks an entry or holds no rotation, or if the chain ends at no camera.
    """
    cam_to_cam = CalibrationFile.read(date_dir / "calib_cam_to_cam.txt")
    cameras = {i: _rectified_camera(cam_to_cam, i) for i in COLOUR_CAMERAS}
    if nominal_mounting:
        body_from_cam = nominal_body_from_cam()
    else:
        velo_from_body = CalibrationFile.read(date_dir / "calib_imu_to_velo.txt").pose()
        cam0_from_velo = CalibrationFile.read(date_dir / "calib_velo_to_cam.txt").pose()
        rect_from_cam0 = Pose(cam_to_cam.rotation("R_rect_00"), torch.zeros(3, dtype=torch.float64))
        rect_from_body = rect_from_cam0 @ cam0_from_velo @ velo_from_body
        body_from_cam = {i: (_cam_from_rect(cam_to_cam, i) @ rect_from_body).inverse() for i in COLOUR_CAMERAS}
        _require_upright(body_from_cam[COLOUR_CAMERAS[0]], date_dir)
    remedy = "put the date's own calibration beside its drives, or the rectified (synced) pictures"
    return Calibration({i: MountedCamera(cameras[i], body_from_cam[i], if_size_differs=remedy) for i in COLOUR_CAMERAS})


def _require_upright(body_from_cam: Pose, date_dir: Path) -> None:
    """Whether a camera looks ahead, and stands on the vehicle, with its picture's bottom below."""
    (ahead, down), far_m = body_from_cam.rotation[[0, 2], [2, 1]].tolist(), float(body_from_cam.translation_m.norm())
    if ahead < _MOSTLY or down > -_MOSTLY or far_m > FARTHEST_M:
        raise InputError(
            "calib_imu_to_velo.txt and calib_velo_to_cam.txt do not lead from the unit to a camera that looks ahead",
            where=date_dir,
            remedy=_GET_KITTI,
        )


def nominal_body_from_cam() -> dict[int, Pose]:
    """Where KITTI's setup page puts cameras 2 and 3: 1.08 m ahead and 0.26 m right of the unit, 1.65 m above the road.

    The right camera stands a baseline further right.
    """
    baseline_m = 0.54
    cameras_height_m = 1.65
    level = Pose.level_from_cam().rotation
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

    Frames whose position is missing, or such that no vehicle can have driven there, are left out with a warning; see
    `cvlnet.data.screening`.
    nominal_mounting: see `read_calibration`; such cameras are level as they are, without ``unit_pitch_rad``.
    Raises InputError if the drive or its calibration is missing, and as `read_oxts_file` does.
    """
    drive_dir = root_raw / date / drive
    if not drive_dir.is_dir():
        raise InputError("the drive does not exist", where=drive_dir, remedy="unpack it there, or correct its name")
    if not (drive_dir / "oxts").is_dir():
        remedy = "name the folder of one drive, DATE/DATE_drive_NUMBER_sync, or unpack its oxts folder"
        raise InputError("the folder is no drive: it has no oxts", where=drive_dir, remedy=remedy)
    calibration = read_calibration(root_raw / date, nominal_mounting=nominal_mounting)
    images = {i: numbered(drive_dir / f"image_{i:02d}" / "data", PICTURES) for i in COLOUR_CAMERAS}
    measured_ = read_oxts(drive_dir / "oxts")
    frames = (
        replace(frame, images={i: paths[frame.index] for i, paths in images.items() if frame.index in paths})
        for frame in measured_.frames
    )
    known = {*measured_.left_out, *(frame.index for frame in measured_.frames)}
    pictured = sorted({index for paths in images.values() for index in paths} - known)
    return replace(
        measured_,
        name=f"{date}/{drive}",
        cameras=calibration.cameras,
        road_from_body=_road_from_body(0.0 if nominal_mounting else unit_pitch_rad),
        frames=tuple(frames),
        left_out={**dict.fromkeys(pictured, f"it has no file in {drive_dir / 'oxts' / 'data'}"), **measured_.left_out},
    )


def read_oxts(oxts_dir: Path) -> Recording:
    """What the GPS/IMU unit measured on a drive, from its folder ``oxts``: a recording without cameras.

    Raises InputError as `read_drive` does.
    """
    oxts_paths = numbered(oxts_dir / "data", (".txt",))
    if not oxts_paths:
        raise InputError("no oxts files", where=oxts_dir / "data", remedy="unpack the drive's oxts folder")
    numbers = np.array(list(oxts_paths))
    oxts = [read_oxts_file(path) for path in oxts_paths.values()]
    clock_s = elapsed_s(_times_s(oxts_dir / "timestamps.txt", numbers.tolist()), numbers, FRAME_S)
    yaw_rad = np.array([measured_.yaw_rad for measured_ in oxts])
    screened = screen(Rows(oxts_dir / "data", "frame", numbers), _metres(oxts), yaw_rad, clock_s)
    _warn_of_headings(oxts, clock_s, screened, oxts_dir / "data")
    frames = (_recorded(int(numbers[row]), float(clock_s[row]), oxts[row]) for row in screened.kept)
    number = numbers.tolist()
    jumps_m = {number[row]: jump_m for row, jump_m in screened.jumps_m.items()}
    left_out = {number[row]: f"{why} ({oxts_paths[number[row]]})" for row, why in screened.reasons.items()}
    return Recording(str(oxts_dir), {}, Pose.identity(), tuple(frames), jumps_m, left_out)


def _recorded(index: int, time_s: float, oxts: Oxts) -> RecordedFrame:
    assert oxts.position is not None  # screening has left out the others
    return RecordedFrame(index, time_s, oxts.position, oxts.roll_rad, oxts.pitch_rad, oxts.yaw_rad, {})


def _metres(oxts: Sequence[Oxts]) -> Float64[np.ndarray, "frames 3"]:
    """Positions in the earth-centred frame; NaN where position or heading is missing."""
    whole = [o.position is not None and isfinite(o.yaw_rad) for o in oxts]
    latlon_deg = [o.position.degrees if o.position is not None else (0.0, 0.0) for o in oxts]
    return np.where(np.array(whole)[:, None], earth_centred_m(latlon_deg), np.nan)


def _warn_of_headings(oxts: Sequence[Oxts], clock_s: Series, screened: Screened, where: Path) -> None:
    """Warn if the unit's heading contradicts its motion."""
    kept = [oxts[row] for row in screened.kept]
    latlon_deg = np.array([o.position.degrees for o in kept if o.position is not None])
    xy_m = LocalFrame(LatLon(*latlon_deg[0].tolist())).xy_world_m(latlon_deg)
    starts = np.searchsorted(screened.kept, sorted(screened.jumps_m)).tolist()
    as_read = Reading("", "", xy_m, np.array([o.yaw_rad for o in kept]))
    found = contradiction(as_read, (), clock_s[screened.kept], starts, screened.noise_m)
    if found is not None:
        what = f"the headings are {degrees(found.off_rad):.0f} degrees away from the direction of travel"
        warn(what, where=where, remedy="yaw (the 6th value) is in radians, 0 to the east, counter-clockwise")


def _road_from_body(pitch_rad: float) -> Pose:
    zero = torch.zeros((), dtype=torch.float64)
    return Pose.from_euler(zero, zero + pitch_rad, zero, torch.tensor([0.0, 0.0, UNIT_HEIGHT_M], dtype=torch.float64))


@dataclass(frozen=True)
class CalibrationFile:
    """Lines ``key: values`` of one calibration file. What it lacks, or holds in another shape, raises InputError."""

    path: Path
    entries: Mapping[str, str]

    @staticmethod
    def read(path: Path) -> CalibrationFile:
        """Read a file. Raises InputError if it is missing or no text."""
        text = read_text(path, remedy=_GET_KITTI)
        return CalibrationFile(path, dict(line.split(":", 1) for line in text.splitlines() if ":" in line))

    def matrix(self, key: str, rows: int, cols: int) -> torch.Tensor:
        """The matrix of a line, given row by row."""
        if key not in self.entries:
            raise InputError(f"has no entry {key}", where=self.path, remedy=_GET_KITTI)
        values = to_numbers(self.entries[key].split(), where=self.path, remedy=_GET_KITTI)
        if len(values) != rows * cols:
            raise InputError(f"{key} has {len(values)} of {rows * cols} values", where=self.path, remedy=_GET_KITTI)
        return torch.tensor(values, dtype=torch.float64).reshape(rows, cols)

    def rotation(self, key: str) -> torch.Tensor:
        """The rotation of a line."""
        rotation = self.matrix(key, 3, 3)
        off = float((rotation @ rotation.mT - torch.eye(3, dtype=torch.float64)).abs().max())
        if off > _ROUNDED or torch.linalg.det(rotation) < 0:
            raise InputError(f"{key} is no rotation", where=self.path, remedy=_GET_KITTI)
        return rotation

    def pose(self) -> Pose:
        """The pose of the lines R and T."""
        return Pose(self.rotation("R"), self.matrix("T", 1, 3)[0])


def _rectified_camera(cam_to_cam: CalibrationFile, camera_id: int) -> Camera:
    width_px, height_px = cam_to_cam.matrix(f"S_rect_{camera_id:02d}", 1, 2)[0].tolist()
    return Camera.from_matrix(cam_to_cam.matrix(f"P_rect_{camera_id:02d}", 3, 4)[:, :3], int(width_px), int(height_px))


def _cam_from_rect(cam_to_cam: CalibrationFile, camera_id: int) -> Pose:
    """From the rectified frame of camera 0: ``P_rect = K [I | t]``, so that its fourth column gives t."""
    projection = cam_to_cam.matrix(f"P_rect_{camera_id:02d}", 3, 4)
    translation_m = torch.linalg.solve(projection[:, :3], projection[:, 3])
    return Pose(torch.eye(3, dtype=torch.float64), translation_m)


def _times_s(path: Path, numbers: list[int]) -> Float64[np.ndarray, " frames"]:
    """Seconds since 1970 (UTC) of each frame, NaN where there is none.

    Line i holds the time of frame i, and is empty where that is missing. Empty lines between the times of all frames do
    not count. A file of as many times as there are frames holds them in order, whatever the frames' numbers.
    """
    lines = [line.strip() for line in read_text(path, remedy="unpack the drive's oxts folder").rstrip().splitlines()]
    filled = [line for line in lines if line]
    last = numbers[-1]
    if len(lines) == last + 1 or len(filled) == len(lines) > last:
        chosen = [lines[number] for number in numbers]
    elif len(filled) == last + 1:
        chosen = [filled[number] for number in numbers]
    elif len(filled) == len(numbers):
        chosen = filled
    elif len(lines) > last:
        chosen = [lines[number] for number in numbers]
    else:
        what = f"holds {len(filled)} times, the last frame is number {last}"
        raise InputError(what, where=path, remedy=_COPY_AGAIN)
    return np.array([_seconds(line, where=path) if line else np.nan for line in chosen])


def _seconds(stamp: str, where: Path) -> float:
    whole, _, fraction = stamp.strip().partition(".")
    try:
        moment = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        return moment.timestamp() + float(f"0.{fraction or 0}")
    except ValueError as error:
        raise InputError(
            f"{stamp.strip()!r} is no time", where=where, remedy="write times as 2011-09-26 13:02:44.335092332"
        ) from error


def numbered(folder: Path, suffixes: Collection[str]) -> dict[int, Path]:
    """Files named by a frame number, by rising number; none if the folder does not exist."""
    numbered: dict[int, Path] = {}
    for path in files_in(folder, suffixes):
        if path.stem.isdecimal() and int(path.stem) in numbered:
            twin = numbered[int(path.stem)].name
            raise InputError(f"is of the same frame as {twin}", where=path, remedy="delete one of the two")
        if path.stem.isdecimal():
            numbered[int(path.stem)] = path
    return dict(sorted(numbered.items()))
