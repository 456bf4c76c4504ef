"""Training losses: the right tile is to score best, at the right displacement."""

from __future__ import annotations

from math import inf

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional

from cvlnet.grid import Grid


def info_nce(
    log_scores: Float[Tensor, "clips tiles steps steps"], right: Bool[Tensor, "clips tiles steps steps"]
) -> Float[Tensor, ""]:
    """Symmetric InfoNCE over all placements in the batch (van den Oord et al. 2018).

    The classes of a clip are all displacements on all tiles, those of a tile all displacements of all clips. Several
    may be right (`right_places`); their probabilities add up. Mean of both directions.
    """
    hits = log_scores.masked_fill(~right, -inf)
    missed = [
        (all_of.flatten(1).logsumexp(dim=1) - hit.flatten(1).logsumexp(dim=1)).mean()
        for all_of, hit in ((log_scores, hits), (log_scores.transpose(0, 1), hits.transpose(0, 1)))
    ]
    return (missed[0] + missed[1]) / 2


def soft_margin(
    scores: Float[Tensor, "clips clips steps steps"],
    right: Bool[Tensor, "clips clips steps steps"],
    margin_scale: float,
) -> Float[Tensor, ""]:
    """Soft-margin triplet loss over all negatives in both directions (paper, section 3.4); tile i belongs to clip i.

    The distance of a pair is 2 - 2 s with s its best score. A pair is negative if the tile holds no right placement of
    the clip.
    """
    distance = 2 - 2 * scores.flatten(-2).amax(dim=-1)
    positive = distance.diagonal()
    of_tiles = functional.softplus(margin_scale * (positive.unsqueeze(1) - distance))
    of_clips = functional.softplus(margin_scale * (positive.unsqueeze(0) - distance))
    negatives = ~right.flatten(-2).any(dim=-1)
    return ((of_tiles + of_clips) * negatives).sum() / (2 * negatives.sum().clamp(min=1))


def right_places(
    offset_m: Float[Tensor, "clips 2"], xy_m: Float[Tensor, "clips 2"], grid: Grid, radius_m: float
) -> Bool[Tensor, "clips clips steps steps"]:
    """The placements, displacement by tile, that lie within ``radius_m`` of where each clip really stands.

    Imagery is misregistered by metres, so that several are right.

    Clip i stands on tile i, ``offset_m`` from its centre, and at ``xy_m`` in a frame common to the batch. The cells of
    ``grid`` are the displacements; those around a clip's offset on its own tile are right in any case.
    """
    center_xy_m = xy_m - offset_m
    place_xy_m = center_xy_m[:, None, None] + grid.cell_centers_xy_m().to(xy_m)
    right: Tensor = torch.linalg.vector_norm(place_xy_m - xy_m[:, None, None, None], dim=-1) <= radius_m
    own = torch.arange(len(xy_m), device=xy_m.device)
    right[own, own] |= (bilinear_target(offset_m, grid) > 0).reshape(-1, grid.rows, grid.cols)
    return right


def displacement(
    log_scores: Float[Tensor, "clips steps steps"], offset_m: Float[Tensor, "clips 2"], grid: Grid
) -> Float[Tensor, ""]:
    """Cross-entropy of the true displacement (east, north), distributed bilinearly over the four nearest cells.

    Offsets outside the window are clamped to its edge.
    """
    target = bilinear_target(offset_m, grid)
    return -(target * log_scores.flatten(-2).log_softmax(dim=-1)).sum(dim=-1).mean()


def label_shares(
    logits: Float[Tensor, "n labels rows cols"],
    shares: UInt8[Tensor, "n labels rows cols"],
    seen: Bool[Tensor, "n rows cols"] | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy of each label's share of a cell (255 is all of it), mean of the visible cells."""
    entropy = functional.binary_cross_entropy_with_logits(logits.float(), shares / 255, reduction="none").sum(dim=1)
    return entropy.mean() if seen is None else entropy[seen].mean()


def bilinear_target(offset_m: Float[Tensor, "clips 2"], grid: Grid) -> Float[Tensor, "clips cells"]:
    """Bilinear weights of the grid's cells: they sum to one, and their mean position is the offset."""
    row, col = grid.row_col(offset_m).unbind(-1)
    rows = _shares(row, grid.rows)
    cols = _shares(col, grid.cols)
    return (rows.unsqueeze(-1) * cols.unsqueeze(-2)).flatten(-2)


def _shares(index: Tensor, size: int) -> Tensor:
    """Linear interpolation weights [n, size] of fractional indices, clamped to the range."""
    inside = index.clamp(0, size - 1).unsqueeze(-1)
    return (1 - (torch.arange(size, device=index.device, dtype=index.dtype) - inside).abs()).clamp(min=0)
