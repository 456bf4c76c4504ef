"""Clips near the edge of an image, which shows only a part of what they see.

    python benchmarks/edges.py DATA --out FOLDER

DATA is a data set with overhead maps, as `cvlnet synth` makes it. Every query is searched on images of 250 m, cut out
of its town's, whose edge lies some metres from the vehicle, on one of its sides; and on images that end before they
reach the vehicle. Each clip is searched twice: as `cvlnet localize` does, where what the image does not show speaks
neither for a place nor against it, and without a neutral score, so that it counts as unlike. The results of each
distance are kept in FOLDER.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import radians
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cvlnet.config import PITCH_ERROR_DEG
from cvlnet.data.clips import MOST_FRAMES, ClipSpec
from cvlnet.data.kitti_cvl import read_recordings, read_split
from cvlnet.data.samples import ClipTileSamples
from cvlnet.errors import InputError
from cvlnet.evaluation.bootstrap import Redraws
from cvlnet.evaluation.summary import stretch_of_road
from cvlnet.geo import LatLon, LocalFrame, MetricRaster
from cvlnet.grid import Grid
from cvlnet.imagery.crop import crop, holds
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.overhead import Imagery, OverheadImage
from cvlnet.localize import Localizer
from cvlnet.localize.search import fixes_in
from cvlnet.localize.turned import TurnedClip
from cvlnet.model.confidence import FOUND_M
from cvlnet.types import Clip
from measure import evenly, kept, print_results, run

EDGES_M = (2.0, 8.0, 20.0, 40.0, -20.0, -60.0)  # from the vehicle; negative where the image ends before it
CELLS = Grid(1250, 1250, 0.2)  # of an image
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Query:
    """A clip on an image with its edge nearby. place: where it was taken. xy_m: in the frame of its town's image."""

    clip: Clip
    place: LatLon
    xy_m: F64
    image: OverheadImage


def queries(localizer: Localizer, root: Path, most: int, frames: int, edge_m: float) -> Iterator[Query]:
    """Test queries, evenly spaced; without those that stand too near the edge of their town's image."""
    split = read_split(root, "test2")
    model = localizer.model
    samples = ClipTileSamples(split, read_recordings(split), ClipSpec(model.image_spec, frames), model.tile_grid)
    towns = {path.stem: open_overhead(path) for path in sorted((root / "overhead").glob("*.tif"))}
    if not towns:
        raise InputError("has no overhead maps", where=root, remedy="make it by cvlnet synth")
    rng = np.random.default_rng(0)
    for number in evenly(len(samples), most):
        town, place = towns[samples.queries[number].date], samples.positions[number]
        aside_m = float(rng.uniform(-0.5, 0.5)) * CELLS.size_m[0]
        image = _cut(town, place, edge_m, aside_m, int(rng.integers(4)))
        if image is not None:
            xy_m = LocalFrame(town.center).xy_world_m(place.degrees)
            yield Query(samples[number].clip, place, xy_m, image)


def _cut(town: Imagery, place: LatLon, edge_m: float, aside_m: float, first_side: int) -> OverheadImage | None:
    """An image whose edge is so far from a place, on the first of the four sides on which the town's image allows it.

    aside_m: of the image's middle from the place, along the edge.
    """
    beyond_m = CELLS.size_m[0] / 2 - edge_m
    sides = [(beyond_m, aside_m), (aside_m, beyond_m), (-beyond_m, aside_m), (aside_m, -beyond_m)]
    for side in sides[first_side:] + sides[:first_side]:
        center = LatLon(*LocalFrame(place).latlon_deg(side).tolist())
        if holds(town, center, CELLS):
            pixels = np.ascontiguousarray(crop(town, center, CELLS).numpy().transpose(1, 2, 0))
            return OverheadImage(pixels, MetricRaster(center, CELLS.cols, CELLS.rows, CELLS.cell_m), town.source)
    return None


def computed(localizer: Localizer, root: Path, most: int, frames: int, edge_m: float, out: Path) -> dict[str, F64]:
    """Errors and confidences of all queries, [queries, (as unlike, as neither)]; from their file if it is there."""
    confidence = localizer.confidence
    assert confidence is not None
    ways = (replace(confidence, neutral=None), confidence)

    def compute() -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {"error_m": [], "confidence": [], "xy_m": []}
        for query in tqdm(queries(localizer, root, most, frames, edge_m), f"edge at {edge_m:g} m", unit="clip"):
            region = localizer.encode(query.image)
            clip = TurnedClip(localizer.model, query.clip, pitch_error_rad=radians(PITCH_ERROR_DEG))
            best = [fixes_in(localizer.model, clip, region, most=1, confidence=way)[1][0] for way in ways]
            away_m = LocalFrame(query.place).xy_world_m(np.array([fix.position.degrees for fix in best]))
            found["error_m"].append(np.linalg.norm(away_m, axis=-1).tolist())
            found["confidence"].append([fix.confidence for fix in best])
            found["xy_m"].append(query.xy_m.tolist())
        if not found["xy_m"]:
            what = f"its images hold none of {CELLS.size_m[0]:g} m that ends {edge_m:g} m from a query"
            raise InputError(what, where=root, remedy="give larger towns, or more queries")
        return found

    found = kept(out / f"{edge_m:g}-m-{frames}-frames-{most}-queries.json", compute)
    return {name: np.array(values) for name, values in found.items()}


def rows_of(edge_m: float, found: dict[str, F64], threshold: float) -> list[tuple[str, ...]]:
    """A line for each way to count what the image does not show."""
    draws = Redraws.of(stretch_of_road(found["xy_m"]))
    rows: list[tuple[str, ...]] = []
    for number, way in enumerate(("unlike", "neither")):
        right, answered = found["error_m"][:, number] <= FOUND_M, found["confidence"][:, number] >= threshold
        share = draws.mean(right.astype(float))
        of_answers = f"{100 * right[answered].mean():.1f}" if answered.any() else "-"
        on_image = f"{100 * share.value:.1f} ({100 * share.low:.1f} to {100 * share.high:.1f})"
        rows.append(
            (
                f"{edge_m:g} m" if edge_m > 0 else f"{-edge_m:g} m before the vehicle",
                way,
                f"{len(right)}",
                on_image if edge_m > 0 else "-",
                f"{100 * answered.mean():.0f}",
                of_answers if edge_m > 0 else "-",
            )
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data set with overhead maps")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--most-queries", type=int, default=100, help="number of queries (default: 100)")
    parser.add_argument("--frames", type=int, default=4, help="frames of a clip (default: 4)")
    parser.add_argument("--weights", type=Path, help="weights to evaluate; by default those in the package")
    options = parser.parse_args()
    if options.frames not in range(1, MOST_FRAMES + 1):
        parser.error(f"--frames is from 1 to {MOST_FRAMES}")
    if options.most_queries < 1:
        parser.error("--most-queries is 1 or more")
    localizer = Localizer(options.weights)
    if localizer.confidence is None or localizer.confidence.neutral is None:
        remedy = "calibrate the weights with cvlnet calibrate"
        raise InputError("has no neutral score", where=options.weights or "the package's weights", remedy=remedy)
    threshold = localizer.confidence.threshold
    rows = list[tuple[str, ...]]()
    for edge_m in EDGES_M:
        found = computed(localizer, options.data, options.most_queries, options.frames, edge_m, options.out)
        rows += rows_of(edge_m, found, threshold)
    header = ("edge of the image", "not shown counts as", "clips", "found, %", "answered, %", "of these right, %")
    print_results("Clips near the edge of an image of 250 m", header, rows)


if __name__ == "__main__":
    run(main)
