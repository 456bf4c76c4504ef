"""One zoom level of tiles as one image.

Tiles are numbered by columns from the antimeridian eastward and by rows from the north. An image may cross the
antimeridian: its columns then go on beyond the last one.
"""

from __future__ import annotations

import io
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from math import cos, pi, radians
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pyproj import CRS

from cvlnet.config import RasterHints, TileScheme
from cvlnet.errors import InputError, warn
from cvlnet.geo import EARTH_RADIUS_M, MercatorRaster, Raster
from cvlnet.imagery.overhead import Imagery, Patch, read_in_bands
from cvlnet.imagery.placement import hinted_crs, require_plausible

MOST_TILE_BYTES = 2**24  # of an encoded tile
DEEPEST_ZOOM = 26  # pixels of 2 mm
_CLEARLY_MORE = 1.5  # times as much ground on the level below
_KEPT_BYTES = 2**26  # of decoded tiles
_SIDES_PX = (256, 512)
_FORMATS = ("PNG", "JPEG", "WEBP")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_AGAIN = "download it again, or delete it"


@dataclass(frozen=True)
class TileRange:
    """The tiles of an image: of a zoom level ``cols`` columns from ``left`` on, and ``rows`` rows from ``top``."""

    zoom: int
    left: int
    top: int
    cols: int
    rows: int


@dataclass(frozen=True)
class LevelBelow:
    """The next zoom level below the highest one.

    tiles: of it. tiles_above: of the highest level. parents: places on this level that have tiles on the highest one.
    """

    zoom: int
    tiles: int
    tiles_above: int
    parents: int


class TileStore(ABC):
    """Where tiles are kept.

    source: the file or folder that errors name. sample: column and row of a tile that is there.
    """

    source: Path
    extent: TileRange
    sample: tuple[int, int]

    @abstractmethod
    def encoded(self, x: int, y: int) -> bytes | None:
        """The picture file of a tile, of at most `MOST_TILE_BYTES`; None if there is none.

        Raises InputError if the store is damaged there.
        """

    @abstractmethod
    def name(self, x: int, y: int) -> str:
        """How errors name a tile."""

    @abstractmethod
    def state(self) -> str:
        """Stands for the contents, as in `Imagery.fingerprint`."""


