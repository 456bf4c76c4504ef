from collections.abc import Callable
from math import radians
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from kitti_tree import DATE, DRIVE, NAME, place, shared, write_drive

from cvlnet.data.clips import ClipSpec, clip_frames
from cvlnet.data.images import read_image
from cvlnet.data.kitti import UNIT_PITCH_RAD, nominal_body_from_cam, read_calibration, read_drive, read_oxts_file
from cvlnet.data.recording import Recording
from cvlnet.errors import InputError
from cvlnet.geo import LocalFrame
from cvlnet.geometry import Pose
from cvlnet.image_spec import ImageSpec


def oxts(drive_dir: Path, frame: int = 3) -> Path:
    return drive_dir / "oxts" / "data" / f"{frame:010d}.txt"


def test_a_drive_is_listed_with_its_cameras_and_places(tmp_path: Path) -> None:
    write_drive(tmp_path)
    recording = read_drive(tmp_path, DATE, DRIVE)
    frame = recording.frame(3)
    assert frame is not None
    assert recording.name == NAME
    assert [f.index for f in recording.frames] == list(range(13))
    assert frame.position.degrees == pytest.approx(place(3).degrees)
    assert (frame.roll_rad, frame.pitch_rad, frame.yaw_rad) == pytest.approx((0.01, 0.02, np.pi / 2))
    assert sorted(frame.images) == [2, 3]
    assert frame.time_s - recording.frames[0].time_s == pytest.approx(0.3, abs=1e-5)


def test_all_thirty_values_are_kept(tmp_path: Path) -> None:
    measured = read_oxts_file(oxts(write_drive(tmp_path)))
    assert (measured.altitude_m, measured.forward_m_per_s, measured.leftward_m_per_s) == (116.0, 10.0, 0.1)
    assert len(measured.values) == 30


def test_the_chain_of_calibration_ends_at_the_cameras(tmp_path: Path) -> None:
    write_drive(tmp_path)
    cameras = read_calibration(tmp_path / DATE).cameras
    left, right = cameras[2], cameras[3]
    # imu -> velo: 0.5 m back, 0.25 m left, 0.7 m down; velo -> cam: half a metre forward of the scanner
    assert left.body_from_cam.translation_m.tolist() == pytest.approx([1.0, -0.25, 0.7])
    assert right.body_from_cam.translation_m.tolist() == pytest.approx([1.0, -0.75, 0.7])
    assert left.body_from_cam.rotation[:, 2].tolist() == [1.0, 0.0, 0.0]  # looks ahead
    assert left.camera.principal_point_px.tolist() == [61.0, 18.0]
    assert (left.camera.width_px, left.camera.height_px) == (124, 38)


def test_a_nominal_mounting_is_used_only_on_request(tmp_path: Path) -> None:
    write_drive(tmp_path)
    (tmp_path / DATE / "calib_imu_to_velo.txt").unlink()
    (tmp_path / DATE / "calib_velo_to_cam.txt").unlink()
    with pytest.raises(InputError, match=r"calib_imu_to_velo.txt: the file is missing; download"):
        read_drive(tmp_path, DATE, DRIVE)
    recording = read_drive(tmp_path, DATE, DRIVE, nominal_mounting=True)
    road_from_cam = recording.road_from_body @ recording.cameras[2].body_from_cam
    assert road_from_cam.translation_m.tolist() == pytest.approx([1.08, -0.26, 1.65])
    assert nominal_body_from_cam()[3].translation_m[1] == pytest.approx(-0.80)


def test_holes_are_legal_and_clips_go_round_them(tmp_path: Path) -> None:
    drive_dir = write_drive(tmp_path, [0, 3, 6, 7, 9, 12])
    (drive_dir / "image_02" / "data" / "0000000007.png").unlink()
    recording = read_drive(tmp_path, DATE, DRIVE)
    assert recording.frame(8) is None
    hole = recording.frame(7)
    assert hole is not None
    assert sorted(hole.images) == [3]
    spec = ClipSpec(ImageSpec(62, 16))
    chosen = {newest: [frame.index for frame in clip_frames(recording, newest, spec)] for newest in (12, 9, 7, 6)}
    assert chosen == {12: [12, 9, 3, 0], 9: [9, 6, 3, 0], 7: [], 6: [6, 3, 0]}


