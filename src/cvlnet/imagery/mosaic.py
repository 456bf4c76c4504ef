"""A mosaic: many files of one coordinate reference system and resolution, read as one image.

The pixels of the mosaic are those of the first file, continued in all directions. Files whose pixels coincide with them
are copied; others, shifted by parts of a pixel or turned, are interpolated. Where files overlap, the last one by its
name that has data is on top. Between files there may be gaps, where pixels are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import shapely
from jaxtyping import Float64

from cvlnet.arrays import Mask, Rgb
from cvlnet.config import RasterHints
from cvlnet.errors import InputError
from cvlnet.geo import MetricRaster, ProjectedRaster, Raster
from cvlnet.imagery.crop import filled
from cvlnet.imagery.overhead import Imagery, Patch, read_in_bands
from cvlnet.imagery.placement import Affine3, Georeference, agree, georeference, one_for_all, opened, raster_at
from cvlnet.imagery.raster_file import (
    FileStates,
    Interpretation,
    Layout,
    RasterFile,
    interpret,
    open_dataset,
    palette_of,
    require_alpha,
    state_of,
)
from cvlnet.io.listing import natural_key

_OPEN_FILES = 8  # at once
_LOOKED_AT = 5  # files of each layout, whose values are looked at
_SAME_SIZE = 0.03  # by how much resolutions may differ
_COINCIDE_PX = 0.02  # by how much pixels may lie apart that are copied
_WEB_MERCATOR = "EPSG:3857"

Matrix3 = Float64[np.ndarray, "3 3"]


@dataclass(frozen=True)
class Sheet:
    """A file of a mosaic. sheet_from_mosaic: takes (x_px, y_px, 1) of the mosaic to pixels of the file.

    warp_crs: as in `RasterFile`. state: of the file and of what belongs to it.
    """

    path: Path
    shape: tuple[int, int]
    sheet_from_mosaic: Affine3
    interpretation: Interpretation
    warp_crs: str | None
    state: FileStates

    def outline_px(self) -> Float64[np.ndarray, "4 2"]:
        """The corners of the file, in pixels of the mosaic."""
        return _corners(np.linalg.inv(_square(self.sheet_from_mosaic)), self.shape)


@dataclass(frozen=True)
class Mosaic(Imagery):
    """Many files as one image. A few of them are open at a time. source: the folder that holds them."""

    source: Path
    raster: Raster
    size_px: tuple[int, int]
    sheets: tuple[Sheet, ...]
    credit: str | None = field(default=None, repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, in pixels."""
        return self.size_px

    @property
    def may_lack_pixels(self) -> bool:
        """True: there may be gaps between files."""
        return True

    def read(self, rows: slice, cols: slice, reduction: int = 1) -> Patch:
        """As `Imagery` says."""
        return read_in_bands(self._read, rows, cols, reduction)

    def fingerprint(self) -> bytes:
        """As `Imagery` says."""
        return repr([replace(sheet, path=Path(sheet.path.name)) for sheet in self.sheets]).encode()

    def __getstate__(self) -> dict[str, Any]:
        """Without open files, so that another process can open them anew."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_tree", "_file")}

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree([shapely.Polygon(sheet.outline_px()) for sheet in self.sheets])

    def _read(self, rows: slice, cols: slice) -> Patch:
        height, width = rows.stop - rows.start, cols.stop - cols.start
        pixels, valid = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.bool_)
        window = shapely.box(cols.start, rows.start, cols.stop, rows.stop)
        for index in sorted(self._tree.query(window).tolist(), reverse=True):
            _lay_under(pixels, valid, self._file(index), self.sheets[index], rows, cols)
            if valid.all():
                return Patch(pixels, None)
        return Patch(pixels, valid)

    @cached_property
    def _file(self) -> Callable[[int], RasterFile]:
        """The file of a sheet; those that were read last stay open."""
        return lru_cache(_OPEN_FILES)(self._opened)

    def _opened(self, index: int) -> RasterFile:
        sheet = self.sheets[index]
        return RasterFile(sheet.path, self.raster, sheet.interpretation, sheet.warp_crs)


def open_mosaic(paths: Sequence[Path], source: Path, hints: RasterHints, credit: str | None = None) -> Mosaic:
    """Files as one image. ``source`` is the folder that errors and answers name.

    Raises InputError as `open_overhead` does, and if files differ in their coordinate reference systems or resolutions.
    """
    ordered = sorted(dict.fromkeys(paths), key=lambda path: natural_key(str(path)))
    headers = [_header(path, hints) for path in ordered]
    first = headers[0]
    _require_own_descriptions(headers)
    for header in headers[1:]:
        _require_alike(first, header)
    mosaic_from_sheets = [_mosaic_from_sheet(first, header, _period(first, headers)) for header in headers]
    corners = np.concatenate(
        [_corners(matrix, header.shape) for matrix, header in zip(mosaic_from_sheets, headers, strict=True)]
    )
    left, top = np.floor(corners.min(axis=0) + _COINCIDE_PX).tolist()
    right, bottom = np.ceil(corners.max(axis=0) - _COINCIDE_PX).tolist()
    shift = _shift(left, top)
    shape = (int(bottom - top), int(right - left))
    place = Georeference(first.place.crs, _rows2(_square(first.place.affine) @ shift))
    interpretations = _interpretations(headers, hints, source)
    sheets = [
        Sheet(
            path=header.path,
            shape=header.shape,
            sheet_from_mosaic=_rows2(np.linalg.inv(matrix) @ shift),
            interpretation=_with_palette(interpretations[header.layout], header),
            warp_crs=header.warp_crs,
            state=header.state,
        )
        for matrix, header in zip(mosaic_from_sheets, headers, strict=True)
    ]
    return Mosaic(source, raster_at(place, shape, source), shape, tuple(sheets), credit)


@dataclass(frozen=True)
class _Header:
    """What a file says of itself before any of its pixels are read."""

    path: Path
    shape: tuple[int, int]
    place: Georeference
    layout: Layout
    warp_crs: str | None
    state: FileStates
    described_in: Path | None = None  # a file that describes whatever picture is there

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Lengths of a pixel along its row and along its column, in units of the reference system."""
        along_row, along_column = np.linalg.norm(np.array(self.place.affine)[:, :2], axis=0).tolist()
        return along_row, along_column


