import numpy as np
import pytest

from cvlnet.fixes import best_fixes
from predictions import predictions_of


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