@dataclass(frozen=True)
class TileImage(Imagery):
    """A zoom level of tiles as one image. nodata: value of missing pixels, if tiles have no transparency."""

    store: TileStore
    side_px: int
    nodata: float | None = None
    credit: str | None = field(default=None, repr=False)

    @property
    def source(self) -> Path:  # type: ignore[override]
        """The file or folder that holds the tiles."""
        return self.store.source

    @property
    def raster(self) -> Raster:  # type: ignore[override]
        """Where the level lies."""
        extent, level = self.store.extent, level_raster(self.store.extent.zoom)
        west_m, north_m = level.west_m + extent.left * level.pixel_m, level.north_m - extent.top * level.pixel_m
        return MercatorRaster(west_m, north_m, level.pixel_m / self.side_px)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, in pixels."""
        return self.store.extent.rows * self.side_px, self.store.extent.cols * self.side_px

    @property
    def may_lack_pixels(self) -> bool:
        """True: tiles may be missing."""
        return True

    def read(self, rows: slice, cols: slice, reduction: int = 1) -> Patch:
        """As `Imagery` says."""
        return read_in_bands(self._read, rows, cols, reduction)

    def fingerprint(self) -> bytes:
        """As `Imagery` says."""
        return repr((self.store.state(), self.side_px, self.nodata)).encode()

    def __getstate__(self) -> dict[str, Any]:
        """Without decoded tiles, so that little is sent to another process."""
        return {name: value for name, value in self.__dict__.items() if name != "_tile"}

    def _read(self, rows: slice, cols: slice) -> Patch:
        height, width = rows.stop - rows.start, cols.stop - cols.start
        pixels, valid = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.bool_)
        for row in range(rows.start // self.side_px, -(-rows.stop // self.side_px)):
            for col in range(cols.start // self.side_px, -(-cols.stop // self.side_px)):
                tile = self._tile(col, row)
                if tile is None:
                    continue
                into_rows, from_rows = _overlap(rows, row * self.side_px, self.side_px)
                into_cols, from_cols = _overlap(cols, col * self.side_px, self.side_px)
                pixels[into_rows, into_cols] = tile.pixels[from_rows, from_cols]
                valid[into_rows, into_cols] = True if tile.valid is None else tile.valid[from_rows, from_cols]
        return Patch(pixels, None if valid.all() else valid)

    @cached_property
    def _tile(self) -> Callable[[int, int], Patch | None]:
        """A tile by its column and row within the image; those that were read last are kept."""
        return lru_cache(_KEPT_BYTES // (4 * self.side_px**2))(self._decoded)

    def _decoded(self, col: int, row: int) -> Patch | None:
        extent = self.store.extent
        x, y = (extent.left + col) % 2**extent.zoom, extent.top + row
        encoded = self.store.encoded(x, y)
        return None if encoded is None else decode(encoded, self.store.name(x, y), self.side_px, self.nodata)


def open_tiles(store: TileStore, hints: RasterHints, credit: str | None) -> TileImage:
    """The tiles of a store as an image.

    Raises InputError if hints do not fit tiles, or if the first tile is no square picture.
    """
    if hints.bands is not None or hints.value_range is not None:
        what = "tiles are pictures of 8 bits in RGB or grey"
        raise InputError(what, where=store.source, remedy="leave --bands and --value-range out")
    if hints.crs is not None and not hinted_crs(hints.crs).equals(CRS.from_epsg(3857)):
        what = f"tiles are in Web Mercator, not in {hints.crs} as --crs says"
        raise InputError(what, where=store.source, remedy="leave --crs out")
    x, y = store.sample
    encoded = store.encoded(x, y)
    if encoded is None:
        raise InputError("holds no tiles", where=store.source, remedy="give tiles of imagery")
    image = TileImage(store, _side_px(encoded, store.name(x, y)), hints.nodata, credit)
    require_plausible(image.raster, image.shape, store.source)
    return image


def warn_of_more_below(source: Path, extent: TileRange, below: LevelBelow) -> None:
    """Warn if the level below shows clearly more ground than the level that is read."""
    if below.tiles <= _CLEARLY_MORE * below.parents:
        return
    latitude_deg = level_raster(extent.zoom).latlon_deg([extent.left, extent.top + extent.rows / 2])[0]
    read_km2, below_km2 = (
        count * (level_raster(zoom).pixel_m * cos(radians(latitude_deg)) / 1000) ** 2
        for zoom, count in ((extent.zoom, below.tiles_above), (below.zoom, below.tiles))
    )
    what = f"zoom level {extent.zoom}, which is read, shows {read_km2:.3g} km2, level {below.zoom} {below_km2:.3g} km2"
    warn(what, where=source, remedy=f"to read level {below.zoom}, delete level {extent.zoom}, or complete it")


def level_raster(zoom: int) -> MercatorRaster:
    """Where the tiles of a zoom level lie, each of them counted as one pixel."""
    edge_m = pi * EARTH_RADIUS_M
    return MercatorRaster(-edge_m, edge_m, 2 * edge_m / 2**zoom)


def row_of(row: int, zoom: int, scheme: TileScheme) -> int:
    """The number of a row, from its place from the north; and its place, from its number."""
    return row if scheme == "xyz" else 2**zoom - 1 - row


def counted_from_north(extent: TileRange, scheme: TileScheme) -> TileRange:
    """The range of tiles that are numbered by a scheme."""
    if scheme == "xyz":
        return extent
    return replace(extent, top=2**extent.zoom - extent.top - extent.rows)


def extent_of(zoom: int, columns: Iterable[tuple[int, int]], rows: tuple[int, int]) -> TileRange:
    """The smallest range that holds tiles in these intervals of columns and rows, last ones included.

    It crosses the antimeridian if the widest gap between columns does not.
    """
    ordered = sorted(columns)
    start, reached = ordered[0]
    width, left = -1, start
    for first, last in ordered[1:]:
        if first - reached - 1 > width:
            width, left = first - reached - 1, first
        reached = max(reached, last)
    across = 2**zoom - (reached - start + 1)
    if across >= width:
        width, left = across, start
    return TileRange(zoom, left, rows[0], 2**zoom - width, rows[1] - rows[0] + 1)


def decode(encoded: bytes, where: str, side_px: int, nodata: float | None) -> Patch:
    """The pixels of a tile. Raises InputError if it is no picture of this size, or not a whole one."""
    found = _side_px(encoded, where)
    if found != side_px:
        what = f"measures {found} px, other tiles {side_px} px"
        raise InputError(what, where=where, remedy="give tiles of one size")
    try:
        with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
            rgba = np.asarray(_eight_bits(image, where).convert("RGBA"), dtype=np.uint8)
    except InputError:
        raise
    except Exception as error:  # of many kinds, by what is damaged
        raise InputError("is not a whole picture", where=where, remedy=_AGAIN) from error
    pixels = np.ascontiguousarray(rgba[..., :3])
    valid = rgba[..., 3] >= 128
    if nodata is not None:
        valid &= (pixels != nodata).any(axis=-1)
    return Patch(pixels, None if valid.all() else valid)


def _side_px(encoded: bytes, where: str) -> int:
    """The side of a tile, by its header."""
    if not encoded:
        raise InputError("is empty (0 bytes)", where=where, remedy=_AGAIN)
    if encoded.startswith((_GZIP, _ZSTD)):
        raise InputError("is no picture; it may be a vector tile", where=where, remedy="give tiles of imagery")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # nothing is decoded yet
            with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise InputError("is far larger than a tile", where=where, remedy="give tiles of the usual size") from error
    except Exception as error:  # of many kinds, by what is damaged
        raise InputError("is no PNG, JPEG or WebP picture", where=where, remedy=_AGAIN) from error
    if width != height or width not in _SIDES_PX:
        sides = " or ".join(map(str, _SIDES_PX))
        what = f"measures {width} x {height} px, not {sides} px square"
        raise InputError(what, where=where, remedy="give tiles of the usual size")
    return width


def _eight_bits(image: Image.Image, where: str) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        raise InputError("has more than 8 bits per channel", where=where, remedy="convert the tiles to 8 bits")
    return image


def _overlap(part: slice, start: int, length: int) -> tuple[slice, slice]:
    """Of a window along one axis and a tile: where the tile lies in the window, and which part of it."""
    first, last = max(part.start, start), min(part.stop, start + length)
    return slice(first - part.start, last - part.start), slice(first - start, last - start)
