"""Several overhead images as one: a tile is put together from all that overlap it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from cvlnet.config import RasterHints
from cvlnet.geo import Raster
from cvlnet.imagery.crop import filled, on_raster
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.overhead import Imagery, Patch

_MOST_OPEN = 4  # images that are kept; small ones are in memory as a whole


@dataclass(frozen=True)
class _Sheet:
    """Where an image lies."""

    path: Path
    raster: Raster
    shape: tuple[int, int]

    def overlaps(self, raster: Raster, side_px: int) -> bool:
        """Whether the image may show a part of a square raster."""
        corners = np.array([[0, 0], [side_px, 0], [side_px, side_px], [0, side_px]], dtype=np.float64)
        x_px, y_px = self.raster.xy_px(raster.latlon_deg(corners)).T
        if not (np.isfinite(x_px).all() and np.isfinite(y_px).all()):
            return False
        rows, cols = self.shape
        return bool(x_px.max() > 0 and x_px.min() < cols and y_px.max() > 0 and y_px.min() < rows)


class Sheets:
    """Overhead images, of which few are open at a time; where they overlap, an earlier one is taken.

    Raises InputError as `cvlnet.imagery.georef.open_overhead` does.
    """

    def __init__(self, paths: Sequence[Path], hints: RasterHints = RasterHints()) -> None:
        @lru_cache(maxsize=_MOST_OPEN)
        def opened(path: Path) -> Imagery:
            return open_overhead(path, hints)

        self._opened = opened
        self._sheets = tuple(_Sheet(path, opened(path).raster, opened(path).shape) for path in paths)

    def show(self, raster: Raster, side_px: int) -> tuple[Patch, tuple[Path, ...]]:
        """What the images show on a square raster, and which of them show something.

        Missing pixels are filled with the nearest ones that are there.
        """
        pixels = np.zeros((side_px, side_px, 3), np.uint8)
        valid = np.zeros((side_px, side_px), np.bool_)
        used = []
        for sheet in self._sheets:
            if valid.all():
                break
            if sheet.overlaps(raster, side_px):
                patch = on_raster(self._opened(sheet.path), raster, side_px, side_px)
                assert patch.valid is not None
                new = patch.valid & ~valid
                if new.any():
                    pixels[new] = patch.pixels[new]
                    valid |= new
                    used.append(sheet.path)
        return Patch(filled(Patch(pixels, valid)), valid), tuple(used)
