"""Whether known positions belong to the odometry: both have to cover the same distances in the same times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from cvlnet.arrays import Series
from cvlnet.data.journey import KnownPlace
from cvlnet.data.odometry import OdometryPose
from cvlnet.geo import earth_centred_m

Pairs = Int64[np.ndarray, "pairs 2"]

LEAST_WAY_M, LONGEST_S = 40.0, 60.0  # between two positions whose distance is compared, at least and at most
FEWEST = 20  # pairs of positions, without which nothing is said
LEAST_S, FARTHEST_S = 1.0, 60.0  # of an offset: those that are told of, and those that are tried
LEAST_SHARE = 0.08  # of a wrong scale that is told of
_STEP_S = 0.25
_CLEARER, _NOISE = 2.0, 0.02  # times the best offset's deviation, and more, within which the stated one may be right
_ALIKE = 0.1  # typical deviation of distances, as a share, beyond which none of the offsets is right
_NO_WAY_M = 1.0  # a shorter distance counts as this


@dataclass(frozen=True)
class PlacesDoubt:
    """What distances say of known positions. offset_s: what has to be added to their times; 0 if these may be right.

    scale: distances of the odometry, times those between the positions.
    """

    offset_s: float
    scale: float

    def __str__(self) -> str:
        if self.offset_s:
            return f"its distances fit those of the odometry if {self.offset_s:+.1f} s are added to its times"
        longer = "longer" if self.scale > 1 else "shorter"
        share = 100 * abs(self.scale - 1)
        return f"the distances of the odometry are {share:.0f} % {longer} than those between its positions"

    @property
    def remedy(self) -> str:
        """What corrects it."""
        if self.offset_s:
            return "correct --gps-offset-s (GPS time is 18 s ahead of UTC)"
        return "correct the odometry's scale: that of visual odometry is the camera's height in camera.json"


def places_doubt(places: Sequence[KnownPlace], odometry: Sequence[OdometryPose]) -> PlacesDoubt | None:
    """What the distances between known positions say against their times, or against the odometry's scale.

    places: at least 40 m apart are compared, within a minute. None where both may be right, or where there are too few.
    """
    time_s = np.array([place.time_s for place in places])
    place_m = earth_centred_m(np.array([place.position.degrees for place in places]))
    pairs = _pairs(time_s, place_m)
    if len(pairs) < FEWEST:
        return None
    way_m = np.linalg.norm(place_m[pairs[:, 1]] - place_m[pairs[:, 0]], axis=1)
    poses = np.array([(pose.time_s, pose.x_m, pose.y_m) for pose in odometry])
    offsets_s = np.arange(-FARTHEST_S, FARTHEST_S + _STEP_S / 2, _STEP_S)
    deviation, _ = np.array([_compared(time_s + offset_s, pairs, way_m, poses) for offset_s in offsets_s.tolist()]).T
    (stated, scale), best = _compared(time_s, pairs, way_m, poses), int(np.argmin(deviation))
    off_s = float(offsets_s[best])
    if deviation[best] > _ALIKE:
        return None
    if stated > _CLEARER * deviation[best] + _NOISE:
        return PlacesDoubt(off_s, 1.0) if abs(off_s) >= LEAST_S else None
    return PlacesDoubt(0.0, scale) if stated <= _ALIKE and abs(scale - 1) > LEAST_SHARE else None


def _pairs(time_s: Series, place_m: Float64[np.ndarray, "n 3"]) -> Pairs:
    """Each position with the first later one that is far enough away, unless that takes too long."""
    found, after = [], 0
    for before in range(len(time_s)):
        after = max(after, before + 1)
        while after < len(time_s) and np.linalg.norm(place_m[after] - place_m[before]) < LEAST_WAY_M:
            after += 1
        if after < len(time_s) and time_s[after] - time_s[before] <= LONGEST_S:
            found.append((before, after))
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _compared(
    time_s: Series, pairs: Pairs, way_m: Float64[np.ndarray, " pairs"], poses: Float64[np.ndarray, "poses 3"]
) -> tuple[float, float]:
    """How much the odometry's distances typically deviate from those of the positions, as a share, and their scale.

    The deviation is infinite if less than half of the pairs have odometry.
    """
    x_m, y_m = (np.interp(time_s, poses[:, 0], poses[:, i], left=np.nan, right=np.nan) for i in (1, 2))
    driven_m = np.hypot(x_m[pairs[:, 1]] - x_m[pairs[:, 0]], y_m[pairs[:, 1]] - y_m[pairs[:, 0]])
    known = np.isfinite(driven_m)
    if known.sum() < max(FEWEST, len(pairs) / 2):
        return float("inf"), 1.0
    ratio = np.log(np.maximum(driven_m[known], _NO_WAY_M) / way_m[known])
    middle = float(np.median(ratio))
    return float(np.median(np.abs(ratio - middle))), float(np.exp(middle))
