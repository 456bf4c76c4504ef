"""What was found of a mounting, as text, and as camera.json."""

from __future__ import annotations

from math import degrees
from pathlib import Path
from typing import Any

from cvlnet.calibration.estimate import Estimate
from cvlnet.data.camera_file import SEE
from cvlnet.data.recording import MountedCamera
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


def settings_of(folder: Path) -> dict[str, Any]:
    """What camera.json of a video folder holds. Raises InputError if it cannot be read."""
    return read_json(folder / "camera.json", SEE)


def settings_from(mounted: MountedCamera, mounting: Mounting) -> dict[str, Any]:
    """Keys of camera.json for a camera without distortion, such as KITTI's, without those of `write_camera_file`."""
    (fx, fy), (cx, cy) = mounted.camera.focal_px.tolist(), mounted.camera.principal_point_px.tolist()
    size = {"width": mounted.camera.width_px, "height": mounted.camera.height_px}
    matrix = {"fx": fx, "fy": fy, "cx": cx, "cy": cy, "pixel_origin": "corner"}
    return {**size, **matrix, "forward_m": mounting.forward_m, "left_m": mounting.left_m}


def _shown(mounting: Mounting) -> tuple[float, float, float, float]:
    """Roll, pitch and yaw in degrees, and the height in metres."""
    angles = (mounting.roll_rad, mounting.pitch_rad, mounting.yaw_rad)
    roll_deg, pitch_deg, yaw_deg = map(degrees, angles)
    return roll_deg, pitch_deg, yaw_deg, mounting.height_m
