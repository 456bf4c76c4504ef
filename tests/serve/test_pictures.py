"""The pictures of a moment: what is drawn where, and when."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from cvlnet.geometry import Camera, Pose
from cvlnet.grid import Grid
from cvlnet.localize.search import scores_around
from cvlnet.localize.turned import Heading, turned_features
from cvlnet.serve.pictures import belief_picture, corners_of, ground_picture, pictures_of, score_picture, without_alpha
from cvlnet.track.tracker import Tracker
from cvlnet.types import Clip
from driving import FRAME, circle, frame, latlon, model, odometry, region


def decoded(encoded: bytes) -> np.ndarray:
    found = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found


def test_the_ground_is_north_up_and_clear_where_nothing_is_seen() -> None:
    """A camera 2 m over the ground that looks north, level: the upper half of its picture is sky, the lower road."""
    image = torch.zeros(3, 40, 40, dtype=torch.uint8)
    image[0, 20:, :20], image[1, 20:, 20:], image[2, :20] = 200, 200, 200
    camera = Camera(torch.tensor([20.0, 20.0]), torch.tensor([20.0, 20.0]), 40, 40)
    up = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    clip = Clip(image[None], Camera.stack([camera]), Pose.stack([Pose(up, torch.tensor([0.0, 0.0, 2.0]))]))
    found = ground_picture(clip, Grid(40, 40, 1.0))
    assert found.shape == (40, 40, 4)
    assert (found[20:, :, 3] == 0).all()  # behind the camera
    np.testing.assert_array_equal(found[5, 15], [200, 0, 0, 255])  # ahead, to the west
    np.testing.assert_array_equal(found[5, 24], [0, 200, 0, 255])
    assert found[..., 2].max() == 0  # the sky is nowhere


def test_frames_are_averaged_where_several_see_the_ground() -> None:
    images = torch.stack([torch.full((3, 40, 40), value, dtype=torch.uint8) for value in (100, 200)])
    camera = Camera(torch.tensor([20.0, 20.0]), torch.tensor([20.0, 20.0]), 40, 40)
    up = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    poses = [Pose(up, torch.tensor([0.0, north_m, 2.0])) for north_m in (0.0, -12.0)]
    found = ground_picture(Clip(images, Camera.stack([camera] * 2), Pose.stack(poses)), Grid(40, 40, 1.0))
    assert (found[2, 20, 0], found[22, 20, 0]) == (150, 200)


def test_scores_have_the_same_colours_everywhere() -> None:
    scores = torch.tensor([[0.3, 1.5], [9.0, -torch.inf]])
    found = score_picture(scores)[::8, ::8]
    assert found.shape == (2, 2, 4)
    assert found[..., 3].tolist() == [[255, 255], [255, 0]]
    np.testing.assert_array_equal(found[0, 1], found[1, 0])
    assert found[0, 1, 0] > found[0, 1, 2]  # red
    assert score_picture(torch.tensor([[1.5]]))[0, 0].tolist() == found[0, 1].tolist()


def test_an_even_belief_is_clear_and_a_sharp_one_is_not() -> None:
    even = 1e-4
    assert belief_picture(torch.full((10, 10), even), even)[..., 3].max() == 0
    sharp = torch.full((10, 10), even)
    sharp[2, 3], sharp[7, 7] = 0.9, 0.01
    alpha = belief_picture(sharp, even)[..., 3]
    assert alpha[2, 3] == 255
    assert 0 < alpha[7, 7] < 255
    assert np.count_nonzero(alpha) == 2


def test_corners_begin_in_the_north_west() -> None:
    nw, ne, se, sw = corners_of(Grid(10, 20, 2.0), FRAME)
    expected = [latlon(xy) for xy in ((-20.0, 10.0), (20.0, 10.0), (20.0, -10.0), (-20.0, -10.0))]
    for found, place in zip((nw, ne, se, sw), expected, strict=True):
        assert found == pytest.approx((place.longitude_deg, place.latitude_deg), abs=1e-8)


def test_pictures_are_drawn_where_a_clip_was_compared() -> None:
    tracker, drive = Tracker(region(), model(), heading=Heading.parse("±5")), circle(90.0)
    kinds = []
    for at, pose in zip(drive, odometry(drive), strict=True):
        fix = tracker.update(frame(at), pose)
        found = pictures_of(tracker)
        kinds.append(set(found))
        compared = tracker.compared
        assert bool(found) == (compared is not None)
        assert ("belief" in found) == (compared is not None and compared.against == "map")
        if found:
            np.testing.assert_array_equal(decoded(found["frame"].encoded).shape, (32, 128, 3))
            assert decoded(found["projection"].encoded).shape[:2] == (256, 256)
            assert decoded(without_alpha(found["projection"].encoded)).shape == (256, 256, 3)
        if fix.state == "tracking" and "score" in found:
            corners = found["score"].corners
            assert corners is not None
            middle = FRAME.xy_world_m(np.mean(corners, axis=0)[::-1])
            np.testing.assert_allclose(middle, at.xy_m, atol=2.5)
    assert kinds[0] == set()
    assert {"frame", "projection", "score", "belief"} in kinds
    assert any(kind and "belief" not in kind for kind in kinds)


def test_the_brightest_score_is_where_the_vehicle_is() -> None:
    tracker, drive = Tracker(region(), model(), heading=Heading.parse("±5")), circle(90.0)
    checked = 0
    for at, pose in zip(drive, odometry(drive), strict=True):
        fix = tracker.update(frame(at), pose)
        found = pictures_of(tracker)
        if fix.state != "tracking" or "score" not in found:
            continue
        place = tracker.likeliest
        assert place is not None
        np.testing.assert_allclose(place[:2], at.xy_m, atol=2.0)
        checked += 1
    assert checked > 3


def test_the_score_picture_is_of_the_clip_under_the_likeliest_turn() -> None:
    """On the features that the tracker has compared; the score at the vehicle's place is nearly that of its fix."""
    tracker, drive = Tracker(region(), model(), heading=Heading.parse("±5")), circle(90.0)
    checked = 0
    for at, pose in zip(drive, odometry(drive), strict=True):
        fix = tracker.update(frame(at), pose)
        compared, place = tracker.compared, tracker.likeliest
        if fix.score is None or compared is None or place is None:
            continue
        assert len(compared.features.weight) == 1
        exact = turned_features(
            tracker.model,
            tracker.model.encode_frames(compared.frames.images),
            compared.frames.camera,
            compared.frames.ground_from_cam,
            (float(place[2]),),
        )
        xy = torch.tensor(place[:2])
        around = tracker.map.around((float(xy[0]), float(xy[1])))
        assert around is not None
        at_place = around.places.row_col(xy).round().long()
        kept, wanted = (scores_around(clip, around, at_place, 3)[0] for clip in (compared.features, exact))
        np.testing.assert_allclose(kept, wanted, atol=0.05)
        assert float(kept.max()) == pytest.approx(fix.score, abs=0.05)
        checked += 1
    assert checked > 3


def test_a_moment_at_which_the_vehicle_is_lost_has_pictures() -> None:
    """Its pictures jump to the other side of the town. The clip that shows it is drawn, though it is then forgotten."""
    way, jump = circle(180.0, radius_m=30.0), 70
    tracker = Tracker(region(), model(), heading=Heading.parse("±5"))
    for i, (at, pose) in enumerate(zip(way, odometry(way), strict=True)):
        aside_m = -40.0 if i < jump else 40.0
        fix = tracker.update(frame(replace(at, x_m=at.x_m + aside_m, y_m=at.y_m + aside_m)), pose)
        found = pictures_of(tracker)
        if fix.state == "lost":
            assert {"frame", "projection"} <= set(found)
            return
    raise AssertionError("it was not lost")


@pytest.mark.parametrize("moments", [0, 1])
def test_there_is_nothing_to_draw_at_first(moments: int) -> None:
    tracker, drive = Tracker(region(), model()), circle(3.0)
    for at, pose in list(zip(drive, odometry(drive), strict=True))[:moments]:
        tracker.update(frame(at), pose)
    assert tracker.compared is None
    assert tracker.likeliest is None
    assert pictures_of(tracker) == {}
