"""How much of a file has to be decoded at once, whatever window of it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cvlnet.errors import InputError

TILE_IT = "convert it to a tiled GeoTIFF (gdal_translate -of COG)"
MOST_BYTES = 2**28


def require_blocks(dataset: Any, path: Path) -> None:
    """Raise InputError if a block of a GDAL dataset, such as a tile or a strip, has more than ``MOST_BYTES``.

    One block may be all of the file, as in WebP.
    """
    rows, cols = (dataset.height, dataset.width) if dataset.driver == "WEBP" else dataset.block_shapes[0]
    together = dataset.count if dataset.interleaving is not None and dataset.interleaving.name == "pixel" else 1
    if rows * cols * together * np.dtype(dataset.dtypes[0]).itemsize > MOST_BYTES:
        what = f"is stored in blocks of {cols} x {rows} px, each of which has to be read as a whole"
        raise InputError(what, where=path, remedy=TILE_IT)