def _header(path: Path, hints: RasterHints) -> _Header:
    dataset, warp_crs = opened(path, hints)
    with dataset:
        place = georeference(dataset, path, hints, warp_crs)
        if isinstance(place, MetricRaster):
            what, remedy = (
                "has its own system of true metres",
                "give the corners of a mosaic's pictures, or open it alone",
            )
            raise InputError(what, where=path, remedy=remedy)
        described_in = None
        if not isinstance(place, Georeference):
            described_in = one_for_all(path)
            affine = ((place.pixel_m, 0.0, place.west_m), (0.0, -place.pixel_m, place.north_m))
            place = Georeference(_WEB_MERCATOR, affine)
        if abs(float(np.linalg.det(_square(place.affine)))) == 0.0:
            raise InputError("its pixels have no size", where=path, remedy="correct its georeference")
        shape, state = (dataset.height, dataset.width), state_of(dataset, path)
        return _Header(path, shape, place, Layout.of(dataset), warp_crs, state, described_in)


def _require_own_descriptions(headers: Sequence[_Header]) -> None:
    """Two pictures of one description would lie on top of each other."""
    described: dict[Path, Path] = {}
    for header in headers:
        if header.described_in is not None:
            other = described.setdefault(header.described_in, header.path)
            if other != header.path:
                what = f"describes one picture, and both {other.name} and {header.path.name} are there"
                raise InputError(
                    what, where=header.described_in, remedy="give each an entry by its name without suffix"
                )


def _require_alike(first: _Header, other: _Header) -> None:
    if other.place.crs != first.place.crs and not agree(first.place, other.place):
        raise InputError(
            f"is in another coordinate reference system than {first.path}",
            where=other.path,
            remedy="warp one of them to the other's (gdalwarp -t_srs), or open them separately",
        )
    ratios = np.array(other.pixel_size) / np.array(first.pixel_size)
    if np.abs(np.log(ratios)).max() > np.log1p(_SAME_SIZE):
        sizes = " x ".join(f"{size:.6g}" for size in other.pixel_size)
        firsts = " x ".join(f"{size:.6g}" for size in first.pixel_size)
        raise InputError(
            f"its pixels measure {sizes}, those of {first.path} {firsts}",
            where=other.path,
            remedy="resample one of them (gdalwarp -tr), or open them separately",
        )


