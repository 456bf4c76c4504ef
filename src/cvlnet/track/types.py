"""What a tracker says of a moment, and of a whole drive."""

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
    """Where the vehicle is at one moment, as far as is known by then.

    state: "tracking" while one place is all but sure; "searching" before the first such place; "lost" after a tracked
    vehicle turned out to be elsewhere. position, yaw_rad: the most likely place, and the heading counter-clockwise from
    true east; None while no place stands out. covariance: 3 x 3, of (east m, north m, yaw rad), with the doubt about
    the map's own place. confidence: probability that the vehicle is near that place. hypotheses: the places that are
    possible, likeliest first. smooth_position, smooth_yaw_rad: the pose without jumps, as controllers want it:
    odometry, drawn towards the estimate. scale: metres on the ground for one of the odometry's. drift_rad_per_m: by
    which its yaw turns away. score: of the clip at the place, where one was compared at this moment.
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


@dataclass(frozen=True)
class Trajectory:
    """The fixes of a drive by rising time. credit: of the imagery, to be shown wherever the map is."""

    name: str
    fixes: tuple[TrackFix, ...]
    credit: str | None = None
