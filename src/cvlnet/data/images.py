"""Picture files to arrays: decoding with clear errors, and the size in which the model sees a camera's frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from cvlnet.errors import InputError
from cvlnet.files import written_whole
from cvlnet.geometry import Camera

U8 = npt.NDArray[np.uint8]

_END_OF_FILE = {b"\x89PNG": b"IEND", b"\xff\xd8\xff": b"\xff\xd9"}  # by how the file begins
_TAIL_BYTES = 64
HORIZON = 0.35  # of the model's rows lie above the horizon of a level camera


def read_image(path: Path) -> U8:
    """Decode a PNG or JPEG file to RGB, [rows, columns, 3].

    Raises InputError if the file is missing, empty, cut short or not a picture.
    """
    return _decode(path, cv2.IMREAD_COLOR_RGB)


def read_gray(path: Path) -> U8:
    """Decode a PNG file of one channel, [rows, columns]. Raises InputError as `read_image` does."""
    return _decode(path, cv2.IMREAD_GRAYSCALE)


def _decode(path: Path, flags: int) -> U8:
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, remedy="copy the picture there") from error
    if not encoded:
        raise InputError("the picture file is empty (0 bytes)", where=path, remedy="copy or download it again")
    for beginning, end in _END_OF_FILE.items():
        # some versions of the decoder fill the missing part of a cut file with grey, and say nothing
        if encoded.startswith(beginning) and end not in encoded[-_TAIL_BYTES:]:
            raise InputError("the picture file is cut short", where=path, remedy="copy or download it again")
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    if image is None:
        raise InputError("is not a whole picture", where=path, remedy="copy or download it again, as PNG or JPEG")
    return np.asarray(image, dtype=np.uint8)


@dataclass(frozen=True)
class ImageSpec:
    """The size of a frame before the model.

    fit "horizon": scaled evenly to the width, then the rows around the camera's horizon are kept, as far as the frame
    reaches: what is cut is sky, and the bonnet. fit "whole": the whole frame is squeezed into the size, as the paper
    does.
    """

    width_px: int
    height_px: int
    fit: Literal["horizon", "whole"] = "horizon"

    def __post_init__(self) -> None:
        if self.width_px < 1 or self.height_px < 1:
            raise ValueError(f"a frame has at least one pixel, not {self.width_px} x {self.height_px}")

    def scaled_height_px(self, camera: Camera) -> int:
        """Rows of the scaled frame, before some are cut."""
        if self.fit == "whole":
            return self.height_px
        return round(camera.height_px * self.width_px / camera.width_px)

    def first_row(self, camera: Camera) -> int:
        """The row of the scaled frame that becomes the first one."""
        if self.fit == "whole":
            return 0
        horizon_px = float(camera.principal_point_px[1]) * self.width_px / camera.width_px
        wanted = round(horizon_px - HORIZON * self.height_px)
        return max(0, min(wanted, self.scaled_height_px(camera) - self.height_px))

    def camera(self, camera: Camera) -> Camera:
        """The camera of the fitted frame. Raises ValueError if the frame has too few rows."""
        scaled_height_px = self.scaled_height_px(camera)
        if scaled_height_px < self.height_px:
            raise ValueError(
                f"a frame of {camera.width_px} x {camera.height_px} px scaled to {self.width_px} px width has "
                f"{scaled_height_px} rows, fewer than the {self.height_px} asked for"
            )
        scaled = camera.resize(self.width_px, scaled_height_px)
        return scaled.crop(0.0, float(self.first_row(camera)), self.width_px, self.height_px)


def read_frame(path: Path, camera: Camera, spec: ImageSpec) -> U8:
    """A camera's picture in the size of ``spec``, RGB, [rows, columns, 3].

    Raises InputError as `read_image` does, if the picture's size is not the calibration's, or if it gives too few rows.
    """
    image = read_image(path)
    height_px, width_px = image.shape[:2]
    if (width_px, height_px) != (camera.width_px, camera.height_px):
        raise InputError(
            f"the picture has {width_px} x {height_px} px, its calibration {camera.width_px} x {camera.height_px}",
            where=path,
            remedy="put the date's own calibration beside its drives, or the rectified (synced) pictures",
        )
    try:
        spec.camera(camera)
    except ValueError as error:
        raise InputError(str(error), where=path, remedy='ask for fewer rows, or for fit="whole"') from error
    size = (spec.width_px, spec.scaled_height_px(camera))
    shrinks = size[0] < width_px
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    first = spec.first_row(camera)
    return np.ascontiguousarray(scaled[first : first + spec.height_px], dtype=np.uint8)


@dataclass(frozen=True)
class ImageCache:
    """Finished pictures on disk, so that nothing is decoded and resampled twice.

    An entry belongs to a source file in its present state (path, size, time of change) and to a description of what was
    made of it. Several processes may share a folder; entries are written whole or not at all.
    """

    folder: Path

    def get(self, source: Path, made: str, make: Callable[[], U8], *, in_memory: bool = True) -> U8:
        """What ``make()`` returns, taken from the cache where it is there.

        in_memory False maps the entry instead of reading it: for large pictures of which a part is used.
        Raises InputError if the source is missing.
        """
        try:
            state = source.stat()
        except OSError as error:
            raise InputError(
                f"cannot be read ({error.strerror})", where=source, remedy="copy the picture there"
            ) from error
        key = sha256(f"{source.absolute()}|{state.st_size}|{state.st_mtime_ns}|{made}".encode()).hexdigest()
        path = self.folder / key[:2] / f"{key[2:34]}.npy"
        try:
            return np.asarray(np.load(path, mmap_mode=None if in_memory else "r"), dtype=np.uint8)
        except (OSError, ValueError, EOFError):  # not there, or damaged
            image = make()
            with written_whole(path) as temporary:
                np.save(temporary, image)
            return image
