"""From a clip to fixes on a large map: candidates from an index first, then the exact scores around them alone.

A fix that is found has the position, heading, score and covariance that a search of every place gives it. What no
candidate leads to is not found, and does not count as a rival in a fix's margin.

Where several headings are tried, neighbouring ones are asked for together: the index is read once for their mean, and
the descriptors of each choose among what that finds. The candidates of all headings compete for the same number.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import ceil, sqrt
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.grid import Grid
from cvlnet.index.area import Area
from cvlnet.index.manifest import About, Lattice
from cvlnet.index.place_index import PlaceIndex, change_index, create_index, is_index
from cvlnet.index.segment import Codec, Segment, Storage
from cvlnet.localize.search import (
    MOST_FIXES,
    apart,
    cut,
    decoded_around,
    fix_at,
    local_maxima,
    ranked,
    refined,
    scores_around,
)
from cvlnet.localize.turned import TurnedClip, grid_turn_rad
from cvlnet.map.encode import Window
from cvlnet.map.region import Region
from cvlnet.map.store import Map
from cvlnet.map.versions import locked
from cvlnet.model.confidence import ELSEWHERE_M, Confidence, neutral_of
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.place import STEP, PlaceProjection, shipped_projection
from cvlnet.model.squares import SquareMatcher
from cvlnet.model.ssm import with_unseen
from cvlnet.types import ClipFeatures, Fix

LEAST_CANDIDATES = 300
CANDIDATE_SHARE = 5e-4  # of all squares: with four queries, the best place of 99 % of clips is among so many
FIRST = 8  # times as many squares are taken by the mean of a clip's queries, before the queries choose among them
_TOGETHER = 3  # neighbouring headings that are one query's mean
LARGEST = 8.0  # number of a descriptor, whose root mean square is 1, that int8 holds
_SEGMENT_SQUARES = 256  # side of a segment
_BLOCK_TILES = 24  # side of the blocks of the map that are kept while clips are found


@dataclass(frozen=True)
class Places:
    """All that indexed search knows of a map: its places, and the region of any window of them.

    A region reaches as far as clips at its places see. frame: in which the grid lies. fingerprint: of the map's
    contents.
    """

    grid: Grid
    frame: LocalFrame
    steps: int
    fingerprint: str
    region: Callable[[Window], Region]

    @staticmethod
    def of_map(source: Map) -> Places:
        """Of a map on disk."""
        header = source.header
        grid = header.layout.places(header.cells)
        return Places(
            grid, source.frame, header.layout.steps, source.fingerprint, lambda part: source.region(places=part)
        )

    @staticmethod
    def of_region(region: Region, fingerprint: str) -> Places:
        """Of a region in memory."""
        return Places(region.places, region.frame, region.steps, fingerprint, lambda part: _part(region, part))

    @property
    def lattice(self) -> Lattice:
        """Middles of the squares of places that share a descriptor."""
        middle = torch.full((2,), (STEP - 1) / 2, dtype=torch.float64)
        east_m, north_m = self.grid.xy_m(middle).tolist()
        return Lattice((east_m, north_m), STEP * self.grid.cell_m)

    def convergence_rad(self, xy_m: tuple[float, float]) -> float:
        """The direction of true north on the grid's axes around a place, as `grid_turn_rad` rounds it."""
        return grid_turn_rad(self.frame, xy_m)


def index_places(
    folder: Path,
    places: Places,
    projection: PlaceProjection,
    *,
    storage: Storage = "int8",
    progress: bool = False,
) -> PlaceIndex:
    """Describe all places of a map that are searched, in an index on disk; one that is there already is returned.

    It is made in a hidden folder beside, where a call that was interrupted goes on, and appears as a whole.
    Raises InputError if the folder holds an index of another map, projection or type, or a part of one, or the map is
    damaged.
    """
    about = About(places.fingerprint, projection.fingerprint, places.lattice, Codec(projection.dims, storage, LARGEST))
    if not is_index(folder):
        if folder.exists() and any(folder.iterdir()):
            remedy = "repeat the copy of the map if it was interrupted, or delete the folder"
            raise InputError("holds a part of an index", where=folder, remedy=remedy)
        unfinished = folder.with_name(f".unfinished-{folder.name}")
        _describe(unfinished, about, places, projection, progress=progress)
        unfinished.rename(folder)
    return _index_about(folder, about)


