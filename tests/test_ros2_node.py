"""The example of a ROS 2 node, by ROS's message types and without ROS: what it publishes, and what it says."""

from __future__ import annotations

import array
import sys
from math import cos, degrees, hypot, radians, remainder, sin, tau
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import ros2_node
from recorded import Messages
from ros2_node import PARTS, PUBLISHED, SUBSCRIBED, Mounting, TrackingNode, map_from_odom

from cvlnet import Localizer, open_overhead
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.data.odometry import OdometryPose, odometry_of
from cvlnet.localize.turned import Heading
from cvlnet.town.dataset.synthesize import write_dataset
from cvlnet.town.dataset.writers import overhead_path
from cvlnet.town.presets import TownConfig
from cvlnet.track.formats.ros_messages import RosMessages
from cvlnet.track.tracker import Tracker
from driving import CAMERA, FRAME, At, circle, latlon, model, odometry, picture, region

START_S = 1_700_000_000.0
TOPICS = {"image": "/cam/image_raw", "camera_info": "/cam/camera_info", "odom": "/odom", "gps": "/gps"}
TURN_RAD = 0.7  # of the frame "odom"


class Rig:
    """A node, what it has published, and what it has logged."""

    def __init__(
        self,
        *,
        height_m: float | None = 1.5,
        tracker: Tracker | None = None,
        image: str = TOPICS["image"],
        **named: Any,
    ) -> None:
        self.messages = Messages(is_1=False)
        self.published: list[tuple[str, Any]] = []
        self.log: list[str] = []
        listed = {*PUBLISHED.values(), *SUBSCRIBED.values(), *PARTS}
        self.node = TrackingNode(
            tracker or Tracker(region(), model(), heading=Heading.parse("unknown")),
            RosMessages({name: self.messages.store.types[name] for name in listed}),
            lambda topic, message: self.published.append((topic, message)),
            self.log.append,
            topics={**TOPICS, "image": image},
            mounting=Mounting(height_m=height_m),
            **named,
        )

    def of(self, topic: str) -> list[Any]:
        return [message for name, message in self.published if name == topic]

    def made(self, make: Any, *given: Any, **named: Any) -> Any:
        make(*given, **named)
        return self.messages.stamped.pop()[2]

    def calibrate(self) -> None:
        info = self.made(self.messages.info)
        info.k = np.array([60.0, 0, 63.5, 0, 60.0, 9.5, 0, 0, 1])
        info.width, info.height = CAMERA.width_px, CAMERA.height_px
        self.node.on_camera_info(info)

    def odometry(self, pose: OdometryPose, **named: Any) -> None:
        xyzw = (0, 0, sin(pose.yaw_rad / 2), cos(pose.yaw_rad / 2))
        make = self.messages.odometry
        self.node.on_odometry(self.made(make, pose.time_s, pose.x_m, y_m=pose.y_m, xyzw=xyzw, **named))

    def picture(self, time_s: float, at: At, *, encoding: str = "rgb8") -> None:
        pixels = picture(at).permute(1, 2, 0).numpy()
        message = self.made(self.messages.image, time_s, 0, encoding=encoding, pixels=pixels, step=CAMERA.width_px * 3)
        message.width, message.height = CAMERA.width_px, CAMERA.height_px
        message.data = array.array("B", message.data.tobytes())  # as rclpy has it
        self.node.on_picture(message)

    def drive(self, drive: list[At], turn_rad: float = TURN_RAD) -> None:
        """Each picture comes before the odometry of its moment."""
        for at, pose in zip(drive, odometry(drive, turn_rad=turn_rad), strict=True):
            self.picture(pose.time_s, at)
            self.odometry(pose)
            self.node.step()


DRIVE = circle(100.0)


@pytest.fixture(scope="module")
def driven() -> Rig:
    """Along the whole of ``DRIVE``, from an unknown place and heading."""
    rig = Rig(credit="Land survey, 2024")
    rig.calibrate()
    rig.drive(DRIVE)
    return rig


