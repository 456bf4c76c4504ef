"""A vehicle is found on a map from an unknown start, is followed, and is lost rather than misplaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import cos, hypot, pi, radians, sin
from typing import Any

import numpy as np
import pytest
import torch

from cvlnet.data.clips import looking_up
from cvlnet.data.odometry import OdometryPose, wrapped_rad
from cvlnet.geo import MetricRaster
from cvlnet.geometry import Camera, Pose
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.localize import turned as turning
from cvlnet.localize.stream import ClipStream, Correction
from cvlnet.localize.turned import Heading
from cvlnet.map.region import Region, encode_region
from cvlnet.track.likelihood import Likelihood
from cvlnet.track.odometry import OdometryNoise
from cvlnet.track.smoother import Followed
from cvlnet.track.tracker import Frame, Tracker, TrackSpec, presumed_heading
from cvlnet.track.types import TrackFix
from cvlnet.types import ClipFeatures
from driving import (
    CAMERA,
    FRAME,
    MIDDLE,
    ROAD_FROM_CAM,
    At,
    circle,
    frame,
    ground,
    latlon,
    model,
    odometry,
    region,
    straight,
)

UNKNOWN = Heading(None, pi)


def tracker(area: Region | None = None, **named: object) -> Tracker:
    return Tracker(area or region(), model(), **named)  # type: ignore[arg-type]


def followed(
    of: Tracker, drive: Sequence[At], poses: Sequence[OdometryPose], frames: Iterable[Frame | None] | None = None
) -> list[TrackFix]:
    given = map(frame, drive) if frames is None else frames
    return [of.update(picture, pose, index=i) for i, (picture, pose) in enumerate(zip(given, poses, strict=True))]


def error_m(fix: TrackFix, at: At) -> float:
    assert fix.position is not None
    east_m, north_m = FRAME.xy_world_m(fix.position.degrees).tolist()
    return hypot(east_m - at.x_m, north_m - at.y_m)


def states(fixes: Iterable[TrackFix]) -> list[str]:
    return [fix.state for fix in fixes]


@pytest.mark.parametrize(
    ("heading", "turn_deg", "most_m"),
    [(Heading(width_rad=radians(5.0)), 2.0, 45.0), (UNKNOWN, 130.0, 80.0), (Heading(2.0, radians(30)), -100.0, 60.0)],
)
def test_a_drive_is_found_from_an_unknown_start(heading: Heading, turn_deg: float, most_m: float) -> None:
    drive = circle(120.0)
    fixes = followed(tracker(heading=heading), drive, odometry(drive, turn_rad=radians(turn_deg)))
    begin = states(fixes).index("tracking")
    assert begin * 1.5 <= most_m
    assert states(fixes) == ["searching"] * begin + ["tracking"] * (len(fixes) - begin)
    for fix, at in list(zip(fixes, drive, strict=True))[begin:]:
        assert error_m(fix, at) < 2.0
        assert fix.yaw_rad is not None
        assert abs(wrapped_rad(fix.yaw_rad - at.yaw_rad)) < radians(3.0)
        assert fix.confidence > 0.9
        assert fix.covariance is not None
        assert np.diag(fix.covariance)[:2].max() < 4.0
    assert error_m(fixes[-1], drive[-1]) < 0.5
    assert [fix.index for fix in fixes] == list(range(len(fixes)))
    assert [fix.time_s for fix in fixes] == pytest.approx([0.2 * i for i in range(len(fixes))])


def test_odometry_that_begins_with_a_yaw_of_0_says_nothing_of_the_heading(caplog: pytest.LogCaptureFixture) -> None:
    drive = circle(120.0)
    relative = odometry(drive, turn_rad=drive[0].yaw_rad)
    fixes = followed(tracker(), drive, relative)
    assert relative[0].yaw_rad == 0
    assert states(fixes)[-1] == "tracking"
    assert error_m(fixes[-1], drive[-1]) < 0.5
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("odometry: its yaw does not count from east")


@pytest.mark.parametrize(("has_headings", "width_rad"), [(True, radians(5.0)), (False, pi)])
def test_the_heading_where_none_is_stated(has_headings: bool, width_rad: float) -> None:
    assert presumed_heading(has_headings=has_headings) == Heading(None, width_rad)


def test_a_heading_that_is_stated_counts_also_where_the_yaw_begins_at_0(caplog: pytest.LogCaptureFixture) -> None:
    drive = circle(60.0)
    of = tracker(heading=Heading(width_rad=radians(5.0)))
    of.update(None, odometry(drive, turn_rad=drive[0].yaw_rad)[0])
    assert of.belief.turns_rad == pytest.approx((-radians(5.0), 0.0, radians(5.0)))
    assert not caplog.messages


def test_before_the_first_clip_nothing_is_known() -> None:
    fix = tracker().update(frame(At(1.0, 2.0, 0.3)), OdometryPose(0.0, 0.0, 0.0, 0.3), index=5)
    assert (fix.index, fix.state, fix.position, fix.yaw_rad, fix.covariance) == (5, "searching", None, None, None)
    assert (fix.confidence, fix.hypotheses, fix.smooth_position, fix.score) == (0.0, (), None, None)


def test_alternatives_are_stated_with_their_probabilities() -> None:
    drive = circle(120.0)
    fixes = followed(tracker(), drive, odometry(drive))
    seen = [fix for fix in fixes if fix.hypotheses]
    assert any(fix.state == "searching" for fix in seen)
    for fix in seen:
        shares = [hypothesis.probability for hypothesis in fix.hypotheses]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) <= 1 + 1e-5
        if fix.state == "searching":
            assert fix.position == fix.hypotheses[0].position
            assert fix.confidence == shares[0]
    last = fixes[-1].hypotheses[0]
    east_m, north_m = FRAME.xy_world_m(last.position.degrees).tolist()
    assert hypot(east_m - drive[-1].x_m, north_m - drive[-1].y_m) < 3.0
    assert abs(wrapped_rad(last.yaw_rad - drive[-1].yaw_rad)) < radians(6.0)


def test_the_doubt_about_the_map_s_own_place_is_added() -> None:
    drive = circle(75.0)
    for likelihood in (Likelihood(), Likelihood(registration_m=3.0)):
        of = tracker(likelihood=likelihood)
        fix = followed(of, drive, odometry(drive))[-1]
        assert fix.covariance is not None
        assert of.followed.pose is not None
        expected = of.followed.pose.covariance[:3, :3] + np.diag([likelihood.registration_m**2] * 2 + [0])
        np.testing.assert_allclose(fix.covariance, expected)


def test_scale_and_drift_of_the_odometry_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says 3 % less than was driven, and turns to the left by two degrees in 100 m."""
    drive = circle(340.0)
    clean, drift = odometry(drive), radians(0.02)
    poses = [clean[0]]
    for i, (before, after) in enumerate(pairwise(clean)):
        turn, dx_m, dy_m = drift * 1.5 * i, after.x_m - before.x_m, after.y_m - before.y_m
        poses.append(
            OdometryPose(
                after.time_s,
                poses[-1].x_m + 0.97 * (cos(turn) * dx_m - sin(turn) * dy_m),
                poses[-1].y_m + 0.97 * (sin(turn) * dx_m + cos(turn) * dy_m),
                after.yaw_rad + turn,
            )
        )
    scales, clip_features = list[float](), ClipStream.clip_features

    def projected(self: ClipStream, xy_m: torch.Tensor, *, correction: Correction, **asked: Any) -> ClipFeatures:
        scales.append(correction.way_scale)
        return clip_features(self, xy_m, correction=correction, **asked)

    monkeypatch.setattr(ClipStream, "clip_features", projected)
    noise = OdometryNoise(scale=0.03, drift_rad_per_m=radians(0.03))
    fixes = followed(tracker(noise=noise), drive, poses)
    assert scales[0] == 1.0  # as long as no place is tracked
    assert scales[-1] == pytest.approx(1 / 0.97, abs=0.01)
    assert fixes[-1].state == "tracking"
    assert error_m(fixes[-1], drive[-1]) < 1.0
    assert fixes[-1].scale == pytest.approx(1 / 0.97, abs=0.01)
    assert fixes[-1].drift_rad_per_m == pytest.approx(-drift / 0.97, rel=0.3)
    assert "lost" not in states(fixes)


