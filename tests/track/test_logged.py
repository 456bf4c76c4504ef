"""A drive that is tracked into a log: where tracking begins, and which fixes are new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cvlnet.data.journey import Journey, Moment
from cvlnet.data.recording import MountedCamera
from cvlnet.errors import InputError
from cvlnet.geometry import Pose
from cvlnet.localize.turned import Heading
from cvlnet.track.formats import TrackLog, read_trajectory
from cvlnet.track.logged import begun, logged, sure_positions
from cvlnet.track.types import TrackFix
from driving import CAMERA, ROAD_FROM_CAM, circle, latlon, model, odometry, region

DRIVE = circle(100.0)
POSES = odometry(DRIVE)


def moments() -> Iterator[Moment]:
    return (Moment(i, pose) for i, pose in enumerate(POSES))


JOURNEY = Journey("ring", {0: MountedCamera(CAMERA, ROAD_FROM_CAM)}, Pose.identity(), moments)


def fix(number: int, *, tracked: bool = True) -> TrackFix:
    """The right fix of a moment."""
    found = TrackFix(number, POSES[number].time_s, "searching", None, None, None, 0.0)
    if not tracked:
        return found
    at = DRIVE[number]
    return replace(
        found,
        state="tracking",
        position=latlon(at.xy_m),
        yaw_rad=at.yaw_rad,
        covariance=np.diag([1.0, 1.0, 1e-3]),
        confidence=0.99,
    )


def test_without_a_log_it_begins_with_the_first_moment() -> None:
    tracker, rest = begun(region(), model(), JOURNEY, heading=Heading.parse("±5"), start=(latlon(DRIVE[0].xy_m), 2.0))
    assert rest is JOURNEY
    first = tracker.update(None, POSES[0])
    assert first.confidence > 0.5


def test_it_begins_again_a_clip_before_the_end_of_a_log() -> None:
    """The heading of the drive does not count any more, nor its start."""
    known = [fix(i) for i in range(60)]
    tracker, rest = begun(
        region(), model(), JOURNEY, known, heading=Heading.parse("180±1"), start=(latlon((90.0, 90.0)), 1.0)
    )
    first = next(rest.moments())
    way_m = first.odometry.way_m(POSES[59])
    assert 60.0 <= way_m < 63.0
    found = tracker.update(None, first.odometry)
    assert found.position is not None
    place = [guess for guess in found.hypotheses if guess.probability > 0.3]
    assert place
    assert [moment.index for moment in rest.moments()] == list(range(first.index, len(POSES)))


def test_a_log_that_holds_no_place_is_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    known = [fix(i, tracked=i > 50) for i in range(60)]
    _, rest = begun(region(), model(), JOURNEY, known, heading=Heading.parse("±5"))
    assert rest is JOURNEY
    assert "the track starts again" in caplog.text


def test_new_fixes_are_logged_and_old_ones_are_not(tmp_path: Path) -> None:
    with TrackLog(tmp_path / "track.jsonl", "ring") as log:
        log.write(fix(0))
        log.write(fix(1))
    with TrackLog(tmp_path / "track.jsonl", "ring") as log:
        passed = list(logged(log, [fix(1), fix(1), fix(2), fix(1), fix(3)]))
    assert [(each.index, is_new) for each, is_new in passed] == [(1, False), (2, True), (3, True)]
    assert [each.index for each in read_trajectory(tmp_path / "track.jsonl").fixes] == [0, 1, 2, 3]


def test_positions_of_a_track_that_it_is_sure_of(tmp_path: Path) -> None:
    path, place = tmp_path / "track.jsonl", latlon((3.0, 4.0))
    fix = TrackFix(0, 0.0, "tracking", place, 0.5, np.eye(3), 0.995)
    unsure, lost = replace(fix, index=1, time_s=1.0, confidence=0.98), replace(fix, index=2, time_s=2.0, state="lost")
    with TrackLog(path, "raw/ring") as log:
        for one in (fix, unsure, lost):
            log.write(one)
    found = sure_positions(path, "elsewhere/ring")
    assert list(found) == [0]
    assert found[0].degrees == pytest.approx(place.degrees, abs=1e-8)
    with pytest.raises(InputError, match="is the track of raw/ring, not of raw/other"):
        sure_positions(path, "raw/other")


def test_a_track_that_is_never_sure_gives_no_positions(tmp_path: Path) -> None:
    path = tmp_path / "track.jsonl"
    with TrackLog(path, "ring") as log:
        log.write(TrackFix(0, 0.0, "searching", None, None, None, 0.0))
    with pytest.raises(InputError, match=r"no place is tracked with a confidence of 0\.99"):
        sure_positions(path, "ring")
