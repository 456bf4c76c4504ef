"""SSM at a few places: the scores of a clip in squares of places all over a map, without transforms.

The products of a clip with the cells around ``side`` x ``side`` places are one product of matrices: those cells, by the
clip moved to each of the places. The scores are those of `cvlnet.model.ssm.match` at the same places.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from cvlnet.model.ssm import energy_shares
from cvlnet.types import ClipFeatures

_LEAST_ENERGY = 1e-6  # of a window, a cell of the clip's weight: what rounding leaves where nothing is shown
_TINY = 1e-12
_AT_ONCE = 128  # squares that are computed together: limits the memory besides the cells


class SquareMatcher:
    """One clip, prepared to be matched with squares of ``side`` x ``side`` places.

    Raises ValueError for more than one clip.
    """

    def __init__(self, clip: ClipFeatures, side: int) -> None:
        if len(clip.descriptor) != 1:
            raise ValueError(f"{len(clip.descriptor)} clips at once")
        descriptor, weight = clip.descriptor[0].float(), clip.weight[0].float()
        weighted = descriptor * weight
        self.side, self.clip_cells = side, weight.shape[0]
        self._energy = float((weighted * descriptor).sum())
        self._least = _LEAST_ENERGY * float(weight.sum())
        self._kernel, self._energy_kernel = _moved(weighted, side), _moved(weight[None], side)
        self._share_kernel = _moved(energy_shares(clip), side)

    @torch.inference_mode()
    def scores(self, cells: Float[Tensor, "squares channels height width"]) -> Float[Tensor, "squares side side"]:
        """Normalised correlation at every place of squares, by the cells around them; not divided by the uncertainty.

        height and width: ``side + clip_cells - 1``. Raises ValueError for other sizes.
        """
        expected = self.side + self.clip_cells - 1
        if cells.shape[2:] != (expected, expected):
            raise ValueError(f"cells of {tuple(cells.shape[2:])}, not of {expected} squared")
        return torch.cat([self._scores(part.float()) for part in torch.split(cells, _AT_ONCE)])

    @torch.inference_mode()
    def unseen(self, cells: Float[Tensor, "squares channels height width"]) -> Float[Tensor, "squares side side"]:
        """How much of the clip's energy lies on cells that show nothing, from 0 to 1, at every place of squares."""
        hidden = cells.any(dim=1).logical_not().flatten(1).float()
        return (hidden @ self._share_kernel).clamp(0, 1).reshape(-1, self.side, self.side)

    def _scores(self, cells: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n side side"]:
        products = cells.flatten(1) @ self._kernel
        energy = cells.square().sum(dim=1).flatten(1) @ self._energy_kernel
        correlation = products * (energy * self._energy).clamp(min=_TINY).rsqrt()
        nothing = (energy <= self._least) | (self._energy <= _TINY)
        return torch.as_tensor(correlation.masked_fill(nothing, 0.0).reshape(-1, self.side, self.side))


def _moved(kernel: Float[Tensor, "channels rows cols"], side: int) -> Float[Tensor, "cells places"]:
    """A kernel at each of ``side`` x ``side`` places, as columns over the cells around all of them."""
    channels, rows, cols = kernel.shape
    moved = kernel.new_zeros(side, side, channels, rows + side - 1, cols + side - 1)
    for row in range(side):
        for col in range(side):
            moved[row, col, :, row : row + rows, col : col + cols] = kernel
    return moved.flatten(2).flatten(0, 1).T.contiguous()
