"""What a clip says of a vehicle whose place is roughly known: the best place around it, and the best heading."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
import torch

from cvlnet.arrays import F64
from cvlnet.localize.search import scores_around
from cvlnet.map.region import Region
from cvlnet.model.confidence import sigma_m
from cvlnet.track.likelihood import Likelihood
from cvlnet.track.parabola import vertex
from cvlnet.track.pose_filter import PoseBelief
from cvlnet.types import ClipFeatures

_LEAST_REACH, _MOST_REACH = 4, 12  # cells around the place
_PEAK = 2  # cells around the peak that its shape is taken from


@dataclass(frozen=True)
class Measurement:
    """The place (x, y) with the best scores, near the expected one, and the heading, both with covariances.

    turn_rad: of the odometry's frame; None where the scores say nothing of it. score: of the peak.
    """

    xy_m: F64
    covariance_m2: F64
    turn_rad: float | None
    turn_variance: float
    score: float


def measured_around(
    clips: ClipFeatures,
    turns_rad: tuple[float, ...],
    region: Region,
    expected: PoseBelief,
    likelihood: Likelihood,
    share: float,
) -> Measurement | None:
    """The measurement of a clip under several turns, evenly spaced around the expected one; None off the map."""
    places = region.places
    place = places.row_col(torch.tensor(expected.xy_m, dtype=torch.float64)).round().long()
    if not places.holds(place):
        return None
    spread = expected.covariance[:2, :2] + np.eye(2) * likelihood.sigma_m**2
    reach = min(max(ceil(3 * float(sigma_m(spread)) / places.cell_m), _LEAST_REACH), _MOST_REACH)
    scores = scores_around(clips, region, place, reach, likelihood.level).double()
    if not bool(scores.isfinite().any()):
        return None
    side = torch.arange(-reach, reach + 1)
    offsets = torch.stack(torch.meshgrid(side, side, indexing="ij"), dim=-1)
    places_m = places.xy_m((place + offsets).double())
    apart = places_m.numpy() - expected.mean[:2]
    closeness = -0.5 * np.einsum("rci,ij,rcj->rc", apart, np.linalg.inv(spread), apart)
    logits = likelihood.ratio(scores, share).log() + torch.from_numpy(closeness)
    logits = logits.masked_fill(~scores.isfinite(), -torch.inf)  # where nothing is searched
    best = int(logits.flatten().argmax())
    turn, row, col = np.unravel_index(best, tuple(logits.shape))
    peak = scores[turn, row, col]
    rows, cols = (slice(max(0, at - _PEAK), at + _PEAK + 1) for at in (int(row), int(col)))
    weights = (likelihood.sharpness * (scores[turn, rows, cols] - peak)).exp()
    weights = weights / weights.sum()
    around_m = places_m[rows, cols]
    xy_m = (weights[..., None] * around_m).sum(dim=(0, 1))
    off = around_m - xy_m
    covariance = torch.einsum("rc,rci,rcj->ij", weights, off, off).numpy()
    covariance = (covariance + likelihood.sigma_m**2 * np.eye(2)) / max(share, 1e-6)
    turn_rad, variance = _turn(scores[:, rows, cols].flatten(1).max(dim=1).values.numpy(), turns_rad, likelihood)
    return Measurement(xy_m.numpy(), covariance, turn_rad, variance / max(share, 1e-6), float(peak))


def _turn(heights: F64, turns_rad: tuple[float, ...], likelihood: Likelihood) -> tuple[float | None, float]:
    """The best turn by a parabola through the scores of three, and its variance."""
    best = vertex(heights.tolist()) if len(turns_rad) == 3 else None
    if best is None:
        return None, 0.0
    step = turns_rad[1] - turns_rad[0]
    variance = likelihood.heading_rad**2 + step**2 / (likelihood.sharpness * best.curvature)
    return turns_rad[1] + step * best.steps, variance


def updated(expected: PoseBelief, found: Measurement) -> PoseBelief:
    """The belief after a measurement of a clip that was projected with the expected aim."""
    after = expected.located(found.xy_m, found.covariance_m2)
    return after if found.turn_rad is None else after.turned(found.turn_rad + expected.aim_rad, found.turn_variance)
