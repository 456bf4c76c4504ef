import json
import shutil
from collections import Counter
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cvlnet.checkpoint import load_tensors
from cvlnet.config import ModelConfig, TrainConfig
from cvlnet.errors import InputError
from cvlnet.model.build import build_model
from cvlnet.town.dataset import pool
from cvlnet.town.dataset.training_town import about
from cvlnet.town.presets import Nuisances, TownConfig, TrainingTown
from cvlnet.training.distributed import World
from cvlnet.training.loop import BEST, LAST, Run, train
from cvlnet.training.samples import SampleSpec
from cvlnet.training.schedule import Schedule
from cvlnet.training.step import Trainer
from cvlnet.training.stream import FOLDER, Stream, StreamPlan, StreamReader, plan_stream, town_seed

MODEL = ModelConfig(image_width_px=128, image_height_px=32, clip_cells=16, window_cells=2, channels=8)
CONFIG = TrainConfig(
    steps=10,
    batch_size=2,
    frames=2,
    warmup_steps=2,
    neighbours=0,
    min_distance_m=0.3,
    validate_every=100,
    freeze_early=False,
)
TOWN = TownConfig(500, 220.0, drives=3, frames_per_drive=12, frame_width_px=621)
PLAN = StreamPlan(TrainingTown(TOWN, 9, True), Schedule(mixed=2, batches=3), CONFIG.steps)


class Drawer(Executor):
    """Draws at once, in this process: a copy of the same town without one of its queries."""

    def __init__(self, *_):
        self.waiting = []

    def submit(self, draw, town, out):
        future = Future()
        try:
            future.set_result(draw(town, out))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, *_, **__):
        pass


class LateDrawer(Drawer):
    """Draws nothing until it is waited for, and then the last town first."""

    def submit(self, draw, town, out):
        future = Future()
        self.waiting.append((future, draw, town, out))
        LateDrawer.last = self
        return future

    @staticmethod
    def wait(futures, return_when):
        future, draw, town, out = LateDrawer.last.waiting.pop()
        assert future in futures
        draw(town, out)
        future.set_result(None)


@pytest.fixture
def drawn(tiny_town, monkeypatch):
    """The seeds of the towns that are drawn, in order; drawing is copying."""
    seeds = []

    def draw(town, out):
        if pool.is_drawn(town, out):
            return
        seeds.append(town.config.seed)
        shutil.copytree(tiny_town, out, ignore=shutil.ignore_patterns("image_03", "overhead", "test"))
        queries = out / "train_files_with_sat_GPS.txt"
        lines = queries.read_text().splitlines(keepends=True)
        queries.write_text("".join(line for i, line in enumerate(lines) if i != 1 + town.config.seed % 2))
        (out / "dataset.json").write_text(json.dumps(about(town)))

    monkeypatch.setattr(pool, "draw_town", draw)
    monkeypatch.setattr(pool, "ProcessPoolExecutor", Drawer)
    monkeypatch.setattr("cvlnet.training.loop.plan_stream", lambda stream, config, beside: PLAN)
    return seeds


@pytest.fixture
def run(tmp_path):
    return Run(data=(), validation=(), out=tmp_path / "run", workers=0, stream=Stream("tiny", 500, drawers=1))


def losses_of(run):
    return [json.loads(line) for line in (run.out / "log.jsonl").read_text().splitlines()]


