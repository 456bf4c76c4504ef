"""Fixes as messages of ROS."""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, nan, sin
from typing import Any

import numpy as np

from cvlnet.arrays import F64
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.track.formats.local_pose import local_pose
from cvlnet.track.formats.stretches import place_of
from cvlnet.track.types import TrackFix

MAP, VEHICLE = "map", "base_link"  # frames by their names in ROS (REP 105)
_EAST_NORTH_YAW = np.ix_((0, 1, 5), (0, 1, 5))  # of x, y, z and the rotations about them
_UP_M2 = 1e6  # variance of an altitude that is not known
_UNKNOWN, _KNOWN = 0, 3  # types of covariance
_NO_FIX, _HAS_FIX = -1, 0


class RosMessages:
    """Makes messages. types: their classes by name, such as "sensor_msgs/msg/NavSatFix", of rosbags or of rclpy.

    Poses lie in the plane of the frame "map": z, roll and pitch are 0, and have no variance. An altitude is not known:
    it is NaN, with a standard deviation of a kilometre.
    """

    def __init__(self, types: Mapping[str, Any], *, ros1: bool = False) -> None:
        self.types = types
        self._numbered = {"seq": 0} if ros1 else {}

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """A header. stamp_ns: since 1970, or of a simulation."""
        sec, nanosec = divmod(stamp_ns, 10**9)
        stamp = self.types["builtin_interfaces/msg/Time"](sec=sec, nanosec=nanosec)
        return self.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id, **self._numbered)

    def text(self, text: str) -> Any:
        """A String."""
        return self.types["std_msgs/msg/String"](data=text)

    def origin(self, stamp_ns: int, origin: LatLon) -> Any:
        """The place of the frame "map", as NavSatFix."""
        return self._nav_sat_fix(stamp_ns, MAP, origin, None, _HAS_FIX)

    def fix(self, stamp_ns: int, fix: TrackFix) -> Any:
        """A NavSatFix: with status NO_FIX unless the vehicle is tracked, and NaN without a place."""
        covariance = None if fix.position is None else fix.covariance
        status = _HAS_FIX if place_of(fix) else _NO_FIX
        return self._nav_sat_fix(stamp_ns, VEHICLE, fix.position, covariance, status)

    def pose(self, stamp_ns: int, frame: LocalFrame, fix: TrackFix) -> Any | None:
        """The tracked pose as PoseWithCovarianceStamped; None unless the vehicle is tracked. frame: "map"."""
        place = place_of(fix)
        if place is None or fix.yaw_rad is None or fix.covariance is None:
            return None
        pose = self.types["geometry_msgs/msg/PoseWithCovariance"](
            pose=self._pose(frame, place, fix.yaw_rad), covariance=_six_by_six(fix.covariance).reshape(-1)
        )
        kind = self.types["geometry_msgs/msg/PoseWithCovarianceStamped"]
        return kind(header=self.header(stamp_ns, MAP), pose=pose)

    def smooth_pose(self, stamp_ns: int, frame: LocalFrame, fix: TrackFix) -> Any | None:
        """The pose without jumps as PoseStamped; None before the vehicle was found."""
        if fix.smooth_position is None or fix.smooth_yaw_rad is None:
            return None
        pose = self._pose(frame, fix.smooth_position, fix.smooth_yaw_rad)
        return self.types["geometry_msgs/msg/PoseStamped"](header=self.header(stamp_ns, MAP), pose=pose)

    def turn(self, yaw_rad: float) -> Any:
        """A Quaternion: a rotation about z."""
        kind = self.types["geometry_msgs/msg/Quaternion"]
        return kind(x=0.0, y=0.0, z=sin(yaw_rad / 2), w=cos(yaw_rad / 2))

    def _pose(self, frame: LocalFrame, place: LatLon, yaw_rad: float) -> Any:
        east_m, north_m, yaw_rad = local_pose(frame, place, yaw_rad)
        position = self.types["geometry_msgs/msg/Point"](x=east_m, y=north_m, z=0.0)
        return self.types["geometry_msgs/msg/Pose"](position=position, orientation=self.turn(yaw_rad))

    def _nav_sat_fix(
        self, stamp_ns: int, frame_id: str, place: LatLon | None, covariance: F64 | None, status: int
    ) -> Any:
        latitude_deg, longitude_deg = place.degrees if place else (nan, nan)
        matrix = np.zeros((3, 3))
        if covariance is not None:
            matrix[:2, :2], matrix[2, 2] = covariance[:2, :2], _UP_M2
        return self.types["sensor_msgs/msg/NavSatFix"](
            header=self.header(stamp_ns, frame_id),
            status=self.types["sensor_msgs/msg/NavSatStatus"](status=status, service=0),
            latitude=latitude_deg,
            longitude=longitude_deg,
            altitude=nan,
            position_covariance=matrix.reshape(-1),
            position_covariance_type=_UNKNOWN if covariance is None else _KNOWN,
        )


def _six_by_six(covariance: F64) -> F64:
    """The covariance of x, y, z and the rotations about them, from that of east, north and yaw."""
    matrix = np.zeros((6, 6))
    matrix[_EAST_NORTH_YAW] = covariance
    return matrix
