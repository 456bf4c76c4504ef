"""Which conditions cost recall: light, season, another camera, another kind of image; each is drawn into towns alone.

The towns' plans are the same throughout, of seeds for tests; only what a condition asks for differs, and in every
image it does. What is finished in the folder is not done again.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cvlnet.checkpoint import load_model, shipped_weights
from cvlnet.data.clips import ClipSpec
from cvlnet.evaluation.best_fixes import best_fixes
from cvlnet.evaluation.bootstrap import Redraws
from cvlnet.evaluation.metrics import Interval
from cvlnet.evaluation.predict import predict
from cvlnet.evaluation.report.tables import percent
from cvlnet.evaluation.summary import stretch_of_road
from cvlnet.town.dataset.synthesize import synthesize
from cvlnet.town.presets import Nuisances
from cvlnet.town.render.light import BARE_FLIGHTS_SHARE
from cvlnet.town.render.overhead import COARSE_SHARE, OBLIQUE_SHARE, TEXT_SHARE
from measure import kept, print_results, run, slug

RADII_M = (5.0, 10.0)
USUAL = Nuisances()
IN_EVERY_FLIGHT = {
    "rig": 1.0,
    "contrast": 1.0,
    "windscreen": 1.0,
    "leafless": 1 / BARE_FLIGHTS_SHARE,
    "oblique": 1 / OBLIQUE_SHARE,
    "coarse": 1 / COARSE_SHARE,
    "seams": 1.0,
    "overhead_text": 1 / TEXT_SHARE,
}
OFF_BY_DEFAULT = {
    "another car and camera": "rig",
    "tone curves, exposure that follows the light": "contrast",
    "bonnet, wiper, dirt, reflections": "windscreen",
    "bare trees in the images": "leafless",
    "images taken aslant": "oblique",
    "images of half the resolution": "coarse",
    "strips that differ in light": "seams",
    "the owner's name across the images": "overhead_text",
}
CONDITIONS: dict[str, Nuisances] = {
    "as usual": USUAL,
    "no misregistration": replace(USUAL, misregistration=0.0),
    "twice the misregistration": replace(USUAL, misregistration=2.0),
    "season: leaves, grass, fields, twice": replace(USUAL, season=2.0),
    "light of the frames, twice": replace(USUAL, camera_light=2.0, exposure=2.0),
    "light of the image, twice": replace(USUAL, overhead_light=2.0),
    "no shadows in either": replace(USUAL, camera_shadows=0.0, overhead_shadows=0.0),
    "parked cars and alterations, twice": replace(USUAL, parked_changes=2.0, alterations=2.0),
    **{name: replace(USUAL, **{option: IN_EVERY_FLIGHT[option]}) for name, option in OFF_BY_DEFAULT.items()},
    "these eight together": replace(USUAL, **IN_EVERY_FLIGHT),
}


def figures_of(nuisances: Nuisances, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Recall@1 in Test-2 by radius, with intervals, and the median error."""
    model, _ = load_model(options.weights or shipped_weights())
    synthesize(folder, options.town_seed, "streets", towns=options.towns, nuisances=nuisances)
    spec = ClipSpec(model.image_spec)
    predictions = predict(model, folder, spec, splits=("test2",), most_queries=options.queries, workers=1)
    shutil.rmtree(folder)
    error_m = best_fixes(predictions, "test2").error_m
    redraws = Redraws.of(stretch_of_road(predictions.true_xy_m[predictions.rankings["test2"].queries]))
    recall = [asdict(redraws.mean(error_m <= radius_m)) for radius_m in RADII_M]
    return {"recall": recall, "median_m": float(np.median(error_m)), "queries": len(error_m)}


def row_of(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    """The condition's line."""
    shares = [Interval(**share) for share in figures["recall"]]
    return (name, *(percent(share, 0) for share in shares), f"{figures['median_m']:.1f}")


def main() -> None:
    options = parse_options()
    rows = []
    for name, nuisances in CONDITIONS.items():
        folder = options.out / slug(name)
        figures = kept(folder.with_suffix(".json"), partial(figures_of, nuisances, folder, options))
        rows.append(row_of(name, figures))
    header = ("condition", *(f"within {radius_m:g} m" for radius_m in RADII_M), "median m")
    print_results("Conditions", header, rows)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the figures, and for each condition's towns while needed")
    parser.add_argument("--weights", type=Path, help="file of weights; the package's own if not given")
    parser.add_argument("--towns", type=int, default=2)
    parser.add_argument("--town-seed", type=int, default=210_000)
    parser.add_argument("--queries", type=int, default=400)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
