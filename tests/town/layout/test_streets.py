"""Laws of the street network and of what lies between the streets."""

from __future__ import annotations

import numpy as np
import pytest

from cvlnet.town.curves import length_m
from cvlnet.town.drive.lanes import Leg, make_way
from cvlnet.town.drive.routes import SHORTEST_M
from cvlnet.town.layout.junctions import approaches
from cvlnet.town.layout.land import make_land
from cvlnet.town.layout.streets import make_network
from cvlnet.town.layout.zones import make_zones
from cvlnet.town.plan import Network
from cvlnet.town.style import make_style


def network_of(seed: int, size_m: float = 300.0) -> Network:
    style = make_style(seed)
    return make_network(seed, size_m, style, make_zones(seed, size_m, style))


@pytest.mark.parametrize("seed", [1, 2, 3, 100_001])
def test_roads_end_at_their_nodes_and_nodes_know_their_roads(seed: int) -> None:
    network = network_of(seed)
    assert len(network.roads) > 10
    for i, road in enumerate(network.roads):
        for node, end in ((road.start, road.xy_m[0]), (road.end, road.xy_m[-1])):
            assert i in network.nodes[node].roads
            assert np.allclose(network.nodes[node].xy_m, end, atol=0.02)
        assert np.hypot(*np.diff(road.xy_m, axis=0).T).max() < 4.0


@pytest.mark.parametrize("seed", [1, 2, 3, 100_001])
def test_streets_cover_the_square_and_leave_blocks(seed: int) -> None:
    style, network = make_style(seed), network_of(seed)
    land = make_land(network, approaches(network), 300.0, make_zones(seed, 300.0, style))
    assert len(land.blocks) > 3
    assert not any(b.polygon.intersects(land.carriageway) for b in land.blocks)
    reach = np.abs(np.concatenate([r.xy_m for r in network.roads])).max(axis=0)
    assert (reach > 150.0).all()


def test_a_way_through_a_junction_is_smooth() -> None:
    turns = 0
    for seed in (1, 2, 3):
        network = network_of(seed)
        ends = approaches(network)
        for i, road in enumerate(network.roads):
            for other in network.nodes[road.end].roads:
                if other == i or min(length_m(road.xy_m), length_m(network.roads[other].xy_m)) < SHORTEST_M:
                    continue
                way = make_way(network, ends, (Leg(i, True), Leg(other, network.roads[other].start == road.end)))
                step = np.diff(way.xy_m, axis=0)
                if step[0] @ step[-1] < -0.3 * np.linalg.norm(step[0]) * np.linalg.norm(step[-1]):
                    continue  # back around a sharp corner: no drive goes there
                bend = np.diff(np.unwrap(np.arctan2(step[:, 1], step[:, 0])))
                assert np.abs(bend).max() < 0.5  # a bend, not a kink
                turns += 1
    assert turns > 50
