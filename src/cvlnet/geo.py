"""WGS84, the local east-north frame, and the georeference of an overhead image. All conversions are pyproj's.

``world`` is a local frame in metres anchored at a WGS84 point: x true east, y true north, by the azimuthal equidistant
projection: a point's direction and distance are those of the geodesic from the anchor (a tangent plane is shorter by
4 mm at 10 km).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import cos, degrees, pi, radians
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import CRSError, ProjError
from pyproj.transformer import AreaOfInterest, TransformerGroup

from cvlnet.arrays import F64

Pairs = Float64[np.ndarray, "*batch 2"] | Sequence[Any]  # an array, or lists and tuples of numbers

_WGS84 = Geod(ellps="WGS84")
EARTH_RADIUS_M = 6378137.0  # of Web Mercator's sphere (EPSG:3857)
_MERCATOR_PERIOD_M = 2 * pi * EARTH_RADIUS_M
_NORTHWARD_DEG = 1e-4  # to the point that shows where north is
_LEAST_TURN_RAD = 1e-3  # of true north from a frame's that is taken into account
_SQUARE = 1e-3  # how much wider than high a pixel may be, by rounding in a file


@dataclass(frozen=True)
class LatLon:
    """A WGS84 point in degrees. Raises ValueError outside +-90 and +-180."""

    latitude_deg: float
    longitude_deg: float

    def __post_init__(self) -> None:
        if not -90 <= self.latitude_deg <= 90:
            raise ValueError(f"latitude {self.latitude_deg} is not within -90 to 90 degrees")
        if not -180 <= self.longitude_deg <= 180:
            raise ValueError(f"longitude {self.longitude_deg} is not within -180 to 180 degrees")

    @property
    def degrees(self) -> tuple[float, float]:
        """(latitude, longitude)."""
        return self.latitude_deg, self.longitude_deg

    @staticmethod
    def wrapped(latitude_deg: float, longitude_deg: float) -> LatLon:
        """A point whose longitude may count beyond the antimeridian, up to +-360 degrees.

        Raises ValueError outside +-90 and +-360.
        """
        if not -360 <= longitude_deg <= 360:
            raise ValueError(f"longitude {longitude_deg} is not within -360 to 360 degrees")
        inside = -180 <= longitude_deg <= 180
        return LatLon(latitude_deg, longitude_deg if inside else float(_wrapped_deg(longitude_deg)))


@dataclass(frozen=True)
class LocalFrame:
    """The world frame: metres east and north of ``anchor``."""

    anchor: LatLon

    @property
    def crs(self) -> str:
        """The frame as a coordinate reference system, as a PROJ string."""
        latitude_deg, longitude_deg = self.anchor.degrees
        return f"+proj=aeqd +lat_0={latitude_deg!r} +lon_0={longitude_deg!r} +datum=WGS84 +units=m"

    def xy_world_m(self, latlon_deg: Pairs) -> Float64[np.ndarray, "*batch 2"]:
        """Metres (east, north) of latitudes and longitudes."""
        latlon = np.asarray(latlon_deg, dtype=np.float64)
        azimuth_deg, _, distance_m = _WGS84.inv(*self._anchors(latlon.shape[:-1]), latlon[..., 1], latlon[..., 0])
        azimuth_rad = np.radians(azimuth_deg)
        return np.stack([distance_m * np.sin(azimuth_rad), distance_m * np.cos(azimuth_rad)], axis=-1)

    def latlon_deg(self, xy_world_m: Pairs) -> Float64[np.ndarray, "*batch 2"]:
        """Latitudes and longitudes of metres (east, north)."""
        xy = np.asarray(xy_world_m, dtype=np.float64)
        azimuth_deg = np.degrees(np.arctan2(xy[..., 0], xy[..., 1]))
        distance_m = np.hypot(xy[..., 0], xy[..., 1])
        lon, lat, _ = _WGS84.fwd(*self._anchors(xy.shape[:-1]), azimuth_deg, distance_m)
        return np.stack([lat, lon], axis=-1)

    def convergence_rad(self, xy_world_m: tuple[float, float]) -> float:
        """The direction of true north on the frame's axes at a place, counter-clockwise; 0 where it is negligible."""
        latitude_deg, longitude_deg = self.latlon_deg(xy_world_m).tolist()
        north = min(latitude_deg + _NORTHWARD_DEG, 90.0)
        east_m, north_m = (self.xy_world_m([north, longitude_deg]) - np.asarray(xy_world_m)).tolist()
        turn_rad = float(np.arctan2(-east_m, north_m))
        return turn_rad if abs(turn_rad) > _LEAST_TURN_RAD else 0.0

    def _anchors(self, shape: tuple[int, ...]) -> tuple[F64, F64]:
        """The anchor, once for each point: longitudes and latitudes."""
        return np.full(shape, self.anchor.longitude_deg), np.full(shape, self.anchor.latitude_deg)


