"""Projections of frames to the overhead grid: GVP, and the alternatives that the paper compares (section 5.2).

``encode`` does the part that does not depend on poses, once for each frame, from images in [0, 1]; ``forward`` computes
features on a grid around the vehicle from the frames' cameras and poses. In a running sequence, a frame is thus encoded
once.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from cvlnet.geometry import Camera, Pose
from cvlnet.grid import Grid
from cvlnet.model.encoder import PaperEncoder, Pyramid
from cvlnet.model.gvp import ProjectedFrames, project_to_ground

Images = Float[Tensor, "n 3 height width"]
Encoded = Float[Tensor, "clips frames channels height width"]
Encoder = Pyramid | PaperEncoder


class FrameProjection(nn.Module):
    """A projection that starts from the frames' features."""

    def encode(self, encoder: Encoder, images: Images) -> Float[Tensor, "n channels rows cols"]:
        """The frames' features."""
        return torch.as_tensor(encoder(images))


class FeatureProjection(FrameProjection):
    """GVP: encode, then sample the features on the ground and on further planes above it."""

    def __init__(self, heights_m: tuple[float, ...]) -> None:
        super().__init__()
        self.heights_m = heights_m

    def forward(
        self, encoder: Encoder, encoded: Encoded, camera: Camera, ground_from_cam: Pose, grid: Grid
    ) -> ProjectedFrames:
        """Features of the frames on ``grid``."""
        stride, first_px = encoder.stride, encoder.first_center_px
        return project_to_ground(encoded, camera, ground_from_cam, grid, stride, first_px, self.heights_m)


class ImageProjection(nn.Module):
    """Projection of the images: sample them on the ground, at a resolution finer than the grid, then encode."""

    def encode(self, _encoder: Encoder, images: Images) -> Images:
        """The images themselves, because their projection depends on poses."""
        return images

    def forward(
        self, encoder: Encoder, encoded: Encoded, camera: Camera, ground_from_cam: Pose, grid: Grid
    ) -> ProjectedFrames:
        """Features of the frames on ``grid``."""
        seen = project_to_ground(encoded, camera, ground_from_cam, pixels_below(grid, encoder), 1, 0.5)
        features = encoder(seen.features.flatten(0, 1)).unflatten(0, encoded.shape[:2])
        cells = project_to_ground(encoded[:, :, :1], camera, ground_from_cam, grid, 1, 0.5)
        return ProjectedFrames(features * cells.visible.unsqueeze(2), cells.visible, cells.ray_m)


