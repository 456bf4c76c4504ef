"""Video files, bags and odometry as others record them, in small."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from cvlnet.arrays import F64
from cvlnet.image_spec import ImageSpec, Window

WIDTH_PX, HEIGHT_PX = 64, 48
TIMES_S = (0.0, 0.1, 0.2, 0.35, 1.0)  # of frames that do not come evenly
CAMERA = {
    "width": WIDTH_PX,
    "height": HEIGHT_PX,
    "fx": 60,
    "fy": 60,
    "cx": 31.5,
    "cy": 23.5,
    "pixel_origin": "center",
    "height_m": 1.5,
}
WHOLE = Window(WIDTH_PX, HEIGHT_PX, 0, 0, WIDTH_PX, HEIGHT_PX)
UPRIGHT = ImageSpec(HEIGHT_PX, WIDTH_PX, "whole")


def picture(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Grey that says the picture's number, and a white patch in the corner at the top left."""
    image = np.full((HEIGHT_PX, WIDTH_PX, 3), 20 + 40 * number, np.uint8)
    image[:16, :16] = 255
    return image


def number_of(image: np.ndarray[Any, np.dtype[np.uint8]]) -> int:
    """Which picture it is."""
    return round((float(np.median(image)) - 20) / 40)


def write_camera(path: Path, **changes: object) -> Path:
    path.write_text(json.dumps({key: value for key, value in {**CAMERA, **changes}.items() if value is not None}))
    return path


