"""CVLNet: encode the map once, encode a clip, match (Shi, Yu, Wang, Li, ACCV 2022, arXiv 2208.03660)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from cvlnet.data.images import ImageSpec
from cvlnet.geometry import Camera, Pose
from cvlnet.grid import Grid
from cvlnet.labels import LABELS
from cvlnet.model.backbone import EfficientNetLite0, Vgg16
from cvlnet.model.encoder import PaperEncoder, Pyramid
from cvlnet.model.layers import convolutions
from cvlnet.model.network import MatchingNetwork, in_its_precision
from cvlnet.model.projections import PolarProjection, PolarView, Projection
from cvlnet.types import Clip, ClipFeatures, MapFeatures


class CVLNet(MatchingNetwork):
    """The whole network: two encoders, GVP, PCSF and SSM.

    The trunks give ``channels`` features of every cell, from which descriptors and labels follow.
    image_spec: size of the frames. tile_grid: the overhead image's pixels around the tile's centre.
    clip_cells: side of the clip's grid, in cells of the encoder's stride. uncertainty: scores are divided by it.
    A polar projection compares panoramas of half as many rows and four times as many columns.
    """

    def __init__(
        self,
        ground_encoder: Pyramid | PaperEncoder,
        overhead_encoder: Pyramid | PaperEncoder,
        projection: Projection,
        fusion: nn.Module,
        ground_trunk: nn.Module,
        overhead_trunk: nn.Module,
        channels: int,
        descriptor_channels: int,
        image_spec: ImageSpec,
        tile_grid: Grid,
        clip_cells: int,
        uncertainty: bool,
    ) -> None:
        super().__init__()
        self.ground_encoder = ground_encoder
        self.overhead_encoder = overhead_encoder
        self.projection = projection
        self.fusion = fusion
        self.ground_trunk = ground_trunk
        self.overhead_trunk = overhead_trunk
        self.ground_head = nn.Conv2d(channels, descriptor_channels + 1, 3, padding=1)
        self.overhead_head = nn.Conv2d(channels, descriptor_channels, 3, padding=1)
        self.uncertainty_head = convolutions(channels, channels, 1) if uncertainty else None
        self.ground_labels = nn.Conv2d(channels, LABELS, 1)
        self.overhead_labels = nn.Conv2d(channels, LABELS, 1)
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(20.0)))
        self.image_spec = image_spec
        self.tile_grid = tile_grid
        stride = overhead_encoder.stride
        self.map_grid = feature_grid(tile_grid, stride, overhead_encoder.first_center_px)
        self.clip_grid = Grid(clip_cells, clip_cells, self.map_grid.cell_m, self.map_grid.center_xy_m)
        self.overhead_view: nn.Module = nn.Identity()
        if isinstance(projection, PolarProjection):
            self.map_grid = self.clip_grid = Grid(clip_cells // 2, 4 * clip_cells, self.map_grid.cell_m)
            rows, cols = self.map_grid.rows * stride, self.map_grid.cols * stride
            self.overhead_view = PolarView(tile_grid, rows, cols, self.map_grid.rows * self.map_grid.cell_m)

    @property
    def is_metric(self) -> bool:
        """Whether cells lie evenly over the ground, so that a larger map is encoded as a tile is."""
        return not isinstance(self.projection, PolarProjection)

    @property
    def backbones(self) -> tuple[EfficientNetLite0 | Vgg16, ...]:
        """Of the ground and of the overhead encoder."""
        return self.ground_encoder.backbone, self.overhead_encoder.backbone

    @in_its_precision
    def overhead_features(self, images: UInt8[Tensor, "n 3 height width"]) -> Float[Tensor, "n channels rows cols"]:
        """What the cells of overhead images are, RGB, north up; sides are multiples of 16 pixels."""
        return torch.as_tensor(self.overhead_trunk(self.overhead_encoder(self.overhead_view(self.normalize(images)))))

    @in_its_precision
    def describe_overhead(
        self, features: Float[Tensor, "n channels rows cols"]
    ) -> tuple[Float[Tensor, "n descriptor rows cols"], Float[Tensor, "n corner_rows corner_cols"]]:
        """Descriptors of `overhead_features`, and the uncertainty of a vehicle where four cells meet."""
        descriptor = bounded(self.overhead_head(features).float())
        if self.uncertainty_head is None:
            rows, cols = features.shape[-2:]
            return descriptor, descriptor.new_ones(len(features), rows - 1, cols - 1)
        corners = functional.avg_pool2d(self.uncertainty_head(features), 2, stride=1)[:, 0]
        return descriptor, (corners.float().tanh() * math.log(2.0)).exp()

    def encode_overhead(
        self, images: UInt8[Tensor, "n 3 height width"]
    ) -> tuple[Float[Tensor, "n descriptor rows cols"], Float[Tensor, "n corner_rows corner_cols"]]:
        """Descriptors and uncertainty of overhead images with the pixels of ``tile_grid``, of any size."""
        return self.describe_overhead(self.overhead_features(images))

    def describe_tiles(self, features: Float[Tensor, "tiles channels rows cols"]) -> MapFeatures:
        """What is compared, of the `overhead_features` of tiles drawn on ``tile_grid``."""
        return self._of_tiles(*self.describe_overhead(features))

    def encode_map(self, tiles: UInt8[Tensor, "tiles 3 rows cols"]) -> MapFeatures:
        """Features of overhead images, RGB, north up, drawn on ``tile_grid``."""
        return self._of_tiles(*self.encode_overhead(tiles))

    def _of_tiles(self, descriptor: Tensor, uncertainty: Tensor) -> MapFeatures:
        """With the uncertainty of the displacements of the window alone."""
        row, col = self.clip_grid.rows // 2 - 1, self.clip_grid.cols // 2 - 1
        return MapFeatures(descriptor, uncertainty[:, row:-row, col:-col], self.map_grid)

    @in_its_precision
    def encode_frames(self, images: UInt8[Tensor, "*batch 3 height width"]) -> Float[Tensor, "*batch channels h w"]:
        """What of frames does not depend on where they were taken; `fuse_frames` takes it up."""
        flat = self.projection.encode(self.ground_encoder, self.normalize(images.flatten(0, -4)))
        return flat.reshape(*images.shape[:-3], *flat.shape[1:])

    @in_its_precision
    def fuse_frames(
        self, encoded: Float[Tensor, "clips frames channels h w"], camera: Camera, ground_from_cam: Pose
    ) -> tuple[Float[Tensor, "clips channels2 rows cols"], Bool[Tensor, "clips rows cols"]]:
        """What the cells of the overhead grid around the vehicle are, and which of them a frame sees."""
        projected = self.projection(self.ground_encoder, encoded, camera, ground_from_cam, self.clip_grid)
        return self.ground_trunk(self.fusion(projected)), projected.visible.any(dim=1)

    def clip_features(
        self, clip: Clip
    ) -> tuple[Float[Tensor, "clips channels rows cols"], Bool[Tensor, "clips rows cols"]]:
        """`fuse_frames` of a clip's frames."""
        return self.fuse_frames(self.encode_frames(clip.images), clip.camera, clip.ground_from_cam)

    @in_its_precision
    def describe_clips(
        self, features: Float[Tensor, "clips channels rows cols"], seen: Bool[Tensor, "clips rows cols"]
    ) -> ClipFeatures:
        """What is compared, of `clip_features`; the last channel described says how much a cell counts."""
        described = self.ground_head(features).float()
        weight = described[:, -1].sigmoid() * seen
        return ClipFeatures(bounded(described[:, :-1]) * seen.unsqueeze(1), weight, self.clip_grid)

    def encode_clip(self, clip: Clip) -> ClipFeatures:
        """Features of clips, [clips, frames, ...], on the overhead grid around the vehicle."""
        return self.describe_clips(*self.clip_features(clip))

    def normalize(self, images: UInt8[Tensor, "n 3 height width"]) -> Float[Tensor, "n 3 height width"]:
        """RGB bytes to [0, 1], laid out channels last."""
        return (images.to(self.log_sharpness.dtype) / 255).contiguous(memory_format=torch.channels_last)


def bounded(descriptor: Float[Tensor, "n channels rows cols"]) -> Float[Tensor, "n channels rows cols"]:
    """Each cell's descriptor, shortened to less than one: how long it is says how much the cell counts."""
    return descriptor / (1 + descriptor.square().sum(dim=1, keepdim=True)).sqrt()


def feature_grid(pixels: Grid, stride: int, first_center_px: float) -> Grid:
    """Where the features of an image with these pixels lie: true centres, so not always around the image's own."""
    cells = pixels.resampled(stride)
    shift_m = (first_center_px - stride / 2) * pixels.cell_m
    east_m, north_m = pixels.center_xy_m
    return Grid(cells.rows, cells.cols, cells.cell_m, (east_m + shift_m, north_m - shift_m))
