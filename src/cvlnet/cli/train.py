"""``cvlnet train`` and ``average``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import File

from cvlnet.cli.options import (
    AtLeastOne,
    ModelOptions,
    NotNegative,
    ResourceOptions,
    Resources,
    TrainOptions,
    panel,
)
from cvlnet.config import ModelConfig, TrainConfig
from cvlnet.errors import InputError
from cvlnet.town.presets import Nuisances, Preset


def train(
    data: tuple[Path, ...] = (),
    /,
    *,
    out: Path,
    validation: tuple[Path, ...] = (),
    init: Path | None = None,
    overfit_batch: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    stream: Preset | None = None,
    first_seed: Annotated[int, NotNegative] = 20_000,
    mixed_towns: Annotated[int, AtLeastOne] = 4,
    drawers: Annotated[int, AtLeastOne] = 1,
    resources: ResourceOptions = Resources(),
    model: ModelOptions = ModelConfig(),
    training: TrainOptions = TrainConfig(),
    nuisances: Annotated[Nuisances, panel("Nuisances of streamed towns", Nuisances)] = Nuisances(),
    config: Path | None = None,
) -> None:
    r"""Train on data sets, or on towns that are drawn during the training. An interrupted call resumes when repeated.

    For example:

        cvlnet train data/town-1 data/town-2 --validation data/town-3 \
            --out runs/first --steps 4000
        cvlnet train KITTI-CVL --out runs/paper --config recipes/paper.toml \
            --device cuda
        cvlnet train --stream streets --drawers 14 --validation data/town-3 \
            --out runs/stream --device cuda --workers 1
        torchrun --standalone --nproc-per-node 4 -m cvlnet train data/town-1 \
            --out runs/first --device cuda

    Args:
        data: Data sets in the layout of KITTI-CVL.
        out: Folder for the checkpoints and the log.
        validation: Data sets by which the best weights are chosen.
        init: File of weights to start from.
        overfit_batch: Trains on a single batch, whose loss must fall to zero.
        stream: Preset of towns that are drawn during the training. Each of their clips is used about twice, then
            the town is deleted. They are trained on instead of data sets, or alternate with them.
        first_seed: Seed of the first streamed town; the others follow. All are below 100,000, the seeds for training.
        mixed_towns: Number of streamed towns that consecutive steps alternate among.
        drawers: Number of processes that draw streamed towns.
        config: TOML file of options, by their names without the leading dashes. Command-line values override the file.

    """
    from cvlnet.training.loop import Run, train
    from cvlnet.training.stream import Stream

    del config  # has been read with the options
    if stream is None and nuisances != Nuisances():
        what, remedy = "there are no towns to draw", "draw towns with --stream, or give these options to cvlnet synth"
        raise InputError(what, where="nuisances of streamed towns", remedy=remedy)
    run = Run(
        data,
        validation,
        out,
        init,
        cache=resources.cache,
        workers=resources.workers,
        device=resources.usable_device(),
        overfit_batch=overfit_batch,
        stream=None if stream is None else Stream(stream, first_seed, mixed_towns, drawers, nuisances),
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