def interrupted_before(step, monkeypatch, run):
    """Train up to a step, which the last checkpoint is of."""
    update = Trainer.update

    def interrupt(trainer, batch):
        if trainer.step == step:
            raise KeyboardInterrupt
        return update(trainer, batch)

    with monkeypatch.context() as patch:
        patch.setattr("cvlnet.training.loop.SAVE_EVERY_S", 0.0)
        patch.setattr(Trainer, "update", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(MODEL, CONFIG, run)
    assert load_tensors(run.out / LAST)[1].step == step


@pytest.mark.parametrize("step", [1, 5])
def test_a_resumed_training_has_the_same_losses_and_weights(run, tmp_path, drawn, monkeypatch, step):
    train(MODEL, CONFIG, run)
    assert drawn == [500 + number for number in range(PLAN.towns)]
    for kept in (True, False):
        broken = replace(run, out=tmp_path / f"broken {kept}")
        drawn.clear()
        interrupted_before(step, monkeypatch, broken)
        assert list((broken.out / FOLDER).iterdir())
        if not kept:
            shutil.rmtree(broken.out / FOLDER)
            drawn.clear()
        train(MODEL, CONFIG, broken)
        assert drawn == [500 + number for number in PLAN.schedule.towns(0 if kept else step, CONFIG.steps)]
        assert losses_of(broken) == losses_of(run)
        whole, resumed = (load_tensors(r.out / LAST)[0] for r in (run, broken))
        assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_how_fast_towns_are_drawn_and_read_does_not_matter(run, tmp_path, drawn, monkeypatch):
    train(MODEL, CONFIG, run)
    read_ahead = replace(run, out=tmp_path / "ahead", workers=1, cache=tmp_path / "cache")
    train(MODEL, CONFIG, read_ahead)
    monkeypatch.setattr(pool, "ProcessPoolExecutor", LateDrawer)
    monkeypatch.setattr(pool, "wait", LateDrawer.wait)
    late = replace(run, out=tmp_path / "late")
    drawn.clear()
    train(MODEL, CONFIG, late)
    assert drawn != sorted(drawn)
    assert losses_of(late) == losses_of(read_ahead) == losses_of(run)
    assert not (tmp_path / "cache").exists()  # decoded pictures go with their towns


def test_a_training_says_what_it_waits_for(run, drawn, monkeypatch, capsys):
    monkeypatch.setattr(pool, "ProcessPoolExecutor", LateDrawer)
    monkeypatch.setattr(pool, "wait", LateDrawer.wait)
    train(MODEL, CONFIG, run)
    assert "waiting for the town of seed 500" in capsys.readouterr().err


def test_towns_are_few_on_the_disk_and_none_is_left(run, drawn, monkeypatch):
    update, most = Trainer.update, []

    def count(trainer, batch):
        most.append(len(list((run.out / FOLDER).iterdir())))
        return update(trainer, batch)

    monkeypatch.setattr(Trainer, "update", count)
    train(MODEL, CONFIG, run)
    assert max(most) == 2 + 1
    assert not (run.out / FOLDER).exists()
    assert [line["towns"] for line in losses_of(run)] == [PLAN.schedule.seen(step + 1) for step in range(10)]
    assert load_tensors(run.out / BEST)[1].data[0]["stream"]["town"]["config"]["seed"] == 500


def test_other_towns_do_not_continue_a_training(run, drawn, monkeypatch):
    train(MODEL, CONFIG, run)
    other = replace(PLAN, first=replace(PLAN.first, config=replace(TOWN, seed=501)))
    monkeypatch.setattr("cvlnet.training.loop.plan_stream", lambda stream, config, beside: other)
    with pytest.raises(InputError, match="another data"):
        train(MODEL, CONFIG, run)


def test_what_others_left_in_the_folder_is_not_trained_on(run, drawn):
    """A town of other settings under the same name, one that is not needed, and one that was half drawn."""
    for name in ("town-00501", "town-00700", ".unfinished-x"):
        (run.out / FOLDER / name).mkdir(parents=True)
        (run.out / FOLDER / name / "dataset.json").write_text("{}")
    folders = []
    pool._keep_only({run.out / FOLDER / "town-00501"}, run.out / FOLDER)
    folders = [path.name for path in (run.out / FOLDER).iterdir()]
    assert folders == ["town-00501"]
    series = pool.TownSeries(PLAN.first, run.out / FOLDER)
    assert not pool.is_drawn(series.town(1), series.path(1))


def reader(tmp_path, plan, **more):
    spec = SampleSpec.of(build_model(MODEL), CONFIG)
    return StreamReader(plan, replace(CONFIG, steps=plan.steps), spec, tmp_path, World(), lambda _: None, **more)


def test_every_clip_of_a_town_is_used_twice(tmp_path, drawn):
    clips = 5  # six, less one
    plan = StreamPlan(PLAN.first, Schedule(1, 2 * clips), 3 * 2 * clips)
    one_by_one = reader(tmp_path, plan)
    one_by_one = replace(one_by_one, config=replace(one_by_one.config, batch_size=1))
    uses = Counter()
    for number, batch in enumerate(one_by_one.batches(0)):
        uses[number // (2 * clips), batch.query_ids[0]] += 1
    assert len(uses) == 3 * clips
    assert set(uses.values()) == {2}


def test_towns_and_clips_of_a_step_are_those_of_the_schedule(tmp_path, drawn):
    batches = [batch.query_ids for batch in reader(tmp_path, PLAN).batches(0)]
    for first in (1, 4, 7):
        later = [batch.query_ids for batch in reader(tmp_path / str(first), PLAN).batches(first)]
        assert later == batches[first:]


def test_data_sets_beside_a_stream_take_a_turn_after_its_towns(run, tiny_town, drawn, monkeypatch):
    seen = []
    monkeypatch.setattr("cvlnet.training.loop.plan_stream", plan_beside)
    monkeypatch.setattr(Trainer, "update", lambda trainer, batch: seen.append(batch.query_ids) or stepped(trainer))
    train(MODEL, CONFIG, replace(run, data=(tiny_town,)))
    assert len(seen) == CONFIG.steps
    missing = {}
    for number, queries in enumerate(seen):
        visit = plan_beside(None, CONFIG, beside=True).schedule.visit(number)
        missing.setdefault(None if visit is None else visit.town, set()).update(queries)
    assert len(missing[None]) == 6  # of the whole town
    assert missing.keys() == {None, *range(plan_beside(None, CONFIG, beside=True).towns)}


def plan_beside(stream, config, beside):
    assert beside
    return replace(PLAN, schedule=replace(PLAN.schedule, beside=True))


def stepped(trainer):
    trainer.step += 1
    return {"retrieval": 0.0}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("no road"), r"seed 502 could not be drawn \(ValueError: no road\)"),
        (BrokenProcessPool("x"), r"seed 502 could not be drawn, because a process that draws was killed"),
        (
            InputError("is full", where="the disk", remedy="free it"),
            r"the disk: .*seed 502 could not be drawn: is full",
        ),
    ],
)
def test_a_town_that_cannot_be_drawn_ends_the_training(run, drawn, monkeypatch, error, told):
    draw = pool.draw_town

    def fail(town, out):
        if town.config.seed == 502:
            raise error
        draw(town, out)

    monkeypatch.setattr(pool, "draw_town", fail)
    with pytest.raises(InputError, match=told):
        train(MODEL, CONFIG, run)


