"""ROS bags: topics, times, calibration and mounting, and what is damaged."""

from collections.abc import Callable
from math import cos, degrees, radians, sin
from pathlib import Path

import cv2
import numpy as np
import pytest
from recorded import (
    BAGS,
    HEIGHT_PX,
    TIMES_S,
    WHOLE,
    WIDTH_PX,
    Messages,
    number_of,
    picture,
    write_bag,
    write_camera,
    x_m,
)  # fmt: skip
from scipy.spatial.transform import Rotation

from cvlnet.config import JourneyFiles
from cvlnet.data.bag import BagTopics, read_bag
from cvlnet.data.journey import Journey, Moment
from cvlnet.data.open_journey import open_journey
from cvlnet.data.recording import MountedCamera
from cvlnet.errors import InputError
from cvlnet.geometry import Pose

START_S = 1_700_000_000.0
OPTICAL = Rotation.from_matrix(Pose.level_from_cam().rotation.numpy()).as_quat().tolist()


def plain(bag: Messages) -> None:
    bag.info()
    bag.drive()


def opened(folder: Path, kind: str, fill: Callable[[Messages], object], **files: object) -> Journey:
    path = write_bag(folder, kind, fill)
    return open_journey(JourneyFiles(bag=path, **{"height_m": 1.5, **files}))  # type: ignore[arg-type]


def shown(moment: Moment) -> np.ndarray:
    return moment.pictures[2](WHOLE)


@pytest.mark.parametrize("kind", BAGS)
def test_a_bag_is_a_journey(tmp_path: Path, kind: str) -> None:
    journey = opened(tmp_path, kind, plain)
    for _ in range(2):
        moments = list(journey.moments())
        assert [moment.index for moment in moments] == [0, 1, 2, 3, 4]
        assert [m.odometry.time_s - START_S for m in moments] == pytest.approx(TIMES_S, abs=1e-5)
        assert x_m([moment.odometry for moment in moments]) == pytest.approx([0.0, 0.5, 1.0, 1.75, 5.0], abs=1e-3)
    assert [number_of(shown(moment)) for moment in moments] == [0, 1, 2, 3, 4]
    assert journey.places == ()
    camera = journey.cameras[2].camera
    assert (camera.focal_px.tolist(), camera.principal_point_px.tolist()) == ([60.0, 60.0], [32.0, 24.0])
    assert journey.road_from_cam(2).translation_m.tolist() == [0.0, 0.0, 1.5]


@pytest.mark.parametrize("kind", ["db3", "mcap"])
def test_a_file_of_a_bag_without_its_folder(tmp_path: Path, kind: str) -> None:
    folder = write_bag(tmp_path, kind, plain)
    [file] = folder.glob(f"*.{kind}")
    assert len(list(open_journey(JourneyFiles(bag=file, height_m=1.5)).moments())) == 5


def test_times_are_those_of_the_headers(tmp_path: Path) -> None:
    """Pictures that are received a little out of order are sorted, and so is odometry."""

    def fill(bag: Messages) -> None:
        bag.info()
        for number, time_s in enumerate(TIMES_S):
            bag.image(time_s, number, received_s=5.0 - 0.01 * number)
        for number in range(21):
            bag.odometry(0.1 * number, 0.5 * number, received_s=0.1 * number + (0.35 if number == 3 else 0.0))

    moments = list(opened(tmp_path, "mcap", fill).moments())
    assert [m.odometry.time_s - START_S for m in moments] == pytest.approx(TIMES_S, abs=1e-5)
    assert [number_of(shown(moment)) for moment in moments] == [0, 1, 2, 3, 4]
    assert x_m([moment.odometry for moment in moments]) == pytest.approx([0.0, 0.5, 1.0, 1.75, 5.0], abs=1e-3)


def test_an_offset_moves_the_pictures(tmp_path: Path) -> None:
    moments = list(opened(tmp_path, "bag", plain, time_offset_s=0.5).moments())
    assert x_m([moment.odometry for moment in moments]) == pytest.approx([2.5, 3.0, 3.5, 4.25, 7.5], abs=1e-3)


def bgr(image: np.ndarray) -> np.ndarray:
    return image[:, :, ::-1]