def test_a_moment_that_is_not_later_is_left_out() -> None:
    drive = circle(90.0)
    poses = odometry(drive)
    plain, disturbed = tracker(), tracker()
    expected = followed(plain, drive, poses)
    found = []
    for i, (at, pose) in enumerate(zip(drive, poses, strict=True)):
        fix = disturbed.update(frame(at), pose, index=i)
        assert disturbed.update(frame(At(0.0, 0.0, 0.0)), pose, index=999) is fix  # the same again
        late = replace(pose, time_s=pose.time_s - 0.05, x_m=pose.x_m - 300.0)
        assert disturbed.update(frame(at), late, index=998) is fix
        found.append(fix)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.position, ours.state, ours.confidence) == (theirs.position, theirs.state, theirs.confidence)


def black() -> Frame:
    return Frame(torch.full((3, 32, 128), 3, dtype=torch.uint8), CAMERA, ROAD_FROM_CAM)


@pytest.mark.parametrize("kind", ["black", "frozen", "none"])
def test_pictures_that_show_nothing_new_say_nothing(kind: str) -> None:
    """The vehicle is followed by its odometry, and found again by what it then sees."""
    drive = circle(200.0)
    good = [frame(at) for at in drive]
    pictures = {"black": black(), "frozen": good[49], "none": None}
    frames = [pictures[kind] if 50 <= i < 90 else good[i] for i in range(len(drive))]
    fixes = followed(tracker(), drive, odometry(drive), frames)
    assert all(fix.score is None for fix in fixes[50:90])
    assert set(states(fixes[50:])) == {"tracking"}
    assert max(error_m(fix, at) for fix, at in zip(fixes[50:], drive[50:], strict=True)) < 3.0
    sigma_m = [float(np.sqrt(fix.covariance[:2, :2].trace())) for fix in fixes[50:] if fix.covariance is not None]
    assert sigma_m[39] > sigma_m[0] + 0.1
    assert sigma_m[-1] < sigma_m[39]
    assert any(fix.score is not None for fix in fixes[90:])


