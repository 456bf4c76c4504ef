"""Errors of trajectories made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isnan, nan, pi, radians

import numpy as np
import pytest

from cvlnet.data.journey import KnownPlace
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.track.evaluate import GroundTruth, TrackErrors, errors_of
from cvlnet.track.types import State, TrackFix, Trajectory

ORIGIN = LatLon(49.0, 8.4)


def latlon(east_m: float, north_m: float) -> LatLon:
    return LatLon(*LocalFrame(ORIGIN).latlon_deg((east_m, north_m)).tolist())


def fix(
    time_s: float,
    place: tuple[float, float] | None,
    state: State = "tracking",
    *,
    yaw: float | None = 0.0,
    covariance: np.ndarray | None = None,
) -> TrackFix:
    whole = np.diag([1.0, 4.0, 0.01]) if covariance is None else covariance
    position = None if place is None else latlon(*place)
    return TrackFix(round(time_s * 10), time_s, state, position, yaw, None if place is None else whole, 0.9)


def truth(count: int = 11, *, step_m: float = 10.0, yaw: float | None = 0.0, begin_s: float = 0.0) -> list[KnownPlace]:
    """A second and ten metres to the east between places."""
    return [KnownPlace(begin_s + i, latlon(step_m * i, 0.0), yaw) for i in range(count)]


def errors(fixes: Sequence[TrackFix], places: Sequence[KnownPlace]) -> TrackErrors:
    return errors_of(Trajectory("drive", tuple(fixes)), places)


def test_errors_are_those_at_the_time_of_the_fix() -> None:
    """At 2.5 s the vehicle was at 25 m; a covariance of 1 and 4 square metres."""
    found = errors([fix(2.0, (23.0, -2.0)), fix(2.5, (25.0, 1.0))], truth())
    np.testing.assert_allclose(found.error_m, [[3.0, -2.0], [0.0, 1.0]], atol=1e-4)
    assert found.distance_m == pytest.approx([np.hypot(3, 2), 1.0], abs=1e-4)
    assert found.nees == pytest.approx([9.0 + 1.0, 0.25], abs=1e-3)
    assert found.time_s.tolist() == [0.0, 0.5]
    assert found.way_m == pytest.approx([0.0, 5.0], abs=1e-4)
    assert (found.begin_s, found.name) == (2.0, "drive")
    assert found.confidence.tolist() == [0.9, 0.9]


def test_an_error_ahead_and_one_to_the_left() -> None:
    """The vehicle heads north: east of it is to its right."""
    places = [KnownPlace(float(i), latlon(0.0, 10.0 * i), pi / 2) for i in range(3)]
    found = errors([fix(1.0, (2.0, 13.0), yaw=pi / 2 + 0.1)], places)
    assert found.along_m == pytest.approx([3.0], abs=1e-4)
    assert found.across_m == pytest.approx([-2.0], abs=1e-4)
    assert found.yaw_rad == pytest.approx([0.1])


def test_a_correlated_covariance_counts_as_a_whole() -> None:
    covariance = np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 0.01]])
    found = errors([fix(1.0, (13.0, 0.0), covariance=covariance)], truth())
    assert found.nees == pytest.approx([3.0**2 * 2 / 3], abs=1e-3)


def test_headings_differ_the_short_way_round() -> None:
    found = errors([fix(1.0, (10.0, 0.0), yaw=radians(-179))], truth(yaw=radians(178)))
    assert np.degrees(found.yaw_rad) == pytest.approx([3.0])


def test_true_headings_are_interpolated_across_half_a_turn() -> None:
    places = [KnownPlace(0.0, latlon(0, 0), radians(170)), KnownPlace(1.0, latlon(10, 0), radians(-170))]
    found = errors([fix(0.5, (5.0, 0.0), yaw=pi)], places)
    assert found.yaw_rad == pytest.approx([0.0], abs=1e-9)


def test_without_headings_the_direction_of_the_way_counts() -> None:
    places = [
        *[KnownPlace(0.5 * i, latlon(0.0, 4.0 * i)) for i in range(4)],  # northward, then it stands
        *[KnownPlace(2.0 + 0.5 * i, latlon(0.0, 12.0)) for i in range(6)],
    ]
    found = errors([fix(t, (1.0, 12.0), yaw=pi / 2) for t in (1.0, 2.0, 4.0)], places)
    assert found.yaw_rad == pytest.approx([0.0] * 3, abs=1e-6)
    assert found.across_m == pytest.approx([-1.0] * 3, abs=1e-4)


def test_true_headings_of_a_compass_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """The vehicle drives to the east, which is 0 by the files' convention and 90 degrees by a compass."""
    errors([fix(1.0, (10.0, 0.0))], truth(yaw=0.1))
    errors([fix(1.0, (10.0, 0.0))], truth(3, step_m=0.0, yaw=pi / 2))
    assert "headings" not in caplog.text
    errors([fix(1.0, (10.0, 0.0))], truth(yaw=pi / 2))
    assert "drive: the true headings differ from the direction of the way by 90 degrees (median); give" in caplog.text


