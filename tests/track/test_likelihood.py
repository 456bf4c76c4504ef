"""Evidence from scores, in numbers."""

from __future__ import annotations

from dataclasses import fields
from math import exp

import pytest
import torch

from cvlnet.track.likelihood import Likelihood

PLAIN = Likelihood(sharpness=10.0, level=0.8, floor=0.05, independent_m=20.0)


@pytest.mark.parametrize(
    ("score", "expected"),
    [(0.8, 1.05), (1.0, 0.05 + exp(2)), (0.6, 0.05 + exp(-2)), (-1.0, 0.05 + exp(-18)), (-float("inf"), 0.05)],
)
def test_the_ratio_of_a_score(score: float, expected: float) -> None:
    assert float(PLAIN.ratio(torch.tensor(score))) == pytest.approx(expected, rel=1e-5)


def test_a_share_of_the_evidence_is_a_power_of_the_ratio() -> None:
    scores = torch.tensor([[0.5, 0.8], [1.0, -float("inf")]], dtype=torch.float64)
    whole = PLAIN.ratio(scores)
    torch.testing.assert_close(PLAIN.ratio(scores, 0.25), whole**0.25)
    torch.testing.assert_close(PLAIN.ratio(scores, 0.0), torch.ones(2, 2, dtype=torch.float64))
    assert scores[0, 0] == 0.5  # the scores are left as they are


def test_of_several_descriptions_the_mean_of_the_ratios_counts() -> None:
    scores = torch.tensor([[0.5, 0.8, 1.0], [1.2, 0.8, -float("inf")]], dtype=torch.float64)
    weights = [0.25, 0.75]
    expected = 0.25 * PLAIN.ratio(scores[0]) + 0.75 * PLAIN.ratio(scores[1])
    torch.testing.assert_close(PLAIN.mean_ratio(scores, weights), expected)
    torch.testing.assert_close(PLAIN.mean_ratio(iter(scores), iter(weights), 0.5), expected.sqrt())
    assert scores[0, 0] == 0.5
    with pytest.raises(ValueError, match="shorter"):
        PLAIN.mean_ratio(scores, [1.0])


@pytest.mark.parametrize(("way_m", "share"), [(0.0, 0.0), (5.0, 0.25), (20.0, 1.0), (300.0, 1.0)])
def test_the_share_of_a_clip_grows_with_the_way_since_the_last(way_m: float, share: float) -> None:
    assert PLAIN.share(way_m) == share


@pytest.mark.parametrize("name", [field.name for field in fields(Likelihood)])
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_numbers_that_are_not_positive_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match="a likelihood has positive numbers, and a floor below 1"):
        Likelihood(**{name: value})


def test_a_floor_that_speaks_for_every_place_is_refused() -> None:
    with pytest.raises(ValueError, match="a floor below 1"):
        Likelihood(floor=1.0)
