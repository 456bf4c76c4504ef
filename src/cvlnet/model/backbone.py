"""Convolutional encoders up to stride 16, and where on the image their features lie.

A feature at index i of a map with stride s is centred at pixel coordinate ``s * i + first_center_px`` (from the image's
corner). Pooling by two keeps the middle (s / 2); the stride-2 convolutions of EfficientNet, padded as TensorFlow pads
them, sit half a pixel further at every level (s - 1/2). Projection and matching use the true centres.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from cvlnet.model.depthwise import depthwise


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 to stride 16 (Tan and Le 2019; Lite: no squeeze-excitation, ReLU6).

    Returns features at strides 4, 8 and 16. Parameter names are those of the public ImageNet checkpoint.
    """

    strides = (4, 8, 16)
    channels = (24, 40, 112)
    _stages = (  # expansion, kernel, stride, channels, repeats
        (1, 3, 1, 16, 1),
        (6, 3, 2, 24, 2),
        (6, 5, 2, 40, 2),
        (6, 3, 2, 80, 3),
        (6, 5, 1, 112, 3),
    )
    _ends = (2, 4, 10)  # the last block of each stride

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, bias=False)
        self._bn0 = _norm(32)
        blocks: list[nn.Module] = []
        channels = 32
        for expansion, kernel, stride, out, repeats in self._stages:
            for repeat in range(repeats):
                blocks.append(_InvertedBottleneck(channels, out, expansion, kernel, stride if repeat == 0 else 1))
                channels = out
        self._blocks = nn.ModuleList(blocks)

    @staticmethod
    def first_center_px(stride: int) -> float:
        """Pixel coordinate of the first feature's centre."""
        return stride - 0.5

    def early_layers(self) -> list[nn.Module]:
        """The layers up to stride 4, which training may freeze."""
        return [self._conv_stem, self._bn0, *self._blocks[:2]]

    def forward(self, images: Float[Tensor, "n 3 height width"]) -> list[Tensor]:
        """Features at strides 4, 8, 16 of RGB images in [0, 1] whose sides are multiples of 16."""
        x = images * (255 / 128) - 127 / 128  # the checkpoint's input range
        x = functional.relu6(_normed(x, self._conv_stem, self._bn0), inplace=True)
        features = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in self._ends:
                features.append(x)
        return features


class Vgg16(nn.Module):
    """VGG16 including the pooling after conv4_3, the paper's encoder: 512 channels at stride 16.

    ``features`` is numbered as in torchvision, whose ImageNet weights load by name.
    """

    strides = (16,)
    channels = (512,)
    _layers = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool")

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for layer in self._layers:
            if isinstance(layer, int):
                layers += [nn.Conv2d(channels, layer, 3, padding=1), nn.ReLU(inplace=True)]
                channels = layer
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)

    @staticmethod
    def first_center_px(stride: int) -> float:
        """Pixel coordinate of the first feature's centre."""
        return stride / 2

    def early_layers(self) -> list[nn.Module]:
        """The first ten layers, which the paper's training freezes."""
        return list(self.features)[:10]

    def forward(self, images: Float[Tensor, "n 3 height width"]) -> list[Tensor]:
        """Features at stride 16 of RGB images in [0, 1], not normalised, as in the published network."""
        return [self.features(images)]


class _InvertedBottleneck(nn.Module):
    def __init__(self, channels: int, out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = channels * expansion
        if expansion > 1:
            self._expand_conv = nn.Conv2d(channels, inner, 1, bias=False)
            self._bn0 = _norm(inner)
        self._depthwise_conv = nn.Conv2d(inner, inner, kernel, stride, groups=inner, bias=False)
        self._bn1 = _norm(inner)
        self._project_conv = nn.Conv2d(inner, out, 1, bias=False)
        self._bn2 = _norm(out)
        self._expands = expansion > 1
        self._skips = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(_normed(x, self._expand_conv, self._bn0), inplace=True) if self._expands else x
        y = functional.relu6(_normed(y, self._depthwise_conv, self._bn1), inplace=True)
        y = _normed(y, self._project_conv, self._bn2)
        return torch.add(x, y) if self._skips else y


def _normed(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """A convolution with TensorFlow's "SAME" padding, and its batch normalisation.

    The normalisation is folded into the kernel while its statistics are frozen.
    """
    if norm.training:
        return torch.as_tensor(norm(_conv_same(x, conv, conv.weight, None)))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return _conv_same(x, conv, conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale)


def _conv_same(x: Tensor, conv: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> Tensor:
    """For sides that are multiples of the stride; an odd padding has its extra pixel at the end."""
    stride, total = conv.stride[0], conv.kernel_size[0] - conv.stride[0]
    padding = total // 2
    if total % 2:
        x, padding = functional.pad(x, (padding, total - padding, padding, total - padding)), 0
    if conv.groups > 1:
        return depthwise(x, weight, bias, stride, padding)
    return functional.conv2d(x, weight, bias, stride, padding)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
