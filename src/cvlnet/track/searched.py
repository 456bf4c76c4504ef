"""The part of a map on which a vehicle is followed: scores of all its places, and what lies around one of them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from itertools import islice

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from cvlnet.geo import LatLon, LocalFrame
from cvlnet.grid import Grid
from cvlnet.localize.area import MapArea
from cvlnet.map.grids import offset_of
from cvlnet.map.region import Region
from cvlnet.model.cvlnet import CVLNet
from cvlnet.types import ClipFeatures

_AROUND_M = 250.0  # of what is read of a map of several panels
_KEPT_M = 120.0  # which the vehicle may leave before it is read anew


class SearchedMap:
    """A map, or a single region, as one grid of places.

    Raises InputError, from `grid` on, where the map is damaged, or shows nothing.
    """

    def __init__(self, model: CVLNet, area: MapArea | Region) -> None:
        self._model, self._area = model, area
        self._around: tuple[tuple[float, float], Region] | None = None

    @cached_property
    def frame(self) -> LocalFrame:
        """The world frame of the places."""
        return self._area.frame if isinstance(self._area, Region) else self._area.map.frame

    @cached_property
    def grid(self) -> Grid:
        """All places."""
        if self._only is not None:
            return self._only.places
        assert isinstance(self._area, MapArea)
        header = self._area.map.header
        return header.layout.places(header.cells)

    @cached_property
    def searched(self) -> Bool[Tensor, "rows cols"]:
        """Where the vehicle may be."""
        found = torch.zeros(self.grid.rows, self.grid.cols, dtype=torch.bool)
        for region in self._regions():
            self._part(found, region)[:] = region.searched
        return found

    def scores(self, clips: ClipFeatures, neutral: float | None = None) -> Float[Tensor, "clips rows cols"]:
        """The score of every place for each clip; minus infinity where none is sought.

        neutral: as for `Region.scores`.
        """
        found = torch.full((len(clips.weight), self.grid.rows, self.grid.cols), -torch.inf)
        for region in self._regions():
            self._part(found, region)[:] = region.scores(clips, self._model.device, neutral)
        return found

    def around(self, xy_m: tuple[float, float]) -> Region | None:
        """What lies around a place of the map; None where nothing is searched there."""
        if self._only is not None:
            return self._only
        if not self._searches_near(xy_m):
            return None
        assert isinstance(self._area, MapArea)
        if self._around is None or max(abs(a - b) for a, b in zip(self._around[0], xy_m, strict=True)) > _KEPT_M:
            near = LatLon(*self.frame.latlon_deg(xy_m).tolist())
            self._around = xy_m, self._area.map.region(near=near, radius_m=_AROUND_M)
        return self._around[1]

    def _searches_near(self, xy_m: tuple[float, float]) -> bool:
        """Whether a place is searched in the square that the circle of `_AROUND_M` holds."""
        reach = int(_AROUND_M / 2**0.5 / self.grid.cell_m)
        at = self.grid.row_col(torch.tensor(xy_m, dtype=torch.float64)).round().long().tolist()
        rows, cols = (slice(max(0, middle - reach), max(0, middle + reach + 1)) for middle in at)
        return bool(self.searched[rows, cols].any())

    @cached_property
    def _only(self) -> Region | None:
        """The region, if it is a single one; None for a map of several panels, which may be larger than memory."""
        if isinstance(self._area, Region):
            return self._area
        first = tuple(islice(self._area.regions(), 2))
        return first[0] if len(first) == 1 else None

    def _regions(self) -> Iterable[Region]:
        return (self._area,) if isinstance(self._area, Region) else self._area.regions()

    def _part(self, values: Shaped[Tensor, "*batch rows cols"], region: Region) -> Tensor:
        """The places of a region, as a view of values on the grid."""
        row, col = offset_of(self.grid, region.places)
        return values[..., row : row + region.places.rows, col : col + region.places.cols]
