"""camera.json of a video folder: the camera, how it is mounted, and how the poses are to be read.

It holds ``width``, ``height``, ``fx``, ``fy``, ``cx``, ``cy`` in pixels; ``pixel_origin``: "center" if cx and cy count
from the centre of the top-left pixel (OpenCV, most calibrations), "corner" if from its corner; ``height_m`` of the
camera above the road. All other keys may be absent, and no others may be there; docs/conventions.md explains them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import atan, degrees, isclose, pi, radians
from pathlib import Path
from typing import Any, Literal, cast

import torch

from cvlnet.data.lens import COEFFICIENTS, Lens, is_pinhole
from cvlnet.data.recording import MountedCamera
from cvlnet.errors import InputError, warn
from cvlnet.geometry import Camera, Pose
from cvlnet.io.text import did_you_mean, number_of, read_json, to_numbers

SEE = "see the file formats in docs/conventions.md"
_NUMBERS = ("width", "height", "fx", "fy", "cx", "cy", "height_m")
_PLACE = ("forward_m", "left_m")  # of the camera on the body
_ANGLES = ("roll_deg", "pitch_deg", "yaw_deg")
_OFFSETS = ("yaw_offset_deg", "heading_offset_deg")
_CHOICES = {
    "pixel_origin": ("center", "corner"),
    "poses_of": ("body", "camera"),
    "world_axes": ("z_up", "y_down"),
    "quaternion_order": ("xyzw", "wxyz"),
    "heading_convention": ("east_ccw", "compass"),
    "exif_orientation": ("ignore", "apply"),
    "distortion_model": tuple(COEFFICIENTS),
}
TUM_CHOICES = ("poses_of", "world_axes", "quaternion_order")  # of poses.txt alone
_DISTORTION = "distortion_coefficients"
_KEYS = (*_NUMBERS, *_PLACE, *_ANGLES, *_OFFSETS, *_CHOICES, _DISTORTION)

WIDEST_DEG, NARROWEST_DEG = 150.0, 2.0  # across a picture without distortion; wider ones are all border
LONGEST = 16.0  # a frame, times its other side
HIGHEST_M, LOWEST_M = 10.0, 0.05  # of a camera over the road: a double-decker's, a small robot's
FARTHEST_M = 30.0  # of a camera from the vehicle's reference point
_MOST_DEG = {"roll_deg": 180.0, "pitch_deg": 90.0, "yaw_deg": 360.0} | dict.fromkeys(_OFFSETS, 360.0)
_QUARTER_TURNS_RAD = (pi / 2, pi, 3 * pi / 2, 2 * pi)


@dataclass(frozen=True)
class CameraFile:
    """What camera.json says. A choice is None where the file leaves it open.

    yaw_offset_rad: turns the poses' world counter-clockwise until its x axis is east. heading_offset_rad: is added to
    every heading alone, counter-clockwise.
    """

    path: Path
    mounted: MountedCamera
    yaw_offset_rad: float
    heading_offset_rad: float
    choices: Mapping[str, str | None]


def read_camera_file(path: Path) -> CameraFile:
    """Read camera.json.

    Raises InputError if it is missing or no JSON, has an unknown key or lacks one, or holds what no camera has.
    """
    return camera_file_of(read_json(path, SEE), path)


def camera_file_of(settings: Mapping[str, Any], path: Path) -> CameraFile:
    """What settings with the keys of camera.json say, wherever they were read. path: for messages.

    Raises InputError as `read_camera_file` does.
    """
    unknown = next((key for key in settings if key not in _KEYS), None)
    if unknown is not None:
        remedy = f"the keys are {', '.join(_KEYS)}"
        raise InputError(f"unknown key {unknown}{did_you_mean(unknown, _KEYS)}", where=path, remedy=remedy)
    choices = {key: _choice(settings, key, path) for key in _CHOICES}
    if choices["pixel_origin"] is None:
        raise InputError("has no pixel_origin", where=path, remedy='write "center" (OpenCV) or "corner"')
    numbers = {key: number_of(settings, key, path, SEE) for key in _NUMBERS}
    _check_camera(numbers, path)
    places_m = {key: number_of(settings, key, path, SEE, default=0.0) for key in _PLACE}
    _check_place(places_m | {"height_m": numbers["height_m"]}, path)
    angles_rad = {key: _angle_rad(settings, key, path) for key in (*_ANGLES, *_OFFSETS)}
    translation_m = torch.tensor([*places_m.values(), numbers["height_m"]], dtype=torch.float64)
    camera = _camera(numbers, choices["pixel_origin"])
    lens = _lens(settings, choices["distortion_model"], camera, path)
    mounted = MountedCamera(
        camera if lens is None else lens.pinhole,
        _body_from_cam(angles_rad, translation_m),
        lens,
        cast(Literal["ignore", "apply"] | None, choices["exif_orientation"]),
        "give the frames that camera.json describes, or write their size and calibration there",
    )
    yaw_offset_rad, heading_offset_rad = (angles_rad[key] for key in _OFFSETS)
    return CameraFile(path, mounted, yaw_offset_rad, heading_offset_rad, choices)


def _choice(settings: Mapping[str, Any], key: str, path: Path) -> str | None:
    value, values = settings.get(key), _CHOICES[key]
    if value is not None and value not in values:
        quoted = " or ".join(f'"{known}"' for known in values)
        raise InputError(f"{key} is {value!r}, not {quoted}", where=path, remedy=SEE)
    return value


def _angle_rad(settings: Mapping[str, Any], key: str, path: Path) -> float:
    angle_deg = number_of(settings, key, path, SEE, default=0.0)
    if abs(angle_deg) > _MOST_DEG[key]:
        remedy = "give the angle in degrees"
        raise InputError(f"{key} {angle_deg:g} is beyond {_MOST_DEG[key]:g} degrees", where=path, remedy=remedy)
    if any(isclose(abs(angle_deg), turn, rel_tol=1e-3) for turn in _QUARTER_TURNS_RAD):
        remedy = f"write {degrees(angle_deg):.0f}"
        raise InputError(f"{key} {angle_deg:g} is a right angle in radians", where=path, remedy=remedy)
    return radians(angle_deg)


def _check_camera(numbers: Mapping[str, float], path: Path) -> None:
    """Whether a camera can have such a size, focal length and principal point."""
    width, height, fx, fy, cx, cy = (numbers[key] for key in _NUMBERS[:-1])
    if min(width, height, fx, fy) <= 0:
        raise InputError("width, height, fx and fy are positive", where=path, remedy="correct the file")
    if width % 1 or height % 1:
        raise InputError(f"width {width:g} and height {height:g} are whole pixels", where=path, remedy="correct them")
    if max(width / height, height / width) > LONGEST:
        what = f"a frame of {width:g} x {height:g} px is longer than {LONGEST:g} to 1"
        raise InputError(what, where=path, remedy="correct width and height")
    across_deg = degrees(2 * atan(width / (2 * fx)))
    if not NARROWEST_DEG <= across_deg <= WIDEST_DEG:
        raise InputError(
            f"fx {fx:g} in a picture of {width:g} px would see {across_deg:.1f} degrees",
            where=path,
            remedy="give fx and fy in pixels: a focal length in mm times the picture's width over the sensor's in mm",
        )
    if not 0.4 < fx / fy < 2.5:
        remedy = "give both in pixels of this picture"
        raise InputError(f"fx {fx:g} and fy {fy:g} are not of one camera", where=path, remedy=remedy)
    if max(cx, cy) <= 1 < min(width, height):
        remedy = "multiply cx by the width and cy by the height"
        raise InputError(f"cx {cx:g} and cy {cy:g} are fractions, not pixels", where=path, remedy=remedy)
    if not (0 <= cx <= width and 0 <= cy <= height):
        raise InputError(
            f"cx {cx:g}, cy {cy:g} lie outside the picture of {width:g} x {height:g} px",
            where=path,
            remedy="scale fx, fy, cx and cy to this picture, if they were measured in another size",
        )
    far_out = 2 * cx / width
    if abs(far_out - 1) > 0.2 and isclose(far_out, 2 * cy / height, rel_tol=0.05):
        warn(
            f"cx {cx:g}, cy {cy:g} are the centre of a picture of {2 * cx:.0f} x {2 * cy:.0f} px",
            where=path,
            remedy=f"scale fx, fy, cx and cy if they are not of pictures of {width:g} x {height:g} px",
        )


def _check_place(place_m: Mapping[str, float], path: Path) -> None:
    """Whether a camera can stand there on a vehicle."""
    if not LOWEST_M <= place_m["height_m"] <= HIGHEST_M:
        what = f"height_m {place_m['height_m']:g} is not within {LOWEST_M:g} to {HIGHEST_M:g}"
        raise InputError(what, where=path, remedy="give the camera's height above the road in metres")
    for key in _PLACE:
        if abs(place_m[key]) > FARTHEST_M:
            what = f"{key} {place_m[key]:g} is farther than {FARTHEST_M:g} m from the vehicle's origin"
            raise InputError(what, where=path, remedy="give metres")


def _camera(numbers: Mapping[str, float], pixel_origin: str) -> Camera:
    width, height, fx, fy, cx, cy = (numbers[key] for key in _NUMBERS[:-1])
    matrix = torch.tensor([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]], dtype=torch.float64)
    if pixel_origin == "corner":
        matrix[:2, 2] -= 0.5
    return Camera.from_matrix(matrix, int(width), int(height))


def _lens(settings: Mapping[str, Any], model: str | None, camera: Camera, path: Path) -> Lens | None:
    """The lens, if it distorts."""
    if _DISTORTION not in settings:
        if model is not None:
            raise InputError(f"has distortion_model and no {_DISTORTION}", where=path, remedy=SEE)
        return None
    coefficients = settings[_DISTORTION]
    if not isinstance(coefficients, list):
        raise InputError(f"{_DISTORTION} is no list", where=path, remedy="write [k1, k2, p1, p2, k3], as OpenCV does")
    values = tuple(to_numbers(coefficients, f"{path}, {_DISTORTION}", SEE))
    models = [known for known, counts in COEFFICIENTS.items() if len(values) in counts and model in (None, known)]
    if len(models) != 1:
        counts = "; ".join(f'"{known}" has {" or ".join(map(str, counts))}' for known, counts in COEFFICIENTS.items())
        raise InputError(
            f"{_DISTORTION} are {len(values)}, of distortion_model {model!r}",
            where=path,
            remedy=f"write distortion_model: {counts} of them",
        )
    lens = Lens(camera, models[0], values)
    try:
        return lens if not is_pinhole(lens.model, values) and lens.pinhole else None
    except ValueError as error:
        remedy = f'check that they are those of "{models[0]}", in its order, and of this camera'
        raise InputError(f"{_DISTORTION} cannot be inverted ({error})", where=path, remedy=remedy) from error


def _body_from_cam(angles_rad: Mapping[str, float], translation_m: torch.Tensor) -> Pose:
    """The body's origin is on the road here, so that the camera's height is part of its mounting."""
    roll_rad, pitch_rad, yaw_rad = torch.tensor([angles_rad[key] for key in _ANGLES], dtype=torch.float64)
    return Pose.from_euler(roll_rad, pitch_rad, yaw_rad, translation_m) @ Pose.level_from_cam()
