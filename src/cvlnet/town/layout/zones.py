"""Quarters of a town: every point belongs to the zone of the nearest of a few centres."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cvlnet.arrays import Xy
from cvlnet.town.plan import Zone
from cvlnet.town.streams import stream
from cvlnet.town.style import Style

CENTRES_PER_KM2 = 7.0


def make_zones(seed: int, size_m: float, style: Style) -> Callable[[Xy], Zone]:
    """Make the function that gives the zone at a point."""
    rng = stream(seed, "zones")
    count = max(3, round(CENTRES_PER_KM2 * (size_m / 1000) ** 2))
    centres = rng.uniform(-0.6 * size_m, 0.6 * size_m, (count, 2))
    shares = np.array([0.5, 0.3, 0.2][: len(style.zones)])
    kinds = [style.zones[int(k)] for k in rng.choice(len(style.zones), count, p=shares / shares.sum())]
    kinds[:2] = style.zones[:2]

    def zone_at(xy_m: Xy) -> Zone:
        return kinds[int(np.argmin(np.hypot(*(centres - xy_m).T)))]

    return zone_at
