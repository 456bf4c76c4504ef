"""Areas that follow from the streets: carriageways, corridors up to the lots, and the blocks between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box
from shapely.geometry.base import BaseGeometry

from cvlnet.arrays import Xy
from cvlnet.town.curves import ribbon
from cvlnet.town.layout.junctions import Ends
from cvlnet.town.plan import Block, Network, Zone
from cvlnet.town.polygons import polygons

KERB_RADIUS_M = 5.0
LOT_RADIUS_M = 2.5
OUTSIDE_M = 40.0  # blocks are planned this far beyond the square
DEAD_END_RADIUS_M = 7.0
FOOTPATH_M = 2.6


@dataclass(frozen=True)
class Land:
    """Areas of a town.

    carriageway: up to the kerbs. corridor: up to the lots. driven: lanes and crossings, which are kept clear.
    """

    carriageway: BaseGeometry
    corridor: BaseGeometry
    driven: BaseGeometry
    footpaths: BaseGeometry
    blocks: tuple[Block, ...]


def make_land(
    network: Network,
    ends: Ends,
    size_m: float,
    zone_at: Callable[[Xy], Zone],
) -> Land:
    """Areas of a network."""
    kerbs = [ribbon(r.xy_m, r.profile.kerb_m("left"), r.profile.kerb_m("right")) for r in network.roads]
    borders = [ribbon(r.xy_m, r.profile.border_m("left"), r.profile.border_m("right")) for r in network.roads]
    lanes = [ribbon(r.xy_m, r.profile.driven_half_m, r.profile.driven_half_m) for r in network.roads]
    discs = _discs(network)
    carriageway = _rounded(shapely.union_all([*kerbs, *discs]), KERB_RADIUS_M)
    corridor = _rounded(shapely.union_all([*borders, *(d.buffer(2.2) for d in discs)]), LOT_RADIUS_M)
    crossings = _crossings(network, ends)
    driven = shapely.union_all([*lanes, *discs, carriageway.intersection(crossings)])
    footpaths = _footpaths(network)
    half = size_m / 2 + OUTSIDE_M
    rest = box(-half, -half, half, half).difference(corridor).difference(footpaths).buffer(-1.5).buffer(1.5)
    blocks = [Block(p, zone_at(np.array(p.centroid.coords[0]))) for p in polygons(rest) if p.area > 60]
    blocks.sort(key=lambda b: (round(b.polygon.centroid.x, 1), round(b.polygon.centroid.y, 1)))
    return Land(carriageway, corridor.difference(footpaths), driven, footpaths, tuple(blocks))


def _rounded(area: BaseGeometry, radius_m: float) -> BaseGeometry:
    """The area with rounded inner corners."""
    return area.buffer(radius_m, quad_segs=6).buffer(-radius_m, quad_segs=6)


def _discs(network: Network) -> list[Polygon]:
    """Discs around the nodes, which close gaps between roads, and form roundabouts and turning circles."""
    discs = []
    for node in network.nodes:
        if not node.roads:
            continue
        meeting = [network.roads[r] for r in node.roads]
        radius_m = node.roundabout_m or min(min(r.profile.kerb_m("left"), r.profile.kerb_m("right")) for r in meeting)
        if len(meeting) == 1 and meeting[0].dead_end:
            radius_m = DEAD_END_RADIUS_M
        discs.append(Point(node.xy_m).buffer(radius_m, quad_segs=12))
    return discs


def _crossings(network: Network, ends: Ends) -> BaseGeometry:
    areas = []
    for n, node in enumerate(network.nodes):
        if len(node.roads) >= 3:
            reach_m = max(ends[r, n].trim_m for r in node.roads) + 2.0
            areas.append(Point(node.xy_m).buffer(reach_m))
    return shapely.union_all(areas) if areas else MultiPolygon()


def _footpaths(network: Network) -> BaseGeometry:
    return shapely.union_all([LineString(p).buffer(FOOTPATH_M / 2, cap_style="flat") for p in network.footpaths])