class LearnedProjection(FrameProjection):
    """Learned, without geometry: ``warp`` turns a frame's features into a map, far rows first, which is rotated north.

    Of the poses only the heading is used, and every cell is visible.
    """

    def __init__(self, warp: nn.Module) -> None:
        super().__init__()
        self.warp = warp

    def forward(
        self, _encoder: Encoder, encoded: Encoded, _camera: Camera, ground_from_cam: Pose, grid: Grid
    ) -> ProjectedFrames:
        """Features of the frames on ``grid``."""
        clips, frames = encoded.shape[:2]
        size = (grid.rows // 2, 2 * grid.cols)
        picture = functional.interpolate(encoded.flatten(0, 1).float(), size, mode="bilinear")
        east, north = ground_from_cam.rotation[..., :2, 2].flatten(0, 1).unbind(dim=-1)
        turned = turn_north(self.warp(picture), torch.atan2(north, east))
        cells_m = grid.cell_centers_xy_m(torch.float32).to(encoded.device).permute(2, 0, 1)
        return ProjectedFrames(
            turned.reshape(clips, frames, *turned.shape[1:]),
            torch.ones(clips, frames, grid.rows, grid.cols, dtype=torch.bool, device=encoded.device),
            cells_m - ground_from_cam.translation_m[..., :2, None, None].float(),
        )


class PolarProjection(FrameProjection):
    """No projection: the frame's columns are resampled to azimuths, clockwise from north, its rows to the grid's.

    The map is drawn as a panorama instead, by `PolarView`. The positions of frames are not used.
    """

    def forward(
        self, encoder: Encoder, encoded: Encoded, camera: Camera, ground_from_cam: Pose, grid: Grid
    ) -> ProjectedFrames:
        """Features of the frames on a grid whose columns are azimuths."""
        clips, frames, width = *encoded.shape[:2], encoded.shape[-1]
        east_north = polar_directions(grid.cols).to(encoded.device)
        ahead = ground_from_cam.rotation[..., :2, 2].float()
        right = torch.stack([ahead[..., 1], -ahead[..., 0]], dim=-1)
        with torch.autocast(encoded.device.type, enabled=False):  # positions must not be rounded
            depth, aside = ahead @ east_north, right @ east_north  # [clips, frames, cols]
        x_px = aside / depth.clamp(min=1e-3) * camera.focal_px[..., :1] + camera.principal_point_px[..., :1]
        visible = (depth > 0) & (x_px >= 0) & (x_px <= camera.width_px)
        x = 2 * ((x_px - encoder.first_center_px) / encoder.stride + 0.5) / width - 1
        y = torch.linspace(-1, 1, 2 * grid.rows + 1, device=encoded.device)[1::2]
        size = (clips * frames, grid.rows, grid.cols)
        places = torch.stack([x.reshape(-1, 1, grid.cols).expand(size), y.unsqueeze(-1).expand(size)], dim=-1)
        sampled = functional.grid_sample(
            encoded.flatten(0, 1).float(), places, padding_mode="border", align_corners=False
        )
        seen = visible.unsqueeze(2).expand(clips, frames, grid.rows, grid.cols)
        range_m = grid.cell_m * torch.arange(grid.rows, 0, -1, device=encoded.device) - grid.cell_m / 2
        ray_m = east_north[:, None, :] * range_m[:, None]
        return ProjectedFrames(
            sampled.reshape(clips, frames, *sampled.shape[1:]) * seen.unsqueeze(2),
            seen.contiguous(),
            ray_m.expand(clips, frames, *ray_m.shape),
        )


class PolarView(nn.Module):
    """An overhead image as a panorama around its centre: azimuths clockwise from north, far rows first.

    Square images on the grid ``pixels``; the panorama has ``rows`` x ``cols`` pixels, the upper edge at ``radius_m``.
    """

    places: Tensor

    def __init__(self, pixels: Grid, rows: int, cols: int, radius_m: float) -> None:
        super().__init__()
        range_m = radius_m * (torch.arange(rows, 0, -1) - 0.5) / rows
        xy = polar_directions(cols)[:, None, :] * range_m[:, None] / (pixels.size_m[0] / 2)
        self.register_buffer("places", torch.stack([xy[0], -xy[1]], dim=-1), persistent=False)

    def forward(self, images: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n 3 rows cols"]:
        """The panoramas."""
        places = self.places.to(images.dtype).expand(len(images), -1, -1, -1)
        return functional.grid_sample(images, places, align_corners=False).contiguous(memory_format=torch.channels_last)


class UnetWarp(nn.Module):
    """The published U-Net from a wide picture, [n, c, side / 2, 2 side], to a square map, [n, c, side, side].

    At its coarsest scale the picture is reinterpreted as a map in memory order. side: a multiple of 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(channels, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)])
        self.up = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in ((64, 32), (32, 32), (32, channels)))

    def forward(self, picture: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n channels rows cols"]:
        """The map."""
        x = picture
        for conv in self.down:
            x = functional.max_pool2d(conv(x.relu()), 2)
        side = x.shape[-1] // 2
        x = self.up[0](x.reshape(len(x), -1, side, side).relu())
        x = self.up[1](functional.interpolate(x, (2 * side, 2 * side)).relu())
        return torch.as_tensor(self.up[2](functional.interpolate(x, (4 * side, 4 * side)).relu()))


class ReshapeWarp(nn.Module):
    """A wide picture, [n, c, side / 2, 2 side], reinterpreted as a square map in memory order."""

    def forward(self, picture: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n channels rows cols"]:
        """The map."""
        side = picture.shape[-1] // 2
        return picture.reshape(*picture.shape[:2], side, side)


def polar_directions(cols: int) -> Float[Tensor, "2 cols"]:
    """Unit vectors (east, north) of a panorama's columns: azimuths clockwise from north."""
    azimuth_rad = 2 * torch.pi * (torch.arange(cols) + 0.5) / cols
    return torch.stack([azimuth_rad.sin(), azimuth_rad.cos()])


def pixels_below(grid: Grid, encoder: Encoder) -> Grid:
    """The pixel grid of an overhead picture whose features, by this encoder, lie at the cells of ``grid``."""
    stride = encoder.stride
    pixel_m = grid.cell_m / stride
    shift_m = (encoder.first_center_px - stride / 2) * pixel_m
    east_m, north_m = grid.center_xy_m
    return Grid(grid.rows * stride, grid.cols * stride, pixel_m, (east_m - shift_m, north_m + shift_m))


def turn_north(
    maps: Float[Tensor, "n channels rows cols"], yaw_rad: Float[Tensor, " n"]
) -> Float[Tensor, "n channels rows cols"]:
    """Rotate maps whose first row lies ahead of the vehicle in their middle to north up; zero outside."""
    sin, cos = yaw_rad.sin(), yaw_rad.cos()
    zero = torch.zeros_like(sin)
    # a cell to the east and north of the middle lies to the right and ahead of it, as grid_sample counts (x, y)
    rows = torch.stack([torch.stack([sin, cos, zero], dim=-1), torch.stack([-cos, sin, zero], dim=-1)], dim=1)
    places = functional.affine_grid(rows, list(maps.shape), align_corners=False)
    return functional.grid_sample(maps, places, align_corners=False)


Projection = FeatureProjection | ImageProjection | LearnedProjection | PolarProjection
