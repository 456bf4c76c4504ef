from dataclasses import replace
from math import radians

import numpy as np
import torch

from cvlnet.geometry import Pose
from cvlnet.road.fit import MotionDoubt, Pair, fitted, road_offsets_px
from cvlnet.road.geometry import Motion
from cvlnet.road.tracks import NO_TRACKS, Tracks
from road_pictures import CAMERA, TRUE, off

MOTIONS = (Motion(2.0, 0.02, 0.05), Motion(2.5, -0.1, -0.08), Motion(1.8, 0.0, 0.0))


def seen(points_m: np.ndarray, moved: Pose) -> np.ndarray:
    pose = moved @ TRUE.road_from_cam
    return CAMERA.project(pose.inverse().transform(torch.from_numpy(points_m)))[0].numpy() - 0.5


def tracks(points_m: np.ndarray, motion: Motion) -> Tracks:
    zero, turn = torch.tensor([0.0, motion.turn_rad], dtype=torch.float64)
    place = torch.tensor([motion.forward_m, motion.left_m, 0.0], dtype=torch.float64)
    return Tracks(seen(points_m, Pose.identity()), seen(points_m, Pose.from_euler(zero, zero, turn, place)))


def pairs() -> list[Pair]:
    """Exact tracks of points on the road, and of points beside and above it."""
    rng = np.random.default_rng(0)
    road_m = np.column_stack([rng.uniform(5, 20, 60), rng.uniform(-2, 2, 60), np.zeros(60)])
    scene_m = np.column_stack([rng.uniform(10, 40, 60), rng.uniform(-9, 9, 60), rng.uniform(0, 5, 60)])
    return [Pair(i, i + 1, m, tracks(road_m, m), tracks(scene_m, m)) for i, m in enumerate(MOTIONS)]


def numbers(mounting: object) -> list[float]:
    return list(vars(mounting).values())


def test_exact_tracks_give_the_mounting_exactly() -> None:
    start = replace(off(TRUE, 0.02, 0.1), roll_rad=TRUE.roll_rad - 0.01, yaw_rad=TRUE.yaw_rad + 0.02)
    fit = fitted(CAMERA, start, pairs())
    np.testing.assert_allclose(numbers(fit.mounting), numbers(TRUE), atol=2e-4)
    assert fit.tracks == 180
    assert fit.agreeing == 1.0
    assert (fit.sigma > 0).all()
    assert fit.sigma[1] < radians(1)


def test_the_height_has_the_scale_of_the_motion() -> None:
    longer = [
        replace(
            pair, motion=replace(pair.motion, forward_m=1.1 * pair.motion.forward_m, left_m=1.1 * pair.motion.left_m)
        )
        for pair in pairs()
    ]
    lever = replace(TRUE, forward_m=1.1 * TRUE.forward_m, left_m=1.1 * TRUE.left_m)
    assert abs(fitted(CAMERA, lever, longer).mounting.height_m - 1.1 * TRUE.height_m) < 1e-3


def test_outliers_do_not_count() -> None:
    spoiled = []
    for pair in pairs():
        after_px = pair.road.after_px.copy()
        after_px[::4] += 15.0
        spoiled.append(replace(pair, road=Tracks(pair.road.before_px, after_px)))
    fit = fitted(CAMERA, off(TRUE, 0.01, 0.05), spoiled)
    assert abs(fit.mounting.pitch_rad - TRUE.pitch_rad) < radians(0.1)
    assert abs(fit.mounting.height_m - TRUE.height_m) < 0.01
    assert fit.agreeing == 0.75


def test_the_scene_alone_gives_what_the_direction_of_motion_says() -> None:
    without = [replace(pair, road=NO_TRACKS) for pair in pairs()]
    start = replace(TRUE, pitch_rad=TRUE.pitch_rad + 0.02, yaw_rad=TRUE.yaw_rad + 0.03)
    fit = fitted(CAMERA, start, without)
    assert abs(fit.mounting.yaw_rad - TRUE.yaw_rad) < 1e-3
    assert abs(fit.mounting.pitch_rad - TRUE.pitch_rad) < 3e-3


def test_a_fixed_mounting_gives_the_motion() -> None:
    guessed = [replace(pair, motion=Motion(2.2, 0.0, pair.motion.turn_rad + 0.01)) for pair in pairs()]
    fit = fitted(CAMERA, TRUE, guessed, motion_doubt=MotionDoubt(5.0, 1.0, 0.1), fix_mounting=True)
    assert fit.mounting == TRUE
    found = [(m.forward_m, m.left_m, m.turn_rad) for m in fit.motions]
    np.testing.assert_allclose(found, [(m.forward_m, m.left_m, m.turn_rad) for m in MOTIONS], atol=2e-3)


def test_without_tracks_what_is_expected_stays() -> None:
    fit = fitted(CAMERA, TRUE, [Pair(0, 1, MOTIONS[0], NO_TRACKS, NO_TRACKS)])
    np.testing.assert_allclose(numbers(fit.mounting), numbers(TRUE), atol=1e-6)
    assert fit.tracks == 0
    assert fit.agreeing == 0


def test_offsets_are_those_of_the_first_picture() -> None:
    pair = pairs()[0]
    np.testing.assert_allclose(road_offsets_px(CAMERA, TRUE, pair.motion, pair.road), 0, atol=1e-6)
    moved = Tracks(pair.road.before_px + np.array([3.0, 4.0]), pair.road.after_px)
    np.testing.assert_allclose(road_offsets_px(CAMERA, TRUE, pair.motion, moved), 5, atol=1e-6)
