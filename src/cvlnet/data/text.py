"""Text files to values, with errors that say what was wrong and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from cvlnet.errors import InputError


def read_text(path: Path, remedy: str) -> str:
    """The text of a file. Raises InputError if it is missing, empty or no text."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError("the file is missing", where=path, remedy=remedy) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as text ({error})", where=path, remedy=remedy) from error
    if not text.strip():
        raise InputError("the file is empty", where=path, remedy=remedy)
    return text


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The JSON object of a file. Raises InputError as `read_text` does, or if it holds none."""
    try:
        value = json.loads(read_text(path, remedy))
    except ValueError as error:
        raise InputError(f"is no JSON ({error})", where=path, remedy=remedy) from error
    if not isinstance(value, dict):
        raise InputError("is no JSON object", where=path, remedy=remedy)
    return value


def to_numbers(fields: Sequence[Any], where: str | Path, remedy: str) -> list[float]:
    """Finite numbers. Raises InputError if a field is none."""
    return [_number(field, f"{field!r}", where, remedy) for field in fields]


def number_of(
    entries: Mapping[str, Any], key: str, where: str | Path, remedy: str, *, default: float | None = None
) -> float:
    """The finite number under a key. Raises InputError if it is none, or missing without a default."""
    if key not in entries and default is not None:
        return default
    if key not in entries:
        raise InputError(f"has no {key}", where=where, remedy=remedy)
    return _number(entries[key], f"{key} {entries[key]!r}", where, remedy)


def positive_of(entries: Mapping[str, Any], key: str, where: str | Path, remedy: str) -> float:
    """The finite number above zero under a key. Raises InputError if it is none, or missing."""
    number = number_of(entries, key, where, remedy)
    if number <= 0:
        raise InputError(f"{key} {number:g} is not positive", where=where, remedy=remedy)
    return number


def _number(value: Any, shown: str, where: str | Path, remedy: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not isfinite(number):
        raise InputError(f"{shown} is not a number", where=where, remedy=remedy)
    return number
