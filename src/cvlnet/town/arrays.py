"""Array types used in many signatures: x east, y north, metres. Less common shapes are spelled out where they occur."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

Xy = Float64[np.ndarray, "2"]  # a point, a displacement or a direction
Points = Float64[np.ndarray, "_ 2"]  # points of a curve, or corners of a polygon
Corners = Float64[np.ndarray, "4 2"]  # of a quadrilateral, counter-clockwise