def test_places_that_lie_close_together_show_the_direction_as_well() -> None:
    """A hundred places a second on a bend of 20 m at 4 m/s, 4 cm apart: after 10 s it has turned by two radians."""
    times_s = np.arange(0, 20, 0.01)
    turned = 4 * times_s / 20
    way_m = 20 * np.stack([np.sin(turned), 1 - np.cos(turned)], axis=1)
    places = [KnownPlace(time_s, latlon(*xy_m)) for time_s, xy_m in zip(times_s.tolist(), way_m.tolist(), strict=True)]
    at_m = (20 * np.sin(2.0), 20 * (1 - np.cos(2.0)))
    assert errors([fix(10.0, at_m, yaw=2.0)], places).yaw_rad == pytest.approx([0.0], abs=0.01)


def test_a_receiver_that_stands_shows_no_direction() -> None:
    """It drives to the east, and its positions wander by 0.3 m while it stands."""
    rng = np.random.default_rng(0)
    drive_m = [(10.0 * min(i, 5), 0.0) for i in range(30)]
    places = [KnownPlace(float(i), latlon(*(np.array(xy_m) + (i > 5) * rng.uniform(-0.3, 0.3, 2)).tolist()))
              for i, xy_m in enumerate(drive_m)]  # fmt: skip
    found = errors([fix(t, (50.0, 0.0)) for t in (10.0, 20.0, 28.0)], places)
    assert found.yaw_rad == pytest.approx([0.0] * 3, abs=0.01)


def test_a_vehicle_that_never_moved_has_no_direction() -> None:
    places = [KnownPlace(float(i), ORIGIN) for i in range(3)]
    found = errors([fix(1.0, (3.0, 4.0))], places)
    assert found.distance_m == pytest.approx([5.0], abs=1e-4)
    assert isnan(found.along_m[0])
    assert isnan(found.yaw_rad[0])
    single = errors([fix(1.0, (3.0, 4.0))], places[1:2])
    assert single.distance_m == pytest.approx([5.0], abs=1e-4)


def test_fixes_outside_the_known_places_are_left_out() -> None:
    """Before the first, after the last, and where two places are further apart than two and a half seconds."""
    places = [p for p in truth() if p.time_s not in (4.0, 5.0)]
    found = errors([fix(t, (10.0 * t, 0.0)) for t in (-0.1, 0.0, 1.5, 3.0, 3.5, 5.5, 6.0, 10.0, 10.1)], places)
    assert (found.begin_s + found.time_s).tolist() == pytest.approx([0.0, 1.5, 3.0, 6.0, 10.0])
    with pytest.raises(InputError, match="drive: no fix lies between the known places; check that both count seconds"):
        errors([fix(-0.1, (0.0, 0.0)), fix(4.5, (45.0, 0.0))], places)


def test_places_of_a_receiver_with_one_a_second_are_dense_enough() -> None:
    """Their times are never quite a second apart, and one of them is missing."""
    places = [KnownPlace(i + 0.01 * (i % 3), latlon(10.0 * i, 0.0), 0.0) for i in range(11) if i != 5]
    assert len(errors([fix(t, (10.0 * t, 0.0)) for t in np.arange(0.5, 10.0, 0.5)], places).time_s) == 19


@pytest.mark.parametrize("covariance", [np.zeros((3, 3)), np.ones((3, 3)), np.diag([-1.0, -1.0, 1.0])])
def test_a_singular_covariance_has_no_squared_error(covariance: np.ndarray) -> None:
    found = errors([fix(1.0, (11.0, 0.0), covariance=covariance), fix(2.0, (21.0, 0.0))], truth())
    assert isnan(found.nees[0])
    assert found.nees[1] == pytest.approx(1.0, abs=1e-3)


