"""Arrays that many signatures share: x east, y north, metres. Other shapes stand in the signatures themselves."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

Xy = Float64[np.ndarray, "2"]  # a place, a displacement or a direction
Points = Float64[np.ndarray, "_ 2"]  # the points of a curve or the corners of a polygon
Corners = Float64[np.ndarray, "4 2"]  # of a quadrilateral, counter-clockwise
