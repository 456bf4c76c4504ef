from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import radians
from pathlib import Path

import cv2
import numpy as np
import pytest

from cvlnet.calibration.estimate import Estimate
from cvlnet.calibration.focal import FocalEstimate
from cvlnet.calibration.stretches import Stretch
from cvlnet.calibration.turns import TurnDoubt
from cvlnet.cli.app import run
from cvlnet.data.camera_file import read_camera_file
from cvlnet.data.odometry import OdometryPose
from cvlnet.data.odometry_files import of_visual_odometry
from cvlnet.geometry import Camera
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
        ([], "--drive, --folder, --video, --bag: exactly one drive is needed"),
        (["--folder", "a", "--drive", "b"], "--drive, --folder: exactly one drive is needed"),
        (["--folder", "VIDEO", "--height-m", "160"], "--height-m: 160 is not between 0.05 and 10 m"),
        (["--folder", "VIDEO", "--camera", "7"], "--camera: 7 is no camera of the drive; give 2"),
        (["--video", "VIDEO"], "needs --camera-file and --odometry"),
        (["--folder", "VIDEO", "--pitch-deg", "95"], "--pitch-deg: 95 is beyond 90 degrees"),
        (["--folder", "nowhere"], "nowhere: the folder does not exist"),
    ],
)
def test_wrong_options_are_one_line(
    options: list[str], message: str, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["calibrate-camera", *(str(video) if word == "VIDEO" else word for word in options)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Camera, Mounting, Sequence[Stretch]]]:
    """What the estimate is made from, instead of making it."""
    calls = []

    def noted(camera: Camera, stated: Mounting, stretches: Sequence[Stretch], *_: object, **__: object) -> Estimate:
        calls.append((camera, stated, stretches))
        return Estimate(stated, replace(stated, height_m=1.6), (0.02, 0.01, 0.02, 0.03), 3, 500)

    monkeypatch.setattr("cvlnet.calibration.estimate.calibrated", noted)
    return calls


def test_a_start_may_be_stated(video: Path, given: list[tuple[Camera, Mounting, Sequence[Stretch]]]) -> None:
    assert run(["calibrate-camera", "--folder", str(video), "--pitch-deg", "3.5", "--height-m", "1.7"]) == 0
    assert given[0][1] == replace(given[0][1], pitch_rad=radians(3.5), height_m=1.7, forward_m=1.0)


