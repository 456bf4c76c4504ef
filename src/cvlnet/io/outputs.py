"""Text, JSON and PNG files, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from cvlnet.io.files import written_whole


def write_text(path: Path, text: str) -> None:
    """Write a text file. Raises InputError if it cannot be written."""
    with written_whole(path) as temporary:
        temporary.write_bytes(text.encode())


def write_json(value: dict[str, Any], path: Path) -> None:
    """Write JSON's types. Raises InputError if it cannot be written, ValueError for numbers that are not finite."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_png(path: Path, picture: UInt8[np.ndarray, "height width 3"] | UInt8[np.ndarray, "height width"]) -> None:
    """Write a picture, RGB or of one channel, with fast rather than strong compression.

    Raises InputError if it cannot be written.
    """
    encoded = np.ascontiguousarray(picture[..., ::-1]) if picture.ndim == 3 else picture
    _, code = cv2.imencode(".png", encoded, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    with written_whole(path) as temporary:
        temporary.write_bytes(code.tobytes())
