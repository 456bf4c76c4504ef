"""The mounting of a camera from stretches of a drive, each of which says something of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import degrees, hypot, radians, sqrt

import numpy as np
from jaxtyping import Float64
from tqdm import tqdm

from cvlnet.arrays import F64
from cvlnet.calibration.stretches import Stretch
from cvlnet.errors import InputError
from cvlnet.geometry import Camera
from cvlnet.road.fit import Fit, Pair, fitted, road_residuals_px
from cvlnet.road.geometry import Mounting, matrix, rotations, turned
from cvlnet.road.tracks import NO_TRACKS, Tracks, road_tracks, scene_tracks

FEWEST_STRETCHES = 3
FEWEST_TRACKS = 100  # of the road, in a stretch
LEAST_AGREEING = 0.25  # of them
MOST_SIGMA = (radians(0.75), 0.07)  # of pitch, and of height as a share of it: beyond that nothing was found
# What no number of stretches tells: the road's cross slope is roll, the odometry's scale is height, and a vehicle may
# drive askew. Standard deviations of roll, pitch and yaw (rad), and of height as a share of it.
FLOOR = (radians(1.0), radians(0.15), radians(1.0), 0.02)
_SEARCH_RAD, _STEP_RAD = radians(7.0), radians(1.0)  # pitches that are tried around the stated one
_HEIGHTS = np.arange(0.6, 1.41, 0.1)  # heights that are tried, times the stated one
_ROUGH_PX = 6.0  # of a track when pitches and heights are tried, in pixels of a picture of 1242
_ROUNDS, _SETTLED = 6, (radians(0.03), 0.003)  # change of pitch, and of height as a share, that ends the rounds


@dataclass(frozen=True)
class Estimate:
    """How a camera is mounted. sigma: standard deviations of roll, pitch, yaw (rad) and height (m).

    stated: the mounting from which it was found. stretches, tracks: how many the estimate is made of.
    """

    stated: Mounting
    mounting: Mounting
    sigma: tuple[float, float, float, float]
    stretches: int
    tracks: int

    @property
    def adopted(self) -> Mounting:
        """The mounting to use: pitch and height as found, roll and yaw only where two standard deviations differ."""
        roll_rad, yaw_rad = self.mounting.roll_rad, self.mounting.yaw_rad
        if abs(roll_rad - self.stated.roll_rad) < 2 * self.sigma[0]:
            roll_rad = self.stated.roll_rad
        if abs(yaw_rad - self.stated.yaw_rad) < 2 * self.sigma[2]:
            yaw_rad = self.stated.yaw_rad
        return replace(self.mounting, roll_rad=roll_rad, yaw_rad=yaw_rad)

    def with_focal_doubt(self, share: float) -> Estimate:
        """The estimate if the focal length is right to a share only: the height is, too, since their product shows."""
        height_sigma_m = hypot(self.sigma[3], share * self.mounting.height_m)
        return replace(self, sigma=(*self.sigma[:3], height_sigma_m))


def calibrated(
    camera: Camera, stated: Mounting, stretches: Sequence[Stretch], where: str, *, progress: bool = False
) -> Estimate:
    """The mounting of a camera that is stated to within 7 degrees of pitch and 40 % of height.

    camera: of the stretches' pictures. where: the drive, for messages.
    Raises InputError if the drive has too few stretches, too little of the road is seen, or they contradict each other.
    """
    if len(stretches) < FEWEST_STRETCHES:
        what = f"only {len(stretches)} stretches in which pictures follow each other 2 to 6 m apart"
        raise InputError(what, where=where, remedy="give a drive of at least 100 m with a picture every 3 m or closer")
    scenes = [scenes_of(stretch) for stretch in stretches]
    mounting, fits = searched(camera, stated, stretches, scenes), list[Fit]()
    for number in range(_ROUNDS):
        both = tqdm(zip(stretches, scenes, strict=True), f"round {number + 1}", len(stretches), disable=not progress)
        fits = [fit_stretch(camera, mounting, stretch, scene) for stretch, scene in both]
        fits = [fit for fit in fits if fit.tracks >= FEWEST_TRACKS and fit.agreeing >= LEAST_AGREEING]
        if len(fits) < FEWEST_STRETCHES:
            what = f"the road is recognised in {len(fits)} of {len(stretches)} stretches only"
            remedy = "give a drive by day on a paved, dry road, and a mounting that is right to 7 degrees and a third"
            raise InputError(what, where=where, remedy=remedy)
        before, mounting = mounting, _middle(mounting, fits)
        if (
            abs(mounting.pitch_rad - before.pitch_rad) < _SETTLED[0]
            and abs(mounting.height_m - before.height_m) < _SETTLED[1] * mounting.height_m
        ):
            break
    sigma = _sigma(mounting, fits)
    if sigma[1] > MOST_SIGMA[0] or sigma[3] > MOST_SIGMA[1] * mounting.height_m:
        what = f"the stretches disagree: pitch to {degrees(sigma[1]):.1f} degrees, height to {sigma[3]:.2f} m"
        raise InputError(what, where=where, remedy="give a longer drive on level roads, with better odometry")
    return Estimate(stated, mounting, sigma, len(fits), sum(fit.tracks for fit in fits))


def scenes_of(stretch: Stretch) -> list[Tracks]:
    """The features of the scene in every pair of a stretch."""
    return [scene_tracks(stretch.pictures[before], stretch.pictures[after]) for before, after in stretch.pairs]


def fit_stretch(
    camera: Camera, mounting: Mounting, stretch: Stretch, scenes: Sequence[Tracks], *, seek_focal: bool = False
) -> Fit:
    """What one stretch says of the mounting. mounting: near enough to recognise the road by it. See `fitted`."""
    pairs = []
    for (before, after), motion, scene in zip(stretch.pairs, stretch.motions(), scenes, strict=True):
        road = road_tracks(stretch.pictures[before], stretch.pictures[after], camera, mounting, motion)
        pairs.append(Pair(before, after, motion, road, scene))
    return fitted(camera, mounting, pairs, seek_focal=seek_focal)


def searched(
    camera: Camera, stated: Mounting, stretches: Sequence[Stretch], scenes: Sequence[Sequence[Tracks]]
) -> Mounting:
    """The pitch and height around the stated ones at which most tracks of the lower middle move as the road does."""
    low = [[tracks.low(camera) for tracks in group] for group in scenes]
    tracks = [one for group in low for one in group]
    motions = [motion for stretch in stretches for motion in stretch.motions()]
    pair = np.repeat(np.arange(len(tracks)), [len(one) for one in tracks])
    before_px = np.concatenate([NO_TRACKS.before_px, *(one.before_px for one in tracks)])
    after_px = np.concatenate([NO_TRACKS.after_px, *(one.after_px for one in tracks)])
    moved_m = np.array([(m.forward_m, m.left_m, 0.0) for m in motions])[pair]
    turn = turned(np.array([m.turn_rad for m in motions]))[pair]
    k, rough_px = matrix(camera), _ROUGH_PX * camera.width_px / 1242
    best, found = -1.0, stated
    for pitch_rad in stated.pitch_rad + np.arange(-_SEARCH_RAD, _SEARCH_RAD + _STEP_RAD / 2, _STEP_RAD):
        for height_m in stated.height_m * _HEIGHTS:
            angles = np.array([[stated.roll_rad], [pitch_rad], [stated.yaw_rad]])
            own = np.broadcast_to(rotations(*angles), turn.shape)
            place_m = np.broadcast_to([stated.forward_m, stated.left_m, height_m], moved_m.shape)
            after = (turn @ own, np.einsum("nij,nj->ni", turn, place_m) + moved_m)
            off_px = road_residuals_px(k, (own, place_m), after, before_px, after_px)
            score = float((1 / (1 + (off_px**2).sum(axis=1) / rough_px**2)).sum())
            if score > best:
                best, found = score, replace(stated, pitch_rad=float(pitch_rad), height_m=float(height_m))
    return found


def _unknowns(fits: Sequence[Fit]) -> Float64[np.ndarray, "fits 4"]:
    found = [fit.mounting for fit in fits]
    return np.array([(m.roll_rad, m.pitch_rad, m.yaw_rad, m.height_m) for m in found])


def _middle(mounting: Mounting, fits: Sequence[Fit]) -> Mounting:
    """The median of the stretches."""
    roll_rad, pitch_rad, yaw_rad, height_m = np.median(_unknowns(fits), axis=0).tolist()
    return replace(mounting, roll_rad=roll_rad, pitch_rad=pitch_rad, yaw_rad=yaw_rad, height_m=height_m)


def _sigma(mounting: Mounting, fits: Sequence[Fit]) -> tuple[float, float, float, float]:
    """Of the median: from how the stretches differ, their own doubt at the least, and the floor."""
    unknowns: F64 = _unknowns(fits)
    count = len(fits)
    spread = 1.4826 * np.median(np.abs(unknowns - np.median(unknowns, axis=0)), axis=0)
    own = np.median([fit.sigma for fit in fits], axis=0)
    floor = np.array([*FLOOR[:3], FLOOR[3] * mounting.height_m])
    sigma = np.hypot(1.2533 * np.maximum(spread, own) / sqrt(count), floor)
    return tuple(sigma.tolist())
