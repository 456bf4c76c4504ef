"""The files of a folder in the order in which a person would count them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from cvlnet.errors import InputError

PICTURES = (".png", ".jpg", ".jpeg")
_EPOCH_NAMES = {10: 1.0, 13: 1e3, 16: 1e6, 19: 1e9}  # number of digits of a time since 1970: its units in a second


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The files with one of these suffixes, given in lower case but matched in any case, by `natural_key`.

    Hidden files do not count: macOS puts a ``._name`` beside every file that it copies to a foreign disk. Empty if the
    folder is not there. Raises InputError if it cannot be listed.
    """
    if not folder.is_dir():
        return []
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file()]
    except OSError as error:
        remedy = "make the folder readable"
        raise InputError(f"cannot be listed ({error.strerror})", where=folder, remedy=remedy) from error
    return sorted((path for path in paths if not path.name.startswith(".")), key=lambda path: natural_key(path.name))


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Sorts by the numbers in a name: 2.png before 10.png."""
    parts = [part for part in re.split(r"([0-9]+)", name) if part]
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def times_of_names(paths: Sequence[Path]) -> list[float] | None:
    """Seconds, if the names of all files are times: 1305031102.175304.png, or 1403636579763555584.png (nanoseconds).

    A whole number is a time if it has as many digits as seconds, milliseconds, microseconds or nanoseconds since 1970
    have, and no leading zero. None for other names.
    """
    stems = [path.stem for path in paths]
    if all(re.fullmatch(r"[0-9]+\.[0-9]+", stem) for stem in stems):
        return [float(stem) for stem in stems]
    if all(re.fullmatch(r"[1-9][0-9]+", stem) and len(stem) in _EPOCH_NAMES for stem in stems):
        return [int(stem) / _EPOCH_NAMES[len(stem)] for stem in stems]
    return None
