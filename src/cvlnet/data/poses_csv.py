"""poses.csv: a table of poses, with a line for each frame of a video folder, or a line for each time."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from math import pi
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from cvlnet.arrays import Indices, Series
from cvlnet.data.camera_file import SEE, TUM_CHOICES, CameraFile
from cvlnet.data.poses import PoseReading, Poses
from cvlnet.data.screening import without_fix
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.io.text import Table, did_you_mean, measured, read_table

PLACE_COLUMNS = ("latitude_deg", "longitude_deg")
HEADING_COLUMNS = ("yaw_deg", "yaw_rad")
_METRES = ("x_m", "y_m")
_BEGIN = f"begin with a line such as {{}},{{}},{{}},yaw_deg; {SEE}"
_LATEST_S = 1e10  # of times in seconds since 1970, in the year 2286; greater ones count milliseconds


def read_csv(path: Path, pictures: Sequence[Path] | None, camera: CameraFile) -> Poses:
    """Read poses.csv, a line for each frame, or, where ``pictures`` is None, a line for each time.

    Its columns are ``file``; ``latitude_deg`` and ``longitude_deg``, or ``x_m`` and ``y_m`` (where there are both,
    degrees are taken); ``yaw_deg`` or ``yaw_rad``; and ``time_s``, which may be missing. Without pictures there is
    no ``file``, and every line has a time. Others are not read.
    Raises InputError as `cvlnet.io.text.read_table` does, if a column is missing, a line names no frame or one that
    another line names, a value is no number, a place is none on earth, or times fall from one frame to the next.
    """
    of_tum = next((key for key in TUM_CHOICES if camera.choices[key] is not None), None)
    if of_tum is not None:
        remedy = "delete the key; forward_m and left_m place the camera beside the positions"
        raise InputError(f"{of_tum} is for poses.txt, not for poses.csv", where=camera.path, remedy=remedy)
    keys = ("time_s",) if pictures is None else ("file", "time_s")
    table = read_table(path, _BEGIN.format(",".join(keys), *_METRES))
    place_columns, heading_column = _columns(table, keys)
    frame = np.arange(len(table.rows)) if pictures is None else _frames(table, pictures)
    order = np.argsort(frame)
    line = np.array([number for number, _ in table.rows])[order]
    time_s, first, second, heading = (
        table_values(table, column)[order] for column in ("time_s", *place_columns, heading_column)
    )
    if pictures is None:
        require_times(time_s, line, path)
    else:
        _require_rising(time_s, line, path)
    place, geographic = np.stack([first, second], axis=1), place_columns == PLACE_COLUMNS
    if geographic:
        place[without_fix(place)] = np.nan
        require_places(place, line, path)
    as_read, *others = _csv_readings(place, place_columns, heading, heading_column, camera)
    return Poses(path, line, frame[order], time_s, geographic, as_read, tuple(others))


def _columns(table: Table, keys: Sequence[str]) -> tuple[tuple[str, str], str]:
    """The columns of the place, and the one of the heading. keys: which columns come before them, by the format."""
    present = set(table.columns)
    headings = [column for column in HEADING_COLUMNS if column in present]
    if len(headings) > 1:
        raise InputError("has yaw_deg and yaw_rad", where=table.path, remedy="keep one of them")
    place = PLACE_COLUMNS if present & set(PLACE_COLUMNS) and not present >= set(_METRES) else _METRES
    place = PLACE_COLUMNS if present >= set(PLACE_COLUMNS) else place
    wanted = [keys[0], *place, *(headings or HEADING_COLUMNS[:1])]
    missing = [f"{column}{did_you_mean(column, present - set(wanted))}" for column in wanted if column not in present]
    if missing:
        raise InputError(
            f"has no column {', '.join(missing)}", where=table.path, remedy=_BEGIN.format(",".join(keys), *place)
        )
    if not table.rows:
        remedy = f"give a line for each {'frame' if keys[0] == 'file' else 'pose'}"
        raise InputError("has no line below its header", where=table.path, remedy=remedy)
    return place, headings[0]


def table_values(table: Table, column: str) -> Series:
    """A column of numbers, NaN where nothing was measured, or where there is no such column."""
    if column not in table.columns:
        return np.full(len(table.rows), np.nan)
    return np.array(
        [measured(cells[column], f"{column} {cells[column]!r}", table.where(line), SEE) for line, cells in table.rows]
    )


def _frames(table: Table, pictures: Sequence[Path]) -> Indices:
    """The frame that each line is about."""
    numbers = {_composed(picture.name): number for number, picture in enumerate(pictures)}
    line_of: dict[int, int] = {}
    for line, cells in table.rows:
        name = cells["file"]
        number = numbers.get(_composed(name))
        if number is None:
            hint = did_you_mean(Path(name.replace("\\", "/")).name, numbers)
            remedy = "correct the line, or add the frame"
            raise InputError(f"frames holds no {name or 'file'}{hint}", where=table.where(line), remedy=remedy)
        if number in line_of:
            what = f"{name} has a line already (line {line_of[number]})"
            raise InputError(what, where=table.where(line), remedy="keep the one that is right")
        line_of[number] = line
    return np.array(list(line_of), dtype=np.int64)


def _composed(name: str) -> str:
    """The name with accents joined to their letters: macOS takes them apart."""
    return unicodedata.normalize("NFC", name)


def require_times(time_s: Series, line: Int64[np.ndarray, " n"], path: Path) -> None:
    """Raise InputError unless every line has a time in seconds, greater than the one before."""
    for row in np.flatnonzero(~np.isfinite(time_s))[:1]:
        raise InputError("has no time_s", where=f"{path}, line {line[row]}", remedy="give its time in seconds")
    for row in np.flatnonzero(np.abs(time_s) > _LATEST_S)[:1]:
        what = f"time_s {time_s[row]:.12g} cannot be in seconds"
        remedy = "give seconds: divide milliseconds by 1e3, nanoseconds by 1e9"
        raise InputError(what, where=f"{path}, line {line[row]}", remedy=remedy)
    for row in np.flatnonzero(np.diff(time_s) <= 0)[:1]:
        what = f"time_s {time_s[row + 1]:.12g} does not rise over that of line {line[row]}, {time_s[row]:.12g}"
        remedy = "write the lines in the order in which they were measured"
        raise InputError(what, where=f"{path}, line {line[row + 1]}", remedy=remedy)


def _require_rising(time_s: Series, line: Int64[np.ndarray, " n"], path: Path) -> None:
    """Missing and equal times contradict nothing."""
    known = np.flatnonzero(np.isfinite(time_s))
    falls = np.flatnonzero(np.diff(time_s[known]) < 0)
    if len(falls):
        before, after = known[falls[0]], known[falls[0] + 1]
        raise InputError(
            f"time_s {time_s[after]:.12g} comes before that of line {line[before]}, {time_s[before]:.12g}, "
            "but the frame's name comes after it",
            where=f"{path}, line {line[after]}",
            remedy="correct the times, or name the frames in the order in which they were taken",
        )


def require_places(latlon_deg: Float64[np.ndarray, "n 2"], line: Int64[np.ndarray, " n"], path: Path) -> None:
    """Raise InputError for a place that is none on earth, and for radians; NaN where nothing was measured."""
    measured_rows = np.flatnonzero(np.isfinite(latlon_deg).all(axis=1))
    for row in measured_rows:
        try:
            LatLon(*latlon_deg[row].tolist())
        except ValueError as error:
            remedy = "give degrees, latitude in its own column"
            raise InputError(str(error), where=f"{path}, line {line[row]}", remedy=remedy) from error
    if len(measured_rows) and np.all(np.abs(latlon_deg[measured_rows]) <= [pi / 2, pi]):
        raise InputError(
            "all places lie in the Gulf of Guinea, within 1.6 degrees north or south and 3.2 east or west of 0, 0",
            where=path,
            remedy="give latitude and longitude in degrees, not in radians",
        )


def _csv_readings(
    place: Float64[np.ndarray, "n 2"],
    place_columns: tuple[str, str],
    heading: Series,
    heading_column: str,
    camera: CameraFile,
) -> list[PoseReading]:
    """As the file is read, and the other readings that camera.json leaves open."""
    convention = camera.choices["heading_convention"]
    as_compass = convention == "compass"

    def yaw_rad(angle_rad: Series, compass: bool) -> Series:
        return (pi / 2 - angle_rad if compass else angle_rad) + camera.heading_offset_rad

    angle_rad = np.radians(heading) if heading_column == "yaw_deg" else heading
    yaw = yaw_rad(angle_rad, as_compass)
    readings = [PoseReading("", "", place, yaw)]
    if convention is not None:
        return readings
    compass = 'write "heading_convention": "compass" in camera.json'
    readings.append(PoseReading(f"{heading_column} is a compass bearing", compass, place, yaw_rad(angle_rad, True)))
    if heading_column == "yaw_deg" and np.nanmax(np.abs(heading), initial=0.0) <= 2 * pi:
        radians_ = "name the column yaw_rad"
        readings.append(PoseReading("yaw_deg is in radians", radians_, place, yaw_rad(heading, False)))
        both = f"{radians_} and {compass}"
        readings.append(PoseReading("yaw_deg is a compass bearing in radians", both, place, yaw_rad(heading, True)))
    if heading_column == "yaw_rad":
        degrees_ = "name the column yaw_deg"
        readings.append(PoseReading("yaw_rad is in degrees", degrees_, place, yaw_rad(np.radians(heading), False)))
    first, second = place_columns
    if place_columns == _METRES or np.nanmax(np.abs(place[:, 1]), initial=0.0) <= 90:
        readings.append(PoseReading(f"{first} and {second} are exchanged", "exchange them", place[:, ::-1], yaw))
    for column, sign in ((second, (1, -1)), (first, (-1, 1))):
        change = f"change the sign of {column}"
        readings.append(PoseReading(f"{column} counts the other way", change, place * sign, yaw))
    return readings
