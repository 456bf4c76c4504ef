"""One small overhead picture as files of many kinds, which all show the same things at the same places."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine
from rasterio.warp import Resampling, calculate_default_transform, reproject

from cvlnet.geo import LatLon, MetricRaster
from cvlnet.grid import Grid
from cvlnet.imagery.crop import crop
from cvlnet.imagery.overhead import Imagery, OverheadImage

CENTER = LatLon(49.0, 8.4)
SIDE_PX, M_PER_PX = 160, 0.5
CHECKED = Grid(50, 50, 0.8)  # what of the picture is compared


def blotches() -> np.ndarray:
    """RGB [160, 160, 3]: blotches of 4 m, no two alike, from 16 to 239."""
    coarse = np.random.default_rng(0).integers(40, 216, (20, 20, 3)).astype(np.float32)
    return cv2.resize(coarse, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC).clip(16, 239).round().astype(np.uint8)


PICTURE = blotches()


@dataclass(frozen=True)
class Warped:
    """The picture in a coordinate reference system: bands [3, rows, cols], and where they lie."""

    bands: np.ndarray
    transform: Affine
    crs: str


def metric_crs(center: LatLon) -> str:
    lat, lon = center.degrees
    return f"+proj=aeqd +lat_0={lat!r} +lon_0={lon!r} +datum=WGS84 +units=m"


def warped(crs: str, center: LatLon = CENTER, *, shift_x: float = 0.0) -> Warped:
    """The picture around a place in another system, all of the result filled. shift_x: added to the x coordinates."""
    half = SIDE_PX / 2 * M_PER_PX
    source = {"src_transform": Affine(M_PER_PX, 0, -half, 0, -M_PER_PX, half), "src_crs": metric_crs(center)}
    bands = np.ascontiguousarray(np.moveaxis(PICTURE, -1, 0))
    bounds = (-half, -half, half, half)
    transform, width, height = calculate_default_transform(source["src_crs"], crs, SIDE_PX, SIDE_PX, *bounds)
    margin = round(0.12 * width)  # of the corners nothing is left over
    transform = transform @ Affine.translation(margin, margin)
    out = np.zeros((3, height - 2 * margin, width - 2 * margin), np.uint8)
    reproject(bands, out, dst_transform=transform, dst_crs=crs, resampling=Resampling.cubic, **source)
    return Warped(out, Affine.translation(shift_x, 0) @ transform, crs)


def write(
    path: Path, data: np.ndarray, *, transform: Affine | None = None, crs: str | None = None, **options: object
) -> Path:
    """Bands [count, rows, cols] as a file of the format that the suffix names."""
    count, rows, cols = data.shape
    driver = {".tif": "GTiff", ".png": "PNG", ".jpg": "JPEG", ".jp2": "JP2OpenJPEG"}[path.suffix]
    profile = {"driver": driver, "width": cols, "height": rows, "count": count, "dtype": data.dtype.name}
    placed = {"transform": transform, "crs": crs} if transform is not None else {"crs": crs} if crs else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **profile, **placed, **options) as file:
            file.write(data)
    for leftover in path.parent.glob(f"{path.name}.aux.xml"):
        leftover.unlink()
    return path


def write_metric(path: Path, data: np.ndarray | None = None, center: LatLon = CENTER, **options: object) -> Path:
    """The picture in true metres, described by a .json beside it."""
    bands = np.moveaxis(PICTURE, -1, 0) if data is None else data
    write(path, np.ascontiguousarray(bands), **options)
    path.with_suffix(".json").write_text(json.dumps({"center": list(center.degrees), "m_per_px": M_PER_PX}))
    return path


def world_file(path: Path, transform: Affine) -> Path:
    """The six lines that place a picture: pixel size, rotation, the centre of the top-left pixel."""
    a, b, c, d, e, f = tuple(transform)[:6]
    values = (a, d, b, e, c + a / 2 + b / 2, f + d / 2 + e / 2)
    path.write_text("".join(f"{value!r}\n" for value in values))
    return path


def difference(image: Imagery, center: LatLon = CENTER) -> float:
    """Mean difference of grey levels from the picture, each seen around the same place. A shift of 1 m makes 14."""
    picture = OverheadImage(PICTURE, MetricRaster(center, SIDE_PX, SIDE_PX, M_PER_PX), Path("picture"))
    ours, theirs = (crop(each, center, CHECKED).numpy().astype(float) for each in (image, picture))
    return float(np.abs(ours - theirs).mean())
