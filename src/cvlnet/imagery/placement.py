"""Where an image file lies, by the first of these that says so.

1. The file itself: GeoTIFF, JPEG2000, VRT and others, in any coordinate reference system that is tied to the earth, by
   a transform or by ground control points.
2. ``<image's name>.json`` or ``georef.json`` beside the image: one entry, or entries keyed by the image's name without
   suffix. An entry of a Web Mercator image has ``north_west`` and ``south_east``, the outer corners as [latitude,
   longitude]; of a north-up image in true metres ``center`` ([latitude, longitude]) and ``m_per_px``.
3. A world file beside the image (.pgw, .pngw, .jgw, .tfw, .wld and so on, upper or lower case), as GDAL reads it. It
   does not name its coordinate reference system: a .prj beside it does, or the user (``--crs``).

Where two of them disagree, the image is refused, also where the file says in two ways where it lies (an .aux.xml beside
it counts as the file itself), or a .prj names another system than the file.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from pyproj import CRS
from pyproj.exceptions import CRSError

from cvlnet.config import RasterHints
from cvlnet.errors import InputError, warn
from cvlnet.geo import LatLon, LocalFrame, MercatorRaster, MetricRaster, ProjectedRaster, Raster
from cvlnet.imagery.crop import ground_m_per_px
from cvlnet.imagery.raster_file import gdal, open_dataset
from cvlnet.io.text import positive_of, read_json, read_text, to_numbers

Affine3 = tuple[tuple[float, float, float], tuple[float, float, float]]

_FINEST_M, _COARSEST_M = 0.002, 2.5  # a pixel; of coarser ones the road is not to be seen
_IDENTICAL_M = 1e-3  # by how much the same system may differ under another name
_SAME_PX = 1.0  # how far a pixel may come to lie from itself
_SAME_M = 3.0  # how far two descriptions of a place may lie apart
_ACCURATE_M = 1.5  # a datum that is known worse than this is worth a warning
_MOST_BYTES = 4096  # of a world file
_WITH_SOURCES = ("GTiff", "JP2OpenJPEG")  # formats whose own coordinates GDAL gives without those of an .aux.xml
_GEOREF = "georef.json"
_ENTRY_KEYS = ("center", "m_per_px", "north_west", "south_east")
_SEE = "see the file formats in docs/conventions.md"


@dataclass(frozen=True)
class Georeference:
    """Where the pixels of a file lie in a coordinate reference system, before anything is computed with it.

    crs: well-known text. affine: projected coordinates are ``affine @ (x_px, y_px, 1)``.
    """

    crs: str
    affine: Affine3


def opened(path: Path, hints: RasterHints) -> tuple[Any, str | None]:
    """A file as a dataset, warped by its ground control points if they place it, and then their reference system."""
    dataset = open_dataset(path)
    if not (dataset.gcps[0] and dataset.transform.is_identity):
        return dataset, None
    warp_crs = _crs(dataset.gcps[1], path, hints)
    return open_dataset(path, warp_crs), warp_crs


def georeference(
    dataset: Any, path: Path, hints: RasterHints, warp_crs: str | None
) -> Georeference | MercatorRaster | MetricRaster:
    """What says where a file lies. Raises InputError if nothing does, or if two descriptions disagree."""
    placed = warp_crs is not None or not dataset.transform.is_identity
    stated = _stated(dataset, path)
    beside = _beside(path, dataset.width, dataset.height)
    if placed and stated is None and beside is not None and hints.crs is None:
        return beside  # a world file that does not name its system adds nothing to a whole description
    if not placed:
        if beside is not None:
            return beside
        raise _unplaced(dataset, path)
    a, b, c, d, e, f = tuple(dataset.transform)[:6]
    own = Georeference(warp_crs or _crs(stated, path, hints), ((a, b, c), (d, e, f)))
    shape = (dataset.height, dataset.width)
    if beside is not None:
        _require_same(_projected(own, path), beside, shape, "the .json beside it", path)
    for name, other in _further(own, dataset, path, is_warped=warp_crs is not None):
        if other != own:
            _require_same(_projected(own, path), other, shape, name, path)
    return own


def raster_at(place: Georeference | MercatorRaster | MetricRaster, shape: tuple[int, int], path: Path) -> Raster:
    """The raster of an image of this shape. Warns of a datum that is not known well.

    Raises InputError if it is not on earth, or if the ground cannot be seen in such pixels.
    """
    raster = _projected(place, path) if isinstance(place, Georeference) else place
    if isinstance(raster, ProjectedRaster):
        _warn_of_datum(raster, path)
    require_plausible(raster, shape, path)
    return raster


def agree(one: Georeference, other: Georeference) -> bool:
    """Whether two coordinate reference systems are the same, under whatever names, where the first image lies."""
    if _same_system(one.crs, other.crs):
        return True
    corners_px = [[0.0, 0.0], [1000.0, 1000.0]]
    try:
        ours, theirs = (ProjectedRaster(each, one.affine).latlon_deg(corners_px) for each in (one.crs, other.crs))
        frame = LocalFrame(LatLon(*ours[0].tolist()))
        return bool(np.abs(frame.xy_world_m(ours) - frame.xy_world_m(theirs)).max() < _IDENTICAL_M)
    except ValueError:
        return False


def raster_of(entry: Mapping[str, Any], width_px: int, height_px: int, where: Path) -> MercatorRaster | MetricRaster:
    """Where an image of this size lies, by its entry of georef.json. Raises InputError if that cannot be."""
    if "north_west" in entry and "center" in entry:
        raise InputError("has center and north_west", where=where, remedy="keep the one that is right")
    if "north_west" not in entry and "south_east" not in entry:
        m_per_px = positive_of(entry, "m_per_px", where, _SEE)
        return MetricRaster(_place(entry, "center", where), width_px, height_px, m_per_px)
    north_west, south_east = (_place(entry, key, where) for key in ("north_west", "south_east"))
    try:
        return MercatorRaster.between(north_west, south_east, width_px, height_px)
    except ValueError as error:
        remedy = "give the outer corners of this very image in Web Mercator"
        raise InputError(str(error), where=where, remedy=remedy) from error


def _stated(dataset: Any, path: Path) -> Any:
    """The coordinate reference system that the file states, or a .prj beside it; None if neither does."""
    if dataset.crs:
        return dataset.crs
    prj = _prj_of(path)
    if prj is None:
        return None
    try:
        return CRS.from_user_input(read_text(prj, _SEE))
    except CRSError as error:
        remedy = "put the system's well-known text there, or give --crs EPSG:CODE and remove the file"
        raise InputError("names no coordinate reference system", where=prj, remedy=remedy) from error


def _prj_of(path: Path) -> Path | None:
    """The .prj beside a file, if there is one."""
    return next((prj for prj in (path.with_suffix(".prj"), path.with_suffix(".PRJ")) if prj.is_file()), None)


def _crs(stated: Any, path: Path, hints: RasterHints) -> str:
    """The coordinate reference system of the file's coordinates, as well-known text."""
    hinted = None if hints.crs is None else hinted_crs(hints.crs)
    if not stated:
        if hinted is None:
            raise InputError(
                "has coordinates, but no coordinate reference system",
                where=path,
                remedy="put a .prj file beside it, or give --crs EPSG:CODE (EPSG:3857 is Web Mercator)",
            )
        return hinted.to_wkt()
    own = stated.to_wkt()
    if hinted is not None and not _same_system(own, hinted.to_wkt()):
        remedy = "leave --crs out, or correct the file"
        raise InputError(f"is in {_name(own)}, not in {hinted.name} as --crs says", where=path, remedy=remedy)
    return str(_parsed(own).to_wkt())


