"""Motion along a path: speed by limit and curvature, stops at junctions, wandering within the lane."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from cvlnet.arrays import Points
from cvlnet.town.curves import arc_length_m, offset, resample, yaws_rad
from cvlnet.town.drive.lanes import STEP_M, Way
from cvlnet.town.streams import chance

ACCELERATION_M_S2 = 1.5
BRAKING_M_S2 = 1.9
SIDEWAYS_M_S2 = 2.0
CRAWL_M_S = 0.5  # lowest speed while moving
HALT_SHARE = {"signal": 0.45, "yield": 0.4, "none": 0.15, "through": 0.0}
SLOW_M_S = {"signal": 12.0, "yield": 4.0, "none": 5.0, "through": 14.0}
HALT_BEFORE_M = 2.0
EASE_S, TIME_STEP_S = 1.2, 0.05
WOBBLE_M = 0.13  # standard deviation


def wobbly(line: Points, rng: np.random.Generator) -> Points:
    """The line with a driver's lateral wander of a few decimetres."""
    s = arc_length_m(line)
    wavelength_m = rng.uniform(22, 80, 6)
    phase = rng.uniform(0, 2 * np.pi, 6)
    waves = np.sin(2 * np.pi * s[:, None] / wavelength_m + phase).sum(axis=1)
    return resample(offset(line, WOBBLE_M * waves / np.sqrt(3)), STEP_M)


def tightest_radius_m(line: Points) -> float:
    """Radius of the sharpest bend of a line, whose points are STEP_M apart."""
    return float(1 / max(_curvature(line).max(), 1e-6))


def _curvature(line: Float64[np.ndarray, "points 2"]) -> Float64[np.ndarray, " points"]:
    """Absolute curvature in 1/m, averaged over about 2 m."""
    curvature = np.abs(np.gradient(np.unwrap(yaws_rad(line)))) / STEP_M
    return np.convolve(np.pad(curvature, 4, mode="edge"), np.full(9, 1 / 9), mode="valid")


def speeds(way: Way, rng: np.random.Generator) -> tuple[Float64[np.ndarray, " points"], list[tuple[float, float]]]:
    """Speed at every point of a path, and its stops (arc length, duration in seconds)."""
    curvature = _curvature(way.xy_m)
    s = np.arange(len(way.xy_m)) * STEP_M
    mood = 0.9 + 0.1 * np.sin(2 * np.pi * s / rng.uniform(60, 150) + rng.uniform(0, 6.28))
    speed = np.minimum(
        way.limit_m_s * mood * rng.uniform(0.85, 1.05), np.sqrt(SIDEWAYS_M_S2 / np.maximum(curvature, 1e-4))
    )
    halts = []
    for at_m, control in way.junctions:
        near = np.abs(s - at_m) < 3.0
        speed[near] = np.minimum(speed[near], SLOW_M_S[control])
        if chance(rng, HALT_SHARE[control]) and at_m > 12:
            halts.append((at_m - HALT_BEFORE_M, float(rng.uniform(0.8, 4.0))))
            speed[np.abs(s - at_m + HALT_BEFORE_M) < STEP_M] = CRAWL_M_S
    for order, rate in ((range(1, len(s)), ACCELERATION_M_S2), (range(len(s) - 2, -1, -1), BRAKING_M_S2)):
        step = -1 if rate == ACCELERATION_M_S2 else 1
        for i in order:
            speed[i] = min(speed[i], float(np.sqrt(speed[i + step] ** 2 + 2 * rate * STEP_M)))
    return speed, halts


def timed(
    speed_m_s: Float64[np.ndarray, " points"], halts: list[tuple[float, float]]
) -> tuple[Float64[np.ndarray, " times"], Float64[np.ndarray, " times"]]:
    """Times and arc lengths of a motion that starts at time 0; a stop is a pair of times at one arc length."""
    s = np.asarray(np.arange(len(speed_m_s)) * STEP_M, dtype=np.float64)
    mean = np.maximum((speed_m_s[1:] + speed_m_s[:-1]) / 2, CRAWL_M_S / 2)
    time = np.concatenate([[0.0], np.cumsum(STEP_M / mean)])
    for at_m, seconds in sorted(halts):
        i = int(np.searchsorted(s, at_m))
        if 0 < i < len(s):
            time = np.concatenate([time[: i + 1], time[i:] + seconds])
            s = np.concatenate([s[: i + 1], s[i:]])
    return np.asarray(time, dtype=np.float64), s


def without_jerks(
    time_s: Float64[np.ndarray, " times"], s_m: Float64[np.ndarray, " times"]
) -> tuple[Float64[np.ndarray, " even_times"], Float64[np.ndarray, " even_times"]]:
    """The motion resampled at even times and averaged over EASE_S, so that it stops and starts smoothly."""
    even = np.arange(0.0, float(time_s[-1]), TIME_STEP_S)
    way = np.interp(even, time_s, s_m)
    half = round(EASE_S / TIME_STEP_S / 2)
    if len(way) < 4 * half:
        return even, way
    before, after = 2 * way[0] - way[half:0:-1], 2 * way[-1] - way[-2 : -half - 2 : -1]
    window = np.hanning(2 * half + 3)[1:-1]
    return even, np.convolve(np.concatenate([before, way, after]), window / window.sum(), mode="valid")
