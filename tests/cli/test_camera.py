"""``cvlnet camera convert``."""

import json
from pathlib import Path

import pytest

from cvlnet.cli import run
from cvlnet.data.camera_file import read_camera_file

COLMAP = "1 OPENCV 640 480 500 510 320 240 -0.1 0.02 0.001 0.002\n"


def test_a_calibration_becomes_camera_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cameras.txt").write_text(COLMAP)
    out = tmp_path / "video" / "camera.json"
    mounting = ["--height-m", "1.65", "--pitch-deg", "2", "--forward-m", "0.5", "--left-m", "-0.1"]
    assert run(["camera", "convert", str(tmp_path / "cameras.txt"), *mounting, "--out", str(out)]) == 0
    assert json.loads(out.read_text()) == {
        "width": 640,
        "height": 480,
        "fx": 500.0,
        "fy": 510.0,
        "cx": 320.0,
        "cy": 240.0,
        "pixel_origin": "corner",
        "distortion_model": "opencv",
        "distortion_coefficients": [-0.1, 0.02, 0.001, 0.002],
        "height_m": 1.65,
        "pitch_deg": 2.0,
        "roll_deg": 0.0,
        "yaw_deg": 0.0,
        "forward_m": 0.5,
        "left_m": -0.1,
    }
    mounted = read_camera_file(out).mounted
    assert mounted.body_from_cam.translation_m.tolist() == [0.5, -0.1, 1.65]
    assert capsys.readouterr().out == f'{out}: 640 x 480 px, lens model "opencv", 1.65 m high\n'


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        (COLMAP, ["--height-m", "165"], "height_m 165 is not within 0.05 to 10"),
        (COLMAP, ["--height-m", "nan"], "height_m must be finite"),
        (COLMAP, [], "--height-m"),
        (
            COLMAP,
            ["--height-m", "1", "--pitch-deg", "1.5708"],
            "pitch_deg 1.5708 is a right angle in radians; write 90",
        ),
        (COLMAP.replace("OPENCV", "FOV"), ["--height-m", "1"], "the camera model FOV is not supported"),
        (COLMAP.replace("640 480 500", "640 480 5"), ["--height-m", "1"], "fx 5 in a picture of 640 px would see"),
        (COLMAP.replace("-0.1 0.02", "-500 0"), ["--height-m", "1"], "distortion_coefficients cannot be inverted"),
    ],
)
def test_what_is_refused_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, options: list[str], told: str
) -> None:
    (tmp_path / "cameras.txt").write_text(text)
    status = run(["camera", "convert", str(tmp_path / "cameras.txt"), *options, "--out", str(tmp_path / "camera.json")])
    error = capsys.readouterr().err
    assert (status, error.count("\n")) == (2, 1)
    assert told in error
    assert not (tmp_path / "camera.json").exists()
