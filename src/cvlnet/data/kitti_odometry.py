"""Sequences of KITTI's odometry benchmark (http://www.cvlibs.net/datasets/kitti/eval_odometry.php).

    ROOT/sequences/NN/image_2/000000.png   left colour camera, or image_3: right; rectified
    ROOT/sequences/NN/calib.txt            projection matrices P0 to P3
    ROOT/sequences/NN/times.txt            a time in seconds for each frame
    ROOT/poses/NN.txt                      poses of camera 0; published for sequences 00 to 10

The body frame is below camera 0 on the road. The cameras are level, 1.65 m above the road, as KITTI's setup has them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cvlnet.data.camera_file import CameraFile, camera_file_of
from cvlnet.data.images import read_image
from cvlnet.data.kitti import COLOUR_CAMERAS, CalibrationFile, numbered
from cvlnet.data.poses_kitti import read_kitti_poses
from cvlnet.data.poses_recording import recording_of
from cvlnet.data.recording import Recording
from cvlnet.errors import InputError
from cvlnet.io.listing import PICTURES

HEIGHT_M = 1.65


def is_sequence(folder: Path) -> bool:
    """Whether a folder is a sequence of KITTI's odometry benchmark."""
    return (folder / "times.txt").is_file() and (folder / "calib.txt").is_file()


def read_sequence(folder: Path) -> Recording:
    """A sequence, ``.../sequences/NN``, with its poses, ``.../poses/NN.txt``. Its positions are in metres.

    Raises InputError if calibration, times, poses or pictures are missing or malformed, or as `read_kitti_poses` does.
    """
    pictures = {camera: numbered(folder / f"image_{camera}", PICTURES) for camera in COLOUR_CAMERAS}
    pictures = {camera: paths for camera, paths in pictures.items() if paths}
    if not pictures:
        raise InputError("has no pictures in image_2 or image_3", where=folder, remedy="unpack the colour pictures")
    any_picture = next(iter(next(iter(pictures.values())).values()))
    height_px, width_px, _ = read_image(any_picture).shape
    calibration = CalibrationFile.read(folder / "calib.txt")
    cameras = {camera: _camera(calibration, camera, (width_px, height_px)) for camera in (0, *pictures)}
    poses_path = folder.absolute().parent.parent / "poses" / f"{folder.absolute().name}.txt"
    poses = read_kitti_poses(poses_path, folder / "times.txt", cameras[0])
    recording = recording_of(str(folder), poses, cameras[0])
    frames = (
        replace(
            frame, images={camera: paths[frame.index] for camera, paths in pictures.items() if frame.index in paths}
        )
        for frame in recording.frames
    )
    return replace(recording, cameras={camera: cameras[camera].mounted for camera in pictures}, frames=tuple(frames))


def _camera(calibration: CalibrationFile, camera: int, size_px: tuple[int, int]) -> CameraFile:
    """A rectified camera beside camera 0: ``P = K [I | t]``, where t leads from camera 0's frame to the camera's."""
    (fx, _, cx, px), (_, fy, cy, _), _ = calibration.matrix(f"P{camera}", 3, 4).tolist()
    if fx == 0:
        raise InputError(f"P{camera} has no focal length", where=calibration.path, remedy="copy calib.txt again")
    settings = {
        "width": size_px[0],
        "height": size_px[1],
        "fx": fx,
        "fy": fy,
        "cx": cx,
        "cy": cy,
        "pixel_origin": "center",
        "height_m": HEIGHT_M,
        "left_m": px / fx,
    }
    return camera_file_of(settings, calibration.path)
