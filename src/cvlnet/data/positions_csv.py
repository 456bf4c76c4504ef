"""Positions on earth from a table without headings, as a GPS receiver logs them."""

from __future__ import annotations

import numpy as np

from cvlnet.data.journey import KnownPlace
from cvlnet.data.poses_csv import PLACE_COLUMNS, require_places, require_times, table_values
from cvlnet.data.screening import Rows, screen, without_fix
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, earth_centred_m
from cvlnet.io.text import Table, did_you_mean

_REMEDY = "begin with a line such as time_s,latitude_deg,longitude_deg"


def read_positions(table: Table) -> tuple[KnownPlace, ...]:
    """The positions of a table, by rising time; a heading that it may hold is not read.

    Its columns are ``time_s``, ``latitude_deg`` and ``longitude_deg``. Lines without a fix, and positions that no
    vehicle can have driven to, are left out with a warning; see `cvlnet.data.screening`.
    Raises InputError if a column is missing, a value is no number, a place is none on earth, times do not rise, or
    hardly two positions fit together.
    """
    columns = ("time_s", *PLACE_COLUMNS)
    missing = [f"{name}{did_you_mean(name, table.columns)}" for name in columns if name not in table.columns]
    if missing:
        raise InputError(f"has no column {', '.join(missing)}", where=table.path, remedy=_REMEDY)
    if not table.rows:
        raise InputError("has no line below its header", where=table.path, remedy="give a line for each position")
    line = np.array([number for number, _ in table.rows])
    time_s, latitude_deg, longitude_deg = (table_values(table, column) for column in columns)
    require_times(time_s, line, table.path)
    place_deg = np.stack([latitude_deg, longitude_deg], axis=1)
    lacking = without_fix(place_deg)
    place_deg[lacking] = np.nan
    require_places(place_deg, line, table.path)
    places_m = np.where(lacking[:, None], np.nan, earth_centred_m(np.nan_to_num(place_deg)))
    kept = screen(Rows(table.path, "line", line), places_m, np.zeros(len(line)), time_s - time_s[0]).kept
    return tuple(KnownPlace(float(time_s[row]), LatLon(*place_deg[row].tolist())) for row in kept)