def pose_of(pose: Any) -> tuple[float, float, float]:
    turn = pose.orientation
    assert (pose.position.z, turn.x, turn.y) == (0.0, 0.0, 0.0)
    return pose.position.x, pose.position.y, remainder(2 * np.arctan2(turn.z, turn.w), tau)


def stamp_of(message: Any) -> float:
    return round(message.header.stamp.sec + message.header.stamp.nanosec * 1e-9 - START_S, 6)


def apart_m(pose: tuple[float, float, float], at: At) -> float:
    east_m, north_m = region().frame.xy_world_m(latlon(at.xy_m).degrees).tolist()
    return hypot(pose[0] - east_m, pose[1] - north_m)


def test_a_vehicle_is_found_and_followed(driven: Rig) -> None:
    """From an unknown place and heading; the odometry's frame is turned by 40 degrees against the map's."""
    assert driven.log == []
    poses = driven.of("pose")
    assert len(poses) > 20
    for message in poses:
        at, found = DRIVE[round(stamp_of(message) / 0.2)], pose_of(message.pose.pose)
        assert message.header.frame_id == "map"
        assert apart_m(found, at) < 1.0
        assert abs(degrees(remainder(found[2] - at.yaw_rad, tau))) < 2
        covariance = message.pose.covariance.reshape(6, 6)
        assert (covariance[0, 0] > 0, covariance[5, 5] > 0, covariance[2, 2]) == (True, True, 0.0)
    fixes = driven.of("fix")
    assert len(fixes) == len(DRIVE)
    assert (fixes[0].status.status, fixes[-1].status.status) == (-1, 0)
    place_m = FRAME.xy_world_m([fixes[-1].latitude, fixes[-1].longitude]).tolist()
    assert place_m == pytest.approx(DRIVE[-1].xy_m, abs=1.0)


def test_map_odom_and_base_link_agree_with_the_smooth_pose(driven: Rig) -> None:
    """By REP 105 the smooth pose is map -> odom, which is published next, times odom -> base_link."""
    poses = odometry(DRIVE, turn_rad=TURN_RAD)
    transforms = [tf.transforms[0] for tf in driven.of("/tf")]
    smooth = driven.of("smooth_pose")[: len(transforms)]
    assert len(smooth) > 20
    for message, transform in zip(smooth, transforms, strict=True):
        pose = poses[round(stamp_of(message) / 0.2)]
        assert stamp_of(message) < stamp_of(transform) < stamp_of(message) + 0.21
        assert (transform.header.frame_id, transform.child_frame_id) == ("map", "odom")
        move, turn = transform.transform.translation, transform.transform.rotation
        yaw_rad = 2 * np.arctan2(turn.z, turn.w)
        x_m = move.x + cos(yaw_rad) * pose.x_m - sin(yaw_rad) * pose.y_m
        y_m = move.y + sin(yaw_rad) * pose.x_m + cos(yaw_rad) * pose.y_m
        expected = pose_of(message.pose)
        assert (x_m, y_m) == pytest.approx(expected[:2], abs=1e-6)
        assert remainder(yaw_rad + pose.yaw_rad - expected[2], tau) == pytest.approx(0, abs=1e-9)


def test_transforms_have_rising_stamps(driven: Rig) -> None:
    """Listeners leave out a second transform of the same stamp, and mix one of an earlier stamp with later ones."""
    stamps_s = [stamp_of(tf.transforms[0]) for tf in driven.of("/tf")]
    assert (np.diff(stamps_s) > 0).all()


def test_map_from_odom() -> None:
    """The vehicle is 2 m ahead of the odometry's origin, and at (10, 20) with its heading north on the map."""
    found = map_from_odom(OdometryPose(5.0, 10.0, 20.0, tau / 4), OdometryPose(5.0, 2.0, 0.0, 0.0))
    assert (found.x_m, found.y_m, found.yaw_rad) == pytest.approx((10.0, 18.0, tau / 4))


def test_every_odometry_carries_the_transform_on() -> None:
    rig, drive = Rig(), circle(100.0)
    rig.calibrate()
    rig.drive(drive)
    last = odometry(drive, turn_rad=TURN_RAD)[-1]
    for after_s in (0.05, 0.1):
        rig.odometry(OdometryPose(last.time_s + after_s, last.x_m, last.y_m, last.yaw_rad))
    before, after = (tf.transforms[0] for tf in rig.of("/tf")[-2:])
    assert stamp_of(after) == pytest.approx(last.time_s + 0.1)
    assert after.transform == before.transform


