"""Measure how far fixes can be trusted, on towns that training never saw, and keep it with the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import radians
from pathlib import Path

import numpy as np

from cvlnet.checkpoint import load_network, load_tensors, save_tensors
from cvlnet.config import PITCH_ERROR_DEG, SHARE_MAPPED
from cvlnet.data.clips import ClipSpec
from cvlnet.data.fingerprint import fingerprint
from cvlnet.data.images import ImageCache
from cvlnet.data.kitti_cvl import refuse_test_data
from cvlnet.errors import InputError, warn
from cvlnet.evaluation.best_fixes import best_fixes, unmapped_fixes
from cvlnet.evaluation.fit_neutral import neutral_score
from cvlnet.evaluation.predict import Predictions, predict
from cvlnet.evaluation.summary import stretch_of_road
from cvlnet.model.confidence import FOUND_M, Confidence, JudgedFixes, fit


def calibrate(
    weights: Path,
    data: Sequence[Path],
    out: Path,
    *,
    frames: int = 4,
    pitch_error_rad: float = radians(PITCH_ERROR_DEG),
    share_mapped: float = SHARE_MAPPED,
    most_queries: int | None = None,
    cache: Path | None = None,
    workers: int = 0,
    device: str = "cpu",
    progress: bool = True,
) -> Confidence:
    """Locate the queries of some data sets, with their places on the map and without, and fit the confidence to them.

    The neutral score is fitted to the same queries. ``out`` gets the weights with both; it may be the same file.
    pitch_error_rad: as for `predict`. share_mapped: the prior that it is for.
    Warns of data that the weights were trained on. Raises InputError for data that is for tests, as the readers do, or
    if the network finds all of the queries or none.
    """
    for root in data:
        refuse_test_data(root)
    network, provenance = load_network(weights)
    digests = {trained_on.get("sha256") for trained_on in provenance.all_data}
    for root in data:
        if fingerprint(root)["sha256"] in digests:
            fault, remedy = "the weights were trained on this, their confidence will be too high", "use other data"
            warn(fault, where=root, remedy=remedy)
    network.to(device)
    spec, pictures = ClipSpec(network.image_spec, frames), ImageCache(cache) if cache else None
    found = [
        predict(
            network,
            root,
            spec,
            splits=("test2",),
            most_queries=most_queries,
            cache=pictures,
            workers=workers,
            pitch_error_rad=pitch_error_rad,
            progress=progress,
        )
        for root in data
    ]
    try:
        confidence = fit_to(found, share_mapped)
    except ValueError as error:
        raise InputError(str(error), where=weights, remedy="give more data, or train for longer") from error
    tile_m2 = (network.steps * network.map_grid.cell_m) ** 2
    confidence = replace(confidence, neutral=neutral_score(found, "test2", tile_m2))
    tensors, _ = load_tensors(weights)
    save_tensors(out, tensors, replace(provenance, confidence=confidence))
    return confidence


def fit_to(predictions: Sequence[Predictions], share_mapped: float = SHARE_MAPPED) -> Confidence:
    """The confidence that fits the Test-2 rankings, each query once with its place on the map and once without."""
    return fit(JudgedFixes.joined([judged_fixes(of_data, "test2") for of_data in predictions]), share_mapped)


def judged_fixes(predictions: Predictions, split: str) -> JudgedFixes:
    """The best fixes of a split, and those that are the best where the map ends before each query's place."""
    mapped, unmapped = best_fixes(predictions, split), unmapped_fixes(predictions, split)
    fixes = [mapped] if unmapped is None else [mapped, unmapped]
    score, margin, sigma_m, error_m, true_xy_m = (
        np.concatenate([getattr(part, name) for part in fixes])
        for name in ("score", "margin", "sigma_m", "error_m", "true_xy_m")
    )
    return JudgedFixes(
        score=score,
        margin=margin,
        sigma_m=sigma_m,
        right=error_m <= FOUND_M,
        mapped=np.arange(len(score)) < len(mapped),
        stretch=stretch_of_road(true_xy_m),
    )
