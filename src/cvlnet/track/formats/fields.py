"""A fix as named numbers, in the units of files, and back: the columns of CSV, and the keys of JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import degrees, isfinite, radians, sqrt
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from cvlnet.arrays import F64
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.io.text import number_of
from cvlnet.track.types import Hypothesis, State, TrackFix, Trajectory

FORMAT = 1  # of JSON and of logs; a higher one was written by a later version
LARGEST_BYTES = 2**30  # of a file that is read

_PLACE = ("latitude_deg", "longitude_deg")
_SMOOTH = ("smooth_latitude_deg", "smooth_longitude_deg")
_COVARIANCE = (
    "sigma_east_m",
    "sigma_north_m",
    "covariance_en_m2",
    "sigma_yaw_deg",
    "covariance_east_yaw_m_deg",
    "covariance_north_yaw_m_deg",
)
_REQUIRED = ("index", "time_s", "state", "confidence", "scale", "drift_deg_per_m")
COLUMNS = (
    "index",
    "time_s",
    "state",
    *_PLACE,
    "yaw_deg",
    *_COVARIANCE,
    "confidence",
    *_SMOOTH,
    "smooth_yaw_deg",
    "scale",
    "drift_deg_per_m",
    "score",
    "pitch_offset_deg",
    "camera_yaw_offset_deg",
)
LATER_COLUMNS = ("pitch_offset_deg", "camera_yaw_offset_deg")  # which files of earlier versions lack
_REMEDY = "write the file again with `cvlnet track`"


def fields_of(fix: TrackFix) -> dict[str, int | float | str | None]:
    """All of a fix but its hypotheses, by the names of `COLUMNS`; None for what is not known.

    Raises ValueError for numbers that are not finite.
    """
    fields: dict[str, int | float | str | None] = {
        "index": fix.index,
        "time_s": fix.time_s,
        "state": fix.state,
        **_place(_PLACE, fix.position),
        "yaw_deg": _degrees(fix.yaw_rad),
        **_covariance(fix.covariance),
        "confidence": fix.confidence,
        **_place(_SMOOTH, fix.smooth_position),
        "smooth_yaw_deg": _degrees(fix.smooth_yaw_rad),
        "scale": fix.scale,
        "drift_deg_per_m": degrees(fix.drift_rad_per_m),
        "score": fix.score,
        "pitch_offset_deg": _degrees(fix.pitch_offset_rad),
        "camera_yaw_offset_deg": _degrees(fix.camera_yaw_offset_rad),
    }
    wrong = [name for name, value in fields.items() if isinstance(value, float) and not isfinite(value)]
    if wrong:
        raise ValueError(f"fix {fix.index}: {', '.join(wrong)} not finite")
    return fields


def entry_of(fix: TrackFix) -> dict[str, Any]:
    """All of a fix in JSON's types: its `fields_of`, and "hypotheses"."""
    hypotheses = [
        {
            **_place(_PLACE, guess.position),
            "yaw_deg": degrees(guess.yaw_rad),
            "probability": guess.probability,
        }
        for guess in fix.hypotheses
    ]
    return {**fields_of(fix), "hypotheses": hypotheses}


def fix_of(entry: Mapping[str, Any], where: str) -> TrackFix:
    """The fix of what `entry_of` or `fields_of` has made; a key that is absent is as one that is None.

    Raises InputError if something is missing, no number, or impossible.
    """
    missing = [name for name in _REQUIRED if entry.get(name) is None]
    if missing:
        raise InputError(f"has no {', '.join(missing)}", where=where, remedy=_REMEDY)
    state, index = entry["state"], number_of(entry, "index", where, _REMEDY)
    if state not in get_args(State):
        raise InputError(f"{state!r} is no state", where=where, remedy=f"give one of {', '.join(get_args(State))}")
    if index != int(index):
        raise InputError(f"index {index:g} is no whole number", where=where, remedy=_REMEDY)
    score = entry.get("score")
    return TrackFix(
        int(index),
        number_of(entry, "time_s", where, _REMEDY),
        cast(State, state),
        _latlon(entry, _PLACE, where),
        _radians(entry, "yaw_deg", where),
        _matrix(entry, where),
        _probability(entry, "confidence", where),
        _hypotheses(entry.get("hypotheses"), where),
        _latlon(entry, _SMOOTH, where),
        _radians(entry, "smooth_yaw_deg", where),
        number_of(entry, "scale", where, _REMEDY),
        radians(number_of(entry, "drift_deg_per_m", where, _REMEDY)),
        None if score is None else number_of(entry, "score", where, _REMEDY),
        _radians(entry, "pitch_offset_deg", where),
        _radians(entry, "camera_yaw_offset_deg", where),
    )