def test_the_odometry_is_interpolated_at_the_time_of_the_picture() -> None:
    rig = Rig()
    rig.calibrate()
    seen: list[OdometryPose] = []
    rig.node.tracker.wants_frames = lambda pose: bool(seen.append(pose))  # type: ignore[method-assign, func-returns-value]
    rig.odometry(OdometryPose(0.0, 4.0, 0.0, 3.0))
    rig.picture(0.25, At(0, 0, 0))
    assert not rig.node.step()  # until odometry reaches it
    rig.odometry(OdometryPose(1.0, 8.0, 2.0, 3.0 + 0.4 - tau))
    assert rig.node.step()
    [pose] = seen
    assert (pose.time_s - START_S, pose.x_m, pose.y_m) == pytest.approx((0.25, 5.0, 0.5), abs=1e-6)
    assert remainder(pose.yaw_rad - 3.1, tau) == pytest.approx(0, abs=1e-6)
    assert stamp_of(rig.of("fix")[-1]) == 0.25
    rig.picture(0.5, At(0, 0, 0))  # between the same two messages
    assert rig.node.step()
    assert (seen[-1].x_m, seen[-1].y_m) == pytest.approx((6.0, 1.0), abs=1e-6)


def test_the_newest_picture_wins_and_late_ones_are_counted() -> None:
    rig = Rig()
    rig.calibrate()
    rig.odometry(OdometryPose(0.0, 0.0, 0.0, 0.0))
    for time_s in (-0.5, 0.1, 0.3, 0.2, 0.9):
        rig.picture(time_s, At(0, 0, 0))
    rig.odometry(OdometryPose(0.5, 0.0, 0.0, 0.0))
    assert rig.node.step()
    assert [stamp_of(fix) for fix in rig.of("fix")] == [0.3]
    assert rig.node.counts == {"tracked": 1, "skipped": 3, "late": 0}  # 0.9 waits
    rig.picture(0.25, At(0, 0, 0))
    assert not rig.node.step()
    assert rig.node.counts == {"tracked": 1, "skipped": 3, "late": 1}
    rig.odometry(OdometryPose(0.9, 0.0, 0.0, 0.0))
    assert rig.node.step()
    assert [stamp_of(fix) for fix in rig.of("fix")] == [0.3, 0.9]


def test_of_many_pictures_that_wait_the_newest_are_kept() -> None:
    rig = Rig()
    rig.calibrate()
    rig.odometry(OdometryPose(0.0, 0.0, 0.0, 0.0))
    for number in range(20):
        rig.picture(1.0 + 0.1 * number, At(0, 0, 0))
    assert rig.node.counts["skipped"] == 12
    rig.odometry(OdometryPose(2.0, 0.0, 0.0, 0.0))
    assert rig.node.step()
    assert stamp_of(rig.of("fix")[-1]) == 2.0


def test_the_way_to_a_picture_is_no_gap() -> None:
    """The tracker was busy for five seconds, while odometry came in: the vehicle has not gone unseen."""
    rig, drive = Rig(), circle(100.0)
    rig.calibrate()
    rig.drive(drive)
    on = circle(180.0)
    for at, pose in list(zip(on, odometry(on, turn_rad=TURN_RAD), strict=True))[len(drive) :]:
        rig.picture(pose.time_s, at)
        rig.odometry(pose)
    assert rig.node.step()
    assert rig.of("/diagnostics")[-1].status[0].message == "tracking"
    assert apart_m(pose_of(rig.of("pose")[-1].pose.pose), on[-1]) < 1.5
    assert not rig.node.step()


