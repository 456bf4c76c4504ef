"""Training, on CPU or GPU, resumable at any step with the losses of an uninterrupted run.

A run's folder holds ``last.safetensors`` (model, averaged model and optimizer, from which a run resumes),
``best.safetensors`` (the averaged model with the best validation score, or the last one where nothing
validates), ``log.jsonl`` and TensorBoard's event files; and, while towns are drawn for it, the folder ``towns``.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from cvlnet.checkpoint import digest_of, fill, load_tensors, save_tensors
from cvlnet.config import ModelConfig, TrainConfig
from cvlnet.data.batches import SpacedBatchSampler
from cvlnet.data.fingerprint import fingerprint
from cvlnet.data.images import ImageCache
from cvlnet.data.kitti_cvl import read_split, refuse_test_data
from cvlnet.data.loading import Batches
from cvlnet.data.samples import Batch, JoinedSamples, collate
from cvlnet.errors import InputError, warn
from cvlnet.evaluation.metrics import found, position_errors_m
from cvlnet.evaluation.predict import predict
from cvlnet.io.lock import locked
from cvlnet.model.build import build_model, load_pretrained_backbone
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.encoder import Pyramid
from cvlnet.model.network import require_pictures
from cvlnet.model.provenance import Provenance, made_from
from cvlnet.training.distributed import World, joined_world, own_device
from cvlnet.training.log import Journal
from cvlnet.training.samples import SampleSpec, clip_spec_of, endless_draws
from cvlnet.training.step import Trainer
from cvlnet.training.stream import Stream, StreamPlan, StreamReader, plan_stream

LAST, BEST = "last.safetensors", "best.safetensors"
SAVE_EVERY_S = 120.0  # the work that an interruption may lose, besides a validation


@dataclass(frozen=True)
class Run:
    """Input and output of a training.

    data, validation: data sets to train on, and to choose the best weights by. stream: towns to train on that are drawn
    meanwhile, beside the data sets or instead of them. cache: folder for decoded pictures; those of a stream's towns
    are kept with the towns instead, if there is one. init: weights to start from; None starts
    from those of ImageNet (VGG16: from random ones). takes_what_fits: uses the tensors of ``init`` that fit the model
    and starts the others as without it; otherwise all have to fit. overfit_batch: trains on the first batch only.
    """

    data: Sequence[Path]
    validation: Sequence[Path]
    out: Path
    init: Path | None = None
    cache: Path | None = None
    workers: int = 1
    device: str = "cpu"
    overfit_batch: bool = False
    takes_what_fits: bool = False
    stream: Stream | None = None


def train(model_config: ModelConfig, config: TrainConfig, run: Run) -> Mapping[str, float] | None:
    """Train to ``config.steps``, resuming if the folder has a checkpoint; returns the best validation metrics.

    Processes that torchrun started share every batch, and all but the first return None. Warns of a validation on
    training data. Raises InputError for unusable data, if the folder holds a training with another configuration or
    other data, or if another training goes on there.
    """
    trained_on = {fingerprint(root)["sha256"] for root in run.data}
    for root in run.validation:
        refuse_test_data(root)
        read_split(root, "test2")  # so that what is missing is noticed before anything is trained
        if fingerprint(root)["sha256"] in trained_on:
            what = "is trained on as well: the best weights are chosen by places that they have seen"
            warn(what, where=root, remedy="choose them by another data set")
    with joined_world(torch.device(run.device)) as world:
        if config.batch_size % world.size:
            raise InputError(
                f"{config.batch_size} clips cannot be divided among {world.size} processes",
                where="--batch-size",
                remedy=f"choose a multiple of {world.size}",
            )
        if run.stream is not None and not world.is_on_one_machine:
            what = "the processes of a training on streamed towns read them on one machine"
            raise InputError(what, where="--stream", remedy="start all processes on one machine, or name data sets")
        best = _train(model_config, config, run, world)
        return best if world.is_first else None


def _train(model_config: ModelConfig, config: TrainConfig, run: Run, world: World) -> Mapping[str, float]:
    torch.manual_seed(config.seed)
    plan = plan_of(config, run)
    model = build_model(model_config).to(own_device(torch.device(run.device)))
    fewest = config.frames if config.fewest_frames is None else config.fewest_frames
    require_pictures(model, fewest * len(config.cameras))
    samples = training_samples(run, model, config) if run.data else None
    provenance = provenance_of(model_config, config, run)
    with locked(run.out, "another training goes on in this folder", tidy=True) if world.is_first else nullcontext():
        return _continued(model, run, samples, plan, provenance, world)


def _continued(
    model: CVLNet,
    run: Run,
    samples: JoinedSamples | None,
    plan: StreamPlan | None,
    provenance: Provenance,
    world: World,
) -> Mapping[str, float]:
    """Train from the folder's checkpoint on, or from the start; the best validation metrics."""
    config = provenance.train
    assert config is not None
    saved = load_tensors(run.out / LAST) if (run.out / LAST).exists() else None
    if saved is None:
        _initialize(model, run)
    trainer = Trainer(model, config, world)
    best: Mapping[str, float] = {}
    if saved is not None:
        tensors, of_last = saved
        require_same(provenance, of_last, run.out)
        trainer.restore(tensors, of_last.step, run.out / LAST)
        best = of_last.figures or {}
    journal = Journal(run.out, trainer.step) if world.is_first else None
    closed = nullcontext() if journal is None else closing(journal)
    progress = tqdm(
        total=config.steps, initial=trainer.step, unit="step", dynamic_ncols=True, disable=not world.is_first
    )
    saved_at_s = perf_counter()
    with closed, closing(_batches(run, trainer, samples, plan, progress)) as read:
        for batch in read:
            terms = trainer.update(batch)
            if journal is None:
                continue
            progress.update()
            progress.set_postfix({name: f"{value:.3f}" for name, value in terms.items()}, refresh=False)
            towns = {} if plan is None else {"towns": plan.schedule.seen(trainer.step)}
            journal.write(trainer.step, terms | towns)
            validates = trainer.step % config.validate_every == 0 or trainer.step == config.steps
            if validates:
                figures = {} if run.overfit_batch else validate(trainer, run)
                journal.write(trainer.step, figures | towns if figures else {})
                unvalidated = trainer.step == config.steps and (run.overfit_batch or not run.validation)
                if unvalidated or (figures and figures["score"] >= best.get("score", -math.inf)):
                    best = figures
                    save_tensors(
                        run.out / BEST,
                        trainer.averaged_model.state_dict(),
                        replace(provenance, step=trainer.step, figures=best),
                    )
            if validates or perf_counter() - saved_at_s > SAVE_EVERY_S:
                reached = replace(provenance, step=trainer.step, figures=best or None)
                save_tensors(run.out / LAST, trainer.tensors(), reached)
                saved_at_s = perf_counter()
    progress.close()
    return best


