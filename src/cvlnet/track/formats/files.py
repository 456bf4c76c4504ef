"""Trajectories to files and back, by the ending of the file's name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from cvlnet.errors import InputError
from cvlnet.io.text import did_you_mean
from cvlnet.track.formats.clock import EPOCH, Clock, are_dates
from cvlnet.track.formats.csv_table import read_csv, write_csv
from cvlnet.track.formats.geojson_file import write_geojson
from cvlnet.track.formats.gpx import write_gpx
from cvlnet.track.formats.json_file import read_json_file, write_json_file
from cvlnet.track.formats.kml import write_kml
from cvlnet.track.formats.log import read_log, write_log
from cvlnet.track.formats.nmea import write_nmea
from cvlnet.track.formats.tum import write_tum
from cvlnet.track.types import Trajectory

_WRITE = {".csv": write_csv, ".json": write_json_file, ".jsonl": write_log, ".tum": write_tum}
_WRITE_DATED = {".geojson": write_geojson, ".gpx": write_gpx, ".kml": write_kml, ".nmea": write_nmea}
_ROS = (".mcap", ".bag", ".rosbag2")
_OF_LIMITED_DATES = (".nmea", *_ROS)  # NMEA has two digits of the year, ROS 31 bits of seconds
DATED = (".gpx", ".kml", ".nmea", *_ROS)
"""Endings of files whose only times are dates."""
_READ = {".csv": read_csv, ".json": read_json_file, ".jsonl": read_log}

ENDINGS = (*_WRITE, *_WRITE_DATED, *_ROS)
"""Of the files that `write_trajectory` writes."""


def write_trajectory(trajectory: Trajectory, path: Path, *, start: datetime | None = None) -> None:
    """Write a drive in the format that the ending of the file's name stands for, one of `ENDINGS`.

    start: the date and time, with its zone, at which the trajectory's time is 0. GeoJSON, GPX, KML, NMEA and the bags
    need dates; by default the times count from the beginning of 1970, which is right where the drive's clock does.
    The other formats hold the times as they are. What a fix does not know is left out, never zero.

    Raises InputError for another ending, as `check_output` does, if the file cannot be written, if there is no such
    date (those of NMEA and the bags lie between 1970 and 2038), or if a start is given for times that count from 1970
    already. Raises ValueError for numbers that are not finite, and for a start without a zone.
    """
    check_output(path)
    ending = path.suffix.lower()
    if ending in _WRITE:
        _WRITE[ending](trajectory, path)
        return
    clock = Clock(start or EPOCH)
    if start is not None and trajectory.fixes:
        require_no_dates(trajectory.fixes[0].time_s, path)
    for fix in (trajectory.fixes[0], trajectory.fixes[-1]) if trajectory.fixes else ():
        if not (clock.has(fix.time_s) if ending in _OF_LIMITED_DATES else clock.knows(fix.time_s)):
            span = " between 1970 and 2038" if ending in _OF_LIMITED_DATES else ""
            what = f"{fix.time_s:g} s after {clock.start:%Y-%m-%d %H:%M} is no date{span}"
            raise InputError(what, where=path, remedy="give the time at which the drive began, or another format")
    if ending in _WRITE_DATED:
        _WRITE_DATED[ending](trajectory, path, clock)
    else:
        _bag_writer(ending)(trajectory, path, clock)


def require_no_dates(first_s: float, where: str | Path) -> None:
    """Raise InputError if the times of a drive, of which first_s is the first, count from 1970: they have no start."""
    if are_dates(first_s):
        what = f"the times of the drive are dates already, from {Clock().moment(first_s):%Y-%m-%d %H:%M} UTC on"
        raise InputError(what, where=where, remedy="leave the date of time 0 out")


def check_output(path: Path) -> None:
    """Raise InputError if `write_trajectory` could not write there: before hours of tracking rather than after.

    The ending may be unknown, the libraries of the extra ``ros`` may be missing, or a folder may have the name.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        hint = did_you_mean(ending, ENDINGS)
        raise InputError(f"the ending {ending!r} is unknown{hint}", where=path, remedy=f"use {', '.join(ENDINGS)}")
    if ending in _ROS and find_spec("rosbags") is None:
        raise InputError("needs rosbags", where=path, remedy="install the extra: pip install 'cvlnet[ros]'")
    if path.is_dir() or (ending == ".rosbag2" and path.exists()):
        raise InputError("is there already", where=path, remedy="delete it, or choose another name")


def read_trajectory(path: Path) -> Trajectory:
    """A drive from CSV, JSON or JSON lines, as `write_trajectory` or a `TrackLog` has written it.

    A last line of CSV or JSON lines that lacks its end is left out: its writer was killed.
    Raises InputError for other files, and for lines that cannot be read, are impossible, or not in order of time.
    """
    ending = path.suffix.lower()
    if ending not in _READ:
        raise InputError(f"the ending {ending!r} cannot be read", where=path, remedy=f"give {', '.join(_READ)}")
    return _READ[ending](path)


def _bag_writer(ending: str) -> Callable[[Trajectory, Path, Clock], None]:
    ros = import_module("cvlnet.track.formats.ros")
    writers: dict[str, Callable[[Trajectory, Path, Clock], None]] = {
        ".mcap": ros.write_mcap,
        ".bag": ros.write_bag,
        ".rosbag2": ros.write_rosbag2,
    }
    return writers[ending]
