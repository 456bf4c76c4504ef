"""A vehicle followed over time on a map, from an unknown start.

Two beliefs work together. A histogram over the whole map and all headings (`belief`) says which place it is: it takes a
clip every few metres, and forgets nothing that is still possible. Once one place has nearly all of the probability, a
Kalman filter (`pose_filter`) says exactly where, with the heading and the odometry's errors. The histogram goes on, and
the Kalman filter ends as soon as the histogram no longer believes in its place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import radians

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from cvlnet.data.odometry import OdometryPose, wrapped_rad
from cvlnet.geo import LatLon
from cvlnet.geometry import Camera, Pose
from cvlnet.localize.area import MapArea, convergence_rad
from cvlnet.localize.stream import ClipStream
from cvlnet.localize.turned import STEP_RAD, Heading
from cvlnet.model.cvlnet import CVLNet
from cvlnet.track.belief import Belief, Mode
from cvlnet.track.likelihood import Likelihood
from cvlnet.track.measure import measured_around, updated
from cvlnet.track.odometry import OdometryNoise
from cvlnet.track.pose_filter import PoseBelief
from cvlnet.track.types import Hypothesis, State, TrackFix


@dataclass(frozen=True)
class Frame:
    """A picture of one camera: RGB in the size of the model's ``image_spec``, and how the camera is mounted.

    See `cvlnet.image_spec.ImageSpec.window`. road_from_cam: over a level road, below the vehicle's reference point.
    """

    image: UInt8[Tensor, "3 height width"]
    camera: Camera
    road_from_cam: Pose


@dataclass(frozen=True)
class TrackSpec:
    """How a vehicle is tracked.

    frames, way_m: of a clip. sure: probability of a place from which on it is tracked. unsure: below which it is lost.
    fine_m, coarse_m: way between clips that are compared with the surroundings, and with the whole map. least_way_m:
    of a clip. leak_per_m: probability that the odometry does not say where the vehicle went, for each metre.
    """

    sure: float = 0.95
    unsure: float = 0.5
    fine_m: float = 3.0
    coarse_m: float = 8.0
    least_way_m: float = 15.0
    leak_per_m: float = 2e-5
    push_m: float = 1.5
    share_mapped: float = 0.9
    fine_turn_rad: float = radians(3.0)


class Tracker:
    """Follows a vehicle over a map.

        tracker = Tracker(localizer.area(Path("city.map")), localizer.model)
        fix = tracker.update(frame, odometry)

    heading: how far the odometry's yaw may be from the true heading when the first pose comes.
    """

    def __init__(
        self,
        area: MapArea,
        model: CVLNet,
        *,
        heading: Heading = Heading(width_rad=radians(5.0)),
        noise: OdometryNoise = OdometryNoise(),
        likelihood: Likelihood = Likelihood(),
        spec: TrackSpec = TrackSpec(),
        start: tuple[LatLon, float] | None = None,
    ) -> None:
        self.area, self.model, self.noise, self.likelihood, self.spec = area, model, noise, likelihood, spec
        self._heading, self._start = heading, start
        self._stream = ClipStream(model)
        self._belief: Belief | None = None
        self._pose: PoseBelief | None = None
        self._odometry: OdometryPose | None = None
        self._pushed = self._fine = self._coarse = None  # odometry when something was last done
        self._was_tracking = False
        self._unmoved: list[tuple[OdometryPose, OdometryPose]] = []

    def update(self, frame: Frame | None, odometry: OdometryPose, *, index: int = 0) -> TrackFix:
        """Take the odometry of a moment, and the picture of that moment if there is one."""
        if self._belief is None:
            self._begin(odometry)
        belief = self._belief
        before = self._odometry
        if before is not None:
            if odometry.time_s <= before.time_s:
                raise ValueError("time goes back")
            if self._pose is not None:
                self._pose = self._pose.moved(before, odometry, self.noise)
        self._odometry = odometry
        if frame is not None and (self._pushed is None or self._pushed.way_m(odometry) >= self.spec.push_m):
            self._push(frame, odometry)
        score = self._measure() if frame is not None else None
        return self._fix(score, index)

    def _begin(self, odometry: OdometryPose) -> None:
        turns = self._heading.turns_rad(odometry.yaw_rad)
        step = turns[1] - turns[0] if len(turns) > 1 else STEP_RAD
        regions = list(self.area.regions())
        assert len(regions) == 1
        self._region = regions[0]
        self._belief = Belief(self._region.places, self._region.searched.float(), turns, step, self.spec.share_mapped)
        if self._start is not None:
            place, sigma_m = self._start
            xy = self._region.frame.xy_world_m(place.degrees).tolist()
            self._belief.weigh_position((xy[0], xy[1]), sigma_m, 1e-3)
        self._moved_to = odometry
        self._convergence = convergence_rad(self._region)

    def _push(self, frame: Frame, odometry: OdometryPose) -> None:
        zero = torch.zeros((), dtype=torch.float64)
        place = torch.tensor([odometry.x_m, odometry.y_m, 0.0], dtype=torch.float64)
        body = Pose.from_euler(zero, zero, zero + odometry.yaw_rad, place)
        self._stream.push(frame.image, frame.camera, body @ frame.road_from_cam.to(torch.float64))
        self._pushed = odometry

    def _way_since(self, last: OdometryPose | None) -> float:
        return self._stream.way_m if last is None else last.way_m(self._odometry)

    def _measure(self) -> float | None:
        """Compare the newest clip with the map, if the vehicle has moved far enough."""
        if (
            not self._stream.is_ready
            or self._stream.way_m < self.spec.least_way_m
            or self._pushed is not self._odometry
        ):
            return None
        score = None
        if self._way_since(self._coarse) >= self.spec.coarse_m:
            self._search()
        if self._pose is not None and self._way_since(self._fine) >= self.spec.fine_m:
            score = self._refine()
        return score

    def _search(self) -> None:
        belief, odometry = self._belief, self._odometry
        self._move_belief()
        turns = belief.turns_rad
        share = self.likelihood.share(self._way_since(self._coarse))
        vehicle = torch.tensor([odometry.x_m, odometry.y_m], dtype=torch.float64)
        ratios = []
        for first in range(0, len(turns), 4):
            clips = self._stream.clip_features(vehicle, turns_rad=turns[first : first + 4])
            correlation = self._region.matcher(self.model.device).scores(clips).cpu()
            scores = (correlation / self._region.uncertainty).masked_fill(~self._region.searched, -torch.inf)
            ratios += list(self.likelihood.log_ratio(scores, share))
        belief.weigh(ratios)
        self._coarse = odometry
        self._judge()

    def _move_belief(self) -> None:
        last, odometry = self._moved_to, self._odometry
        way_m = last.way_m(odometry)
        if way_m == 0:
            return
        sigma_m = (0.3**2 * way_m / 10) ** 0.5
        gap = self.noise.fastest_m_s * max(0.0, odometry.time_s - last.time_s - self.noise.longest_gap_s) * 0
        self._belief.move(odometry.x_m - last.x_m, odometry.y_m - last.y_m, sigma_m + gap, min(0.002 * way_m, 0.2))
        self._belief.leak(self.spec.leak_per_m * way_m)
        self._moved_to = odometry

    def _judge(self) -> None:
        belief = self._belief
        if self._pose is not None:
            if belief.near(self._pose.xy_m) < self.spec.unsure:
                self._pose = None
        if self._pose is None:
            modes = belief.modes(1)
            if modes and modes[0].probability >= self.spec.sure:
                self._pose = PoseBelief.at(modes[0].mean, modes[0].covariance, self.noise)
                self._was_tracking = True
                self._fine = None

    def _refine(self) -> float | None:
        pose, step, odometry = self._pose, self.spec.fine_turn_rad, self._odometry
        share = self.likelihood.share(self._way_since(self._fine))
        self._fine = odometry
        turns = (pose.turn_rad - step, pose.turn_rad, pose.turn_rad + step)
        vehicle = torch.tensor([odometry.x_m, odometry.y_m], dtype=torch.float64)
        clips = self._stream.clip_features(vehicle, turns_rad=turns)
        found = measured_around(clips, turns, self._region, pose, self.likelihood, share)
        if found is None:
            return None
        self._pose = updated(pose, found)
        return found.score

    def _fix(self, score: float | None, index: int) -> TrackFix:
        belief, odometry, pose = self._belief, self._odometry, self._pose
        registration = np.diag([self.likelihood.registration_m**2] * 2 + [0.0])
        modes = self._modes()
        hypotheses = tuple(self._hypothesis(mode) for mode in modes)
        if pose is not None:
            near = belief.near(self._belief_xy(pose))
            return TrackFix(
                index,
                odometry.time_s,
                "tracking",
                self._latlon(pose.xy_m),
                self._yaw(pose.turn_rad),
                pose.covariance[:3, :3] + registration,
                near,
                hypotheses,
                scale=float(np.exp(pose.mean[3])),
                drift_rad_per_m=float(pose.mean[4]),
                score=score,
            )
        state: State = "lost" if self._was_tracking else "searching"
        if not modes:
            return TrackFix(index, odometry.time_s, state, None, None, None, 0.0, hypotheses)
        best = hypotheses[0]
        covariance = modes[0].covariance + registration
        return TrackFix(
            index, odometry.time_s, state, best.position, best.yaw_rad, covariance, best.probability, hypotheses
        )

    def _belief_xy(self, pose: PoseBelief) -> tuple[float, float]:
        """Where a pose was when the belief last moved."""
        turn, last, now = pose.turn_rad, self._moved_to, self._odometry
        dx, dy = now.x_m - last.x_m, now.y_m - last.y_m
        c, s = np.cos(turn), np.sin(turn)
        return pose.xy_m[0] - (c * dx - s * dy), pose.xy_m[1] - (s * dx + c * dy)

    def _modes(self) -> tuple[Mode, ...]:
        if getattr(self, "_modes_of", None) is not self._moved_to or self._coarse is not getattr(self, "_modes_at", 0):
            self._known_modes = self._belief.modes()
            self._modes_of, self._modes_at = self._moved_to, self._coarse
        last, now = self._moved_to, self._odometry
        dx, dy = now.x_m - last.x_m, now.y_m - last.y_m
        moved = []
        for mode in self._known_modes:
            c, s = np.cos(mode.mean[2]), np.sin(mode.mean[2])
            mean = mode.mean + np.array([c * dx - s * dy, s * dx + c * dy, 0.0])
            moved.append(replace(mode, mean=mean))
        return tuple(moved)

    def _hypothesis(self, mode: Mode) -> Hypothesis:
        return Hypothesis(self._latlon(mode.xy_m), self._yaw(float(mode.mean[2])), mode.probability)

    def _latlon(self, xy_m: tuple[float, float]) -> LatLon:
        return LatLon(*self._region.frame.latlon_deg(xy_m).tolist())

    def _yaw(self, turn_rad: float) -> float:
        return wrapped_rad(self._odometry.yaw_rad + turn_rad - self._convergence)