def test_times_may_be_one_a_file_instead_of_one_a_number(tmp_path: Path) -> None:
    drive_dir = write_drive(tmp_path, [0, 5, 9])
    stamps = drive_dir / "oxts" / "timestamps.txt"
    stamps.write_text("".join(f"2011-09-26 13:02:4{i}.0\n" for i in range(3)))
    times_s = [frame.time_s for frame in read_drive(tmp_path, DATE, DRIVE).frames]
    assert np.diff(times_s).tolist() == [1.0, 1.0]
    stamps.write_text("2011-09-26 13:02:44.0\n")
    with pytest.raises(InputError, match="holds 1 times, the last frame is number 9"):
        read_drive(tmp_path, DATE, DRIVE)
    stamps.write_text("noon\n" * 10)
    with pytest.raises(InputError, match="'noon' is no time"):
        read_drive(tmp_path, DATE, DRIVE)


def one_line(error: InputError, where: str) -> str:
    """The message, which is one line that says where."""
    text = str(error)
    assert "\n" not in text
    assert text.count(";") >= 1
    assert where in text.split(": ")[0]
    return text


def test_missing_drive(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_drive(tmp_path, DATE, DRIVE)
    assert "the drive does not exist; unpack it" in one_line(caught.value, DRIVE)


def test_the_folder_of_a_date_is_no_drive(tmp_path: Path) -> None:
    write_drive(tmp_path / DATE)
    with pytest.raises(
        InputError, match="the folder is no drive: it has no oxts; name the folder of one drive, DATE/D"
    ):
        read_drive(tmp_path, DATE, DATE)


@pytest.mark.parametrize("name", ["cam_to_cam", "imu_to_velo", "velo_to_cam"])
def test_missing_calibration(tmp_path: Path, name: str) -> None:
    write_drive(tmp_path)
    (tmp_path / DATE / f"calib_{name}.txt").unlink()
    with pytest.raises(InputError) as caught:
        read_drive(tmp_path, DATE, DRIVE)
    assert "the file is missing; download" in one_line(caught.value, f"calib_{name}.txt")


@pytest.mark.parametrize(
    ("text", "what"),
    [("R: 1 0 0 0 1 0 0 0 1\n", "has no entry T"), ("R: 1 0 0\nT: 0 0 0\n", "R has 3 of 9 values"), ("", "is empty")],
)
def test_malformed_calibration(tmp_path: Path, text: str, what: str) -> None:
    write_drive(tmp_path)
    (tmp_path / DATE / "calib_imu_to_velo.txt").write_text(text)
    with pytest.raises(InputError) as caught:
        read_drive(tmp_path, DATE, DRIVE)
    assert what in one_line(caught.value, "calib_imu_to_velo.txt")


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("imu_to_velo", "R: 1 0 0 0 1 0 0 0 2\nT: 0 0 0\n", "R is no rotation"),
        ("imu_to_velo", "R: 1 0 0 0 1 0 0 0 -1\nT: 0 0 0\n", "R is no rotation"),
        ("imu_to_velo", "R: 1 0 0 0 1 0 0 0 1\nT: -810 320 -800\n", "do not lead from the unit to a camera that looks"),
        ("velo_to_cam", "R: 1 0 0 0 1 0 0 0 1\nT: 0 0 0\n", "do not lead from the unit to a camera that looks ahead"),
        ("velo_to_cam", "R: 0 0 1 -1 0 0 0 -1 0\nT: 0 0 0\n", "do not lead from the unit to a camera that looks ahead"),
    ],
    ids=["stretched", "mirrored", "millimetres", "velodyne's axes", "inverted"],
)
def test_a_chain_that_ends_at_no_camera(tmp_path: Path, name: str, text: str, what: str) -> None:
    write_drive(tmp_path)
    (tmp_path / DATE / f"calib_{name}.txt").write_text(text)
    with pytest.raises(InputError, match=what):
        read_drive(tmp_path, DATE, DRIVE)


@pytest.mark.parametrize("encode", [lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n")])
def test_calibration_and_times_with_a_mark_or_other_line_ends(tmp_path: Path, encode: Callable[[str], str]) -> None:
    drive_dir = write_drive(tmp_path)
    for path in [*(tmp_path / DATE).glob("calib_*.txt"), drive_dir / "oxts" / "timestamps.txt", oxts(drive_dir)]:
        path.write_bytes(encode(path.read_text()).encode())
    recording = read_drive(tmp_path, DATE, DRIVE)
    assert len(recording.frames) == 13
    assert recording.frames[3].time_s == pytest.approx(0.3, abs=1e-5)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".PNG", ".JPG"])
