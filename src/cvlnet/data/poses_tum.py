"""poses.txt of a video folder, in TUM's format: a trajectory with rotations as quaternions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import degrees, hypot, isnan, radians
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial.transform import Rotation

from cvlnet.arrays import Indices, Series
from cvlnet.data.camera_file import SEE, CameraFile
from cvlnet.data.poses import FARTHEST_M, PoseReading, Poses, is_unit
from cvlnet.errors import InputError, warn
from cvlnet.geometry import Pose
from cvlnet.io.listing import times_of_names
from cvlnet.io.text import measured, read_text, to_numbers

_VALUES = 8  # timestamp tx ty tz qx qy qz qw
_DEFAULT = {"poses_of": "body", "world_axes": "z_up", "quaternion_order": "xyzw"}
_OTHER = {"poses_of": "camera", "world_axes": "y_down", "quaternion_order": "wxyz"}
_STEEPEST_RAD = radians(30)  # beyond any road: of the vehicle's tilt (median), and of the way's climb
_CLIMB_BASE_M = 2.0  # between the positions that give the climb
_EPOCH_S = 1e8  # times since 1970 are greater, and times since the start of a video smaller
_SAME_TIME_S = 0.02  # of a frame and its pose, as TUM's own tools associate them
_SAME_PACE_S = 0.05  # of the names' times and the poses', where they count from different zeros


def read_tum(path: Path, pictures: Sequence[Path] | None, camera: CameraFile) -> Poses:
    """Read poses.txt in TUM's format: lines ``timestamp tx ty tz qx qy qz qw``, times rising.

    Frames whose names are times are paired with the poses of these times; others in order, a line for each frame.
    Where ``pictures`` is None, all poses are read.
    ``poses_of``, ``world_axes`` and ``quaternion_order`` of camera.json say how the poses are to be read.
    Raises InputError if the file is missing or malformed, if frames and poses do not pair, if a quaternion is none, or
    if the vehicle would not stand upright as the poses are read.
    """
    if camera.choices["heading_convention"] == "compass":
        remedy = "delete the key"
        raise InputError("heading_convention is for poses.csv, not for poses.txt", where=camera.path, remedy=remedy)
    line, values = _values(path)
    time_s = _seconds(values[:, 0])
    every = np.arange(len(time_s))
    rows, frame = (every, every) if pictures is None else _pairs(path, time_s, pictures)
    return upright_poses(path, line[rows], frame, time_s[rows], values[rows, 1:4], values[rows, 4:], camera)


def upright_poses(
    path: Path,
    line: Int64[np.ndarray, " n"],
    frame: Int64[np.ndarray, " n"],
    time_s: Series,
    xyz_m: Float64[np.ndarray, "n 3"],
    quaternion: Float64[np.ndarray, "n 4"],
    camera: CameraFile,
) -> Poses:
    """The poses of a trajectory in three dimensions, read as ``camera`` says; see `Poses` for the others.

    Raises InputError if the vehicle would not stand upright as the poses are read.
    """
    readings = _readings(np.where(np.abs(xyz_m) > FARTHEST_M, np.nan, xyz_m), quaternion, camera)
    as_read, *others = readings
    upright = [other for other in others if other.steepest_rad <= _STEEPEST_RAD]
    if as_read.steepest_rad > _STEEPEST_RAD:
        fewest = min((max(1, len(other.changes)) for other in upright), default=0)
        raise InputError(
            f"the vehicle would stand, or its way climb, at {degrees(as_read.steepest_rad):.0f} degrees",
            where=path,
            remedy=" or ".join(other.reading.remedy for other in upright if max(1, len(other.changes)) == fewest)
            or "give poses in a world with z up, and quaternions as qx qy qz qw",
        )
    return Poses(path, line, frame, time_s, False, as_read.reading, tuple(other.reading for other in upright))


def _values(path: Path) -> tuple[Int64[np.ndarray, " lines"], Float64[np.ndarray, "lines 8"]]:
    """The numbers of the lines that hold poses, and their values."""
    line: list[int] = []
    values: list[list[float]] = []
    for number, text in enumerate(read_text(path, SEE).splitlines(), 1):
        fields = text.split()
        if not fields or fields[0].startswith("#"):
            continue
        where = f"{path}, line {number}"
        if len(fields) != _VALUES:
            remedy = "write timestamp tx ty tz qx qy qz qw, with blanks between them"
            raise InputError(f"{len(fields)} of {_VALUES} values", where=where, remedy=remedy)
        row = to_numbers(fields[:1], where, SEE) + [measured(field, repr(field), where, SEE) for field in fields[1:]]
        length = hypot(*row[4:])
        if length == 0:
            raise InputError("the quaternion is zero", where=where, remedy=SEE)
        if not isnan(length) and not is_unit(np.array(row[4:])):
            remedy = "write timestamp tx ty tz qx qy qz qw"
            raise InputError(f"the quaternion has length {length:.3g}, not 1", where=where, remedy=remedy)
        if values and row[0] <= values[-1][0]:
            remedy = "write the poses in the order in which they were measured"
            raise InputError(f"the time {fields[0]} does not rise over the one before", where=where, remedy=remedy)
        line.append(number)
        values.append(row)
    if not values:
        raise InputError("holds no poses", where=path, remedy=SEE)
    return np.array(line), np.array(values)


def _seconds(time: Series) -> Series:
    """Times since 1970 in seconds: some files count them in milliseconds, microseconds or nanoseconds."""
    return time / next((unit for unit in (1e9, 1e6, 1e3) if time[0] > _EPOCH_S * unit), 1.0)


def _pairs(path: Path, pose_s: Series, pictures: Sequence[Path]) -> tuple[Indices, Indices]:
    """The rows of the poses that belong to frames, and their frames."""
    name_s = np.array(times_of_names(pictures) or [])
    if len(name_s) and name_s[0] <= pose_s[-1] and pose_s[0] <= name_s[-1]:
        nearest = np.searchsorted((pose_s[1:] + pose_s[:-1]) / 2, name_s)
        paired = np.abs(pose_s[nearest] - name_s) <= _SAME_TIME_S
        if not paired.any():
            what = f"no pose lies within {_SAME_TIME_S:g} s of the time that a frame is named after"
            raise InputError(what, where=path, remedy="correct the times, or name the frames by their number")
        if not paired.all():
            what = (
                f"{(~paired).sum()} of {len(pictures)} frames have no pose within {_SAME_TIME_S:g} s and are left out"
            )
            warn(what, where=path, remedy="give their poses if they are needed")
        return nearest[paired], np.flatnonzero(paired)
    if len(pose_s) != len(pictures):
        remedy = "give one line a frame, or poses.csv"
        raise InputError(f"holds {len(pose_s)} poses for {len(pictures)} frames", where=path, remedy=remedy)
    if len(name_s) and np.abs((name_s - name_s[0]) - (pose_s - pose_s[0])).max() > _SAME_PACE_S:
        remedy = "name the frames by their poses' times, or by their number"
        raise InputError("the frames' names are times, but not those of the poses", where=path, remedy=remedy)
    return np.arange(len(pose_s)), np.arange(len(pose_s))


@dataclass(frozen=True)
class _Reading:
    """A reading; what camera.json would have to say for it; how steeply the vehicle would stand, or its way climb."""

    changes: Mapping[str, str]
    reading: PoseReading
    steepest_rad: float


def _readings(
    xyz_m: Float64[np.ndarray, "n 3"], quaternion: Float64[np.ndarray, "n 4"], camera: CameraFile
) -> list[_Reading]:
    """As camera.json says, by default where it leaves something open; then as it might be meant instead."""
    choices = {key: camera.choices[key] for key in _DEFAULT}
    open_values = [(_DEFAULT[key], _OTHER[key]) if choice is None else (choice,) for key, choice in choices.items()]
    measured_rows = np.isfinite(np.concatenate([xyz_m, quaternion], axis=1)).all(axis=1)
    xyz_m, quaternion = xyz_m[measured_rows], quaternion[measured_rows]

    def reading(options: Mapping[str, str], *, inverted: bool = False) -> _Reading:
        changes = {key: value for key, value in options.items() if choices[key] is None and value != _DEFAULT[key]}
        how = "the poses are inverted" if inverted else " and ".join(f'{k} is "{v}"' for k, v in changes.items())
        remedy = "invert them: world from camera, or from body" if inverted else _written(changes)
        body_m, rotation = _bodies(xyz_m, quaternion, options, camera.mounted.body_from_cam, inverted=inverted)
        place, yaw_rad = np.full((len(measured_rows), 2), np.nan), np.full(len(measured_rows), np.nan)
        place[measured_rows] = body_m[:, :2]
        yaw_rad[measured_rows] = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0]) + camera.heading_offset_rad
        steepest_rad = max(_tilt_rad(rotation), _climb_rad(body_m))
        return _Reading(changes, PoseReading(how, remedy, place, yaw_rad), steepest_rad)

    each = [dict(zip(choices, values, strict=True)) for values in product(*open_values)]
    return [*(reading(options) for options in each), reading(each[0], inverted=True)]


def _written(changes: Mapping[str, str]) -> str:
    return "write " + ", ".join(f'"{key}": "{value}"' for key, value in changes.items()) + " in camera.json"


def _bodies(
    xyz_m: Float64[np.ndarray, "n 3"],
    quaternion: Float64[np.ndarray, "n 4"],
    options: Mapping[str, str],
    body_from_cam: Pose,
    *,
    inverted: bool,
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3 3"]]:
    """Positions and rotations of the body in a world with z up.

    A world with y down is the first camera's, which may look up or down: it is turned until the vehicle stands upright
    on the average.
    """
    xyzw = quaternion if options["quaternion_order"] == "xyzw" else np.roll(quaternion, -1, axis=1)
    rotation = Rotation.from_quat(xyzw).as_matrix()
    if inverted:
        rotation = rotation.transpose(0, 2, 1)
        xyz_m = -np.einsum("nij,nj->ni", rotation, xyz_m)
    if options["world_axes"] == "y_down":
        z_up_from_y_down = Pose.level_from_cam().rotation.numpy()
        xyz_m, rotation = xyz_m @ z_up_from_y_down.T, z_up_from_y_down @ rotation
    if options["poses_of"] == "camera":
        cam_from_body = body_from_cam.inverse()
        xyz_m = xyz_m + rotation @ cam_from_body.translation_m.numpy()
        rotation = rotation @ cam_from_body.rotation.numpy()
    if options["world_axes"] == "y_down" and len(rotation) and _tilt_rad(rotation) <= _STEEPEST_RAD:
        upright, _ = Rotation.align_vectors([[0.0, 0.0, 1.0]], [rotation[:, :, 2].mean(axis=0)])
        xyz_m, rotation = upright.apply(xyz_m), upright.as_matrix() @ rotation
    return xyz_m, rotation


def _tilt_rad(rotation: Float64[np.ndarray, "n 3 3"]) -> float:
    """The median angle between the bodies' z axes and the world's."""
    return float(np.median(np.arccos(np.clip(rotation[:, 2, 2], -1.0, 1.0)))) if len(rotation) else 0.0


def _climb_rad(xyz_m: Float64[np.ndarray, "n 3"]) -> float:
    """How steeply the way goes up and down, if it goes anywhere."""
    picked = [xyz_m[:1]]
    for point in xyz_m[:, None]:
        if np.linalg.norm(point - picked[-1]) >= _CLIMB_BASE_M:
            picked.append(point)
    legs_m = np.abs(np.diff(np.concatenate(picked), axis=0))
    return float(np.arctan2(legs_m[:, 2].sum(), np.hypot(legs_m[:, 0], legs_m[:, 1]).sum()))
