"""Training on towns without end: they are drawn in the background, used for some steps, and deleted.

Which town and which of its clips a step sees follows from the step and the settings alone, never from how fast towns
are drawn: where the town of a step is not there yet, the training waits for it.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from torch.utils.data import Dataset

from cvlnet.config import TrainConfig
from cvlnet.data.loading import Batches
from cvlnet.data.samples import Batch, ClipTileSamples, Draw, JoinedSamples, Sample, collate
from cvlnet.errors import InputError
from cvlnet.town.presets import TRAINING_SEEDS, Nuisances, Preset, TrainingTown, preset_towns, role_of_seed
from cvlnet.training.distributed import World
from cvlnet.training.samples import SampleSpec, endless_draws
from cvlnet.training.schedule import Schedule

if TYPE_CHECKING:  # the generator of towns takes a second to import, which a training on data sets does without
    from cvlnet.town.dataset.pool import Towns, TownSeries

USES = 2  # of every clip of a town, on average
FOLDER = "towns"  # in the training's folder
_READ_AHEAD = 2  # batches that each process of PyTorch's DataLoader reads before they are asked for
_FLAG = "--stream"
_CAMERAS = {2, 3}  # of a town's car


@dataclass(frozen=True)
class Stream:
    """Towns to train on that are drawn while the training goes on.

    preset: of the towns, whose seeds count from ``first_seed``. mixed_towns: how many of them consecutive steps take
    turns with. drawers: processes that draw. nuisances: the differences between the towns' two views.
    """

    preset: Preset
    first_seed: int
    mixed_towns: int = 4
    drawers: int = 1
    nuisances: Nuisances = Nuisances()


@dataclass(frozen=True)
class StreamPlan:
    """What a training sees of a stream. first: its first town; the others differ in their seeds only."""

    first: TrainingTown
    schedule: Schedule
    steps: int

    @property
    def towns(self) -> int:
        """Number of towns that the whole training sees."""
        return self.schedule.seen(self.steps)

    def fingerprint(self) -> dict[str, Any]:
        """Identity of the series of towns and of their order, as `cvlnet.data.fingerprint` has it of data sets."""
        town = json.loads(json.dumps(asdict(self.first)))
        stream = {"town": town, "mixed_towns": self.schedule.mixed, "batches_per_town": self.schedule.batches}
        digest = sha256(json.dumps(stream, sort_keys=True).encode()).hexdigest()
        return {
            "name": f"towns from seed {self.first.config.seed} on",
            "sha256": digest,
            "labels": self.first.labels,
        } | {"stream": stream}


def plan_stream(stream: Stream, config: TrainConfig, *, beside: bool) -> StreamPlan:
    """The towns of a training. beside: whether it has data sets, too.

    Raises InputError if a seed would not be one for training, or the towns' pictures do not suit the clips.
    """
    town = preset_towns(stream.preset, 0, stream.nuisances, count=1)[0]
    apart = config.clip_step or town.frame_step
    if apart % town.frame_step:
        what = f"every {apart}th frame is not drawn: the towns have every {town.frame_step}th one"
        raise InputError(what, where="--clip-step", remedy=f"choose a multiple of {town.frame_step}")
    if not set(config.cameras) <= _CAMERAS:
        raise InputError("a town has cameras 2 and 3 only", where="--cameras", remedy="choose among them")
    own = replace(town, seed=stream.first_seed, cameras=config.cameras)
    first = TrainingTown(own, (config.frames - 1) * apart, config.label_weight > 0)
    if first.clips < config.batch_size:
        what = f"a town has {first.clips} clips of {config.frames} frames, too few for a batch of {config.batch_size}"
        raise InputError(what, where=_FLAG, remedy="choose a preset of larger towns, or a smaller batch")
    batches = max(1, round(USES * first.clips / config.batch_size))
    plan = StreamPlan(first, Schedule(stream.mixed_towns, batches, beside), config.steps)
    last_seed = stream.first_seed + plan.towns - 1
    if stream.first_seed < 0 or role_of_seed(last_seed) != "train":
        what = f"{plan.towns} towns have the seeds {stream.first_seed} to {last_seed}, and those for training are "
        raise InputError(f"{what}0 to {TRAINING_SEEDS - 1}", where="--first-seed", remedy="choose another one")
    return plan


class TownDraw(NamedTuple):
    """One sample of a town, by its number, or of the data sets beside the stream (None)."""

    town: int | None
    draw: Draw


class OpenTowns:
    """The towns in use, opened as they are asked for; ``most`` are kept open.

    Each process that reads pictures has its own. cached: keeps decoded pictures in the town's folder, to be deleted
    with it.
    """

    def __init__(self, paths: Callable[[int], Path], spec: SampleSpec, seed: int, most: int, *, cached: bool) -> None:
        self._paths, self._spec, self._seed, self._most, self._cached = paths, spec, seed, most, cached
        self._open: OrderedDict[int, ClipTileSamples] = OrderedDict()

    def of(self, number: int) -> ClipTileSamples:
        """The samples of a town."""
        if number not in self._open:
            root = self._paths(number)
            cache = root / "decoded" if self._cached else None
            self._open[number] = self._spec.open(root, seed=town_seed(self._seed, number), cache=cache)
            if len(self._open) > self._most:
                self._open.popitem(last=False)
        self._open.move_to_end(number)
        return self._open[number]


class StreamedSamples(Dataset[Sample]):
    """The samples of a stream's towns, and of the data sets beside it."""

    def __init__(self, towns: OpenTowns, beside: JoinedSamples | None) -> None:
        self._towns, self._beside = towns, beside

    def __getitem__(self, drawn: TownDraw) -> Sample:
        samples = self._beside if drawn.town is None else self._towns.of(drawn.town)
        assert samples is not None
        return samples[drawn.draw]


