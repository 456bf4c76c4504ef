"""Calibrations of other programs: exact numbers, and what is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from cvlnet.config import MeasuredMounting
from cvlnet.data.calibration import Calibration
from cvlnet.data.calibration_files import read_calibration_file
from cvlnet.data.camera_file import camera_file_of
from cvlnet.errors import InputError

ROS = """image_width: 640
image_height: 480
camera_name: front
camera_matrix:
  rows: 3
  cols: 3
  data: [500.5, 0, 319.5, 0, 501, 239, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.3, 0.1, 1e-04, -2e-04, 0.02]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
projection_matrix:
  rows: 3
  cols: 4
  data: [400, 0, 320, 0, 0, 400, 240, 0, 0, 0, 1, 0]
"""
FIVE = (-0.3, 0.1, 1e-4, -2e-4, 0.02)
EXPECTED = Calibration(640, 480, (500.5, 501.0), (319.5, 239.0), "opencv", FIVE)
KALIBR = """cam0:
  cam_overlaps: [1]
  camera_model: pinhole
  distortion_coeffs: [0.1, 0.02, 0.003, 0.0004]
  distortion_model: equidistant
  intrinsics: [500.5, 501, 319.5, 239]
  resolution: [640, 480]
  rostopic: /cam0/image_raw
cam1:
  T_cn_cnm1:
  - [1.0, 0.0, 0.0, -0.1]
  - [0.0, 1.0, 0.0, 0.0]
  - [0.0, 0.0, 1.0, 0.0]
  - [0.0, 0.0, 0.0, 1.0]
  camera_model: omni
  distortion_coeffs: [-0.3, 0.1, 0.0001, -0.0002]
  distortion_model: radtan
  intrinsics: [500.5, 501, 319.5, 239]
  resolution: [640, 480]
