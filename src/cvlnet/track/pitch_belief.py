"""How much farther down the cameras look than is described, learned from the clips of a tracked place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, floor, radians

import numpy as np

from cvlnet.data.clips import PITCH_STEP_RAD
from cvlnet.track.parabola import Vertex, vertex

_STEADY_M = 500.0  # way over which slopes and loads change
_LEAST_VARIANCE = radians(0.5) ** 2  # of what an independent clip says


@dataclass(frozen=True)
class PitchBelief:
    """The Gaussian over the angle by which the cameras look farther down than is described (radians).

    It begins with a mean of 0 and ``first_variance``, and without clips returns to that over half a kilometre.
    """

    mean_rad: float
    variance: float
    first_variance: float

    @staticmethod
    def stated(error_rad: float) -> PitchBelief:
        """From how much farther down, or up, the cameras may look than is described: two standard deviations."""
        variance = (error_rad / 2) ** 2
        return PitchBelief(0.0, variance, variance)

    @property
    def angles_rad(self) -> tuple[float, ...]:
        """The angles to compare a clip under, `PITCH_STEP_RAD` apart around the mean; the mean alone if it is sure."""
        if not self.variance:
            return (self.mean_rad,)
        count = max(1, floor(2 * self.variance**0.5 / PITCH_STEP_RAD + 1e-9))
        return tuple(self.mean_rad + PITCH_STEP_RAD * i for i in range(-count, count + 1))

    def likeliest(self, scores: Sequence[float], sharpness: float, share: float) -> int:
        """The number of the angle that is likeliest after a clip, by its scores under `angles_rad`.

        sharpness, share: the logarithm of the likelihood ratio for each unit of a score, and the weight of the clip
        relative to an independent one, as of `cvlnet.track.likelihood.Likelihood`.
        """
        apart_rad = np.asarray(self.angles_rad) - self.mean_rad
        return int(np.argmax(sharpness * share * np.asarray(scores) - apart_rad**2 / (2 * max(self.variance, 1e-12))))

    def moved(self, way_m: float) -> PitchBelief:
        """After a way of the vehicle."""
        kept = exp(-way_m / _STEADY_M)
        variance = kept**2 * self.variance + (1 - kept**2) * self.first_variance
        return replace(self, mean_rad=kept * self.mean_rad, variance=variance)

    def measured(self, scores: Sequence[float], sharpness: float, share: float) -> PitchBelief:
        """After a clip, by its scores under `angles_rad`; sharpness and share as for `likeliest`.

        The best angle is that of a parabola's vertex, or the last one if the scores have no maximum before it.
        """
        if len(scores) < 3 or share <= 0:
            return self
        best = self.likeliest(scores, sharpness, share)
        middle = min(max(best, 1), len(scores) - 2)
        three = scores[middle - 1 : middle + 2]
        found = vertex(three) or Vertex(float(best - middle), scores[best] - sorted(three)[1])
        if not found.curvature > 0:
            return self
        found_rad = self.angles_rad[middle] + found.steps * PITCH_STEP_RAD
        variance = (_LEAST_VARIANCE + PITCH_STEP_RAD**2 / (sharpness * found.curvature)) / share
        gain = self.variance / (self.variance + variance)
        mean_rad = self.mean_rad + gain * (found_rad - self.mean_rad)
        return replace(self, mean_rad=mean_rad, variance=(1 - gain) * self.variance)
