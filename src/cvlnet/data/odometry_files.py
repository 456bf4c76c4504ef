"""Odometry from files of their own, apart from any pictures: CSV, TUM, KITTI's poses and oxts.

What a file is follows from its contents. Only relative motion is taken: where on earth a drive was does not enter.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cvlnet.data.camera_file import CameraFile
from cvlnet.data.gpx import read_gpx
from cvlnet.data.journey import KnownPlace
from cvlnet.data.kitti import read_oxts
from cvlnet.data.odometry import OdometryPose, odometry_of
from cvlnet.data.poses import Poses
from cvlnet.data.poses_csv import HEADING_COLUMNS, read_csv
from cvlnet.data.poses_kitti import VALUES, read_kitti_poses, times_of
from cvlnet.data.poses_recording import recording_of
from cvlnet.data.poses_tum import read_tum
from cvlnet.data.positions_csv import read_positions
from cvlnet.data.recording import Recording
from cvlnet.data.wheel_odometry import SPEED, integrated
from cvlnet.errors import InputError
from cvlnet.io.files import require_at_most
from cvlnet.io.text import read_table, read_text

OF_VISUAL_ODOMETRY = "camera_height_m"  # a column: the height that gave its scale
MOST_BYTES = 64_000_000  # about a million poses
_CLOSEST_S = 0.02  # of poses that are used, ...
_ROUNDED_S = 1e-6  # ... but for what rounding takes away
_TUM_VALUES = 8
_FORMATS = (
    "give a CSV file (time_s,x_m,y_m,yaw_deg or time_s,speed_m_s,yaw_rate_rad_s), TUM, KITTI's odometry poses, or a "
    "folder of KITTI's oxts"
)

_PLACES = "give a GPX track, or a CSV file with time_s, latitude_deg and longitude_deg"


def read_odometry(path: Path, camera: CameraFile) -> tuple[OdometryPose, ...]:
    """The relative motion that a file holds, by rising time in the file's own seconds.

    path: a CSV file of poses (``time_s``, ``x_m`` and ``y_m`` or ``latitude_deg`` and ``longitude_deg``, ``yaw_deg``)
    or of ``speed_m_s`` and ``yaw_rate_rad_s``; TUM; KITTI's odometry poses with ``times.txt``; or the folder ``oxts``
    of a KITTI drive, which counts from its first measurement. camera: what camera.json says of conventions, and where
    the camera is whose poses they are.
    Poses that lie closer together than 0.02 s are thinned out; impossible ones are left out, with a warning.
    Raises InputError if the file is missing, too large, malformed or of another format, if times do not rise, or if
    the poses are not those of a vehicle.
    """
    if path.suffix.lower() == ".gpx":
        remedy = (
            "give it as --gps; odometry is of wheels, or a CSV file of positions with headings (time_s,latitude_deg,"
            "longitude_deg,yaw_deg) several times a second, or cvlnet visual-odometry estimates it from the video"
        )
        raise InputError("a GPX track has no headings, which odometry needs", where=path, remedy=remedy)
    if path.suffix.lower() == ".csv":
        require_at_most(path, MOST_BYTES)
        table = read_table(path, _FORMATS)
        if SPEED in table.columns:
            return integrated(table, camera.yaw_offset_rad)
    return tuple(odometry_of(_recording(path, camera)))


def of_visual_odometry(path: Path) -> bool:
    """Whether a file is a table that `cvlnet visual-odometry` wrote, perhaps with columns of one's own.

    Raises InputError as `read_table` does.
    """
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    require_at_most(path, MOST_BYTES)
    return OF_VISUAL_ODOMETRY in read_table(path, _FORMATS).columns


def read_places(path: Path, camera: CameraFile | None) -> tuple[KnownPlace, ...]:
    """The places on earth that a file holds, by rising time.

    It is a GPX track, a CSV file, which needs no headings, or odometry by latitude and longitude. camera: what
    camera.json says of the conventions of headings; without it those of a CSV file are not read, and odometry of other
    formats is refused.
    Raises InputError as `read_gpx`, `read_positions` and `read_odometry` do, or if the file's positions are in metres.
    """
    if path.suffix.lower() == ".gpx":
        return read_gpx(path)
    if path.suffix.lower() == ".csv":
        require_at_most(path, MOST_BYTES)
        table = read_table(path, _PLACES)
        if camera is None or not set(HEADING_COLUMNS) & set(table.columns):
            return read_positions(table)
    if camera is None:
        raise InputError("is neither a GPX track nor a CSV file", where=path, remedy=_PLACES)
    recording = _recording(path, camera)
    if not recording.geographic:
        raise InputError("holds no places on earth", where=path, remedy=_PLACES)
    return tuple(KnownPlace(frame.time_s, frame.position, frame.yaw_rad) for frame in recording.frames)


def thinned(poses: Poses) -> Poses:
    """The poses without those that come less than 0.02 s after the one before."""
    kept: list[int] = []
    for row, time_s in enumerate(poses.time_s.tolist()):
        if not kept or time_s >= poses.time_s[kept[-1]] + _CLOSEST_S - _ROUNDED_S:
            kept.append(row)
    return poses.chosen(np.array(kept))


def _recording(path: Path, camera: CameraFile) -> Recording:
    if path.is_dir():
        oxts_dir = next((folder for folder in (path, path / "oxts") if (folder / "timestamps.txt").is_file()), None)
        if oxts_dir is None:
            raise InputError("the folder holds no oxts", where=path, remedy=_FORMATS)
        return read_oxts(oxts_dir)
    require_at_most(path, MOST_BYTES)
    return recording_of(str(path), thinned(_poses(path, camera)), camera)


def _poses(path: Path, camera: CameraFile) -> Poses:
    if path.suffix.lower() == ".csv":
        return read_csv(path, None, camera)
    lines = (line.split() for line in read_text(path, _FORMATS).splitlines())
    first = next((fields for fields in lines if fields and not fields[0].startswith("#")), [])
    if len(first) == _TUM_VALUES:
        return read_tum(path, None, camera)
    if len(first) == VALUES:
        return read_kitti_poses(path, times_of(path), camera)
    what = f"its lines have {len(first)} values, as no format of odometry has"
    raise InputError(what, where=path, remedy=_FORMATS)
