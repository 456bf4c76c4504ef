"""Moving vehicles: those that a drive meets, and those in the overhead image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from cvlnet.arrays import Points
from cvlnet.town.curves import length_m, offset, points_at, yaws_rad
from cvlnet.town.drive.lanes import STEP_M, Leg, make_way
from cvlnet.town.drive.routes import Route
from cvlnet.town.layout.junctions import Ends, between_junctions
from cvlnet.town.mesh.vehicles import vehicle_mesh
from cvlnet.town.plan import Network
from cvlnet.town.scene import Drive, Ground, Mesh, MovingObject
from cvlnet.town.streams import chance, pick, stream

MIX = {"car": 80.0, "van": 8.0, "truck": 3.0, "bus": 2.5, "cyclist": 8.0}
REACH_M = {"car": 3.6, "van": 4.0, "truck": 5.6, "bus": 7.4, "cyclist": 2.0}  # kept clear around the vehicle's centre
ONCOMING_EVERY_M = 75.0
CYCLIST_EVERY_M = 160.0
CROSSING_EVERY_S = 6.0
FLIGHT_EVERY_M = {"main": 45.0, "collector": 80.0, "residential": 220.0, "lane": 400.0}
LEADER_SHARE = 0.5
CYCLIST_M_S, CYCLIST_ASIDE_M = 4.6, 1.15
TIME_STEP_S = 0.1


@dataclass(frozen=True)
class _Passage:
    """A candidate for traffic: its kind and its trajectory."""

    kind: str
    time_s: Float64[np.ndarray, " times"]
    xy_m: Float64[np.ndarray, "times 2"]
    yaw_rad: Float64[np.ndarray, " times"]


def traffic_of_drive(
    seed: int, number: int, network: Network, ends: Ends, route: Route, drive: Drive, density: float
) -> tuple[MovingObject, ...]:
    """Vehicles under way during a drive; none comes closer to the camera car than its reach."""
    if density == 0:
        return ()
    rng = stream(seed, "traffic", number)
    met: list[_Passage] = []
    for passage in _candidates(network, ends, route, drive, density, rng):
        if len(passage.time_s) > 3 and _keeps_away(passage, drive) and all(_apart(passage, other) for other in met):
            met.append(passage)
    return tuple(MovingObject(vehicle_mesh(p.kind, rng), p.time_s, p.xy_m, p.yaw_rad) for p in met)


def _candidates(
    network: Network, ends: Ends, route: Route, drive: Drive, density: float, rng: np.random.Generator
) -> Iterator[_Passage]:
    duration = float(drive.time_s[-1])
    if chance(rng, min(1.0, LEADER_SHARE * density)):
        yield _leader(route, rng)
    back = tuple(Leg(leg.road, not leg.forward) for leg in reversed(route.legs))
    oncoming = make_way(network, ends, back).xy_m
    for start in _starts(length_m(oncoming), duration, 9.0, ONCOMING_EVERY_M / density, rng):
        yield _steady(_motor(rng), oncoming, start, rng.uniform(6.5, 11.5), duration)
    for legs, every in ((back, CYCLIST_EVERY_M), (route.legs, CYCLIST_EVERY_M)):
        line = make_way(network, ends, tuple(Leg(leg.road, leg.forward) for leg in legs), CYCLIST_ASIDE_M).xy_m
        for start in _starts(length_m(line), duration, CYCLIST_M_S, every / density, rng):
            yield _steady("cyclist", line, start, rng.uniform(3.5, 5.8), duration)
    for _ in range(rng.poisson(density * (2 + duration / CROSSING_EVERY_S))):
        legs = _crossing(network, route, rng)
        if legs:
            line = make_way(network, ends, legs).xy_m
            yield _steady(_motor(rng), line, -rng.uniform(0, 9.0 * duration), rng.uniform(6, 10), duration)


def _motor(rng: np.random.Generator) -> str:
    return pick(rng, {k: w for k, w in MIX.items() if k != "cyclist"})


def _starts(
    length: float, duration: float, speed: float, every: float, rng: np.random.Generator
) -> Float64[np.ndarray, " starts"]:
    """Arc lengths at time 0 of the vehicles that drive along a line within the duration."""
    low = -speed * duration
    return np.sort(rng.uniform(low, length, rng.poisson((length - low) / every)))


def _leader(route: Route, rng: np.random.Generator) -> _Passage:
    """A vehicle ahead in the same lane that keeps the camera car's pace."""
    gap = rng.uniform(14, 35) + 4.0 * np.sin(route.time_s / rng.uniform(3, 8) + rng.uniform(0, 6))
    ahead = np.maximum.accumulate(route.s_m + gap)
    keep = ahead < length_m(route.way.xy_m) - 1
    return _along(_motor(rng), route.way.xy_m, route.time_s[keep], ahead[keep])


