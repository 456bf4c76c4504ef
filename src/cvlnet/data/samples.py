"""Samples: a clip, the overhead crop that it is sought on, and where in the crop the vehicle stands."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from math import pi
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from cvlnet.arrays import Matrix2, Rgb, Xy
from cvlnet.data.clips import ClipErrors, ClipSpec, assemble_clip, clip_frames, mirrored, misdescribed, turned
from cvlnet.data.images import ImageCache
from cvlnet.data.kitti_cvl import Query, Split, Tile, open_tile
from cvlnet.data.label_maps import label_shares, read_label_map
from cvlnet.data.recording import Recording
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame, MetricRaster
from cvlnet.grid import Grid
from cvlnet.imagery.crop import crop, holds, resampled, turn_of_world
from cvlnet.imagery.overhead import Imagery, OverheadImage
from cvlnet.types import Clip

_log = logging.getLogger(__name__)
_SHIFTS_TRIED = 64  # a tile that is hardly larger than the turned crop holds it at some shifts only


@dataclass(frozen=True)
class Augmentation:
    """How training moves the two views against each other; photometric changes are made elsewhere.

    max_shift_m: largest displacement of the vehicle from the crop's centre, east and north, either way.
    turn_world: clip and tile are turned together by a random angle, the same for a whole batch: otherwise the direction
    of the street would give the right tile away. mirror_world: every other batch is of a mirrored world, on average.
    max_errors: the largest errors, either way, that the clip alone is described with.
    """

    max_shift_m: float
    turn_world: bool
    mirror_world: bool
    max_errors: ClipErrors

    def turn(self, rng: np.random.Generator) -> tuple[float, bool]:
        """How far the world of a batch is turned, and whether it is mirrored."""
        turn_rad = float(rng.uniform(-pi, pi))
        return turn_rad if self.turn_world else 0.0, self.mirror_world and bool(rng.integers(2))

    def errors(self, rng: np.random.Generator) -> ClipErrors:
        """Random errors for the description of one clip."""
        return ClipErrors(*(float(rng.uniform(-1, 1)) * most for most in astuple(self.max_errors)))

    def placed(self, image: Imagery, vehicle: LatLon, grid: Grid, seed: int, draw: Draw) -> Placement:
        """How a draw lies on the image that a vehicle stands on; the same for the same seed and draw."""
        rng = np.random.default_rng((seed, draw.epoch, draw.item))
        turn_rad, mirror = self.turn(np.random.default_rng((seed, draw.epoch, draw.batch, 1)))
        center, offset_m, turn_rad = _random_crop(image, vehicle, grid, self.max_shift_m, turn_rad, mirror, rng)
        return Placement(center, offset_m, turn_rad, mirror, self.errors(rng))


class Draw(NamedTuple):
    """One sample of one epoch; the same draw gives the same sample. batch: its number, which decides the turn."""

    item: int
    epoch: int
    batch: int = 0


@dataclass(frozen=True)
class Placement:
    """How a sample lies: its crop's centre, the vehicle's offset in it, the turn of the world, the clip's errors."""

    center: LatLon
    offset_m: Xy
    turn_rad: float = 0.0
    mirror: bool = False
    errors: ClipErrors = field(default_factory=ClipErrors)

    @property
    def crop_from_world(self) -> Matrix2:
        """See `cvlnet.imagery.crop.turn_of_world`."""
        return turn_of_world(self.turn_rad, self.mirror)

    @property
    def ground_from_world(self) -> Matrix2:
        """The same for the clip as it is described."""
        return turn_of_world(self.turn_rad + self.errors.heading_rad, self.mirror)


@dataclass(frozen=True)
class LabelShares:
    """Which share of each cell of the tile and of the clip every label of `cvlnet.labels` covers; 255 is all of it."""

    tile: UInt8[Tensor, "*batch labels tile_rows tile_cols"]
    clip: UInt8[Tensor, "*batch labels clip_rows clip_cols"]

    def to(self, device: torch.device) -> LabelShares:
        """The same shares on another device."""
        return LabelShares(self.tile.to(device), self.clip.to(device))


@dataclass(frozen=True)
class Sample:
    """A clip and its tile. offset_m: vehicle from the tile's centre, (east, north). latlon_deg: of the vehicle.

    crop_from_world: how the world is turned, see `cvlnet.imagery.crop.turn_of_world`. labels: None where there are
    none, or none were asked for.
    """

    clip: Clip
    tile: UInt8[Tensor, "3 rows cols"]
    offset_m: Float[Tensor, 2]
    latlon_deg: Float[Tensor, 2]
    crop_from_world: Float[Tensor, "2 2"]
    query_id: str
    tile_id: str
    labels: LabelShares | None = None


