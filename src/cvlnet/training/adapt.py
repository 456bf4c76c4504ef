"""Adapts weights to one's own streets: fine-tuning on a drive whose positions are known to a few metres.

No labels are needed. The offset between positions and imagery is estimated first, with the weights as they are. Then
every place within some metres of a position counts as right (`cvlnet.training.losses.right_places`), and the
displacement is not learned. What is kept is the mean of the weights before and after: it finds the new streets as well
and forgets the old ones less (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"). The end of the drive is
held out, to judge whether it has become better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from scipy.spatial import cKDTree
from torch import Tensor
from tqdm import tqdm

from cvlnet.checkpoint import digest_of, fill, load_model, load_tensors, save_tensors
from cvlnet.config import AdaptConfig, TrainConfig
from cvlnet.data.clips import ClipErrors, ClipSpec, assemble_clip, require_cameras
from cvlnet.data.drive_samples import DriveSamples, Taken, taken_along
from cvlnet.data.loading import Batches
from cvlnet.data.recording import Recording
from cvlnet.data.samples import Augmentation, collate
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, earth_centred_m
from cvlnet.imagery.crop import holds
from cvlnet.imagery.overhead import Imagery
from cvlnet.io.files import require_writable
from cvlnet.localize.search import scores_around
from cvlnet.localize.turned import TurnedClip
from cvlnet.map.region import Region, encode_region
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.device import named_device
from cvlnet.model.provenance import Provenance, made_from
from cvlnet.training.loop import require_same
from cvlnet.training.samples import endless_draws
from cvlnet.training.step import Trainer
from cvlnet.types import ClipFeatures

SPACING_M = 4.0  # between the clips of a drive
TRIED_M = 15.0  # offset of the imagery, to each side
FEWEST, FEWEST_JUDGED = 40, 5  # clips in all, and of these at the end of the drive
APART_M = 50.0  # between what is learned from and what is judged by
_OUTLIERS = 0.2  # share of clips that say nothing of the offset
_SAVE_EVERY_S = 120.0
SHARE = 0.5  # of the fine-tuned weights in the mean that is kept


def training_of(config: AdaptConfig) -> TrainConfig:
    """The training of an adaptation."""
    return TrainConfig(
        steps=config.steps,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        backbone_learning_rate=config.learning_rate / 3,
        warmup_steps=min(30, config.steps),
        displacement_weight=0.0,
        label_weight=0.0,
        right_m=config.position_error_m,
        min_distance_m=max(30.0, 2 * config.position_error_m),
        neighbours=0,
        average_decay=0.98,
        seed=config.seed,
    )


@dataclass(frozen=True)
class Skill:
    """How well a part of a drive is found.

    found: share of the clips whose best place is right to 10 m and the positions' own error. log_probability: mean
    logarithm of the probability that the right places have among all.
    """

    found: float
    log_probability: float


@dataclass(frozen=True)
class Adapted:
    """What came of it: how well the held-out part of the drive is found before and after.

    offset_m: of the imagery from the positions, east and north. learned, judged: number of clips.
    """

    offset_m: tuple[float, float]
    before: Skill
    after: Skill
    learned: int
    judged: int

    @property
    def is_better(self) -> bool:
        """Whether the right places have become more probable."""
        return self.after.log_probability > self.before.log_probability


def adapt(
    recording: Recording,
    positions: Mapping[int, LatLon],
    image: Imagery,
    weights: Path,
    out: Path,
    config: AdaptConfig = AdaptConfig(),
    *,
    camera: int = 2,
    device: str = "cpu",
    workers: int = 1,
    progress: bool = True,
) -> Adapted:
    """Fine-tune weights on a recording on an image, and write the mean of them with those before to ``out``.

    positions: where frames were taken, by number; clips that end at other frames are not learned from. Nothing is
    written if the result is no better. An interrupted call goes on when it is repeated: it keeps its state beside
    ``out`` until it is done. Raises InputError if ``out`` cannot be written, or the recording lacks the camera, or has
    too few clips on the image.
    """
    require_writable(out)
    require_cameras(recording, (camera,))
    model, provenance = load_model(weights)
    model.to(named_device(device))
    clip_spec = ClipSpec(model.image_spec, camera_ids=(camera,))
    taken = taken_along(recording, positions, clip_spec, image, model.tile_grid, SPACING_M)
    _require_enough(recording, taken, config.hold_out)
    region = encode_region(model, image, progress=progress)
    taken = tuple(clip for clip in taken if region.searches(clip.position))
    _require_enough(recording, taken, config.hold_out)
    samples = DriveSamples(recording, taken, image, clip_spec, model.tile_grid)
    offset_m = registration_m(model, samples, region, progress=progress)
    shifted = (clip.shifted(offset_m) for clip in taken)
    taken = tuple(
        clip for clip in shifted if holds(image, clip.position, model.tile_grid) and region.searches(clip.position)
    )
    _require_enough(recording, taken, config.hold_out)
    learned, judged = divided(taken, config.hold_out)
    seen = DriveSamples(recording, judged, image, clip_spec, model.tile_grid)
    before = skill(model, seen, region, config.position_error_m)
    augmentation = Augmentation(model.window_cells * model.map_grid.cell_m, True, True, ClipErrors())
    training = DriveSamples(recording, learned, image, clip_spec, model.tile_grid, augmentation, seed=config.seed)
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ancestors, parents = made_from([(1.0, digest_of(weights), provenance)])
    made = Provenance(
        provenance.model, training_of(config), (_fingerprint(recording, positions, image),),
        ancestors=ancestors, parents=parents,
    )  # fmt: skip
    tuned = _trained(model, training, made, out, workers, progress)
    mean = mean_of(start, tuned, SHARE)
    fill(model, mean, weights)
    model.eval()
    after = skill(model, seen, encode_region(model, image), config.position_error_m)
    found = Adapted(offset_m, before, after, len(learned), len(judged))
    if found.is_better:
        save_tensors(out, mean, replace(made, step=config.steps))
    _state(out).unlink(missing_ok=True)
    return found


def _require_enough(recording: Recording, taken: Sequence[Taken], hold_out: float) -> None:
    """Raise InputError for a drive with too few clips on the image to learn from, or to judge by."""
    if len(taken) < FEWEST:
        what = f"has {len(taken)} clips on the image, {SPACING_M:g} m apart, and {FEWEST} are needed"
        raise InputError(what, where=recording.name, remedy="drive farther, or take imagery of the whole way")
    learned, judged = divided(taken, hold_out)
    if len(judged) < FEWEST_JUDGED:
        what = (
            f"has {len(judged)} clips at its end to judge by, {APART_M:g} m behind the others, and {FEWEST_JUDGED} are "
            "needed"
        )
        raise InputError(what, where=recording.name, remedy="drive farther, or hold out more of it")
    if len(learned) < FEWEST // 2:
        what = f"has {len(learned)} clips to learn from, {APART_M:g} m away from its end, and {FEWEST // 2} are needed"
        raise InputError(what, where=recording.name, remedy="drive more streets, or hold out less of the drive")


def lines(found: Adapted) -> tuple[str, ...]:
    """What came of it, for the terminal."""
    east_m, north_m = found.offset_m
    return (
        f"{found.learned} clips to learn from, {found.judged} to judge by",
        f"the imagery shows the places {east_m:+.1f} m to the east and {north_m:+.1f} m to the north of the positions",
        *(
            f"{name}: {100 * of.found:.0f} % found, mean log probability of the right places {of.log_probability:.2f}"
            for name, of in (("before", found.before), ("after", found.after))
        ),
    )


def registration_m(
    model: CVLNet, samples: DriveSamples, region: Region, *, progress: bool = False
) -> tuple[float, float]:
    """The offset (east, north) at which the clips of a drive fit the region best, all of them together."""
    reach = int(TRIED_M / region.places.cell_m)
    sharpness = float(model.sharpness.detach())
    total = torch.zeros(2 * reach + 1, 2 * reach + 1, dtype=torch.float64)
    for number in tqdm(range(len(samples)), "offset of the imagery", unit="clip", disable=not progress):
        place = _place(region, samples.taken[number])
        scores = scores_around(_features(model, samples, number), region, place, reach)[0].double()
        if not bool(scores.isfinite().any()):
            continue
        probability = (sharpness * scores).flatten().softmax(dim=0).reshape(total.shape)
        total += torch.log((1 - _OUTLIERS) * probability + _OUTLIERS / total.numel())
    row, col = divmod(int(total.argmax()), total.shape[1])
    return (col - reach) * region.places.cell_m, (reach - row) * region.places.cell_m


def divided(taken: Sequence[Taken], hold_out: float) -> tuple[tuple[Taken, ...], tuple[Taken, ...]]:
    """The clips to learn from, and those at the end of the way to judge by, which share nothing with them.

    Where the drive comes back at its end to a street that it knows, nothing is learned from that street.
    """
    first_m, last_m = taken[0].way_m, taken[-1].way_m
    border_m = last_m - hold_out * (last_m - first_m)
    judged = tuple(clip for clip in taken if clip.way_m >= border_m + APART_M)
    before = tuple(clip for clip in taken if clip.way_m < border_m)
    if not before or not judged:
        return before, judged
    xyz_m, judged_xyz_m = (earth_centred_m([clip.position.degrees for clip in part]) for part in (before, judged))
    away_m, _ = cKDTree(judged_xyz_m).query(xyz_m)
    return tuple(clip for clip, each_m in zip(before, away_m.tolist(), strict=True) if each_m >= APART_M), judged


def skill(model: CVLNet, samples: DriveSamples, region: Region, position_error_m: float) -> Skill:
    """How well the clips of a drive are found on the region."""
    found, log_probabilities = list[bool](), list[float]()
    sharpness = float(model.sharpness.detach())
    places_m = region.places.cell_centers_xy_m()
    for number in range(len(samples)):
        features = _features(model, samples, number)
        with torch.inference_mode():
            scores = region.scores(features, model.device, None)[0].double()
        true_m = torch.from_numpy(region.frame.xy_world_m(samples.taken[number].position.degrees))
        away_m = torch.linalg.vector_norm(places_m - true_m, dim=-1)
        found.append(bool(away_m.flatten()[scores.argmax()] <= 10.0 + position_error_m))
        logits = sharpness * scores
        nearest_m = float(away_m[scores.isfinite()].min())
        right = logits[away_m <= max(position_error_m, nearest_m)].logsumexp(dim=0) - logits.flatten().logsumexp(dim=0)
        log_probabilities.append(float(right))
    return Skill(float(np.mean(found)), float(np.mean(log_probabilities)))


def mean_of(start: Mapping[str, Tensor], tuned: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """The weighted mean of two sets of weights; share: of the second."""
    return {
        name: torch.lerp(tensor, tuned[name].to(tensor), share) if tensor.is_floating_point() else tensor
        for name, tensor in start.items()
    }


def _trained(
    model: CVLNet, samples: DriveSamples, made: Provenance, out: Path, workers: int, progress: bool
) -> dict[str, Tensor]:
    """The running average of the weights after all steps; from the state that an interrupted call left."""
    config = made.train
    assert config is not None
    state = _state(out)
    torch.manual_seed(config.seed)
    trainer = Trainer(model, config)
    if state.exists():
        tensors, saved = load_tensors(state)
        require_same(made, saved, state)
        trainer.restore(tensors, saved.step, state)
    saved_at_s = perf_counter()
    bar = tqdm(total=config.steps, initial=trainer.step, desc="adapting", unit="step", disable=not progress)
    draws = islice(
        endless_draws(samples.positions, config, seed=config.seed, own=slice(None), start=trainer.step),
        config.steps - trainer.step,
    )
    for batch in Batches(samples, draws, collate, workers=workers):
        terms = trainer.update(batch)
        bar.update()
        bar.set_postfix({name: f"{value:.3f}" for name, value in terms.items()}, refresh=False)
        if perf_counter() - saved_at_s > _SAVE_EVERY_S:
            save_tensors(state, trainer.tensors(), replace(made, step=trainer.step))
            saved_at_s = perf_counter()
    bar.close()
    return {name: tensor.clone() for name, tensor in trainer.averaged_model.state_dict().items()}


def _fingerprint(recording: Recording, positions: Mapping[int, LatLon], image: Imagery) -> dict[str, Any]:
    """Identity of what is learned from, as `cvlnet.data.fingerprint` has it of data sets."""
    places = repr([(number, place.degrees) for number, place in sorted(positions.items())])
    digest = sha256(image.fingerprint() + places.encode()).hexdigest()
    return {"name": recording.name, "sha256": digest, "labels": False}


def _state(out: Path) -> Path:
    """Where an interrupted call keeps its state."""
    return out.with_name(f".{out.name}.adapting")


def _features(model: CVLNet, samples: DriveSamples, number: int) -> ClipFeatures:
    clip = assemble_clip(samples.recording, samples.taken[number].frame, samples.clip_spec, samples.cache)
    return TurnedClip(model, clip).features((0.0,))


def _place(region: Region, taken: Taken) -> Int[Tensor, 2]:
    """The cell (row, column) of the region's places that a clip was taken at."""
    xy_m = torch.from_numpy(region.frame.xy_world_m(taken.position.degrees))
    return region.places.row_col(xy_m).round().long()
