"""The neutral score, of queries whose scores are drawn from known distributions."""

from dataclasses import replace
from math import log, pi

import numpy as np
import pytest

from cvlnet.evaluation.fit_neutral import neutral_score
from predictions import predictions_of

WRONG, RIGHT, DEVIATION = 0.8, 1.0, 0.05
SHARPNESS = (RIGHT - WRONG) / DEVIATION**2  # by which right scores are exp(SHARPNESS * (score - MIDDLE)) times likelier
MIDDLE = (WRONG + RIGHT) / 2
TILES, TILE_M2 = 20, 400.0


def drawn(ellipse_m2, count=600, seed=0, shift=0.0):
    """Queries at 0, 0, where the first of twenty tiles lies; the others are 100 m and more away."""
    rng = np.random.default_rng(seed)
    xy_m = np.zeros((TILES, 2))
    xy_m[1:, 0] = 100.0 * np.arange(1, TILES)
    score = rng.normal(WRONG, DEVIATION, (count, TILES)) + shift
    score[:, 0] += RIGHT - WRONG
    covariance_m2 = np.tile(np.eye(2) * ellipse_m2 / (2 * pi), (count, TILES, 1, 1))
    found = predictions_of(np.zeros((count, 2)), np.tile(xy_m, (count, 1, 1)), None, score, covariance_m2)
    return replace(found, tile_xy_m=xy_m)


def test_where_right_and_wrong_scores_are_equally_likely_the_score_is_neutral():
    """The ellipses are as large as the tiles: each has one place."""
    assert neutral_score([drawn(TILE_M2)], "test2", TILE_M2) == pytest.approx(MIDDLE, abs=0.01)
    assert neutral_score([drawn(10 * TILE_M2)], "test2", TILE_M2) == pytest.approx(MIDDLE, abs=0.01)


def test_the_best_of_many_places_of_a_tile_says_less():
    """A tenth of the tile's places share the best score: it has to be higher to say as much of each."""
    expected = MIDDLE - log(10) / SHARPNESS
    assert expected < MIDDLE - 0.02
    assert neutral_score([drawn(TILE_M2 / 10)], "test2", TILE_M2) == pytest.approx(expected, abs=0.01)


def test_all_data_sets_count():
    parts = [drawn(TILE_M2, 300, 1), drawn(TILE_M2, 300, 2)]
    shifted = [drawn(TILE_M2, 300, 1, 0.1), drawn(TILE_M2, 300, 2, 0.1)]
    neutral = neutral_score(parts, "test2", TILE_M2)
    assert neutral == pytest.approx(MIDDLE, abs=0.01)
    assert neutral_score(shifted, "test2", TILE_M2) == pytest.approx(neutral + 0.1, abs=0.002)
    mixed = neutral_score([parts[0], shifted[1]], "test2", TILE_M2)
    assert neutral + 0.02 < mixed < neutral + 0.08


def test_a_place_that_is_not_ranked_is_no_likelier_than_the_last():
    found = drawn(TILE_M2)
    ranking = found.rankings["test2"]
    away = replace(ranking, xy_m=np.where(np.arange(600)[:, None, None] < 30, ranking.xy_m + 1000.0, ranking.xy_m))
    neutral = neutral_score([replace(found, rankings={"test2": away})], "test2", TILE_M2)
    assert 0.6 < neutral < MIDDLE + 0.05
