"""What a town costs to draw on one core: as `cvlnet synth` draws it, and as `cvlnet train --stream` does."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from time import process_time
from typing import get_args

import cv2
import torch

from cvlnet.config import TrainConfig
from cvlnet.data.kitti_cvl import list_name
from cvlnet.town.dataset.synthesize import write_dataset
from cvlnet.town.dataset.training_town import draw_town
from cvlnet.town.dataset.warmup import compile_kernels
from cvlnet.town.presets import Nuisances, Preset, preset_towns
from cvlnet.training.stream import Stream, plan_stream
from measure import print_results, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=get_args(Preset), default="streets")
    parser.add_argument("--seed", type=int, default=20_000)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    compile_kernels()
    town = preset_towns(options.preset, options.seed, Nuisances(), count=1)
    first = plan_stream(Stream(options.preset, options.seed), TrainConfig(), beside=False).first
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        whole, streamed = Path(folder) / "whole", Path(folder) / "streamed"
        start = process_time()
        write_dataset(whole, town, name=options.preset, workers=1)
        between = process_time()
        draw_town(first, streamed)
        times_s = (between - start, process_time() - between)
        for way, path, time_s in zip(("a data set", "a streamed town"), (whole, streamed), times_s, strict=True):
            clips = len((path / list_name("train")).read_text(encoding="utf-8").splitlines())
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
            rows.append((way, f"{time_s:.0f}", str(clips), f"{time_s / clips:.2f}", f"{size:.0f}"))
    columns = ("the town as", "s of one core", "clips to train on", "s a clip", "MB")
    print_results(f"Drawing a town of the preset {options.preset}", columns, rows)


if __name__ == "__main__":
    run(main)
