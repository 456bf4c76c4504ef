"""Open a drive: KITTI, a folder of frames, a video file, or a ROS bag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from cvlnet.config import JourneyFiles
from cvlnet.data.camera_file import CameraFile, read_camera_file
from cvlnet.data.folder import read_folder
from cvlnet.data.journey import Journey, journey_of
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.data.kitti_odometry import is_sequence, read_sequence
from cvlnet.data.odometry import OdometryPose, begins_at_zero, odometry_of
from cvlnet.data.odometry_files import read_odometry, read_places
from cvlnet.data.places_doubt import places_doubt
from cvlnet.data.recording import Recording
from cvlnet.data.synchronize import Pictures, synchronized
from cvlnet.errors import InputError, warn

_SOURCES = ("drive", "folder", "video", "bag")
# which sources each of the other settings is for
_FOR: dict[str, tuple[str, ...]] = {
    "camera_file": ("video", "bag"),
    "odometry": ("video",),
    "time_offset_s": ("video", "bag"),
    "height_m": ("bag",),
    "pitch_deg": ("bag",),
    "image_topic": ("bag",),
    "camera_info_topic": ("bag",),
    "odometry_topic": ("bag",),
    "gps_topic": ("bag",),
}


def open_journey(files: JourneyFiles) -> Journey:
    """Open the drive of the files. Pictures are decoded later, when they are used.

    Raises InputError unless there is exactly one source, if a setting belongs to another kind of source, as the readers
    of `cvlnet.data` do, and if the positions of ``gps`` have other times than the drive (see `JourneyFiles`).
    """
    source = _source(files)
    if source == "video":
        journey, odometry = _from_video(files)
    elif source == "bag":
        journey, odometry = _from_bag(files)
    else:
        recording = _recording(files)
        journey, odometry = journey_of(recording), odometry_of(recording)
    return journey if files.gps is None else _with_places(journey, odometry, files)


def _source(files: JourneyFiles) -> str:
    """The one source. Raises InputError if it is not one, or if a setting is not for it."""
    sources = [name for name in _SOURCES if getattr(files, name) is not None]
    if len(sources) != 1:
        remedy = "give one of them: a KITTI drive, a video folder, a video file or a bag"
        where = ", ".join(f"--{name}" for name in sources or _SOURCES)
        raise InputError("exactly one drive is needed", where=where, remedy=remedy)
    for name, suited in _FOR.items():
        if getattr(files, name) not in (None, 0.0) and sources[0] not in suited:
            remedy = f"leave it out: it is for {' or '.join(f'--{other}' for other in suited)}"
            raise InputError(f"does not go with --{sources[0]}", where=f"--{name.replace('_', '-')}", remedy=remedy)
    return sources[0]


def _recording(files: JourneyFiles) -> Recording:
    if files.folder is not None:
        return read_folder(files.folder)
    assert files.drive is not None
    return read_sequence(files.drive) if is_sequence(files.drive) else read_recording(files.drive)


def _from_video(files: JourneyFiles) -> tuple[Journey, tuple[OdometryPose, ...]]:
    assert files.video is not None
    if files.camera_file is None or files.odometry is None:
        given = {"--camera-file": files.camera_file, "--odometry": files.odometry}
        missing = " and ".join(option for option, path in given.items() if path is None)
        remedy = (
            "give camera.json (cvlnet camera convert makes it of other calibrations) and a file of odometry (cvlnet "
            "visual-odometry makes one of the video itself)"
        )
        raise InputError(f"a video needs {missing}", where=files.video, remedy=remedy)
    pictures, camera = open_video(files.video, files.camera_file, files.time_offset_s)
    odometry = read_odometry(files.odometry, camera)
    has_headings = not begins_at_zero(odometry[0].yaw_rad, [camera.mounted])
    return synchronized(pictures, odometry, files.odometry, has_headings=has_headings), odometry


def open_video(path: Path, camera_path: Path, time_offset_s: float = 0.0) -> tuple[Pictures, CameraFile]:
    """The pictures of a video file, and its camera.json. Raises InputError as the readers do, or without ``video``."""
    require_extra("av", "video", path)
    from cvlnet.data.video import read_video

    camera = read_camera_file(camera_path)
    return read_video(path, camera.mounted, time_offset_s), camera


def _from_bag(files: JourneyFiles) -> tuple[Journey, tuple[OdometryPose, ...]]:
    assert files.bag is not None
    if files.camera_file is not None and (files.height_m is not None or files.pitch_deg is not None):
        remedy = "leave --height-m and --pitch-deg out, or --camera-file"
        raise InputError("camera.json says how the camera is mounted", where=files.camera_file, remedy=remedy)
    require_extra("rosbags", "ros", files.bag)
    from cvlnet.data.bag import BagTopics, read_bag

    drive = read_bag(
        files.bag,
        BagTopics(files.image_topic, files.camera_info_topic, files.odometry_topic, files.gps_topic),
        camera_path=files.camera_file,
        height_m=files.height_m,
        pitch_deg=files.pitch_deg,
        time_offset_s=files.time_offset_s,
    )
    journey = synchronized(
        drive.pictures,
        drive.odometry,
        drive.odometry_name,
        drive.places,
        has_headings=False,  # the direction of a robot's odometry frame is arbitrary (REP 105)
    )
    return journey, drive.odometry


def _with_places(journey: Journey, odometry: Sequence[OdometryPose], files: JourneyFiles) -> Journey:
    """The journey with the positions of ``gps`` instead of its own. Raises InputError if they are of another time."""
    assert files.gps is not None
    read = read_places(files.gps, _camera_of(files))
    places = tuple(replace(place, time_s=place.time_s + files.gps_offset_s) for place in read)
    begin_s, end_s = odometry[0].time_s, odometry[-1].time_s
    if not any(begin_s <= place.time_s <= end_s for place in places):
        what = (
            f"its times go from {places[0].time_s:.12g} to {places[-1].time_s:.12g} s, and those of the odometry from "
            f"{begin_s:.12g} to {end_s:.12g} s"
        )
        more_s = begin_s - places[0].time_s
        remedy = f"give --gps-offset-s, which is added to its times ({more_s:+.12g} more if both began together)"
        raise InputError(what, where=files.gps, remedy=remedy)
    doubt = places_doubt(places, odometry)
    if doubt is not None:
        warn(str(doubt), where=files.gps, remedy=doubt.remedy)
    if journey.places:
        warn("its positions are taken instead of the drive's own", where=files.gps, remedy="leave --gps out otherwise")
    return replace(journey, places=places)


def _camera_of(files: JourneyFiles) -> CameraFile | None:
    path = files.camera_file if files.folder is None else files.folder / "camera.json"
    return None if path is None else read_camera_file(path)


def require_extra(library: str, extra: str, where: Path) -> None:
    """Raise InputError if a library of an extra is missing."""
    if find_spec(library) is None:
        remedy = f"install the extra: pip install 'cvlnet[{extra}]'"
        raise InputError(f"needs {library}", where=where, remedy=remedy)
