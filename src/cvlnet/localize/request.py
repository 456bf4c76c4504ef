"""Localization as the command line asks for it: files in, an answer out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cvlnet.config import ClipFiles, RasterHints
from cvlnet.errors import InputError, warn
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.overhead import Imagery
from cvlnet.localize.answer import Answer, to_geojson, to_json, write_json
from cvlnet.localize.clip_files import read_clip
from cvlnet.localize.localizer import Localizer
from cvlnet.localize.picture import draw
from cvlnet.localize.search import MOST_FIXES
from cvlnet.map.region import NEAR_M, Region, region_origin

_FAR_M = 10_000.0  # between the middle of a map and a clip that is to be found on it


@dataclass(frozen=True)
class MapFiles:
    """An overhead image and the part of it that is searched, as in `encode_region`.

    region: file that keeps the encoded map between calls. hints: properties that the image file does not state.
    """

    image: Path
    near: LatLon | None = None
    radius_m: float = NEAR_M
    region: Path | None = None
    hints: RasterHints = RasterHints()


def answer(
    localizer: Localizer, clip_files: ClipFiles, map_files: MapFiles, *, most: int = MOST_FIXES, progress: bool = False
) -> Answer:
    """Localize a clip. Raises InputError as the readers and `encode_region` do."""
    clip, recorded_at = read_clip(clip_files, localizer.model.image_spec)
    image = open_overhead(map_files.image, map_files.hints)
    if recorded_at is not None:
        _warn_if_far(recorded_at, image)
    region = _region(localizer, image, map_files, progress)
    truth = None if clip_files.drive is None else recorded_at
    return localizer.locate(clip, image, region=region, most=most, truth=truth)


def write_answer(found: Answer, out: Path) -> None:
    """Write answer.json, answer.geojson and answer.png into a folder."""
    write_json(to_json(found), out / "answer.json")
    write_json(to_geojson(found), out / "answer.geojson")
    draw(found, out / "answer.png")


def _region(localizer: Localizer, image: Imagery, files: MapFiles, progress: bool) -> Region:
    """Encode the image, or take the region that is kept from an earlier call."""
    near, radius_m = files.near, files.radius_m
    if files.region is not None and files.region.exists():
        region = Region.load(files.region)
        if region.origin != region_origin(localizer.model, image, near=near, radius_m=radius_m):
            raise InputError(
                "the map kept there was made from another image, with other weights or settings",
                where=files.region,
                remedy="delete it, or name another file",
            )
        return region
    region = localizer.encode(image, near=near, radius_m=radius_m, progress=progress)
    if files.region is not None:
        region.save(files.region)
    return region


def _warn_if_far(recorded_at: LatLon, image: Imagery) -> None:
    """Warn if the map lies far from the recorded position: the map's georeference, or the position, is wrong."""
    away_m = float(np.linalg.norm(LocalFrame(recorded_at).xy_world_m(image.center.degrees)))
    if away_m > _FAR_M:
        what = f"the map lies {away_m / 1000:,.0f} km from where the clip was taken"
        remedy = "check how the map is georeferenced, and the clip's latitude and longitude"
        warn(what, where=image.source, remedy=remedy)
