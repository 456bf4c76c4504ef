"""A ROS 2 node that tracks a vehicle on a map: pictures and odometry in, poses and the transform map -> odom out.

docs/ros.md explains how it is launched, its topics, frames and parameters. ROS itself is imported in `main` only.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from math import isnan
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from cvlnet.data.camera_file import CameraFile, camera_file_of, read_camera_file
from cvlnet.data.journey import KnownPlace
from cvlnet.data.odometry import OdometryPose, turned_m
from cvlnet.data.poses import is_unit
from cvlnet.data.ros_camera import (
    body_from,
    calibration_of,
    frame_name,
    mounting_of,
    poses_of_body,
    require_upward,
    transforms_of,
)
from cvlnet.data.ros_messages import picture_of, place_of
from cvlnet.data.synchronize import OdometryTrack
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.geometry import Pose
from cvlnet.localize import Localizer
from cvlnet.localize.request import MapFiles, area_of
from cvlnet.localize.turned import Heading
from cvlnet.track.formats.local_pose import local_pose
from cvlnet.track.formats.ros_messages import MAP, RosMessages
from cvlnet.track.tracker import Frame, Tracker
from cvlnet.track.types import TrackFix

PUBLISHED = {
    "fix": "sensor_msgs/msg/NavSatFix",
    "pose": "geometry_msgs/msg/PoseWithCovarianceStamped",
    "smooth_pose": "geometry_msgs/msg/PoseStamped",
    "map_origin": "sensor_msgs/msg/NavSatFix",
    "credit": "std_msgs/msg/String",
    "/tf": "tf2_msgs/msg/TFMessage",
    "/diagnostics": "diagnostic_msgs/msg/DiagnosticArray",
}
LATCHED = ("map_origin", "credit")  # published once, for subscribers that come later too
SUBSCRIBED = {
    "image": "sensor_msgs/msg/Image",
    "image/compressed": "sensor_msgs/msg/CompressedImage",
    "camera_info": "sensor_msgs/msg/CameraInfo",
    "odom": "nav_msgs/msg/Odometry",
    "gps": "sensor_msgs/msg/NavSatFix",
    "/tf_static": "tf2_msgs/msg/TFMessage",
}
PARTS = (  # types of which the messages above are made
    "builtin_interfaces/msg/Time",
    "diagnostic_msgs/msg/DiagnosticStatus",
    "diagnostic_msgs/msg/KeyValue",
    "geometry_msgs/msg/Point",
    "geometry_msgs/msg/Pose",
    "geometry_msgs/msg/PoseWithCovariance",
    "geometry_msgs/msg/Quaternion",
    "geometry_msgs/msg/Transform",
    "geometry_msgs/msg/TransformStamped",
    "geometry_msgs/msg/Vector3",
    "sensor_msgs/msg/NavSatStatus",
    "std_msgs/msg/Header",
)
NOT_GIVEN = float("nan")
PARAMETERS: dict[str, Any] = {
    "map": "",
    "weights": "",
    "device": "cpu",
    "image_transport": "raw",
    "camera_file": "",
    "height_m": NOT_GIVEN,
    "pitch_deg": NOT_GIVEN,
    "heading": "unknown",
    "start_latitude_deg": NOT_GIVEN,
    "start_longitude_deg": NOT_GIVEN,
    "start_sigma_m": 20.0,
    "use_gps": False,
    "gps_sigma_m": NOT_GIVEN,
    "publish_tf": True,
}
_MOST_PICTURES = 8  # that wait for odometry
_WAIT_NS = 1_000_000_000  # without a picture, after which the odometry alone is followed
_BETWEEN_NS = 100_000_000  # between poses that are followed on the way to a picture
_KEPT_NS = 120_000_000_000  # of the odometry, while the tracker is busy
_LATEST_S = 1.0  # a position counts at the moment that it precedes by so much at most
_FASTEST_M_S, _JUMP_M = 70.0, 3.0  # of odometry, beyond which a step is a jump
_MOST_LINES = 100  # of the log


@dataclass(frozen=True)
class Mounting:
    """Where the camera's calibration and mounting are from, beside CameraInfo and the static transforms.

    camera: camera.json instead of both. height_m, pitch_deg: of the mounting, None where the transforms say it.
    """

    camera: CameraFile | None = None
    height_m: float | None = None
    pitch_deg: float | None = None


@dataclass(frozen=True)
class _Moment:
    """A moment to follow: the poses up to it, and the picture that was taken then, if any."""

    stamp_ns: int
    poses: tuple[OdometryPose, ...]
    picture: Any | None


class TrackingNode:
    """Tracks a vehicle by messages of ROS.

    Callbacks only keep what they are given. `step` does the work, in a thread of its own: it takes the newest picture
    that the odometry has reached, and leaves out older ones. `publish` is given a topic of ``PUBLISHED`` and a message,
    and may be called from both threads. log: is given one line, once for each kind of problem. topics: the names of
    those of ``SUBSCRIBED``, for messages; image_rect... has rectified pictures. gps_sigma_m: of positions that do not
    state their accuracy. credit: of the map's imagery.
    """

    def __init__(
        self,
        tracker: Tracker,
        messages: RosMessages,
        publish: Callable[[str, Any], None],
        log: Callable[[str], None],
        *,
        topics: Mapping[str, str],
        mounting: Mounting = Mounting(),
        gps_sigma_m: float | None = None,
        credit: str | None = None,
    ) -> None:
        self.tracker, self.counts = tracker, {"tracked": 0, "skipped": 0, "late": 0}
        self._make, self._publish, self._log, self._topics = messages, publish, log, topics
        self._mounting, self._gps_sigma_m = mounting, gps_sigma_m
        self._map = LocalFrame(tracker.map.frame.anchor)
        self._lock, self._news, self._told = Lock(), Event(), set[str]()
        self._odometry: deque[tuple[int, OdometryPose]] = deque()
        self._pictures: deque[tuple[int, Any]] = deque(maxlen=_MOST_PICTURES)
        self._places: deque[KnownPlace] = deque(maxlen=_MOST_PICTURES)
        self._static: deque[Any] = deque(maxlen=1000)
        self._info: Any | None = None
        self._static_count = 0
        self._camera: tuple[int, CameraFile] | None = None  # and of how many messages of transforms it is made
        self._followed: tuple[int, str, Pose | None] | None = None  # the odometry's frame, and its pose in base_link
        self._last_ns: int | None = None
        self._odom_frame = "odom"
        self._map_from_odom: OdometryPose | None = None
        publish("map_origin", messages.origin(0, self._map.anchor))
        if credit is not None:
            publish("credit", messages.text(credit))

    def on_camera_info(self, info: Any) -> None:
        """Take the calibration (CameraInfo)."""
        self._info = info

    def on_static_transforms(self, message: Any) -> None:
        """Take transforms (TFMessage) that lead to the camera."""
        self._static.append(message)
        self._static_count += 1  # what was made of fewer transforms is made again

    def on_odometry(self, message: Any) -> None:
        """Take the odometry (Odometry), and publish where its frame lies on the map, as far as that is known."""
        stamp_ns = _stamp_ns(message)
        pose = self._pose_of(message, stamp_ns / 1e9)
        if pose is None:
            return
        with self._lock:
            if self._odometry and pose.time_s <= self._odometry[-1][1].time_s:
                self._say(self._topics["odom"], "its times do not rise; messages that come late are left out")
                return
            before = self._odometry[-1][1] if self._odometry else pose
            self._odometry.append((stamp_ns, pose))
            while len(self._odometry) > 2 and self._odometry[-1][0] - self._odometry[0][0] > _KEPT_NS:
                self._odometry.popleft()
        if before.way_m(pose) > _JUMP_M + _FASTEST_M_S * (pose.time_s - before.time_s):
            self._say(self._topics["odom"], "the pose jumps; restart the node if the odometry was reset")
        self._odom_frame = frame_name(message.header.frame_id) or "odom"
        if self._map_from_odom is not None:
            self._publish("/tf", self._transform(stamp_ns, self._map_from_odom))
        self._news.set()

    def on_picture(self, message: Any) -> None:
        """Take a picture (Image or CompressedImage)."""
        with self._lock:
            if len(self._pictures) == _MOST_PICTURES:
                self.counts["skipped"] += 1
            self._pictures.append((_stamp_ns(message), message))
        self._news.set()

    def on_position(self, message: Any) -> None:
        """Take a measured position (NavSatFix)."""
        topic = self._topics["gps"]
        try:
            place = place_of(message, topic)
        except InputError as error:
            self._tell(str(error))
            return
        if place is not None and place.sigma_m is None:
            place = replace(place, sigma_m=self._gps_sigma_m)
        if place is not None and place.sigma_m is None:
            self._say(topic, "the accuracy of the positions is not known, and they are not used; give gps_sigma_m")
        elif place is not None:
            with self._lock:
                self._places.append(place)

    def run(self, stop: Event) -> None:
        """Step until ``stop`` is set."""
        while not stop.is_set():
            if not self.step():
                self._news.wait(0.2)
                self._news.clear()

    def step(self) -> bool:
        """Follow the vehicle to the newest picture that the odometry has reached; whether there was one to follow.

        Where no picture comes for a second, the odometry alone is followed.
        """
        with self._lock:
            moment = self._next()
        if moment is None:
            return False
        *between, pose = moment.poses
        for earlier in between:  # or the tracker would take a busy second for a gap of the odometry
            self.tracker.update(None, earlier)
        fix = self.tracker.update(self._frame(moment.picture, pose), pose)
        if (place := self._place_at(pose.time_s)) is not None and place.sigma_m is not None:
            fix = self.tracker.locate(place.position, place.sigma_m)
        self._last_ns = moment.stamp_ns
        self._tell_fix(moment.stamp_ns, fix, pose)
        return True

    def _next(self) -> _Moment | None:
        """What to follow next. Pictures that are not needed any more are taken out of the queue."""
        if not self._odometry:
            return None
        newest_ns = self._odometry[-1][0]
        due = [taken for taken in self._pictures if taken[0] <= newest_ns]
        self._pictures = deque((taken for taken in self._pictures if taken[0] > newest_ns), _MOST_PICTURES)
        for number, (stamp_ns, picture) in enumerate(sorted(due, key=lambda taken: taken[0], reverse=True)):
            pose = None if self._last_ns is not None and stamp_ns <= self._last_ns else self._pose_at(stamp_ns)
            if pose is not None:
                late = sum(self._last_ns is not None and older[0] <= self._last_ns for older in due)
                self.counts["late"] += late
                self.counts["skipped"] += len(due) - number - 1 - late
                return _Moment(stamp_ns, (*self._between(stamp_ns), pose), picture)
            self.counts["late"] += 1
        begin_ns = self._odometry[0][0] if self._last_ns is None else self._last_ns
        if newest_ns - begin_ns < _WAIT_NS:
            return None
        return _Moment(newest_ns, (*self._between(newest_ns), self._odometry[-1][1]), None)

    def _pose_at(self, stamp_ns: int) -> OdometryPose | None:
        """The odometry at a time; None where there is none."""
        after = next(i for i, (ns, _) in enumerate(self._odometry) if ns >= stamp_ns)
        around = [self._odometry[i][1] for i in range(max(after - 1, 0), after + 1)]
        return OdometryTrack(around).at(stamp_ns / 1e9)

    def _between(self, until_ns: int) -> list[OdometryPose]:
        """Poses between the last moment and another one; those that are not needed any more are forgotten."""
        found, last_ns = [], self._odometry[0][0] - _BETWEEN_NS if self._last_ns is None else self._last_ns
        for stamp_ns, pose in self._odometry:
            if last_ns + _BETWEEN_NS <= stamp_ns < until_ns:
                found.append(pose)
                last_ns = stamp_ns
        while len(self._odometry) > 1 and self._odometry[1][0] <= until_ns:
            self._odometry.popleft()
        return found

    def _frame(self, message: Any | None, pose: OdometryPose) -> Frame | None:
        """The frame of a picture; None where it is not wanted, or cannot be used."""
        if message is None or not self.tracker.wants_frames(pose):
            return None
        try:
            mounted = self._camera_now(message.header.frame_id).mounted
            picture = picture_of(message, mounted, self._topics["image"])
            frame = Frame.seen(picture, mounted.camera, mounted.body_from_cam, self.tracker.model.image_spec)
        except InputError as error:
            self._tell(str(error))
            return None
        self.counts["tracked"] += 1
        return frame

    def _camera_now(self, frame_id: str) -> CameraFile:
        if self._mounting.camera is not None:
            return self._mounting.camera
        count = self._static_count
        if self._camera is None or self._camera[0] != count:
            self._camera = count, self._new_camera(frame_id)
        return self._camera[1]

    def _new_camera(self, frame_id: str) -> CameraFile:
        """The camera by CameraInfo and the static transforms. Raises InputError as long as they do not say enough."""
        image, topic, of = self._topics["image"], self._topics["camera_info"], self._mounting
        if self._info is None:
            remedy = "publish CameraInfo, or give camera_file"
            raise InputError("no calibration has come yet", where=topic, remedy=remedy)
        transforms = transforms_of(tuple(self._static), "/tf_static")
        mounting = mounting_of(transforms, frame_name(frame_id), of.height_m, of.pitch_deg, "/tf_static")
        return camera_file_of(calibration_of(self._info, image, topic).settings(mounting), Path(topic))

    def _place_at(self, time_s: float) -> KnownPlace | None:
        """The newest position up to a moment, if it is not out of date; it is used once."""
        with self._lock:
            due = [place for place in self._places if place.time_s <= time_s]
            self._places = deque((place for place in self._places if place.time_s > time_s), _MOST_PICTURES)
        newest = max(due, key=lambda place: place.time_s, default=None)
        return newest if newest is not None and time_s - newest.time_s <= _LATEST_S else None

    def _tell_fix(self, stamp_ns: int, fix: TrackFix, odometry: OdometryPose) -> None:
        make = self._make
        self._publish("fix", make.fix(stamp_ns, fix))
        if (pose := make.pose(stamp_ns, self._map, fix)) is not None:
            self._publish("pose", pose)
        if (smooth := make.smooth_pose(stamp_ns, self._map, fix)) is not None:
            self._publish("smooth_pose", smooth)
        if fix.smooth_position is not None and fix.smooth_yaw_rad is not None:
            x_m, y_m, yaw_rad = local_pose(self._map, fix.smooth_position, fix.smooth_yaw_rad)
            self._map_from_odom = map_from_odom(OdometryPose(fix.time_s, x_m, y_m, yaw_rad), odometry)
        self._publish("/diagnostics", self._diagnostics(stamp_ns, fix))

    def _diagnostics(self, stamp_ns: int, fix: TrackFix) -> Any:
        types = self._make.types
        kind, pair = types["diagnostic_msgs/msg/DiagnosticStatus"], types["diagnostic_msgs/msg/KeyValue"]
        values = {"confidence": f"{fix.confidence:.4f}", "places": str(len(fix.hypotheses))} | {
            f"pictures {what}": str(count) for what, count in self.counts.items()
        }
        status = kind(
            level=kind.OK if fix.state == "tracking" else kind.WARN,
            name="cvlnet: tracking",
            message=fix.state,
            hardware_id="",
            values=[pair(key=key, value=value) for key, value in values.items()],
        )
        return types[PUBLISHED["/diagnostics"]](header=self._make.header(stamp_ns, ""), status=[status])

    def _transform(self, stamp_ns: int, pose: OdometryPose) -> Any:
        types = self._make.types
        translation = types["geometry_msgs/msg/Vector3"](x=pose.x_m, y=pose.y_m, z=0.0)
        transform = types["geometry_msgs/msg/Transform"](
            translation=translation, rotation=self._make.turn(pose.yaw_rad)
        )
        stamped = types["geometry_msgs/msg/TransformStamped"](
            header=self._make.header(stamp_ns, MAP), child_frame_id=self._odom_frame, transform=transform
        )
        return types[PUBLISHED["/tf"]](transforms=[stamped])

    def _pose_of(self, message: Any, time_s: float) -> OdometryPose | None:
        """The pose of odometry; None, and a line in the log, if it is none."""
        at, turn = message.pose.pose.position, message.pose.pose.orientation
        xyzw = np.array([turn.x, turn.y, turn.z, turn.w])
        if not (is_unit(xyzw) and np.isfinite([at.x, at.y]).all()):
            self._say(self._topics["odom"], "poses without finite positions and unit quaternions are left out")
            return None
        if time_s == 0:
            self._say(self._topics["odom"], "the headers have no times; publish odometry with the times of its poses")
            return None
        frames = frame_name(message.header.frame_id), frame_name(message.child_frame_id)
        try:
            require_upward(frames, self._topics["odom"])
            body_from_followed = self._body_from(frames[1])
        except InputError as error:
            self._tell(str(error))
            return None
        place_m, turn_of = np.array([at.x, at.y, at.z]), Rotation.from_quat(xyzw)
        if body_from_followed is None:
            what = f"no static transforms lead from base_link to {frames[1]}; its motion is taken for the vehicle's"
            self._say(self._topics["odom"], what)
        else:
            place_m, turn_of = poses_of_body(place_m, turn_of, body_from_followed)
        yaw_rad = float(turn_of.as_euler("ZYX")[0])
        return OdometryPose(time_s, float(place_m[0]), float(place_m[1]), yaw_rad)

    def _body_from(self, frame_id: str) -> Pose | None:
        """The pose of the frame that the odometry follows, in base_link; None while no transforms say it."""
        count = self._static_count
        if self._followed is None or self._followed[:2] != (count, frame_id):
            transforms = transforms_of(tuple(self._static), "/tf_static")
            self._followed = count, frame_id, body_from(transforms, frame_id) if frame_id else Pose.identity()
        return self._followed[2]

    def _say(self, topic: str, what: str) -> None:
        self._tell(f"{topic}: {what}")

    def _tell(self, line: str) -> None:
        """Log a line, unless it was logged before."""
        if line not in self._told and len(self._told) < _MOST_LINES:
            self._told.add(line)
            self._log(line)


def map_from_odom(in_map: OdometryPose, in_odom: OdometryPose) -> OdometryPose:
    """The pose of the frame "odom" in "map" (REP 105), by the vehicle's poses in both at one moment."""
    turn_rad = in_map.yaw_rad - in_odom.yaw_rad
    x_m, y_m = (np.array([in_map.x_m, in_map.y_m]) - turned_m((in_odom.x_m, in_odom.y_m), turn_rad)).tolist()
    return OdometryPose(in_map.time_s, x_m, y_m, turn_rad)


