"""The values that pass from one stage to the next; all frozen, tensors batched over leading dimensions.

    imagery - tile ----- encode_map -- MapFeatures --+
                                                     +- match - ScoreVolume - Fix
    drive --- Clip ----- encode_clip - ClipFeatures -+

The ``ground`` frame of a clip has its origin on the road under the vehicle's reference point (KITTI: the GPS/IMU
unit) at the newest frame, x east, y north, z up from the road.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from cvlnet.geo import LatLon
from cvlnet.geometry import Camera, Index, Pose
from cvlnet.grid import Grid


@dataclass(frozen=True)
class Clip:
    """A few frames of one camera's video, newest first, and where each was taken relative to the newest.

    images: RGB. camera and ground_from_cam: batch shape [*batch, frames].
    """

    images: UInt8[Tensor, "*batch frames 3 height width"]
    camera: Camera
    ground_from_cam: Pose

    def to(self, device: torch.device) -> Clip:
        """The same clip on another device."""
        return Clip(self.images.to(device), self.camera.to(device), self.ground_from_cam.to(device))

    @staticmethod
    def stack(clips: Sequence[Clip]) -> Clip:
        """A batch of clips."""
        return Clip(
            torch.stack([clip.images for clip in clips]),
            Camera.stack([clip.camera for clip in clips]),
            Pose.stack([clip.ground_from_cam for clip in clips]),
        )

    def __getitem__(self, chosen: Index) -> Clip:
        """One or some of the clips of a batch, or some frames of each."""
        return Clip(self.images[chosen], self.camera[chosen], self.ground_from_cam[chosen])


@dataclass(frozen=True)
class MapFeatures:
    """An overhead tile, encoded: what its cells look like, and how unlikely the vehicle is at each displacement.

    descriptor: on ``grid``. uncertainty: positive, one value for each displacement (rows south, columns east) of the
    vehicle from the tile's centre; the middle one is no displacement.
    """

    descriptor: Float[Tensor, "tiles channels rows cols"]
    uncertainty: Float[Tensor, "tiles steps steps"]
    grid: Grid

    def to(self, device: torch.device) -> MapFeatures:
        """The same features on another device."""
        return MapFeatures(self.descriptor.to(device), self.uncertainty.to(device), self.grid)


@dataclass(frozen=True)
class ClipFeatures:
    """A clip, projected to the overhead grid around the vehicle and fused.

    weight: from 0 to 1, how much a cell counts in the score; 0 where no frame sees the ground.
    """

    descriptor: Float[Tensor, "clips channels rows cols"]
    weight: Float[Tensor, "clips rows cols"]
    grid: Grid

    def __getitem__(self, clips: slice) -> ClipFeatures:
        """Some of the clips."""
        return ClipFeatures(self.descriptor[clips], self.weight[clips], self.grid)

    @staticmethod
    def joined(parts: Sequence[ClipFeatures]) -> ClipFeatures:
        """The clips of several batches on one grid."""
        descriptor, weight = (torch.cat([getattr(part, name) for part in parts]) for name in ("descriptor", "weight"))
        return ClipFeatures(descriptor, weight, parts[0].grid)


@dataclass(frozen=True)
class Decoded:
    """A decoded score volume. offset_m: the vehicle from the tile's centre, (east, north), with its covariance."""

    score: Float[Tensor, "*batch"]
    offset_m: Float[Tensor, "*batch 2"]
    covariance_m2: Float[Tensor, "*batch 2 2"]


@dataclass(frozen=True)
class ScoreVolume:
    """Scores over displacements in steps of ``cell_m``: rows southward, columns eastward.

    center_xy_m: the displacement (east, north) in the middle; zero unless the cells of clip and tile are offset.
    """

    scores: Float[Tensor, "*batch steps steps"]
    cell_m: float
    center_xy_m: tuple[float, float] = (0.0, 0.0)

    @property
    def grid(self) -> Grid:
        """The displacements as a grid."""
        steps = self.scores.shape[-1]
        return Grid(steps, steps, self.cell_m, self.center_xy_m)

    def decode(self, sharpness: float) -> Decoded:
        """Best score, its sub-cell displacement and the covariance.

        sharpness: factor from scores to log-probabilities, learned by the model. The displacement is the mean over the
        3 x 3 cells around the best one. The covariance is that of the whole volume about it, plus that of a cell.
        """
        steps = self.scores.shape[-1]
        flat = self.scores.flatten(-2)
        score, best = flat.max(dim=-1)
        places_m = self.grid.cell_centers_xy_m(flat.dtype).to(flat.device).reshape(-1, 2)
        row, col = best // steps, best % steps
        index = torch.arange(steps, device=flat.device)
        near_row = (index - row.unsqueeze(-1)).abs() <= 1
        near_col = (index - col.unsqueeze(-1)).abs() <= 1
        near = near_row.unsqueeze(-1) & near_col.unsqueeze(-2)
        logits = flat * sharpness
        local = logits.masked_fill(~near.flatten(-2), -torch.inf).softmax(dim=-1)
        offset_m = local @ places_m
        spread_m = places_m - offset_m.unsqueeze(-2)
        covariance_m2 = (spread_m * logits.softmax(dim=-1).unsqueeze(-1)).mT @ spread_m
        quantization_m2 = self.cell_m**2 / 12 * torch.eye(2, dtype=flat.dtype, device=flat.device)
        return Decoded(score, offset_m, covariance_m2 + quantization_m2)


@dataclass(frozen=True)
class Fix:
    """Where a clip was taken, by the best displacement within one tile.

    offset_m: vehicle relative to the tile's centre, (east, north). covariance_m2: of the offset.
    score: normalised correlation over uncertainty; it may exceed 1. margin: its lead over the best fix elsewhere.
    confidence: probability that the fix is right to 10 m; None if the network's has not been calibrated.
    known_share: how much of what the clip sees is on the map there, 0 to 1; None if that was not asked.
    turn_rad: by how much the clip was turned from its recorded heading, counter-clockwise. heading_sigma_rad: standard
    deviation of the heading; None if it was not sought. pitch_rad: how much farther down the cameras look than is
    described.
    """

    position: LatLon
    tile: str
    offset_m: tuple[float, float]
    covariance_m2: tuple[tuple[float, float], tuple[float, float]]
    score: float
    margin: float
    confidence: float | None = None
    known_share: float | None = None
    turn_rad: float = 0.0
    heading_sigma_rad: float | None = None
    pitch_rad: float = 0.0
