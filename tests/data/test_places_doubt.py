from math import cos, sin

import numpy as np
import pytest

from cvlnet.data.journey import KnownPlace
from cvlnet.data.odometry import OdometryPose
from cvlnet.data.places_doubt import PlacesDoubt, places_doubt
from cvlnet.geo import LatLon, LocalFrame

FRAME = LocalFrame(LatLon(49.0, 8.4))


def way(seconds: int = 90) -> list[tuple[float, float, float]]:
    """Time, east and north of a vehicle that brakes and speeds up, and goes round a wide bend."""
    rows, x_m, y_m = [], 0.0, 0.0
    for tenth in range(10 * seconds):
        time_s = tenth / 10
        rows.append((time_s, x_m, y_m))
        speed_m_s, course_rad = 9.0 + 5.0 * sin(time_s / 5) + 2.0 * sin(time_s / 3.1), 0.02 * time_s
        x_m, y_m = x_m + 0.1 * speed_m_s * cos(course_rad), y_m + 0.1 * speed_m_s * sin(course_rad)
    return rows


def odometry(scale: float = 1.0, turn_rad: float = 2.0) -> list[OdometryPose]:
    c, s = scale * cos(turn_rad), scale * sin(turn_rad)
    return [OdometryPose(t, c * x - s * y, s * x + c * y, 0.0) for t, x, y in way()]


def places(late_s: float = 0.0, noise_m: float = 1.0, seconds: int = 90) -> list[KnownPlace]:
    rows = way(seconds)[::10]
    noise = np.random.default_rng(0).normal(0, noise_m, (len(rows), 2))
    at = FRAME.latlon_deg(np.array(rows)[:, 1:] + noise)
    return [KnownPlace(row[0] + late_s, LatLon(*place)) for row, place in zip(rows, at.tolist(), strict=True)]


@pytest.mark.parametrize("noise_m", [0.0, 1.0, 2.5])
def test_positions_of_the_same_drive_are_not_doubted(noise_m: float) -> None:
    assert places_doubt(places(noise_m=noise_m), odometry()) is None


@pytest.mark.parametrize("late_s", [18.0, -3.0])
def test_an_offset_of_their_times_is_found(late_s: float) -> None:
    doubt = places_doubt(places(late_s), odometry())
    assert doubt is not None
    assert abs(doubt.offset_s + late_s) < 0.6
    assert doubt.remedy.startswith("correct --gps-offset-s")


@pytest.mark.parametrize(("scale", "told"), [(0.8, "20 % shorter"), (1.15, "15 % longer")])
def test_a_wrong_scale_of_the_odometry_is_found(scale: float, told: str) -> None:
    doubt = places_doubt(places(noise_m=0.2), odometry(scale))
    assert doubt is not None
    assert doubt.offset_s == 0
    assert doubt.scale == pytest.approx(scale, abs=0.02)
    assert f"the distances of the odometry are {told}" in str(doubt)


def test_too_few_positions_say_nothing() -> None:
    assert places_doubt(places(late_s=3.0, seconds=15), odometry(0.5)) is None


def test_positions_of_another_drive_say_nothing() -> None:
    stops = [OdometryPose(t, 15.0 * (t // 10) * 10, 0.0, 0.0) for t, _, _ in way()]
    assert places_doubt(places(), stops) is None


def test_the_doubt_in_words() -> None:
    assert str(PlacesDoubt(-18.0, 1.0)).endswith("if -18.0 s are added to its times")
