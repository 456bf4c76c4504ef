"""The authors' trained weights: read without executing code, checked by name, and used like any other network.

Their conventions are those of `cvlnet.model.published.network`. The clip's cells are located at their north-west
corners and those of the overhead image at their centres, half a cell apart. The grids express that, so that offsets are
true.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, log, radians
from pathlib import Path
from pickle import UnpicklingError
from zipfile import BadZipFile, ZipFile, is_zipfile

import torch
from jaxtyping import UInt8
from torch import Tensor, nn
from torch.nn import functional

from cvlnet.errors import InputError
from cvlnet.grid import Grid
from cvlnet.image_spec import ImageSpec
from cvlnet.io.tensor_file import misfits
from cvlnet.model.network import MatchingNetwork, in_its_precision
from cvlnet.model.published.network import CELLS, TILE_PX, WINDOW, PublishedVariant, ReferenceNetwork, our_name
from cvlnet.types import Clip, ClipFeatures, MapFeatures

M_PER_PX = 156543.03392 * cos(radians(49.015)) / 2**18 / 2
SHARPNESS = 20.0  # the published loss weighs distances, 2 - 2 correlation, by ten
_LARGEST_BYTES = 4 * 2**30
_REMEDY = "give the state dict that the published code saved (model_*.pth)"


class PublishedNetwork(MatchingNetwork):
    """A `ReferenceNetwork` with the interface of `MatchingNetwork`."""

    def __init__(self, variant: PublishedVariant, lengths: tuple[int, int, int] | None = None) -> None:
        super().__init__()
        self.network = ReferenceNetwork(variant, lengths)
        self.log_sharpness = nn.Parameter(torch.tensor(log(SHARPNESS)))
        self.image_spec = ImageSpec(1024, 256, fit="whole")
        cell_m = M_PER_PX * TILE_PX / CELLS
        self.tile_grid = Grid(TILE_PX, TILE_PX, M_PER_PX)
        self.map_grid = Grid(CELLS + 2 * WINDOW, CELLS + 2 * WINDOW, cell_m)
        self.clip_grid = Grid(CELLS, CELLS, cell_m, (-cell_m / 2, cell_m / 2))

    @in_its_precision
    def encode_map(self, tiles: UInt8[Tensor, "tiles 3 rows cols"]) -> MapFeatures:
        """Features of overhead images, RGB, north up, padded with zeros."""
        descriptor, uncertainty = self.network.encode_overhead(tiles.to(self.log_sharpness.dtype) / 255)
        return MapFeatures(functional.pad(descriptor, (WINDOW,) * 4), uncertainty, self.map_grid)

    @in_its_precision
    def encode_clip(self, clip: Clip) -> ClipFeatures:
        """Features of clips; all cells have weight 1, visible or not. Roll, pitch and height are ignored."""
        pose, camera = clip.ground_from_cam, clip.camera
        k = torch.diag_embed(functional.pad(camera.focal_px, (0, 1), value=1.0))
        k[..., :2, 2] = camera.principal_point_px
        east, north = pose.rotation[..., :2, 2].unbind(dim=-1)
        images = clip.images.to(self.log_sharpness.dtype) / 255
        xy_m, yaw_rad = pose.translation_m[..., :2], torch.atan2(north, east)
        descriptor = self.network.encode_ground(images, k, xy_m, yaw_rad, self.clip_grid.cell_m)
        return ClipFeatures(descriptor, torch.ones_like(descriptor[:, 0]), self.clip_grid)


def read_published(path: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch state dict. Raises InputError if the file is missing, too large or not one."""
    try:
        size = path.stat().st_size
        if is_zipfile(path):
            with ZipFile(path) as archive:
                size = max(size, sum(part.file_size for part in archive.infolist()))
        if size > _LARGEST_BYTES:
            raise InputError(f"{size / 2**30:.0f} GiB are too many for a network", where=path, remedy=_REMEDY)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, BadZipFile, UnpicklingError) as error:
        reason = error.strerror if isinstance(error, OSError) else "damaged, or more in it than tensors"
        raise InputError(f"no state dict inside ({reason})", where=path, remedy=_REMEDY) from error
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise InputError("no state dict inside", where=path, remedy=_REMEDY)
    return {str(name).removeprefix("module."): value for name, value in found.items()}


def published_network(variant: PublishedVariant, published: Mapping[str, Tensor], where: Path) -> PublishedNetwork:
    """The network of a variant with published weights.

    Raises InputError that lists the names which are missing, unknown or of another shape.
    """
    network = PublishedNetwork(variant, lengths_over_time(published))
    ours = {our_name(name, variant): name for name in published}
    expected = network.network.state_dict()
    as_published = {ours.get(key, key): tensor for key, tensor in expected.items()}
    wrong = misfits(as_published, published, missing="missing (as they are called here)")
    if wrong:
        remedy = "name the right variant"
        raise InputError(f"the tensors do not fit {variant.name}: {wrong}", where=where, remedy=remedy)
    network.network.load_state_dict({key: published[ours[key]] for key in expected})
    return network.eval()


def lengths_over_time(tensors: Mapping[str, Tensor]) -> tuple[int, int, int] | None:
    """Temporal kernel sizes of fuse_Conv3D, by published names or ours; None for other fusions."""
    lengths = []
    for layer in (0, 2, 4):
        ends = (f"Conv3D.{layer}.weight", f"over_time.{layer}.weight")
        lengths += [int(t.shape[2]) for name, t in tensors.items() if name.endswith(ends) and t.dim() == 5]
    return (lengths[0], lengths[1], lengths[2]) if len(lengths) == 3 else None
