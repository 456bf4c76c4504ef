"""What was found of a mounting, as text, and as camera.json."""

from __future__ import annotations

from collections.abc import Mapping
from math import degrees
from pathlib import Path
from typing import Any

from cvlnet.calibration.estimate import Estimate
from cvlnet.calibration.focal import FocalEstimate
from cvlnet.data.camera_file import SEE
from cvlnet.data.recording import MountedCamera
from cvlnet.geometry import Camera
from cvlnet.io.outputs import write_json
from cvlnet.io.text import read_json
from cvlnet.road.geometry import Mounting


def to_table(estimate: Estimate) -> str:
    """The stated mounting, the one found and its standard deviations, in degrees and metres."""
    stated, found, used = map(_shown, (estimate.stated, estimate.mounting, estimate.adopted))
    sigma = (*map(degrees, estimate.sigma[:3]), estimate.sigma[3])
    lines = [f"{'':<12}{'stated':>9}{'found':>9}{'sigma':>9}{'to use':>9}"]
    for i, (name, digits) in enumerate((("roll, deg", 2), ("pitch, deg", 2), ("yaw, deg", 2), ("height, m", 3))):
        numbers = (stated[i], found[i], sigma[i], used[i])
        lines.append(f"{name:<12}" + "".join(f"{number:>9.{digits}f}" for number in numbers))
    lines.append(f"from {estimate.tracks} features of the road in {estimate.stretches} stretches")
    return "\n".join(lines)


def write_camera_file(path: Path, settings: dict[str, Any], mounting: Mounting) -> None:
    """Write camera.json with a mounting in place of that in ``settings``, whose other keys stay.

    Raises InputError if it cannot be written.
    """
    roll_deg, pitch_deg, yaw_deg, height_m = (round(value, 4) for value in _shown(mounting))
    own = {"height_m": height_m, "roll_deg": roll_deg, "pitch_deg": pitch_deg, "yaw_deg": yaw_deg}
    write_json(settings | own, path)


def focal_line(camera: Camera, focal: FocalEstimate) -> str:
    """The focal length that was found, beside the stated one, in pixels of the camera's pictures."""
    stated_px = float(camera.focal_px[0])
    return (
        f"focal length {stated_px * focal.scale:.1f} px (stated {stated_px:.1f}), standard deviation "
        f"{100 * focal.sigma:.1f} %, from {focal.bends} bends"
    )


def with_focal(settings: Mapping[str, Any], focal: FocalEstimate) -> dict[str, Any]:
    """Settings of camera.json with the focal lengths that were found."""
    return {**settings, "fx": settings["fx"] * focal.scale, "fy": settings["fy"] * focal.scale}


def settings_of(path: Path) -> dict[str, Any]:
    """What a camera.json holds. Raises InputError if it cannot be read."""
    return read_json(path, SEE)


def settings_from(mounted: MountedCamera, mounting: Mounting) -> dict[str, Any]:
    """Keys of camera.json for a camera that has none, such as KITTI's, without those of `write_camera_file`."""
    camera = mounted.camera if mounted.lens is None else mounted.lens.camera
    (fx, fy), (cx, cy) = camera.focal_px.tolist(), camera.principal_point_px.tolist()
    size = {"width": camera.width_px, "height": camera.height_px}
    matrix = {"fx": fx, "fy": fy, "cx": cx, "cy": cy, "pixel_origin": "corner"}
    lens: dict[str, Any] = {}
    if mounted.lens is not None:
        coefficients = list(mounted.lens.coefficients)
        lens = {"distortion_model": mounted.lens.model, "distortion_coefficients": coefficients}
    return {**size, **matrix, **lens, "forward_m": mounting.forward_m, "left_m": mounting.left_m}


def _shown(mounting: Mounting) -> tuple[float, float, float, float]:
    """Roll, pitch and yaw in degrees, and the height in metres."""
    angles = (mounting.roll_rad, mounting.pitch_rad, mounting.yaw_rad)
    roll_deg, pitch_deg, yaw_deg = map(degrees, angles)
    return roll_deg, pitch_deg, yaw_deg, mounting.height_m
