"""A clip under other headings than the recorded one, and other pitches of its cameras than the described one.

Its frames are encoded once and projected anew for every turn and every pitch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, cos, isfinite, pi, radians, sin

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from cvlnet.data.clips import AS_DESCRIBED, Pitch, pitched, pitches
from cvlnet.data.odometry import wrapped_rad
from cvlnet.geo import LocalFrame
from cvlnet.geometry import Camera, Pose
from cvlnet.model.cvlnet import CVLNet
from cvlnet.types import Clip, ClipFeatures

STEP_RAD = radians(5.0)  # between the headings that are tried everywhere: half of it costs no recall
_GRID_TURN_RAD = radians(0.25)
_FEW = 3  # turns, for which nothing is resampled
_PROJECTED_RAD = radians(45.0)  # between the turns for which a search projects a clip
_LEAST_WEIGHT = 1e-6  # of a cell, by which it is divided
_AT_ONCE = 8  # turns whose features are computed together
_RANGE = re.compile(r"(?P<middle>[+-]?[0-9.]+)?\s*(?:±|\+-|\+/-)\s*(?P<width>[0-9.]+)")


@dataclass(frozen=True)
class Heading:
    """What is known of the heading of a clip's newest frame.

    middle_rad: counter-clockwise from east; None takes the recorded one. width_rad: how far the true one may be from
    it, to either side; 0 takes it as it is, pi knows nothing.
    """

    middle_rad: float | None = None
    width_rad: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.width_rad <= pi:
            raise ValueError("a heading is known to between 0 and 180 degrees")
        if self.middle_rad is not None and not isfinite(self.middle_rad):
            raise ValueError("a heading is a finite number")

    @staticmethod
    def parse(text: str) -> Heading:
        """From ``unknown``, ``±DEG`` or ``DEG±DEG``, in degrees. Raises ValueError for anything else."""
        if text.strip().lower() == "unknown":
            return Heading(None, pi)
        found = _RANGE.fullmatch(text.strip())
        try:
            assert found is not None
            middle = found["middle"]
            return Heading(None if middle is None else radians(float(middle)), radians(float(found["width"])))
        except (AssertionError, ValueError) as error:
            raise ValueError(
                f"a heading is unknown, or ±DEG, or DEG±DEG with DEG from 0 to 180, not {text!r}"
            ) from error

    def turns_rad(self, recorded_rad: float) -> tuple[float, ...]:
        """Turns of the recorded clip to try, counter-clockwise, at most `STEP_RAD` apart; from least to most."""
        offset = 0.0 if self.middle_rad is None else wrapped_rad(self.middle_rad - recorded_rad)
        if self.width_rad >= pi:
            count = ceil(2 * pi / STEP_RAD)
            return tuple(offset - pi + 2 * pi * i / count for i in range(count))
        steps = ceil(2 * self.width_rad / STEP_RAD - 1e-9)
        if steps == 0:
            return (offset,)
        return tuple(offset + self.width_rad * (2 * i / steps - 1) for i in range(steps + 1))


def grid_turn_rad(frame: LocalFrame, xy_m: tuple[float, float]) -> float:
    """The direction of true north on a map's axes at a place, to the next of `_GRID_TURN_RAD`.

    Clips are turned into the map by as much; panels and blocks that share it share their features.
    """
    return round(frame.convergence_rad(xy_m) / _GRID_TURN_RAD) * _GRID_TURN_RAD


def turned(clip: Clip, turn_rad: float) -> Clip:
    """The clip, batch shape [frames], as if the vehicle had been turned counter-clockwise, and all its way with it."""
    zero = torch.zeros(1)
    turn = Pose.from_euler(zero, zero, torch.tensor([turn_rad]), torch.zeros(1, 3))
    return replace(clip, ground_from_cam=turn @ clip.ground_from_cam)


class TurnedClip:
    """A clip, batch shape [frames], whose features around the vehicle are wanted for several headings.

    pitch_error_rad: how much farther down, or up, its cameras may look than is described, for `pitched`; two standard
    deviations.
    """

    pitch: Pitch = AS_DESCRIBED
    _pitches: tuple[Pitch, ...] = (AS_DESCRIBED,)
    _encoded: Float[Tensor, "frames channels height width"] | None = None

    def __init__(self, model: CVLNet, clip: Clip, *, pitch_error_rad: float = 0.0) -> None:
        self.model, self.clip = model, clip
        self._pitches = pitches(pitch_error_rad, model.sharpness.item())
        self._nearly: dict[tuple[float, ...], ClipFeatures] = {}

    def features(self, turns_rad: Sequence[float]) -> ClipFeatures:
        """The fused features of the clip, turned counter-clockwise about the vehicle: a clip for each turn."""
        clip = self.clip
        return turned_features(self.model, self._frames, clip.camera, clip.ground_from_cam, turns_rad)

    def nearly(self, turns_rad: Sequence[float]) -> ClipFeatures:
        """The features for a search over many turns, as `nearly_turned` gives them.

        They are kept, for the panels of a map that are searched one after the other.
        """
        turns = tuple(turns_rad)
        if turns not in self._nearly:
            self._nearly[turns] = nearly_turned(self.features, turns)
        return self._nearly[turns]

    @cached_property
    def pitched(self) -> tuple[TurnedClip, ...]:
        """The clip under every pitch to try; itself alone where only the described one is."""
        return (self,) if self._pitches == (AS_DESCRIBED,) else tuple(map(self._under, self._pitches))

    def _under(self, pitch: Pitch) -> TurnedClip:
        found = TurnedClip(self.model, pitched(self.clip, pitch))
        found.pitch, found._encoded = pitch, self._frames
        return found

    @property
    def _frames(self) -> Float[Tensor, "frames channels height width"]:
        if self._encoded is None:
            with torch.inference_mode():
                self._encoded = self.model.encode_frames(self.clip.images.to(self.model.device))
        return self._encoded


@torch.inference_mode()
def turned_features(
    model: CVLNet,
    encoded: Float[Tensor, "frames channels height width"],
    camera: Camera,
    ground_from_cam: Pose,
    turns_rad: Sequence[float],
) -> ClipFeatures:
    """The fused features of encoded frames, turned counter-clockwise about the vehicle: a clip for each turn."""
    parts = []
    for first in range(0, len(turns_rad), _AT_ONCE):
        some = turns_rad[first : first + _AT_ONCE]
        count, zero = len(some), torch.zeros(len(some), 1)
        turn = Pose.from_euler(zero, zero, torch.tensor(some, dtype=torch.float32)[:, None], torch.zeros(count, 1, 3))
        cameras = Camera.stack([camera.to(torch.float32)] * count).to(model.device)
        poses = (turn @ Pose.stack([ground_from_cam.to(torch.float32)])).to(model.device)
        fused = model.fuse_frames(encoded.expand(count, -1, -1, -1, -1), cameras, poses)
        parts.append(model.describe_clips(*fused))
    return ClipFeatures.joined(parts)


def nearly_turned(project: Callable[[Sequence[float]], ClipFeatures], turns_rad: Sequence[float]) -> ClipFeatures:
    """The features of a clip for many turns, for a search: projected for some of them, and resampled between.

    project: gives the features for turns, as `TurnedClip.features` does. They are resampled over at most 22 degrees.
    """
    if len(turns_rad) <= _FEW:
        return project(turns_rad)
    nearest = [round((turn - turns_rad[0]) / _PROJECTED_RAD) for turn in turns_rad]
    bases = sorted(set(nearest))
    projected = project([turns_rad[0] + base * _PROJECTED_RAD for base in bases])
    parts = []
    for turn, base in zip(turns_rad, nearest, strict=True):
        at = bases.index(base)
        parts.append(rotated(projected[at : at + 1], turn - turns_rad[0] - base * _PROJECTED_RAD))
    return ClipFeatures.joined(parts)


def rotated(clip: ClipFeatures, turn_rad: float) -> ClipFeatures:
    """The features of one clip, turned counter-clockwise about the vehicle by resampling.

    The network does not describe a turned view quite as it describes the view: at 20 degrees the score of the true
    place stays the same to 0.02, at 180 degrees it falls by 0.1.
    """
    (rows, cols), device = clip.weight.shape[1:], clip.weight.device
    back = torch.tensor([[cos(turn_rad), sin(turn_rad)], [-sin(turn_rad), cos(turn_rad)]])
    source_row_col = clip.grid.row_col(clip.grid.cell_centers_xy_m(torch.float32) @ back.mT)
    source = ((source_row_col + 0.5) / torch.tensor([rows, cols]) * 2 - 1).flip(-1)
    weighted = torch.cat([clip.descriptor * clip.weight.unsqueeze(1), clip.weight.unsqueeze(1)], dim=1)
    turned = functional.grid_sample(weighted, source.unsqueeze(0).to(device), align_corners=False)
    weight = turned[:, -1]
    return ClipFeatures(turned[:, :-1] / weight.unsqueeze(1).clamp(min=_LEAST_WEIGHT), weight, clip.grid)
