"""How fast training steps are: forward, backward and update on a batch that lies in memory.

The baseline is the published step (`published.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cvlnet.config import TrainConfig
from cvlnet.model.build import build_model
from cvlnet.training.step import Trainer
from measure import device_option, in_own_process, print_results, run, seconds_each
from published import PublishedTraining
from samples import CONFIGURATIONS, FRAMES, random_batch


@dataclass(frozen=True)
class Way:
    """What is trained, and how. at_once: as `TrainConfig.encode_at_once`."""

    network: str
    samples: int
    amp: bool = False
    at_once: int = 0


PUBLISHED_SAMPLES = 2
WAYS = {
    "EfficientNet-Lite0": Way("EfficientNet-Lite0", 8),
    "EfficientNet-Lite0, bfloat16": Way("EfficientNet-Lite0", 8, amp=True),
    "EfficientNet-Lite0, bfloat16, large batch": Way("EfficientNet-Lite0", 32, amp=True),
    "EfficientNet-Lite0, bfloat16, large batch, 8 at a time": Way("EfficientNet-Lite0", 32, amp=True, at_once=8),
    "VGG16 (paper)": Way("VGG16 (paper)", 2),
    "VGG16 (paper), bfloat16": Way("VGG16 (paper)", 2, amp=True),
}


def measure(way: Way, device: torch.device) -> float:
    """Seconds a step."""
    config = CONFIGURATIONS[way.network]
    model = build_model(config).to(device)
    training = TrainConfig(batch_size=way.samples, neighbours=0, frames=FRAMES, amp=way.amp, encode_at_once=way.at_once)
    trainer = Trainer(model, training)
    batch = random_batch(config, model.tile_grid.rows, way.samples)
    return seconds_each(lambda: trainer.update(batch), at_least=1)


def measure_published(samples: int, device: torch.device) -> float:
    """Seconds a step of the published training."""
    return seconds_each(PublishedTraining(samples, device).step, at_least=1)


def main() -> None:
    device = device_option(__doc__)
    published_s, peak_mib = in_own_process(measure_published, PUBLISHED_SAMPLES, device)
    published_rate = PUBLISHED_SAMPLES / published_s
    rows = [_row("published", PUBLISHED_SAMPLES, published_s, published_rate, peak_mib)]
    for name, way in WAYS.items():
        seconds, peak_mib = in_own_process(measure, way, device)
        rows.append(_row(name, way.samples, seconds, published_rate, peak_mib))
    header = ("network", "batch", "s a step", "samples/s", "times faster", "peak MiB")
    print_results(f"Training, clips of {FRAMES} frames", header, rows)


def _row(name: str, samples: int, seconds: float, published_rate: float, peak_mib: float) -> tuple[str, ...]:
    rate = samples / seconds
    return (name, f"{samples}", f"{seconds:.2f}", f"{rate:.2f}", f"{rate / published_rate:.1f}", f"{peak_mib:.0f}")


if __name__ == "__main__":
    run(main)
