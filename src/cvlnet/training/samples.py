"""The samples that a training learns from, and the order in which it sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import radians
from pathlib import Path

from cvlnet.config import TrainConfig
from cvlnet.data.batches import SpacedBatchSampler
from cvlnet.data.clips import ClipErrors, ClipSpec
from cvlnet.data.images import ImageCache
from cvlnet.data.kitti_cvl import read_recordings, read_split
from cvlnet.data.samples import Augmentation, ClipTileSamples, Draw
from cvlnet.geo import LatLon
from cvlnet.grid import Grid
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.network import MatchingNetwork


@dataclass(frozen=True)
class SampleSpec:
    """What a training makes of a data set. label_grids: of the tile and of the clip, where labels are learned."""

    clip_spec: ClipSpec
    tile_grid: Grid
    augmentation: Augmentation
    label_grids: tuple[Grid, Grid] | None

    @staticmethod
    def of(model: CVLNet, config: TrainConfig) -> SampleSpec:
        """The vehicle stands anywhere in the model's window."""
        augmentation = Augmentation(
            max_shift_m=model.window_cells * model.map_grid.cell_m,
            turn_world=config.rotate_world,
            mirror_world=config.mirror_world,
            max_errors=ClipErrors(
                heading_rad=radians(config.heading_error_deg),
                pitch_rad=radians(config.pitch_error_deg),
                height_m=config.height_error_m,
                focal_share=config.focal_error_percent / 100,
            ),
        )
        labelled = config.label_weight > 0 and model.is_metric
        label_grids = (model.map_grid, model.clip_grid) if labelled else None
        return SampleSpec(clip_spec_of(model, config), model.tile_grid, augmentation, label_grids)

    def open(self, root: Path, *, seed: int, cache: Path | None) -> ClipTileSamples:
        """The training queries of a data set. Raises InputError as `read_split` and `read_recordings` do."""
        split = read_split(root, "train")
        return ClipTileSamples(
            split,
            read_recordings(split),
            self.clip_spec,
            self.tile_grid,
            augmentation=self.augmentation,
            seed=seed,
            cache=ImageCache(cache) if cache else None,
            label_grids=self.label_grids,
        )


def clip_spec_of(model: MatchingNetwork, config: TrainConfig) -> ClipSpec:
    """The clips that a training learns from and is validated with."""
    return ClipSpec(model.image_spec, config.frames, config.way_m, config.cameras, config.clip_step)


def endless_draws(
    positions: Sequence[LatLon], config: TrainConfig, *, seed: int, own: slice, start: int = 0
) -> Iterator[list[Draw]]:
    """Batches of samples at these positions, epoch after epoch without end, from the batch ``start`` on.

    own: the draws of every batch that this process reads. Raises InputError as `SpacedBatchSampler` does.
    """
    epoch, skip = 0, start
    while True:
        sampler = SpacedBatchSampler(
            positions,
            config.batch_size,
            config.min_distance_m,
            seed=seed,
            epoch=epoch,
            neighbours=config.neighbours,
            neighbourhood_m=config.neighbourhood_m,
            radius_m=config.batch_radius_m,
            own=own,
        )
        length = len(sampler)
        if skip < length:
            sampler.start = skip
            yield from sampler
        skip = max(skip - length, 0)
        epoch += 1
