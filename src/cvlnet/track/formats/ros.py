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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from cvlnet.geo import LocalFrame
from cvlnet.io.files import folder_written_whole, written_whole
from cvlnet.io.outputs import plain
from cvlnet.track.formats.clock import Clock
from cvlnet.track.formats.ros_messages import RosMessages
from cvlnet.track.formats.stretches import stretches
from cvlnet.track.types import Trajectory

_FIX, _POSE, _SMOOTH, _ORIGIN, _CREDIT = "/fix", "/pose", "/smooth_pose", "/map_origin", "/credit"
TOPICS = {
    _FIX: "sensor_msgs/msg/NavSatFix",
    _POSE: "geometry_msgs/msg/PoseWithCovarianceStamped",
    _SMOOTH: "geometry_msgs/msg/PoseStamped",
    _ORIGIN: "sensor_msgs/msg/NavSatFix",
    _CREDIT: "std_msgs/msg/String",
}
_VERSION: Literal[8] = 8  # of rosbag2's folders: the newest whose qualities of service ROS 2 Humble reads

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
    make = RosMessages(store.types, ros1=ros1)
    origin = next((place for stretch in stretches(trajectory) for _, place in stretch), None)
    frame = None if origin is None else LocalFrame(origin)
    for number, fix in enumerate(trajectory.fixes):
        stamp_ns = clock.stamp_ns(fix.time_s)
        if number == 0 and trajectory.credit is not None:
            yield _CREDIT, stamp_ns, make.text(plain(trajectory.credit))
        if number == 0 and origin is not None:
            yield _ORIGIN, stamp_ns, make.origin(stamp_ns, origin)
        yield _FIX, stamp_ns, make.fix(stamp_ns, fix)
        if frame is None:
            continue
        if (pose := make.pose(stamp_ns, frame, fix)) is not None:
            yield _POSE, stamp_ns, pose
        if (smooth := make.smooth_pose(stamp_ns, frame, fix)) is not None:
            yield _SMOOTH, stamp_ns, smooth
