"""The manifest of an index: which segments belong to it, what it is an index of. SQLite in WAL mode.

A change is one transaction: who opens the manifest sees all of it or none. Every row has a checksum, the schema must be
exactly the one below, and sizes are bounded before memory is taken.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from cvlnet.arrays import F64
from cvlnet.errors import InputError
from cvlnet.index.area import Bounds
from cvlnet.index.segment import MOST_PLACES, REMEDY, SUFFIX, Codec
from cvlnet.io.files import written_whole

FILE = "manifest.sqlite"
_FORMAT = 1
_MOST_SEGMENTS = 2**16
_MOST_BYTES = 2**26  # of a row; the mask of the largest segment has 2**25
_MOST_STEPS = 2**31  # between the lattice's origin and a segment
_BUSY_S = 10.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_FILE = re.compile(r"[0-9a-f]{32}" + re.escape(SUFFIX))
_DIGEST = re.compile(r"[0-9a-f]{64}")
_OF_CODE = {
    sqlite3.SQLITE_BUSY: ("another process is changing the index", "wait until it has finished"),
    sqlite3.SQLITE_FULL: ("the disk is full", "free some space"),
    sqlite3.SQLITE_READONLY: ("the index cannot be changed where it lies", "copy it to a folder that can be written"),
}
_COLUMNS = "name, file, sha256, first_row, first_col, rows, cols, held"
_MEETS = "east_m >= ? AND north_m >= ? AND west_m <= ? AND south_m <= ?"  # bounds: west, south, east, north
_SCHEMA = (
    "CREATE TABLE about (json TEXT NOT NULL, checksum TEXT NOT NULL)",
    "CREATE TABLE segments (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, file TEXT NOT NULL UNIQUE, "
    "sha256 TEXT NOT NULL, first_row INTEGER NOT NULL, first_col INTEGER NOT NULL, rows INTEGER NOT NULL, "
    "cols INTEGER NOT NULL, held BLOB NOT NULL, checksum TEXT NOT NULL)",
    "CREATE VIRTUAL TABLE extents USING rtree(id, west_m, east_m, south_m, north_m)",
)


@dataclass(frozen=True)
class Lattice:
    """Places at whole rows (southward) and columns (eastward); row and column 0 lie at ``first_xy_m`` (east, north).

    Raises ValueError unless the numbers are finite and the spacing is positive.
    """

    first_xy_m: tuple[float, float]
    spacing_m: float

    def __post_init__(self) -> None:
        if not (all(map(isfinite, (*self.first_xy_m, self.spacing_m))) and self.spacing_m > 0):
            raise ValueError(f"no lattice: {self.first_xy_m}, {self.spacing_m}")

    def xy_m(self, row_col: Int64[np.ndarray, "*batch 2"]) -> Float64[np.ndarray, "*batch 2"]:
        """Places (east, north) of rows and columns."""
        south_east = row_col[..., ::-1] * self.spacing_m
        return np.asarray(np.array(self.first_xy_m) + south_east * np.array([1.0, -1.0]))


@dataclass(frozen=True)
class About:
    """What an index is an index of. map and descriptor: fingerprints of what was described, and of what describes."""

    map: str
    descriptor: str
    lattice: Lattice
    codec: Codec


@dataclass(frozen=True)
class Entry:
    """A segment in the manifest: its name, its file, that file's SHA-256, and where its places lie in the lattice.

    first: row and column of the north-western place of ``held``, which says what places have a descriptor.
    Raises ValueError unless the names are plain, and all rows and columns in range.
    """

    name: str
    file: str
    sha256: str
    first: tuple[int, int]
    held: Bool[np.ndarray, "rows cols"]

    def __post_init__(self) -> None:
        for pattern, text in ((_NAME, self.name), (_FILE, self.file), (_DIGEST, self.sha256)):
            if not (isinstance(text, str) and pattern.fullmatch(text)):
                raise ValueError(f"not a name: {text!r}")
        if not all(isinstance(number, int) and abs(number) <= _MOST_STEPS for number in self.first):
            raise ValueError(f"no place of a lattice: {self.first}")
        if not self.held.any():
            raise ValueError("a segment without places")

    @cached_property
    def count(self) -> int:
        """Number of descriptors."""
        return int(self.held.sum())

    @cached_property
    def places(self) -> Int32[np.ndarray, " places"]:
        """Position in the rectangle, row by row, of every descriptor."""
        return np.flatnonzero(self.held).astype(np.int32)

    def row_col(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "n 2"]:
        """Row and column in the lattice of descriptors, by their numbers in the file."""
        return np.stack(np.divmod(self.places[numbers].astype(np.int64), self.held.shape[1]), axis=-1) + self.first

    def axes_m(self, lattice: Lattice) -> tuple[F64, F64]:
        """Metres east of the columns and north of the rows of the rectangle."""
        rows, cols = (np.arange(size) + first for size, first in zip(self.held.shape, self.first, strict=True))
        (east_m, north_m), spacing_m = lattice.first_xy_m, lattice.spacing_m
        return east_m + cols * spacing_m, north_m - rows * spacing_m

    def bounds_m(self, lattice: Lattice) -> Bounds:
        """West, south, east and north of the rectangle's places."""
        east_m, north_m = self.axes_m(lattice)
        return float(east_m[0]), float(north_m[-1]), float(east_m[-1]), float(north_m[0])


