"""Controls of an evaluation: what is found without information, so that a figure shows what pictures and map add.

Three controls take a sense away from the network: pictures that show nothing, pictures of another drive, a map whose
tiles have changed places. Three know no picture at all and guess: any place on the map, any place on a road, any place
on a road that leads where the vehicle does. The last two need the label maps of a synthetic town.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import radians
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float64, UInt8
from scipy.spatial import cKDTree
from torch.utils.data import Dataset

from cvlnet.arrays import F64, I64
from cvlnet.data.label_maps import label_shares, read_label_map
from cvlnet.data.samples import Sample
from cvlnet.evaluation.predict import RANKS, Encoded, Predictions, Ranking, encode_pitched
from cvlnet.geo import LocalFrame
from cvlnet.grid import Grid
from cvlnet.labels import Label
from cvlnet.model.confidence import Confidence
from cvlnet.model.network import MatchingNetwork

ALONG_RAD = radians(10.0)  # between a vehicle's heading and a road that it may stand on
_ROAD_CELL_M = 1.0
_AROUND_PX = 15  # whose edges of the road say where it leads
_GRAY = 127


@dataclass(frozen=True)
class Replaced(Dataset[Sample]):
    """Samples whose pictures are those of other samples, or show nothing; all else is their own.

    other: for each sample the one whose pictures it takes; None for pictures of an even gray.
    """

    samples: Dataset[Sample]
    other: I64 | None

    def __len__(self) -> int:
        return len(self.samples)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Sample:
        sample = self.samples[index]
        images = sample.clip.images
        if self.other is None:
            images = torch.full_like(images, _GRAY)
        else:
            images = self.samples[int(self.other[index])].clip.images
        return replace(sample, clip=replace(sample.clip, images=images))


def controlled(
    model: MatchingNetwork,
    root: Path,
    encoded: Encoded,
    confidence: Confidence | None,
    *,
    workers: int = 0,
    progress: bool = False,
) -> Mapping[str, Predictions]:
    """What is predicted without information, by the name of each control; those that the data set has not are left out.

    root: of the data set. confidence: of the network; only pictures that show nothing have one, because all other
    pictures may show another place of the map.
    """
    blank = encode_pitched(model, Replaced(encoded.samples, None), encoded.pitches, workers=workers, progress=progress)
    answered = encoded.answered(replace(encoded, clips=blank).rankings(model))
    found = {"pictures that show nothing": replace(answered, confidence=confidence)}
    other = of_another_drive([query.recording for query in encoded.queries])
    if other is not None:
        clips = encode_pitched(
            model, Replaced(encoded.samples, other), encoded.pitches, workers=workers, progress=progress
        )
        found["pictures of another drive"] = encoded.answered(replace(encoded, clips=clips).rankings(model))
    found["tiles of the map in another order"] = encoded.answered(shuffled(encoded).rankings(model))
    reach_m = model.window_cells * model.map_grid.cell_m
    return found | {name: encoded.answered(drawn) for name, drawn in guesses(root, encoded, reach_m).items()}


def of_another_drive(drives: list[str]) -> I64 | None:
    """For each query one of another drive, evenly chosen; None if there is but one drive."""
    rng, of = np.random.default_rng(0), np.array(drives)
    if len(set(drives)) < 2:
        return None
    return np.array([rng.choice(np.flatnonzero(of != drive)) for drive in drives])


def shuffled(encoded: Encoded) -> Encoded:
    """The same with tiles that have the features of others."""
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(encoded.tile_xy_m)))
    tiles = encoded.tiles
    return replace(
        encoded, tiles=replace(tiles, descriptor=tiles.descriptor[order], uncertainty=tiles.uncertainty[order])
    )


def guesses(root: Path, encoded: Encoded, reach_m: float) -> Mapping[str, Mapping[str, Ranking]]:
    """Guesses by name and split: places drawn at random among those that the gallery's tiles reach.

    reach_m: of a tile to each side of its centre. Those about roads are left out where a town has no label map.
    """
    roads = [Roads.of(root, date, encoded) for date in sorted({query.date for query in encoded.queries})]
    found: dict[str, dict[str, Ranking]] = {"any place": {}}
    for name, rows in encoded.rows.items():
        gallery = encoded.galleries[name]
        rng = np.random.default_rng(0)
        tile = rng.choice(gallery, (len(rows), RANKS))
        found["any place"][name] = _drawn(
            rows, tile, encoded.tile_xy_m[tile] + rng.uniform(-reach_m, reach_m, (*tile.shape, 2)), len(gallery)
        )
        if any(road is None for road in roads):
            continue
        xy_m = np.concatenate([road.xy_m for road in roads if road is not None])
        axis_rad = np.concatenate([road.axis_rad for road in roads if road is not None])
        away_m, nearest = cKDTree(encoded.tile_xy_m[gallery]).query(xy_m, p=np.inf)
        reached = away_m <= reach_m
        xy_m, axis_rad, tiles = xy_m[reached], axis_rad[reached], gallery[nearest[reached]]
        for control, width_rad in (
            ("any place on a road", np.pi),
            ("any place on a road along the heading", ALONG_RAD),
        ):
            allowed = [np.flatnonzero(between_rad(axis_rad, yaw_rad) <= width_rad) for yaw_rad in encoded.yaw_rad[rows]]
            if all(len(places) for places in allowed):
                drawn = np.stack([rng.choice(places, RANKS) for places in allowed])
                found.setdefault(control, {})[name] = _drawn(rows, tiles[drawn], xy_m[drawn], len(gallery))
    return found


@dataclass(frozen=True)
class Roads:
    """Places on the roads of a town, a metre apart, around the anchor of the predictions.

    axis_rad: in which direction the road leads there, or the other way.
    """

    xy_m: Float64[np.ndarray, "places 2"]
    axis_rad: Float64[np.ndarray, " places"]

    @staticmethod
    def of(root: Path, date: str, encoded: Encoded) -> Roads | None:
        """Those of a date's town; None where it has no label map. Raises InputError if the map is damaged."""
        labels = read_label_map(root, date)
        if labels is None:
            return None
        corner_m = LocalFrame(labels.center).xy_world_m(labels.raster.latlon_deg(np.zeros(2)))
        cols, rows = (2 * int(half_m / _ROAD_CELL_M) for half_m in np.abs(corner_m))
        grid = Grid(rows, cols, _ROAD_CELL_M)
        share = label_shares(labels, labels.center, grid)[Label.ROAD].numpy()
        on_road = share > _GRAY
        own_m = grid.cell_centers_xy_m().numpy()[on_road]
        xy_m = LocalFrame(encoded.anchor).xy_world_m(LocalFrame(labels.center).latlon_deg(own_m))
        return Roads(xy_m, axes_rad(share)[on_road])


