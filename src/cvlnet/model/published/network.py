"""The authors' network, for their trained weights, with the features and scores of the published code.

It follows the published conventions, which apply in this module only: a cell is located at its north-west corner,
features are zero outside the image, all frames contribute to every cell, the overhead image covers the clip's grid only
and is padded with zeros, and the offset is decoded on a grid with the wrong cell size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from cvlnet.model.encoder import PaperEncoder
from cvlnet.model.layers import convolutions
from cvlnet.model.variants.projections import ReshapeWarp, UnetWarp
from cvlnet.model.variants.sequences import (
    Conv2dSequence,
    Conv3dSequence,
    FuseConv2d,
    FuseConv3d,
    FuseLstm,
    FuseTransformer,
    LstmSequence,
    VisibilityWeighted,
    conv3d_lengths,
)
from cvlnet.types import Decoded, ScoreVolume

CHANNELS, DESCRIPTOR_CHANNELS = 16, 4
CELLS = 32
WINDOW = 3
TILE_PX = 512
CAMERA_HEIGHT_M = 1.65
_LEAST_DEPTH = 1e-6
_NAME = re.compile(
    r"(?P<fusion>vis_Conv2D|vis_Conv3D|vis_LSTM|fuse_Conv2D|fuse_Conv3D|fuse_LSTM|fuse_Transformer)"
    r"-(?P<projection>Geometry|Unet|Reshape)-sim0-stereo(?P<stereo>[01])-s(?P<frames>[1-9]|1[0-6])"
)


@dataclass(frozen=True)
class PublishedVariant:
    """One of the published networks. frames: number of frames of each camera."""

    fusion: str
    projection: str
    stereo: bool
    frames: int

    @staticmethod
    def parse(name: str) -> PublishedVariant:
        """From ``FUSION-PROJECTION-sim0-stereoB-sS``. Raises ValueError for anything else."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise ValueError(f"not a variant's name: {name!r}")
        return PublishedVariant(found["fusion"], found["projection"], found["stereo"] == "1", int(found["frames"]))

    @property
    def name(self) -> str:
        """The name that `parse` reads."""
        return f"{self.fusion}-{self.projection}-sim0-stereo{int(self.stereo)}-s{self.frames}"

    @property
    def pictures(self) -> int:
        """Length of the sequence: the frames of all cameras."""
        return self.frames * (2 if self.stereo else 1)


