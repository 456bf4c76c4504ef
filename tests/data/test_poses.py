"""Lines to poses: what pairs with which frame, and which way a pose can be meant."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from video_tree import F64, METRES, bend, names, table, write_camera, write_frames, write_table, write_tum, write_video

from cvlnet.data.folder import read_folder
from cvlnet.data.poses import is_unit
from cvlnet.errors import InputError
from cvlnet.geo import LocalFrame
from cvlnet.geometry import Pose

WAY = bend()
CLOCK_S = np.arange(20) * 0.1


def bodies(way: F64 = WAY) -> tuple[F64, Rotation]:
    """Poses of the body in a world with z up: positions and rotations."""
    return np.column_stack([way[:, :2], np.zeros(len(way))]), Rotation.from_euler("z", way[:, 2:], degrees=True)


def cameras(way: F64 = WAY, pitch_deg: float = 0.0) -> tuple[F64, Rotation]:
    """Poses of a camera 0.8 m ahead of the body's origin and 1.5 m above it."""
    xyz_m, rotation = bodies(way)
    mounted = Rotation.from_euler("y", pitch_deg, degrees=True) * Rotation.from_matrix(
        Pose.level_from_cam().rotation.numpy()
    )
    return xyz_m + rotation.apply([0.8, 0.0, 1.5]), rotation * mounted


def in_first(xyz_m: F64, rotation: Rotation) -> tuple[F64, Rotation]:
    """The same poses in the frame of the first of them, as visual odometry gives them."""
    return rotation[0].inv().apply(xyz_m - xyz_m[0]), rotation[0].inv() * rotation


def test_unit_quaternions() -> None:
    nearly, far, none = (0.0, 0.0, 0.6, 0.84), (0.0, 0.0, 0.6, 0.9), (0.0, 0.0, 0.0, 0.0)  # of length 1.032, 1.082, 0
    found = is_unit(np.array([nearly, far, none, (np.nan, 0.0, 0.0, 1.0), (np.inf, 0.0, 0.0, 1.0), (1e300,) * 4]))
    assert found.tolist() == [True, False, False, False, False, False]
    assert is_unit(np.array([0.0, 0.0, 0.0, 0.951])).tolist() is True
    assert is_unit(np.array([0.0, 0.0, 0.0, 0.949])).tolist() is False


def check(folder: Path, yaw_deg: F64 = WAY[:, 2], way_m: F64 = WAY[:, :2]) -> None:
    frames = read_folder(folder).frames
    places_m = LocalFrame(frames[0].position).xy_world_m([frame.position.degrees for frame in frames])
    assert np.abs(places_m - (way_m - way_m[0])).max() < 1e-4
    off_deg = np.degrees([frame.yaw_rad for frame in frames]) - yaw_deg
    assert np.abs((off_deg + 180) % 360 - 180).max() < 1e-4


def write_poses(folder: Path, poses: tuple[F64, Rotation], *, wxyz: bool = False, **camera: object) -> Path:
    write_video(folder, **camera)
    xyzw = poses[1].as_quat()
    write_tum(folder, CLOCK_S, poses[0], np.roll(xyzw, 1, axis=1) if wxyz else xyzw)
    return folder


def test_poses_of_the_body(tmp_path: Path) -> None:
    check(write_poses(tmp_path, bodies()))


def test_poses_of_the_camera(tmp_path: Path) -> None:
    """Its lever arm turns with the vehicle."""
    check(write_poses(tmp_path, cameras(pitch_deg=5.0), poses_of="camera", pitch_deg=5.0))


@pytest.mark.parametrize("pitch_deg", [0.0, 12.0, -3.0])
def test_a_world_of_the_first_camera(tmp_path: Path, pitch_deg: float) -> None:
    """As visual odometry gives it: y down but for the camera's pitch; its z axis is turned to the first heading."""
    poses = in_first(*cameras(pitch_deg=pitch_deg))
    keys = {"poses_of": "camera", "world_axes": "y_down", "pitch_deg": pitch_deg, "yaw_offset_deg": WAY[0, 2]}
    check(write_poses(tmp_path, poses, **keys))


