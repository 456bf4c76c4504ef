"""A region: an overhead image, encoded once as a whole, on which any number of clips are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm import tqdm

from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.grid import Grid
from cvlnet.imagery.crop import covered, crop_over_edge, farthest_m, holds, missing, reach_m
from cvlnet.imagery.overhead import Imagery, OverheadImage
from cvlnet.io.tensor_file import read_tensors, write_tensors
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.dense import DenseMatcher

NEAR_M = 100.0
_BLOCK_PX = 1024  # of the image are encoded at once, and
_MARGIN_PX = 128  # around them, so that blocks fit together without a seam
_MOST_CELLS = 2**26  # 2 GiB of descriptors
_FORMAT = 3
_KEY = "cvlnet-region"
_TENSORS = ("descriptor", "known", "uncertainty", "searched")
_LARGEST_BYTES = 16 * 2**30
_REMEDY = "delete it, so that the map is encoded anew"

Cells = Bool[Tensor, "rows cols"]


@dataclass(frozen=True)
class Region:
    """What an overhead image looks like, and the places on it where a vehicle is sought.

    Both grids are in metres (east, north) around ``anchor``. descriptor: of ``cells``, in half precision, zero where
    the image shows nothing. known: whether it shows a cell. uncertainty: positive, of a vehicle at each of the
    ``places``. searched: whether a place is shown and near enough. steps: the side of a tile in places, the
    displacements within it; a fix names its tile. origin: what it was made from, by `region_origin`.
    """

    descriptor: Float[Tensor, "channels cell_rows cell_cols"]
    known: Bool[Tensor, "cell_rows cell_cols"]
    uncertainty: Float[Tensor, "rows cols"]
    searched: Bool[Tensor, "rows cols"]
    cells: Grid
    places: Grid
    steps: int
    anchor: LatLon
    origin: Mapping[str, Any] = field(default_factory=dict)
    _matchers: dict[torch.device, DenseMatcher] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        """Number of places that are searched."""
        return int(self.searched.sum())

    @property
    def frame(self) -> LocalFrame:
        """The world frame of the region."""
        return LocalFrame(self.anchor)

    def matcher(self, device: torch.device) -> DenseMatcher:
        """The map's features, prepared for matching on a device; made once."""
        if device not in self._matchers:
            clip_cells = self.cells.rows - self.places.rows + 1
            self._matchers[device] = DenseMatcher(self.descriptor.to(device), clip_cells)
        return self._matchers[device]

    def searches(self, place: LatLon) -> bool:
        """Whether a place is among those that are searched."""
        row, col = self.places.row_col(torch.from_numpy(self.frame.xy_world_m(place.degrees))).round().long().tolist()
        inside = 0 <= row < self.places.rows and 0 <= col < self.places.cols
        return inside and bool(self.searched[row, col])

    def known_share(self, row_col: Int[Tensor, 2], weight: Float[Tensor, "clip_rows clip_cols"]) -> float:
        """How much of what a clip sees (the weights of its cells) the image would show if it were at a place."""
        row, col = row_col.tolist()
        around = self.known[row : row + weight.shape[0], col : col + weight.shape[1]]
        return float((weight * around).sum() / weight.sum().clamp(min=1e-12))

    def tile_center_m(self, row_col: Int[Tensor, 2]) -> Float[Tensor, 2]:
        """Middle (east, north) of the tile that holds a place."""
        return self.places.xy_m((row_col // self.steps * self.steps + self.steps // 2).double())

    def save(self, path: Path) -> None:
        """Write everything into one .safetensors file, whole or not at all."""
        header = {
            "format": _FORMAT,
            "cells": asdict(self.cells),
            "places": asdict(self.places),
            "steps": self.steps,
            "anchor": self.anchor.degrees,
            "origin": dict(self.origin),
        }
        write_tensors(path, {name: getattr(self, name) for name in _TENSORS}, _KEY, header)

    @staticmethod
    def load(path: Path) -> Region:
        """What `save` wrote. Raises InputError if the file is missing, damaged, too large or none of ours."""
        tensors, header = read_tensors(path, _KEY, largest_bytes=_LARGEST_BYTES, remedy=_REMEDY)
        try:
            if header["format"] != _FORMAT:
                raise ValueError(f"format {header['format']}, not {_FORMAT}")
            cells, places = (
                Grid(**(header[name] | {"center_xy_m": tuple(header[name]["center_xy_m"])}))
                for name in ("cells", "places")
            )
            _require_layout(tensors, cells, places, header["steps"])
            anchor, origin = LatLon(*header["anchor"]), header["origin"]
            return Region(**tensors, cells=cells, places=places, steps=header["steps"], anchor=anchor, origin=origin)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"no encoded map inside ({error})", where=path, remedy=_REMEDY) from error


def _require_layout(tensors: Mapping[str, Tensor], cells: Grid, places: Grid, steps: Any) -> None:
    """Raise ValueError, or KeyError, unless the tensors of a file have the types and shapes of a region's."""
    for name, grid in zip(_TENSORS, (cells, cells, places, places), strict=True):
        tensor, leading = tensors[name], 1 if name == "descriptor" else 0
        is_mask = name in ("known", "searched")
        fits = tensor.dtype == torch.bool if is_mask else tensor.is_floating_point()
        if tensor.shape[leading:] != (grid.rows, grid.cols) or not fits:
            raise ValueError(f"{name} is {tensor.dtype} of {tuple(tensor.shape)}, on {grid.rows} x {grid.cols} cells")
        if not (is_mask or bool(tensor.isfinite().all())):
            raise ValueError(f"{name} is not finite")
    if not isinstance(steps, int) or steps < 1 or places.rows % steps or places.cols % steps:
        raise ValueError(f"tiles of {steps!r} places do not fit {places.rows} x {places.cols} places")
    if not (bool(tensors["searched"].any()) and bool((tensors["uncertainty"] > 0).all())):
        raise ValueError("no place is searched, or an uncertainty is not positive")


def encode_region(
    model: CVLNet,
    image: Imagery,
    *,
    near: LatLon | None = None,
    radius_m: float = NEAR_M,
    progress: bool = False,
) -> Region:
    """Encode an image; with ``near`` the part that a search of the places within ``radius_m`` of it needs.

    Beyond the image's edge and in its holes the descriptor is zero: what a clip sees there counts as unlike, so that
    places near an edge are found if enough of their surroundings is shown. Places in holes are not searched.
    Raises InputError if no place of the image is near enough, or the image is too large, or damaged.
    """
    if not model.is_metric:
        remedy = "ask it by cvlnet evaluate, or give weights of another projection"
        raise InputError("a network of panoramas sees single tiles only", where=image.source, remedy=remedy)
    anchor = image.center if near is None else near
    places = _places(model, image, near, radius_m)
    searched = covered(image, anchor, places)
    if near is not None:
        searched &= torch.linalg.vector_norm(places.cell_centers_xy_m(), dim=-1) <= radius_m
    if not searched.any():
        raise InputError(
            f"nothing within {radius_m:g} m of {anchor.latitude_deg:.6f}, {anchor.longitude_deg:.6f} is on the map",
            where=image.source,
            remedy="give a map that holds the place, or a larger radius",
        )
    around = model.clip_grid.rows - 1  # how much further than its vehicle a clip reaches
    cells = Grid(places.rows + around, places.cols + around, places.cell_m, model.map_grid.center_xy_m)
    descriptor, uncertainty, known, gone = _encode(model, image, anchor, cells, progress)
    first = model.clip_grid.rows // 2 - 1  # the place of index 0 is the corner behind this cell
    searched &= ~_in_holes(gone[first : first + places.rows + 1, first : first + places.cols + 1])
    if not searched.any():
        what, remedy = "the image shows nothing where it is to be searched", "give a map without holes there"
        raise InputError(what, where=image.source, remedy=remedy)
    return Region(
        descriptor=descriptor,
        known=known,
        uncertainty=uncertainty[first : first + places.rows, first : first + places.cols].contiguous(),
        searched=searched,
        cells=cells,
        places=places,
        steps=model.steps,
        anchor=anchor,
        origin=region_origin(model, image, near=near, radius_m=radius_m),
    )


def region_origin(model: CVLNet, image: Imagery, *, near: LatLon | None, radius_m: float) -> dict[str, Any]:
    """What determines a region, as JSON's types: equal origins, equal regions.

    Of a file that is read by windows its size and time of change stand for its contents.
    """
    weights = sha256()
    for name, tensor in sorted(model.state_dict().items()):
        weights.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    overhead = sha256(repr((image.raster, image.shape)).encode())
    if isinstance(image, OverheadImage):
        overhead.update(np.ascontiguousarray(image.pixels).data)
        overhead.update(b"" if image.valid is None else np.packbits(image.valid).data)
    else:
        state = image.source.stat()
        overhead.update(repr((state.st_size, state.st_mtime_ns, image)).encode())
    around = None if near is None else [*near.degrees, radius_m]
    return {"weights": weights.hexdigest(), "image": overhead.hexdigest(), "around": around}


def _places(model: CVLNet, image: Imagery, near: LatLon | None, radius_m: float) -> Grid:
    """Places a cell apart, whole tiles of them, that cover the image, or the part of it that is near enough."""
    steps, cell_m = model.steps, model.map_grid.cell_m
    half_m = reach_m(image) if near is None else np.minimum(radius_m, farthest_m(image, near))
    cols, rows = (steps * max(1, ceil((2 * half / cell_m + 1 - 1e-6) / steps)) for half in half_m.tolist())
    if rows * cols > _MOST_CELLS:
        raise InputError(
            f"{rows * cell_m / 1000:.1f} x {cols * cell_m / 1000:.1f} km are too much to be searched at once",
            where=image.source,
            remedy="cut the map into parts, or search near a place",
        )
    return Grid(rows, cols, cell_m)


def _encode(
    model: CVLNet, image: Imagery, anchor: LatLon, cells: Grid, progress: bool
) -> tuple[Float[Tensor, "channels rows cols"], Float[Tensor, "rows cols"], Cells, Cells]:
    """Of all cells, block by block: descriptor, uncertainty at the corner south-east of each, whether the image shows
    them, and whether they lie in one of its holes.
    """
    strips = []
    row_blocks, col_blocks = (_blocks(side, _BLOCK_PX // _stride(model)) for side in (cells.rows, cells.cols))
    count = len(row_blocks) * len(col_blocks)
    with tqdm(total=count, desc="encoding the map", unit="block", disable=not progress) as bar:
        for rows in row_blocks:
            blocks = []
            for cols in col_blocks:
                blocks.append(_encode_block(model, image, anchor, cells, rows, cols))
                bar.update()
            strips.append([torch.cat(parts, dim=-1) for parts in zip(*blocks, strict=True)])
    whole = [torch.cat(parts, dim=-2)[..., : cells.rows, : cells.cols] for parts in zip(*strips, strict=True)]
    descriptor, uncertainty, known, gone = whole
    return descriptor.contiguous(), uncertainty, known.contiguous(), gone


def _in_holes(gone: Bool[Tensor, "rows1 cols1"]) -> Bool[Tensor, "rows cols"]:
    """Which corners between cells lie in holes: at least two of the four cells around them do."""
    count = gone.int()
    return count[:-1, :-1] + count[:-1, 1:] + count[1:, :-1] + count[1:, 1:] >= 2


def _stride(model: CVLNet) -> int:
    """Pixels a cell."""
    return model.tile_grid.rows // model.map_grid.rows


def _blocks(cells: int, most: int) -> list[slice]:
    """Equal parts of a side; the network wants multiples of four cells."""
    count = ceil(cells / most)
    side = 4 * ceil(cells / count / 4)
    return [slice(start, start + side) for start in range(0, cells, side)]


def _encode_block(
    model: CVLNet, image: Imagery, anchor: LatLon, cells: Grid, rows: slice, cols: slice
) -> tuple[Float[Tensor, "channels rows cols"], Float[Tensor, "rows cols"], Cells, Cells]:
    """What `_encode` gives for a block of cells, in half precision; the network sees the pixels around it, too."""
    stride = _stride(model)
    margin = _MARGIN_PX // stride
    height, width = (part.stop - part.start + 2 * margin for part in (rows, cols))
    middle = torch.tensor([(part.start + part.stop - 1) / 2 for part in (rows, cols)], dtype=torch.float64)
    to_pixels_m = torch.tensor(model.map_grid.center_xy_m, dtype=torch.float64)  # features lie beside their pixels
    middle_xy_m = (cells.xy_m(middle) - to_pixels_m).tolist()
    place = LatLon(*LocalFrame(anchor).latlon_deg(middle_xy_m).tolist())
    pixels = Grid(height * stride, width * stride, model.tile_grid.cell_m)
    with torch.inference_mode():
        crop = crop_over_edge(image, place, pixels).to(model.device)
        features, unsure = (tensor[0].cpu() for tensor in model.encode_overhead(crop.unsqueeze(0)))
    inner = (slice(margin, height - margin), slice(margin, width - margin))
    block = Grid(height - 2 * margin, width - 2 * margin, cells.cell_m, model.map_grid.center_xy_m)
    gone = missing(image, place, block)
    known = ~gone if holds(image, place, pixels) else covered(image, place, block) & ~gone
    return features[:, inner[0], inner[1]].half() * known, unsure[inner], known, gone
