"""The focal length that a picture or a video states itself: EXIF, or the metadata of a phone's video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot, isfinite
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from cvlnet.data.calibration import Calibration
from cvlnet.errors import InputError, warn
from cvlnet.io.listing import PICTURES

_EXIF, _FOCAL_MM, _FOCAL_35MM = 0x8769, 0x920A, 0xA405  # EXIF's tags
_PER_UNIT, _UNIT, _WIDTH_PX, _HEIGHT_PX, _ZOOM = 0xA20E, 0xA210, 0xA002, 0xA003, 0xA404
_UNITS_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 1e-3}  # of the focal plane's resolution
_FILM_MM = hypot(36.0, 24.0)  # across a picture of 35 mm film, from corner to corner
_VIDEO_35MM = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
_SENSOR, _FILM, _VIDEO = 0.02, 0.05, 0.1  # shares by which a stated focal length is wrong at times
_CROPPED = 0.02  # by which the proportions of a picture may differ from those that it was taken with
_WIDEST, _LONGEST = 0.2, 50.0  # a focal length, in widths of the picture
_TURNED = 5  # EXIF's orientations from here on exchange rows and columns
_REMEDY = "calibrate the camera, or measure the angle that it sees"


@dataclass(frozen=True)
class StatedFocal:
    """What a file states of its camera. focal_px: in pixels of its pictures, which are of this size when upright.

    doubt: share by which such a statement may be wrong. how: where it stands. orientation: as EXIF counts.
    """

    width_px: int
    height_px: int
    focal_px: float
    doubt: float
    how: str
    orientation: int = 1

    @property
    def calibration(self) -> Calibration:
        """A camera of this focal length, its principal point in the middle, without lens distortion."""
        middle_px = (self.width_px / 2, self.height_px / 2)
        focal_px = (self.focal_px, self.focal_px)
        return Calibration(self.width_px, self.height_px, focal_px, middle_px, pixel_origin="corner")


def stated_focal(path: Path) -> StatedFocal:
    """What a picture (PNG or JPEG) or a video file states of its focal length.

    Pictures: EXIF's focal length with the resolution of the sensor, or its equivalent on 35 mm film, taken from corner
    to corner. Videos: the equivalent that iPhones write; where the video was stabilised it is too short.
    Raises InputError if the file is missing or cannot be read, if it is a picture that was cropped or taken with a
    digital zoom, or if it states no focal length that a camera can have.
    """
    if not path.is_file():
        raise InputError("the file is missing", where=path, remedy="give a picture or a video of the camera")
    found = _of_picture(path) if path.suffix.lower() in PICTURES else _of_video(path)
    if found is None:
        raise InputError("states no focal length", where=path, remedy=_REMEDY)
    if not _WIDEST < found.focal_px / found.width_px < _LONGEST:
        what = f"states a focal length of {found.focal_px:.0f} px ({found.how}), which no camera has"
        raise InputError(what, where=path, remedy=_REMEDY)
    return found


def _made_smaller(tags: Mapping[int, Any], width_px: int, height_px: int, path: Path) -> float:
    """The size of a picture, relative to that when it was taken; its sides may have been exchanged since.

    Raises InputError if it has other proportions: it was cropped, and its size says nothing of its focal length.
    """
    first_width_px, first_height_px = _number(tags, _WIDTH_PX), _number(tags, _HEIGHT_PX)
    if first_width_px is None:
        return 1.0
    if first_height_px is None:
        return width_px / first_width_px
    longer = max(width_px, height_px) / max(first_width_px, first_height_px)
    shorter = min(width_px, height_px) / min(first_width_px, first_height_px)
    if abs(longer / shorter - 1) > _CROPPED + 1 / min(width_px, height_px):
        what = (
            f"was cropped: it has {width_px} x {height_px} px, and was taken with {first_width_px:.0f} x "
            f"{first_height_px:.0f}"
        )
        raise InputError(what, where=path, remedy="give a picture as the camera wrote it")
    return longer


def _of_picture(path: Path) -> StatedFocal | None:
    try:
        with Image.open(path) as image:
            (width_px, height_px), exif = image.size, image.getexif()
            tags, orientation = dict(exif.get_ifd(_EXIF)), exif.get(0x0112, 1)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", where=path, remedy="give a PNG or JPEG") from error
    orientation = orientation if orientation in range(1, 9) else 1
    zoom = _number(tags, _ZOOM) or 1.0
    if abs(zoom - 1) > _CROPPED:  # which some cameras count into their focal lengths, and others do not
        what = f"was taken with a digital zoom of {zoom:g}, which its focal length may or may not contain"
        raise InputError(what, where=path, remedy="give a picture that was taken without it")
    share = _made_smaller(tags, width_px, height_px, path)
    film_mm, by_film = _number(tags, _FOCAL_35MM), None
    if film_mm is not None:
        by_film = _by_film(film_mm, (width_px, height_px), orientation, _FILM, "EXIF")
    focal_mm, per_unit, unit_mm = _number(tags, _FOCAL_MM), _number(tags, _PER_UNIT), _UNITS_MM.get(tags.get(_UNIT, 2))
    if focal_mm is None or per_unit is None or unit_mm is None:
        return by_film
    focal_px = focal_mm * per_unit / unit_mm * share
    size_px = _upright((width_px, height_px), orientation)
    by_sensor = StatedFocal(*size_px, focal_px, _SENSOR, f"EXIF, {focal_mm:g} mm on the sensor", orientation)
    if by_film is not None and abs(focal_px / by_film.focal_px - 1) > 2 * _FILM:
        what = f"EXIF contradicts itself: {focal_px:.0f} px on the sensor, {by_film.focal_px:.0f} px by 35 mm film"
        warn(what, where=path, remedy="check the latter, which is taken")
        return by_film
    return by_sensor


def _of_video(path: Path) -> StatedFocal | None:
    from cvlnet.data.video import read_about

    size_px, orientation, metadata = read_about(path)
    try:
        film_mm = float(metadata.get(_VIDEO_35MM, "nan"))
    except ValueError:
        return None
    if not isfinite(film_mm) or film_mm <= 0:
        return None
    return _by_film(film_mm, size_px, orientation, _VIDEO, "the video")


def _by_film(film_mm: float, stored_px: tuple[int, int], orientation: int, doubt: float, source: str) -> StatedFocal:
    """By the focal length that would show as much on 35 mm film. stored_px: width and height as stored."""
    focal_px, how = film_mm * hypot(*stored_px) / _FILM_MM, f"{source}, {film_mm:g} mm on 35 mm film"
    return StatedFocal(*_upright(stored_px, orientation), focal_px, doubt, how, orientation)


def _upright(stored_px: tuple[int, int], orientation: int) -> tuple[int, int]:
    width_px, height_px = stored_px
    return (height_px, width_px) if orientation >= _TURNED else (width_px, height_px)


def _number(tags: Mapping[int, Any], tag: int) -> float | None:
    """A positive number; None where there is none."""
    try:
        value = float(tags[tag])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return value if isfinite(value) and value > 0 else None
