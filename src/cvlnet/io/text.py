"""Text files to values, with errors that say what was wrong and what to do."""

from __future__ import annotations

import csv
import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite, nan
from pathlib import Path
from typing import Any

from cvlnet.errors import InputError
from cvlnet.io.files import require_at_most

_MOST_JSON_BYTES = 2**26
_NO_VALUE = {"", "nan", "inf", "+inf", "-inf", "null", "none", "na", "n/a"}  # as tables write what was not measured
_NUMBER = re.compile(r"[-+]?[0-9]+([.,][0-9]*)?(e[-+]?[0-9]+)?")
_MOST_RANGES = 8  # of numbers that a message names


def read_text(path: Path, remedy: str) -> str:
    """The text of a file in UTF-8, or in UTF-16 with its byte order mark; the mark is dropped.

    Raises InputError if the file is missing, empty or not text.
    """
    try:
        content = path.read_bytes()
        encoding = "utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
        text = content.decode(encoding)
    except FileNotFoundError as error:
        raise InputError("the file is missing", where=path, remedy=remedy) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, remedy=remedy) from error
    except UnicodeDecodeError as error:
        raise InputError("is not a text in UTF-8", where=path, remedy="save it as UTF-8") from error
    if not text.strip():
        raise InputError("the file is empty", where=path, remedy=remedy)
    return text


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The JSON object of a file. Raises InputError as `read_text` and `json_object` do, or if the file is too large."""
    require_at_most(path, _MOST_JSON_BYTES)
    return json_object(read_text(path, remedy), path, remedy)


def json_object(text: str | bytes, where: str | Path, remedy: str) -> dict[str, Any]:
    """The object that a text in JSON holds. Raises InputError if it holds none, or one that has a key twice."""

    def without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twin = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
            raise InputError(f"{twin} is there twice", where=where, remedy="delete one of the two")
        return found

    try:
        value = json.loads(text, object_pairs_hook=without_twins)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is no JSON ({error})", where=where, remedy=remedy) from error
    if not isinstance(value, dict):
        raise InputError("is no JSON object", where=where, remedy=remedy)
    return value


@dataclass(frozen=True)
class Table:
    """A table with a header. rows: where each stands in the file (line number), and its cells by column."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...]

    def where(self, line: int) -> str:
        """The file and the line, for messages."""
        return f"{self.path}, line {line}"


def read_table(path: Path, remedy: str, *, finished_lines: bool = False) -> Table:
    """A table of comma-separated values. Blanks around cells, blank lines and lines that begin with # are ignored.

    finished_lines: leaves out a last line without its end, which a writer that was killed has left.

    Raises InputError as `read_text` does, if there is no header or it names a column twice, if anything but commas
    separates the columns, or if the number of cells in a line differs from the header's.
    """
    text = read_text(path, remedy)
    if finished_lines:
        text = text[: text.rfind("\n") + 1]
    reader = csv.reader(text.splitlines(), skipinitialspace=True)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise InputError(f"is no table ({error})", where=f"{path}, line {reader.line_num}", remedy=remedy) from error
    lines = [(line, cells) for line, cells in lines if any(cells) and not cells[0].startswith("#")]
    if not lines:
        raise InputError("holds no table", where=path, remedy=remedy)
    (header_line, header), *rows = lines
    columns = header[: max(i for i, name in enumerate(header, 1) if name)]
    where = f"{path}, line {header_line}"
    for name, mark in (("semicolons", ";"), ("tabs", "\t")):
        if any(mark in cell for cell in columns):
            point = "separate them by commas, and write decimals with a point"
            raise InputError(f"{name} separate the columns", where=where, remedy=point)
    if any(_NUMBER.fullmatch(cell) for cell in columns):
        raise InputError("begins with numbers instead of the columns' names", where=where, remedy=remedy)
    twins = [name for name, count in Counter(columns).items() if count > 1]
    if twins:
        raise InputError(f"the column {twins[0]} is there twice", where=where, remedy="rename one of the two")
    for line, cells in rows:
        if len(cells) < len(columns) or any(cells[len(columns) :]):
            hint = " (decimals are written with a point)" if len(cells) > len(columns) else ""
            what = f"{len(cells)} values for {len(columns)} columns{hint}"
            raise InputError(what, where=f"{path}, line {line}", remedy="correct the line")
    return Table(path, tuple(columns), tuple((line, dict(zip(columns, cells, strict=False))) for line, cells in rows))


def to_numbers(fields: Sequence[Any], where: str | Path, remedy: str) -> list[float]:
    """The fields as finite numbers. Raises InputError if one of them is not a number."""
    return [_number(field, f"{field!r}", where, remedy) for field in fields]


def number_of(
    entries: Mapping[str, Any], key: str, where: str | Path, remedy: str, *, default: float | None = None
) -> float:
    """The finite number under a key. Raises InputError if it is not a number, or missing without a default."""
    if key not in entries and default is not None:
        return default
    if key not in entries:
        raise InputError(f"has no {key}", where=where, remedy=remedy)
    return _number(entries[key], f"{key} {entries[key]!r}", where, remedy)


def positive_of(entries: Mapping[str, Any], key: str, where: str | Path, remedy: str) -> float:
    """The positive finite number under a key. Raises InputError if it is not one, or missing."""
    number = number_of(entries, key, where, remedy)
    if number <= 0:
        raise InputError(f"{key} {number:g} is not positive", where=where, remedy=remedy)
    return number


def measured(field: str, shown: str, where: str | Path, remedy: str) -> float:
    """A number, or NaN for what was not measured: an empty field, nan, inf, null. Raises InputError for other words."""
    return nan if field.strip().lower() in _NO_VALUE else _number(field, shown, where, remedy)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a message, " (did you mean ...?)", or nothing if no known word is like this one."""
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), by_lower, n=1)
    return f" (did you mean {by_lower[close[0]]}?)" if close else ""


def ranges(numbers: Collection[int]) -> str:
    """Rising numbers in short, such as "0 to 9, 38"; of many ranges only the first ones."""
    texts: list[str] = []
    rest = list(numbers)
    while rest and len(texts) < _MOST_RANGES:
        run = next((i for i in range(1, len(rest)) if rest[i] != rest[0] + i), len(rest))
        texts.append(f"{rest[0]} to {rest[run - 1]}" if run > 2 else ", ".join(map(str, rest[:run])))
        rest = rest[run:]
    return ", ".join(texts) + (f" and {len(rest)} more" if rest else "")


def _number(value: Any, shown: str, where: str | Path, remedy: str) -> float:
    try:
        number = nan if isinstance(value, bool) or (isinstance(value, str) and "_" in value) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = nan
    if not isfinite(number):
        comma = isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]*,[0-9]+(e[-+]?[0-9]+)?", value)
        hint = " (decimals are written with a point)" if comma else ""
        raise InputError(f"{shown} is not a number{hint}", where=where, remedy=remedy)
    return number
