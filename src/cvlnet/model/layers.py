"""Layers shared by the parts of the network."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


def convolutions(*channels: int, bias: bool = True) -> nn.Sequential:
    """3 x 3 convolutions between the given numbers of channels, with ReLU between them."""
    layers: list[nn.Module] = []
    for size, out in pairwise(channels):
        layers += [nn.Conv2d(size, out, 3, padding=1, bias=bias), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class UNet(nn.Module):
    """U-Net of three scales, for context around a cell (Ronneberger et al. 2015).

    Maps of at least 4 x 4 cells; ``channels`` in and out, doubled at each coarser scale.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels, 2 * channels, 4 * channels)
        self.down = nn.ModuleList(_two(fine, coarse) for fine, coarse in pairwise((channels, *widths)))
        self.up = nn.ModuleList(_two(coarse + fine, fine) for coarse, fine in pairwise(widths[::-1]))

    def forward(self, x: Float[Tensor, "n channels rows cols"]) -> Float[Tensor, "n channels rows cols"]:
        """Features on the same grid."""
        scales = [self.down[0](x)]
        for layer in list(self.down)[1:]:
            scales.append(layer(functional.max_pool2d(scales[-1], 2, ceil_mode=True)))
        merged = scales.pop()
        for layer in self.up:
            fine = scales.pop()
            coarse = functional.interpolate(merged, fine.shape[-2:], mode="bilinear", align_corners=False)
            merged = layer(torch.cat([coarse, fine], dim=1))
        return torch.as_tensor(merged)


def _two(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(convolutions(channels, out, out), nn.ReLU())
