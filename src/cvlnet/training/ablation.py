"""The paper's ablations: variants trained and evaluated with the same budget and several seeds, resumable at any step.

The folder of a table holds ``<variant>/<seed>/`` with the training, its averaged weights and predictions, and the table
as Markdown, CSV, JSON and a plot.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from tqdm import tqdm

from cvlnet.arrays import F64, I64
from cvlnet.checkpoint import load_network, load_tensors, save_tensors
from cvlnet.config import Fusion, ModelConfig, TrainConfig
from cvlnet.data.fingerprint import fingerprint
from cvlnet.data.images import ImageCache
from cvlnet.data.kitti_cvl import list_name, read_split
from cvlnet.evaluation.best_fixes import best_fixes
from cvlnet.evaluation.bootstrap import Redraws
from cvlnet.evaluation.metrics import Interval
from cvlnet.evaluation.predict import SPLITS, Predictions, predict
from cvlnet.evaluation.report.tables import Table, metres, percent
from cvlnet.evaluation.report.theme import DAY, save_png
from cvlnet.evaluation.summary import stretch_of_road
from cvlnet.io.files import written_whole
from cvlnet.training.loop import LAST, Run, provenance_of, require_same, train
from cvlnet.training.samples import clip_spec_of

TableName = Literal["fusion", "projection", "sequence", "matching"]
TABLES: tuple[TableName, ...] = get_args(TableName)
LENGTHS = (1, 2, 4, 8)
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Variant:
    """One configuration, and the clip lengths that it is evaluated with."""

    name: str
    model: ModelConfig
    training: TrainConfig
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """Results of a variant with clips of ``frames`` frames, pooled over the seeds.

    test1_10m and so on: recall@1 by split and radius. by_seed: recall@1 within 10 m in Test-2 of each seed.
    """

    variant: str
    frames: int
    seeds: int
    test1_10m: Interval
    test2_10m: Interval
    test2_5m: Interval
    median_m: Interval
    by_seed: tuple[float, ...]


@dataclass(frozen=True)
class Setting:
    """What all variants of an ablation have in common.

    data, tests: data sets to train and to evaluate on, all queries of the latter pooled. init: weights from which every
    variant starts, as far as they fit it.
    """

    data: Sequence[Path]
    tests: Sequence[Path]
    out: Path
    seeds: int
    most_queries: int
    cache: Path | None = None
    workers: int = 1
    device: str = "cpu"
    init: Path | None = None


def variants(table: TableName, model: ModelConfig, training: TrainConfig) -> tuple[Variant, ...]:
    """The variants of a table, which differ from ``model`` and ``training`` only in what the table compares."""
    own, pictures = (training.frames,), training.frames * len(training.cameras)

    def variant(name: str, **changes: object) -> Variant:
        return Variant(name, replace(model, **changes), training, own)  # type: ignore[arg-type]

    match table:
        case "fusion":
            rows = [variant(fusion, fusion=fusion, sequence=pictures) for fusion in get_args(Fusion)]
            return (*rows, variant("vis_Conv2D-consistency", fusion="vis_Conv2D", consistency=True))
        case "projection":
            polar = variant("polar", projection="polar", window_cells=0, uncertainty=False)
            return (*(variant(p, projection=p) for p in ("features", "images", "unet", "reshape")), polar)
        case "sequence":
            return tuple(_of_length(frames, model, training) for frames in LENGTHS)
    return (
        variant("displacement-and-uncertainty"),
        variant("no-uncertainty", uncertainty=False),
        variant("no-displacement", window_cells=0),
        variant("neither", uncertainty=False, window_cells=0),
    )


def _of_length(frames: int, model: ModelConfig, training: TrainConfig) -> Variant:
    """Trained with clips of ``frames`` frames, evaluated with every length that the fusion accepts."""
    shortest = frames if model.fusion == "fuse_Conv3D" else 1
    lengths = tuple(length for length in LENGTHS if length >= shortest)
    made_for = replace(model, sequence=frames * len(training.cameras))
    return Variant(f"{frames}-frames", made_for, replace(training, frames=frames), lengths)


def write_table(name: str, compared: Sequence[Variant], setting: Setting) -> Table:
    """Train and evaluate all variants of a table, and write it into a folder of its name.

    Raises InputError as `train` and `predict` do, and if the folder holds a table of other settings or data.
    """
    for root in setting.tests:  # before hours of training
        for split in SPLITS:
            read_split(root, split)
    out, rows = setting.out / name, []
    for variant in tqdm(compared, name, unit="variant", dynamic_ncols=True, disable=None):
        for seed in range(setting.seeds):
            _train(variant, seed, out, setting)
        for frames in variant.frames:
            found = [_predictions(variant, seed, frames, out, setting) for seed in range(setting.seeds)]
            rows.append(row_of(variant.name, frames, found))
    _write(name, rows, out)
    return table_of(name, rows)


def _train(variant: Variant, seed: int, out: Path, setting: Setting) -> None:
    """Train a variant to the end, unless that is done already, and keep the averaged weights."""
    folder, training = out / variant.name / str(seed), replace(variant.training, seed=seed)
    run = Run(
        setting.data, (), folder, setting.init, setting.cache, setting.workers, setting.device, takes_what_fits=True
    )
    if (folder / WEIGHTS).exists():
        _, saved = load_tensors(folder / WEIGHTS)
        require_same(provenance_of(variant.model, training, run), saved, folder)
        return
    train(variant.model, training, run)
    tensors, provenance = load_tensors(folder / LAST)
    average = {name.removeprefix("average."): t for name, t in tensors.items() if name.startswith("average.")}
    save_tensors(folder / WEIGHTS, average, provenance)
    (folder / LAST).unlink()


def _predictions(variant: Variant, seed: int, frames: int, out: Path, setting: Setting) -> tuple[Predictions, ...]:
    """The predictions for each test data set, read from disk if they exist."""
    folder, found = out / variant.name / str(seed), []
    for root in setting.tests:
        asked = f"{frames}-frames-{setting.most_queries}-queries-{_digest(root)[:12]}"
        path = folder / f"predictions-{asked}.npz"
        if not path.exists():
            network, _ = load_network(folder / WEIGHTS)
            spec = replace(clip_spec_of(network, variant.training), frames=frames)
            cache = ImageCache(setting.cache) if setting.cache else None
            predict(
                network.to(setting.device),
                root,
                spec,
                most_queries=setting.most_queries,
                cache=cache,
                workers=setting.workers,
            ).save(path)
        found.append(Predictions.load(path))
    return tuple(found)


def _digest(root: Path) -> str:
    """Stands for a test data set: its place, and its lists of queries and tiles."""
    digest = sha256(str(root.resolve()).encode() + fingerprint(root)["sha256"].encode())
    for name in (list_name("test1"), list_name("test2"), "test.csv"):
        if (root / name).is_file():
            digest.update((root / name).read_bytes())
    return digest.hexdigest()


def row_of(name: str, frames: int, found: Sequence[Sequence[Predictions]]) -> Row:
    """The results of one variant, from its predictions by seed and data set."""
    errors_m = {split: np.array([_errors_m(of_seed, split) for of_seed in found]) for split in ("test1", "test2")}
    redraws = {split: Redraws.of(_stretches(found, split)) for split in errors_m}
    flat = {split: errors.ravel() for split, errors in errors_m.items()}
    (median_m,) = redraws["test2"].quantiles(flat["test2"], (0.5,))
    return Row(
        name,
        frames,
        len(found),
        redraws["test1"].mean(flat["test1"] <= 10),
        redraws["test2"].mean(flat["test2"] <= 10),
        redraws["test2"].mean(flat["test2"] <= 5),
        median_m,
        tuple((errors_m["test2"] <= 10).mean(axis=1).tolist()),
    )


def _errors_m(found: Sequence[Predictions], split: str) -> F64:
    return np.concatenate([best_fixes(predictions, split).error_m for predictions in found])


def _stretches(found: Sequence[Sequence[Predictions]], split: str) -> I64:
    """Number of the stretch of road of each query, the same for all seeds and distinct between data sets."""
    numbers: list[I64] = []
    for predictions in found[0]:
        before = int(numbers[-1].max()) + 1 if numbers else 0
        numbers.append(before + stretch_of_road(best_fixes(predictions, split).true_xy_m))
    return np.tile(np.concatenate(numbers), len(found))


def table_of(name: str, rows: Sequence[Row]) -> Table:
    """The rows as a table."""
    header = ("variant", "frames", "Test-1, 10 m", "Test-2, 10 m", "Test-2, 5 m", "median", "seeds, Test-2, 10 m")
    cells = tuple(
        (
            row.variant,
            str(row.frames),
            percent(row.test1_10m),
            percent(row.test2_10m),
            percent(row.test2_5m),
            metres(row.median_m),
            ", ".join(f"{100 * share:.1f}" for share in row.by_seed),
        )
        for row in rows
    )
    note = "Recall@1. In brackets: 95 % interval from resampling whole stretches of road, all seeds together."
    return Table(f"Variants of {name}", header, cells, note)


def _write(name: str, rows: Sequence[Row], out: Path) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    intervals = ("test1_10m", "test2_10m", "test2_5m", "median_m")
    writer.writerow(["variant", "frames", "seeds", *(f"{i}{end}" for i in intervals for end in ("", "_low", "_high"))])
    for row in rows:
        figures: list[Interval] = [getattr(row, interval) for interval in intervals]
        writer.writerow([row.variant, row.frames, row.seeds, *(v for f in figures for v in (f.value, f.low, f.high))])
    contents: Mapping[str, str] = {
        "md": table_of(name, rows).markdown(),
        "csv": text.getvalue(),
        "json": json.dumps([asdict(row) for row in rows], indent=1) + "\n",
    }
    for ending, content in contents.items():
        with written_whole(out / f"{name}.{ending}") as temporary:
            temporary.write_text(content, encoding="utf-8")
    _draw(name, rows, out / f"{name}.png")


def _draw(name: str, rows: Sequence[Row], path: Path) -> None:
    """A bar for each row: recall in Test-2 with its interval, and a dot for each seed."""
    figure = DAY.figure(9.0, 1.2 + 0.42 * len(rows))
    axes = figure.subplots()
    for place, row in enumerate(rows):
        recall = row.test2_10m
        low, high = 100 * (recall.value - recall.low), 100 * (recall.high - recall.value)
        axes.barh(place, 100 * recall.value, xerr=[[low], [high]], height=0.6, color="C0", alpha=0.6, capsize=3)
        axes.plot([100 * share for share in row.by_seed], [place] * row.seeds, "k.", markersize=5)
    axes.set_yticks(range(len(rows)), [f"{row.variant}, {row.frames} frames" for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    DAY.dress(axes, f"Variants of {name}", "recall@1 within 10 m in Test-2, %")
    save_png(figure, path)
