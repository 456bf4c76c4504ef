"""Text, JSON and PNG files, written whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from cvlnet.io.files import written_whole

_NOT_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_text(path: Path, text: str) -> None:
    """Write a text file. Raises InputError if it cannot be written."""
    with written_whole(path) as temporary:
        temporary.write_bytes(text.encode())


def write_json(value: dict[str, Any], path: Path) -> None:
    """Write JSON's types. Raises InputError if it cannot be written, ValueError for numbers that are not finite."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_json_list(head: Mapping[str, Any], key: str, entries: Iterable[Any], path: Path) -> None:
    """Write an object whose last value is a long list, with a line for each of its entries. Raises as `write_json`."""
    opening = json.dumps({**head, key: []}, allow_nan=False)[: -len("]}")]
    lines = ",\n".join(json.dumps(entry, allow_nan=False) for entry in entries)
    write_text(path, f"{opening}\n{lines}\n]}}\n")


def plain(text: str) -> str:
    """The text on one line, without the characters that XML and UTF-8 do not have."""
    return " ".join(_NOT_IN_XML.sub(" ", text).split())


def write_png(
    path: Path,
    picture: UInt8[np.ndarray, "height width 3"] | UInt8[np.ndarray, "height width"],
    *,
    runs_only: bool = False,
) -> None:
    """Write a picture, RGB or of one channel, with fast rather than strong compression.

    runs_only: compresses runs of equal bytes only, which takes half as long. Raises InputError if it cannot be written.
    """
    encoded = np.ascontiguousarray(picture[..., ::-1]) if picture.ndim == 3 else picture
    how = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE] if runs_only else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    _, code = cv2.imencode(".png", encoded, how)
    with written_whole(path) as temporary:
        temporary.write_bytes(code.tobytes())