def test_a_town_that_fills_no_batch_is_named(run, drawn):
    with pytest.raises(InputError, match="of the town of seed 500, 5 samples fill no batch of 2 at least 900 m apart"):
        train(MODEL, replace(CONFIG, min_distance_m=900.0), run)


def test_streets_are_streamed_with_all_their_drives():
    plan = plan_stream(Stream("streets", 20_000), TrainConfig(steps=600, batch_size=32), beside=False)
    assert plan.first.clips == 8 * (80 - 3)
    assert (plan.first.first_query, plan.first.labels) == (9, True)
    assert plan.schedule == Schedule(4, 38)
    assert 2 - 0.05 < plan.schedule.batches * 32 / plan.first.clips < 2 + 0.05
    assert plan.towns == plan.schedule.seen(600) == 19


def test_the_cameras_of_the_training_are_those_that_are_drawn():
    plan = plan_stream(Stream("bench", 0, nuisances=Nuisances(rig=1.0)), TrainConfig(cameras=(3,)), beside=True)
    assert (plan.first.config.cameras, plan.first.config.nuisances.rig, plan.first.config.seed) == ((3,), 1.0, 0)
    assert plan.schedule.beside


@pytest.mark.parametrize(
    ("stream", "config", "told"),
    [
        (Stream("streets", 99_990), TrainConfig(batch_size=32), "--first-seed: .* seeds 99990 to 100.*0 to 99999"),
        (Stream("streets", 200_000), TrainConfig(), "--first-seed: .* have the seeds 200000 to"),
        (Stream("streets", -1), TrainConfig(), "--first-seed: .* have the seeds -1 to"),
        (Stream("streets", 0), TrainConfig(clip_step=4), "--clip-step: every 4th frame is not drawn.*multiple of 3"),
        (Stream("streets", 0), TrainConfig(cameras=(0,)), "--cameras: a town has cameras 2 and 3 only"),
        (Stream("tiny", 0), TrainConfig(batch_size=48), "--stream: a town has 33 clips of 4 frames, too few for .* 48"),
    ],
)
def test_a_stream_that_does_not_suit_the_training_is_refused(stream, config, told):
    with pytest.raises(InputError, match=told):
        plan_stream(stream, config, beside=False)


def test_a_training_needs_something_to_train_on(run):
    with pytest.raises(InputError, match="there is nothing to train on"):
        train(MODEL, CONFIG, replace(run, stream=None))
    with pytest.raises(InputError, match="--overfit-batch: a single batch is none of a stream"):
        train(MODEL, CONFIG, replace(run, overfit_batch=True))
    assert not run.out.exists()


def test_several_machines_are_refused(run, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "0")
    with pytest.raises(InputError, match="read them on one machine"):
        train(MODEL, CONFIG, run)


def test_every_town_has_random_numbers_of_its_own():
    assert len({town_seed(seed, number) for seed in range(3) for number in range(3)}) == 9


def test_the_paths_of_towns_are_named_after_their_seeds():
    series = pool.TownSeries(PLAN.first, Path("towns"))
    assert series.path(7) == Path("towns/town-00507")
    assert series.town(7).config == replace(TOWN, seed=507)
