"""Positions on earth without headings, as a GPS receiver logs them: from a table, and which of them are used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from cvlnet.arrays import Indices, Series
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
    place_deg[without_fix(place_deg)] = np.nan
    require_places(place_deg, line, table.path)
    kept = plausible_rows(Rows(table.path, "line", line), place_deg, time_s)
    return tuple(KnownPlace(float(time_s[row]), LatLon(*place_deg[row].tolist())) for row in kept)


def plausible_places(places: Sequence[KnownPlace], where: Path, unit: str) -> tuple[KnownPlace, ...]:
    """The places to which a vehicle can have driven, of some by rising time; the others are left out with a warning.

    unit: what each of them is in the file, for messages. Raises InputError if hardly two fit together.
    """
    place_deg = np.array([place.position.degrees for place in places])
    place_deg[without_fix(place_deg)] = np.nan
    rows = Rows(where, unit, np.arange(1, len(places) + 1))
    kept = plausible_rows(rows, place_deg, np.array([place.time_s for place in places]))
    return tuple(places[row] for row in kept)


def plausible_rows(rows: Rows, place_deg: Float64[np.ndarray, "n 2"], time_s: Series) -> Indices:
    """The rows to whose places a vehicle can have driven. place_deg: latitude and longitude, NaN where there is no fix.

    Raises InputError as `cvlnet.data.screening.screen` does.
    """
    lacking = ~np.isfinite(place_deg).all(axis=1)
    places_m = np.where(lacking[:, None], np.nan, earth_centred_m(np.nan_to_num(place_deg)))
    return screen(rows, places_m, np.zeros(len(place_deg)), time_s - time_s[0]).kept
