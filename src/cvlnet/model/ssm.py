"""SSM, scene-prior driven similarity matching: the clip's map slides over the tile's (section 3.3).

The score of a displacement is the normalised correlation of both descriptor maps over the cells that the clip sees,
divided by the learned uncertainty of a vehicle at that place of the tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from cvlnet.grid import Grid
from cvlnet.model.correlate import Correlation
from cvlnet.types import ClipFeatures, MapFeatures, ScoreVolume

_LEAST_ENERGY = 1e-12  # product of both windows' energies, below which the correlation is zero
_CLIPS, _PAIRS, _NUMBERS = 128, 8192, 2**20  # limits of a block; numbers: in the transforms of its tiles


def match(clip: ClipFeatures, tiles: MapFeatures) -> ScoreVolume:
    """Scores of every clip against every tile, [clips, tiles, steps, steps].

    The grids must have the same cell size, and the tile's must exceed the clip's by the same whole number of cells on
    every side; raises ValueError otherwise. Memory besides the scores is that of one block of pairs. Features may be in
    half precision; the match is computed in float32, even under autocast.
    """
    steps = _steps(clip.grid, tiles.grid)
    clips, channels = clip.descriptor.shape[:2]
    of_descriptors = Correlation(channels, tiles.grid.rows, tiles.grid.cols, steps)
    scores = torch.empty(clips, len(tiles.descriptor), steps, steps, device=tiles.descriptor.device)
    most_tiles = min(_PAIRS // max(min(clips, _CLIPS), 1), max(_NUMBERS // of_descriptors.numbers_a_map, 1))
    with torch.autocast(scores.device.type, enabled=False):  # rounded transforms would not cancel
        for some in _blocks(clips, _CLIPS):
            spectra = ClipSpectra.of(clip.descriptor[some].float(), clip.weight[some].float(), of_descriptors)
            for block in _blocks(len(tiles.descriptor), most_tiles):
                scores[some, block] = spectra.correlation(tiles.descriptor[block].float()) / tiles.uncertainty[block]
    (tile_east_m, tile_north_m), (clip_east_m, clip_north_m) = tiles.grid.center_xy_m, clip.grid.center_xy_m
    return ScoreVolume(scores, clip.grid.cell_m, (tile_east_m - clip_east_m, tile_north_m - clip_north_m))


def with_unseen(
    scores: Float[Tensor, "*places"], unseen: Float[Tensor, "*places"], neutral: float
) -> Float[Tensor, "*places"]:
    """Scores in which what the map does not show of a clip counts neither for a place nor against it.

    scores: with that part taken as unlike, as `match` does. unseen: its share of the clip's energy. neutral: the score
    that says nothing about a place. The result is the mean of the score of the shown part alone and the neutral one,
    weighted by their shares.
    """
    return scores * (1 - unseen).sqrt() + unseen * neutral


def energy_shares(clip: ClipFeatures) -> Float[Tensor, "clips rows cols"]:
    """The share of each cell in the energy of its clip's weighted descriptors; zero for a clip that sees nothing."""
    energy = clip.descriptor.float().square().sum(dim=1) * clip.weight.float()
    return energy / energy.sum(dim=(1, 2), keepdim=True).clamp(min=_LEAST_ENERGY)


@dataclass(frozen=True)
class ClipSpectra:
    """Clips, prepared for matching: transforms of weighted descriptors and of weights, and the descriptors' energy."""

    of_descriptors: Correlation
    of_weights: Correlation
    weighted: Float[Tensor, "freqs 2 rows2 channels2 clips"]
    weight: Float[Tensor, "freqs1 2 rows1 channels1 clips"]
    energy: Float[Tensor, " clips"]

    @staticmethod
    def of(
        descriptor: Float[Tensor, "clips channels rows cols"],
        weight: Float[Tensor, "clips rows cols"],
        of_descriptors: Correlation,
    ) -> ClipSpectra:
        """Of clips that are to be correlated with tiles by ``of_descriptors``."""
        weighted = descriptor * weight.unsqueeze(1)
        of_weights = replace(of_descriptors, channels=1)
        return ClipSpectra(
            of_descriptors,
            of_weights,
            of_descriptors.of_kernels(weighted),
            of_weights.of_kernels(weight.unsqueeze(1)),
            (weighted * descriptor).sum(dim=(1, 2, 3)),
        )

    def correlation(
        self, descriptor: Float[Tensor, "tiles channels rows cols"]
    ) -> Float[Tensor, "clips tiles steps steps"]:
        """Normalised correlation at every displacement, over the cells that a clip sees; from -1 to 1."""
        products = self.of_descriptors.correlate(self.weighted, self.of_descriptors.of_maps(descriptor))
        of_cells = self.of_weights.of_maps(descriptor.square().sum(dim=1, keepdim=True))
        energy = self.of_weights.correlate(self.weight, of_cells) * self.energy[:, None, None]
        correlation = products / energy.clamp(min=_LEAST_ENERGY).sqrt()
        return torch.where(energy > _LEAST_ENERGY, correlation, 0.0).permute(1, 2, 0, 3)


def _blocks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, start + size)


def _steps(clip: Grid, tile: Grid) -> int:
    steps = tile.rows - clip.rows + 1
    if clip.cell_m != tile.cell_m:
        raise ValueError(f"clip and tile must share the size of their cells, not {clip} and {tile}")
    if steps != tile.cols - clip.cols + 1 or steps < 1 or steps % 2 == 0:
        raise ValueError(f"a clip of {clip.rows} x {clip.cols} cells has no window in {tile.rows} x {tile.cols}")
    return steps
