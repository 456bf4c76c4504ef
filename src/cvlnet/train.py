"""Training: the same code on CPU and GPU, resumable at any step with the same losses as an uninterrupted run.

A run's folder holds ``last.safetensors`` (model, averaged model and optimizer: what `resume` continues from),
``best.safetensors`` (the averaged model that did best in validation), ``log.jsonl`` and TensorBoard's event files.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from math import radians
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader
from tqdm import tqdm

from cvlnet import losses
from cvlnet.checkpoint import Provenance, digest_of, fill, load_tensors, save_tensors
from cvlnet.config import ModelConfig, TrainConfig
from cvlnet.data.batches import SpacedBatchSampler
from cvlnet.data.clips import ClipSpec
from cvlnet.data.images import ImageCache
from cvlnet.data.kitti_cvl import read_recordings, read_split, refuse_test_data
from cvlnet.data.labels import has_labels
from cvlnet.data.samples import Augmentation, Batch, ClipTileSamples, JoinedSamples, LabelShares, collate
from cvlnet.errors import InputError
from cvlnet.evaluate import predict
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.journal import Journal
from cvlnet.metrics import found, position_errors_m
from cvlnet.model.build import build_model, load_pretrained_backbone
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.encoder import Pyramid
from cvlnet.model.match import match
from cvlnet.parallel import World, joined_world, own_device
from cvlnet.photometric import vary
from cvlnet.types import Clip, ClipFeatures, MapFeatures

LAST, BEST = "last.safetensors", "best.safetensors"


@dataclass(frozen=True)
class Run:
    """What a training is given besides its configuration. validation: data sets whose held-out queries choose the best.

    init: weights to start from; None starts from ImageNet's (or from noise for VGG16). takes_what_fits: of these
    weights, and starts the rest as without them; else they have to fit the model as a whole.
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


class Encoded(NamedTuple):
    """What the loss needs of a batch: features of its clips and tiles, and what both are taken for.

    seen: the cells that a frame sees. sharpness: the same for all, [1].
    """

    clip_descriptor: Tensor
    clip_weight: Tensor
    seen: Tensor
    clip_labels: Tensor
    tile_descriptor: Tensor
    tile_uncertainty: Tensor
    tile_labels: Tensor
    sharpness: Tensor


class Truth(NamedTuple):
    """Where the clips of a batch stand, and what there is to see; clip i stands on tile i.

    offset_m: from the tile's centre, [clips, 2]. xy_m: in a world that is turned by crop_from_world, [clips, 2].
    """

    offset_m: Tensor
    xy_m: Tensor
    crop_from_world: Tensor
    labels: LabelShares | None


class Encoder(nn.Module):
    """The part of a step in which no sample knows of another.

    at_once: so many samples are encoded at a time, and again when their gradients are computed (Gao et al. 2021,
    "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup"); 0 encodes all together, once.
    """

    def __init__(self, model: CVLNet, at_once: int = 0) -> None:
        super().__init__()
        self.model, self.at_once = model, at_once

    def forward(self, clip: Clip, tiles: Tensor) -> Encoded:
        """Encode clips and tiles."""
        if not 0 < self.at_once < len(tiles):
            return self._encode(clip, tiles)
        starts = range(0, len(tiles), self.at_once)
        chosen = [slice(start, start + self.at_once) for start in starts]
        parts = [checkpoint(self._encode, clip[part], tiles[part], use_reentrant=False) for part in chosen]
        whole = Encoded(*map(torch.cat, zip(*parts, strict=True)))
        return whole._replace(sharpness=parts[0].sharpness)

    def _encode(self, clip: Clip, tiles: Tensor) -> Encoded:
        overhead = self.model.overhead_features(tiles)
        ground, seen = self.model.clip_features(clip)
        clips, maps = self.model.describe_clips(ground, seen), self.model.describe_tiles(overhead)
        labels = self.model.ground_labels(ground), self.model.overhead_labels(overhead)
        sharpness = self.model.sharpness.reshape(1)
        return Encoded(
            clips.descriptor, clips.weight, seen, labels[0], maps.descriptor, maps.uncertainty, labels[1], sharpness
        )


