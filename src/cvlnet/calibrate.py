"""Measure how far fixes can be trusted, on towns that training never saw, and write it into the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cvlnet.checkpoint import load_network, load_tensors, save_tensors
from cvlnet.confidence import Confidence, fit
from cvlnet.data.clips import ClipSpec
from cvlnet.data.images import ImageCache
from cvlnet.data.kitti_cvl import refuse_test_data
from cvlnet.errors import InputError
from cvlnet.evaluate import Predictions, predict
from cvlnet.figures import FOUND_M
from cvlnet.fixes import BestFixes, best_fixes, unmapped_fixes


def calibrate(
    weights: Path,
    data: Sequence[Path],
    out: Path,
    *,
    frames: int = 4,
    most_queries: int | None = None,
    cache: Path | None = None,
    workers: int = 0,
    device: str = "cpu",
    progress: bool = True,
) -> Confidence:
    """Ask the network for the queries of some data sets, with their places on the map and without, and fit.

    ``out`` gets the weights with the confidence; it may be the same file. Raises InputError for data that is for tests,
    as the readers do, or if the network finds all of the queries or none.
    """
    for root in data:
        refuse_test_data(root)
    network, _ = load_network(weights)
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
            progress=progress,
        )
        for root in data
    ]
    try:
        confidence = fit_to(found)
    except ValueError as error:
        raise InputError(str(error), where=weights, remedy="give more data, or train for longer") from error
    tensors, provenance = load_tensors(weights)
    save_tensors(out, tensors, replace(provenance, confidence=confidence))
    return confidence


def fit_to(predictions: Sequence[Predictions]) -> Confidence:
    """The confidence that fits the Test-2 rankings, each query once with its place on the map and once without."""
    fixes: list[BestFixes] = []
    for of_data in predictions:
        unmapped = unmapped_fixes(of_data, "test2")
        fixes += [best_fixes(of_data, "test2"), *([unmapped] if unmapped is not None else [])]
    similarity, margin, sigma_m, error_m = (
        np.concatenate([getattr(part, name) for part in fixes])
        for name in ("similarity", "margin", "sigma_m", "error_m")
    )
    return fit(similarity, margin, sigma_m, error_m <= FOUND_M)
