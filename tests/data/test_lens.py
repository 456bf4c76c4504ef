from dataclasses import replace
from math import atan, degrees
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from video_tree import bend, write_camera, write_video

from cvlnet.data.camera_file import read_camera_file
from cvlnet.data.clips import ClipSpec, assemble_clip
from cvlnet.data.folder import read_folder
from cvlnet.data.images import ImageCache, read_frame
from cvlnet.data.lens import Lens
from cvlnet.data.recording import MountedCamera
from cvlnet.errors import InputError
from cvlnet.geometry import Camera, Pose
from cvlnet.image_spec import ImageSpec, Window

KITTI_RAW = (-0.37, 0.2, 0.0009, 0.0019, -0.07)  # barrel, as KITTI's cameras before they are rectified
LENSES = {
    "barrel": ("opencv", KITTI_RAW),
    "pincushion": ("opencv", (0.2, 0.01, -0.001, 0.002)),
    "rational": ("opencv", (0.3, -0.1, 0.0, 0.0, 0.01, 0.55, -0.2, 0.01)),
    "thin prism": ("opencv", (-0.1, 0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.001, 0.0, -0.001, 0.0)),
    "tilted": ("opencv", (-0.1, 0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.01, -0.02)),
    "fisheye": ("fisheye", (-0.01, 0.005, -0.003, 0.0)),
}


def lens(model: Any, coefficients: tuple[float, ...], focal_px: float = 100.0) -> Lens:
    focal, center = torch.tensor([[focal_px, focal_px * 1.02], [84.0, 45.5]], dtype=torch.float64)
    return Lens(Camera(focal, center, 160, 96), model, coefficients)