def town_seed(seed: int, number: int) -> int:
    """The seed of a town's batches and of their augmentation, in a training with the seed ``seed``."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0])


@dataclass(frozen=True)
class StreamReader:
    """A process of a training that reads a stream.

    spec: what it makes of a town. out: the training's folder, in which the towns lie. beside: the data sets beside the
    stream. cached: whether decoded pictures are kept as long as their town. drawers: processes that draw; they are the
    first process'. tell: shows what is waited for; an empty text ends that.
    """

    plan: StreamPlan
    config: TrainConfig
    spec: SampleSpec
    out: Path
    world: World
    tell: Callable[[str], None]
    beside: JoinedSamples | None = None
    workers: int = 0
    cached: bool = False
    drawers: int = 1

    def batches(self, step: int) -> Generator[Batch, None, None]:
        """The process' share of the batches from ``step`` to the end.

        Whole towns that are there already are used; what is left of them after the last step is deleted.
        Raises InputError if a town cannot be drawn, or fills no batch.
        """
        from cvlnet.town.dataset.pool import TownSeries

        if step == self.config.steps:
            return
        series = TownSeries(self.plan.first, self.out / FOLDER)
        schedule = self.plan.schedule
        opened = OpenTowns(series.path, self.spec, self.config.seed, schedule.mixed, cached=self.cached)
        with self._drawn(series, step) as towns:
            draws = self._draws(series, towns, opened, step)
            read = Batches(StreamedSamples(opened, self.beside), draws, collate, workers=self.workers)
            with closing(iter(read)) as batches:
                for number, batch in enumerate(batches, step):
                    yield batch
                    visit = schedule.visit(number)
                    if visit is not None and visit.batch == schedule.batches - 1:
                        towns.remove(visit.town)
            towns.remove_all()

    def _drawn(self, series: TownSeries, step: int) -> AbstractContextManager[Towns]:
        """The towns from ``step`` on, which the first process has drawn for all."""
        from cvlnet.town.dataset.pool import WatchedTowns, drawn_in_background

        if not self.world.is_first:
            return nullcontext(WatchedTowns(series))
        schedule, steps = self.plan.schedule, self.config.steps
        current = schedule.towns(step, min(step + schedule.lap, steps))
        later = range(current[-1] + 1, self.plan.towns) if current else range(schedule.seen(step), self.plan.towns)
        most = schedule.most_at_once(_READ_AHEAD * self.workers) + self.drawers
        return drawn_in_background(series, chain(current, later), most=most, drawers=self.drawers)

    def _draws(self, series: TownSeries, towns: Towns, opened: OpenTowns, step: int) -> Iterator[list[TownDraw]]:
        """What the batches from ``step`` to the end consist of; waits for the towns."""
        own, schedule, config = self.world.part(self.config.batch_size), self.plan.schedule, self.config
        of_towns: dict[int, Iterator[list[Draw]]] = {}
        of_others: Iterator[list[Draw]] = iter(())
        if self.beside is not None:
            start = step // schedule.lap
            of_others = endless_draws(self.beside.positions, config, seed=config.seed, own=own, start=start)
        for number in range(step, config.steps):
            visit = schedule.visit(number)
            if visit is None:
                yield [TownDraw(None, draw) for draw in next(of_others)]
                continue
            if not towns.is_there(visit.town):
                self.tell(f"waiting for the town of seed {series.seed(visit.town)}")
                towns.wait_for(visit.town)
                self.tell("")
            if visit.town not in of_towns:
                positions, seed = opened.of(visit.town).positions, town_seed(config.seed, visit.town)
                of_towns[visit.town] = endless_draws(positions, config, seed=seed, own=own, start=visit.batch)
            try:
                yield [TownDraw(visit.town, draw) for draw in next(of_towns[visit.town])]
            except InputError as error:
                what = f"of the town of seed {series.seed(visit.town)}, {error.what}"
                raise InputError(what, where=_FLAG, remedy=error.remedy) from error
            if visit.batch == schedule.batches - 1:
                del of_towns[visit.town]
