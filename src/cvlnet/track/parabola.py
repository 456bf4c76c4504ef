"""The best of evenly spaced values of a quantity, between and beyond those that were compared."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

_BEYOND = 1.5  # steps from the middle value that the vertex may lie


class Vertex(NamedTuple):
    """The highest point of a parabola. steps: from the middle value. curvature: twice the fall over one step."""

    steps: float
    curvature: float


def vertex(heights: Sequence[float]) -> Vertex | None:
    """The vertex of the parabola through three heights, at most 1.5 steps from the middle one; None without maximum."""
    below, middle, above = heights
    curvature = 2 * middle - below - above
    if not isfinite(curvature) or curvature <= 0:
        return None
    return Vertex(min(max((above - below) / (2 * curvature), -_BEYOND), _BEYOND), curvature)