def hinted_crs(crs: str) -> CRS:
    """The coordinate reference system that the user names. Raises InputError if there is none of that name."""
    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise InputError(
            f"{crs!r} names no coordinate reference system", where="--crs", remedy="say EPSG:CODE"
        ) from error


@lru_cache(maxsize=64)
def _parsed(wkt: str) -> CRS:
    """The horizontal part of a coordinate reference system: heights do not move a picture."""
    crs = CRS.from_wkt(wkt)
    return (crs.sub_crs_list[0] if crs.is_compound else crs).to_2d()


@lru_cache(maxsize=64)
def _same_system(one: str, other: str) -> bool:
    return bool(_parsed(one).equals(_parsed(other), ignore_axis_order=True))


def _name(wkt: str) -> str:
    return str(_parsed(wkt).name)


def _projected(place: Georeference, path: Path) -> ProjectedRaster:
    try:
        return ProjectedRaster(place.crs, place.affine)
    except ValueError as error:
        remedy = "give it a coordinate reference system and coordinates on earth, or describe it by a georef.json"
        raise InputError(str(error), where=path, remedy=remedy) from error


def _warn_of_datum(raster: ProjectedRaster, path: Path) -> None:
    accuracy_m = raster.accuracy_m
    if accuracy_m is None or accuracy_m > _ACCURATE_M:
        known = "with unknown accuracy" if accuracy_m is None else f"to about {accuracy_m:g} m only"
        grids = "install PROJ's datum grids (pyproj sync)" if raster.lacks_grids else "warp it to a WGS84-based system"
        what = f"places of {_name(raster.crs)} are known {known}, because of its datum"
        warn(what, where=path, remedy=f"for more, {grids}")


