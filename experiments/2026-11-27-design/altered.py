"""Other ways to build and train the network, for the comparison in design.py: they stand here, not in the package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import radians
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvlnet import trainer
from cvlnet.config import ModelConfig, TrainConfig
from cvlnet.data.clips import turned
from cvlnet.geometry import Camera, Pose
from cvlnet.grid import Grid
from cvlnet.losses import bilinear_target
from cvlnet.model.backbone import EfficientNetLite0, Vgg16
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.encoder import PaperEncoder, Pyramid
from cvlnet.model.match import match
from cvlnet.model.project import ProjectedFrames, project_to_ground
from cvlnet.model.projections import FeatureProjection
from cvlnet.types import Clip, ClipFeatures, MapFeatures

WRONG_HEADINGS_DEG = (-10.0, -5.0, 5.0, 10.0)
NEAREST_M, FARTHEST_M, DEPTHS = 3.0, 80.0, 24


class Same(nn.Module):
    """Another module's layers, which this one does not own: they are learned and stored once."""

    def __init__(self, owner: Pyramid | PaperEncoder) -> None:
        super().__init__()
        self.owner = (owner,)  # in a tuple, so that PyTorch does not take it for a part
        self.stride, self.first_center_px = owner.stride, owner.first_center_px

    @property
    def backbone(self) -> EfficientNetLite0 | Vgg16:
        """The owner's."""
        return self.owner[0].backbone

    def forward(self, images: Tensor) -> Tensor:
        """As the owner encodes them."""
        return torch.as_tensor(self.owner[0](images))


@contextmanager
def one_encoder() -> Iterator[None]:
    """Both views are encoded by the same layers."""

    def shared(**parts: Any) -> CVLNet:
        return CVLNet(**(parts | {"overhead_encoder": Same(parts["ground_encoder"])}))

    with patch("cvlnet.model.build.CVLNet", shared):
        yield


@contextmanager
def standardised_images() -> Iterator[None]:
    """Every picture has the same mean and contrast, channel by channel, before it is encoded."""
    plain = CVLNet.normalize

    def normalize(model: CVLNet, images: Tensor) -> Tensor:
        x = plain(model, images)
        mean = x.mean(dim=(-2, -1), keepdim=True)
        sigma = x.std(dim=(-2, -1), keepdim=True).clamp(min=0.02)
        return ((x - mean) / sigma * 0.22 + 0.45).contiguous(memory_format=torch.channels_last)

    with patch.object(CVLNet, "normalize", normalize):
        yield


class DepthProjection(FeatureProjection):
    """A feature counts at a point as far as its pixel is taken to show something at the point's distance.

    A distribution over distances is learned for every pixel (Philion and Fidler 2020, lift).
    """

    def __init__(self, channels: int, heights_m: tuple[float, ...]) -> None:
        super().__init__(heights_m)
        self.distance = nn.Conv2d(channels, DEPTHS, 1)

    def forward(
        self, encoder: Pyramid | PaperEncoder, encoded: Tensor, camera: Camera, ground_from_cam: Pose, grid: Grid
    ) -> ProjectedFrames:
        """Features of the frames on ``grid``."""
        stride, first_px = encoder.stride, encoder.first_center_px
        clips, frames = encoded.shape[:2]
        shares_px = self.distance(encoded.flatten(0, 1).float()).softmax(dim=1)
        shares_px = shares_px.reshape(clips, frames, *shares_px.shape[1:])
        both = torch.cat([encoded, shares_px.to(encoded.dtype)], dim=2)
        sampled = project_to_ground(both, camera, ground_from_cam, grid, stride, first_px, self.heights_m)
        channels = encoded.shape[2]
        by_height = sampled.features.reshape(clips, frames, -1, channels + DEPTHS, grid.rows, grid.cols)
        features, shares = by_height[:, :, :, :channels], by_height[:, :, :, channels:]
        distance_m = sampled.ray_m.norm(dim=2).clamp(NEAREST_M, FARTHEST_M)
        place = (distance_m / NEAREST_M).log() / torch.tensor(FARTHEST_M / NEAREST_M).log() * (DEPTHS - 1)
        bins = torch.arange(DEPTHS, device=place.device)[:, None, None]
        near = (1 - (place.unsqueeze(2) - bins).abs()).clamp(min=0)  # linear between two distances
        share = (shares * near.unsqueeze(2)).sum(dim=3, keepdim=True) * DEPTHS
        return ProjectedFrames((features * share).flatten(2, 3), sampled.visible, sampled.ray_m)


@contextmanager
def learned_lift() -> Iterator[None]:
    """Every pixel has learned distances."""

    def projection(config: ModelConfig) -> DepthProjection:
        return DepthProjection(config.channels, config.heights_m)

    with patch("cvlnet.model.build._projection", projection):
        yield


@contextmanager
def heading_supervised() -> Iterator[None]:
    """Trained, besides, to prefer at the true place the clip's own heading to wrong ones."""
    batch_losses = trainer.batch_losses
    of_step: list[list[ClipFeatures]] = []

    def clip_features(model: CVLNet, clip: Clip) -> tuple[Tensor, Tensor]:
        encoded = model.encode_frames(clip.images)
        if model.training:
            wrong = [turned(clip, radians(angle_deg)).ground_from_cam for angle_deg in WRONG_HEADINGS_DEG]
            of_step.append([model.describe_clips(*model.fuse_frames(encoded, clip.camera, pose)) for pose in wrong])
        return model.fuse_frames(encoded, clip.camera, clip.ground_from_cam)

    def with_heading(
        model: CVLNet, encoded: trainer.Encoded, truth: trainer.Truth, config: TrainConfig
    ) -> dict[str, Tensor]:
        maps = MapFeatures(encoded.tile_descriptor, encoded.tile_uncertainty, model.map_grid)
        right = ClipFeatures(encoded.clip_descriptor, encoded.clip_weight, model.clip_grid)
        of_headings = []
        for clips in (right, *of_step.pop()):
            volume = match(clips, maps)
            own = (volume.scores * encoded.sharpness).diagonal().permute(2, 0, 1).flatten(-2)
            of_headings.append((own * bilinear_target(truth.offset_m, volume.grid)).sum(dim=-1))
        log_scores = torch.stack(of_headings, dim=-1)
        first = torch.zeros(len(log_scores), dtype=torch.long, device=log_scores.device)
        heading = functional.cross_entropy(log_scores, first)
        return batch_losses(model, encoded, truth, config) | {"heading": heading}

    with patch.object(CVLNet, "clip_features", clip_features), patch.object(trainer, "batch_losses", with_heading):
        yield
