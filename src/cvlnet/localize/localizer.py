"""The main entry point: a network with its weights, which finds clips on overhead images."""

from __future__ import annotations

from dataclasses import replace
from math import radians
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvlnet.checkpoint import load_model, shipped_weights
from cvlnet.config import PITCH_ERROR_DEG, WAY_M, Precision
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.imagery.overhead import Imagery
from cvlnet.localize.answer import Answer, heading_rad
from cvlnet.localize.area import MapArea
from cvlnet.localize.clip_files import files_of, read_clip
from cvlnet.localize.search import MOST_FIXES, fixes_in, search_turned
from cvlnet.localize.turned import Heading, TurnedClip
from cvlnet.map.region import NEAR_M, Region, encode_region
from cvlnet.map.store import Map
from cvlnet.model.confidence import for_prior, neutral_of
from cvlnet.model.device import named_device
from cvlnet.model.network import require_pictures
from cvlnet.types import Clip

if TYPE_CHECKING:  # the extra "index" may not be installed
    from cvlnet.index.area import Area
    from cvlnet.localize.indexed import IndexedPlaces


class Localizer:
    """Locates clips on overhead images and maps.

        localizer = Localizer()
        answer = localizer.locate(localizer.read_clip("my_video"), open_overhead("map.tif"))
        print(answer.best.position, answer.best.confidence, answer.is_sure)

    weights: a file of weights; the package's own by default. device: "cpu", "cuda" or "cuda:1". precision: number
    format in which the network encodes. share_mapped: prior probability that the place of a clip is on the map; by
    default that of the weights.
    Raises InputError if the weights cannot be read, or the device does not exist.
    """

    def __init__(
        self,
        weights: Path | None = None,
        *,
        device: str = "cpu",
        precision: Precision = "float32",
        share_mapped: float | None = None,
    ) -> None:
        path = weights or shipped_weights()
        self.model, provenance = load_model(path, precision)
        self.model.to(named_device(device))
        self.confidence = for_prior(provenance.confidence, share_mapped, path)

    def read_clip(
        self,
        source: Path | str,
        *,
        frame: int | None = None,
        frames: int = 4,
        way_m: float = WAY_M,
        step: int | None = None,
        camera: int = 2,
    ) -> Clip:
        """Read a clip of a video folder or a KITTI drive. frame: number of its newest frame; by default the last one.

        frames, way_m, step, camera: as in `cvlnet.config.ClipFiles`.
        Raises ValueError for numbers out of range, InputError as the readers do.
        """
        asked: dict[str, Any] = {"frame": frame, "frames": frames, "way_m": way_m, "step": step, "camera": camera}
        clip, _ = read_clip(replace(files_of(Path(source)), **asked), self.model.image_spec)
        return clip

    def encode(
        self, image: Imagery, *, near: LatLon | None = None, radius_m: float = NEAR_M, progress: bool = False
    ) -> Region:
        """Encode an image once, in order to locate many clips on it.

        With ``near`` only the places within ``radius_m`` of it are searched.
        Raises InputError as `cvlnet.map.region.encode_region` does.
        """
        return encode_region(self.model, image, near=near, radius_m=radius_m, progress=progress)

    def area(self, source: Path, *, near: LatLon | None = None, radius_m: float = NEAR_M) -> MapArea:
        """Open a map on disk, made by ``cvlnet map build``, or the part of it within ``radius_m`` of ``near``.

        Raises InputError if there is no map, if it was made with other weights, or if it is damaged.
        """
        return MapArea(self.model, Map.open(source), near=near, radius_m=radius_m)

    def locate(
        self,
        clip: Clip,
        image: Imagery,
        *,
        region: Region | None = None,
        near: LatLon | None = None,
        radius_m: float = NEAR_M,
        heading: Heading = Heading(),
        pitch_error_rad: float = radians(PITCH_ERROR_DEG),
        most: int = MOST_FIXES,
        truth: LatLon | None = None,
    ) -> Answer:
        """The places on an image where a clip, batch shape [frames], may have been taken, best first.

        region: the result of `encode`; by default the image is encoded, within ``radius_m`` of ``near`` if that is
        given. heading: what is known of the clip's heading; by default the recorded one is used. pitch_error_rad: how
        much farther down, or up, its cameras may look than is described, because of slopes or braking as well. truth:
        the true position, if it is known, for the errors. Raises InputError as `encode` does.
        """
        region = region or self.encode(image, near=near, radius_m=radius_m)
        turned = self._turned(clip, pitch_error_rad)
        turns_rad = heading.turns_rad(heading_rad(clip))
        scores, fixes = fixes_in(self.model, turned, region, turns_rad=turns_rad, most=most, confidence=self.confidence)
        is_searched = None if truth is None else region.searches(truth)
        return Answer(clip, image, region, scores.values, fixes, truth, self._threshold, is_searched)

    def locate_on(
        self,
        clip: Clip,
        area: MapArea,
        *,
        heading: Heading = Heading(),
        pitch_error_rad: float = radians(PITCH_ERROR_DEG),
        most: int = MOST_FIXES,
        truth: LatLon | None = None,
    ) -> Answer:
        """The places on a map where a clip, batch shape [frames], may have been taken, best first.

        The answer's region and image are the panel of the map that contains the best place. heading,
        pitch_error_rad, truth: as for `locate`. Raises InputError if the map is damaged, or shows nothing.
        """
        turned = self._turned(clip, pitch_error_rad)
        turns_rad = heading.turns_rad(heading_rad(clip))
        region, scores, fixes = area.find(turned, turns_rad=turns_rad, most=most, confidence=self.confidence)
        image = area.map.preview(region.cells)
        is_searched = None if truth is None else area.searches(truth)
        return Answer(clip, image, region, scores.values, fixes, truth, self._threshold, is_searched)

    def locate_indexed(
        self,
        clip: Clip,
        places: IndexedPlaces,
        source: Map,
        *,
        within: Area | None = None,
        heading: Heading = Heading(),
        pitch_error_rad: float = radians(PITCH_ERROR_DEG),
        most: int = MOST_FIXES,
        truth: LatLon | None = None,
    ) -> Answer:
        """The places on a map where a clip may have been taken, best first, among the candidates of the map's index.

        The answer's region and scores are those around the best place. within: a part of the map, in metres around its
        anchor. places: the result of `cvlnet.localize.indexed.open_indexed`, which verifies that the network made the
        map. heading, pitch_error_rad, truth: as for `locate`.
        Raises InputError if map or index are damaged, or nothing is searched.
        """
        turned = self._turned(clip, pitch_error_rad)
        turns_rad = heading.turns_rad(heading_rad(clip))
        fixes = places.find(turned, turns_rad=turns_rad, most=most, within=within, confidence=self.confidence)
        if not fixes:
            remedy = "search a larger part of the map"
            raise InputError("the map shows nothing where it is to be searched", where=source.path, remedy=remedy)
        region = source.region(near=fixes[0].position, radius_m=NEAR_M)
        convergence_rad = source.frame.convergence_rad(region.places.center_xy_m)
        of_grid = [turn + convergence_rad for turn in turns_rad]
        scores = search_turned(self.model, turned, region, of_grid, neutral_of(self.confidence)).values
        is_searched = None if truth is None else places.searches(truth, within)
        return Answer(clip, source.preview(region.cells), region, scores, fixes, truth, self._threshold, is_searched)

    def _turned(self, clip: Clip, pitch_error_rad: float) -> TurnedClip:
        """The clip, to be searched. Raises InputError if it has fewer pictures than the network fuses."""
        require_pictures(self.model, len(clip.images))
        return TurnedClip(self.model, clip, pitch_error_rad=pitch_error_rad)

    @property
    def _threshold(self) -> float | None:
        return None if self.confidence is None else self.confidence.threshold
