"""Predictions: the ranked fixes of every query of a data set, saved in one file for all metrics and reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch.utils.data import ConcatDataset, Dataset, Subset
from tqdm import tqdm

from cvlnet.arrays import F64, I64
from cvlnet.config import TestSplit
from cvlnet.data.clips import AS_DESCRIBED, ClipSpec, Pitch, pitched, pitches
from cvlnet.data.images import ImageCache
from cvlnet.data.kitti_cvl import Query, Split, Tile, read_recordings, read_split
from cvlnet.data.loading import Batches
from cvlnet.data.samples import ClipTileSamples, Sample, TileCrops, collate
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.io.files import written_whole
from cvlnet.model.confidence import Confidence
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.network import MatchingNetwork, require_pictures
from cvlnet.model.published.network import decode_as_published
from cvlnet.model.ssm import match
from cvlnet.types import Clip, ClipFeatures, Decoded, MapFeatures, ScoreVolume

RANKS = 100
SPLITS: tuple[TestSplit, ...] = ("test1", "test2")
_BLOCK = 128  # clips and tiles matched at a time, which limits the memory of a match to about 1 GiB
_REMEDY = "give the predictions file that cvlnet evaluate wrote"
# raised by damaged files:
_UNREADABLE = (OSError, EOFError, KeyError, TypeError, ValueError, AttributeError, RecursionError, BadZipFile)
_RANKING_ARRAYS = ("queries", "tile", "score", "xy_m", "covariance_m2")


@dataclass(frozen=True)
class Ranking:
    """The best tiles for each query of one gallery, best first.

    xy_m: the vehicle's position by tile and displacement, in the frame of the predictions. left_out: number of queries
    of the data set's list that were not asked, because their drive, their tile or a frame of their clip is missing.
    """

    queries: Int64[np.ndarray, " q"]  # into the predictions' queries
    tile: Int64[np.ndarray, "q ranks"]  # into the predictions' tiles
    score: Float64[np.ndarray, "q ranks"]
    xy_m: Float64[np.ndarray, "q ranks 2"]
    covariance_m2: Float64[np.ndarray, "q ranks 2 2"]
    gallery_size: int
    left_out: int = 0


@dataclass(frozen=True)
class Predictions:
    """Ranked fixes and ground truth; positions in metres (east, north) around ``anchor``."""

    anchor: LatLon
    query_ids: tuple[str, ...]
    true_xy_m: Float64[np.ndarray, "queries 2"]
    yaw_rad: Float64[np.ndarray, " queries"]
    tile_ids: tuple[str, ...]
    tile_xy_m: Float64[np.ndarray, "tiles 2"]
    rankings: Mapping[str, Ranking]  # by split
    confidence: Confidence | None = None  # that of the network

    def save(self, path: Path) -> None:
        """Write one .npz file, whole or not at all."""
        described = {
            "anchor": [self.anchor.latitude_deg, self.anchor.longitude_deg],
            "query_ids": self.query_ids,
            "tile_ids": self.tile_ids,
            "gallery_size": {name: ranking.gallery_size for name, ranking in self.rankings.items()},
            "left_out": {name: ranking.left_out for name, ranking in self.rankings.items()},
            "confidence": None if self.confidence is None else asdict(self.confidence),
        }
        arrays: dict[str, Any] = {
            f"{name}/{field}": getattr(ranking, field)
            for name, ranking in self.rankings.items()
            for field in _RANKING_ARRAYS
        }
        arrays |= {"true_xy_m": self.true_xy_m, "yaw_rad": self.yaw_rad, "tile_xy_m": self.tile_xy_m}
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, described=np.array(json.dumps(described)), **arrays)

    @staticmethod
    def load(path: Path) -> Predictions:
        """Read what `save` wrote. Raises InputError if the file is missing or is none."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                described = json.loads(str(arrays["described"]))
                left_out = described.get("left_out", {})
                rankings = {
                    name: Ranking(
                        **{f: _array(arrays, name, f) for f in _RANKING_ARRAYS},
                        gallery_size=size,
                        left_out=left_out.get(name, 0),
                    )
                    for name, size in described["gallery_size"].items()
                }
                confidence = described.get("confidence")
                found = Predictions(
                    anchor=LatLon(*described["anchor"]),
                    query_ids=tuple(described["query_ids"]),
                    true_xy_m=arrays["true_xy_m"],
                    yaw_rad=arrays["yaw_rad"],
                    tile_ids=tuple(described["tile_ids"]),
                    tile_xy_m=arrays["tile_xy_m"],
                    rankings=rankings,
                    confidence=None if confidence is None else Confidence.of_json(confidence),
                )
                _require_consistent(found)
                return found
        except _UNREADABLE as error:
            reason = "no .npz file of plain arrays" if "pickle" in str(error) else str(error)
            raise InputError(f"no predictions inside ({reason})", where=path, remedy=_REMEDY) from error


