"""Imagery of a Web Map Tile Service (WMTS 1.0.0), put together from blocks of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, log
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from owslib.wmts import WebMapTileService

from cvlnet.errors import InputError
from cvlnet.fetch.area import Area, cells_of
from cvlnet.fetch.connection import Connection, NotThereError
from cvlnet.fetch.picture import chosen_format, decoded, is_blank, write_geotiff
from cvlnet.fetch.source import Obtained, Piece, Source, Tile, plain
from cvlnet.fetch.web_map import (
    MOST_CAPABILITIES_BYTES,
    capabilities,
    has_north_first,
    layer_of,
    most_bytes_of,
    with_query,
)

_BLOCK = 8  # tiles along each side of a piece
_PIXEL_M = 0.00028  # of the screen that WMTS's scales refer to
_NEAR = 1.5  # by which factor the nearest resolution may differ from the wanted one
_MERCATOR = {"3857", "900913"}  # codes of Web Mercator
_LARGEST_TILE_PX = 2048


@dataclass(frozen=True)
class Matrix:
    """The tiles of one resolution. x, y: the outer corner of the tile in the north-west; m_per_px: of the system."""

    set_name: str
    name: str
    x: float
    y: float
    m_per_px: float
    tile_px: int
    cols: int
    rows: int


@dataclass(frozen=True)
class WebTiles:
    """A layer of a WMTS. address: of its capabilities. other_hosts: that its tiles may be on."""

    address: str
    layer: str
    other_hosts: tuple[str, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """As `Access` says."""
        return (urlsplit(self.address).hostname or "", *self.other_hosts)

    def pieces(self, source: Source, area: Area, connection: Connection) -> list[Piece]:
        """As `Access` says: blocks of tiles, counted from the north-west corner of the service's grid."""
        query = {"SERVICE": "WMTS", "REQUEST": "GetCapabilities", "VERSION": "1.0.0"}
        address = self.address if urlsplit(self.address).path.endswith(".xml") else with_query(self.address, query)
        xml = connection.read(address, MOST_CAPABILITIES_BYTES)
        service = capabilities(WebMapTileService, xml, self.address, "WMTS 1.0.0")
        layer = layer_of(service, self.layer, self.address)
        matrix = _matrix(service, layer, source, self.address)
        template = self._template(layer, matrix)
        side = _BLOCK * matrix.tile_px * matrix.m_per_px
        blocks = cells_of(area.projected(source.crs), side, (matrix.x, matrix.y))
        pieces = [_block(source, matrix, template, col, -1 - row) for col, row in blocks]
        return [piece for piece in pieces if piece.tiles]

    def _template(self, layer: Any, matrix: Matrix) -> str:
        """The address of a tile, with {TileRow} and {TileCol} in place of its numbers."""
        picture_format = chosen_format(layer.formats, self.address)
        style = next(iter(layer.styles), "default")
        for resource in layer.resourceURLs:
            template = str(resource.get("template", ""))
            of_tiles = resource.get("resourceType") == "tile" and resource.get("format") == picture_format
            if of_tiles and (urlsplit(template).hostname or "") in self.hosts:
                named = {"Style": style, "style": style, "TileMatrixSet": matrix.set_name, "TileMatrix": matrix.name}
                for key, value in named.items():
                    template = template.replace(f"{{{key}}}", str(value))
                return template
        query = {
            "SERVICE": "WMTS",
            "REQUEST": "GetTile",
            "VERSION": "1.0.0",
            "LAYER": self.layer,
            "STYLE": style,
            "TILEMATRIXSET": matrix.set_name,
            "TILEMATRIX": matrix.name,
            "FORMAT": picture_format,
        }
        return with_query(self.address, query) + "&TILEROW={TileRow}&TILECOL={TileCol}"

    def obtain(self, source: Source, piece: Piece, folder: Path, connection: Connection) -> Sequence[Obtained]:
        """As `Access` says. Tiles that are not there or blank are transparent; if all are, there is no imagery."""
        rgba = np.zeros((piece.side_px, piece.side_px, 4), dtype=np.uint8)
        tile_px = piece.side_px // _BLOCK
        for tile in piece.tiles:
            try:
                content = connection.read(tile.address, most_bytes_of(tile_px))
            except NotThereError:
                continue
            picture = decoded(content, tile_px, tile.address)
            if not is_blank(picture):
                rgba[tile.top_px : tile.top_px + tile_px, tile.left_px : tile.left_px + tile_px] = picture
        if is_blank(rgba):
            raise NotThereError(piece.address)
        path = folder / f"{piece.name}.tif"
        write_geotiff(path, rgba, piece.bounds, source.crs)
        return [Obtained(path, None)]


