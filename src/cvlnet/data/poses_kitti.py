"""Poses of KITTI's odometry benchmark: a line of 12 numbers for each frame, and the frames' times beside them.

ROOT/poses/NN.txt              rows of a 3 x 4 matrix: world from camera 0, in a world of the first frame's camera
ROOT/sequences/NN/times.txt    a time in seconds a line
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from cvlnet.arrays import Series
from cvlnet.data.camera_file import CameraFile
from cvlnet.data.poses import Poses
from cvlnet.data.poses_csv import require_times
from cvlnet.data.poses_tum import upright_poses
from cvlnet.errors import InputError
from cvlnet.io.text import read_text, to_numbers

VALUES = 12  # of a line
_ROUNDED = 0.01  # files round rotations
_GET_POSES = "give KITTI's odometry poses: lines of 12 numbers"
_CONVENTION = {"poses_of": "camera", "world_axes": "y_down", "quaternion_order": "xyzw"}


def read_kitti_poses(path: Path, times_path: Path, camera: CameraFile) -> Poses:
    """Read the poses of a sequence. camera: the one whose poses they are (KITTI's camera 0), and its mounting.

    Raises InputError if a file is missing or malformed, if a line holds no rotation, if there are not as many times as
    poses, or if the vehicle would not stand upright.
    """
    line, rows = _lines(path, VALUES, _GET_POSES)
    time_line, times = _lines(times_path, 1, "give a time in seconds for each pose")
    if len(times) != len(rows):
        what = f"holds {len(times)} times for {len(rows)} poses in {path.name}"
        raise InputError(what, where=times_path, remedy="give the times of the same sequence")
    time_s: Series = times[:, 0]
    require_times(time_s, time_line, times_path)
    matrices = rows.reshape(-1, 3, 4)
    rotation = matrices[:, :, :3]
    off = np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    wrong = np.flatnonzero((off > _ROUNDED) | (np.linalg.det(rotation) < 0))
    if len(wrong):
        raise InputError("holds no rotation", where=f"{path}, line {line[wrong[0]]}", remedy=_GET_POSES)
    quaternion = Rotation.from_matrix(rotation).as_quat()
    as_kitti = replace(camera, choices={**camera.choices, **_CONVENTION})
    return upright_poses(path, line, np.arange(len(rows)), time_s, matrices[:, :, 3], quaternion, as_kitti)


def times_of(poses_path: Path) -> Path:
    """Where the times of a file of poses are: beside it as ``times.txt``, or in KITTI's layout.

    Raises InputError if there are none.
    """
    sequence = poses_path.absolute().parent.parent / "sequences" / poses_path.stem
    for folder in (poses_path.parent, sequence):
        if (folder / "times.txt").is_file():
            return folder / "times.txt"
    raise InputError("has no times", where=poses_path, remedy=f"put times.txt beside it, or into {sequence}")


def _lines(
    path: Path, count: int, remedy: str
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Float64[np.ndarray, "lines count"]]:
    """The numbers of the lines that hold something, and their values. Raises InputError as `read_kitti_poses` does."""
    line: list[int] = []
    values: list[list[float]] = []
    for number, text in enumerate(read_text(path, remedy).splitlines(), 1):
        fields = text.split()
        if fields and len(fields) != count:
            raise InputError(f"{len(fields)} of {count} values", where=f"{path}, line {number}", remedy=remedy)
        if fields:
            line.append(number)
            values.append(to_numbers(fields, f"{path}, line {number}", remedy))
    return np.array(line), np.array(values)