def _beside(path: Path, width_px: int, height_px: int) -> MercatorRaster | MetricRaster | None:
    """Where the image lies by a JSON file beside it; None if there is none that describes it."""
    for georef in (path.with_suffix(".json"), path.with_name(_GEOREF)):
        if georef.is_file():
            entry = _entry_of(read_json(georef, _SEE), path.stem, georef)
            if entry is not None:
                return raster_of(entry, width_px, height_px, georef)
    return None


def one_for_all(path: Path) -> Path | None:
    """The georef.json beside a picture, if it describes whatever picture is there; None if the picture has its own."""
    georef = path.with_name(_GEOREF)
    if path.with_suffix(".json").is_file() or not georef.is_file():
        return None
    entries = read_json(georef, _SEE)
    return georef if _entry_of(entries, path.stem, georef) is entries else None


def _entry_of(georef: dict[str, Any], stem: str, where: Path) -> Mapping[str, Any] | None:
    """The entry of one image, or the file itself where it is of one image only; None if it is of neither."""
    if any(key in georef and not isinstance(georef[key], dict) for key in _ENTRY_KEYS):
        return georef
    if stem not in georef:
        return None
    if not isinstance(georef[stem], dict):
        raise InputError(f"entry {stem} is no object", where=where, remedy=_SEE)
    return dict(georef[stem])


def _place(entry: Mapping[str, Any], key: str, where: Path) -> LatLon:
    value = entry.get(key)
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"has no {key} as [latitude, longitude]", where=where, remedy=_SEE)
    try:
        return LatLon.wrapped(*to_numbers(value, where, _SEE))
    except ValueError as error:
        raise InputError(f"{key}: {error}", where=where, remedy="give latitude first, in degrees") from error


def _unplaced(dataset: Any, path: Path) -> InputError:
    """The error for an image that nothing places, by what it has."""
    if dataset.rpcs is not None:
        remedy = "orthorectify it (gdalwarp -rpc with a terrain model)"
        return InputError("is placed by a camera model (RPC) only", where=path, remedy=remedy)
    if dataset.crs:
        name = CRS.from_wkt(dataset.crs.to_wkt()).name
        remedy = "add a world file, or describe it by a georef.json"
        return InputError(f"has a coordinate reference system ({name}), but no coordinates", where=path, remedy=remedy)
    if path.with_name(_GEOREF).is_file():
        return InputError(f"has no entry {path.stem}", where=path.with_name(_GEOREF), remedy=_SEE)
    for kin in sorted(path.parent.glob(f"{glob.escape(path.stem)}.*")):
        if kin.suffix.lower() == ".wld" or (kin.suffix.lower().endswith("w") and len(kin.suffix) in (4, 5)):
            what = f"is no world file of six numbers, or not one of a {path.suffix} picture by its name"
            return InputError(what, where=kin, remedy=_SEE)
    remedy = f"put a georef.json or a world file beside it; {_SEE}"
    return InputError("the position of the overhead image is not stated", where=path, remedy=remedy)