def test_pictures_may_come_in_the_same_memory() -> None:
    """As those of a camera do whose driver has one buffer."""
    drive, buffer = circle(80.0), frame(circle(80.0)[0])

    def in_buffer(at: At) -> Frame:
        buffer.image.copy_(frame(at).image)
        return buffer

    found = followed(tracker(heading=UNKNOWN), drive, odometry(drive), map(in_buffer, drive))
    expected = followed(tracker(heading=UNKNOWN), drive, odometry(drive))
    assert [(fix.state, fix.position) for fix in found] == [(fix.state, fix.position) for fix in expected]
    assert found[-1].state == "tracking"


def test_without_pictures_nothing_is_found() -> None:
    drive = circle(300.0)
    fixes = followed(tracker(), drive, odometry(drive), [None] * len(drive))
    assert set(states(fixes)) == {"searching"}


def test_pictures_are_wanted_where_the_vehicle_has_moved_on() -> None:
    of = tracker(spec=TrackSpec(frame_m=1.5))
    start = OdometryPose(0.0, 0.0, 0.0, 0.0)
    assert of.wants_frames(start)
    of.update(None, start)
    assert of.wants_frames(start)
    of.update(frame(At(0.0, 0.0, 0.0)), OdometryPose(0.1, 0.0, 0.0, 0.0))
    assert not of.wants_frames(OdometryPose(0.2, 1.49, 0.0, 0.0))
    assert of.wants_frames(OdometryPose(0.2, 0.0, -1.5, 0.0))


def test_a_stop_changes_nothing() -> None:
    """Two minutes at a traffic light are no gap: odometry came all the time."""
    drive = circle(75.0)
    poses, of = odometry(drive), tracker()
    before = followed(of, drive, poses)[-1]
    still = [replace(poses[-1], time_s=poses[-1].time_s + 0.5 * i) for i in range(1, 240)]
    fixes = [of.update(frame(replace(drive[-1], yaw_rad=drive[-1].yaw_rad + 1e-4 * i)), p) for i, p in enumerate(still)]
    assert fixes[-1].state == "tracking"
    assert fixes[-1].position == before.position
    assert before.covariance is not None
    np.testing.assert_allclose(fixes[-1].covariance, before.covariance)
    further = circle(120.0)[len(drive) :]
    later = [replace(p, time_s=p.time_s + 120.0) for p in odometry(circle(120.0))[len(drive) :]]
    assert set(states(followed(of, further, later))) == {"tracking"}


def test_a_slow_vehicle_is_followed_like_a_fast_one() -> None:
    drive = circle(120.0)
    slow, fast = (
        followed(tracker(), drive, odometry(drive, step_s=step_s)) for step_s in (1.5, 0.1)
    )  # 1 m/s, and 15 m/s
    assert states(slow) == states(fast)
    assert [fix.position for fix in slow] == [fix.position for fix in fast]


def test_a_gap_of_the_odometry_is_a_doubt_about_the_place() -> None:
    """After ten seconds without odometry, in which the vehicle went 60 m, it is searched and found again."""
    drive = circle(75.0)
    poses, of = odometry(drive), tracker()
    assert followed(of, drive, poses)[-1].state == "tracking"
    behind = circle(300.0)[len(drive) + 40 :]
    aside_m = behind[0].x_m - drive[-1].x_m, behind[0].y_m - drive[-1].y_m
    told = [
        replace(pose, time_s=pose.time_s + 10.0, x_m=pose.x_m - aside_m[0], y_m=pose.y_m - aside_m[1])
        for pose in odometry(circle(300.0))[len(drive) + 40 :]
    ]
    fixes = followed(of, behind, told)
    assert fixes[0].state == "lost"
    assert fixes[0].confidence < 0.5
    begin = states(fixes).index("tracking")
    assert states(fixes[:begin]) == ["lost"] * begin
    assert begin * 1.5 < 70.0
    assert error_m(fixes[-1], behind[-1]) < 1.0


