"""Maps on disk: encoded imagery of any extent, as Zarr v3, read by windows.

    MAP/map.json                    the current version, with the checksum of its manifest
    MAP/v1/manifest.json            SHA-256, size and last four bytes of every file of the version
    MAP/v1/zarr.json                a Zarr group, whose attributes hold the header
    MAP/v1/descriptor               [channels, rows, cols], float16, or int8 in steps of 1/127
    MAP/v1/uncertainty              [rows, cols], float32, of a vehicle at the corner south-east of each cell
    MAP/v1/state                    [rows, cols], uint8: 1 known, 2 in a hole of the imagery, 4 south-east corner imaged
    MAP/v1/preview                  [3, rows, cols], uint8: the cells' mean colours, RGB
    MAP/index/v1                    the index of the version, if one was made (`cvlnet.index`)

Cells are square in true metres, rows run south and columns east, on a grid around an anchor (azimuthal equidistant, as
`cvlnet.geo.LocalFrame`). Chunks are not compressed, since features hardly are compressible, and end with a CRC-32C. A
window of imagery makes one chunk of every array; where the imagery shows nothing there is no chunk. A version never
changes: an update writes another one, which shares the files of unchanged chunks, and replaces ``map.json`` at its end.
A reader keeps the version that it has opened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame, MetricRaster
from cvlnet.grid import Grid
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.io.text import json_object, read_json
from cvlnet.map.arrays import REMEDY, MapArrays
from cvlnet.map.encode import EncodedCells, Window, windows
from cvlnet.map.grids import offset_of
from cvlnet.map.header import MapHeader, weights_of
from cvlnet.map.region import NEAR_M, Region, region_of
from cvlnet.model.cvlnet import CVLNet

POINTER, MANIFEST, INDEX = "map.json", "manifest.json", "index"
LARGEST_MANIFEST_BYTES = 2**29


@dataclass(frozen=True)
class ListedFile:
    """A file of a version: its checksum, its size in bytes, and, as text, its last four bytes, a chunk's CRC-32C."""

    sha256: str
    size: int
    crc: str


