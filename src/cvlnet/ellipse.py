"""The ellipse that holds a normally distributed place with a given probability."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, pi
from typing import Any

import numpy as np

from cvlnet.arrays import Matrix2, Points

CONFIDENCE = 0.95  # of the ellipses that are written and drawn
_POINTS = 64


def ellipse_xy_m(covariance_m2: Matrix2 | Sequence[Any], confidence: float = CONFIDENCE) -> Points:
    """The closed curve around zero that holds a normally distributed place with this probability, counter-clockwise."""
    variances_m2, axes = np.linalg.eigh(np.asarray(covariance_m2, dtype=np.float64))
    radii_m = np.sqrt(np.maximum(variances_m2, 0) * -2 * log(1 - confidence))
    if np.linalg.det(axes) < 0:
        axes = axes * [1, -1]
    angle_rad = np.linspace(0, 2 * pi, _POINTS + 1)
    circle = np.stack([np.cos(angle_rad), np.sin(angle_rad)], axis=-1)
    circle[-1] = circle[0]
    return np.asarray(circle * radii_m @ axes.T, dtype=np.float64)
