"""Segments: descriptors of places in files that FAISS maps into memory, and that never change once they are written.

A file is what FAISS writes of an `IndexScalarQuantizer` whose ranges are not learned: 81 or 89 bytes that follow from
the number of descriptors and their `Codec`, then the codes, a row for each descriptor. FAISS may end the process over a
file that says anything else, so these bytes and the file's size are compared with what they must be before it is
opened.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
from jaxtyping import Bool, Float32, Int64

from cvlnet.errors import InputError
from cvlnet.io.files import written_whole

Storage = Literal["float16", "int8"]

MOST_DIMS = 4096
MOST_PLACES = 2**28  # of one segment
REMEDY = "restore the index from a copy, or build it again"
SUFFIX = ".faiss"
_TYPES: dict[Storage, tuple[int, int]] = {  # FAISS's name of a type, and its bytes
    "float16": (faiss.ScalarQuantizer.QT_fp16, 2),
    "int8": (faiss.ScalarQuantizer.QT_8bit_uniform, 1),
}
_INDEX, _QUANTIZER, _SIZE = struct.Struct("<4s i 3q ? i"), struct.Struct("<2i f 3Q"), struct.Struct("<Q")
_UNUSED = 2**20  # what FAISS writes where older formats had a number


@dataclass(frozen=True)
class Codec:
    """How descriptors are stored. largest: the absolute value that int8 reaches to; larger ones are cut.

    Raises ValueError for an unknown type, or a number out of range.
    """

    dims: int
    storage: Storage
    largest: float = 1.0

    def __post_init__(self) -> None:
        if self.storage not in _TYPES or not 1 <= self.dims <= MOST_DIMS or not 0 < self.largest < np.inf:
            raise ValueError(
                f"a descriptor has 1 to {MOST_DIMS} dimensions of type {' or '.join(_TYPES)} up to a positive number, "
                f"not {self.dims} of {self.storage} up to {self.largest}"
            )

    @property
    def place_bytes(self) -> int:
        """Bytes of one descriptor."""
        return self.dims * _TYPES[self.storage][1]

    def file_bytes(self, count: int) -> int:
        """Bytes of a file with ``count`` descriptors."""
        return len(self.beginning(count)) + count * self.place_bytes

    @property
    def _header(self) -> bytes:
        """What a file says of the type of its descriptors."""
        kind, _ = _TYPES[self.storage]
        size = (self.dims, self.place_bytes)
        return _QUANTIZER.pack(kind, 0, 0.0, *size, len(self.ranges)) + self.ranges.tobytes()

    @property
    def ranges(self) -> Float32[np.ndarray, " n"]:
        """Lowest number and extent of the range that a code divides, of those types that have one."""
        return np.array([-self.largest, 2 * self.largest] if self.storage == "int8" else [], dtype="<f4")

    def beginning(self, count: int) -> bytes:
        """The first bytes of a file with ``count`` descriptors."""
        index = _INDEX.pack(b"IxSQ", self.dims, count, _UNUSED, _UNUSED, True, faiss.METRIC_INNER_PRODUCT)
        return index + self._header + _SIZE.pack(count * self.place_bytes)

    def empty(self) -> Any:
        """An index of FAISS without descriptors."""
        index = faiss.IndexScalarQuantizer(self.dims, _TYPES[self.storage][0], faiss.METRIC_INNER_PRODUCT)
        if self.storage == "int8":
            faiss.copy_array_to_vector(self.ranges, index.sq.trained)
            index.is_trained = True
        return index


@dataclass(frozen=True)
class Segment:
    """Descriptors of the places of a rectangle of the lattice, as they are handed to an index.

    first: row and column, in the lattice, of its north-western place. held: the places that have a descriptor.
    descriptors: theirs, row by row. Raises ValueError if there are none, or not one for each, or one is not finite.
    """

    first: tuple[int, int]
    held: Bool[np.ndarray, "rows cols"]
    descriptors: Float32[np.ndarray, "places dims"]

    def __post_init__(self) -> None:
        count = int(self.held.sum())
        if not 1 <= count <= MOST_PLACES or len(self.descriptors) != count:
            raise ValueError(f"{len(self.descriptors)} descriptors for {count} places")
        if not np.isfinite(self.descriptors).all():
            raise ValueError("a descriptor is not finite")


class SegmentFile:
    """The descriptors of a segment, mapped into memory. Raises InputError unless the file is a whole one."""

    def __init__(self, path: Path, codec: Codec, count: int) -> None:
        self.path, self.codec, self.count = path, codec, count
        _require_whole(path, codec, count)
        try:
            self._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise InputError(f"cannot be mapped ({_first_line(error)})", where=path, remedy=REMEDY) from error

    def search(
        self, query: Float32[np.ndarray, " dims"], most: int, wanted: Bool[np.ndarray, " places"] | None = None
    ) -> tuple[Float32[np.ndarray, " found"], Int64[np.ndarray, " found"]]:
        """The descriptors with the largest products with a query: products and numbers, best first.

        wanted: the only ones that count.
        """
        chosen = None
        if wanted is not None:  # FAISS's annotations lack what its wrappers take
            selector = faiss.IDSelectorBitmap(np.packbits(wanted, bitorder="little"))  # type: ignore[call-arg, arg-type]
            chosen = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        products, numbers = self._index.search(np.ascontiguousarray(query[None]), min(most, self.count), params=chosen)
        found = numbers[0] >= 0  # fewer are wanted than asked for
        return products[0][found], numbers[0][found]

    def descriptors(self, numbers: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n dims"]:
        """Some of the descriptors, by their numbers."""
        return np.asarray(self._index.reconstruct_batch(numbers), dtype=np.float32)


def write_segment(path: Path, segment: Segment, codec: Codec) -> str:
    """Write the descriptors of a segment to disk, whole or not at all: the SHA-256 of the file.

    Raises ValueError if they have other dimensions than the codec, InputError as `written_whole` does.
    """
    if segment.descriptors.shape[1] != codec.dims:
        raise ValueError(f"descriptors of {segment.descriptors.shape[1]} dimensions, not {codec.dims}")
    index = codec.empty()
    index.add(np.ascontiguousarray(segment.descriptors))
    with written_whole(path) as temporary:
        try:
            faiss.write_index(index, str(temporary))
        except RuntimeError as error:  # FAISS hides the number of the error
            remedy = "free some space or choose another place"
            raise InputError(f"cannot be written ({_first_line(error)})", where=path, remedy=remedy) from error
        _require_whole(temporary, codec, len(segment.descriptors))
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        return sha256_of(temporary)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file. Raises InputError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, remedy=REMEDY) from error


def _require_whole(path: Path, codec: Codec, count: int) -> None:
    """Raise InputError unless a file has the size and the first bytes of one with ``count`` descriptors."""
    expected = codec.beginning(count)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(len(expected))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, remedy=REMEDY) from error
    whole = codec.file_bytes(count)
    if size != whole:
        raise InputError(f"has {size} bytes, not {whole}", where=path, remedy=REMEDY)
    if header != expected:
        raise InputError("damaged: it does not begin as a file of its descriptors does", where=path, remedy=REMEDY)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
