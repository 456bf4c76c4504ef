import numpy as np
import pytest

from cvlnet.evaluation.metrics import found, longitudinal_lateral_m, position_errors_m
from cvlnet.model.confidence import sigma_m


def test_errors_are_distances_of_ranked_predictions():
    predicted = np.array([[[3.0, 4.0], [0.0, 0.0]], [[1.0, 1.0], [np.nan, np.nan]]])
    errors = position_errors_m(predicted, np.array([[0.0, 0.0], [1.0, 3.0]]))
    np.testing.assert_allclose(errors, [[5.0, 0.0], [2.0, np.inf]])


def test_found_within_rank_and_radius():
    errors = np.array([[12.0, 4.0, 1.0], [5.0, 30.0, 40.0]])
    assert found(errors, 1, 5.0).tolist() == [False, True]
    assert found(errors, 2, 5.0).tolist() == [True, True]
    assert found(errors, 3, 1.0).tolist() == [True, False]


@pytest.mark.parametrize(
    ("yaw_rad", "error", "expected"),
    [
        (0.0, (2.0, 0.0), (2.0, 0.0)),  # heading east: an error to the east is ahead
        (0.0, (0.0, 3.0), (0.0, 3.0)),  # and one to the north is to the left
        (np.pi / 2, (0.0, 2.0), (2.0, 0.0)),  # heading north
        (np.pi / 2, (1.0, 0.0), (0.0, -1.0)),  # east of a car that heads north is to its right
        (np.pi, (1.0, 0.0), (-1.0, 0.0)),
    ],
)
def test_axes_of_the_error(yaw_rad, error, expected):
    np.testing.assert_allclose(longitudinal_lateral_m(np.array([error]), np.array([yaw_rad])), [expected], atol=1e-12)


def test_sigma_is_the_longer_half_axis():
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    covariance_m2 = np.stack([np.diag([9.0, 4.0]), turn @ np.diag([1.0, 25.0]) @ turn.T, np.diag([0.25, 0.25])])
    np.testing.assert_allclose(sigma_m(covariance_m2), [3.0, 5.0, 0.5])
    np.testing.assert_allclose(sigma_m(covariance_m2.reshape(3, 1, 2, 2)), [[3.0], [5.0], [0.5]])
