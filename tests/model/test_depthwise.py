import pytest
import torch
from torch.nn import functional

from cvlnet.model.depthwise import depthwise


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("padding", [0, 2])
def test_value_and_gradients_are_those_of_the_plain_convolution(side, stride, padding):
    torch.manual_seed(0)
    x = torch.randn(2, 6, 12 + side - stride, 16 + side - stride)
    weight, bias = torch.randn(6, 1, side, side), torch.randn(6)

    def differentiated(convolve, dtype):
        inputs = [x.to(dtype, copy=True), weight.clone(), bias.clone()]
        for tensor in inputs:
            tensor.requires_grad_()
        y = convolve(*inputs)
        y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(dtype))
        return y.detach().float(), *(tensor.grad.float() for tensor in inputs)

    plain = differentiated(lambda x, w, b: functional.conv2d(x, w, b, stride, padding, groups=6), torch.float32)
    for dtype, tolerance in ((torch.bfloat16, 2e-2), (torch.float32, 1e-5)):
        ours = differentiated(lambda x, w, b: depthwise(x, w, b, stride, padding), dtype)
        for a, b in zip(ours, plain, strict=True):
            assert a.shape == b.shape
            assert float((a - b).norm() / b.norm()) < tolerance
