"""CVLNet: encode the map once, encode a clip, match (Shi, Yu, Wang, Li, ACCV 2022, arXiv 2208.03660)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from cvlnet.geometry import Camera, Pose
from cvlnet.grid import Grid
from cvlnet.image_spec import ImageSpec
from cvlnet.labels import LABELS
from cvlnet.model.backbone import EfficientNetLite0, Vgg16
from cvlnet.model.encoder import PaperEncoder, Pyramid
from cvlnet.model.layers import convolutions
from cvlnet.model.network import MatchingNetwork, in_its_precision
from cvlnet.model.variants.projections import PolarProjection, PolarView, Projection
from cvlnet.types import Clip, ClipFeatures, MapFeatures


class CVLNet(MatchingNetwork):
    """The whole network: two encoders, GVP, PCSF and SSM.

    Descriptors and labels are computed from the ``channels`` features that the trunks return for every cell.
    image_spec: size of the frames. tile_grid: pixels of the overhead image around the tile's centre. clip_cells: side
    of the clip's grid, in cells of the encoder's stride. uncertainty: whether scores are divided by a learned one.
    With a polar projection, panoramas with half as many rows and four times as many columns are compared.
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
        """Whether cells form a metric grid on the ground, so that whole regions can be encoded like a tile."""
        return not isinstance(self.projection, PolarProjection)

    @property
    def backbones(self) -> tuple[EfficientNetLite0 | Vgg16, ...]:
        """The backbones of the ground and the overhead encoder."""
        return self.ground_encoder.backbone, self.overhead_encoder.backbone

    @in_its_precision
    def overhead_features(self, images: UInt8[Tensor, "n 3 height width"]) -> Float[Tensor, "n channels rows cols"]:
        """Features of overhead images, RGB, north up, whose sides are multiples of 16 pixels."""
        return torch.as_tensor(self.overhead_trunk(self.overhead_encoder(self.overhead_view(self.normalize(images)))))

    @in_its_precision
    def describe_overhead(
        self, features: Float[Tensor, "n channels rows cols"]
    ) -> tuple[Float[Tensor, "n descriptor rows cols"], Float[Tensor, "n corner_rows corner_cols"]]:
        """Descriptors from `overhead_features`, and the uncertainty of a vehicle at the cells' inner corners."""
        descriptor = bounded(self.overhead_head(features).float())
        if self.uncertainty_head is None:
            rows, cols = features.shape[-2:]
            return descriptor, descriptor.new_ones(len(features), rows - 1, cols - 1)
        corners = functional.avg_pool2d(self.uncertainty_head(features), 2, stride=1)[:, 0]
        return descriptor, (corners.float().tanh() * math.log(2.0)).exp()

    def encode_overhead(
        self, images: UInt8[Tensor, "n 3 height width"]
    ) -> tuple[Float[Tensor, "n descriptor rows cols"], Float[Tensor, "n corner_rows corner_cols"]]:
        """Descriptors and uncertainty of overhead images of any size, at the resolution of ``tile_grid``."""
        return self.describe_overhead(self.overhead_features(images))

    def describe_tiles(self, features: Float[Tensor, "tiles channels rows cols"]) -> MapFeatures:
        """Map features from the `overhead_features` of tiles on ``tile_grid``."""
        return self._of_tiles(*self.describe_overhead(features))

    def encode_map(self, tiles: UInt8[Tensor, "tiles 3 rows cols"]) -> MapFeatures:
        """Map features of overhead images on ``tile_grid``, RGB, north up."""
        return self._of_tiles(*self.encode_overhead(tiles))

    def _of_tiles(self, descriptor: Tensor, uncertainty: Tensor) -> MapFeatures:
        """Map features with the uncertainty cropped to the displacements of the window."""
        row, col = self.clip_grid.rows // 2 - 1, self.clip_grid.cols // 2 - 1
        rows, cols = uncertainty.shape[1:]
        return MapFeatures(descriptor, uncertainty[:, row : rows - row, col : cols - col], self.map_grid)

    @in_its_precision
    def encode_frames(self, images: UInt8[Tensor, "*batch 3 height width"]) -> Float[Tensor, "*batch channels h w"]:
        """The part of the encoding that does not depend on poses, the input of `fuse_frames`."""
        flat = self.projection.encode(self.ground_encoder, self.normalize(images.flatten(0, -4)))
        return flat.reshape(*images.shape[:-3], *flat.shape[1:])

    @in_its_precision
    def fuse_frames(
        self, encoded: Float[Tensor, "clips frames channels h w"], camera: Camera, ground_from_cam: Pose
    ) -> tuple[Float[Tensor, "clips channels2 rows cols"], Bool[Tensor, "clips rows cols"]]:
        """Fused features on the overhead grid around the vehicle, and the cells visible in some frame."""
        projected = self.projection(self.ground_encoder, encoded, camera, ground_from_cam, self.clip_grid)
        return self.ground_trunk(self.fusion(projected)), projected.visible.any(dim=1)

    def clip_features(
        self, clip: Clip
    ) -> tuple[Float[Tensor, "clips channels rows cols"], Bool[Tensor, "clips rows cols"]]:
        """`encode_frames` and `fuse_frames` of clips."""
        return self.fuse_frames(self.encode_frames(clip.images), clip.camera, clip.ground_from_cam)

    @in_its_precision
    def describe_clips(
        self, features: Float[Tensor, "clips channels rows cols"], seen: Bool[Tensor, "clips rows cols"]
    ) -> ClipFeatures:
        """Descriptors and weights from `clip_features`; the head's last channel is the weight's logit."""
        described = self.ground_head(features).float()
        weight = described[:, -1].sigmoid() * seen
        return ClipFeatures(bounded(described[:, :-1]) * seen.unsqueeze(1), weight, self.clip_grid)

    def encode_clip(self, clip: Clip) -> ClipFeatures:
        """Features of clips, [clips, frames, ...], on the overhead grid around the vehicle."""
        return self.describe_clips(*self.clip_features(clip))

    def normalize(self, images: UInt8[Tensor, "n 3 height width"]) -> Float[Tensor, "n 3 height width"]:
        """RGB bytes scaled to [0, 1], in channels-last layout."""
        return (images.to(self.log_sharpness.dtype) / 255).contiguous(memory_format=torch.channels_last)


def bounded(descriptor: Float[Tensor, "n channels rows cols"]) -> Float[Tensor, "n channels rows cols"]:
    """Each cell's descriptor, scaled to a length below one, which is the cell's influence on the correlation."""
    return descriptor / (1 + descriptor.square().sum(dim=1, keepdim=True)).sqrt()


def feature_grid(pixels: Grid, stride: int, first_center_px: float) -> Grid:
    """The grid of an image's features by their true centres, which may be offset from the image's centre."""
    cells = pixels.resampled(stride)
    shift_m = (first_center_px - stride / 2) * pixels.cell_m
    east_m, north_m = pixels.center_xy_m
    return Grid(cells.rows, cells.cols, cells.cell_m, (east_m + shift_m, north_m - shift_m))
