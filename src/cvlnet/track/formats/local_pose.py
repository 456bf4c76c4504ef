"""Poses in one local frame for a whole drive."""

from __future__ import annotations

from math import atan2, cos, sin

from cvlnet.geo import LatLon, LocalFrame


def local_pose(frame: LocalFrame, place: LatLon, yaw_rad: float) -> tuple[float, float, float]:
    """Metres east and north of the frame's anchor, and the heading from its x axis, of a heading from true east.

    The two headings differ by the convergence of the meridians: 0.1 degrees 10 km east of the anchor, at 49 degrees.
    """
    ahead = LocalFrame(place).latlon_deg((cos(yaw_rad), sin(yaw_rad)))
    (east_m, north_m), (ahead_east_m, ahead_north_m) = frame.xy_world_m([place.degrees, ahead.tolist()]).tolist()
    return east_m, north_m, atan2(ahead_north_m - north_m, ahead_east_m - east_m)
