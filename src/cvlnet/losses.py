"""What training minimises: the right tile scores best, at the right displacement."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from cvlnet.grid import Grid


def info_nce(
    log_scores: Float[Tensor, "clips tiles steps steps"], negative: Bool[Tensor, "clips tiles"]
) -> Float[Tensor, ""]:
    """Cross-entropy of the right tile among all, and of the right clip among all; tile i belongs to clip i.

    Tiles beyond the number of clips belong to none. Only ``negative`` pairs count as wrong ones. A pair's similarity
    is the log-sum-exp over its displacements: the evidence for the tile wherever in it the vehicle stands (van den
    Oord et al. 2018).
    """
    similarity = log_scores.flatten(-2).logsumexp(dim=-1)
    clips = len(similarity)
    of_clips = torch.arange(clips, device=similarity.device)
    own = torch.eye(clips, similarity.shape[1], dtype=torch.bool, device=similarity.device)
    similarity = similarity.masked_fill(~(own | negative), -torch.inf)
    among_tiles = functional.cross_entropy(similarity, of_clips)
    return (among_tiles + functional.cross_entropy(similarity[:, :clips].T, of_clips)) / 2


def soft_margin(
    scores: Float[Tensor, "clips tiles steps steps"], negative: Bool[Tensor, "clips tiles"], margin_scale: float
) -> Float[Tensor, ""]:
    """Soft-margin triplet loss over all negatives in both directions (paper, section 3.4); tile i belongs to clip i.

    Tiles beyond the number of clips belong to none. Only ``negative`` pairs count as wrong ones. A pair's similarity
    is its best score; distances are 2 - 2 similarity.
    """
    distance = 2 - 2 * scores.flatten(-2).amax(dim=-1)
    clips = len(distance)
    positive = distance[:, :clips].diagonal()
    of_tiles = functional.softplus(margin_scale * (positive.unsqueeze(1) - distance))
    of_clips = functional.softplus(margin_scale * (positive.unsqueeze(0) - distance[:, :clips]))
    return (of_tiles[negative].mean() + of_clips[negative[:, :clips]].mean()) / 2


def displacement(
    log_scores: Float[Tensor, "clips steps steps"], offset_m: Float[Tensor, "clips 2"], cell_m: float
) -> Float[Tensor, ""]:
    """Cross-entropy of the true displacement (east, north), shared bilinearly by the four steps around it.

    Offsets outside the window count as at its edge.
    """
    target = bilinear_target(offset_m, Grid(log_scores.shape[-2], log_scores.shape[-1], cell_m))
    return -(target * log_scores.flatten(-2).log_softmax(dim=-1)).sum(dim=-1).mean()


def bilinear_target(offset_m: Float[Tensor, "clips 2"], grid: Grid) -> Float[Tensor, "clips cells"]:
    """Weights on the grid's cells, of sum one, whose mean is the offset."""
    row, col = grid.row_col(offset_m).unbind(-1)
    rows = _shares(row, grid.rows)
    cols = _shares(col, grid.cols)
    return (rows.unsqueeze(-1) * cols.unsqueeze(-2)).flatten(-2)


def _shares(index: Tensor, size: int) -> Tensor:
    """Linear weights [n, size] of fractional indices on integers."""
    inside = index.clamp(0, size - 1).unsqueeze(-1)
    return (1 - (torch.arange(size, device=index.device, dtype=index.dtype) - inside).abs()).clamp(min=0)
