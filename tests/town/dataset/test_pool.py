"""Towns that are drawn in the background; `tests/training/test_stream.py` trains on them."""

import json
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from cvlnet.errors import InputError
from cvlnet.town.dataset import pool, workers
from cvlnet.town.dataset.pool import DrawnTowns, TownSeries, WatchedTowns, drawn_in_background
from cvlnet.town.dataset.training_town import about
from cvlnet.town.presets import TownConfig, TrainingTown

FIRST = TrainingTown(TownConfig(40, 220.0, drives=1, frames_per_drive=12), first_query=3, labels=False)


class Recorder(Executor):
    """Makes the folders of towns at once, unless it is broken."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.broken = False

    def submit(self, draw: Callable[..., Any], /, *given: Any, **_: Any) -> Future[Any]:
        if self.broken:
            raise BrokenProcessPool("killed")
        given[1].mkdir(parents=True)
        self.begun.append(given[1].name)
        future: Future[Any] = Future()
        future.set_result(None)
        return future


@pytest.fixture
def series(tmp_path: Path) -> TownSeries:
    return TownSeries(FIRST, tmp_path / "towns")


def test_the_next_town_is_begun_when_one_is_removed(series: TownSeries) -> None:
    recorder = Recorder()
    towns = DrawnTowns(series, [3, 4, 7, 8], 2, recorder)
    assert recorder.begun == ["town-00043", "town-00044"]
    towns.remove(3)
    assert recorder.begun == ["town-00043", "town-00044", "town-00047"]
    assert sorted(path.name for path in series.folder.iterdir()) == ["town-00044", "town-00047"]
    for number in (4, 7, 8):
        towns.remove(number)
    assert list(series.folder.iterdir()) == []
    towns.remove_all()
    assert not series.folder.exists()


def test_a_process_that_is_killed_between_two_towns_is_told_of(series: TownSeries) -> None:
    recorder = Recorder()
    towns = DrawnTowns(series, range(9), 2, recorder)
    recorder.broken = True
    towns.remove(0)
    with pytest.raises(InputError, match="seed 42 could not be drawn, because a process that draws was killed"):
        towns.wait_for(1)


def test_towns_of_another_process_are_there_when_they_are_whole(series: TownSeries) -> None:
    towns = WatchedTowns(series)
    series.path(2).mkdir(parents=True)
    assert not towns.is_there(2)
    (series.path(2) / "dataset.json").write_text(json.dumps(about(series.town(2))))
    towns.wait_for(2)
    assert not towns.is_there(1)
    towns.remove(2)
    towns.remove_all()
    assert towns.is_there(2)


def test_a_file_in_place_of_the_folder_is_refused(series: TownSeries) -> None:
    series.folder.touch()
    with pytest.raises(InputError, match="towns: is a file"), drawn_in_background(series, [0], most=1, drawers=1):
        raise AssertionError


def test_a_process_that_draws_gives_way_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []
    monkeypatch.setattr(workers.os, "nice", done.append)
    monkeypatch.setattr(workers, "compile_kernels", lambda: done.append("compiled"))
    monkeypatch.setattr(workers.threading, "Thread", lambda **_: Thread())
    lock = pool.get_context("spawn").Lock()
    workers.start_worker(lock, pool.NICENESS)
    workers.start_worker(lock)
    assert done == [10, "compiled", 0]


class Thread:
    """One that does nothing."""

    def start(self) -> None:
        pass
