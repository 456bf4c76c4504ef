"""SSM, scene-prior driven similarity matching: the clip's map slides over the tile's (section 3.3).

The score of a displacement is the normalised correlation of the two descriptor maps over the cells that the clip sees,
divided by the tile's learned uncertainty of a vehicle being there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cvlnet.grid import Grid
from cvlnet.types import ClipFeatures, MapFeatures

_LEAST_ENERGY = 1e-6  # of a window: below, nothing is seen and the correlation is zero


@dataclass(frozen=True)
class Decoded:
    """What a score volume says. offset_m: vehicle from the tile's centre, (east, north); covariance_m2: of it."""

    similarity: Float[Tensor, "*batch"]
    offset_m: Float[Tensor, "*batch 2"]
    covariance_m2: Float[Tensor, "*batch 2 2"]


@dataclass(frozen=True)
class ScoreVolume:
    """Scores over displacements, ``cell_m`` a step: rows southward, columns eastward.

    center_xy_m: (east, north) of the one in the middle, none unless the cells of clip and tile lie beside each other.
    """

    scores: Float[Tensor, "*batch steps steps"]
    cell_m: float
    center_xy_m: tuple[float, float] = (0.0, 0.0)

    @property
    def grid(self) -> Grid:
        """The displacements as a grid."""
        steps = self.scores.shape[-1]
        return Grid(steps, steps, self.cell_m, self.center_xy_m)

    def decode(self, sharpness: float) -> Decoded:
        """Best score, its sub-cell displacement and the covariance.

        ``sharpness`` turns scores into log-probabilities (the model's learned one). The displacement is the mean of
        the 3 x 3 cells about the best, the covariance that of the whole volume about it, with the cell's own extent.
        """
        steps = self.scores.shape[-1]
        flat = self.scores.flatten(-2)
        similarity, best = flat.max(dim=-1)
        places_m = self.grid.cell_centers_xy_m(flat.dtype).to(flat.device).reshape(-1, 2)
        row, col = best // steps, best % steps
        index = torch.arange(steps, device=flat.device)
        near_row = (index - row.unsqueeze(-1)).abs() <= 1
        near_col = (index - col.unsqueeze(-1)).abs() <= 1
        near = near_row.unsqueeze(-1) & near_col.unsqueeze(-2)
        logits = flat * sharpness
        local = logits.masked_fill(~near.flatten(-2), -torch.inf).softmax(dim=-1)
        offset_m = local @ places_m
        spread_m = places_m - offset_m.unsqueeze(-2)
        covariance_m2 = (spread_m * logits.softmax(dim=-1).unsqueeze(-1)).mT @ spread_m
        quantization_m2 = self.cell_m**2 / 12 * torch.eye(2, dtype=flat.dtype, device=flat.device)
        return Decoded(similarity, offset_m, covariance_m2 + quantization_m2)


def match(clip: ClipFeatures, tiles: MapFeatures) -> ScoreVolume:
    """Scores of every clip against every tile, [clips, tiles, steps, steps].

    Both grids share the cell size, and the clip's has whole cells less on every side. Raises ValueError if not.
    """
    steps = _steps(clip.grid, tiles.grid)
    spectrum = clip_spectrum(clip, tiles.grid)
    map_spectrum, energy_spectrum = tile_spectrum(tiles)
    correlation = _correlate(spectrum.descriptor, map_spectrum, tiles.grid, steps)
    energy = _correlate(spectrum.weight.unsqueeze(1), energy_spectrum.unsqueeze(1), tiles.grid, steps)
    norm = (energy.clamp(min=0) * spectrum.energy[:, None, None, None]).sqrt()
    similarity = torch.where(norm > _LEAST_ENERGY, correlation / norm.clamp(min=_LEAST_ENERGY), 0.0)
    (tile_east_m, tile_north_m), (clip_east_m, clip_north_m) = tiles.grid.center_xy_m, clip.grid.center_xy_m
    beside_m = (tile_east_m - clip_east_m, tile_north_m - clip_north_m)
    return ScoreVolume(similarity / tiles.uncertainty, clip.grid.cell_m, beside_m)


