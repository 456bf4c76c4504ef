"""Whether pictures and odometry turn alike: at the same times, to the same side, by the same angle.

While the vehicle turns, the whole scene moves sideways in the picture, at every distance alike; while it drives
straight on, as much of it moves to the left as to the right. The median of the scene's sideways motion is therefore
the turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import radians

import numpy as np
from jaxtyping import Float64

from cvlnet.arrays import Series
from cvlnet.data.journey import Journey
from cvlnet.data.odometry import OdometryPose, wrapped_rad
from cvlnet.errors import InputError
from cvlnet.geometry import Camera
from cvlnet.road.tracks import Gray, Tracks, scene_tracks, to_gray, whole

Turns = Float64[np.ndarray, " steps"]

WIDEST_PX = 320  # a turn is seen in small pictures, too
APART_S, LONGEST_S = 0.1, 1.0  # of pictures that are compared, at least and at most
ENOUGH_RAD, MOST_PICTURES = radians(360.0), 600  # of turns, or of pictures, after which no more are read
LEAST_RAD = radians(60.0)  # of turns, without which nothing is said
FARTHEST_S = 60.0  # offsets that are tried
LEAST_S = 0.25  # of an offset that is told of
_STEP_S = 0.05
_FEWEST = 20  # pairs of pictures, and tracks of a pair
_AGREEING = 0.8  # correlation of turns that belong together
_CLEARER = 2.0  # times the unexplained share of the turns, at the stated times
_BEND_RAD_S, _MOST_RAD = 0.15, 0.15  # turns by which a focal length is judged: of this rate, and at most of this angle
_FEWEST_TURNS = 10
_MOST_SCALE = 1.25  # of focal lengths, between which nothing is told
_ASLANT = 0.7  # cosine of the angle beyond which a camera looks aside, where it sees the way as a turn, or is tilted
_FASTEST_RAD_S = 1.0  # outliers count as much


@dataclass(frozen=True)
class TurnDoubt:
    """What turns say against the pictures' times, the odometry or the focal length; one of these at a time.

    offset_s: what has to be added to the pictures' times. mirrored: the odometry turns to the right where the pictures
    turn to the left. focal_scale: the focal length at which both turn by the same angle, times the stated one.
    """

    offset_s: float = 0.0
    mirrored: bool = False
    focal_scale: float = 1.0

    def __str__(self) -> str:
        if self.mirrored:
            return "the odometry turns to the right where the pictures turn to the left, and the other way round"
        if self.focal_scale != 1:
            more = "more" if self.focal_scale > 1 else "less"
            return f"the pictures turn by about {100 * abs(self.focal_scale - 1):.0f} % {more} than the odometry"
        when = "earlier" if self.offset_s > 0 else "later"
        return f"the pictures show each bend {abs(self.offset_s):.1f} s {when} than the odometry"

    @property
    def remedy(self) -> str:
        """What corrects it."""
        if self.mirrored:
            return "correct the signs of yaw or yaw rate, which grow to the left"
        if self.focal_scale != 1:
            return "check that the focal length is that of these pictures, in their size, crop and zoom"
        return f"add {self.offset_s:+.1f} s to the pictures' times, with --time-offset-s for videos and bags"


def turn_doubt(journey: Journey, camera_id: int) -> TurnDoubt | None:
    """What the bends of a drive say against a camera's times and focal length, or against the sense of the odometry.

    None where they may be right, where the vehicle turns too little, or where the camera looks to the side. The first
    360 degrees of turns are compared, of 600 pictures at most; damaged ones are left out.
    Raises InputError as the drive's moments do.
    """
    looks = journey.road_from_cam(camera_id).rotation
    ahead, upright = float(looks[0, 2]), -float(looks[2, 1])
    if min(abs(ahead), abs(upright)) < _ASLANT:
        return None
    moments = list(_moments(journey, camera_id))
    if len(moments) <= _FEWEST:
        return None
    full = journey.cameras[camera_id].camera
    camera = whole(full, WIDEST_PX).camera(full)
    time_s = np.array([pose.time_s for pose, _ in moments])
    yaw_rad = np.unwrap([pose.yaw_rad for pose, _ in moments])
    seen_rad = np.array([turn_seen_rad(scene_tracks(a, b), camera) for (_, a), (_, b) in pairwise(moments)])
    return _judged(time_s, yaw_rad, seen_rad if upright > 0 else -seen_rad)


def turn_seen_rad(tracks: Tracks, camera: Camera) -> float:
    """The turn to the left between two pictures of a camera that looks ahead or astern; NaN if too little is seen."""
    if len(tracks) < _FEWEST:
        return float("nan")
    focal_px, centre_px = float(camera.focal_px[0]), float(camera.principal_point_px[0]) - 0.5
    before, after = (np.arctan((px[:, 0] - centre_px) / focal_px) for px in (tracks.before_px, tracks.after_px))
    return float(np.median(after - before))


def _moments(journey: Journey, camera_id: int) -> Iterator[tuple[OdometryPose, Gray]]:
    """Pictures and poses from the first ones on, not too close to each other, until the odometry has turned enough."""
    window = whole(journey.cameras[camera_id].camera, WIDEST_PX)
    before: OdometryPose | None = None
    turned_rad, count = 0.0, 0
    for moment in journey.moments():
        pose = moment.odometry
        if camera_id not in moment.pictures or (before is not None and pose.time_s - before.time_s < APART_S):
            continue
        try:
            picture = moment.pictures[camera_id](window)
        except InputError:  # damaged
            continue
        yield pose, to_gray(picture)
        turned_rad += 0.0 if before is None else abs(wrapped_rad(pose.yaw_rad - before.yaw_rad))
        count += 1
        if turned_rad > ENOUGH_RAD or count >= MOST_PICTURES:
            return
        before = pose


def _judged(time_s: Series, yaw_rad: Series, seen_rad: Turns) -> TurnDoubt | None:
    offsets_s = np.arange(-FARTHEST_S, FARTHEST_S + _STEP_S / 2, _STEP_S)
    agreeing = np.array([_agreement(time_s, yaw_rad, seen_rad, float(offset_s)) for offset_s in offsets_s])
    stated = _agreement(time_s, yaw_rad, seen_rad, 0.0)
    if stated <= -_AGREEING:
        return TurnDoubt(mirrored=True)
    best = int(np.argmax(agreeing))
    off_s, unexplained = float(offsets_s[best]), 1 - agreeing[best] ** 2
    if agreeing[best] < _AGREEING:
        return None
    if 1 - max(stated, 0.0) ** 2 > _CLEARER * unexplained and abs(off_s) >= LEAST_S:
        return TurnDoubt(off_s)
    scale = _focal_scale(time_s, yaw_rad, seen_rad)
    return None if 1 / _MOST_SCALE < scale < _MOST_SCALE else TurnDoubt(focal_scale=scale)


def _focal_scale(time_s: Series, yaw_rad: Series, seen_rad: Turns) -> float:
    """How much farther the pictures turn than the odometry, in bends; 1 if there are too few of them."""
    driven_rad = np.diff(yaw_rad)
    bend = (np.abs(driven_rad) > _BEND_RAD_S * np.diff(time_s)) & (np.abs(driven_rad) < _MOST_RAD)
    bend &= np.isfinite(seen_rad)
    return float(np.median(seen_rad[bend] / driven_rad[bend])) if bend.sum() >= _FEWEST_TURNS else 1.0


def _agreement(time_s: Series, yaw_rad: Series, seen_rad: Turns, offset_s: float) -> float:
    """The correlation of the turns seen with those of the odometry if so much is added to the pictures' times.

    It is 0 if less than half of the pictures have odometry then, or if either turns too little.
    """
    step_s = np.diff(time_s)
    shifted = np.interp(time_s + offset_s, time_s, yaw_rad, left=np.nan, right=np.nan)
    driven_rad = np.diff(shifted)
    used = np.isfinite(driven_rad) & np.isfinite(seen_rad) & (step_s <= LONGEST_S)
    if used.sum() < max(_FEWEST, len(used) / 2):
        return 0.0
    if min(np.abs(driven_rad[used]).sum(), np.abs(seen_rad[used]).sum()) < LEAST_RAD:
        return 0.0
    seen, driven = (_clipped(turn_rad[used] / step_s[used]) for turn_rad in (seen_rad, driven_rad))
    return float(seen @ driven / max(np.linalg.norm(seen) * np.linalg.norm(driven), 1e-12))


def _clipped(rate_rad_s: Turns) -> Turns:
    return np.asarray(np.clip(rate_rad_s, -_FASTEST_RAD_S, _FASTEST_RAD_S))
