"""From the poses of a file to a recording: positions and headings are checked against how vehicles drive."""

from __future__ import annotations

from collections.abc import Sequence
from math import degrees
from pathlib import Path

import numpy as np

from cvlnet.arrays import Indices, Positions, Series
from cvlnet.data.camera_file import CameraFile
from cvlnet.data.heading import Contradiction, Reading, contradiction
from cvlnet.data.plausibility import elapsed_s, typical_speed_m_s
from cvlnet.data.poses import FARTHEST_M, PoseReading, Poses
from cvlnet.data.recording import RecordedFrame, Recording
from cvlnet.data.screening import Rows, Screened, screen
from cvlnet.errors import InputError, warn
from cvlnet.geo import LatLon, LocalFrame, earth_centred_m
from cvlnet.geometry import Pose

CAMERA_ID = 2  # as KITTI's left colour camera, which a clip takes by default
FRAME_S = 1.0  # of a frame where there are no times: longer than in a video, so that no vehicle seems too fast
WIDEST_M = 200_000.0  # of a way in metres: over this length the earth's curvature bends directions by 0.03 degrees
NOWHERE = LatLon(0.0, 0.0)  # where a world in metres is put: at the equator east and north stay the same for longest
_SLOW_S, _SLOW_M_S, _MOVED_M = (
    10.0,
    0.5,
    1.0,
)  # if frames are farther apart, and a vehicle that moves slower: no seconds


def recording_of(name: str, poses: Poses, camera: CameraFile, pictures: Sequence[Path] = ()) -> Recording:
    """The drive whose frames have these poses, at their times, with the pictures of its frames if there are any.

    Poses of a world that is not turned to the east are turned as ``camera`` says. Frames without a pose are left out,
    as holes, and so are those whose position no vehicle can have driven to, with a warning; see
    `cvlnet.data.screening`. Raises InputError if the headings contradict the way that the vehicle drives and another
    reading of the poses explains it.
    """
    poses = poses.turned(camera.yaw_offset_rad)
    clock_s = elapsed_s(poses.time_s, poses.frame, FRAME_S)
    places_m = _metres(poses)
    screened = screen(Rows(poses.path, poses.unit, poses.line), places_m, poses.as_read.yaw_rad, clock_s)
    kept = screened.kept
    _require_seconds(places_m[kept], clock_s[kept], poses.path)
    _check_heading(poses, clock_s, screened, camera)
    time_s = clock_s + np.nan_to_num(poses.time_s[0], posinf=0.0, neginf=0.0)  # 0 for poses without times
    frame, time_s, yaw_rad = (values[kept].tolist() for values in (poses.frame, time_s, poses.as_read.yaw_rad))
    images = dict(enumerate({CAMERA_ID: picture} for picture in pictures))
    frames = (
        RecordedFrame(frame[i], time_s[i], place, 0.0, 0.0, yaw_rad[i], images.get(frame[i], {}))
        for i, place in enumerate(_positions(poses, kept))
    )
    number = poses.frame.tolist()
    jumps_m = {number[row]: jump_m for row, jump_m in screened.jumps_m.items()}
    left_out = {i: f"{poses.path.name} has no pose of {picture.name}" for i, picture in enumerate(pictures)}
    left_out |= {
        number[row]: f"{why} ({poses.path}, {poses.unit} {poses.line[row]})" for row, why in screened.reasons.items()
    }
    for used in frame:
        left_out.pop(used, None)
    cameras = {CAMERA_ID: camera.mounted}
    return Recording(name, cameras, Pose.identity(), tuple(frames), jumps_m, left_out, geographic=poses.geographic)


def _metres(poses: Poses) -> Positions:
    """Positions between which straight distances hold, in two or three dimensions; NaN without place or heading."""
    place = poses.as_read.place
    missing = ~np.isfinite(np.c_[place, poses.as_read.yaw_rad]).all(axis=1)
    missing |= (np.abs(place) > FARTHEST_M).any(axis=1)
    places_m = earth_centred_m(np.nan_to_num(place)) if poses.geographic else place
    return np.where(missing[:, None], np.nan, places_m)


def _require_seconds(places_m: Positions, clock_s: Series, path: Path) -> None:
    """Times in milliseconds would make every vehicle a slow one, and every jump plausible."""
    step_s = float(np.median(np.diff(clock_s))) if len(clock_s) > 1 else 0.0
    moves = np.linalg.norm(places_m[-1] - places_m[0]) > _MOVED_M
    if step_s > _SLOW_S and moves and typical_speed_m_s(places_m, clock_s) < _SLOW_M_S:
        what = f"the times rise by {step_s:g} s from frame to frame, in which the vehicle hardly moves"
        raise InputError(what, where=path, remedy="give times in seconds")


def _positions(poses: Poses, kept: Indices) -> list[LatLon]:
    """Places on earth; a world in metres has its first frame at `NOWHERE`. Raises InputError if it is too wide."""
    place = poses.as_read.place[kept]
    if not poses.geographic:
        xy_m = place - place[0]
        widest_m = float(np.linalg.norm(xy_m, axis=1).max())
        if widest_m > WIDEST_M:
            what = f"the way reaches {widest_m / 1000:.0f} km far, and {WIDEST_M / 1000:.0f} km are the most in metres"
            remedy = "check that the positions are metres, or give latitude and longitude"
            raise InputError(what, where=poses.path, remedy=remedy)
        place = LocalFrame(NOWHERE).latlon_deg(xy_m)
    return [LatLon(*latlon_deg) for latlon_deg in place.tolist()]


def _check_heading(poses: Poses, clock_s: Series, screened: Screened, camera: CameraFile) -> None:
    """Compare the headings with the way: refuse what another reading explains, and warn of what nothing explains."""
    kept = screened.kept
    starts = np.searchsorted(kept, sorted(screened.jumps_m)).tolist()
    as_read, *others = (_reading(reading, poses, kept) for reading in (poses.as_read, *poses.others))
    found = contradiction(as_read, others, clock_s[kept], starts, screened.noise_m)
    if found is None:
        return
    what = f"the headings are {degrees(found.off_rad):.0f} degrees away from the direction of travel"
    explained = [(other.how, other.remedy) for other in found.explained_by] or _by_a_turn(found, poses, camera)
    if not explained or camera.choices["heading_convention"] is not None:
        warn(what, where=poses.path, remedy="check yaw and the axes of the positions, unless it does drive sideways")
        return
    remedies = [f"if {how}, {remedy}" for how, remedy in explained]
    right = 'if the headings are right, write "heading_convention": "east_ccw"'
    raise InputError(what, where=poses.path, remedy="; ".join([*remedies, right]))


def _reading(reading: PoseReading, poses: Poses, kept: Indices) -> Reading:
    """The reading in metres east and north."""
    place = reading.place[kept]
    xy_m = LocalFrame(LatLon(*place[0].tolist())).xy_world_m(place) if poses.geographic else place - place[0]
    return Reading(reading.how, reading.remedy, xy_m, reading.yaw_rad[kept])


def _by_a_turn(found: Contradiction, poses: Poses, camera: CameraFile) -> list[tuple[str, str]]:
    """What to write if a constant is missing from every heading."""
    if found.offset_rad is None:
        return []
    offset_deg = round(degrees(camera.heading_offset_rad + found.offset_rad))
    zero = "east" if poses.geographic else "the x axis"
    return [(f"they do not count from {zero}", f'write "heading_offset_deg": {offset_deg} in camera.json')]
