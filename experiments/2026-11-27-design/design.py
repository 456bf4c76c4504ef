"""Choices of the model and of its training, compared under equal time on towns that no training sees.

The first row of every table is the same, and is trained once, for as many steps as fit ``--minutes`` here. Each variant
takes as long as it, by how its steps and the first row's compare when taken by turns. It starts from ImageNet, or from
``--init``: of these weights every variant takes what fits it. Backbones need the first, and half an hour to show
anything; the other tables go on from what the best of them has learned. What is finished in the folder is not done
again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from altered import heading_supervised, learned_lift, one_encoder, standardised_images
from backbones import BACKBONES, using
from cvlnet.ablate import Setting, Variant, write_table
from cvlnet.config import ModelConfig, TrainConfig
from cvlnet.model.build import build_model
from cvlnet.report.tables import Table
from cvlnet.trainer import Trainer
from measure import kept, relative_s, run, seconds_each, slug
from samples import random_batch

BASE = TrainConfig(
    frames=1,
    batch_size=24,
    neighbours=8,
    learning_rate=2e-3,
    backbone_learning_rate=4e-4,
    average_decay=0.97,
    amp=True,
    warmup_steps=25,
)
MODEL = ModelConfig()


@dataclass(frozen=True)
class Choice:
    """One row of a table: what is not as in the base. altered: in which its networks are built."""

    name: str
    model: ModelConfig = MODEL
    training: TrainConfig = BASE
    altered: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def is_base(self) -> bool:
        """Nothing differs."""
        return replace(self, name="") == BASE_ROW


BASE_ROW = Choice("")


def model(name: str, **changes: object) -> Choice:
    return Choice(name, model=replace(MODEL, **changes))  # type: ignore[arg-type]


def training(name: str, **changes: object) -> Choice:
    return Choice(name, training=replace(BASE, **changes))  # type: ignore[arg-type]


TABLES: dict[str, tuple[Choice, ...]] = {
    "backbone": (
        Choice("EfficientNet-Lite0"),
        *(Choice(name, altered=partial(using, name)) for name in BACKBONES),
    ),
    "encoders": (
        Choice("one for each view"),
        Choice("one for both", altered=one_encoder),
        Choice("pictures standardised", altered=standardised_images),
    ),
    "cells": (
        model("1.6 m"),
        model("3.2 m", overhead_m_per_px=0.8, clip_cells=26, window_cells=3),
        model("0.8 m", overhead_m_per_px=0.2, clip_cells=104, window_cells=12),
    ),
    "descriptor": tuple(model(f"{channels} channels", descriptor_channels=channels) for channels in (16, 4, 8, 32)),
    "lift": (
        model("0, 1.5, 4 m"),
        model("ground alone", heights_m=(0.0,)),
        model("0, 3 m", heights_m=(0.0, 3.0)),
        model("0, 1, 2, 4, 8 m", heights_m=(0.0, 1.0, 2.0, 4.0, 8.0)),
        model("paper's trunk", ground_trunk="convolution"),
        Choice("learned distances", altered=learned_lift),
    ),
    "training": (
        training("as it is"),
        training("no labels", label_weight=0.0),
        training("no displacement", displacement_weight=0.0),
        training("no neighbours", neighbours=0),
        training("neighbours 12 m apart", neighbourhood_m=80.0, min_distance_m=12.0),
        training("batch of 8", batch_size=8, neighbours=4),
        training("batch of 48", batch_size=48, neighbours=8),
        training("batch of 96, 24 at a time", batch_size=96, neighbours=8, encode_at_once=24),
        training("soft margin", loss="soft_margin"),
        training("norms learn", freeze_norms=False),
        training("early layers learn", freeze_early=False),
        training("no change of colour", photometric=0.0),
        training("twice the change of colour", photometric=2.0),
        training("no average", average_decay=0.0),
        Choice("heading supervised", altered=heading_supervised),
        training("heading exact", heading_error_deg=0.0),
        training("calibration errs", pitch_error_deg=1.0, height_error_m=0.2, focal_error_percent=5.0),
        training("world upright", rotate_world=False),
        training("world not mirrored", mirror_world=False),
    ),
}


def step_of(choice: Choice) -> Callable[[], object]:
    """A step of a choice's training, on a batch in memory."""
    with choice.altered():
        net = build_model(choice.model)
    trainer = Trainer(net, choice.training)
    batch = random_batch(choice.model, net.tile_grid.rows, choice.training.batch_size, choice.training.frames)

    def step() -> None:
        with choice.altered():
            trainer.update(batch)

    return step


def steps_for(choice: Choice, out: Path, minutes: float) -> int:
    """How many steps of a choice's training take as long as the base's; the base's take these minutes."""
    base_steps = kept(out / "base" / "steps.json", lambda: round(60 * minutes / seconds_each(step_of(BASE_ROW))))
    return base_steps if choice.is_base else max(round(base_steps / relative_s(step_of(choice), step_of(BASE_ROW))), 1)


def row(table: str, choice: Choice, setting: Setting, minutes: float) -> Table:
    """A choice, trained for the time and evaluated; a later call takes as many steps as the first one measured."""
    folder = setting.out / ("base" if choice.is_base else f"{table}/{slug(choice.name)}")
    steps = kept(folder / "steps.json", partial(steps_for, choice, setting.out, minutes))
    trained = replace(choice.training, steps=steps, validate_every=steps)
    variant = Variant("variant", choice.model, trained, (trained.frames,))
    with choice.altered():
        found = write_table("table", [variant], replace(setting, out=folder))
    return replace(found, rows=tuple((f"{choice.name}, {steps} steps", *cells[2:]) for cells in found.rows))


def main() -> None:
    options = parse_options()
    setting = Setting(
        options.data,
        options.test,
        options.out,
        options.seeds,
        options.queries,
        cache=options.cache,
        workers=1,
        init=options.init,
    )
    for table in options.table:
        parts = [row(table, choice, setting, options.minutes) for choice in TABLES[table]]
        header = (table, *parts[0].header[2:])
        print(replace(parts[0], title=table, header=header, rows=tuple(r for p in parts for r in p.rows)).markdown())


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="data sets to train on")
    parser.add_argument("--test", type=Path, nargs="+", required=True, help="data sets for validation")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", choices=TABLES, nargs="+", default=list(TABLES))
    parser.add_argument("--init", type=Path, help="weights to start from, instead of ImageNet")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--cache", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
