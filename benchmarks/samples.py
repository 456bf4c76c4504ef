"""Inputs of the right shapes for benchmarks: random pictures, a camera as KITTI's."""

from __future__ import annotations

import torch

from cvlnet.config import ModelConfig
from cvlnet.data.samples import Batch
from cvlnet.geometry import Camera, Pose
from cvlnet.types import Clip

FRAMES = 4
CONFIGURATIONS = {"EfficientNet-Lite0": ModelConfig(), "VGG16 (paper)": ModelConfig.paper_like()}


def random_clips(config: ModelConfig, clips: int, frames: int = FRAMES) -> Clip:
    """Clips of a vehicle that drives east, batch shape [clips, frames]."""
    size = (config.image_height_px, config.image_width_px)
    images = torch.randint(0, 256, (clips, frames, 3, *size), dtype=torch.uint8)
    focal_px = torch.full((clips, frames, 2), 0.58 * config.image_width_px)
    middle_px = torch.tensor([config.image_width_px / 2, config.image_height_px / 3]).expand(clips, frames, 2)
    level = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]).expand(clips, frames, 3, 3)
    behind_m = -2.0 * torch.arange(frames).expand(clips, frames)
    place_m = torch.stack([behind_m, 0 * behind_m, 0 * behind_m + 1.65], dim=-1)
    return Clip(images, Camera(focal_px, middle_px, size[1], size[0]), Pose(level, place_m))


def random_tiles(side_px: int, tiles: int) -> torch.Tensor:
    """Overhead crops, [tiles, 3, side, side]."""
    return torch.randint(0, 256, (tiles, 3, side_px, side_px), dtype=torch.uint8)


def random_batch(config: ModelConfig, side_px: int, samples: int, frames: int = FRAMES) -> Batch:
    """A training batch; vehicles stand at the tiles' centres, a hundred metres apart."""
    names = tuple(map(str, range(samples)))
    return Batch(
        clip=random_clips(config, samples, frames),
        tiles=random_tiles(side_px, samples),
        offset_m=torch.zeros(samples, 2),
        latlon_deg=torch.stack([torch.arange(samples) * 1e-3, torch.zeros(samples)], dim=-1).double(),
        crop_from_world=torch.eye(2, dtype=torch.float64).expand(samples, 2, 2),
        query_ids=names,
        tile_ids=names,
    )
