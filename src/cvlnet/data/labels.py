"""Label maps of synthetic towns: read whole, and cut into the shares of a grid's cells.

    ROOT/labels/<date>.png      one byte a pixel, bit by bit the labels of `cvlnet.labels`
    ROOT/labels/<date>.json     where its middle lies (latitude_deg, longitude_deg), and m_per_px (true metres)

Data sets without them train without what is learned from them.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from cvlnet.data.imagery import OverheadImage, corners_px, resample, window
from cvlnet.data.images import read_gray
from cvlnet.data.text import number_of, read_json
from cvlnet.geo import LatLon, MetricRaster
from cvlnet.grid import Grid
from cvlnet.labels import LABELS

FOLDER = "labels"
_REMAKE = "make the town again with cvlnet synth"
_HALF = 4  # channels that OpenCV resamples at once


def read_label_map(root: Path, date: str) -> OverheadImage | None:
    """The label map of a date's town, one channel; None where the data set has none.

    Raises InputError if one of the two files is damaged or missing.
    """
    path = root / FOLDER / f"{date}.json"
    if not path.is_file():
        return None
    about = read_json(path, _REMAKE)
    bits = read_gray(path.with_suffix(".png"))
    center = LatLon(*(number_of(about, key, path, _REMAKE) for key in ("latitude_deg", "longitude_deg")))
    rows, cols = bits.shape
    raster = MetricRaster(center, cols, rows, number_of(about, "m_per_px", path, _REMAKE))
    return OverheadImage(bits, raster, path.with_suffix(".png"))


def label_shares(
    labels: OverheadImage, center: LatLon, grid: Grid, turn_rad: float = 0.0
) -> UInt8[Tensor, "labels rows cols"]:
    """How much of each cell every label holds, 255 for all of it; ``turn_rad`` as in `cvlnet.data.imagery.crop`."""
    corners = corners_px(labels, center, grid, turn_rad)
    bits, left, top = window(labels.pixels, corners)
    layers = np.unpackbits(bits[..., np.newaxis], axis=-1, count=LABELS, bitorder="little") * np.uint8(255)
    parts = [layers[..., first : first + _HALF] for first in range(0, LABELS, _HALF)]
    shares = [resample(np.ascontiguousarray(part), corners - (left, top), grid, cv2.BORDER_REPLICATE) for part in parts]
    return torch.from_numpy(np.ascontiguousarray(np.concatenate(shares, axis=-1).transpose(2, 0, 1)))
