"""Imagery of a Web Map Service (WMS 1.3.0), asked for in squares of at most the size that it gives."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from owslib.etree import etree
from owslib.map.wms130 import WebMapService_1_3_0
from owslib.util import ServiceException
from pyproj import CRS

from cvlnet.errors import InputError
from cvlnet.fetch.area import Area, Bounds, cells_of
from cvlnet.fetch.connection import Connection, NotThereError
from cvlnet.fetch.picture import chosen_format, decoded, is_blank, message_of, write_geotiff
from cvlnet.fetch.source import Obtained, Piece, Source
from cvlnet.io.text import did_you_mean

MOST_CAPABILITIES_BYTES = 32 << 20
_WMS = "{http://www.opengis.net/wms}"
_MALFORMED = (ServiceException, etree.LxmlError, AttributeError, KeyError, IndexError, TypeError, ValueError)


@dataclass(frozen=True)
class WebMap:
    """A layer of a WMS. side_px: of a square that is asked for at once; the service's own limit may be lower."""

    address: str
    layer: str
    side_px: int = 2000

    @property
    def hosts(self) -> tuple[str, ...]:
        """As `Access` says."""
        return (urlsplit(self.address).hostname or "",)

    def pieces(self, source: Source, area: Area, connection: Connection) -> list[Piece]:
        """As `Access` says: squares of a grid that begins at 0, 0."""
        query = {"SERVICE": "WMS", "REQUEST": "GetCapabilities", "VERSION": "1.3.0"}
        xml = connection.read(with_query(self.address, query), MOST_CAPABILITIES_BYTES)
        service = capabilities(WebMapService_1_3_0, xml, self.address, "WMS 1.3.0")
        layer = layer_of(service, self.layer, self.address)
        if source.crs not in {str(code).upper() for code in layer.crsOptions or ()}:
            remedy = f"choose one of {', '.join(sorted(map(str, layer.crsOptions or ())))}"
            raise InputError(f"{self.layer} is not offered in {source.crs}", where=self.address, remedy=remedy)
        offered = {operation.name: operation.formatOptions for operation in service.operations}
        picture_format = chosen_format(offered.get("GetMap", ()), self.address)
        side_px = min([self.side_px, *_largest_px(xml)])
        side = side_px * source.m_per_px
        pieces = []
        for col, row in cells_of(area.projected(source.crs), side):
            bounds = (col * side, row * side, (col + 1) * side, (row + 1) * side)
            address = self._map_address(source.crs, bounds, side_px, picture_format)
            pieces.append(Piece(f"{source.stem}_{col}_{row}", address, bounds, 2 * side_px**2, side_px=side_px))
        return pieces

    def _map_address(self, crs: str, bounds: Bounds, side_px: int, picture_format: str) -> str:
        """Of GetMap. In WMS 1.3.0 the order of the coordinates is that of the coordinate reference system."""
        west, south, east, north = bounds
        box = (south, west, north, east) if has_north_first(crs) else bounds
        query = {
            "SERVICE": "WMS",
            "REQUEST": "GetMap",
            "VERSION": "1.3.0",
            "LAYERS": self.layer,
            "STYLES": "",
            "CRS": crs,
            "BBOX": ",".join(f"{value:.10g}" for value in box),
            "WIDTH": str(side_px),
            "HEIGHT": str(side_px),
            "FORMAT": picture_format,
            "TRANSPARENT": "TRUE" if picture_format == "image/png" else "FALSE",
        }
        return with_query(self.address, query)

    def obtain(self, source: Source, piece: Piece, folder: Path, connection: Connection) -> Sequence[Obtained]:
        """As `Access` says. A blank picture counts as no imagery."""
        content = connection.read(piece.address, most_bytes_of(piece.side_px))
        rgba = decoded(content, piece.side_px, piece.address)
        if is_blank(rgba):
            raise NotThereError(piece.address)
        path = folder / f"{piece.name}.tif"
        write_geotiff(path, rgba, piece.bounds, source.crs)
        return [Obtained(path, None)]


def most_bytes_of(side_px: int) -> int:
    """Of a square picture, a little more than without any compression."""
    return 5 * side_px**2 + (1 << 16)


def with_query(address: str, query: dict[str, str]) -> str:
    """An address with further parameters. Raises InputError if it is none."""
    try:
        return requests.Request("GET", address, params=query).prepare().url or address
    except (requests.RequestException, ValueError) as error:
        raise InputError(f"is no address ({error})", where=address, remedy="correct it") from error


def capabilities(service: Any, xml: bytes, address: str, kind: str) -> Any:
    """What a service says of itself, as OWSLib reads it. Raises InputError if that is an error, or malformed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of layers that are there twice
            return service(address, xml=xml)
    except _MALFORMED as error:
        what = f"does not answer as {kind} ({message_of(xml)})"
        raise InputError(what, where=address, remedy="check the address in a browser") from error


def layer_of(service: Any, name: str, address: str) -> Any:
    """A layer by its name. Raises InputError if there is none."""
    if name not in service.contents:
        hint = did_you_mean(name, service.contents)
        raise InputError(f"has no layer {name}{hint}", where=address, remedy="correct the layer's name")
    return service.contents[name]


def has_north_first(crs: str) -> bool:
    """Whether the first coordinate of a system is the northward one, by its definition.

    Around the poles both axes point north, or both south, and only their names tell them apart.
    """
    first, second = CRS.from_user_input(crs).axis_info[:2]
    return first.name == "Northing" if first.direction == second.direction else first.direction == "north"


def _largest_px(xml: bytes) -> list[int]:
    """The largest width and height of a picture that a service gives, where it says so; OWSLib does not read them."""
    root = etree.fromstring(xml)
    texts = (root.findtext(f"{_WMS}Service/{_WMS}{name}") for name in ("MaxWidth", "MaxHeight"))
    return [int(text) for text in texts if text is not None and text.strip().isdecimal() and int(text) > 0]