def bayer(image: np.ndarray) -> np.ndarray:
    mosaic = image[:, :, 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = image[::2, ::2, 0], image[1::2, 1::2, 2]
    return mosaic


@pytest.mark.parametrize(
    ("encoding", "stored"),
    [
        ("rgb8", lambda image: image),
        ("bgr8", bgr),
        ("rgba8", lambda image: np.dstack([image, image[:, :, 0]])),
        ("bgra8", lambda image: np.dstack([bgr(image), image[:, :, 0]])),
        ("bayer_rggb8", bayer),
        ("mono8", lambda image: image[:, :, 0]),
    ],
)
def test_encodings(tmp_path: Path, encoding: str, stored: Callable[[np.ndarray], np.ndarray]) -> None:
    red = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    red[:, :, 0] = 200

    def fill(bag: Messages) -> None:
        plain(bag)
        bag.stamped = [stamped for stamped in bag.stamped if stamped[0] != "/cam/image_raw"]
        bag.image(0.0, 0, encoding=encoding, pixels=stored(red))

    image = shown(next(opened(tmp_path, "mcap", fill).moments()))
    expected = [200, 200, 200] if encoding == "mono8" else [200, 0, 0]
    assert image[4:-4, 4:-4].reshape(-1, 3).mean(axis=0) == pytest.approx(expected)


def test_rows_may_be_padded(tmp_path: Path) -> None:
    padded = np.zeros((HEIGHT_PX, WIDTH_PX * 3 + 10), np.uint8)
    padded[:, : WIDTH_PX * 3] = picture(2).reshape(HEIGHT_PX, -1)

    def fill(bag: Messages) -> None:
        bag.info()
        bag.image(0.0, 0, pixels=padded, step=WIDTH_PX * 3 + 10)
        bag.odometry(0.0, 0.0)
        bag.odometry(1.0, 1.0)

    assert np.array_equal(shown(next(opened(tmp_path, "bag", fill).moments())), picture(2))


def test_compressed_pictures(tmp_path: Path) -> None:
    def fill(bag: Messages) -> None:
        plain(bag)
        bag.stamped = [stamped for stamped in bag.stamped if stamped[0] != "/cam/image_raw"]
        for number, time_s in enumerate(TIMES_S):
            bag.compressed(time_s, cv2.imencode(".png", picture(number))[1].tobytes())

    moments = list(opened(tmp_path, "bag", fill).moments())
    assert [np.array_equal(shown(moment), picture(number)) for number, moment in enumerate(moments)] == [True] * 5


@pytest.mark.parametrize("kind", BAGS)
def test_distortion_is_undone(tmp_path: Path, kind: str) -> None:
    def fill(bag: Messages) -> None:
        bag.info([-0.3, 0.1, 0.0, 0.0, 0.0])
        bag.drive()

    journey = opened(tmp_path, kind, fill)
    lens = journey.cameras[2].lens
    assert lens is not None
    assert (lens.model, lens.coefficients) == ("opencv", (-0.3, 0.1, 0.0, 0.0, 0.0))
    assert np.array_equal(shown(next(journey.moments())), lens.undistorted(picture(0)))


@pytest.mark.parametrize(
    ("model", "coefficients", "expected"),
    [
        ("equidistant", [0.1, 0.01, 0.0, 0.0], "fisheye"),
        ("rational_polynomial", [-0.3, 0.1, 0, 0, 0, 0.01, 0, 0], "opencv"),
    ],
)
def test_lens_models(tmp_path: Path, model: str, coefficients: list[float], expected: str) -> None:
    def fill(bag: Messages) -> None:
        bag.info(coefficients, model)
        bag.drive()

    lens = opened(tmp_path, "mcap", fill).cameras[2].lens
    assert lens is not None
    assert lens.model == expected


def test_rectified_pictures_have_the_projection_and_no_distortion(tmp_path: Path) -> None:
    def fill(bag: Messages) -> None:
        bag.info([-0.3, 0.1, 0, 0, 0], p=[50, 0, 30.5, 0, 0, 52, 22.5, 0, 0, 0, 1, 0])
        bag.drive()
        bag.stamped = [(topic.replace("image_raw", "image_rect_color"), *rest) for topic, *rest in bag.stamped]

    mounted = opened(tmp_path, "bag", fill).cameras[2]
    assert mounted.lens is None
    assert mounted.camera.focal_px.tolist() == [50.0, 52.0]
    assert mounted.camera.principal_point_px.tolist() == [31.0, 23.0]


def mounting(bag: Messages, pitch_deg: float = 0.0, *, footprint: bool = True) -> None:
    """base_footprint -> base_link (0.4 m up) -> camera_link -> camera_optical."""
    if footprint:
        bag.transform("base_footprint", "base_link", [0.0, 0.0, 0.4])
    pitched = Rotation.from_euler("y", pitch_deg, degrees=True).as_quat().tolist()
    bag.transform("base_link", "camera_link", [1.2, -0.3, 1.0], pitched)
    bag.transform("camera_link", "camera_optical", [0.0, 0.0, 0.0], OPTICAL)


def mounted(folder: Path, fill: Callable[[Messages], object], kind: str = "mcap", **files: object) -> MountedCamera:
    def filled(bag: Messages) -> None:
        plain(bag)
        fill(bag)

    return opened(folder, kind, filled, **{"height_m": None, **files}).cameras[2]


@pytest.mark.parametrize("kind", BAGS)
def test_static_transforms_say_how_the_camera_is_mounted(tmp_path: Path, kind: str) -> None:
    pose = mounted(tmp_path, lambda bag: mounting(bag, 5.0), kind).body_from_cam
    assert pose.translation_m.tolist() == pytest.approx([1.2, -0.3, 1.4])
    assert pose.rotation[:, 2].tolist() == pytest.approx([cos(radians(5)), 0.0, -sin(radians(5))])


def test_what_is_given_goes_before_the_transforms(tmp_path: Path) -> None:
    pose = mounted(tmp_path, lambda bag: mounting(bag, 5.0), height_m=1.7, pitch_deg=-2.0).body_from_cam
    assert pose.translation_m.tolist() == pytest.approx([1.2, -0.3, 1.7])
    assert degrees(np.arcsin(pose.rotation[2, 2].item())) == pytest.approx(2.0)


def test_a_camera_file_goes_before_the_bag(tmp_path: Path) -> None:
    path = write_camera(tmp_path / "camera.json", fx=55, fy=55, height_m=1.1)
    found = mounted(tmp_path, mounting, camera_file=path)
    assert (found.camera.focal_px.tolist(), found.body_from_cam.translation_m.tolist()) == ([55, 55], [0, 0, 1.1])


def test_positions_with_a_fix_are_known_places(tmp_path: Path) -> None:
    def fill(bag: Messages) -> None:
        plain(bag)
        bag.fix(0.0, 49.0, 8.4)
        bag.fix(0.5, 49.1, 8.5, status=-1)
        bag.fix(0.7, 0.0, 0.0)
        bag.fix(0.6, float("nan"), 8.5)
        bag.fix(1.0, 49.0001, 8.4, kind=0)
        bag.fix(1.5, 49.00015, 8.4, variance_m2=0.0)

    places = opened(tmp_path, "bag", fill).places
    assert [(p.time_s - START_S, p.position.degrees, p.sigma_m, p.yaw_rad) for p in places] == [
        (pytest.approx(0.0), (49.0, 8.4), 2.0, None),
        (pytest.approx(1.0), (49.0001, 8.4), None, None),
        (pytest.approx(1.5), (49.00015, 8.4), None, None),
    ]


def test_topics_are_chosen(tmp_path: Path) -> None:
    def fill(bag: Messages) -> None:
        plain(bag)
        bag.info(topic="/rear/camera_info", fx=50.0)
        bag.image(0.2, 4, topic="/rear/image_raw")
        for number in range(21):
            bag.odometry(0.1 * number, 1.0 * number, topic="/wheels")

    path = write_bag(tmp_path, "mcap", fill)
    told = r"has 2 topics of pictures; choose one by --image-topic: /cam/image_raw, /rear/image_raw"
    with pytest.raises(InputError, match=told):
        read_bag(path, height_m=1.5)
    with pytest.raises(InputError, match=r"2 topics of odometry; choose one by --odometry-topic: /odom, /wheels"):
        read_bag(path, BagTopics("/rear/image_raw"), height_m=1.5)
    drive = read_bag(path, BagTopics("/rear/image_raw", odometry="/wheels"), height_m=1.5)
    assert drive.pictures.camera.camera.focal_px.tolist() == [50.0, 50.0]
    assert x_m(drive.odometry)[-1] == pytest.approx(20.0, abs=1e-3)
    drive = read_bag(path, BagTopics("/rear/image_raw", "/cam/camera_info", "/wheels"), height_m=1.5)
    assert drive.pictures.camera.camera.focal_px.tolist() == [60.0, 60.0]


@pytest.mark.parametrize("kind", BAGS)
def test_topics_without_messages_are_no_choice(tmp_path: Path, kind: str) -> None:
    """A recorder of all topics lists those on which nothing came."""
    silent = {"/cam/image_raw/compressed": "sensor_msgs/msg/CompressedImage", "/wheels": "nav_msgs/msg/Odometry"}
    path = write_bag(tmp_path, kind, plain, silent)
    assert x_m(read_bag(path, height_m=1.5).odometry)[-1] == pytest.approx(10.0, abs=1e-3)
    (tmp_path / "none").mkdir()
    none = write_bag(tmp_path / "none", kind, lambda bag: None, silent)
    with pytest.raises(InputError, match="the bag holds no messages"):
        read_bag(none, height_m=1.5)


def without(topic: str) -> Callable[[Messages], None]:
    def fill(bag: Messages) -> None:
        plain(bag)
        bag.stamped = [stamped for stamped in bag.stamped if stamped[0] != topic]

    return fill


def also(change: Callable[[Messages], object], info: bool = True) -> Callable[[Messages], None]:
    def fill(bag: Messages) -> None:
        if info:
            bag.info()
        change(bag)
        bag.drive()

    return fill


def clockless(bag: Messages) -> None:
    bag.start_s = 0.0
    bag.info()
    bag.image(0.0, 0)
    for number in range(5):
        bag.odometry(0.0, float(number), received_s=float(number))


def late_odometry(bag: Messages) -> None:
    plain(bag)
    bag.odometry(0.15, 0.75, received_s=3.0)


def far_apart(bag: Messages) -> None:
    bag.info()
    bag.image(500.0, 0)
    bag.image(501.0, 0)
    bag.odometry(0.0, 0.0)
    bag.odometry(1.0, 0.5)


def circle(bag: Messages) -> None:
    bag.transform("a", "camera_optical", [0, 0, 1])
    bag.transform("camera_optical", "a", [0, 0, 1])


NO_MOUNTING = {"height_m": None}


@pytest.mark.parametrize(
    ("fill", "files", "told"),
    [
        (without("/cam/image_raw"), {}, "has no topics of pictures; its topics are /cam/camera_info, /odom"),
        (without("/odom"), {}, "has no topics of odometry; its topics are"),
        (without("/cam/camera_info"), {}, "has no topics of calibrations; its topics are"),
        (plain, {"image_topic": "/front"}, "has no pictures on /front; choose one by --image-topic: /cam/image_raw"),
        (plain, {"gps_topic": "/fix"}, "has no positions on /fix; its topics are"),
        (plain, NO_MOUNTING, "no static transforms lead from base_link to the camera .camera_optical.; give"),
        (plain, {"height_m": 150.0}, "height_m 150 is not within"),
        (plain, {"pitch_deg": 1e300}, "pitch_deg 1e.300 is beyond 90 degrees"),
        (also(lambda bag: mounting(bag, footprint=False)), NO_MOUNTING, "does not say how high base_link is above"),
        (
            also(lambda bag: bag.transform("base_link", "camera_optical", [0, 0, 1])),
            {},
            "camera_optical is not mounted like a camera .x right, y down, z ahead.",
        ),
        (also(lambda bag: bag.transform("a", "b", [0, 0, 1], [0, 0, 0, 0])), {}, "the transform from a to b is none"),
        (also(lambda bag: bag.transform("a", "b", [0, float("nan"), 1])), {}, "the transform from a to b is none"),
        (
            also(circle),
            NO_MOUNTING,
            "no static transforms lead from base_link",
        ),
        (also(lambda bag: bag.info(fx=0.0), info=False), {}, "was never calibrated .K is zero."),
        (also(lambda bag: bag.info([1.0, 0.1], "omni"), info=False), {}, "the camera model omni is not supported"),
        (also(lambda bag: bag.info([0.1, 0.1], "plumb_bob"), info=False), {}, "plumb_bob has 2 coefficients, not 4"),
        (also(lambda bag: bag.info([float("nan")] * 5), info=False), {}, "is not a number"),
        (also(lambda bag: bag.info(binning=2), info=False), {}, "its pictures are binned or cropped"),
        (also(lambda bag: bag.info(roi_width=32), info=False), {}, "its pictures are binned or cropped"),
        (also(lambda bag: bag.info(fx=1e300), info=False), {}, "fx 1e.300 in a picture of 64 px would see 0.0 degrees"),
        (clockless, {}, "the headers have no times"),
        (late_odometry, {}, "message 22 comes 1.8 s late; sort the bag"),
        (also(lambda bag: bag.odometry(0.05, 0.0, xyzw=(0, 0, 0, 0))), {}, "orientation of message . is no unit quat"),
        (also(lambda bag: bag.odometry(0.05, 0.0, xyzw=(0, 0, 0, float("nan")))), {}, "is no unit quaternion"),
        (far_apart, {}, "the pictures' times go from 1700000500 to 1700000501 s, and those of .*/odom from 1700000000"),
        (also(lambda bag: bag.fix(0.0, 490.0, 8.4)), {}, "latitude 490.0 is not within -90 to 90 degrees"),
    ],
)  # fmt: skip
def test_what_is_refused(
    tmp_path: Path, fill: Callable[[Messages], object], files: dict[str, object], told: str
) -> None:
    with pytest.raises(InputError, match=told) as refused:
        opened(tmp_path, "bag", fill, **files)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda bag: bag.image(0.2, 0, encoding="32FC1"), "picture 0 of .*its encoding '32FC1' cannot be read; record"),
        (lambda bag: bag.image(0.2, 0, height=480), "9216 bytes do not make 480 rows of 192 bytes with 64 pixels each"),
        (lambda bag: bag.image(0.2, 0, step=3), "bytes do not make 48 rows of 3 bytes"),
        (lambda bag: bag.image(0.2, 0, height=24), "the picture has 64 x 24 px, its calibration 64 x 48"),
        (lambda bag: bag.compressed(0.2, b"", "/cam/image_raw"), "the picture file is empty"),
        (lambda bag: bag.compressed(0.2, b"\x89PNG\r\n\x1a\n123", "/cam/image_raw"), "the picture file is cut short"),
        (lambda bag: bag.compressed(0.2, b"depth" * 9, "/cam/image_raw"), "is neither PNG nor JPEG"),
    ],
)
def test_pictures_that_are_damaged_are_refused_when_they_are_asked_for(
    tmp_path: Path, change: Callable[[Messages], object], told: str
) -> None:
    def fill(bag: Messages) -> None:
        bag.info()
        bag.drive([])
        change(bag)

    moment = next(opened(tmp_path, "mcap", fill).moments())
    with pytest.raises(InputError, match=told):
        shown(moment)


