"""Overhead images of any size and resolution, read by windows, and where they lie.

An image may lack pixels: holes, collars of a rotated scan, transparent parts. A patch's mask says where.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8

from cvlnet.arrays import Mask
from cvlnet.geo import LatLon, Raster

_BAND_PX = 512  # rows that are averaged at once, so that a reduced window never lies whole in memory


@dataclass(frozen=True)
class Patch:
    """A window of an overhead image. valid: where there are data; None if they are complete."""

    pixels: UInt8[np.ndarray, "rows cols *channels"]  # RGB; of a label map one channel
    valid: Mask | None


class Imagery(ABC):
    """An overhead image that is read by windows, and where it lies.

    source: the file or folder that errors name. credit: the line that names where the imagery comes from, where its
    licence asks for one; None if it is not known.
    """

    source: Path
    raster: Raster
    credit: str | None

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Rows and columns, in pixels."""

    @property
    @abstractmethod
    def may_lack_pixels(self) -> bool:
        """Whether parts of the image can be missing."""

    @abstractmethod
    def read(self, rows: slice, cols: slice, reduction: int = 1) -> Patch:
        """The pixels of a window, averaged over squares of ``reduction`` x ``reduction``; incomplete squares are cut.

        Raises InputError if the file is damaged there.
        """

    @abstractmethod
    def fingerprint(self) -> bytes:
        """Stands for the contents: an image that has changed has another one.

        Of files that are read by windows, sizes and times of change stand for the contents.
        """

    @property
    def center(self) -> LatLon:
        """The place of the image's middle."""
        rows, cols = self.shape
        return LatLon(*self.raster.latlon_deg([cols / 2, rows / 2]).tolist())


@dataclass(frozen=True)
class OverheadImage(Imagery):
    """An overhead image in memory. valid: as in `Patch`."""

    pixels: UInt8[np.ndarray, "rows cols *channels"]  # RGB; of a label map one channel
    raster: Raster
    source: Path
    valid: Mask | None = None
    credit: str | None = field(default=None, repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def may_lack_pixels(self) -> bool:
        """Whether there is a mask."""
        return self.valid is not None

    def read(self, rows: slice, cols: slice, reduction: int = 1) -> Patch:
        """As `Imagery` says."""
        pixels = np.ascontiguousarray(self.pixels[rows, cols])
        valid = None if self.valid is None else np.ascontiguousarray(self.valid[rows, cols])
        return averaged(Patch(pixels, valid), reduction)

    def fingerprint(self) -> bytes:
        """All pixels, and the mask."""
        mask = b"" if self.valid is None else np.packbits(self.valid).tobytes()
        return np.ascontiguousarray(self.pixels).tobytes() + mask


def averaged(patch: Patch, reduction: int) -> Patch:
    """A patch whose pixels are averages over squares of ``reduction`` x ``reduction``; incomplete squares are cut.

    Missing pixels do not count. A square is missing if more than half of it is.
    """
    if reduction == 1:
        return patch
    height, width = (max(side // reduction, 1) for side in patch.pixels.shape[:2])
    rows, cols = height * reduction, width * reduction
    pixels = patch.pixels[:rows, :cols]
    if patch.valid is None:
        return Patch(_area_mean(pixels, width, height), None)
    valid = patch.valid[:rows, :cols]
    share = _area_mean(valid.astype(np.float32), width, height)
    sums = _area_mean(np.where(valid[..., None], pixels, 0).astype(np.float32), width, height)
    means = sums / np.maximum(share, 1e-6)[..., None]
    return Patch(means.round().clip(0, 255).astype(np.uint8), np.asarray(share >= 0.5))


def read_in_bands(read: Callable[[slice, slice], Patch], rows: slice, cols: slice, reduction: int) -> Patch:
    """A reduced window of an image that ``read`` gives at full resolution, averaged band by band.

    A window that is smaller than one square gives its average.
    """
    if reduction == 1 or rows.stop - rows.start < reduction:
        return averaged(read(rows, cols), reduction)
    step = reduction * max(1, _BAND_PX // reduction)
    stop = rows.start + (rows.stop - rows.start) // reduction * reduction
    starts = range(rows.start, stop, step)
    bands = [averaged(read(slice(start, min(start + step, stop)), cols), reduction) for start in starts]
    pixels = np.concatenate([band.pixels for band in bands])
    if all(band.valid is None for band in bands):
        return Patch(pixels, None)
    whole = [np.ones(band.pixels.shape[:2], np.bool_) if band.valid is None else band.valid for band in bands]
    return Patch(pixels, np.concatenate(whole))


def _area_mean(values: Shaped[np.ndarray, "_ _ *channels"], width: int, height: int) -> Any:
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA), dtype=values.dtype)
