"""A region: an overhead image cut into a lattice of tiles and encoded, once; then asked as often as wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import Dataset

from cvlnet.data.imagery import OverheadImage, covered, holds, lattice, mirrored_crop
from cvlnet.errors import InputError
from cvlnet.evaluate import encode_tiles
from cvlnet.geo import Array, LatLon, LocalFrame
from cvlnet.grid import Grid
from cvlnet.model.cvlnet import CVLNet
from cvlnet.tensorfile import read_tensors, write_tensors
from cvlnet.types import MapFeatures

GAP_M = 10.0
NEAR_M = 100.0
_FORMAT = 1
_KEY = "cvlnet-region"
_LARGEST_BYTES = 64 * 2**30
_REMEDY = "delete it, so that the map is encoded anew"


@dataclass(frozen=True)
class Region:
    """The tiles of an overhead image, encoded.

    features: descriptors in half precision. centers_latlon_deg: of the tiles' crops, [tiles, 2].
    origin: what it was made from, by `region_origin`.
    """

    features: MapFeatures
    centers_latlon_deg: Array
    origin: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.centers_latlon_deg)

    @property
    def frame(self) -> LocalFrame:
        """The world frame of the region, anchored in its middle."""
        return LocalFrame(LatLon(*self.centers_latlon_deg.mean(axis=0).tolist()))

    def tile(self, index: int) -> str:
        """Name of a tile: its centre, as KITTI-CVL names tiles."""
        latitude_deg, longitude_deg = self.centers_latlon_deg[index]
        return f"{latitude_deg:.6f}_{longitude_deg:.6f}"

    def save(self, path: Path) -> None:
        """Write everything into one .safetensors file, whole or not at all."""
        header = {"format": _FORMAT, "grid": asdict(self.features.grid), "origin": dict(self.origin)}
        tensors = {
            "descriptor": self.features.descriptor,
            "uncertainty": self.features.uncertainty,
            "centers_latlon_deg": torch.from_numpy(self.centers_latlon_deg),
        }
        write_tensors(path, tensors, _KEY, header)

    @staticmethod
    def load(path: Path) -> Region:
        """What `save` wrote. Raises InputError if the file is missing, damaged, too large or none of ours."""
        tensors, header = read_tensors(path, _KEY, largest_bytes=_LARGEST_BYTES, remedy=_REMEDY)
        try:
            if header["format"] != _FORMAT:
                raise ValueError(f"format {header['format']}, not {_FORMAT}")
            grid = Grid(**(header["grid"] | {"center_xy_m": tuple(header["grid"]["center_xy_m"])}))
            features = MapFeatures(tensors["descriptor"], tensors["uncertainty"], grid)
            return Region(features, tensors["centers_latlon_deg"].numpy(), header["origin"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"no encoded map inside ({error})", where=path, remedy=_REMEDY) from error


def encode_region(
    model: CVLNet,
    image: OverheadImage,
    *,
    gap_m: float = GAP_M,
    near: LatLon | None = None,
    radius_m: float = NEAR_M,
    progress: bool = False,
) -> Region:
    """Encode the crops of a lattice over the image; with ``near`` only those centred within ``radius_m`` of it.

    Where a crop reaches over the image's edge its descriptor is zero there: what a clip sees beyond the edge counts as
    unlike, so that places near the edge are found if enough of their surroundings is on the image.
    Raises InputError if no crop lies near enough, or the lattice is too wide for the window.
    """
    widest_m = 2 * model.window_cells * model.map_grid.cell_m
    if not 0 < gap_m <= widest_m:
        remedy = f"give more than 0 and at most {widest_m:.1f} m"
        raise InputError(f"tiles every {gap_m:g} m leave places unsearched", where=image.source, remedy=remedy)
    centers = tile_centers(image, gap_m=gap_m, near=near, radius_m=radius_m)
    features = encode_tiles(model, _LatticeCrops(image, centers, model.tile_grid), progress=progress)
    for index, center in enumerate(centers):
        if not holds(image, center, model.tile_grid):
            features.descriptor[index] *= covered(image, center, model.map_grid)
    origin = region_origin(model, image, gap_m=gap_m, near=near, radius_m=radius_m)
    return Region(features, np.array([center.degrees for center in centers]), origin)


def tile_centers(image: OverheadImage, *, gap_m: float, near: LatLon | None, radius_m: float) -> tuple[LatLon, ...]:
    """Centres of the crops to be encoded. Raises InputError as `encode_region` does."""
    centers = lattice(image, gap_m)
    if near is None:
        return centers
    xy_m = LocalFrame(near).xy_world_m(np.array([center.degrees for center in centers]))
    chosen = np.flatnonzero(np.hypot(*xy_m.T) <= radius_m).tolist()
    if not chosen:
        raise InputError(
            f"no tile is centred within {radius_m:g} m of {near.latitude_deg:.6f}, {near.longitude_deg:.6f}",
            where=image.source,
            remedy="give a map that holds the place, or a larger radius",
        )
    return tuple(centers[i] for i in chosen)


def region_origin(
    model: CVLNet, image: OverheadImage, *, gap_m: float, near: LatLon | None, radius_m: float
) -> dict[str, Any]:
    """What determines a region, as JSON's types: equal origins, equal regions."""
    weights = sha256()
    for name, tensor in sorted(model.state_dict().items()):
        weights.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    overhead = sha256(repr((image.raster, image.pixels.shape)).encode())
    overhead.update(np.ascontiguousarray(image.pixels).data)
    around = None if near is None else [*near.degrees, radius_m]
    return {"weights": weights.hexdigest(), "image": overhead.hexdigest(), "gap_m": gap_m, "around": around}


class _LatticeCrops(Dataset[UInt8[Tensor, "3 rows cols"]]):
    """The crops of one image around many centres."""

    def __init__(self, image: OverheadImage, centers: tuple[LatLon, ...], grid: Grid) -> None:
        self.image, self.centers, self.grid = image, centers, grid

    def __len__(self) -> int:
        return len(self.centers)

    def __getitem__(self, index: int) -> UInt8[Tensor, "3 rows cols"]:
        return mirrored_crop(self.image, self.centers[index], self.grid)