def test_without_pictures_the_odometry_is_followed() -> None:
    rig, drive = Rig(), circle(100.0)
    rig.calibrate()
    rig.drive(drive)
    on = circle(115.0)
    for pose in odometry(on, turn_rad=TURN_RAD)[len(drive) :]:
        rig.odometry(pose)
        rig.node.step()
    last_s = odometry(drive)[-1].time_s
    stamps_s = [stamp_of(fix) for fix in rig.of("fix")]
    assert stamps_s[-3:] == pytest.approx([last_s, last_s + 1.0, last_s + 2.0])
    assert rig.of("/diagnostics")[-1].status[0].message == "tracking"


def test_the_state_is_told(driven: Rig) -> None:
    first, last = (driven.of("/diagnostics")[i].status[0] for i in (0, -1))
    assert (first.message, first.level) == ("searching", first.WARN)
    assert (last.message, last.level) == ("tracking", last.OK)
    told = {value.key: value.value for value in last.values}
    assert float(told["confidence"]) > 0.99
    assert told["pictures tracked"] == str(driven.node.counts["tracked"])


def test_the_origin_and_the_credit_are_told_once() -> None:
    rig = Rig(credit="Land survey, 2024")
    [origin], [credit] = rig.of("map_origin"), rig.of("credit")
    assert (origin.latitude, origin.longitude) == region().frame.anchor.degrees
    assert origin.header.frame_id == "map"
    assert credit.data == "Land survey, 2024"
    assert Rig().of("credit") == []


def test_a_missing_calibration_is_one_line_until_it_comes() -> None:
    rig, drive = Rig(), circle(40.0)
    rig.drive(drive)
    assert rig.log == ["/cam/camera_info: no calibration has come yet; publish CameraInfo, or give camera_file"]
    assert len(rig.of("fix")) == len(drive)
    assert rig.node.counts["tracked"] == 0


def test_a_missing_mounting_is_one_line_until_the_transforms_come() -> None:
    rig, drive = Rig(height_m=None), circle(20.0)
    rig.calibrate()
    rig.drive(drive)
    assert len(rig.log) == 1
    assert "no static transforms lead from base_link to the camera (camera_optical)" in rig.log[0]
    rig.node.on_static_transforms(rig.made(rig.messages.transform, "base_footprint", "base_link", [0, 0, 0.4]))
    optical = [-0.5, 0.5, -0.5, 0.5]
    rig.node.on_static_transforms(rig.made(rig.messages.transform, "base_link", "camera_optical", [1, 0, 1.1], optical))
    last = odometry(drive, turn_rad=TURN_RAD)[-1]
    rig.picture(last.time_s + 0.1, drive[-1])
    rig.odometry(OdometryPose(last.time_s + 0.2, last.x_m + 2.0, last.y_m, last.yaw_rad))
    rig.node.step()
    assert rig.node.counts["tracked"] == 1
    assert len(rig.log) == 1


def test_pictures_that_cannot_be_read_are_one_line() -> None:
    rig, drive = Rig(), circle(20.0)
    rig.calibrate()
    for at, pose in zip(drive, odometry(drive), strict=True):
        rig.picture(pose.time_s, at, encoding="yuv422")
        rig.odometry(pose)
        rig.node.step()
    assert len(rig.log) == 1
    assert rig.log[0].startswith("/cam/image_raw: its encoding 'yuv422' cannot be read")
    assert len(rig.of("fix")) == len(drive)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"xyzw": (0, 0, 0, 0)}, "/odom: poses without finite positions and unit quaternions are left out"),
        ({"x_m": float("nan")}, "/odom: poses without finite positions and unit quaternions are left out"),
        ({"time_s": -START_S}, "/odom: the headers have no times; publish odometry with the times of its poses"),
        ({"time_s": -1.0}, "/odom: its times do not rise; messages that come late are left out"),
    ],
)
def test_odometry_that_is_none_is_one_line(message: dict[str, Any], says: str) -> None:
    rig = Rig()
    rig.odometry(OdometryPose(0.0, 0.0, 0.0, 0.0))
    for _ in range(2):
        rig.node.on_odometry(rig.made(rig.messages.odometry, **({"time_s": 0.5, "x_m": 1.0} | message)))
    assert rig.log == [says]