@dataclass(frozen=True)
class ClipSpectrum:
    """A clip's side of the correlation: transforms of its weighted descriptor and weight, and the former's energy."""

    descriptor: Complex[Tensor, "clips channels rows freqs"]
    weight: Complex[Tensor, "clips rows freqs"]
    energy: Float[Tensor, clips]


def clip_spectrum(clip: ClipFeatures, tile_grid: Grid) -> ClipSpectrum:
    """Fourier transforms of a clip, padded to the tile's size, conjugated for correlation."""
    size = (tile_grid.rows, tile_grid.cols)
    weight = clip.weight.float()
    weighted = clip.descriptor.float() * weight.unsqueeze(1)
    energy = (weighted * clip.descriptor.float()).sum(dim=(1, 2, 3))
    return ClipSpectrum(torch.fft.rfft2(weighted, s=size).conj(), torch.fft.rfft2(weight, s=size).conj(), energy)


def tile_spectrum(
    tiles: MapFeatures,
) -> tuple[Complex[Tensor, "tiles channels rows freqs"], Complex[Tensor, "tiles rows freqs"]]:
    """Fourier transforms of the tiles' descriptors and of their energy per cell."""
    descriptor = tiles.descriptor.float()
    return torch.fft.rfft2(descriptor), torch.fft.rfft2(descriptor.square().sum(dim=1))


def _correlate(a: Tensor, b: Tensor, grid: Grid, steps: int) -> Tensor:
    """Correlation at the first ``steps`` shifts of both axes, from conjugated [q, c, r, f] and [m, c, r, f] spectra.

    The clip's grid is smaller than the tile's by ``steps - 1``, so that none of these shifts wraps around.
    """
    rows, freqs = a.shape[-2:]
    clips, tiles = a.shape[0], b.shape[0]
    per_frequency = torch.matmul(a.permute(2, 3, 0, 1), b.permute(2, 3, 1, 0))  # [rows, freqs, clips, tiles]
    to_rows, to_cols = _inverse_transforms(grid.rows, grid.cols, steps, a.device)
    at_rows = torch.matmul(to_rows, per_frequency.reshape(rows, -1)).reshape(steps, freqs, clips * tiles)
    return torch.matmul(to_cols, at_rows).real.reshape(steps, steps, clips, tiles).permute(2, 3, 0, 1)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is kept serves training, too
def _inverse_transforms(rows: int, cols: int, steps: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Inverse transforms of a real signal's half spectrum at the first ``steps`` places of each axis."""
    shift = torch.arange(steps, dtype=torch.float64)
    row_frequency = torch.arange(rows, dtype=torch.float64) / rows
    col_frequency = torch.arange(cols // 2 + 1, dtype=torch.float64) / cols
    twice = torch.full_like(col_frequency, 2.0)  # each stands for its conjugate, too,
    twice[0] = 1.0  # except those that are their own
    if cols % 2 == 0:
        twice[-1] = 1.0
    to_rows = torch.exp(2j * torch.pi * torch.outer(shift, row_frequency)) / rows
    to_cols = torch.exp(2j * torch.pi * torch.outer(shift, col_frequency)) * twice / cols
    return to_rows.to(torch.complex64).to(device), to_cols.to(torch.complex64).to(device)


def _steps(clip: Grid, tile: Grid) -> int:
    steps = tile.rows - clip.rows + 1
    if clip.cell_m != tile.cell_m:
        raise ValueError(f"clip and tile must share the size of their cells, not {clip} and {tile}")
    if steps != tile.cols - clip.cols + 1 or steps < 1 or steps % 2 == 0:
        raise ValueError(f"a clip of {clip.rows} x {clip.cols} cells has no window in {tile.rows} x {tile.cols}")
    return steps
