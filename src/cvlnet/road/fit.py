"""What the tracks of a few pictures say of the camera's mounting and of the vehicle's motion.

Every picture has an attitude of its own, because a vehicle nods and rolls as it drives. Tracks of the road obey the
plane's homography, which has the metres; tracks of the scene obey the epipolar constraint. All unknowns are fitted at
once, by robust least squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import radians

import numpy as np
from jaxtyping import Float64
from scipy.optimize import least_squares

from cvlnet.arrays import F64, I64
from cvlnet.geometry import Camera
from cvlnet.road.geometry import (
    Matrices3,
    Motion,
    Mounting,
    Pixels,
    mapped,
    matrix,
    rays,
    road_homography,
    rotations,
    turned,
)
from cvlnet.road.tracks import Tracks

NOD_RAD, ROLL_RAD, RISE_M = radians(0.5), radians(0.5), 0.02  # of a body on its suspension, standard deviations
_PIXEL = 1 / 1242  # standard deviation of a track, in widths of the picture
_NEAREST = 1e-3  # a ray's least slope down to the road, and least depth in metres
_EVALUATIONS = 40
_TOLERANCE = 1e-4
# how many unknowns: roll, pitch, yaw, height; these and the focal length; roll, pitch, rise; the motion
_MOUNTING, _CAMERA, _FRAME, _PAIR = 4, 5, 3, 3
FOCAL_SHARE = 0.1  # by which a focal length that is sought may differ from the stated one, standard deviation


@dataclass(frozen=True)
class Pair:
    """Two of a stretch's pictures, by number, the motion in between and the tracks."""

    before: int
    after: int
    motion: Motion
    road: Tracks
    scene: Tracks


@dataclass(frozen=True)
class MotionDoubt:
    """Standard deviations of a motion: metres forward, metres left, turn."""

    forward_m: float
    left_m: float
    turn_rad: float


ODOMETRY = MotionDoubt(0.02, 0.02, radians(0.1))


@dataclass(frozen=True)
class Fit:
    """mounting, and motions of all pairs. tracks: of the road. agreeing: which share of them lies within a pixel.

    sigma: standard deviations of roll, pitch and yaw (rad) and height (m), if the tracks were all that is uncertain.
    log_focal, log_focal_sigma: logarithm of what the focal lengths are times the stated ones, and its standard
    deviation, with `FOCAL_SHARE` as what was known before; 0 if they were not sought.
    """

    mounting: Mounting
    motions: tuple[Motion, ...]
    tracks: int
    agreeing: float
    sigma: Float64[np.ndarray, 4]
    log_focal: float = 0.0
    log_focal_sigma: float = 0.0


def fitted(
    camera: Camera,
    mounting: Mounting,
    pairs: Sequence[Pair],
    *,
    motion_doubt: MotionDoubt = ODOMETRY,
    fix_mounting: bool = False,
    seek_focal: bool = False,
    outlier_px: float = 1.0,
) -> Fit:
    """The mounting (unless it is fixed) and motions that explain the tracks of successive pictures best.

    seek_focal: seeks the focal length, too, both by the same factor. outlier_px: residuals beyond it count ever less,
    in pixels of a picture of 1242.
    """
    problem = _Problem(camera, mounting, pairs, motion_doubt)
    sought = np.ones(len(problem.start), dtype=bool)
    sought[:_MOUNTING], sought[_MOUNTING] = not fix_mounting, seek_focal

    def whole(x: F64) -> F64:
        every = problem.start.copy()
        every[sought] = x
        return every

    found = least_squares(
        lambda x: problem.residuals(whole(x)),
        problem.start[sought],
        loss="cauchy",
        f_scale=outlier_px,
        x_scale=problem.scale[sought],
        ftol=_TOLERANCE,
        max_nfev=_EVALUATIONS,
    )
    x = whole(found.x)
    off_px = np.linalg.norm(found.fun[: 2 * problem.tracks].reshape(-1, 2), axis=1)
    agreeing = float(np.mean(off_px < 1.0)) if len(off_px) else 0.0
    sigma = np.zeros(len(x))
    if not fix_mounting or seek_focal:
        sigma[sought] = np.sqrt(np.maximum(np.diag(np.linalg.pinv(found.jac.T @ found.jac)), 0))
    return Fit(
        problem.mounting(x),
        problem.motions(x),
        problem.tracks,
        agreeing,
        sigma[:_MOUNTING],
        float(x[_MOUNTING]),
        float(sigma[_MOUNTING]),
    )


def road_offsets_px(camera: Camera, mounting: Mounting, motion: Motion, tracks: Tracks) -> Float64[np.ndarray, " n"]:
    """How far tracks between two pictures lie from those of the road, in pixels of the first."""
    homography = road_homography(matrix(camera), mounting, motion)
    return np.asarray(np.linalg.norm(mapped(np.linalg.inv(homography), tracks.after_px) - tracks.before_px, axis=1))


def road_residuals_px(
    camera: Float64[np.ndarray, "3 3"],
    before: tuple[Matrices3, Float64[np.ndarray, "n 3"]],
    after: tuple[Matrices3, Float64[np.ndarray, "n 3"]],
    before_px: Pixels,
    after_px: Pixels,
) -> Pixels:
    """How far tracks lie from those of a plane road at height 0, in pixels of the first picture.

    before, after: rotation and place of the camera in one frame, for each track.
    """
    (turn, place_m), (after_turn, after_place_m) = before, after
    down = np.einsum("nij,nj->ni", after_turn, rays(camera, after_px))
    depth = after_place_m[:, 2] / np.maximum(-down[:, 2], _NEAREST)
    on_road_m = after_place_m + down * depth[:, None]
    seen = np.einsum("nji,nj->ni", turn, on_road_m - place_m) @ camera.T
    return np.asarray(seen[:, :2] / np.maximum(seen[:, 2:], _NEAREST) - before_px)


