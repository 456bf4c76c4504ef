"""Fixes as they are sent: navigation's angles, ellipses, errors beside the truth, odometry alone."""

from __future__ import annotations

from dataclasses import replace
from math import pi, radians, sqrt

import numpy as np
import pytest

from cvlnet.data.journey import KnownPlace
from cvlnet.data.odometry import OdometryPose
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.localize.turned import Heading
from cvlnet.serve.fixes import (
    ellipse_of,
    error_m,
    fix_of,
    heading_deg,
    heading_of,
    odometry_places,
    places_of,
    truth_of,
)
from cvlnet.track.types import Hypothesis, TrackFix

PLACE = LatLon(49.0, 8.4)
FRAME = LocalFrame(PLACE)
TRACKED = TrackFix(
    7, 2.0, "tracking", PLACE, radians(30.0), np.diag([4.0, 1.0, 0.01]), 0.98, (Hypothesis(PLACE, pi / 2, 0.98),)
)


def at(east_m: float, north_m: float) -> LatLon:
    return LatLon(*FRAME.latlon_deg((east_m, north_m)).tolist())


@pytest.mark.parametrize(
    ("yaw_deg", "expected"), [(90.0, 0.0), (90.0000000001, 0.0), (0.0, 90.0), (-90.0, 180.0), (180.0, 270.0), (30, 60)]
)
def test_headings_count_clockwise_from_north(yaw_deg: float, expected: float) -> None:
    assert heading_deg(radians(yaw_deg)) == pytest.approx(expected)


def test_what_is_known_of_a_heading_counts_from_north_too() -> None:
    assert heading_of("±5") == Heading(None, radians(5.0))
    assert heading_of("unknown") == Heading(None, pi)
    assert heading_of(None) is None
    east = heading_of("90±20")
    assert east is not None
    assert (east.middle_rad, east.width_rad) == (pytest.approx(0.0), pytest.approx(radians(20.0)))
    south_west = heading_of("225±10")
    assert south_west is not None
    assert south_west.middle_rad == pytest.approx(radians(-135.0))
    with pytest.raises(InputError, match="a heading is unknown"):
        heading_of("north")


@pytest.mark.parametrize(
    ("covariance", "major_m", "minor_m", "bearing_deg"),
    [
        ([[4.0, 0.0], [0.0, 1.0]], 2.0, 1.0, 90.0),
        ([[1.0, 0.0], [0.0, 9.0]], 3.0, 1.0, 0.0),
        ([[2.5, 1.5], [1.5, 2.5]], 2.0, 1.0, 45.0),
        ([[2.5, -1.5], [-1.5, 2.5]], 2.0, 1.0, 135.0),
    ],
)
def test_ellipses_hold_95_per_cent(
    covariance: list[list[float]], major_m: float, minor_m: float, bearing_deg: float
) -> None:
    found = ellipse_of(np.array(covariance))
    scale = sqrt(5.991464547)  # chi-squared of two degrees of freedom
    assert found.major_m == pytest.approx(major_m * scale, abs=1e-4)
    assert found.minor_m == pytest.approx(minor_m * scale, abs=1e-4)
    assert found.bearing_deg == pytest.approx(bearing_deg) or found.bearing_deg == pytest.approx(bearing_deg + 180)


def test_a_tracked_fix() -> None:
    truth = (KnownPlace(1.5, at(3.0, 0.0)), KnownPlace(2.5, at(3.0, 8.0)))
    before, now = OdometryPose(1.9, 0.0, 0.0, 0.0), OdometryPose(2.0, 0.6, 0.8, 0.0)
    smooth = replace(TRACKED, smooth_position=at(0.0, 1.0), smooth_yaw_rad=0.0, scale=1.1, score=1.2)
    smooth = replace(smooth, pitch_offset_rad=-0.05, camera_yaw_offset_rad=0.03)
    fix = fix_of(smooth, 3, truth=truth, before=before, now=now)
    assert (fix.moment, fix.index, fix.time_s, fix.state) == (3, 7, 2.0, "tracking")
    assert (fix.latitude_deg, fix.longitude_deg) == (49.0, 8.4)
    assert fix.heading_deg == pytest.approx(60.0)
    assert fix.sigma_m == pytest.approx(2.0)
    assert fix.heading_sigma_deg == pytest.approx(np.degrees(0.1), abs=1e-6)
    assert fix.error_m == pytest.approx(5.0, abs=1e-3)
    assert fix.speed_mps == pytest.approx(11.0)
    assert fix.score == 1.2
    assert fix.pitch_offset_deg == pytest.approx(np.degrees(-0.05), abs=1e-3)
    assert fix.camera_yaw_offset_deg == pytest.approx(np.degrees(0.03), abs=1e-3)
    assert fix.smooth is not None
    assert fix.smooth.model_dump() == pytest.approx(
        {"latitude_deg": 49.000009, "longitude_deg": 8.4, "heading_deg": 90}
    )
    expected = {"latitude_deg": 49.0, "longitude_deg": 8.4, "heading_deg": 0.0, "probability": 0.98}
    assert [guess.model_dump() for guess in fix.hypotheses] == [pytest.approx(expected)]


def test_what_is_not_known_is_null() -> None:
    fix = fix_of(TrackFix(0, 0.0, "searching", None, None, None, 0.0), 0)
    unknown = fix.model_dump()
    for name in ("moment", "index", "time_s", "state", "confidence", "hypotheses"):
        del unknown[name]
    assert set(unknown.values()) == {None}
    assert fix.hypotheses == []


def test_the_error_is_known_between_true_places_alone() -> None:
    truth = (KnownPlace(1.0, PLACE), KnownPlace(2.0, at(0.0, 4.0)), KnownPlace(5.0, at(0.0, 9.0)))
    assert error_m(TRACKED, truth) == pytest.approx(4.0, abs=1e-3)
    assert error_m(replace(TRACKED, time_s=1.5), truth) == pytest.approx(2.0, abs=1e-3)
    for time_s in (0.5, 3.0, 5.1):
        assert error_m(replace(TRACKED, time_s=time_s), truth) is None
    assert error_m(replace(TRACKED, position=None), truth) is None
    assert error_m(TRACKED, ()) is None


def test_true_places_come_back() -> None:
    places = (KnownPlace(1.0, LatLon(49.0, 8.4), radians(30.0)), KnownPlace(2.0, LatLon(-49.0, -8.4)))
    sent = truth_of(places)
    assert [place.heading_deg for place in sent] == [pytest.approx(60.0), None]
    back = places_of(sent)
    assert [place.position for place in back] == [place.position for place in places]
    assert back[0].yaw_rad == pytest.approx(radians(30.0))
    assert back[1].yaw_rad is None


def test_odometry_is_laid_at_the_first_tracked_fix() -> None:
    """Its frame is turned by 90 degrees against the map's, and 100 m away."""
    odometry = [OdometryPose(float(i), 100.0 + 10.0 * i, 50.0, 0.0) for i in range(4)]
    searching = [TrackFix(i, float(i), "searching", None, None, None, 0.0) for i in range(2)]
    tracked = [replace(TRACKED, time_s=float(i), yaw_rad=pi / 2) for i in (2, 3)]
    found = odometry_places([*searching, *tracked], odometry)
    xy_m = FRAME.xy_world_m([(place.latitude_deg, place.longitude_deg) for place in found])
    np.testing.assert_allclose(xy_m, [[0.0, -20.0], [0.0, -10.0], [0.0, 0.0], [0.0, 10.0]], atol=1e-3)
    assert [place.time_s for place in found] == [0.0, 1.0, 2.0, 3.0]
    assert odometry_places(searching, odometry) == []
