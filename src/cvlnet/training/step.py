"""A training step: from a batch to its losses and the update of the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

from cvlnet.checkpoint import fill
from cvlnet.config import TrainConfig
from cvlnet.data.samples import Batch, LabelShares
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.io.tensor_file import misfits
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.network import computes_bfloat16
from cvlnet.model.ssm import match
from cvlnet.training import losses
from cvlnet.training.color_augmentation import vary
from cvlnet.training.distributed import World
from cvlnet.training.style_augmentation import random_styles
from cvlnet.types import Clip, ClipFeatures, MapFeatures


class Encoded(NamedTuple):
    """Network outputs for a batch: what is matched, and the logits of the labels of both views.

    seen: cells that are visible in some frame. sharpness: the network's, [1].
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
    """Ground truth of a batch; clip i stands on tile i.

    offset_m: the vehicle from the tile's centre, [clips, 2]. xy_m: the vehicle in the world as turned by
    crop_from_world, [clips, 2].
    """

    offset_m: Tensor
    xy_m: Tensor
    crop_from_world: Tensor
    labels: LabelShares | None


class Encoder(nn.Module):
    """The part of a step that is independent for each sample.

    at_once: number of samples that are encoded at a time, and once more for their gradients, to limit memory (Gao et
    al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup"); 0 encodes all at once.
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
    """The state of a training: model, running average of its weights, optimizer, learning rate and step.

    world: the processes that share every batch; after an update all of them have the same weights.
    """

    def __init__(self, model: CVLNet, config: TrainConfig, world: World = World()) -> None:  # noqa: B008
        self.model, self.config, self.world, self.step = model, config, world, 0
        early = early_layers(model) if config.freeze_early else []
        for layer in early:
            layer.requires_grad_(False)
        self._as_they_are = early + (norms_of_backbones(model) if config.freeze_norms else [])
        self.average = AveragedModel(model, multi_avg_fn=partial(_average, config.average_decay), use_buffers=True)
        self.average.eval()
        self.optimizer = torch.optim.AdamW(_parameter_groups(model, config), betas=(0.9, 0.99))
        self.schedule = _schedule(self.optimizer, config, step=0)
        self._encoder = world.together(Encoder(model, config.encode_at_once))

    def update(self, batch: Batch) -> dict[str, float]:
        """One optimizer step on the process' share of a batch; returns the losses of the whole batch by name.

        Raises InputError if the gradient is not finite; the weights are then as before the step.
        """
        self.model.train()
        for layer in self._as_they_are:
            layer.eval()  # keeps the statistics of batch normalisation
        torch.manual_seed(step_seed(self.config.seed, self.step, self.world.rank))
        batch = _newest(batch.to(self.model.device), frames_of_step(self.step, self.config) * len(self.config.cameras))
        pictures = batch.clip.images.shape[1]
        self.optimizer.zero_grad(set_to_none=True)
        with random_styles(self.model, self.config.style_noise, pictures):  # also where features are computed anew
            terms = self._losses(_varied(batch, self.step, self.config, self.world))
            torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_gradient_norm)
        if not math.isfinite(float(norm)):
            remedy = "lower the learning rate; the last state that was saved is sound"
            what = f"the training diverges: its gradient is {float(norm)}"
            raise InputError(what, where=f"step {self.step}", remedy=remedy)
        self.optimizer.step()
        self.schedule.step()
        self.average.update_parameters(self.model)
        self.step += 1
        return {name: float(term.detach()) for name, term in terms.items()} | {"gradient_norm": float(norm)}

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of the whole batch, which every process computes from the gathered encodings."""
        device = self.model.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.config.amp and computes_bfloat16(device)):
            own: Encoded = self._encoder(batch.clip, batch.tiles)
            of_all = {name: self.world.gather(tensor) for name, tensor in own._asdict().items() if name != "sharpness"}
            encoded = own._replace(**of_all)
            return batch_losses(self.model, encoded, self._truth(batch), self.config)

    def _truth(self, batch: Batch) -> Truth:
        """Ground truth of the whole batch, gathered from all processes."""
        gather = self.world.gather
        offset_m, latlon_deg, crop_from_world = map(gather, (batch.offset_m, batch.latlon_deg, batch.crop_from_world))
        labels = None
        if self.world.all(batch.labels is not None):
            assert batch.labels is not None
            labels = LabelShares(gather(batch.labels.tile), gather(batch.labels.clip))
        return Truth(offset_m, turned_xy_m(latlon_deg, crop_from_world), crop_from_world, labels)

    @property
    def averaged_model(self) -> CVLNet:
        """The model with the averaged weights, in evaluation mode."""
        averaged = self.average.module
        assert isinstance(averaged, CVLNet)
        return averaged

    def tensors(self) -> dict[str, Tensor]:
        """The complete state, by name."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.averaged_model.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in state.items()}
        return tensors

    def restore(self, tensors: Mapping[str, Tensor], step: int, where: Path) -> None:
        """Restore a state from `tensors`, after ``step`` steps.

        Raises InputError if it does not fit the model and its optimizer, or comes from after the last step.
        """
        if not 0 <= step <= self.config.steps:
            remedy = "delete it, to start again"
            raise InputError(f"holds step {step}, not one of 0 to {self.config.steps}", where=where, remedy=remedy)
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            parts.setdefault(kind, {})[rest] = tensor
        fill(self.averaged_model, parts["average"], where)
        fill(self.model, parts["model"], where)
        if step > 0 and not parts["optimizer"]:
            remedy = "delete it, to start again"
            raise InputError(f"lacks the optimizer's state after step {step}", where=where, remedy=remedy)
        self._restore_optimizer(parts["optimizer"], where)
        self.schedule = _schedule(self.optimizer, self.config, step)
        self.average.n_averaged.fill_(step)
        self.step = step

    def _restore_optimizer(self, tensors: Mapping[str, Tensor], where: Path) -> None:
        """Restore the moments, named ``INDEX.FIELD``, of the parameters that have had a gradient."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        with_moments = {name.partition(".")[0] for name in tensors}
        expected = {
            f"{index}.{field}": like
            for index, p in enumerate(parameters)
            for field, like in {"step": p.new_zeros(()), "exp_avg": p, "exp_avg_sq": p}.items()
            if str(index) in with_moments
        }
        wrong = misfits(expected, tensors)
        if wrong:
            remedy = "delete it, to start again"
            raise InputError(f"the optimizer's state does not fit the model: {wrong}", where=where, remedy=remedy)
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            index, _, field = name.partition(".")
            state.setdefault(int(index), {})[field] = tensor
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})


