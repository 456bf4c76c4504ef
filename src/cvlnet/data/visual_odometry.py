"""Visual odometry: the vehicle's motion from the pictures of one camera, whose height over the road gives the metres.

From picture to picture the turn follows from the scene's essential matrix, and the way from how far the road in front
of the vehicle moves. A few pictures at a time are then fitted together, each with an attitude of its own, because a
vehicle that nods by half a degree would otherwise change its way by several per cent.

It drifts: every metre has the error of the camera's height and pitch. docs/results/calibration.md has figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import atan2, cos, radians, sin, tan

import cv2
import numpy as np

from cvlnet.arrays import Rgb
from cvlnet.data.journey import Journey
from cvlnet.data.odometry import OdometryPose, wrapped_rad
from cvlnet.geometry import Camera, Pose
from cvlnet.road.fit import MotionDoubt, Pair, fitted, road_offsets_px
from cvlnet.road.geometry import Motion, Mounting, matrix
from cvlnet.road.tracks import Gray, Tracks, road_tracks, scene_tracks, to_gray, whole

WINDOW = 8  # pairs of pictures that are fitted together
STANDING_PX = 0.3  # that the scene moves while the vehicle stands, in pixels of a picture of 1242
FEWEST_TRACKS = 20  # of the scene or of the road, without which the last motion is taken to go on
LONGEST_M = 12.0  # from picture to picture
DOUBT = MotionDoubt(0.5, 0.03, radians(1.0))  # of a first guess of the motion
STANDING = Motion(0.0, 0.0, 0.0)
_WAYS_M = np.geomspace(0.05, LONGEST_M, 80)
_MOVING = 0.8  # share of the scene that may be far away, or sky
_MOST_GUESSES = 3
_ROUGH_PX = 6.0  # of a track when ways are tried, in pixels of a picture of 1242
_OUTLIER_PX = 1.0  # from an epipolar line

Follow = Callable[[Gray, Gray], Tracks]
"""Finds features of a picture in the next one."""


def visual_odometry(
    pictures: Iterable[tuple[float, Rgb]], camera: Camera, road_from_cam: Pose, *, follow: Follow = scene_tracks
) -> Iterator[OdometryPose]:
    """The pose at each picture, from (0, 0) and yaw 0 on.

    pictures: with their times in seconds, rising. camera, road_from_cam: of these pictures, and how it is mounted over
    a level road. follow: for the features of the whole scene. Poses come with a delay of `WINDOW` pictures. Where a
    picture shows too little, the motion before it is taken to go on.
    """
    mounting = Mounting.of(road_from_cam)
    pose: OdometryPose | None = None
    before: Gray | None = None
    last = STANDING
    times_s: list[float] = []
    pairs: list[Pair] = []
    for time_s, picture in pictures:
        after = to_gray(picture)
        if pose is None or before is None:
            pose, before = OdometryPose(time_s, 0.0, 0.0, 0.0), after
            yield pose
            continue
        pair = _pair(follow(before, after), before, after, camera, mounting, last, len(pairs))
        before, last = after, pair.motion
        times_s.append(time_s)
        pairs.append(pair)
        if len(pairs) == WINDOW:
            poses = _poses(pose, times_s, pairs, camera, mounting)
            yield from poses
            pose = poses[-1]
            times_s, pairs = [], []
    if pose is not None and pairs:
        yield from _poses(pose, times_s, pairs, camera, mounting)


def with_visual_odometry(
    journey: Journey, camera_id: int, *, follow: Follow = scene_tracks
) -> tuple[OdometryPose, ...]:
    """The poses of a journey's pictures of one camera; its own odometry is not used but for the times.

    follow: as for `visual_odometry`.

    Raises InputError as the pictures do.
    """
    full = journey.cameras[camera_id].camera
    window = whole(full)
    pictures = (
        (moment.odometry.time_s, moment.pictures[camera_id](window))
        for moment in journey.moments()
        if camera_id in moment.pictures
    )
    road_from_cam = journey.road_from_cam(camera_id)
    return tuple(visual_odometry(pictures, window.camera(full), road_from_cam, follow=follow))


def _pair(
    scene: Tracks, before: Gray, after: Gray, camera: Camera, mounting: Mounting, last: Motion, number: int
) -> Pair:
    """Two successive pictures, with a first guess of the motion and the tracks that belong to it."""
    guesses = _guesses(scene, camera, mounting, last)
    roads = [road_tracks(before, after, camera, mounting, guess) for guess in guesses]
    best = int(np.argmax([len(road) for road in roads]))
    motion, road = guesses[best], roads[best]
    if len(road) >= FEWEST_TRACKS and motion != STANDING:
        pair = Pair(0, 1, motion, road, scene)
        fit = fitted(camera, mounting, [pair], motion_doubt=DOUBT, fix_mounting=True, outlier_px=2.0)
        motion = fit.motions[0]
        road = road_tracks(before, after, camera, mounting, motion)
    elif motion != STANDING:
        motion = _ahead(last.forward_m, motion.turn_rad)
    return Pair(number, number + 1, motion, road, scene)


def _guesses(scene: Tracks, camera: Camera, mounting: Mounting, last: Motion) -> list[Motion]:
    """The motions that may be: the turn by the essential matrix, and ways at which the lower middle moves as a road.

    The last motion is among them. Only the tracks of the road themselves say which one is right.
    """
    if len(scene) < FEWEST_TRACKS:
        return [last]
    pixel = camera.width_px / 1242
    if np.quantile(np.linalg.norm(scene.after_px - scene.before_px, axis=1), _MOVING) < STANDING_PX * pixel:
        return [STANDING]
    k = matrix(camera)
    essential, inlier = cv2.findEssentialMat(scene.before_px, scene.after_px, k, cv2.RANSAC, 0.999, _OUTLIER_PX * pixel)
    if essential is None or essential.shape != (3, 3):
        return [last]
    _, rotation, _, _ = cv2.recoverPose(essential, scene.before_px, scene.after_px, k, mask=inlier)
    level = mounting.road_from_cam.rotation.numpy()
    turn = level @ rotation.T @ level.T  # of the vehicle, seen on the road
    turn_rad = atan2(turn[1, 0], turn[0, 0])
    motions, low = [_ahead(way_m, turn_rad) for way_m in _WAYS_M.tolist()], scene.low(camera)
    off_px = [road_offsets_px(camera, mounting, motion, low) / (_ROUGH_PX * pixel) for motion in motions]
    scores = np.array([0.0, *((1 / (1 + off**2)).sum() for off in off_px), 0.0])
    peaks = np.flatnonzero((scores[1:-1] > scores[:-2]) & (scores[1:-1] >= scores[2:]))
    likely = peaks[np.argsort(-scores[1 + peaks])][:_MOST_GUESSES].tolist()
    return [_ahead(last.forward_m, turn_rad), *(motions[i] for i in likely)]


def _ahead(way_m: float, turn_rad: float) -> Motion:
    """A vehicle's motion along an arc."""
    return Motion(way_m, way_m * tan(turn_rad / 2), turn_rad)


def _poses(
    start: OdometryPose, times_s: list[float], pairs: list[Pair], camera: Camera, mounting: Mounting
) -> list[OdometryPose]:
    """The poses behind each of the pairs, which are fitted together."""
    fit = fitted(camera, mounting, pairs, motion_doubt=DOUBT, fix_mounting=True)
    poses = [start]
    for time_s, pair, found in zip(times_s, pairs, fit.motions, strict=True):
        stands = pair.motion == STANDING
        motion = pair.motion if stands or len(pair.road) < FEWEST_TRACKS else found
        pose = poses[-1]
        x_m = pose.x_m + cos(pose.yaw_rad) * motion.forward_m - sin(pose.yaw_rad) * motion.left_m
        y_m = pose.y_m + sin(pose.yaw_rad) * motion.forward_m + cos(pose.yaw_rad) * motion.left_m
        poses.append(OdometryPose(time_s, x_m, y_m, wrapped_rad(pose.yaw_rad + motion.turn_rad)))
    return poses[1:]
