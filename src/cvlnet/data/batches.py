"""Batches in which no two samples stand nearer than the matching window: every other tile is a true negative."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

import numpy as np
from torch.utils.data import Sampler

from cvlnet.arrays import Indices
from cvlnet.data.samples import Draw
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, earth_centred_m


class SpacedBatchSampler(Sampler[list[Draw]]):
    """Batches of one epoch: ``batch_size`` draws, any two at least ``min_distance_m`` apart, every sample once at most.

    neighbours: a batch is filled in groups of this size, each within ``neighbourhood_m`` of its first sample: tiles of
    the same streets are hard to tell apart. radius_m: all of a batch lie this near its first sample, unless too few do.
    own: the draws of every batch that this process reads, where several processes share a batch. start: the first batch
    that is drawn, at no cost for those before it.
    The batches depend on seed and epoch alone; samples that do not fill a batch are left out of the epoch.
    Raises InputError if not even one batch can be filled.
    """

    def __init__(
        self,
        positions: Sequence[LatLon],
        batch_size: int,
        min_distance_m: float,
        *,
        seed: int = 0,
        epoch: int = 0,
        start: int = 0,
        neighbours: int = 0,
        neighbourhood_m: float = 150.0,
        radius_m: float = inf,
        own: slice = slice(None),
    ) -> None:
        latlon_deg = np.array([position.degrees for position in positions])
        self._xyz_m = earth_centred_m(latlon_deg.reshape(-1, 2))
        self.batch_size, self.min_distance_m = batch_size, min_distance_m
        self.seed, self.epoch, self.start = seed, epoch, start
        self.neighbours, self.neighbourhood_m = neighbours, neighbourhood_m
        self.radius_m = radius_m
        self.own = own
        self._batches = self._plan()

    def __len__(self) -> int:
        return len(self._batches) - self.start

    def __iter__(self) -> Iterator[list[Draw]]:
        for number, batch in enumerate(self._batches[self.start :], self.start):
            yield [Draw(int(index), self.epoch, number) for index in batch[self.own]]

    def _plan(self) -> list[Indices]:
        rng = np.random.default_rng((self.seed, self.epoch))
        waiting = rng.permutation(len(self._xyz_m))
        batches: list[Indices] = []
        while True:
            batch = self._next_batch(self._around_first(waiting))
            if len(batch) < self.batch_size:  # there are no more around it
                batch = self._next_batch(waiting)
            if len(batch) < self.batch_size:
                break
            batches.append(batch)
            waiting = waiting[~np.isin(waiting, batch)]
        if not batches:
            raise InputError(
                f"{len(self._xyz_m)} samples fill no batch of {self.batch_size} at least "
                f"{self.min_distance_m:g} m apart",
                where="training data",
                remedy="lower --batch-size (or --min-distance-m of cvlnet train), or give more data",
            )
        return batches

    def _around_first(self, waiting: Indices) -> Indices:
        distance_m = np.linalg.norm(self._xyz_m[waiting] - self._xyz_m[waiting[:1]], axis=1)
        near: Indices = waiting[distance_m <= self.radius_m]
        return near

    def _next_batch(self, waiting: Indices) -> Indices:
        """The first samples of ``waiting`` that keep the distance; fewer than a batch where no more do."""
        batch: list[int] = []
        for first in waiting:
            if len(batch) == self.batch_size:
                break
            if not self._fits(int(first), batch):
                continue
            batch.append(int(first))
            if self.neighbours > 1:
                self._add_neighbours(batch, waiting)
        return np.array(batch, dtype=np.int64)

    def _add_neighbours(self, batch: list[int], waiting: Indices) -> None:
        distance_m = np.linalg.norm(self._xyz_m[waiting] - self._xyz_m[batch[-1]], axis=1)
        wanted = min(len(batch) + self.neighbours - 1, self.batch_size)
        for near in waiting[(distance_m >= self.min_distance_m) & (distance_m <= self.neighbourhood_m)]:
            if len(batch) == wanted:
                break
            if self._fits(int(near), batch):
                batch.append(int(near))

    def _fits(self, index: int, batch: list[int]) -> bool:
        if not batch:
            return True
        offset_m = self._xyz_m[batch] - self._xyz_m[index]
        return bool((np.einsum("ij,ij->i", offset_m, offset_m) >= self.min_distance_m**2).all())