def test_positions_are_measurements() -> None:
    """With them the vehicle is found before its first clip; one without an accuracy needs a parameter."""
    rig, drive = Rig(gps_sigma_m=2.0), circle(14.0)
    for at, pose in zip(drive, odometry(drive, turn_rad=TURN_RAD), strict=True):
        rig.picture(pose.time_s, at)
        rig.node.on_position(rig.made(rig.messages.fix, pose.time_s - 0.01, *latlon(at.xy_m).degrees, kind=0))
        rig.odometry(pose)
        rig.node.step()
    near = rig.of("fix")[-1]
    assert np.hypot(*(FRAME.xy_world_m([near.latitude, near.longitude]) - drive[-1].xy_m)) < 5
    silent = Rig()
    for _ in range(2):
        silent.node.on_position(silent.made(silent.messages.fix, 0.0, 49.0, 8.4, kind=0))
    assert silent.log == ["/gps: the accuracy of the positions is not known, and they are not used; give gps_sigma_m"]


def test_positions_that_are_out_of_date_are_not_used() -> None:
    rig = Rig(gps_sigma_m=2.0)
    told: list[float] = []
    rig.node.tracker.locate = lambda place, sigma_m: told.append(sigma_m)  # type: ignore[assignment, method-assign]
    rig.node._tell_fix = lambda *_: None  # type: ignore[method-assign]
    for time_s, before_s in ((0.0, 0.5), (1.0, 1.2), (2.0, 0.0), (3.0, -0.5), (3.5, 0.2)):
        rig.node.on_position(rig.made(rig.messages.fix, time_s - before_s, 49.0, 8.4, variance_m2=(1 + time_s) ** 2))
        rig.picture(time_s, At(0, 0, 0))
        rig.odometry(OdometryPose(time_s, 0.0, 0.0, 0.0))
        rig.node.step()
    assert told == pytest.approx([1.0, 3.0, 4.0])  # the one of 3.5 s came half a second early, and waited


def test_the_messages_serialize(driven: Rig) -> None:
    """Fields that ROS would refuse, such as integers for floats, cannot be written either."""
    for topic in PUBLISHED:
        message = driven.of(topic)[-1]
        again = driven.messages.store.deserialize_cdr(
            driven.messages.store.serialize_cdr(message, PUBLISHED[topic]), PUBLISHED[topic]
        )
        assert again.__msgtype__ == PUBLISHED[topic]


def test_a_jump_of_the_odometry_is_one_line() -> None:
    rig = Rig()
    for time_s, x_m in ((0.0, 0.0), (0.1, 9.9), (0.2, 20.1)):  # 3 m and 70 m/s
        rig.odometry(OdometryPose(time_s, x_m, 0.0, 0.0))
    assert rig.log == ["/odom: the pose jumps; restart the node if the odometry was reset"]


class Robot:
    """What `main` uses of rclpy. given: parameters. ``spin`` drives along ``DRIVE``."""

    def __init__(self, rig: Rig, given: dict[str, Any]) -> None:
        self.rig, self.given = rig, given
        self.callbacks: dict[str, Any] = {}
        self.sent: list[str] = []
        self.has_fix = Event()

    def modules(self) -> dict[str, Any]:
        names = "init", "create_node", "ok", "spin", "try_shutdown"
        rclpy = SimpleNamespace(**{name: getattr(self, name) for name in names})
        qos = SimpleNamespace(
            DurabilityPolicy=SimpleNamespace(TRANSIENT_LOCAL=1), QoSProfile=dict, qos_profile_sensor_data=5
        )
        executors = SimpleNamespace(ExternalShutdownException=RuntimeError)
        found: dict[str, Any] = {"rclpy": rclpy, "rclpy.qos": qos, "rclpy.executors": executors}
        for name, kind in self.rig.messages.store.types.items():
            package, _, message = name.partition("/msg/")
            setattr(found.setdefault(f"{package}.msg", SimpleNamespace()), message, kind)
        return found

    def init(self) -> None: ...

    def try_shutdown(self) -> None: ...

    def ok(self) -> bool:
        return True

    def create_node(self, name: str) -> Robot:
        assert name == "cvlnet"
        return self

    def declare_parameter(self, name: str, value: Any) -> Any:
        return SimpleNamespace(value=self.given.get(name, value))

    def resolve_topic_name(self, name: str) -> str:
        return {"image": "/cam/image_raw"}.get(name, f"/{name}")

    def get_logger(self) -> Any:
        return SimpleNamespace(warning=self.rig.log.append)

    def create_publisher(self, kind: Any, topic: str, _: Any) -> Any:
        def publish(message: Any) -> None:
            assert isinstance(message, kind)
            self.sent.append(topic)
            if topic == "/diagnostics":  # the last one of a moment
                self.has_fix.set()

        return SimpleNamespace(publish=publish)

    def create_subscription(self, kind: Any, topic: str, callback: Any, _: Any) -> None:
        self.callbacks[topic] = (kind, callback)

    def spin(self, node: Robot) -> None:
        """The messages of a drive, one after the other as the tracker takes them."""
        rig = node.rig
        rig.node = SimpleNamespace(  # type: ignore[assignment]
            on_camera_info=self.callbacks["camera_info"][1],
            on_odometry=self.callbacks["odom"][1],
            on_picture=self.callbacks["/cam/image_raw"][1],
            step=lambda: None,
        )
        rig.calibrate()
        rig.drive(circle(10.0))
        assert self.has_fix.wait(20)


