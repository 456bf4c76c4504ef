"""The true places of a drive, kept beside its track: what an evaluation compares with."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from math import degrees, isfinite, radians
from pathlib import Path

from cvlnet.data.gpx import read_gpx
from cvlnet.data.journey import KnownPlace
from cvlnet.data.poses_csv import PLACE_COLUMNS, table_values
from cvlnet.data.positions_csv import read_positions
from cvlnet.io.outputs import write_text
from cvlnet.io.text import read_table
from cvlnet.track.formats.fields import refuse_large

TRUTH = "truth.csv"  # in the folder of a track
_REMEDY = "give a GPX track, or a CSV file with time_s, latitude_deg, longitude_deg and, if they are known, yaw_deg"


def write_truth(places: Sequence[KnownPlace], path: Path) -> None:
    """Write a line for each place: time_s, latitude_deg, longitude_deg, and yaw_deg, which is empty where not known."""
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["time_s", *PLACE_COLUMNS, "yaw_deg"])
    for place in places:
        yaw_deg = "" if place.yaw_rad is None else degrees(place.yaw_rad)
        table.writerow([place.time_s, *place.position.degrees, yaw_deg])
    write_text(path, text.getvalue())


def read_truth(path: Path) -> tuple[KnownPlace, ...]:
    """The places of a GPX track or a CSV file, by rising time; ``yaw_deg`` counts counter-clockwise from true east.

    Raises InputError as `cvlnet.data.gpx.read_gpx` and `cvlnet.data.positions_csv.read_positions` do.
    """
    if path.suffix.lower() == ".gpx":
        return read_gpx(path)
    refuse_large(path)
    table = read_table(path, _REMEDY)
    yaw_deg = dict(zip(table_values(table, "time_s"), table_values(table, "yaw_deg"), strict=True))
    return tuple(
        replace(place, yaw_rad=radians(yaw_deg[place.time_s])) if isfinite(yaw_deg[place.time_s]) else place
        for place in read_positions(table)
    )
