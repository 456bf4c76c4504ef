"""A source of imagery, and what it is asked for, piece by piece."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from cvlnet.fetch.area import Area, Bounds
from cvlnet.fetch.connection import Connection


def plain(text: str) -> str:
    """A text as part of a file's name: letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


@dataclass(frozen=True)
class Tile:
    """A picture that a piece is put together from. left_px, top_px: where it lies in the piece."""

    address: str
    left_px: int
    top_px: int


@dataclass(frozen=True)
class Piece:
    """A part of a source's imagery that is fetched at once.

    name: of the files made of it, without suffix. bounds: in the source's coordinate reference system. about_bytes: how
    much is received, roughly. checksum: name of the algorithm and hexadecimal digest. flown: date of the flight.
    listed: False if the source says that it has nothing there. side_px: of the picture of a map service; tiles: that
    it is put together from.
    """

    name: str
    address: str
    bounds: Bounds
    about_bytes: int
    checksum: tuple[str, str] | None = None
    flown: str | None = None
    listed: bool = True
    side_px: int = 0
    tiles: tuple[Tile, ...] = ()


@dataclass(frozen=True)
class Obtained:
    """A file that was made of a piece. flown: date of the flight, as the source states it."""

    path: Path
    flown: str | None


@runtime_checkable
class Access(Protocol):
    """How a source is asked."""

    @property
    def address(self) -> str:
        """Of the server."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The servers that may be asked."""

    def pieces(self, source: Source, area: Area, connection: Connection) -> list[Piece]:
        """The pieces that an area overlaps. Raises InputError if the source does not answer as expected."""

    def obtain(self, source: Source, piece: Piece, folder: Path, connection: Connection) -> Sequence[Obtained]:
        """Fetch a piece: its files, whole, in a folder.

        Raises NotThereError if the source has no imagery there, and InputError if what it sends cannot be used.
        """


@dataclass(frozen=True)
class Source:
    """Where imagery comes from.

    crs: EPSG:CODE; m_per_px: in its units, metres. credit: the line that the provider wants to be shown.
    """

    name: str
    title: str
    crs: str
    m_per_px: float
    licence: str
    credit: str
    access: Access

    @property
    def stem(self) -> str:
        """How the names of its files begin."""
        return plain(self.name)
