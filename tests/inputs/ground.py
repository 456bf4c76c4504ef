"""Imagery of a ground that is a function of true position, in any format: what a crop must show is known everywhere."""

from __future__ import annotations

import io
import sqlite3
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
from maps import world_file
from PIL import Image
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer
from pyproj import Transformer
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from cvlnet.geo import LatLon, LocalFrame, ProjectedRaster, Raster
from cvlnet.grid import Grid
from cvlnet.imagery.crop import crop, missing
from cvlnet.imagery.overhead import Imagery
from cvlnet.imagery.tiles.pyramid import level_raster

WAVES_M = np.array([[31.0, 47.0], [53.0, 29.0], [37.0, 61.0]])  # lengths eastward and northward, of red, green, blue
SEEN = Grid(64, 48, 0.9)
NOISE = 1.0  # grey levels, on average, by rounding and interpolation


def ground(latlon_deg: np.ndarray, around: LatLon) -> np.ndarray:
    """RGB in grey levels [..., 3] at places: waves in true metres around a place."""
    xy_m = LocalFrame(around).xy_world_m(latlon_deg)
    phase = 2 * np.pi * xy_m[..., None, :] / WAVES_M
    return 128 + 55 * np.sin(phase[..., 0]) + 55 * np.cos(phase[..., 1] + 0.3)


def drawn(raster: Raster, rows: int, cols: int, around: LatLon) -> np.ndarray:
    """The ground at the centres of the pixels of a raster, RGB [rows, cols, 3]."""
    xy_px = np.stack(np.meshgrid(np.arange(cols) + 0.5, np.arange(rows) + 0.5), axis=-1)
    return ground(raster.latlon_deg(xy_px), around).clip(0, 255).round().astype(np.uint8)


def misplaced_m(image: Imagery, place: LatLon, around: LatLon) -> float:
    """How far a crop lies from where the ground is, eastward or northward; nothing of it may be missing.

    What remains when it is moved there may be noise only.
    """
    assert not missing(image, place, SEEN).any()
    cells_xy_m, step_m = SEEN.cell_centers_xy_m().numpy(), 0.1
    expected, eastward, northward = (
        ground(LocalFrame(place).latlon_deg(cells_xy_m + np.array(step)), around)
        for step in ([0.0, 0.0], [step_m, 0.0], [0.0, step_m])
    )
    difference = crop(image, place, SEEN).permute(1, 2, 0).numpy() - expected
    slopes = np.stack([(eastward - expected).ravel(), (northward - expected).ravel()], axis=-1) / step_m
    moved_m = np.linalg.lstsq(slopes, difference.ravel(), rcond=None)[0]
    assert np.abs(difference.ravel() - slopes @ moved_m).mean() < NOISE
    return float(np.abs(moved_m).max())


def near(place: LatLon, east_m: float, north_m: float) -> LatLon:
    return LatLon(*LocalFrame(place).latlon_deg([east_m, north_m]).tolist())


def affine_at(crs: str, place: LatLon, pixel: float, rows: int, cols: int) -> Affine:
    """A north-up transform in a system that puts a place in the middle of an image. pixel: in units of the system."""
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(place.longitude_deg, place.latitude_deg)
    return Affine(pixel, 0, x - pixel * cols / 2, 0, -pixel, y + pixel * rows / 2)


def write_sheet(
    path: Path,
    transform: Affine,
    crs: str,
    rows: int,
    cols: int,
    around: LatLon,
    *,
    beside: bool = False,
    **options: object,
) -> Path:
    """The ground as a GeoTIFF. beside: a world file places it, which names no system."""
    a, b, c, d, e, f = tuple(transform)[:6]
    pixels = drawn(ProjectedRaster(crs, ((a, b, c), (d, e, f))), rows, cols, around)
    profile = {"driver": "GTiff", "width": cols, "height": rows, "count": 3, "dtype": "uint8"} | options
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **profile, **({} if beside else {"transform": transform, "crs": crs})) as file:
            file.write(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)))
    if beside:
        world_file(path.with_suffix(".tfw"), transform)
    return path


def encoded(pixels: np.ndarray, suffix: str = "png") -> bytes:
    """A picture file. JPEG and WebP are nearly lossless."""
    file = io.BytesIO()
    kind = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[suffix]
    options = {"png": {}, "jpg": {"quality": 98}, "webp": {"lossless": True}}[suffix]
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


Tiles = dict[tuple[int, int, int], bytes]  # by zoom, x, and y from the north


@lru_cache(maxsize=16)
def _tiles(around: LatLon, zoom: int, side_px: int, reach: int, suffix: str) -> Tiles:
    middle_x, middle_y = np.floor(level_raster(zoom).xy_px(around.degrees)).astype(int).tolist()
    sides = range(-reach, reach + 1)
    places = [(middle_x + right, middle_y + down) for right in sides for down in sides]
    return {(zoom, x % 2**zoom, y): encoded(tile(around, zoom, x, y, side_px), suffix) for x, y in places}


def tiles(around: LatLon, zoom: int = 19, side_px: int = 256, reach: int = 1, suffix: str = "png") -> Tiles:
    """The tile of a place, and ``reach`` tiles on each side of it."""
    return dict(_tiles(around, zoom, side_px, reach, suffix))


def tile(around: LatLon, zoom: int, x: int, y: int, side_px: int) -> np.ndarray:
    xy = np.stack(np.meshgrid(np.arange(side_px) + 0.5, np.arange(side_px) + 0.5), axis=-1) / side_px + (x, y)
    return ground(level_raster(zoom).latlon_deg(xy), around).clip(0, 255).round().astype(np.uint8)


def write_folder(folder: Path, contents: Tiles, *, tms: bool = False, suffix: str = "png") -> Path:
    """Tiles as files."""
    for (zoom, x, y), picture in contents.items():
        path = folder / str(zoom) / str(x) / f"{2**zoom - 1 - y if tms else y}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    return folder


def write_mbtiles(path: Path, contents: Tiles, *, xyz: bool = False, **metadata: str) -> Path:
    """Tiles as MBTiles; with ``xyz`` their rows are counted from the wrong end."""
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE metadata (name text, value text)")
        base.execute("CREATE TABLE tiles (zoom_level integer, tile_column integer, tile_row integer, tile_data blob)")
        base.execute("CREATE UNIQUE INDEX tile_index ON tiles (zoom_level, tile_column, tile_row)")
        base.executemany("INSERT INTO metadata VALUES (?, ?)", metadata.items())
        rows = [(z, x, y if xyz else 2**z - 1 - y, picture) for (z, x, y), picture in contents.items()]
        base.executemany("INSERT INTO tiles VALUES (?, ?, ?, ?)", rows)
    base.close()
    return path


def write_pmtiles(path: Path, contents: Tiles, tile_type: TileType = TileType.PNG, **metadata: object) -> Path:
    """Tiles as PMTiles."""
    with path.open("wb") as file:
        writer = Writer(file)
        for at in sorted(contents, key=lambda at: zxy_to_tileid(*at)):
            writer.write_tile(zxy_to_tileid(*at), contents[at])
        header = {"tile_type": tile_type, "tile_compression": Compression.NONE}
        writer.finalize(header, metadata)
    return path
