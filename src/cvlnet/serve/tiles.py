"""Web Mercator tiles of the overhead image, by rio-tiler."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import cos, radians
from pathlib import Path

import cv2
import numpy as np
import rasterio
from morecantile import tms
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window
from rio_tiler.errors import NoOverviewWarning, TileOutsideBounds
from rio_tiler.io.rasterio import Reader

from cvlnet.errors import InputError
from cvlnet.imagery.raster_file import warn_if_slow
from cvlnet.map.geotiff import write_geotiff
from cvlnet.map.store import Map

SIDE_PX = 256
MOST_ZOOM = 24
_KEPT = 2048  # tiles in memory
_OVERZOOMED = 2  # levels beyond the resolution of the image
_MERCATOR = tms.get("WebMercatorQuad")

# of overviews, and of a place of its own, which a tile does not need; for the whole process, as threads share filters
for _category in (NoOverviewWarning, NotGeoreferencedWarning):
    warnings.simplefilter("ignore", _category)


@dataclass(frozen=True)
class Tiles:
    """Tiles of one georeferenced picture. bands: red, green and blue. is_imagery: whether it is more than the map's
    own small picture.
    """

    path: Path
    bands: tuple[int, int, int]
    m_per_pixel: float
    min_zoom: int
    max_zoom: int
    is_imagery: bool

    @staticmethod
    def of_file(path: Path) -> Tiles:
        """Tiles of a picture that GDAL reads. Raises InputError for others, and unless it has a place and 8 bits."""
        return _opened(path, is_imagery=True)

    @staticmethod
    def of_map(source: Map, path: Path) -> Tiles:
        """Tiles of the cells' mean colours, which are written to a GeoTIFF."""
        write_geotiff(source, path, "preview")
        return _opened(path, is_imagery=False)

    def tile(self, zoom: int, col: int, row: int) -> bytes:
        """A tile as WebP, transparent where the picture shows nothing. Raises KeyError for impossible numbers."""
        if not 0 <= zoom <= MOST_ZOOM or not (0 <= col < 2**zoom and 0 <= row < 2**zoom):
            raise KeyError((zoom, col, row))
        return _tile(self, zoom, col, row)


@lru_cache(maxsize=_KEPT)
def _tile(tiles: Tiles, zoom: int, col: int, row: int) -> bytes:
    with Reader(str(tiles.path)) as reader:  # GDAL's readers belong to one thread
        try:
            image = reader.tile(col, row, zoom, tilesize=SIDE_PX, indexes=tiles.bands, resampling_method="bilinear")
        except TileOutsideBounds:
            return _empty()
    return bytes(image.render(img_format="WEBP", quality=85))


@lru_cache(maxsize=1)
def _empty() -> bytes:
    return bytes(cv2.imencode(".webp", np.zeros((SIDE_PX, SIDE_PX, 4), np.uint8))[1])


def _opened(path: Path, *, is_imagery: bool) -> Tiles:
    remedy = "give a GeoTIFF with 8 bits per colour (gdal_translate -ot Byte -scale makes one)"
    try:
        with rasterio.open(path) as file:
            crs, types, count, longest = file.crs, set(file.dtypes), file.count, max(file.shape)
            warn_if_slow(file, path)
            rows, cols = file.shape
            file.read(1, window=Window(cols - 1, rows - 1, 1, 1))  # which a file that is cut short does not have
        if crs is None:
            raise InputError("does not state its position", where=path, remedy=remedy)
        if types != {"uint8"}:
            raise InputError(f"has values of type {', '.join(sorted(types))}", where=path, remedy=remedy)
        with Reader(str(path)) as reader:
            south, north = reader.get_geographic_bounds("EPSG:4326")[1::2]
            max_zoom = reader.maxzoom
    except RasterioError as error:
        raise InputError(f"cannot be read ({error})", where=path, remedy=remedy) from error
    pixel_m = _MERCATOR.matrix(max_zoom).cellSize * cos(radians((south + north) / 2))
    bands: Sequence[int] = (1, 2, 3) if count >= 3 else (1, 1, 1)
    least = max(0, max_zoom - max(1, (longest // SIDE_PX).bit_length()))
    return Tiles(
        path, (bands[0], bands[1], bands[2]), pixel_m, least, min(max_zoom + _OVERZOOMED, MOST_ZOOM), is_imagery
    )
