"""The area that imagery is wanted of: around drives, or between two latitudes and two longitudes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, floor, pi
from pathlib import Path

import numpy as np
import shapely
from jaxtyping import Float64
from pyproj import Geod, Transformer
from shapely.geometry.base import BaseGeometry

from cvlnet.data.folder import read_folder
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.errors import InputError

Bounds = tuple[float, float, float, float]  # west, south, east, north

_WGS84 = Geod(ellps="WGS84")
_CORNERS = 32  # of the polygon around a disc
_EDGE_DEG = 0.01  # length of the pieces of an edge, which is curved in other coordinates
_MOST_CELLS = 250_000  # that are looked at


@dataclass(frozen=True)
class Area:
    """A part of the earth's surface. lonlat_deg: polygons in longitude and latitude."""

    lonlat_deg: BaseGeometry

    @staticmethod
    def between(south_deg: float, west_deg: float, north_deg: float, east_deg: float) -> Area:
        """Between two latitudes and two longitudes. Raises InputError unless they are such, in this order."""
        if not (-90 <= south_deg < north_deg <= 90 and -180 <= west_deg < east_deg <= 180):
            what = f"{south_deg:g} {west_deg:g} {north_deg:g} {east_deg:g} is no box of latitudes and longitudes"
            raise InputError(what, where="--bbox", remedy="give SOUTH WEST NORTH EAST in degrees")
        return Area(shapely.segmentize(shapely.box(west_deg, south_deg, east_deg, north_deg), _EDGE_DEG))

    @staticmethod
    def around(latlon_deg: Float64[np.ndarray, "n 2"], margin_m: float) -> Area:
        """All that is within ``margin_m`` of any position."""
        lat, lon = np.unique(latlon_deg.round(6), axis=0).T  # of a vehicle that stands one position is left
        azimuths_deg = np.arange(_CORNERS) * (360 / _CORNERS)
        shape = (len(lat), _CORNERS)
        radius_m = np.full(shape, margin_m / cos(pi / _CORNERS))  # the polygon's edges touch the disc
        corner_lon, corner_lat, _ = _WGS84.fwd(
            np.broadcast_to(lon[:, None], shape),
            np.broadcast_to(lat[:, None], shape),
            np.broadcast_to(azimuths_deg, shape),
            radius_m,
        )
        if np.ptp(corner_lon) > 180:
            raise InputError("lies on both sides of the antimeridian", where="--around", remedy="give fewer drives")
        return Area(shapely.union_all(shapely.polygons(np.stack([corner_lon, corner_lat], axis=-1))))

    @property
    def bounds_deg(self) -> Bounds:
        """Of longitude and latitude."""
        west, south, east, north = self.lonlat_deg.bounds
        return west, south, east, north

    def projected(self, crs: str) -> BaseGeometry:
        """The area in a coordinate reference system, x east, y north. Raises InputError where it has no coordinates."""
        transformer = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
        shape = shapely.transform(self.lonlat_deg, lambda xy: np.stack(transformer.transform(*xy.T), axis=-1))
        if not np.isfinite(shapely.get_coordinates(shape)).all():
            what = f"the area reaches to where {crs} has no coordinates"
            raise InputError(what, where="--around, --bbox", remedy="choose a source that covers it")
        return shape


def around_drives(drives: Sequence[Path], margin_m: float) -> Area:
    """The area around KITTI drives (folders with oxts) and video folders with latitudes and longitudes.

    Raises InputError as the readers do, or if a drive's positions are in metres only.
    """
    return Area.around(np.concatenate([_positions_deg(drive) for drive in drives]), margin_m)


def cells_of(shape: BaseGeometry, side: float, origin: tuple[float, float] = (0.0, 0.0)) -> list[tuple[int, int]]:
    """Column (eastward) and row (northward) of the square cells that a shape overlaps, counted from the origin.

    Raises InputError if the shape is so large that it cannot be meant.
    """
    x, y = origin
    west, south, east, north = shape.bounds
    first_col, first_row = floor((west - x) / side), floor((south - y) / side)
    cols, rows = floor((east - x) / side) + 1 - first_col, floor((north - y) / side) + 1 - first_row
    if cols * rows > _MOST_CELLS:
        what = f"the area extends over {cols} x {rows} cells of the source"
        raise InputError(what, where="--around, --bbox", remedy="choose a smaller area at a time")
    col, row = (n.ravel() for n in np.meshgrid(first_col + np.arange(cols), first_row + np.arange(rows)))
    boxes = shapely.box(x + col * side, y + row * side, x + (col + 1) * side, y + (row + 1) * side)
    overlaps = shapely.relate_pattern(boxes, shape, "T********")  # their interiors meet
    return list(zip(col[overlaps].tolist(), row[overlaps].tolist(), strict=True))


def _positions_deg(drive: Path) -> Float64[np.ndarray, "n 2"]:
    recording = read_recording(drive) if (drive / "oxts").is_dir() else read_folder(drive)
    if not recording.geographic:
        remedy = "give latitude_deg and longitude_deg in poses.csv, or the area by --bbox"
        raise InputError("the positions are in metres, so that its place is not known", where=drive, remedy=remedy)
    return np.array([frame.position.degrees for frame in recording.frames]).reshape(-1, 2)
