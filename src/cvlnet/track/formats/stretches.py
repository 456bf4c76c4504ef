"""The parts of a trajectory that formats for maps show: the unbroken stretches on which the vehicle was tracked."""

from __future__ import annotations

from itertools import groupby

from cvlnet.geo import LatLon
from cvlnet.track.types import TrackFix, Trajectory


def place_of(fix: TrackFix) -> LatLon | None:
    """Where the vehicle is, if it is tracked. The likeliest place of one that is not tracked is mostly a wrong one."""
    return fix.position if fix.state == "tracking" else None


def stretches(trajectory: Trajectory) -> tuple[tuple[tuple[TrackFix, LatLon], ...], ...]:
    """Fixes in a row with the state "tracking", each with its place."""
    placed = ((fix, place_of(fix)) for fix in trajectory.fixes)
    runs = groupby(placed, key=lambda pair: pair[1] is not None)
    return tuple(tuple((fix, place) for fix, place in run if place is not None) for tracked, run in runs if tracked)
