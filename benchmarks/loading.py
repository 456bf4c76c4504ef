"""Whether a training waits for its data: samples a second from one worker, before and after they are in the cache."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter

from cvlnet.config import ModelConfig, TrainConfig
from cvlnet.data.samples import Batch
from cvlnet.model.build import build_model
from cvlnet.training.distributed import World
from cvlnet.training.loop import Run, batches, training_samples
from measure import print_results, run


def samples_a_second(loader: Iterator[Batch], count: int, samples: int) -> float:
    """Of ``count`` batches after the first two, which also start the worker."""
    for _ in range(2):
        next(loader)
    start = perf_counter()
    for _ in range(count):
        next(loader)
    return count * samples / (perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="a data set to train on")
    parser.add_argument("--batches", type=int, default=12)
    options = parser.parse_args()
    config = TrainConfig(batch_size=8)
    model = build_model(ModelConfig())
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for way, cache in (
            ("decoded anew", None),
            ("first time, into the cache", Path(folder)),
            ("cached", Path(folder)),
        ):
            run = Run((options.data,), (), Path(folder), cache=cache, workers=1)
            samples = training_samples(run, model, config)
            with closing(batches(samples, config, run, 0, World())) as loader:  # the worker ends before the folder does
                rows.append((way, f"{samples_a_second(loader, options.batches, config.batch_size):.1f}"))
    print_results(f"Loading clips of {config.frames} frames with their tiles and labels", ("way", "samples/s"), rows)


if __name__ == "__main__":
    run(main)
