"""Label maps of synthetic towns: read whole, and averaged over the cells of a grid.

    ROOT/labels/<date>.png      one byte a pixel, bit by bit the labels of `cvlnet.labels`
    ROOT/labels/<date>.json     where it lies, as an entry of georef.json: center and m_per_px (true metres)

Data sets without them train without what is learned from them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from cvlnet.arrays import Matrix2
from cvlnet.data.images import read_gray
from cvlnet.geo import LatLon
from cvlnet.grid import Grid
from cvlnet.imagery.crop import NORTH_UP, crop_corners_px, resample, window
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.imagery.placement import raster_of
from cvlnet.io.text import read_json
from cvlnet.labels import LABELS

FOLDER = "labels"
_REMAKE = "make the town again with cvlnet synth"
_AT_ONCE = 4  # channels that OpenCV resamples together


def has_labels(root: Path) -> bool:
    """Whether a data set has label maps."""
    return (root / FOLDER).is_dir()


def read_label_map(root: Path, date: str) -> OverheadImage | None:
    """The label map of a date's town, one channel; None where the data set has none.

    Raises InputError if one of the two files is damaged or missing.
    """
    path = root / FOLDER / f"{date}.json"
    if not path.is_file():
        return None
    about = read_json(path, _REMAKE)
    bits = read_gray(path.with_suffix(".png"))
    rows, cols = bits.shape
    return OverheadImage(bits, raster_of(about, cols, rows, path), path.with_suffix(".png"))


def label_shares(
    labels: OverheadImage, center: LatLon, grid: Grid, crop_from_world: Matrix2 = NORTH_UP
) -> UInt8[Tensor, "labels rows cols"]:
    """How much of each cell every label holds, 255 for all of it; ``crop_from_world`` as in `cvlnet.imagery.crop.crop`.

    Beyond the map's edge its outermost labels go on.
    """
    corners = crop_corners_px(labels, center, grid, crop_from_world)
    rows, cols = window(labels.shape, corners)
    bits = labels.pixels[rows, cols]
    layers = np.unpackbits(bits[..., np.newaxis], axis=-1, count=LABELS, bitorder="little") * np.uint8(255)
    parts = [layers[..., first : first + _AT_ONCE] for first in range(0, LABELS, _AT_ONCE)]
    from_window = corners - (cols.start, rows.start)
    shares = [resample(np.ascontiguousarray(part), from_window, grid) for part in parts]
    return torch.from_numpy(np.ascontiguousarray(np.concatenate(shares, axis=-1).transpose(2, 0, 1)))