def _stamp_ns(message: Any) -> int:
    stamp = message.header.stamp
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def ros_types(names: Sequence[str]) -> dict[str, Any]:
    """ROS's own classes of messages by name. They are there in a shell in which ROS 2 was sourced."""
    return {name: getattr(import_module(name.split("/")[0] + ".msg"), name.rpartition("/")[2]) for name in names}


def tracker_of(parameters: Mapping[str, Any]) -> tuple[Tracker, str | None]:
    """The tracker that the parameters ask for, and the credit of its map. Raises InputError as `Tracker` does."""
    if not parameters["map"]:
        raise InputError("no map is given", where="map", remedy="set it to a folder that cvlnet map build has made")
    weights = Path(parameters["weights"]) if parameters["weights"] else None
    localizer = Localizer(weights, device=parameters["device"])
    area = area_of(localizer, MapFiles(Path(parameters["map"])))
    latitude_deg, longitude_deg = parameters["start_latitude_deg"], parameters["start_longitude_deg"]
    try:
        heading = Heading.parse(parameters["heading"])
        start = None if isnan(latitude_deg) else (LatLon(latitude_deg, longitude_deg), parameters["start_sigma_m"])
    except ValueError as error:
        raise InputError(str(error), where="heading, start", remedy="correct the parameters") from error
    tracker = Tracker(area, localizer.model, heading=heading, start=start)
    _ = tracker.map.grid  # a map that is damaged is told of now
    return tracker, area.map.preview().credit


