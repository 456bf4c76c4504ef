"""Removes colliding items from the plan: nothing on the lanes, no tree in a house, no car in a tree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from jaxtyping import Bool
from shapely.geometry import Polygon

from cvlnet.town.layout.land import Land
from cvlnet.town.plan import Plan, Spot, Tree
from cvlnet.town.polygons import rectangle

LANE_CLEARANCE_M = 0.25
TREE_FROM_WALL_M = 1.0
NEAR_STREET_M = 14.0
FOOTPRINT_M = {"car": (4.6, 1.75), "van": (6.0, 2.1), "truck": (9.5, 2.5), "trailer": (6.5, 2.2)}


def cleared(plan: Plan, land: Land, half_m: float) -> Plan:
    """The plan without collisions, and without items outside the square of +-``half_m``."""
    driven = land.driven.buffer(LANE_CLEARANCE_M)
    shapely.prepare(driven)
    shapely.prepare(land.carriageway)
    inside = [b for b in plan.buildings if np.abs(b.corners_m.mean(axis=0)).max() < half_m]
    shapes = [Polygon(b.corners_m) for b in inside]
    off_street = ~shapely.intersects(land.carriageway, shapes) if shapes else np.zeros(0, bool)
    buildings = tuple(b for b, ok in zip(inside, off_street, strict=True) if ok)
    houses = shapely.STRtree([s.buffer(0.1) for s, ok in zip(shapes, off_street, strict=True) if ok])
    shapely.prepare(land.driven)
    spots = _clear_spots(plan.spots, land.driven, houses, half_m)
    cars = shapely.STRtree([footprint(s).buffer(0.5) for s in spots])
    trees = _kept([t.xy_m for t in plan.trees], driven, houses, cars, TREE_FROM_WALL_M, half_m)
    props = _kept([p.xy_m for p in plan.props], driven, houses, cars, 0.2, half_m)
    return replace(
        plan,
        buildings=buildings,
        spots=spots,
        trees=_detailed(tuple(t for t, ok in zip(plan.trees, trees, strict=True) if ok), land),
        props=tuple(p for p, ok in zip(plan.props, props, strict=True) if ok),
        barriers=tuple(
            b
            for b in plan.barriers
            if np.abs(b.xy_m).max() < half_m and not shapely.intersects(land.carriageway, shapely.linestrings(b.xy_m))
        ),
    )


def _detailed(trees: tuple[Tree, ...], land: Land) -> tuple[Tree, ...]:
    """The trees, with those near a carriageway marked for more detail."""
    if not trees:
        return trees
    near = shapely.dwithin(land.carriageway, shapely.points([t.xy_m for t in trees]), NEAR_STREET_M)
    return tuple(replace(t, near_street=bool(n)) for t, n in zip(trees, near, strict=True))


def footprint(spot: Spot) -> Polygon:
    """Outline of the largest vehicle that may stand on a spot."""
    size = max((FOOTPRINT_M[kind] for kind in set(spot.kinds) if kind in ("car", "truck")), default=FOOTPRINT_M["car"])
    return Polygon(rectangle(*size, spot.xy_m, spot.yaw_rad))


def _clear_spots(
    spots: tuple[Spot, ...], driven: shapely.Geometry, houses: shapely.STRtree, half_m: float
) -> tuple[Spot, ...]:
    inside = [s for s in spots if np.abs(s.xy_m).max() < half_m - 3]
    shapes = [footprint(s) for s in inside]
    if not shapes:
        return ()
    blocked = shapely.intersects(driven, shapes)
    blocked[houses.query(shapes, predicate="intersects")[0]] = True
    tree = shapely.STRtree(shapes)
    first, second = tree.query(shapes, predicate="intersects")
    for a, b in sorted(zip(first.tolist(), second.tolist(), strict=True)):
        if a < b and not blocked[a]:
            blocked[b] = True
    return tuple(s for s, stop in zip(inside, blocked, strict=True) if not stop)


def _kept(
    places: list[tuple[float, float]], driven: shapely.Geometry, houses: shapely.STRtree, cars: shapely.STRtree,
    from_wall_m: float, half_m: float,
) -> Bool[np.ndarray, " places"]:  # fmt: skip
    if not places:
        return np.zeros(0, bool)
    xy = np.array(places)
    kept = (np.abs(xy).max(axis=1) < half_m - 0.5) & ~shapely.contains_xy(driven, xy)
    points = shapely.points(xy)
    kept[houses.query(points, predicate="dwithin", distance=from_wall_m)[0]] = False
    kept[cars.query(points, predicate="intersects")[0]] = False
    return np.asarray(kept)