def _period(first: _Header, headers: Sequence[_Header]) -> float | None:
    """What once around the earth adds to x. It is asked for only where files lie on both sides of a system's middle."""
    xs = [header.place.affine[0][2] for header in headers]
    if min(xs) * max(xs) >= 0:
        return None
    try:
        return ProjectedRaster(first.place.crs, first.place.affine).period
    except ValueError:  # which `raster_at` reports
        return None


def _mosaic_from_sheet(first: _Header, other: _Header, period: float | None) -> Matrix3:
    """Pixels of a file to those of the first file."""
    projected = _square(other.place.affine)
    if period is not None:
        projected[0, 2] -= period * np.round((projected[0, 2] - first.place.affine[0][2]) / period)
    return np.asarray(np.linalg.inv(_square(first.place.affine)) @ projected)


def _interpretations(headers: Sequence[_Header], hints: RasterHints, source: Path) -> dict[Layout, Interpretation]:
    """How the bands of all files of one layout become RGB, from a few of them."""
    of_layout: dict[Layout, list[_Header]] = {}
    for header in headers:
        of_layout.setdefault(header.layout, []).append(header)
    found: dict[Layout, Interpretation] = {}
    ranged: tuple[Path, tuple[float, float]] | None = None
    for layout, members in of_layout.items():
        chosen = [members[i] for i in np.linspace(0, len(members) - 1, min(len(members), _LOOKED_AT)).astype(int)]
        datasets = {header.path: open_dataset(header.path, header.warp_crs) for header in chosen}
        where = chosen[0].path if len(of_layout) > 1 or len(headers) == 1 else source
        found[layout] = interpret(datasets, hints, where)
        alpha = found[layout].alpha
        if alpha is not None:
            for header in members:
                with open_dataset(header.path, header.warp_crs) as dataset:
                    require_alpha(dataset, alpha, header.path)
        value_range = found[layout].value_range
        if value_range is not None:
            if ranged is not None and ranged[1] != value_range:
                what = f"its values reach {value_range[1]:g}, those of {ranged[0]} {ranged[1][1]:g}"
                remedy = "state the values of black and white by --value-range LOW HIGH"
                raise InputError(what, where=chosen[0].path, remedy=remedy)
            ranged = chosen[0].path, value_range
    return found


def _with_palette(interpretation: Interpretation, header: _Header) -> Interpretation:
    """The interpretation of a file that has colours of its own."""
    if interpretation.palette is None:
        return interpretation
    with open_dataset(header.path, header.warp_crs) as dataset:
        return replace(interpretation, palette=palette_of(dataset, interpretation.bands))


def _lay_under(pixels: Rgb, valid: Mask, file: RasterFile, sheet: Sheet, rows: slice, cols: slice) -> None:
    """Fill those pixels of a window that are not valid yet with those of a file, in place."""
    height, width = valid.shape
    sheet_from_window = _square(sheet.sheet_from_mosaic) @ _shift(cols.start, rows.start)
    outline = _corners(np.linalg.inv(sheet_from_window), sheet.shape)
    (left, top), (right, bottom) = outline.min(axis=0), outline.max(axis=0)
    part_cols = slice(max(int(np.floor(left)), 0), min(int(np.ceil(right)), width))
    part_rows = slice(max(int(np.floor(top)), 0), min(int(np.ceil(bottom)), height))
    if part_cols.stop <= part_cols.start or part_rows.stop <= part_rows.start:
        return
    if valid[part_rows, part_cols].all():
        return  # other files cover it
    seen = _seen(file, sheet.shape, sheet_from_window, part_rows, part_cols)
    if seen is None:
        return
    new = ~valid[part_rows, part_cols] if seen.valid is None else ~valid[part_rows, part_cols] & seen.valid
    pixels[part_rows, part_cols][new] = seen.pixels[new]
    valid[part_rows, part_cols] |= new