class Trainer:
    """The mutable middle of a training: model, running average, optimizer and step.

    world: the processes that share every batch; after an update all of them have the same weights.
    """

    def __init__(self, model: CVLNet, config: TrainConfig, world: World = World()) -> None:  # noqa: B008
        self.model, self.config, self.world, self.step = model, config, world, 0
        early = early_layers(model) if config.freeze_early else []
        for layer in early:
            layer.requires_grad_(False)
        self._as_they_are = early + (norms_of_backbones(model) if config.freeze_norms else [])
        self.average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        self.optimizer = torch.optim.AdamW(_parameter_groups(model, config), betas=(0.9, 0.99))
        self._encoder = world.together(Encoder(model, config.encode_at_once))

    def update(self, batch: Batch) -> dict[str, float]:
        """One optimizer step on this process' part of a batch; returns the losses of the whole batch by name."""
        self.model.train()
        for layer in self._as_they_are:
            layer.eval()  # keeps the statistics of batch normalisation
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * learning_rate_factor(self.step, self.config)
        terms = self._losses(_varied(batch, self.step, self.config, self.world))
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_gradient_norm)
        self.optimizer.step()
        self.step += 1
        self._update_average()
        return {name: float(term.detach()) for name, term in terms.items()} | {"gradient_norm": float(norm)}

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        """Of all processes' samples: each has encoded its own, and computes the same loss of all."""
        device = self.model.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.config.amp):
            own: Encoded = self._encoder(batch.clip.to(device), batch.tiles.to(device))
            of_all = {name: self.world.gather(tensor) for name, tensor in own._asdict().items() if name != "sharpness"}
            encoded = own._replace(**of_all)
            return batch_losses(self.model, encoded, self._truth(batch), self.config)

    def _truth(self, batch: Batch) -> Truth:
        """Of all processes' samples."""
        device, gather = self.model.device, self.world.gather
        offset_m, latlon_deg, crop_from_world = (
            gather(tensor.to(device)) for tensor in (batch.offset_m, batch.latlon_deg, batch.crop_from_world)
        )
        labels = None
        if self.world.all(batch.labels is not None):
            assert batch.labels is not None
            labels = LabelShares(gather(batch.labels.tile.to(device)), gather(batch.labels.clip.to(device)))
        return Truth(offset_m, turned_xy_m(latlon_deg, crop_from_world), crop_from_world, labels)

    def _update_average(self) -> None:
        """Exponential average, with the early steps forgotten sooner."""
        decay = min(self.config.average_decay, self.step / (self.step + 10))
        for name, tensor in self.model.state_dict().items():
            if tensor.is_floating_point():
                self.average[name].lerp_(tensor, 1 - decay)
            else:
                self.average[name].copy_(tensor)

    def averaged_model(self) -> CVLNet:
        """A copy of the model with the averaged weights, in evaluation mode."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.average)
        return model.eval()

    def tensors(self) -> dict[str, Tensor]:
        """Everything a resumed training needs, by name."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in state.items()}
        return tensors

    def restore(self, tensors: Mapping[str, Tensor], step: int, where: Path) -> None:
        """Take up what `tensors` gave. Raises InputError if it does not fit the model."""
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            parts.setdefault(kind, {})[rest] = tensor
        fill(self.model, parts["average"], where)
        self.average = {name: t.detach().clone() for name, t in self.model.state_dict().items()}
        fill(self.model, parts["model"], where)
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            index, _, field = name.partition(".")
            state.setdefault(int(index), {})[field] = tensor
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.step = step


def train(model_config: ModelConfig, config: TrainConfig, run: Run) -> Mapping[str, float] | None:
    """Train to ``config.steps``, from the last checkpoint if the folder has one; returns the best validation figures.

    Where torchrun has started several processes they share every batch, and all but the first return None.
    Raises InputError for unusable data, or if the folder holds a training of another configuration or other data.
    """
    for root in run.validation:
        refuse_test_data(root)
    with joined_world(torch.device(run.device)) as world:
        if config.batch_size % world.size:
            raise InputError(
                f"{config.batch_size} clips are not as many for each of {world.size} processes",
                where="--batch-size",
                remedy=f"choose a multiple of {world.size}",
            )
        best = _train(model_config, config, run, world)
        return best if world.is_first else None