def _matrix(service: Any, layer: Any, source: Source, address: str) -> Matrix:
    """The tiles in the source's coordinate reference system whose resolution is nearest to the wanted one."""
    code = source.crs.rpartition(":")[2]
    codes = _MERCATOR if code in _MERCATOR else {code}
    sets = {name: service.tilematrixsets.get(name) for name in layer.tilematrixsetlinks}
    found = [
        _read_matrix(name, matrix, has_north_first(source.crs), address)
        for name, matrices in sets.items()
        if matrices is not None and str(matrices.crs).rpartition(":")[2] in codes
        for matrix in matrices.tilematrix.values()
    ]
    nearest = min(found, key=lambda matrix: abs(log(matrix.m_per_px / source.m_per_px)), default=None)
    if nearest is None or abs(log(nearest.m_per_px / source.m_per_px)) > log(_NEAR):
        what = f"{layer.id} has no tiles in {source.crs} with about {source.m_per_px:g} m per pixel"
        raise InputError(what, where=address, remedy="choose another layer or resolution")
    return nearest


def _read_matrix(set_name: str, matrix: Any, north_first: bool, address: str) -> Matrix:
    try:
        x, y = reversed(matrix.topleftcorner) if north_first else matrix.topleftcorner
        m_per_px = float(matrix.scaledenominator) * _PIXEL_M
        read = Matrix(
            set_name, matrix.identifier, x, y, m_per_px, matrix.tilewidth, matrix.matrixwidth, matrix.matrixheight
        )
        whole = matrix.tilewidth == matrix.tileheight and 0 < read.tile_px <= _LARGEST_TILE_PX
        if not (whole and isfinite(x) and isfinite(y) and 0 < m_per_px < inf):
            raise ValueError("tiles that are not square, or of an odd size")
    except (TypeError, ValueError, AttributeError) as error:
        what = f"describes its tiles in a way that is not understood ({error})"
        raise InputError(what, where=address, remedy="choose another service") from error
    return read


def _block(source: Source, matrix: Matrix, template: str, col: int, row: int) -> Piece:
    """A block by its column and row, both counted from the north-west corner."""
    side = _BLOCK * matrix.tile_px * matrix.m_per_px
    west, north = matrix.x + col * side, matrix.y - row * side
    tiles = tuple(
        Tile(
            template.replace("{TileRow}", str(tile_row)).replace("{TileCol}", str(tile_col)),
            (tile_col - col * _BLOCK) * matrix.tile_px,
            (tile_row - row * _BLOCK) * matrix.tile_px,
        )
        for tile_row in range(max(row * _BLOCK, 0), min((row + 1) * _BLOCK, matrix.rows))
        for tile_col in range(max(col * _BLOCK, 0), min((col + 1) * _BLOCK, matrix.cols))
    )
    return Piece(
        f"{source.stem}_{plain(matrix.name)}_{col}_{row}",
        template,
        (west, north - side, west + side, north),
        len(tiles) * matrix.tile_px**2,
        side_px=_BLOCK * matrix.tile_px,
        tiles=tiles,
    )
