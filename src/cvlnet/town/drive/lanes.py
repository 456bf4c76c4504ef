"""Paths of vehicles through the network: along lanes, with smooth arcs through junctions and around roundabouts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from cvlnet.arrays import Points, Xy
from cvlnet.town.curves import arc_length_m, cut, length_m, offset, resample, tangents
from cvlnet.town.layout.junctions import Control, Ends
from cvlnet.town.plan import Network

STEP_M = 0.25
LIMIT_M_S = {"main": 13.9, "collector": 12.0, "residential": 8.6, "lane": 6.0}
LANE_CHANGE_M = 45.0
RING_M = 3.4  # from a roundabout's outer kerb to the path
RING_ENTRY_RAD = 0.45  # arc over which vehicles enter, or leave, the ring
SMOOTH_M = 3.0


@dataclass(frozen=True)
class Leg:
    """One road of a route, driven forward or backward, with the lanes at both ends (0 is the outer one)."""

    road: int
    forward: bool
    first_lane: int = 0
    last_lane: int = 0


@dataclass(frozen=True)
class Way:
    """A path: points STEP_M apart, the speed limit at each, and where junctions begin (arc length, control)."""

    xy_m: Float64[np.ndarray, "points 2"]
    limit_m_s: Float64[np.ndarray, " points"]
    junctions: tuple[tuple[float, Control], ...]


def make_way(network: Network, ends: Ends, legs: tuple[Leg, ...], aside_m: float = 0.0) -> Way:
    """The path along the lane centres, shifted to the right by ``aside_m`` (for cyclists)."""
    pieces: list[Points] = []
    limits: list[Float64[np.ndarray, " _"]] = []
    junctions: list[tuple[float, Control]] = []
    way = 0.0
    for k, leg in enumerate(legs):
        lane = _lane_line(network, ends, leg, aside_m)
        if k > 0:
            node = _end_node(network, legs[k - 1])
            junctions.append((way, ends[legs[k - 1].road, node].control))
            arc = _through_junction(pieces[-1], lane, network, node)
            pieces.append(arc)
            limits.append(np.full(len(arc), min(limits[-1][-1], LIMIT_M_S[network.roads[leg.road].profile.kind])))
            way += length_m(arc)
        pieces.append(lane)
        limits.append(np.full(len(lane), LIMIT_M_S[network.roads[leg.road].profile.kind]))
        way += length_m(lane)
    rough, limit = np.concatenate(pieces), np.concatenate(limits)
    keep = np.concatenate([[True], np.hypot(*np.diff(rough, axis=0).T) > 1e-6])
    rough, limit = rough[keep], limit[keep]
    line = _smoothed(resample(rough, STEP_M))
    return Way(line, np.interp(arc_length_m(line), arc_length_m(rough), limit), tuple(junctions))


def _end_node(network: Network, leg: Leg) -> int:
    road = network.roads[leg.road]
    return road.end if leg.forward else road.start


def _lane_line(network: Network, ends: Ends, leg: Leg, aside_m: float) -> Points:
    """Centreline of a lane between the junctions, in driving direction."""
    road = network.roads[leg.road]
    length = length_m(road.xy_m)
    start, stop = ends[leg.road, road.start].trim_m, ends[leg.road, road.end].trim_m
    middle = length / 2
    xy = cut(road.xy_m, min(start, middle - 0.6), max(length - stop, middle + 0.6))
    xy = xy if leg.forward else xy[::-1]
    profile = road.profile
    first, last = profile.lane_offset_m(leg.first_lane), profile.lane_offset_m(leg.last_lane)
    s = arc_length_m(xy)
    share = np.clip((s - s[-1] / 2) / LANE_CHANGE_M + 0.5, 0, 1)
    across = first + (last - first) * share**2 * (3 - 2 * share)
    return offset(xy, -(across + aside_m))


def _through_junction(before: Points, after: Points, network: Network, node: int) -> Points:
    place = network.nodes[node]
    a, b = before[-1], after[0]
    if place.roundabout_m == 0:
        return _bezier(a, _heading(before, -1), b, _heading(after, 0))
    center, radius = np.array(place.xy_m), place.roundabout_m - RING_M
    start = float(np.arctan2(*(a - center)[::-1]))
    around = (float(np.arctan2(*(b - center)[::-1])) - start) % (2 * np.pi)
    bend = min(RING_ENTRY_RAD, around * 0.4)
    start, stop = start + bend, start + around - bend
    angle = np.linspace(start, stop, max(2, int((stop - start) * radius / 0.5)))
    ring = center + radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    enter = _bezier(a, _heading(before, -1), ring[0], np.array([-np.sin(start), np.cos(start)]))
    leave = _bezier(ring[-1], np.array([-np.sin(stop), np.cos(stop)]), b, _heading(after, 0))
    return np.concatenate([enter, ring[1:-1], leave])


def _heading(line: Points, at: int) -> Xy:
    return np.asarray(tangents(line)[at])


def _bezier(a: Xy, a_heading: Xy, b: Xy, b_heading: Xy) -> Points:
    reach = float(np.hypot(*(b - a))) * 0.42
    t = np.linspace(0, 1, max(3, int(reach / 0.42 / 0.4)))[:, None]
    c, d = a + a_heading * reach, b - b_heading * reach
    return np.asarray((1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * c + 3 * t**2 * (1 - t) * d + t**3 * b)


def _smoothed(line: Points) -> Points:
    """The line averaged over SMOOTH_M, with fixed ends."""
    half = round(SMOOTH_M / STEP_M / 2)
    if len(line) < 4 * half:
        return line
    padded = np.concatenate([2 * line[0] - line[half:0:-1], line, 2 * line[-1] - line[-2 : -half - 2 : -1]])
    kernel = np.full(2 * half + 1, 1 / (2 * half + 1))
    averaged = np.stack([np.convolve(padded[:, k], kernel, mode="valid") for k in (0, 1)], axis=-1)
    return resample(averaged, STEP_M)
