"""The Zarr arrays of a map: cells of any window, written and read.

Chunks are not compressed, since features hardly are compressible, and end with a CRC-32C. A window of imagery makes one
chunk of every array; where the imagery shows nothing there is no chunk.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from torch import Tensor
from zarr.codecs import Crc32cCodec
from zarr.storage import LocalStore

from cvlnet.errors import InputError
from cvlnet.map.encode import EncodedCells, Window
from cvlnet.map.header import MapHeader

HEADER = "cvlnet-map"
REMEDY = "build the map again by cvlnet map build"
_KNOWN, _GONE, _ON_IMAGE = 1, 2, 4
_STEPS_INT8 = 127.0
_READING = (KeyError, TypeError, ValueError, OSError, AttributeError, OverflowError, MemoryError, RecursionError)


class MapArrays:
    """The Zarr arrays of one version of a map, in a folder.

    Opening checks them against the header before a chunk is read. Raises InputError if they are not those of a map.
    """

    def __init__(self, folder: Path, *, read_only: bool = True) -> None:
        self.folder = folder
        try:
            group = zarr.open_group(LocalStore(folder, read_only=read_only), mode="r" if read_only else "r+")
            self.header = MapHeader.of_json(group.attrs[HEADER])
            self._arrays = {name: _checked(group[name], name, self.header) for name in _specs(self.header)}
        except _READING as error:
            raise InputError(f"no encoded map inside ({_short(error)})", where=folder, remedy=REMEDY) from error

    @staticmethod
    def create(folder: Path, header: MapHeader) -> MapArrays:
        """Empty arrays in a folder. Raises InputError if they cannot be written, as without hard links."""
        try:
            _create(folder, header)
        except OSError as error:
            what = f"cannot be written ({error.strerror or error})"
            remedy = "choose a disk with free space whose file system has hard links, unlike FAT and exFAT"
            raise InputError(what, where=folder, remedy=remedy) from error
        return MapArrays(folder, read_only=False)

    def holds(self, part: Window) -> bool:
        """Whether the chunks of a window are there."""
        return self.state_file(part).is_file()

    def state_file(self, part: Window) -> Path:
        """The file of the state of a window, which is written after its other chunks."""
        row, col = part.rows.start // self.header.window, part.cols.start // self.header.window
        return self.folder / "state" / "c" / str(row) / str(col)

    def write(self, part: Window, cells: EncodedCells) -> None:
        """Write the chunks of a window. One that is killed in between leaves no state, and is written again.

        Raises InputError if they cannot be written, as on a full disk.
        """
        descriptor = cells.descriptor
        if self.header.storage == "int8":
            descriptor = (descriptor.float() * _STEPS_INT8).round().to(torch.int8)
        state = cells.known * _KNOWN + cells.gone * _GONE + cells.on_image * _ON_IMAGE
        try:
            self._arrays["descriptor"][:, part.rows, part.cols] = descriptor.numpy()
            self._arrays["uncertainty"][part.rows, part.cols] = cells.uncertainty.numpy()
            self._arrays["preview"][:, part.rows, part.cols] = cells.preview.numpy()
            self._arrays["state"][part.rows, part.cols] = state.to(torch.uint8).numpy()
        except OSError as error:
            remedy = "free some space, and repeat the command, which resumes"
            raise InputError(f"cannot be written ({error.strerror})", where=self.folder, remedy=remedy) from error

    def read(self, part: Window) -> EncodedCells:
        """The cells of any window of the grid. Raises InputError for a damaged chunk."""
        found = {name: self._values(name, part) for name in self._arrays}
        descriptor, state = found["descriptor"], found["state"]
        if self.header.storage == "int8":
            descriptor = (descriptor.float() / _STEPS_INT8).half()
        known, gone, on_image = (state & bit > 0 for bit in (_KNOWN, _GONE, _ON_IMAGE))
        if not (bool(descriptor.isfinite().all()) and bool((found["uncertainty"] > 0).all())):
            raise InputError("a value is not finite, or not positive", where=self.folder, remedy=REMEDY)
        return EncodedCells(descriptor, found["uncertainty"], known, gone, on_image, found["preview"])

    def known_cells(self, part: Window) -> int:
        """Number of cells in a window that the imagery shows. Raises InputError for a damaged chunk."""
        return int((self._values("state", part) & _KNOWN > 0).sum())

    def _values(self, name: str, part: Window) -> Tensor:
        try:
            values = np.asarray(self._arrays[name][..., part.rows, part.cols])
        except _READING as error:
            self.require_there()
            raise InputError(f"{name} is damaged ({_short(error)})", where=self.folder, remedy=REMEDY) from error
        self.require_there()
        return torch.from_numpy(np.ascontiguousarray(values))

    def require_there(self) -> None:
        """Raise InputError if the version was removed: Zarr takes missing chunks for places without imagery."""
        if not self.folder.is_dir():
            what, remedy = "this version of the map was removed by later updates", "open the map again"
            raise InputError(what, where=self.folder, remedy=remedy)

    def chunks_of(self, part: Window) -> list[str]:
        """Names of the files, relative to the folder, that hold a window."""
        side = self.header.window
        places = [
            f"{row}/{col}"
            for row in range(part.rows.start // side, -(-part.rows.stop // side))
            for col in range(part.cols.start // side, -(-part.cols.stop // side))
        ]
        specs = _specs(self.header)
        return [f"{name}/c/{'0/' * (len(specs[name][0]) - 2)}{place}" for place in places for name in specs]


def _create(folder: Path, header: MapHeader) -> None:
    group = zarr.create_group(LocalStore(folder), attributes={HEADER: header.to_json()}, zarr_format=3)
    for name, (shape, dtype, fill) in _specs(header).items():
        chunks = (*shape[:-2], header.window, header.window)
        codecs: Any = (Crc32cCodec(),)
        group.create_array(name, shape=shape, chunks=chunks, dtype=dtype, compressors=codecs, fill_value=fill)


def _specs(header: MapHeader) -> dict[str, tuple[tuple[int, ...], str, int]]:
    """Shape, type and fill value of every array."""
    sides = (header.cells.rows, header.cells.cols)
    return {
        "descriptor": ((header.channels, *sides), header.storage, 0),
        "uncertainty": (sides, "float32", 1),
        "state": (sides, "uint8", 0),
        "preview": ((3, *sides), "uint8", 0),
    }


def _checked(array: Any, name: str, header: MapHeader) -> Any:
    """The array, if it is what the header says. Raises ValueError otherwise."""
    shape, dtype, fill = _specs(header)[name]
    chunks = (*shape[:-2], header.window, header.window)
    if array.shape != shape or array.dtype != np.dtype(dtype) or array.chunks != chunks or array.fill_value != fill:
        raise ValueError(f"{name} is {array.dtype} of {array.shape} in chunks of {array.chunks}")
    if array.compressors != (Crc32cCodec(),) or array.filters or array.shards is not None:
        raise ValueError(f"{name} is compressed by {array.compressors}, {array.filters}")
    return array


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
