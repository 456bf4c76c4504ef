"""Pictures of map services: decoded within bounds, put together, and written as GeoTIFF."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from cvlnet.errors import InputError
from cvlnet.fetch.area import Bounds
from cvlnet.io.files import written_whole

Rgba = UInt8[np.ndarray, "rows cols 4"]

_MOST_WORDS = 300  # characters of a service's own message that are shown
_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG"}
FORMATS = tuple(_FORMATS)  # in the order of preference: PNG has transparency


def chosen_format(offered: Sequence[str], where: str) -> str:
    """The best format that a service offers. Raises InputError if none can be read."""
    for name in FORMATS:
        if name in offered:
            return name
    what = f"offers pictures as {', '.join(map(str, offered)) or 'nothing'} only"
    raise InputError(what, where=where, remedy="choose a service that offers PNG or JPEG")


def decoded(content: bytes, side_px: int, where: str) -> Rgba:
    """The pixels of a square picture. Raises InputError if it has another size, or is a message, or no picture."""
    if content.lstrip()[:1] == b"<":
        raise InputError(f"answers: {message_of(content)}", where=where, remedy="check the layer and the area")
    try:
        with Image.open(BytesIO(content), formats=list(_FORMATS.values())) as picture:
            if picture.size != (side_px, side_px):
                what = f"sends {picture.width} x {picture.height} px instead of {side_px} x {side_px}"
                raise InputError(what, where=where, remedy="check the service in a browser")
            return np.array(picture.convert("RGBA"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        remedy = "run the command again; if that does not help, check the service in a browser"
        raise InputError(f"does not send a whole picture ({error})", where=where, remedy=remedy) from error


def message_of(xml: bytes) -> str:
    """The words of an XML document, such as the report of an exception, without its markup."""
    words = re.sub(r"<[^>]*>", " ", xml[: 1 << 16].decode("utf-8", errors="replace"))
    return " ".join(words.split())[:_MOST_WORDS] or "an empty document"


def is_blank(rgba: Rgba) -> bool:
    """Whether a picture shows nothing: it is transparent, or of one colour all over."""
    return not rgba[..., 3].any() or bool((rgba == rgba[0, 0]).all())


def write_geotiff(path: Path, rgba: Rgba, bounds: Bounds, crs: str) -> None:
    """Write a picture between these bounds, with transparency where some of it is missing."""
    height_px, width_px = rgba.shape[:2]
    west, south, east, north = bounds
    bands = rgba if (rgba[..., 3] < 255).any() else rgba[..., :3]
    colors = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    profile = {"tiled": True, "compress": "deflate", "predictor": 2, "photometric": "RGB"}
    with (
        written_whole(path) as temporary,
        rasterio.open(
            temporary,
            "w",
            driver="GTiff",
            width=width_px,
            height=height_px,
            count=bands.shape[2],
            dtype="uint8",
            crs=crs,
            transform=Affine((east - west) / width_px, 0.0, west, 0.0, (south - north) / height_px, north),
            **profile,
        ) as dataset,
    ):
        dataset.colorinterp = colors[: bands.shape[2]]
        dataset.write(np.ascontiguousarray(np.moveaxis(bands, -1, 0)))
