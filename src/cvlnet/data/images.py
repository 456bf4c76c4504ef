"""Picture files to arrays: decoding with clear errors, and the frame that the model sees of a camera's picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from cvlnet.arrays import Rgb
from cvlnet.data.picture_file import CutShortError, PictureHeader, read_header
from cvlnet.data.recording import MountedCamera
from cvlnet.errors import InputError
from cvlnet.image_spec import Window
from cvlnet.io.files import written_whole

MOST_PIXELS = 500_000_000  # that are decoded at once: 1.5 GB
_LEAST_16_BIT = 2**14  # the brightest value of a picture that uses all of its 16 bits is at least this
_ON_ITS_SIDE = 5  # EXIF's orientations from here on exchange rows and columns
# whether a picture of each orientation is flipped vertically and horizontally, after rows and columns are exchanged
_FLIPS = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}
_AGAIN = "copy or download it again"


def read_image(path: Path) -> Rgb:
    """Decode a PNG or JPEG file to RGB, as its pixels are stored: EXIF's orientation is ignored.

    Grey and palette become RGB, 16 bits 8, and an alpha channel is dropped.
    Raises InputError if the file is missing, empty, cut short, no PNG or JPEG, or larger than ``MOST_PIXELS``.
    """
    return _decode(path, *_read(path), cv2.IMREAD_COLOR_RGB)


def read_gray(path: Path) -> UInt8[np.ndarray, "rows cols"]:
    """Decode a PNG file of one channel. Raises InputError as `read_image` does."""
    return _decode(path, *_read(path), cv2.IMREAD_GRAYSCALE)


def decoded_gray(encoded: bytes, where: str) -> UInt8[np.ndarray, "rows cols"]:
    """As `read_gray`, of a PNG or JPEG picture that was read already. where: it comes from, for messages."""
    return _decode(where, encoded, _header(encoded, where), cv2.IMREAD_GRAYSCALE)


def _read(path: Path) -> tuple[bytes, PictureHeader]:
    """A file's bytes and the header of its picture."""
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, remedy="copy the picture there") from error
    return encoded, _header(encoded, path)


def _header(encoded: bytes, where: str | Path) -> PictureHeader:
    """The header of a picture. Raises InputError if it is neither PNG nor JPEG, or cannot be decoded."""
    try:
        header = read_header(encoded)
    except CutShortError as error:
        raise InputError("the picture file is cut short", where=where, remedy=_AGAIN) from error
    if not encoded:
        raise InputError("the picture file is empty (0 bytes)", where=where, remedy=_AGAIN)
    if header is None:
        raise InputError("is neither PNG nor JPEG", where=where, remedy="convert the picture to one of the two")
    if header.width_px * header.height_px > MOST_PIXELS:
        what = f"the picture of {header.width_px} x {header.height_px} px is too large"
        raise InputError(what, where=where, remedy=f"give at most {MOST_PIXELS // 1_000_000} million pixels")
    return header


def _decode(
    where: str | Path, encoded: bytes, header: PictureHeader, flags: int
) -> UInt8[np.ndarray, "rows cols *channels"]:
    flags |= cv2.IMREAD_IGNORE_ORIENTATION | (cv2.IMREAD_ANYDEPTH if header.bits == 16 else 0)
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8, header.end), flags)
    if image is None:
        raise InputError("is not a whole picture", where=where, remedy=f"{_AGAIN}, as PNG or JPEG")
    if image.dtype == np.uint16:
        if image.max() < _LEAST_16_BIT:
            what = f"the brightest of its 16-bit values is {image.max()}: it is almost black, or uses fewer bits"
            raise InputError(what, where=where, remedy="convert the picture to 8 bits")
        image = image // 256
    return np.asarray(image, dtype=np.uint8)


def pixels(window: Window, image: UInt8[np.ndarray, "_ _ 3"]) -> Rgb:
    """The model's frame of a camera's picture."""
    shrinks = window.scaled_width_px < image.shape[1]
    size = (window.scaled_width_px, window.scaled_height_px)
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    rows = slice(window.top_px, window.top_px + window.height_px)
    cols = slice(window.left_px, window.left_px + window.width_px)
    return np.ascontiguousarray(scaled[rows, cols], dtype=np.uint8)