def fixes_of(entries: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[TrackFix, ...]:
    """The fixes of entries, each with where it stands. Raises InputError as `fix_of` does, or if time does not rise."""
    fixes: list[TrackFix] = []
    for where, entry in entries:
        fix = fix_of(entry, where)
        if fixes and fix.time_s <= fixes[-1].time_s:
            what = f"the time {fix.time_s:g} s does not come after {fixes[-1].time_s:g} s"
            raise InputError(what, where=where, remedy="give the fixes by rising time, each once")
        fixes.append(fix)
    return tuple(fixes)


def header_of(name: str, credit: str | None) -> dict[str, Any]:
    """What stands before the fixes in JSON."""
    return {"cvlnet_track": FORMAT, "name": name, "credit": credit}


def empty_trajectory(header: Mapping[str, Any], where: str | Path) -> Trajectory:
    """The name and the credit of a header. Raises InputError if it is none."""
    name, credit = header.get("name"), header.get("credit")
    if "cvlnet_track" not in header or not isinstance(name, str) or not isinstance(credit, str | None):
        raise InputError("is no trajectory", where=where, remedy=_REMEDY)
    if header["cvlnet_track"] != FORMAT:
        what = f"has the format {header['cvlnet_track']!r} instead of {FORMAT}"
        raise InputError(what, where=where, remedy="read it with the version of cvlnet that wrote it")
    return Trajectory(name, (), credit)


def refuse_large(path: Path) -> None:
    """Raise InputError if a file is too large to be a trajectory."""
    if path.is_file() and path.stat().st_size > LARGEST_BYTES:
        raise InputError(f"larger than {LARGEST_BYTES >> 20} MiB", where=path, remedy="divide the drive")


def _place(names: Sequence[str], place: LatLon | None) -> dict[str, float | None]:
    return dict(zip(names, place.degrees if place else (None, None), strict=True))


def _degrees(angle_rad: float | None) -> float | None:
    return None if angle_rad is None else degrees(angle_rad)


def _covariance(covariance: F64 | None) -> dict[str, float | None]:
    if covariance is None:
        return dict.fromkeys(_COVARIANCE)
    (ee, en, ey), (_, nn, ny), (_, _, yy) = covariance.tolist()
    values = (sqrt(ee), sqrt(nn), en, degrees(sqrt(yy)), degrees(ey), degrees(ny))
    return dict(zip(_COVARIANCE, values, strict=True))


def _known(entry: Mapping[str, Any], names: Sequence[str], where: str) -> bool:
    """Whether values that belong together are there. Raises InputError if only some are."""
    absent = [name for name in names if entry.get(name) is None]
    if absent and len(absent) < len(names):
        present = next(name for name in names if name not in absent)
        raise InputError(f"has {present}, but no {', '.join(absent)}", where=where, remedy=_REMEDY)
    return not absent


def _latlon(entry: Mapping[str, Any], names: Sequence[str], where: str) -> LatLon | None:
    if not _known(entry, names, where):
        return None
    try:
        return LatLon(*(number_of(entry, name, where, _REMEDY) for name in names))
    except ValueError as error:
        raise InputError(str(error), where=where, remedy=_REMEDY) from error


def _radians(entry: Mapping[str, Any], name: str, where: str) -> float | None:
    return None if entry.get(name) is None else radians(number_of(entry, name, where, _REMEDY))


def _matrix(entry: Mapping[str, Any], where: str) -> F64 | None:
    if not _known(entry, _COVARIANCE, where):
        return None
    east_m, north_m, en_m2, yaw_deg, ey_m_deg, ny_m_deg = (
        number_of(entry, name, where, _REMEDY) for name in _COVARIANCE
    )
    yaw_rad, ey, ny = radians(yaw_deg), radians(ey_m_deg), radians(ny_m_deg)
    if min(east_m, north_m, yaw_rad) < 0:
        raise InputError("a standard deviation is negative", where=where, remedy=_REMEDY)
    matrix = np.array([[east_m * east_m, en_m2, ey], [en_m2, north_m * north_m, ny], [ey, ny, yaw_rad * yaw_rad]])
    if not np.isfinite(matrix).all():
        raise InputError("a standard deviation is too large", where=where, remedy=_REMEDY)
    return matrix


def _probability(entry: Mapping[str, Any], name: str, where: str) -> float:
    value = number_of(entry, name, where, _REMEDY)
    if not 0 <= value <= 1 + 1e-6:
        raise InputError(f"{name} {value:g} is not between 0 and 1", where=where, remedy=_REMEDY)
    return value


def _hypotheses(entries: Any, where: str) -> tuple[Hypothesis, ...]:
    if entries is None:
        return ()
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError("its hypotheses are no list of objects", where=where, remedy=_REMEDY)
    return tuple(_hypothesis(entry, where) for entry in entries)


def _hypothesis(entry: Mapping[str, Any], where: str) -> Hypothesis:
    position, yaw_rad = _latlon(entry, _PLACE, where), _radians(entry, "yaw_deg", where)
    if position is None or yaw_rad is None:
        raise InputError("a hypothesis has no place or no yaw_deg", where=where, remedy=_REMEDY)
    return Hypothesis(position, yaw_rad, _probability(entry, "probability", where))
