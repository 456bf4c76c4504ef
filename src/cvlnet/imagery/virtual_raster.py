"""What a virtual raster (VRT) refers to. It names other files, and may name addresses, databases and programs.

GDAL opens whatever is named, with all of its drivers, some of which make connections. Here only pictures in files are
allowed, and what these refer to in turn; and that is checked before GDAL opens the virtual raster.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from cvlnet.errors import InputError
from cvlnet.imagery.blocks import require_blocks

_LARGEST_BYTES = 2**25
_DEEPEST = 4  # virtual rasters in virtual rasters
_HEADER_BYTES = 1024  # by which GDAL recognises one
_SOURCES = ("sourcefilename", "sourcedataset", "dempath")
_REMAKE = "make it again by gdalbuildvrt"


def is_virtual(path: Path) -> bool:
    """Whether GDAL takes a file for a virtual raster. Raises InputError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return b"<VRTDataset" in file.read(_HEADER_BYTES)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, remedy="make it readable") from error


def is_remote(name: str) -> bool:
    """Whether GDAL would look for a name elsewhere than in a file of that name."""
    return any(mark in name for mark in ("/vsi", "://", "<"))


def require_local(path: Path, drivers: Sequence[str], depth: int = 1) -> None:
    """Raise InputError unless all that a virtual raster refers to are pictures in files that these drivers read.

    Each of them must also be stored in blocks of a bounded size (`cvlnet.imagery.blocks`).
    """
    if path.stat().st_size > _LARGEST_BYTES:
        raise InputError(f"is larger than {_LARGEST_BYTES >> 20} MB", where=path, remedy="make it of fewer files")
    for name, source in dict.fromkeys(_sources(path)):
        if is_remote(name):
            raise InputError(f"refers to {name}, which is no file", where=path, remedy="download what it refers to")
        if not source.is_file():
            raise InputError(f"refers to {name}, which does not exist", where=path, remedy="copy it there")
        if is_virtual(source):
            if depth == _DEEPEST:
                what = f"refers to {name}, a virtual raster {depth} levels deep"
                raise InputError(what, where=path, remedy="make one of the pictures themselves")
            require_local(source, drivers, depth + 1)
        elif not _is_picture(source, source.stat().st_mtime_ns, tuple(drivers)):
            what = f"refers to {name}, which is no picture that is read here"
            raise InputError(what, where=path, remedy="copy it again, or convert it to GeoTIFF")


def sources_of(path: Path) -> set[Path]:
    """All files that a virtual raster which `require_local` has checked refers to, through others of its kind, too."""
    found = {source for _, source in _sources(path)}
    return found.union(*(sources_of(source) for source in found if is_virtual(source)))


@lru_cache(maxsize=100_000)
def _is_picture(source: Path, changed_ns: int, drivers: tuple[str, ...]) -> bool:
    """Whether a file, as it is since a time, is read by one of the drivers other than that of virtual rasters.

    Raises InputError if too much of it has to be decoded at once.
    """
    del changed_ns
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with DatasetReader(source, driver=[driver for driver in drivers if driver != "VRT"]) as dataset:
                require_blocks(dataset, source)
    except RasterioError:
        return False
    return True


def _sources(path: Path) -> Iterator[tuple[str, Path]]:
    """What is referred to: as it is written, and as a path."""
    text = path.read_bytes()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:  # a few lines of entities make gigabytes
        raise InputError("declares XML entities", where=path, remedy=_REMAKE)
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"is no virtual raster ({error})", where=path, remedy=_REMAKE) from error
    for element in root.iter():
        if element.tag.lower() in _SOURCES or element.get("key", "").upper().endswith("_DATASET"):
            name = "".join(element.itertext()).strip()
            is_relative = next((value for key, value in element.items() if key.lower() == "relativetovrt"), "0") == "1"
            yield name, path.resolve().parent / name if is_relative else Path(name)
