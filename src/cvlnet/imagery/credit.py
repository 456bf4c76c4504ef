"""The line that names where imagery comes from, as its licence asks for it."""

from __future__ import annotations

from pathlib import Path

from cvlnet.errors import InputError, warn
from cvlnet.io.text import read_json

MANIFEST = "manifest.json"
_LARGEST_BYTES = 2**26
_LONGEST = 500  # characters
_SEE = 'it has "credit": "..." for the imagery beside it'


def credit_of(path: Path) -> str | None:
    """The "credit" of the manifest.json in a folder of imagery, or beside a file; None if there is none.

    A manifest that cannot be read causes a warning, as imagery does not depend on it.
    """
    manifest = (path if path.is_dir() else path.parent) / MANIFEST
    if not manifest.is_file():
        return None
    if manifest.stat().st_size > _LARGEST_BYTES:
        warn(f"is larger than {_LARGEST_BYTES >> 20} MB and not read", where=manifest, remedy=_SEE)
        return None
    try:
        credit = read_json(manifest, _SEE).get("credit")
    except InputError as error:
        warn(error.what, where=manifest, remedy=error.remedy)
        return None
    if credit is None:
        return None
    if not isinstance(credit, str):
        warn("its credit is no text", where=manifest, remedy=_SEE)
        return None
    return one_line(credit)


def one_line(text: str) -> str | None:
    """A credit as one printable line of bounded length; None if it is blank."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_LONGEST] or None
