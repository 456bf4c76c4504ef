import json
from math import cos, pi, radians, sin
from pathlib import Path

import numpy as np
import pytest
from kitti_tree import write_picture

from cvlnet.data.clips import ClipSpec, assemble_clip
from cvlnet.data.folder import CAMERA_ID, read_folder
from cvlnet.data.images import ImageSpec
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame

CAMERA = {
    "width": 124,
    "height": 38,
    "fx": 72,
    "fy": 72,
    "cx": 60.5,
    "cy": 17.5,
    "pixel_origin": "center",
    "height_m": 1.5,
    "forward_m": 0.8,
}
FRAMES = 4


def write_folder(folder: Path, **changes: object) -> Path:
    """A video along the x axis, a metre a frame, with poses.csv."""
    for i in range(FRAMES):
        write_picture(folder / "frames" / f"{i:03d}.png")
    (folder / "camera.json").write_text(json.dumps({**CAMERA, **changes}))
    lines = [f"{i:03d}.png,{i / 10},{float(i)},0.0,0.0" for i in range(FRAMES)]
    (folder / "poses.csv").write_text("\n".join(["file,time_s,x_m,y_m,yaw_deg", *lines]) + "\n")
    return folder


def way_m(folder: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    frames = read_folder(folder).frames
    return LocalFrame(frames[0].position).xy_world_m([frame.position.degrees for frame in frames])


def test_a_folder_is_a_recording_that_clips_are_made_of(tmp_path: Path) -> None:
    recording = read_folder(write_folder(tmp_path), anchor=LatLon(49.0, 8.4))
    assert [frame.index for frame in recording.frames] == [0, 1, 2, 3]
    assert recording.frames[0].position.degrees == pytest.approx((49.0, 8.4))
    clip = assemble_clip(recording, 3, ClipSpec(ImageSpec(62, 16), frames=4))
    assert clip.images.shape == (4, 3, 16, 62)
    ahead = [[0.8 - i, 0.0, 1.5] for i in range(4)]
    assert np.allclose(clip.ground_from_cam.translation_m, ahead, atol=1e-5)
    assert clip.ground_from_cam.rotation[0, :, 2].tolist() == [1.0, 0.0, 0.0]


def test_the_principal_point_counts_from_centre_or_corner(tmp_path: Path) -> None:
    center = read_folder(write_folder(tmp_path / "a")).cameras[CAMERA_ID].camera
    corner = read_folder(write_folder(tmp_path / "b", pixel_origin="corner")).cameras[CAMERA_ID].camera
    assert center.principal_point_px.tolist() == [61.0, 18.0]
    assert corner.principal_point_px.tolist() == [60.5, 17.5]


def test_a_mounting_pitch_turns_the_camera_down(tmp_path: Path) -> None:
    mounted = read_folder(write_folder(tmp_path, pitch_deg=10)).cameras[CAMERA_ID]
    assert mounted.body_from_cam.rotation[:, 2].tolist() == pytest.approx([cos(radians(10)), 0.0, -sin(radians(10))])


def test_a_yaw_offset_turns_the_whole_world(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, yaw_offset_deg=90)
    assert np.allclose(way_m(folder), [[0, i] for i in range(FRAMES)], atol=1e-6)
    assert read_folder(folder).frames[0].yaw_rad == pytest.approx(pi / 2)


def test_latitudes_and_longitudes(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    lines = ["file,time_s,latitude_deg,longitude_deg,yaw_deg", "000.png,0,49.0,8.4,30", "002.png,0.2,49.001,8.4,30"]
    (folder / "poses.csv").write_text("\n".join(lines))
    recording = read_folder(folder)
    assert [frame.index for frame in recording.frames] == [0, 2]  # a frame without a pose is a hole
    assert recording.frames[1].position == LatLon(49.001, 8.4)


@pytest.mark.parametrize(
    ("poses_of", "quaternion"), [("body", "0 0 0.70710678 0.70710678"), ("camera", "-0.70710678 0 0 0.70710678")]
)
def test_tum_poses_of_body_or_camera(tmp_path: Path, poses_of: str, quaternion: str) -> None:
    """Both drive north: the camera's z axis points there, x east."""
    folder = write_folder(tmp_path, poses_of=poses_of)
    (folder / "poses.csv").unlink()
    lines = [f"{i / 10} 5 {i} 0 {quaternion}" for i in range(FRAMES)]
    (folder / "poses.txt").write_text("# timestamp tx ty tz qx qy qz qw\n" + "\n".join(lines))
    assert np.allclose(way_m(folder), [[0, i] for i in range(FRAMES)], atol=1e-6)
    frame = read_folder(folder).frames[0]
    assert frame.yaw_rad == pytest.approx(pi / 2)
    behind_the_camera = 0.8 if poses_of == "camera" else 0.0
    xy_m = LocalFrame(LatLon(0.0, 0.0)).xy_world_m(frame.position.degrees)
    assert xy_m == pytest.approx([5.0, -behind_the_camera], abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"fx": "wide"}, "fx 'wide' is not a number"),
        ({"fx": -1}, "are positive"),
        ({"pixel_origin": "left"}, "pixel_origin is 'left'"),
        ({"height_m": None}, "height_m None is not a number"),
    ],
)
def test_malformed_camera(tmp_path: Path, changes: dict[str, object], what: str) -> None:
    with pytest.raises(InputError, match=f"camera.json: .*{what}"):
        read_folder(write_folder(tmp_path, **changes))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "the file is empty"),
        ("file,time_s,x_m,y_m\n000.png,0,0,0\n", "has no column yaw_deg"),
        ("file,time_s,x_m,y_m,yaw_deg\n", "has no column"),
        ("file,time_s,x_m,y_m,yaw_deg\n000.png,0,0\n", "line 2: yaw_deg None is not a number"),
        ("file,time_s,x_m,y_m,yaw_deg\nnone.png,0,0,0,0\n", "line 2: frames holds no none.png"),
        ("file,time_s,latitude_deg,longitude_deg,yaw_deg\n000.png,0,95,8,0\n", "latitude 95.0 is not within"),
    ],
)
def test_malformed_poses(tmp_path: Path, text: str, what: str) -> None:
    folder = write_folder(tmp_path)
    (folder / "poses.csv").write_text(text)
    with pytest.raises(InputError, match=what):
        read_folder(folder)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("0 0 0 0 0 0 0 1\n", "holds 1 poses for 4 frames"),
        ("0 0 0 0 0 0 1\n" * FRAMES, "pose 1: 7 of 8 values"),
        ("0 0 0 0 0 0 0 0\n" * FRAMES, "pose 1: the quaternion is zero"),
    ],
)
def test_malformed_tum_poses(tmp_path: Path, text: str, what: str) -> None:
    folder = write_folder(tmp_path)
    (folder / "poses.csv").unlink()
    (folder / "poses.txt").write_text(text)
    with pytest.raises(InputError, match=what):
        read_folder(folder)


def test_missing_frames_camera_and_poses(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="frames: no PNG or JPEG frames"):
        read_folder(tmp_path)
    folder = write_folder(tmp_path)
    (folder / "poses.csv").unlink()
    with pytest.raises(InputError, match=r"poses.txt: the file is missing"):
        read_folder(folder)
    (folder / "camera.json").unlink()
    with pytest.raises(InputError, match=r"camera.json: the file is missing"):
        read_folder(folder)
