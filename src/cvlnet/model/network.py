"""The interface of networks that match clips with tiles, on which evaluation and reports rely."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from cvlnet.config import Precision
from cvlnet.errors import InputError
from cvlnet.grid import Grid
from cvlnet.image_spec import ImageSpec
from cvlnet.model.ssm import match
from cvlnet.types import Clip, ClipFeatures, MapFeatures, ScoreVolume

P = ParamSpec("P")
R = TypeVar("R")


def computes_bfloat16(device: torch.device) -> bool:
    """Whether a device supports bfloat16 natively; emulation is many times slower than float32."""
    match device.type:
        case "cpu":
            return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        case "cuda":
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return True


def in_its_precision(encode: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Decorator for methods of a network that compute in its precision.

    With bfloat16, autocast is enabled on devices that support it natively; otherwise it is left as it is.
    """

    @wraps(encode)
    def encode_so(network: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        rounded = network.precision == "bfloat16" and computes_bfloat16(network.device)
        with torch.autocast(network.device.type, torch.bfloat16) if rounded else nullcontext():
            return encode(network, *args, **kwargs)

    return encode_so


class MatchingNetwork(nn.Module, ABC):
    """Encodes clips and tiles so that `match` can compare them.

    image_spec: size of the frames. tile_grid: pixels of the overhead image around the tile's centre. map_grid,
    clip_grid: cells of the features. log_sharpness: logarithm of the factor from scores to log-probabilities.
    precision: of the encoders; positions and scores are always computed in float32.
    """

    precision: Precision = "float32"

    image_spec: ImageSpec
    tile_grid: Grid
    map_grid: Grid
    clip_grid: Grid
    log_sharpness: nn.Parameter

    @property
    def sharpness(self) -> Tensor:
        """Factor from scores to log-probabilities."""
        return self.log_sharpness.exp()

    @property
    def window_cells(self) -> int:
        """Largest displacement in the window, in cells."""
        return (self.map_grid.rows - self.clip_grid.rows) // 2

    @property
    def steps(self) -> int:
        """Number of displacements along each side of the window."""
        return 2 * self.window_cells + 1

    @property
    def least_pictures(self) -> int:
        """Least number of pictures in a clip: the largest that any part names by an attribute of this name."""
        parts = (part for part in self.modules() if part is not self)
        return max((int(getattr(part, "least_pictures", 1)) for part in parts), default=1)

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.log_sharpness.device

    @abstractmethod
    def encode_map(self, tiles: UInt8[Tensor, "tiles 3 rows cols"]) -> MapFeatures:
        """Features of overhead images on ``tile_grid``, RGB, north up."""

    @abstractmethod
    def encode_clip(self, clip: Clip) -> ClipFeatures:
        """Features of clips, [clips, frames, ...], on the overhead grid around the vehicle."""

    def forward(self, clip: Clip, tiles: UInt8[Tensor, "tiles 3 rows cols"]) -> ScoreVolume:
        """Scores of every clip against every tile."""
        return match(self.encode_clip(clip), self.encode_map(tiles))


def require_pictures(network: MatchingNetwork, pictures: int) -> None:
    """Raise InputError for clips of fewer pictures than a network can fuse."""
    if pictures < network.least_pictures:
        needs = f"this network fuses {network.least_pictures} pictures or more"
        raise InputError(needs, where=f"clips of {pictures}", remedy="choose clips of more frames")