def test_what_is_not_known_of_some_fixes_does_not_count_in_the_figures() -> None:
    fixes = [fix(float(t), (10.0 * t + 1.0, 0.0)) for t in range(10)]
    known = errors(fixes, truth()).figures()
    fixes[3] = fix(3.0, (31.0, 0.0), covariance=np.zeros((3, 3)))
    fixes[5] = fix(5.0, (51.0, 0.0), yaw=None)
    assert errors(fixes, truth()).figures() == pytest.approx(known, nan_ok=True)


def test_a_fix_without_a_place_has_no_error() -> None:
    found = errors([fix(1.0, None, "searching", yaw=None), fix(2.0, (20.0, 0.0))], truth())
    for values in (found.error_m[:, 0], found.nees, found.yaw_rad, found.along_m):
        assert np.isnan(values).tolist() == [True, False]
    assert found.tracked.tolist() == [False, True]


def test_a_fix_without_a_covariance_has_no_squared_error() -> None:
    bare = TrackFix(0, 1.0, "tracking", latlon(11.0, 0.0), 0.0, None, 0.9)
    found = errors([bare, fix(2.0, (21.0, 0.0))], truth())
    assert isnan(found.nees[0])
    assert found.nees[1] == pytest.approx(1.0, abs=1e-3)


def drive(distances_m: Sequence[float], tracked: Sequence[bool], *, step_s: float = 1.0) -> TrackErrors:
    """A moment every ten metres; errors to the north."""
    count = len(distances_m)
    error_m = np.column_stack([np.zeros(count), distances_m])
    zeros = np.zeros(count)
    return TrackErrors(
        name="drive",
        begin_s=0.0,
        time_s=step_s * np.arange(count),
        way_m=10.0 * np.arange(count),
        tracked=np.array(tracked),
        error_m=error_m,
        along_m=zeros,
        across_m=np.array(distances_m, dtype=np.float64),
        yaw_rad=zeros,
        nees=np.array(distances_m, dtype=np.float64) ** 2,
        confidence=zeros,
    )


def test_the_way_until_the_track_is_sure_and_right() -> None:
    assert drive([1, 1, 1, 1], [False, False, True, True]).converged_m == 20.0
    assert drive([50, 50, 9.9, 1], [True, True, True, True]).converged_m == 20.0
    assert drive([nan, 10.1, 50], [False, True, True]).converged_m == inf
    assert drive([1, 1], [False, False]).converged_m == inf


def test_the_longest_time_at_a_wrong_place() -> None:
    """From the moment before the first wrong fix; a right fix, or one that is not sure, ends it."""
    assert drive([1, 1, 1], [True] * 3).misled_s == 0.0
    assert drive([1, 50, 1], [True] * 3, step_s=0.5).misled_s == 0.5
    assert drive([1, 50, 50, 1, 50, 50, 50, 1], [True] * 8).misled_s == 3.0
    assert drive([1, 50, 50, 50, 50, 1], [True, True, True, False, True, True]).misled_s == 2.0
    assert drive([1, 50, 50], [False] * 3).misled_s == 0.0
    assert drive([1, 9.9, 9.9], [True] * 3).misled_s == 0.0


def test_a_time_without_true_places_is_not_one_at_a_wrong_place() -> None:
    """Ten minutes between a right fix and a wrong one."""
    places = [*truth(3), *truth(3, begin_s=600.0)]
    fixes = [fix(t, (10.0 * t, 0.0)) for t in (0.0, 1.0)] + [fix(601.0, (10.0, 50.0)), fix(602.0, (20.0, 50.0))]
    assert errors(fixes, places).misled_s == pytest.approx(3.5)


def test_the_offset_that_all_share() -> None:
    found = drive([3, 3, 4, 100], [True, True, True, False])
    assert found.offset_m == pytest.approx([0.0, 3.0])
    assert drive([3, 3], [False, False]).offset_m.tolist() == [0.0, 0.0]


def test_the_figures_of_a_drive() -> None:
    found = drive([50, 2, 4, 6, 8], [False, True, True, False, True]).figures()
    assert found == pytest.approx(
        {
            "way_m": 40.0,
            "converged_m": 10.0,
            "available": 0.75,
            "median_m": 4.0,
            "median_relative_m": 2.0,
            "within_5m": 2 / 3,
            "p95_m": 7.6,
            "along_m": 0.0,
            "across_m": 4.0,
            "per_100m_m": nan,
            "yaw_deg": 0.0,
            "misled_s": 0.0,
            "in_ellipse": 1 / 3,  # squared errors of 4, 16 and 64, of which the first is below 5.99
            "nees": 28.0,
        },
        nan_ok=True,
    )


