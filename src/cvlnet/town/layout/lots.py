"""Divides blocks into plots. A plot's frame has x along the street front, y into the plot, origin mid-front."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float64
from shapely.geometry import LineString, Polygon

from cvlnet.arrays import Corners, Points, Xy
from cvlnet.town.polygons import envelope_corners, polygons

TWO_ROWS_M = 36.0  # blocks deeper than this have plots on both sides
SMALLEST_PLOT_M2 = 90.0
FRONT_INSETS = (0.12, 0.3, 0.42)  # tried in turn: shares of a plot's width at which its front is located


@dataclass(frozen=True)
class Frame:
    """A right-handed coordinate frame in the plane."""

    origin_m: Xy
    along: Xy  # unit vector of the x axis

    def world(self, xy_m: Float64[np.ndarray, "*places 2"]) -> Float64[np.ndarray, "*places 2"]:
        """World coordinates of points given in this frame."""
        xy = np.asarray(xy_m, dtype=np.float64)
        inward = np.array([-self.along[1], self.along[0]])
        return np.asarray(self.origin_m + xy[..., :1] * self.along + xy[..., 1:] * inward)

    def local(self, xy_world_m: Float64[np.ndarray, "*places 2"]) -> Float64[np.ndarray, "*places 2"]:
        """Coordinates in this frame of points given in the world."""
        inward = np.array([-self.along[1], self.along[0]])
        return np.asarray((np.asarray(xy_world_m) - self.origin_m) @ np.stack([self.along, inward], axis=1))

    def rectangle(self, x0: float, x1: float, y0: float, y1: float) -> Corners:
        """World corners of a rectangle, counter-clockwise from (x0, y0)."""
        return self.world(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]))

    def line(self, *points: tuple[float, float]) -> Points:
        """A polyline in world coordinates."""
        return self.world(np.array(points, dtype=np.float64))

    def turned(self, x: float, y: float) -> Frame:
        """A frame at a point of this one, turned left by a right angle."""
        return Frame(self.world(np.array([x, y])), np.array([-self.along[1], self.along[0]]))

    @property
    def yaw_rad(self) -> float:
        """Direction of the x axis in the world."""
        return float(np.arctan2(self.along[1], self.along[0]))

    def place(self, x: float, y: float) -> tuple[float, float]:
        """World coordinates of one point."""
        east, north = self.world(np.array([x, y]))
        return float(east), float(north)


@dataclass(frozen=True)
class Plot:
    """A plot with its frame, the width of its front, and its depth."""

    polygon: Polygon
    frame: Frame
    width_m: float
    depth_m: float


def long_frame(polygon: Polygon) -> tuple[Frame, float, float]:
    """Frame of a polygon's oriented envelope (origin at a corner, x along the long side), its length and depth."""
    box = envelope_corners(polygon)
    lengths = np.hypot(*(np.roll(box, -1, axis=0) - box).T)
    first = int(np.argmax(lengths[:2]))
    start, end = box[first], box[(first + 1) % 4]
    return Frame(start, (end - start) / lengths[first]), float(lengths[first]), float(lengths[1 - first])


def cut_plots(polygon: Polygon, rng: np.random.Generator, width_m: tuple[float, float]) -> list[Plot]:
    """Plots of random widths, in one or two rows along the block's long sides."""
    frame, length, depth = long_frame(polygon)
    middle = depth * rng.uniform(0.44, 0.56)
    rows = [(0.0, middle), (middle, depth)] if depth > TWO_ROWS_M else [(0.0, depth)]
    plots = []
    for low, high in rows:
        x = 0.0
        while x < length - 4:
            wide = rng.uniform(*width_m)
            end = length if length - x - wide < width_m[0] * 0.7 else x + wide
            piece = polygon.intersection(Polygon(frame.rectangle(x, end, low - 1, high + (1 if high == depth else 0))))
            parts = polygons(piece)
            if parts:
                plot = _fronted(max(parts, key=lambda p: p.area), frame, (x, end), upper=low > 0)
                if plot is not None:
                    plots.append(plot)
            x = end
    return plots


def _fronted(piece: Polygon, frame: Frame, between: tuple[float, float], *, upper: bool) -> Plot | None:
    """A plot whose front is the piece's border on the street side of its row."""
    if piece.area < SMALLEST_PLOT_M2:
        return None
    border = np.asarray(piece.exterior.coords)
    ends = next(filter(None, (_front_ends(piece, frame, between, share, upper=upper) for share in FRONT_INSETS)), None)
    if ends is None:
        return None
    a, b = (ends[1], ends[0]) if upper else (ends[0], ends[1])
    along = (b - a) / max(float(np.hypot(*(b - a))), 1e-6)
    own = Frame((a + b) / 2, along)
    depth = float(own.local(border)[:, 1].max())
    return Plot(piece, own, _front_width(piece, own), depth)


def _front_ends(
    piece: Polygon, frame: Frame, between: tuple[float, float], inset: float, *, upper: bool
) -> tuple[Xy, Xy] | None:
    """Two points of the street side, inset by a share of the width; None if the piece does not reach them."""
    ends = []
    for x in (between[0] + inset * (between[1] - between[0]), between[1] - inset * (between[1] - between[0])):
        cut = piece.intersection(LineString(frame.rectangle(x, x, -500.0, 500.0)[[0, 2]]))
        if cut.is_empty:
            return None
        y = frame.local(shapely.get_coordinates(cut))[:, 1]
        ends.append(frame.world(np.array([x, y.max() if upper else y.min()])))
    return ends[0], ends[1]


def _front_width(piece: Polygon, own: Frame) -> float:
    """Width of a plot 3 m behind its front, symmetric about its origin."""
    cut = piece.intersection(LineString(own.line((-200.0, 3.0), (200.0, 3.0))))
    if cut.is_empty:
        return 0.0
    x = own.local(shapely.get_coordinates(cut))[:, 0]
    return float(2 * min(-x.min(), x.max()))


def fits(polygon: Polygon, corners_m: Points, margin_m: float) -> bool:
    """Whether a shape lies within a polygon with a margin."""
    return bool(polygon.buffer(-margin_m).contains(Polygon(corners_m)))
