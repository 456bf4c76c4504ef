"""A drive from a ROS bag: pictures, calibration, odometry and positions, all by the times of their headers.

Needs the extra ``ros``: pip install 'cvlnet[ros]'.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from cvlnet.data.bag_camera import bag_camera, static_transforms
from cvlnet.data.bag_messages import Bag, open_bag
from cvlnet.data.camera_file import CameraFile, read_camera_file
from cvlnet.data.journey import KnownPlace, Picture
from cvlnet.data.odometry import OdometryPose, odometry_of
from cvlnet.data.odometry_files import thinned
from cvlnet.data.poses import is_unit
from cvlnet.data.poses_recording import recording_of
from cvlnet.data.poses_tum import upright_poses
from cvlnet.data.positions_csv import plausible_places
from cvlnet.data.recording import MountedCamera
from cvlnet.data.ros_camera import body_from, frame_name, poses_of_body, require_upward
from cvlnet.data.ros_messages import picture_of, place_of, stamp_s
from cvlnet.data.synchronize import Pictures
from cvlnet.errors import InputError, warn
from cvlnet.geometry import Pose

_RAW, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_ODOMETRY, _FIX = "nav_msgs/msg/Odometry", "sensor_msgs/msg/NavSatFix"
_MOST_MESSAGES = 2_000_000  # of odometry, or of positions
_LATE_PICTURES = 8  # that may come before one that was taken earlier
_LATE_S = 1.0  # by which odometry may come late
_NO_STAMPS = "record the bag with times in its headers"


@dataclass(frozen=True)
class BagTopics:
    """Which topics of a bag are read; None: the only one of its kind. gps: none is needed."""

    image: str | None = None
    camera_info: str | None = None
    odometry: str | None = None
    gps: str | None = None


@dataclass(frozen=True)
class BagDrive:
    """What a bag holds of a drive. odometry_name: where the odometry is from, for messages."""

    pictures: Pictures
    odometry: tuple[OdometryPose, ...]
    odometry_name: str
    places: tuple[KnownPlace, ...]


def read_bag(
    path: Path,
    topics: BagTopics = BagTopics(),
    *,
    camera_path: Path | None = None,
    height_m: float | None = None,
    pitch_deg: float | None = None,
    time_offset_s: float = 0.0,
) -> BagDrive:
    """The drive of a bag. Times are those of the headers, in seconds; ``time_offset_s`` is added to the pictures'.

    Messages of odometry that came late, by up to a second, are put in order, and so are up to 8 pictures.
    camera_path: camera.json instead of the bag's calibration and transforms. height_m, pitch_deg: of the camera's
    mounting, see `cvlnet.data.bag_camera.bag_camera`.
    Raises InputError if the bag is damaged, if a topic is missing or not the only one, as `bag_camera` does, and as the
    poses of TUM's files do; while pictures are read, if they are damaged, of another size than the calibration, or too
    much out of order.
    """
    bag = open_bag(path)
    image_topic = bag.chosen([_RAW, _COMPRESSED], topics.image, "--image-topic", "pictures")
    odometry_topic = bag.chosen([_ODOMETRY], topics.odometry, "--odometry-topic", "odometry")
    first = next(bag.messages(image_topic), None)
    if first is None:
        raise InputError(f"has no pictures on {image_topic}", where=path, remedy="choose another by --image-topic")
    if camera_path is None:
        camera = bag_camera(bag, image_topic, first.header.frame_id, topics.camera_info, height_m, pitch_deg)
    else:
        camera = read_camera_file(camera_path)
    taken = partial(_taken, bag, image_topic, camera.mounted, time_offset_s)
    begin_s, end_s = stamp_s(first), _last_s(bag, image_topic, stamp_s(first))
    pictures = Pictures(str(path), camera.mounted, taken, begin_s + time_offset_s, end_s + time_offset_s)
    odometry = _odometry(bag, odometry_topic, camera)
    return BagDrive(pictures, odometry, f"{path}, {odometry_topic}", _places(bag, topics.gps))


def _taken(bag: Bag, topic: str, camera: MountedCamera, time_offset_s: float) -> Iterator[tuple[int, float, Picture]]:
    """The pictures by rising time."""
    waiting: list[tuple[float, int, Any]] = []
    before_s, index = float("-inf"), 0

    def earliest() -> tuple[int, float, Picture]:
        time_s, number, message = heappop(waiting)
        where = f"{bag.path}, picture {number} of {topic}"
        if time_s < before_s:
            what = f"was taken before {_LATE_PICTURES} pictures that come before it"
            raise InputError(what, where=where, remedy="sort the bag by the times of its headers")
        return index, time_s + time_offset_s, picture_of(message, camera, where)

    def in_order() -> Iterator[tuple[int, float, Picture]]:
        for number, message in enumerate(bag.messages(topic)):
            heappush(waiting, (stamp_s(message), number, message))
            if len(waiting) > _LATE_PICTURES:
                yield earliest()
        while waiting:
            yield earliest()

    for taken in in_order():
        yield taken
        before_s, index = taken[1] - time_offset_s, index + 1


def _last_s(bag: Bag, topic: str, first_s: float) -> float:
    """The time of the last picture; only the end of the bag is read, as far back as necessary."""
    for back_ns in (2 * 10**9, 60 * 10**9, None):
        since_ns = None if back_ns is None else max(bag.end_ns - back_ns, 0)
        times_s = [stamp_s(message) for message in bag.messages(topic, since_ns)]
        if times_s:
            return max(times_s)
    return first_s


def _odometry(bag: Bag, topic: str, camera: CameraFile) -> tuple[OdometryPose, ...]:
    """The relative motion by rising time."""
    rows, frames = list[tuple[float, ...]](), set[tuple[str, str]]()
    for message in _bounded(bag, topic):
        rows.append(_row(message.pose.pose, stamp_s(message)))
        frames.add((frame_name(message.header.frame_id), frame_name(message.child_frame_id)))
    if not rows:
        raise InputError(f"has no odometry on {topic}", where=bag.path, remedy="choose another by --odometry-topic")
    values = np.array(rows)
    where = f"{bag.path}, {topic}"
    if not values[:, 0].any():
        raise InputError("the headers have no times", where=where, remedy=_NO_STAMPS)
    late_s = np.maximum.accumulate(values[:, 0]) - values[:, 0]
    if late_s.max() > _LATE_S:
        what = f"message {int(late_s.argmax()) + 1} comes {late_s.max():.1f} s late"
        raise InputError(what, where=where, remedy="sort the bag by the times of its headers")
    time_s, number = np.unique(values[:, 0], return_index=True)
    values = values[number]
    for row in np.flatnonzero(~is_unit(values[:, 4:]))[:1]:
        what = f"the orientation of message {number[row] + 1} is no unit quaternion"
        raise InputError(what, where=where, remedy="record odometry with orientations")
    values[:, 1:] = _of_body(bag, values[:, 1:], frames, where)
    poses = upright_poses(
        Path(where), number + 1, np.arange(len(values)), time_s, values[:, 1:4], values[:, 4:], camera
    )
    return tuple(odometry_of(recording_of(str(bag.path), thinned(replace(poses, unit="message")), camera)))


def _of_body(
    bag: Bag, values: Float64[np.ndarray, "n 7"], frames: set[tuple[str, str]], where: str
) -> Float64[np.ndarray, "n 7"]:
    """The poses (x, y, z, and a quaternion x, y, z, w) of base_link, from those of the frame that was followed.

    frames: of the messages: the world's and the one that was followed. Raises InputError if they are not the same in
    all messages, or if the z axis of one points down.
    """
    if len(frames) > 1:
        remedy = "record one source of odometry on a topic"
        raise InputError(f"the frames change: {', '.join(map('/'.join, sorted(frames)))}", where=where, remedy=remedy)
    ((world, followed),) = frames
    require_upward((world, followed), where)
    pose = body_from(static_transforms(bag), followed) if followed else Pose.identity()
    if pose is None:
        what = f"no static transforms lead from base_link to {followed}, whose motion is taken for that of the vehicle"
        warn(what, where=where, remedy="record /tf_static, unless both are in one place and look the same way")
        return values
    places_m, turns = poses_of_body(values[:, :3], Rotation.from_quat(values[:, 3:]), pose)
    return np.concatenate([places_m, turns.as_quat()], axis=1)


def _row(pose: Any, time_s: float) -> tuple[float, ...]:
    at, turn = pose.position, pose.orientation
    return time_s, at.x, at.y, at.z, turn.x, turn.y, turn.z, turn.w


def _places(bag: Bag, wanted: str | None) -> tuple[KnownPlace, ...]:
    """The positions by rising time; none if there are none. Raises InputError if there are several topics of them."""
    if wanted is None and _FIX not in bag.topics.values():
        return ()
    topic = bag.chosen([_FIX], wanted, "--gps-topic", "positions")
    places = {
        place.time_s: place for message in _bounded(bag, topic) if (place := place_of(message, bag.path)) is not None
    }
    return plausible_places([places[time_s] for time_s in sorted(places)], bag.path, "position") if places else ()


def _bounded(bag: Bag, topic: str) -> Iterator[Any]:
    for number, message in enumerate(bag.messages(topic)):
        if number >= _MOST_MESSAGES:
            what = f"more than {_MOST_MESSAGES:,} messages on {topic}"
            raise InputError(what, where=bag.path, remedy="give a part of the bag")
        yield message
