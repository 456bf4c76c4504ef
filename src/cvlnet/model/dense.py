"""SSM over a whole map: a clip slides over every cell, and no tile limits its displacement.

The correlation is computed in blocks of the map by fast Fourier transforms (overlap-save). The map's transforms depend
on the map alone: they are kept, as far as memory allows, so that a further clip costs a product per frequency and the
transform back; those of a large map in half precision. The scores are those of `cvlnet.model.ssm.match` at the same
places, to 1e-4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional

from cvlnet.model.ssm import energy_shares
from cvlnet.types import ClipFeatures

KEPT_BYTES = 4 * 2**30
_SINGLE_BYTES = 256 * 2**20  # of transforms in single precision: more of them take longer to read than to unpack
_SIDES = (160, 180, 192, 200, 208, 216, 240)  # of blocks, whose transforms are fast and fit into the cache
_AT_ONCE = 4  # blocks that are transformed together: what is computed of them stays in the processor's cache
_LEAST_ENERGY = 1e-6  # of a window, a cell of the clip's weight: what rounding leaves where nothing is shown
_TINY = 1e-12


@dataclass(frozen=True)
class _Block:
    """A block of places: those from (row, col) on, as many as fit into it and the map."""

    row: int
    col: int
    rows: int
    cols: int

    @property
    def places(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.row, self.row + self.rows), slice(self.col, self.col + self.cols)


class DenseMatcher:
    """A map's features, prepared for clips of ``clip_cells`` x ``clip_cells`` cells.

    descriptor: of the map's cells, zero where the map shows nothing. Places are the windows of a clip's size that the
    map holds, by their north-western cell: ``rows - clip_cells + 1`` rows of them.
    block_cells: side of the blocks; by default the one with the least to compute. kept_bytes: memory for the map's
    transforms; those of blocks beyond it are computed anew for every call of `scores`.
    Raises ValueError for a map that is smaller than a clip.
    """

    def __init__(
        self,
        descriptor: Float[Tensor, "channels rows cols"],
        clip_cells: int,
        *,
        block_cells: int | None = None,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        rows, cols = (side - clip_cells + 1 for side in descriptor.shape[1:])
        if min(rows, cols) < 1:
            raise ValueError(f"a map of {descriptor.shape[1]} x {descriptor.shape[2]} cells holds no clip")
        self.descriptor, self.clip_cells = descriptor, clip_cells
        self.rows, self.cols = rows, cols
        self._side = max(block_cells or _best_side(rows, cols, clip_cells), 2 * clip_cells)
        self._most_kept_bytes = kept_bytes
        frequencies = self._side * (self._side // 2 + 1)
        single_bytes = len(self._blocks) * frequencies * len(descriptor) * 2 * 4
        self._storage = torch.float32 if single_bytes <= _SINGLE_BYTES else torch.float16
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}  # by the number of the first block

    @torch.inference_mode()
    def scores(self, clip: ClipFeatures) -> Float[Tensor, "clips rows cols"]:
        """Normalised correlation of clips with the map at every place, over the cells that a clip sees.

        Not divided by the map's uncertainty. Raises ValueError if the clip is not of ``clip_cells`` x ``clip_cells``.
        """
        if clip.descriptor.shape[-2:] != (self.clip_cells, self.clip_cells):
            raise ValueError(f"the clip has {tuple(clip.descriptor.shape[-2:])} cells, not {self.clip_cells} squared")
        descriptor, weight = clip.descriptor.float(), clip.weight.float().unsqueeze(1)
        weighted = descriptor * weight
        clip_energy = (weighted * descriptor).sum(dim=(1, 2, 3))[:, None, None, None]
        least = _LEAST_ENERGY * weight.sum(dim=(1, 2, 3))[:, None, None, None]
        kernel, energy_kernel = _as_matrices(self._spectrum(weighted)), self._spectrum(weight).conj()
        found = torch.empty(len(weighted), self.rows, self.cols, device=self.descriptor.device)
        most = min(_AT_ONCE, len(self._blocks))
        unpacked = kernel.new_empty(kernel.shape[0], most, kernel.shape[1])  # new memory costs more than the product
        for first in range(0, len(self._blocks), _AT_ONCE):
            packed, energy_spectra = self._transformed(first)
            spectra = packed if packed.dtype == kernel.dtype else unpacked[:, : packed.shape[1]].copy_(packed)
            products = self._displacements(_as_complex(torch.bmm(spectra, kernel), self._side))
            energy = self._displacements(energy_spectra * energy_kernel)
            correlation = products * (energy * clip_energy).clamp(min=_TINY).rsqrt()
            correlation.masked_fill_((energy <= least) | (clip_energy <= _TINY), 0.0)
            for of_block, block in zip(correlation.unbind(1), self._blocks[first : first + _AT_ONCE], strict=True):
                found[:, *block.places] = of_block[:, : block.rows, : block.cols]
        return found

    @torch.inference_mode()
    def unseen(self, clip: ClipFeatures) -> Iterator[tuple[tuple[slice, slice], Float[Tensor, "clips rows cols"]]]:
        """How much of the energy of clips lies where the map shows nothing, at the places of one block after another.

        Gives rows and columns, and the shares there, from 0 to 1; not of blocks whose places see no such cell.
        """
        if not self._hidden:
            return
        kernel = self._spectrum(energy_shares(clip).unsqueeze(1)).conj()
        for block, spectrum in self._hidden:
            share = self._displacements(spectrum * kernel)[:, 0, : block.rows, : block.cols]
            yield block.places, share.clamp_(0, 1)

    @property
    def kept_bytes(self) -> int:
        """Memory of the transforms that are kept now."""
        return sum(tensor.nbytes for pair in self._kept.values() for tensor in pair)

    @cached_property
    def _blocks(self) -> list[_Block]:
        step = self._side - self.clip_cells + 1
        return [
            _Block(row, col, min(step, self.rows - row), min(step, self.cols - col))
            for row in range(0, self.rows, step)
            for col in range(0, self.cols, step)
        ]

    @cached_property
    def _hidden(self) -> list[tuple[_Block, Complex[Tensor, "1 y x"]]]:
        """The blocks whose places see cells that the map does not show, and the transforms of where those are."""
        shown, found = self.descriptor.any(dim=0), []
        for block in self._blocks:
            seen = shown[block.row : block.row + self._side, block.col : block.col + self._side]
            if not bool(seen.all()):
                hidden = torch.zeros(1, self._side, self._side, device=shown.device)
                hidden[0, : seen.shape[0], : seen.shape[1]] = ~seen
                found.append((block, torch.fft.rfft2(hidden, norm="ortho")))
        return found

    def _transformed(self, first: int) -> tuple[Tensor, Tensor]:
        """Transforms of some blocks: of their descriptors, as `_as_matrices` fits, and of their cells' energy."""
        if first in self._kept:
            return self._kept[first]
        cut = torch.stack([self._cut(block) for block in self._blocks[first : first + _AT_ONCE]])
        pairs = torch.view_as_real(torch.fft.rfft2(cut, norm="ortho")).to(self._storage).permute(2, 3, 0, 1, 4)
        spectra = pairs.reshape(pairs.shape[0] * pairs.shape[1], len(cut), -1).contiguous()
        transformed = spectra, torch.fft.rfft2(cut.square().sum(dim=1), norm="ortho")
        if self.kept_bytes + sum(tensor.nbytes for tensor in transformed) <= self._most_kept_bytes:
            self._kept[first] = transformed
        return transformed

    def _cut(self, block: _Block) -> Float[Tensor, "channels side side"]:
        """The cells that a block's places see, filled up with zeros to the side of all blocks."""
        part = self.descriptor[:, block.row : block.row + self._side, block.col : block.col + self._side].float()
        return functional.pad(part, (0, self._side - part.shape[2], 0, self._side - part.shape[1]))

    def _spectrum(self, kernel: Float[Tensor, "clips channels height width"]) -> Complex[Tensor, "clips channels y x"]:
        return torch.as_tensor(torch.fft.rfft2(kernel, (self._side, self._side)))

    def _displacements(self, spectra: Complex[Tensor, "clips blocks y x"]) -> Float[Tensor, "clips blocks rows cols"]:
        """Correlations at the displacements that do not wrap around: a block's places."""
        step = self._side - self.clip_cells + 1
        columns = torch.fft.ifft(spectra, dim=-2, norm="ortho")[..., :step, :]
        return torch.as_tensor(torch.fft.irfft(columns, self._side, norm="ortho")[..., :step])


