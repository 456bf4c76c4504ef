"""Which positions a vehicle can have driven to: found by speed and acceleration, given the times.

A GPS that loses its fix reports a place far away, or repeats the last one; multipath moves single positions aside; a
restarted odometry goes on somewhere else. All functions are pure: arrays in, arrays out. Positions are metres in any
frame in which straight distances hold (two dimensions for odometry, three for earth-centred positions).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from math import radians

import numpy as np
from jaxtyping import Float64, Int64

from cvlnet.arrays import Flags, Positions, Series

FASTEST_M_S = 70.0  # 252 km/h: faster than road vehicles drive
HARDEST_M_S2 = 10.0  # what tyres hold: hard braking, or the sharpest bend
# A step may differ from the motion around it by 3 m, or by 5.5 times the median difference where the positions are
# noisy: with Gaussian noise that is exceeded once in 10^8 steps. No step of the 151 drives of KITTI raw differs by more
# than 1.5 m, but for one fault of its GPS (2011_09_26_drive_0093, which slides 40 m sideways in a second).
LEAST_TOLERANCE_M = 3.0
TOLERANCE_IN_MEDIANS = 5.5
MOST_TOLERANCE_M = 20.0  # so that a track that is faulty throughout does not excuse itself
STALE_M = 1.0  # how far the vehicle has moved on when a repeated position counts as stale
SPIN_RAD = radians(30)  # how far a heading may differ from its neighbours, ...
FASTEST_TURN_RAD_S = radians(60)  # ... besides what the vehicle can have turned at this rate
_SPIN_ROWS = 3  # neighbours on each side
_WINDOW_S = 0.5  # of motion on each side of a step, ...
_WINDOW_STEPS = 2  # ... or this number of steps, if that is longer
_ASTRAY_S = 2.0  # several positions that are away for longer are a part of the drive of their own
_MOST_PIECES = 20  # astray, among which a way back is looked for
_PART = 3  # positions make a part of the drive, beside which a single one is a fault


@dataclass(frozen=True)
class Plausibility:
    """What `plausible` finds, one entry a position.

    stray: no vehicle can have driven there. stale: repeats the position before while the vehicle moves on. starts: the
    first position of a new part of the drive: it and what follows agree with each other, but not with what came before.
    noise_m: how far a step typically differs from the motion around it.
    """

    stray: Flags
    stale: Flags
    starts: Flags
    noise_m: float

    @property
    def kept(self) -> Flags:
        """The positions that can be used."""
        return np.asarray(~(self.stray | self.stale))


def elapsed_s(time_s: Series, number: Int64[np.ndarray, " n"], frame_s: float) -> Series:
    """Seconds since the first frame, rising: frames whose times are missing (NaN) or do not rise lie evenly between.

    number: of the frames, rising. The times that count are as many as rise from frame to frame; before the first and
    after the last of them a frame takes as long as the others do (the median). ``frame_s`` is that of all frames where
    no two times rise.
    """
    rising = _rising(time_s)
    if len(rising) < 2:
        return np.asarray((number - number[:1]) * frame_s)
    known, known_s = number[rising], time_s[rising]
    each_s = float(np.median(np.diff(known_s) / np.diff(known)))
    beyond = np.minimum(number - known[0], 0) + np.maximum(number - known[-1], 0)
    clock_s = np.interp(number, known, known_s) + each_s * beyond
    return np.asarray(clock_s - clock_s[0])


def _rising(values: Series) -> list[int]:
    """Rows of a longest rising subsequence of the values that are numbers (Schensted 1961)."""
    lowest: list[float] = []  # last value of a sequence of each length, ...
    ends: list[int] = []  # and its row
    before: dict[int, int] = {}
    for row in np.flatnonzero(np.isfinite(values)).tolist():
        value = float(values[row])
        length = bisect_left(lowest, value)
        if length == len(lowest):
            lowest.append(value)
            ends.append(row)
        elif value < lowest[length]:
            lowest[length], ends[length] = value, row
        else:  # the same value again: its first row counts
            continue
        if length:
            before[row] = ends[length - 1]
    found = ends[-1:]
    while found and found[-1] in before:
        found.append(before[found[-1]])
    return found[::-1]


def plausible(xyz_m: Positions, elapsed_s: Series) -> Plausibility:
    """Find the positions, measured at rising times, that no vehicle can have driven to."""
    stale = _stale(xyz_m, elapsed_s)
    measured = np.flatnonzero(~stale)
    track = _Track(xyz_m[measured], elapsed_s[measured])
    parts = track.parts()
    if max(map(len, parts), default=0) >= _PART:
        parts = [part for part in parts if len(part) > 1]
    stray, starts = ~stale, np.zeros(len(xyz_m), dtype=bool)
    for number, part in enumerate(parts):
        stray[measured[part]] = False
        starts[measured[part[0]]] = number > 0
    return Plausibility(stray, stale, starts, track.noise_m)


def spun(yaw_rad: Series, elapsed_s: Series) -> Flags:
    """Which headings stand out from those just before and after them: no vehicle turns away and back that fast.

    A heading of 0 where the compass dropped out does; one within a fast turn does not.
    """
    result = np.zeros(len(yaw_rad), dtype=bool)
    for row in range(len(yaw_rad)):
        around = slice(max(0, row - _SPIN_ROWS), row + _SPIN_ROWS + 1)
        apart_rad = np.abs(np.remainder(yaw_rad[around, None] - yaw_rad[around] + np.pi, 2 * np.pi) - np.pi)
        usual, here = int(apart_rad.sum(axis=1).argmin()), row - around.start  # the heading nearest to the others
        steps_rad = np.diagonal(apart_rad, offset=1)
        turned_rad = abs(here - usual) * float(np.median(steps_rad)) if len(steps_rad) else 0.0
        around_s = elapsed_s[around][-1] - elapsed_s[around][0]
        result[row] = apart_rad[usual, here] > SPIN_RAD + max(FASTEST_TURN_RAD_S * around_s / 2, turned_rad)
    return result


def typical_speed_m_s(xyz_m: Positions, elapsed_s: Series) -> float:
    """The median speed of all steps; zero for fewer than two positions."""
    if len(xyz_m) < 2:
        return 0.0
    return float(np.median(np.linalg.norm(np.diff(xyz_m, axis=0), axis=1) / np.diff(elapsed_s)))


def _stale(xyz_m: Positions, time_s: Series) -> Flags:
    """Which positions repeat the one before although the vehicle drives on: one measurement, written several times.

    Its speed is the lowest that the positions nearby allow. At the end of the drive it may have braked.
    """
    stale = np.zeros(len(xyz_m), dtype=bool)
    first = np.flatnonzero(np.any(np.diff(xyz_m, axis=0, prepend=np.nan) != 0, axis=1))
    for run, (begin, end) in enumerate(pairwise([*first, len(xyz_m)])):
        others = [first[other] for other in (run - 2, run - 1, run + 1, run + 2) if 0 <= other < len(first)]
        if end - begin == 1 or not others:
            continue
        speed_m_s = min(
            np.linalg.norm(xyz_m[other] - xyz_m[begin]) / abs(time_s[other] - time_s[begin]) for other in others
        )
        since_s = time_s[begin:end] - time_s[begin]
        braked_m = HARDEST_M_S2 * since_s**2 / 2 if end == len(xyz_m) else 0.0
        stale[begin:end] = (speed_m_s * since_s - braked_m > STALE_M) & (speed_m_s < FASTEST_M_S)
    return stale


class _Track:
    """Positions that are measured one by one, the steps between them, and which of these are jumps."""

    def __init__(self, xyz_m: Positions, time_s: Series) -> None:
        self.xyz_m, self.time_s = xyz_m, time_s
        step_m, step_s = np.diff(xyz_m, axis=0), np.diff(time_s)
        velocity = step_m / step_s[:, None]
        around = [self._around(step) for step in range(len(step_s))]
        usual = np.array([_usual(velocity[first:end]) for first, end in around]).reshape(step_m.shape)
        around_s = np.array([time_s[end] - time_s[first] for first, end in around])
        differs_m = np.linalg.norm(step_m - usual * step_s[:, None], axis=1)
        self.noise_m = float(np.median(differs_m)) if len(differs_m) else 0.0
        self.tolerance_m = float(np.clip(TOLERANCE_IN_MEDIANS * self.noise_m, LEAST_TOLERANCE_M, MOST_TOLERANCE_M))
        too_fast = np.linalg.norm(step_m, axis=1) > FASTEST_M_S * step_s + self.tolerance_m
        self.jumps = too_fast | (differs_m > self.tolerance_m + _slack_m(step_s, around_s))

    def parts(self) -> list[list[int]]:
        """The positions of each part of the drive, without those that stray from it and come back."""
        pieces = [piece.tolist() for piece in np.split(np.arange(len(self.time_s)), np.flatnonzero(self.jumps) + 1)]
        parts: list[list[int]] = []
        at = 0
        while at < len(pieces) and pieces[at]:
            part = pieces[at]
            at += 1
            while (back := self._comes_back(part, pieces, at)) is not None:
                part, at = part + pieces[back], back + 1
            parts.append(part)
        return parts

    def _comes_back(self, part: list[int], pieces: list[list[int]], at: int) -> int | None:
        """The first piece behind the one at ``at`` that goes on where ``part`` ends."""
        for back in range(at + 1, min(at + _MOST_PIECES, len(pieces))):
            first = pieces[back][0]
            if self.time_s[first] - self.time_s[part[-1]] > _ASTRAY_S and first - part[-1] > 2:
                return None
            if self._goes_on(part, pieces[back]):
                return back
        return None

    def _goes_on(self, part: list[int], piece: list[int]) -> bool:
        """Whether a vehicle can have driven from the end of ``part`` to the beginning of ``piece``."""
        step_m = self.xyz_m[piece[0]] - self.xyz_m[part[-1]]
        step_s = self.time_s[piece[0]] - self.time_s[part[-1]]
        if np.linalg.norm(step_m) > FASTEST_M_S * step_s + self.tolerance_m:
            return False
        before, after = np.array(part[-_WINDOW_STEPS - 1 :]), np.array(piece[: _WINDOW_STEPS + 1])
        around_m = np.concatenate([np.diff(self.xyz_m[before], axis=0), np.diff(self.xyz_m[after], axis=0)])
        around_s = np.concatenate([np.diff(self.time_s[before]), np.diff(self.time_s[after])])
        if len(around_s) == 0:
            return True
        differs_m = np.linalg.norm(step_m - _usual(around_m / around_s[:, None]) * step_s)
        return bool(differs_m <= self.tolerance_m + _slack_m(step_s, around_s.sum() + step_s))

    def _around(self, step: int) -> tuple[int, int]:
        """The first of the steps around one, and the end of them: as many before it as after it."""
        before = step - int(np.searchsorted(self.time_s, self.time_s[step] - _WINDOW_S))
        after = int(np.searchsorted(self.time_s, self.time_s[step + 1] + _WINDOW_S, side="right")) - 2 - step
        each_side = max(_WINDOW_STEPS, min(before, after))
        return max(0, step - each_side), min(len(self.time_s) - 1, step + each_side + 1)


def _usual(velocities: Positions) -> Float64[np.ndarray, " dims"]:
    """The median of each component; of two velocities the slower one."""
    if len(velocities) == 2:
        return np.asarray(velocities[np.linalg.norm(velocities, axis=1).argmin()])
    return np.asarray(np.median(velocities, axis=0))


def _slack_m(step_s: Series | float, around_s: Series | float) -> Series | float:
    """How far acceleration can carry a step from the usual motion of the time around it."""
    return HARDEST_M_S2 * step_s * (step_s + around_s) / 4
