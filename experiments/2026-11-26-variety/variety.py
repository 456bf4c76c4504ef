"""What each kind of variety of the synthetic towns is worth: it is switched off in turn, the others staying on.

From the same weights, which have seen none of the kinds (``--init``), trainings go on for as many steps each: on towns
with all kinds, with none, and with all but one, of the same plans. All are asked the same queries of held-out towns
(``--held-out``) and of real streets. What is finished in the folder is not done again.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cvlnet.checkpoint import load_model, load_tensors
from cvlnet.config import TrainConfig
from cvlnet.data.clips import ClipSpec
from cvlnet.data.images import ImageCache
from cvlnet.data.kitti_cvl import read_split
from cvlnet.evaluate import predict
from cvlnet.fixes import best_fixes
from cvlnet.model.cvlnet import CVLNet
from cvlnet.town.dataset.synthesize import synthesize
from cvlnet.town.presets import Nuisances
from cvlnet.train import BEST, Run, train
from measure import kept, print_results, run
from real_kitti import SHARED, mean_log_rank, real_cases

KINDS = ("rig", "contrast", "windscreen", "leafless", "oblique", "coarse", "seams", "overhead_text")


def settings(kinds: Sequence[str]) -> Iterator[tuple[str, Nuisances]]:
    """What the towns of each training vary in, by name; each of these kinds is switched off in turn."""
    on = replace(Nuisances(), **dict.fromkeys(KINDS, 1.0))
    yield "all kinds", on
    for kind in kinds:
        yield f"without {kind}", replace(on, **{kind: 0.0})
    yield "none", Nuisances()


def figures_after(nuisances: Nuisances, folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Of every seed: recall on each held-out data set, and how the real clips fare."""
    _, provenance = load_tensors(options.init)
    synthesize(folder / "towns", options.town_seed, "streets", towns=options.towns, nuisances=nuisances)
    figures = []
    for seed in range(options.seeds):
        config = TrainConfig(
            steps=options.steps,
            batch_size=24,
            neighbours=8,
            frames=1,
            average_decay=0.98,
            validate_every=options.steps,
            validate_queries=20,
            amp=True,
            seed=seed,
        )
        run = Run((folder / "towns",), options.held_out[:1], folder / str(seed), options.init, folder / "cache")
        train(provenance.model, config, run)
        model, _ = load_model(folder / str(seed) / BEST)
        figures.append(judged(model, options))
    shutil.rmtree(folder / "cache")
    shutil.rmtree(folder / "towns")
    return figures


def judged(model: CVLNet, options: argparse.Namespace) -> dict[str, Any]:
    """Recall within 10 m in Test-2 of every held-out data set, single frames; the real clips."""
    recalls = []
    for root in options.held_out:
        cache = ImageCache(options.out / "cache")
        spec = ClipSpec(model.image_spec, 1)
        predictions = predict(
            model, root, spec, splits=("test2",), most_queries=options.queries, cache=cache, workers=1
        )
        recalls.append(float((best_fixes(predictions, "test2").error_m <= 10).mean()))
    cases = real_cases(model, options.shared)
    real = {
        "mean_log_rank": mean_log_rank(cases) if cases else None,
        "ranks": [case.rank for case in cases],
        "errors_m": [case.error_m for case in cases],
    }
    return {"recall_10m": recalls, "real": real}


def row_of(name: str, figures: list[dict[str, Any]]) -> list[str]:
    """Mean over the seeds, and of the real clips the ranks of every seed."""
    recalls = np.array([of_seed["recall_10m"] for of_seed in figures])
    shares = [
        f"{mean:.1f} ({', '.join(f'{100 * r:.0f}' for r in of_set)})"
        for mean, of_set in zip(100 * recalls.mean(axis=0), recalls.T, strict=True)
    ]
    real = [of_seed["real"] for of_seed in figures]
    if real[0]["mean_log_rank"] is None:
        return [name, *shares, "-", "-"]
    ranks = "; ".join(" ".join(str(rank or "-") for rank in of_seed["ranks"]) for of_seed in real)
    return [name, *shares, f"{np.mean([of_seed['mean_log_rank'] for of_seed in real]):.2f}", ranks]


def main() -> None:
    options = parse_options()
    for root in options.held_out:  # before any town is drawn
        read_split(root, "test2")
    rows = []
    for name, nuisances in settings(options.kinds):
        folder = options.out / name.replace(" ", "-")
        rows.append(row_of(name, kept(folder / "figures.json", partial(figures_after, nuisances, folder, options))))
    held_out = [f"{root.name}, Test-2 within 10 m, %" for root in options.held_out]
    print_results("Kinds of variety", ("towns", *held_out, "real: mean log rank", "real: ranks"), rows)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "out", type=Path, help="folder for the towns, while they are needed, the weights and the figures"
    )
    parser.add_argument("--init", type=Path, required=True, help="weights that have seen none of the kinds")
    parser.add_argument("--held-out", type=Path, nargs="+", required=True, help="data sets that are asked about")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="those that are switched off")
    parser.add_argument("--shared", type=Path, default=SHARED, help="where the real frames are")
    parser.add_argument("--towns", type=int, default=3)
    parser.add_argument("--town-seed", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--queries", type=int, default=300)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
