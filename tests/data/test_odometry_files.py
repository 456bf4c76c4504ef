"""Odometry from files of its own: relative motion, whatever the format, and what is refused."""

from math import pi, radians
from pathlib import Path

import numpy as np
import pytest
from kitti_tree import write_drive
from recorded import CAMERA, x_m
from scipy.spatial.transform import Rotation
from video_tree import START, bend

from cvlnet.arrays import F64
from cvlnet.data.camera_file import CameraFile, camera_file_of
from cvlnet.data.odometry import OdometryPose
from cvlnet.data.odometry_files import read_odometry, read_places
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame

WAY = bend()  # east, north and heading in degrees
CLOCK_S = 50.0 + np.arange(20) * 0.1
CAM_FROM_BODY = Rotation.from_matrix([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def camera(**changes: object) -> CameraFile:
    return camera_file_of({**CAMERA, **changes}, Path("camera.json"))


def check(poses: tuple[OdometryPose, ...], way: F64 = WAY, time_s: F64 = CLOCK_S) -> None:
    """The same motion, up to where it begins."""
    assert np.allclose([pose.time_s for pose in poses], time_s, atol=1e-6)
    assert np.allclose(
        [(p.x_m - poses[0].x_m, p.y_m - poses[0].y_m) for p in poses], way[:, :2] - way[0, :2], atol=1e-4
    )
    assert np.allclose(np.cos([p.yaw_rad - radians(yaw) for p, yaw in zip(poses, way[:, 2].tolist(), strict=True)]), 1)


def write_csv(path: Path, header: str, rows: F64) -> Path:
    path.write_text("\n".join([header, *(",".join(f"{value:.12g}" for value in row) for row in rows.tolist())]) + "\n")
    return path


def test_a_csv_in_metres(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "o.csv", "time_s,x_m,y_m,yaw_deg", np.column_stack([CLOCK_S, WAY]))
    check(read_odometry(path, camera()))
    turned = read_odometry(path, camera(yaw_offset_deg=90))
    assert turned[-1].yaw_rad == pytest.approx(radians(WAY[-1, 2] + 90))
    assert turned[-1].x_m == pytest.approx(-WAY[-1, 1], abs=1e-4)


def test_a_csv_of_degrees_gives_motion_and_places(tmp_path: Path) -> None:
    places = LocalFrame(START).latlon_deg(WAY[:, :2])
    rows = np.column_stack([CLOCK_S, places, 90 - WAY[:, 2]])
    path = write_csv(tmp_path / "o.csv", "time_s,latitude_deg,longitude_deg,yaw_deg", rows)
    compass = camera(heading_convention="compass")
    poses = read_odometry(path, compass)
    check(poses)
    assert (poses[0].x_m, poses[0].y_m) == (0.0, 0.0)  # nothing says where on earth it is
    known = read_places(path, compass)
    assert [place.time_s for place in known] == pytest.approx(CLOCK_S.tolist())
    assert known[3].position.degrees == pytest.approx(places[3].tolist(), abs=1e-9)
    assert known[3].yaw_rad == pytest.approx(radians(WAY[3, 2]))


def test_only_relative_motion_counts(tmp_path: Path) -> None:
    """The same drive on the other side of the earth gives the same odometry."""
    found = []
    for start in (START, LatLon(-33.9, 151.2)):
        rows = np.column_stack([CLOCK_S, LocalFrame(start).latlon_deg(WAY[:, :2]), WAY[:, 2]])
        path = write_csv(tmp_path / "o.csv", "time_s,latitude_deg,longitude_deg,yaw_deg", rows)
        found.append(np.array([(p.x_m, p.y_m, p.yaw_rad) for p in read_odometry(path, camera())]))
    assert np.allclose(*found, atol=1e-4)


@pytest.mark.parametrize("unit", [1, 1e3, 1e9])
def test_tum(tmp_path: Path, unit: float) -> None:
    """Times since 1970 may count milliseconds or nanoseconds, as in a folder's poses.txt."""
    time_s = 1.7e9 + CLOCK_S
    xyzw = Rotation.from_euler("z", WAY[:, 2:], degrees=True).as_quat()
    rows = np.column_stack([WAY[:, :2], np.zeros(20), xyzw]).tolist()
    lines = [f"{t * unit:.6f} " + " ".join(map(repr, row)) for t, row in zip(time_s.tolist(), rows, strict=True)]
    (tmp_path / "o.txt").write_text("# timestamp tx ty tz qx qy qz qw\n" + "\n".join(lines))
    check(read_odometry(tmp_path / "o.txt", camera()), time_s=time_s)
    with pytest.raises(InputError, match="would stand, or its way climb"):
        read_odometry(tmp_path / "o.txt", camera(world_axes="y_down"))


def kitti_lines(way: F64, forward_m: float = 0.0) -> list[str]:
    """Poses of a camera that looks ahead, in the frame of the first of them."""
    rotation = Rotation.from_euler("z", way[:, 2:], degrees=True)
    xyz_m = np.column_stack([way[:, :2], np.zeros(len(way))]) + rotation.apply([forward_m, 0, 1.5])
    cams = rotation * CAM_FROM_BODY
    xyz_m, cams = cams[0].inv().apply(xyz_m - xyz_m[0]), cams[0].inv() * cams
    matrices = np.concatenate([cams.as_matrix(), xyz_m[:, :, None]], axis=2).reshape(-1, 12)
    return [" ".join(f"{value:.9e}" for value in row) for row in matrices.tolist()]


def write_kitti(folder: Path, way: F64 = WAY, **kitti: float) -> Path:
    (folder / "poses").mkdir()
    (folder / "sequences" / "07").mkdir(parents=True)
    (folder / "sequences" / "07" / "times.txt").write_text("\n".join(f"{t:.6e}" for t in CLOCK_S.tolist()))
    (folder / "poses" / "07.txt").write_text("\n".join(kitti_lines(way, **kitti)))
    return folder / "poses" / "07.txt"


def test_kitti_poses(tmp_path: Path) -> None:
    """Of the camera: they are led back to the body. They begin ahead."""
    expected = bend(course_deg=0.0)
    check(read_odometry(write_kitti(tmp_path), camera()), expected)
    (tmp_path / "poses" / "07.txt").write_text("\n".join(kitti_lines(WAY, forward_m=1.2)))
    check(read_odometry(tmp_path / "poses" / "07.txt", camera(forward_m=1.2)), expected)


def test_kitti_oxts(tmp_path: Path) -> None:
    drive = write_drive(tmp_path)
    for path in (drive, drive / "oxts"):
        poses = read_odometry(path, camera())
        assert [pose.time_s for pose in poses] == pytest.approx([0.1 * i for i in range(13)])
        assert np.allclose([(pose.x_m, pose.y_m) for pose in poses], [(0, i) for i in range(13)], atol=1e-5)
        assert poses[0].yaw_rad == pytest.approx(pi / 2)
    assert read_places(drive, camera())[0].position.degrees == pytest.approx(START.degrees)


@pytest.mark.parametrize(("column", "unit"), [("yaw_rate_rad_s", 1.0), ("yaw_rate_deg_s", 180 / pi)])
def test_wheel_speed_and_yaw_rate(tmp_path: Path, column: str, unit: float) -> None:
    """A circle of 20 m radius, driven a quarter round, and a straight way behind it."""
    time_s = np.arange(0, 10.0001, 0.02)
    rate = np.where(time_s < 5.0, pi / 10, 0.0)
    rate[250] = pi / 20  # halfway between the two, so that the mean rate of each step is right
    rows = np.column_stack([7.0 + time_s, np.full(len(time_s), 2 * pi), rate * unit])
    poses = read_odometry(write_csv(tmp_path / "o.csv", f"time_s,speed_m_s,{column}", rows), camera())
    assert poses[0] == OdometryPose(7.0, 0.0, 0.0, 0.0)
    quarter, end = poses[250], poses[-1]
    assert (quarter.x_m, quarter.y_m) == pytest.approx((20.0, 20.0), abs=0.05)
    assert (end.x_m, end.y_m, end.yaw_rad) == pytest.approx((20.0, 20.0 + 10 * pi, pi / 2), abs=0.06)
    turned = read_odometry(tmp_path / "o.csv", camera(yaw_offset_deg=90))
    assert (turned[-1].x_m, turned[-1].y_m) == pytest.approx((-end.y_m, end.x_m))


def test_wheels_turn_backwards_too(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("time_s,speed_m_s,yaw_rate_rad_s\n0,-2,0\n1,-2,0\n")
    assert x_m(read_odometry(tmp_path / "o.csv", camera())).tolist() == [0.0, -2.0]


def test_wheel_lines_without_a_number_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "o.csv").write_text("time_s,speed_m_s,yaw_rate_rad_s\n0,2,0\n1,nan,0\n2,2,\n3,2,0\n")
    poses = read_odometry(tmp_path / "o.csv", camera())
    assert [(pose.time_s, pose.x_m) for pose in poses] == [(0.0, 0.0), (3.0, 6.0)]
    assert caplog.messages == [
        f"{tmp_path}/o.csv: lines 3, 4 lack a speed or a yaw rate, and are left out; give both in every line"
    ]


def test_poses_that_come_too_often_are_thinned_out(tmp_path: Path) -> None:
    time_s = np.arange(0, 1.0001, 0.004)
    rows = np.column_stack([time_s, 3 * time_s, 0 * time_s, 0 * time_s])
    poses = read_odometry(write_csv(tmp_path / "o.csv", "time_s,x_m,y_m,yaw_deg", rows), camera())
    assert [pose.time_s for pose in poses] == pytest.approx((np.arange(51) * 0.02).tolist())


def test_headings_that_contradict_the_way_are_refused(tmp_path: Path) -> None:
    rows = np.column_stack([CLOCK_S, WAY[:, :2], 90 - WAY[:, 2]])
    path = write_csv(tmp_path / "o.csv", "time_s,x_m,y_m,yaw_deg", rows)
    with pytest.raises(InputError, match='if yaw_deg is a compass bearing, write "heading_convention": "compass"'):
        read_odometry(path, camera())
    check(read_odometry(path, camera(heading_convention="compass")))


XY, WHEELS = "time_s,x_m,y_m,yaw_deg\n", "time_s,speed_m_s,yaw_rate_rad_s\n"
LINES = "".join(f"{i},{i},0,0\n" for i in range(6))
TUM = "".join(f"{i} {i} 0 0 0 0 0 1\n" for i in range(6))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("o.csv", "", "the file is empty"),
        ("o.csv", XY, "has no line below its header; give a line for each pose"),
        ("o.csv", "x_m,y_m,yaw_deg\n1,2,3\n", "has no column time_s; begin with a line such as time_s,x_m,y_m,yaw_deg"),
        ("o.csv", "time_s,x_m,y_m\n1,2,3\n", "has no column yaw_deg"),
        ("o.csv", XY + "0,0,0\n", "3 values for 4 columns"),
        ("o.csv", XY + LINES + "5,6,0,0\n", "line 8: time_s 5 does not rise over that of line 7, 5"),
        ("o.csv", XY + LINES + "4.5,6,0,0\n", "line 8: time_s 4.5 does not rise over"),
        ("o.csv", XY + LINES + ",6,0,0\n", "line 8: has no time_s"),
        ("o.csv", XY + "1700000000000000000,0,0,0\n", r"time_s 1.7e\+18 cannot be in seconds; give seconds"),
        ("o.csv", XY + "1e300,0,0,0\n", r"time_s 1e\+300 cannot be in seconds"),
        ("o.csv", XY + "".join(f"{i * 100},{0.5 * i},0,0\n" for i in range(9)), "the times rise by 100 s"),
        ("o.csv", XY + "0,nan,0,0\n1,,0,0\n", "no line holds a position and a heading"),
        ("o.csv", XY + "".join(f"{i},{i}e300,0,0\n" for i in range(1, 6)), "no line holds a position"),
        ("o.txt", "".join(f"{i} {i}e300 0 0 0 0 0 1\n" for i in range(1, 6)), "no line holds a position"),
        ("o.csv", XY + "0,a,0,0\n", "x_m 'a' is not a number"),
        ("o.csv", "time_s,latitude_deg,longitude_deg,yaw_deg\n0,490,8,0\n", "latitude 490.0 is not within"),
        ("o.csv", WHEELS, "has no line below its header"),
        ("o.csv", "time_s,speed_m_s\n0,1\n", "lacks time_s or the yaw rate; begin with the line time_s,speed_m_s"),
        ("o.csv", "time_s,speed_m_s,yaw_rate_rad_s,yaw_rate_deg_s\n0,1,0,0\n", "has yaw_rate_rad_s and yaw_rate_deg_s"),
        ("o.csv", WHEELS + "0,100,0\n", "line 2: speed_m_s 100 is faster than a road vehicle .70 m/s.; give metres"),
        ("o.csv", WHEELS + "0,5,20\n", "a yaw rate of 1146 degrees per second .* name the column yaw_rate_deg_s"),
        ("o.csv", WHEELS + "0,50,0.4\n1,50,0.4\n", "imply a lateral acceleration of up to 20 m/s2; give metres"),
        ("o.csv", WHEELS + "0,nan,0\n", "no line holds a speed and a yaw rate"),
        ("o.csv", WHEELS + "1,5,0\n1,5,0\n", "time_s 1 does not rise"),
        ("o.csv", WHEELS + "1700000000000,5,0\n", r"time_s 1.7e\+12 cannot be in seconds"),
        ("o.txt", "", "the file is empty"),
        ("o.txt", "# only a comment\n", "its lines have 0 values, as no format of odometry has; give a CSV file"),
        ("o.txt", "1 2 3\n", "its lines have 3 values, as no format"),
        ("o.txt", "\x00\x01\x02", "its lines have 1 values, as no format"),
        ("o.txt", TUM + "6 6 0 0 0 0 0\n", "line 7: 7 of 8 values"),
        ("o.txt", TUM + "4 6 0 0 0 0 0 1\n", "line 7: the time 4 does not rise"),
        ("o.txt", TUM + "6 6 0 0 0 0 0 0\n", "the quaternion is zero"),
        ("o.txt", TUM + "6 6 0 0 0 0 0 1e300\n", "the quaternion has length"),
        ("o.txt", TUM + "nan 6 0 0 0 0 0 1\n", "'nan' is not a number"),
        ("o.txt", "1 0 0 0 0 1 0 0 0 0 1 0\n", "o.txt: has no times; put times.txt beside it"),
        ("o", None, "the file is missing"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, name: str, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=told) as refused:
        read_odometry(tmp_path / name, camera())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lines, times: times.pop(), "times.txt: holds 19 times for 20 poses in 07.txt"),
        (lambda lines, times: times.reverse(), "times.txt, line 2: time_s .* does not rise"),
        (lambda lines, times: times.__setitem__(3, "a"), "times.txt, line 4: 'a' is not a number"),
        (lambda lines, times: lines.__setitem__(3, "1 2 3"), "07.txt, line 4: 3 of 12 values"),
        (lambda lines, times: lines.__setitem__(3, " ".join(["1"] * 12)), "07.txt, line 4: holds no rotation"),
        (lambda lines, times: lines.__setitem__(3, " ".join(["nan"] * 12)), "'nan' is not a number"),
    ],
)
def test_kitti_poses_that_are_refused(tmp_path: Path, change, told: str) -> None:
    path = write_kitti(tmp_path)
    times_path = tmp_path / "sequences" / "07" / "times.txt"
    lines, times = path.read_text().splitlines(), times_path.read_text().splitlines()
    change(lines, times)
    path.write_text("\n".join(lines))
    times_path.write_text("\n".join(times))
    with pytest.raises(InputError, match=told):
        read_odometry(path, camera())


def test_a_folder_without_oxts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the folder holds no oxts"):
        read_odometry(tmp_path, camera())


def test_metres_are_no_places(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "o.csv", "time_s,x_m,y_m,yaw_deg", np.column_stack([CLOCK_S, WAY]))
    with pytest.raises(InputError, match="holds no places on earth; give a GPX track"):
        read_places(path, camera())


def test_a_large_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvlnet.data.odometry_files.MOST_BYTES", 10)
    (tmp_path / "o.csv").write_text(XY + LINES)
    with pytest.raises(InputError, match="the file has 0 MB, and 0 MB are the most"):
        read_odometry(tmp_path / "o.csv", camera())


def test_a_gpx_track_is_no_odometry(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a GPX track has no headings, which odometry needs; give it as --gps"):
        read_odometry(tmp_path / "drive.gpx", camera())
