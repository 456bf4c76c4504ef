"""The focal length of a camera from bends of a drive.

On a straight road nothing tells a longer focal length from a lower camera: only their product shows. A turn does: a
far point then moves by the angle of the turn times the focal length, and the odometry says the angle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, hypot, sqrt

import numpy as np
from tqdm import tqdm

from cvlnet.calibration.estimate import FEWEST_TRACKS, LEAST_AGREEING, fit_stretch, scenes_of, searched
from cvlnet.calibration.stretches import Stretch
from cvlnet.errors import InputError
from cvlnet.geometry import Camera
from cvlnet.road.fit import FOCAL_SHARE, Fit
from cvlnet.road.geometry import Mounting

FLOOR = 0.01  # share of the focal length that no bends tell: the odometry's own turns may be wrong by as much
MOST_SIGMA = 0.03  # share beyond which nothing was found
FEWEST_BENDS = 3
_ROUNDS, _SETTLED = 5, 0.002
_STEPS, _OUTLIER = 20, 2.0  # of the robust mean, and the standard deviations from which on a bend counts less


@dataclass(frozen=True)
class FocalEstimate:
    """What the focal lengths are times the stated ones; its standard deviation; and how many bends say so."""

    scale: float
    sigma: float
    bends: int


def focal_found(
    camera: Camera, stated: Mounting, bends: Sequence[Stretch], where: str, *, progress: bool = False
) -> FocalEstimate:
    """The focal length of a camera that is stated to within 15 %, pitch to 7 degrees and height to a third.

    bends: stretches in which the vehicle turns; straight ones say nothing, and count as much. where: the drive.
    Raises InputError if they do not tell it to `MOST_SIGMA`.
    """
    if len(bends) < FEWEST_BENDS:
        raise _untold(f"usable stretches: {len(bends)}, of at least {FEWEST_BENDS}", where)
    scenes = [scenes_of(bend) for bend in bends]
    mounting = searched(camera, stated, bends, scenes)
    log_scale, sigma, count = 0.0, FOCAL_SHARE, 0
    for number in range(_ROUNDS):
        now = scaled(camera, exp(log_scale))
        both = tqdm(zip(bends, scenes, strict=True), f"focal length {number + 1}", len(bends), disable=not progress)
        fits = [fit_stretch(now, mounting, bend, scene, seek_focal=True) for bend, scene in both]
        fits = [fit for fit in fits if fit.tracks >= FEWEST_TRACKS and fit.agreeing >= LEAST_AGREEING]
        told = [_alone(fit) for fit in fits]
        count = sum(own < FOCAL_SHARE for _, own in told)
        if count < FEWEST_BENDS:
            raise _untold(f"{count} of {len(bends)} stretches say something of it", where)
        change, sigma = _mean(told)
        log_scale += change
        mounting = _mounting(mounting, fits)
        if abs(change) < _SETTLED:
            break
    sigma = hypot(sigma, FLOOR)
    if sigma > MOST_SIGMA:
        raise _untold(f"the bends tell it to {100 * sigma:.1f} % only", where)
    return FocalEstimate(exp(log_scale), sigma, count)


def scaled(camera: Camera, scale: float) -> Camera:
    """The camera with other focal lengths."""
    return replace(camera, focal_px=camera.focal_px * scale)


def _untold(what: str, where: str) -> InputError:
    remedy = "drive through several bends, or state the focal length (cvlnet camera guess reads it from pictures)"
    return InputError(f"the focal length cannot be estimated: {what}", where=where, remedy=remedy)


def _alone(fit: Fit) -> tuple[float, float]:
    """What a fit says of the focal length by itself, without what was known before: logarithm and deviation."""
    information = 1 / fit.log_focal_sigma**2 - 1 / FOCAL_SHARE**2
    if information <= 0:
        return fit.log_focal, float("inf")
    return fit.log_focal / fit.log_focal_sigma**2 / information, information**-0.5


def _mean(told: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The mean of what bends say, weighted by how sure they are, and its deviation; outliers count less."""
    values, own = np.array(told).T
    weights = 1 / np.hypot(own, FLOOR) ** 2
    counted = weights.copy()
    mean = 0.0
    for _ in range(_STEPS):
        mean = float((counted * values).sum() / counted.sum())
        off = np.abs(values - mean) * np.sqrt(weights)
        counted = weights * np.minimum(1, _OUTLIER / np.maximum(off, 1e-9))
    off, order = np.abs(values - mean), np.argsort(np.abs(values - mean))
    middle = int(np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2))
    bends = weights.sum() ** 2 / (weights**2).sum()  # that count: as many equally sure ones would say as much
    spread = 1.2533 * 1.4826 * float(off[order][middle]) / sqrt(bends)
    return mean, max(spread, float(weights.sum() ** -0.5))


def _mounting(mounting: Mounting, fits: Sequence[Fit]) -> Mounting:
    """The median of the bends, but for roll and yaw, which the bends tell less well than they are stated."""
    pitch_rad, height_m = np.median([(fit.mounting.pitch_rad, fit.mounting.height_m) for fit in fits], axis=0).tolist()
    return replace(mounting, pitch_rad=pitch_rad, height_m=height_m)
