"""Maps as GeoTIFF, for QGIS and others: the imagery as the network sees it, or what it has made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Shaped
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin
from rasterio.windows import Window as Tile

from cvlnet.io.geotiff import geotiff_written_whole
from cvlnet.map.encode import EncodedCells, windows
from cvlnet.map.store import Map

Layer = Literal["preview", "features", "uncertainty"]

_TYPES = {"preview": "uint8", "features": "float32", "uncertainty": "float32"}


def write_geotiff(source: Map, path: Path, layer: Layer) -> None:
    """Write a layer as a tiled GeoTIFF in the map's own projection, window by window, the file whole or not at all.

    preview: the cells' mean colours, transparent where the map shows nothing. features: all descriptor channels, not a
    number where it shows nothing. uncertainty: of a vehicle at the south-eastern corner of each cell.
    Raises InputError where the map is damaged, or if the file cannot be written.
    """
    header, cells = source.header, source.header.cells
    bands = {"preview": 4, "features": header.channels, "uncertainty": 1}[layer]
    west_m, north_m = header.layout.pixels(cells).corners_xy_m()[0].tolist()
    profile: dict[str, Any] = {
        "width": cells.cols,
        "height": cells.rows,
        "count": bands,
        "dtype": _TYPES[layer],
        "crs": source.frame.crs,
        "transform": from_origin(west_m, north_m, cells.cell_m, cells.cell_m),
        "bigtiff": "if_safer",
        "nodata": None if layer == "preview" else float("nan"),
    }
    with geotiff_written_whole(path, **profile) as file:
        if layer == "preview":
            file.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
        if header.credits:
            file.update_tags(TIFFTAG_COPYRIGHT="; ".join(header.credits))
        for part in windows(cells, header.window):
            rows, cols = part.rows, part.cols
            tile = Tile(cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start)
            file.write(_values(source.read(part), layer), window=tile)


def _values(cells: EncodedCells, layer: Layer) -> Shaped[np.ndarray, "bands rows cols"]:
    known = cells.known.numpy()
    match layer:
        case "preview":
            return np.concatenate([cells.preview.numpy(), known[None].astype(np.uint8) * np.uint8(255)])
        case "features":
            return np.where(known, cells.descriptor.float().numpy(), np.float32(np.nan))
        case "uncertainty":
            return np.where(known, cells.uncertainty.numpy(), np.float32(np.nan))[None]