def epipolar_residuals_px(
    camera: Float64[np.ndarray, "3 3"],
    before: tuple[Float64[np.ndarray, "pairs 3 3"], Float64[np.ndarray, "pairs 3"]],
    after: tuple[Float64[np.ndarray, "pairs 3 3"], Float64[np.ndarray, "pairs 3"]],
    pair: I64,
    before_px: Pixels,
    after_px: Pixels,
) -> Float64[np.ndarray, " n"]:
    """Sampson's distance of tracks from their epipolar lines. pair: of each track."""
    inverse = np.linalg.inv(camera)
    x, y, z = (after[1] - before[1]).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    fundamental = (inverse.T @ after[0].mT @ cross @ before[0] @ inverse)[pair]
    ones = np.ones((len(pair), 1))
    first, second = np.hstack([before_px, ones]), np.hstack([after_px, ones])
    line, back = np.einsum("nij,nj->ni", fundamental, first), np.einsum("nji,nj->ni", fundamental, second)
    gradient = np.sqrt((line[:, :2] ** 2).sum(axis=1) + (back[:, :2] ** 2).sum(axis=1))
    return np.asarray((second * line).sum(axis=1) / np.maximum(gradient, 1e-12))


class _Problem:
    """The unknowns as one vector, and its residuals.

    They are the mounting, the logarithm of a factor of the focal lengths, each picture's attitude, each pair's motion.
    """

    def __init__(self, camera: Camera, mounting: Mounting, pairs: Sequence[Pair], doubt: MotionDoubt) -> None:
        self.camera, self._mounting = matrix(camera), mounting
        self.pixel = camera.width_px * _PIXEL
        self.before, self.after = np.array([p.before for p in pairs]), np.array([p.after for p in pairs])
        self.frames = int(max(self.before.max(), self.after.max())) + 1
        self.road_pair, self.road = _joined([p.road for p in pairs])
        self.scene_pair, self.scene = _joined([p.scene for p in pairs])
        self.tracks = len(self.road)
        given = np.array([[p.motion.forward_m, p.motion.left_m, p.motion.turn_rad] for p in pairs])
        self.expected = np.concatenate([np.zeros(1 + _FRAME * self.frames), given.ravel()])
        self.sigma = np.concatenate(
            [
                [FOCAL_SHARE],
                np.tile([ROLL_RAD, NOD_RAD, RISE_M], self.frames),
                np.tile([doubt.forward_m, doubt.left_m, doubt.turn_rad], len(pairs)),
            ]
        )
        own = [mounting.roll_rad, mounting.pitch_rad, mounting.yaw_rad, mounting.height_m]
        self.start = np.concatenate([own, self.expected])
        self.scale = np.concatenate([[0.01, 0.01, 0.01, 0.05], self.sigma])

    def mounting(self, x: F64) -> Mounting:
        roll_rad, pitch_rad, yaw_rad, height_m = x[:_MOUNTING].tolist()
        return replace(self._mounting, roll_rad=roll_rad, pitch_rad=pitch_rad, yaw_rad=yaw_rad, height_m=height_m)

    def motions(self, x: F64) -> tuple[Motion, ...]:
        return tuple(Motion(*motion) for motion in self._split(x)[1].tolist())

    def residuals(self, x: F64) -> F64:
        """Of road tracks (x, y), of scene tracks, and of what was expected, each over its standard deviation."""
        attitude, motion = self._split(x)
        camera = self.camera * np.array([[np.exp(x[_MOUNTING])] * 2 + [1.0]])
        roll, pitch, yaw, height_m = x[:_MOUNTING]
        turn = rotations(roll + attitude[:, 0], pitch + attitude[:, 1], np.full(self.frames, yaw))
        beside = np.broadcast_to([self._mounting.forward_m, self._mounting.left_m], (self.frames, 2))
        place_m = np.column_stack([beside, height_m + attitude[:, 2]])
        moved = turned(motion[:, 2])
        after_turn = moved @ turn[self.after]
        after_place_m = np.einsum("nij,nj->ni", moved, place_m[self.after])
        after_place_m[:, :2] += motion[:, :2]
        before, after = (turn[self.before], place_m[self.before]), (after_turn, after_place_m)
        k = self.road_pair
        road = road_residuals_px(
            camera,
            (before[0][k], before[1][k]),
            (after[0][k], after[1][k]),
            self.road.before_px,
            self.road.after_px,
        )
        scene = epipolar_residuals_px(camera, before, after, self.scene_pair, self.scene.before_px, self.scene.after_px)
        prior = (x[_MOUNTING:] - self.expected) / self.sigma
        return np.concatenate([road.ravel() / self.pixel, scene / self.pixel, prior])

    def _split(self, x: F64) -> tuple[F64, F64]:
        attitude, motion = np.split(x[_CAMERA:], [_FRAME * self.frames])
        return attitude.reshape(-1, _FRAME), motion.reshape(-1, _PAIR)


def _joined(tracks: Sequence[Tracks]) -> tuple[I64, Tracks]:
    """The tracks of all pairs, and the pair of each."""
    pair = np.repeat(np.arange(len(tracks)), [len(t) for t in tracks])
    return pair, Tracks(np.concatenate([t.before_px for t in tracks]), np.concatenate([t.after_px for t in tracks]))
