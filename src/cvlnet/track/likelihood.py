"""From scores to evidence: how much likelier a score is at the vehicle's place than anywhere else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from math import log

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Likelihood:
    """The likelihood ratio of a clip's score: of the vehicle being at a place to it being elsewhere or off the map.

    ``floor + exp(sharpness * (score - level))``: scores above ``level`` are evidence for a place, lower ones
    against it, with a lower bound of ``floor``, since a truck may hide the street, or the map may be old. What the
    map does not show of a clip counts as ``level``. Successive clips share frames: the evidence of a clip is
    weighted by its new distance, relative to ``independent_m`` metres. sigma_m, heading_rad: standard deviations of
    the place and the heading with the best scores, for ``independent_m`` of new distance. registration_m: standard
    deviation of the imagery's own position, which clips do not average out. The defaults were chosen on validation
    towns (docs/results/tracking.md).
    """

    sharpness: float = 46.0
    level: float = 1.08
    floor: float = 0.01
    independent_m: float = 30.0
    sigma_m: float = 0.8
    heading_rad: float = 0.02
    registration_m: float = 1.0

    def __post_init__(self) -> None:
        if not (min(vars(self).values()) > 0 and self.floor < 1):
            raise ValueError(f"a likelihood has positive numbers, and a floor below 1: {self}")

    def share(self, way_m: float) -> float:
        """The weight of a clip that comes ``way_m`` after the last one, relative to an independent clip."""
        return min(way_m / self.independent_m, 1.0)

    def ratio(self, scores: Float[Tensor, "*places"], share: float = 1.0) -> Float[Tensor, "*places"]:
        """The likelihood ratio of each place; that of the floor where no place is searched."""
        return self.mean_ratio([scores], [1.0], share)

    def mean_ratio(
        self, scores: Iterable[Float[Tensor, "*places"]], weights: Iterable[float], share: float = 1.0
    ) -> Float[Tensor, "*places"]:
        """The likelihood ratio of each place where one of several descriptions of a clip is right.

        scores: of the clip as it is described each time. weights: prior probabilities of the descriptions, which add up
        to 1.
        """
        levels = (self.level - log(weight) / self.sharpness for weight in weights)  # that weigh the exponentials
        terms = ((self.sharpness * (some - level)).exp_() for some, level in zip(scores, levels, strict=True))
        return reduce(Tensor.add_, terms).add_(self.floor).pow_(share)
