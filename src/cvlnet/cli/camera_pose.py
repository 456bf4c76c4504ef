"""``cvlnet calibrate-camera``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from cvlnet.errors import InputError


def calibrate_camera(
    *,
    folder: Path | None = None,
    drive: Path | None = None,
    camera: int = 2,
    pitch_deg: float | None = None,
    height_m: Annotated[float | None, Parameter(validator=Number(gte=0.05, lte=10.0))] = None,
    out: Path | None = None,
) -> None:
    """Find how a camera is mounted, from its pictures of the road and the vehicle's odometry.

    The drive is a folder of frames, camera.json and poses, or a drive of KITTI; it should be 100 m or longer, on paved
    and level roads. Focal length, principal point and lens distortion have to be known; pitch may be wrong by up to 7
    degrees and height by up to a third. Prints roll, pitch, yaw and height beside the stated ones, with standard
    deviations, and what to use: pitch and height as they were found, roll and yaw as stated unless what was found
    differs by two standard deviations. The scale of the odometry is that of the height.

    For example:

        cvlnet calibrate-camera --folder my_video
        cvlnet calibrate-camera --folder my_video --out my_video/camera.json
        cvlnet calibrate-camera --drive raw_data/2011_09_26/2011_09_26_drive_0005_sync

    Args:
        folder: Folder with frames, camera.json and poses.
        drive: Folder of a KITTI drive.
        camera: Number of a KITTI drive's camera: 2 or 3.
        pitch_deg: Pitch to start from, positive with the front down; by default that of camera.json.
        height_m: Height above the road to start from; by default that of camera.json.
        out: File for camera.json with the new mounting, everything else as before. It may be the old file.

    """
    from dataclasses import replace
    from math import radians

    from cvlnet.calibration.estimate import calibrated
    from cvlnet.calibration.report import settings_from, settings_of, to_table, write_camera_file
    from cvlnet.calibration.stretches import read_stretches
    from cvlnet.data.folder import read_folder
    from cvlnet.data.journey import journey_of
    from cvlnet.data.kitti_cvl import read_recording
    from cvlnet.data.poses_recording import CAMERA_ID
    from cvlnet.road.geometry import Mounting
    from cvlnet.road.tracks import whole

    if (folder is None) == (drive is None):
        raise InputError("one of the two is needed", where="--folder, --drive", remedy="say what is to be read")
    if folder is not None:
        recording, camera, where = read_folder(folder), CAMERA_ID, folder
    else:
        assert drive is not None
        recording, where = read_recording(drive), drive
    if camera not in recording.cameras:
        known = " or ".join(map(str, recording.cameras))
        raise InputError(f"{camera} is no camera of the drive", where="--camera", remedy=f"give {known}")
    if pitch_deg is not None and abs(pitch_deg) > 90:
        raise InputError(f"{pitch_deg:g} is beyond 90 degrees", where="--pitch-deg", remedy="give degrees")
    journey, mounted = journey_of(recording), recording.cameras[camera]
    stated = Mounting.of(journey.road_from_cam(camera))
    if pitch_deg is not None:
        stated = replace(stated, pitch_rad=radians(pitch_deg))
    if height_m is not None:
        stated = replace(stated, height_m=height_m)
    progress = sys.stderr.isatty()
    pictures = read_stretches(journey, camera)
    window = whole(mounted.camera)
    found = calibrated(window.camera(mounted.camera), stated, pictures, str(where), progress=progress)
    print(to_table(found))
    if out is not None:
        settings = settings_from(mounted, stated) if folder is None else settings_of(folder)
        write_camera_file(out, settings, found.adopted)