def mounting_from(parameters: Mapping[str, Any]) -> Mounting:
    """The mounting that the parameters state. Raises InputError as `read_camera_file` does."""
    path = parameters["camera_file"]
    camera = read_camera_file(Path(path)) if path else None
    return Mounting(camera, _given(parameters["height_m"]), _given(parameters["pitch_deg"]))


def _given(value: float) -> float | None:
    return None if isnan(value) else float(value)


def main() -> None:
    """Run the node until it is interrupted."""
    import rclpy
    from rclpy.executors import ExternalShutdownException
    from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data

    rclpy.init()
    node = rclpy.create_node("cvlnet")
    given = {name: node.declare_parameter(name, value).value for name, value in PARAMETERS.items()}
    types = ros_types(sorted({*PUBLISHED.values(), *SUBSCRIBED.values(), *PARTS}))
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publishers = {
        topic: node.create_publisher(types[kind], topic if topic.startswith("/") else f"~/{topic}", quality)
        for topic, kind in PUBLISHED.items()
        for quality in [latched if topic in LATCHED else 10]
        if topic != "/tf" or given["publish_tf"]
    }

    def publish(topic: str, message: Any) -> None:
        if topic in publishers and rclpy.ok():
            publishers[topic].publish(message)

    compressed = given["image_transport"] == "compressed"
    topics = {name: node.resolve_topic_name(name) for name in ("image", "camera_info", "odom", "gps")}
    try:
        tracker, credit = tracker_of(given)
        tracking = TrackingNode(
            tracker,
            RosMessages(types),
            publish,
            node.get_logger().warning,
            topics=topics,
            mounting=mounting_from(given),
            gps_sigma_m=_given(given["gps_sigma_m"]),
            credit=credit,
        )
    except InputError as error:
        sys.exit(f"cvlnet: {error}")
    static = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    image = (f"{topics['image']}/compressed", "image/compressed") if compressed else (topics["image"], "image")
    node.create_subscription(types[SUBSCRIBED[image[1]]], image[0], tracking.on_picture, qos_profile_sensor_data)
    node.create_subscription(
        types[SUBSCRIBED["camera_info"]], "camera_info", tracking.on_camera_info, qos_profile_sensor_data
    )
    node.create_subscription(types[SUBSCRIBED["odom"]], "odom", tracking.on_odometry, qos_profile_sensor_data)
    node.create_subscription(types[SUBSCRIBED["/tf_static"]], "/tf_static", tracking.on_static_transforms, static)
    if given["use_gps"]:
        node.create_subscription(types[SUBSCRIBED["gps"]], "gps", tracking.on_position, qos_profile_sensor_data)
    stop, failed = Event(), Event()

    def work() -> None:
        try:
            tracking.run(stop)
        except BaseException:
            failed.set()
            raise
        finally:  # the node does not go on without its tracker
            rclpy.try_shutdown()

    worker = Thread(target=work)
    worker.start()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        stop.set()
        worker.join()
    if failed.is_set():
        sys.exit(1)


if __name__ == "__main__":
    main()