def test_quaternions_with_w_first(tmp_path: Path) -> None:
    check(write_poses(tmp_path, bodies(), wxyz=True, quaternion_order="wxyz"))


@pytest.mark.parametrize(
    ("poses", "wxyz", "keys", "remedy"),
    [
        (in_first(*cameras()), False, {"poses_of": "camera"}, 'write "world_axes": "y_down" in camera.json'),
        (in_first(*cameras()), False, {}, 'write "poses_of": "camera", "world_axes": "y_down" in camera.json'),
        (cameras(), False, {}, 'write "poses_of": "camera" in camera.json'),
        (bodies(), True, {}, 'write "quaternion_order": "wxyz" in camera.json'),
        (cameras(), False, {"poses_of": "camera", "world_axes": "y_down"}, "give poses in a world with z up"),
    ],
    ids=["world of the camera", "visual odometry", "camera taken for body", "w first", "nothing fits"],
)
def test_a_vehicle_that_would_not_stand_upright_is_refused(
    tmp_path: Path, poses: tuple[F64, Rotation], wxyz: bool, keys: dict[str, object], remedy: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_folder(write_poses(tmp_path, poses, wxyz=wxyz, **keys))
    assert caught.value.what.startswith("the vehicle would stand, or its way climb, at ")
    assert caught.value.remedy.startswith(remedy)


def test_a_quaternion_that_stands_upright_either_way_is_told_by_the_motion(tmp_path: Path) -> None:
    """Headings near 180 degrees are those of small rotations with w in the wrong place."""
    way = bend(20, course_deg=165.0, turn_deg=12.0)
    with pytest.raises(InputError, match=r'direction of travel; if quaternion_order is "wxyz", write "quater'):
        read_folder(write_poses(tmp_path, bodies(way), wxyz=True))


def test_inverted_poses_are_told(tmp_path: Path) -> None:
    xyz_m, rotation = bodies()
    inverted = (-rotation.inv().apply(xyz_m), rotation.inv())
    with pytest.raises(InputError, match="if the poses are inverted, invert them: world from camera, or from body"):
        read_folder(write_poses(tmp_path, inverted))


def test_another_forward_axis_is_an_offset(tmp_path: Path) -> None:
    """A body with x to the right and y ahead."""
    xyz_m, rotation = bodies()
    poses = (xyz_m, rotation * Rotation.from_euler("z", -90, degrees=True))
    with pytest.raises(InputError, match=r'write "heading_offset_deg": 90 in camera.json'):
        read_folder(write_poses(tmp_path / "a", poses))
    check(write_poses(tmp_path / "b", poses, heading_offset_deg=90))


def test_frames_named_after_times_are_paired_by_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Poses come ten times as often as frames, and end before the last frame."""
    frame_s = 1305031102.0 + np.arange(5) * 0.5
    write_frames(tmp_path, [f"{time_s:.6f}.png" for time_s in frame_s])
    write_camera(tmp_path)
    way = bend(41, step_m=0.5)
    xyz_m, rotation = bodies(way)
    write_tum(tmp_path, frame_s[0] + np.arange(41) * 0.05 - 0.004, xyz_m, rotation.as_quat())
    check(tmp_path, way[::10, 2], way[::10, :2])
    write_tum(tmp_path, frame_s[0] + np.arange(38) * 0.05, xyz_m[:38], rotation[:38].as_quat())
    check(tmp_path, way[:40:10, 2], way[:40:10, :2])
    assert caplog.messages[-1].endswith(
        "1 of 5 frames have no pose within 0.02 s and are left out; give their poses if they are needed"
    )


def test_frames_named_after_nanoseconds_are_paired_by_time(tmp_path: Path) -> None:
    nanoseconds = 1403636579763555584 + np.arange(20) * 100_000_000
    write_frames(tmp_path, [f"{time}.png" for time in nanoseconds])
    write_camera(tmp_path)
    xyz_m, rotation = bodies()
    for scale in (1e9, 1.0):
        write_tum(tmp_path, nanoseconds / scale, xyz_m, rotation.as_quat())
        check(tmp_path)


def test_times_from_another_zero_pair_in_order_if_they_keep_pace(tmp_path: Path) -> None:
    write_frames(tmp_path, [f"{1305031102 + time_s:.6f}.png" for time_s in CLOCK_S])
    write_camera(tmp_path)
    xyz_m, rotation = bodies()
    write_tum(tmp_path, CLOCK_S, xyz_m, rotation.as_quat())
    check(tmp_path)
    write_tum(tmp_path, CLOCK_S * 2, xyz_m, rotation.as_quat())
    with pytest.raises(InputError, match="the frames' names are times, but not those of the poses; name the frames"):
        read_folder(tmp_path)
    write_tum(tmp_path, CLOCK_S + 1305031102.05, xyz_m, rotation.as_quat())
    with pytest.raises(InputError, match=r"no pose lies within 0.02 s of the time that a frame is named after"):
        read_folder(tmp_path)


def test_unpadded_names_pair_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write_frames(tmp_path, [f"{i}.png" for i in range(20)])
    write_camera(tmp_path)
    write_tum(tmp_path, CLOCK_S, bodies()[0], bodies()[1].as_quat())
    check(tmp_path)


IDENTITY = "0 0 0 0 0 0 1"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["0 " + IDENTITY], "holds 1 poses for 3 frames; give one line a frame, or poses.csv"),
        (["# comment", "0 0 0 0 0 0 1"], "line 2: 7 of 8 values; write timestamp tx ty tz qx qy qz qw, with blanks"),
        (["0," + IDENTITY.replace(" ", ",")], "line 1: 1 of 8 values"),
        (["0 0 0 0 0 0 0 0"], "line 1: the quaternion is zero"),
        (["0 0 0 0 0 0 1 1"], "line 1: the quaternion has length 1.41, not 1"),
        (["0 0 0 0 0 0 0 up"], "line 1: 'up' is not a number"),
        (["now " + IDENTITY], "line 1: 'now' is not a number"),
        (["0 " + IDENTITY, "2 " + IDENTITY, "1 " + IDENTITY], "line 3: the time 1 does not rise over the one before"),
        (["# nothing"], "holds no poses"),
    ],
)
def test_malformed_tum_poses(tmp_path: Path, lines: list[str], told: str) -> None:
    write_frames(tmp_path, names(3))
    write_camera(tmp_path)
    (tmp_path / "poses.txt").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=f"poses.txt.*{told}"):
        read_folder(tmp_path)


def test_a_pose_that_was_lost_is_left_out(tmp_path: Path) -> None:
    xyz_m, rotation = bodies()
    folder = write_poses(tmp_path, (xyz_m, rotation))
    lines = (folder / "poses.txt").read_text().splitlines()
    lines[4] = "0.4 nan nan nan nan nan nan nan"
    (folder / "poses.txt").write_text("\n".join(lines))
    recording = read_folder(folder)
    assert list(recording.left_out) == [4]
    assert len(recording.frames) == 19


def test_compass_bearings_are_not_of_tum(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"camera.json: heading_convention is for poses.csv, not for poses.txt; delete"
    ):
        read_folder(write_poses(tmp_path, bodies(), heading_convention="compass"))


@pytest.mark.parametrize("key", ["poses_of", "world_axes", "quaternion_order"])
def test_keys_of_tum_are_not_of_the_table(tmp_path: Path, key: str) -> None:
    value = {"poses_of": "camera", "world_axes": "z_up", "quaternion_order": "xyzw"}[key]
    with pytest.raises(InputError, match=rf"camera.json: {key} is for poses.txt, not for poses.csv; delete the key"):
        read_folder(write_video(tmp_path, **{key: value}))


def cell(row: int, column: int, value: str) -> Callable[[list[list[str]]], Any]:
    def edit(cells: list[list[str]]) -> None:
        cells[row][column] = value

    return edit


def without(column: int) -> Callable[[list[list[str]]], Any]:
    def edit(cells: list[list[str]]) -> None:
        for row in cells:
            del row[column]

    return edit


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (without(4), "poses.csv: has no column yaw_deg; begin with a line such as file,time_s,x_m,y_m,yaw_deg"),
        (without(0), r"has no column file; begin with"),
        (cell(0, 4, "yaw"), r"has no column yaw_deg \(did you mean yaw\?\)"),
        (cell(0, 2, "X_m"), r"has no column x_m \(did you mean X_m\?\)"),
        (lambda cells: cells.__delitem__(slice(1, None)), "has no line below its header; give a line for each frame"),
        (cell(1, 0, "none.png"), "line 2: frames holds no none.png; correct the line"),
        (cell(1, 0, "frames/0000.png"), r"line 2: frames holds no frames/0000.png \(did you mean 0000.png\?\)"),
        (cell(1, 0, "0000.PNG"), r"line 2: frames holds no 0000.PNG \(did you mean 0000.png\?\)"),
        (cell(3, 0, "0000.png"), r"line 4: 0000.png has a line already \(line 2\); keep the one that is right"),
        (cell(3, 2, "east"), "line 4: x_m 'east' is not a number"),
        (
            cell(3, 1, "7.5"),
            r"line 5: time_s 0.3 comes before that of line 4, 7.5, but the frame's name comes after it",
        ),
        (cell(0, 1, "yaw_rad"), "has yaw_deg and yaw_rad; keep one of them"),
    ],
)
def test_malformed_tables(tmp_path: Path, edit: Callable[[list[list[str]]], Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_folder(write_video(tmp_path, edit=edit))


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (cell(1, 2, "95"), "line 2: latitude 95.0 is not within -90 to 90 degrees; give degrees"),
        (cell(0, 3, "lon_deg"), r"has no column longitude_deg \(did you mean lon_deg\?\)"),
    ],
)
def test_malformed_places(tmp_path: Path, edit: Callable[[list[list[str]]], Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_folder(write_video(tmp_path, geographic=True, edit=edit))


def test_degrees_in_radians_are_refused(tmp_path: Path) -> None:
    def edit(cells: list[list[str]]) -> None:
        for row in cells[1:]:
            row[2:4] = [f"{np.radians(float(value)):.12f}" for value in row[2:4]]

    with pytest.raises(
        InputError, match=r"all places lie in the Gulf of Guinea, .*; give latitude and longitude in degrees"
    ):
        read_folder(write_video(tmp_path, geographic=True, edit=edit))


def test_rows_may_come_in_any_order_with_other_columns(tmp_path: Path) -> None:
    def edit(cells: list[list[str]]) -> None:
        cells[1:] = cells[:0:-1]
        for row in cells:
            row[:] = ["note", *row, "quality"]

    check(write_video(tmp_path, edit=edit))


def test_degrees_are_taken_where_metres_are_there_too(tmp_path: Path) -> None:
    def edit(cells: list[list[str]]) -> None:
        cells[0] += ["x_m", "y_m"]
        for row in cells[1:]:
            row += ["456000", "5428000"]

    check(write_video(tmp_path, geographic=True, edit=edit))


def test_one_file_of_poses_is_needed(tmp_path: Path) -> None:
    folder = write_video(tmp_path)
    (folder / "poses.txt").write_text("")
    with pytest.raises(InputError, match=r"holds both poses.csv and poses.txt; keep the one that is right"):
        read_folder(folder)
    (folder / "poses.txt").unlink()
    (folder / "poses.csv").unlink()
    with pytest.raises(InputError, match=r"poses.csv: the file is missing"):
        read_folder(folder)


def test_names_with_accents_that_macos_takes_apart(tmp_path: Path) -> None:
    write_frames(tmp_path, [f"fru\u0308h{i}.png" for i in range(4)])
    write_camera(tmp_path)
    cells = table(WAY[:4], [f"fr\u00fch{i}.png" for i in range(4)])
    assert cells[0] == METRES.split(",")
    write_table(tmp_path, cells)
    assert len(read_folder(tmp_path).frames) == 4