def searched_m(of: Tracker, drive: Sequence[At], poses: Sequence[OdometryPose]) -> list[float]:
    """The ways at which the whole map was searched."""
    found, plain = [], of.map.scores

    def scores(asked: ClipFeatures, neutral: float | None) -> torch.Tensor:
        found.append(of.followed.odometry)
        assert neutral == of.likelihood.level
        return plain(asked, neutral)

    of.map.scores = scores  # type: ignore[method-assign]
    followed(of, drive, poses)
    return sorted({1.5 * list(poses).index(pose) for pose in found})


def test_of_many_headings_the_map_is_searched_half_as_often() -> None:
    """The first clip needs 15 m; then one counts for every 10 m of the way, or for every 20."""
    drive = straight(At(-70.0, -20.0, 0.1), 66.0, step_m=1.5)
    poses = odometry(drive)
    few = searched_m(tracker(), drive, poses)
    assert few[0] == pytest.approx(15.0, abs=1.6)
    assert np.diff(few) == pytest.approx([10.0] * (len(few) - 1), abs=3.1)
    many = searched_m(tracker(heading=UNKNOWN, spec=TrackSpec(sure=2.0, few_turns=0)), drive, poses)
    assert many[0] == pytest.approx(15.0, abs=3.1)
    assert np.diff(many).min() >= 15.0


def test_no_clip_reaches_over_a_gap() -> None:
    drive = straight(At(-70.0, -20.0, 0.1), 90.0, step_m=1.5)
    gap = [replace(pose, time_s=pose.time_s + (3.0 if i >= 30 else 0.0)) for i, pose in enumerate(odometry(drive))]
    ways_m = searched_m(tracker(), drive, gap)
    assert max(way_m for way_m in ways_m if way_m < 45.0) > 30.0
    assert min(way_m for way_m in ways_m if way_m >= 45.0) >= 45.0 + 15.0
    of = tracker()
    of.update(frame(drive[0]), OdometryPose(0.0, 0.0, 0.0, 0.0))
    behind = OdometryPose(9.0, 0.5, 0.0, 0.0)
    of.update(None, behind)
    assert of.wants_frames(behind)


def test_a_very_long_gap_ends_promptly() -> None:
    drive = circle(75.0)
    of = tracker()
    followed(of, drive, odometry(drive))
    fix = of.update(None, OdometryPose(1e7, 0.0, 0.0, 0.0))
    assert (fix.state, fix.confidence < 0.05) == ("lost", True)


def test_a_vehicle_that_is_elsewhere_is_lost_and_found_again() -> None:
    """Its pictures jump to the other side of the town, and its odometry does not tell."""
    way, jump = circle(300.0, radius_m=30.0), 70
    places = [
        replace(at, x_m=at.x_m + aside_m, y_m=at.y_m + aside_m)
        for i, at in enumerate(way)
        for aside_m in [-40.0 if i < jump else 40.0]
    ]
    of = tracker()
    fixes = followed(of, places, odometry(way))
    kept = states(fixes)
    assert kept[jump - 1] == "tracking"
    lost = kept.index("lost")
    assert 0 < (lost - jump) * 1.5 < 6.0  # the score falls with the first clip
    again = kept.index("tracking", lost)
    assert (again - lost) * 1.5 < 50.0
    assert set(kept[lost:again]) == {"lost"}
    smooth = fixes[again + 1].smooth_position  # a pose that is far from the estimate begins anew
    assert smooth is not None
    assert np.linalg.norm(FRAME.xy_world_m(smooth.degrees) - places[again + 1].xy_m) < 3.0
    assert error_m(fixes[again], places[again]) < 3.0
    assert error_m(fixes[-1], places[-1]) < 1.5
    assert of.followed.stretch == 2


def test_a_score_that_falls_a_little_is_no_reason_for_doubt() -> None:
    drive = circle(200.0)
    fixes = followed(tracker(), drive, odometry(drive))
    first = states(fixes).index("tracking")
    assert set(states(fixes)[first:]) == {"tracking"}
    scores = [fix.score for fix in fixes if fix.score is not None]
    assert max(scores) - min(scores) > 0.01


def western(cols: int = 200) -> Region:
    """The ground's western part."""
    whole = ground()
    center = latlon(((cols / 2 - 200) * 0.5, 0.0))
    part = OverheadImage(whole.pixels[:, :cols].copy(), MetricRaster(center, cols, 400, 0.5), whole.source)
    return encode_region(model(), part)


