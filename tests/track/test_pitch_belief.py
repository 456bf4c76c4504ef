"""The belief in a pitch: what is compared, by hand, and what clips teach it."""

from __future__ import annotations

from math import radians

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvlnet.data.clips import PITCH_STEP_RAD, pitches
from cvlnet.track.pitch_belief import PitchBelief

SHARP = 46.0


def scores(belief: PitchBelief, true_rad: float) -> list[float]:
    """A clip's, which fall by 0.15 for two degrees and by 0.6 for four."""
    return [1.4 - 0.15 * ((angle_rad - true_rad) / radians(2.0)) ** 2 for angle_rad in belief.angles_rad]


def after_clips(
    true_rad: float, *, stated_rad: float = radians(3.0), clips: int = 20, share: float = 0.1
) -> PitchBelief:
    belief = PitchBelief.stated(stated_rad)
    for _ in range(clips):
        belief = belief.moved(3.0)
        belief = belief.measured(scores(belief, true_rad), SHARP, share)
    return belief


@pytest.mark.parametrize("error_deg", [2.9, 3.0, 5.0, 7.0, 15.0])
def test_at_first_the_angles_reach_as_far_as_those_of_a_search(error_deg: float) -> None:
    angles_rad = PitchBelief.stated(radians(error_deg)).angles_rad
    assert np.diff(angles_rad) == pytest.approx(PITCH_STEP_RAD)
    assert angles_rad == pytest.approx([-angle for angle in reversed(angles_rad)])
    searched = [pitch.angle_rad for pitch in pitches(radians(error_deg), SHARP)]
    assert max(searched) - max(angles_rad) <= PITCH_STEP_RAD / 2 + 1e-9


def test_a_pitch_that_is_taken_as_described_stays() -> None:
    belief = PitchBelief.stated(0.0)
    assert belief.angles_rad == (0.0,)
    assert belief.likeliest([1.2], SHARP, 1.0) == 0
    assert belief.moved(100.0).measured([1.2], SHARP, 1.0) == belief


def test_one_clip_by_hand() -> None:
    """A vertex two thirds of a step down, of a curvature of 0.3; the textbook's product of two Gaussians."""
    belief = PitchBelief.stated(radians(3.0))
    found = belief.measured([1.0, 1.3, 1.3 + 0.05], SHARP, 1.0)
    steps, curvature = 0.35 / (2 * 0.25), 0.25
    variance = radians(0.5) ** 2 + radians(2.0) ** 2 / (SHARP * curvature)
    precision = 1 / variance + 1 / radians(1.5) ** 2
    assert found.variance == pytest.approx(1 / precision)
    assert found.mean_rad == pytest.approx(steps * radians(2.0) / variance / precision)


@settings(deadline=None)
@given(st.floats(-3.5, 3.5))
def test_the_pitch_of_the_clips_is_found(true_deg: float) -> None:
    belief = after_clips(radians(true_deg))
    assert np.degrees(belief.mean_rad) == pytest.approx(true_deg, abs=0.15 + 0.15 * abs(true_deg))
    assert radians(0.2) < belief.variance**0.5 < radians(0.7)


def test_of_a_wide_error_the_best_of_many_angles_counts() -> None:
    belief = after_clips(radians(-9.0), stated_rad=radians(12.0), clips=1, share=1.0)
    assert np.degrees(belief.mean_rad) == pytest.approx(-9.0, abs=0.3)
    assert len(belief.angles_rad) == 3


def test_without_clips_the_belief_returns_to_what_was_stated() -> None:
    learned = after_clips(radians(2.0))
    half, whole = learned.moved(250.0), learned.moved(1e5)
    assert half.mean_rad == pytest.approx(learned.mean_rad * np.exp(-0.5))
    assert learned.variance < half.variance < learned.first_variance
    assert (whole.mean_rad, whole.variance) == pytest.approx((0.0, learned.first_variance))
    twice = learned.moved(100.0).moved(150.0)
    assert (twice.mean_rad, twice.variance) == pytest.approx((half.mean_rad, half.variance))


def test_the_likeliest_angle_is_not_always_that_of_the_best_score() -> None:
    known = PitchBelief(0.0, radians(0.4) ** 2, radians(1.5) ** 2)
    assert known.likeliest([1.0, 1.0, 1.1], SHARP, 1.0) == 1
    assert known.likeliest([1.0, 1.0, 1.5], SHARP, 1.0) == 2
    assert PitchBelief.stated(radians(3.0)).likeliest([1.0, 1.0, 1.1], SHARP, 1.0) == 2


@pytest.mark.parametrize("clip", [[-np.inf] * 3, [1.3, 1.1, 1.3], [1.2, -np.inf, 1.2]])
def test_a_clip_that_prefers_no_pitch_says_nothing(clip: list[float]) -> None:
    belief = PitchBelief.stated(radians(3.0))
    assert belief.measured(clip, SHARP, 1.0) == belief


def test_scores_that_rise_ever_faster_lead_to_the_last_angle() -> None:
    """A first clip whose pitch was stated wrong by three degrees."""
    belief = PitchBelief.stated(radians(3.0))
    for clip, sign in (([0.5, 0.8, 1.4], 1), ([1.4, 0.8, 0.5], -1), ([0.6, 0.5, 1.4], 1)):
        found = belief.measured(clip, SHARP, 1.0)
        assert 1.5 < sign * np.degrees(found.mean_rad) < 2.0
        assert found.variance < radians(0.8) ** 2
    assert belief.measured([0.5, 0.8, 1.4], SHARP, 0.02).mean_rad < radians(1.0)


def test_a_clip_that_saw_nothing_new_says_nothing() -> None:
    belief = PitchBelief.stated(radians(3.0))
    assert belief.measured([1.0, 1.3, 1.2], SHARP, 0.0) == belief


def test_overlapping_clips_say_no_more_than_one_that_is_independent() -> None:
    whole = PitchBelief.stated(radians(3.0)).measured([1.2, 1.35, 1.2], SHARP, 1.0)
    parts = PitchBelief.stated(radians(3.0))
    for _ in range(10):
        parts = parts.measured([1.2, 1.35, 1.2], SHARP, 0.1)
    assert (parts.mean_rad, parts.variance) == pytest.approx((whole.mean_rad, whole.variance))
