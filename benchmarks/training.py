"""How fast training steps are: forward, backward and update on a batch that lies in memory.

In bfloat16 the gradients of depthwise convolutions are computed as `cvlnet.model.depthwise` does, and, as the plain
baseline, as PyTorch does by itself.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional

from cvlnet.config import TrainConfig
from cvlnet.model import backbone
from cvlnet.model.build import build_model
from cvlnet.train import Trainer
from measure import in_own_process, print_results, seconds_each
from samples import CONFIGURATIONS, FRAMES, random_batch


@dataclass(frozen=True)
class Way:
    """What is trained, and how. plain: depthwise gradients are PyTorch's own."""

    network: str
    samples: int
    amp: bool = False
    plain: bool = False


WAYS = {
    "EfficientNet-Lite0": Way("EfficientNet-Lite0", 8),
    "EfficientNet-Lite0, bfloat16": Way("EfficientNet-Lite0", 8, amp=True),
    "EfficientNet-Lite0, bfloat16, plain gradients": Way("EfficientNet-Lite0", 8, amp=True, plain=True),
    "VGG16 (paper)": Way("VGG16 (paper)", 2),
}


def measure(way: Way) -> float:
    """Seconds a step."""
    config = CONFIGURATIONS[way.network]
    model = build_model(config)
    trainer = Trainer(model, TrainConfig(batch_size=way.samples, neighbours=0, frames=FRAMES, amp=way.amp))
    batch = random_batch(config, model.tile_grid.rows, way.samples)
    with patch.object(backbone, "depthwise", plain_depthwise) if way.plain else nullcontext():
        return seconds_each(lambda: trainer.update(batch), at_least=1)


def plain_depthwise(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """The same value, with gradients by PyTorch."""
    return functional.conv2d(x, weight.to(x.dtype), None, stride, groups=len(weight))


def main() -> None:
    torch.manual_seed(0)
    rows = []
    for name, way in WAYS.items():
        seconds, peak_mib = in_own_process(measure, way)
        rows.append((name, f"{way.samples}", f"{seconds:.1f}", f"{way.samples / seconds:.2f}", f"{peak_mib:.0f}"))
    header = ("network", "batch", "s a step", "samples/s", "peak MiB")
    print_results(f"Training, clips of {FRAMES} frames", header, rows)


if __name__ == "__main__":
    main()