def _train(model_config: ModelConfig, config: TrainConfig, run: Run, world: World) -> Mapping[str, float]:
    torch.manual_seed(config.seed)
    model = build_model(model_config).to(own_device(torch.device(run.device)))
    samples = training_samples(run, model, config)
    provenance = provenance_of(model_config, config, run)
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
    progress = tqdm(
        total=config.steps, initial=trainer.step, unit="step", dynamic_ncols=True, disable=not world.is_first
    )
    for batch in batches(samples, config, run, trainer.step, world):
        terms = trainer.update(batch)
        if journal is None:
            continue
        progress.update()
        progress.set_postfix({name: f"{value:.3f}" for name, value in terms.items()}, refresh=False)
        journal.write(trainer.step, terms)
        if trainer.step % config.validate_every == 0 or trainer.step == config.steps:
            figures = {} if run.overfit_batch else validate(trainer, run)
            journal.write(trainer.step, figures)
            if figures and figures["score"] >= best.get("score", -math.inf):
                best = figures
                save_tensors(run.out / BEST, trainer.average, replace(provenance, step=trainer.step, figures=best))
            save_tensors(
                run.out / LAST, trainer.tensors(), replace(provenance, step=trainer.step, figures=best or None)
            )
    progress.close()
    return best


def early_layers(model: CVLNet) -> list[nn.Module]:
    """The first layers of both backbones."""
    return [layer for backbone in model.backbones for layer in backbone.early_layers()]


def norms_of_backbones(model: CVLNet) -> list[nn.Module]:
    """The batch normalisations of both backbones."""
    return [layer for backbone in model.backbones for layer in backbone.modules() if isinstance(layer, nn.BatchNorm2d)]


def turned_xy_m(
    latlon_deg: Float[Tensor, "places 2"], crop_from_world: Float[Tensor, "places 2 2"]
) -> Float[Tensor, "places 2"]:
    """Metres (east, north) from the first place, around which the world is turned."""
    degrees = latlon_deg.cpu().numpy()
    xy_world_m = LocalFrame(LatLon(*degrees[0].tolist())).xy_world_m(degrees)
    turned: Tensor = crop_from_world @ torch.from_numpy(xy_world_m).to(crop_from_world).unsqueeze(-1)
    return turned.squeeze(-1)


def batch_losses(model: CVLNet, encoded: Encoded, truth: Truth, config: TrainConfig) -> dict[str, Tensor]:
    """The terms of the loss, weighted, by name."""
    clips = ClipFeatures(encoded.clip_descriptor, encoded.clip_weight, model.clip_grid)
    volume = match(clips, MapFeatures(encoded.tile_descriptor, encoded.tile_uncertainty, model.map_grid))
    log_scores = volume.scores * encoded.sharpness
    same_turn = (truth.crop_from_world == truth.crop_from_world.unsqueeze(1)).all(dim=(-2, -1))
    right = losses.right_places(truth.offset_m, truth.xy_m.to(truth.offset_m), volume.grid) & same_turn[..., None, None]
    retrieval = (
        losses.info_nce(log_scores, right)
        if config.loss == "infonce"
        else losses.soft_margin(volume.scores, right, config.margin_scale)
    )
    own = log_scores.diagonal().permute(2, 0, 1)
    displacement = losses.displacement(own, truth.offset_m, volume.grid)
    terms = {"retrieval": retrieval, "displacement": config.displacement_weight * displacement}
    if truth.labels is not None:
        of_clips = losses.label_shares(encoded.clip_labels, truth.labels.clip, encoded.seen)
        of_tiles = losses.label_shares(encoded.tile_labels, truth.labels.tile)
        terms |= {"clip_labels": config.label_weight * of_clips, "tile_labels": config.label_weight * of_tiles}
    return terms


