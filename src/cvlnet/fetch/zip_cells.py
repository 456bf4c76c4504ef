"""Imagery in ZIP files, one for each square cell of a grid, with pictures and world files inside."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from pyproj import CRS
from pyproj.enums import WktVersion

from cvlnet.errors import InputError
from cvlnet.fetch.area import Area, cells_of
from cvlnet.fetch.connection import Connection, StoppedError
from cvlnet.fetch.source import Obtained, Piece, Source
from cvlnet.io.files import NoSpaceError, written_whole
from cvlnet.io.unpack import unpack

_PICTURES, _WORLD_FILES, _TABLES = (".tif", ".tiff"), (".tfw", ".tifw"), (".csv",)
_MOST_TABLE_BYTES = 1 << 20
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})|([0-9]{2})\.([0-9]{2})\.([0-9]{4})")


@dataclass(frozen=True)
class ZipCells:
    """An address for each cell. {E} and {N} in it are the kilometres east and north of the cell's south-west corner.

    side_km: of a cell. first_km: east and north of one cell's corner; all others lie multiples of the side away.
    about_bytes: of an archive, for the estimate before a download. dated_by: columns of the tables inside that give the
    date of the flight; the first that is there counts.
    """

    address: str
    side_km: int
    first_km: tuple[int, int]
    about_bytes: int
    most_bytes: int
    most_unpacked_bytes: int
    dated_by: tuple[str, ...]

    @property
    def hosts(self) -> tuple[str, ...]:
        """As `Access` says."""
        return (urlsplit(self.address).hostname or "",)

    def pieces(self, source: Source, area: Area, connection: Connection) -> list[Piece]:
        """As `Access` says; the server is not asked."""
        del connection
        side_m = 1000.0 * self.side_km
        origin_m = (1000.0 * self.first_km[0], 1000.0 * self.first_km[1])
        return [self._piece(col, row) for col, row in cells_of(area.projected(source.crs), side_m, origin_m)]

    def _piece(self, col: int, row: int) -> Piece:
        east_km, north_km = self.first_km[0] + col * self.side_km, self.first_km[1] + row * self.side_km
        address = self.address.replace("{E}", str(east_km)).replace("{N}", str(north_km))
        west, south, side = 1000.0 * east_km, 1000.0 * north_km, 1000.0 * self.side_km
        bounds = (west, south, west + side, south + side)
        return Piece(address.rpartition("/")[2].removesuffix(".zip"), address, bounds, self.about_bytes)

    def obtain(self, source: Source, piece: Piece, folder: Path, connection: Connection) -> Sequence[Obtained]:
        """As `Access` says. A .prj with the coordinate reference system is written beside every world file."""
        archive = folder / f"{piece.name}.zip"
        connection.download(piece.address, archive, self.most_bytes)
        try:
            files = unpack(archive, folder, _PICTURES + _WORLD_FILES + _TABLES, self.most_unpacked_bytes)
        except NoSpaceError as error:
            raise StoppedError.of(error) from error
        finally:
            archive.unlink(missing_ok=True)
        pictures = [path for path in files if path.suffix.lower() in _PICTURES]
        if not pictures:
            raise InputError("has no pictures inside", where=piece.address, remedy="check in a browser what it holds")
        systems = [_write_system(path, source.crs) for path in files if path.suffix.lower() in _WORLD_FILES]
        dates = {path.stem: self._date(path) for path in files if path.suffix.lower() in _TABLES}
        common = next(iter(dates.values())) if len(dates) == 1 else None
        return [Obtained(path, dates.get(path.stem, common)) for path in [*files, *systems]]

    def _date(self, table: Path) -> str | None:
        """The date (ISO 8601) in a table beside a picture, separated by semicolons or commas; None if there is none."""
        with table.open("rb") as file:
            content = file.read(_MOST_TABLE_BYTES)
        text = content.decode("utf-8-sig", errors="replace")
        lines = list(csv.reader(text.splitlines(), delimiter=";" if ";" in text else ","))
        for column in self.dated_by:
            for header, row in pairwise(lines):
                names = [name.strip().lower() for name in header]
                if column.lower() in names and names.index(column.lower()) < len(row):
                    return _iso(row[names.index(column.lower())])
        return None


def _iso(cell: str) -> str | None:
    found = _DATE.search(cell)
    if found is None:
        return None
    year, month, day, *german = found.groups()
    return f"{year}-{month}-{day}" if year else "-".join(reversed(german))


def _write_system(world_file: Path, crs: str) -> Path:
    path = world_file.with_suffix(".prj")
    with written_whole(path) as temporary:
        temporary.write_text(CRS.from_user_input(crs).to_wkt(WktVersion.WKT1_ESRI), encoding="utf-8")
    return path
