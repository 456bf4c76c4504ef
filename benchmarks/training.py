"""How fast training steps are: forward, backward and update on a batch that lies in memory."""

from __future__ import annotations

from cvlnet.config import TrainConfig
from cvlnet.model.build import build_model
from cvlnet.train import Trainer
from measure import in_own_process, print_results, seconds_each
from samples import CONFIGURATIONS, FRAMES, random_batch

BATCHES = {"EfficientNet-Lite0": 8, "VGG16 (paper)": 2}


def measure(name: str, samples: int) -> float:
    """Seconds a step."""
    config = CONFIGURATIONS[name]
    model = build_model(config)
    trainer = Trainer(model, TrainConfig(batch_size=samples, neighbours=0, frames=FRAMES))
    batch = random_batch(config, model.tile_grid.rows, samples)
    return seconds_each(lambda: trainer.update(batch), at_least=1)


def main() -> None:
    rows = []
    for name, samples in BATCHES.items():
        seconds, peak_mib = in_own_process(measure, name, samples)
        rows.append((name, f"{samples}", f"{seconds:.1f}", f"{samples / seconds:.2f}", f"{peak_mib:.0f}"))
    header = ("network", "batch", "s a step", "samples/s", "peak MiB")
    print_results(f"Training, clips of {FRAMES} frames", header, rows)


if __name__ == "__main__":
    main()