def predict(
    model: MatchingNetwork,
    root: Path,
    clip_spec: ClipSpec,
    *,
    splits: Sequence[TestSplit] = SPLITS,
    most_queries: int | None = None,
    cache: ImageCache | None = None,
    workers: int = 0,
    published_decoding: bool = False,
    pitch_error_rad: float = 0.0,
    progress: bool = False,
) -> Predictions:
    """Locate the queries of a data set's splits in their galleries.

    most_queries: at most this number of each split, evenly spaced. Clips and tiles that occur in several splits are
    encoded once. pitch_error_rad: of the described pitch, two standard deviations, which `cvlnet.localize` allows for,
    too; networks other than CVLNet take the pitch as it is. published_decoding: adds a ranking ``SPLIT_published`` with
    the offsets of the published decoding.
    Raises InputError as the readers do, or if the clips have too few frames for the network.
    """
    encoded = encode(
        model,
        root,
        clip_spec,
        splits=splits,
        most_queries=most_queries,
        cache=cache,
        workers=workers,
        pitch_error_rad=pitch_error_rad,
        progress=progress,
    )
    return encoded.predictions(model, published_decoding=published_decoding, progress=progress)


@dataclass(frozen=True)
class PitchedClips:
    """The features of clips whose cameras are taken to look farther down than is described, by a pitch."""

    pitch: Pitch
    features: ClipFeatures


@dataclass(frozen=True)
class Encoded:
    """The queries and the tiles of a data set's splits, with their features.

    samples: of the queries, in their order. clips: under every pitch that is tried. rows, galleries: of each split,
    into the queries and the tiles. left_out: of each split, as for `Ranking`. Positions in metres (east, north) around
    ``anchor``, on the axes of its frame, from whose north true north at the tiles is turned by ``tile_turn_rad``,
    counter-clockwise.
    """

    samples: Dataset[Sample]
    queries: tuple[Query, ...]
    true_xy_m: Float64[np.ndarray, "queries 2"]
    yaw_rad: Float64[np.ndarray, " queries"]
    clips: tuple[PitchedClips, ...]
    tile_ids: tuple[str, ...]
    tile_xy_m: Float64[np.ndarray, "tiles 2"]
    tile_turn_rad: Float64[np.ndarray, " tiles"]
    tiles: MapFeatures
    rows: Mapping[str, I64]
    galleries: Mapping[str, I64]
    left_out: Mapping[str, int]
    anchor: LatLon

    def rankings(
        self,
        model: MatchingNetwork,
        *,
        decode: Callable[[ScoreVolume, float], Decoded] = ScoreVolume.decode,
        progress: bool = False,
    ) -> dict[str, Ranking]:
        """The best tiles for each query, by split."""
        return {
            name: replace(
                rank(
                    model,
                    self.clips,
                    rows,
                    self.tiles,
                    self.galleries[name],
                    self.tile_xy_m,
                    tile_turn_rad=self.tile_turn_rad,
                    decode=decode,
                    progress=progress,
                ),
                left_out=self.left_out[name],
            )
            for name, rows in self.rows.items()
        }

    @property
    def pitches(self) -> tuple[Pitch, ...]:
        """The pitches that are tried."""
        return tuple(clips.pitch for clips in self.clips)

    def predictions(
        self, model: MatchingNetwork, *, published_decoding: bool = False, progress: bool = False
    ) -> Predictions:
        """The best tiles for each query, with the truth. published_decoding: as for `predict`."""
        rankings = self.rankings(model, progress=progress)
        if published_decoding:
            published = self.rankings(model, decode=decode_as_published)
            rankings |= {f"{name}_published": ranking for name, ranking in published.items()}
        return self.answered(rankings)

    def answered(self, rankings: Mapping[str, Ranking]) -> Predictions:
        """Rankings with the truth."""
        ids = tuple(query.id for query in self.queries)
        return Predictions(self.anchor, ids, self.true_xy_m, self.yaw_rad, self.tile_ids, self.tile_xy_m, rankings)


