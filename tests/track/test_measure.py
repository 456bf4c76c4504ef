"""A clip, compared with the surroundings of a vehicle: by scores made by hand, and on coloured ground."""

from __future__ import annotations

from dataclasses import replace
from math import pi, radians

import numpy as np
import pytest
import torch
from torch import Tensor

from cvlnet.track import measure
from cvlnet.track.likelihood import Likelihood
from cvlnet.track.measure import Measurement, measured_around, updated
from cvlnet.track.pose_filter import TURN, PoseBelief
from driving import At, clips, region

STEP = radians(3.0)
EXACT = Likelihood(sharpness=1000.0, level=0.9, floor=1e-6, sigma_m=0.5, heading_rad=0.01)
AROUND = (-STEP, 0.0, STEP)


def expected(x_m: float = 0.0, y_m: float = 0.0, turn: float = 0.0, sigma_m: float = 1.0) -> PoseBelief:
    return PoseBelief(
        np.array([x_m, y_m, turn, 0.0, 0.0, 0.0]), np.diag([sigma_m**2, sigma_m**2, 0.01, 1e-4, 1e-8, 0.0])
    )


class Scores:
    """Scores of 0.1 around a place; peaks: (turn, row, column from the place, score). reach: the one asked for."""

    def __init__(self, *peaks: tuple[int, int, int, float]) -> None:
        self.peaks, self.reach = peaks, 0

    def __call__(self, _: object, __: object, place: Tensor, reach: int, neutral: float) -> Tensor:
        self.reach, self.place, self.neutral = reach, place, neutral
        scores = torch.full((3, 2 * reach + 1, 2 * reach + 1), 0.1)
        for turn, row, col, score in self.peaks:
            scores[turn, reach + row, reach + col] = score
        return scores


def found(
    scores: Scores,
    monkeypatch: pytest.MonkeyPatch,
    at: PoseBelief | None = None,
    share: float = 1.0,
    turns: tuple[float, ...] = AROUND,
) -> Measurement:
    monkeypatch.setattr(measure, "scores_around", scores)
    measured = measured_around(clips(At(0.0, 0.0, 0.0), [0.0]), turns, region(), at or expected(), EXACT, share)
    assert measured is not None
    return measured


def test_the_place_is_that_of_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """One cell of 2 m to the north and two to the east."""
    measured = found(Scores((1, -1, 2, 0.95)), monkeypatch)
    assert measured.xy_m == pytest.approx([4.0, 2.0])
    assert measured.score == pytest.approx(0.95)
    np.testing.assert_allclose(measured.covariance_m2, np.eye(2) * 0.25, atol=1e-6)


def test_between_equal_scores_lies_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = found(Scores((1, 0, 0, 0.95), (1, 0, 1, 0.95 - 1e-7)), monkeypatch)
    assert measured.xy_m == pytest.approx([1.0, 0.0], abs=1e-3)
    np.testing.assert_allclose(measured.covariance_m2, np.diag([1.25, 0.25]), atol=1e-3)


