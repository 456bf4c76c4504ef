"""Samples of one's own drive: clips along it, each with the imagery around where it was taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch.utils.data import Dataset

from cvlnet.data.clips import ClipSpec, assemble_clip, clip_frames
from cvlnet.data.images import ImageCache
from cvlnet.data.recording import Recording
from cvlnet.data.samples import Augmentation, Draw, Placement, Sample, sample_of
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.grid import Grid
from cvlnet.imagery.crop import holds
from cvlnet.imagery.overhead import Imagery


@dataclass(frozen=True)
class Taken:
    """A clip of a drive: the number of its newest frame, where that was taken, and how far along the way."""

    frame: int
    position: LatLon
    way_m: float

    def shifted(self, offset_m: tuple[float, float]) -> Taken:
        """The same clip, taken so many metres to the east and north."""
        return replace(self, position=LatLon(*LocalFrame(self.position).latlon_deg(np.array(offset_m)).tolist()))


def taken_along(
    recording: Recording,
    positions: Mapping[int, LatLon],
    clip_spec: ClipSpec,
    image: Imagery,
    tile_grid: Grid,
    spacing_m: float,
) -> tuple[Taken, ...]:
    """The whole clips of a recording whose surroundings the image shows, so far apart along the way.

    positions: where frames were taken, by number; clips that end at other frames are left out.
    """
    found: list[Taken] = []
    way_m, before = 0.0, None
    for frame in recording.frames:
        if before is not None:
            way_m += float(np.linalg.norm(LocalFrame(before).xy_world_m(frame.position.degrees)))
        before = frame.position
        position = positions.get(frame.index)
        if position is None:
            continue
        if found and way_m - found[-1].way_m < spacing_m:
            continue
        if len(clip_frames(recording, frame.index, clip_spec)) < clip_spec.frames:
            continue
        if holds(image, position, tile_grid):
            found.append(Taken(frame.index, position, way_m))
    return tuple(found)


class DriveSamples(Dataset[Sample]):
    """Clips of a recording on an image; an item is asked for by `Draw`, or by index, which takes it as it is."""

    def __init__(
        self,
        recording: Recording,
        taken: Sequence[Taken],
        image: Imagery,
        clip_spec: ClipSpec,
        tile_grid: Grid,
        augmentation: Augmentation | None = None,
        *,
        seed: int = 0,
        cache: ImageCache | None = None,
    ) -> None:
        self.recording, self.taken, self.image = recording, tuple(taken), image
        self.clip_spec, self.tile_grid, self.augmentation = clip_spec, tile_grid, augmentation
        self.seed, self.cache = seed, cache
        self.positions = tuple(clip.position for clip in self.taken)

    def __len__(self) -> int:
        return len(self.taken)

    def __getitem__(self, draw: Draw | int) -> Sample:
        draw = draw if isinstance(draw, Draw) else Draw(draw, 0)
        taken = self.taken[draw.item]
        clip = assemble_clip(self.recording, taken.frame, self.clip_spec, self.cache)
        placement = Placement(taken.position, np.zeros(2))
        if self.augmentation is not None:
            placement = self.augmentation.placed(self.image, taken.position, self.tile_grid, self.seed, draw)
        name = f"{self.recording.name}/{taken.frame:010d}"
        return sample_of(clip, self.image, taken.position, self.tile_grid, placement, (name, name))
