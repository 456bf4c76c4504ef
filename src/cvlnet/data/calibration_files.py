"""Camera calibrations of other programs: ROS, OpenCV, COLMAP and Kalibr. They say nothing of the camera's mounting.

What a file is follows from its contents. Lens models that cannot be undone here are refused by their name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import yaml  # type: ignore[import-untyped]

from cvlnet.data.calibration import Calibration
from cvlnet.data.lens import COEFFICIENTS, LensModel, is_pinhole
from cvlnet.errors import InputError
from cvlnet.io.files import require_at_most
from cvlnet.io.text import number_of, read_text, to_numbers

_MOST_BYTES = _MOST_NUMBERS = 1_000_000
_FORMATS = (
    "give ROS's camera_info (YAML), OpenCV's calibration (YAML or XML), COLMAP's cameras.txt or Kalibr's camchain"
)
_ROS_MODELS: Mapping[str, LensModel] = {
    "plumb_bob": "opencv",
    "rational_polynomial": "opencv",
    "equidistant": "fisheye",
    "fisheye": "fisheye",
}
_KALIBR_MODELS: Mapping[str, LensModel] = {"radtan": "opencv", "equidistant": "fisheye", "equi": "fisheye"}
# COLMAP's models: our lens model, and which parameters are focal lengths, principal point and coefficients (0: none)
_COLMAP_MODELS: Mapping[str, tuple[LensModel | None, str]] = {
    "SIMPLE_PINHOLE": (None, "f cx cy"),
    "PINHOLE": (None, "fx fy cx cy"),
    "SIMPLE_RADIAL": ("opencv", "f cx cy k1"),
    "RADIAL": ("opencv", "f cx cy k1 k2"),
    "OPENCV": ("opencv", "fx fy cx cy k1 k2 p1 p2"),
    "FULL_OPENCV": ("opencv", "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6"),
    "SIMPLE_RADIAL_FISHEYE": ("fisheye", "f cx cy k1"),
    "RADIAL_FISHEYE": ("fisheye", "f cx cy k1 k2"),
    "OPENCV_FISHEYE": ("fisheye", "fx fy cx cy k1 k2 k3 k4"),
}
_IN_ORDER: Mapping[LensModel, tuple[str, ...]] = {
    "opencv": ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "fisheye": ("k1", "k2", "k3", "k4"),
}
_ROS_KEYS = {  # of a file of calibration, and of a message
    "matrix": ("camera_matrix", "K", "k"),
    "coefficients": ("distortion_coefficients", "D", "d"),
    "width": ("image_width", "width"),
    "height": ("image_height", "height"),
}
_MOST_SKEW = 0.01  # of a camera matrix, times the focal length
_OPENCV_KEYS = {  # as calibration programs name them
    "matrix": ("camera_matrix", "cameraMatrix", "Camera_Matrix", "K", "intrinsic_matrix"),
    "coefficients": (
        "distortion_coefficients",
        "Distortion_Coefficients",
        "distortion_coeffs",
        "distCoeffs",
        "dist_coeffs",
        "dist_coeff",
        "dist",
        "D",
    ),
    "width": ("image_width", "image_Width", "imageWidth", "width"),
    "height": ("image_height", "image_Height", "imageHeight", "height"),
    "size": ("image_size", "imageSize"),
}


def read_calibration_file(path: Path, *, camera: str | None = None, model: LensModel | None = None) -> Calibration:
    """Read the calibration of another program.

    camera: which one, where the file holds several: COLMAP's number, or Kalibr's name. model: of the lens, where the
    file leaves it open, as OpenCV's do with four coefficients.
    Raises InputError if the file is missing, malformed or of another format, if its lens model is not known or does not
    fit the number of coefficients, or if it holds several cameras and none is chosen.
    """
    require_at_most(path, _MOST_BYTES)
    if path.name == "cameras.bin":
        remedy = "convert it: colmap model_converter --input_path DIR --output_path DIR --output_type TXT"
        raise InputError("is COLMAP's binary format", where=path, remedy=remedy)
    text = read_text(path, _FORMATS)
    if text.lstrip().startswith("<"):
        return _opencv(_xml(text, path), path, model)
    if any(line.split()[1:2] and line.split()[1] in _COLMAP_MODELS for line in text.splitlines()) or (
        path.name == "cameras.txt"
    ):
        return _colmap(text, path, camera)
    entries = _yaml(text, path)
    if any(isinstance(value, dict) and "camera_model" in value for value in entries.values()):
        return _kalibr(entries, path, camera)
    if "distortion_model" in entries:
        return _ros(entries, path)
    return _opencv(entries, path, model)


def ros_calibration(
    size_px: tuple[int, int],
    matrix: Sequence[float],
    distortion_model: str,
    coefficients: Sequence[float],
    where: str | Path,
) -> Calibration:
    """From the fields of ROS's CameraInfo: width and height, K, distortion_model and D.

    Raises InputError if the lens model is not known, or the camera was never calibrated.
    """
    values = tuple(coefficients)
    if not any(matrix):
        raise InputError("its camera was never calibrated (K is zero)", where=where, remedy="give --camera-file")
    _require_upright(matrix, where)
    model = _ROS_MODELS.get(distortion_model)
    if is_pinhole(model, values):
        model, values = None, ()
    elif model is None:
        raise _unknown_model(distortion_model, _ROS_MODELS, where)
    elif len(values) not in COEFFICIENTS[model]:
        what = f"{distortion_model} has {len(values)} coefficients, not {_counts(model)}"
        raise InputError(what, where=where, remedy="correct the calibration")
    return _calibration(size_px, matrix, model, values)


def _ros(entries: Mapping[str, Any], path: Path) -> Calibration:
    named = {what: next((key for key in keys if key in entries), keys[0]) for what, keys in _ROS_KEYS.items()}
    size_px = (_whole(entries, named["width"], path), _whole(entries, named["height"], path))
    matrix, coefficients = (_matrix(entries, named[key], path) for key in ("matrix", "coefficients"))
    _require_count(matrix, 9, named["matrix"], path)
    return ros_calibration(size_px, matrix, str(entries["distortion_model"]), coefficients, path)


def _opencv(entries: Mapping[str, Any], path: Path, model: LensModel | None) -> Calibration:
    named = {what: next((key for key in keys if key in entries), None) for what, keys in _OPENCV_KEYS.items()}
    if named["matrix"] is None:
        raise InputError("holds no camera matrix", where=path, remedy=_FORMATS)
    if named["size"] is not None:
        size = _numbers(entries[named["size"]], named["size"], path)
        _require_count(size, 2, named["size"], path)
        size_px = (round(size[0]), round(size[1]))
    elif named["width"] is not None and named["height"] is not None:
        size_px = (_whole(entries, named["width"], path), _whole(entries, named["height"], path))
    else:
        remedy = "add image_width and image_height, the size in pixels that the camera was calibrated at"
        raise InputError("does not say the pictures' size", where=path, remedy=remedy)
    matrix = _matrix(entries, named["matrix"], path)
    _require_count(matrix, 9, named["matrix"], path)
    _require_upright(matrix, path)
    stray = next((key for key, value in entries.items() if _is_distortion(key, value)), None)
    if named["coefficients"] is None and stray is not None:
        remedy = "rename it distortion_coefficients, if it is in OpenCV's order, k1 k2 p1 p2 k3"
        raise InputError(f"holds no distortion coefficients, but {stray}", where=path, remedy=remedy)
    values = () if named["coefficients"] is None else tuple(_matrix(entries, named["coefficients"], path))
    said: LensModel | None = "fisheye" if entries.get("fisheye_model") in (1, "1") else model
    if is_pinhole(said, values):
        return _calibration(size_px, matrix, None, ())
    fitting = [known for known, counts in COEFFICIENTS.items() if len(values) in counts and said in (None, known)]
    if len(fitting) > 1:
        remedy = "give --distortion-model opencv or --distortion-model fisheye"
        raise InputError("its four coefficients may be of either lens model", where=path, remedy=remedy)
    if not fitting:
        remedy = "; ".join(f'"{known}" has {_counts(known)}' for known in COEFFICIENTS)
        raise InputError(f"holds {len(values)} distortion coefficients", where=path, remedy=remedy)
    return _calibration(size_px, matrix, fitting[0], values)


def _colmap(text: str, path: Path, camera: str | None) -> Calibration:
    """Lines ``CAMERA_ID MODEL WIDTH HEIGHT PARAMS``; pixels are counted from the corner of the top-left one."""
    rows = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    lines = {fields[0]: (number, fields) for number, fields in rows if not fields[0].startswith("#")}
    number, fields = lines[_chosen(list(lines), camera, path)]
    where = f"{path}, line {number}"
    if len(fields) < 4:
        remedy = "write CAMERA_ID MODEL WIDTH HEIGHT PARAMS"
        raise InputError(f"{len(fields)} values are no camera", where=where, remedy=remedy)
    if fields[1] not in _COLMAP_MODELS:
        raise _unknown_model(fields[1], _COLMAP_MODELS, where)
    model, names = _COLMAP_MODELS[fields[1]]
    numbers = to_numbers(fields[2:], where, _FORMATS)
    _require_count(numbers[2:], len(names.split()), f"the parameters of {fields[1]}", where)
    of = dict(zip(names.split(), numbers[2:], strict=True))
    coefficients = () if model is None else tuple(of.get(name, 0.0) for name in _IN_ORDER[model])
    if fields[1] != "FULL_OPENCV":
        coefficients = coefficients[:4]
    focal_px = (of.get("fx", of.get("f", 0.0)), of.get("fy", of.get("f", 0.0)))
    size_px = (round(numbers[0]), round(numbers[1]))
    used = None if is_pinhole(model, coefficients) else model
    return Calibration(
        *size_px, focal_px, (of["cx"], of["cy"]), used, coefficients if used is not None else (), "corner"
    )


def _kalibr(entries: Mapping[str, Any], path: Path, camera: str | None) -> Calibration:
    name = _chosen([key for key, value in entries.items() if isinstance(value, dict)], camera, path)
    cam = entries[name]
    where = f"{path}, {name}"
    if cam.get("camera_model") != "pinhole":
        raise _unknown_model(str(cam.get("camera_model")), ("pinhole",), where)
    said = str(cam.get("distortion_model"))
    if said not in ("none", *_KALIBR_MODELS):
        raise _unknown_model(said, _KALIBR_MODELS, where)
    fx, fy, cx, cy = _named(cam, "intrinsics", 4, where)
    width, height = _named(cam, "resolution", 2, where)
    values = tuple(_named(cam, "distortion_coeffs", 4, where)) if said != "none" else ()
    matrix = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    model = _KALIBR_MODELS.get(said)
    used = None if is_pinhole(model, values) else model
    return _calibration((round(width), round(height)), matrix, used, values)


def _is_distortion(key: str, value: Any) -> bool:
    return key.lower().startswith("dist") and isinstance(value, list | dict)


def _require_upright(matrix: Sequence[float], where: str | Path) -> None:
    """Raise InputError unless a camera matrix has the form fx 0 cx, 0 fy cy, 0 0 1."""
    fx, skew, _, *rest = matrix
    if rest[0] or rest[3:] != [0.0, 0.0, 1.0]:
        what = "its camera matrix has not the form fx 0 cx, 0 fy cy, 0 0 1"
        raise InputError(what, where=where, remedy="write it row by row, in pixels")
    if abs(skew) > _MOST_SKEW * abs(fx):
        what = f"its camera matrix has a skew of {skew:g}"
        raise InputError(what, where=where, remedy="calibrate the camera without skew")


def _calibration(
    size_px: tuple[int, int], matrix: Sequence[float], model: LensModel | None, coefficients: tuple[float, ...]
) -> Calibration:
    """From a camera matrix, row by row, that counts from the centres of pixels."""
    focal_px, principal_point_px = (matrix[0], matrix[4]), (matrix[2], matrix[5])
    return Calibration(*size_px, focal_px, principal_point_px, model, coefficients if model is not None else ())


def _chosen(names: Sequence[str], camera: str | None, path: Path) -> str:
    if camera is not None and camera in names:
        return camera
    if camera is None and len(names) == 1:
        return names[0]
    if not names:
        raise InputError("holds no camera", where=path, remedy=_FORMATS)
    what = f"holds {len(names)} cameras" if camera is None else f"holds no camera {camera}"
    raise InputError(what, where=path, remedy=f"choose one by --camera: {', '.join(names[:10])}")


def _unknown_model(name: str, known: Mapping[str, Any] | Sequence[str], where: str | Path) -> InputError:
    remedy = f"calibrate the camera with one of {', '.join(known)}"
    return InputError(f"the camera model {name} is not supported", where=where, remedy=remedy)


def _counts(model: LensModel) -> str:
    return " or ".join(map(str, COEFFICIENTS[model]))


def _whole(entries: Mapping[str, Any], key: str, path: Path) -> int:
    number = number_of(entries, key, path, _FORMATS)
    if number % 1:
        raise InputError(f"{key} {number:g} is no whole number", where=path, remedy="give pixels")
    return int(number)


def _matrix(entries: Mapping[str, Any], key: str, path: Path) -> list[float]:
    """The values of a matrix, row by row: its ``data``, or itself where it is a list."""
    value = entries.get(key)
    if isinstance(value, dict):
        data = _numbers(value.get("data"), key, path)
        rows, cols = (value.get(side) for side in ("rows", "cols"))
        if rows is not None and cols is not None:
            size = to_numbers([rows, cols], f"{path}, {key}", _FORMATS)
            _require_count(data, round(min(size[0] * size[1], _MOST_NUMBERS)), key, path)
        return data
    return _numbers(value, key, path)


def _numbers(value: Any, key: str, path: str | Path) -> list[float]:
    """A list, a list of lists, or text with blanks in between."""
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, list):
        raise InputError(f"{key} is no list of numbers", where=path, remedy=_FORMATS)
    flat = [number for row in value for number in (row if isinstance(row, list) else [row])]
    return to_numbers(flat, f"{path}, {key}", _FORMATS)


def _named(entries: Mapping[str, Any], key: str, count: int, where: str) -> list[float]:
    values = _numbers(entries.get(key), key, where)
    _require_count(values, count, key, where)
    return values


def _require_count(values: Sequence[float], count: int, what: str, where: str | Path) -> None:
    if len(values) != count:
        raise InputError(f"{what} has {len(values)} of {count} numbers", where=where, remedy=_FORMATS)


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML's plain values, and OpenCV's matrices as mappings. References to other parts of the file are refused."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it refers to other parts of itself")
        return super().compose_node(parent, index)


_Loader.add_constructor(
    "tag:yaml.org,2002:opencv-matrix", lambda loader, node: cast(_Loader, loader).construct_mapping(node, deep=True)
)


def _yaml(text: str, path: Path) -> Mapping[str, Any]:
    """The entries of a YAML file. OpenCV's first line, ``%YAML:1.0``, is not YAML's own."""
    if text.startswith("%YAML:"):
        text = text.partition("\n")[2]
    try:
        entries = next(yaml.load_all(text, _Loader), None)  # of several messages the first
    except (yaml.YAMLError, ValueError, RecursionError, IndexError, KeyError, AttributeError) as error:
        raise InputError(f"is no YAML ({' '.join(str(error).split())})", where=path, remedy=_FORMATS) from error
    if not isinstance(entries, dict):
        raise InputError("is no calibration", where=path, remedy=_FORMATS)
    return {str(key): value for key, value in entries.items()}


def _xml(text: str, path: Path) -> Mapping[str, Any]:
    """The entries of OpenCV's XML: matrices as mappings, other values as text."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"is no XML ({error})", where=path, remedy=_FORMATS) from error
    return {
        entry.tag: {part.tag: part.text or "" for part in entry} if len(entry) else (entry.text or "").strip()
        for entry in root
    }
