"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]

UNFINISHED = ".unfinished"  # ending of files that are being written


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under another name in its folder, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    write_bytes(path, text.encode())


def write_png(path: Path, picture: U8) -> None:
    """Write a picture, [height, width, 3] RGB or [height, width], quickly rather than small."""
    encoded = np.ascontiguousarray(picture[..., ::-1]) if picture.ndim == 3 else picture
    _, code = cv2.imencode(".png", encoded, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    write_bytes(path, code.tobytes())


def remove_unfinished(folder: Path) -> None:
    """Remove what a writer that was stopped has left behind."""
    for path in folder.rglob(f".*{UNFINISHED}"):
        path.unlink(missing_ok=True)