def axes_rad(share: UInt8[np.ndarray, "rows cols"]) -> Float64[np.ndarray, "rows cols"]:
    """The direction in which something long leads, counter-clockwise from east, or the other way."""
    found = cv2.cornerEigenValsAndVecs(share, _AROUND_PX, 3)  # larger value, smaller one, and their vectors (x, y)
    first = found[..., 0] < found[..., 1]
    x, y = np.where(first, found[..., 2], found[..., 4]), np.where(first, found[..., 3], found[..., 5])
    return np.asarray(np.arctan2(-y, x), dtype=np.float64)


def between_rad(axis_rad: F64, yaw_rad: float) -> F64:
    """The angle between a heading and axes, 0 to a quarter turn."""
    apart_rad = np.abs(axis_rad - yaw_rad) % np.pi
    return np.asarray(np.minimum(apart_rad, np.pi - apart_rad))


def _drawn(rows: I64, tile: I64, xy_m: F64, gallery_size: int) -> Ranking:
    """A ranking of places that were drawn, of which each is as good as any other."""
    score = np.broadcast_to(np.linspace(1, 0, tile.shape[1]), tile.shape).copy()
    covariance_m2 = np.broadcast_to(np.eye(2), (*tile.shape, 2, 2)).copy()
    ranks = min(tile.shape[1], gallery_size)
    return Ranking(rows, tile[:, :ranks], score[:, :ranks], xy_m[:, :ranks], covariance_m2[:, :ranks], gallery_size)
