"""Depthwise convolution with gradients that are fast on a CPU in bfloat16.

There, oneDNN's gradients are fast for 3 x 3 kernels, but many times slower for 5 x 5 kernels, and for the input at
stride 2. The gradient of a 5 x 5 kernel is therefore assembled from 3 x 3 ones, and that of the input at stride 2 is
computed in float32. The result differs by rounding only; benchmarks/depthwise.py measures the gain.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def depthwise(
    x: Float[Tensor, "n channels rows cols"],
    weight: Float[Tensor, "channels 1 side side"],
    bias: Float[Tensor, " channels"] | None,
    stride: int,
    padding: int = 0,
) -> Float[Tensor, "n channels rows2 cols2"]:
    """Convolution of each channel with its own kernel, zero-padded."""
    slow = weight.shape[-1] == 5 or stride > 1
    weight = weight.to(x.dtype)
    bias = None if bias is None else bias.to(x.dtype)
    if slow and x.dtype == torch.bfloat16 and x.device.type == "cpu" and torch.is_grad_enabled():
        return torch.as_tensor(_Depthwise.apply(x, weight, bias, stride, padding))  # type: ignore[no-untyped-call]
    return functional.conv2d(x, weight, bias, stride, padding, groups=len(weight))


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(x, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias, _, _ = ctx.needs_input_grad
        grad_x = _grad_of_input(grad, x, weight, ctx.stride, ctx.padding) if need_x else None
        grad_weight = _grad_of_weight(grad, x, weight, ctx.stride, ctx.padding) if need_weight else None
        return grad_x, grad_weight, grad.sum(dim=(0, 2, 3)) if need_bias else None, None, None


def _grad_of_input(grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    dtype = torch.float32 if stride > 1 else x.dtype
    return _gradients(grad.to(dtype), x.to(dtype), weight.to(dtype), stride, padding, of_input=True).to(x.dtype)


def _grad_of_weight(grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    side = weight.shape[-1]
    if side != 5:
        return _gradients(grad, x, weight, stride, padding, of_input=False)
    x = functional.pad(x, (padding,) * 4)
    rows, cols = ((size - 1) * stride + 3 for size in grad.shape[-2:])  # of the input that a 3 x 3 kernel sees
    whole = torch.empty_like(weight)
    for top in (0, 2):
        for left in (0, 2):
            part = x[..., top : top + rows, left : left + cols]
            kernel = weight[..., top : top + 3, left : left + 3]
            whole[..., top : top + 3, left : left + 3] = _gradients(grad, part, kernel, stride, 0, of_input=False)
    return whole


def _gradients(grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, *, of_input: bool) -> Tensor:
    wanted = [of_input, not of_input, False]
    gradients: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        grad, x, weight, None, [stride, stride], [padding, padding], [1, 1], False, [0, 0], len(weight), wanted
    )
    return gradients[0 if of_input else 1]