def test_a_video_file_is_read_as_well(
    video: Path, tmp_path: Path, given: list[tuple[Camera, Mounting, Sequence[Stretch]]]
) -> None:
    """The same pictures, with the odometry of their times; its camera.json is kept but for the mounting."""
    av = pytest.importorskip("av", reason="needs the extra video")
    with av.open(str(tmp_path / "drive.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = CAMERA.width_px, CAMERA.height_px, "yuv420p"
        for path in sorted((video / "frames").iterdir()):
            frame = av.VideoFrame.from_ndarray(cv2.imread(str(path)), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    rows = [line.split(",")[1:] for line in (video / "poses.csv").read_text().splitlines()]
    (tmp_path / "odometry.csv").write_text("\n".join(",".join(row) for row in rows))
    out = tmp_path / "camera.json"
    files = ["--video", str(tmp_path / "drive.mp4"), "--odometry", str(tmp_path / "odometry.csv")]
    assert run(["calibrate-camera", "--folder", str(video)]) == 0
    assert run(["calibrate-camera", *files, "--camera-file", str(video / "camera.json"), "--out", str(out)]) == 0
    (_, stated, stretches), (_, of_video, from_video) = given
    assert of_video == stated
    assert len(from_video) == len(stretches) >= 3
    for one, other in zip(from_video, stretches, strict=True):
        for motion, expected in zip(one.motions(), other.motions(), strict=True):
            assert list(vars(motion).values()) == pytest.approx(list(vars(expected).values()), abs=1e-4)
        for seen, expected_picture in zip(one.pictures, other.pictures, strict=True):
            assert np.abs(seen.astype(int) - expected_picture).mean() < 4
    settings = json.loads((video / "camera.json").read_text())
    written = json.loads(out.read_text())
    assert written == settings | {"height_m": 1.6, "roll_deg": 0.0, "yaw_deg": 0.0, "pitch_deg": 5.0}


def test_the_focal_length_is_sought_where_that_is_asked_for(
    video: Path,
    tmp_path: Path,
    given: list[tuple[Camera, Mounting, Sequence[Stretch]]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("cvlnet.calibration.focal.focal_found", lambda *_, **__: FocalEstimate(1.1, 0.02, 4))
    out = tmp_path / "camera.json"
    assert run(["calibrate-camera", "--folder", str(video), "--find-focal", "--out", str(out)]) == 0
    told, *_, height, _ = capsys.readouterr().out.splitlines()
    assert told == "focal length 330.0 px (stated 300.0), standard deviation 2.0 %, from 4 bends"
    assert height.split()[3:5] == ["1.600", "0.044"]  # 0.03 m, and 2 % of the height
    assert given[0][0].focal_px.tolist() == pytest.approx([330.0, 330.0])
    assert json.loads(out.read_text())["fx"] == pytest.approx(330.0)


def test_a_calibrated_lens_has_its_focal_length(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = json.loads((video / "camera.json").read_text()) | {"distortion_coefficients": [-0.1, 0, 0, 0, 0]}
    (tmp_path / "camera.json").write_text(json.dumps(settings))
    (tmp_path / "frames").symlink_to(video / "frames")
    (tmp_path / "poses.csv").write_text((video / "poses.csv").read_text())
    assert run(["calibrate-camera", "--folder", str(tmp_path), "--find-focal"]) == 2
    assert "a known lens distortion implies a known focal length" in capsys.readouterr().err


def test_a_short_drive_is_refused(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "camera.json").write_text((video / "camera.json").read_text())
    (tmp_path / "frames").symlink_to(video / "frames")
    (tmp_path / "poses.csv").write_text("\n".join((video / "poses.csv").read_text().splitlines()[:12]))
    assert run(["calibrate-camera", "--folder", str(tmp_path)]) == 2
    assert "only 1 stretches" in capsys.readouterr().err


def test_odometry_of_the_video_itself_is_refused(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its scale is the stated height, which would come out as estimated."""
    copy = shutil.copytree(video, tmp_path / "copy")
    lines = (copy / "poses.csv").read_text().splitlines()
    column = ["camera_height_m", *["1.3"] * (len(lines) - 1)]
    (copy / "poses.csv").write_text("\n".join(",".join(pair) for pair in zip(lines, column, strict=True)))
    assert run(["calibrate-camera", "--folder", str(copy)]) == 2
    error = capsys.readouterr().err
    assert "poses.csv: was estimated with the camera's stated height" in error
    assert error.count("\n") == 1


def test_times_that_the_bends_contradict_are_told(
    video: Path,
    given: list[tuple[Camera, Mounting, Sequence[Stretch]]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("cvlnet.calibration.turns.turn_doubt", lambda *_: TurnDoubt(0.5))
    assert run(["calibrate-camera", "--folder", str(video)]) == 0
    assert len(given) == 1
    assert "each bend 0.5 s earlier than the odometry; add +0.5 s to the pictures' times" in caplog.text


def filmed(video: Path, out: Path) -> list[str]:
    """The options of visual odometry for three pictures of a video folder, which are written as a video."""
    av = pytest.importorskip("av", reason="needs the extra video")
    with av.open(str(out / "drive.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = CAMERA.width_px, CAMERA.height_px, "yuv420p"
        for path in sorted((video / "frames").iterdir())[:3]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(cv2.imread(str(path)), format="bgr24")))
        container.mux(stream.encode())
    files = ["--video", str(out / "drive.mp4"), "--camera-file", str(video / "camera.json")]
    return ["visual-odometry", *files, "--out", str(out / "odometry.csv")]


def test_visual_odometry_names_the_height_of_its_scale(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "odometry.csv"
    assert run(filmed(video, tmp_path)) == 0
    header, *rows = out.read_text().splitlines()
    assert header == "time_s,x_m,y_m,yaw_deg,camera_height_m"
    assert [row.split(",")[-1] for row in rows] == ["1.3"] * 3
    assert of_visual_odometry(out)


@pytest.mark.parametrize("count", [0, 2])
def test_interrupted_visual_odometry_keeps_its_poses(
    count: int, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> Iterator[OdometryPose]:
        yield from (OdometryPose(0.1 * number, float(number), 0.0, 0.0) for number in range(count))
        raise KeyboardInterrupt

    monkeypatch.setattr("cvlnet.data.visual_odometry.visual_odometry", interrupted)
    out = tmp_path / "odometry.csv"
    assert run(filmed(video, tmp_path)) == 130
    said = capsys.readouterr().err
    if count:
        assert f"cvlnet: interrupted; {out} has the first 2 poses, to 0.1 s of the video\n" in said
        assert len(out.read_text().splitlines()) == 3
    else:
        assert "cvlnet: interrupted before the first pose; nothing was written\n" in said
        assert not out.exists()
