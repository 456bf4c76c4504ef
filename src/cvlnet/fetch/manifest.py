"""manifest.json of a folder of fetched imagery: what each file is, where it came from, and whose it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeGuard

from cvlnet.errors import InputError
from cvlnet.io.files import written_whole
from cvlnet.io.text import read_json

NAME = "manifest.json"
_FORMAT = 1
_REMEDY = "delete it, or choose another folder"


@dataclass(frozen=True)
class FetchedFile:
    """A file in the folder.

    piece: that it was made of; address: that the piece came from. retrieved: time (ISO 8601, UTC). flown: date of the
    flight (ISO 8601), as the source states it, None if it does not. crs: of its coordinates. ground_m2: that it shows;
    None of what is no picture.
    """

    piece: str
    address: str
    sha256: str
    bytes: int
    retrieved: str
    flown: str | None
    crs: str
    ground_m2: float | None


@dataclass(frozen=True)
class Manifest:
    """What a folder holds. credit: is to be shown with every picture. not_there: pieces that the source lacks."""

    source: str
    title: str
    credit: str
    licence: str
    files: Mapping[str, FetchedFile] = field(default_factory=dict)
    not_there: tuple[str, ...] = ()

    def with_files(self, files: Mapping[str, FetchedFile]) -> Manifest:
        """With the files of a piece, in place of those that were there of the same piece."""
        pieces = {file.piece for file in files.values()}
        kept = {name: file for name, file in self.files.items() if file.piece not in pieces}
        not_there = tuple(piece for piece in self.not_there if piece not in pieces)
        return replace(self, files=dict(sorted({**kept, **files}.items())), not_there=not_there)

    def without(self, piece: str) -> Manifest:
        """With a note that the source lacks a piece."""
        return replace(self, not_there=tuple(sorted({*self.not_there, piece})))

    def holds(self, piece: str, address: str, folder: Path) -> bool:
        """Whether a piece was fetched from an address, and all of its files are there as they were then."""
        files = {name: file for name, file in self.files.items() if file.piece == piece}
        return bool(files) and all(
            file.address == address and _is_unchanged(folder / name, file) for name, file in files.items()
        )

    def write(self, folder: Path) -> None:
        """Write it into its folder, whole."""
        with written_whole(folder / NAME) as temporary:
            described = {"format": _FORMAT, **asdict(self)}
            temporary.write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder; None if it has none.

    Raises InputError if it is malformed, of another version, or names files outside of its folder.
    """
    path = folder / NAME
    if not path.exists():
        return None
    content = read_json(path, _REMEDY)
    if content.get("format") != _FORMAT:
        raise InputError(f"is no manifest of format {_FORMAT}", where=path, remedy=_REMEDY)
    files, not_there = content.get("files"), content.get("not_there")
    texts = [content.get(key) for key in ("source", "title", "credit", "licence")]
    if not isinstance(files, dict) or not _are_texts(not_there) or not _are_texts(texts):
        raise InputError("lacks files, not_there, source, title, credit or licence", where=path, remedy=_REMEDY)
    source, title, credit, licence = texts
    entries = {name: _file(name, entry, path) for name, entry in files.items()}
    return Manifest(source, title, credit, licence, entries, tuple(not_there))


def digest_of(path: Path, algorithm: str) -> str:
    """Of a file's content, hexadecimal, by a name of hashlib."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _is_unchanged(path: Path, file: FetchedFile) -> bool:
    return path.is_file() and path.stat().st_size == file.bytes and digest_of(path, "sha256") == file.sha256


def _file(name: str, entry: Any, path: Path) -> FetchedFile:
    if not name or Path(name).name != name or "\\" in name or name.startswith("."):
        raise InputError(f"names {name!r}, which is no file beside it", where=path, remedy=_REMEDY)
    keys = [item.name for item in fields(FetchedFile)]
    optional = {"flown", "ground_m2"}
    if not isinstance(entry, dict) or set(entry) != set(keys):
        raise InputError(f"its entry {name} lacks some of the keys {', '.join(keys)}", where=path, remedy=_REMEDY)
    texts = [entry[key] for key in keys if key not in ("bytes", "ground_m2") and entry[key] is not None]
    numbers = [entry[key] for key in ("bytes", "ground_m2") if entry[key] is not None]
    whole = all(entry[key] is not None for key in keys if key not in optional) and _are_texts(texts)
    if not whole or not all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
        raise InputError(f"its entry {name} is malformed", where=path, remedy=_REMEDY)
    return FetchedFile(**entry)


def _are_texts(values: Any) -> TypeGuard[list[str]]:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
