import torch
from torch import nn
from torch.nn import functional

from cvlnet.model.layers import UNet, convolutions
from formulas import by_formula, waves


def test_convolutions_with_relu_between_and_none_behind():
    layers = list(convolutions(3, 5, 7, 2))
    assert [type(layer) for layer in layers] == [nn.Conv2d, nn.ReLU, nn.Conv2d, nn.ReLU, nn.Conv2d]
    assert [(conv.in_channels, conv.out_channels) for conv in layers[::2]] == [(3, 5), (5, 7), (7, 2)]
    assert all(conv.kernel_size == (3, 3) and conv.padding == (1, 1) for conv in layers[::2])
    assert all(conv.bias is not None for conv in layers[::2])
    assert all(conv.bias is None for conv in convolutions(3, 5, 7, bias=False) if isinstance(conv, nn.Conv2d))


def test_a_unet_looks_at_three_scales_and_at_every_cell():
    """By its own layers, one after the other; at an odd side the last row and column are pooled, too."""
    unet, x = by_formula(UNet(4)), waves(2, 4, 9, 14)
    with torch.no_grad():
        fine = unet.down[0](x)
        middle = unet.down[1](functional.max_pool2d(fine, 2, ceil_mode=True))
        coarse = unet.down[2](functional.max_pool2d(middle, 2, ceil_mode=True))
        assert (fine.shape, middle.shape, coarse.shape) == ((2, 4, 9, 14), (2, 8, 5, 7), (2, 16, 3, 4))
        up = functional.interpolate(coarse, (5, 7), mode="bilinear", align_corners=False)
        merged = unet.up[0](torch.cat([up, middle], dim=1))
        up = functional.interpolate(merged, (9, 14), mode="bilinear", align_corners=False)
        merged = unet.up[1](torch.cat([up, fine], dim=1))
        torch.testing.assert_close(unet(x), merged)
    assert (merged >= 0).all()  # every scale ends with a ReLU
    assert [part[0][0].in_channels for part in (*unet.down, *unet.up)] == [4, 4, 8, 24, 12]
    assert [part[0][2].out_channels for part in (*unet.down, *unet.up)] == [4, 8, 16, 8, 4]
