"""GVP, geometry-driven view projection: the features of frames on the overhead grid (section 3.1).

Every cell of the grid is a point of the road plane (z = 0 of the clip's ground frame). It is projected into each frame
by pose and camera, and the frame's features are sampled there bilinearly. Beyond the paper, points above the cell are
sampled in the same way, where objects that stand on the ground appear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from cvlnet.geometry import Camera, Pose
from cvlnet.grid import Grid


@dataclass(frozen=True)
class ProjectedFrames:
    """Features of every frame on the overhead grid.

    features: concatenated over the heights, zero where the point is outside the image.
    visible: whether the cell's ground point lies in the image.
    ray_m: from the point below the camera to the cell, (east, north).
    """

    features: Float[Tensor, "clips frames channels rows cols"]
    visible: Bool[Tensor, "clips frames rows cols"]
    ray_m: Float[Tensor, "clips frames 2 rows cols"]


def project_to_ground(
    features: Float[Tensor, "clips frames channels height width"],
    camera: Camera,
    ground_from_cam: Pose,
    grid: Grid,
    stride: int,
    first_center_px: float,
    heights_m: Sequence[float] = (0.0,),
) -> ProjectedFrames:
    """Sample features at the ground points of a grid, and at those above them.

    camera: of the images that were encoded, [clips, frames]; the feature at index i of a row is centred at pixel
    coordinate ``stride * i + first_center_px``. Between the outermost centres and the image's edge the outermost
    features are used. heights_m: of the sampled planes above the road; the first one is the road, 0.
    """
    clips, frames, channels = features.shape[:3]
    like = ground_from_cam.translation_m
    with torch.autocast(like.device.type, enabled=False):  # positions must not be rounded
        xy_m = grid.cell_centers_xy_m(like.dtype).to(like.device).reshape(-1, 2)
        xyz_m = torch.cat([functional.pad(xy_m, (0, 1), value=height_m) for height_m in heights_m])
        xyz_cam_m = ground_from_cam.inverse().transform(xyz_m.expand(clips, frames, -1, 3))
        xy_px, visible = camera.project(xyz_cam_m)
    index = (xy_px - first_center_px) / stride
    sampled = _sample(features.flatten(0, 1).float(), index.flatten(0, 1))
    sampled = sampled.reshape(clips, frames, channels, len(heights_m), grid.rows, grid.cols)
    seen = visible.reshape(clips, frames, len(heights_m), grid.rows, grid.cols)
    ray_m = (xy_m - ground_from_cam.translation_m[..., None, :2]).mT
    return ProjectedFrames(
        (sampled * seen.unsqueeze(2)).transpose(2, 3).flatten(2, 3),
        seen[:, :, 0],
        ray_m.reshape(clips, frames, 2, grid.rows, grid.cols),
    )


def _sample(features: Tensor, index_xy: Tensor) -> Tensor:
    """Bilinear values [n, channels, points] at fractional feature indices (x, y), [n, points, 2]."""
    size = torch.tensor([features.shape[-1], features.shape[-2]], dtype=index_xy.dtype, device=index_xy.device)
    normalized = (2 * index_xy + 1) / size - 1
    sampled = functional.grid_sample(
        features, normalized.unsqueeze(1), mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled.squeeze(2)
