"""Drawing in metres is exact below the cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from cvlnet.grid import Grid
from cvlnet.town.ground.canvas import Canvas
from cvlnet.town.plan import Marking, Surface


@settings(max_examples=25, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3))
def test_a_filled_square_has_its_centre_where_asked(east_m: float, north_m: float) -> None:
    canvas = Canvas.blank(Grid(100, 120, 0.1))
    canvas.fill(box(east_m - 1, north_m - 1, east_m + 1, north_m + 1), Surface.ASPHALT, (200, 200, 200))
    weight = canvas.rgb[..., 0].astype(np.float64)
    assert weight.sum() / 200 * 0.01 == pytest.approx(4.0, rel=0.02)
    xy = canvas.grid.cell_centers_xy_m().numpy()
    centre = (xy * weight[..., None]).sum((0, 1)) / weight.sum()
    assert centre == pytest.approx([east_m, north_m], abs=0.008)


@pytest.mark.parametrize("width_m", [0.12, 0.25, 0.5])
def test_a_marking_has_its_width(width_m: float) -> None:
    canvas = Canvas.blank(Grid(100, 100, 0.1))
    canvas.mark(Marking(np.array([[-4.0, 0.03], [4.0, 0.03]]), width_m, 1.0))
    painted_m = canvas.marking[:, 30:70].astype(np.float64).mean(axis=1).sum() / 255 * 0.1
    assert painted_m == pytest.approx(width_m, abs=0.01)


def test_a_hole_stays_free() -> None:
    canvas = Canvas.blank(Grid(60, 60, 0.1))
    canvas.fill(box(-2, -2, 2, 2).difference(box(-1, -1, 1, 1)), Surface.LAWN, (90, 90, 90))
    assert canvas.rgb[30, 30].tolist() == [0, 0, 0]
    assert canvas.kind[30, 15, 0] == Surface.LAWN
