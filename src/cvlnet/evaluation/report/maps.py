"""Interactive maps of the fixes: what the page needs to draw them, in metres from a picture's north-west corner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from cvlnet.arrays import F64, U8
from cvlnet.data.images import read_image
from cvlnet.data.kitti_cvl import Split
from cvlnet.data.recording import Recording
from cvlnet.evaluation.best_fixes import BestFixes
from cvlnet.evaluation.predict import Predictions
from cvlnet.evaluation.report.mosaic import areas, grid_around, stitched
from cvlnet.evaluation.report.sheets import ellipse_of
from cvlnet.evaluation.report.theme import error_class
from cvlnet.geo import LocalFrame
from cvlnet.grid import Grid
from cvlnet.io.files import written_whole

MOST_AREAS = 6
LONGEST_PX = 1800
JPEG_QUALITY = 85
THUMBNAIL_PX = 520
_GAP_M = 20.0  # the line of the true track is broken where the next query is farther


@dataclass(frozen=True)
class FixMap:
    """One area. picture: relative to the page. tracks: points of the true way. fixes: a plain mapping each, see `mark`.

    bar_m: a round length for the scale. start: the fix that is shown at first, one with the median error.
    """

    picture: str
    width_m: float
    height_m: float
    bar_m: float
    start: int
    tracks: tuple[str, ...]
    fixes: tuple[Mapping[str, Any], ...]


def fix_maps(
    out: Path, predictions: Predictions, fixes: BestFixes, split: Split, thumbnails: Mapping[str, str]
) -> tuple[FixMap, ...]:
    """The areas with most queries; their pictures are written into ``out / "map"``.

    thumbnails: pictures of queries by id, relative to the page. Raises InputError if a tile cannot be read.
    """
    frame = LocalFrame(predictions.anchor)
    tiles = list(split.tiles.values())
    tile_xy_m = frame.xy_world_m([(tile.center.latitude_deg, tile.center.longitude_deg) for tile in tiles])
    places_m = np.concatenate([fixes.true_xy_m, tile_xy_m])
    is_query = np.arange(len(places_m)) < len(fixes)
    maps = []
    for number, members in enumerate(areas(places_m, is_query)[:MOST_AREAS]):
        grid = grid_around(places_m[members], LONGEST_PX)
        rows, nearby = members[members < len(fixes)].tolist(), members[members >= len(fixes)] - len(fixes)
        picture = f"map/area-{number}.jpg"
        write_jpeg(out / picture, stitched([tiles[i] for i in nearby], grid, frame))
        ids = {row: predictions.query_ids[fixes.query[row]] for row in rows}
        maps.append(_fix_map(picture, grid, fixes, ids, thumbnails))
    return tuple(maps)


def _fix_map(
    picture: str, grid: Grid, fixes: BestFixes, ids: Mapping[int, str], thumbnails: Mapping[str, str]
) -> FixMap:
    """One area. ids: of its queries, by row of the fixes."""
    rows = list(ids)
    width_m, height_m = grid.size_m
    return FixMap(
        picture=picture,
        width_m=width_m,
        height_m=height_m,
        bar_m=_round_length(width_m / 5),
        start=int(np.argsort(fixes.error_m[rows])[len(rows) // 2]),
        tracks=_tracks(from_corner(grid, fixes.true_xy_m[rows]), list(ids.values())),
        fixes=tuple(mark(fixes, row, query_id, grid, thumbnails) for row, query_id in ids.items()),
    )


def mark(fixes: BestFixes, row: int, query_id: str, grid: Grid, thumbnails: Mapping[str, str]) -> dict[str, Any]:
    """One fix for the page: places from the picture's corner (x right, y down), the ellipse, and what to say of it."""
    (x_m, y_m), (true_x_m, true_y_m) = from_corner(grid, np.stack([fixes.xy_m[row], fixes.true_xy_m[row]])).tolist()
    half_axes_m, turn_deg = ellipse_of(fixes.covariance_m2[row])
    ahead_m, left_m = fixes.ahead_left_m[row].tolist()
    return {
        "id": query_id,
        "picture": thumbnails.get(query_id),
        "x": round(x_m, 2),
        "y": round(y_m, 2),
        "true_x": round(true_x_m, 2),
        "true_y": round(true_y_m, 2),
        "yaw_deg": round(float(np.degrees(fixes.yaw_rad[row])), 1),
        "group": error_class(float(fixes.error_m[row])),
        "error_m": round(float(fixes.error_m[row]), 1),
        "ahead_m": round(ahead_m, 1),
        "left_m": round(left_m, 1),
        "half_axes_m": [round(float(half), 2) for half in half_axes_m],
        "turn_deg": round(turn_deg, 1),
        "score": round(float(fixes.score[row]), 3),
        "margin": round(float(fixes.margin[row]), 3),
    }


def from_corner(grid: Grid, xy_m: F64) -> F64:
    """Metres right and down from the outer north-west corner of a grid, [n, 2]."""
    cells = grid.row_col(torch.from_numpy(np.ascontiguousarray(xy_m))).numpy()
    return np.asarray((cells[:, ::-1] + 0.5) * grid.cell_m)


def write_thumbnails(
    out: Path, query_ids: tuple[str, ...], recordings: Mapping[str, Recording], camera_id: int
) -> dict[str, str]:
    """Small pictures of queries' newest frames in ``out / "frames"``; returns their paths in ``out``, by id."""
    paths = {}
    for query_id in query_ids:
        recording, _, number = query_id.rpartition("/")
        frame = recordings[recording].frame(int(number))
        assert frame is not None  # queries have frames
        picture = f"frames/{query_id.replace('/', '-')}.jpg"
        image = read_image(frame.images[camera_id])
        height_px = round(image.shape[0] * THUMBNAIL_PX / image.shape[1])
        small = cv2.resize(image, (THUMBNAIL_PX, height_px), interpolation=cv2.INTER_AREA)
        write_jpeg(out / picture, np.asarray(small, dtype=np.uint8))
        paths[query_id] = picture
    return paths


def write_jpeg(path: Path, rgb: U8) -> None:
    """Write a JPEG, whole or not at all."""
    encoded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    with written_whole(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _tracks(xy_m: F64, query_ids: list[str]) -> tuple[str, ...]:
    """The true way as SVG points, a line for each stretch that was driven without a gap."""
    order = sorted(range(len(query_ids)), key=lambda i: query_ids[i])
    lines = []
    for _, run in groupby(order, key=lambda i: query_ids[i].rpartition("/")[0]):
        rows = list(run)
        steps_m = np.linalg.norm(np.diff(xy_m[rows], axis=0), axis=-1)
        for part in np.split(np.array(rows), np.flatnonzero(steps_m > _GAP_M) + 1):
            lines.append(" ".join(f"{x:.1f},{y:.1f}" for x, y in xy_m[part]))
    return tuple(lines)


def _round_length(length_m: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not longer."""
    power = 10.0 ** np.floor(np.log10(length_m))
    return float(max(step for step in (1, 2, 5) if step * power <= length_m) * power)
