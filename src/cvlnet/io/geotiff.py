"""GeoTIFFs, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rasterio
from rasterio.errors import RasterioError

from cvlnet.errors import InputError
from cvlnet.io.files import written_whole


@contextmanager
def geotiff_written_whole(path: Path, **profile: Any) -> Iterator[Any]:
    """A GeoTIFF of tiles, compressed by deflate, that is open to be written, as a rasterio dataset.

    GDAL writes its last blocks when it closes a file, and does not say if that fails; so all of them are read again.
    Raises InputError if the file cannot be written.
    """
    remedy = "free some space or choose another place"
    with written_whole(path) as temporary:
        try:
            with rasterio.open(temporary, "w", driver="GTiff", tiled=True, compress="deflate", **profile) as file:
                yield file
        except RasterioError as error:
            raise InputError(f"cannot be written ({error})", where=path, remedy=remedy) from error
        if not _is_whole(temporary):
            raise InputError("cannot be written whole", where=path, remedy=remedy)


def _is_whole(path: Path) -> bool:
    """Whether all blocks of a file are there; deflate has a checksum for each."""
    try:
        with rasterio.open(path) as file:
            for (row, col), window in file.block_windows(1):
                if file.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=1) is None:
                    return False
                file.read(window=window)
    except RasterioError:
        return False
    return True
