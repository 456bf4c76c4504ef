"""The rules by which KITTI-CVL was made.

They are not published, but follow from the published lists and KITTI's positions. Applied to the drives that the three
lists name, `Lattice` and `query_frames` give all of their lines and no other (tests/dataset/test_rules.py):

- The overhead tiles of a drive have their centres on a lattice of 10 m, parallel to the meridians, which begins at the
  drive's least latitude and least longitude.
- A frame is used if the vehicle is one pixel of the imagery, 0.1958 m, farther north or south, or farther east or west,
  than at the last frame that was used; frames of a standing vehicle are thus skipped.
- Queries are such frames from number 48 on: 16 frames of a clip, 3 apart, lie behind each of them.
- A query is sought on the tile of the nearest place of the lattice.

Which places of the lattice are distractors of Test-2 does not follow from the lists. `distractors` takes all places of
the rectangle around the drive, which is how the tiles were collected by the description of the authors' later work.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, cos, radians

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial import cKDTree

from cvlnet.arrays import F64
from cvlnet.geo import LatLon

PUBLISHED_LATITUDE_DEG = 49.0148564  # at which a step of the published lattices is as long to the east as to the north
_M_PER_DEG = 111_319.382375  # of latitude, on the sphere of the published lattices
_ON_LATTICE = 1e-3  # steps from a place of the lattice

LatLons = Float64[np.ndarray, "_ 2"]  # degrees
Places = Int64[np.ndarray, "_ 2"]  # of a lattice: northward and eastward from its south-western one


@dataclass(frozen=True)
class Lattice:
    """Places every ``gap_m`` to the north and to the east of a south-western one, as many as cover a way.

    step_deg: of latitude and longitude. The gap is that of a sphere: at Karlsruhe, 10 m are 9.99 m to the north and
    10.02 m to the east on the ellipsoid.
    """

    south_west: LatLon
    step_deg: tuple[float, float]
    gap_m: float
    shape: tuple[int, int]

    @staticmethod
    def around(latlon_deg: LatLons, gap_m: float, latitude_deg: float | None = None) -> Lattice:
        """The lattice of a drive, by all of its positions.

        latitude_deg: where a step to the east is ``gap_m`` long; the southernmost position's by default.
        """
        origin = latlon_deg[0]
        away_deg = _from(origin, latlon_deg)
        south, west = (origin + away_deg.min(axis=0)).tolist()
        north_deg = gap_m / _M_PER_DEG
        step_deg = (north_deg, north_deg / cos(radians(south if latitude_deg is None else latitude_deg)))
        rows, cols = (ceil(extent - _ON_LATTICE) + 1 for extent in np.ptp(away_deg, axis=0) / step_deg)
        return Lattice(LatLon.wrapped(south, west), step_deg, gap_m, (rows, cols))

    @property
    def size(self) -> int:
        """Number of places."""
        return self.shape[0] * self.shape[1]

    def steps(self, latlon_deg: LatLons) -> LatLons:
        """Positions in steps northward and eastward from the south-western place."""
        return np.asarray(_from(np.array(self.south_west.degrees), latlon_deg) / self.step_deg)

    def nearest(self, latlon_deg: LatLons) -> Places:
        """The places nearest to positions."""
        return np.round(self.steps(latlon_deg)).astype(np.int64)

    def latlon_deg(self, places: Places) -> LatLons:
        """Latitudes and longitudes of places; longitudes may count beyond the antimeridian."""
        return np.asarray(np.array(self.south_west.degrees) + places * np.array(self.step_deg))

    def holds(self, latlon_deg: LatLons) -> bool:
        """Whether all of these are places of the lattice, up to rounding."""
        steps = self.steps(latlon_deg)
        return bool((np.abs(steps - np.round(steps)) < _ON_LATTICE).all())


def query_frames(
    lattice: Lattice,
    latlon_deg: Float64[np.ndarray, "n 2"],
    numbers: Int64[np.ndarray, " n"],
    *,
    first: int,
    moved_m: float,
) -> Int64[np.ndarray, " queries"]:
    """Which positions of a drive, by their indices, are those of queries.

    numbers: of the frames. first: the lowest number of a query. moved_m: northward or eastward from one to the next.
    """
    north_east_m = (lattice.steps(latlon_deg) * lattice.gap_m).tolist()
    last_north_m, last_east_m = north_east_m[0]
    used = [0]
    for index, (north_m, east_m) in enumerate(north_east_m):
        if max(abs(north_m - last_north_m), abs(east_m - last_east_m)) >= moved_m:
            last_north_m, last_east_m = north_m, east_m
            used.append(index)
    chosen = np.array(used, dtype=np.int64)
    return chosen[numbers[chosen] >= first]


def distractors(lattice: Lattice, taken: Places, latlon_deg: LatLons, farthest_m: float | None) -> Places:
    """The places of the lattice, from the south-west on, that are not ``taken``.

    farthest_m: from the nearest of a drive's positions; None takes all.
    """
    free = np.ones(lattice.shape, np.bool_)
    inside = ((taken >= 0) & (taken < lattice.shape)).all(axis=1)
    free[tuple(taken[inside].T)] = False
    places = np.argwhere(free)
    if farthest_m is None:
        return places
    away, _ = cKDTree(lattice.steps(latlon_deg)).query(places)
    return places[np.asarray(away) * lattice.gap_m <= farthest_m]


def share_near(
    queries_m: Float64[np.ndarray, "_ dims"], others_m: Float64[np.ndarray, "_ dims"], within_m: float
) -> float:
    """The share of the first positions, in any metric frame, that have one of the others within a distance."""
    if len(queries_m) == 0 or len(others_m) == 0:
        return 0.0
    away_m, _ = cKDTree(others_m).query(queries_m)
    return float((np.asarray(away_m) <= within_m).mean())


def _from(origin_deg: F64, latlon_deg: LatLons) -> LatLons:
    """Differences of latitude and longitude, the latter the shorter way around."""
    away_deg = latlon_deg - origin_deg
    return np.column_stack([away_deg[:, 0], (away_deg[:, 1] + 180) % 360 - 180])