def create_manifest(folder: Path, about: About) -> None:
    """A manifest without segments. Raises InputError if the folder has one already, or cannot be written."""
    path = folder / FILE
    if path.exists():
        raise InputError("there is an index already", where=path, remedy="choose another folder, or delete it first")
    text = json.dumps(asdict(about) | {"format": _FORMAT})
    with written_whole(path) as temporary, closing(sqlite3.connect(temporary)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        with connection:
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("INSERT INTO about VALUES (?, ?)", (text, _checksum(text)))


def write_snapshot(folder: Path, target: Path) -> None:
    """Copy the manifest of a folder, as it is now, into another one. Raises InputError as `Manifest.reading` does."""
    with (
        Manifest.reading(folder) as manifest,
        closing(sqlite3.connect(target / FILE)) as copy,
        _refusing(folder),
    ):
        manifest._connection.backup(copy)


class Manifest:
    """A manifest that is open, in one transaction: nothing that others change is seen, and own changes are one.

    Methods raise InputError if the file is damaged, or cannot be used.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder, self._connection = folder, connection

    @staticmethod
    @contextmanager
    def reading(folder: Path) -> Iterator[Manifest]:
        """Open to be read. Raises InputError if there is no manifest, or none of ours."""
        with _connected(folder, "ro") as connection:
            with _refusing(folder):
                connection.execute("BEGIN")
            yield Manifest(folder, connection)

    @staticmethod
    @contextmanager
    def changing(folder: Path) -> Iterator[Manifest]:
        """Open to be changed: what is done in the block is done when it ends, and not at all if it fails.

        Nobody else changes the manifest meanwhile; it can be read. Raises InputError as `reading` does, or if another
        process does not finish its change within seconds.
        """
        with _connected(folder, "rw") as connection:
            with _refusing(folder):
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("BEGIN IMMEDIATE")
            try:
                yield Manifest(folder, connection)
            except BaseException:
                if connection.in_transaction:  # SQLite has rolled back by itself where the disk is full
                    connection.execute("ROLLBACK")
                raise
            with _refusing(folder):
                connection.execute("COMMIT")

    def about(self) -> About:
        """What the index is an index of."""
        with _refusing(self.folder):
            ((text, checksum),) = self._connection.execute("SELECT json, checksum FROM about LIMIT 2").fetchall()
            if _checksum(text) != checksum:
                raise ValueError("damaged: its description does not have its checksum")
            found = json.loads(text)
            if found["format"] != _FORMAT:
                raise ValueError(f"format {found['format']}, not {_FORMAT}")
            east_m, north_m = found["lattice"]["first_xy_m"]
            lattice = Lattice((float(east_m), float(north_m)), float(found["lattice"]["spacing_m"]))
            return About(str(found["map"]), str(found["descriptor"]), lattice, Codec(**found["codec"]))

    def entries(self, within: Bounds | None = None) -> tuple[Entry, ...]:
        """The segments, in the order of their names; only those whose rectangles meet the bounds, if there are any."""
        which = "" if within is None else f"WHERE id IN (SELECT id FROM extents WHERE {_MEETS})"
        query = f"SELECT {_COLUMNS}, checksum FROM segments {which} ORDER BY name LIMIT {_MOST_SEGMENTS + 1}"
        with _refusing(self.folder):
            rows = self._connection.execute(query, () if within is None else within).fetchall()
            if len(rows) > _MOST_SEGMENTS:
                raise ValueError(f"more than {_MOST_SEGMENTS} segments")
            return tuple(_entry(row, checksum) for *row, checksum in rows)

    def put(self, entry: Entry, lattice: Lattice) -> None:
        """Add a segment. Raises InputError if one of its name exists, or one that holds a place of it."""
        for other in self.entries(entry.bounds_m(lattice)):
            if _overlap(entry, other):
                what = f"segment {other.name} holds places of segment {entry.name}"
                raise InputError(what, where=self.folder / FILE, remedy="remove it in the same change")
        west_m, south_m, east_m, north_m = entry.bounds_m(lattice)
        row = (entry.name, entry.file, entry.sha256, *entry.first, *entry.held.shape, np.packbits(entry.held).tobytes())
        marks = ", ".join("?" * (len(row) + 1))
        into = f"INSERT INTO segments ({_COLUMNS}, checksum) VALUES ({marks})"
        with _refusing(self.folder):
            cursor = self._connection.execute(into, (*row, _checksum(row)))
            extent = (cursor.lastrowid, west_m, east_m, south_m, north_m)
            self._connection.execute("INSERT INTO extents VALUES (?, ?, ?, ?, ?)", extent)

    def remove(self, name: str) -> None:
        """Remove the segment of that name, if there is one."""
        with _refusing(self.folder):
            of_name = "(SELECT id FROM segments WHERE name = ?)"
            self._connection.execute(f"DELETE FROM extents WHERE id IN {of_name}", (name,))
            self._connection.execute("DELETE FROM segments WHERE name = ?", (name,))

    def require_sound(self) -> None:
        """Raise InputError unless the file is whole, and its tree of rectangles is that of its segments."""
        about, entries = self.about(), self.entries()
        query = "SELECT name, west_m, south_m, east_m, north_m FROM segments JOIN extents USING (id)"
        with _refusing(self.folder):
            findings = [text for (text,) in self._connection.execute("PRAGMA integrity_check")]
            if findings != ["ok"]:
                raise ValueError(f"damaged: {findings[0]}")
            stored = {name: np.array(bounds_m) for name, *bounds_m in self._connection.execute(query)}
            for entry in entries:
                bounds_m = np.array(entry.bounds_m(about.lattice))
                wider_m = (stored.get(entry.name, np.full(4, np.nan)) - bounds_m) * [-1, -1, 1, 1]  # by rounding
                if not ((wider_m >= 0) & (wider_m <= 1e-6 * (1 + np.abs(bounds_m)))).all():
                    raise ValueError(f"damaged: the rectangle of segment {entry.name} is not where its places are")


@contextmanager
def _connected(folder: Path, mode: Literal["ro", "rw"]) -> Iterator[sqlite3.Connection]:
    """A connection that trusts nothing in the file. Raises InputError if there is none, or its tables are not ours."""
    path = folder / FILE
    if not path.is_file():
        raise InputError("there is no index", where=path, remedy="build one, or name its folder")
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    if mode == "ro" and not os.access(folder, os.W_OK) and not path.with_name(f"{FILE}-wal").exists():
        uri += "&immutable=1"  # WAL's files cannot be made where nothing can be written
    with _refusing(folder):
        connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)
    with closing(connection):
        with _refusing(folder):
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
            for setting in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
                connection.execute(f"PRAGMA {setting}")
            _require_layout(connection)
        yield connection


@contextmanager
def _refusing(folder: Path) -> Iterator[None]:
    """Turns what a damaged or foreign manifest raises into an InputError."""
    path = folder / FILE
    try:
        yield
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        what, remedy = _OF_CODE.get(code, (f"cannot be used ({error})", REMEDY))
        raise InputError(what, where=path, remedy=remedy) from error
    except (sqlite3.Error, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"is no sound manifest ({error})", where=path, remedy=REMEDY) from error


def _require_layout(connection: sqlite3.Connection) -> None:
    """Raise ValueError unless the file has our tables and nothing else: no views, triggers or other indexes."""
    found = {(kind, name): sql for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_schema")}
    own = {("table", name) for name in ("about", "segments", "extents")}
    shadows = {("table", f"extents_{part}") for part in ("node", "parent", "rowid")}
    unique = {("index", f"sqlite_autoindex_segments_{number}") for number in (1, 2)}
    if found.keys() != own | shadows | unique or {found[key] for key in own} != set(_SCHEMA):
        raise ValueError("its tables are not those of an index")


def _entry(row: Sequence[Any], checksum: str) -> Entry:
    if _checksum(tuple(row)) != checksum:
        raise ValueError(f"damaged: the row of segment {str(row[0])[:99]!r} does not have its checksum")
    name, file, digest, first_row, first_col, rows, cols, packed = row
    if not (0 < rows <= MOST_PLACES and 0 < cols <= MOST_PLACES and rows * cols <= MOST_PLACES):
        raise ValueError(f"{rows} x {cols} places in one segment")
    if len(packed) != -(-rows * cols // 8):
        raise ValueError(f"a mask of {len(packed)} bytes for {rows} x {cols} places")
    held = np.unpackbits(np.frombuffer(packed, np.uint8), count=rows * cols).reshape(rows, cols).astype(np.bool_)
    return Entry(name, file, digest, (first_row, first_col), held)


def _overlap(one: Entry, other: Entry) -> bool:
    """Whether two segments hold the same place."""
    low = np.maximum(one.first, other.first)
    high = np.minimum(np.add(one.first, one.held.shape), np.add(other.first, other.held.shape))
    if (low >= high).any():
        return False
    parts = [
        entry.held[tuple(slice(a, b) for a, b in zip(low - entry.first, high - entry.first, strict=True))]
        for entry in (one, other)
    ]
    return bool((parts[0] & parts[1]).any())


def _checksum(value: object) -> str:
    return sha256(repr(value).encode()).hexdigest()
