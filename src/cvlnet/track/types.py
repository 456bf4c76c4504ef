"""The results of tracking: the fix of a moment, and the trajectory of a drive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from cvlnet.arrays import F64
from cvlnet.geo import LatLon

State = Literal["searching", "tracking", "lost"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class Hypothesis:
    """A place where the vehicle may be. yaw_rad: its heading, counter-clockwise from true east."""

    position: LatLon
    yaw_rad: float
    probability: float


@dataclass(frozen=True)
class TrackFix:
    """The vehicle's position at one moment, estimated from the drive up to that moment.

    state: "tracking" while one place is almost certain; "searching" before the first such place; "lost" after a tracked
    vehicle turned out to be elsewhere. position, yaw_rad: the most likely place, and the heading there,
    counter-clockwise from true east; None while no place stands out. covariance: 3 x 3, of (east m, north m, yaw rad),
    including the uncertainty of the imagery's own position. confidence: probability that the vehicle is near that
    place. hypotheses: the possible places, most likely first. smooth_position, smooth_yaw_rad: the pose without jumps,
    for controllers: odometry that converges to the estimate. scale: metres on the ground per metre of the odometry.
    drift_rad_per_m: drift of the odometry's yaw. score: of the clip at the place, if one was compared at this moment.
    pitch_offset_rad, camera_yaw_offset_rad: how much farther down, and to the left, the cameras look than is described,
    as estimated; None unless tracked.
    """

    index: int
    time_s: float
    state: State
    position: LatLon | None
    yaw_rad: float | None
    covariance: F64 | None
    confidence: float
    hypotheses: tuple[Hypothesis, ...] = ()
    smooth_position: LatLon | None = None
    smooth_yaw_rad: float | None = None
    scale: float = 1.0
    drift_rad_per_m: float = 0.0
    score: float | None = None
    pitch_offset_rad: float | None = None
    camera_yaw_offset_rad: float | None = None


@dataclass(frozen=True)
class Trajectory:
    """The fixes of a drive by increasing time. credit: that of the imagery, to be shown with the map."""

    name: str
    fixes: tuple[TrackFix, ...]
    credit: str | None = None
