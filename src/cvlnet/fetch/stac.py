"""Imagery that a STAC service lists, a file for each cell of a grid: the newest flight of every cell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pystac
import requests
import shapely
from pyproj import Transformer
from pystac_client import ItemSearch
from pystac_client.stac_api_io import StacApiIO

from cvlnet.errors import InputError, warn
from cvlnet.fetch.area import Area, Bounds, cells_of
from cvlnet.fetch.connection import Connection
from cvlnet.fetch.source import Obtained, Piece, Source

_PAGE, _MOST_ITEMS = 100, 20_000
_MOST_PAGE_BYTES = 32 << 20
_ALGORITHMS = {"1220": ("sha256", 64), "1340": ("sha512", 128), "1114": ("sha1", 40)}  # multihash: code and length
_REMEDY = "the service may have changed; check it in a browser"


@dataclass(frozen=True)
class StacCollection:
    """A collection of a STAC service. side_m: of a cell, on a grid that begins at 0, 0."""

    address: str
    collection: str
    side_m: float
    about_bytes: int
    most_bytes: int

    @property
    def hosts(self) -> tuple[str, ...]:
        """As `Access` says."""
        return (urlsplit(self.address).hostname or "",)

    def pieces(self, source: Source, area: Area, connection: Connection) -> list[Piece]:
        """As `Access` says: of every cell that the area overlaps the newest item that has a file of the resolution."""
        wanted = set(cells_of(area.projected(source.crs), self.side_m))
        newest: dict[tuple[int, int], tuple[str, pystac.Item, pystac.Asset]] = {}
        for item in self._items(area, connection):
            cell, asset = self._cell(item, source.crs), _asset(item, source)
            flown = "" if item.datetime is None else item.datetime.date().isoformat()
            if asset is not None and (cell not in newest or flown > newest[cell][0]):
                newest[cell] = flown, item, asset
        return [
            self._piece(source, cell, *newest[cell]) if cell in newest else self._nothing(source, cell)
            for cell in sorted(wanted)
        ]

    def _items(self, area: Area, connection: Connection) -> list[pystac.Item]:
        search = ItemSearch(
            f"{self.address.rstrip('/')}/search",
            method="GET",
            stac_io=_BoundedIO(connection),
            collections=[self.collection],
            bbox=list(area.bounds_deg),
            limit=_PAGE,
            max_items=_MOST_ITEMS,
        )
        try:
            items = list(search.items())
        except (
            pystac.STACError,
            pystac.STACTypeError,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            RecursionError,
        ) as error:
            raise InputError(f"does not answer as STAC ({error!r})", where=self.address, remedy=_REMEDY) from error
        if len(items) >= _MOST_ITEMS:
            what = f"lists {_MOST_ITEMS} items or more"
            raise InputError(what, where=self.address, remedy="choose a smaller area at a time")
        return items

    def _cell(self, item: pystac.Item, crs: str) -> tuple[int, int]:
        """The cell that the middle of an item lies in."""
        try:
            middle = shapely.box(*(item.bbox or ())).centroid
            x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(middle.x, middle.y)
            return floor(x / self.side_m), floor(y / self.side_m)
        except (TypeError, ValueError, OverflowError, shapely.errors.ShapelyError) as error:
            raise InputError(f"item {item.id} has no place ({error})", where=self.address, remedy=_REMEDY) from error

    def _piece(
        self, source: Source, cell: tuple[int, int], flown: str, item: pystac.Item, asset: pystac.Asset
    ) -> Piece:
        size = asset.extra_fields.get("file:size")
        return Piece(
            _name(source, cell),
            urljoin(item.get_self_href() or f"{self.address.rstrip('/')}/", asset.href),
            self._bounds(cell),
            size if isinstance(size, int) and size > 0 else self.about_bytes,
            _checksum(asset, item),
            flown or None,
        )

    def _nothing(self, source: Source, cell: tuple[int, int]) -> Piece:
        return Piece(_name(source, cell), self.address, self._bounds(cell), 0, listed=False)

    def _bounds(self, cell: tuple[int, int]) -> Bounds:
        west, south = cell[0] * self.side_m, cell[1] * self.side_m
        return west, south, west + self.side_m, south + self.side_m

    def obtain(self, source: Source, piece: Piece, folder: Path, connection: Connection) -> Sequence[Obtained]:
        """As `Access` says."""
        del source
        path = folder / f"{piece.name}.tif"
        connection.download(piece.address, path, self.most_bytes)
        return [Obtained(path, piece.flown)]


class _BoundedIO(StacApiIO):
    """Reads the pages of a service through a connection: from known hosts, bounded, and never from a file."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(max_retries=None)
        self._connection = connection

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
        """The text at a link. Raises InputError if it wants anything but to be read."""
        if isinstance(source, pystac.Link):
            if source.extra_fields.get("method", "GET").upper() != "GET":
                raise InputError("lists its items in a way that is not known", where=source.href, remedy=_REMEDY)
            return self.request(source.href)
        return self.request(str(source), *args, **kwargs)

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> str:
        """The text at an address."""
        del method, headers
        try:
            address = requests.Request("GET", href, params=parameters).prepare().url or href
        except (requests.RequestException, ValueError) as error:
            raise InputError(f"is no address ({error})", where=href, remedy=_REMEDY) from error
        return self._connection.read(address, _MOST_PAGE_BYTES).decode("utf-8")


def _name(source: Source, cell: tuple[int, int]) -> str:
    return f"{source.stem}_{cell[0]}_{cell[1]}"


def _asset(item: pystac.Item, source: Source) -> pystac.Asset | None:
    """The picture of an item that has the source's resolution and coordinate reference system."""
    for asset in item.assets.values():
        fields = asset.extra_fields
        resolution = fields.get("gsd", fields.get("eo:gsd"))
        system = fields.get("proj:code") or f"EPSG:{fields.get('proj:epsg', '')}"
        is_picture = (asset.media_type or "").startswith("image/tiff")
        if is_picture and resolution == source.m_per_px and system in (source.crs, "EPSG:"):
            return asset
    return None


def _checksum(asset: pystac.Asset, item: pystac.Item) -> tuple[str, str] | None:
    """The checksum that a service states, as a multihash."""
    stated = asset.extra_fields.get("file:checksum")
    if not isinstance(stated, str):
        return None
    algorithm, length = _ALGORITHMS.get(stated[:4].lower(), ("", 0))
    if not re.fullmatch(rf"[0-9a-fA-F]{{{length + 4}}}", stated) or not algorithm:
        warn("its checksum is of an unknown kind and is not compared", where=item.id, remedy="no action is needed")
        return None
    return algorithm, stated[4:].lower()
