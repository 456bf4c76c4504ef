"""Plane curves as polylines in metres: arc length, resampling, offsets, pieces, ribbons."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from shapely.geometry import Polygon

from cvlnet.arrays import Points


def arc_length_m(xy_m: Float64[np.ndarray, "points 2"]) -> Float64[np.ndarray, " points"]:
    """Arc length at every point, 0 at the first."""
    steps_m = np.hypot(*np.diff(xy_m, axis=0).T)
    return np.concatenate([[0.0], np.cumsum(steps_m)])


def length_m(xy_m: Points) -> float:
    """Length of a curve."""
    return float(arc_length_m(xy_m)[-1])


def points_at(xy_m: Points, s_m: Float64[np.ndarray, "*ways"] | float) -> Float64[np.ndarray, "*ways 2"]:
    """Points at the arc lengths ``s_m``, clamped to the ends of the curve."""
    s = arc_length_m(xy_m)
    return np.stack([np.interp(s_m, s, xy_m[:, 0]), np.interp(s_m, s, xy_m[:, 1])], axis=-1)


def cut(xy_m: Points, from_m: float, to_m: float) -> Points:
    """The piece of a curve between two arc lengths; the points in between are kept."""
    s = arc_length_m(xy_m)
    inner = xy_m[(s > from_m + 1e-6) & (s < to_m - 1e-6)]
    return np.vstack([points_at(xy_m, from_m)[None], inner, points_at(xy_m, to_m)[None]])


def resample(xy_m: Points, step_m: float) -> Points:
    """Evenly spaced points, about ``step_m`` apart, both ends included."""
    length = length_m(xy_m)
    return points_at(xy_m, np.linspace(0, length, max(2, round(length / step_m) + 1)))


def tangents(xy_m: Float64[np.ndarray, "points 2"]) -> Float64[np.ndarray, "points 2"]:
    """Unit tangents at the points."""
    direction = np.gradient(xy_m, axis=0)
    return np.asarray(direction / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-12))


def left_normals(xy_m: Float64[np.ndarray, "points 2"]) -> Float64[np.ndarray, "points 2"]:
    """Unit normals at the points, to the left of the tangents."""
    t = tangents(xy_m)
    return np.stack([-t[:, 1], t[:, 0]], axis=-1)


def offset(
    xy_m: Float64[np.ndarray, "points 2"], left_m: float | Float64[np.ndarray, " points"]
) -> Float64[np.ndarray, "points 2"]:
    """The curve shifted to its left by ``left_m`` (negative: to its right), one value for all points or one each."""
    return np.asarray(xy_m + left_normals(xy_m) * np.asarray(left_m).reshape(-1, 1))


def ribbon(xy_m: Points, left_m: float, right_m: float) -> Polygon:
    """The area from ``left_m`` left to ``right_m`` right of a curve; negative values lie on the other side."""
    return Polygon(np.vstack([offset(xy_m, -right_m), offset(xy_m, left_m)[::-1]])).buffer(0)


def yaws_rad(xy_m: Float64[np.ndarray, "points 2"]) -> Float64[np.ndarray, " points"]:
    """Yaw of the tangents at the points."""
    t = tangents(xy_m)
    return np.asarray(np.arctan2(t[:, 1], t[:, 0]))


def dashes(xy_m: Points, dash_m: float, gap_m: float, start_m: float = 0.0) -> list[Points]:
    """Dashes along a curve, ``dash_m`` long with gaps of ``gap_m``."""
    length = length_m(xy_m)
    starts = np.arange(start_m, length - dash_m * 0.4, dash_m + gap_m)
    return [cut(xy_m, s, min(s + dash_m, length)) for s in starts]