def test_figures_of_headings_are_sizes_in_degrees() -> None:
    found = errors([fix(1.0, (10.0, 0.0), yaw=-0.1), fix(2.0, (20.0, 0.0), yaw=-0.2)], truth()).figures()
    assert found["yaw_deg"] == pytest.approx(np.degrees(0.15))


def test_the_figures_of_a_drive_that_was_never_found() -> None:
    found = drive([50, 60], [False, False]).figures()
    assert (found["way_m"], found["converged_m"], found["available"], found["misled_s"]) == (10.0, inf, 0.0, 0.0)
    assert all(isnan(found[name]) for name in ("median_m", "within_5m", "p95_m", "per_100m_m", "yaw_deg", "nees"))


def test_the_error_of_the_motion_is_the_change_of_the_error() -> None:
    """Over 20 m, which are two moments; an error that stays the same costs nothing."""
    assert drive([3, 3, 3, 3], [True] * 4).relative_m(20.0).tolist() == [0.0, 0.0]
    assert drive([1, 5, 4, 5], [True] * 4).relative_m(20.0).tolist() == [3.0, 0.0]
    assert drive([1, 5, 4, 7], [True] * 4).relative_m(11.0).tolist() == [3.0, 2.0]  # to the first one behind it
    assert drive([1, 5, 4, 5], [True, True, False, True]).relative_m(20.0).tolist() == [0.0]
    assert drive([1, 5, 4, 5], [False, True, True, False]).relative_m(20.0).tolist() == []
    assert drive([1, nan, 4, 5], [True] * 4).relative_m(20.0).tolist() == [3.0]
    assert drive([1, 2], [True] * 2).relative_m(100.0).tolist() == []
    assert drive([1, 2, 3], [True] * 3).relative_m(4.0).tolist() == []  # ten metres are not four


def test_it_is_the_relative_error_of_evo() -> None:
    """Its relative pose error over a distance, with all orientations alike; a moment every ten metres."""
    evo = pytest.importorskip("evo.core.metrics", reason="needs evo, of the extra dev")
    from evo.core.trajectory import PoseTrajectory3D

    rng = np.random.default_rng(2)
    places = [KnownPlace(float(i), latlon(10.0 * i, 0.0), 0.0) for i in range(40)]
    error_m = rng.normal(size=(40, 2))
    found = errors([fix(float(i), (10.0 * i + e, n)) for i, (e, n) in enumerate(error_m)], places)
    true_m = np.column_stack([10.0 * np.arange(40), np.zeros((40, 2))])
    level = np.tile([1.0, 0.0, 0.0, 0.0], (40, 1))
    truth, estimate = (
        PoseTrajectory3D(xyz, level, np.arange(40.0)) for xyz in (true_m, true_m + np.pad(error_m, ((0, 0), (0, 1))))
    )
    metric = evo.RPE(
        evo.PoseRelation.translation_part,
        100.0,
        evo.Unit.meters,
        rel_delta_tol=0.01,
        all_pairs=True,
        pairs_from_reference=True,
    )
    metric.process_data((truth, estimate))
    np.testing.assert_allclose(np.sort(found.relative_m(100.0 - 1e-3)), np.sort(metric.error), atol=1e-4)


def test_the_truth_knows_what_lies_between_its_places() -> None:
    known = GroundTruth.of(truth(3))
    assert [known.knows(t) for t in (-0.1, 0.0, 0.5, 2.0, 2.1)] == [False, True, True, True, False]
    np.testing.assert_allclose(known.xy_at(np.array([0.5, 2.0])), [[5.0, 0.0], [20.0, 0.0]], atol=1e-4)
    with pytest.raises(ValueError, match="the truth is not known"):
        GroundTruth.of([])


@pytest.mark.parametrize(("count", "is_told"), [(11, False), (12, True)])
def test_fixes_without_a_truth_are_told_if_they_are_many(
    count: int, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten fixes before the last known place, and one or two behind it."""
    found = errors([fix(float(i), (10.0 * i, 0.0)) for i in range(count)], truth(10))
    assert len(found.time_s) == 10
    expected = "drive: the true place is not known at 2 of 12 fixes, which are not counted; give true positions"
    assert [message.startswith(expected) for message in caplog.messages] == [True] * is_told