def write_encoded(path: Path, times_s: Sequence[float] = TIMES_S, *, degrees: float = 0.0, hflip: bool = False) -> Path:
    """A video file whose frames have these times, and which is to be shown turned counter-clockwise."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if degrees or hflip:
            stream.set_display_rotation(degrees, hflip=hflip)
        for number, time_s in enumerate(times_s):
            frame = av.VideoFrame.from_ndarray(picture(number % 5), format="rgb24")
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_odometry(path: Path, times_s: Sequence[float] | None = None, speed_m_s: float = 5.0) -> Path:
    """A CSV file of a straight way along x."""
    times = np.arange(0, 2.01, 0.1) if times_s is None else np.asarray(times_s)
    rows = [f"{time:.9g},{speed_m_s * (time - times[0]):.6f},0,0" for time in times.tolist()]
    path.write_text("\n".join(["time_s,x_m,y_m,yaw_deg", *rows]) + "\n")
    return path


Stamped = tuple[str, float, Any]  # topic, time of receipt, message


@dataclass
class Messages:
    """Messages of a bag to write. is_1: of ROS 1."""

    is_1: bool
    start_s: float = 1_700_000_000.0
    stamped: list[Stamped] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = get_typestore(Stores.ROS1_NOETIC if self.is_1 else Stores.ROS2_HUMBLE)
        if self.is_1:
            text = "geometry_msgs/TransformStamped[] transforms\n"
            self.store.register(get_types_from_msg(text, "tf2_msgs/msg/TFMessage"))

    def make(self, kind: str, **fields: Any) -> Any:
        return self.store.types[kind](**fields)

    def header(self, time_s: float, frame_id: str = "camera_optical") -> Any:
        ns = round((self.start_s + time_s) * 1e9)
        stamp = self.make("builtin_interfaces/msg/Time", sec=ns // 10**9, nanosec=ns % 10**9)
        seq = {"seq": 0} if self.is_1 else {}
        return self.make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id, **seq)

    def add(self, topic: str, received_s: float, message: Any) -> None:
        self.stamped.append((topic, received_s, message))

    def image(
        self, time_s: float, number: int, *, topic: str = "/cam/image_raw", received_s: float | None = None,
        encoding: str = "rgb8", pixels: Any = None, step: int | None = None, height: int = HEIGHT_PX,
    ) -> None:  # fmt: skip
        image = picture(number) if pixels is None else pixels
        data = np.ascontiguousarray(image).reshape(-1)
        message = self.make(
            "sensor_msgs/msg/Image", header=self.header(time_s), height=height, width=WIDTH_PX, encoding=encoding,
            is_bigendian=0, step=WIDTH_PX * (data.size // (WIDTH_PX * HEIGHT_PX)) if step is None else step, data=data,
        )  # fmt: skip
        self.add(topic, time_s if received_s is None else received_s, message)

    def compressed(self, time_s: float, data: bytes, topic: str = "/cam/image_raw/compressed") -> None:
        values = np.frombuffer(data, np.uint8)
        kind = "sensor_msgs/msg/CompressedImage"
        self.add(topic, time_s, self.make(kind, header=self.header(time_s), format="png", data=values))

    def info(
        self, d: Sequence[float] = (), model: str = "plumb_bob", topic: str = "/cam/camera_info", fx: float = 60.0,
        p: Sequence[float] | None = None, binning: int = 0, roi_width: int = 0, width: int = WIDTH_PX,
    ) -> None:  # fmt: skip
        k = np.array([fx, 0, 31.5, 0, fx, 23.5, 0, 0, 1 if fx else 0])
        projection = np.array([fx, 0, 31.5, 0, 0, fx, 23.5, 0, 0, 0, 1, 0] if p is None else p, dtype=np.float64)
        roi = self.make(
            "sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=HEIGHT_PX if roi_width else 0,
            width=roi_width, do_rectify=False,
        )  # fmt: skip
        named = {"d": np.array(d, dtype=np.float64), "k": k * (fx != 0), "r": np.eye(3).ravel(), "p": projection}
        named = {name.upper() if self.is_1 else name: value for name, value in named.items()}
        message = self.make(
            "sensor_msgs/msg/CameraInfo", header=self.header(0.0), height=HEIGHT_PX, width=width,
            distortion_model=model, binning_x=binning, binning_y=binning, roi=roi, **named,
        )  # fmt: skip
        self.add(topic, 0.0, message)

    def odometry(
        self, time_s: float, x_m: float, *, topic: str = "/odom", received_s: float | None = None, y_m: float = 0.0,
        xyzw: Sequence[float] = (0, 0, 0, 1), frame_id: str = "odom", child_frame_id: str = "base_link",
    ) -> None:  # fmt: skip
        point = self.make("geometry_msgs/msg/Point", x=x_m, y=y_m, z=0.0)
        pose = self.make("geometry_msgs/msg/Pose", position=point, orientation=self._quaternion(xyzw))
        zero = self._vector((0, 0, 0))
        twist = self.make("geometry_msgs/msg/Twist", linear=zero, angular=zero)
        message = self.make(
            "nav_msgs/msg/Odometry", header=self.header(time_s, frame_id), child_frame_id=child_frame_id,
            pose=self.make("geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=np.zeros(36)),
            twist=self.make("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=np.zeros(36)),
        )  # fmt: skip
        self.add(topic, time_s if received_s is None else received_s, message)

    def fix(
        self,
        time_s: float,
        latitude: float,
        longitude: float,
        *,
        status: int = 0,
        variance_m2: float = 4.0,
        kind: int = 2,
    ) -> None:
        covariance = np.diag([variance_m2, variance_m2, 9.0]).ravel()
        message = self.make(
            "sensor_msgs/msg/NavSatFix", header=self.header(time_s, "gps"), latitude=latitude, longitude=longitude,
            status=self.make("sensor_msgs/msg/NavSatStatus", status=status, service=1), altitude=0.0,
            position_covariance=covariance, position_covariance_type=kind,
        )  # fmt: skip
        self.add("/fix", time_s, message)

    def transform(self, parent: str, child: str, xyz_m: Sequence[float], xyzw: Sequence[float] = (0, 0, 0, 1)) -> None:
        transform = self.make(
            "geometry_msgs/msg/Transform", translation=self._vector(xyz_m), rotation=self._quaternion(xyzw)
        )
        stamped = self.make(
            "geometry_msgs/msg/TransformStamped", header=self.header(0.0, parent), child_frame_id=child,
            transform=transform,
        )  # fmt: skip
        self.add("/tf_static", 0.0, self.make("tf2_msgs/msg/TFMessage", transforms=[stamped]))

    def drive(self, times_s: Sequence[float] = TIMES_S) -> None:
        """Pictures at these times, and odometry of a straight way from 0 to 2 s at 5 m/s."""
        for number, time_s in enumerate(times_s):
            self.image(time_s, number)
        for number in range(21):
            self.odometry(0.1 * number, 0.5 * number)

    def _quaternion(self, xyzw: Sequence[float]) -> Any:
        x, y, z, w = map(float, xyzw)
        return self.make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)

    def _vector(self, xyz: Sequence[float]) -> Any:
        x, y, z = map(float, xyz)
        return self.make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)


BAGS = ("bag", "db3", "mcap")


def write_bag(
    folder: Path, kind: str, fill: Callable[[Messages], object], silent: Mapping[str, str] | None = None
) -> Path:
    """A bag of ROS 1 ("bag") or of ROS 2 ("db3", "mcap") with what ``fill`` adds, in the order of receipt.

    silent: further topics, without messages, and their types.
    """
    messages = Messages(kind == "bag")
    fill(messages)
    path = folder / ("drive.bag" if messages.is_1 else f"drive_{kind}")
    plugin = StoragePlugin.MCAP if kind == "mcap" else StoragePlugin.SQLITE3
    writer: Any = Writer1(path) if messages.is_1 else Writer2(path, version=9, storage_plugin=plugin)
    serialize = messages.store.serialize_ros1 if messages.is_1 else messages.store.serialize_cdr
    with writer:
        connections: dict[str, Any] = {}
        for topic, name in (silent or {}).items():
            writer.add_connection(topic, name, typestore=messages.store)
        for topic, received_s, message in sorted(messages.stamped, key=lambda stamped: stamped[1]):
            name = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, name, typestore=messages.store)
            writer.write(connections[topic], round((messages.start_s + received_s) * 1e9), serialize(message, name))
    return path


def x_m(poses: Sequence[Any]) -> F64:
    return np.array([pose.x_m for pose in poses])
