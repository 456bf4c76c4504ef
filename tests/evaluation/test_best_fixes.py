from dataclasses import replace

import numpy as np
import pytest

from cvlnet.evaluation.best_fixes import best_fixes, unmapped_fixes
from cvlnet.model.confidence import Confidence
from predictions import driven, predictions_of, spread


def test_errors_ahead_and_to_the_left():
    # heading north: 3 m north is ahead, 4 m west is to the left
    fixes = best_fixes(predictions_of([[10.0, 20.0]], [[[6.0, 23.0]]], yaw_rad=[np.pi / 2]), "test2")
    np.testing.assert_allclose(fixes.ahead_left_m, [[3.0, 4.0]], atol=1e-12)
    np.testing.assert_allclose(fixes.error_m, [5.0])


def test_margin_is_the_lead_over_the_best_fix_elsewhere():
    near, far, farther = [6.0, 0.0], [30.0, 0.0], [60.0, 0.0]
    xy_m = [[[0.0, 0.0], near, far, farther]]
    fixes = best_fixes(predictions_of([[0.0, 0.0]], xy_m, score=[[0.9, 0.85, 0.6, 0.2]]), "test2")
    assert fixes.margin.tolist() == pytest.approx([0.3])


def test_margin_where_all_ranked_fixes_agree_is_the_lead_over_the_last():
    xy_m = [[[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]]
    fixes = best_fixes(predictions_of([[0.0, 0.0]], xy_m, score=[[0.9, 0.8, 0.75]]), "test2")
    assert fixes.margin.tolist() == pytest.approx([0.15])


def test_error_in_units_of_its_own_ellipse():
    covariance_m2 = [[[[4.0, 0.0], [0.0, 1.0]]]] * 2
    fixes = best_fixes(
        predictions_of([[0, 0], [0, 0]], [[[2.0, 0.0]], [[0.0, 2.0]]], covariance_m2=covariance_m2), "test2"
    )
    np.testing.assert_allclose(fixes.mahalanobis, [1.0, 2.0])
    np.testing.assert_allclose(fixes.sigma_m, [2.0, 2.0])


def test_without_their_places_all_queries_are_wrong():
    predictions = spread(driven(wrong=0.0))
    fixes, unmapped = best_fixes(predictions, "test2"), unmapped_fixes(predictions, "test2")
    assert unmapped is not None
    assert (fixes.error_m < 10).all()
    assert (unmapped.error_m > 50).all()
    assert (unmapped.score < fixes.score).all()


def test_no_map_is_left_where_all_tiles_are_near():
    predictions = driven()
    here = replace(predictions, tile_xy_m=np.zeros((8, 2)), true_xy_m=np.zeros((60, 2)))
    assert unmapped_fixes(here, "test2") is None


def test_a_map_ends_for_each_query_by_itself():
    """Three queries of four ranked tiles, one of them with none near it, one with one left, one with two left."""
    tile_xy_m = np.array([[0.0, 0.0], [60.0, 0.0], [120.0, 0.0], [180.0, 0.0]])
    tile = np.array([[0, 1, 2, 3], [1, 0, 2, 3], [0, 1, 2, 3]])
    xy_m = tile_xy_m[tile] + np.array([1.0, 0.0])
    predictions = predictions_of([[500.0, 0.0], [60.0, 0.0], [30.0, 0.0]], xy_m, score=[[0.9, 0.7, 0.6, 0.2]] * 3)
    ranking = replace(predictions.rankings["test2"], tile=tile)
    mapped = replace(predictions, tile_xy_m=tile_xy_m, rankings={"test2": ranking})
    unmapped = unmapped_fixes(mapped, "test2")
    assert unmapped.query.tolist() == [0, 1, 2]
    assert unmapped.tile.tolist() == [0, 0, 2]  # 500 m away all are left; of 60 m the others; of 30 m the far ones
    assert unmapped.score.tolist() == [0.9, 0.7, 0.6]
    np.testing.assert_allclose(unmapped.margin, [0.2, 0.1, 0.4])
    np.testing.assert_allclose(unmapped.xy_m[:, 0], [1.0, 1.0, 121.0])
    closer = replace(mapped, true_xy_m=np.array([[500.0, 0.0], [60.0, 0.0], [90.0, 0.0]]))
    assert unmapped_fixes(closer, "test2").query.tolist() == [0, 1, 2]
    none_left = replace(mapped, true_xy_m=np.array([[500.0, 0.0], [60.0, 0.0], [90.0, 0.0]]))
    few = replace(none_left, tile_xy_m=np.array([[0.0, 0.0], [60.0, 0.0], [95.0, 0.0], [99.0, 0.0]]))
    assert unmapped_fixes(few, "test2").query.tolist() == [0]


def test_a_map_that_ends_has_only_tiles_fifty_metres_away():
    """Tiles at 49.9 and 50 m: the first is not left; two that are make an answer, one does not."""
    tile_xy_m = np.array([[49.9, 0.0], [50.0, 0.0], [0.0, -50.0], [500.0, 0.0]])
    tile = np.array([[0, 1, 2], [0, 0, 3]])
    predictions = predictions_of(np.zeros((2, 2)), tile_xy_m[tile], score=[[0.9, 0.8, 0.7]] * 2)
    there = replace(
        predictions, tile_xy_m=tile_xy_m, rankings={"test2": replace(predictions.rankings["test2"], tile=tile)}
    )
    unmapped = unmapped_fixes(there, "test2")
    assert (unmapped.query.tolist(), unmapped.tile.tolist()) == ([0], [1])
    np.testing.assert_allclose(unmapped.error_m, [50.0])


def test_fixes_ten_metres_apart_name_one_place():
    xy_m = [[[0.0, 0.0], [10.0, 0.0], [0.0, 10.01], [90.0, 0.0]]]
    fixes = best_fixes(predictions_of([[5.0, 0.0]], xy_m, score=[[0.9, 0.8, 0.7, 0.1]]), "test2")
    assert fixes.margin.tolist() == pytest.approx([0.2])


def test_each_query_has_its_own_best_fix():
    xy_m = [[[3.0, 4.0], [100.0, 0.0]], [[60.0, 0.0], [0.0, 0.0]], [[7.0, 1.0], [-40.0, 0.0]]]
    predictions = predictions_of(
        [[0.0, 0.0], [60.0, 8.0], [7.0, 1.0]], xy_m, score=[[0.9, 0.5], [0.8, 0.7], [0.6, 0.2]]
    )
    fixes = best_fixes(predictions, "test2")
    assert len(fixes) == 3
    assert fixes.query.tolist() == [0, 1, 2]
    assert fixes.tile.tolist() == [0, 0, 0]
    np.testing.assert_allclose(fixes.error_m, [5.0, 8.0, 0.0])
    np.testing.assert_allclose(fixes.score, [0.9, 0.8, 0.6])
    np.testing.assert_allclose(fixes.margin, [0.4, 0.1, 0.4])
    np.testing.assert_allclose(fixes.mahalanobis, [5.0, 8.0, 0.0])


def test_confidence_is_told_of_score_lead_and_spread():
    fixes = best_fixes(driven(count=20), "test2")
    known = Confidence(-2.0, 1.5, 4.0, -0.5, 0.9)
    log_odds = -2.0 + 1.5 * fixes.score + 4.0 * fixes.margin - 0.5 * np.log(fixes.sigma_m)
    np.testing.assert_allclose(fixes.confidence(known), 1 / (1 + np.exp(-log_odds)))


def test_the_margin_of_a_map_that_ends_is_the_lead_over_the_last_tile_on_it():
    """Of five ranked fixes the first and the last are near; the three others agree."""
    xy_m = [[[1.0, 0.0], [80.0, 0.0], [83.0, 0.0], [80.0, 4.0], [2.0, 0.0]]]
    named = predictions_of([[0.0, 0.0]], xy_m, score=[[0.9, 0.8, 0.7, 0.65, 0.1]])
    predictions = replace(named, tile_xy_m=np.array(xy_m[0]))
    fixes = unmapped_fixes(predictions, "test2")
    assert fixes is not None
    assert fixes.score.tolist() == [0.8]
    assert fixes.margin.tolist() == pytest.approx([0.15])
