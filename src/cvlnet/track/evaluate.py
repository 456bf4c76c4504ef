"""How right a track is, beside known places: its errors, the way until it converges, and how long it was misled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.stats import chi2

from cvlnet.arrays import F64, Bools, Points, Series
from cvlnet.data.heading import CONTRADICTS_RAD, LEAST_STRETCHES, wrapped
from cvlnet.data.journey import KnownPlace
from cvlnet.data.odometry import wrapped_rad
from cvlnet.errors import InputError, warn
from cvlnet.geo import LocalFrame
from cvlnet.track.types import Trajectory

RIGHT_M = 5.0  # within which a tracked position is right
LOST_M = 10.0  # beyond which it is that of another place
ELLIPSE = 0.95
RELATIVE_M = 100.0  # of way, over which the motion's error is stated
_LONGEST_GAP_S = 2.5  # between known places that a fix may lie between: one of a receiver with 1 Hz may be lacking
_FEW_LEFT_OUT = 0.1  # of the fixes, without a true place
_LEAST_STEP_M = 1.0  # between known places that show a direction


@dataclass(frozen=True)
class TrackErrors:
    """The errors of a track at the moments whose true place is known, one entry each.

    begin_s: of the first of them. time_s, way_m: since then; the way is the true one. tracked: whether the track was
    sure then. error_m: east and north, NaN without a position. along_m, across_m: in the vehicle's direction and to its
    left. yaw_rad: from -pi to pi. nees: squared error of the position (two degrees of freedom) by the stated
    covariance, NaN where that is singular. confidence: as stated. Where no heading is known, what depends on it is NaN.
    """

    name: str
    begin_s: float
    time_s: Series
    way_m: Series
    tracked: Bools
    error_m: F64
    along_m: Series
    across_m: Series
    yaw_rad: Series
    nees: Series
    confidence: Series

    @property
    def distance_m(self) -> Series:
        """Length of the errors."""
        return np.asarray(np.linalg.norm(self.error_m, axis=1))

    @property
    def converged_m(self) -> float:
        """The way until the track was first sure of a right place; infinite if it never was."""
        right = self.tracked & (self.distance_m <= LOST_M)
        return float(self.way_m[right.argmax()]) if right.any() else float("inf")

    @property
    def misled_s(self) -> float:
        """The longest time without a break in which the track was sure of a wrong place.

        It begins with the last moment that was not wrong, but at most `_LONGEST_GAP_S` before the first that was.
        """
        longest = lasted_s = 0.0
        wrong = self.tracked & (self.distance_m > LOST_M)
        for (before, now), step_s in zip(pairwise(wrong), np.diff(self.time_s).tolist(), strict=True):
            lasted_s = lasted_s + (step_s if before else min(step_s, _LONGEST_GAP_S)) if now else 0.0
            longest = max(longest, lasted_s)
        return longest

    @property
    def offset_m(self) -> F64:
        """The error that all tracked fixes share: where the map lies beside its true place, above all."""
        known_m = self.error_m[self.tracked & np.isfinite(self.error_m).all(axis=1)]
        return np.asarray(np.median(known_m, axis=0)) if len(known_m) else np.zeros(2)

    def relative_m(self, way_m: float) -> F64:
        """By how much the motion over a length of way is wrong, in metres: from each tracked moment to a later one.

        It is the change of the error from one to the other, as evo's relative pose error is without orientations. The
        later moment is the first one behind that length; where it is not tracked, there is none, or it lies more than
        twice as far, behind a part of the way that is not known, nothing is counted.
        """
        later = np.searchsorted(self.way_m, self.way_m + way_m)
        begin = np.flatnonzero(self.tracked & (later < len(self.way_m)))
        begin = begin[self.way_m[later[begin]] - self.way_m[begin] <= 2 * way_m]
        begin = begin[self.tracked[later[begin]]]
        change_m = np.linalg.norm(self.error_m[later[begin]] - self.error_m[begin], axis=1)
        return np.asarray(change_m[np.isfinite(change_m)])

    def figures(self) -> dict[str, float]:
        """The figures of a drive, by name, over what is known; those of tracked fixes are NaN where nothing is."""
        since = self.way_m >= self.converged_m
        kept = self.tracked
        relative_m = np.linalg.norm(self.error_m[kept] - self.offset_m, axis=1)
        distance_m, nees = (values[kept & np.isfinite(values)] for values in (self.distance_m, self.nees))

        def over(values: F64, of: float | None = None) -> float:
            known = values[np.isfinite(values)]
            if not len(known):
                return float("nan")
            return float(np.median(np.abs(known)) if of is None else np.mean(known <= of))

        return {
            "way_m": float(self.way_m[-1]),
            "converged_m": self.converged_m,
            "available": float(self.tracked[since].mean()) if since.any() else 0.0,
            "median_m": over(distance_m),
            "median_relative_m": over(relative_m),
            "within_5m": over(distance_m, RIGHT_M),
            "p95_m": float(np.quantile(distance_m, 0.95)) if len(distance_m) else float("nan"),
            "along_m": over(self.along_m[kept]),
            "across_m": over(self.across_m[kept]),
            "per_100m_m": over(self.relative_m(RELATIVE_M)),
            "yaw_deg": float(np.degrees(over(self.yaw_rad[kept]))),
            "misled_s": self.misled_s,
            "in_ellipse": over(nees, float(chi2.ppf(ELLIPSE, 2))),
            "nees": float(nees.mean()) if len(nees) else float("nan"),
        }


@dataclass(frozen=True)
class GroundTruth:
    """Where a vehicle was, between places that are known. times_s: of these places, rising.

    xy_m: of the places in the frame, (east, north). yaws_s, yaws_rad: headings without jumps, and their times; empty
    where nothing says which way the vehicle looked.
    """

    frame: LocalFrame
    times_s: F64
    xy_m: Points
    yaws_s: F64
    yaws_rad: F64

    @staticmethod
    def of(places: Sequence[KnownPlace]) -> GroundTruth:
        """From places by rising time. Where they have no headings, the direction of the way takes their place.

        Raises ValueError if there are none.
        """
        if not places:
            raise ValueError("the truth is not known: there are no places")
        frame, times_s = LocalFrame(places[0].position), np.array([place.time_s for place in places])
        xy_m = frame.xy_world_m([place.position.degrees for place in places])
        yaws_rad = [place.yaw_rad for place in places if place.yaw_rad is not None]
        if len(yaws_rad) == len(places):
            return GroundTruth(frame, times_s, xy_m, times_s, np.unwrap(yaws_rad))
        apart = _apart(xy_m)
        east_m, north_m = np.diff(xy_m[apart], axis=0).T
        between_s = (times_s[apart][:-1] + times_s[apart][1:]) / 2
        return GroundTruth(frame, times_s, xy_m, between_s, np.unwrap(np.arctan2(north_m, east_m)))

    def knows(self, time_s: float) -> bool:
        """Whether a moment is that of a place, or lies between two that are close in time."""
        after = int(np.searchsorted(self.times_s, time_s))
        if after < len(self.times_s) and self.times_s[after] == time_s:
            return True
        return 0 < after < len(self.times_s) and bool(self.times_s[after] - self.times_s[after - 1] <= _LONGEST_GAP_S)

    def xy_at(self, times_s: Series) -> Points:
        """Places at some moments, by interpolation."""
        return np.stack([np.interp(times_s, self.times_s, self.xy_m[:, axis]) for axis in (0, 1)], axis=1)

    def yaws_at(self, times_s: Series) -> Series:
        """Headings, counter-clockwise from east, by interpolation; NaN where none are known."""
        if not len(self.yaws_s):
            return np.full(len(times_s), np.nan)
        return np.asarray(np.interp(times_s, self.yaws_s, self.yaws_rad))


def _apart(xy_m: Points) -> list[int]:
    """The numbers of the first place and of those that lie `_LEAST_STEP_M` from the last one that is taken."""
    taken = [0]
    for number, place_m in enumerate(xy_m):
        if np.hypot(*(place_m - xy_m[taken[-1]])) >= _LEAST_STEP_M:
            taken.append(number)
    return taken


def errors_of(trajectory: Trajectory, places: Sequence[KnownPlace]) -> TrackErrors:
    """The errors of the fixes between known places, as `errors_beside` gives them.

    If more than a tenth of the fixes do not lie between known places, a warning gives their number; there is another
    one if the headings of the places contradict the way between them. Raises InputError if no fix lies there.
    """
    truth = GroundTruth.of(places)
    _warn_if_contradicting(truth, GroundTruth.of([replace(place, yaw_rad=None) for place in places]), trajectory.name)
    errors = errors_beside(trajectory, truth)
    count = len(trajectory.fixes)
    if (left_out := count - len(errors.time_s)) > _FEW_LEFT_OUT * count:
        what = f"the true place is not known at {left_out:,} of {count:,} fixes, which are not counted"
        remedy = f"give true positions at most {_LONGEST_GAP_S:g} s apart for all of the drive"
        warn(what, where=trajectory.name, remedy=remedy)
    return errors


def _warn_if_contradicting(truth: GroundTruth, by_way: GroundTruth, name: str) -> None:
    """Warn if headings are not those of the way, as those of a compass are not. by_way: with directions of the way."""
    if len(by_way.yaws_s) < LEAST_STRETCHES:
        return
    off_rad = wrapped(truth.yaws_at(by_way.yaws_s) - by_way.yaws_rad)
    if (typical_rad := float(np.median(np.abs(off_rad)))) > CONTRADICTS_RAD:
        what = (
            f"the true headings differ from the direction of the way by {np.degrees(typical_rad):.0f} degrees (median)"
        )
        remedy = (
            "give yaw_deg counter-clockwise from east, or leave it out; errors along and across the road depend on it"
        )
        warn(what, where=name, remedy=remedy)


def errors_beside(trajectory: Trajectory, truth: GroundTruth) -> TrackErrors:
    """The errors of the fixes at moments that the truth knows. Raises InputError if there are none."""
    fixes = [fix for fix in trajectory.fixes if truth.knows(fix.time_s)]
    if not fixes:
        remedy = "check that both count seconds from the same moment"
        raise InputError("no fix lies between the known places", where=trajectory.name, remedy=remedy)
    at_s = np.array([fix.time_s for fix in fixes])
    true_m, true_rad = truth.xy_at(at_s), truth.yaws_at(at_s)
    found_m = np.full((len(fixes), 2), np.nan)
    known = [i for i, fix in enumerate(fixes) if fix.position is not None]
    if known:
        found_m[known] = truth.frame.xy_world_m([fixes[i].position.degrees for i in known])  # type: ignore[union-attr]
    error_m = found_m - true_m
    cosine, sine = np.cos(true_rad), np.sin(true_rad)
    covariances = np.array(
        [np.full((2, 2), np.nan) if fix.covariance is None else fix.covariance[:2, :2] for fix in fixes]
    )
    nees = np.full(len(fixes), np.nan)
    (east_m2, en_m2), (_, north_m2) = covariances.transpose(1, 2, 0)
    regular = (east_m2 > 0) & (east_m2 * north_m2 > en_m2**2)  # False for NaN
    inverse = np.linalg.inv(covariances[regular])
    nees[regular] = np.einsum("ni,nij,nj->n", error_m[regular], inverse, error_m[regular])
    steps_m = np.linalg.norm(np.diff(true_m, axis=0), axis=1)
    return TrackErrors(
        name=trajectory.name,
        begin_s=float(at_s[0]),
        time_s=at_s - at_s[0],
        way_m=np.concatenate([[0.0], np.cumsum(steps_m)]),
        tracked=np.array([fix.state == "tracking" for fix in fixes]),
        error_m=error_m,
        along_m=cosine * error_m[:, 0] + sine * error_m[:, 1],
        across_m=cosine * error_m[:, 1] - sine * error_m[:, 0],
        yaw_rad=np.array(
            [
                np.nan if fix.yaw_rad is None else wrapped_rad(fix.yaw_rad - float(yaw))
                for fix, yaw in zip(fixes, true_rad, strict=True)
            ]
        ),
        nees=nees,
        confidence=np.array([fix.confidence for fix in fixes]),
    )
