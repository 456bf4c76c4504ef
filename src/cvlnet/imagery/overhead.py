"""Overhead images of any size and resolution, read by windows, and where they lie.

An image may lack pixels: holes, collars of a rotated scan, transparent parts. A patch's mask says where.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from cvlnet.arrays import Mask
from cvlnet.geo import LatLon, Raster


@dataclass(frozen=True)
class Patch:
    """A window of an overhead image. valid: where there are data; None if they are complete."""

    pixels: UInt8[np.ndarray, "rows cols *channels"]  # RGB; of a label map one channel
    valid: Mask | None


class Imagery(ABC):
    """An overhead image that is read by windows, and where it lies.

    source: the file that errors name. may_lack_pixels: whether parts of it can be missing.
    """

    source: Path
    raster: Raster

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
        if reduction == 1:
            return Patch(pixels, valid)
        height, width = (max(side // reduction, 1) for side in pixels.shape[:2])
        whole = pixels[: height * reduction, : width * reduction]
        averaged = np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        return Patch(averaged, None if valid is None else valid[::reduction, ::reduction][:height, :width])
