"""Types of NumPy arrays that many signatures share. Shapes that occur in one place are spelled out there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

Xy = Float64[np.ndarray, "2"]  # a point, a displacement or a direction: x east, y north
Points = Float64[np.ndarray, "_ 2"]  # points of a curve, or corners of a polygon
Corners = Float64[np.ndarray, "4 2"]  # of a quadrilateral, counter-clockwise