def index_map(source: Map, *, storage: Storage = "int8", progress: bool = False) -> PlaceIndex:
    """Make the index of a map, in the map's folder, as `index_places` does.

    Raises InputError if the map was not made with the package's weights, is being written, or is damaged, or if an
    index of another type is there.
    """
    projection = projection_of(source)
    with locked(source.path):
        return index_places(source.index_folder, Places.of_map(source), projection, storage=storage, progress=progress)


class IndexedPlaces:
    """A map and its index, on which clips are found. kept_blocks: of 500 m a side, kept between clips.

    Raises InputError if the index is not of this map and projection.
    """

    def __init__(
        self, index: PlaceIndex, places: Places, projection: PlaceProjection, *, kept_blocks: int = 256
    ) -> None:
        index.require(map_fingerprint=places.fingerprint, descriptor_fingerprint=projection.fingerprint)
        self.index, self.places, self.projection = index, places, projection
        self._most_kept, self._kept = kept_blocks, OrderedDict[tuple[int, int], _Kept]()

    def find(
        self,
        clip: TurnedClip,
        *,
        turns_rad: tuple[float, ...] = (0.0,),
        candidates: int | None = None,
        most: int = MOST_FIXES,
        within: Area | None = None,
        confidence: Confidence | None = None,
    ) -> tuple[Fix, ...]:
        """The fixes of one clip at different places, best first; none where no place is searched.

        turns_rad: of the recorded clip that are tried, from true north, in rising order; with several of them the best
        is refined for every fix. Each pitch of the clip has candidates of its own. candidates: number of squares that
        are matched, where a square counts for each group of headings that leads to it; by default `CANDIDATE_SHARE` of
        the index for each group, or `LEAST_CANDIDATES` where that is less. within: a part of the map in which the
        places lie, in metres around the map's anchor. confidence: the model's.
        Raises InputError where the map is damaged.
        """
        if len(clip.pitched) == 1:
            return self._find(clip, turns_rad, candidates, most, within, confidence)
        found = [
            self._find(pitched, turns_rad, candidates, max(most, 2), within, confidence) for pitched in clip.pitched
        ]
        return ranked((fix for fixes in found for fix in fixes), confidence=confidence)[:most]

    def _find(
        self,
        clip: TurnedClip,
        turns_rad: tuple[float, ...],
        candidates: int | None,
        most: int,
        within: Area | None,
        confidence: Confidence | None,
    ) -> tuple[Fix, ...]:
        """`find` under one pitch."""
        asked = _Asked(clip, turns_rad, neutral_of(confidence), within)
        candidates = candidates or max(LEAST_CANDIDATES, ceil(CANDIDATE_SHARE * len(self.index) * len(asked.groups)))
        firsts, groups = self._candidates(asked, candidates)
        places, heights, lowest = self._best_places(asked, firsts, groups)
        if len(turns_rad) > 1:
            return self._refined(asked, self._peaks_apart(asked, places, heights, max(most, 2)), most, confidence)
        sharpness = clip.model.sharpness.item()
        peaks = self._peaks_apart(asked, places, heights, most + 1)
        fixes = []
        for number, peak in enumerate(peaks[:most]):
            block = self._block(peak.place, within)
            features = asked.features(block.convergence_rad)
            reach = self.places.steps // 2
            scores = scores_around(features, block.region, peak.place - block.origin, reach, asked.neutral)[0]
            decoded = decoded_around(block.region, scores, torch.full((2,), reach), sharpness)
            rival = lowest if len(peaks) == 1 else peaks[0 if number else 1].height
            fix = fix_at(block.region, peak.place - block.origin, decoded, rival, confidence)
            share = block.region.known_share(peak.place - block.origin, features.weight[0])
            fix = replace(fix, known_share=share, turn_rad=turns_rad[0], pitch_rad=clip.pitch.angle_rad)
            fixes.append(replace(fix, score=fix.score - clip.pitch.penalty))
        return tuple(fixes)

    def _candidates(self, asked: _Asked, most: int) -> tuple[Int[Tensor, "squares 2"], Int[Tensor, " squares"]]:
        """The north-western places of the squares to be matched, and for which group of headings."""
        first = FIRST * max(ceil(most / len(asked.groups)), min(most, LEAST_CANDIDATES))
        half_diagonal_m = self.places.lattice.spacing_m / sqrt(2)
        within = None if asked.within is None else asked.within.grown(half_diagonal_m)
        row_col, products, groups = [np.empty((0, 2), np.int64)], [np.empty(0, np.float32)], [np.empty(0, np.int64)]
        for convergence_rad, index in self._parts:
            if within is not None and not index.reaches(within):
                continue
            queries = self.projection.of_clips(asked.features(convergence_rad)).numpy()
            for number, group in enumerate(asked.groups):
                own = queries[group].reshape(-1, queries.shape[-1])
                found = index.search(own, min(most, first), within=within, first=first)
                row_col.append(found.row_col)
                products.append(found.products)
                groups.append(np.full(len(found.products), number))
        best = np.argsort(-np.concatenate(products), kind="stable")[:most]
        return STEP * torch.from_numpy(np.concatenate(row_col)[best]), torch.from_numpy(np.concatenate(groups)[best])

    def _best_places(
        self, asked: _Asked, firsts: Int[Tensor, "squares 2"], groups: Int[Tensor, " squares"]
    ) -> tuple[Int[Tensor, "n 2"], Float[Tensor, " n"], float]:
        """The best place of each square that has one and its score, best first, and the lowest score of all.

        firsts: the north-western places of the squares. groups: of headings that are tried there.
        """
        places, heights, lowest = [firsts[:0]], [torch.empty(0)], torch.inf
        for of_block in _grouped(firsts, self._block_places):
            block = self._block(firsts[of_block[0]], asked.within)
            for number in sorted(set(groups[of_block].tolist())):
                chosen = firsts[of_block[groups[of_block] == number]]
                own = (chosen - block.origin).tolist()
                matchers = asked.matchers(block.convergence_rad, number)
                side = STEP + matchers[0].clip_cells - 1
                cells = torch.stack([cut(block.region.descriptor, place, side) for place in own])
                uncertainty, searched = (
                    torch.stack([cut(values, place, STEP) for place in own])
                    for values in (block.region.uncertainty, block.region.searched)
                )
                of_turns = [_scores(matcher, cells, uncertainty, asked.neutral) for matcher in matchers]
                scores = torch.stack(of_turns).amax(dim=0).masked_fill(~searched, -torch.inf).flatten(1)
                height, best = scores.max(dim=1)
                places.append(chosen + torch.stack([best // STEP, best % STEP], dim=1))
                heights.append(height)
                lowest = min(lowest, float(scores[searched.flatten(1)].min()) if bool(searched.any()) else torch.inf)
        every = torch.cat(heights)
        order = every.argsort(descending=True, stable=True)
        order = order[every[order].isfinite()]
        return torch.cat(places)[order], every[order], lowest

    def _peaks_apart(
        self, asked: _Asked, places: Int[Tensor, "n 2"], heights: Float[Tensor, " n"], most: int
    ) -> list[_Peak]:
        """The highest peaks around places that stand apart, best first: those that `distinct` would choose.

        places: by falling score. The scores around each are searched, as far as peaks near it are dropped, until no
        further place is higher than the peaks that have been found.
        """
        near = ceil(ELSEWHERE_M / self.places.grid.cell_m)
        reach = near + self.places.steps // 2
        centers = list[Tensor]()
        found: dict[tuple[int, int], _Peak] = {}
        peaks = list[_Peak]()
        for place, height in zip(places, heights.tolist(), strict=True):
            if len(peaks) == most and peaks[-1].height >= height:
                break
            if any(int((place - center).abs().max()) <= near for center in centers):
                continue
            centers.append(place)
            block = self._block(place, asked.within)
            features = asked.features(block.convergence_rad)
            best = scores_around(features, block.region, place - block.origin, reach, asked.neutral).max(dim=0)
            around, values = local_maxima(best.values)
            inner = ((around > 0) & (around < 2 * reach)).all(dim=1)
            for peak, value in zip(around[inner], values[inner].tolist(), strict=True):
                at = place - reach + peak
                row, col = at.tolist()
                found.setdefault((row, col), _Peak(at, value, int(best.indices[tuple(peak.tolist())])))
            peaks = self._apart(list(found.values()), most)
        return peaks

    def _refined(
        self, asked: _Asked, peaks: Sequence[_Peak], most: int, confidence: Confidence | None
    ) -> tuple[Fix, ...]:
        """The fixes around peaks under the best of finer headings."""
        step_rad = min(abs(b - a) for a, b in pairwise(asked.turns_rad))
        fixes = []
        for peak in peaks:
            block = self._block(peak.place, asked.within)
            turn_rad = asked.turns_rad[peak.turn] + block.convergence_rad
            fix = refined(asked.clip, block.region, peak.place - block.origin, turn_rad, step_rad, asked.neutral)
            fixes.append(replace(fix, turn_rad=fix.turn_rad - block.convergence_rad))
        return ranked(fixes, confidence=confidence)[:most]

    def _apart(self, peaks: Sequence[_Peak], most: int) -> list[_Peak]:
        """The highest peaks, without those near a higher one."""
        by_height = sorted(peaks, key=lambda peak: -peak.height)
        row_col = torch.stack([peak.place for peak in by_height]) if by_height else torch.empty(0, 2)
        return [by_height[i] for i in apart(self.places.grid.xy_m(row_col.double()), most)]

    @cached_property
    def _parts(self) -> list[tuple[float, PlaceIndex]]:
        """The segments of the index by the convergence in their middles."""
        parts = dict[float, set[str]]()
        for entry in self.index.entries:
            west_m, south_m, east_m, north_m = entry.bounds_m(self.places.lattice)
            middle_m = ((west_m + east_m) / 2, (south_m + north_m) / 2)
            parts.setdefault(self.places.convergence_rad(middle_m), set()).add(entry.name)
        return [(convergence_rad, self.index.only(names)) for convergence_rad, names in sorted(parts.items())]

    @property
    def _block_places(self) -> int:
        return _BLOCK_TILES * self.places.steps

    def searches(self, place: LatLon, within: Area | None = None) -> bool:
        """Whether a place is among those that are searched. within: as for `find`."""
        grid = self.places.grid
        row_col = grid.row_col(torch.from_numpy(self.places.frame.xy_world_m(place.degrees))).round().long()
        return grid.holds(row_col) and self._block(row_col, within).region.searches(place)

    def _block(self, place: Int[Tensor, 2], within: Area | None) -> _Block:
        """The block of the map that holds a place, with two tiles around it; whole tiles.

        within: a part of the map, outside of which nothing is searched.
        """
        row, col = (place // self._block_places).tolist()
        if (row, col) not in self._kept:
            around, grid = 2 * self.places.steps, self.places.grid
            rows, cols = (
                slice(max(i * self._block_places - around, 0), min((i + 1) * self._block_places + around, count))
                for i, count in ((row, grid.rows), (col, grid.cols))
            )
            region = self.places.region(Window(rows, cols))
            convergence_rad = self.places.convergence_rad(region.places.center_xy_m)
            block = _Block(region, torch.tensor([rows.start, cols.start]), convergence_rad)
            self._kept[row, col] = _Kept(block, None, block)
        self._kept.move_to_end((row, col))
        if len(self._kept) > self._most_kept:
            self._kept.popitem(last=False)
        kept = self._kept[row, col]
        if kept.within != within:
            kept = self._kept[row, col] = _Kept(kept.whole, within, kept.whole.within(within))
        return kept.part


@dataclass(frozen=True)
class _Block:
    """A part of the map in memory. origin: row and column of its first place. convergence_rad: in its middle."""

    region: Region
    origin: Int[Tensor, 2]
    convergence_rad: float

    def within(self, area: Area | None) -> _Block:
        """The block with the places of an area alone."""
        if area is None:
            return self
        east_m, north_m = self.region.places.cell_centers_xy_m().numpy().transpose(2, 0, 1)
        inside = torch.from_numpy(area.contains(east_m[0], north_m[:, 0]))
        return replace(self, region=replace(self.region, searched=self.region.searched & inside))


@dataclass(frozen=True)
class _Kept:
    """A block, and its part in the area that was asked for last."""

    whole: _Block
    within: Area | None
    part: _Block


@dataclass(frozen=True)
class _Peak:
    """A place (row, column) whose score none beside it exceeds. turn: the number of its best heading."""

    place: Int[Tensor, 2]
    height: float
    turn: int


class _Asked:
    """A clip under the headings that are tried, turned into the map's grid where that is turned from north.

    neutral: as for `cvlnet.map.region.Region.scores`. within: as for `IndexedPlaces.find`.
    """

    def __init__(
        self, clip: TurnedClip, turns_rad: tuple[float, ...], neutral: float | None, within: Area | None
    ) -> None:
        self.clip, self.turns_rad, self.neutral, self.within = clip, turns_rad, neutral, within
        self._features = dict[float, ClipFeatures]()
        self._matchers = dict[int, list[SquareMatcher]]()
        self._matched_rad: float | None = None

    @property
    def groups(self) -> list[slice]:
        """Neighbouring headings that are asked for together."""
        count = len(self.turns_rad)
        return [slice(first, min(first + _TOGETHER, count)) for first in range(0, count, _TOGETHER)]

    def features(self, convergence_rad: float) -> ClipFeatures:
        """The clip for every heading, where the grid is turned so far from true north."""
        if convergence_rad not in self._features:
            found = self.clip.nearly([turn + convergence_rad for turn in self.turns_rad])
            self._features[convergence_rad] = ClipFeatures(found.descriptor.cpu(), found.weight.cpu(), found.grid)
        return self._features[convergence_rad]

    def matchers(self, convergence_rad: float, group: int) -> list[SquareMatcher]:
        """One for each heading of a group; those of one convergence are kept, which take 8 MB each."""
        if convergence_rad != self._matched_rad:
            self._matchers.clear()
            self._matched_rad = convergence_rad
        if group not in self._matchers:
            own = self.features(convergence_rad)[self.groups[group]]
            self._matchers[group] = [SquareMatcher(own[i : i + 1], STEP) for i in range(len(own.weight))]
        return self._matchers[group]


def _scores(
    matcher: SquareMatcher,
    cells: Float[Tensor, "squares channels height width"],
    uncertainty: Float[Tensor, "squares side side"],
    neutral: float | None,
) -> Float[Tensor, "squares side side"]:
    """The scores of a clip in squares of places. neutral: as for `cvlnet.map.region.Region.scores`."""
    scores = matcher.scores(cells) / uncertainty
    return scores if neutral is None else with_unseen(scores, matcher.unseen(cells), neutral)


def projection_of(source: Map) -> PlaceProjection:
    """The package's projection. Raises InputError unless the map was made with the package's weights."""
    path = shipped_projection()
    projection = PlaceProjection.load(path)
    projection.require_network(source.header.weights, source.path)
    return projection


def open_indexed(model: CVLNet, source: Map) -> IndexedPlaces:
    """A map with its index.

    Raises InputError if there is none of the map's version, if another network made the map, or as `projection_of`
    does.
    """
    source.require_made_by(model)
    if not is_index(source.index_folder):
        what = "its index is that of an older version" if source.has_older_index else "has no index"
        raise InputError(what, where=source.path, remedy=f"make one: cvlnet map index {source.path}")
    return IndexedPlaces(PlaceIndex(source.index_folder), Places.of_map(source), projection_of(source))


def _describe(folder: Path, about: About, places: Places, projection: PlaceProjection, *, progress: bool) -> None:
    """Add what an index lacks to it, segment by segment."""
    if not is_index(folder):
        create_index(folder, about)
    done = {entry.name for entry in _index_about(folder, about).entries}
    for name, part in tqdm(list(_segments(places.grid)), "describing places", unit="segment", disable=not progress):
        if name not in done:
            segment = _segment(places.region(part), part, projection)
            if segment is not None:
                change_index(folder, put=[(name, segment)])


def _index_about(folder: Path, about: About) -> PlaceIndex:
    """An index of which that is known. Raises InputError if it is another one."""
    found = PlaceIndex(folder)
    if found.about != about:
        raise InputError("holds an index of another map or kind", where=folder, remedy="delete it, or keep its kind")
    return found


def _grouped(places: Int[Tensor, "n 2"], block: int) -> Iterator[Int[Tensor, " of_block"]]:
    """The numbers of the places of every block of the map, by columns of blocks: along them north turns least."""
    blocks, of_place = torch.unique((places // block).flip(1), dim=0, return_inverse=True)
    for number in range(len(blocks)):
        yield (of_place == number).nonzero()[:, 0]


def _segments(grid: Grid) -> Iterator[tuple[str, Window]]:
    """Names and places of the segments of an index."""
    side = _SEGMENT_SQUARES * STEP
    for row in range(0, grid.rows, side):
        for col in range(0, grid.cols, side):
            part = Window(slice(row, min(row + side, grid.rows)), slice(col, min(col + side, grid.cols)))
            yield f"r{row // STEP}c{col // STEP}", part


def _segment(region: Region, part: Window, projection: PlaceProjection) -> Segment | None:
    """Descriptors of the squares with a place that is searched; None if there are none."""
    held = functional.max_pool2d(region.searched[None].float(), STEP, ceil_mode=True)[0] > 0
    if not bool(held.any()):
        return None
    described = projection.of_map(region.descriptor, region.uncertainty)[held]
    return Segment((part.rows.start // STEP, part.cols.start // STEP), held.numpy(), described.numpy())


def _part(region: Region, part: Window) -> Region:
    """A window of a region's places, with the cells that clips there see."""
    seen = part.extended(region.cells.rows - region.places.rows)
    return replace(
        region,
        descriptor=region.descriptor[:, seen.rows, seen.cols],
        known=region.known[seen.rows, seen.cols],
        uncertainty=region.uncertainty[part.rows, part.cols],
        searched=region.searched[part.rows, part.cols],
        cells=seen.of(region.cells),
        places=part.of(region.places),
    )
