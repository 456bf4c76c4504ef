"""Where the overhead tiles lie: at measured positions of the car, and as distractors on streets it never drove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cvlnet.arrays import Xy
from cvlnet.grid import Grid
from cvlnet.town.curves import arc_length_m, resample
from cvlnet.town.dataset.survey import Town
from cvlnet.town.drive.routes import allowed_half_m
from cvlnet.town.presets import TownConfig, role_of_seed
from cvlnet.town.streams import stream

Use = Literal["train", "test"]

FIRST_QUERY = 9  # the first frame that completes a clip of four frames, three apart
DISTRACTORS_PER_TILE = 2.5
UNDRIVEN_M = 15.0  # distractors keep this distance from all queries


@dataclass(frozen=True)
class PlacedTile:
    """A tile of the overhead map: its drive, its centre, and the frame that it is named after.

    frame is None for a distractor. center_xy_m is a corner of the map's pixels, so that tiles are cropped
    without resampling.
    """

    drive: int
    frame: int | None
    center_xy_m: tuple[float, float]
    latitude: str
    longitude: str


def use_of_drive(config: TownConfig, number: int) -> Use:
    """The last drive of a training town is held out for testing, and so are all drives of other towns."""
    held_out = role_of_seed(config.seed) != "train" or (config.drives > 1 and number == config.drives - 1)
    return "test" if held_out else "train"


def map_grid(config: TownConfig) -> Grid:
    """Pixel grid of the overhead map: the town's square with a margin of half a tile."""
    half_px = int(np.ceil((config.size_m + config.tile_size_m) / 2 / config.overhead_m_per_px))
    return Grid(2 * half_px, 2 * half_px, config.overhead_m_per_px)


def tile_px(config: TownConfig) -> int:
    """Width and height of a tile; even, so that its centre is a corner of the map's pixels."""
    return 2 * round(config.tile_size_m / config.overhead_m_per_px / 2)


def query_tiles(town: Town, number: int, first_query: int = FIRST_QUERY) -> tuple[PlacedTile, ...]:
    """Tiles at query frames, one every ``tile_gap_m`` along a drive, and one at its end."""
    xy = town.measured_motions[number].xyz_m[:, :2]
    way_m = arc_length_m(town.true_motions[number].xyz_m[:, :2])
    queries, gap_m = query_frames(town.config, len(xy), first_query), town.config.tile_gap_m
    chosen: list[int] = []
    for frame in queries:
        if not chosen or way_m[frame] >= way_m[chosen[-1]] + gap_m:
            chosen.append(frame)
    if queries and way_m[queries[-1]] > way_m[chosen[-1]] + gap_m / 2:
        chosen.append(queries[-1])
    return tuple(_placed(town, number, frame, xy[frame]) for frame in chosen)


def query_frames(config: TownConfig, count: int, first_query: int = FIRST_QUERY) -> list[int]:
    """Frames of a drive that are drawn and complete a clip."""
    return [frame for frame in range(0, count, config.frame_step) if frame >= first_query]


def nearest_tiles(
    town: Town, number: int, tiles: tuple[PlacedTile, ...], first_query: int = FIRST_QUERY
) -> list[tuple[int, PlacedTile]]:
    """Every query frame of a drive with its nearest tile."""
    centers = np.array([t.center_xy_m for t in tiles])
    xy = town.measured_motions[number].xyz_m[:, :2]
    frames = query_frames(town.config, len(xy), first_query)
    nearest = np.hypot(*(xy[frames, None] - centers).transpose(2, 0, 1)).argmin(1)
    return [(frame, tiles[k]) for frame, k in zip(frames, nearest, strict=True)]


def distractors(town: Town, tiles: tuple[PlacedTile, ...]) -> tuple[PlacedTile, ...]:
    """Tiles on streets without queries, for the gallery of Test-2; assigned in turn to the drives of ``tiles``."""
    if not tiles:
        return ()
    config, roads = town.config, town.blueprint.network.roads
    places = np.concatenate([resample(road.xy_m, config.tile_gap_m) for road in roads])
    places = places[(np.abs(places) < allowed_half_m(config)).all(1)]
    queried = np.concatenate([town.true_motions[d].xyz_m[:, :2] for d in sorted({t.drive for t in tiles})])
    away_m = np.array([np.hypot(*(queried - place).T).min() for place in places])
    places = places[away_m > UNDRIVEN_M]
    rng = stream(config.seed, "distractors")
    chosen = rng.permutation(len(places))[: int(np.ceil(DISTRACTORS_PER_TILE * len(tiles)))]
    return tuple(_placed(town, tiles[i % len(tiles)].drive, None, places[k]) for i, k in enumerate(chosen))


def _placed(town: Town, drive: int, frame: int | None, xy_m: Xy) -> PlacedTile:
    pixel_m = town.config.overhead_m_per_px
    center = np.round(xy_m / pixel_m) * pixel_m
    latitude, longitude = (f"{value:.12f}" for value in town.frame.latlon_deg(center))
    return PlacedTile(drive, frame, (float(center[0]), float(center[1])), latitude, longitude)
