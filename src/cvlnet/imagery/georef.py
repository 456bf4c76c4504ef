"""Opening overhead imagery of any kind: what a path holds decides how it is read.

- A file that GDAL reads as a picture (GeoTIFF, JPEG 2000, VRT, PNG, ...), placed as `cvlnet.imagery.placement` says.
- A folder of such files, or a list of them: a mosaic.
- Web Mercator tiles: an MBTiles or PMTiles file, or a folder of pictures {z}/{x}/{y}.

What could be two of these is refused.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cvlnet.config import RasterHints
from cvlnet.errors import InputError
from cvlnet.imagery.credit import credit_of
from cvlnet.imagery.mosaic import open_mosaic
from cvlnet.imagery.overhead import Imagery, OverheadImage
from cvlnet.imagery.placement import georeference, opened, raster_at
from cvlnet.imagery.raster_file import RasterFile, interpret, warn_if_slow
from cvlnet.imagery.sheets import sheets_in
from cvlnet.imagery.tiles import mbtiles, pmtiles
from cvlnet.imagery.tiles.folder import open_tile_folder, zoom_levels

_WHOLE_PX = 2**25  # images up to this size are read at once
_MAP_POINTER = "map.json"  # in a folder of `cvlnet map build`, as `cvlnet.map.store` says


def open_overhead(source: Path | str | Sequence[Path | str], hints: RasterHints = RasterHints()) -> Imagery:
    """Open overhead imagery and read its georeference. Large imagery is read later, in windows.

    ``source``: a file, a folder, or several files and folders of a mosaic.
    Raises InputError if it is missing, damaged or of an unknown format, or if its georeference is missing, malformed,
    ambiguous or contradictory.
    """
    image = _opened(Path(source), hints) if isinstance(source, str | Path) else _mosaic(source, hints)
    rows, cols = image.shape
    if rows * cols > _WHOLE_PX:
        return image
    whole = image.read(slice(0, rows), slice(0, cols))
    return OverheadImage(whole.pixels, image.raster, image.source, whole.valid, image.credit)


def _opened(path: Path, hints: RasterHints) -> Imagery:
    if path.is_dir():
        return _folder(path, hints)
    start = _start_of(path)
    if start.startswith(mbtiles.MAGIC):
        return mbtiles.open_mbtiles(path, hints)
    if start.startswith(pmtiles.MAGIC):
        return pmtiles.open_pmtiles(path, hints)
    _require_no_tiles(path, hints)
    dataset, warp_crs = opened(path, hints)
    raster = raster_at(georeference(dataset, path, hints, warp_crs), (dataset.height, dataset.width), path)
    warn_if_slow(dataset, path)
    return RasterFile(path, raster, interpret({path: dataset}, hints, path), warp_crs, credit_of(path))


def _folder(folder: Path, hints: RasterHints) -> Imagery:
    levels = zoom_levels(folder)
    sheets = sheets_in(folder, [str(level) for level in levels])
    if levels and sheets:
        what = f"holds tiles ({levels[-1]}/) and georeferenced pictures ({sheets[0].relative_to(folder)})"
        raise InputError(what, where=folder, remedy="put one of the two elsewhere")
    return open_tile_folder(folder, hints) if levels else _mosaic([folder], hints)


def _mosaic(sources: Sequence[Path | str], hints: RasterHints) -> Imagery:
    """Files and the files of folders as one image."""
    paths = [path for source in sources for path in _sheets_of(Path(source))]
    if not paths:
        raise InputError("no file is given", where="overhead imagery", remedy="give at least one")
    if len(paths) == 1:
        return _opened(paths[0], hints)
    parents = [path.parent.absolute() for path in paths]
    where = Path(sources[0]) if len(sources) == 1 else Path(os.path.commonpath(parents))
    _require_no_tiles(where, hints)
    return open_mosaic(paths, where, hints, credit_of(where))


def _sheets_of(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sheets_in(path)
    if not found and (path / _MAP_POINTER).is_file():
        remedy = "name the image that it was built from"
        raise InputError("is a map of cvlnet map build; imagery is wanted here", where=path, remedy=remedy)
    if not found:
        what = (
            "holds no imagery: no GeoTIFF or JPEG 2000, no picture that something beside it places, no tiles z/x/y.png"
        )
        raise InputError(what, where=path, remedy="name the folder or the file that holds it")
    return found


def _require_no_tiles(path: Path, hints: RasterHints) -> None:
    if hints.tile_scheme is not None:
        raise InputError("is not made of tiles", where=path, remedy="leave --tile-scheme out")


def _start_of(path: Path) -> bytes:
    """The first bytes of a file; none if it cannot be read, which its reader reports."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return b""
        with path.open("rb") as file:
            return file.read(len(mbtiles.MAGIC))
    except OSError:
        return b""
