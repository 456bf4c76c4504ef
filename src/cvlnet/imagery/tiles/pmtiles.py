"""PMTiles, version 3: tiles in one file, by their places along a Hilbert curve. Rows are counted from the north.

The file is read by offsets that it states itself, so that every length is checked before memory is taken.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from pmtiles.tile import (
    Compression,
    TileType,
    deserialize_directory,
    deserialize_header,
    find_tile,
    tileid_to_zxy,
    zxy_to_tileid,
)

from cvlnet.config import RasterHints
from cvlnet.errors import InputError
from cvlnet.imagery.credit import credit_of
from cvlnet.imagery.tiles.description import described
from cvlnet.imagery.tiles.pyramid import (
    DEEPEST_ZOOM,
    MOST_TILE_BYTES,
    LevelBelow,
    TileImage,
    TileRange,
    TileStore,
    extent_of,
    open_tiles,
    warn_of_more_below,
)

MAGIC = b"PMTiles"
_VERSION = 3
_HEADER_BYTES = 127
_MOST_DIRECTORY_BYTES = 2**21  # unpacked
_MOST_BYTES_OF_DIRECTORIES = 2**25  # of all together, unpacked: some six million tiles
_MOST_BYTES_OF_METADATA = 2**22
_DEEPEST_DIRECTORY = 4
_KEPT_DIRECTORIES = 32
_ENDLESS = re.compile(rb"[\x80-\xff]{10}")  # no number of 64 bits takes so many bytes
_PICTURES = (TileType.UNKNOWN, TileType.PNG, TileType.JPEG, TileType.WEBP)
_REMEDY = "copy or download it again"


@dataclass(frozen=True)
class PMTiles(TileStore):
    """A zoom level of a PMTiles file."""

    source: Path
    extent: TileRange
    sample: tuple[int, int]
    archive: Archive

    def encoded(self, x: int, y: int) -> bytes | None:
        """As `TileStore` says."""
        return self.archive.tile(self.extent.zoom, x, y)

    def name(self, x: int, y: int) -> str:
        """As `TileStore` says."""
        return f"{self.source}, tile {self.extent.zoom}/{x}/{y}"

    def state(self) -> str:
        """As `TileStore` says."""
        state = self.source.stat()
        return repr((self.source.name, self.extent, state.st_size, state.st_mtime_ns))


@dataclass(frozen=True)
class Archive:
    """A PMTiles file: its header, its directories and its tiles. All methods raise InputError where it is damaged."""

    path: Path
    _kept: OrderedDict[tuple[int, int], list[Any]] = field(
        default_factory=OrderedDict, init=False, repr=False, compare=False
    )

    def __getstate__(self) -> dict[str, Any]:
        """Without the open file, so that another process can open it anew."""
        return {"path": self.path, "_kept": OrderedDict()}

    @cached_property
    def header(self) -> Any:
        """What the file states of itself."""
        start = self._bytes(0, _HEADER_BYTES, _HEADER_BYTES)
        if start[len(MAGIC)] != _VERSION:
            what = f"is PMTiles of version {start[len(MAGIC)]}, not {_VERSION}"
            raise InputError(what, where=self.path, remedy="convert it (pmtiles convert)")
        with _reported(self.path):
            header = deserialize_header(start)
        for name in ("internal_compression", "tile_compression"):
            if header[name] not in (Compression.UNKNOWN, Compression.NONE, Compression.GZIP):
                what = f"is compressed by {header[name].name.lower()}"
                raise InputError(what, where=self.path, remedy="make it with gzip or without compression")
        if header["tile_type"] not in _PICTURES:
            what = f"holds tiles of type {header['tile_type'].name}, no PNG, JPEG or WebP pictures"
            raise InputError(what, where=self.path, remedy="give tiles of imagery")
        return header

    def metadata(self) -> dict[str, Any]:
        """The metadata; empty if there are none."""
        length = self.header["metadata_length"]
        if length == 0:
            return {}
        packed = self._bytes(self.header["metadata_offset"], length, _MOST_BYTES_OF_METADATA)
        with _reported(self.path):
            metadata = json.loads(self._unpacked(packed, self.header["internal_compression"], _MOST_BYTES_OF_METADATA))
        return metadata if isinstance(metadata, dict) else {}

    def tile(self, zoom: int, x: int, y: int) -> bytes | None:
        """The picture file of a tile; None if there is none."""
        tile_id = zxy_to_tileid(zoom, x, y)
        entries = self._root
        for _ in range(_DEEPEST_DIRECTORY):
            entry = find_tile(entries, tile_id)
            if entry is None:
                return None
            if entry.run_length > 0:
                packed = self._bytes(self.header["tile_data_offset"] + entry.offset, entry.length, MOST_TILE_BYTES)
                with _reported(self.path):
                    return self._unpacked(packed, self.header["tile_compression"], MOST_TILE_BYTES)
            entries = self._leaf(entry)
        raise self._damaged("its directories lie in each other")

    def highest_zoom(self) -> int:
        """The zoom level of the last tile."""
        entries = self._root
        for _ in range(_DEEPEST_DIRECTORY):
            if not entries:
                raise InputError("holds no tiles", where=self.path, remedy="give tiles of imagery")
            last = entries[-1]
            if last.run_length > 0:
                with _reported(self.path):
                    zoom, _, _ = tileid_to_zxy(last.tile_id + last.run_length - 1)
                if zoom > DEEPEST_ZOOM:
                    raise self._damaged(f"it has a zoom level {zoom}")
                return zoom
            entries = self._leaf(last)
        raise self._damaged("its directories lie in each other")

    def runs(self, zoom: int) -> Iterator[tuple[int, int]]:
        """The tiles of a zoom level as rising ranges of places along its curve, ends excluded."""
        base, behind = zxy_to_tileid(zoom, 0, 0), zxy_to_tileid(zoom + 1, 0, 0)
        start = stop = None
        for first, last in self._entries(self._root, base, behind, [_MOST_BYTES_OF_DIRECTORIES], 1):
            first, last = max(first, base) - base, min(last, behind) - base
            if start is not None and stop is not None and start <= first <= stop:
                stop = max(stop, last)
                continue
            if start is not None and stop is not None:
                yield start, stop
            start, stop = first, last
        if start is not None and stop is not None:
            yield start, stop

    def _entries(
        self, entries: list[Any], base: int, behind: int, budget: list[int], depth: int
    ) -> Iterator[tuple[int, int]]:
        """The entries that overlap a range of tiles. budget: how many bytes of directories may still be unpacked."""
        if depth > _DEEPEST_DIRECTORY:
            raise self._damaged("its directories lie in each other")
        for entry, following in zip(entries, [*entries[1:], None], strict=True):
            if entry.tile_id >= behind or (following is not None and following.tile_id <= base):
                continue
            if entry.run_length > 0:
                if entry.tile_id + entry.run_length > base:
                    yield entry.tile_id, entry.tile_id + entry.run_length
                continue
            leaf = self._leaf(entry)
            budget[0] -= 4 * len(leaf)
            if budget[0] < 0:
                what = f"has more than {_MOST_BYTES_OF_DIRECTORIES >> 20} MB of directories"
                raise InputError(what, where=self.path, remedy="cut a part of it (pmtiles extract)")
            yield from self._entries(leaf, base, behind, budget, depth + 1)

    @cached_property
    def _root(self) -> list[Any]:
        return self._directory(self.header["root_offset"], self.header["root_length"])

    def _leaf(self, entry: Any) -> list[Any]:
        at = (self.header["leaf_directory_offset"] + entry.offset, entry.length)
        if at not in self._kept:
            self._kept[at] = self._directory(*at)
        self._kept.move_to_end(at)
        while len(self._kept) > _KEPT_DIRECTORIES:
            self._kept.popitem(last=False)
        return self._kept[at]

    def _directory(self, offset: int, length: int) -> list[Any]:
        packed = self._bytes(offset, length, _MOST_DIRECTORY_BYTES)
        with _reported(self.path):
            directory = self._unpacked(packed, self.header["internal_compression"], _MOST_DIRECTORY_BYTES)
            if _ENDLESS.search(directory):
                raise self._damaged("a directory has numbers of more than 64 bits")
            entries: list[Any] = deserialize_directory(gzip.compress(directory, compresslevel=1))
        return entries

    def _unpacked(self, packed: bytes, compression: Compression, most: int) -> bytes:
        if compression != Compression.GZIP:
            return packed
        unpacker = zlib.decompressobj(wbits=31)
        unpacked = unpacker.decompress(packed, most + 1)
        if len(unpacked) > most or not unpacker.eof:
            raise self._damaged(f"a part of it does not end within {most >> 20} MB")
        return unpacked

    def _bytes(self, offset: int, length: int, most: int) -> bytes:
        if length > most:
            raise self._damaged(f"a part of it has {length:,} bytes, more than {most:,}")
        if length == 0 or offset + length > self.path.stat().st_size:
            raise self._damaged("it is cut short")
        return os.pread(self._file.fileno(), length, offset)

    @cached_property
    def _file(self) -> BinaryIO:
        return self.path.open("rb")

    def _damaged(self, what: str) -> InputError:
        return InputError(f"is no whole PMTiles file ({what})", where=self.path, remedy=_REMEDY)


def open_pmtiles(path: Path, hints: RasterHints) -> TileImage:
    """Open the highest zoom level of a PMTiles file as an image. Warns if the level below shows clearly more.

    Raises InputError if it is damaged, of another version, or holds vectors.
    """
    if hints.tile_scheme == "tms":
        what = "PMTiles count rows from the north"
        raise InputError(what, where=path, remedy="leave --tile-scheme out")
    archive = Archive(path)
    about = described(archive.metadata(), path)
    zoom = archive.highest_zoom()
    base = zxy_to_tileid(zoom, 0, 0)
    columns, rows, sample = [], [], None
    for start, stop in archive.runs(zoom):
        sample = sample or tileid_to_zxy(base + start)[1:]
        for place, side in _squares(start, stop):
            _, x, y = (value // side * side for value in tileid_to_zxy(base + place))
            columns.append((x, x + side - 1))
            rows += [y, y + side - 1]
    if sample is None:
        raise InputError("holds no tiles", where=path, remedy="give tiles of imagery")
    extent = extent_of(zoom, columns, (min(rows), max(rows)))
    below = _level_below(archive, zoom)
    if below is not None:
        warn_of_more_below(path, extent, below)
    return open_tiles(PMTiles(path, extent, sample, archive), hints, credit_of(path) or about.credit)


def _level_below(archive: Archive, zoom: int) -> LevelBelow | None:
    """The zoom level below the highest one; None if there is none."""
    for lower in reversed(range(zoom)):
        tiles = sum(stop - start for start, stop in archive.runs(lower))
        if tiles > 0:
            break
    else:
        return None
    tiles_above, parents, last, bits = 0, 0, -1, 2 * (zoom - lower)
    for start, stop in archive.runs(zoom):  # along the curve, a tile's place begins with that of its parent
        first, end = max(start >> bits, last + 1), (stop - 1) >> bits
        tiles_above, parents, last = tiles_above + stop - start, parents + end - first + 1, end
    return LevelBelow(lower, tiles, tiles_above, parents)


def _squares(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """A range of places along a Hilbert curve as squares of tiles: the first place of each, and its side in tiles."""
    while start < stop:
        side = 1
        while start % (4 * side * side) == 0 and start + 4 * side * side <= stop:
            side *= 2
        yield start, side
        start += side * side


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Errors in reading a damaged file as InputErrors."""
    try:
        yield
    except (ValueError, KeyError, EOFError, OverflowError, OSError, zlib.error, RecursionError) as error:
        raise InputError(f"is no whole PMTiles file ({error})", where=path, remedy=_REMEDY) from error
