"""Image encoders: a backbone, and layers that merge its features into one map."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from cvlnet.model.backbone import EfficientNetLite0, Vgg16
from cvlnet.model.layers import convolutions


class Pyramid(nn.Module):
    """Top-down pathway over EfficientNet-Lite0: ``channels`` features at stride 4 (Lin et al. 2017)."""

    stride = EfficientNetLite0.strides[0]
    first_center_px = EfficientNetLite0.first_center_px(stride)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.backbone = EfficientNetLite0()
        self.lateral = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in EfficientNetLite0.channels)
        self.smooth = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, images: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n channels rows cols"]:
        """Features of RGB images in [0, 1] whose sides are multiples of 16."""
        laterals = [conv(x) for conv, x in zip(self.lateral, self.backbone(images), strict=True)]
        merged = laterals[-1]
        for finer in reversed(laterals[:-1]):
            merged = finer + upsample_by_two(merged)
        return torch.as_tensor(self.smooth(functional.relu(merged)))


class PaperEncoder(nn.Module):
    """The paper's encoder: VGG16 to stride 16, then 512 to 128 to ``channels`` (section 4.1)."""

    stride = Vgg16.strides[0]
    first_center_px = Vgg16.first_center_px(stride)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.backbone = Vgg16()
        self.reduce = convolutions(Vgg16.channels[0], 128, channels)

    def forward(self, images: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n channels rows cols"]:
        """Features of RGB images in [0, 1] whose sides are multiples of 16."""
        return torch.as_tensor(self.reduce(self.backbone(images)[0]))


def upsample_by_two(x: Float[Tensor, "n c rows cols"]) -> Float[Tensor, "n c rows2 cols2"]:
    """Linear interpolation to half the stride for features whose centres lie at ``s * (i + 1) - 1/2`` pixels.

    There, coarse index i coincides with fine index 2 i + 1; the fine index 2 i lies midway between i - 1 and i.
    """
    rows, cols = x.shape[-2:]
    wider = torch.cat([x[..., :1], x], dim=-1)  # repeats the edge; its gradient is faster than that of padding
    padded = torch.cat([wider[..., :1, :], wider], dim=-2)
    fine = functional.interpolate(padded, (2 * rows + 1, 2 * cols + 1), mode="bilinear", align_corners=True)
    return fine[..., 1:, 1:]
