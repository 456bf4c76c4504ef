"""From scores to evidence: how much likelier a score is at the vehicle's place than anywhere else."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of a clip's scores, for a vehicle at a place over one that is elsewhere, or not on the map.

    ``floor + exp(sharpness * (score - level))``: above ``level`` a score speaks for a place, below it against it, but
    not below ``floor``, since a truck may hide the street, or the map may be old. Clips share their frames: one clip
    counts as a share of the evidence that ``independent_m`` metres of new way give.
    sigma_m, heading_rad: standard deviations of the place and the heading with the best scores, with ``independent_m``
    of new way. registration_m: of the map's own place on earth, which no number of clips averages out.
    The defaults were chosen by hand on validation towns (docs/results/tracking.md).
    """

    sharpness: float = 37.0
    level: float = 0.94
    floor: float = 0.01
    independent_m: float = 30.0
    sigma_m: float = 0.8
    heading_rad: float = 0.02
    registration_m: float = 1.0

    def __post_init__(self) -> None:
        if not (min(vars(self).values()) > 0 and self.floor < 1):
            raise ValueError(f"a likelihood has positive numbers, and a floor below 1: {self}")

    def share(self, way_m: float) -> float:
        """Of the evidence of an independent clip, for one that comes ``way_m`` after the last."""
        return min(way_m / self.independent_m, 1.0)

    def ratio(self, scores: Float[Tensor, "*places"], share: float = 1.0) -> Float[Tensor, "*places"]:
        """The likelihood ratio for each place; the floor's where none is sought."""
        return (self.sharpness * (scores - self.level)).exp_().add_(self.floor).pow_(share)
