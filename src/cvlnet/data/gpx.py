"""Tracks of a GPX file as known places."""

from __future__ import annotations

from datetime import UTC
from itertools import pairwise
from pathlib import Path

import gpxpy
from gpxpy.gpx import GPXException, GPXTrackPoint

from cvlnet.data.journey import KnownPlace
from cvlnet.data.positions_csv import plausible_places
from cvlnet.errors import InputError, warn
from cvlnet.geo import LatLon
from cvlnet.io.files import require_at_most
from cvlnet.io.text import read_text

_MOST_BYTES = 64_000_000
_EXPORT = "export the track as GPX, with times"


def read_gpx(path: Path) -> tuple[KnownPlace, ...]:
    """The points of all tracks and segments of a GPX file, by rising time, in seconds since 1970 (UTC).

    Points without a time are left out with a warning, and so are those of a time that another point has, and those to
    which no vehicle can have driven; see `cvlnet.data.screening`.
    Raises InputError if the file is missing, too large or no GPX, if it holds no point with a time, if a place is none
    on earth, or if times fall within a segment, or if hardly two points fit together.
    """
    require_at_most(path, _MOST_BYTES)
    try:
        tracks = gpxpy.parse(read_text(path, _EXPORT)).tracks
    except (GPXException, ValueError, LookupError, OverflowError) as error:
        raise InputError(f"is no GPX ({error})", where=path, remedy=_EXPORT) from error
    segments = [segment.points for track in tracks for segment in track.segments if segment.points]
    points = [point for segment in segments for point in segment]
    places = [[_known(point, path) for point in segment if point.time is not None] for segment in segments]
    for segment in places:
        for before, place in pairwise(segment):
            if place.time_s < before.time_s:
                what = f"times fall within a segment, at {place.position.latitude_deg}, {place.position.longitude_deg}"
                raise InputError(what, where=path, remedy="write the points in the order in which they were measured")
    by_time = {place.time_s: place for segment in reversed(places) for place in reversed(segment)}
    if not by_time:
        what = "holds no track" if not points else f"none of its {len(points)} points has a time"
        raise InputError(what, where=path, remedy=_EXPORT)
    if len(by_time) < len(points):
        what = f"{len(points) - len(by_time)} of {len(points)} points have no time of their own, and are left out"
        warn(what, where=path, remedy=_EXPORT)
    return plausible_places([by_time[time_s] for time_s in sorted(by_time)], path, "point")


def _known(point: GPXTrackPoint, path: Path) -> KnownPlace:
    assert point.time is not None  # the others were left out
    time = point.time if point.time.tzinfo is not None else point.time.replace(tzinfo=UTC)
    try:
        return KnownPlace(time.timestamp(), LatLon(point.latitude, point.longitude))
    except (ValueError, TypeError) as error:
        raise InputError(str(error), where=path, remedy="correct the track point") from error