def scene(rays: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What is seen in a direction (x / z, y / z)."""
    x, y = np.nan_to_num(np.arctan(rays[..., 0])), np.nan_to_num(np.arctan(rays[..., 1]))  # beyond its fold: anything
    channels = [128 + 100 * np.sin(3 * x + y), 128 + 100 * np.cos(3 * y - 2 * x), 128 + 60 * x]
    return np.clip(np.stack(channels, axis=-1), 0, 255).round().astype(np.uint8)


def picture(of: Lens) -> np.ndarray[Any, Any]:
    """What the camera records: each pixel looks where OpenCV says that it does."""
    centers = np.stack(np.meshgrid(np.arange(160.0), np.arange(96.0)), axis=-1).reshape(-1, 1, 2)
    (focal_x, focal_y), (center_x, center_y) = (
        of.camera.focal_px.tolist(),
        (of.camera.principal_point_px - 0.5).tolist(),
    )
    matrix = np.array([[focal_x, 0, center_x], [0, focal_y, center_y], [0, 0, 1]])
    coefficients = np.array(of.coefficients)
    if of.model == "fisheye":
        return scene(cv2.fisheye.undistortPoints(centers, matrix, coefficients).reshape(96, 160, 2))
    rays, ones = np.zeros((len(centers), 2)), np.ones((len(centers), 1))
    for _ in range(60):  # as the lens bends them, they end at the pixels' centres
        seen, _ = cv2.projectPoints(np.c_[rays, ones][:, None], np.zeros(3), np.zeros(3), matrix, coefficients)
        rays += 0.7 * (centers - seen)[:, 0] / [focal_x, focal_y]
    return scene(rays.reshape(96, 160, 2))


def frame(of: Camera) -> np.ndarray[Any, Any]:
    """What a camera without distortion records."""
    x_px, y_px = np.meshgrid(np.arange(160) + 0.5, np.arange(96) + 0.5)
    xy_px = np.stack([x_px, y_px], axis=-1)
    return scene((xy_px - of.principal_point_px.numpy()) / of.focal_px.numpy())


@pytest.mark.parametrize("name", LENSES)
def test_frames_are_those_of_a_camera_without_distortion(name: str) -> None:
    distorting = lens(*LENSES[name])
    undistorted = distorting.undistorted(picture(distorting))
    off = np.abs(undistorted.astype(int) - frame(distorting.pinhole)).max(axis=-1)
    assert np.quantile(off, 0.999) <= 3
    assert (undistorted.max(axis=-1) > 0).all()  # nothing is empty
    assert np.abs(picture(distorting).astype(int) - frame(distorting.camera)).max() > 10


@pytest.mark.parametrize("name", LENSES)
def test_a_frame_sees_as_much_as_can_be_filled(name: str) -> None:
    """With focal lengths one percent shorter, or beyond 120 degrees, there would be a border."""
    distorting = lens(*LENSES[name])
    across_deg = degrees(2 * atan(80 / float(distorting.pinhole.focal_px[0])))
    scale = float(distorting.pinhole.focal_px[0] / distorting.camera.focal_px[0])
    corners = np.array([[0.0, 0.0], [159.0, 0.0], [0.0, 95.0], [159.0, 95.0], [80.0, 0.0], [80.0, 95.0]])
    border = np.concatenate([corners, [[0.0, 48.0], [159.0, 48.0]]])
    assert distorting._holds(distorting._source_px(border, scale))
    assert across_deg <= 120.0
    shorter = np.array([[x, y] for x in np.linspace(0, 159, 80) for y in (0.0, 95.0)])
    shorter = np.concatenate([shorter, [[x, y] for y in np.linspace(0, 95, 80) for x in (0.0, 159.0)]])
    assert across_deg > 119.0 or not distorting._holds(distorting._source_px(shorter, scale * 0.98))


def test_a_fisheye_of_180_degrees_becomes_120() -> None:
    wide = lens("fisheye", (0.0, 0.0, 0.0, 0.001), focal_px=160 / np.pi)
    assert degrees(2 * atan(80 / float(wide.pinhole.focal_px[0]))) == pytest.approx(120.0, abs=1.0)
    assert wide.pinhole.principal_point_px.tolist() == wide.camera.principal_point_px.tolist()


def read(tmp_path: Path, **changes: object) -> MountedCamera:
    write_camera(tmp_path, **changes)
    return read_camera_file(tmp_path / "camera.json").mounted


def test_coefficients_are_read(tmp_path: Path) -> None:
    mounted = read(tmp_path, distortion_coefficients=list(KITTI_RAW))
    assert mounted.lens is not None
    assert (mounted.lens.model, mounted.lens.coefficients) == ("opencv", KITTI_RAW)
    assert mounted.camera.focal_px[0] < 72
    assert mounted.lens.camera.focal_px.tolist() == [72.0, 72.0]
    fisheye = read(tmp_path, distortion_model="fisheye", distortion_coefficients=[0.1, 0, 0, 0]).lens
    assert fisheye is not None
    assert fisheye.model == "fisheye"
    assert read(tmp_path, distortion_coefficients=[0, 0, 0, 0, 0]).lens is None
    assert read(tmp_path, distortion_coefficients=[0, 0, 0, 0, 0]).camera.focal_px.tolist() == [72.0, 72.0]


BOTH = '"opencv" has 4 or 5 or 8 or 12 or 14; "fisheye" has 4 of them'


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"distortion_coefficients": [0.1, 0.0, 0.0, 0.0]},
            f"are 4, of distortion_model None; write distortion_model: {BOTH}",
        ),
        ({"distortion_coefficients": [0.1] * 3}, f"are 3, of distortion_model None; write distortion_model: {BOTH}"),
        ({"distortion_coefficients": [0.1] * 5, "distortion_model": "fisheye"}, "are 5, of distortion_model 'fisheye'"),
        ({"distortion_coefficients": {"k1": 0.1}}, r"distortion_coefficients is no list; write \[k1, k2, p1, p2, k3\]"),
        ({"distortion_coefficients": [0.1, 0, 0, "x", 0]}, "distortion_coefficients: 'x' is not a number"),
        ({"distortion_model": "opencv"}, "has distortion_model and no distortion_coefficients"),
        ({"distortion_model": "plumb_bob"}, 'distortion_model is \'plumb_bob\', not "opencv" or "fisheye"'),
        (
            {"distortion_coefficients": [400.0, 0, 0, 0, 0]},
            "cannot be inverted .no frame without distortion can be filled.;",
        ),
        ({"distortion_coefficient": [0.1] * 5}, r"unknown key distortion_coefficient \(did you mean distortion_coeff"),
    ],
)
def test_malformed_coefficients(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        read(tmp_path, **changes)


def test_frames_of_a_folder_are_undistorted_and_cached_apart(tmp_path: Path) -> None:
    """Three calibrations of the same pictures: no one's frames are taken for another's."""
    cache, spec = ImageCache(tmp_path / "cache"), ClipSpec(ImageSpec(62, 16), frames=1)
    folder, seen = write_video(tmp_path / "video", bend(4)), []
    for changes in ({}, {"distortion_coefficients": list(KITTI_RAW)}, {"distortion_coefficients": [0.1] + [0.0] * 4}):
        write_camera(folder, **changes)
        recording = read_folder(folder)
        clip = assemble_clip(recording, 3, spec, cache)
        assert torch.equal(assemble_clip(recording, 3, spec, cache).images, clip.images)
        assert torch.equal(assemble_clip(recording, 3, spec).images, clip.images)
        assert clip.camera.focal_px[0, 0] == pytest.approx(float(recording.cameras[2].camera.focal_px[0]) / 2)
        seen.append(clip.images)
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


def test_a_picture_is_undistorted_before_it_is_scaled(tmp_path: Path) -> None:
    distorting = lens("opencv", KITTI_RAW)
    path = tmp_path / "frame.png"
    cv2.imwrite(str(path), picture(distorting)[..., ::-1])
    mounted = MountedCamera(distorting.pinhole, Pose.level_from_cam(), distorting)
    whole = read_frame(path, mounted, Window(160, 96, 0, 0, 160, 96))
    assert np.array_equal(whole, distorting.undistorted(picture(distorting)))
    assert not np.array_equal(whole, read_frame(path, replace(mounted, lens=None), Window(160, 96, 0, 0, 160, 96)))