def _best_side(rows: int, cols: int, clip_cells: int) -> int:
    """The side of the blocks that together hold the fewest cells."""

    def cells(side: int) -> int:
        step = side - clip_cells + 1
        return -(-rows // step) * -(-cols // step) * side**2

    return min((side for side in _SIDES if side >= 2 * clip_cells), key=cells, default=2 * clip_cells)


def _as_matrices(spectra: Complex[Tensor, "clips channels y x"]) -> Float[Tensor, "freqs parts outputs"]:
    """Real matrices that multiply pairs of real numbers by conjugate spectra and add up over the channels."""
    real, imaginary = torch.view_as_real(spectra).unbind(-1)
    of_real = torch.stack([real, -imaginary], dim=-1)  # (a + ib)(c - id) = ac + bd + i(bc - ad)
    of_imaginary = torch.stack([imaginary, real], dim=-1)
    both = torch.stack([of_real, of_imaginary], dim=2)  # [clips, channels, from, y, x, to]
    clips, channels = spectra.shape[:2]
    return both.permute(3, 4, 1, 2, 0, 5).reshape(-1, 2 * channels, 2 * clips).contiguous()


def _as_complex(products: Float[Tensor, "freqs blocks outputs"], side: int) -> Complex[Tensor, "clips blocks y x"]:
    pairs = products.reshape(side, side // 2 + 1, products.shape[1], -1, 2)
    return torch.view_as_complex(pairs).permute(3, 2, 0, 1)
