"""Random light, colour and sharpness, which differ between any two views of a place and must not be learned."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor
from torch.nn import functional


def vary(
    images: UInt8[Tensor, "n frames 3 height width"], strength: float, generator: Generator
) -> UInt8[Tensor, "n frames 3 height width"]:
    """Images as another sensor might have taken them on another day; all frames of a sample change alike.

    Channel mixing, gamma, gain, offset and contrast, vignetting, blur or sharpening, and noise. Strength 0 returns the
    images unchanged. The generator must be on the images' device.
    """
    if strength == 0:
        return images
    x = images.to(torch.float32) / 255
    for change in (_mix_channels, _bend, _light_unevenly, _focus, _add_noise):
        x = change(x, strength, generator)
    return (x.clamp(0, 1) * 255).round().to(torch.uint8)


Images = Float[Tensor, "n frames 3 height width"]


def _normal(x: Tensor, shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=x.device)


def _uniform(x: Tensor, generator: Generator) -> Tensor:
    return torch.rand((x.shape[0], 1, 1, 1, 1), generator=generator, device=x.device)


def _mix_channels(x: Images, strength: float, generator: Generator) -> Images:
    """White balance and saturation: each channel takes a little of the others, up to almost grey."""
    n = x.shape[0]
    mixing = torch.eye(3, device=x.device) + 0.12 * strength * _normal(x, (n, 3, 3), generator)
    mixing = mixing / mixing.sum(dim=-1, keepdim=True).clamp(min=0.3)
    grey = (0.35 * strength * _normal(x, (n, 1, 1), generator).abs()).clamp(max=1)
    mixing = mixing * (1 - grey) + grey / 3
    return torch.einsum("nij,nfjhw->nfihw", mixing, x)


def _bend(x: Images, strength: float, generator: Generator) -> Images:
    """Gamma, exposure and contrast."""
    gamma, gain, offset, contrast = (_normal(x, (x.shape[0], 1, 1, 1, 1), generator) for _ in range(4))
    bent = x.clamp(min=1e-3) ** (0.3 * strength * gamma).exp()
    bent = bent * (0.25 * strength * gain).exp() + 0.06 * strength * offset
    mean = bent.mean(dim=(1, 2, 3, 4), keepdim=True)
    return mean + (bent - mean) * (0.25 * strength * contrast).exp()


def _light_unevenly(x: Images, strength: float, generator: Generator) -> Images:
    """Uneven illumination, as from clouds, haze and vignetting."""
    field = 0.2 * strength * _normal(x, (x.shape[0], 1, 3, 4), generator)
    smooth = functional.interpolate(field, x.shape[-2:], mode="bilinear", align_corners=True)
    return x * smooth.exp().unsqueeze(1)


def _focus(x: Images, strength: float, generator: Generator) -> Images:
    """Blur or sharpening: the finest detail is lost, or amplified up to 2.5 times."""
    detail = strength * (2.5 * _uniform(x, generator) - 1)
    smooth = functional.avg_pool2d(x.flatten(0, 1), 3, stride=1, padding=1, count_include_pad=False)
    return x + detail.clamp(min=-1) * (x - smooth.view_as(x))


def _add_noise(x: Images, strength: float, generator: Generator) -> Images:
    """Sensor noise of random strength."""
    sigma = 0.03 * strength * _uniform(x, generator)
    return x + sigma * _normal(x, tuple(x.shape), generator)
