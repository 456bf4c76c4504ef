"""NMEA 0183: what a satellite receiver would say, for software that reads one."""

from __future__ import annotations

from datetime import datetime
from math import atan2, degrees, hypot, sqrt
from pathlib import Path

import numpy as np
from pynmea2 import GGA, GST, HDT, RMC

from cvlnet.arrays import F64
from cvlnet.geo import LatLon, LocalFrame, compass_deg
from cvlnet.io.outputs import write_text
from cvlnet.track.formats.clock import Clock
from cvlnet.track.formats.stretches import place_of
from cvlnet.track.types import TrackFix, Trajectory

_KNOTS = 3600 / 1852  # of a metre a second
_STANDING_M_S = 0.5  # below which the course over ground says nothing
_UNITS = 10**7  # of a minute of arc: 0.2 mm


def write_nmea(trajectory: Trajectory, path: Path, clock: Clock) -> None:
    """Write GGA, RMC, GST and HDT for each fix.

    A fix that is not tracked has quality 0, status V, and no position. GGA's dilution of precision is the horizontal
    standard deviation in metres; GST has it east and north and as an ellipse. RMC's speed and course follow from the
    last fix, if that was tracked, too.
    """
    lines: list[str] = []
    before: tuple[TrackFix, LatLon] | None = None
    for fix in trajectory.fixes:
        place, date = place_of(fix), clock.moment(fix.time_s)
        time = _time(date)
        speed, course = _motion(before, fix, place)
        day = date.strftime("%d%m%y")
        rmc = (time, "A" if place else "V", *_place(place), speed, course, day, "", "", "A" if place else "N")
        quality = ("1", "00", _dilution(fix)) if place else ("0", "00", "")
        lines.append(str(GGA("GP", "GGA", (time, *_place(place), *quality, "", "M", "", "M", "", ""))))
        lines.append(str(RMC("GP", "RMC", rmc)))
        if place and fix.covariance is not None:
            lines.append(str(GST("GP", "GST", (time, "", *_doubt(fix.covariance), ""))))
        if place and fix.yaw_rad is not None:
            lines.append(str(HDT("GP", "HDT", (f"{compass_deg(fix.yaw_rad):.2f}", "T"))))
        before = None if place is None else (fix, place)
    write_text(path, "".join(f"{line}\r\n" for line in lines))


def _time(date: datetime) -> str:
    return f"{date:%H%M%S}.{date.microsecond // 1000:03d}"


def _place(place: LatLon | None) -> tuple[str, str, str, str]:
    if place is None:
        return "", "", "", ""
    north, east = place.latitude_deg >= 0, place.longitude_deg >= 0
    return (
        _minutes(place.latitude_deg, 2),
        "N" if north else "S",
        _minutes(place.longitude_deg, 3),
        "E" if east else "W",
    )


def _minutes(angle_deg: float, digits: int) -> str:
    """Degrees and minutes, in so many digits and in nine."""
    whole_deg, units = divmod(round(abs(angle_deg) * 60 * _UNITS), 60 * _UNITS)
    return f"{whole_deg:0{digits}d}{units // _UNITS:02d}.{units % _UNITS:07d}"


def _dilution(fix: TrackFix) -> str:
    return "" if fix.covariance is None else f"{sqrt(fix.covariance[0, 0] + fix.covariance[1, 1]):.2f}"


def _doubt(covariance: F64) -> tuple[str, str, str, str, str]:
    """Half-axes of the ellipse and its direction clockwise from north; standard deviations north and east; metres."""
    variances, axes = np.linalg.eigh(covariance[:2, :2])
    minor_m, major_m = np.sqrt(np.maximum(variances, 0)).tolist()
    direction_deg = degrees(atan2(axes[0, 1], axes[1, 1])) % 180
    north_m, east_m = sqrt(covariance[1, 1]), sqrt(covariance[0, 0])
    return f"{major_m:.3f}", f"{minor_m:.3f}", f"{direction_deg:.1f}", f"{north_m:.3f}", f"{east_m:.3f}"


def _motion(before: tuple[TrackFix, LatLon] | None, fix: TrackFix, place: LatLon | None) -> tuple[str, str]:
    """Speed in knots and course over ground clockwise from north, empty where they are not known."""
    if before is None or place is None:
        return "", ""
    east_m, north_m = LocalFrame(before[1]).xy_world_m(place.degrees).tolist()
    speed_m_s = hypot(east_m, north_m) / (fix.time_s - before[0].time_s)
    course = f"{compass_deg(atan2(north_m, east_m)):.2f}" if speed_m_s >= _STANDING_M_S else ""
    return f"{speed_m_s * _KNOTS:.2f}", course
