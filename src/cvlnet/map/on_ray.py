"""Encoding a map in many processes, on one machine or many, by Ray.

A task encodes a partition of the windows. Its worker opens the weights and the imagery by their paths and writes into
the map's folder, which all machines have to share. Where a worker dies Ray repeats its task, which goes on behind the
windows that are there already.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import ray
import torch
from ray.exceptions import RayError, RayTaskError
from tqdm import tqdm

from cvlnet.checkpoint import load_model
from cvlnet.config import Precision, RasterHints
from cvlnet.errors import InputError
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.overhead import Imagery
from cvlnet.map.arrays import MapArrays
from cvlnet.map.build import Engine, imagery_state, in_this_process
from cvlnet.map.encode import Window
from cvlnet.map.header import MapHeader, weights_of
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.device import named_device

_PARTITION = 16  # windows: so many that a task takes minutes, so few that little is lost with a worker
_PARTITIONS_A_WORKER = 4  # at least, so that all workers end at about the same time
_RETRIES = 5

_Task = ray.ObjectRef[list[Window]]


@dataclass(frozen=True)
class Inputs:
    """What every worker opens: paths that mean the same files on all machines, and what it computes with.

    hints: properties that the imagery does not state.
    """

    weights: Path
    imagery: Path
    hints: RasterHints = RasterHints()
    device: str = "cpu"
    precision: Precision = "float32"

    def open(self) -> tuple[CVLNet, Imagery]:
        """The network and the imagery. Raises InputError as their readers do."""
        model, _ = load_model(self.weights, self.precision)
        model.to(named_device(self.device))
        return model, open_overhead(self.imagery, self.hints)


def on_ray(inputs: Inputs, *, address: str | None = None, workers: int | None = None, cores: int = 1) -> Engine:
    """The engine that encodes on a cluster of Ray.

    address: of a running cluster; without one, workers are started on this machine. workers: how many encode at a time,
    by default as many as the cluster has room for. cores: CPU cores, and threads, of each.
    The engine raises InputError if there is no such cluster or no room on it, if a worker lacks the folder, or has
    other weights or imagery, as the readers do, or if workers die again and again.
    """

    def encode(folder: Path, header: MapHeader, parts: Sequence[Window], progress: bool) -> None:
        gpus = int(inputs.device.startswith("cuda"))
        written: list[Window] = []
        with (
            _cluster(address, None if workers is None else workers * cores),
            tqdm(total=len(parts), desc="encoding the map", unit="window", disable=not progress) as bar,
        ):
            room = _room({"CPU": cores, "GPU": gpus})
            at_once = room if workers is None else workers
            task = ray.remote(encode_partition).options(num_cpus=cores, num_gpus=gpus, max_retries=_RETRIES)

            def start(partition: Sequence[Window]) -> _Task:
                return task.remote(inputs, folder.absolute(), header, partition, cores)

            with closing(_done(start, partitions(parts, at_once), at_once, folder)) as done:
                for partition, held in done:
                    written += held
                    bar.update(len(partition))
        _require_seen(folder, written)

    return encode


def partitions(parts: Sequence[Window], workers: int) -> list[Sequence[Window]]:
    """Windows in groups of neighbours, of equal size but for the last, several for each worker."""
    side = max(1, min(_PARTITION, len(parts) // (_PARTITIONS_A_WORKER * workers)))
    return [parts[start : start + side] for start in range(0, len(parts), side)]


def encode_partition(
    inputs: Inputs, folder: Path, header: MapHeader, partition: Sequence[Window], threads: int
) -> list[Window]:
    """Encode those windows that are not there yet. Returns all of the partition that are there then.

    Runs in a worker. Raises InputError if the worker lacks the folder, or has other weights or imagery, and as the
    readers do.
    """
    torch.set_num_threads(threads)  # the last bit of a feature depends on it
    arrays = _shared(folder, header)
    model, image = _opened(inputs, header)
    left = [part for part in partition if not arrays.holds(part)]
    in_this_process(model, image)(folder, header, left, False)
    return [part for part in partition if arrays.holds(part)]


@lru_cache(maxsize=1)
def _opened(inputs: Inputs, header: MapHeader) -> tuple[CVLNet, Imagery]:
    """What the tasks of a worker share. Raises InputError for other weights or imagery than the map is made of."""
    model, image = inputs.open()
    if weights_of(model) != header.weights:
        remedy = "install the same version of cvlnet on all machines, or give --weights on shared storage"
        raise InputError("a worker has other weights", where=inputs.weights, remedy=remedy)
    if imagery_state(image) != header.sources[-1].state:
        remedy = "put the imagery on storage that all machines share"
        raise InputError("a worker has other imagery, or files of other times", where=inputs.imagery, remedy=remedy)
    return model, image


def _shared(folder: Path, header: MapHeader) -> MapArrays:
    """The arrays, as a worker sees them. Raises InputError if they are not those of the map that is being made."""
    arrays = MapArrays(folder, read_only=False) if folder.is_dir() else None
    if arrays is None or arrays.header != header:
        remedy = "write the map to storage that all machines share, under the same path"
        raise InputError("a worker does not find the map's folder", where=folder, remedy=remedy)
    return arrays


def _require_seen(folder: Path, written: Sequence[Window]) -> None:
    """Raise InputError unless this machine sees what workers have written: a missing chunk reads as no imagery."""
    arrays = MapArrays(folder)
    unseen = sum(not arrays.holds(part) for part in written)
    if unseen:
        what = f"{unseen} windows that workers have written are not visible here"
        remedy = "check that all machines share the folder, then repeat the command, which resumes"
        raise InputError(what, where=folder, remedy=remedy)


@contextmanager
def _cluster(address: str | None, cores: int | None) -> Iterator[None]:
    """Connected to Ray: as the program is already, or to a running cluster, or to one started here for the while."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    here: dict[str, Any] = {"num_cpus": cores, "include_dashboard": False} if address is None else {}
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **here)
    except (ConnectionError, ValueError, RuntimeError) as error:
        remedy = "give the address of a running cluster, and set RAY_AUTH_MODE=token where it has a token"
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"cannot be reached ({reason})", where=f"Ray at {address or 'this machine'}", remedy=remedy
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _room(demand: Mapping[str, int]) -> int:
    """How many workers fit on the cluster at a time. Raises InputError if none does: Ray would wait for ever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    room = sum(int(min(node.get(kind, 0) // count for kind, count in demand.items() if count)) for node in nodes)
    if not room:
        wanted = " and ".join(f"{count} {kind}" for kind, count in demand.items() if count)
        remedy = "choose fewer cores, or another device"
        raise InputError(f"no machine of the cluster has {wanted}", where="Ray", remedy=remedy)
    return room


def _done(
    start: Callable[[Sequence[Window]], _Task], waiting: Iterable[Sequence[Window]], at_once: int, folder: Path
) -> Generator[tuple[Sequence[Window], list[Window]]]:
    """Partitions as they are done, and the windows of each that are there; closing it cancels the rest.

    Raises InputError as `_result` does.
    """
    left, running = deque(waiting), dict[_Task, Sequence[Window]]()
    try:
        while left or running:
            while left and len(running) < at_once:
                partition = left.popleft()
                running[start(partition)] = partition
            (task, *_), _ = ray.wait(list(running))
            held = _result(task, folder)
            yield running.pop(task), held
    finally:
        for task in running:
            ray.cancel(task, force=True)


def _result(task: _Task, folder: Path) -> list[Window]:
    """What a task returns. Raises its InputError, or one if its workers have died."""
    try:
        return ray.get(task)
    except RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from None
        raise
    except RayError as error:
        reason = " ".join(str(error).split())[:200]
        what = f"workers that encode the map died {_RETRIES + 1} times ({reason})"
        remedy = "check their memory, give fewer workers, then repeat the command, which resumes"
        raise InputError(what, where=folder, remedy=remedy) from error
