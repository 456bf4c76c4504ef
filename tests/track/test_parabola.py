"""The vertex of a parabola through three heights, by hand."""

from __future__ import annotations

from math import inf, nan

import pytest

from cvlnet.track.parabola import vertex


def test_the_vertex_lies_between_the_heights() -> None:
    """-(x - 0.3)^2, whose second difference is -2."""
    found = vertex([-(1.3**2), -(0.3**2), -(0.7**2)])
    assert found == pytest.approx((0.3, 2.0))


def test_a_vertex_far_beyond_is_not_believed() -> None:
    assert vertex([0.0, 0.5, 0.9]) == pytest.approx((1.5, 0.1))
    assert vertex([0.9, 0.5, 0.0]) == pytest.approx((-1.5, 0.1))


@pytest.mark.parametrize("heights", [[1.0, 0.5, 1.0], [0.0] * 3, [-inf, 1.0, 0.5], [0.5, nan, 0.5]])
def test_without_a_maximum_there_is_no_vertex(heights: list[float]) -> None:
    assert vertex(heights) is None