def test_a_vehicle_that_is_not_on_the_map_is_never_tracked() -> None:
    drive = [*straight(At(35.0, -70.0, pi / 2), 140.0), *straight(At(75.0, 70.0, -pi / 2), 140.0)]
    poses = odometry(drive[:93]) + [
        replace(p, time_s=p.time_s + 0.2 * 94, x_m=p.x_m + 40.0, y_m=p.y_m + 140.0) for p in odometry(drive[94:])
    ]
    fixes = followed(tracker(western(), heading=UNKNOWN), drive[: len(poses)], poses)
    assert set(states(fixes)) == {"searching"}


def test_a_vehicle_that_leaves_the_map_is_lost() -> None:
    drive = straight(At(-75.0, 10.0, 0.0), 170.0)
    fixes = followed(tracker(western()), drive, odometry(drive))
    for fix, at in zip(fixes, drive, strict=True):
        if fix.state == "tracking":
            assert error_m(fix, at) < 5.0
    assert fixes[-1].state == "lost"
    assert "tracking" in states(fixes)


def test_a_measured_position_finds_the_place_at_once() -> None:
    drive, of = circle(40.0), tracker()
    poses = odometry(drive)
    of.update(frame(drive[0]), poses[0], index=3)
    first = of.locate(latlon(drive[0].xy_m), 3.0)
    assert first.index == 3
    assert first.position is not None
    assert error_m(first, drive[0]) < 2.0
    for at, pose in zip(drive[1:20], poses[1:20], strict=True):
        of.update(None, pose)
        second = of.locate(latlon(at.xy_m), 3.0)
    assert second.state == "tracking"
    assert error_m(second, at) < 2.0


def test_positions_of_a_vehicle_that_stands_count_once() -> None:
    """Their errors are alike: ten a second would make a wrong place sure in no time."""
    drive, of = circle(90.0), tracker()
    pose = odometry(drive)[0]
    of.update(None, pose)
    first = of.locate(latlon((drive[0].x_m, drive[0].y_m + 12.0)), 8.0)
    assert first.state == "searching"
    for i in range(1, 100):
        of.update(None, replace(pose, time_s=pose.time_s + 0.1 * i))
        last = of.locate(latlon((drive[0].x_m, drive[0].y_m + 12.0)), 8.0)
    assert (last.state, last.confidence) == ("searching", pytest.approx(first.confidence, abs=0.01))


def test_dense_positions_weigh_as_much_as_sparse_ones() -> None:
    """Twenty in ten metres and two: a tracked place is drawn aside alike."""
    drive = circle(130.0, step_m=0.5)
    drawn_m = []
    for every in (1, 20):
        of = tracker()
        for i, (at, pose) in enumerate(zip(drive, odometry(drive), strict=True)):
            fix = of.update(frame(at) if i % 3 == 0 and i < 180 else None, pose)
            if i >= 200 and i % every == 0:
                fix = of.locate(latlon((at.x_m + 3.0, at.y_m)), 2.0)
        assert fix.state == "tracking"
        drawn_m.append(error_m(fix, at))
    assert drawn_m[0] == pytest.approx(drawn_m[1], abs=0.4)


def test_measured_positions_suffice() -> None:
    """Without any pictures; the doubt becomes less than that of a single position."""
    drive, of = circle(60.0), tracker()
    rng = np.random.default_rng(0)
    for at, pose in zip(drive, odometry(drive), strict=True):
        of.update(None, pose)
        fix = of.locate(latlon((at.x_m + rng.normal(0, 2), at.y_m + rng.normal(0, 2))), 2.0)
    assert fix.state == "tracking"
    assert error_m(fix, drive[-1]) < 1.5
    assert of.followed.pose is not None
    assert of.followed.pose.covariance[0, 0] < 0.8 * 2.0**2


@pytest.mark.parametrize("sigma_m", [0.0, -3.0, float("nan"), float("inf")])
def test_a_standard_deviation_is_positive(sigma_m: float) -> None:
    of = tracker()
    of.update(frame(At(0.0, 0.0, 0.0)), OdometryPose(0.0, 0.0, 0.0, 0.0))
    before = of.belief.marginal()[0].clone()
    with pytest.raises(ValueError, match="a standard deviation is a positive number of metres"):
        of.locate(latlon((0.0, 0.0)), sigma_m)
    assert torch.equal(of.belief.marginal()[0], before)


@pytest.mark.parametrize("error_rad", [-0.05, radians(20.0), float("nan")])
def test_an_impossible_error_of_the_pitch_is_refused_at_once(error_rad: float) -> None:
    with pytest.raises(ValueError, match="the error of a pitch"):
        TrackSpec(pitch_error_rad=error_rad)


@pytest.mark.parametrize("error_rad", [-0.1, 2.0, float("nan")])
def test_an_impossible_error_of_the_aim_is_refused_at_once(error_rad: float) -> None:
    with pytest.raises(ValueError, match="quarter turn"):
        TrackSpec(aim_error_rad=error_rad)


