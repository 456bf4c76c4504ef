"""How fast depthwise convolutions of EfficientNet-Lite0 are forward and backward, beside PyTorch's own gradients."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cvlnet.model.depthwise import depthwise
from measure import print_results, relative_s, run, seconds_each

SHAPES = ((96, 3, 2, 64), (144, 5, 2, 32), (240, 5, 1, 16), (480, 3, 1, 16))  # channels, kernel, stride, rows
IMAGES = 8


def plain_depthwise(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """The same value, with PyTorch's gradients."""
    return functional.conv2d(x, weight, bias, stride, padding, groups=len(weight))


def main() -> None:
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        for channels, kernel, stride, size in SHAPES:
            x = torch.rand(IMAGES, channels, size, 4 * size, dtype=dtype, requires_grad=True)
            weight = torch.rand(channels, 1, kernel, kernel, dtype=dtype, requires_grad=True)

            def ours(x: Tensor = x, weight: Tensor = weight, stride: int = stride) -> None:
                depthwise(x, weight, None, stride, weight.shape[-1] // 2).sum().backward()  # type: ignore[no-untyped-call]

            def plain(x: Tensor = x, weight: Tensor = weight, stride: int = stride) -> None:
                plain_depthwise(x, weight, None, stride, weight.shape[-1] // 2).sum().backward()  # type: ignore[no-untyped-call]

            ratio = relative_s(plain, ours)
            shape = f"{channels} x {size} x {4 * size}"
            what = (str(dtype).removeprefix("torch."), shape, str(kernel), str(stride))
            rows.append((*what, f"{1000 * seconds_each(ours, for_s=1.0):.1f}", f"{ratio:.1f}"))
    header = ("type", "input", "kernel", "stride", "ms", "times faster than PyTorch's")
    print_results(f"Depthwise convolution, forward and backward, {IMAGES} images", header, rows)


if __name__ == "__main__":
    run(main)