def test_pictures_far_out_of_order_are_refused(tmp_path: Path) -> None:
    def fill(bag: Messages) -> None:
        bag.info()
        bag.drive([])
        for number in range(12):
            bag.image(0.1 + 0.1 * number, 0)
        bag.image(0.05, 0, received_s=1.5)

    journey = opened(tmp_path, "mcap", fill)
    with pytest.raises(
        InputError, match="picture 12 of /cam/image_raw: was taken before 8 pictures that come before it"
    ):
        list(journey.moments())


def cut(path: Path, share: float) -> None:
    file = path if path.is_file() else next(file for file in path.iterdir() if file.suffix in (".db3", ".mcap"))
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])


def noise(path: Path) -> None:
    file = path if path.is_file() else next(file for file in path.iterdir() if file.suffix in (".db3", ".mcap"))
    data = bytearray(file.read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(20, len(data), len(data) // 50).tolist():
        data[at] = int(rng.integers(256))
    file.write_bytes(data)


def overwritten(text: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        file = path if path.is_file() else next(file for file in path.iterdir() if file.suffix in (".db3", ".mcap"))
        file.write_bytes(text)

    return damage


@pytest.mark.parametrize("kind", BAGS)
@pytest.mark.parametrize(
    "damage",
    [overwritten(b""), overwritten(b"x" * 5000), lambda path: cut(path, 0.5), lambda path: cut(path, 0.1), noise],
    ids=["empty", "letters", "half", "a tenth", "noise"],
)
def test_damaged_bags_are_refused(tmp_path: Path, kind: str, damage: Callable[[Path], None]) -> None:
    path = write_bag(tmp_path, kind, plain)
    damage(path)
    with pytest.raises(InputError) as refused:
        [shown(moment) for moment in open_journey(JourneyFiles(bag=path, height_m=1.5)).moments()]
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "cannot be read as a bag"),
        (b"rosbag2_bagfile_information:\n  version: 99\n", "version 99 not supported"),
        (b"a: [", "cannot be read as a bag"),
        (b"\xff\xfe\x00", "cannot be read as a bag"),
    ],
)
def test_damaged_metadata_are_refused(tmp_path: Path, text: bytes, told: str) -> None:
    path = write_bag(tmp_path, "mcap", plain)
    (path / "metadata.yaml").write_bytes(text)
    with pytest.raises(InputError, match=told) as refused:
        read_bag(path, height_m=1.5)
    assert "\n" not in str(refused.value)


