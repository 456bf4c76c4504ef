"""``cvlnet calibrate-camera``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from cvlnet.cli.options import panel
from cvlnet.config import JourneyFiles
from cvlnet.errors import InputError

if TYPE_CHECKING:
    from cvlnet.data.journey import Journey
    from cvlnet.road.geometry import Mounting


def calibrate_camera(
    *,
    drive: Annotated[JourneyFiles, panel("Drive", JourneyFiles)] = JourneyFiles(),
    camera: int | None = None,
    find_focal: Annotated[bool, Parameter(negative="")] = False,
    out: Path | None = None,
) -> None:
    r"""Estimate how a camera is mounted, from its pictures of the road and the vehicle's odometry.

    The drive should be 100 m or longer, on paved and level roads. Focal length, principal point and lens distortion
    have to be known. The stated pitch may be wrong by up to 7 degrees and the height by up to a third; --pitch-deg and
    --height-m give other values to start from. The command prints the stated and the estimated roll, pitch, yaw and
    height, with standard deviations, and the values to use: the estimated pitch and height, and the stated roll and yaw
    unless the estimates differ from them by two standard deviations. A scale error of the odometry becomes an error of
    the height; odometry of `cvlnet visual-odometry` is refused, since its scale is the stated height.

    With --find-focal the focal length may be wrong by up to 15 %. It is estimated from bends; on a straight road it
    cannot be, and the command ends with an error.

    For example:

        cvlnet calibrate-camera --folder my_video
        cvlnet calibrate-camera --folder my_video --out my_video/camera.json
        cvlnet calibrate-camera --drive raw_data/2011_09_26/2011_09_26_drive_0005_sync
        cvlnet calibrate-camera --video drive.mp4 --camera-file camera.json \
            --odometry wheels.csv --find-focal --out camera.json
        cvlnet calibrate-camera --bag drive.mcap --height-m 1.5 --out camera.json

    Args:
        camera: Number of the camera; by default the drive's first one.
        find_focal: Estimates the focal length as well, from bends of the drive.
        out: File for camera.json with the values to use, and everything else unchanged. It may be the old file.

    """
    from cvlnet.calibration.estimate import calibrated
    from cvlnet.calibration.focal import focal_found, scaled
    from cvlnet.calibration.report import focal_line, to_table, with_focal, write_camera_file
    from cvlnet.calibration.stretches import read_stretches
    from cvlnet.calibration.turns import turn_doubt
    from cvlnet.data.odometry_files import of_visual_odometry
    from cvlnet.data.open_journey import open_journey
    from cvlnet.errors import warn
    from cvlnet.io.files import require_writable
    from cvlnet.road.geometry import Mounting
    from cvlnet.road.tracks import whole

    if out is not None:
        require_writable(out)
    files, pitch_deg, height_m = _start_of(drive)
    odometry = files.odometry if files.folder is None else files.folder / "poses.csv"
    if odometry is not None and of_visual_odometry(odometry):
        what = "was estimated with the camera's stated height and focal length, which it cannot correct"
        remedy = "give odometry of wheels or GPS"
        raise InputError(what, where=odometry, remedy=remedy)
    journey = open_journey(files)
    number = sorted(journey.cameras)[0] if camera is None else camera
    if number not in journey.cameras:
        known = " or ".join(map(str, sorted(journey.cameras)))
        raise InputError(f"{number} is no camera of the drive", where="--camera", remedy=f"give {known}")
    mounted = journey.cameras[number]
    if find_focal and mounted.lens is not None:
        remedy = "leave --find-focal out"
        raise InputError("a known lens distortion implies a known focal length", where=journey.name, remedy=remedy)
    stated = _started(Mounting.of(journey.road_from_cam(number)), pitch_deg, height_m)
    turn = turn_doubt(journey, number)
    if turn is not None:
        warn(f"what follows may be wrong: {turn}", where=journey.name, remedy=turn.remedy)
    progress = sys.stderr.isatty()
    seen = whole(mounted.camera).camera(mounted.camera)
    settings = _settings(files, journey, number, stated)
    focal = None
    if find_focal:
        focal = focal_found(seen, stated, read_stretches(journey, number, bends=True), journey.name, progress=progress)
        print(focal_line(mounted.camera, focal))
        seen, settings = scaled(seen, focal.scale), with_focal(settings, focal)
    found = calibrated(seen, stated, read_stretches(journey, number), journey.name, progress=progress)
    print(to_table(found if focal is None else found.with_focal_doubt(focal.sigma)))
    if out is not None:
        write_camera_file(out, settings, found.adopted)


def _start_of(drive: JourneyFiles) -> tuple[JourneyFiles, float | None, float | None]:
    """The drive to open, and the pitch and height to start from instead of what it states."""
    from dataclasses import replace

    from cvlnet.data.camera_file import HIGHEST_M, LOWEST_M

    pitch_deg, height_m = drive.pitch_deg, drive.height_m
    if pitch_deg is not None and abs(pitch_deg) > 90:
        raise InputError(f"{pitch_deg:g} is beyond 90 degrees", where="--pitch-deg", remedy="give degrees")
    if height_m is not None and not LOWEST_M <= height_m <= HIGHEST_M:
        what = f"{height_m:g} is not between {LOWEST_M:g} and {HIGHEST_M:g} m"
        raise InputError(what, where="--height-m", remedy="give metres")
    if drive.bag is not None and drive.camera_file is None:
        return drive, None, None  # they are the bag's own
    return replace(drive, pitch_deg=None, height_m=None), pitch_deg, height_m


def _started(stated: Mounting, pitch_deg: float | None, height_m: float | None) -> Mounting:
    from dataclasses import replace
    from math import radians

    if pitch_deg is not None:
        stated = replace(stated, pitch_rad=radians(pitch_deg))
    return stated if height_m is None else replace(stated, height_m=height_m)


def _settings(files: JourneyFiles, journey: Journey, camera: int, stated: Mounting) -> dict[str, Any]:
    """The contents of camera.json, or those that it would have."""
    from cvlnet.calibration.report import settings_from, settings_of

    if files.folder is not None:
        return settings_of(files.folder / "camera.json")
    if files.camera_file is not None:
        return settings_of(files.camera_file)
    return settings_from(journey.cameras[camera], stated)
