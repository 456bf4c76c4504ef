"""Headings against the motion: a vehicle moves where it heads, or backwards. Pure functions.

Positions are (east, north) in metres; headings are counter-clockwise from east.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi, radians, tau

import numpy as np
from jaxtyping import Float64, Int64

from cvlnet.arrays import Points, Series

AGREES_RAD = radians(8)
CONTRADICTS_RAD = radians(20)
LEAST_BASE_M = 2.0  # between the positions that give a direction, or ...
BASE_IN_NOISES = 8.0  # ... this multiple of their noise, if that is more: right to about 6 degrees
LEAST_STRETCHES = 3  # fewer are no evidence
SLOWEST_M_S = 0.5  # slower than that, positions wander while the vehicle stands
FASTEST_BACKWARDS_M_S = 6.0
_FARTHEST_BACKWARDS_M, _MOST_BACKWARDS = 50.0, 0.8  # a way that is longer, and more of the drive, was not reversed
_MOST_BEND_RAD = radians(60)  # from the first half of a stretch to its second
_ABOUT_RAD = radians(10)  # an offset this near a quarter turn is taken for one
_TURNS_RAD = radians(30)  # a way whose direction changes less is straight


@dataclass(frozen=True)
class Stretches:
    """Pieces of the way on which the vehicle moves: its first and last position, direction, length, and speed."""

    first: Int64[np.ndarray, " stretches"]
    last: Int64[np.ndarray, " stretches"]
    direction_rad: Float64[np.ndarray, " stretches"]
    length_m: Float64[np.ndarray, " stretches"]
    speed_m_s: Float64[np.ndarray, " stretches"]

    def off_rad(self, yaw_rad: Series) -> Float64[np.ndarray, " stretches"]:
        """How far the vehicle heads to the left of its motion on each stretch, within half a turn.

        The direction of a bend is that of its chord, and so is the mean of the headings at its ends.
        """
        off_first, off_last = (yaw_rad[ends] - self.direction_rad for ends in (self.first, self.last))
        return wrapped(off_first + wrapped(off_last - off_first) / 2)


@dataclass(frozen=True)
class Reading:
    """One way to read the poses of a file. how: what they are taken to be; remedy: how to write that; both in words."""

    how: str
    remedy: str
    xy_m: Points
    yaw_rad: Series


def stretches(xy_m: Points, elapsed_s: Series, starts: Sequence[int], noise_m: float) -> Stretches:
    """The stretches one behind the other. starts: the positions behind a jump, over which no stretch reaches."""
    base_m = max(LEAST_BASE_M, BASE_IN_NOISES * noise_m)
    ends: list[tuple[int, int]] = []
    for begin, end in zip([0, *starts], [*starts, len(xy_m)], strict=True):
        first = begin
        while first < end:
            until = int(np.searchsorted(elapsed_s[:end], elapsed_s[first] + base_m / SLOWEST_M_S, side="right"))
            far = np.linalg.norm(xy_m[first:until] - xy_m[first], axis=1) >= base_m
            last = first + int(far.argmax())
            moves = bool(far.any()) and _is_straight(xy_m[first : last + 1])
            ends += [(first, last)] if moves else []
            first = last if moves else first + 1
    first_, last_ = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    east_m, north_m = (xy_m[last_] - xy_m[first_]).T
    length_m = np.hypot(east_m, north_m)
    speed_m_s = length_m / (elapsed_s[last_] - elapsed_s[first_])
    return Stretches(first_, last_, np.arctan2(north_m, east_m), length_m, speed_m_s)


def _is_straight(xy_m: Points) -> bool:
    """Whether the second half goes on in about the direction of the first."""
    halves_m = np.diff(xy_m[[0, len(xy_m) // 2, -1]], axis=0)
    bend_rad = wrapped(np.diff(np.arctan2(halves_m[:, 1], halves_m[:, 0])))
    return len(xy_m) == 2 or bool(abs(bend_rad[0]) <= _MOST_BEND_RAD)


def wrapped(angle_rad: Float64[np.ndarray, "*batch"]) -> Float64[np.ndarray, "*batch"]:
    """The same angles within half a turn either way."""
    return np.asarray(np.remainder(angle_rad + pi, tau) - pi)


@dataclass(frozen=True)
class Contradiction:
    """Headings that do not agree with the motion. off_rad: how far they lie beside it (median).

    explained_by: the other readings that agree. offset_rad: what has to be added to every heading so that they agree,
    if a constant does it; a quarter turn exactly, if it is about one.
    """

    off_rad: float
    explained_by: tuple[Reading, ...]
    offset_rad: float | None


def contradiction(
    as_read: Reading, others: Sequence[Reading], elapsed_s: Series, starts: Sequence[int], noise_m: float
) -> Contradiction | None:
    """Whether the headings contradict the motion decisively, and what explains it; None if they do not.

    elapsed_s, starts, noise_m: see `stretches`. A vehicle that stands, reverses slowly or drives a few metres only
    contradicts nothing; one that reverses nearly all of a drive of more than 50 m does.
    """
    along = stretches(as_read.xy_m, elapsed_s, starts, noise_m)
    count = len(along.first)
    if count < LEAST_STRETCHES:
        return None
    off_rad = along.off_rad(as_read.yaw_rad)
    typical_rad = _typical_rad(off_rad, along)
    if typical_rad <= CONTRADICTS_RAD * (1 + count**-0.5):
        return None
    agrees_rad = min(AGREES_RAD * (1 + count**-0.5), typical_rad / 3)

    def agrees(other: Reading) -> bool:
        other_along = stretches(other.xy_m, elapsed_s, starts, noise_m)
        off_rad = other_along.off_rad(other.yaw_rad)
        return len(off_rad) >= LEAST_STRETCHES and _typical_rad(off_rad, other_along) <= agrees_rad

    explained_by = tuple(filter(agrees, others))
    return Contradiction(typical_rad, explained_by, _constant_offset_rad(off_rad, along, agrees_rad))


def _typical_rad(off_rad: Float64[np.ndarray, " stretches"], along: Stretches) -> float:
    """The median of how far headings lie beside the motion, where a slow vehicle may drive backwards."""
    backwards = (np.abs(off_rad) > pi / 2) & (along.speed_m_s < FASTEST_BACKWARDS_M_S)
    if backwards.mean() > _MOST_BACKWARDS and along.length_m[backwards].sum() > _FARTHEST_BACKWARDS_M:
        backwards[:] = False
    return float(np.median(np.where(backwards, pi - np.abs(off_rad), np.abs(off_rad))))


def _constant_offset_rad(
    off_rad: Float64[np.ndarray, " stretches"], along: Stretches, agrees_rad: float
) -> float | None:
    """What makes the headings agree when it is added to all of them.

    On a straight way any heading is off by a constant: there only a quarter turn is taken for an explanation.
    """
    mean_rad = float(np.angle(np.exp(1j * off_rad).mean()))
    if np.median(np.abs(wrapped(off_rad - mean_rad))) > agrees_rad:
        return None
    quarter_rad = round(mean_rad / (pi / 2)) * pi / 2
    if abs(mean_rad - quarter_rad) < _ABOUT_RAD:
        return -quarter_rad
    turns_rad = np.abs(wrapped(along.direction_rad - along.direction_rad[0])).max()
    return -mean_rad if turns_rad > _TURNS_RAD else None
