"""What the parts of the network are built of."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def convolutions(*channels: int, bias: bool = True) -> nn.Sequential:
    """3 x 3 convolutions from each number of channels to the next, with ReLU between."""
    layers: list[nn.Module] = []
    for size, out in pairwise(channels):
        layers += [nn.Conv2d(size, out, 3, padding=1, bias=bias), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
