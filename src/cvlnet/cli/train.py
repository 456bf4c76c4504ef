"""``cvlnet train`` and ``average``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import File

from cvlnet.cli.options import ModelOptions, ResourceOptions, Resources, TrainOptions
from cvlnet.config import ModelConfig, TrainConfig


def train(
    data: tuple[Path, ...],
    /,
    *,
    out: Path,
    validation: tuple[Path, ...] = (),
    init: Path | None = None,
    overfit_batch: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    resources: ResourceOptions = Resources(),
    model: ModelOptions = ModelConfig(),
    training: TrainOptions = TrainConfig(),
    config: Path | None = None,
) -> None:
    r"""Train on one or more data sets. An interrupted training resumes when the command is repeated.

    For example:

        cvlnet train data/town-1 data/town-2 --validation data/town-3 \
            --out runs/first --steps 4000
        cvlnet train KITTI-CVL --out runs/paper --config recipes/paper.toml \
            --device cuda
        torchrun --standalone --nproc-per-node 4 -m cvlnet train data/town-1 \
            --out runs/first --device cuda

    Args:
        data: Data sets in the layout of KITTI-CVL.
        out: Folder for the checkpoints and the log.
        validation: Data sets by which the best weights are chosen.
        init: File of weights to start from.
        overfit_batch: Trains on a single batch, whose loss must fall to zero.
        config: TOML file of options, by their names without the leading dashes. Command-line values override the file.

    """
    from cvlnet.training.loop import Run, train

    del config  # has been read with the options
    run = Run(
        data,
        validation,
        out,
        init,
        cache=resources.cache,
        workers=resources.workers,
        device=resources.usable_device(),
        overfit_batch=overfit_batch,
    )
    figures = train(model, training, run)
    if figures is not None:
        print("  ".join(f"{name} {value:.3f}" for name, value in figures.items()) or f"no validation; see {out}")


def average(weights: tuple[Path, ...], /, *, out: File) -> None:
    r"""Average the weights of successive trainings; the mean generalises better than any of them.

    For example:

        cvlnet average runs/1/best.safetensors runs/2/best.safetensors \
            --out weights.safetensors

    Args:
        weights: Files of weights, all of the same configuration.
        out: File to write. It has no confidence until cvlnet calibrate fits one.

    """
    from cvlnet.checkpoint import average

    average(weights, out)
    print(f"{out}: the mean of {len(weights)} files")
