"""A drive that is tracked into a log: where tracking begins, and which of its fixes are new."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import inf, radians
from pathlib import Path

from cvlnet.data.journey import Journey, Moment
from cvlnet.errors import InputError, warn
from cvlnet.geo import LatLon
from cvlnet.localize.area import MapArea
from cvlnet.localize.turned import Heading
from cvlnet.map.region import Region
from cvlnet.model.cvlnet import CVLNet
from cvlnet.track.formats import TrackLog
from cvlnet.track.formats.log import read_log
from cvlnet.track.tracker import Tracker, TrackSpec, presumed_heading
from cvlnet.track.types import TrackFix

_WARM_UP_M = 60.0  # of the way before the last fix of a log, which is driven again to see what clips see
_RESUMED_RAD = radians(5.0)  # what is known of the heading where a track is resumed


def begun(
    area: MapArea | Region,
    model: CVLNet,
    journey: Journey,
    known: Sequence[TrackFix] = (),
    *,
    heading: Heading | None = None,
    start: tuple[LatLon, float] | None = None,
    spec: TrackSpec = TrackSpec(),
) -> tuple[Tracker, Journey]:
    """A tracker, and the journey from the moment on at which it begins.

    known: the fixes of a log that is to be continued. Tracking then begins again at a tracked one of them, far enough
    before the last for a whole clip to lie between; or with the first moment, and a warning, if there is none.
    heading, start: what is known at the first moment, as `Tracker` takes it; by default the heading is the presumed one
    (`cvlnet.track.tracker.presumed_heading`). Raises InputError as `Tracker` does.
    """
    again = _to_resume(known, journey) if known else None
    if again is None:
        heading = heading or presumed_heading(has_headings=journey.has_headings)
        return Tracker(area, model, heading=heading, start=start, spec=spec), journey
    fix, rest = again
    assert fix.position is not None
    assert fix.covariance is not None
    sigma_m = float(fix.covariance[:2, :2].trace()) ** 0.5
    resumed = Heading(fix.yaw_rad, _RESUMED_RAD)
    return Tracker(area, model, heading=resumed, start=(fix.position, sigma_m), spec=spec), rest


def sure_positions(path: Path, drive: str) -> dict[int, LatLon]:
    """Where the frames of a drive were taken that a track is sure of, by number. drive: its name.

    Raises InputError if the file is no log of a track, or is that of another drive, or the track is nowhere sure.
    """
    sure, log = TrackSpec().sure, read_log(path)
    if Path(log.name).name != Path(drive).name:  # the same folder may be named from elsewhere
        raise InputError(f"is the track of {log.name}, not of {drive}", where=path, remedy="choose that of this drive")
    found = {
        fix.index: fix.position
        for fix in log.fixes
        if fix.state == "tracking" and fix.position is not None and fix.confidence >= sure
    }
    if not found:
        remedy = "track a drive on the part of the map that its streets show"
        raise InputError(f"no place is tracked with a confidence of {sure:g}", where=path, remedy=remedy)
    return found


def logged(log: TrackLog, fixes: Iterable[TrackFix]) -> Iterator[tuple[TrackFix, bool]]:
    """The fixes of the moments, and whether each was new to the log, which then holds it.

    Fixes of moments that the tracker has left out are not passed on.
    """
    logged_s, last_s = log.fixes[-1].time_s if log.fixes else -inf, -inf
    for fix in fixes:
        if fix.time_s <= last_s:
            continue
        last_s = fix.time_s
        is_new = fix.time_s > logged_s
        if is_new:
            log.write(fix)
        yield fix, is_new


def _to_resume(fixes: Sequence[TrackFix], journey: Journey) -> tuple[TrackFix, Journey] | None:
    """The fix to begin with again, and the journey from there on; None to begin with the first moment."""
    clean = {
        moment.index: moment.odometry for moment in journey.moments() if moment.odometry.time_s <= fixes[-1].time_s
    }
    end = clean.get(fixes[-1].index)
    for fix in reversed(fixes):
        pose = clean.get(fix.index)
        if end is not None and pose is not None and fix.state == "tracking" and pose.way_m(end) >= _WARM_UP_M:
            return fix, replace(journey, moments=partial(_since, journey, fix.time_s))
    warn("the track starts again", where=journey.name, remedy="its log has no fix to continue from")
    return None


def _since(journey: Journey, time_s: float) -> Iterator[Moment]:
    return (moment for moment in journey.moments() if moment.odometry.time_s >= time_s)