class UncertaintyNet(nn.Module):
    """The published scene prior: from the zero-padded descriptor to a value in (0, 1) for each displacement."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(7):
            layers += [nn.ReLU(), nn.Conv2d(DESCRIPTOR_CHANNELS, DESCRIPTOR_CHANNELS, 5)]
        self.convs = nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(DESCRIPTOR_CHANNELS, 1, 4), nn.Sigmoid())

    def forward(self, padded: Float[Tensor, "tiles channels rows cols"]) -> Float[Tensor, "tiles steps steps"]:
        """The uncertainty of each displacement."""
        return torch.as_tensor(self.convs(padded)[:, 0])


class ReferenceNetwork(nn.Module):
    """The published network of a variant. lengths: temporal kernel sizes of fuse_Conv3D, if not the usual ones."""

    def __init__(self, variant: PublishedVariant, lengths: tuple[int, int, int] | None = None) -> None:
        super().__init__()
        self.variant = variant
        self.overhead_encoder, self.ground_encoder = PaperEncoder(CHANNELS), PaperEncoder(CHANNELS)
        self.overhead_head, self.ground_head = (
            convolutions(CHANNELS, CHANNELS, DESCRIPTOR_CHANNELS, bias=False) for _ in range(2)
        )
        self.uncertainty = UncertaintyNet()
        self.fusion = _fusion(variant, lengths)
        self.projection = _projection(variant)

    def encode_overhead(
        self, tiles: Float[Tensor, "tiles 3 height width"]
    ) -> tuple[Float[Tensor, "tiles channels rows cols"], Float[Tensor, "tiles steps steps"]]:
        """Descriptors and uncertainty."""
        descriptor = self.overhead_head(self.overhead_encoder(tiles))
        return descriptor, self.uncertainty(functional.pad(descriptor, (WINDOW,) * 4))

    def encode_ground(
        self,
        images: Float[Tensor, "clips pictures 3 height width"],
        intrinsics_px: Float[Tensor, "clips pictures 3 3"],
        xy_m: Float[Tensor, "clips pictures 2"],
        yaw_rad: Float[Tensor, "clips pictures"],
        cell_m: float,
    ) -> Float[Tensor, "clips channels rows cols"]:
        """The fused descriptor. xy_m, yaw_rad: positions of the cameras (east, north) from the first, and headings."""
        features = self.ground_encoder(images.flatten(0, 1))
        if self.variant.projection == "Geometry":
            scale = intrinsics_px.new_tensor(
                [features.shape[-1] / images.shape[-1], features.shape[-2] / images.shape[-2], 1.0]
            )
            k = intrinsics_px.flatten(0, 1) * scale.unsqueeze(-1)
            projected = project(features, k, xy_m.flatten(0, 1), yaw_rad.flatten(), cell_m)
        else:
            projected = self.projection(features)
        frames = projected.reshape(*images.shape[:2], *projected.shape[1:])
        everywhere = torch.ones_like(frames[:, :, 0], dtype=torch.bool)
        return torch.as_tensor(self.ground_head(self.fusion(frames, everywhere)))


def project(
    features: Float[Tensor, "n channels height width"],
    k: Float[Tensor, "n 3 3"],
    xy_m: Float[Tensor, "n 2"],
    yaw_rad: Float[Tensor, " n"],
    cell_m: float,
) -> Float[Tensor, "n channels rows cols"]:
    """Features at the cells' north-west corners on the ground; k: intrinsics, in feature pixels."""
    index = torch.arange(CELLS, dtype=features.dtype, device=features.device) - CELLS // 2
    north, east = torch.meshgrid(-index * cell_m, index * cell_m, indexing="ij")
    ahead_east, ahead_north = yaw_rad.cos()[:, None, None], yaw_rad.sin()[:, None, None]
    east, north = east - xy_m[:, 0, None, None], north - xy_m[:, 1, None, None]
    depth = (east * ahead_east + north * ahead_north).clamp(min=_LEAST_DEPTH)
    right = east * ahead_north - north * ahead_east
    x = k[:, 0, 0, None, None] * right / depth + k[:, 0, 2, None, None]
    y = k[:, 1, 1, None, None] * CAMERA_HEIGHT_M / depth + k[:, 1, 2, None, None]
    height, width = features.shape[-2:]
    normalized = torch.stack([2 * x / width - 1, 2 * y / height - 1], dim=-1)
    return functional.grid_sample(features, normalized, align_corners=False)


def scores(
    ground: Float[Tensor, "clips channels rows cols"],
    overhead: Float[Tensor, "tiles channels rows cols"],
    uncertainty: Float[Tensor, "tiles steps steps"],
) -> Float[Tensor, "clips tiles steps steps"]:
    """Normalised correlation at every displacement, divided by the uncertainty."""
    kernel = functional.normalize(ground.flatten(1)).reshape(ground.shape)
    padded = functional.pad(overhead, (WINDOW,) * 4)
    padded = functional.normalize(padded.flatten(1)).reshape(padded.shape)
    correlation = functional.conv2d(padded, kernel).transpose(0, 1)
    energy = functional.avg_pool2d(padded.square().sum(dim=1), CELLS, stride=1) * CELLS**2
    return correlation / (energy.sqrt().clamp(min=1e-12) * uncertainty)