def early_layers(model: CVLNet) -> list[nn.Module]:
    """The early layers of both backbones."""
    return [layer for backbone in model.backbones for layer in backbone.early_layers()]


def norms_of_backbones(model: CVLNet) -> list[nn.Module]:
    """The batch normalisation layers of both backbones."""
    return [layer for backbone in model.backbones for layer in backbone.modules() if isinstance(layer, nn.BatchNorm2d)]


def turned_xy_m(
    latlon_deg: Float[Tensor, "places 2"], crop_from_world: Float[Tensor, "places 2 2"]
) -> Float[Tensor, "places 2"]:
    """Positions in metres (east, north) from the first one, in the turned world."""
    degrees = latlon_deg.cpu().numpy()
    xy_world_m = LocalFrame(LatLon(*degrees[0].tolist())).xy_world_m(degrees)
    turned: Tensor = crop_from_world @ torch.from_numpy(xy_world_m).to(crop_from_world).unsqueeze(-1)
    return turned.squeeze(-1)


def batch_losses(model: CVLNet, encoded: Encoded, truth: Truth, config: TrainConfig) -> dict[str, Tensor]:
    """The weighted terms of the loss, by name."""
    clips = ClipFeatures(encoded.clip_descriptor, encoded.clip_weight, model.clip_grid)
    volume = match(clips, MapFeatures(encoded.tile_descriptor, encoded.tile_uncertainty, model.map_grid))
    log_scores = volume.scores * encoded.sharpness
    same_turn = (truth.crop_from_world == truth.crop_from_world.unsqueeze(1)).all(dim=(-2, -1))
    right = losses.right_places(truth.offset_m, truth.xy_m.to(truth.offset_m), volume.grid, config.right_m)
    right &= same_turn[..., None, None]
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
    """Linear warm-up, then cosine decay to zero."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1)
    return (1 + math.cos(math.pi * done)) / 2


def step_seed(seed: int, step: int, rank: int) -> int:
    """Seed of PyTorch's generators, on every device, for one step of one process.

    Dropout draws from them. Its masks thus depend on the step alone, and neither on earlier steps nor on the draws of
    validation or data loading: a resumed training repeats them without a saved state.
    """
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)[0])


def frames_of_step(step: int, config: TrainConfig) -> int:
    """The number of newest frames of its clips that a step is trained on, the same for all processes."""
    fewest = config.frames if config.fewest_frames is None else config.fewest_frames
    return int(np.random.default_rng((config.seed, step, 2)).integers(fewest, config.frames + 1))


def _newest(batch: Batch, pictures: int) -> Batch:
    """The batch with that many of the newest pictures of every clip."""
    newest = slice(None), slice(pictures)
    return replace(batch, clip=batch.clip[newest])


def _varied(batch: Batch, step: int, config: TrainConfig, world: World) -> Batch:
    """The batch with photometric augmentation, independent for each sample and for its two views."""
    images: list[Tensor] = []
    tiles: list[Tensor] = []
    for place in range(config.batch_size)[world.part(config.batch_size)]:
        seed = (config.seed * 1_000_003 + step) * config.batch_size + place
        generator = torch.Generator(batch.tiles.device).manual_seed(seed)
        sample = len(images)
        images.append(vary(batch.clip.images[sample : sample + 1], config.photometric, generator))
        tiles.append(vary(batch.tiles[sample : sample + 1].unsqueeze(1), config.photometric, generator))
    return replace(batch, clip=replace(batch.clip, images=torch.cat(images)), tiles=torch.cat(tiles).squeeze(1))


def _parameter_groups(model: CVLNet, config: TrainConfig) -> list[dict[str, Any]]:
    """Backbones have their own learning rate; biases, norms and the sharpness have no weight decay."""
    groups = []
    for in_backbone, rate in ((True, config.backbone_learning_rate), (False, config.learning_rate)):
        learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        named = [p for name, p in learning if (".backbone." in name) == in_backbone]
        for decays, weight_decay in ((True, config.weight_decay), (False, 0.0)):
            chosen = [p for p in named if (p.ndim > 1) == decays]
            groups.append({"params": chosen, "lr": rate, "initial_lr": rate, "weight_decay": weight_decay})
    return groups


def _schedule(optimizer: torch.optim.Optimizer, config: TrainConfig, step: int) -> LambdaLR:
    """The learning rate schedule from a step on."""
    return LambdaLR(optimizer, partial(learning_rate_factor, config=config), last_epoch=step - 1)


@torch.no_grad()
def _average(decay: float, averages: list[Tensor], values: list[Tensor], updates: Tensor) -> None:
    """Exponential moving average, in place, with a shorter memory in the early steps; counters are copied."""
    if averages[0].is_floating_point():
        weight = 1 - min(decay, (int(updates) + 1) / (int(updates) + 11))
        torch._foreach_lerp_(averages, values, weight)
    else:
        torch._foreach_copy_(averages, values)
