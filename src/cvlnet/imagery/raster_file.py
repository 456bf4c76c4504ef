"""Overhead images as files of any format that GDAL reads: which bands are red, green and blue, how values become 8 bit,
and where pixels are missing.

What a file does not say, or says in two ways, is not guessed: `RasterHints` states it. The rules:

- Red, green and blue are the bands whose colour interpretation or description says so. One band is grey; three bands
  that say nothing are red, green, blue; of four or more that say nothing, or where interpretations and descriptions
  differ, or only some of the three colours are described, the user names three.
- Values of more than 8 bits are divided by the range that they use: the one that the file states (NBITS), or the
  smallest of the usual ranges that holds all but a thousandth of the values (8, 10, 11, 12, 14 and 16 bits,
  reflectance in ten-thousandths, fractions from 0 to 1). The user may state the range instead.
- A pixel is missing where all three bands have a nodata value, the file's or the user's, where a mask says so, or where
  it is transparent: all masks count. An alpha band with other values than 0 and the highest is no mask: near-infrared
  bands are often tagged as alpha.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from jaxtyping import Shaped, UInt8
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from cvlnet.arrays import Mask
from cvlnet.config import RasterHints
from cvlnet.errors import InputError, warn
from cvlnet.geo import Raster
from cvlnet.imagery.blocks import TILE_IT, require_blocks
from cvlnet.imagery.overhead import Imagery, Patch, read_in_bands
from cvlnet.imagery.virtual_raster import is_remote, is_virtual, require_local, sources_of

FileStates = tuple[tuple[str, int, int], ...]  # names, sizes in bytes and times of change in nanoseconds
Values = Shaped[np.ndarray, "bands *rest"]  # of any type of number

DRIVERS = ("GTiff", "PNG", "JPEG", "JP2OpenJPEG", "WEBP", "VRT", "HFA", "BMP", "GIF")
_GDAL: dict[str, Any] = {
    "GDAL_CACHEMAX": 256,  # MB; the default is a twentieth of the machine's memory
    "GDAL_ERROR_ON_LIBJPEG_WARNING": True,  # or the missing part of a cut file is grey
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",  # no file, such as a VRT, makes GDAL open a connection
}
_FROM_THE_START = ("PNG", "JPEG", "WEBP", "GIF")  # formats whose rows are decoded one after the other, and
_LARGE_PX = 2**27  # the size from which on that takes long
_COLORS = ("red", "green", "blue")
_RANGES = (1.0, 255.0, 1023.0, 2047.0, 4095.0, 10_000.0, 16_383.0, 65_535.0)
_OUTLIERS = 1e-3  # the share of values that may lie above their range
_MASK_SHARE = 0.98  # of an alpha band is 0 or the highest value, if it is a mask
_COLLAR_SHARE = 0.1  # from which on pure black or white is worth a warning
_SAMPLED, _SAMPLE_PX = 5, 128  # windows along each side that are looked at, and their size
_DAMAGED = "copy or download it again"


@dataclass(frozen=True)
class Interpretation:
    """How the bands of a file become RGB.

    bands: three, or one that is grey or an index into the palette. value_range: None for bytes, which are taken as they
    are. masked: whether GDAL has a mask of the file, which may stand for its nodata value. alpha: a band that is a
    mask, and the value above which it is opaque. nodata: values of missing pixels that are in no mask of GDAL's.
    """

    bands: tuple[int, ...]
    palette: UInt8[np.ndarray, "256 4"] | None
    value_range: tuple[float, float] | None
    masked: bool = False
    alpha: tuple[int, float] | None = None
    nodata: tuple[float, ...] = ()

    @property
    def may_lack_pixels(self) -> bool:
        """Whether there is a mask, a nodata value or transparency."""
        return self.masked or self.alpha is not None or bool(self.nodata) or self.palette is not None


@dataclass(frozen=True)
class RasterFile(Imagery):
    """An overhead image on disk, read by windows. warp_crs: of its ground control points, if it is placed by them.

    Several threads and processes may read it at once.
    """

    source: Path
    raster: Raster
    interpretation: Interpretation
    warp_crs: str | None = None
    credit: str | None = field(default=None, repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, in pixels."""
        return self._dataset.height, self._dataset.width

    @property
    def may_lack_pixels(self) -> bool:
        """Whether the file has a mask, a nodata value or transparency."""
        return self.interpretation.may_lack_pixels

    def read(self, rows: slice, cols: slice, reduction: int = 1) -> Patch:
        """As `Imagery` says."""
        if reduction > 1 and self.interpretation.nodata:  # a mean of colours and nodata is neither
            return read_in_bands(self.read, rows, cols, reduction)
        height, width = ((part.stop - part.start) // reduction for part in (rows, cols))
        height, width = max(height, 1), max(width, 1)
        seen = Window(cols.start, rows.start, width * reduction, height * reduction)
        with gdal(self.source):
            return _read(self._dataset, self.interpretation, seen, (height, width))

    def fingerprint(self) -> bytes:
        """As `Imagery` says."""
        known = (self.source.name, state_of(self._dataset, self.source), self.interpretation, self.warp_crs)
        return repr(known).encode()

    def __getstate__(self) -> dict[str, Any]:
        """Without the open file, so that another process can open it anew."""
        return {name: value for name, value in self.__dict__.items() if name != "_opened"}

    @property
    def _dataset(self) -> Any:
        """The open file. Every thread has its own, or GDAL would mix up what they read; so has a forked process."""
        opened = self._opened
        if getattr(opened, "process", None) != os.getpid():
            opened.dataset, opened.process = open_dataset(self.source, self.warp_crs), os.getpid()
        return opened.dataset

    @cached_property
    def _opened(self) -> threading.local:
        return threading.local()


@contextmanager
def gdal(path: Path) -> Iterator[None]:
    """GDAL as it is used here. Its errors become InputErrors about a file that is damaged or of an unknown format."""
    try:
        with rasterio.Env(**_GDAL):
            yield
    except (RasterioError, CPLE_BaseError) as error:  # the latter from warping
        what = " ".join(str(error.__cause__ or error).split())
        raise InputError(f"is not a whole picture ({what})", where=path, remedy=_DAMAGED) from error


def open_dataset(path: Path, warp_crs: str | None = None) -> Any:
    """A file as a rasterio dataset; one with ground control points warped by them.

    Raises InputError if it is missing, empty, or nothing that is read here.
    """
    if not path.is_file():
        raise InputError("there is no such file", where=path, remedy="correct the path of the overhead image")
    if path.stat().st_size == 0:
        raise InputError("the picture file is empty (0 bytes)", where=path, remedy=_DAMAGED)
    with gdal(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        if is_virtual(path):
            require_local(path, DRIVERS)
        dataset = DatasetReader(path, driver=list(DRIVERS))
        _require_own(dataset, path)
        require_blocks(dataset, path)
        return dataset if warp_crs is None else _warped(dataset, warp_crs)


def _warped(dataset: Any, warp_crs: str) -> Any:
    """A dataset, warped by its ground control points. Its alpha band, or a new one, says what lies on the picture."""
    meanings = dataset.colorinterp
    resampling = Resampling.nearest if ColorInterp.palette in meanings else Resampling.bilinear
    add_alpha = ColorInterp.alpha not in meanings
    return WarpedVRT(dataset, src_crs=warp_crs, crs=warp_crs, resampling=resampling, add_alpha=add_alpha)


def state_of(dataset: Any, path: Path) -> FileStates:
    """The states of a file, of what GDAL reads beside it, and of all that a virtual raster refers to, by name."""
    with gdal(path):
        named = {path, *map(Path, dataset.files)}
    behind = {source for each in named if each.is_file() and is_virtual(each) for source in sources_of(each)}
    stats = {each: each.stat() for each in named | behind if each.is_file()}
    return tuple(sorted((each.name, stat.st_size, stat.st_mtime_ns) for each, stat in stats.items()))


@dataclass(frozen=True)
class Layout:
    """What of a file's bands decides how they become RGB. Files of one layout are interpreted alike."""

    dtypes: tuple[str, ...]
    meanings: tuple[str, ...]
    descriptions: tuple[str | None, ...]
    nodata: float | str | None
    masks: tuple[tuple[str, ...], ...]
    bits: str | None

    @staticmethod
    def of(dataset: Any) -> Layout:
        """The layout of a dataset."""
        nodata = dataset.nodata
        return Layout(
            tuple(dataset.dtypes),
            tuple(color.name for color in dataset.colorinterp),
            tuple(dataset.descriptions),
            "nan" if nodata is not None and np.isnan(nodata) else nodata,
            tuple(tuple(flag.name for flag in flags) for flags in dataset.mask_flag_enums),
            dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS"),
        )


def warn_if_slow(dataset: Any, path: Path) -> None:
    """Warn of a large picture that is decoded from its beginning for every window."""
    if dataset.width * dataset.height > _LARGE_PX and (dataset.driver in _FROM_THE_START or _is_one_strip(dataset)):
        size = f"{dataset.driver} of {dataset.width} x {dataset.height} px"
        what = f"a {size} without tiles is decoded from its beginning for every window"
        warn(what, where=path, remedy=f"for speed, {TILE_IT}")


def _is_one_strip(dataset: Any) -> bool:
    """Whether a GeoTIFF is compressed as a whole."""
    if dataset.driver != "GTiff" or dataset.compression is None or dataset.block_shapes[0][0] != 1:
        return False
    first, second = (dataset.get_tag_item(f"BLOCK_OFFSET_0_{row}", "TIFF", bidx=1) for row in (0, 1))
    return first is not None and second is None


def interpret(datasets: Mapping[Path, Any], hints: RasterHints, path: Path) -> Interpretation:
    """How the bands of a file become RGB, or those of several files of one `Layout` alike. ``path`` is in warnings.

    Says so in a warning where a rule decided that may not hold.
    Raises InputError where the file does not say which bands are which, or holds nothing that can be shown.
    """
    first = next(iter(datasets.values()))
    with gdal(path):
        bands = _bands(first, hints, path)
        palette = palette_of(first, bands)
        sample = _sample(datasets, bands)
        alpha = _alpha(datasets, bands, path)
        masked, nodata = _masks(first, hints, bands, alpha)
        value_range = None if palette is not None else _value_range(first, hints, bands, sample, path)
    found = Interpretation(bands, palette, value_range, masked, alpha, nodata)
    if not found.may_lack_pixels:
        _warn_of_collar(sample, path)
    return found


def palette_of(dataset: Any, bands: Sequence[int]) -> UInt8[np.ndarray, "256 4"] | None:
    """The colours of a file's indices; None if its values are no indices."""
    if len(bands) != 1 or dataset.colorinterp[bands[0] - 1] != ColorInterp.palette:
        return None
    colors = np.zeros((256, 4), np.uint8)
    for index, rgba in dataset.colormap(bands[0]).items():
        if index < 256:
            colors[index] = rgba
    return colors


def _sample(datasets: Mapping[Path, Any], bands: Sequence[int]) -> Values:
    """Values [band, ...] from all over the datasets."""
    parts = []
    for path, dataset in datasets.items():
        with gdal(path):
            parts += [_values(dataset, bands, part) for part in _parts(dataset)]
    return np.concatenate([part.reshape(len(bands), -1) for part in parts], axis=1)


def _require_own(dataset: Any, path: Path) -> None:
    """An .aux.xml beside a picture may name the file of its overviews."""
    name = dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE", "")
    if is_remote(name):
        what = f"takes its overviews from {name}, which is no file"
        raise InputError(what, where=path, remedy="delete the .aux.xml beside it")


def _bands(dataset: Any, hints: RasterHints, path: Path) -> tuple[int, ...]:
    remedy = "name red, green and blue by --bands, such as --bands 1 2 3"
    if hints.bands is not None:
        if max(hints.bands) > dataset.count:
            raise InputError(f"has {dataset.count} bands, no band {max(hints.bands)}", where=path, remedy=remedy)
        return hints.bands
    others = [band for band, means in enumerate(dataset.colorinterp, 1) if means != ColorInterp.alpha]
    if len(others) == 1:
        return (others[0],)
    tagged = _bands_of_colors([means.name for means in dataset.colorinterp])
    described = _bands_of_colors(dataset.descriptions)
    said = ", ".join(means.name for means in dataset.colorinterp)
    differ = any(tagged.get(color, band) != band for color, band in described.items())
    if differ or 0 < len(described) < len(_COLORS):
        names = ", ".join(name or "nothing" for name in dataset.descriptions)
        what = f"does not say clearly which bands are red, green and blue (tagged {said}; described as {names})"
        raise InputError(what, where=path, remedy=remedy)
    known = described or tagged
    if len(known) == len(_COLORS):
        return tuple(known[color] for color in _COLORS)
    if ColorInterp.cyan in dataset.colorinterp:
        raise InputError("is in CMYK", where=path, remedy="convert it to RGB")
    if len(others) == 3:
        return others[0], others[1], others[2]
    raise InputError(f"does not say which bands are red, green and blue ({said})", where=path, remedy=remedy)


def _bands_of_colors(names: Sequence[str | None]) -> dict[str, int]:
    """The first band of each colour that is named, by its word or its first letter."""
    found: dict[str, int] = {}
    for band, name in enumerate(names, 1):
        word = (name or "").strip().lower()
        for color in _COLORS:
            if word in (color, color[0]):
                found.setdefault(color, band)
    return found


def _alpha(datasets: Mapping[Path, Any], bands: Sequence[int], path: Path) -> tuple[int, float] | None:
    """The alpha band and the value above which it is opaque, if it is a mask and none of the colours.

    It is found by its tag, since GDAL makes no mask of it beside a nodata value, or of numbers other than 8 and 16 bit.
    """
    first = next(iter(datasets.values()))
    tagged = [band for band, means in enumerate(first.colorinterp, 1) if means == ColorInterp.alpha]
    is_warped = isinstance(first, WarpedVRT)
    if not tagged or (tagged[0] in bands and not is_warped):
        return None
    values = np.nan_to_num(_sample(datasets, tagged[:1])[0])
    highest = float(values.max())
    if tagged[0] not in bands and ((values == 0) | (values == highest)).mean() >= _MASK_SHARE:
        return tagged[0], highest / 2
    what = f"band {tagged[0]} is tagged as transparency but varies like a colour"
    if is_warped:  # where GDAL takes it for transparency nevertheless
        remedy = f"tag it anew: gdal_translate -colorinterp_{tagged[0]} undefined"
        raise InputError(f"{what}, and the picture lies by ground control points", where=path, remedy=remedy)
    warn(f"{what}; it is taken for near-infrared", where=path, remedy="if it is a mask, make it 0 or 255")
    return None


def require_alpha(dataset: Any, alpha: tuple[int, float], path: Path) -> None:
    """Raise InputError if most of a file's middle would be transparent by the scale of other files' alpha bands."""
    band, opaque_above = alpha
    with gdal(path):
        parts = _parts(dataset)
        values = _values(dataset, (band,), parts[len(parts) // 2])
    usual = float(np.quantile(values, 0.5, method="higher"))
    if 0 < usual <= opaque_above:
        what = f"its alpha band has {usual:g} where those of other files have {2 * opaque_above:g}"
        raise InputError(what, where=path, remedy="bring it to the same scale, such as 0 and 255")


def _masks(
    dataset: Any, hints: RasterHints, bands: Sequence[int], alpha: tuple[int, float] | None
) -> tuple[bool, tuple[float, ...]]:
    """Whether GDAL has a mask that is no alpha band, and the nodata values that this mask does not stand for."""
    flags = dataset.mask_flag_enums[bands[0] - 1]
    by_nodata = MaskFlags.nodata in flags and alpha is None  # with an alpha band, GDAL warns of it
    masked = by_nodata or not {MaskFlags.all_valid, MaskFlags.alpha, MaskFlags.nodata} & set(flags)
    stated = set() if by_nodata else {dataset.nodatavals[band - 1] for band in bands}
    return masked, tuple(sorted({value for value in (*stated, hints.nodata) if value is not None}))


def _value_range(
    dataset: Any, hints: RasterHints, bands: Sequence[int], sample: Values, path: Path
) -> tuple[float, float] | None:
    kind = np.dtype(dataset.dtypes[bands[0] - 1])
    if hints.value_range is not None:
        return hints.value_range
    if kind == np.uint8 and "NBITS" not in dataset.tags(bands[0], ns="IMAGE_STRUCTURE"):
        return None
    if kind.kind == "c":
        raise InputError("holds complex numbers", where=path, remedy="give an image of colours")
    bits = dataset.tags(bands[0], ns="IMAGE_STRUCTURE").get("NBITS")
    if bits is not None and int(bits) not in (16, 32):
        return 0.0, 2.0 ** int(bits) - 1
    values = sample[np.isfinite(sample)] if kind.kind == "f" else sample.ravel()
    values = values[~np.isin(values, [value for value in (hints.nodata, dataset.nodata) if value is not None])]
    remedy = "state the values of black and white by --value-range LOW HIGH"
    if len(values) == 0:
        raise InputError(
            "holds no data where it was looked at", where=path, remedy="give an image that shows the place"
        )
    high = float(np.quantile(values, 1 - _OUTLIERS))
    usual = next((top for top in _RANGES if high <= top and (top > 1 or kind.kind == "f")), None)
    if usual is None or float(values.min()) < 0:
        what = f"its {kind.name} values from {float(values.min()):g} to {float(values.max()):g} fit no usual range"
        raise InputError(what, where=path, remedy=remedy)
    warn(f"its {kind.name} values, up to {high:g}, are read as 0 to {usual:g}", where=path, remedy=f"else {remedy}")
    return 0.0, usual


def _warn_of_collar(sample: Values, path: Path) -> None:
    highest = 1.0 if sample.dtype.kind == "f" else float(np.iinfo(sample.dtype).max)
    for value, name in ((0.0, "black"), (highest, "white")):
        share = float((sample == value).all(axis=0).mean())
        if share >= _COLLAR_SHARE:
            what = f"{share:.0%} of it are pure {name} and not marked as missing"
            warn(what, where=path, remedy=f"if nothing is shown there, give --nodata {value:g}")


def _parts(dataset: Any) -> list[Window]:
    """Small windows all over a dataset, row by row, since some formats are decoded from their beginning."""
    sides = []
    for length in (dataset.width, dataset.height):
        size = min(length, _SAMPLE_PX)
        count = min(_SAMPLED, -(-length // size))
        sides.append([(round(start), size) for start in np.linspace(0, length - size, count)])
    return [Window(left, top, width, height) for top, height in sides[1] for left, width in sides[0]]


def _values(dataset: Any, bands: Sequence[int], part: Window, shape: tuple[int, int] | None = None) -> Values:
    out_shape = None if shape is None else (len(bands), *shape)
    indexed = any(dataset.colorinterp[band - 1] == ColorInterp.palette for band in bands)
    resampling = Resampling.nearest if indexed else Resampling.average
    return np.asarray(dataset.read(list(bands), window=part, out_shape=out_shape, resampling=resampling))


def _read(dataset: Any, how: Interpretation, part: Window, shape: tuple[int, int]) -> Patch:
    values = _values(dataset, how.bands, part, shape)
    valid = _valid(dataset, how, values, part, shape)
    if how.palette is not None:
        rgba = how.palette[np.minimum(values[0], 255).astype(np.uint8)]
        opaque = rgba[..., 3] >= 128
        valid = opaque if valid is None else np.asarray(valid & opaque)
        return Patch(np.ascontiguousarray(rgba[..., :3]), None if valid.all() else valid)
    if how.value_range is not None:
        low, high = how.value_range
        finite = np.isfinite(values).all(axis=0)
        if not finite.all():
            valid = np.asarray(finite if valid is None else valid & finite)
        scaled = (np.nan_to_num(values.astype(np.float32)) - low) * (255 / (high - low))
        values = scaled.clip(0, 255).round().astype(np.uint8)
    pixels = np.ascontiguousarray(np.moveaxis(np.broadcast_to(values, (3, *values.shape[1:])), 0, -1))
    return Patch(pixels.astype(np.uint8, copy=False), None if valid is None or valid.all() else valid)


def _valid(dataset: Any, how: Interpretation, values: Values, part: Window, shape: tuple[int, int]) -> Mask | None:
    """Where pixels are there, by all masks."""
    masks = [(values != nodata).any(axis=0) for nodata in how.nodata]
    if how.alpha is not None:
        band, opaque_above = how.alpha
        masks.append(_values(dataset, (band,), part, shape)[0] > opaque_above)
    if how.masked:
        of_bands = dataset.read_masks(list(how.bands), window=part, out_shape=(len(how.bands), *shape))
        masks.append((of_bands > 0).any(axis=0))
    return np.logical_and.reduce(masks) if masks else None
