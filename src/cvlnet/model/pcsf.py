"""PCSF, photo-consistency constrained sequence fusion: one map from the features of all frames (section 3.2).

What lies on the road plane looks the same in every frame; what stands on it or moves does not. In each cell the frames
are weighted by a visibility, learned from their features, their agreement with the other frames, and the direction and
distance of view.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cvlnet.model.gvp import ProjectedFrames
from cvlnet.model.layers import convolutions

_RANGE_SCALE_M = 20.0  # brings distances to the order of one
_SHORTEST = 1e-12  # shorter features have no direction


class VisibilityFusion(nn.Module):
    """Weighted mean over frames, with weights from a softmax over the frames that see the cell.

    projected: number of channels of the frames' features at all heights. channels: those of the fused map.
    """

    def __init__(self, projected: int, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(projected + 3, channels, 1)
        self.visibility = convolutions(channels + 4, channels, 1)

    def forward(self, frames: ProjectedFrames) -> Float[Tensor, "clips channels rows cols"]:
        """The fused map; zero where no frame sees the ground."""
        clips, count = frames.features.shape[:2]
        view = view_encoding(frames.ray_m)
        seen = frames.visible.unsqueeze(2)
        mixed = self.mix(torch.cat([frames.features, view], dim=2).flatten(0, 1)).unflatten(0, (clips, count))
        mixed = mixed * seen
        agreement = photo_consistency(frames.features, frames.visible).unsqueeze(2)
        evidence = torch.cat([mixed, view * seen, agreement], dim=2).flatten(0, 1)
        logit = self.visibility(evidence).unflatten(0, (clips, count)).squeeze(2)
        weight = visible_softmax(logit, frames.visible).unsqueeze(2)
        return torch.sum(weight * mixed, dim=1)


class SequenceFusion(nn.Module):
    """One of the fusions of `cvlnet.model.variants.sequences`, on the frames' features, as in the paper.

    consistency: adds their photo-consistency as two channels, each frame's own and the mean over frames.
    """

    def __init__(self, fusion: nn.Module, *, consistency: bool) -> None:
        super().__init__()
        self.fusion, self.consistency = fusion, consistency

    def forward(self, frames: ProjectedFrames) -> Float[Tensor, "clips channels rows cols"]:
        """The fused map."""
        inputs = frames.features
        if self.consistency:
            agreement = photo_consistency(inputs, frames.visible).unsqueeze(2)
            inputs = torch.cat([inputs, agreement, agreement.mean(dim=1, keepdim=True).expand_as(agreement)], dim=2)
        return torch.as_tensor(self.fusion(inputs, frames.visible))


def photo_consistency(
    features: Float[Tensor, "clips frames channels rows cols"], visible: Bool[Tensor, "clips frames rows cols"]
) -> Float[Tensor, "clips frames rows cols"]:
    """Mean cosine of each frame's feature with those of the other frames that see the cell; 0 if none does."""
    clips, frames, _, rows, cols = features.shape
    at_cells = features.float().permute(0, 3, 4, 1, 2).flatten(0, 2)
    seen = visible.permute(0, 2, 3, 1).flatten(0, 2)
    with torch.autocast(features.device.type, enabled=False):
        products = at_cells @ at_cells.mT
    scale = seen / products.diagonal(dim1=1, dim2=2).clamp(min=_SHORTEST**2).sqrt()
    cosines = products * scale.unsqueeze(2) * scale.unsqueeze(1)
    with_others = cosines.sum(dim=2) - cosines.diagonal(dim1=1, dim2=2)
    others = seen.sum(dim=1, keepdim=True) - seen.to(torch.int64)
    mean: Tensor = with_others / others.clamp(min=1)
    return mean.reshape(clips, rows, cols, frames).permute(0, 3, 1, 2)


def visible_softmax(
    logit: Float[Tensor, "clips frames rows cols"], visible: Bool[Tensor, "clips frames rows cols"]
) -> Float[Tensor, "clips frames rows cols"]:
    """Softmax over the frames that see a cell; zero where none does."""
    masked = logit.masked_fill(~visible, torch.finfo(logit.dtype).min)
    return masked.softmax(dim=1) * visible


def view_encoding(ray_m: Float[Tensor, "clips frames 2 rows cols"]) -> Float[Tensor, "clips frames 3 rows cols"]:
    """Direction of view (east, north) and logarithm of its distance, each of order one."""
    distance_m = ray_m.norm(dim=2, keepdim=True).clamp(min=1e-3)
    return torch.cat([ray_m / distance_m, (distance_m / _RANGE_SCALE_M).log().clamp(min=-3.0)], dim=2)
