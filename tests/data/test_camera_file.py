from math import cos, radians, sin
from pathlib import Path

import pytest
from video_tree import write_camera

from cvlnet.data.camera_file import CameraFile, read_camera_file
from cvlnet.errors import InputError


def read(tmp_path: Path, **changes: object) -> CameraFile:
    write_camera(tmp_path, **changes)
    return read_camera_file(tmp_path / "camera.json")


def test_the_principal_point_counts_from_centre_or_corner(tmp_path: Path) -> None:
    assert read(tmp_path).mounted.camera.principal_point_px.tolist() == [61.0, 18.0]
    assert read(tmp_path, pixel_origin="corner").mounted.camera.principal_point_px.tolist() == [60.5, 17.5]


def test_the_mounting(tmp_path: Path) -> None:
    mounted = read(tmp_path, pitch_deg=10, left_m=-0.3).mounted
    assert mounted.body_from_cam.rotation[:, 2].tolist() == pytest.approx([cos(radians(10)), 0.0, -sin(radians(10))])
    assert mounted.body_from_cam.translation_m.tolist() == [0.8, -0.3, 1.5]
    left = read(tmp_path, yaw_deg=90).mounted
    assert left.body_from_cam.rotation[:, 2].tolist() == pytest.approx([0.0, 1.0, 0.0], abs=1e-12)


def test_what_is_left_open(tmp_path: Path) -> None:
    camera = read(tmp_path)
    assert (camera.yaw_offset_rad, camera.heading_offset_rad) == (0.0, 0.0)
    open_ = ("poses_of", "world_axes", "quaternion_order", "heading_convention")
    assert [camera.choices[key] for key in open_] == [None] * 4


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fx": None}, "has no fx"),
        ({"pixel_origin": None}, 'has no pixel_origin; write "center"'),
        ({"fx": "wide"}, "fx 'wide' is not a number"),
        ({"height_m": True}, "height_m True is not a number"),
        ({"fx": -1}, "width, height, fx and fy are positive"),
        ({"pixel_origin": "left"}, 'pixel_origin is \'left\', not "center" or "corner"'),
        ({"poses_of": "imu"}, 'poses_of is \'imu\', not "body" or "camera"'),
        ({"heading_convention": 3}, 'heading_convention is 3, not "east_ccw" or "compass"'),
        ({"pitch": 5}, r"unknown key pitch \(did you mean pitch_deg\?\); the keys are width"),
        ({"FX": 72}, r"unknown key FX \(did you mean fx\?\)"),
        ({"lens": "wide"}, "unknown key lens; the keys are width"),
        ({"width": 124.5}, "width 124.5 and height 38 are whole pixels"),
        (
            {"fx": 4.2, "fy": 4.2},
            "fx 4.2 in a picture of 124 px would see 172.2 degrees; give fx and fy in pixels: a focal",
        ),
        ({"fx": 9e4, "fy": 9e4}, "fx 90000 in a picture of 124 px would see 0.1 degrees; give fx and fy in pixels"),
        ({"fy": 20}, "fx 72 and fy 20 are not of one camera"),
        ({"cx": 0.49, "cy": 0.46}, "cx 0.49 and cy 0.46 are fractions, not pixels; multiply cx by the width"),
        ({"cx": 600, "cy": 180}, "cx 600, cy 180 lie outside the picture of 124 x 38 px; scale fx, fy, cx and cy"),
        ({"height_m": 165}, "height_m 165 is not within 0.05 to 10; give the camera's height above the road in metres"),
        ({"forward_m": 108}, "forward_m 108 is farther than 30 m from the vehicle's origin; give metres"),
        ({"pitch_deg": 100}, "pitch_deg 100 is beyond 90 degrees; give the angle in degrees"),
        ({"yaw_deg": 1.5708}, "yaw_deg 1.5708 is a right angle in radians; write 90"),
        ({"yaw_offset_deg": -3.1416}, "yaw_offset_deg -3.1416 is a right angle in radians; write -180"),
    ],
)
def test_what_no_camera_has_is_refused(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=f"camera.json: {told}"):
        read(tmp_path, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"yaw_deg": 1.6, "pitch_deg": -90, "roll_deg": 180},
        {"fx": 20, "fy": 25},
        {"height_m": 0.2},
        {"cy": 0},
        {"pixel_origin": "center", "poses_of": "camera", "world_axes": "y_down", "quaternion_order": "wxyz"},
    ],
)
def test_what_some_cameras_have_is_read(
    tmp_path: Path, changes: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    read(tmp_path, **changes)
    assert caplog.messages == []


def test_a_calibration_of_another_size_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(tmp_path, cx=93, cy=28.5)
    assert caplog.messages == [
        f"{tmp_path}/camera.json: cx 93, cy 28.5 are the centre of a picture of 186 x 57 px; "
        "scale fx, fy, cx and cy if they are not of pictures of 124 x 38 px"
    ]