@runtime_checkable
class Raster(Protocol):
    """The georeference of an image: from its pixels to places on earth and back. Longitudes lie within +-180."""

    def xy_px(self, latlon_deg: Pairs) -> Float64[np.ndarray, "*batch 2"]:
        """Pixel coordinates (x right, y down, from the image's corner) of latitudes and longitudes."""

    def latlon_deg(self, xy_px: Pairs) -> Float64[np.ndarray, "*batch 2"]:
        """Latitudes and longitudes of pixel coordinates."""


@dataclass(frozen=True)
class MercatorRaster:
    """The georeference of a north-up Web Mercator image: north-west corner and pixel size in projected metres.

    Projected metres are 1 / cos(latitude) times longer than true ones, and not even that evenly: at 49 degrees north
    the spherical formula on ellipsoidal latitudes makes 1,000 m true north 1,001.1 and 1,000 m east 998.1.
    The image may cross the antimeridian.
    """

    west_m: float
    north_m: float
    pixel_m: float

    def xy_px(self, latlon_deg: Pairs) -> Float64[np.ndarray, "*batch 2"]:
        """As `Raster` says."""
        latlon = np.asarray(latlon_deg, dtype=np.float64)
        east_m, north_m = _mercator_from_wgs84().transform(latlon[..., 1], latlon[..., 0])
        from_west_m = _folded(east_m - self.west_m, _MERCATOR_PERIOD_M)
        return np.stack([from_west_m / self.pixel_m, (self.north_m - north_m) / self.pixel_m], axis=-1)

    def latlon_deg(self, xy_px: Pairs) -> Float64[np.ndarray, "*batch 2"]:
        """As `Raster` says."""
        xy = np.asarray(xy_px, dtype=np.float64)
        east_m, north_m = self.west_m + xy[..., 0] * self.pixel_m, self.north_m - xy[..., 1] * self.pixel_m
        lon, lat = _mercator_from_wgs84().transform(east_m, north_m, direction="INVERSE")
        return np.stack([lat, _wrapped_deg(lon)], axis=-1)

    @staticmethod
    def around(center: LatLon, width_px: int, height_px: int, m_per_px: float) -> MercatorRaster:
        """The raster of a picture centred at a point, ``m_per_px`` ground metres (of Web Mercator's sphere) a pixel."""
        east_m, north_m = _mercator_from_wgs84().transform(center.longitude_deg, center.latitude_deg)
        pixel_m = m_per_px / cos(radians(center.latitude_deg))
        return MercatorRaster(east_m - pixel_m * width_px / 2, north_m + pixel_m * height_px / 2, pixel_m)

    @staticmethod
    def between(north_west: LatLon, south_east: LatLon, width_px: int, height_px: int) -> MercatorRaster:
        """The raster of a picture with these outer corners.

        Raises ValueError unless its pixels come out square to a thousandth.
        """
        corners = np.array([north_west.degrees, south_east.degrees])
        east_m, north_m = _mercator_from_wgs84().transform(corners[:, 1], corners[:, 0])
        extent_m = east_m[1] - east_m[0]
        pixel_m = float(extent_m if extent_m > 0 else extent_m + _MERCATOR_PERIOD_M) / width_px
        pixel_height_m = float(north_m[0] - north_m[1]) / height_px
        if not abs(pixel_height_m / pixel_m - 1) <= _SQUARE:
            raise ValueError(
                f"the corners make pixels of {pixel_m:.4f} x {pixel_height_m:.4f} m of {width_px} x {height_px} px"
            )
        return MercatorRaster(float(east_m[0]), float(north_m[0]), pixel_m)


