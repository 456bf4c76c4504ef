"""GPX 1.1: the tracked way, a segment for each stretch."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from xml.etree.ElementTree import Element

from gpxpy.gpx import GPX, GPXTrack, GPXTrackPoint, GPXTrackSegment

from cvlnet.geo import LatLon
from cvlnet.io.outputs import plain, write_text
from cvlnet.track.formats.clock import Clock
from cvlnet.track.formats.fields import fields_of
from cvlnet.track.formats.stretches import stretches
from cvlnet.track.types import TrackFix, Trajectory

_NAMESPACE = "urn:cvlnet:track"
_EXTENSIONS = ("confidence", "yaw_deg", "sigma_east_m", "sigma_north_m", "covariance_en_m2", "sigma_yaw_deg")


def write_gpx(trajectory: Trajectory, path: Path, clock: Clock) -> None:
    """Write a track; the credit is the file's description.

    hdop is the horizontal standard deviation in metres. Extensions have it east and north, with confidence and yaw.
    """
    gpx = GPX()
    gpx.creator = "cvlnet"
    gpx.name = plain(trajectory.name)
    gpx.description = None if trajectory.credit is None else plain(trajectory.credit)
    gpx.nsmap["cvlnet"] = _NAMESPACE
    track = GPXTrack(gpx.name)
    track.segments = [
        GPXTrackSegment([_point(fix, place, clock) for fix, place in stretch]) for stretch in stretches(trajectory)
    ]
    gpx.tracks.append(track)
    write_text(path, gpx.to_xml(version="1.1"))


def _point(fix: TrackFix, place: LatLon, clock: Clock) -> GPXTrackPoint:
    point = GPXTrackPoint(place.latitude_deg, place.longitude_deg, time=clock.moment(fix.time_s))
    if fix.covariance is not None:
        point.horizontal_dilution = round(sqrt(fix.covariance[0, 0] + fix.covariance[1, 1]), 3)
    fields = fields_of(fix)
    for name in _EXTENSIONS:
        if fields[name] is not None:
            element = Element(f"{{{_NAMESPACE}}}{name}")
            element.text = str(fields[name])
            point.extensions.append(element)
    return point
