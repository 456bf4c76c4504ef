"""Drives of the camera car: routes through the network within the town's square, at 10 Hz."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from cvlnet.arrays import Points
from cvlnet.town.curves import length_m, points_at
from cvlnet.town.drive.lanes import STEP_M, Leg, Way, make_way
from cvlnet.town.drive.motion import speeds, tightest_radius_m, timed, without_jerks, wobbly
from cvlnet.town.layout.junctions import Ends
from cvlnet.town.plan import Network
from cvlnet.town.presets import TownConfig
from cvlnet.town.scene import Drive, Ground
from cvlnet.town.streams import chance, stream

FRAMES_PER_S = 10.0
MARGIN_M = 100.0  # of large towns, without positions
ROOMY_M = 60.0  # smallest half extent that must remain within that margin
WANTED_M_S = 8.0  # mean speed assumed for the length of a route
CANDIDATES = 60
START_DRAWS = 4
SHORTEST_M = 14.0  # of the roads driven; shorter ones have no room for a lane between junctions
TIGHTEST_M = 4.0  # radius of the tightest turn
AXLE_M, TRACK_M = 2.7, 1.6  # over which the ground's slope is taken


@dataclass(frozen=True)
class Route:
    """A drive without traffic: its legs, its path within the square, and the arc length at each frame."""

    legs: tuple[Leg, ...]
    way: Way
    time_s: Float64[np.ndarray, " frames"]
    s_m: Float64[np.ndarray, " frames"]


def allowed_half_m(config: TownConfig) -> float:
    """Half extent of the square of all positions; a tile around each of them should lie within the town."""
    half = config.size_m / 2
    if half - MARGIN_M >= ROOMY_M:
        return half - MARGIN_M
    return max(half - config.tile_size_m / 2 - 1.0, half * 0.25)


def make_routes(config: TownConfig, network: Network, ends: Ends) -> tuple[Route, ...]:
    """``config.drives`` routes over different streets. Raises ValueError if no road crosses the allowed square."""
    half = allowed_half_m(config)
    wanted_m = config.frames_per_drive / FRAMES_PER_S * WANTED_M_S + 15.0
    usable = _usable_roads(network, half)
    if not usable:
        raise ValueError(f"no road of town {config.seed} crosses the square of +-{half:.0f} m")
    driven: dict[int, int] = {}
    routes = []
    for number in range(config.drives):
        rng = stream(config.seed, "route", number)
        best: tuple[float, tuple[Leg, ...], Way] | None = None
        for _ in range(CANDIDATES):
            legs = _walk(network, usable, half, wanted_m, driven, rng)
            way = _cropped(make_way(network, ends, legs), half)
            if way is None or tightest_radius_m(way.xy_m) < TIGHTEST_M:
                continue
            fresh = sum(length_m(network.roads[leg.road].xy_m) / (1 + 3 * driven.get(leg.road, 0)) for leg in legs)
            score = min(length_m(way.xy_m), wanted_m) + 0.5 * min(fresh, wanted_m)
            if best is None or score > best[0]:
                best = (score, legs, way)
        if best is None:
            raise ValueError(f"no route through town {config.seed} stays within the square of +-{half:.0f} m")
        for leg in best[1]:
            driven[leg.road] = driven.get(leg.road, 0) + 1
        routes.append(_timed_route(best[1], best[2], config.frames_per_drive, rng))
    return tuple(routes)


def make_drive(route: Route, ground: Ground) -> Drive:
    """The drive of a route, without traffic."""
    xy = points_at(route.way.xy_m, route.s_m)
    yaw = _yaw_at(route.way.xy_m, route.s_m)
    ahead = np.stack([np.cos(yaw), np.sin(yaw)], axis=-1) * AXLE_M / 2
    left = np.stack([-np.sin(yaw), np.cos(yaw)], axis=-1) * TRACK_M / 2
    z = ground.height_at(xy)
    climb = (ground.height_at(xy + ahead) - ground.height_at(xy - ahead)) / AXLE_M
    tilt = (ground.height_at(xy + left) - ground.height_at(xy - left)) / TRACK_M
    xyz = np.concatenate([xy, z[:, None]], axis=1)
    return Drive(route.time_s, xyz, yaw, -np.arctan(climb), np.arctan(tilt), ())


def _yaw_at(line: Points, s_m: Float64[np.ndarray, " ways"]) -> Float64[np.ndarray, " ways"]:
    """Yaw of a line at arc lengths."""
    reach = 0.6
    step = points_at(line, np.minimum(s_m + reach, length_m(line))) - points_at(line, np.maximum(s_m - reach, 0.0))
    return np.asarray(np.arctan2(step[:, 1], step[:, 0]))


def _usable_roads(network: Network, half_m: float) -> list[int]:
    """Roads that a drive may use: open at both ends, long enough for a lane, at least partly in the square."""
    return [
        i
        for i, r in enumerate(network.roads)
        if not r.dead_end and length_m(r.xy_m) > SHORTEST_M and (np.abs(r.xy_m).max(axis=1) < half_m - 2).sum() > 3
    ]


def _walk(
    network: Network,
    usable: list[int],
    half_m: float,
    wanted_m: float,
    driven: dict[int, int],
    rng: np.random.Generator,
) -> tuple[Leg, ...]:
    """A random walk over the usable roads without U-turns, which prefers roads not driven yet."""
    road = int(rng.choice(usable))
    forward = chance(rng, 0.5)
    legs: list[Leg] = []
    length, seen = 0.0, dict(driven)
    allowed = set(usable)
    while True:
        r = network.roads[road]
        lanes = r.profile.lanes
        first = legs[-1].last_lane if legs and legs[-1].last_lane < lanes else 0
        last = int(rng.integers(lanes)) if length_m(r.xy_m) > 110 else first
        legs.append(Leg(road, forward, first, last))
        seen[road] = seen.get(road, 0) + 1
        length += float((np.abs(r.xy_m).max(axis=1) < half_m).mean()) * length_m(r.xy_m)
        node = r.end if forward else r.start
        choices = [n for n in network.nodes[node].roads if n != road and n in allowed]
        if length > wanted_m * 1.15 or not choices or np.abs(network.nodes[node].xy_m).max() > half_m:
            return tuple(legs)
        weight = np.array([1.0 / (1 + 4 * seen.get(n, 0)) for n in choices])
        road = int(rng.choice(choices, p=weight / weight.sum()))
        forward = network.roads[road].start == node


def _cropped(way: Way, half_m: float) -> Way | None:
    """The longest stretch of a path within the square, or None if it is shorter than 6 m."""
    inside = np.abs(way.xy_m).max(axis=1) < half_m - 0.6
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(np.int8), [0]])))
    runs = edges.reshape(-1, 2)
    if len(runs) == 0:
        return None
    start, stop = runs[int(np.argmax(runs[:, 1] - runs[:, 0]))]
    if (stop - start) * STEP_M < 6.0:
        return None
    low = start * STEP_M
    junctions = tuple((s - low, c) for s, c in way.junctions if 0 < s - low < (stop - start) * STEP_M)
    return Way(way.xy_m[start:stop], way.limit_m_s[start:stop], junctions)


def _timed_route(legs: tuple[Leg, ...], way: Way, frames: int, rng: np.random.Generator) -> Route:
    """Sample a path at the frame rate; if it is too short, the car drives more slowly, then waits."""
    line = wobbly(way.xy_m, rng)
    count = min(len(line), len(way.limit_m_s))
    way = replace(way, xy_m=line[:count], limit_m_s=way.limit_m_s[:count])
    speed, halts = speeds(way, rng)
    time, s = timed(speed, halts)
    needed = (frames - 1) / FRAMES_PER_S
    if time[-1] < needed:
        slower = max(0.35, time[-1] / needed * 0.98)
        time, s = timed(speed * slower, halts)
    time, s = without_jerks(time, s)
    at = np.arange(frames) / FRAMES_PER_S
    spare = max(0.0, float(time[-1]) - needed)
    starts = [np.interp(at + start, time, s) for start in rng.uniform(0, spare, START_DRAWS)]
    driven = max(starts, key=lambda s_m: float(s_m[-1] - s_m[0]))  # a short drive should not be a stop only
    return Route(legs, way, at, driven)
