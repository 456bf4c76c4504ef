"""What training minimises: the right tile scores best, at the right displacement."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional

from cvlnet.grid import Grid


def info_nce(log_scores: Float[Tensor, "clips clips steps steps"]) -> Float[Tensor, ""]:
    """Cross-entropy of the right tile among the batch, and of the right clip among all; tile i belongs to clip i.

    A pair's similarity is the log-sum-exp over its displacements: the evidence for the tile wherever in it the vehicle
    stands (van den Oord et al. 2018).
    """
    similarity = log_scores.flatten(-2).logsumexp(dim=-1)
    target = torch.arange(len(similarity), device=similarity.device)
    return (functional.cross_entropy(similarity, target) + functional.cross_entropy(similarity.T, target)) / 2


def soft_margin(scores: Float[Tensor, "clips clips steps steps"], margin_scale: float) -> Float[Tensor, ""]:
    """Soft-margin triplet loss over all negatives in both directions (paper, section 3.4); tile i belongs to clip i.

    A pair's similarity is its best score; distances are 2 - 2 similarity.
    """
    distance = 2 - 2 * scores.flatten(-2).amax(dim=-1)
    positive = distance.diagonal()
    of_tiles = functional.softplus(margin_scale * (positive.unsqueeze(1) - distance))
    of_clips = functional.softplus(margin_scale * (positive.unsqueeze(0) - distance))
    negatives = ~torch.eye(len(distance), dtype=torch.bool, device=distance.device)
    return (of_tiles[negatives].mean() + of_clips[negatives].mean()) / 2


def displacement(
    log_scores: Float[Tensor, "clips steps steps"], offset_m: Float[Tensor, "clips 2"], cell_m: float
) -> Float[Tensor, ""]:
    """Cross-entropy of the true displacement (east, north), shared bilinearly by the four steps around it.

    Offsets outside the window count as at its edge.
    """
    target = bilinear_target(offset_m, Grid(log_scores.shape[-2], log_scores.shape[-1], cell_m))
    return -(target * log_scores.flatten(-2).log_softmax(dim=-1)).sum(dim=-1).mean()


def label_shares(
    logits: Float[Tensor, "n labels rows cols"],
    shares: UInt8[Tensor, "n labels rows cols"],
    seen: Bool[Tensor, "n rows cols"] | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy of every label's share of a cell (255: all of it), over the cells that are seen."""
    entropy = functional.binary_cross_entropy_with_logits(logits.float(), shares / 255, reduction="none").sum(dim=1)
    return entropy.mean() if seen is None else entropy[seen].mean()


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
