"""Parts of a map in which places are sought: a circle, or a polygon. Metres (east, north) in the map's frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import shapely
from jaxtyping import Bool, Float64

from cvlnet.arrays import F64

Bounds = tuple[float, float, float, float]  # west, south, east and north, in metres


@runtime_checkable
class Area(Protocol):
    """A part of the map."""

    @property
    def bounds_m(self) -> Bounds:
        """West, south, east and north of it, in metres."""

    def contains(
        self, east_m: Float64[np.ndarray, " cols"], north_m: Float64[np.ndarray, " rows"]
    ) -> Bool[np.ndarray, "rows cols"]:
        """Which points of a lattice lie in it; points on its edge do."""

    def grown(self, margin_m: float) -> Area:
        """The part with all that lies within a distance of it."""


@dataclass(frozen=True)
class Circle:
    """All within ``radius_m`` of a place. Raises ValueError unless all are finite and the radius is positive."""

    center_xy_m: tuple[float, float]
    radius_m: float

    def __post_init__(self) -> None:
        if not (np.isfinite([*self.center_xy_m, self.radius_m]).all() and self.radius_m > 0):
            raise ValueError(f"a circle has a place and a positive radius, not {self.center_xy_m}, {self.radius_m}")

    @property
    def bounds_m(self) -> Bounds:
        """As `Area` says."""
        (east_m, north_m), radius_m = self.center_xy_m, self.radius_m
        return east_m - radius_m, north_m - radius_m, east_m + radius_m, north_m + radius_m

    def contains(self, east_m: F64, north_m: F64) -> Bool[np.ndarray, "rows cols"]:
        """As `Area` says."""
        center_east_m, center_north_m = self.center_xy_m
        squared_m2 = (east_m - center_east_m) ** 2 + ((north_m - center_north_m) ** 2)[:, None]
        inside: Bool[np.ndarray, "rows cols"] = squared_m2 <= self.radius_m**2
        return inside

    def grown(self, margin_m: float) -> Circle:
        """As `Area` says."""
        return Circle(self.center_xy_m, self.radius_m + margin_m)


@dataclass(frozen=True)
class Outline:
    """What lies within a polygon, or several. Raises ValueError if it is empty, or its edges cross."""

    polygon: shapely.Polygon | shapely.MultiPolygon

    def __post_init__(self) -> None:
        if self.polygon.is_empty or not self.polygon.is_valid:
            raise ValueError(f"the polygon is empty or not valid: {shapely.is_valid_reason(self.polygon)}")

    @staticmethod
    def box(west_m: float, south_m: float, east_m: float, north_m: float) -> Outline:
        """A rectangle. Raises ValueError unless west is less than east and south less than north."""
        if not (west_m < east_m and south_m < north_m):
            raise ValueError(f"no box: {west_m} to {east_m} m east, {south_m} to {north_m} m north")
        return Outline(shapely.box(west_m, south_m, east_m, north_m))

    @property
    def bounds_m(self) -> Bounds:
        """As `Area` says."""
        west_m, south_m, east_m, north_m = self.polygon.bounds
        return west_m, south_m, east_m, north_m

    def contains(self, east_m: F64, north_m: F64) -> Bool[np.ndarray, "rows cols"]:
        """As `Area` says."""
        shapely.prepare(self.polygon)
        inside: Bool[np.ndarray, "rows cols"] = shapely.intersects_xy(self.polygon, *np.meshgrid(east_m, north_m))
        return inside

    def grown(self, margin_m: float) -> Outline:
        """As `Area` says."""
        return Outline(self.polygon.buffer(margin_m))