def encode(
    model: MatchingNetwork,
    root: Path,
    clip_spec: ClipSpec,
    *,
    splits: Sequence[TestSplit] = SPLITS,
    most_queries: int | None = None,
    cache: ImageCache | None = None,
    workers: int = 0,
    pitch_error_rad: float = 0.0,
    progress: bool = False,
) -> Encoded:
    """Encode the queries and the galleries of a data set's splits; as `predict`, which raises the same errors."""
    require_pictures(model, clip_spec.frames * len(clip_spec.camera_ids))
    parts = [_samples(read_split(root, name), clip_spec, model, cache) for name in splits]
    chosen = [_spread(len(part), most_queries) for part in parts]
    queries: dict[str, tuple[ClipTileSamples, int]] = {}
    for part, rows in zip(parts, chosen, strict=True):
        for i in rows:
            queries.setdefault(part.queries[i].id, (part, i))
    tiles = {tile.id: tile for part in parts for tile in part.split.tiles.values()}
    query_at, tile_at = ({name: i for i, name in enumerate(names)} for names in (queries, tiles))

    frame = parts[0].frame
    crops = TileCrops(tuple(tiles.values()), model.tile_grid, cache)
    map_features = encode_tiles(model, crops, workers=workers, progress=progress)
    samples = _chosen_samples(parts, queries)
    true_xy_m, yaw_rad = _truth(queries.values(), frame)
    tile_xy_m = frame.xy_world_m(np.array([_degrees(tile) for tile in tiles.values()]))
    return Encoded(
        samples=samples,
        queries=tuple(part.queries[i] for part, i in queries.values()),
        true_xy_m=true_xy_m,
        yaw_rad=yaw_rad,
        clips=encode_pitched(model, samples, pitches_of(model, pitch_error_rad), workers=workers, progress=progress),
        tile_ids=tuple(tiles),
        tile_xy_m=tile_xy_m,
        tile_turn_rad=convergences_rad(frame, tile_xy_m),
        tiles=map_features,
        rows={
            part.split.name: np.array([query_at[part.queries[i].id] for i in rows])
            for part, rows in zip(parts, chosen, strict=True)
        },
        galleries={part.split.name: np.array([tile_at[name] for name in part.split.tiles]) for part in parts},
        left_out={part.split.name: part.split.listed - len(part.queries) for part in parts},
        anchor=frame.anchor,
    )


def _array(arrays: Any, ranking: str, field: str) -> Any:
    """One of a ranking's arrays; files of earlier versions call the scores similarities."""
    earlier = f"{ranking}/similarity"
    return arrays[earlier if field == "score" and earlier in arrays else f"{ranking}/{field}"]


def _require_consistent(predictions: Predictions) -> None:
    """Raise ValueError unless arrays have the sizes, types and values that `Predictions` describes."""
    queries, tiles = len(predictions.query_ids), len(predictions.tile_ids)
    _require_array("true_xy_m", predictions.true_xy_m, (queries, 2))
    _require_array("yaw_rad", predictions.yaw_rad, (queries,))
    _require_array("tile_xy_m", predictions.tile_xy_m, (tiles, 2))
    for name, ranking in predictions.rankings.items():
        shape = (len(ranking.queries), *ranking.tile.shape[1:2])
        _require_array(f"{name}/queries", ranking.queries, shape[:1], below=queries)
        _require_array(f"{name}/tile", ranking.tile, shape, below=tiles)
        _require_array(f"{name}/score", ranking.score, shape)
        _require_array(f"{name}/xy_m", ranking.xy_m, (*shape, 2))
        _require_array(f"{name}/covariance_m2", ranking.covariance_m2, (*shape, 2, 2))
        if len(shape) != 2 or shape[1] == 0 or ranking.gallery_size < shape[1]:
            raise ValueError(f"{name} has no ranks, or more than its gallery of {ranking.gallery_size} tiles")


def _require_array(name: str, array: Any, shape: tuple[int, ...], *, below: int | None = None) -> None:
    """Finite floating-point numbers, or indices ``below`` a bound, of this shape."""
    kind = np.float64 if below is None else np.int64
    if array.shape != shape or array.dtype != kind:
        raise ValueError(f"{name} is {array.dtype} of {array.shape}, not {np.dtype(kind)} of {shape}")
    if not np.isfinite(array).all() or (below is not None and not ((array >= 0) & (array < below)).all()):
        raise ValueError(f"{name} has values that are not finite, or indices out of range")


