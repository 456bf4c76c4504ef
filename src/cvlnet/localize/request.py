"""Localization as it is asked for on the command line: files in, an answer out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cvlnet.config import WAY_M
from cvlnet.data.clips import ClipSpec, assemble_clip, warn_if_short
from cvlnet.data.folder import read_folder
from cvlnet.data.georef import open_overhead
from cvlnet.data.imagery import Imagery
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.data.raster_file import RasterHints
from cvlnet.data.recording import Recording
from cvlnet.data.text import ranges
from cvlnet.errors import InputError, warn
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.localize.answer import Answer, to_geojson, to_json, write_json
from cvlnet.localize.localizer import Localizer
from cvlnet.localize.picture import draw
from cvlnet.localize.region import NEAR_M, Region, region_origin
from cvlnet.localize.search import MOST_FIXES

_FAR_M = 10_000.0  # between the middle of a map and a clip that is to be found on it


@dataclass(frozen=True)
class ClipFiles:
    """A clip by its files: either a KITTI drive, of which the truth is known, or a video folder of one's own.

    frame: number of the newest frame; None takes the last one that has a picture. camera: of KITTI, 2 left, 3 right.
    frames, way_m, step: as `ClipSpec` has them.
    """

    drive: Path | None = None
    folder: Path | None = None
    frame: int | None = None
    frames: int = 4
    way_m: float = WAY_M
    camera: int = 2
    step: int | None = None


@dataclass(frozen=True)
class MapFiles:
    """An overhead image and how it is searched, see `encode_region`.

    region: keeps the encoded map between calls. hints: what the image does not say of itself.
    """

    image: Path
    near: LatLon | None = None
    radius_m: float = NEAR_M
    region: Path | None = None
    hints: RasterHints = RasterHints()  # noqa: RUF009


def answer(
    localizer: Localizer, clip_files: ClipFiles, map_files: MapFiles, *, most: int = MOST_FIXES, progress: bool = False
) -> Answer:
    """Localize a clip. Raises InputError as the readers and `encode_region` do."""
    recording = _recording(clip_files)
    newest = _last_frame(recording, clip_files.camera) if clip_files.frame is None else clip_files.frame
    spec = ClipSpec(
        localizer.model.image_spec, clip_files.frames, clip_files.way_m, (clip_files.camera,), clip_files.step
    )
    clip = assemble_clip(recording, newest, spec)
    warn_if_short(recording, newest, spec)
    image = open_overhead(map_files.image, map_files.hints)
    frame = recording.frame(newest)
    truth = frame.position if frame is not None and clip_files.drive is not None else None
    if truth is not None:
        _warn_if_far(truth, image)
    region = _region(localizer, image, map_files, progress)
    return localizer.locate(clip, image, region=region, most=most, truth=truth)


def write_answer(found: Answer, out: Path) -> None:
    """Write answer.json, answer.geojson and answer.png into a folder."""
    write_json(to_json(found), out / "answer.json")
    write_json(to_geojson(found), out / "answer.geojson")
    draw(found, out / "answer.png")


def _recording(files: ClipFiles) -> Recording:
    if (files.drive is None) == (files.folder is None):
        remedy = "give one of them: a KITTI drive, or a folder with frames, camera.json and poses"
        raise InputError("one clip is localized at a time", where="--drive, --folder", remedy=remedy)
    return read_folder(files.folder) if files.folder is not None else read_recording(files.drive or Path())


def _last_frame(recording: Recording, camera: int) -> int:
    """The last frame with a picture whose position can be used; a warning tells if there are later ones."""
    pictured = [frame.index for frame in recording.frames if camera in frame.images]
    if not pictured:
        raise InputError(f"has no picture of camera {camera}", where=recording.name, remedy="add the drive's pictures")
    later = [number for number in recording.left_out if number > pictured[-1]]
    if later:
        what = f"frame {pictured[-1]} is located, the last one whose position can be used"
        warn(what, where=recording.name, remedy=f"correct the position of frame {ranges(later)}, if it is meant")
    return pictured[-1]


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


def _warn_if_far(clip_place: LatLon, image: Imagery) -> None:
    """A clip whose own positions lie in another region than the map hints at a wrong georeference."""
    away_m = float(np.linalg.norm(LocalFrame(clip_place).xy_world_m(image.center.degrees)))
    if away_m > _FAR_M:
        what = f"the map lies {away_m / 1000:,.0f} km from where the clip was taken"
        warn(what, where=image.source, remedy="check how the map is georeferenced")
