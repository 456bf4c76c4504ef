"""Localization as it is asked for on the command line: files in, an answer out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from cvlnet.checkpoint import load_model
from cvlnet.confidence import for_prior
from cvlnet.config import WAY_M, Precision
from cvlnet.data.clips import ClipSpec, assemble_clip
from cvlnet.data.folder import read_folder
from cvlnet.data.georef import open_overhead
from cvlnet.data.imagery import OverheadImage
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.data.recording import Recording
from cvlnet.device import named_device
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.localize.answer import Answer, to_geojson, to_json, write_json
from cvlnet.localize.picture import draw
from cvlnet.localize.region import NEAR_M, Region, encode_region, region_origin
from cvlnet.localize.search import MOST_FIXES, distinct, search
from cvlnet.model.cvlnet import CVLNet


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
    """An overhead image and how it is searched, see `encode_region`. region: keeps the encoded map between calls."""

    image: Path
    near: LatLon | None = None
    radius_m: float = NEAR_M
    region: Path | None = None


def answer(
    weights: Path,
    clip_files: ClipFiles,
    map_files: MapFiles,
    *,
    most: int = MOST_FIXES,
    share_mapped: float | None = None,
    device: str = "cpu",
    precision: Precision = "float32",
    progress: bool = False,
) -> Answer:
    """Localize a clip.

    share_mapped: how probable it is, before the clip is looked at, that its place is on the map; None takes the prior
    of the weights.
    Raises InputError as the readers and `encode_region` do, and if the clip's true place is known and not searched.
    """
    model, provenance = load_model(weights, precision)
    confidence = for_prior(provenance.confidence, share_mapped, weights)
    model.to(named_device(device))
    recording = _recording(clip_files)
    newest = _last_frame(recording, clip_files.camera) if clip_files.frame is None else clip_files.frame
    spec = ClipSpec(model.image_spec, clip_files.frames, clip_files.way_m, (clip_files.camera,), clip_files.step)
    clip = assemble_clip(recording, newest, spec)
    image = open_overhead(map_files.image)
    region = _region(model, image, map_files, progress)
    frame = recording.frame(newest)
    truth = frame.position if frame is not None and clip_files.drive is not None else None
    if truth is not None:
        _require_searched(truth, region, image, f"{recording.name}, frame {newest}")
    scores = search(model, clip, region)
    fixes = distinct(region, scores, model.sharpness.item(), most=most, confidence=confidence)
    return Answer(clip, image, region, scores, fixes, truth)


def write_answer(found: Answer, out: Path) -> None:
    """Write answer.json, answer.geojson and answer.png into a folder."""
    write_json(to_json(found), out / "answer.json")
    write_json(to_geojson(found), out / "answer.geojson")
    draw(found, out / "answer.png")


def searched(place: LatLon, region: Region) -> bool:
    """Whether a place is among those of the region that are searched."""
    xy_m = torch.from_numpy(region.frame.xy_world_m(place.degrees))
    row, col = region.places.row_col(xy_m).round().long().tolist()
    inside = 0 <= row < region.places.rows and 0 <= col < region.places.cols
    return inside and bool(region.searched[row, col])


def _recording(files: ClipFiles) -> Recording:
    if (files.drive is None) == (files.folder is None):
        remedy = "give one of them: a KITTI drive, or a folder with frames, camera.json and poses"
        raise InputError("one clip is localized at a time", where="--drive, --folder", remedy=remedy)
    return read_folder(files.folder) if files.folder is not None else read_recording(files.drive or Path())


def _last_frame(recording: Recording, camera: int) -> int:
    pictured = [frame.index for frame in recording.frames if camera in frame.images]
    if not pictured:
        raise InputError(f"has no picture of camera {camera}", where=recording.name, remedy="add the drive's pictures")
    return pictured[-1]


def _region(model: CVLNet, image: OverheadImage, files: MapFiles, progress: bool) -> Region:
    """Encode the image, or take the region that is kept from an earlier call."""
    near, radius_m = files.near, files.radius_m
    if files.region is not None and files.region.exists():
        region = Region.load(files.region)
        if region.origin != region_origin(model, image, near=near, radius_m=radius_m):
            raise InputError(
                "the map kept there was made from another image, with other weights or settings",
                where=files.region,
                remedy="delete it, or name another file",
            )
        return region
    region = encode_region(model, image, near=near, radius_m=radius_m, progress=progress)
    if files.region is not None:
        region.save(files.region)
    return region


def _require_searched(truth: LatLon, region: Region, image: OverheadImage, clip_name: str) -> None:
    if searched(truth, region):
        return
    raise InputError(
        f"the clip ({clip_name}) was taken at {truth.latitude_deg:.6f}, {truth.longitude_deg:.6f}, "
        "which is not among the places that are searched",
        where=image.source,
        remedy="give a map that holds the place, or a larger radius around a nearer one",
    )