def test_a_clip_that_saw_little_new_says_little(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = Scores((0, 0, 0, 0.90), (1, 0, 0, 0.95), (2, 0, 0, 0.93))
    whole, quarter = (found(peaks, monkeypatch, share=share) for share in (1.0, 0.25))
    np.testing.assert_allclose(quarter.covariance_m2, whole.covariance_m2 * 4)
    assert quarter.turn_variance == pytest.approx(whole.turn_variance * 4)


def test_the_heading_is_the_vertex_of_a_parabola(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.90, 0.95, 0.93: three fourteenths of a step beyond the middle one."""
    turns = (0.5 - STEP, 0.5, 0.5 + STEP)
    measured = found(Scores((0, 0, 0, 0.90), (1, 0, 0, 0.95), (2, 0, 0, 0.93)), monkeypatch, turns=turns)
    assert measured.turn_rad == pytest.approx(0.5 + STEP * 3 / 14, abs=1e-6)
    assert measured.turn_variance == pytest.approx(0.01**2 + STEP**2 / (1000 * 0.07), rel=1e-4)


def test_a_heading_is_not_sought_far_beyond_the_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = found(Scores((0, 0, 0, 0.80), (1, 0, 0, 0.85), (2, 0, 0, 0.89)), monkeypatch)
    assert measured.turn_rad == pytest.approx(1.5 * STEP)


def test_scores_that_say_nothing_of_the_heading(monkeypatch: pytest.MonkeyPatch) -> None:
    hollow = Scores((0, 0, 0, 0.95), (1, 0, 0, 0.90), (2, 0, 0, 0.94))
    assert found(hollow, monkeypatch).turn_rad is None
    assert found(Scores((0, 0, 0, 0.95)), monkeypatch, turns=(0.0,)).turn_rad is None


def test_of_equal_peaks_the_nearer_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    near_east = expected(1.0, 0.0, sigma_m=3.0)
    assert found(Scores((1, 0, -3, 0.95), (1, 0, 3, 0.95)), monkeypatch, near_east).xy_m == pytest.approx([6.0, 0.0])
    near_west = expected(-1.0, 0.0, sigma_m=3.0)
    assert found(Scores((1, 0, -3, 0.95), (1, 0, 3, 0.95)), monkeypatch, near_west).xy_m == pytest.approx([-6.0, 0.0])


@pytest.mark.parametrize(("sigma_m", "reach"), [(0.1, 4), (3.0, 5), (5.0, 8), (40.0, 12)])
def test_it_is_sought_as_far_as_the_doubt_reaches(monkeypatch: pytest.MonkeyPatch, sigma_m: float, reach: int) -> None:
    """Three deviations, with half a metre of the measurement's own, in cells of 2 m; four to twelve of them."""
    scores = Scores((1, 0, 0, 0.95))
    found(scores, monkeypatch, expected(6.2, -3.9, sigma_m=sigma_m))
    assert scores.reach == reach
    assert scores.neutral == EXACT.level
    row_col = region().places.row_col(torch.tensor([6.0, -4.0]))
    assert scores.place.tolist() == row_col.tolist()


def test_on_the_ground_the_vehicle_is_found_beside_the_expected_place() -> None:
    at = At(11.3, -24.6, 0.7)
    turns = tuple(0.68 + turn for turn in AROUND)
    measured = measured_around(
        clips(at, list(turns)),
        turns,
        region(),
        expected(13.0, -26.5, 0.68, 2.0),
        Likelihood(sharpness=25.0, level=0.6),
        1.0,
    )
    assert measured is not None
    assert measured.xy_m == pytest.approx([11.3, -24.6], abs=0.4)
    assert measured.turn_rad == pytest.approx(0.7, abs=radians(0.5))
    assert measured.score > 0.9


@pytest.mark.parametrize("xy_m", [(150.0, 0.0), (0.0, -150.0), (-1e5, 3e5)])
def test_off_the_map_nothing_is_measured(xy_m: tuple[float, float]) -> None:
    asked = clips(At(0.0, 0.0, 0.0), [0.0])
    assert measured_around(asked, (0.0,), region(), expected(*xy_m), EXACT, 1.0) is None


def test_where_nothing_is_searched_nothing_is_measured() -> None:
    """In a hole, or beside it: a place that is not searched is never the best."""
    asked, whole = clips(At(60.0, 60.0, 0.0), [0.0]), region()
    nowhere = replace(whole, searched=torch.zeros_like(whole.searched))
    assert measured_around(asked, (0.0,), nowhere, expected(), EXACT, 1.0) is None
    east = whole.searched & (whole.places.cell_centers_xy_m()[..., 0] >= 3.0)
    measured = measured_around(asked, (0.0,), replace(whole, searched=east), expected(), EXACT, 1.0)
    assert measured is not None
    assert np.isfinite(measured.xy_m).all()
    assert measured.xy_m[0] >= 3.0
    assert np.isfinite(measured.score)


def test_a_belief_takes_the_place_and_the_heading() -> None:
    before = expected(sigma_m=2.0)
    covariance = np.diag([1.0, 4.0])
    place = Measurement(np.array([1.0, 2.0]), covariance, None, 0.0, 0.9)
    after = updated(before, place)
    assert after.mean == pytest.approx([0.8, 1.0, 0.0, 0.0, 0.0, 0.0])
    assert after.covariance[TURN, TURN] == pytest.approx(0.01)
    both = updated(before, replace(place, turn_rad=0.1, turn_variance=0.01))
    assert both.mean == pytest.approx([0.8, 1.0, 0.05, 0.0, 0.0, 0.0])
    assert both.covariance[TURN, TURN] == pytest.approx(0.005)
    aimed = replace(before, mean=np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.03]))  # the clip was projected with this aim
    assert updated(aimed, replace(place, turn_rad=0.1, turn_variance=0.01)).mean == pytest.approx(
        [0.8, 1.0, 0.05, 0.0, 0.0, 0.03]
    )
    assert updated(expected(turn=pi), replace(place, turn_rad=-pi, turn_variance=0.01)).turn_rad == pytest.approx(pi)
