"""The plain baseline: the published network as its authors run it, in float32, image by image in memory order.

Its features and scores are those of the published code (`reference_parity.py`); its matching is by convolutions grouped
by clip, and its training step looks for anomalies, both as published.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cvlnet.config import ModelConfig
from cvlnet.model.published.network import PublishedVariant
from cvlnet.model.published.weights import PublishedNetwork
from cvlnet.types import Clip, ClipFeatures, MapFeatures
from samples import FRAMES, random_clips, random_tiles

LEAST_ENERGY = 1e-6
MARGIN_SCALE = 10.0


def published_network(frames: int = FRAMES) -> PublishedNetwork:
    """vis_LSTM with geometry, the paper's best, with random weights."""
    torch.manual_seed(0)
    return PublishedNetwork(PublishedVariant("vis_LSTM", "Geometry", stereo=False, frames=frames))


def match_by_convolution(clip: ClipFeatures, tiles: MapFeatures) -> Tensor:
    """The scores of `cvlnet.model.ssm`, [clips, tiles, steps, steps], by convolutions grouped by clip."""
    clips = len(clip.descriptor)
    weighted = clip.descriptor * clip.weight.unsqueeze(1)
    correlation = functional.conv2d(tiles.descriptor.repeat(1, clips, 1, 1), weighted, groups=clips)
    energy_of_cells = tiles.descriptor.square().sum(dim=1, keepdim=True).repeat(1, clips, 1, 1)
    energy = functional.conv2d(energy_of_cells, clip.weight.unsqueeze(1), groups=clips)
    clip_energy = (weighted * clip.descriptor).sum(dim=(1, 2, 3))
    similarity = correlation / (energy * clip_energy[:, None, None]).sqrt().clamp(min=LEAST_ENERGY)
    return (similarity / tiles.uncertainty.unsqueeze(1)).transpose(0, 1)


class PublishedTraining:
    """The published training step on a batch that lies in memory."""

    def __init__(self, samples: int, device: torch.device, frames: int = FRAMES) -> None:
        config = ModelConfig.paper_like()
        self.network = published_network(frames).to(device).train()
        self.clip: Clip = random_clips(config, samples, frames).to(device)
        self.tiles = random_tiles(self.network.tile_grid.rows, samples).to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-4)

    def step(self) -> float:
        """The loss."""
        with torch.autograd.set_detect_anomaly(True):
            scores = match_by_convolution(self.network.encode_clip(self.clip), self.network.encode_map(self.tiles))
            distance = 2 - 2 * scores.flatten(-2).amax(dim=-1)
            positive = distance.diagonal()
            negatives = ~torch.eye(len(distance), dtype=torch.bool, device=distance.device)
            of_tiles = functional.softplus(MARGIN_SCALE * (positive.unsqueeze(1) - distance))[negatives].mean()
            of_clips = functional.softplus(MARGIN_SCALE * (positive.unsqueeze(0) - distance))[negatives].mean()
            loss = (of_tiles + of_clips) / 2
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        return float(loss.detach())
