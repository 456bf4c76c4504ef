"""Operations on shapely geometries: parts, borders, envelopes, random points."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry import Point, Polygon
from shapely.geometry.base import BaseGeometry

from cvlnet.arrays import Corners, Points


def polygons(area: BaseGeometry) -> list[Polygon]:
    """The non-empty polygons of a geometry."""
    if isinstance(area, Polygon):
        return [] if area.is_empty else [area]
    return [p for part in getattr(area, "geoms", ()) for p in polygons(part)]


def largest(area: BaseGeometry) -> Polygon | None:
    """The largest polygon of a geometry, or None if there is none."""
    return max(polygons(area), key=lambda p: float(p.area), default=None)


def border_line(area: BaseGeometry, inset_m: float = 0.0) -> Points | None:
    """Closed outer border, counter-clockwise, of an area's largest part after an inset; None if nothing is left."""
    part = largest(area.buffer(-inset_m) if inset_m else area)
    if part is None:
        return None
    points = np.asarray(part.exterior.coords, dtype=np.float64)[:, :2]
    return points if part.exterior.is_ccw else points[::-1]


def envelope_corners(polygon: Polygon) -> Corners:
    """Corners of the smallest oriented rectangle around a polygon, counter-clockwise."""
    ring = border_line(shapely.oriented_envelope(polygon))
    assert ring is not None
    return ring[:4]


def rectangle(
    length_m: float, width_m: float, center_m: tuple[float, float] = (0.0, 0.0), yaw_rad: float = 0.0
) -> Corners:
    """Corners of an oriented rectangle, counter-clockwise."""
    x, y = length_m / 2, width_m / 2
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    corners = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
    return np.asarray(corners @ np.array([[cos, sin], [-sin, cos]]) + center_m)


def random_points(
    area: BaseGeometry, rng: np.random.Generator, count: int, apart_m: float
) -> list[tuple[float, float]]:
    """Up to ``count`` random points in an area, at least ``apart_m`` apart."""
    if area.is_empty or count < 1:
        return []
    west, south, east, north = area.bounds
    candidates = rng.uniform((west, south), (east, north), (count * 6, 2))
    shapely.prepare(area)
    found: list[tuple[float, float]] = []
    for x, y in candidates[shapely.contains_xy(area, candidates)]:
        if len(found) == count:
            break
        if not any((x - a) ** 2 + (y - b) ** 2 < apart_m**2 for a, b in found):
            found.append((float(x), float(y)))
    return found


def place_within(area: BaseGeometry) -> tuple[float, float]:
    """Some point within an area."""
    point: Point = area.representative_point()
    return float(point.x), float(point.y)