@dataclass(frozen=True)
class Batch:
    """Samples under a first dimension. labels: None unless all samples have them."""

    clip: Clip
    tiles: UInt8[Tensor, "batch 3 rows cols"]
    offset_m: Float[Tensor, "batch 2"]
    latlon_deg: Float[Tensor, "batch 2"]
    crop_from_world: Float[Tensor, "batch 2 2"]
    query_ids: tuple[str, ...]
    tile_ids: tuple[str, ...]
    labels: LabelShares | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return replace(
            self,
            clip=self.clip.to(device),
            tiles=self.tiles.to(device),
            offset_m=self.offset_m.to(device),
            latlon_deg=self.latlon_deg.to(device),
            crop_from_world=self.crop_from_world.to(device),
            labels=None if self.labels is None else self.labels.to(device),
        )


class ClipTileSamples(Dataset[Sample]):
    """The queries of a split that have a whole clip; an item is asked for by `Draw`, or by index (epoch 0).

    Without augmentation the crop is centred at the query's tile. label_grids: of the tile and of the clip, if labels
    are wanted. left_out: lines about the queries that cannot be used, which are logged, too.
    Raises InputError if no query has a whole clip.
    """

    def __init__(
        self,
        split: Split,
        recordings: Mapping[str, Recording],
        clip_spec: ClipSpec,
        tile_grid: Grid,
        *,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        cache: ImageCache | None = None,
        label_grids: tuple[Grid, Grid] | None = None,
    ) -> None:
        self.split, self.recordings, self.clip_spec, self.tile_grid = split, recordings, clip_spec, tile_grid
        self.label_grids = label_grids
        self.augmentation, self.seed, self.cache = augmentation, seed, cache
        self.queries, incomplete = _with_whole_clip(split, recordings, clip_spec)
        self.left_out = split.left_out + incomplete
        for line in self.left_out:
            _log.warning(line)
        if not self.queries:
            raise InputError(
                f"no query has a whole clip ({'; '.join(self.left_out)})",
                where=split.root,
                remedy="choose a clip of fewer frames, or unpack the pictures of the drives",
            )
        self.positions = tuple(_position(recordings, query) for query in self.queries)
        self.frame = LocalFrame(self.positions[0])
        dates = {query.date for query in self.queries} if label_grids else set()
        self._label_maps = {date: read_label_map(split.root, date) for date in dates}

    def __len__(self) -> int:
        return len(self.queries)

    def __getitem__(self, draw: Draw | int) -> Sample:
        draw = draw if isinstance(draw, Draw) else Draw(draw, 0)
        query, position = self.queries[draw.item], self.positions[draw.item]
        image = load_tile(self.split.tiles[query.tile], self.tile_grid, self.cache)
        clip = assemble_clip(self.recordings[query.recording], query.frame, self.clip_spec, self.cache)
        if self.augmentation is None:
            placement = Placement(image.center, LocalFrame(image.center).xy_world_m(position.degrees))
        else:
            placement = self.augmentation.placed(image, position, self.tile_grid, self.seed, draw)
        labels = self._labels(query, position, placement)
        return sample_of(clip, image, position, self.tile_grid, placement, (query.id, query.tile), labels)

    def _labels(self, query: Query, vehicle: LatLon, placement: Placement) -> LabelShares | None:
        label_map = self._label_maps.get(query.date)
        if label_map is None or self.label_grids is None:
            return None
        tile_grid, clip_grid = self.label_grids
        return LabelShares(
            label_shares(label_map, placement.center, tile_grid, placement.crop_from_world),
            label_shares(label_map, vehicle, clip_grid, placement.ground_from_world),
        )


def sample_of(
    clip: Clip,
    image: Imagery,
    vehicle: LatLon,
    grid: Grid,
    placement: Placement,
    ids: tuple[str, str],
    labels: LabelShares | None = None,
) -> Sample:
    """The sample of a clip and of the image that its vehicle stands on. ids: of the query and of the tile."""
    clip = turned(misdescribed(clip, placement.errors), placement.turn_rad)
    return Sample(
        clip=mirrored(clip) if placement.mirror else clip,
        tile=crop(image, placement.center, grid, placement.crop_from_world),
        offset_m=torch.from_numpy(placement.offset_m).float(),
        latlon_deg=torch.tensor(vehicle.degrees, dtype=torch.float64),
        crop_from_world=torch.from_numpy(placement.crop_from_world),
        query_id=ids[0],
        tile_id=ids[1],
        labels=labels,
    )


