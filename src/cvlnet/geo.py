"""WGS84, the local east-north frame, Web Mercator, and where an overhead image lies. All conversions are pyproj's.

``world`` is a local frame in metres anchored at a WGS84 point: x true east, y true north, by the azimuthal equidistant
projection: a point's direction and distance are those of the geodesic from the anchor (a tangent plane is shorter by
4 mm at 10 km).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, radians
from typing import Any

import numpy as np
import numpy.typing as npt
from pyproj import Geod, Transformer

Array = npt.NDArray[np.float64]
Points = Array | Sequence[Any]  # an array, or lists and tuples of numbers

_WGS84 = Geod(ellps="WGS84")
EARTH_RADIUS_M = 6378137.0  # of Web Mercator's sphere (EPSG:3857)


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


@dataclass(frozen=True)
class LocalFrame:
    """The world frame: metres east and north of ``anchor``."""

    anchor: LatLon

    def xy_world_m(self, latlon_deg: Points) -> Array:
        """Metres (east, north), [..., 2], of latitudes and longitudes, [..., 2]."""
        latlon = np.asarray(latlon_deg, dtype=np.float64)
        azimuth_deg, _, distance_m = _WGS84.inv(*self._anchors(latlon.shape[:-1]), latlon[..., 1], latlon[..., 0])
        azimuth_rad = np.radians(azimuth_deg)
        return np.stack([distance_m * np.sin(azimuth_rad), distance_m * np.cos(azimuth_rad)], axis=-1)

    def latlon_deg(self, xy_world_m: Points) -> Array:
        """Latitudes and longitudes, [..., 2], of metres (east, north), [..., 2]."""
        xy = np.asarray(xy_world_m, dtype=np.float64)
        azimuth_deg = np.degrees(np.arctan2(xy[..., 0], xy[..., 1]))
        distance_m = np.hypot(xy[..., 0], xy[..., 1])
        lon, lat, _ = _WGS84.fwd(*self._anchors(xy.shape[:-1]), azimuth_deg, distance_m)
        return np.stack([lat, lon], axis=-1)

    def _anchors(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """The anchor, once for each point: longitudes and latitudes."""
        return np.full(shape, self.anchor.longitude_deg), np.full(shape, self.anchor.latitude_deg)


@dataclass(frozen=True)
class MercatorRaster:
    """Where a north-up Web Mercator image lies: its north-west corner and pixel size in projected metres.

    Projected metres are 1 / cos(latitude) times longer than true ones, and not even that evenly: at 49 degrees north
    the spherical formula on ellipsoidal latitudes makes 1,000 m true north 1,001.1 and 1,000 m east 998.1.
    """

    west_m: float
    north_m: float
    pixel_m: float

    def xy_px(self, latlon_deg: Points) -> Array:
        """Pixel coordinates (x right, y down, from the image's corner), [..., 2], of latitudes and longitudes."""
        latlon = np.asarray(latlon_deg, dtype=np.float64)
        east_m, north_m = _mercator_from_wgs84().transform(latlon[..., 1], latlon[..., 0])
        return np.stack([(east_m - self.west_m) / self.pixel_m, (self.north_m - north_m) / self.pixel_m], axis=-1)

    def latlon_deg(self, xy_px: Points) -> Array:
        """Latitudes and longitudes, [..., 2], of pixel coordinates, [..., 2]."""
        xy = np.asarray(xy_px, dtype=np.float64)
        east_m, north_m = self.west_m + xy[..., 0] * self.pixel_m, self.north_m - xy[..., 1] * self.pixel_m
        lon, lat = _mercator_from_wgs84().transform(east_m, north_m, direction="INVERSE")
        return np.stack([lat, lon], axis=-1)

    @staticmethod
    def around(center: LatLon, width_px: int, height_px: int, m_per_px: float) -> MercatorRaster:
        """The raster of a picture centred at a point, ``m_per_px`` ground metres (of Web Mercator's sphere) a pixel."""
        east_m, north_m = _mercator_from_wgs84().transform(center.longitude_deg, center.latitude_deg)
        pixel_m = m_per_px / cos(radians(center.latitude_deg))
        return MercatorRaster(east_m - pixel_m * width_px / 2, north_m + pixel_m * height_px / 2, pixel_m)


@dataclass(frozen=True)
class MetricRaster:
    """Where a north-up image in true metres lies: the world point of its centre, its size and its metres a pixel."""

    center: LatLon
    width_px: int
    height_px: int
    m_per_px: float

    def xy_px(self, latlon_deg: Points) -> Array:
        """Pixel coordinates (x right, y down, from the image's corner), [..., 2], of latitudes and longitudes."""
        east_north_px = LocalFrame(self.center).xy_world_m(latlon_deg) / self.m_per_px
        return np.stack(
            [self.width_px / 2 + east_north_px[..., 0], self.height_px / 2 - east_north_px[..., 1]], axis=-1
        )

    def latlon_deg(self, xy_px: Points) -> Array:
        """Latitudes and longitudes, [..., 2], of pixel coordinates, [..., 2]."""
        xy = np.asarray(xy_px, dtype=np.float64)
        east_north_px = np.stack([xy[..., 0] - self.width_px / 2, self.height_px / 2 - xy[..., 1]], axis=-1)
        return LocalFrame(self.center).latlon_deg(east_north_px * self.m_per_px)


def earth_centred_m(latlon_deg: Points) -> Array:
    """Points of the ellipsoid in the earth-centred frame, [..., 3]: straight distances that hold anywhere on earth."""
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