def encode_tiles(
    model: MatchingNetwork, crops: Dataset[Any], *, workers: int = 0, batch_size: int = 16, progress: bool = False
) -> MapFeatures:
    """Features of overhead crops, on the CPU; descriptors in half precision."""
    loader = Batches(crops, batch_size, workers=workers)
    with torch.inference_mode():
        parts = [
            model.encode_map(tiles.to(model.device))
            for tiles in tqdm(loader, "encoding the map", unit="batch", disable=not progress)
        ]
    descriptor = torch.cat([part.descriptor.half().cpu() for part in parts])
    return MapFeatures(descriptor, torch.cat([part.uncertainty.cpu() for part in parts]), model.map_grid)


def pitches_of(model: MatchingNetwork, pitch_error_rad: float) -> tuple[Pitch, ...]:
    """The pitches to try for an error of the described one; networks other than CVLNet take it as it is."""
    return pitches(pitch_error_rad, model.sharpness.item()) if isinstance(model, CVLNet) else (AS_DESCRIBED,)


def encode_pitched(
    model: MatchingNetwork,
    samples: Dataset[Any],
    to_try: Sequence[Pitch],
    *,
    workers: int = 0,
    batch_size: int = 4,
    progress: bool = False,
) -> tuple[PitchedClips, ...]:
    """Features of samples' clips under every pitch to try, on the CPU, in half precision."""
    loader = Batches(samples, batch_size, collate, workers=workers)
    parts: list[list[ClipFeatures]] = [[] for _ in to_try]
    with torch.inference_mode():
        for batch in tqdm(loader, "encoding clips", unit="batch", disable=not progress):
            clip = batch.clip.to(model.device)
            for part, features in zip(parts, under_pitches(model, clip, to_try), strict=True):
                part.append(
                    replace(features, descriptor=features.descriptor.half().cpu(), weight=features.weight.half().cpu())
                )
    return tuple(PitchedClips(pitch, ClipFeatures.joined(part)) for pitch, part in zip(to_try, parts, strict=True))


def under_pitches(model: MatchingNetwork, clip: Clip, to_try: Sequence[Pitch]) -> Iterator[ClipFeatures]:
    """The features of a batch of clips under every pitch; their frames are encoded once."""
    if not isinstance(model, CVLNet) or len(to_try) == 1:
        yield model.encode_clip(clip)
        return
    encoded = model.encode_frames(clip.images)
    for pitch in to_try:
        own = pitched(clip, pitch)
        yield model.describe_clips(*model.fuse_frames(encoded, own.camera, own.ground_from_cam))


def best_of(rankings: Sequence[Ranking]) -> Ranking:
    """The best of several rankings of the same queries and gallery: each tile by its highest score."""
    if len(rankings) == 1:
        return rankings[0]
    arrays = {name: np.concatenate([getattr(one, name) for one in rankings], axis=1) for name in _RANKING_ARRAYS[1:]}
    order = np.argsort(-arrays["score"], axis=1, kind="stable")
    tile = np.take_along_axis(arrays["tile"], order, axis=1)
    ranks = rankings[0].tile.shape[1]
    chosen = np.stack(
        [
            row[np.sort(np.unique(of_query, return_index=True)[1])[:ranks]]
            for row, of_query in zip(order, tile, strict=True)
        ]
    )
    best = {name: values[np.arange(len(chosen))[:, None], chosen] for name, values in arrays.items()}
    return replace(rankings[0], **best)


def rank(
    model: MatchingNetwork,
    clips: Sequence[PitchedClips],
    queries: I64,
    tiles: MapFeatures,
    gallery: I64,
    tile_xy_m: F64,
    *,
    tile_turn_rad: F64 | float = 0.0,
    decode: Callable[[ScoreVolume, float], Decoded] = ScoreVolume.decode,
    progress: bool = False,
) -> Ranking:
    """Match the chosen clips with the chosen tiles, block by block on the model's device, and keep the best of each.

    Every tile counts by its best pitch, less the penalty of that. queries and gallery: indices into the clips and the
    tiles. tile_xy_m: centres of all tiles, [tiles, 2]. tile_turn_rad: of true north there, counter-clockwise on the
    axes of these centres. decode: reads a score volume, given the model's sharpness.
    """
    ranks = min(RANKS, len(gallery))
    rankings = []
    for under in clips:
        blocks = tqdm(list(_blocks(queries)), "matching", unit="block", disable=not progress)
        with torch.inference_mode():
            parts = [
                _best(model, _take_clips(under.features, rows, model.device), tiles, gallery, ranks, decode)
                for rows in blocks
            ]
        place, score, offset_m, covariance_m2 = (torch.cat(arrays).numpy() for arrays in zip(*parts, strict=True))
        tile = gallery[place]
        turn = _rotations(np.broadcast_to(tile_turn_rad, len(tile_xy_m))[tile])
        xy_m = tile_xy_m[tile] + (turn @ offset_m[..., None])[..., 0]
        covariance_m2 = turn @ covariance_m2 @ turn.swapaxes(-1, -2)
        rankings.append(
            Ranking(queries, tile, score.astype(float) - under.pitch.penalty, xy_m, covariance_m2, len(gallery))
        )
    return best_of(rankings)


