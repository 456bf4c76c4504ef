"""Which files of a folder make up a mosaic."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from cvlnet.errors import InputError, warn
from cvlnet.imagery.placement import world_suffixes
from cvlnet.io.listing import natural_key

_GEOREFERENCED = (".tif", ".tiff", ".jp2", ".img")  # as a rule
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")  # only if something beside them places them
_DEEPEST = 3  # folders in folders
_MOST = 100_000


def sheets_in(folder: Path, except_in: Collection[str] = ()) -> list[Path]:
    """The files of a folder, and of folders in it, that are sheets of a mosaic, in the order of their names.

    GeoTIFF, JPEG 2000 and HFA are; other pictures are if a world file or a JSON file beside them places them, and are
    left out with a warning if there are sheets without them. Virtual rasters are left out: they show the sheets again.
    ``except_in``: names of folders that are left out.
    Raises InputError if the folder cannot be read, or holds too many files.
    """
    sheets: list[Path] = []
    unplaced: list[Path] = []
    for names, parent in _listings(folder, except_in):
        lower = {name.lower() for name in names}
        for name in names:
            path = parent / name
            if path.suffix.lower() in _GEOREFERENCED:
                sheets.append(path)
            elif path.suffix.lower() in _PICTURES:
                (sheets if _is_placed(path, lower) else unplaced).append(path)
            if len(sheets) > _MOST:
                raise InputError(f"holds more than {_MOST} pictures", where=folder, remedy="give a part of them")
    if sheets and unplaced:
        what = f"{len(unplaced)} pictures without a position are left out, such as {unplaced[0].relative_to(folder)}"
        warn(what, where=folder, remedy="put world files beside them if they belong to the map")
    return sorted(sheets, key=lambda path: natural_key(str(path)))


def _listings(folder: Path, except_in: Collection[str]) -> Iterator[tuple[list[str], Path]]:
    """The names of the visible files of a folder and of the folders in it."""

    def refuse(error: OSError) -> None:
        raise InputError(f"cannot be listed ({error.strerror})", where=folder, remedy="make the folder readable")

    for parent, folders, names in os.walk(folder, onerror=refuse):
        depth = len(Path(parent).relative_to(folder).parts)
        folders[:] = [] if depth == _DEEPEST else [name for name in folders if not name.startswith(".")]
        if depth == 0:
            folders[:] = [name for name in folders if name not in except_in]
        yield [name for name in names if not name.startswith(".")], Path(parent)


def _is_placed(path: Path, beside: set[str]) -> bool:
    """Whether something beside a picture may place it. beside: the names of the files there, in lower case."""
    stem, world = path.stem.lower(), world_suffixes(path.suffix)
    candidates = {f"{stem}{ending}" for ending in (*world, ".json")} | {f"{path.name.lower()}.aux.xml", "georef.json"}
    return not candidates.isdisjoint(beside)
