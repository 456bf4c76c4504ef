"""What training minimises: the right tile scores best, at the right displacement."""

from __future__ import annotations

from math import inf

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional

from cvlnet.grid import Grid

RIGHT_M = 5.0  # a fix as near as this is right, whatever the misregistration of the imagery


def info_nce(
    log_scores: Float[Tensor, "clips tiles steps steps"], right: Bool[Tensor, "clips tiles steps steps"]
) -> Float[Tensor, ""]:
    """How surely each clip is told its right places among all of the batch, and each tile its right clips.

    A cross-entropy (van den Oord et al. 2018) whose classes are places: every displacement on every tile. The right
    ones (see `right_places`) count together.
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

    A pair's similarity is its best score; distances are 2 - 2 similarity. Negative are tiles without a right place.
    """
    distance = 2 - 2 * scores.flatten(-2).amax(dim=-1)
    positive = distance.diagonal()
    of_tiles = functional.softplus(margin_scale * (positive.unsqueeze(1) - distance))
    of_clips = functional.softplus(margin_scale * (positive.unsqueeze(0) - distance))
    negatives = ~right.flatten(-2).any(dim=-1)
    return ((of_tiles + of_clips) * negatives).sum() / (2 * negatives.sum().clamp(min=1))


def right_places(
    offset_m: Float[Tensor, "clips 2"], xy_m: Float[Tensor, "clips 2"], grid: Grid, radius_m: float = RIGHT_M
) -> Bool[Tensor, "clips clips steps steps"]:
    """Which displacements (the cells of ``grid``) on which tiles are where a clip stands, to ``radius_m``.

    Clip i stands on tile i, ``offset_m`` from its centre, and at ``xy_m`` in a frame that all share. On its own tile
    the displacements around the offset are right, however far.
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
    """Cross-entropy of the true displacement (east, north), shared bilinearly by the four cells of ``grid`` around it.

    Offsets outside the window count as at its edge.
    """
    target = bilinear_target(offset_m, grid)
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