@dataclass(frozen=True)
class ProjectedRaster:
    """The georeference of an image in any coordinate reference system: ``projected = affine @ (x_px, y_px, 1)``.

    crs: as pyproj reads it, such as "EPSG:25832" or WKT. The image may cross the antimeridian.
    Raises ValueError if the system is not tied to the earth, or the image lies where it has no coordinates.
    """

    crs: str
    affine: tuple[tuple[float, float, float], tuple[float, float, float]]

    def __post_init__(self) -> None:
        if abs(float(np.linalg.det(self._matrix[:, :2]))) == 0.0:
            raise ValueError("its pixels have no size")
        x, y = self._matrix[:, 2].tolist()
        turns = 0.0 if self._operation.period is None else abs(x) / self._operation.period
        if turns > 1 or not np.isfinite(self.latlon_deg([0.0, 0.0])).all():
            raise ValueError(f"{x:g}, {y:g} are no coordinates of {self._operation.name}")

    @property
    def accuracy_m(self) -> float | None:
        """Accuracy of positions after the change of datum to WGS84; None if it is not known."""
        return self._operation.accuracy_m

    @property
    def lacks_grids(self) -> bool:
        """Whether a more accurate change of datum exists, whose grid files are not installed."""
        return self._operation.lacks_grids

    @property
    def period(self) -> float | None:
        """What once around the earth adds to x, in units of the system; None if x depends on more than longitude."""
        return self._operation.period

    def xy_px(self, latlon_deg: Pairs) -> Float64[np.ndarray, "*batch 2"]:
        """As `Raster` says."""
        latlon = np.asarray(latlon_deg, dtype=np.float64)
        operation, origin = self._operation, self._matrix[:, 2]
        from_origin = np.stack(operation.from_wgs84.transform(latlon[..., 1], latlon[..., 0]), axis=-1) - origin
        if operation.period is not None:
            from_origin[..., 0] = _folded(from_origin[..., 0] + operation.period / 4, operation.period)
            from_origin[..., 0] -= operation.period / 4
        return np.asarray(from_origin @ np.linalg.inv(self._matrix[:, :2]).T, dtype=np.float64)

    def latlon_deg(self, xy_px: Pairs) -> Float64[np.ndarray, "*batch 2"]:
        """As `Raster` says."""
        projected = np.asarray(xy_px, dtype=np.float64) @ self._matrix[:, :2].T + self._matrix[:, 2]
        transform = self._operation.from_wgs84.transform
        lon, lat = transform(projected[..., 0], projected[..., 1], direction="INVERSE")
        return np.stack([lat, _wrapped_deg(lon)], axis=-1)

    def __getstate__(self) -> dict[str, Any]:
        """Without PROJ's objects, which cannot cross processes."""
        return {name: value for name, value in self.__dict__.items() if name != "_operation"}

    @property
    def _matrix(self) -> Float64[np.ndarray, "2 3"]:
        return np.array(self.affine)

    @cached_property
    def _operation(self) -> _Operation:
        return _operation(self.crs, self.affine[0][2], self.affine[1][2])


@dataclass(frozen=True)
class MetricRaster:
    """The georeference of a north-up image in true metres: the world point of its centre, its size and pixel size."""

    center: LatLon
    width_px: int
    height_px: int
    m_per_px: float

    def xy_px(self, latlon_deg: Pairs) -> Float64[np.ndarray, "*batch 2"]:
        """As `Raster` says."""
        east_north_px = LocalFrame(self.center).xy_world_m(latlon_deg) / self.m_per_px
        return np.stack(
            [self.width_px / 2 + east_north_px[..., 0], self.height_px / 2 - east_north_px[..., 1]], axis=-1
        )

    def latlon_deg(self, xy_px: Pairs) -> Float64[np.ndarray, "*batch 2"]:
        """As `Raster` says."""
        xy = np.asarray(xy_px, dtype=np.float64)
        east_north_px = np.stack([xy[..., 0] - self.width_px / 2, self.height_px / 2 - xy[..., 1]], axis=-1)
        return LocalFrame(self.center).latlon_deg(east_north_px * self.m_per_px)


