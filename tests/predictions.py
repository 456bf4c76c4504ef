"""Predictions made by hand: no model, no files."""

from dataclasses import replace

import numpy as np

from cvlnet.evaluation.predict import Predictions, Ranking
from cvlnet.geo import LatLon


def predictions_of(true_xy_m, xy_m, yaw_rad=None, score=None, covariance_m2=None, splits=("test2",)) -> Predictions:
    """Of queries at ``true_xy_m`` [q, 2] whose ranked fixes lie at ``xy_m`` [q, ranks, 2]."""
    true_xy_m, xy_m = np.asarray(true_xy_m, dtype=float), np.asarray(xy_m, dtype=float)
    count, ranks = xy_m.shape[:2]
    if score is None:
        score = np.tile(np.linspace(0.9, 0.5, ranks), (count, 1))
    if covariance_m2 is None:
        covariance_m2 = np.tile(np.eye(2), (count, ranks, 1, 1))
    ranking = Ranking(
        queries=np.arange(count),
        tile=np.tile(np.arange(ranks), (count, 1)),
        score=np.asarray(score, dtype=float),
        xy_m=xy_m,
        covariance_m2=np.asarray(covariance_m2, dtype=float),
        gallery_size=ranks,
    )
    return Predictions(
        anchor=LatLon(49.0, 8.4),
        query_ids=tuple(f"2011_09_26/2011_09_26_drive_0001_sync/{i:010d}" for i in range(count)),
        true_xy_m=true_xy_m,
        yaw_rad=np.zeros(count) if yaw_rad is None else np.asarray(yaw_rad, dtype=float),
        tile_ids=tuple(f"2011_09_26_drive_0001_sync/{i}" for i in range(ranks)),
        tile_xy_m=np.zeros((ranks, 2)),
        rankings=dict.fromkeys(splits, ranking),
    )


def driven(count=60, seed=0, wrong=0.2) -> Predictions:
    """A drive round a block with good fixes, among them some in a wrong street; the good ones have the larger lead."""
    rng = np.random.default_rng(seed)
    angle_rad = np.linspace(0, 5.5, count)
    true_xy_m = np.stack([110 * np.cos(angle_rad), 80 * np.sin(angle_rad)], axis=-1)
    yaw_rad = np.arctan2(80 * np.cos(angle_rad), -110 * np.sin(angle_rad))
    xy_m = (
        true_xy_m[:, None]
        + rng.normal(0, 1.5, (count, 1, 2))
        + rng.normal(0, 60, (count, 8, 2)) * (np.arange(8) > 0)[:, None]
    )
    is_wrong = rng.random(count) < wrong
    xy_m[is_wrong, 0] += rng.choice([-1, 1], (is_wrong.sum(), 2)) * rng.uniform(30, 90, (is_wrong.sum(), 2))
    best = np.where(is_wrong, 0.55, 0.7) + rng.normal(0, 0.04, count)
    score = np.maximum(best[:, None] - np.linspace(0, 0.3, 8), 0)
    covariance_m2 = np.tile(np.array([[3.0, 1.0], [1.0, 2.0]]), (count, 8, 1, 1))
    return predictions_of(true_xy_m, xy_m, yaw_rad, score, covariance_m2, splits=("test1", "test2"))


def spread(predictions: Predictions) -> Predictions:
    """Predictions whose tiles lie where their fixes do, three of eight near the truth, so that a map can end there."""
    ranking = predictions.rankings["test2"]
    near = np.arange(8) < 3
    xy_m = np.where(near[:, None], ranking.xy_m[:, :1], ranking.xy_m + 500)
    count = len(xy_m)
    tile = np.arange(count * 8).reshape(count, 8)
    changed = replace(ranking, xy_m=xy_m, tile=tile)
    return replace(
        predictions, rankings={"test2": changed}, tile_xy_m=xy_m.reshape(-1, 2), tile_ids=tuple(map(str, tile.ravel()))
    )
