"""ROS bags: a file of ROS 1 (.bag), a folder of ROS 2 (.rosbag2), or MCAP (.mcap). Needs the extra ``ros``.

Topics, the same in all of them:

    /fix            sensor_msgs/NavSatFix, each fix: status NO_FIX unless it is tracked, NaN without a place
    /pose           geometry_msgs/PoseWithCovarianceStamped, each tracked fix
    /smooth_pose    geometry_msgs/PoseStamped, the pose without jumps
    /map_origin     sensor_msgs/NavSatFix, once: where the frame "map" has its origin
    /credit         std_msgs/String, once: of the imagery

The frame "map" is metres east and north of the first tracked place. Poses lie in its plane: z, roll and pitch are 0,
and have no variance. The altitude is not known: it is NaN, with a standard deviation of a kilometre.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, nan, sin
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from cvlnet.arrays import F64
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.io.files import folder_written_whole, written_whole
from cvlnet.io.outputs import plain
from cvlnet.track.formats.clock import Clock
from cvlnet.track.formats.local_pose import local_pose
from cvlnet.track.formats.stretches import place_of, stretches
from cvlnet.track.types import Trajectory

_FIX, _POSE, _SMOOTH, _ORIGIN, _CREDIT = "/fix", "/pose", "/smooth_pose", "/map_origin", "/credit"
TOPICS = {
    _FIX: "sensor_msgs/msg/NavSatFix",
    _POSE: "geometry_msgs/msg/PoseWithCovarianceStamped",
    _SMOOTH: "geometry_msgs/msg/PoseStamped",
    _ORIGIN: "sensor_msgs/msg/NavSatFix",
    _CREDIT: "std_msgs/msg/String",
}
MAP, VEHICLE = "map", "base_link"
_VERSION: Literal[8] = 8  # of rosbag2's folders: the newest whose qualities of service ROS 2 Humble reads
_EAST_NORTH_YAW = np.ix_((0, 1, 5), (0, 1, 5))  # of x, y, z and the rotations about them
_UP_M2 = 1e6  # variance of an altitude that is not known
_UNKNOWN, _KNOWN = 0, 3  # types of covariance
_NO_FIX, _HAS_FIX = -1, 0

Message = tuple[str, int, Any]  # topic, nanoseconds since 1970, message


def write_bag(trajectory: Trajectory, path: Path, clock: Clock) -> None:
    """Write a bag of ROS 1."""
    store = get_typestore(Stores.ROS1_NOETIC)
    with written_whole(path) as temporary:
        temporary.unlink()  # the writer makes new files only
        with Writer1(temporary) as bag:
            connections = {topic: bag.add_connection(topic, kind, typestore=store) for topic, kind in TOPICS.items()}
            for topic, stamp_ns, message in _messages(trajectory, clock, store, ros1=True):
                bag.write(connections[topic], stamp_ns, store.serialize_ros1(message, TOPICS[topic]))


def write_rosbag2(trajectory: Trajectory, path: Path, clock: Clock) -> None:
    """Write a folder with a bag of ROS 2 in SQLite. Raises InputError if the folder is there already."""
    with folder_written_whole(path) as folder:
        _write_ros2(trajectory, folder, clock, StoragePlugin.SQLITE3)


def write_mcap(trajectory: Trajectory, path: Path, clock: Clock) -> None:
    """Write a file of MCAP with messages of ROS 2."""
    with written_whole(path) as temporary, TemporaryDirectory(dir=path.parent, prefix=temporary.stem) as folder:
        bag = Path(folder) / "bag"
        _write_ros2(trajectory, bag, clock, StoragePlugin.MCAP)
        (bag / "bag.mcap").replace(temporary)


def _write_ros2(trajectory: Trajectory, folder: Path, clock: Clock, storage: StoragePlugin) -> None:
    store = get_typestore(Stores.ROS2_HUMBLE)
    with Writer2(folder, version=_VERSION, storage_plugin=storage) as bag:
        connections = {topic: bag.add_connection(topic, kind, typestore=store) for topic, kind in TOPICS.items()}
        for topic, stamp_ns, message in _messages(trajectory, clock, store, ros1=False):
            bag.write(connections[topic], stamp_ns, store.serialize_cdr(message, TOPICS[topic]))


def _messages(trajectory: Trajectory, clock: Clock, store: Typestore, *, ros1: bool) -> Iterator[Message]:
    types = store.types
    origin = next((place for stretch in stretches(trajectory) for _, place in stretch), None)
    frame = None if origin is None else LocalFrame(origin)

    def header(stamp_ns: int, frame_id: str) -> Any:
        stamp = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
        numbered = {"seq": 0} if ros1 else {}
        return types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id, **numbered)

    def nav_sat_fix(stamp_ns: int, frame_id: str, place: LatLon | None, covariance: F64 | None, status: int) -> Any:
        latitude_deg, longitude_deg = place.degrees if place else (nan, nan)
        matrix = np.zeros((3, 3))
        if covariance is not None:
            matrix[:2, :2], matrix[2, 2] = covariance[:2, :2], _UP_M2
        return types["sensor_msgs/msg/NavSatFix"](
            header(stamp_ns, frame_id),
            types["sensor_msgs/msg/NavSatStatus"](status, 0),
            latitude_deg,
            longitude_deg,
            nan,
            matrix.reshape(-1),
            _UNKNOWN if covariance is None else _KNOWN,
        )

    def pose(frame: LocalFrame, place: LatLon, yaw_rad: float) -> Any:
        east_m, north_m, yaw_rad = local_pose(frame, place, yaw_rad)
        position = types["geometry_msgs/msg/Point"](east_m, north_m, 0.0)
        rotation = types["geometry_msgs/msg/Quaternion"](0.0, 0.0, sin(yaw_rad / 2), cos(yaw_rad / 2))
        return types["geometry_msgs/msg/Pose"](position, rotation)

    for number, fix in enumerate(trajectory.fixes):
        stamp_ns, place = clock.stamp_ns(fix.time_s), place_of(fix)
        if number == 0 and trajectory.credit is not None:
            yield _CREDIT, stamp_ns, types["std_msgs/msg/String"](plain(trajectory.credit))
        if number == 0 and origin is not None:
            yield _ORIGIN, stamp_ns, nav_sat_fix(stamp_ns, MAP, origin, None, _HAS_FIX)
        covariance = None if fix.position is None else fix.covariance
        status = _HAS_FIX if place else _NO_FIX
        yield _FIX, stamp_ns, nav_sat_fix(stamp_ns, VEHICLE, fix.position, covariance, status)
        if frame is None:
            continue
        if place is not None and fix.yaw_rad is not None and fix.covariance is not None:
            with_covariance = types["geometry_msgs/msg/PoseWithCovariance"](
                pose(frame, place, fix.yaw_rad), _six_by_six(fix.covariance).reshape(-1)
            )
            stamped = types["geometry_msgs/msg/PoseWithCovarianceStamped"](header(stamp_ns, MAP), with_covariance)
            yield _POSE, stamp_ns, stamped
        if fix.smooth_position is not None and fix.smooth_yaw_rad is not None:
            smooth = pose(frame, fix.smooth_position, fix.smooth_yaw_rad)
            yield _SMOOTH, stamp_ns, types["geometry_msgs/msg/PoseStamped"](header(stamp_ns, MAP), smooth)


def _six_by_six(covariance: F64) -> F64:
    """The covariance of x, y, z and the rotations about them, from that of east, north and yaw."""
    matrix = np.zeros((6, 6))
    matrix[_EAST_NORTH_YAW] = covariance
    return matrix
