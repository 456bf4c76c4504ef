"""What ``cvlnet imagery fetch`` writes beside imagery: whom to credit, and when it was flown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from cvlnet.errors import InputError, warn
from cvlnet.io.text import read_json

_DATE = len("2011-09-26")
_NO_USE = "the data set will lack the credit and the dates of flight"


@dataclass(frozen=True)
class Provenance:
    """Of imagery: the line that credits its source, and the dates of the flights; empty if nothing says so."""

    credit: str | None
    flown: tuple[date, ...]


def provenance_of(path: Path) -> Provenance:
    """Of a folder of imagery, by its ``manifest.json``, or of a file, by that of its folder.

    A manifest that cannot be read causes a warning.
    """
    manifest = (path if path.is_dir() else path.parent) / "manifest.json"
    if not manifest.is_file():
        return Provenance(None, ())
    try:
        about = read_json(manifest, _NO_USE)
    except InputError as error:
        warn(f"cannot be used ({error.what})", where=manifest, remedy=_NO_USE)
        return Provenance(None, ())
    credit = about.get("credit")
    only = None if path.is_dir() else path.name
    flown = {day for day in map(_day, _flown(about.get("files"), only)) if day is not None}
    return Provenance(credit if isinstance(credit, str) and credit.strip() else None, tuple(sorted(flown)))


def years_between(flown: Sequence[date], driven: date) -> tuple[float, float] | None:
    """Least and most years from the flights to a drive, negative if it came first; None without a flight."""
    years = sorted((driven - day).days / 365.25 for day in flown)
    return (years[0], years[-1]) if years else None


def day_of(recording: str) -> date | None:
    """The day of a recording of KITTI, by its name; None if it has no date."""
    return _day(recording.partition("/")[0].replace("_", "-"))


def _flown(files: Any, only: str | None) -> Iterator[Any]:
    """What a manifest says of the flight of each file, or of one file."""
    entries = list(files.items()) if isinstance(files, dict) else []
    if isinstance(files, list):
        entries = [(entry.get("name") or entry.get("path"), entry) for entry in files if isinstance(entry, dict)]
    for name, entry in entries:
        if isinstance(entry, dict) and (only is None or (isinstance(name, str) and Path(name).name == only)):
            yield entry.get("flown")


def _day(text: Any) -> date | None:
    try:
        return date.fromisoformat(str(text)[:_DATE])
    except ValueError:
        return None