def test_pictures_may_be_jpeg_and_hidden_files_do_not_count(tmp_path: Path, suffix: str) -> None:
    drive_dir = write_drive(tmp_path)
    for path in drive_dir.glob("image_0*/data/*.png"):
        path.rename(path.with_suffix(suffix))
        path.with_name("._" + path.name).write_bytes(b"\0\5\x16\7")
    oxts(drive_dir).with_name("._0000000003.txt").write_bytes(b"\0\5\x16\7")
    frames = read_drive(tmp_path, DATE, DRIVE).frames
    assert [frame.index for frame in frames] == list(range(13))
    assert {path.suffix for frame in frames for path in frame.images.values()} == {suffix}


def test_two_pictures_of_one_frame_are_refused(tmp_path: Path) -> None:
    data = write_drive(tmp_path) / "image_02" / "data"
    (data / "3.png").write_bytes((data / "0000000003.png").read_bytes())
    with pytest.raises(InputError, match=r"is of the same frame as .*3.png; delete one of the two"):
        read_drive(tmp_path, DATE, DRIVE)


def test_truncated_oxts_line(tmp_path: Path) -> None:
    path = oxts(write_drive(tmp_path))
    path.write_text(" ".join(path.read_text().split()[:17]))
    with pytest.raises(InputError) as caught:
        read_drive(tmp_path, DATE, DRIVE)
    assert "holds 17 of 30 values; copy or download" in one_line(caught.value, path.name)


@pytest.mark.parametrize("word", ["north", "1,5", "1_5"])
def test_non_numeric_value(tmp_path: Path, word: str) -> None:
    path = oxts(write_drive(tmp_path))
    path.write_text(" ".join([*path.read_text().split()[:29], word]))
    with pytest.raises(InputError) as caught:
        read_drive(tmp_path, DATE, DRIVE)
    assert f"'{word}' is not a number" in one_line(caught.value, path.name)


def change(path: Path, **values: float) -> None:
    """Write other values by their place in the file: v0 is the latitude, v5 the yaw."""
    words = path.read_text().split()
    for key, value in values.items():
        words[int(key[1:])] = repr(value)
    path.write_text(" ".join(words))


