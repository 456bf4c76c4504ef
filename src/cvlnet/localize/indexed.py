"""From a clip to fixes on a large map: candidates from an index first, then the exact scores around them alone.

A fix that is found has the position, score and covariance that a search of every place gives it. What no candidate
leads to is not found, and does not count as a rival in a fix's margin.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from math import ceil
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from cvlnet.errors import InputError
from cvlnet.grid import Grid
from cvlnet.index.area import Area
from cvlnet.index.manifest import About, Lattice
from cvlnet.index.place_index import PlaceIndex, change_index, create_index, is_index
from cvlnet.index.segment import Codec, Segment, Storage
from cvlnet.localize.search import MOST_FIXES, apart, cut, decoded_around, fix_at, local_maxima, scores_around
from cvlnet.map.encode import Window
from cvlnet.map.region import Region
from cvlnet.map.store import Map
from cvlnet.model.confidence import ELSEWHERE_M, Confidence
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.place import STEP, PlaceProjection, shipped_projection
from cvlnet.model.squares import SquareMatcher
from cvlnet.types import ClipFeatures, Fix

LEAST_CANDIDATES = 300
CANDIDATE_SHARE = 5e-4  # of all squares: with four queries, the best place of 99 % of clips is among so many
_FIRST = 8  # times as many squares are taken by the mean of a clip's queries, before the queries choose among them
LARGEST = 8.0  # number of a descriptor, whose root mean square is 1, that int8 holds
_SEGMENT_SQUARES = 256  # side of a segment
_BLOCK_TILES = 24  # side of the blocks of the map that are kept while clips are found


@dataclass(frozen=True)
class Places:
    """All that indexed search knows of a map: its places, and the region of any window of them.

    A region reaches as far as clips at its places see. fingerprint: of the map's contents.
    """

    grid: Grid
    steps: int
    fingerprint: str
    region: Callable[[Window], Region]

    @staticmethod
    def of_map(source: Map) -> Places:
        """Of a map on disk."""
        header = source.header
        grid = header.layout.places(header.cells)
        files = sorted((name, file.sha256) for name, file in source.manifest.items())
        fingerprint = sha256(repr(files).encode()).hexdigest()
        return Places(grid, header.layout.steps, fingerprint, lambda part: source.region(places=part))

    @staticmethod
    def of_region(region: Region, fingerprint: str) -> Places:
        """Of a region in memory."""
        return Places(region.places, region.steps, fingerprint, lambda part: _part(region, part))

    @property
    def lattice(self) -> Lattice:
        """Middles of the squares of places that share a descriptor."""
        middle = torch.full((2,), (STEP - 1) / 2, dtype=torch.float64)
        east_m, north_m = self.grid.xy_m(middle).tolist()
        return Lattice((east_m, north_m), STEP * self.grid.cell_m)


def index_places(
    folder: Path,
    places: Places,
    projection: PlaceProjection,
    *,
    storage: Storage = "int8",
    progress: bool = False,
) -> PlaceIndex:
    """Describe all places of a map that are searched, in an index on disk; what is there already is kept.

    Raises InputError if the folder holds an index of another map, projection or type, or the map is damaged.
    """
    about = About(places.fingerprint, projection.fingerprint, places.lattice, Codec(projection.dims, storage, LARGEST))
    if not is_index(folder):
        create_index(folder, about)
    found = PlaceIndex(folder)
    if found.about != about:
        raise InputError("holds an index of another map or kind", where=folder, remedy="choose another folder")
    done = {entry.name for entry in found.entries}
    for name, part in tqdm(list(_segments(places.grid)), "describing places", unit="segment", disable=not progress):
        if name not in done:
            segment = _segment(places.region(part), part, projection)
            if segment is not None:
                change_index(folder, put=[(name, segment)])
    return PlaceIndex(folder)


class IndexedPlaces:
    """A map and its index, on which clips are found. kept_blocks: of 500 m a side, kept between clips.

    Raises InputError if the index is not of this map and projection.
    """

    def __init__(
        self, index: PlaceIndex, places: Places, projection: PlaceProjection, *, kept_blocks: int = 256
    ) -> None:
        index.require(map_fingerprint=places.fingerprint, descriptor_fingerprint=projection.fingerprint)
        self.index, self.places, self.projection = index, places, projection
        self._most_kept, self._kept = kept_blocks, OrderedDict[tuple[int, int], tuple[Region, Tensor]]()

    def find(
        self,
        clip: ClipFeatures,
        sharpness: float,
        *,
        candidates: int | None = None,
        most: int = MOST_FIXES,
        within: Area | None = None,
        confidence: Confidence | None = None,
    ) -> tuple[Fix, ...]:
        """The fixes of one clip at different places, best first; none where no place is searched.

        candidates: number of squares that are matched; by default `CANDIDATE_SHARE` of the index, or
        `LEAST_CANDIDATES` where that is less. within: a part of the map in which the candidates' middles lie,
        in metres around the map's anchor. sharpness and confidence: the model's.
        Raises ValueError for more than one clip, InputError where the map is damaged.
        """
        clip = ClipFeatures(clip.descriptor.cpu(), clip.weight.cpu(), clip.grid)
        queries = self.projection.of_clips(clip)[0].numpy()
        candidates = candidates or max(LEAST_CANDIDATES, ceil(CANDIDATE_SHARE * len(self.index)))
        squares = self.index.search(queries, candidates, within=within, first=_FIRST * candidates).row_col
        places, heights, lowest = self._best_places(SquareMatcher(clip, STEP), torch.from_numpy(STEP * squares))
        peaks, peak_heights = self._peaks_apart(clip, places, heights, most + 1)
        fixes = []
        for number, peak in enumerate(peaks[:most]):
            region, origin = self._block(peak)
            scores = scores_around(clip, region, peak - origin, self.places.steps // 2)[0]
            decoded = decoded_around(region, scores, torch.full((2,), self.places.steps // 2), sharpness)
            rival = lowest if len(peaks) == 1 else float(peak_heights[0 if number else 1])
            fix = fix_at(region, peak - origin, decoded, rival, confidence)
            fixes.append(replace(fix, known_share=region.known_share(peak - origin, clip.weight[0])))
        return tuple(fixes)

    def _best_places(
        self, matcher: SquareMatcher, firsts: Int[Tensor, "squares 2"]
    ) -> tuple[Int[Tensor, "n 2"], Float[Tensor, " n"], float]:
        """The best place of each square that has one and its score, best first, and the lowest score of all.

        firsts: the north-western places of the squares.
        """
        places, heights, lowest = [], [], torch.inf
        for of_block in _grouped(firsts, self._block_places):
            region, origin = self._block(of_block[0])
            own = of_block - origin
            cells = torch.stack(
                [cut(region.descriptor, place, STEP + matcher.clip_cells - 1) for place in own.tolist()]
            )
            uncertainty, searched = (
                torch.stack([cut(values, place, STEP) for place in own.tolist()])
                for values in (region.uncertainty, region.searched)
            )
            scores = (matcher.scores(cells) / uncertainty).masked_fill(~searched, -torch.inf).flatten(1)
            height, best = scores.max(dim=1)
            places.append(of_block + torch.stack([best // STEP, best % STEP], dim=1))
            heights.append(height)
            lowest = min(lowest, float(scores[searched.flatten(1)].min()) if bool(searched.any()) else torch.inf)
        if not places:
            return firsts, torch.empty(0), lowest
        every, order = torch.cat(heights), torch.cat(heights).argsort(descending=True, stable=True)
        order = order[every[order].isfinite()]
        return torch.cat(places)[order], every[order], lowest

    def _peaks_apart(
        self, clip: ClipFeatures, places: Int[Tensor, "n 2"], heights: Float[Tensor, " n"], most: int
    ) -> tuple[Int[Tensor, "peaks 2"], Float[Tensor, " peaks"]]:
        """The highest peaks around places that stand apart, and their scores: those that `distinct` would choose.

        places: by falling score. The scores around each are searched, as far as peaks near it are dropped, until no
        further place is higher than the peaks that have been found.
        """
        near = ceil(ELSEWHERE_M / self.places.grid.cell_m)
        reach = near + self.places.steps // 2
        centers = list[Tensor]()
        found: dict[tuple[int, int], float] = {}
        peaks, peak_heights = places[:0], heights[:0]
        for place, height in zip(places, heights, strict=True):
            if len(peaks) == most and peak_heights[-1] >= height:
                break
            if any(int((place - center).abs().max()) <= near for center in centers):
                continue
            centers.append(place)
            region, origin = self._block(place)
            around, values = local_maxima(scores_around(clip, region, place - origin, reach)[0])
            inner = ((around > 0) & (around < 2 * reach)).all(dim=1)
            for peak, value in zip((around[inner] + place - reach).tolist(), values[inner].tolist(), strict=True):
                found.setdefault((peak[0], peak[1]), value)
            every = torch.tensor(list(found), dtype=torch.long).reshape(-1, 2)
            peaks, peak_heights = self._apart(every, torch.tensor(list(found.values())), most)
        return peaks, peak_heights

    def _apart(
        self, peaks: Int[Tensor, "n 2"], heights: Float[Tensor, " n"], most: int
    ) -> tuple[Int[Tensor, "apart 2"], Float[Tensor, " apart"]]:
        """The highest peaks, without those near a higher one."""
        order = heights.argsort(descending=True, stable=True)
        peaks, heights = peaks[order], heights[order]
        chosen = apart(self.places.grid.xy_m(peaks.double()), most)
        return peaks[chosen], heights[chosen]

    @property
    def _block_places(self) -> int:
        return _BLOCK_TILES * self.places.steps

    def _block(self, place: Int[Tensor, 2]) -> tuple[Region, Int[Tensor, 2]]:
        """The block of the map that holds a place, with two tiles around it, and its first place; whole tiles."""
        row, col = (place // self._block_places).tolist()
        if (row, col) not in self._kept:
            around, grid = 2 * self.places.steps, self.places.grid
            rows, cols = (
                slice(max(i * self._block_places - around, 0), min((i + 1) * self._block_places + around, count))
                for i, count in ((row, grid.rows), (col, grid.cols))
            )
            region = self.places.region(Window(rows, cols))
            self._kept[row, col] = region, torch.tensor([rows.start, cols.start])
        self._kept.move_to_end((row, col))
        if len(self._kept) > self._most_kept:
            self._kept.popitem(last=False)
        return self._kept[row, col]


def index_of(source: Map) -> Path:
    """The folder of a map's index: in that of the map, one for each version."""
    return source.path / "index" / source.arrays.folder.name


def projection_of(source: Map) -> PlaceProjection:
    """The package's projection. Raises InputError unless the map was made with the package's weights."""
    path = shipped_projection()
    projection = PlaceProjection.load(path)
    projection.require_network(source.header.weights, source.path)
    return projection


def open_indexed(model: CVLNet, source: Map) -> IndexedPlaces:
    """A map with its index.

    Raises InputError if there is none, if another network made the map, or as `projection_of` does.
    """
    source.require_made_by(model)
    folder = index_of(source)
    if not is_index(folder):
        raise InputError("has no index", where=source.path, remedy=f"make one: cvlnet map index {source.path}")
    return IndexedPlaces(PlaceIndex(folder), Places.of_map(source), projection_of(source))


def _grouped(places: Int[Tensor, "n 2"], block: int) -> Iterator[Int[Tensor, "of_block 2"]]:
    """The places of every block of the map."""
    blocks, of_place = torch.unique(places // block, dim=0, return_inverse=True)
    for number in range(len(blocks)):
        yield places[of_place == number]


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