def _seen(
    file: RasterFile, shape: tuple[int, int], sheet_from_window: Matrix3, rows: slice, cols: slice
) -> Patch | None:
    """What a part of the window shows of a file; None if it shows nothing of it. valid: where the file has data."""
    sheet_from_part = sheet_from_window @ _shift(cols.start, rows.start)
    height, width = rows.stop - rows.start, cols.stop - cols.start
    whole_px = _whole_shift(sheet_from_part, height, width)
    if whole_px is not None:
        return _copied(file, shape, whole_px, height, width)
    return _interpolated(file, shape, sheet_from_part, height, width)


def _interpolated(
    file: RasterFile, shape: tuple[int, int], sheet_from_part: Matrix3, height: int, width: int
) -> Patch | None:
    """A part of the window whose pixels lie between those of the file. Holes stay holes, and do not bleed."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    sheet_xy = np.stack([x, y, np.ones_like(x)], axis=-1) @ sheet_from_part[:2].T
    inside = ((sheet_xy >= 0) & (sheet_xy < (shape[1], shape[0]))).all(axis=-1)
    if not inside.any():
        return None
    first_col, first_row = np.maximum(np.floor(sheet_xy[inside].min(axis=0)).astype(int) - 2, 0).tolist()
    last_col, last_row = np.minimum(np.ceil(sheet_xy[inside].max(axis=0)).astype(int) + 2, shape[::-1]).tolist()
    patch = file.read(slice(first_row, last_row), slice(first_col, last_col))
    patch_from_part = sheet_from_part[:2].copy()
    patch_from_part[:, 2] += patch_from_part[:, :2] @ (0.5, 0.5) - 0.5 - (first_col, first_row)  # of pixel centres
    pixels = filled(patch)
    warped = _warped(pixels, patch_from_part, width, height, cv2.INTER_LINEAR)
    if patch.valid is None:
        return Patch(warped, inside)
    there = _warped(patch.valid.astype(np.uint8), patch_from_part, width, height, cv2.INTER_NEAREST)
    return Patch(warped, inside & (there > 0))


def _warped(pixels: Any, pixels_from_part: Any, width: int, height: int, how: int) -> Any:
    flags, border = how | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
    return np.asarray(
        cv2.warpAffine(pixels, pixels_from_part, (width, height), flags=flags, borderMode=border), np.uint8
    )


def _copied(file: RasterFile, shape: tuple[int, int], shift: tuple[int, int], height: int, width: int) -> Patch | None:
    """A part of the window whose pixels are those of the file, ``shift`` (x, y) further on there."""
    right, down = shift
    first_row, last_row = max(down, 0), min(down + height, shape[0])
    first_col, last_col = max(right, 0), min(right + width, shape[1])
    if last_row <= first_row or last_col <= first_col:
        return None
    patch = file.read(slice(first_row, last_row), slice(first_col, last_col))
    pixels, valid = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.bool_)
    part = (slice(first_row - down, last_row - down), slice(first_col - right, last_col - right))
    pixels[part] = patch.pixels
    valid[part] = True if patch.valid is None else patch.valid
    return Patch(pixels, valid)


def _whole_shift(sheet_from_part: Matrix3, height: int, width: int) -> tuple[int, int] | None:
    """By how many whole pixels (x, y) a file is shifted against a window, if that is all that lies between them."""
    right, down = (round(float(shift)) for shift in sheet_from_part[:2, 2])
    apart = _corners(sheet_from_part, (height, width)) - _corners(_shift(right, down), (height, width))
    return (right, down) if np.abs(apart).max() <= _COINCIDE_PX else None


def _corners(matrix: Matrix3, shape: tuple[int, int]) -> Float64[np.ndarray, "4 2"]:
    rows, cols = shape
    corners_px = np.array([[0.0, 0.0, 1.0], [cols, 0.0, 1.0], [cols, rows, 1.0], [0.0, rows, 1.0]])
    return np.asarray(corners_px @ matrix[:2].T)


def _shift(x: int | float, y: int | float) -> Matrix3:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def _square(affine: Affine3) -> Matrix3:
    return np.array([*affine, (0.0, 0.0, 1.0)])


def _rows2(matrix: Matrix3) -> Affine3:
    (a, b, c), (d, e, f) = matrix[:2].tolist()
    return (a, b, c), (d, e, f)
