"""What a PNG or JPEG file states before its picture is decoded: size, orientation, and whether it is complete.

Decoders silently fill the missing part of a truncated file with grey. A file is complete if the picture's end is there;
what follows it (padding, a phone's video) does not belong to the picture.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from PIL.Image import Exif

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_ORIENTATION = 0x0112  # EXIF's tag
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # within JPEG's compressed data: neither a byte of it, nor a restart
_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's markers of a frame header
_END, _SCAN, _EXIF = 0xD9, 0xDA, 0xE1


class CutShortError(Exception):
    """The file ends before its picture does."""


@dataclass(frozen=True)
class PictureHeader:
    """Size and bits a channel as stored; EXIF's orientation (1: upright; 3: upside down; 5 to 8: on its side).

    end: the offset behind the picture's last byte.
    """

    width_px: int
    height_px: int
    bits: int
    orientation: int
    end: int


def read_header(encoded: bytes) -> PictureHeader | None:
    """The file's header, or None if it is neither PNG nor JPEG. Raises CutShortError if the file is incomplete."""
    try:
        if encoded.startswith(_PNG):
            return _png(encoded)
        return _jpeg(encoded) if encoded.startswith(_JPEG) else None
    except (struct.error, IndexError) as error:
        raise CutShortError from error


def _png(encoded: bytes) -> PictureHeader:
    """Chunks: length, type, data, checksum. The first one is IHDR, the last one IEND."""
    width_px, height_px, bits = struct.unpack_from(">IIB", encoded, 16)
    orientation, at = 1, len(_PNG)
    while True:
        (length,) = struct.unpack_from(">I", encoded, at)
        kind, data, at = encoded[at + 4 : at + 8], at + 8, at + 12 + length
        if at > len(encoded):
            raise CutShortError
        if kind == b"eXIf":
            orientation = _orientation(encoded[data : data + length])
        if kind == b"IEND":
            return PictureHeader(width_px, height_px, bits, orientation, at)


def _jpeg(encoded: bytes) -> PictureHeader:
    """Segments: marker, length, data. Compressed data follow the segments that begin a scan."""
    width_px, height_px, bits, orientation, at = 0, 0, 0, 1, 2
    while True:
        marker = _MARKER.search(encoded, at)
        if marker is None:
            raise CutShortError
        at, kind = marker.end(), encoded[marker.end() - 1]
        if kind == _END:
            return PictureHeader(width_px, height_px, bits, orientation, at)
        if kind == 0x01:  # a marker without data
            continue
        (length,) = struct.unpack_from(">H", encoded, at)
        if kind in _SIZES and not bits:  # decoders take the first one
            bits, height_px, width_px = struct.unpack_from(">BHH", encoded, at + 2)
        if kind == _EXIF and encoded[at + 2 : at + 8] == b"Exif\0\0":
            orientation = _orientation(encoded[at + 2 : at + length])
        at += length


def _orientation(exif_data: bytes) -> int:
    """EXIF's orientation; 1 where it is missing, or the data are damaged."""
    exif = Exif()
    try:
        exif.load(exif_data)
        orientation = exif.get(_ORIENTATION, 1)
    except (SyntaxError, ValueError, KeyError, TypeError, struct.error):  # by what is damaged
        return 1
    return orientation if orientation in range(1, 9) else 1