def test_a_bag_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"drive.bag: the bag does not exist"):
        read_bag(tmp_path / "drive.bag")
    with pytest.raises(InputError, match="cannot be read as a bag"):
        read_bag(tmp_path)


def turning(bag: Messages, **frames: str) -> None:
    """A vehicle that turns on the spot, and something 3 m ahead of it that is followed."""
    bag.info()
    for number, time_s in enumerate(TIMES_S):
        bag.image(time_s, number)
    for number in range(21):
        yaw_rad = 0.05 * number
        turn = (0.0, 0.0, sin(yaw_rad / 2), cos(yaw_rad / 2))
        bag.odometry(0.1 * number, 3 * cos(yaw_rad), y_m=3 * sin(yaw_rad), xyzw=turn, **frames)


def test_odometry_of_a_sensor_is_brought_to_the_vehicle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fill(bag: Messages) -> None:
        turning(bag, child_frame_id="imu")
        bag.transform("base_link", "imu", (3.0, 0.0, 0.0))

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    odometry = [moment.odometry for moment in opened(tmp_path / "a", "mcap", fill).moments()]
    assert np.ptp([(pose.x_m, pose.y_m) for pose in odometry], axis=0) == pytest.approx([0, 0], abs=1e-3)
    assert odometry[-1].yaw_rad - odometry[0].yaw_rad == pytest.approx(0.5, abs=1e-6)
    assert "lead from base_link to imu" not in caplog.text
    unknown = opened(tmp_path / "b", "mcap", lambda bag: turning(bag, child_frame_id="imu"))
    assert np.ptp([moment.odometry.y_m for moment in unknown.moments()]) > 1.0
    assert (
        "no static transforms lead from base_link to imu, whose motion is taken for that of the vehicle" in caplog.text
    )


def test_odometry_whose_axes_point_down_or_change_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="the z axis of odom_ned points down"):
        opened(tmp_path / "a", "bag", lambda bag: turning(bag, frame_id="odom_ned"))

    def two_sources(bag: Messages) -> None:
        turning(bag)
        bag.odometry(2.1, 3.0, frame_id="map")

    with pytest.raises(InputError, match="the frames change: map/base_link, odom/base_link"):
        opened(tmp_path / "b", "bag", two_sources)


def test_the_direction_of_a_bags_odometry_is_no_heading(tmp_path: Path) -> None:
    assert not opened(tmp_path, "bag", plain).has_headings
