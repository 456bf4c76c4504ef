"""Pictures and odometry that were recorded apart, brought together by their times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cvlnet.data.journey import Journey, KnownPlace, Moment, Picture
from cvlnet.data.odometry import OdometryPose
from cvlnet.data.poses_recording import CAMERA_ID
from cvlnet.data.recording import MountedCamera
from cvlnet.errors import InputError, warn
from cvlnet.geometry import Pose

LONGEST_GAP_S = 2.0  # between poses that a pose in between is interpolated from


@dataclass(frozen=True)
class Pictures:
    """The pictures of a camera, by rising time of the odometry's clock.

    name: of the file. taken: starts from the first one with every call; the number of each, its time, and how to get
    it. begin_s, end_s: of the first and of the last one, as far as is known before they are read.
    """

    name: str
    camera: MountedCamera
    taken: Callable[[], Iterator[tuple[int, float, Picture]]]
    begin_s: float
    end_s: float


class OdometryTrack:
    """Odometry between whose poses others are interpolated. Raises ValueError unless there are poses, times rising."""

    def __init__(self, poses: Sequence[OdometryPose]) -> None:
        values = np.array([(pose.time_s, pose.x_m, pose.y_m, pose.yaw_rad) for pose in poses]).reshape(-1, 4)
        self._time_s, self._x_m, self._y_m = values[:, 0], values[:, 1], values[:, 2]
        self._yaw_rad = np.unwrap(values[:, 3])
        if len(values) == 0 or (np.diff(self._time_s) <= 0).any():
            raise ValueError("odometry has poses of rising times")

    @property
    def begin_s(self) -> float:
        """The time of the first pose."""
        return float(self._time_s[0])

    @property
    def end_s(self) -> float:
        """The time of the last pose."""
        return float(self._time_s[-1])

    def at(self, time_s: float) -> OdometryPose | None:
        """The pose at a time; None before the first and after the last pose, and where none came for 2 seconds."""
        if not self.begin_s <= time_s <= self.end_s:
            return None
        after = int(np.searchsorted(self._time_s, time_s))
        if self._time_s[after] != time_s and self._time_s[after] - self._time_s[after - 1] > LONGEST_GAP_S:
            return None
        x_m, y_m, yaw_rad = (
            float(np.interp(time_s, self._time_s[max(after - 1, 0) : after + 1], values[max(after - 1, 0) : after + 1]))
            for values in (self._x_m, self._y_m, self._yaw_rad)
        )
        return OdometryPose(time_s, x_m, y_m, yaw_rad)


def synchronized(
    pictures: Pictures,
    odometry: Sequence[OdometryPose],
    odometry_name: str | Path,
    places: tuple[KnownPlace, ...] = (),
    *,
    has_headings: bool,
) -> Journey:
    """A journey whose moments are those of the pictures, with the odometry interpolated at their times.

    Pictures outside the odometry, or within a gap of it of more than 2 seconds, have no moment; a warning says so if
    they are more than half of all. odometry_name: for messages. has_headings: as of `Journey`.
    Raises InputError if pictures and odometry do not overlap.
    """
    track = OdometryTrack(odometry)
    _require_overlap(pictures, track, odometry_name)

    def moments() -> Iterator[Moment]:
        last_s, within, used = -np.inf, 0, 0
        for index, time_s, picture in pictures.taken():
            within += track.begin_s <= time_s <= track.end_s
            pose = track.at(time_s) if time_s > last_s else None
            if pose is not None:
                last_s, used = time_s, used + 1
                yield Moment(index, pose, {CAMERA_ID: picture})
        if used < within / 2:
            gaps = f"{odometry_name} has gaps of more than {LONGEST_GAP_S:g} s"
            warn(
                f"{within - used} of {within} pictures are left out: {gaps}",
                where=pictures.name,
                remedy="check that its times are seconds",
            )

    return Journey(pictures.name, {CAMERA_ID: pictures.camera}, Pose.identity(), moments, places, has_headings)


def _require_overlap(pictures: Pictures, track: OdometryTrack, odometry_name: str | Path) -> None:
    both_s = min(pictures.end_s, track.end_s) - max(pictures.begin_s, track.begin_s)
    theirs = f"from {pictures.begin_s:.12g} to {pictures.end_s:.12g} s"
    ours = f"those of {odometry_name} from {track.begin_s:.12g} to {track.end_s:.12g} s"
    offset_s = track.begin_s - pictures.begin_s
    if both_s < 0 or (both_s == 0 and pictures.end_s > pictures.begin_s):
        raise InputError(
            f"the pictures' times go {theirs}, and {ours}",
            where=pictures.name,
            remedy=f"give --time-offset-s, which is added to the pictures' times ({offset_s:+.12g} more if both began "
            "together)",
        )
    if both_s < (pictures.end_s - pictures.begin_s) / 2:
        what = f"less than half of the pictures have odometry: their times go {theirs}, and {ours}"
        warn(what, where=pictures.name, remedy="check --time-offset-s")
