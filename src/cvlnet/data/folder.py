"""A video of one's own: a folder of frames, ``camera.json``, and the odometry as ``poses.csv`` or ``poses.txt``.

    FOLDER/frames/*.png or *.jpg      in the order of their names
    FOLDER/camera.json                the camera, without distortion, and how it is mounted
    FOLDER/poses.csv                  one line a frame: file,time_s,x_m,y_m,yaw_deg
                                      or file,time_s,latitude_deg,longitude_deg,yaw_deg
    FOLDER/poses.txt                  TUM instead: one line a frame, timestamp tx ty tz qx qy qz qw

The world has x east, y north, z up; yaw is 0 to the east, counter-clockwise. The heading has to be known to about
five degrees: odometry in a world of another direction is turned by ``yaw_offset_deg``. A world in metres may lie
anywhere: its origin is put at an anchor, and only differences count.

camera.json holds ``width``, ``height``, ``fx``, ``fy``, ``cx``, ``cy`` in pixels; ``pixel_origin``: "center" if cx
and cy count from the centre of the top-left pixel (OpenCV, most calibrations), "corner" if from its corner;
``height_m`` of the camera above the road. It may hold, 0 if absent, how the camera is mounted on the body:
``forward_m``, ``left_m``, ``roll_deg``, ``pitch_deg`` (down), ``yaw_deg`` (left); ``yaw_offset_deg``; and
``poses_of``: "body" (if absent) or "camera" (x right, y down, z forward), for poses.txt.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import radians
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cvlnet.data.recording import MountedCamera, RecordedFrame, Recording
from cvlnet.data.text import number_of, read_json, read_text, to_numbers
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.geometry import Camera, Pose

CAMERA_ID = 2  # as KITTI's left colour camera, which a clip takes by default
_PICTURES = (".png", ".jpg", ".jpeg")
_SEE = "see the file formats in docs/conventions.md"
_MOUNTING = ("forward_m", "left_m", "roll_deg", "pitch_deg", "yaw_deg")  # of the camera on the body


@dataclass(frozen=True)
class _Odometry:
    """Where the body was at one frame: degrees of latitude and longitude, or metres."""

    picture: Path
    time_s: float
    place: tuple[float, float]
    yaw_rad: float


def read_folder(folder: Path, anchor: LatLon | None = None) -> Recording:
    """Read a video folder; ``anchor`` is the place of the poses' origin (without it: 0 N 0 E).

    Frames without a pose are left out, as holes. The frame's number is its place in the order of names.
    Raises InputError if frames, camera.json or poses are missing or malformed.
    """
    frames_dir = folder / "frames"
    pictures = sorted(path for path in frames_dir.glob("*") if path.suffix.lower() in _PICTURES)
    if not pictures:
        raise InputError("no PNG or JPEG frames", where=frames_dir, remedy="put the video's frames there")
    camera_file = folder / "camera.json"
    settings = read_json(camera_file, _SEE)
    mounted = _mounted_camera(settings, camera_file)
    yaw_offset_rad = radians(number_of(settings, "yaw_offset_deg", camera_file, _SEE, default=0.0))
    if (folder / "poses.csv").is_file():
        odometry, geographic = _read_csv(folder / "poses.csv", pictures)
    else:
        posed_from_body = _posed_from_body(settings, mounted, camera_file)
        odometry, geographic = _read_tum(folder / "poses.txt", pictures, posed_from_body), False
    positions = _positions(odometry, geographic, anchor or LatLon(0.0, 0.0), yaw_offset_rad)
    number = {picture: i for i, picture in enumerate(pictures)}
    frames = [
        RecordedFrame(number[o.picture], o.time_s, place, 0.0, 0.0, o.yaw_rad + yaw_offset_rad, {CAMERA_ID: o.picture})
        for o, place in zip(odometry, positions, strict=True)
    ]
    frames.sort(key=lambda frame: frame.index)
    return Recording(folder.name, {CAMERA_ID: mounted}, Pose.identity(), tuple(frames))


def _mounted_camera(settings: Mapping[str, Any], where: Path) -> MountedCamera:
    """The body's origin is on the road here, so that the camera's height is part of its mounting."""
    width, height, fx, fy, cx, cy, height_m = (
        number_of(settings, key, where, _SEE) for key in ("width", "height", "fx", "fy", "cx", "cy", "height_m")
    )
    origin = settings.get("pixel_origin")
    if origin not in ("center", "corner"):
        raise InputError(f'pixel_origin is {origin!r}, not "center" or "corner"', where=where, remedy=_SEE)
    if min(width, height, fx, fy, height_m) <= 0:
        raise InputError("width, height, fx, fy and height_m are positive", where=where, remedy="correct the file")
    matrix = torch.tensor([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]], dtype=torch.float64)
    if origin == "corner":
        matrix[:2, 2] -= 0.5
    forward_m, left_m, *angles_deg = (number_of(settings, key, where, _SEE, default=0.0) for key in _MOUNTING)
    roll_rad, pitch_rad, yaw_rad = torch.deg2rad(torch.tensor(angles_deg, dtype=torch.float64))
    translation_m = torch.tensor([forward_m, left_m, height_m], dtype=torch.float64)
    level_from_cam = torch.tensor([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]], dtype=torch.float64)
    body_from_level = Pose.from_euler(roll_rad, pitch_rad, yaw_rad, translation_m)
    camera = Camera.from_matrix(matrix, int(width), int(height))
    return MountedCamera(camera, body_from_level @ Pose(level_from_cam, torch.zeros(3, dtype=torch.float64)))


def _posed_from_body(settings: Mapping[str, Any], mounted: MountedCamera, where: Path) -> Pose:
    """From the body to whatever the poses are of."""
    poses_of = settings.get("poses_of", "body")
    if poses_of not in ("body", "camera"):
        raise InputError(f'poses_of is {poses_of!r}, not "body" or "camera"', where=where, remedy=_SEE)
    return mounted.body_from_cam.inverse() if poses_of == "camera" else Pose.identity()


def _read_csv(path: Path, pictures: Sequence[Path]) -> tuple[list[_Odometry], bool]:
    """Lines of poses.csv, and whether they tell latitude and longitude."""
    by_name = {picture.name: picture for picture in pictures}
    rows = list(csv.DictReader(read_text(path, _SEE).splitlines()))
    columns = set(rows[0]) if rows else set()
    geographic = {"latitude_deg", "longitude_deg"} <= columns
    place_columns = ("latitude_deg", "longitude_deg") if geographic else ("x_m", "y_m")
    missing = {"file", "time_s", "yaw_deg", *place_columns} - columns
    if missing:
        raise InputError(f"has no column {', '.join(sorted(missing))}", where=path, remedy=_SEE)
    odometry = []
    for line, row in enumerate(rows, 2):
        where = f"{path}, line {line}"
        if row["file"] not in by_name:
            raise InputError(f"frames holds no {row['file']}", where=where, remedy="correct the line, or add the frame")
        time_s, yaw_deg, *place = (number_of(row, key, where, _SEE) for key in ("time_s", "yaw_deg", *place_columns))
        if geographic:
            _check_place(place, where)
        odometry.append(_Odometry(by_name[row["file"]], time_s, (place[0], place[1]), radians(yaw_deg)))
    return odometry, geographic


def _check_place(latlon_deg: Sequence[float], where: str) -> None:
    try:
        LatLon(*latlon_deg)
    except ValueError as error:
        raise InputError(str(error), where=where, remedy="give degrees, latitude first") from error


def _read_tum(path: Path, pictures: Sequence[Path], posed_from_body: Pose) -> list[_Odometry]:
    lines = [line for line in read_text(path, _SEE).splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) != len(pictures):
        raise InputError(
            f"holds {len(lines)} poses for {len(pictures)} frames",
            where=path,
            remedy="give one line a frame, or poses.csv",
        )
    odometry = []
    for i, (line, picture) in enumerate(zip(lines, pictures, strict=True), 1):
        values = to_numbers(line.split(), f"{path}, pose {i}", _SEE)
        if len(values) != 8:
            raise InputError(f"{len(values)} of 8 values", where=f"{path}, pose {i}", remedy=_SEE)
        if not any(values[4:]):
            raise InputError("the quaternion is zero", where=f"{path}, pose {i}", remedy=_SEE)
        world_from_body = _pose(values[1:4], values[4:]) @ posed_from_body
        east_m, north_m, _ = world_from_body.translation_m.tolist()
        odometry.append(_Odometry(picture, values[0], (east_m, north_m), float(world_from_body.yaw_rad())))
    return odometry


def _pose(xyz_m: Sequence[float], quaternion_xyzw: Sequence[float]) -> Pose:
    axis, w = np.array(quaternion_xyzw[:3]), quaternion_xyzw[3]
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    scale = 2 / (w * w + axis @ axis)
    rotation = np.eye(3) + scale * (w * cross + cross @ cross)
    return Pose(torch.from_numpy(rotation), torch.tensor(xyz_m, dtype=torch.float64))


def _positions(odometry: Sequence[_Odometry], geographic: bool, anchor: LatLon, yaw_offset_rad: float) -> list[LatLon]:
    """Places on earth; a world in metres is turned about its origin, which lies at the anchor."""
    places = np.array([o.place for o in odometry], dtype=np.float64)
    if not geographic:
        cos, sin = np.cos(yaw_offset_rad), np.sin(yaw_offset_rad)
        places = LocalFrame(anchor).latlon_deg(places @ np.array([[cos, sin], [-sin, cos]]))
    return [LatLon(*place) for place in places.tolist()]