def _further(own: Georeference, dataset: Any, path: Path, *, is_warped: bool) -> Iterator[tuple[str, Georeference]]:
    """What else says where a file lies, by its name: world files, the file without its .aux.xml, and a .prj.

    is_warped: by ground control points, so that its pixels are not those that a world file places.
    """
    for suffix in () if is_warped else world_suffixes(path.suffix):
        affine = _affine_of(path.with_suffix(suffix))
        if affine is not None:
            yield path.with_suffix(suffix).name, replace(own, affine=affine)
    pam = path.with_name(f"{path.name}.aux.xml")
    if dataset.driver in _WITH_SOURCES and pam.is_file():
        with rasterio.Env(GDAL_GEOREF_SOURCES="INTERNAL"), open_dataset(path) as inside:
            if not inside.transform.is_identity:
                a, b, c, d, e, f = tuple(inside.transform)[:6]
                yield pam.name, Georeference(inside.crs.to_wkt() if inside.crs else own.crs, ((a, b, c), (d, e, f)))
    prj = _prj_of(path)
    if dataset.crs and prj is not None and not path.with_suffix(".shp").is_file():  # or it is that of the shapefile
        try:
            system = CRS.from_user_input(read_text(prj, _SEE)).to_wkt()
        except CRSError:
            return
        if not _same_system(own.crs, system):
            yield prj.name, replace(own, crs=system)


def world_suffixes(suffix: str) -> tuple[str, ...]:
    """How the names of world files of pictures with a suffix end, in lower and in upper case."""
    endings = dict.fromkeys((f"{suffix[:2]}{suffix[-1]}w".lower(), f"{suffix}w".lower(), ".wld"))
    return (*endings, *(ending.upper() for ending in endings))


def _affine_of(world_file: Path) -> Affine3 | None:
    """The transform that a world file states for pixels' corners; None if there is none, or no six numbers."""
    try:
        if world_file.stat().st_size > _MOST_BYTES:
            return None
        a, d, b, e, c, f = (float(number) for number in world_file.read_text().split())
    except (OSError, ValueError):
        return None
    return (a, b, c - (a + b) / 2), (d, e, f - (d + e) / 2)


def _require_same(raster: Raster, other: Raster | Georeference, shape: tuple[int, int], name: str, path: Path) -> None:
    """Raise InputError if the corners of an image lie apart by its own coordinates and by what ``name`` says."""
    try:
        beside = ProjectedRaster(other.crs, other.affine) if isinstance(other, Georeference) else other
        apart_m = _apart_m(raster, beside, shape)
    except ValueError:
        apart_m = inf  # it lies nowhere
    if not apart_m <= _SAME_M:
        apart = f"{apart_m:,.0f} m apart" if isfinite(apart_m) else "in different places"
        what = f"its own coordinates and {name} place it {apart}"
        raise InputError(what, where=path, remedy="remove the wrong one")


def _apart_m(one: Raster, other: Raster, shape: tuple[int, int]) -> float:
    """The largest distance between the corners of an image of this shape by two rasters."""
    rows, cols = shape
    corners_px = np.array([[0.0, 0.0], [cols, 0.0], [0.0, rows], [cols, rows]])
    ours, theirs = one.latlon_deg(corners_px), other.latlon_deg(corners_px)
    frame = LocalFrame(LatLon(*ours[0].tolist()))
    return float(np.linalg.norm(frame.xy_world_m(ours) - frame.xy_world_m(theirs), axis=-1).max())


def require_plausible(raster: Raster, shape: tuple[int, int], path: Path) -> None:
    """Raise InputError if an image of this shape is not on earth, or if the ground cannot be seen in such pixels."""
    rows, cols = shape
    corners_px = np.array([[0.0, 0.0], [cols, 0.0], [0.0, rows], [cols, rows]])
    again_px = raster.xy_px(raster.latlon_deg(corners_px))  # or, if it goes around the earth, elsewhere
    if not np.abs(again_px - corners_px).max() < _SAME_PX:
        raise InputError("reaches beyond its coordinate reference system", where=path, remedy="cut it, or warp it")
    with gdal(path):
        pixel_m = ground_m_per_px(raster, [cols / 2, rows / 2])
    if min(pixel_m) < _FINEST_M or max(pixel_m) > _COARSEST_M:
        raise InputError(
            f"its pixels measure {pixel_m[0]:.4g} x {pixel_m[1]:.4g} m on the ground, "
            f"which is not between {_FINEST_M} and {_COARSEST_M} m",
            where=path,
            remedy="correct the description of its place, or give a sharper image",
        )
