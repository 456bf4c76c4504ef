"""What messages of ROS say: times, pictures and positions.

Messages may be of any library that has the fields of ROS's own definitions, such as rosbags or rclpy.
"""

from __future__ import annotations

import re
from functools import partial
from math import isfinite, sqrt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from cvlnet.arrays import Rgb
from cvlnet.data.images import decoded_frame, decoded_gray, seen
from cvlnet.data.journey import KnownPlace, Picture
from cvlnet.data.recording import MountedCamera
from cvlnet.data.screening import without_fix
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.image_spec import Window

# of the encodings: how many bytes a pixel has, and how OpenCV makes RGB of them
_ENCODINGS: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb8": (1, cv2.COLOR_BayerRGGB2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerBGGR2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGBRG2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGRBG2RGB),
}
# format of a compressed picture whose pixels are still the mosaic: image_transport states no other encoding for them
_MOSAIC = re.compile(r"(bayer_\w+); *\w+ compressed *(bayer_\w+)?")


def stamp_s(message: Any) -> float:
    """The time of a message's header, in seconds since 1970 (or of a simulation)."""
    stamp = message.header.stamp
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9


def picture_of(message: Any, camera: MountedCamera, where: str) -> Picture:
    """The picture of an Image or a CompressedImage, which is decoded when it is wanted. where: for messages."""
    return partial(_raw if hasattr(message, "encoding") else _compressed, message, camera, where)


def place_of(message: Any, where: str | Path) -> KnownPlace | None:
    """The position of a NavSatFix; None where the receiver had no fix. Raises InputError if it is not on earth."""
    degrees_ = (float(message.latitude), float(message.longitude))
    if message.status.status < 0 or bool(without_fix(np.array(degrees_))):
        return None
    variance_m2 = float(message.position_covariance[0] + message.position_covariance[4]) / 2
    known = message.position_covariance_type != 0 and isfinite(variance_m2) and variance_m2 > 0
    try:
        return KnownPlace(stamp_s(message), LatLon(*degrees_), sigma_m=sqrt(variance_m2) if known else None)
    except ValueError as error:
        raise InputError(str(error), where=where, remedy="correct the positions, or choose another topic") from error


def _raw(message: Any, camera: MountedCamera, where: str, window: Window) -> Rgb:
    return seen(_rgb(message, where), 1, camera, window, where)


def _compressed(message: Any, camera: MountedCamera, where: str, window: Window) -> Rgb:
    encoded = message.data.tobytes()
    mosaic = _MOSAIC.fullmatch(message.format.strip())
    if mosaic is None:
        return decoded_frame(encoded, camera, window, where)
    data = decoded_gray(encoded, where)
    rows, cols = data.shape
    raw = SimpleNamespace(encoding=mosaic[1], height=rows, width=cols, step=cols, data=data.ravel())
    return _raw(raw, camera, where, window)


def _rgb(message: Any, where: str) -> UInt8[np.ndarray, "_ _ 3"]:
    """The pixels of a picture that is not compressed. Raises InputError for other encodings, or missing bytes."""
    if message.encoding not in _ENCODINGS:
        remedy = f"record one of {', '.join(_ENCODINGS)}, or compressed pictures"
        raise InputError(f"its encoding {message.encoding!r} cannot be read", where=where, remedy=remedy)
    channels, conversion = _ENCODINGS[message.encoding]
    rows, cols, step = int(message.height), int(message.width), int(message.step)
    if min(rows, cols) < 1 or step < cols * channels or len(message.data) < rows * step:
        what = f"{len(message.data)} bytes do not make {rows} rows of {step} bytes with {cols} pixels each"
        raise InputError(what, where=where, remedy="record the bag again")
    stored = np.frombuffer(message.data, np.uint8, rows * step).reshape(rows, step)
    pixels = np.ascontiguousarray(stored[:, : cols * channels])
    if conversion is None:
        return pixels.reshape(rows, cols, 3)
    shape = (rows, cols) if channels == 1 else (rows, cols, channels)
    return np.asarray(cv2.cvtColor(pixels.reshape(shape), conversion), dtype=np.uint8)