def test_a_measured_position_far_away_is_an_outlier() -> None:
    drive, of = circle(90.0), tracker()
    before = followed(of, drive, odometry(drive))[-1]
    assert before.state == "tracking"
    after = of.locate(latlon((drive[-1].x_m - 60.0, drive[-1].y_m - 40.0)), 3.0)
    assert after.state == "tracking"
    assert after.position == before.position
    assert before.covariance is not None
    np.testing.assert_allclose(after.covariance, before.covariance)


def test_a_measured_position_nearby_draws_the_estimate() -> None:
    drive, of = circle(90.0), tracker()
    before = followed(of, drive, odometry(drive))[-1]
    aside = At(drive[-1].x_m + 1.0, drive[-1].y_m, 0.0)
    after = of.locate(latlon(aside.xy_m), 0.1)
    assert after.state == "tracking"
    assert error_m(after, aside) < 0.1
    assert error_m(before, aside) > 0.5
    assert after.smooth_position == before.smooth_position  # which never jumps


def test_positions_off_the_map_say_that_the_vehicle_is_not_there() -> None:
    drive, of = circle(90.0), tracker()
    poses = odometry(drive)
    of.update(None, poses[0])
    for _ in range(5):
        fix = of.locate(latlon((5000.0, 0.0)), 5.0)
    assert fix.state == "searching"
    assert fix.hypotheses == ()
    for i, (at, pose) in enumerate(zip(drive, poses, strict=True)):  # pictures alone then
        fix = of.update(frame(at), replace(pose, time_s=pose.time_s + 0.1), index=i)
    assert fix.state in ("searching", "tracking")
    assert fix.state == "searching" or error_m(fix, drive[-1]) < 2.0


def test_a_vehicle_that_is_nowhere_on_the_map_is_not_compared() -> None:
    """Nothing can come onto the map, so that no heading is left to compare a clip under."""
    drive, of = circle(240.0), tracker(spec=TrackSpec(entered_per_m=0.0))
    poses = odometry(drive)
    for pose in poses[:101:20]:
        of.update(None, pose)
        of.locate(latlon((5000.0, 0.0)), 5.0)
    fixes = [of.update(frame(at), pose) for at, pose in zip(drive[101:], poses[101:], strict=True)]
    assert set(states(fixes)) == {"searching"}


def test_a_known_start_counts() -> None:
    drive = circle(32.0)
    start = latlon((drive[0].x_m + 5.0, drive[0].y_m - 3.0)), 6.0
    free, told = (followed(tracker(start=begin), drive, odometry(drive))[-1] for begin in (None, start))
    assert told.state == "tracking"
    assert free.state == "searching"
    assert error_m(told, drive[-1]) < 2.0


def test_a_wrong_start_is_overcome() -> None:
    drive = circle(160.0)
    start = latlon((-drive[0].x_m, -drive[0].y_m)), 5.0
    fixes = followed(tracker(start=start), drive, odometry(drive))
    assert fixes[-1].state == "tracking"
    assert error_m(fixes[-1], drive[-1]) < 1.0


def test_before_the_first_moment_there_is_nothing_to_locate() -> None:
    with pytest.raises(ValueError, match="call update first"):
        tracker().locate(MIDDLE, 3.0)
    with pytest.raises(ValueError, match="nothing has been followed yet"):
        _ = tracker().followed


def test_what_the_smoother_takes() -> None:
    drive, of = circle(75.0), tracker()
    poses = odometry(drive)
    of.update(frame(drive[0]), poses[0])
    assert of.followed == Followed(poses[0], None, None)
    followed(of, drive[1:], poses[1:])
    found = of.followed
    assert found.odometry == poses[-1]
    assert found.stretch == 1
    assert found.pose is not None
    assert hypot(found.pose.xy_m[0] - drive[-1].x_m, found.pose.xy_m[1] - drive[-1].y_m) < 1.0


def test_the_smooth_pose_never_jumps() -> None:
    """It leaves the odometry's motion by at most a fifth of the way, whatever the estimate does."""
    drive = circle(300.0)
    fixes = followed(tracker(heading=Heading(drive[0].yaw_rad, radians(5.0))), drive, odometry(drive, turn_rad=1.0))
    begin = states(fixes).index("tracking")
    assert all(fix.smooth_position is None for fix in fixes[:begin])
    assert fixes[begin].smooth_position == fixes[begin].position
    tracked = list(zip(fixes, drive, strict=True))[begin:]
    for (before, at), (fix, then) in pairwise(tracked):
        assert before.smooth_position is not None
        assert fix.smooth_position is not None
        step_m = FRAME.xy_world_m(fix.smooth_position.degrees) - FRAME.xy_world_m(before.smooth_position.degrees)
        driven_m = np.array([then.x_m - at.x_m, then.y_m - at.y_m])
        turned = 0.05 * float(np.linalg.norm(driven_m))  # what the heading may be off
        assert np.linalg.norm(step_m - driven_m) <= 0.2 * np.linalg.norm(driven_m) + turned
    last = fixes[-1]
    assert last.smooth_position is not None
    assert np.linalg.norm(FRAME.xy_world_m(last.smooth_position.degrees) - drive[-1].xy_m) < 1.0
    assert last.smooth_yaw_rad == pytest.approx(drive[-1].yaw_rad, abs=0.05)