def published_shift_m(volume: Float[Tensor, "*batch steps steps"], step_m: float) -> Float[Tensor, "*batch 2"]:
    """The offset (north, east) as the published code decodes it, with the wrong cell size and centre.

    step_m: its cell size, the tile's width over the number of cells of the padded tile.
    """
    steps = volume.shape[-1]
    best = volume.flatten(-2).argmax(dim=-1)
    row, col = best // steps, best % steps
    return torch.stack([-(row - steps / 2), col - steps / 2], dim=-1) * step_m


def decode_as_published(volume: ScoreVolume, sharpness: float) -> Decoded:
    """Decode scores as the published code does, for comparison: the same score, another offset."""
    step_m = volume.cell_m * CELLS / (CELLS + 2 * WINDOW)
    offset_m = published_shift_m(volume.scores, step_m).flip(-1)
    return replace(volume.decode(sharpness), offset_m=offset_m)


_RENAMED = (
    (r"(Sat|Grd)FeatureNet\.model\.0\.", r"\1_encoder.backbone.features."),
    (r"(Sat|Grd)FeatureNet\.model\.1\.", r"\1_encoder.reduce.0."),
    (r"(Sat|Grd)FeatureNet\.model\.3\.", r"\1_encoder.reduce.2."),
    (r"(Sat|Grd)Downch\.", r"\1_head."),
    (r"^Sat_", "overhead_"),
    (r"^Grd_", "ground_"),
    (r"^UncertaintyNet\.", "uncertainty."),
    (r"^ProjNet\.encs\.1\.", "projection.down.0."),
    (r"^ProjNet\.encs\.4\.", "projection.down.1."),
    (r"^ProjNet\.decs(\d)\.1\.", r"projection.up.\1."),
    (r"^FuseNet\.nn_layers\.", "fusion.layers."),
    (r"\.proj\.", ".out."),
    (r"^FuseNet\.Conv3D\.", "fusion.over_time."),
    (r"^FuseNet\.convs0\.", "fusion.sequence.convs."),
    (r"^FuseNet\.SeqNet\.LSTM_layer\.cell_list\.(\d)\.conv\.", r"fusion.sequence.cells.\1.gates."),
    (r"^FuseNet\.SeqNet\.LSTM_layer\.cell_list\.(\d)\.outconv\.", r"fusion.sequence.cells.\1.out."),
    (r"^FuseNet\.SeqNet\.convs\.", "fusion.sequence.last."),
)


def our_name(published: str, variant: PublishedVariant) -> str:
    """The name here of a parameter of the published network."""
    name = published
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    weighted = variant.fusion.startswith("vis")
    if variant.fusion == "vis_Conv2D":  # its layers are numbered from one
        name = re.sub(r"^FuseNet\.SeqNet\.(\d)\.", lambda found: f"fusion.sequence.convs.{int(found[1]) - 1}.", name)
    name = re.sub(r"^FuseNet\.SeqNet\.", "fusion.sequence.convs.", name)
    return re.sub(r"^FuseNet\.convs\.", "fusion.visibility." if weighted else "fusion.convs.", name)


def _projection(variant: PublishedVariant) -> nn.Module:
    """The layers of the projection; geometry has none."""
    match variant.projection:
        case "Unet":
            return UnetWarp(CHANNELS)
        case "Reshape":
            return ReshapeWarp()
    return nn.Identity()


def _fusion(variant: PublishedVariant, lengths: tuple[int, int, int] | None) -> nn.Module:
    match variant.fusion:
        case "vis_Conv2D":
            return VisibilityWeighted(Conv2dSequence(CHANNELS), CHANNELS)
        case "vis_Conv3D":
            return VisibilityWeighted(Conv3dSequence(CHANNELS), CHANNELS)
        case "vis_LSTM":
            return VisibilityWeighted(LstmSequence(CHANNELS, as_published=True), CHANNELS)
        case "fuse_Conv2D":
            return FuseConv2d(CHANNELS)
        case "fuse_Conv3D":
            return FuseConv3d(CHANNELS, lengths or conv3d_lengths(variant.pictures))
        case "fuse_LSTM":
            return FuseLstm(CHANNELS, as_published=True)
    return FuseTransformer(CHANNELS)
