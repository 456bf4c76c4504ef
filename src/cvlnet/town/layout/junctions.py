"""Junctions: where each road ends before the crossing area, and which has priority."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cvlnet.arrays import Points, Xy
from cvlnet.town.curves import cut, length_m, points_at
from cvlnet.town.plan import Network

Control = Literal["through", "yield", "signal", "none"]
RANK = {"main": 3, "collector": 2, "residential": 1, "lane": 0}
CORNER_M = 3.0  # from the rounded kerb to the stop line


@dataclass(frozen=True)
class Approach:
    """A road's end at a junction: distance from the node to the border of the crossing area, and traffic control."""

    trim_m: float
    control: Control


Ends = dict[tuple[int, int], Approach]  # by indices of road and node


def approaches(network: Network) -> Ends:
    """The approach of every road at each of its nodes."""
    found = {}
    for n, node in enumerate(network.nodes):
        controls = _controls(network, node.roads)
        for r in node.roads:
            if len(node.roads) < 3:
                found[r, n] = Approach(0.0, "through")
            elif node.roundabout_m > 0:
                found[r, n] = Approach(node.roundabout_m + 2.0, "yield")
            else:
                found[r, n] = Approach(_trim(network, r, n), controls[r])
    return found


def from_node(network: Network, road: int, node: int) -> Points:
    """A road's centreline, directed away from the node."""
    xy = network.roads[road].xy_m
    return xy if network.roads[road].start == node else xy[::-1]


def _trim(network: Network, road: int, node: int) -> float:
    """Distance along ``road`` from its node until it is clear of the kerbs of the other roads."""
    own = network.roads[road]
    own_half = max(own.profile.kerb_m("left"), own.profile.kerb_m("right"))
    direction = _direction(from_node(network, road, node))
    trim = 0.0
    for other in network.nodes[node].roads:
        if other == road:
            continue
        theirs = _direction(from_node(network, other, node))
        cos, sin = float(direction @ theirs), abs(float(direction[0] * theirs[1] - direction[1] * theirs[0]))
        if cos < -0.85:
            continue
        profile = network.roads[other].profile
        half = max(profile.kerb_m("left"), profile.kerb_m("right"))
        trim = max(trim, (half + own_half * cos) / max(sin, 0.45))
    return float(min(trim + CORNER_M, 0.45 * length_m(own.xy_m)))


def _direction(xy_m: Points) -> Xy:
    step = points_at(xy_m, min(12.0, length_m(xy_m))) - xy_m[0]
    return np.asarray(step / np.hypot(*step))


def _controls(network: Network, ends: tuple[int, ...]) -> dict[int, Control]:
    ranks = {r: RANK[network.roads[r].profile.kind] for r in ends}
    streets = {network.roads[r].street for r in ends}
    top = max(ranks.values())
    top_streets = {network.roads[r].street for r in ends if ranks[r] == top}
    if top == 3 and sum(max(ranks[r] for r in ends if network.roads[r].street == s) >= 2 for s in streets) >= 2:
        return dict.fromkeys(ends, "signal")
    if top >= 2 and len(top_streets) == 1:
        return {r: "through" if ranks[r] == top else "yield" for r in ends}
    if top >= 2:
        first = min(top_streets)
        return {r: "through" if network.roads[r].street == first else "yield" for r in ends}
    return dict.fromkeys(ends, "none")


def between_junctions(network: Network, ends: Ends, road: int, *, pass_through: bool = False) -> Points | None:
    """A road's centreline without its junctions, or None if nothing is left.

    pass_through: keep the junctions at which the road has priority.
    """
    r = network.roads[road]
    cuts = []
    for node in (r.start, r.end):
        end = ends[road, node]
        cuts.append(0.0 if pass_through and end.control == "through" else end.trim_m)
    length = length_m(r.xy_m)
    return cut(r.xy_m, cuts[0], length - cuts[1]) if length - sum(cuts) > 5.0 else None