@dataclass(frozen=True)
class Map:
    """One version of a map on disk, opened for reading; see the module.

    path: the map's folder. Raises InputError, from `Map.open`, for anything but a whole map.
    """

    path: Path
    arrays: MapArrays
    manifest: Mapping[str, ListedFile]

    @staticmethod
    def open(path: Path) -> Map:
        """The current version of the map in a folder."""
        if not is_map(path):
            raise InputError("there is no map", where=path, remedy="make one by cvlnet map build")
        version, checksum = version_of(read_json(path / POINTER, REMEDY), path / POINTER)
        folder = path / version
        manifest = _manifest(folder / MANIFEST, checksum)
        for name, expected in manifest.items():
            if name.endswith("zarr.json"):
                _require_file(folder / name, expected)
        return Map(path, MapArrays(folder), manifest)

    @property
    def header(self) -> MapHeader:
        """Everything about the map but its cells."""
        return self.arrays.header

    @cached_property
    def frame(self) -> LocalFrame:
        """The map's world frame."""
        return LocalFrame(self.header.anchor)

    @property
    def center(self) -> LatLon:
        """The middle of the map's grid."""
        return LatLon(*self.frame.latlon_deg(self.header.layout.places(self.header.cells).center_xy_m).tolist())

    @property
    def bounds(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The south-western and the north-eastern corner of the places, as (latitude, longitude)."""
        corners_m = self.header.layout.places(self.header.cells).corners_xy_m().numpy()
        (south, west), (north, east) = self.frame.latlon_deg(corners_m[[3, 1]]).tolist()
        return (south, west), (north, east)

    @cached_property
    def known_km2(self) -> float:
        """The area that the imagery shows. Raises InputError where the map is damaged."""
        parts = windows(self.header.cells, self.header.window)
        known = sum(self.arrays.known_cells(part) for part in parts if self.arrays.holds(part))
        return known * self.header.cells.cell_m**2 / 1e6

    @property
    def size_bytes(self) -> int:
        """Bytes of all files of the version."""
        return sum(file.size for file in self.manifest.values())

    @property
    def version(self) -> str:
        """The name of the version, as v1."""
        return self.arrays.folder.name

    @property
    def index_folder(self) -> Path:
        """Where the index of the version lies, if it has one."""
        return self.path / INDEX / self.version

    @property
    def has_older_index(self) -> bool:
        """Whether an index of another version is there, which this one is not searched with."""
        return any(folder.name != self.version for folder in (self.path / INDEX).glob("v*"))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the names and checksums of all files of the version."""
        return fingerprint_of(self.manifest)

    def require_made_by(self, model: CVLNet) -> None:
        """Raise InputError unless the map was made with a network's weights."""
        if weights_of(model) != self.header.weights:
            remedy = "give the weights that made it, or build it again with these"
            raise InputError("the map was made with other weights", where=self.path, remedy=remedy)

    def read(self, part: Window) -> EncodedCells:
        """The cells of a window of the grid. Raises InputError where a chunk is missing, truncated or damaged."""
        self.arrays.require_there()
        for name in self.arrays.chunks_of(part):
            self._require_chunk(name)
        return self.arrays.read(part)

    def region(self, *, near: LatLon | None = None, radius_m: float = NEAR_M, places: Window | None = None) -> Region:
        """The part of the map that a search needs: around a place, or of a window of places, or as a whole.

        Raises InputError if nothing is searched within ``radius_m`` of the place, and as `read` does.
        """
        whole = self.header.layout.places(self.header.cells)
        if places is None:
            everywhere = Window(slice(0, whole.rows), slice(0, whole.cols))
            places = everywhere if near is None else self._around(whole, near, radius_m)
        part = places.extended(self.header.layout.clip_cells - 1)
        cells = part.of(self.header.cells)
        region = region_of(self.header.layout, self.read(part), cells, self.header.anchor)
        return region if near is None else region.near(near, radius_m, self.path)

    def shows(self, places: Window) -> bool:
        """Whether the map shows anything of what clips at a window of places see."""
        return any(
            name in self.manifest for name in self.arrays.chunks_of(places.extended(self.header.layout.clip_cells - 1))
        )

    def shows_place(self, place: LatLon) -> bool:
        """Whether the map shows the cell at a place."""
        cells, offset_m = self.header.cells, torch.tensor(self.header.layout.offset_m, dtype=torch.float64)
        xy_m = torch.from_numpy(self.frame.xy_world_m(place.degrees)) + offset_m
        row_col = cells.row_col(xy_m).round().long()
        if not cells.holds(row_col):
            return False
        row, col = row_col.tolist()
        return bool(self.arrays.known_cells(Window(slice(row, row + 1), slice(col, col + 1))))

    def preview(self, cells: Grid | None = None) -> OverheadImage:
        """The cells' mean colours as an image, of a part of the grid (a region's) or of all of it."""
        grid = self.header.cells
        cells = cells or grid
        row, col = offset_of(grid, cells)
        read = self.read(Window(slice(row, row + cells.rows), slice(col, col + cells.cols)))
        center = LatLon(*self.frame.latlon_deg(self.header.layout.pixels(cells).center_xy_m).tolist())
        pixels = np.ascontiguousarray(read.preview.permute(1, 2, 0).numpy())
        raster = MetricRaster(center, cells.cols, cells.rows, cells.cell_m)
        credit = "; ".join(self.header.credits) or None
        return OverheadImage(pixels, raster, self.path, read.known.numpy(), credit)

    def verify(self) -> None:
        """Read every file of the version. Raises InputError for the first that is missing or has another checksum."""
        for name, expected in self.manifest.items():
            _require_file(self.arrays.folder / name, expected)

    def _around(self, places: Grid, near: LatLon, radius_m: float) -> Window:
        """The window of places that holds a circle, from the first place of a tile on."""
        (row, col) = places.row_col(torch.from_numpy(self.frame.xy_world_m(near.degrees))).tolist()
        reach, steps = radius_m / places.cell_m, self.header.layout.steps
        sides = []
        for middle, count in ((row, places.rows), (col, places.cols)):
            first = max(int((middle - reach) // steps * steps), 0)
            last = min(int(middle + reach) + 2, count)
            if last <= first:
                what = (
                    f"nothing within {radius_m:g} m of {near.latitude_deg:.6f}, {near.longitude_deg:.6f} is on the map"
                )
                remedy = "give a map that holds the place, or a larger radius"
                raise InputError(what, where=self.path, remedy=remedy)
            sides.append(slice(first, last))
        return Window(*sides)

    def _require_chunk(self, name: str) -> None:
        """A missing chunk would read as a place without imagery."""
        path = self.arrays.folder / name
        if name not in self.manifest:
            if path.exists():
                raise InputError("is not listed in the map's manifest", where=path, remedy=REMEDY)
            return
        expected = self.manifest[name]
        if not path.is_file() or path.stat().st_size != expected.size:
            raise InputError("is missing, or is not whole", where=path, remedy=REMEDY)
        if crc_of(path) != expected.crc:
            raise InputError("does not have its checksum", where=path, remedy=REMEDY)


def is_map(path: Path) -> bool:
    """Whether a folder holds a map."""
    return (path / POINTER).is_file()


def fingerprint_of(manifest: Mapping[str, ListedFile]) -> str:
    """SHA-256 of the names and checksums of all files of a version."""
    return sha256(repr(sorted((name, file.sha256) for name, file in manifest.items())).encode()).hexdigest()


def listed(path: Path) -> ListedFile:
    """What the manifest says of a file."""
    content = path.read_bytes()
    return ListedFile(sha256(content).hexdigest(), len(content), content[-4:].hex())


def crc_of(path: Path) -> str:
    """The last four bytes of a chunk's file."""
    with path.open("rb") as file:
        file.seek(-4, 2)
        return file.read(4).hex()


def version_of(pointer: Mapping[str, Any], where: str | Path) -> tuple[str, str]:
    """The version that a pointer names, and the checksum of its manifest. Raises InputError if it names none."""
    version, checksum = pointer.get("version"), pointer.get("manifest_sha256")
    if not (isinstance(version, str) and re.fullmatch("v[0-9]{1,9}", version)):
        raise InputError(f"names no version ({version!r})", where=where, remedy=REMEDY)
    return version, str(checksum)


def manifest_of(text: bytes, checksum: str, where: str | Path) -> dict[str, ListedFile]:
    """What a manifest says of every file, by its name. Raises InputError if it is damaged."""
    if sha256(text).hexdigest() != checksum:
        raise InputError("does not have its checksum", where=where, remedy=REMEDY)
    try:
        return {name: ListedFile(**about) for name, about in json_object(text, where, REMEDY).items()}
    except TypeError as error:
        raise InputError(f"is no manifest ({error})", where=where, remedy=REMEDY) from error


def _manifest(path: Path, checksum: str) -> dict[str, ListedFile]:
    if not path.is_file() or path.stat().st_size > LARGEST_MANIFEST_BYTES:
        raise InputError("is missing, or too large", where=path, remedy=REMEDY)
    return manifest_of(path.read_bytes(), checksum, path)


def _require_file(path: Path, expected: ListedFile) -> None:
    try:
        same = path.stat().st_size == expected.size and listed(path) == expected
    except OSError:
        same = False
    if not same:
        raise InputError("is missing, or does not have its checksum", where=path, remedy=REMEDY)
