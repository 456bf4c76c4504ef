"""Laws of the blocks' contents: inside the block, the same again from the same stream."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Point, Polygon

from cvlnet.town.layout.fill import FILLERS, frontage
from cvlnet.town.layout.lots import cut_plots, long_frame
from cvlnet.town.plan import Barrier, Block, Building, Item, Patch, Plan, Prop, Spot, Tree, Zone
from cvlnet.town.style import make_style

SKEW = Polygon([(0, 0), (120, 8), (112, 74), (-6, 66)])
SMALL = Polygon([(0, 0), (30, 2), (28, 26), (1, 24)])


def anchor(item: Item) -> Point | None:
    if isinstance(item, Building):
        return Point(item.corners_m.mean(axis=0))
    return Point(item.xy_m) if isinstance(item, Tree | Spot | Prop) else None


@pytest.mark.parametrize("use", FILLERS)
@pytest.mark.parametrize("area", [SKEW, SMALL], ids=["large", "small"])
def test_what_stands_in_a_block_stands_inside(use: str, area: Polygon) -> None:
    style = make_style(3)
    for seed in range(4):
        items = list(FILLERS[use](Block(area, Zone.SUBURB), style, np.random.default_rng(seed)))
        assert any(isinstance(item, Patch) for item in items)
        grown = area.buffer(1.0)
        assert all(grown.contains(a) for a in map(anchor, items) if a is not None)
        for building in Plan.of(items).buildings:
            shape = Polygon(building.corners_m)
            assert shape.is_valid
            assert shape.exterior.is_ccw
            assert grown.contains(shape)


@pytest.mark.parametrize("use", ["houses", "terraces", "estate", "perimeter", "industry"])
def test_a_large_block_is_built_up(use: str) -> None:
    built = [
        len(Plan.of(FILLERS[use](Block(SKEW, Zone.SUBURB), make_style(3), np.random.default_rng(seed))).buildings)
        for seed in range(5)
    ]
    assert max(built) >= 3


@pytest.mark.parametrize("use", FILLERS)
def test_the_same_stream_gives_the_same_block(use: str) -> None:
    first, second = (
        list(FILLERS[use](Block(SKEW, Zone.SUBURB), make_style(3), np.random.default_rng(9))) for _ in range(2)
    )
    assert [repr(i) for i in first] == [repr(i) for i in second]


@settings(max_examples=30, deadline=None)
@given(st.floats(40, 160), st.floats(20, 90), st.floats(0, 3.1), st.integers(0, 2**31))
def test_plots_share_a_block_without_overlap(length_m: float, depth_m: float, turn_rad: float, seed: int) -> None:
    cos, sin = np.cos(turn_rad), np.sin(turn_rad)
    block = Polygon(np.array([[0, 0], [length_m, 0], [length_m, depth_m], [0, depth_m]]) @ [[cos, sin], [-sin, cos]])
    plots = cut_plots(block, np.random.default_rng(seed), (14.0, 22.0))
    assert plots
    assert sum(p.polygon.area for p in plots) <= block.area * 1.1
    for plot in plots:
        front = plot.frame.world(np.array([0.0, 1.0]))
        assert plot.polygon.buffer(0.2).contains(Point(front))
    _, long_m, short_m = long_frame(block)
    assert sorted([long_m, short_m]) == pytest.approx(sorted([length_m, depth_m]))


def test_frontage_keeps_to_the_border() -> None:
    pieces = list(frontage(Block(SKEW, Zone.SUBURB), 1.0, np.random.default_rng(1)))
    assert len(pieces) > 5
    for piece in pieces:
        assert isinstance(piece, Barrier)
        assert max(SKEW.exterior.distance(Point(xy)) for xy in piece.xy_m) < 1.5