class JoinedSamples(Dataset[Sample]):
    """Several data sets as one, in order."""

    def __init__(self, parts: Sequence[ClipTileSamples]) -> None:
        if not parts:
            raise ValueError("no data set to join")
        self.parts = tuple(parts)
        self.positions = tuple(position for part in self.parts for position in part.positions)
        self._starts = np.cumsum([0] + [len(part) for part in self.parts])

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, draw: Draw | int) -> Sample:
        draw = draw if isinstance(draw, Draw) else Draw(draw, 0)
        part = int(np.searchsorted(self._starts, draw.item, side="right")) - 1
        return self.parts[part][draw._replace(item=draw.item - int(self._starts[part]))]


class TileCrops(Dataset[UInt8[Tensor, "3 rows cols"]]):
    """The crop at the centre of each tile of a gallery, in the order of ``tiles``."""

    def __init__(self, tiles: Sequence[Tile], grid: Grid, cache: ImageCache | None = None) -> None:
        self.tiles, self.grid, self.cache = tuple(tiles), grid, cache

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, index: int) -> UInt8[Tensor, "3 rows cols"]:
        image = load_tile(self.tiles[index], self.grid, self.cache)
        return crop(image, image.center, self.grid)


def load_tile(tile: Tile, grid: Grid, cache: ImageCache | None = None) -> OverheadImage:
    """The whole tile in true metres, north up, at the resolution of ``grid``.

    Raises InputError if the tile is smaller than the grid, and as `cvlnet.data.images.read_image` does.
    """

    def make() -> Rgb:
        return resampled(open_tile(tile), grid).pixels

    made = f"tile {grid.rows % 2} {grid.cols % 2} {grid.cell_m} {tile.m_per_px} {tile.center}"
    pixels = make() if cache is None else cache.get(tile.path, made, make, in_memory=False)
    rows, cols = pixels.shape[:2]
    return OverheadImage(pixels, MetricRaster(tile.center, cols, rows, grid.cell_m), tile.path)


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples, as `torch.utils.data.DataLoader`'s ``collate_fn``."""
    clip = Clip.stack([sample.clip for sample in samples])
    labels = [sample.labels for sample in samples if sample.labels is not None]
    return Batch(
        clip,
        torch.stack([sample.tile for sample in samples]),
        torch.stack([sample.offset_m for sample in samples]),
        torch.stack([sample.latlon_deg for sample in samples]),
        torch.stack([sample.crop_from_world for sample in samples]),
        tuple(sample.query_id for sample in samples),
        tuple(sample.tile_id for sample in samples),
        LabelShares(torch.stack([shares.tile for shares in labels]), torch.stack([shares.clip for shares in labels]))
        if len(labels) == len(samples)
        else None,
    )


def _with_whole_clip(
    split: Split, recordings: Mapping[str, Recording], spec: ClipSpec
) -> tuple[tuple[Query, ...], tuple[str, ...]]:
    """The queries that have a whole clip, and a line about the others, if there are any."""
    lacking = [len(clip_frames(recordings[q.recording], q.frame, spec)) < spec.frames for q in split.queries]
    whole = tuple(query for query, lacks in zip(split.queries, lacking, strict=True) if not lacks)
    if not any(lacking):
        return whole, ()
    first = split.queries[lacking.index(True)]
    line = f"{split.root}: {sum(lacking)} queries of {split.name} lack frames of their clip, the first is {first.id}"
    return whole, (line,)


def _position(recordings: Mapping[str, Recording], query: Query) -> LatLon:
    frame = recordings[query.recording].frame(query.frame)
    assert frame is not None  # a whole clip has its newest frame
    return frame.position


def _random_crop(
    image: Imagery,
    vehicle: LatLon,
    grid: Grid,
    max_shift_m: float,
    turn_rad: float,
    mirror: bool,
    rng: np.random.Generator,
) -> tuple[LatLon, Xy, float]:
    """Centre of a crop, offset of the vehicle in the turned crop, and the turn.

    Offsets cover evenly the part of the window in which the image holds the turned crop. If there is none, the turn is
    the nearest quarter turn, and the crop lies around the vehicle, or in the middle of a tile that does not hold that.
    """
    frame, crop_from_world = LocalFrame(vehicle), turn_of_world(turn_rad, mirror)
    for _ in range(_SHIFTS_TRIED):
        offset_m = rng.uniform(-1, 1, 2) * max_shift_m
        center = LatLon(*frame.latlon_deg(-offset_m @ crop_from_world).tolist())
        if holds(image, center, grid, crop_from_world):
            return center, offset_m, turn_rad
    quarter_rad = round(turn_rad / (pi / 2)) * pi / 2
    if holds(image, vehicle, grid, turn_of_world(quarter_rad, mirror)):
        return vehicle, np.zeros(2), quarter_rad
    offset_m = turn_of_world(quarter_rad, mirror) @ LocalFrame(image.center).xy_world_m(vehicle.degrees)
    return image.center, offset_m, quarter_rad
