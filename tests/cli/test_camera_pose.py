import json
from pathlib import Path

import cv2
import pytest

from cvlnet.cli.app import run
from cvlnet.data.camera_file import read_camera_file
from cvlnet.road.geometry import Mounting
from road_pictures import CAMERA, TRUE, picture, way


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drive of 70 m with a picture every 2.2 m, and a rough camera.json."""
    folder = tmp_path_factory.mktemp("video")
    (folder / "frames").mkdir()
    rows = ["file,time_s,x_m,y_m,yaw_rad"]
    for i, pose in enumerate(way(32, step_m=2.2, turn_rad=0.02)):
        assert cv2.imwrite(str(folder / "frames" / f"{i:03d}.png"), picture(pose))
        rows.append(f"{i:03d}.png,{pose.time_s},{pose.x_m},{pose.y_m},{pose.yaw_rad}")
    (folder / "poses.csv").write_text("\n".join(rows))
    size = {"width": CAMERA.width_px, "height": CAMERA.height_px, "fx": 300, "fy": 300, "cx": 240, "cy": 90}
    rough = {"pixel_origin": "corner", "height_m": 1.3, "pitch_deg": 5, "forward_m": 1.0, "left_m": -0.2}
    (folder / "camera.json").write_text(json.dumps(size | rough))
    return folder


def test_camera_file_is_written_anew(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "camera.json"
    assert run(["calibrate-camera", "--folder", str(video), "--out", str(out)]) == 0
    found = Mounting.of(read_camera_file(out).mounted.body_from_cam)
    assert abs(found.pitch_rad - TRUE.pitch_rad) < 0.003
    assert abs(found.height_m - TRUE.height_m) < 0.02
    assert found.roll_rad == 0  # differs by less than can be told
    assert "height, m" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--folder, --drive: one of the two is needed"),
        (["--folder", "a", "--drive", "b"], "--folder, --drive: one of the two is needed"),
        (["--folder", "VIDEO", "--pitch-deg", "95"], "--pitch-deg: 95 is beyond 90 degrees"),
        (["--folder", "nowhere"], "nowhere: the folder is not there"),
    ],
)
def test_wrong_options_are_one_line(
    options: list[str], message: str, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["calibrate-camera", *(str(video) if word == "VIDEO" else word for word in options)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_short_drive_is_refused(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "camera.json").write_text((video / "camera.json").read_text())
    (tmp_path / "frames").symlink_to(video / "frames")
    (tmp_path / "poses.csv").write_text("\n".join((video / "poses.csv").read_text().splitlines()[:12]))
    assert run(["calibrate-camera", "--folder", str(tmp_path)]) == 2
    assert "only 1 stretches" in capsys.readouterr().err