def compass_deg(yaw_rad: float, decimals: int = 2) -> float:
    """The heading clockwise from true north, from 0 to less than 360, of a yaw counter-clockwise from true east."""
    return round(degrees(pi / 2 - yaw_rad), decimals) % 360.0


def earth_centred_m(latlon_deg: Pairs) -> Float64[np.ndarray, "*batch 3"]:
    """Points of the ellipsoid in the earth-centred frame, between which distances are straight, anywhere on earth."""
    latlon = np.asarray(latlon_deg, dtype=np.float64)
    x_m, y_m, z_m = _earth_centred_from_wgs84().transform(latlon[..., 1], latlon[..., 0], np.zeros(latlon.shape[:-1]))
    return np.stack([x_m, y_m, z_m], axis=-1)


def web_mercator_m_per_px(latitude_deg: float, zoom: int, tile_px: int = 256) -> float:
    """Ground metres (of the sphere) a pixel at a zoom level; scale-2 tiles have ``tile_px`` 512."""
    return 2 * pi * EARTH_RADIUS_M * cos(radians(latitude_deg)) / (tile_px * 2.0**zoom)


@lru_cache(maxsize=1)
def _mercator_from_wgs84() -> Transformer:
    return Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)


@lru_cache(maxsize=1)
def _earth_centred_from_wgs84() -> Transformer:
    return Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)


@dataclass(frozen=True)
class _Operation:
    """The change from WGS84 to a coordinate reference system that is best around one place.

    period: what once around the earth adds to x, where x is proportional to the longitude; None elsewhere.
    """

    name: str
    from_wgs84: Transformer
    accuracy_m: float | None
    lacks_grids: bool
    period: float | None


@lru_cache(maxsize=64)
def _operation(crs: str, x: float, y: float) -> _Operation:
    """The best operation around a place of the system. Raises ValueError if there is none."""
    try:
        name = CRS.from_user_input(crs).name
        lon, lat = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(x, y, direction="INVERSE")
        if not (np.isfinite(lon) and abs(lat) <= 90):
            raise ValueError(f"{x:g}, {y:g} are no coordinates of {name}")
        lon = float(_wrapped_deg(lon))
        around = AreaOfInterest(max(lon - 0.1, -180), max(lat - 0.1, -90), min(lon + 0.1, 180), min(lat + 0.1, 90))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of grids that are not installed: `lacks_grids`
            group = TransformerGroup("EPSG:4326", crs, always_xy=True, area_of_interest=around)
    except (CRSError, ProjError) as error:
        raise ValueError("its coordinate reference system is not tied to the earth") from error
    best = group.transformers[0]
    accuracy_m = best.accuracy if best.accuracy >= 0 else None
    return _Operation(name, best, accuracy_m, not group.best_available, _period(best, lat, lon))


def _period(from_wgs84: Transformer, lat: float, lon: float) -> float | None:
    """What 360 degrees of longitude add to x, if only x changes along a parallel."""
    step_deg = 1.0
    lons = lon + np.array([0.0, step_deg, -step_deg, 30.0, -60.0, 90.0])
    x, y = from_wgs84.transform(lons, np.full(len(lons), lat), errcheck=False)
    if not (np.isfinite(x).all() and np.isfinite(y).all() and np.ptp(y) <= 1e-9 * max(1.0, float(np.abs(y).max()))):
        return None
    return float(np.abs(x[1:3] - x[0]).min()) * 360 / step_deg  # the larger one may have crossed the system's edge


def _folded(distance: F64 | float, period: float) -> F64:
    """Distances east of an image's western edge, from a quarter of the globe west of it to three quarters east."""
    from_west = np.asarray(distance, dtype=np.float64)
    return np.asarray(from_west - period * np.floor(from_west / period + 0.25))


def _wrapped_deg(longitude: F64 | float) -> F64:
    """Longitudes within +-180 degrees; those that are so already are not touched."""
    longitude_deg = np.asarray(longitude, dtype=np.float64)
    around = (longitude_deg + 180) % 360 - 180
    return np.asarray(np.where(np.abs(longitude_deg) <= 180, longitude_deg, around))
