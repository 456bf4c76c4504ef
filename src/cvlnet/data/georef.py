"""Overhead images as files, and the three ways in which they tell where they lie.

1. ``georef.json`` beside the image, or ``<image's name>.json``: one entry, or entries keyed by the image's name without
   suffix. An entry of a Web Mercator image has ``north_west`` and ``south_east``, the outer corners as [latitude,
   longitude]; of a north-up image in true metres ``center`` ([latitude, longitude]) and ``m_per_px``.
2. A world file (.pgw, .jgw, .wld) in EPSG:3857: six lines, of which the 1st and 4th are the pixel's width and
   (negative) height, the 5th and 6th the place of the *centre* of the top-left pixel; no rotation.
3. GeoTIFF in any coordinate system, with the extra ``cvlnet[geotiff]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import Transformer

from cvlnet.data.imagery import OverheadImage, Raster
from cvlnet.data.images import U8, read_image
from cvlnet.data.text import positive_of, read_json, read_text, to_numbers
from cvlnet.errors import InputError
from cvlnet.geo import EARTH_RADIUS_M, Array, LatLon, MercatorRaster, MetricRaster, Points

_WORLD_FILES = (".pgw", ".jgw", ".wld")
_GEOTIFF = (".tif", ".tiff")
_SQUARE = 1e-3  # pixels may be so much wider than high, by rounding in the file
_SEE = "see the file formats in docs/conventions.md"


@dataclass(frozen=True)
class ProjectedRaster:
    """Where an image in any coordinate system lies: ``projected = affine @ (x_px, y_px, 1)``, x_px from its corner."""

    crs: str
    affine: tuple[tuple[float, float, float], tuple[float, float, float]]

    def xy_px(self, latlon_deg: Points) -> Array:
        """Pixel coordinates, [..., 2], of latitudes and longitudes, [..., 2]."""
        latlon = np.asarray(latlon_deg, dtype=np.float64)
        projected = np.stack(self._from_wgs84.transform(latlon[..., 1], latlon[..., 0]), axis=-1)
        matrix = np.array(self.affine)
        return np.asarray((projected - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T, dtype=np.float64)

    def latlon_deg(self, xy_px: Points) -> Array:
        """Latitudes and longitudes, [..., 2], of pixel coordinates, [..., 2]."""
        matrix = np.array(self.affine)
        projected = np.asarray(xy_px, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]
        lon, lat = self._from_wgs84.transform(projected[..., 0], projected[..., 1], direction="INVERSE")
        return np.stack([lat, lon], axis=-1)

    @cached_property
    def _from_wgs84(self) -> Transformer:
        return Transformer.from_crs("EPSG:4326", self.crs, always_xy=True)


def open_overhead(path: Path) -> OverheadImage:
    """Decode an overhead image and find out where it lies.

    Raises InputError as `cvlnet.data.images.read_image` does, if nothing tells where it lies, or what tells so is
    malformed.
    """
    if path.suffix.lower() in _GEOTIFF:
        return _open_geotiff(path)
    pixels = read_image(path)
    height_px, width_px = pixels.shape[:2]
    for georef in (path.with_suffix(".json"), path.with_name("georef.json")):
        if georef.is_file():
            entry = _entry_of(read_json(georef, _SEE), path.stem, georef)
            return OverheadImage(pixels, raster_of(entry, width_px, height_px, georef), path)
    for suffix in _WORLD_FILES:
        if path.with_suffix(suffix).is_file():
            return OverheadImage(pixels, _world_file(path.with_suffix(suffix)), path)
    raise InputError(
        "nothing tells where the overhead image lies", where=path, remedy=f"put a georef.json beside it; {_SEE}"
    )


def _entry_of(georef: dict[str, Any], stem: str, where: Path) -> Mapping[str, Any]:
    """The entry of one image, or the file itself where it is of one image only."""
    if "m_per_px" in georef or "north_west" in georef:
        return georef
    if not isinstance(georef.get(stem), dict):
        raise InputError(f"has no entry {stem}", where=where, remedy=_SEE)
    return dict(georef[stem])


def raster_of(entry: Mapping[str, Any], width_px: int, height_px: int, where: Path) -> Raster:
    """Where an image of this size lies, by its entry of georef.json. Raises InputError if that cannot be."""
    if "north_west" not in entry:
        m_per_px = positive_of(entry, "m_per_px", where, _SEE)
        return MetricRaster(_place(entry, "center", where), width_px, height_px, m_per_px)
    corners = [_place(entry, key, where) for key in ("north_west", "south_east")]
    projected = MercatorRaster(0.0, 0.0, 1.0).xy_px([corner.degrees for corner in corners])
    (west_m, south_of_north_m), (east_m, south_of_south_m) = projected.tolist()
    pixel_m, pixel_height_m = (east_m - west_m) / width_px, (south_of_south_m - south_of_north_m) / height_px
    if not pixel_m > 0 or abs(pixel_height_m / pixel_m - 1) > _SQUARE:
        raise InputError(
            f"the corners make pixels of {pixel_m:.4f} x {pixel_height_m:.4f} m of {width_px} x {height_px} px",
            where=where,
            remedy="give the outer corners of this very image in Web Mercator",
        )
    return MercatorRaster(west_m, -south_of_north_m, pixel_m)


def _place(entry: Mapping[str, Any], key: str, where: Path) -> LatLon:
    value = entry.get(key)
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"has no {key} as [latitude, longitude]", where=where, remedy=_SEE)
    try:
        return LatLon(*to_numbers(value, where, _SEE))
    except ValueError as error:
        raise InputError(f"{key}: {error}", where=where, remedy=_SEE) from error


def _world_file(path: Path) -> MercatorRaster:
    values = to_numbers(read_text(path, _SEE).split(), path, _SEE)
    if len(values) != 6:
        raise InputError(f"holds {len(values)} of 6 values", where=path, remedy=_SEE)
    width_m, turn_y, turn_x, minus_height_m, center_x_m, center_y_m = values
    if turn_x or turn_y or not width_m > 0 or abs(minus_height_m / width_m + 1) > _SQUARE:
        raise InputError("is turned, or its pixels are not square", where=path, remedy="warp the image to north up")
    if max(abs(center_x_m), abs(center_y_m)) > np.pi * EARTH_RADIUS_M or width_m < 1e-3:
        raise InputError("is not in EPSG:3857 metres", where=path, remedy="warp the image to Web Mercator (EPSG:3857)")
    return MercatorRaster(center_x_m - width_m / 2, center_y_m + width_m / 2, width_m)


def _open_geotiff(path: Path) -> OverheadImage:
    try:
        import rasterio  # type: ignore[import-untyped]
    except ImportError as error:
        remedy = "pip install 'cvlnet[geotiff]', or convert it to PNG with a world file in EPSG:3857"
        raise InputError("reading GeoTIFF needs rasterio", where=path, remedy=remedy) from error
    try:
        with rasterio.open(path) as file:
            if file.crs is None or file.count < 3:
                what = f"has {file.count} bands" if file.crs else "does not tell its coordinate system"
                raise InputError(
                    what, where=path, remedy="give it three bands (red, green, blue) and a coordinate system"
                )
            pixels: U8 = np.moveaxis(file.read([1, 2, 3], out_dtype="uint8"), 0, -1)
            a, b, c, d, e, f = tuple(file.transform)[:6]
            raster = ProjectedRaster(file.crs.to_wkt(), ((a, b, c), (d, e, f)))
    except rasterio.errors.RasterioError as error:
        raise InputError(f"is no whole GeoTIFF ({error})", where=path, remedy="copy or download it again") from error
    return OverheadImage(np.ascontiguousarray(pixels), raster, path)
