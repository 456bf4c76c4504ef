"""Clips at the beginning of a drive, and of vehicles that wait: their frames are spread over less way.

    cvlnet evaluate DATA --out REPORT
    python benchmarks/short_clips.py DATA REPORT/predictions.npz

DATA is a data set in the layout of KITTI-CVL, evaluated with clips of four frames.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from math import inf
from pathlib import Path

import numpy as np

from cvlnet.arrays import F64
from cvlnet.checkpoint import load_network, shipped_weights
from cvlnet.config import TestSplit
from cvlnet.data.clips import ClipSpec, clip_frames
from cvlnet.data.kitti_cvl import read_recordings, read_split
from cvlnet.errors import InputError
from cvlnet.evaluation.best_fixes import best_fixes
from cvlnet.evaluation.predict import SPLITS, Predictions
from cvlnet.geo import LocalFrame
from cvlnet.model.confidence import FOUND_M
from measure import print_results, run

WAYS_M = (0.0, 5.0, 15.0, 25.0, 33.0, inf)


def ways_m(data: Path, split: TestSplit, spec: ClipSpec) -> dict[str, float]:
    """How far the frames of every query's clip are spread, by the query's id."""
    listed = read_split(data, split)
    recordings = read_recordings(listed)
    found = {}
    for query in listed.queries:
        frames = clip_frames(recordings[query.recording], query.frame, spec)
        if frames:
            xy_m = LocalFrame(frames[0].position).xy_world_m(np.array([frame.position.degrees for frame in frames]))
            found[query.id] = float(np.linalg.norm(xy_m, axis=-1).max())
    return found


def rows_of(predictions: Predictions, split: str, way_m: F64) -> list[tuple[str, ...]]:
    """A line for each range of ways. way_m: of the split's queries."""
    fixes, confidence = best_fixes(predictions, split), predictions.confidence
    right = fixes.error_m <= FOUND_M
    rows = []
    for low_m, high_m in pairwise(WAYS_M):
        chosen = (way_m >= low_m) & (way_m < high_m)
        name = f"{low_m:g} to {high_m:g} m" if high_m < inf else f"{low_m:g} m and more"
        cells = [split, name, f"{chosen.sum()}", f"{100 * right[chosen].mean():.1f}" if chosen.any() else "-"]
        if confidence is not None:
            answered = chosen & (fixes.confidence(confidence) >= confidence.threshold)
            cells += [f"{(chosen & ~right).sum()}", f"{answered.sum()}", f"{(answered & ~right).sum()}"]
        rows.append(tuple(cells))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data set in the layout of KITTI-CVL")
    parser.add_argument("predictions", type=Path, help="what cvlnet evaluate wrote for it")
    parser.add_argument("--weights", type=Path, help="the weights that it was written with; the package's by default")
    options = parser.parse_args()
    predictions = Predictions.load(options.predictions)
    model, _ = load_network(options.weights or shipped_weights())
    rows = []
    for split in SPLITS:
        if split in predictions.rankings:
            ids = [predictions.query_ids[row] for row in predictions.rankings[split].queries]
            ways = ways_m(options.data, split, ClipSpec(model.image_spec))
            if not ways.keys() >= set(ids):
                remedy = "give the data that they are of, evaluated with clips of four frames"
                raise InputError(f"has queries that {options.data} has not", where=options.predictions, remedy=remedy)
            rows += rows_of(predictions, split, np.array([ways[name] for name in ids]))
    header = ("gallery", "way", "clips", "found, %", "not found", "answered", "of these wrong")
    print_results("Clips by the way that their frames are spread over", header[: len(rows[0])], rows)


if __name__ == "__main__":
    run(main)