def test_several_cameras_are_used_together() -> None:
    drive, seen = circle(120.0), []
    of = tracker()
    encode = of.model.encode_frames
    of.model.encode_frames = lambda images: seen.append(len(images)) or encode(images)
    try:
        fixes = [
            of.update([frame(at), frame(replace(at, x_m=at.x_m + 0.5))], pose)
            for at, pose in zip(drive, odometry(drive), strict=True)
        ]
    finally:
        of.model.encode_frames = encode
    assert set(seen) == {2}
    assert fixes[-1].state == "tracking"
    assert error_m(fixes[-1], drive[-1]) < 0.6


def test_if_one_camera_is_black_the_moment_is_left_out() -> None:
    of = tracker()
    of.update([frame(At(0.0, 0.0, 0.0)), black()], OdometryPose(0.0, 0.0, 0.0, 0.0))
    assert of.wants_frames(OdometryPose(0.0, 0.0, 0.0, 0.0))


def test_a_frame_of_another_size_is_refused() -> None:
    wrong = Frame(torch.randint(0, 255, (3, 16, 128), dtype=torch.uint8), CAMERA, ROAD_FROM_CAM)
    with pytest.raises(ValueError, match="a frame and its camera have 128 x 32 px"):
        tracker().update(wrong, OdometryPose(0.0, 0.0, 0.0, 0.0))


def test_headings_count_from_true_east() -> None:
    """60 km east of its anchor a map's axes are turned against the meridian."""
    whole = region()
    aside = (60_000.0, 0.0)
    cells_m = (whole.cells.center_xy_m[0] + aside[0], whole.cells.center_xy_m[1])
    moved = replace(whole, places=whole.places.centered_at(aside), cells=whole.cells.centered_at(cells_m))
    drive = circle(90.0)
    here, there = (followed(tracker(area), drive, odometry(drive))[-1] for area in (whole, moved))
    assert (here.state, there.state) == ("tracking", "tracking")
    assert here.yaw_rad is not None
    assert there.yaw_rad is not None
    turn = FRAME.convergence_rad((60_000.0, 0.0))
    assert turn > 0.01
    assert there.yaw_rad == pytest.approx(here.yaw_rad - turn, abs=1e-3)
    assert there.smooth_yaw_rad == pytest.approx((here.smooth_yaw_rad or 0.0) - turn, abs=1e-3)
    assert there.hypotheses[0].yaw_rad == pytest.approx(here.hypotheses[0].yaw_rad - turn, abs=1e-3)


def test_a_clip_that_fits_nowhere_leaves_the_vehicle_elsewhere() -> None:
    drive = circle(40.0)
    nowhere = tracker(likelihood=Likelihood(level=50.0, floor=1e-12))
    fixes = followed(nowhere, drive, odometry(drive))
    assert {fix.state for fix in fixes} == {"searching"}
    assert nowhere.belief.turns_rad == ()
    assert fixes[-1].confidence == 0.0
    assert fixes[-1].position is None


def test_the_clip_that_is_kept_is_that_of_the_likeliest_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Sequence[float], ClipFeatures]] = []

    def nearly_turned(features: Callable[..., ClipFeatures], turns_rad: Sequence[float]) -> ClipFeatures:
        asked.append((turns_rad, turning.nearly_turned(features, turns_rad)))
        return asked[-1][1]

    monkeypatch.setattr("cvlnet.track.tracker.nearly_turned", nearly_turned)
    drive = circle(40.0)
    of = tracker(heading=Heading(None, pi), likelihood=Likelihood(level=1.0, floor=1e-12))
    for picture, pose in zip(map(frame, drive), odometry(drive), strict=True):
        before = len(asked)
        of.update(picture, pose)
        if len(asked) > before and len(of.belief.turns_rad) < len(asked[-1][0]):
            break
    turns, clips = asked[-1]
    assert 0 < len(of.belief.turns_rad) < len(turns)  # the clip has made some of them impossible
    assert of.compared is not None
    assert of.likeliest is not None
    nearest = int(np.argmin([abs(wrapped_rad(turn - of.likeliest[2])) for turn in turns]))
    assert of.compared.against == "map"
    assert torch.equal(of.compared.features.descriptor[0], clips.descriptor[nearest])


