"""The part of a map that is searched, in panels; they are kept between questions as far as memory allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from math import ceil

import numpy as np
import torch

from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.localize.search import MOST_FIXES, Scores, fixes_in, ranked
from cvlnet.localize.turned import TurnedClip, grid_turn_rad
from cvlnet.map.encode import Window
from cvlnet.map.region import NEAR_M, Region
from cvlnet.map.store import Map
from cvlnet.model.confidence import Confidence
from cvlnet.model.cvlnet import CVLNet
from cvlnet.types import Fix

KEPT_BYTES = 8 * 2**30
_MOST_PLACES = 2**24  # of a panel: 43 km2 of cells of 1.6 m
_AROUND_M = 40.0  # about a place at the edge of a panel, which is searched again


class MapArea:
    """A map, or the part of it within ``radius_m`` of a place, on which clips are found.

    kept_bytes: memory for panels between questions. Raises InputError if the map was made with other weights, or shows
    nothing there.
    """

    def __init__(
        self,
        model: CVLNet,
        source: Map,
        *,
        near: LatLon | None = None,
        radius_m: float = NEAR_M,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        source.require_made_by(model)
        self.model, self.map, self._near, self._radius_m = model, source, near, radius_m
        self._most_kept_bytes, self._kept_bytes = kept_bytes, 0
        self._kept: dict[int, Region | None] = {}
        self.panels: list[Window | None] = [None] if near is not None else _panels(source)

    def regions(self) -> Iterator[Region]:
        """The panels with something to search, one after the other. Raises InputError where the map is damaged."""
        for number in range(len(self.panels)):
            region = self._region(number)
            if region is not None:
                yield region

    def searches(self, place: LatLon) -> bool:
        """Whether a place is among those that are searched. Raises InputError where the map is damaged."""
        places = self.map.header.layout.places(self.map.header.cells)
        row, col = places.row_col(torch.from_numpy(self.map.frame.xy_world_m(place.degrees))).round().long().tolist()
        for number, panel in enumerate(self.panels):
            if panel is None or (row in _range(panel.rows) and col in _range(panel.cols)):
                region = self._region(number)
                return region is not None and region.searches(place)
        return False

    def _region(self, number: int) -> Region | None:
        """A panel, which is kept if memory allows; None if nothing is searched there."""
        if number in self._kept:
            return self._kept[number]
        region = self._read(self.panels[number])
        size = 0 if region is None else _bytes_of(region)
        if self._kept_bytes + size <= self._most_kept_bytes:
            self._kept[number] = region
            self._kept_bytes += size
        return region

    def find(
        self,
        clip: TurnedClip,
        *,
        turns_rad: tuple[float, ...] = (0.0,),
        most: int = MOST_FIXES,
        confidence: Confidence | None = None,
    ) -> tuple[Region, Scores, tuple[Fix, ...]]:
        """The fixes of different places, best first, and the panel of the best one with its scores.

        turns_rad: as in `fixes_in`, from true north; the clip is turned into the grid of every panel.
        """
        find = partial(_found, self.model, clip, turns_rad=turns_rad, most=max(most, 2), confidence=confidence)
        found = [(region, *find(region)) for region in self.regions()]
        if not found:
            remedy = "give a map of imagery without holes there"
            raise InputError("the map shows nothing where it is to be searched", where=self.map.path, remedy=remedy)
        best = max(found, key=lambda panel: panel[2][0].score)
        if len(found) == 1:
            return best[0], best[1], best[2][:most]
        fixes = list[Fix]()
        for fix in ranked((fix for *_, fixes in found for fix in fixes), confidence=confidence)[: max(most, 2)]:
            if any(_is_cut(region, fix) for region, *_ in found):
                _, around = find(self.map.region(near=fix.position, radius_m=_AROUND_M))
                fix = min(around, key=partial(_apart_m, fix))
            fixes.append(fix)
        return best[0], best[1], ranked(fixes, confidence=confidence)[:most]

    def _read(self, panel: Window | None) -> Region | None:
        """A panel; None if nothing is searched there."""
        if panel is None:
            return self.map.region(near=self._near, radius_m=self._radius_m)
        if not self.map.shows(panel):
            return None
        region = self.map.region(places=panel)
        return region if len(region) else None


def _found(
    model: CVLNet,
    clip: TurnedClip,
    region: Region,
    *,
    turns_rad: tuple[float, ...],
    most: int,
    confidence: Confidence | None,
) -> tuple[Scores, tuple[Fix, ...]]:
    """`fixes_in` with turns from true north."""
    turn = grid_turn_rad(region.frame, region.places.center_xy_m)
    of_grid = tuple(each + turn for each in turns_rad)
    scores, fixes = fixes_in(model, clip, region, turns_rad=of_grid, most=most, confidence=confidence)
    return scores, tuple(replace(fix, turn_rad=fix.turn_rad - turn) for fix in fixes)


def _is_cut(region: Region, fix: Fix) -> bool:
    """Whether a fix lies in a region so near to its edge that the scores around it may not all be there."""
    row_col = region.places.row_col(torch.from_numpy(region.frame.xy_world_m(fix.position.degrees)))
    last = torch.tensor([region.places.rows - 1, region.places.cols - 1])
    return -0.5 <= float(torch.minimum(row_col, last - row_col).min()) < region.steps


def _range(part: slice) -> range:
    return range(part.start, part.stop)


def _apart_m(one: Fix, other: Fix) -> float:
    return float(np.hypot(*LocalFrame(one.position).xy_world_m(other.position.degrees)))


def _panels(source: Map) -> list[Window | None]:
    """Windows of places, of equal size and whole tiles, that cover a map."""
    places, steps = source.header.layout.places(source.header.cells), source.header.layout.steps
    side = int(_MOST_PLACES**0.5) // steps * steps
    row_parts, col_parts = (_parts(count, side, steps) for count in (places.rows, places.cols))
    return [Window(rows, cols) for rows in row_parts for cols in col_parts]


def _parts(count: int, most: int, steps: int) -> list[slice]:
    parts = ceil(count / most)
    side = ceil(count / parts / steps) * steps
    return [slice(start, min(start + side, count)) for start in range(0, count, side)]


def _bytes_of(region: Region) -> int:
    """Memory of a region and its transforms, which take about twice as much as its descriptors in half precision."""
    return 3 * region.descriptor.nbytes + 8 * region.uncertainty.nbytes
