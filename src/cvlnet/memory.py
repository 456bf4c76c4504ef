"""Tiles of earlier steps as further negatives: a batch on a small machine holds too few (Wang et al. 2020, XBM)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cvlnet.grid import Grid
from cvlnet.types import MapFeatures


class TileMemory:
    """The last ``size`` tiles that training encoded, newest first, in half precision and without gradients.

    grid: of the tiles' features.
    """

    def __init__(self, size: int, grid: Grid) -> None:
        self.size, self.grid = size, grid
        self._tiles: MapFeatures | None = None
        self._vehicle_xy_m = torch.empty(0, 2, dtype=torch.float64)  # where each tile was sought, in the world frame

    def __len__(self) -> int:
        return len(self._vehicle_xy_m)

    def behind(self, tiles: MapFeatures) -> MapFeatures:
        """The tiles, and after them those remembered."""
        return tiles if self._tiles is None else _joined(tiles, self._tiles)

    def negatives(self, vehicle_xy_m: Float[Tensor, "clips 2"], min_distance_m: float) -> Bool[Tensor, "clips tiles"]:
        """Which tiles, the batch's own and those remembered, lie at least so far from each vehicle of the batch."""
        others = torch.cat([vehicle_xy_m, self._vehicle_xy_m])
        apart_m: Tensor = torch.linalg.vector_norm(vehicle_xy_m.unsqueeze(1) - others, dim=-1)
        return torch.ge(apart_m, min_distance_m)

    def remember(self, tiles: MapFeatures, vehicle_xy_m: Float[Tensor, "tiles 2"]) -> None:
        """Take in the tiles of a step and forget the oldest."""
        if self.size == 0:
            return
        new = replace(
            tiles, descriptor=tiles.descriptor.detach().half().contiguous(), uncertainty=tiles.uncertainty.detach()
        )
        both = self.behind(new)
        kept = slice(self.size)
        self._tiles = replace(both, descriptor=both.descriptor[kept], uncertainty=both.uncertainty[kept])
        self._vehicle_xy_m = torch.cat([vehicle_xy_m, self._vehicle_xy_m])[kept]

    def tensors(self) -> dict[str, Tensor]:
        """What `restore` needs, by name."""
        if self._tiles is None:
            return {}
        return {
            "descriptor": self._tiles.descriptor,
            "uncertainty": self._tiles.uncertainty,
            "vehicle_xy_m": self._vehicle_xy_m,
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what `tensors` gave."""
        if tensors:
            self._tiles = MapFeatures(tensors["descriptor"], tensors["uncertainty"], self.grid)
            self._vehicle_xy_m = tensors["vehicle_xy_m"]


def _joined(first: MapFeatures, second: MapFeatures) -> MapFeatures:
    return replace(
        first,
        descriptor=torch.cat([first.descriptor, second.descriptor.to(first.descriptor)]),
        uncertainty=torch.cat([first.uncertainty, second.uncertainty.to(first.uncertainty)]),
    )
