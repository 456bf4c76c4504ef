import numpy as np

from cvlnet.calibration.stretches import motion_between
from cvlnet.geometry import Camera
from cvlnet.road.fit import road_offsets_px
from cvlnet.road.tracks import FAR_M, NEAR_M, road_tracks, scene_tracks, to_gray, whole
from road_pictures import CAMERA, TRUE, off, picture, way


def test_road_is_followed_through_a_warp() -> None:
    first, second = way(2, step_m=2.5)
    before, after = (to_gray(picture(pose)) for pose in (first, second))
    motion = motion_between(first, second)
    found = road_tracks(before, after, CAMERA, off(TRUE, 0.01, 0.05), motion)
    off_px = road_offsets_px(CAMERA, TRUE, motion, found)
    assert len(found) > 60
    assert np.median(off_px) < 0.15
    distance_m = TRUE.height_m / ((found.before_px[:, 1] - 89.5) / 300 + TRUE.pitch_rad)
    assert distance_m.min() - TRUE.forward_m + 1 > NEAR_M - 0.5
    assert distance_m.max() < FAR_M * 1.5


def test_a_wrong_motion_is_followed_nowhere() -> None:
    first, second = way(2, step_m=2.5)
    before, after = (to_gray(picture(pose)) for pose in (first, second))
    right = road_tracks(before, after, CAMERA, TRUE, motion_between(first, second))
    wrong = road_tracks(before, after, CAMERA, TRUE, motion_between(first, first))
    assert len(wrong) < len(right) / 3


def test_a_black_picture_has_no_features() -> None:
    black = np.zeros((200, 480), np.uint8)
    assert len(scene_tracks(black, black)) == 0


def test_low_tracks_are_those_of_the_lower_middle() -> None:
    first, second = way(2, step_m=0.3)
    found = scene_tracks(*(to_gray(picture(pose)) for pose in (first, second))).low(CAMERA)
    assert len(found) > 10
    assert (found.before_px[:, 1] > 110).all()
    assert (np.abs(found.before_px[:, 0] - 240) < 144).all()


def test_wide_pictures_are_made_smaller() -> None:
    wide = Camera(CAMERA.focal_px * 8, CAMERA.principal_point_px * 8, 3840, 1600)
    window = whole(wide)
    assert (window.width_px, window.height_px) == (1280, 533)
    assert whole(CAMERA).width_px == 480