def read_frame(path: Path, mounted: MountedCamera, window: Window) -> Rgb:
    """A camera's picture as the model sees it.

    It is turned as `MountedCamera` says, and lens distortion is undone. Raises InputError as `read_image` does, if the
    picture's size is not the camera's, or if nothing decides whether it is to be turned.
    """
    encoded, header = _read(path)
    return _frame_of(encoded, header, mounted, window, path)


def decoded_frame(encoded: bytes, mounted: MountedCamera, window: Window, where: str) -> Rgb:
    """As `read_frame`, of a picture that was read already. where: it comes from, for messages."""
    return _frame_of(encoded, _header(encoded, where), mounted, window, where)


def _frame_of(encoded: bytes, header: PictureHeader, mounted: MountedCamera, window: Window, where: str | Path) -> Rgb:
    stored_px = header.width_px, header.height_px
    orientation = applied_orientation(header.orientation, stored_px, mounted, where)
    require_size(stored_px, orientation, mounted, where)  # before the picture is decoded: it may be huge
    return seen(_decode(where, encoded, header, cv2.IMREAD_COLOR_RGB), orientation, mounted, window, where)


def seen(
    image: UInt8[np.ndarray, "_ _ 3"], orientation: int, mounted: MountedCamera, window: Window, where: str | Path
) -> Rgb:
    """The model's frame of a decoded picture, turned by EXIF's ``orientation`` and without lens distortion.

    Raises InputError if its size is not the camera's.
    """
    require_size((image.shape[1], image.shape[0]), orientation, mounted, where)
    upright = _turned(image, orientation)
    return pixels(window, upright if mounted.lens is None else mounted.lens.undistorted(upright))


def require_size(stored_px: tuple[int, int], orientation: int, mounted: MountedCamera, where: str | Path) -> None:
    """Raise InputError unless a picture of this width and height, turned by EXIF's orientation, is of the camera."""
    size_px, camera = _turned_size(stored_px, orientation), mounted.camera
    if size_px != (camera.width_px, camera.height_px):
        size = f"{size_px[0]} x {size_px[1]} px, its calibration {camera.width_px} x {camera.height_px}"
        raise InputError(f"the picture has {size}", where=where, remedy=mounted.if_size_differs)


def applied_orientation(
    orientation: int, stored_px: tuple[int, int], mounted: MountedCamera, where: str | Path, *, says: str = "EXIF"
) -> int:
    """The EXIF orientation by which a picture of this width and height is turned; 1 leaves it as it is stored.

    orientation: what the file says. Raises InputError if neither the camera nor the size decides about it.
    """
    if orientation == 1 or mounted.exif_orientation == "ignore":
        return 1
    if mounted.exif_orientation == "apply":
        return orientation
    calibrated = (mounted.camera.width_px, mounted.camera.height_px)
    turned_px = _turned_size(stored_px, orientation)
    if stored_px == turned_px == calibrated:
        raise InputError(
            f"{says} says that the picture is to be turned (orientation {orientation})",
            where=where,
            remedy='write "exif_orientation" in camera.json: "ignore" if the calibration is of the pixels as they are '
            'stored, "apply" if it is of the picture as viewers show it',
        )
    return orientation if turned_px == calibrated else 1


def _turned_size(stored_px: tuple[int, int], orientation: int) -> tuple[int, int]:
    return stored_px if orientation < _ON_ITS_SIDE else stored_px[::-1]


def _turned(image: UInt8[np.ndarray, "_ _ 3"], orientation: int) -> Rgb:
    """The picture as EXIF's orientation says that it is to be seen."""
    if orientation >= _ON_ITS_SIDE:
        image = image.transpose(1, 0, 2)
    vertically, horizontally = _FLIPS[orientation]
    return np.ascontiguousarray(image[:: -1 if vertically else 1, :: -1 if horizontally else 1])


@dataclass(frozen=True)
class ImageCache:
    """Decoded and resampled pictures on disk, so that none is made twice.

    An entry belongs to a source file in its present state (path, size, time of change) and to a description of what was
    made of it. Several processes may share a folder; entries are written whole or not at all.
    """

    folder: Path

    def get(self, source: Path, made: str, make: Callable[[], Rgb], *, in_memory: bool = True) -> Rgb:
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
