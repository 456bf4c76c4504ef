"""Types of NumPy arrays that many signatures share. Shapes that occur in one place are spelled out there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64, Int64, UInt8

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

Xy = Float64[np.ndarray, "2"]  # a point, a displacement or a direction: x east, y north
Points = Float64[np.ndarray, "_ 2"]  # points of a curve, or corners of a polygon
Corners = Float64[np.ndarray, "4 2"]  # of a quadrilateral, counter-clockwise
Matrix2 = Float64[np.ndarray, "2 2"]

Series = Float64[np.ndarray, " n"]  # one number for each of n moments
Positions = Float64[np.ndarray, "n dims"]  # in two or three dimensions, of each of n moments
Flags = Bool[np.ndarray, " n"]  # whether something holds, for each of n moments
Indices = Int64[np.ndarray, " _"]  # of some of them

Rgb = UInt8[np.ndarray, "rows cols 3"]
Mask = Bool[np.ndarray, "rows cols"]
