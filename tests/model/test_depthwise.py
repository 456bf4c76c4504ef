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


@pytest.mark.parametrize(
    ("side", "stride", "dtype", "learns", "own"),
    [
        (5, 1, torch.bfloat16, True, True),
        (3, 2, torch.bfloat16, True, True),
        (5, 2, torch.bfloat16, True, True),
        (3, 1, torch.bfloat16, True, False),
        (5, 1, torch.float32, True, False),
        (5, 1, torch.bfloat16, False, False),
    ],
)
def test_own_gradients_are_taken_where_onednn_is_slow(side, stride, dtype, learns, own):
    x, weight = torch.randn(1, 2, 11, 11).to(dtype).requires_grad_(), torch.randn(2, 1, side, side)
    with torch.set_grad_enabled(learns):
        y = depthwise(x, weight, None, stride)
    assert (y.grad_fn is not None) == learns
    assert ("_Depthwise" in str(y.grad_fn)) == own


def test_nothing_is_padded_unless_it_is_asked_for():
    x, weight = torch.randn(1, 2, 9, 9), torch.randn(2, 1, 3, 3)
    assert torch.equal(depthwise(x, weight, None, 1), functional.conv2d(x, weight, groups=2))


def test_the_gradient_of_the_input_at_stride_two_is_computed_in_single_precision():
    """So that it is the exact one, rounded once."""
    torch.manual_seed(0)
    x, weight = torch.randn(2, 4, 12, 12).bfloat16(), torch.randn(4, 1, 3, 3).bfloat16()
    grad = torch.randn(2, 4, 5, 5).bfloat16()

    def of_input(convolve, *tensors):
        inputs = [tensor.clone().requires_grad_() for tensor in tensors]
        y = convolve(*inputs)
        return torch.autograd.grad(y, inputs[0], grad.to(y.dtype))[0]

    ours = of_input(lambda x, w: depthwise(x, w, None, 2), x, weight)
    exact = of_input(lambda x, w: functional.conv2d(x, w, None, 2, groups=4), x.float(), weight.float())
    assert ours.dtype == torch.bfloat16
    assert torch.equal(ours, exact.bfloat16())


def test_what_needs_no_gradient_gets_none():
    x, weight = torch.randn(1, 2, 11, 11).bfloat16(), torch.randn(2, 1, 5, 5).requires_grad_()
    depthwise(x, weight, None, 1).sum().backward()
    assert weight.grad is not None
    assert x.grad is None