"""
COLMAP = """# Camera list with one line of data per camera:
#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]
# Number of cameras: 1
3 {}
"""


def read(folder: Path, text: str, name: str = "calibration.yaml", **chosen: object) -> Calibration:
    (folder / name).write_text(text)
    return read_calibration_file(folder / name, **chosen)  # type: ignore[arg-type]


def test_ros(tmp_path: Path) -> None:
    assert read(tmp_path, ROS) == EXPECTED
    assert read(tmp_path, ROS.replace("-0.3, 0.1, 1e-04, -2e-04, 0.02", "0, 0, 0, 0, 0")).model is None
    fish = ROS.replace("plumb_bob", "equidistant").replace(", 0.02]", "]").replace("cols: 5", "cols: 4")
    assert read(tmp_path, fish) == Calibration(640, 480, (500.5, 501.0), (319.5, 239.0), "fisheye", FIVE[:4])
    zeros = read(tmp_path, fish.replace("-0.3, 0.1, 1e-04, -2e-04", "0, 0, 0, 0"))
    assert (zeros.model, zeros.coefficients) == ("fisheye", (0.0,) * 4)  # not a pinhole


@pytest.mark.parametrize("name", ["calibration.yml", "calibration.xml", "calibration.json"])
@pytest.mark.parametrize(
    ("matrix", "coefficients"),
    [("camera_matrix", "distortion_coefficients"), ("cameraMatrix", "distCoeffs"), ("K", "D")],
)
def test_opencv_as_it_writes_it_itself(tmp_path: Path, name: str, matrix: str, coefficients: str) -> None:
    storage = cv2.FileStorage(str(tmp_path / name), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", 640)
    storage.write("image_height", 480)
    storage.write(matrix, np.array([[500.5, 0, 319.5], [0, 501, 239], [0, 0, 1]]))
    storage.write(coefficients, np.array([FIVE]))
    storage.release()
    assert read_calibration_file(tmp_path / name) == EXPECTED


@pytest.mark.parametrize(("k", "d"), [("K", "D"), ("k", "d")])
def test_a_message_of_ros(tmp_path: Path, k: str, d: str) -> None:
    """As `rostopic echo` and `ros2 topic echo` print it: several, with a line between."""
    matrix = f"{k}: [500.5, 0.0, 319.5, 0.0, 501.0, 239.0, 0.0, 0.0, 1.0]\n"
    message = f"height: 480\nwidth: 640\ndistortion_model: plumb_bob\n{d}: {list(FIVE)}\n{matrix}"
    assert read(tmp_path, f"{message}---\n{message}---\n") == EXPECTED


@pytest.mark.parametrize("name", ["dist_coeff", "dist", "distCoeffs", "distortion_coeffs"])
def test_coefficients_by_names_of_scripts(tmp_path: Path, name: str) -> None:
    found = read(tmp_path, opencv(f"[{list(FIVE)}]").replace("D:", f"{name}:"))
    assert (found.model, found.coefficients) == ("opencv", FIVE)


def test_the_binary_format_of_colmap(tmp_path: Path) -> None:
    (tmp_path / "cameras.bin").write_bytes(b"\1\0\0\0\xff")
    with pytest.raises(InputError, match="COLMAP's binary format; convert it: colmap model_converter"):
        read_calibration_file(tmp_path / "cameras.bin")


def opencv(coefficients: str, extra: str = "image_size: [640, 480]") -> str:
    return f"%YAML:1.0\n---\n{extra}\nK: [[500.5, 0, 319.5], [0, 501, 239], [0, 0, 1]]\nD: {coefficients}\n"


def test_four_coefficients_of_opencv_are_open(tmp_path: Path) -> None:
    text = opencv("[-0.3, 0.1, 0.0, 0.01]")
    with pytest.raises(InputError, match="may be of either lens model; give --distortion-model opencv or"):
        read(tmp_path, text)
    assert read(tmp_path, text, model="fisheye").model == "fisheye"
    assert read(tmp_path, text, model="opencv").model == "opencv"
    assert read(tmp_path, text + "fisheye_model: 1\n").model == "fisheye"
    assert read(tmp_path, opencv("[0, 0, 0, 0]")).model is None
    assert read(tmp_path, opencv("[0, 0, 0, 0]") + "fisheye_model: 1\n").model == "fisheye"


@pytest.mark.parametrize(
    ("line", "focal_px", "model", "coefficients"),
    [
        ("SIMPLE_PINHOLE 640 480 500 320 240", (500.0, 500.0), None, ()),
        ("PINHOLE 640 480 500 510 320 240", (500.0, 510.0), None, ()),
        ("SIMPLE_RADIAL 640 480 500 320 240 -0.1", (500.0, 500.0), "opencv", (-0.1, 0.0, 0.0, 0.0)),
        ("RADIAL 640 480 500 320 240 -0.1 0.02", (500.0, 500.0), "opencv", (-0.1, 0.02, 0.0, 0.0)),
        ("OPENCV 640 480 500 510 320 240 -0.1 0.02 1e-3 2e-3", (500.0, 510.0), "opencv", (-0.1, 0.02, 1e-3, 2e-3)),
        ("SIMPLE_RADIAL_FISHEYE 640 480 500 320 240 0.1", (500.0, 500.0), "fisheye", (0.1, 0.0, 0.0, 0.0)),
        ("OPENCV_FISHEYE 640 480 500 510 320 240 .1 .2 .3 .4", (500.0, 510.0), "fisheye", (0.1, 0.2, 0.3, 0.4)),
        (
            "FULL_OPENCV 640 480 500 510 320 240 -0.1 0.02 1e-3 2e-3 .3 .4 .5 .6",
            (500.0, 510.0),
            "opencv",
            (-0.1, 0.02, 1e-3, 2e-3, 0.3, 0.4, 0.5, 0.6),
        ),
        ("RADIAL 640 480 500 320 240 0 0", (500.0, 500.0), None, ()),
        ("SIMPLE_RADIAL_FISHEYE 640 480 500 320 240 0", (500.0, 500.0), "fisheye", (0.0,) * 4),
    ],
)
def test_colmap_counts_from_the_corner(
    tmp_path: Path, line: str, focal_px: tuple[float, float], model: str | None, coefficients: tuple[float, ...]
) -> None:
    found = read(tmp_path, COLMAP.format(line), "cameras.txt")
    assert found == Calibration(640, 480, focal_px, (320.0, 240.0), model, coefficients, "corner")  # type: ignore[arg-type]
    camera = camera_file_of(
        Calibration(640, 480, focal_px, (320.0, 240.0), pixel_origin="corner").settings(MeasuredMounting(1.5)), tmp_path
    )
    assert camera.mounted.camera.principal_point_px.tolist() == [320.0, 240.0]


def test_kalibr(tmp_path: Path) -> None:
    found = read(tmp_path, KALIBR, camera="cam0")
    assert found == Calibration(640, 480, (500.5, 501.0), (319.5, 239.0), "fisheye", (0.1, 0.02, 0.003, 0.0004))
    zeros = read(tmp_path, KALIBR.replace("0.1, 0.02, 0.003, 0.0004", "0, 0, 0, 0"), camera="cam0")
    assert (zeros.model, zeros.coefficients) == ("fisheye", (0.0,) * 4)
    radtan = read(tmp_path, KALIBR.replace("omni", "pinhole"), camera="cam1")
    assert (radtan.model, radtan.coefficients) == ("opencv", (-0.3, 0.1, 0.0001, -0.0002))


def test_colmap_distorts_as_opencv_does(tmp_path: Path) -> None:
    """A pixel counted from the corner, as COLMAP projects it, is half a pixel further than OpenCV's."""
    settings = read(tmp_path, COLMAP.format("OPENCV 640 480 500 510 320 240 -0.1 0.02 1e-3 2e-3"), "cameras.txt")
    lens = camera_file_of(settings.settings(MeasuredMounting(1.5)), tmp_path).mounted.lens
    assert lens is not None
    x, y = 0.2, -0.1
    r2 = x * x + y * y
    radial = 1 - 0.1 * r2 + 0.02 * r2 * r2
    expected_px = [
        500 * (x * radial + 2 * 1e-3 * x * y + 2e-3 * (r2 + 2 * x * x)) + 320,
        510 * (y * radial + 2 * 2e-3 * x * y + 1e-3 * (r2 + 2 * y * y)) + 240,
    ]
    centre_px = lens.camera.principal_point_px.numpy() - 0.5
    [found_px] = lens._source_px(np.array([[x * 500, y * 510]]) + centre_px, 1.0)
    assert found_px + 0.5 == pytest.approx(expected_px, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file is empty"),
        ("hello", "is no calibration"),
        ("a: [", "is no YAML"),
        ("a: &a [1]\nb: *a\n", "is no YAML .it refers to other parts of itself"),
        ("- " * 5000 + "1", "is no YAML|is no calibration"),
        ("[" * 5000, "is no YAML"),
        ("!!python/object/apply:os.system ['true']", "is no YAML"),
        ('image_width: !!int ""', "is no YAML"),
        ("image_width: !!bool x", "is no YAML"),
        ("image_width: !!timestamp x", "is no YAML"),
        (ROS.replace("rows: 3\n  cols: 3", "rows: 1e300\n  cols: 1e300"), "camera_matrix has 9 of 1000000 numbers"),
        ("<opencv_storage><camera_matrix>", "is no XML"),
        ("<opencv_storage></opencv_storage>", "holds no camera matrix"),
        ('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x>&c;</x>', "is no XML"),
        (ROS[:150], "is no YAML|has no|is no list|holds no"),
        (ROS.replace("plumb_bob", "fov"), "the camera model fov is not supported; calibrate the camera with"),
        (ROS.replace("data: [-0.3, 0.1, 1e-04, -2e-04, 0.02]", "data: [-0.3]"), "distortion_coefficients has 1 of 5"),
        (ROS.replace("[500.5, 0,", "[500.5,"), "camera_matrix has 8 of 9 numbers"),
        (ROS.replace("500.5", ".nan"), "nan is not a number"),
        (ROS.replace("500.5", "wide"), "'wide' is not a number"),
        (ROS.replace("image_width: 640", "image_width: 640.5"), "image_width 640.5 is no whole number"),
        (ROS.replace("image_width: 640\n", ""), "has no image_width"),
        (opencv("[1, 2, 3]"), 'holds 3 distortion coefficients; "opencv" has 4 or 5 or 8'),
        (opencv("[-0.3, 0.1, 0, 0, 0]", "x: 1"), "does not say the pictures' size; add image_width"),
        (opencv("[-0.3, 0.1, 0, 0, 0]", "image_size: [640]"), "image_size has 1 of 2 numbers"),
        (opencv("{a: 1}"), "D is no list of numbers"),
        (opencv("[-0.3, 0.1, 0, 0, 0]").replace("D:", "distortions:"), "no distortion coefficients, but distortions"),
        (ROS.replace("0, 319.5", "50, 319.5"), "a skew of 50"),
        (ROS.replace("0, 319.5, 0, 501, 239, 0, 0, 1", "0, 0, 0, 501, 0, 319.5, 239, 1"), "has not the form fx 0 cx"),
        (COLMAP.format("THIN_PRISM_FISHEYE 640 480 500 510 320 240 0 0 0 0 0 0 0 0"), "FISHEYE is not supported"),
        (COLMAP.format("FOV 640 480 500 510 320 240 0.9"), "the camera model FOV is not supported"),
        (COLMAP.format("OPENCV 640 480 500 320 240 -0.1"), "the parameters of OPENCV has 4 of 8 numbers"),
        (COLMAP.format("PINHOLE 640"), "3 values are no camera"),
        (COLMAP.format("PINHOLE 640 480 500 510 320 240\n4 PINHOLE 640 480 500 510 320 240"), "choose one by .*: 3, 4"),
        ("# nothing\n", "holds no camera"),
        (KALIBR, "holds 2 cameras; choose one by --camera: cam0, cam1"),
        (KALIBR.replace("equidistant", "fov").partition("cam1")[0], "the camera model fov is not supported"),
        ("cam1" + KALIBR.partition("cam1")[2], "the camera model omni is not supported"),
        (KALIBR.partition("cam1")[0].replace("intrinsics: [500.5, 501, ", "intrinsics: [0.5, "), "has 3 of 4"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, text: str, told: str) -> None:
    name = "cameras.txt" if "#" in text[:2] else "calibration.yaml"
    with pytest.raises(InputError, match=told) as refused:
        read(tmp_path, text, name)
    assert "\n" not in str(refused.value)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the file has 2 MB, and 1 MB are the most"):
        read(tmp_path, "a: 1\n" * 400_000)


def test_a_camera_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no camera cam7; choose one by --camera: cam0, cam1"):
        read(tmp_path, KALIBR, camera="cam7")
