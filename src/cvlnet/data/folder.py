"""Your own video: a folder of frames, ``camera.json``, and the odometry as ``poses.csv`` or ``poses.txt``.

    FOLDER/frames/*.png or *.jpg      in the order of their names, numbers by their value
    FOLDER/camera.json                see `cvlnet.data.camera_file`
    FOLDER/poses.csv                  one line a frame: file,time_s,x_m,y_m,yaw_deg
                                      or file,time_s,latitude_deg,longitude_deg,yaw_deg
    FOLDER/poses.txt                  TUM instead: one line a frame, timestamp tx ty tz qx qy qz qw

The world has x east, y north, z up; yaw is 0 to the east, counter-clockwise. The heading has to be known to about
five degrees: odometry in a world of another direction is turned by ``yaw_offset_deg``. A world in metres may lie
anywhere: only differences count. docs/conventions.md lists all keys and columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cvlnet.data.camera_file import CameraFile, read_camera_file
from cvlnet.data.poses import Poses
from cvlnet.data.poses_csv import read_csv
from cvlnet.data.poses_recording import recording_of
from cvlnet.data.poses_tum import read_tum
from cvlnet.data.recording import Recording
from cvlnet.errors import InputError
from cvlnet.io.listing import PICTURES, files_in, times_of_names


def read_folder(folder: Path) -> Recording:
    """Read a video folder. A frame's number is its place in the order of frames, from 0.

    Frames without a pose are left out, as holes, and so are those whose position no vehicle can have driven to, with a
    warning; see `cvlnet.data.screening`. Raises InputError if frames, camera.json or poses are missing or malformed, or
    if the headings contradict the way that the vehicle drives and another reading of the poses explains it.
    """
    if folder.is_file():
        raise InputError("is a file, not the folder of a drive", where=folder, remedy="name the folder")
    if not folder.is_dir():
        raise InputError("the folder does not exist", where=folder, remedy="correct its name")
    pictures = _pictures(folder / "frames")
    camera = read_camera_file(folder / "camera.json")
    poses = _poses(folder, pictures, camera)
    return recording_of(str(folder), poses, camera, pictures)


def _pictures(folder: Path) -> list[Path]:
    """The frames in order: by their times where their names are times, or else by their names."""
    pictures = files_in(folder, PICTURES)
    if not pictures:
        others = sorted({path.suffix for path in folder.glob("*.*") if not path.name.startswith(".")})
        found = f" (but {', '.join(others)})" if others else ""
        remedy = "put the video's frames there, as PNG or JPEG"
        raise InputError(f"no PNG or JPEG frames{found}", where=folder, remedy=remedy)
    times_s = times_of_names(pictures)
    if times_s is None:
        return pictures
    return [pictures[i] for i in np.argsort(times_s, kind="stable")]


def _poses(folder: Path, pictures: Sequence[Path], camera: CameraFile) -> Poses:
    """Of poses.csv or poses.txt, whichever there is."""
    csv_path, tum_path = folder / "poses.csv", folder / "poses.txt"
    if csv_path.exists() and tum_path.exists():
        raise InputError("holds both poses.csv and poses.txt", where=folder, remedy="keep the one that is right")
    return read_tum(tum_path, pictures, camera) if tum_path.exists() else read_csv(csv_path, pictures, camera)
