"""``cvlnet evaluate``, ``calibrate`` and ``ablate``."""

from __future__ import annotations

import sys
from math import radians
from pathlib import Path
from typing import Annotated, Literal

from cyclopts.types import File

from cvlnet.cli.options import (
    AtLeastOne,
    FramesOfClip,
    ModelOptions,
    PitchError,
    ResourceOptions,
    Resources,
    Share,
    TrainOptions,
    panel,
)
from cvlnet.config import PITCH_ERROR_DEG, SHARE_MAPPED, EvaluationConfig, ModelConfig, TrainConfig

# parts are compared with a single plane and a single convolution, so that no other part can do their work
ABLATED = ModelConfig(clip_cells=48, heights_m=(0.0,), ground_trunk="convolution")
ABLATION = TrainConfig(steps=500, average_decay=0.99, neighbours=4)


def evaluate(
    data: Path,
    /,
    *,
    out: Path,
    weights: Path | None = None,
    evaluation: Annotated[EvaluationConfig, panel("Evaluation", EvaluationConfig)] = EvaluationConfig(),
) -> None:
    r"""Locate the queries of a data set's test splits; write predictions, metrics and an HTML report.

    For example:

        cvlnet evaluate data/test-town --out runs/report
        cvlnet evaluate KITTI-CVL --weights runs/first/best.safetensors \
            --most-queries 500 --out runs/kitti

    Args:
        data: Data set in the layout of KITTI-CVL, such as cvlnet synth writes.
        out: Folder for the report, index.html.
        weights: File of weights; the package's own by default.

    """
    from cvlnet.checkpoint import shipped_weights
    from cvlnet.evaluation.report import evaluate_and_report

    report = evaluate_and_report(data, weights or shipped_weights(), out, evaluation, progress=sys.stderr.isatty())
    print("\n".join(report.lines))


def calibrate(
    data: tuple[Path, ...],
    /,
    *,
    weights: Path,
    out: File,
    frames: Annotated[int, FramesOfClip] = 4,
    pitch_error_deg: Annotated[float, PitchError] = PITCH_ERROR_DEG,
    share_mapped: Annotated[float, Share] = SHARE_MAPPED,
    most_queries: Annotated[int | None, AtLeastOne] = None,
    resources: ResourceOptions = Resources(),
) -> None:
    r"""Fit the confidence of fixes on data that training has not seen, and store it with the weights.

    With it every fix has a probability of being correct, and evaluation reports the share of queries that are answered
    with 99 % precision. Some hundreds of queries are needed to establish a threshold.

    For example:

        cvlnet calibrate data/validation --weights runs/first/best.safetensors \
            --out weights.safetensors

    Args:
        data: Data sets in the layout of KITTI-CVL; test data are refused.
        weights: File of weights.
        out: File to write; it may be the same one.
        frames: Number of frames of a clip, 1 to 16.
        pitch_error_deg: Largest error of the cameras' stated pitch to allow for, as for cvlnet localize.
        share_mapped: Share of queries whose place is on the map where the weights will be used.
        most_queries: Largest number of queries, evenly spaced; all by default.

    """
    from cvlnet.evaluation.fit_confidence import calibrate
    from cvlnet.model.confidence import described

    confidence = calibrate(
        weights,
        data,
        out,
        frames=frames,
        pitch_error_rad=radians(pitch_error_deg),
        share_mapped=share_mapped,
        most_queries=most_queries,
        cache=resources.cache,
        workers=resources.workers,
        device=resources.usable_device(),
        progress=sys.stderr.isatty(),
    )
    print(f"{out}: {described(confidence)}")


def ablate(
    data: tuple[Path, ...],
    /,
    *,
    table: Literal["fusion", "projection", "sequence", "matching", "all"],
    out: Path = Path("ablation"),
    test: tuple[Path, ...] = (),
    seeds: Annotated[int, AtLeastOne] = 3,
    most_queries: Annotated[int, AtLeastOne] = 500,
    init: Path | None = None,
    resources: ResourceOptions = Resources(),
    model: ModelOptions = ABLATED,
    training: TrainOptions = ABLATION,
    config: Path | None = None,
) -> None:
    r"""Train and evaluate the variants in one of the paper's tables with equal budgets, and write the table.

    An interrupted call resumes when it is repeated.

    For example:

        cvlnet ablate data/train --test data/bench --table fusion \
            --steps 500 --seeds 3
        cvlnet ablate KITTI-CVL --table all --device cuda --steps 20000

    Args:
        data: Data sets to train on, in the layout of KITTI-CVL.
        table: Part of the network that is varied, or all of them in turn.
        out: Folder for the weights, the predictions, and each table as .md, .csv, .json and .png.
        test: Data sets to evaluate on; by default the test drives of the training data.
        seeds: Number of trainings of each variant.
        most_queries: Largest number of queries of each split, evenly spaced.
        init: File of weights; every variant starts from those that fit it, and initialises the others at random.
        config: TOML file of options, by their names without the leading dashes. Command-line values override the file.

    """
    from cvlnet.training.ablation import TABLES, Setting, variants, write_table

    del config  # has been read with the options
    setting = Setting(
        data,
        test or data,
        out,
        seeds,
        most_queries,
        cache=resources.cache,
        workers=resources.workers,
        device=resources.usable_device(),
        init=init,
    )
    for name in TABLES if table == "all" else (table,):
        print(write_table(name, variants(name, model, training), setting).markdown())