def learning_rate_factor(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then half a cosine to zero."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1)
    return (1 + math.cos(math.pi * done)) / 2


def training_samples(run: Run, model: CVLNet, config: TrainConfig) -> JoinedSamples:
    """The training queries of all data sets, with geometric augmentation over the model's window."""
    augmentation = Augmentation(
        max_shift_m=model.window_cells * model.map_grid.cell_m,
        turn_world=config.rotate_world,
        mirror_world=config.mirror_world,
        max_heading_error_rad=radians(config.heading_error_deg),
    )
    cache = ImageCache(run.cache) if run.cache else None
    clip_spec = ClipSpec(model.image_spec, config.frames, camera_ids=config.cameras)
    parts = []
    for path in run.data:
        split = read_split(path, "train")
        parts.append(
            ClipTileSamples(
                split,
                read_recordings(split),
                clip_spec,
                model.tile_grid,
                augmentation=augmentation,
                seed=config.seed,
                cache=cache,
                label_grids=(model.map_grid, model.clip_grid) if config.label_weight > 0 and model.is_metric else None,
            )
        )
    return JoinedSamples(parts)


def batches(
    samples: JoinedSamples, config: TrainConfig, run: Run, step: int, world: World
) -> Generator[Batch, None, None]:
    """The process' part of the batches from ``step`` to the end, epoch after epoch.

    With ``overfit_batch`` the first one again and again.
    """
    own = world.part(config.batch_size)
    if run.overfit_batch:
        sampler = SpacedBatchSampler(
            samples.positions, config.batch_size, config.min_distance_m, seed=config.seed, own=own
        )
        batch = collate([samples[draw] for draw in next(iter(sampler))])
        for _ in range(step, config.steps):
            yield batch
        return
    epoch, skip = 0, step
    while step < config.steps:
        sampler = SpacedBatchSampler(
            samples.positions,
            config.batch_size,
            config.min_distance_m,
            seed=config.seed,
            epoch=epoch,
            neighbours=config.neighbours,
            neighbourhood_m=config.neighbourhood_m,
            radius_m=config.batch_radius_m,
            own=own,
        )
        length = len(sampler)
        if skip < length:
            sampler.start = skip
            for batch in islice(_loader(samples, sampler, run), config.steps - step):
                yield batch
                step += 1
        skip = max(skip - length, 0)
        epoch += 1


def validate(trainer: Trainer, run: Run) -> dict[str, float]:
    """Recall@1 of the averaged weights among tiles and distractors of the held-out drives, mean of the data sets."""
    model, config = trainer.averaged_model(), trainer.config
    clip_spec = ClipSpec(model.image_spec, config.frames, camera_ids=config.cameras)
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


def fingerprint(root: Path) -> dict[str, Any]:
    """What tells a data set from others: a digest of its description and its training list; its name; has it labels."""
    digest = sha256()
    for name in ("dataset.json", "train_files_with_sat_GPS.txt"):
        if (root / name).is_file():
            digest.update((root / name).read_bytes())
    return {"name": root.resolve().name, "sha256": digest.hexdigest(), "labels": has_labels(root)}


def _loader(samples: JoinedSamples, sampler: SpacedBatchSampler, run: Run) -> DataLoader[Any]:
    return DataLoader(samples, batch_sampler=sampler, num_workers=run.workers, collate_fn=collate)


def _initialize(model: CVLNet, run: Run) -> None:
    """Weights to start from: given ones, or ImageNet's where they can be had."""
    if isinstance(model.ground_encoder, Pyramid):
        load_pretrained_backbone(model)
    if run.init is None:
        return
    tensors, _ = load_tensors(run.init)
    if run.takes_what_fits:
        own = model.state_dict()
        tensors = {name: tensors[name] if _alike(tensors.get(name), tensor) else tensor for name, tensor in own.items()}
    fill(model, tensors, run.init)


def _alike(given: Tensor | None, own: Tensor) -> bool:
    return given is not None and given.shape == own.shape and given.dtype == own.dtype


def _varied(batch: Batch, step: int, config: TrainConfig, world: World) -> Batch:
    """The batch with light and colour drawn anew, independently for each sample and the two views of it."""
    images: list[Tensor] = []
    tiles: list[Tensor] = []
    for place in range(config.batch_size)[world.part(config.batch_size)]:
        generator = torch.Generator().manual_seed((config.seed * 1_000_003 + step) * config.batch_size + place)
        sample = len(images)
        images.append(vary(batch.clip.images[sample : sample + 1], config.photometric, generator))
        tiles.append(vary(batch.tiles[sample : sample + 1].unsqueeze(1), config.photometric, generator))
    return replace(batch, clip=replace(batch.clip, images=torch.cat(images)), tiles=torch.cat(tiles).squeeze(1))


def _parameter_groups(model: CVLNet, config: TrainConfig) -> list[dict[str, Any]]:
    """Backbones learn at their own rate; biases, norms and the sharpness do not decay."""
    groups = []
    for in_backbone, rate in ((True, config.backbone_learning_rate), (False, config.learning_rate)):
        learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        named = [p for name, p in learning if (".backbone." in name) == in_backbone]
        for decays, weight_decay in ((True, config.weight_decay), (False, 0.0)):
            chosen = [p for p in named if (p.ndim > 1) == decays]
            groups.append({"params": chosen, "lr": rate, "base_lr": rate, "weight_decay": weight_decay})
    return groups


def provenance_of(model_config: ModelConfig, config: TrainConfig, run: Run) -> Provenance:
    """Where the weights of a training will come from, before its first step."""
    init = None if run.init is None else digest_of(run.init)
    return Provenance(model_config, config, tuple(fingerprint(path) for path in run.data), init=init)


def require_same(now: Provenance, saved: Provenance, out: Path) -> None:
    """Raise InputError if what was saved comes from other settings or other data."""
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