@pytest.mark.parametrize("values", [{"v0": 0.0, "v1": 0.0}, {"v0": float("nan")}, {"v5": float("nan")}])
def test_a_frame_without_a_fix_is_left_out(
    tmp_path: Path, values: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    drive_dir = write_drive(tmp_path)
    change(oxts(drive_dir), **values)
    recording = read_drive(tmp_path, DATE, DRIVE)
    assert [frame.index for frame in recording.frames] == [0, 1, 2, *range(4, 13)]
    assert recording.left_out == {3: f"it has no position (0, 0 or no number), or no heading ({oxts(drive_dir)})"}
    assert caplog.messages == [
        f"{drive_dir}/oxts/data: 1 of 13 frames are left out: no position or heading (frame 3); "
        "correct their positions, or delete them"
    ]


def test_a_frame_far_from_the_way_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    drive_dir = write_drive(tmp_path)
    change(oxts(drive_dir), v0=place(3).latitude_deg + 0.002)
    recording = read_drive(tmp_path, DATE, DRIVE)
    assert [frame.index for frame in recording.frames] == [0, 1, 2, *range(4, 13)]
    assert [message.partition("left out: ")[2] for message in caplog.messages] == [
        "no vehicle can have driven there (frame 3); correct their positions, or delete them"
    ]


def test_a_jump_cuts_the_drive(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    drive_dir = write_drive(tmp_path)
    for frame in range(6, 13):
        change(oxts(drive_dir, frame), v0=place(frame).latitude_deg + 0.002)
    recording = read_drive(tmp_path, DATE, DRIVE)
    assert len(recording.frames) == 13
    assert recording.jumps_m == {6: pytest.approx(223.4, abs=0.1)}
    assert caplog.messages == [
        f"{drive_dir}/oxts/data: the position jumps by 223 m at frame 6 and continues from there; "
        "correct the positions; until then no clip reaches back over the jump"
    ]


def test_headings_beside_the_motion_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    drive_dir = write_drive(tmp_path)
    for frame in range(13):
        change(oxts(drive_dir, frame), v5=0.0)  # it drives north
    assert len(read_drive(tmp_path, DATE, DRIVE).frames) == 13
    assert caplog.messages == [
        f"{drive_dir}/oxts/data: the headings are 90 degrees away from the direction of travel; "
        "yaw (the 6th value) is in radians, 0 to the east, counter-clockwise"
    ]


def test_an_empty_line_of_the_times_does_not_shift_the_others(tmp_path: Path) -> None:
    drive_dir = write_drive(tmp_path)
    stamps = drive_dir / "oxts" / "timestamps.txt"
    lines = stamps.read_text().splitlines()
    clock_s = [pytest.approx(i / 10, abs=1e-5) for i in range(13)]
    for ending in ("\n", "\r\n"):
        for missing in ([3], [0, 3, 4]):
            stamps.write_bytes(ending.join("" if i in missing else line for i, line in enumerate(lines)).encode())
            assert [f.time_s for f in read_drive(tmp_path, DATE, DRIVE).frames] == clock_s
    stamps.write_text("\n\n".join(lines) + "\n\n")  # all are there: empty lines tell of nothing
    assert [f.time_s for f in read_drive(tmp_path, DATE, DRIVE).frames] == clock_s


def test_empty_oxts_file(tmp_path: Path) -> None:
    path = oxts(write_drive(tmp_path))
    path.write_bytes(b"")
    with pytest.raises(InputError) as caught:
        read_drive(tmp_path, DATE, DRIVE)
    assert "the file is empty" in one_line(caught.value, path.name)


def test_latitude_out_of_range(tmp_path: Path) -> None:
    path = oxts(write_drive(tmp_path))
    path.write_text(" ".join(["91.5", *path.read_text().split()[1:]]))
    with pytest.raises(InputError) as caught:
        read_drive(tmp_path, DATE, DRIVE)
    assert "latitude 91.5 is not within -90 to 90 degrees" in one_line(caught.value, path.name)


def test_the_real_cameras_stand_where_kitti_s_setup_page_says() -> None:
    raw = shared("kitti", "raw_data")
    for drive, frames in (("0002", 77), ("0009", 447), ("0005", 154)):
        recording = read_drive(raw, DATE, f"{DATE}_drive_{drive}_sync")
        assert len(recording.frames) == frames
    left, right = (recording.road_from_body @ recording.cameras[i].body_from_cam for i in (2, 3))
    assert left.translation_m.tolist() == pytest.approx([1.08, -0.26, 1.65], abs=0.02)
    assert float((left.translation_m - right.translation_m).norm()) == pytest.approx(0.54, abs=0.01)
    assert abs(float(left.rotation[2, 2])) < radians(0.1)  # level on the road


def test_the_real_road_agrees_best_with_the_unit_bolted_on_front_down() -> None:
    raw = shared("kitti", "raw_data")
    recording = read_drive(raw, DATE, f"{DATE}_drive_0009_sync")
    agreement = {deg: road_agreement(recording, radians(deg)) for deg in (0.0, float(np.degrees(UNIT_PITCH_RAD)), 1.0)}
    assert max(agreement, key=lambda deg: agreement[deg]) == pytest.approx(0.5)


def road_agreement(recording: Recording, pitch_rad: float) -> float:
    """Correlation of the road 7 to 22 m ahead in pictures that were taken 0.3 s apart."""
    zero = torch.zeros((), dtype=torch.float64)
    road_from_body = Pose.from_euler(zero, zero + pitch_rad, zero, recording.road_from_body.translation_m)
    mounted = recording.cameras[2]
    ahead, aside = torch.linspace(7, 22, 150, dtype=torch.float64), torch.linspace(-3, 3, 60, dtype=torch.float64)
    road = torch.cartesian_prod(ahead, aside, torch.zeros(1, dtype=torch.float64))
    correlations = []
    for newest in range(9, 48, 6):
        patches, ground_from_newest = [], None
        for index in (newest, newest - 3):
            frame, anchor = recording.frame(index), recording.frame(newest)
            assert frame is not None
            assert anchor is not None
            xy_m = torch.from_numpy(LocalFrame(anchor.position).xy_world_m(frame.position.degrees))
            ground_from_road = Pose.from_euler(zero, zero, zero + frame.yaw_rad, torch.cat([xy_m, torch.zeros(1)]))
            ground_from_newest = ground_from_newest or ground_from_road
            cam_from_ground = (ground_from_road @ road_from_body @ mounted.body_from_cam).inverse()
            xy_px, _ = mounted.camera.project(cam_from_ground.transform(ground_from_newest.transform(road)))
            picture = cv2.cvtColor(read_image(frame.images[2]), cv2.COLOR_RGB2GRAY)
            x_px, y_px = (xy_px.float().numpy() - 0.5).reshape(150, 60, 2).transpose(2, 0, 1)
            patch = cv2.remap(picture, np.ascontiguousarray(x_px), np.ascontiguousarray(y_px), cv2.INTER_LINEAR)
            detail = patch.astype(np.float64) - cv2.blur(patch.astype(np.float64), (25, 25))
            patches.append(detail.ravel())
        a, b = ((patch - patch.mean()) / patch.std() for patch in patches)
        correlations.append(float((a * b).mean()))
    return float(np.mean(correlations))
