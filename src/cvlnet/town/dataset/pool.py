"""Towns drawn in the background, in the order in which they are needed, and never more than a few on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path
from time import sleep
from typing import Protocol

from cvlnet.errors import InputError
from cvlnet.io.files import remove_unfinished, unfinished_folder
from cvlnet.town.dataset.training_town import draw_town, is_drawn
from cvlnet.town.dataset.workers import deaf_children, start_worker, stopped_at_once
from cvlnet.town.presets import TrainingTown

NICENESS = 10
_LOOK_S = 0.3  # between two looks whether another process has drawn a town


@dataclass(frozen=True)
class TownSeries:
    """Towns that differ in their seeds only, numbered from 0, and the folder that they lie in, each in its own."""

    first: TrainingTown
    folder: Path

    def town(self, number: int) -> TrainingTown:
        """The town with a number."""
        return replace(self.first, config=replace(self.first.config, seed=self.seed(number)))

    def seed(self, number: int) -> int:
        """The seed of a town."""
        return self.first.config.seed + number

    def path(self, number: int) -> Path:
        """The folder of a town."""
        return self.folder / f"town-{self.seed(number):05d}"


class Towns(Protocol):
    """Towns of a series as a training uses them."""

    def is_there(self, number: int) -> bool:
        """Whether a town is drawn. Raises InputError if the drawing of any failed."""

    def wait_for(self, number: int) -> None:
        """Return when a town is drawn. Raises InputError if the drawing of any failed."""

    def remove(self, number: int) -> None:
        """Delete a town, which is not needed any more."""

    def remove_all(self) -> None:
        """Delete what is left of the series."""


class DrawnTowns:
    """Towns that other processes draw: ``most`` at a time are on the disk or being drawn.

    needed: their numbers, in the order in which they are drawn. The next one is begun when one is removed.
    """

    def __init__(self, series: TownSeries, needed: Iterable[int], most: int, pool: Executor) -> None:
        self._series, self._pool, self._left = series, pool, iter(needed)
        self._drawn: dict[int, Future[None]] = {}
        for number in islice(self._left, most):
            self._begin(number)

    def is_there(self, number: int) -> bool:
        """Whether a town is drawn. Raises InputError if the drawing of any failed."""
        self._raise_if_failed()
        return self._drawn[number].done()

    def wait_for(self, number: int) -> None:
        """Return when a town is drawn. Raises InputError if the drawing of any failed."""
        while not self.is_there(number):
            wait([future for future in self._drawn.values() if not future.done()], return_when=FIRST_COMPLETED)

    def remove(self, number: int) -> None:
        """Delete a town, and begin the next one."""
        del self._drawn[number]
        _delete(self._series.path(number))
        for following in islice(self._left, 1):
            self._begin(following)

    def remove_all(self) -> None:
        """Delete the folder of the series."""
        shutil.rmtree(self._series.folder, ignore_errors=True)

    def _begin(self, number: int) -> None:
        try:
            with deaf_children():
                future = self._pool.submit(draw_town, self._series.town(number), self._series.path(number))
        except BrokenProcessPool as error:  # a process was killed while none was drawing
            future = Future()
            future.set_exception(error)
        self._drawn[number] = future

    def _raise_if_failed(self) -> None:
        failed = {number: f.exception() for number, f in self._drawn.items() if f.done() and f.exception() is not None}
        for number, error in failed.items():
            where, remedy = str(self._series.folder), "repeat the command: the training resumes where it stopped"
            what = f"the town of seed {self._series.seed(number)} could not be drawn"
            if isinstance(error, BrokenProcessPool):
                what += ", because a process that draws was killed, perhaps because memory ran out"
                remedy = "repeat the command with fewer --drawers: the training resumes where it stopped"
            elif isinstance(error, InputError):
                what, where, remedy = f"{what}: {error.what}", str(error.where), error.remedy
            else:
                what = f"{what} ({type(error).__name__}: {error})"
            raise InputError(what, where=where, remedy=remedy) from error


class WatchedTowns:
    """Towns in a folder that another process of the same training has drawn, and removes."""

    def __init__(self, series: TownSeries) -> None:
        self._series = series

    def is_there(self, number: int) -> bool:
        """Whether a town is drawn."""
        return is_drawn(self._series.town(number), self._series.path(number))

    def wait_for(self, number: int) -> None:
        """Return when a town is drawn."""
        while not self.is_there(number):
            sleep(_LOOK_S)

    def remove(self, number: int) -> None:
        """Leave it to the process that draws."""

    def remove_all(self) -> None:
        """Leave it to the process that draws."""


@contextmanager
def drawn_in_background(series: TownSeries, needed: Iterable[int], *, most: int, drawers: int) -> Iterator[DrawnTowns]:
    """Draw towns in ``drawers`` processes, which end with the block, or with this process if it is killed.

    needed: numbers of the towns, in the order of their use. most: how many may be on the disk. Whole towns that are
    there and among the first ``most`` are kept, all others are deleted. Raises InputError if the folder is a file.
    """
    left = iter(needed)
    first = list(islice(left, most))
    _keep_only({series.path(number) for number in first}, series.folder)
    context = get_context("spawn")
    pool = ProcessPoolExecutor(max(min(drawers, len(first)), 1), context, start_worker, (context.Lock(), NICENESS))
    try:
        with stopped_at_once(pool):
            yield DrawnTowns(series, chain(first, left), most, pool)
    finally:
        remove_unfinished(series.folder)


def _keep_only(kept: set[Path], folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError("is a file", where=folder, remedy="delete it, or choose another folder for the training")
    remove_unfinished(folder)
    for path in folder.glob("town-*"):
        if path not in kept:
            _delete(path)


def _delete(folder: Path) -> None:
    """Delete a folder; if that is interrupted, nothing under its name is left."""
    aside = unfinished_folder(folder)
    folder.rename(aside / folder.name)
    shutil.rmtree(aside)
