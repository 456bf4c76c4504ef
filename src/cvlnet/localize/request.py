"""Localization as the command line asks for it: files in, an answer out."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, radians
from pathlib import Path

import numpy as np

from cvlnet.config import PITCH_ERROR_DEG, ClipFiles, RasterHints
from cvlnet.data.odometry import has_headings
from cvlnet.data.recording import Recording
from cvlnet.errors import InputError, warn
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.imagery.georef import open_overhead
from cvlnet.io.outputs import write_json
from cvlnet.localize.answer import Answer, to_geojson, to_json
from cvlnet.localize.area import MapArea
from cvlnet.localize.clip_files import clip_of, recording_of
from cvlnet.localize.localizer import Localizer
from cvlnet.localize.picture import draw
from cvlnet.localize.search import MOST_FIXES
from cvlnet.localize.turned import Heading
from cvlnet.map.region import NEAR_M
from cvlnet.map.store import Map, is_map
from cvlnet.types import Clip

_FAR_M = 10_000.0  # between the middle of a map and a clip that is to be found on it


@dataclass(frozen=True)
class MapFiles:
    """An overhead image, or a folder of ``cvlnet map build``, and the part of it that is searched.

    hints: properties that an image file does not state. indexed: whether the map's index chooses candidates, instead of
    every place being compared.
    """

    path: Path
    near: LatLon | None = None
    radius_m: float = NEAR_M
    hints: RasterHints = RasterHints()
    indexed: bool = False


def answer(
    localizer: Localizer,
    clip_files: ClipFiles,
    map_files: MapFiles,
    *,
    heading: Heading = Heading(),
    pitch_error_rad: float = radians(PITCH_ERROR_DEG),
    most: int = MOST_FIXES,
    progress: bool = False,
) -> Answer:
    """Localize a clip. Raises InputError as the readers and `Localizer` do."""
    recording = recording_of(clip_files)
    _warn_if_relative(recording, heading)
    clip, recorded_at = clip_of(recording, clip_files, localizer.model.image_spec)
    truth = None if clip_files.drive is None else recorded_at
    near, radius_m = map_files.near, map_files.radius_m
    if is_map(map_files.path):
        if map_files.indexed:
            source = Map.open(map_files.path)
            _warn_if_far(recorded_at, source.center, map_files.path)
            return _indexed(localizer, clip, source, map_files, heading, pitch_error_rad, most, truth)
        area = area_of(localizer, map_files)
        _warn_if_far(recorded_at, area.map.center, map_files.path)
        return localizer.locate_on(clip, area, heading=heading, pitch_error_rad=pitch_error_rad, most=most, truth=truth)
    if map_files.indexed:
        remedy = "make one by cvlnet map build and cvlnet map index"
        raise InputError("is no map with an index", where=map_files.path, remedy=remedy)
    image = open_overhead(map_files.path, map_files.hints)
    _warn_if_far(recorded_at, image.center, image.source)
    region = localizer.encode(image, near=near, radius_m=radius_m, progress=progress)
    return localizer.locate(
        clip, image, region=region, heading=heading, pitch_error_rad=pitch_error_rad, most=most, truth=truth
    )


def area_of(localizer: Localizer, files: MapFiles) -> MapArea:
    """The part of a map on disk that is searched. Raises InputError for hints, which a map does not need."""
    _require_no_hints(files)
    return localizer.area(files.path, near=files.near, radius_m=files.radius_m)


def _require_no_hints(files: MapFiles) -> None:
    if files.hints != RasterHints():
        remedy = "leave them out; they belong to the map's imagery"
        raise InputError("a map needs no hints about an image", where=files.path, remedy=remedy)


def _indexed(
    localizer: Localizer,
    clip: Clip,
    source: Map,
    files: MapFiles,
    heading: Heading,
    pitch_error_rad: float,
    most: int,
    truth: LatLon | None,
) -> Answer:
    """Localize a clip by the index of a map."""
    from cvlnet.index.area import Circle
    from cvlnet.localize.indexed import open_indexed

    _require_no_hints(files)
    within = None
    if files.near is not None:
        east_m, north_m = source.frame.xy_world_m(files.near.degrees).tolist()
        within = Circle((east_m, north_m), files.radius_m)
    return localizer.locate_indexed(
        clip,
        open_indexed(localizer.model, source),
        source,
        within=within,
        heading=heading,
        pitch_error_rad=pitch_error_rad,
        most=most,
        truth=truth,
    )


def write_answer(found: Answer, out: Path) -> None:
    """Write answer.json, answer.geojson and answer.png into a folder."""
    write_json(to_json(found), out / "answer.json")
    write_json(to_geojson(found), out / "answer.geojson")
    draw(found, out / "answer.png")


def _warn_if_relative(recording: Recording, heading: Heading) -> None:
    """Warn if the recorded headings are taken as they are, and may be counted from that of the first frame."""
    as_recorded = heading.middle_rad is None and heading.width_rad < pi
    if as_recorded and not has_headings(recording):
        what = "its headings begin at 0, as those of wheel and visual odometry do, and are taken to count from east"
        remedy = 'give --heading unknown, or "90±20", unless the vehicle faces east at first'
        warn(what, where=recording.name, remedy=remedy)


def _warn_if_far(recorded_at: LatLon | None, middle: LatLon, source: Path) -> None:
    """Warn if the map lies far from the recorded position: the map's georeference, or the position, is wrong."""
    if recorded_at is None:
        return
    away_m = float(np.linalg.norm(LocalFrame(recorded_at).xy_world_m(middle.degrees)))
    if away_m > _FAR_M:
        what = f"the map lies {away_m / 1000:,.0f} km from where the clip was taken"
        remedy = "check how the map is georeferenced, and the clip's latitude and longitude"
        warn(what, where=source, remedy=remedy)