def plan_of(config: TrainConfig, run: Run) -> StreamPlan | None:
    """What the training sees of its stream; None if it has none.

    Raises InputError if there is nothing to train on, or the stream does not suit the training.
    """
    if run.stream is None:
        if not run.data:
            remedy = "name a data set, or let --stream PRESET draw towns"
            raise InputError("there is nothing to train on", where="cvlnet train", remedy=remedy)
        return None
    if run.overfit_batch:
        remedy = "name a data set, without --stream"
        raise InputError("a single batch is none of a stream", where="--overfit-batch", remedy=remedy)
    return plan_stream(run.stream, config, beside=bool(run.data))


def _batches(
    run: Run, trainer: Trainer, samples: JoinedSamples | None, plan: StreamPlan | None, progress: Any
) -> Generator[Batch, None, None]:
    """The batches from the trainer's step on, of the data sets or of the stream."""
    if run.stream is None or plan is None:
        assert samples is not None
        return batches(samples, trainer.config, run, trainer.step, trainer.world)
    reader = StreamReader(
        plan=plan,
        config=trainer.config,
        spec=SampleSpec.of(trainer.model, trainer.config),
        out=run.out,
        world=trainer.world,
        tell=progress.set_description,
        beside=samples,
        workers=run.workers,
        cached=run.cache is not None,
        drawers=run.stream.drawers,
    )
    return reader.batches(trainer.step)


