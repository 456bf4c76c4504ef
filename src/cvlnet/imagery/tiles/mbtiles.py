"""MBTiles: tiles in an SQLite data base. By its specification, rows are counted from the south."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from cvlnet.config import RasterHints, TileScheme
from cvlnet.errors import InputError
from cvlnet.imagery.credit import credit_of
from cvlnet.imagery.tiles.description import Description, described, scheme_of
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

MAGIC = b"SQLite format 3\x00"
_MOST_ROWS_OF_METADATA = 1000
_MOST_ROWS = 2**22  # of an answer
_STEP, _MOST_STEPS = 1_000_000, 2000  # instructions of a query: some twenty seconds
_ZOOM = "SELECT max(zoom_level) FROM tiles"
_COLUMNS = "SELECT tile_column, min(tile_row), max(tile_row) FROM tiles WHERE zoom_level = ? GROUP BY tile_column"
_SAMPLE = "SELECT tile_column, tile_row FROM tiles WHERE zoom_level = ? LIMIT 1"
_ZOOM_BELOW = "SELECT max(zoom_level) FROM tiles WHERE zoom_level < ?"
_COUNT = "SELECT count(*) FROM tiles WHERE zoom_level = ?"
_TILE = "SELECT tile_data FROM tiles WHERE zoom_level = ? AND tile_column = ? AND tile_row = ?"
_METADATA = f"SELECT name, value FROM metadata LIMIT {_MOST_ROWS_OF_METADATA}"
_REMEDY = "copy or make it again"


@dataclass(frozen=True)
class MBTiles(TileStore):
    """A zoom level of an MBTiles file."""

    source: Path
    extent: TileRange
    sample: tuple[int, int]
    scheme: TileScheme

    def encoded(self, x: int, y: int) -> bytes | None:
        """As `TileStore` says."""
        zoom = self.extent.zoom
        found = _rows(self._connection, self.source, _TILE, zoom, x, row_of(y, zoom, self.scheme))
        if not found or found[0][0] is None:
            return None
        if not isinstance(found[0][0], bytes):
            raise InputError("is no picture", where=self.name(x, y), remedy=_REMEDY)
        return found[0][0]

    def name(self, x: int, y: int) -> str:
        """As `TileStore` says."""
        return f"{self.source}, tile {self.extent.zoom}/{x}/{y}"

    def state(self) -> str:
        """As `TileStore` says."""
        state = self.source.stat()
        return repr((self.source.name, self.extent, self.scheme, state.st_size, state.st_mtime_ns))

    def __getstate__(self) -> dict[str, Any]:
        """Without the open file, so that another process can open it anew."""
        return {name: value for name, value in self.__dict__.items() if name != "_connection"}

    @cached_property
    def _connection(self) -> sqlite3.Connection:
        return _connect(self.source)


def open_mbtiles(path: Path, hints: RasterHints) -> TileImage:
    """Open the highest zoom level of an MBTiles file as an image. Warns if the level below shows clearly more.

    Raises InputError if it is damaged or no MBTiles file, if it holds vectors, or if its tiles lie outside the area
    that it states.
    """
    with closing(_connect(path)) as connection:
        metadata = {str(name): value for name, value in _rows(connection, path, _METADATA)}
        about = described(metadata, path)
        zoom = _whole(_rows(connection, path, _ZOOM)[0][0], DEEPEST_ZOOM, path)
        columns = [_numbers(row, zoom, path) for row in _rows(connection, path, _COLUMNS, zoom)]
        x, row = _numbers(_rows(connection, path, _SAMPLE, zoom)[0], zoom, path)
        below = _level_below(connection, path, zoom, columns)
    rows = min(low for _, low, _ in columns), max(high for _, _, high in columns)
    as_numbered = extent_of(zoom, [(column, column) for column, _, _ in columns], rows)
    scheme = scheme_of(*_by_the_format(about, hints), as_numbered, path)
    store = MBTiles(path, counted_from_north(as_numbered, scheme), (x, row_of(row, zoom, scheme)), scheme)
    if below is not None:
        warn_of_more_below(path, store.extent, below)
    return open_tiles(store, hints, credit_of(path) or about.credit)


def _level_below(
    connection: sqlite3.Connection, path: Path, zoom: int, columns: Sequence[tuple[int, ...]]
) -> LevelBelow | None:
    """The zoom level below the highest one; None if there is none. ``columns``: first and last rows, without gaps."""
    lower = _rows(connection, path, _ZOOM_BELOW, zoom)[0][0]
    if lower is None:
        return None
    step = zoom - _whole(lower, DEEPEST_ZOOM, path)
    parents = 0
    for _, group in itertools.groupby(sorted(columns), key=lambda column: column[0] >> step):
        ends = [(low >> step, high >> step) for _, low, high in group]
        parents += max(high for _, high in ends) - min(low for low, _ in ends) + 1
    tiles_above, tiles = (_rows(connection, path, _COUNT, level)[0][0] for level in (zoom, lower))
    return LevelBelow(lower, tiles, tiles_above, parents)


def _by_the_format(about: Description, hints: RasterHints) -> tuple[Description, RasterHints]:
    """What is said of the rows: the format counts them from the south, unless the file or the user says otherwise.

    "xyz" in the metadata is no decision, as it often describes addresses at which a server offers the tiles.
    """
    by_default: TileScheme | None = None if about.scheme == "xyz" else "tms"
    return replace(about, scheme=None), replace(hints, tile_scheme=hints.tile_scheme or by_default)


def _connect(path: Path) -> sqlite3.Connection:
    """The data base, read only. Nothing that it defines may do more than read its tables, or take for ever."""
    unfinished = path.with_name(f"{path.name}-wal")
    if unfinished.is_file() and unfinished.stat().st_size > 0:
        what, remedy = "has changes that are not written yet", "close the program that writes it"
        raise InputError(what, where=unfinished, remedy=remedy)
    with _reported(path):
        address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        connection = sqlite3.connect(address, uri=True, check_same_thread=False)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_TILE_BYTES)
    return connection


def _rows(connection: sqlite3.Connection, path: Path, query: str, *values: int) -> list[tuple[Any, ...]]:
    steps = itertools.count()
    connection.set_progress_handler(lambda: next(steps) >= _MOST_STEPS, _STEP)
    with _reported(path):
        return connection.execute(query, values).fetchmany(_MOST_ROWS)


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """SQLite's errors as InputErrors."""
    try:
        yield
    except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
        raise InputError(f"is no whole MBTiles file ({error})", where=path, remedy=_REMEDY) from error


def _numbers(row: tuple[Any, ...], zoom: int, path: Path) -> tuple[int, ...]:
    return tuple(_whole(value, 2**zoom - 1, path) for value in row)


def _whole(value: Any, most: int, path: Path) -> int:
    if value is None:
        raise InputError("holds no tiles", where=path, remedy="give tiles of imagery")
    if not isinstance(value, int) or not 0 <= value <= most:
        raise InputError(f"numbers a tile {value!r:.40}, not from 0 to {most}", where=path, remedy=_REMEDY)
    return value