def test_main_connects_the_node_with_ros(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    robot = Robot(rig, {"height_m": 1.5, "publish_tf": False})
    for name, module in robot.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(ros2_node, "tracker_of", lambda _: (Tracker(region(), model()), "Land survey"))
    ros2_node.main()
    assert set(robot.callbacks) == {"/cam/image_raw", "camera_info", "odom", "/tf_static"}
    assert robot.sent[:2] == ["~/map_origin", "~/credit"]
    assert {"~/fix", "/diagnostics"} <= set(robot.sent)
    assert "/tf" not in robot.sent
    assert rig.log == []


def test_main_ends_with_one_line_if_the_map_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    robot = Robot(Rig(), {})
    for name, module in robot.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(SystemExit, match=r"^cvlnet: map: no map is given; set it"):
        ros2_node.main()


@pytest.mark.slow
def test_a_drive_through_a_town(tmp_path: Path) -> None:
    """With the package's weights, from a place known to 20 m; pictures are compressed, one for three poses."""
    config = TownConfig(300_005, 260.0, drives=1, frames_per_drive=180, frame_step=3, frame_width_px=621, cameras=(2,))
    write_dataset(tmp_path, (config,), name="drive", workers=1)
    [folder] = (tmp_path / "raw_data").glob("*/*_sync")
    drive, localizer = read_recording(folder), Localizer()
    area = localizer.encode(open_overhead(overhead_path(tmp_path, folder.parent.name)))
    start = drive.frames[0]
    tracker = Tracker(area, localizer.model, heading=Heading(start.yaw_rad, radians(5)), start=(start.position, 20.0))
    camera, road_from_cam = drive.cameras[2].camera, drive.road_from_cam(2)
    rig = Rig(tracker=tracker, height_m=float(road_from_cam.translation_m[2]), image="/cam/image_rect")
    info = rig.made(rig.messages.info)
    (fx, fy), (cx, cy) = camera.focal_px.tolist(), (camera.principal_point_px - 0.5).tolist()
    info.p, info.width, info.height = (
        np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0]),
        camera.width_px,
        camera.height_px,
    )
    rig.node.on_camera_info(info)
    for frame, pose in zip(drive.frames, odometry_of(drive), strict=True):
        if 2 in frame.images:
            rig.node.on_picture(rig.made(rig.messages.compressed, pose.time_s, frame.images[2].read_bytes()))
        rig.odometry(pose)
        rig.node.step()
    assert rig.log == []
    truth = {round(frame.time_s, 6): frame.position.degrees for frame in drive.frames}
    errors_m = [
        np.hypot(*(area.frame.xy_world_m(truth[stamp_of(message)]) - pose_of(message.pose.pose)[:2]))
        for message in rig.of("pose")
    ]
    assert len(errors_m) >= 10
    assert max(errors_m) < 5
