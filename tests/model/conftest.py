"""Clips made by hand: a camera on a vehicle, looking over a road plane."""

import math

import pytest
import torch

from cvlnet.geometry import Camera, Pose
from cvlnet.types import Clip


@pytest.fixture
def body_from_cam() -> Pose:
    """KITTI's mounting: 1.08 m ahead, 0.26 m to the right, 1.65 m above the road, looking ahead."""
    rotation = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    return Pose(rotation, torch.tensor([1.08, -0.26, 1.65]))


@pytest.fixture
def make_clip(body_from_cam):
    """Clips of random pictures: vehicles with headings, having come straight at a pace of ``step_m`` a frame."""

    def make(yaw_rad, frames=4, width_px=128, height_px=64, step_m=2.0, shift_m=(0.0, 0.0), seed=0) -> Clip:
        yaw = torch.as_tensor(yaw_rad, dtype=torch.float32).reshape(-1, 1).expand(-1, frames)
        back = -step_m * torch.arange(frames, dtype=torch.float32)
        position = torch.stack([back * yaw.cos() + shift_m[0], back * yaw.sin() + shift_m[1], 0 * back * yaw], dim=-1)
        flat = torch.zeros_like(yaw)
        focal_px = width_px / 2 / math.tan(math.radians(40))
        camera = Camera(
            torch.full((*yaw.shape, 2), focal_px),
            torch.tensor([width_px / 2, height_px / 3]).expand(*yaw.shape, 2),
            width_px,
            height_px,
        )
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 256, (*yaw.shape, 3, height_px, width_px), dtype=torch.uint8, generator=generator)
        return Clip(images, camera, Pose.from_euler(flat, flat, yaw, position) @ body_from_cam)

    return make
