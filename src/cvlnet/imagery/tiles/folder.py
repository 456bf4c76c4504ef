"""Tiles as files: ``{z}/{x}/{y}.png``, ``.jpg`` or ``.webp``, of the highest zoom level that is there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from cvlnet.config import RasterHints, TileScheme
from cvlnet.errors import InputError
from cvlnet.imagery.credit import credit_of
from cvlnet.imagery.tiles.description import description_in, scheme_of
from cvlnet.imagery.tiles.pyramid import (
    DEEPEST_ZOOM,
    MOST_TILE_BYTES,
    LevelBelow,
    TileImage,
    TileRange,
    TileStore,
    counted_from_north,
    extent_of,
    open_tiles,
    row_of,
    warn_of_more_below,
)

_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
_PICTURE = re.compile(rf"({_NUMBER.pattern})(\.(?:png|jpe?g|webp))", re.IGNORECASE)
_VECTORS = (".pbf", ".mvt", ".mlt")


@dataclass(frozen=True)
class TileFolder(TileStore):
    """A zoom level of a folder of tiles. suffixes: of the pictures, as they are written."""

    source: Path
    extent: TileRange
    sample: tuple[int, int]
    scheme: TileScheme
    suffixes: tuple[str, ...]

    def encoded(self, x: int, y: int) -> bytes | None:
        """As `TileStore` says."""
        for suffix in self.suffixes:
            path = self._path(x, y).with_suffix(suffix)
            if path.is_file():
                return _bytes_of(path)
        return None

    def name(self, x: int, y: int) -> str:
        """As `TileStore` says."""
        path = self._path(x, y)
        there = (path.with_suffix(suffix) for suffix in self.suffixes if path.with_suffix(suffix).is_file())
        return str(next(there, path))

    def state(self) -> str:
        """As `TileStore` says. Pictures that are replaced by others of the same name are not noticed."""
        columns = sorted(_numbered(self.source / str(self.extent.zoom)))
        return repr((self.extent, self.scheme, [(x, path.stat().st_mtime_ns) for x, path in columns]))

    def _path(self, x: int, y: int) -> Path:
        zoom = self.extent.zoom
        return self.source / str(zoom) / str(x) / str(row_of(y, zoom, self.scheme))


def open_tile_folder(folder: Path, hints: RasterHints) -> TileImage:
    """Open the highest zoom level of a folder of tiles as an image. Warns if the level below shows clearly more.

    Raises InputError if there are vectors, if a tile lies outside its level, if nothing says how rows are counted, or
    if a tile is damaged.
    """
    as_numbered, suffixes, sample = _highest_level(folder)
    about = description_in(folder)
    scheme = scheme_of(about, hints, as_numbered, folder)
    extent, (x, row) = counted_from_north(as_numbered, scheme), sample
    store = TileFolder(folder, extent, (x, row_of(row, extent.zoom, scheme)), scheme, suffixes)
    below = _level_below(folder, extent.zoom)
    if below is not None:
        warn_of_more_below(folder, extent, below)
    return open_tiles(store, hints, credit_of(folder) or (None if about is None else about.credit))


def zoom_levels(folder: Path) -> list[int]:
    """The zoom levels of a folder of tiles, rising; none if it is no such folder."""
    levels = [(zoom, path) for zoom, path in _numbered(folder) if zoom <= DEEPEST_ZOOM]
    return sorted(zoom for zoom, path in levels if next(_numbered(path), None) is not None)


def _highest_level(folder: Path) -> tuple[TileRange, tuple[str, ...], tuple[int, int]]:
    """The range of the tiles as they are numbered, the suffixes of their names, and column and row of one of them."""
    for zoom in reversed(zoom_levels(folder)):
        columns: list[tuple[int, int]] = []
        rows: list[int] = []
        suffixes: set[str] = set()
        sample = None
        for x, found in _columns(folder / str(zoom)):
            columns.append((x, x))
            rows += [min(found), max(found)]
            suffixes |= set(found.values())
            sample = sample or (x, min(found))
        if sample is None:
            continue
        if columns[-1][0] >= 2**zoom or max(rows) >= 2**zoom:
            what = f"has a column or row above {2**zoom - 1}, the last one of zoom level {zoom}"
            raise InputError(what, where=folder / str(zoom), remedy="give Web Mercator tiles as z/x/y")
        return extent_of(zoom, columns, (min(rows), max(rows))), tuple(sorted(suffixes)), sample
    raise InputError("holds no tiles", where=folder, remedy="give PNG, JPEG or WebP pictures as z/x/y.png")


def _level_below(folder: Path, zoom: int) -> LevelBelow | None:
    """The zoom level below the highest one; None if there is none."""
    lower = [level for level in zoom_levels(folder) if level < zoom]
    if not lower:
        return None
    step, tiles_above, parents = zoom - lower[-1], 0, 0
    for _, columns in groupby(_columns(folder / str(zoom)), key=lambda column: column[0] >> step):
        rows = [row for _, found in columns for row in found]
        tiles_above, parents = tiles_above + len(rows), parents + len({row >> step for row in rows})
    tiles = sum(len(found) for _, found in _columns(folder / str(lower[-1])))
    return LevelBelow(lower[-1], tiles, tiles_above, parents)


def _columns(level: Path) -> Iterator[tuple[int, dict[int, str]]]:
    """The columns of a zoom level that have pictures, rising: rows and suffixes of these."""
    for x, path in sorted(_numbered(level)):
        found = dict(_tiles_in(path))
        if found:
            yield x, found


def _numbered(folder: Path) -> Iterator[tuple[int, Path]]:
    """Folders whose names are numbers."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if _NUMBER.fullmatch(entry.name) and entry.is_dir():
                yield int(entry.name), Path(entry.path)


def _tiles_in(column: Path) -> Iterator[tuple[int, str]]:
    """Rows and suffixes of the pictures in a column."""
    with os.scandir(column) as entries:
        for entry in entries:
            picture = _PICTURE.fullmatch(entry.name)
            if picture:
                yield int(picture[1]), picture[2]
            elif entry.name.lower().endswith(_VECTORS):
                raise InputError("is a vector tile, no picture", where=entry.path, remedy="give tiles of imagery")


def _bytes_of(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_TILE_BYTES:
            what = f"is larger than {MOST_TILE_BYTES >> 20} MB"
            raise InputError(what, where=path, remedy="give tiles of 256 or 512 px")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, remedy="make it readable") from error
