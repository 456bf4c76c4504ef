"""Single queries, run again with everything kept that is worth seeing: frames, features, tiles, score volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float32, Float64, UInt8
from torch import Tensor

from cvlnet.arrays import F64, U8
from cvlnet.config import SplitName
from cvlnet.data.clips import AS_DESCRIBED, ClipSpec, Pitch, clip_frames, pitched
from cvlnet.data.images import ImageCache
from cvlnet.data.kitti_cvl import read_recordings, read_split
from cvlnet.data.samples import ClipTileSamples, Sample, TileCrops, collate
from cvlnet.evaluation.best_fixes import BestFixes, best_fixes
from cvlnet.evaluation.predict import Predictions, under_pitches
from cvlnet.evaluation.report.label_colors import label_colors
from cvlnet.evaluation.summary import STRETCH_M
from cvlnet.grid import Grid
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.network import MatchingNetwork
from cvlnet.model.ssm import match
from cvlnet.types import Clip, ClipFeatures, MapFeatures


@dataclass(frozen=True)
class TileView:
    """One tile as a query sees it; places relative to the tile's centre, (east, north).

    scores: of every displacement, rows south, columns east. found_m: by the best of them, covariance_m2 of it.
    features: on feature_grid, in the colours of the query's own. labels: what the network recognises there; None if it
    has not learned to.
    """

    id: str
    image: UInt8[np.ndarray, "rows cols 3"]
    image_grid: Grid
    features: UInt8[np.ndarray, "cell_rows cell_cols 3"]
    labels: U8 | None  # [rows, cols, 3]
    feature_grid: Grid
    scores: Float32[np.ndarray, "steps steps"]
    score_grid: Grid
    score: float
    true_m: tuple[float, float]
    found_m: tuple[float, float]
    covariance_m2: Float64[np.ndarray, "2 2"]


@dataclass(frozen=True)
class Case:
    """One query. frames: newest first, taken ages_s before the newest.

    features, labels: on feature_grid around the vehicle, RGB and alpha, 0 where unseen. labels: None as in `TileView`.
    """

    query_id: str
    yaw_rad: float
    error_m: float
    margin: float
    frames: tuple[U8, ...]
    ages_s: tuple[float, ...]
    features: UInt8[np.ndarray, "cell_rows cell_cols 4"]
    labels: U8 | None  # [rows, cols, 4]
    feature_grid: Grid
    nearest: TileView
    best: TileView


def best_and_worst(fixes: BestFixes, count: int) -> tuple[list[int], list[int]]:
    """Rows of the smallest errors and of the largest, worst first; one a stretch of road, none in both."""
    order = np.argsort(fixes.error_m, kind="stable").tolist()
    best = _apart(fixes, order, [], min(count, (len(order) + 1) // 2))
    worst = _apart(fixes, order[::-1], best, count)
    return best, worst


def examine(
    model: MatchingNetwork,
    root: Path,
    clip_spec: ClipSpec,
    predictions: Predictions,
    split: SplitName,
    rows: Sequence[int],
    *,
    labels: bool,
    to_try: Sequence[Pitch] = (AS_DESCRIBED,),
    cache: ImageCache | None = None,
) -> tuple[Case, ...]:
    """Run the queries in these rows of a split again. labels: show them. to_try: the pitches that were tried.

    Raises InputError as the readers do.
    """
    listed = read_split(root, split)
    samples = ClipTileSamples(listed, read_recordings(listed), clip_spec, model.tile_grid, cache=cache)
    sample_of = {query.id: i for i, query in enumerate(samples.queries)}
    fixes = best_fixes(predictions, split)
    cases = []
    for row in rows:
        sample = samples[sample_of[predictions.query_ids[fixes.query[row]]]]
        best_id = predictions.tile_ids[fixes.tile[row]]
        tiles = TileCrops([listed.tiles[name] for name in (sample.tile_id, best_id)], model.tile_grid, cache)
        centers_m = predictions.tile_xy_m[[predictions.tile_ids.index(tile.id) for tile in tiles.tiles]]
        seen = _look(model, sample, tiles, fixes.true_xy_m[row] - centers_m, labels, to_try)
        cases.append(
            Case(
                query_id=sample.query_id,
                yaw_rad=float(fixes.yaw_rad[row]),
                error_m=float(fixes.error_m[row]),
                margin=float(fixes.margin[row]),
                frames=tuple(image.permute(1, 2, 0).numpy() for image in sample.clip.images),
                ages_s=_ages_s(samples, sample_of[sample.query_id]),
                features=seen.clip_rgba,
                labels=seen.clip_labels,
                feature_grid=model.clip_grid,
                nearest=seen.tiles[0],
                best=seen.tiles[1],
            )
        )
    return tuple(cases)


@dataclass(frozen=True)
class _Seen:
    clip_rgba: U8
    clip_labels: U8 | None
    tiles: tuple[TileView, ...]


def _look(
    model: MatchingNetwork, sample: Sample, crops: TileCrops, true_m: F64, labels: bool, to_try: Sequence[Pitch]
) -> _Seen:
    """Match one clip with some tiles, under the pitch that is best on the last of them.

    true_m: of the vehicle, relative to each tile's centre, [tiles, 2].
    """
    images = torch.stack([crops[i] for i in range(len(crops))])
    asked, pictures = collate([sample]).clip.to(model.device), images.to(model.device)
    with torch.inference_mode():
        asked = _under_best_pitch(model, asked, pictures[-1:], to_try)
        if labels and isinstance(model, CVLNet):
            (ground, seen), overhead = model.clip_features(asked), model.overhead_features(pictures)
            clip, tiles = model.describe_clips(ground, seen), model.describe_tiles(overhead)
            clip_labels = model.ground_labels(ground.float()).sigmoid()
            tile_labels = model.overhead_labels(overhead.float()).sigmoid()
        else:
            clip, tiles = model.encode_clip(asked), model.encode_map(pictures)
            clip_labels = tile_labels = None
        volume = match(clip, tiles)
        decoded = volume.decode(float(model.sharpness))
    clip_rgba, tile_rgb = feature_colors(clip, tiles)
    views = tuple(
        TileView(
            id=tile.id,
            image=images[i].permute(1, 2, 0).numpy(),
            image_grid=model.tile_grid,
            features=tile_rgb[i],
            labels=None if tile_labels is None else label_colors(tile_labels[i].cpu().numpy()),
            feature_grid=tiles.grid,
            scores=volume.scores[0, i].cpu().numpy(),
            score_grid=volume.grid,
            score=float(decoded.score[0, i]),
            true_m=_pair(true_m[i]),
            found_m=_pair(decoded.offset_m[0, i].double().cpu().numpy()),
            covariance_m2=decoded.covariance_m2[0, i].double().cpu().numpy(),
        )
        for i, tile in enumerate(crops.tiles)
    )
    alpha = (clip.weight[0] > 0).cpu().numpy()[..., np.newaxis].astype(np.uint8) * np.uint8(255)
    recognised = None if clip_labels is None else label_colors(clip_labels[0].cpu().numpy())
    return _Seen(clip_rgba, None if recognised is None else np.concatenate([recognised, alpha], axis=-1), views)


def _under_best_pitch(model: MatchingNetwork, clip: Clip, picture: Tensor, to_try: Sequence[Pitch]) -> Clip:
    """The clip under the pitch with which it scores best on a tile, [1, 3, rows, cols]."""
    if len(to_try) == 1:
        return clip
    tile, sharpness = model.encode_map(picture), float(model.sharpness)
    scores = [
        float(match(features, tile).decode(sharpness).score[0, 0]) - pitch.penalty
        for pitch, features in zip(to_try, under_pitches(model, clip, to_try), strict=True)
    ]
    return pitched(clip, to_try[int(np.argmax(scores))])


def _ages_s(samples: ClipTileSamples, index: int) -> tuple[float, ...]:
    """Seconds from each picture of a clip to its newest, newest first; those of several cameras are of one moment."""
    query = samples.queries[index]
    frames = clip_frames(samples.recordings[query.recording], query.frame, samples.clip_spec)
    times_s = [frame.time_s for frame in frames for _ in samples.clip_spec.camera_ids]
    return tuple(times_s[0] - time_s for time_s in times_s)


def _pair(xy_m: F64) -> tuple[float, float]:
    return float(xy_m[0]), float(xy_m[1])


def feature_colors(clip: ClipFeatures, tiles: MapFeatures) -> tuple[U8, U8]:
    """One clip's descriptors [rows, cols, 4] and those of tiles [tiles, rows, cols, 3] in the same colours.

    Red, green and blue are the first three principal components of what the clip and the first tile show, each brought
    to the same mean energy, as the correlation does. Alpha: zero where the clip sees nothing, faint where a cell counts
    little.
    """
    weight = clip.weight[0].double().cpu().numpy()
    seen_from_clip = _unit_energy(clip.descriptor[0].permute(1, 2, 0).double().cpu().numpy(), weight > 0)
    described = _unit_energy(tiles.descriptor.permute(0, 2, 3, 1).double().cpu().numpy())
    sample = np.concatenate([seen_from_clip[weight > 0], described[0].reshape(-1, described.shape[-1])])
    mean = sample.mean(axis=0)
    components = np.linalg.svd(sample - mean, full_matrices=False)[2][:3]
    low, high = np.quantile((sample - mean) @ components.T, [0.02, 0.98], axis=0)
    spread = np.maximum(high - low, 1e-12)

    def color(descriptors: F64) -> F64:
        return np.asarray(np.clip(((descriptors - mean) @ components.T - low) / spread, 0, 1) * 255)

    strength = weight / max(float(weight.max()), 1e-12)
    alpha = np.where(weight > 0, 0.35 + 0.65 * strength, 0) * 255
    clip_rgba = np.concatenate([color(seen_from_clip), alpha[..., None]], axis=-1)
    return clip_rgba.round().astype(np.uint8), color(described).round().astype(np.uint8)


def _unit_energy(descriptors: F64, counted: npt.NDArray[np.bool_] | None = None) -> F64:
    """Descriptors [..., channels] scaled together to a mean square norm of 1 over the cells that count."""
    energy = np.square(descriptors).sum(axis=-1)
    mean = float(energy.mean() if counted is None else energy[counted].mean() if counted.any() else 0.0)
    return np.asarray(descriptors / np.sqrt(max(mean, 1e-12)))


def _apart(fixes: BestFixes, order: Sequence[int], taken: Sequence[int], count: int) -> list[int]:
    """The first rows of ``order`` that lie in different stretches; more from the same ones if there are too few."""
    chosen: list[int] = []
    for nearest_m in (STRETCH_M, 0.0):
        for row in order:
            if len(chosen) == count:
                return chosen
            away_m = np.linalg.norm(fixes.true_xy_m[chosen] - fixes.true_xy_m[row], axis=-1)
            if row not in chosen and row not in taken and (away_m >= nearest_m).all():
                chosen.append(row)
    return chosen