def _steady(kind: str, line: Points, start_m: float, speed_m_s: float, duration: float) -> _Passage:
    time = np.arange(0.0, duration + TIME_STEP_S / 2, TIME_STEP_S)
    s = start_m + speed_m_s * time
    keep = (s > 0.5) & (s < length_m(line) - 0.5)
    return _along(kind, line, time[keep], s[keep])


def _along(kind: str, line: Points, time: Float64[np.ndarray, " times"], s: Float64[np.ndarray, " times"]) -> _Passage:
    yaw = np.unwrap(yaws_rad(line))
    at = np.interp(s, np.arange(len(line)) * STEP_M, yaw) if len(s) else np.zeros(0)
    return _Passage(kind, time, points_at(line, s), at)


def _crossing(network: Network, route: Route, rng: np.random.Generator) -> tuple[Leg, ...]:
    """Two other roads that meet at one of the route's junctions."""
    leg = route.legs[int(rng.integers(len(route.legs)))]
    road = network.roads[leg.road]
    node = road.end if leg.forward else road.start
    others = [r for r in network.nodes[node].roads if r != leg.road and not network.roads[r].dead_end]
    if len(others) < 2:
        return ()
    a, b = (int(x) for x in rng.choice(others, 2, replace=False))
    return Leg(a, network.roads[a].end == node), Leg(b, network.roads[b].start == node)


def _keeps_away(passage: _Passage, drive: Drive) -> bool:
    index = np.clip(np.searchsorted(drive.time_s, passage.time_s), 0, len(drive.time_s) - 1)
    to_car = passage.xy_m - drive.xyz_m[index, :2]
    yaw = drive.yaw_rad[index]
    along = np.abs(to_car[:, 0] * np.cos(yaw) + to_car[:, 1] * np.sin(yaw))
    across = np.abs(to_car[:, 1] * np.cos(yaw) - to_car[:, 0] * np.sin(yaw))
    beside = 1.35 if passage.kind == "cyclist" else 2.35
    return not bool(((along < REACH_M[passage.kind] + 3.0) & (across < beside)).any())


def _apart(a: _Passage, b: _Passage) -> bool:
    _, i, j = np.intersect1d(np.round(a.time_s, 3), np.round(b.time_s, 3), return_indices=True)
    if len(i) == 0:
        return True
    distance = np.hypot(*(a.xy_m[i] - b.xy_m[j]).T)
    return bool(distance.min() > (REACH_M[a.kind] + REACH_M[b.kind]) * 0.75)


def traffic_at_flight(seed: int, network: Network, ends: Ends, ground: Ground, half_m: float, density: float) -> Mesh:
    """Vehicles on all roads at the moment of the overhead image."""
    rng = stream(seed, "flight traffic")
    meshes = []
    for i, road in enumerate(network.roads):
        xy = between_junctions(network, ends, i)
        if xy is None or road.dead_end or density == 0:
            continue
        for sign in (1, -1):
            for lane in range(road.profile.lanes):
                line = offset(xy, sign * road.profile.lane_offset_m(lane))
                for s in _spaced(length_m(line), FLIGHT_EVERY_M[road.profile.kind] / density, rng):
                    place = points_at(line, s)
                    nearest = int(np.argmin(np.hypot(*(line - place).T)))
                    yaw = float(yaws_rad(line)[nearest]) + (np.pi if sign > 0 else 0.0)
                    if np.abs(place).max() < half_m - 5:
                        z = float(ground.height_at(place))
                        meshes.append(vehicle_mesh(_motor(rng), rng).moved((place[0], place[1], z), yaw))
    return Mesh.join(meshes)


def _spaced(length: float, every: float, rng: np.random.Generator) -> list[float]:
    kept: list[float] = []
    for s in np.sort(rng.uniform(0, length, rng.poisson(length / every))):
        if not kept or s - kept[-1] > 14.0:
            kept.append(float(s))
    return kept
