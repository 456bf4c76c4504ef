"""Descriptors of places: a few numbers each, whose product with those of a clip comes near the score of the match.

The normalised correlation of a clip with the window of a map around a place is a product of two long vectors. Both are
pooled over squares of cells and projected onto the same components, the principal ones of maps and clips
(`fit_projection`). The map's vectors are divided by the energy that a usual clip would see there, and by the least
uncertainty of the places that the descriptor stands for: a square of `STEP` x `STEP`. A clip has a vector for each
quarter of that square (`PlaceProjection.of_clips`); the best of the four products counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from cvlnet.errors import InputError
from cvlnet.io.tensor_file import read_tensors, write_tensors
from cvlnet.types import ClipFeatures

STEP = 6  # places, either way, that share a descriptor
POOL = 4  # cells, either way, that are averaged
_STRIDE = 2  # cells between averages: both steps and pools are multiples of it
_FIRST = 2  # the place of a square, either way, whose window is described: with the next one it is the middle
_SHIFTS = (-1, 2)  # from that place to the middles of the square's halves
_LEAST_ENERGY = 0.05  # of that of a window whose descriptors are all of length one
_TINY = 1e-12
_FORMAT = 1
_KEY = "cvlnet-places"
_LARGEST_BYTES = 2**28
_REMEDY = "fit the projection to these weights again"


@dataclass(frozen=True)
class PlaceProjection:
    """A linear projection of what maps and clips show around places.

    components: orthonormal, of pooled descriptors, the most important first. spread: root mean square of the products
    of maps with each, by which the numbers of a map are divided and those of a clip multiplied, so that all numbers of
    a map are of one size. weight: mean of clips' weights, pooled. network: SHA-256 of the weights behind the features.
    origin: the data that it was fitted to, as JSON's types.
    """

    components: Float[Tensor, "dims channels rows cols"]
    spread: Float[Tensor, " dims"]
    weight: Float[Tensor, "rows cols"]
    network: str
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dims(self) -> int:
        """Numbers of a descriptor."""
        return len(self.components)

    @property
    def clip_cells(self) -> int:
        """Side of a clip, in cells."""
        return POOL * self.weight.shape[0]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that determines descriptors."""
        digest = sha256(repr((_FORMAT, STEP, POOL, self.network, tuple(self.components.shape))).encode())
        for tensor in (self.components, self.spread, self.weight):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def first(self, dims: int) -> PlaceProjection:
        """The projection onto the most important components. Raises ValueError if there are not that many."""
        if not 1 <= dims <= self.dims:
            raise ValueError(f"1 to {self.dims} dimensions, not {dims}")
        return PlaceProjection(self.components[:dims], self.spread[:dims], self.weight, self.network, self.origin)

    @torch.inference_mode()
    def of_map(
        self,
        descriptor: Float[Tensor, "channels cell_rows cell_cols"],
        uncertainty: Float[Tensor, "place_rows place_cols"],
    ) -> Float[Tensor, "rows cols dims"]:
        """Descriptors of every square of `STEP` x `STEP` places, from the north-western one on.

        descriptor and uncertainty: of cells and places as in `cvlnet.localize.region.Region`.
        """
        least = least_uncertainty(uncertainty)
        pooled, energy = _pooled_map(descriptor, least.shape, self.clip_cells)
        numbers = _at_squares(pooled, self.components.float()) / self.spread[:, None, None]
        return (numbers * (_usual_energy(energy, self.weight).rsqrt() / least)).permute(1, 2, 0)

    @torch.inference_mode()
    def of_clips(self, clips: ClipFeatures) -> Float[Tensor, "clips quarters dims"]:
        """Descriptors of clips, one for each quarter of a square in which the vehicle may be."""
        numbers = torch.einsum("nqcij,dcij->nqd", pooled_clips(clips), self.components.float())
        return numbers * self.spread

    def save(self, path: Path) -> None:
        """Write everything into one .safetensors file, whole or not at all."""
        tensors = {"components": self.components, "spread": self.spread, "weight": self.weight}
        write_tensors(path, tensors, _KEY, {"format": _FORMAT, "network": self.network, "origin": dict(self.origin)})

    @staticmethod
    def load(path: Path) -> PlaceProjection:
        """What `save` wrote. Raises InputError if the file is missing, damaged, too large or none of ours."""
        tensors, header = read_tensors(path, _KEY, largest_bytes=_LARGEST_BYTES, remedy=_REMEDY)
        try:
            if header["format"] != _FORMAT:
                raise ValueError(f"format {header['format']}, not {_FORMAT}")
            _require_layout(tensors)
            return PlaceProjection(**tensors, network=str(header["network"]), origin=header["origin"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"no projection of places inside ({error})", where=path, remedy=_REMEDY) from error

    def require_network(self, network: str, where: Path) -> None:
        """Raise InputError unless it was fitted to the weights of this fingerprint."""
        if network != self.network:
            raise InputError("the projection of places was fitted to other weights", where=where, remedy=_REMEDY)


def shipped_projection() -> Path:
    """The projection for the weights that come with the package."""
    return Path(str(files("cvlnet") / "weights" / "cvlnet-lite0-places.safetensors"))


@torch.inference_mode()
def fit_projection(
    maps: Iterable[tuple[Float[Tensor, "channels cell_rows cell_cols"], Float[Tensor, "place_rows place_cols"]]],
    clips: Iterable[ClipFeatures],
    dims: int,
    network: str,
    origin: Mapping[str, Any] | None = None,
) -> PlaceProjection:
    """The principal components of maps and clips, both counting alike.

    maps: descriptor and uncertainty as `PlaceProjection.of_map` takes them. network: SHA-256 of the weights that made
    them. Raises ValueError if a place has fewer than ``dims`` numbers, or there are no maps or no clips.
    """
    clips = list(clips)
    if not clips:
        raise ValueError("no clips")
    weight = functional.avg_pool2d(torch.cat([part.weight.float() for part in clips]).mean(dim=0)[None], POOL)[0]
    of_clips = _second_moment(pooled_clips(part).flatten(2).flatten(0, 1) for part in clips)
    of_maps = _second_moment(_windows(descriptor, uncertainty, weight) for descriptor, uncertainty in maps)
    if not 1 <= dims <= len(of_maps):
        raise ValueError(f"1 to {len(of_maps)} dimensions, not {dims}")
    _, vectors = torch.linalg.eigh(of_maps / of_maps.trace() + of_clips / of_clips.trace())
    best = vectors.flip(1)[:, :dims].T.contiguous()
    spread = ((best @ of_maps) * best).sum(dim=1).sqrt()
    return PlaceProjection(best.reshape(dims, -1, *weight.shape).half(), spread, weight, network, origin or {})


def pooled_clips(clips: ClipFeatures) -> Float[Tensor, "clips quarters channels rows cols"]:
    """What clips see, of length one, pooled: moved to the middle of each quarter of a square."""
    descriptor, weight = clips.descriptor.float(), clips.weight.float().unsqueeze(1)
    weighted = descriptor * weight
    energy = (weighted * descriptor).sum(dim=(1, 2, 3), keepdim=True)
    unit = weighted * energy.clamp(min=_TINY).rsqrt() * POOL**2
    return torch.stack([functional.avg_pool2d(_moved(unit, *by), POOL) for by in product(_SHIFTS, _SHIFTS)], dim=1)


def least_uncertainty(uncertainty: Float[Tensor, "place_rows place_cols"]) -> Float[Tensor, "rows cols"]:
    """The least of every square of `STEP` x `STEP` places; the last ones of a map may be cut."""
    return -functional.max_pool2d(-uncertainty.float()[None], STEP, ceil_mode=True)[0]


def _moved(cells: Float[Tensor, "n channels rows cols"], rows: int, cols: int) -> Float[Tensor, "n channels rows cols"]:
    """The cells so many rows further south and columns further east; zero where they came from."""
    return functional.pad(cells, (cols, -cols, rows, -rows))


def _pooled_map(
    descriptor: Float[Tensor, "channels cell_rows cell_cols"], squares: tuple[int, ...], clip_cells: int
) -> tuple[Float[Tensor, "1 channels pooled_rows pooled_cols"], Float[Tensor, "1 1 pooled_rows pooled_cols"]]:
    """Pooled descriptors and energies around squares of places: averages of `POOL` x `POOL` cells, `_STRIDE` apart."""
    height, width = (_FIRST + STEP * (count - 1) + clip_cells for count in squares)
    cells = descriptor[:, :height, :width].float()
    cells = functional.pad(cells, (-_FIRST, width - cells.shape[2], -_FIRST, height - cells.shape[1]))
    energy = cells.square().sum(dim=0, keepdim=True)
    return functional.avg_pool2d(cells[None], POOL, _STRIDE), functional.avg_pool2d(energy[None], POOL, _STRIDE)


def _usual_energy(
    energy: Float[Tensor, "1 1 pooled_rows pooled_cols"], weight: Float[Tensor, "clip_rows clip_cols"]
) -> Float[Tensor, "rows cols"]:
    """Energy of the map that a clip of the usual weight sees from every square, or the least that counts."""
    kernel = weight[None, None] * POOL**2
    return _at_squares(energy, kernel)[0].clamp(min=_LEAST_ENERGY * float(kernel.sum()))


def _at_squares(
    pooled: Float[Tensor, "1 channels pooled_rows pooled_cols"], kernels: Float[Tensor, "n channels height width"]
) -> Float[Tensor, "n rows cols"]:
    """Products of kernels with what is pooled around every square of places."""
    products = functional.conv2d(pooled, kernels, stride=STEP // _STRIDE, dilation=POOL // _STRIDE)
    return torch.as_tensor(products[0])


def _windows(
    descriptor: Float[Tensor, "channels cell_rows cell_cols"],
    uncertainty: Float[Tensor, "place_rows place_cols"],
    weight: Float[Tensor, "clip_rows clip_cols"],
) -> Float[Tensor, "places numbers"]:
    """What `PlaceProjection.of_map` projects, at every square."""
    least = least_uncertainty(uncertainty)
    pooled, energy = _pooled_map(descriptor, least.shape, POOL * weight.shape[0])
    numbers = functional.unfold(pooled, weight.shape, dilation=POOL // _STRIDE, stride=STEP // _STRIDE)[0]
    return (numbers * (_usual_energy(energy, weight).rsqrt() / least).flatten()).T


def _second_moment(parts: Iterable[Float[Tensor, "n numbers"]]) -> Float[Tensor, "numbers numbers"]:
    """Mean product of every two numbers. Raises ValueError if there are no parts."""
    total, count = None, 0
    for part in parts:
        product_sum = part.T @ part
        total = product_sum if total is None else total + product_sum
        count += len(part)
    if total is None:
        raise ValueError("no maps")
    return torch.as_tensor(total / count)


def _require_layout(tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError, or KeyError, unless the tensors of a file have the types and shapes of a projection's."""
    components, spread, weight = (tensors[name] for name in ("components", "spread", "weight"))
    if components.dim() != 4 or components.shape[2:] != weight.shape or weight.shape[0] != weight.shape[1]:
        raise ValueError(f"components of {tuple(components.shape)} for weights of {tuple(weight.shape)}")
    if spread.shape != components.shape[:1] or len(tensors) != 3:
        raise ValueError(f"{len(spread)} spreads for {len(components)} components")
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise ValueError(f"{name} is not of finite numbers")
    if not bool((spread > 0).all() and (weight >= 0).all() and (weight > 0).any()):
        raise ValueError("a spread is not positive, or a weight negative")
