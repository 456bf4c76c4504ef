"""GeoJSON (RFC 7946): features at places on earth. Lines and areas that cross the antimeridian are cut there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import copysign
from typing import Any

import numpy as np
from shapely import LineString, MultiLineString, MultiPolygon, Polygon, clip_by_rect, union_all
from shapely.affinity import translate
from shapely.geometry import mapping
from shapely.geometry.polygon import orient

from cvlnet.arrays import Matrix2, Points
from cvlnet.ellipse import ellipse_xy_m
from cvlnet.geo import LatLon, LocalFrame

_DECIMALS = 9  # of a degree: a tenth of a millimetre
_LONGITUDES_DEG = (-360.0, 0.0, 360.0)  # how far from the usual ones a curve may reach that goes around the earth once


def feature(geometry: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    """A geometry and what is known of it."""
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def collection(features: Sequence[dict[str, Any]], **members: Any) -> dict[str, Any]:
    """A FeatureCollection; members stand beside its features."""
    return {"type": "FeatureCollection", **members, "features": list(features)}


def point(place: LatLon) -> dict[str, Any]:
    """A Point."""
    return {"type": "Point", "coordinates": [place.longitude_deg, place.latitude_deg]}


def line(places: Sequence[LatLon]) -> dict[str, Any]:
    """The way from place to place, two at least: a LineString, or a MultiLineString across the antimeridian."""
    lon_lat = _unwrapped(np.array([place.degrees for place in places]))
    return _cut(LineString(lon_lat), MultiLineString)


def ellipse(center: LatLon, covariance_m2: Matrix2 | Sequence[Any]) -> dict[str, Any]:
    """Where a place is with the probability `cvlnet.ellipse.CONFIDENCE`: a Polygon, or a MultiPolygon where it is cut.

    covariance_m2: of (east, north).
    """
    lon_lat = _unwrapped(LocalFrame(center).latlon_deg(ellipse_xy_m(covariance_m2)))
    if abs(lon_lat[-1, 0] - lon_lat[0, 0]) > 180:  # around a pole, which is the northern or southern edge of all maps
        pole = copysign(90.0, center.latitude_deg)
        lon_lat = np.concatenate([lon_lat, [[lon_lat[-1, 0], pole], [lon_lat[0, 0], pole], lon_lat[0]]])
    return _cut(Polygon(lon_lat), _areas)


def _unwrapped(latlon_deg: Points) -> Points:
    """Longitudes and latitudes of a curve, without the jumps of the longitude at the antimeridian."""
    lon, lat = np.unwrap(latlon_deg[:, 1], period=360.0), latlon_deg[:, 0]
    return np.stack([lon, lat], axis=-1).round(_DECIMALS)


def _cut(shape: LineString | Polygon, joined: Callable[[list[Any]], Any]) -> dict[str, Any]:
    """The geometry of a shape, in parts that lie between -180 and 180 degrees."""
    west, _, east, _ = shape.bounds
    if west >= -180 and east <= 180:
        return _geometry(shape)
    parts = []
    for turn_deg in _LONGITUDES_DEG:
        part = clip_by_rect(translate(shape, xoff=turn_deg), -180, -90, 180, 90)
        parts += [piece for piece in getattr(part, "geoms", [part]) if piece.length]
    return _geometry(parts[0] if len(parts) == 1 else joined(parts))


def _areas(parts: list[Polygon]) -> Polygon | MultiPolygon:
    """Areas as one, which have edges in common where the earth was gone around."""
    whole = union_all(parts)
    if isinstance(whole, MultiPolygon):
        return MultiPolygon([orient(part) for part in whole.geoms])
    assert isinstance(whole, Polygon)
    return orient(whole)


def _geometry(shape: LineString | Polygon | MultiLineString | MultiPolygon) -> dict[str, Any]:
    found = mapping(shape)
    return {"type": found["type"], "coordinates": _lists(found["coordinates"])}


def _lists(coordinates: Any) -> Any:
    return [_lists(part) for part in coordinates] if isinstance(coordinates, tuple | list) else coordinates