def _best(
    model: MatchingNetwork,
    clips: ClipFeatures,
    tiles: MapFeatures,
    gallery: I64,
    ranks: int,
    decode: Callable[[ScoreVolume, float], Decoded],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The best places in the gallery for each clip, with their scores, offsets and covariances."""
    sharpness = float(model.sharpness)
    blocks = (_take_tiles(tiles, rows, model.device) for rows in _blocks(gallery))
    decoded = [decode(match(clips, block), sharpness) for block in blocks]
    score = torch.cat([part.score for part in decoded], dim=1)
    offset_m = torch.cat([part.offset_m for part in decoded], dim=1)
    covariance_m2 = torch.cat([part.covariance_m2 for part in decoded], dim=1)
    best, place = score.topk(ranks, dim=1)
    row = torch.arange(len(place), device=place.device).unsqueeze(1)
    return place.cpu(), best.cpu(), offset_m[row, place].cpu(), covariance_m2[row, place].cpu()


def _samples(split: Split, clip_spec: ClipSpec, model: MatchingNetwork, cache: ImageCache | None) -> ClipTileSamples:
    return ClipTileSamples(split, read_recordings(split), clip_spec, model.tile_grid, cache=cache)


def _chosen_samples(
    parts: Sequence[ClipTileSamples], queries: Mapping[str, tuple[ClipTileSamples, int]]
) -> Dataset[Any]:
    subsets = [Subset(part, [i for owner, i in queries.values() if owner is part]) for part in parts]
    return ConcatDataset([subset for subset in subsets if len(subset)])


def _rotations(turn_rad: F64) -> F64:
    """Matrices that turn counter-clockwise, [*batch, 2, 2]."""
    cos, sin = np.cos(turn_rad), np.sin(turn_rad)
    return np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=-2)


def convergences_rad(frame: LocalFrame, xy_m: F64) -> F64:
    """How far true north is turned at places, counter-clockwise on the frame's axes."""
    return np.array([frame.convergence_rad((east_m, north_m)) for east_m, north_m in xy_m.tolist()])


def _truth(queries: Iterable[tuple[ClipTileSamples, int]], frame: LocalFrame) -> tuple[F64, F64]:
    """True positions (east, north) and headings of queries, on the frame's axes."""
    latlon_deg, yaw_rad = [], []
    for part, i in queries:
        query = part.queries[i]
        taken = part.recordings[query.recording].frame(query.frame)
        assert taken is not None  # samples have whole clips
        latlon_deg.append(taken.position.degrees)
        yaw_rad.append(taken.yaw_rad)
    xy_m = frame.xy_world_m(np.array(latlon_deg))
    return xy_m, np.array(yaw_rad) + convergences_rad(frame, xy_m)


def _spread(count: int, most: int | None) -> list[int]:
    if most is None or count <= most:
        return list(range(count))
    return [round(i * (count - 1) / max(most - 1, 1)) for i in range(most)]


def _blocks(indices: I64) -> Iterator[I64]:
    for start in range(0, len(indices), _BLOCK):
        yield indices[start : start + _BLOCK]


def _take_clips(clips: ClipFeatures, rows: I64, device: torch.device) -> ClipFeatures:
    index = torch.from_numpy(rows)
    descriptor, weight = (tensor[index].to(device).float() for tensor in (clips.descriptor, clips.weight))
    return ClipFeatures(descriptor, weight, clips.grid)


def _take_tiles(tiles: MapFeatures, rows: I64, device: torch.device) -> MapFeatures:
    index = torch.from_numpy(rows)
    return MapFeatures(tiles.descriptor[index].to(device).float(), tiles.uncertainty[index].to(device), tiles.grid)


def _degrees(tile: Tile) -> tuple[float, float]:
    return tile.center.latitude_deg, tile.center.longitude_deg