@pytest.fixture
def pitch_sensitive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network to which a clip shows changing places where the pitch is stated wrong by more than a degree."""
    network = model()
    fuse = network.fuse_frames

    def fuse_frames(frames: torch.Tensor, camera: Camera, ground_from_cam: Pose) -> tuple[torch.Tensor, torch.Tensor]:
        fused, seen = fuse(frames, camera, ground_from_cam)
        is_wrong = ground_from_cam.rotation[:, 0, 2, 2].abs() > sin(radians(1.0))
        elsewhere_m = 60.0 * torch.sin(1.7 * fused[:, 0]) * is_wrong[:, None, None]
        return torch.cat([fused[:, :1] + elsewhere_m[:, None], fused[:, 1:]], dim=1), seen

    monkeypatch.setattr(network, "fuse_frames", fuse_frames)


@pytest.mark.usefixtures("pitch_sensitive")
@pytest.mark.parametrize("up_deg", [-2.0, 0.0, 2.0])
def test_a_drive_whose_pitch_is_stated_wrong_is_found_where_pitches_are_tried(up_deg: float) -> None:
    drive = circle(120.0)
    mounting = looking_up(ROAD_FROM_CAM, radians(up_deg))
    frames = [replace(frame(at), road_from_cam=mounting) for at in drive]
    as_stated = followed(tracker(spec=TrackSpec(pitch_error_rad=0.0)), drive, odometry(drive), frames)
    assert ("tracking" in states(as_stated)) == (up_deg == 0.0)
    tried = tracker()
    fixes = followed(tried, drive, odometry(drive), frames)
    assert fixes[-1].state == "tracking"
    assert all(error_m(fix, at) < 2.0 for fix, at in zip(fixes, drive, strict=True) if fix.state == "tracking")
    assert tried.compared is None or tried.compared.features.descriptor.isfinite().all()
    offsets_rad = [fix.pitch_offset_rad for fix in fixes if fix.pitch_offset_rad is not None]
    assert len(offsets_rad) == sum(fix.state == "tracking" for fix in fixes)
    assert np.degrees(offsets_rad[-1]) == pytest.approx(up_deg, abs=0.7)


@pytest.mark.parametrize("left_deg", [-2.5, 0.0, 2.5])
def test_cameras_that_look_aside_are_noticed_by_where_the_vehicle_goes(left_deg: float) -> None:
    """The pictures are those of cameras that look farther to the left than is stated."""
    drive = circle(340.0)
    frames = [frame(replace(at, yaw_rad=at.yaw_rad + radians(left_deg))) for at in drive]
    fixes = followed(tracker(), drive, odometry(drive), frames)
    assert fixes[-1].state == "tracking"
    assert error_m(fixes[-1], drive[-1]) < 1.0
    assert fixes[-1].camera_yaw_offset_rad == pytest.approx(radians(left_deg), abs=radians(0.8))
    assert fixes[-1].yaw_rad is not None
    assert wrapped_rad(fixes[-1].yaw_rad - drive[-1].yaw_rad) == pytest.approx(0.0, abs=radians(0.8))
    stated = followed(tracker(spec=TrackSpec(aim_error_rad=0.0)), drive, odometry(drive), frames)
    assert {fix.camera_yaw_offset_rad for fix in stated if fix.state == "tracking"} == {0.0}


@pytest.mark.usefixtures("pitch_sensitive")
def test_a_search_compares_the_pitch_of_the_tracked_place_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[tuple[bool, tuple[float, ...]]]()
    drive = circle(120.0)
    of = tracker()
    mean_ratio = Likelihood.mean_ratio

    def weighed(
        self: Likelihood, scores: Iterable[torch.Tensor], weights: Sequence[float], share: float
    ) -> torch.Tensor:
        asked.append((of.followed.pose is not None, tuple(weights)))
        return mean_ratio(self, scores, weights, share)

    monkeypatch.setattr(Likelihood, "mean_ratio", weighed)
    fixes = followed(of, drive, odometry(drive))
    assert fixes[-1].state == "tracking"
    assert {is_tracked for is_tracked, _ in asked} == {False, True}
    for is_tracked, weights in asked:
        assert len(weights) == (1 if is_tracked else 3)
        assert sum(weights) == pytest.approx(1.0)
        assert max(weights) == weights[len(weights) // 2]


def test_pitches_under_which_a_clip_shows_the_same_are_no_further_evidence() -> None:
    drive = circle(120.0)
    plain, tried = tracker(spec=TrackSpec(pitch_error_rad=0.0)), tracker()
    for of in (plain, tried):
        followed(of, drive[:20], odometry(drive)[:20])
    torch.testing.assert_close(plain.belief.modes()[0].probability, tried.belief.modes()[0].probability)