def training_samples(run: Run, model: CVLNet, config: TrainConfig) -> JoinedSamples:
    """The training queries of all data sets, with the vehicle anywhere in the model's window."""
    spec = SampleSpec.of(model, config)
    return JoinedSamples([spec.open(path, seed=config.seed, cache=run.cache) for path in run.data])


def batches(
    samples: JoinedSamples, config: TrainConfig, run: Run, step: int, world: World
) -> Generator[Batch, None, None]:
    """The process' share of the batches from ``step`` to the end; with ``overfit_batch`` always the first batch."""
    own = world.part(config.batch_size)
    if run.overfit_batch:
        sampler = SpacedBatchSampler(
            samples.positions, config.batch_size, config.min_distance_m, seed=config.seed, own=own
        )
        batch = collate([samples[draw] for draw in next(iter(sampler))])
        for _ in range(step, config.steps):
            yield batch
        return
    draws = islice(endless_draws(samples.positions, config, seed=config.seed, own=own, start=step), config.steps - step)
    yield from Batches(samples, draws, collate, workers=run.workers)


def validate(trainer: Trainer, run: Run) -> dict[str, float]:
    """Recall@1 and median error of the averaged weights in Test-2 of the validation data, averaged over data sets."""
    model, config = trainer.averaged_model, trainer.config
    clip_spec = clip_spec_of(model, config)
    cache = ImageCache(run.cache) if run.cache else None
    figures: dict[str, list[float]] = {"recall_5m": [], "recall_10m": [], "median_m": []}
    for path in run.validation:
        predictions = predict(
            model,
            path,
            clip_spec,
            splits=("test2",),
            most_queries=config.validate_queries,
            cache=cache,
            workers=run.workers,
        )
        ranking = predictions.rankings["test2"]
        errors_m = position_errors_m(ranking.xy_m, predictions.true_xy_m[ranking.queries])
        figures["recall_5m"].append(float(found(errors_m, 1, 5.0).mean()))
        figures["recall_10m"].append(float(found(errors_m, 1, 10.0).mean()))
        figures["median_m"].append(float(np.median(errors_m[:, 0])))
    means = {name: float(np.mean(values)) for name, values in figures.items() if values}
    return means | ({"score": (means["recall_5m"] + means["recall_10m"]) / 2} if means else {})


def _initialize(model: CVLNet, run: Run) -> None:
    """Load the weights to start from: the given ones, those of ImageNet, or the former over the latter."""
    if (run.init is None or run.takes_what_fits) and isinstance(model.ground_encoder, Pyramid):
        load_pretrained_backbone(model)
    if run.init is None:
        return
    tensors, _ = load_tensors(run.init)
    if run.takes_what_fits:
        own = model.state_dict()
        tensors = own | {name: t for name, t in tensors.items() if name in own and t.shape == own[name].shape}
    fill(model, tensors, run.init)


def provenance_of(model_config: ModelConfig, config: TrainConfig, run: Run) -> Provenance:
    """The provenance of a training's weights, before its first step."""
    init = [] if run.init is None else [(1.0, digest_of(run.init), load_tensors(run.init)[1])]
    ancestors, parents = made_from(init)
    plan = plan_of(config, run)
    data = (*(fingerprint(path) for path in run.data), *([] if plan is None else [plan.fingerprint()]))
    return Provenance(model_config, config, data, ancestors=ancestors, parents=parents)


def require_same(now: Provenance, saved: Provenance, out: Path) -> None:
    """Raise InputError if the saved training has other settings or other data."""
    for title, a, b in (
        ("model configuration", now.model, saved.model),
        ("training configuration", now.train, saved.train),
        ("data", list(now.data), list(saved.data)),
        ("start", now.init, saved.init),
    ):
        if a != b:
            raise InputError(
                f"holds a training with another {title}",
                where=out,
                remedy="continue it with the same settings, or choose another folder",
            )
