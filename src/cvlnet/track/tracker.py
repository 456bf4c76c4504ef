"""A vehicle followed over time on a map, from an unknown start.

Two beliefs work together. A histogram over the whole map and all headings (`belief`) says which place it is: it takes a
clip every few metres, and forgets nothing that is still possible. Once one place has nearly all of the probability, a
Kalman filter (`pose_filter`) says exactly where, with the heading and the odometry's errors. The histogram goes on, and
the Kalman filter ends as soon as the histogram no longer believes in its place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import exp, hypot, inf, isfinite, pi, radians
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from cvlnet.arrays import F64
from cvlnet.config import PITCH_ERROR_DEG
from cvlnet.data.clips import pitches
from cvlnet.data.journey import Picture
from cvlnet.data.odometry import OdometryPose, begins_at_zero, wrapped_rad
from cvlnet.errors import warn
from cvlnet.geo import LatLon
from cvlnet.geometry import Camera, Pose
from cvlnet.image_spec import ImageSpec
from cvlnet.localize.area import MapArea
from cvlnet.localize.stream import ClipStream, Correction, View
from cvlnet.localize.turned import STEP_RAD, Heading, nearly_turned
from cvlnet.map.region import Region
from cvlnet.model.cvlnet import CVLNet
from cvlnet.track.belief import Belief, Mode
from cvlnet.track.likelihood import Likelihood
from cvlnet.track.measure import measured_around, updated
from cvlnet.track.odometry import OdometryNoise
from cvlnet.track.pitch_belief import PitchBelief
from cvlnet.track.pose_filter import DRIFT, PoseBelief
from cvlnet.track.searched import SearchedMap
from cvlnet.track.smooth import SmoothPose
from cvlnet.track.smoother import Followed
from cvlnet.track.types import Hypothesis, State, TrackFix
from cvlnet.types import Clip, ClipFeatures

_TURNS_AT_ONCE = 4  # whose scores of all places are in memory
_DARK = 4.0  # standard deviation of a picture's values below which it shows nothing
_USUAL = 10  # clips whose scores a new one is compared with
_MOST_FALL = 50.0  # which is certainty
_LEAST_ODDS = 1e-3  # for the odometry having missed something, that are worth a thought
_OUTLIERS = 0.01  # share of measured positions that mean nothing
_COMPASS_RAD = radians(5.0)  # error of an odometry's yaw that is a heading
_GATE = 5.0  # standard deviations from the expected place, beyond which a measured position is an outlier


@dataclass(frozen=True)
class Frame:
    """A picture of one camera, RGB in the size of the model's ``image_spec``, and the mounting of the camera.

    See `cvlnet.image_spec.ImageSpec.window`. road_from_cam: over a level road, below the vehicle's reference point.
    """

    image: UInt8[Tensor, "3 height width"]
    camera: Camera
    road_from_cam: Pose

    @staticmethod
    def seen(picture: Picture, camera: Camera, road_from_cam: Pose, spec: ImageSpec) -> Frame:
        """The frame of a picture, in the size of a model's input. camera: that of the whole picture.

        Raises InputError if the picture cannot be read.
        """
        window = spec.window(camera, road_from_cam)
        image = torch.from_numpy(picture(window).transpose(2, 0, 1).copy())
        return Frame(image, window.camera(camera), road_from_cam)


@dataclass(frozen=True)
class ComparedClip:
    """A clip that was compared with the map.

    against: the whole map, or the surroundings of the tracked place. frames: around the vehicle, on axes that are
    parallel to the odometry's. features: one clip, under that one of the compared turns which is nearest to the
    likeliest.
    """

    against: Literal["map", "place"]
    frames: Clip
    features: ClipFeatures


@dataclass(frozen=True)
class TrackSpec:
    """How a vehicle is tracked.

    sure: probability at which tracking of a place begins. unsure: probability below which it ends. share_mapped: prior
    probability that the vehicle is on the map. frames: number of frames of a clip. frame_m: distance between frames
    that are kept. fine_m, coarse_m: distance between clips that are compared with the vehicle's surroundings, and with
    the whole map; coarse_m counts twice if more than ``few_turns`` headings are possible. least_way_m: length of the
    first clip. kidnapped_per_m: probability per metre that the vehicle was moved without the odometry noticing. fall:
    drop of the score that raises the odds of this by a factor of e. entered_per_m: probability per metre that a vehicle
    which is not on the map enters it. heading_per_m: probability per metre that the odometry's yaw drifts by one step
    of the headings. turn_rad: step between the headings of fine clips. pitch_error_rad: how much farther down, or up,
    the cameras may look than is described, two standard deviations; 0 takes the described pitch as it is. Pitches
    `cvlnet.data.clips.PITCH_STEP_RAD` apart are compared until a place is tracked, whose clips then say which it is.
    aim_error_rad: how much farther to one side the cameras may look than is described, two standard deviations; it is
    estimated while a place is tracked.
    """

    sure: float = 0.99
    unsure: float = 0.5
    share_mapped: float = 0.5
    frames: int = 4
    frame_m: float = 1.5
    fine_m: float = 3.0
    coarse_m: float = 10.0
    few_turns: int = 8
    least_way_m: float = 15.0
    kidnapped_per_m: float = 2e-5
    fall: float = 0.035
    entered_per_m: float = 5e-4
    heading_per_m: float = 1e-3
    turn_rad: float = radians(3.0)
    pitch_error_rad: float = radians(PITCH_ERROR_DEG)
    aim_error_rad: float = radians(3.0)

    def __post_init__(self) -> None:
        pitches(self.pitch_error_rad, 1.0)  # raises ValueError for errors of impossible size
        if not 0 <= self.aim_error_rad < pi / 2:
            raise ValueError(f"the error of an aim is from 0 to a quarter turn, not {self.aim_error_rad} rad")


class Tracker:
    """Tracks a vehicle over a map.

        localizer = Localizer()
        tracker = Tracker(localizer.area(Path("city.map")), localizer.model)
        fix = tracker.update(frame, odometry)  # at each moment

    area: a map, or an image that `cvlnet.localize.Localizer.encode` has encoded. heading: what is known of the heading
    at the first moment; by default `presumed_heading` of the odometry. start: a place near which the drive begins, with
    its standard deviation in metres.
    Raises InputError if the map is damaged, shows nothing, or was made with other weights.
    """

    def __init__(
        self,
        area: MapArea | Region,
        model: CVLNet,
        *,
        heading: Heading | None = None,
        start: tuple[LatLon, float] | None = None,
        noise: OdometryNoise = OdometryNoise(),
        likelihood: Likelihood = Likelihood(),
        spec: TrackSpec = TrackSpec(),
    ) -> None:
        self.map, self.model = SearchedMap(model, area), model
        self.noise, self.likelihood, self.spec = noise, likelihood, spec
        self._heading, self._start = heading, start
        self._pitch = PitchBelief.stated(spec.pitch_error_rad)
        self._stream = ClipStream(model, frames=spec.frames)
        self._now: OdometryPose | None = None
        self._last: TrackFix | None = None
        self._pose: PoseBelief | None = None
        self._smooth: SmoothPose | None = None
        self._stretch = 0  # number of the times that a place was found
        self._taken: tuple[OdometryPose, tuple[Frame, ...]] | None = None  # the newest pictures
        self._fine_at: OdometryPose | None = None  # the newest clip that was compared with the surroundings
        self._coarse_at: OdometryPose | None = None  # and with the whole map
        self._located_at: OdometryPose | None = None  # the newest measured position
        self._compared: ComparedClip | None = None  # at the newest moment
        self._modes: tuple[Mode, ...] | None = None  # of the belief, while it does not change
        self._scores: deque[float] = deque(maxlen=_USUAL)  # of the place that is tracked, at the last clips

    def update(self, frame: Frame | Sequence[Frame] | None, odometry: OdometryPose, *, index: int = 0) -> TrackFix:
        """Take the odometry of a moment and its pictures, if there are any, one for each camera; return the fix.

        index: number of the frame, for the fix. A moment that is not later than the last one is ignored, and the last
        fix is returned again. Raises ValueError if the pictures do not have the size of the model's frames.
        """
        if self._now is None:
            self._begin(odometry)
        elif odometry.time_s <= self._now.time_s and self._last is not None:
            return self._last
        else:
            self._move(self._now, odometry)
        self._now = odometry
        self._compared = None
        frames = (frame,) if isinstance(frame, Frame) else tuple(frame or ())
        score = self._measure() if self._take(frames, odometry) else None
        self._last = self._fix(odometry, score, index)
        return self._last

    @property
    def followed(self) -> Followed:
        """The newest moment, as input of `cvlnet.track.smoother.smoothed`. Raises ValueError before the first."""
        if self._now is None:
            raise ValueError("nothing has been followed yet")
        return Followed(self._now, self._pose, None if self._pose is None else self._stretch)

    @property
    def belief(self) -> Belief:
        """The belief over the whole map, as of its last update. Raises ValueError before the first moment."""
        if self._now is None:
            raise ValueError("nothing has been followed yet")
        return self._belief

    @property
    def compared(self) -> ComparedClip | None:
        """The newest moment's clip, if it was compared with the map."""
        return self._compared

    @property
    def likeliest(self) -> F64 | None:
        """The likeliest place and turn (x, y, turn) at the newest moment, in the map's frame; None if none stands out.

        turn: of the odometry's frame against the map's, counter-clockwise.
        """
        if self._now is None:
            return None
        if self._pose is not None:
            return self._pose.mean[:3]
        modes = self.modes()
        return carried(modes[0].mean, self._belief_at, self._now) if modes else None

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The newest pictures that were used, one for each camera; empty before the first and after a gap."""
        return () if self._taken is None else self._taken[1]

    def wants_frames(self, odometry: OdometryPose) -> bool:
        """Whether the pictures of a moment would be used; other pictures need not be decoded."""
        return self._taken is None or self._taken[0].way_m(odometry) >= self.spec.frame_m

    def locate(self, position: LatLon, sigma_m: float) -> TrackFix:
        """Take a measured position of the newest moment, such as a GPS fix; return the new fix.

        sigma_m: standard deviation of the position, east and north. The errors of successive positions are alike, so
        that each counts by its new distance, as clips do: while the vehicle stands, only the first one does. Raises
        ValueError before the first moment, or for a standard deviation that is not positive.
        """
        if self._now is None or self._last is None:
            raise ValueError("a position is measured at a moment: call update first")
        if not (isfinite(sigma_m) and sigma_m > 0):
            raise ValueError(f"a standard deviation is a positive number of metres, not {sigma_m}")
        share = 1.0 if self._located_at is None else self.likelihood.share(self._located_at.way_m(self._now))
        if share == 0:
            return self._last
        self._located_at, each_m = self._now, sigma_m / share**0.5
        east_m, north_m = self.map.frame.xy_world_m(position.degrees).tolist()
        self._move_belief(self._now)
        self._belief.weigh_position((east_m, north_m), each_m, _OUTLIERS)
        if self._pose is not None:
            apart_m = hypot(east_m - self._pose.xy_m[0], north_m - self._pose.xy_m[1])
            if apart_m < _GATE * hypot(sigma_m, float(np.sqrt(np.trace(self._pose.covariance[:2, :2])))):
                variance_m2 = np.eye(2) * each_m**2
                self._pose = self._pose.located(np.array([east_m, north_m]), variance_m2)
        self._judge()
        self._last = self._fix(self._now, None, self._last.index)
        return self._last

    def _begin(self, odometry: OdometryPose) -> None:
        heading = self._heading or presumed_heading(has_headings=not begins_at_zero(odometry.yaw_rad))
        turns = heading.turns_rad(odometry.yaw_rad)
        step = turns[1] - turns[0] if len(turns) > 1 else STEP_RAD
        searched = self.map.searched.float()
        self._belief = Belief(self.map.grid, searched, turns, step, self.spec.share_mapped)
        self._belief_at = odometry
        if self._start is not None:
            place, sigma_m = self._start
            east_m, north_m = self.map.frame.xy_world_m(place.degrees).tolist()
            self._belief.weigh_position((east_m, north_m), sigma_m, _OUTLIERS)

    def _move(self, before: OdometryPose, now: OdometryPose) -> None:
        """Take a motion."""
        gap_m = self.noise.gap_m(before, now)
        if self._pose is not None:
            self._pose = self._pose.moved(before, now, self.noise)
            self._pitch = self._pitch.moved(before.way_m(now))
        if gap_m > 0:
            self._forget()
            self._move_belief(now, gap_m)
            self._judge()
        if self._smooth is not None:
            self._smooth = self._smooth.moved(before, now, self._pose)

    def _take(self, frames: tuple[Frame, ...], odometry: OdometryPose) -> bool:
        """Keep the pictures of a moment, unless they show nothing, or nothing new; whether they are kept."""
        if not frames or not self.wants_frames(odometry):
            return False
        if any(float(frame.image.float().std()) < _DARK for frame in frames):
            return False
        if self._taken is not None and all(
            torch.equal(old.image, new.image) for old, new in zip(self._taken[1], frames, strict=True)
        ):
            return False
        zero = torch.zeros((), dtype=torch.float64)
        place = torch.tensor([odometry.x_m, odometry.y_m, 0.0], dtype=torch.float64)
        odometry_from_road = Pose.from_euler(zero, zero, zero + odometry.yaw_rad, place)
        self._stream.take(
            [
                View(frame.image, frame.camera, odometry_from_road @ frame.road_from_cam.to(torch.float64))
                for frame in frames
            ]
        )
        # copies: the next picture may come in the same memory, and would not differ from this one
        self._taken = odometry, tuple(replace(frame, image=frame.image.clone()) for frame in frames)
        return True

    def _measure(self) -> float | None:
        """Compare the newest clip with the map where the vehicle has moved far enough; the score at its place."""
        if not self._stream.is_ready or self._stream.way_m < self.spec.least_way_m:
            return None
        apart_m = self.spec.coarse_m * (1 if len(self._belief.turns_rad) <= self.spec.few_turns else 2)
        if self._way_since(self._coarse_at) >= min(apart_m, self._stream.way_m):
            self._search()
        if self._pose is not None and self._way_since(self._fine_at) >= self.spec.fine_m:
            return self._refine(self._pose)
        return None

    def _keep(
        self, against: Literal["map", "place"], clips: ClipFeatures, turns_rad: Sequence[float], pitch_rad: float
    ) -> None:
        """Keep the newest clip as it was compared, a clip for each turn."""
        place = self.likeliest
        turn_rad = 0.0 if place is None else float(place[2])
        nearest = min(range(len(turns_rad)), key=lambda i: abs(wrapped_rad(turns_rad[i] - turn_rad)))
        one = ClipFeatures(clips.descriptor[[nearest]], clips.weight[[nearest]], clips.grid)  # a copy of this one alone
        self._compared = ComparedClip(against, self._stream.clip(self._vehicle_m, self._correction(pitch_rad)), one)

    def _way_since(self, at: OdometryPose | None) -> float:
        return self._stream.way_m if at is None or self._now is None else at.way_m(self._now)

    def _clips(self, pitch_rad: float, turns_rad: Sequence[float]) -> ClipFeatures:
        correction = self._correction(pitch_rad)
        return self._stream.clip_features(self._vehicle_m, turns_rad=turns_rad, correction=correction)

    def _correction(self, pitch_rad: float) -> Correction:
        """Of the newest clip, by what is known of odometry and cameras at a tracked place."""
        if self._pose is None:
            return Correction(pitch_rad)
        return Correction(pitch_rad, self._pose.aim_rad, self._pose.scale)

    @property
    def _vehicle_m(self) -> Tensor:
        if self._now is None:
            raise ValueError("nothing has been followed yet")
        return torch.tensor([self._now.x_m, self._now.y_m], dtype=torch.float64)

    def _search(self) -> None:
        """Compare the newest clip with every place of the map, under all turns and pitches that are possible."""
        assert self._now is not None
        share = self.likelihood.share(self._way_since(self._coarse_at))
        self._move_belief(self._now)
        turns = self._belief.turns_rad  # before the clip, which leaves only those that are still possible
        if not turns:  # it is elsewhere for sure
            return
        angles_rad, shares = self._pitches
        clips = [nearly_turned(partial(self._clips, angle_rad), turns) for angle_rad in angles_rad]
        self._belief.weigh(
            ratio
            for first in range(0, len(turns), _TURNS_AT_ONCE)
            for ratio in self.likelihood.mean_ratio(
                (self.map.scores(pitched[first : first + _TURNS_AT_ONCE], self.likelihood.level) for pitched in clips),
                shares,
                share,
            )
        )
        self._coarse_at = self._now
        self._judge()
        likeliest = int(np.argmax(shares))
        self._keep("map", clips[likeliest], turns, angles_rad[likeliest])

    @property
    def _pitches(self) -> tuple[Sequence[float], Sequence[float]]:
        """The pitches that a search compares (radians), and how likely they are; of a tracked place, its own alone."""
        if self._pose is not None:
            return (self._pitch.mean_rad,), (1.0,)
        sharpness = self.model.sharpness.item()
        tried = pitches(self.spec.pitch_error_rad, sharpness)
        likely = np.exp([-sharpness * pitch.penalty for pitch in tried])
        return [pitch.angle_rad for pitch in tried], (likely / likely.sum()).tolist()

    def _move_belief(self, now: OdometryPose, gap_m: float = 0.0) -> None:
        """gap_m: how far the vehicle may have gone besides, unseen."""
        before, self._belief_at, self._modes = self._belief_at, now, None
        way_m = before.way_m(now)
        if way_m > 0 or gap_m > 0:
            spread_m = hypot(self.noise.way_share * way_m + 0.1, gap_m)
            self._belief.move(now.x_m - before.x_m, now.y_m - before.y_m, spread_m, self.spec.heading_per_m * way_m)
            self._belief.leak(self.spec.kidnapped_per_m * way_m, min(self.spec.entered_per_m * way_m, 0.5))

    def _judge(self) -> None:
        """End the tracking of a place that has become unlikely; begin that of one that is all but sure."""
        self._modes = None
        if self._pose is not None and self._belief.near(self._pose.xy_m) < self.spec.unsure:
            self._pose = None
        if self._pose is None and (modes := self.modes()) and modes[0].probability >= self.spec.sure:
            self._pose = PoseBelief.at(modes[0].mean, modes[0].covariance, self.noise, self.spec.aim_error_rad / 2)
            self._pitch = PitchBelief.stated(self.spec.pitch_error_rad)
            self._stretch, self._fine_at = self._stretch + 1, None
            self._scores.clear()

    def modes(self) -> tuple[Mode, ...]:
        """The possible places, in metres in the map's frame, as of the last update of the belief."""
        if self._modes is None:
            self._modes = self._belief.modes()
        return self._modes

    def _refine(self, pose: PoseBelief) -> float | None:
        """Compare the newest clip with the places around the vehicle, under its turn and one to each side."""
        way_m, step, turn = self._way_since(self._fine_at), self.spec.turn_rad, pose.turn_rad
        share, self._fine_at = self.likelihood.share(way_m), self._now
        region = self.map.around(pose.xy_m)
        if region is None:
            return None
        pitch_rad, ahead = self._likeliest_pitch(pose, region, share)
        turns = (turn - step, turn, turn + step)
        aside = self._clips(pitch_rad, (turns[0], turns[2]))
        clips = ClipFeatures.joined([aside[:1], ahead, aside[1:]])
        found = measured_around(clips, turns, region, pose, self.likelihood, share)
        if found is None:
            return None
        self._keep("place" if self._compared is None else self._compared.against, clips, turns, pitch_rad)
        self._pose = updated(pose, found)
        self._doubt(found.score, way_m)
        return found.score

    def _likeliest_pitch(self, pose: PoseBelief, region: Region, share: float) -> tuple[float, ClipFeatures]:
        """Compare the newest clip under several pitches and one turn; the pitch that explains it best, and this clip.

        The belief about the pitch takes what they say.
        """
        angles_rad, turn = self._pitch.angles_rad, (pose.turn_rad,)
        clips = [self._clips(angle_rad, turn) for angle_rad in angles_rad]
        if len(clips) == 1:
            return angles_rad[0], clips[0]
        found = [measured_around(clip, turn, region, pose, self.likelihood, share) for clip in clips]
        scores = [-inf if one is None else one.score for one in found]
        sharpness = self.likelihood.sharpness
        best = self._pitch.likeliest(scores, sharpness, share)
        self._pitch = self._pitch.measured(scores, sharpness, share)
        return angles_rad[best], clips[best]

    def _doubt(self, score: float, way_m: float) -> None:
        """Let probability leave a tracked place whose score falls; once the place is lost, its frames are forgotten.

        A clip that shows both the old and the new place of a vehicle that was carried away fits nowhere.
        """
        assert self._now is not None
        if self._scores:
            fall = min(max(float(np.median(self._scores)) - score, 0.0) / self.spec.fall, _MOST_FALL)
            odds = self.spec.kidnapped_per_m * way_m * exp(fall)
            if odds > _LEAST_ODDS:
                self._move_belief(self._now)
                self._belief.leak(odds / (1 + odds), 0.0)
                self._judge()
        self._scores.append(score)
        if self._pose is None:
            self._belief.leak(0.0, self.spec.share_mapped)
            self._forget()

    def _forget(self) -> None:
        """Begin a new clip: how the frames of the old one lie to those to come is not known."""
        self._stream = ClipStream(self.model, frames=self.spec.frames)
        self._taken = None

    def _fix(self, now: OdometryPose, score: float | None, index: int) -> TrackFix:
        modes = tuple(replace(mode, mean=carried(mode.mean, self._belief_at, now)) for mode in self.modes())
        hypotheses = tuple(
            Hypothesis(self._latlon(mode.mean), self._yaw_rad(mode.mean, now), mode.probability) for mode in modes
        )
        state: State = "tracking" if self._pose is not None else "lost" if self._stretch else "searching"
        fix = TrackFix(index, now.time_s, state, None, None, None, 0.0, hypotheses)
        if self._pose is not None:
            if self._smooth is None or not self._smooth.follows:
                self._smooth = SmoothPose(self._pose.mean[:3])
            near = self._belief.near(_xy_m(carried(self._pose.mean, now, self._belief_at)))
            known = replace(fix, confidence=near, score=score, pitch_offset_rad=self._pitch.mean_rad)
            fix = self.at(known, now, self._pose)
        elif modes:
            best, place = modes[0], hypotheses[0]
            fix = replace(
                fix,
                position=place.position,
                yaw_rad=place.yaw_rad,
                covariance=best.covariance + self._registration,
                confidence=best.probability,
            )
        if self._smooth is None:
            return fix
        mean = self._smooth.mean
        return replace(fix, smooth_position=self._latlon(mean), smooth_yaw_rad=self._yaw_rad(mean, now))

    def at(self, fix: TrackFix, odometry: OdometryPose, pose: PoseBelief) -> TrackFix:
        """The fix with the position, heading, covariance, and errors of odometry and cameras of a pose."""
        return replace(
            fix,
            position=self._latlon(pose.mean),
            yaw_rad=self._yaw_rad(pose.mean, odometry),
            covariance=pose.covariance[:3, :3] + self._registration,
            scale=pose.scale,
            drift_rad_per_m=float(pose.mean[DRIFT]),
            camera_yaw_offset_rad=pose.aim_rad,
        )

    @property
    def _registration(self) -> F64:
        """The covariance of the map's own place."""
        return np.diag([self.likelihood.registration_m**2] * 2 + [0.0])

    def _latlon(self, mean: F64) -> LatLon:
        return LatLon(*self.map.frame.latlon_deg(mean[:2]).tolist())

    def _yaw_rad(self, mean: F64, now: OdometryPose) -> float:
        """The heading from true east of a vehicle whose odometry's frame is turned against the map's."""
        north_rad = self.map.frame.convergence_rad(_xy_m(mean))
        return wrapped_rad(now.yaw_rad + float(mean[2]) - north_rad)


def presumed_heading(*, has_headings: bool) -> Heading:
    """What is known of the heading where nothing is stated: the odometry's yaw, correct to five degrees.

    has_headings: whether it counts from east, as of `cvlnet.data.journey.Journey`. If not, nothing is known, which is
    logged as a warning.
    """
    if has_headings:
        return Heading(width_rad=_COMPASS_RAD)
    what = "its yaw does not count from east, but from a direction of its own, so that all headings are searched"
    warn(what, where="odometry", remedy='state the heading, or "±5" if its yaw is the heading')
    return Heading(width_rad=pi)


def carried(mean: F64, start: OdometryPose, end: OdometryPose) -> F64:
    """A place (x, y, turn) after the odometry's motion from one pose to another."""
    return np.append(mean[:2] + start.step_m(end, float(mean[2])), mean[2])


def _xy_m(mean: F64) -> tuple[float, float]:
    return float(mean[0]), float(mean[1])
