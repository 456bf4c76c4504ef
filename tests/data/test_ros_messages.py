"""What messages say, whichever library made them."""

from __future__ import annotations

import array
from math import nan
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from recorded import CAMERA, HEIGHT_PX, WHOLE, WIDTH_PX, Messages, picture

from cvlnet.data.camera_file import camera_file_of
from cvlnet.data.ros_messages import picture_of, place_of, stamp_s
from cvlnet.errors import InputError

MOUNTED = camera_file_of(CAMERA, Path("camera.json")).mounted


def image(**changes: Any) -> Any:
    messages = Messages(is_1=False)
    messages.image(0.25, 3)
    message = messages.stamped[0][2]
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_the_time_of_a_header() -> None:
    assert stamp_s(image()) == pytest.approx(1_700_000_000.25, abs=1e-6)


@pytest.mark.parametrize("stored", [lambda data: data, lambda data: array.array("B", data.tobytes())])
def test_a_picture_of_either_library(stored: Any) -> None:
    """The bytes of rosbags are an array of NumPy, those of rclpy one of Python."""
    message = image(data=stored(picture(3).reshape(-1)))
    assert np.array_equal(picture_of(message, MOUNTED, "/image")(WHOLE), picture(3))


def test_a_compressed_picture() -> None:
    encoded = array.array("B", cv2.imencode(".png", picture(2))[1].tobytes())
    message = SimpleNamespace(format="png", data=encoded)
    assert np.array_equal(picture_of(message, MOUNTED, "/image")(WHOLE), picture(2))


@pytest.mark.parametrize(
    ("format_", "expected"),
    [
        ("bayer_grbg8; jpeg compressed ", [210, 60, 30]),  # image_transport compresses the mosaic,
        ("bayer_grbg8; jpeg compressed bayer_grbg8", [210, 60, 30]),
        ("bayer_grbg8; jpeg compressed mono8", [60, 60, 60]),  # or grey that is made of it
    ],
)
def test_colours_of_a_compressed_mosaic(format_: str, expected: list[int]) -> None:
    stored = np.full((HEIGHT_PX, WIDTH_PX), 60, np.uint8)
    if expected[0] != expected[1]:
        stored[::2, 1::2], stored[1::2, ::2] = 210, 30
    encoded = array.array("B", cv2.imencode(".png", stored)[1].tobytes())
    message = SimpleNamespace(format=format_, data=encoded)
    assert picture_of(message, MOUNTED, "/image")(WHOLE)[20, 20].tolist() == expected


def test_a_compressed_mosaic_of_16_bits_is_refused() -> None:
    encoded = array.array("B", cv2.imencode(".png", picture(2)[:, :, 0])[1].tobytes())
    message = SimpleNamespace(format="bayer_rggb16; png compressed ", data=encoded)
    with pytest.raises(InputError, match="its encoding 'bayer_rggb16' cannot be read"):
        picture_of(message, MOUNTED, "/image")(WHOLE)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"encoding": "16UC1"}, "/image: its encoding '16UC1' cannot be read; record one of rgb8"),
        ({"height": HEIGHT_PX + 1}, f"do not make {HEIGHT_PX + 1} rows of {WIDTH_PX * 3} bytes"),
        ({"step": 5}, f"rows of 5 bytes with {WIDTH_PX} pixels each"),
        ({"height": 0}, "do not make 0 rows"),
        ({"height": HEIGHT_PX - 1}, "the picture has 64 x 47 px, its calibration 64 x 48"),
    ],
)
def test_a_picture_that_is_none(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        picture_of(image(**changes), MOUNTED, "/image")(WHOLE)
    assert says in str(caught.value)


def fix(**changes: Any) -> Any:
    messages = Messages(is_1=False)
    messages.fix(1.5, 49.0, 8.4, **{"variance_m2": 9.0, **changes})
    return messages.stamped[0][2]


def test_a_position_with_its_deviation() -> None:
    place = place_of(fix(), "/gps")
    assert place is not None
    assert (place.position.degrees, place.sigma_m) == ((49.0, 8.4), 3.0)
    assert place.time_s == pytest.approx(1_700_000_001.5, abs=1e-6)


def test_a_position_without_a_stated_deviation() -> None:
    for changes in ({"kind": 0}, {"variance_m2": 0.0}, {"variance_m2": nan}):
        place = place_of(fix(**changes), "/gps")
        assert place is not None
        assert place.sigma_m is None


def test_no_position() -> None:
    assert place_of(fix(status=-1), "/gps") is None
    lost = fix()
    lost.latitude = nan
    assert place_of(lost, "/gps") is None
    lost.latitude = 91.0
    with pytest.raises(InputError, match=r"/gps: latitude 91\.0 is not within -90 to 90 degrees; correct"):
        place_of(lost, "/gps")
