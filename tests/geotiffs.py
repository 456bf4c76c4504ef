"""GeoTIFFs of a smooth pattern that is a function of the true place, so that what is shown where can be computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from pyproj import Transformer

from cvlnet.geo import LatLon, LocalFrame


def pattern(latlon_deg: np.ndarray, around: LatLon) -> np.ndarray:
    """The colour of places: waves of 20 m to the east, of 26 m to the north, and of 34 m across; RGB, 28 to 228."""
    east_m, north_m = np.moveaxis(LocalFrame(around).xy_world_m(latlon_deg), -1, 0)
    waves = (east_m / 20, north_m / 26, (east_m + north_m) / 34)
    return 128 + 100 * np.stack([np.sin(2 * np.pi * wave) for wave in waves], axis=-1)


def write_pattern(
    path: Path,
    around: LatLon,
    center_m: tuple[float, float] = (0.0, 0.0),
    size_m: float = 200.0,
    crs: str = "EPSG:25832",
    pixel_m: float = 0.2,
) -> Path:
    """A square GeoTIFF of the `pattern`, whose centre lies ``center_m`` to the east and north of ``around``."""
    lat, lon = LocalFrame(around).latlon_deg(center_m).tolist()
    from_wgs84 = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    x, y = from_wgs84.transform(lon, lat)
    side_px = round(size_m / pixel_m)
    west, north = x - size_m / 2, y + size_m / 2
    centers = (np.arange(side_px) + 0.5) * pixel_m
    columns, rows = np.meshgrid(west + centers, north - centers)
    lons, lats = from_wgs84.transform(columns, rows, direction="INVERSE")
    pixels = pattern(np.stack([lats, lons], axis=-1), around).round().astype(np.uint8)
    write_geotiff(path, pixels, crs, west, north, pixel_m)
    return path


def write_geotiff(path: Path, pixels: np.ndarray, crs: str, west: float, north: float, pixel_m: float) -> None:
    """An RGB picture as a north-up GeoTIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, cols = pixels.shape[:2]
    about = {"width": cols, "height": rows, "count": 3, "dtype": "uint8", "crs": crs}
    transform = rasterio.Affine(pixel_m, 0, west, 0, -pixel_m, north)
    with rasterio.open(path, "w", driver="GTiff", transform=transform, **about) as file:
        file.write(np.moveaxis(pixels, -1, 0))
