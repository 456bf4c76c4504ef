"""The focal length from pictures of a road whose geometry is exact."""

from __future__ import annotations

from functools import cache
from math import inf, radians

import numpy as np
import pytest

from cvlnet.calibration import focal
from cvlnet.calibration.focal import _alone, _mean, focal_found, scaled
from cvlnet.calibration.stretches import Stretch, sharpest, stretch_of
from cvlnet.data.odometry import OdometryPose
from cvlnet.errors import InputError
from cvlnet.road.fit import Fit
from road_pictures import CAMERA, TRUE, off, picture, way


@cache
def bends(turn_rad: float, count: int = 3) -> tuple[Stretch, ...]:
    """Of a vehicle that nods, and turns by so much between two pictures."""
    poses = way(8 * count, step_m=2.2, turn_rad=turn_rad)
    nods = np.radians(0.3) * np.sin(2.0 * np.arange(len(poses)))
    pictures = [picture(pose, nod_rad=nod) for pose, nod in zip(poses, nods.tolist(), strict=True)]
    return tuple(stretch_of(pictures[i : i + 8], poses[i : i + 8]) for i in range(0, 8 * count, 8))


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_bends_tell_the_focal_length(share: float) -> None:
    found = focal_found(scaled(CAMERA, share), off(TRUE, radians(2.0), 0.2), bends(0.06), "drive")
    assert share * found.scale == pytest.approx(1.0, abs=0.005)
    assert 0.01 <= found.sigma < 0.02
    assert found.bends == 3


def test_a_straight_road_does_not_tell_it() -> None:
    """A longer focal length looks like a lower camera."""
    with pytest.raises(InputError, match="drive: the focal length cannot be estimated: 0 of 3 stretches say"):
        focal_found(scaled(CAMERA, 0.9), TRUE, bends(0.0), "drive")


def test_few_bends_do_not_tell_it() -> None:
    with pytest.raises(InputError, match="usable stretches: 2, of at least 3"):
        focal_found(CAMERA, TRUE, bends(0.06)[:2], "drive")


def test_what_is_not_sure_enough_is_not_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(focal, "MOST_SIGMA", 0.012)
    with pytest.raises(InputError, match=r"the bends tell it to 1\.\d % only; drive through several bends"):
        focal_found(CAMERA, TRUE, bends(0.06), "drive")


def fit(log_focal: float, sigma: float) -> Fit:
    return Fit(TRUE, (), 500, 1.0, np.zeros(4), log_focal, sigma)


def test_what_was_known_before_is_taken_out() -> None:
    """A measurement of 0.02 with a deviation of 0.05, and a prior of 0.1 around 0, by hand."""
    posterior = 1 / (1 / 0.05**2 + 1 / 0.1**2)
    value, sigma = _alone(fit(posterior * 0.02 / 0.05**2, posterior**0.5))
    assert (value, sigma) == pytest.approx((0.02, 0.05))
    assert _alone(fit(0.0, 0.1))[1] == inf


def test_the_mean_trusts_the_surest_and_bears_an_outlier() -> None:
    mean, sigma = _mean([(0.02, 0.01), (0.02, 0.01), (0.9, inf)])
    assert mean == pytest.approx(0.02)
    assert sigma == pytest.approx(0.01)  # each counts with the odometry's own doubt of 0.01
    mean, _ = _mean([*[(0.0, 0.001)] * 9, (0.5, 0.001)])
    assert abs(mean) < 0.005


def test_bends_that_disagree_make_the_mean_unsure() -> None:
    """Each says that it is sure to 1 %, and they differ by ten times as much."""
    mean, sigma = _mean([(-0.1, 0.001), (0.0, 0.001), (0.1, 0.001)])
    assert mean == pytest.approx(0.0, abs=1e-9)
    assert sigma > 0.04


def test_the_stretches_that_turn_most_are_taken() -> None:
    turns = [0.0, 0.0, 0.1, 0.3, 0.3, 0.1, 0.1]
    odometry = [OdometryPose(float(i), 3.0 * i, 0.0, yaw) for i, yaw in enumerate(turns)]
    groups = [[(0, 1), (1, 2)], [(2, 3)], [(3, 4)], [(4, 5), (5, 6)]]
    assert sharpest(groups, odometry, 2) == [groups[1], groups[3]]
