"""Weights and pictures that follow from names and places alone, so that what a network makes of them can be known."""

import math
import zlib

import torch


def by_formula(module):
    """The module with weights of the usual size that follow from its parameters' names, in evaluation mode."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                phase = zlib.crc32(name.encode()) % 1000
                wave = torch.sin(0.7 * torch.arange(tensor.numel(), dtype=torch.float64) ** 1.1 + phase)
                if tensor.ndim > 1:
                    values = wave * math.sqrt(3 / max(tensor[0].numel(), 1))
                elif name.endswith("running_var") or ("bn" in name and name.endswith("weight")):
                    values = 1 + 0.3 * wave
                else:
                    values = 0.1 * wave
                tensor.copy_(values.reshape(tensor.shape))
    return module.eval()


def waves(*shape, seed=0):
    """Smooth values about zero, of the order of one, in the last two dimensions."""
    count, (rows, cols) = math.prod(shape[:-2]), shape[-2:]
    index = torch.arange(count, dtype=torch.float64).reshape(-1, 1, 1) + seed
    y, x = torch.arange(rows).reshape(-1, 1), torch.arange(cols)
    value = torch.sin(0.31 * x + index) + torch.cos(0.23 * y - 0.7 * index) * torch.sin(0.05 * x * y + index)
    return value.float().reshape(shape)


def bytes_of(values):
    """Pictures of waves, as bytes."""
    return (values * 50 + 128).round().clamp(0, 255).to(torch.uint8)
