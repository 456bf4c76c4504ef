"""Random styles: the statistics of early features, which colours, light and materials decide, are perturbed.

What the network learns on synthetic towns then depends less on how they are drawn (Fan et al. 2022, "Normalization
Perturbation: A Simple Domain Generalization Method for Real-World Domain Shifts", arXiv 2211.04393).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cvlnet.model.cvlnet import CVLNet

_LAYERS = 2  # the last of the early layers, behind each of which the style is perturbed


@contextmanager
def random_styles(model: CVLNet, strength: float, frames: int) -> Iterator[None]:
    """While this lasts, both backbones perturb the style of what they encode; random numbers are PyTorch's own.

    frames: pictures of a clip, which have one style. Strength 0 changes nothing.
    """
    with ExitStack() as hooks:
        for backbone, together in zip(model.backbones, (frames, 1), strict=True):
            for layer in backbone.early_layers()[-_LAYERS:] if strength > 0 else ():
                hooks.enter_context(layer.register_forward_hook(partial(_hook, strength=strength, together=together)))
        yield


def perturbed(
    features: Float[Tensor, "n channels rows cols"], strength: float, together: int
) -> Float[Tensor, "n channels rows cols"]:
    """Features whose channels' means and contrasts are multiplied by random factors near 1.

    Always ``together`` consecutive ones have the same factors. Their standard deviation is at most ``strength``, and
    random itself, so that some styles hardly change.
    """
    samples = features.reshape(-1, together, *features.shape[1:])
    shape = (len(samples), 1, samples.shape[2], 1, 1)
    sigma = strength * torch.rand((len(samples), 1, 1, 1, 1), device=features.device)
    contrast, level = (1 + sigma * torch.randn(shape, device=features.device) for _ in range(2))
    mean = samples.mean(dim=(1, 3, 4), keepdim=True)
    return (contrast * (samples - mean) + level * mean).to(features.dtype).reshape(features.shape)


def _hook(_layer: nn.Module, _inputs: Any, features: Tensor, *, strength: float, together: int) -> Tensor:
    return perturbed(features, strength, together)
