"""GPX tracks: times, segments, and what is refused."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cvlnet.data.gpx import read_gpx
from cvlnet.errors import InputError

T0 = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC).timestamp()


def point(second: int | None, latitude: float | str = 49.0, zone: str = "Z") -> str:
    time = "" if second is None else f"<time>2024-05-01T12:00:{second:02d}{zone}</time>"
    return f'<trkpt lat="{latitude}" lon="8.4">{time}</trkpt>'


def write(folder: Path, *segments: str) -> Path:
    body = "".join(f"<trkseg>{segment}</trkseg>" for segment in segments)
    path = folder / "track.gpx"
    path.write_text(
        '<?xml version="1.0"?><gpx version="1.1" creator="x" xmlns="http://www.topografix.com/GPX/1/1">'
        f"<trk>{body}</trk></gpx>"
    )
    return path


def test_points_are_known_places_by_time(tmp_path: Path) -> None:
    places = read_gpx(write(tmp_path, point(10, 49.0003) + point(11, 49.0004), point(0) + point(1, 49.0001)))
    assert [place.time_s - T0 for place in places] == [0, 1, 10, 11]
    assert [place.position.degrees for place in places] == [(49.0, 8.4), (49.0001, 8.4), (49.0003, 8.4), (49.0004, 8.4)]
    assert {(place.yaw_rad, place.sigma_m) for place in places} == {(None, None)}


def test_points_where_no_vehicle_can_have_driven_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    way = [49.0 + 0.0001 * i for i in range(20)]
    way[5], way[12] = 49.5, 0.0
    places = read_gpx(write(tmp_path, "".join(point(i, at) for i, at in enumerate(way))))
    assert [place.time_s - T0 for place in places] == [i for i in range(20) if i not in (5, 12)]
    assert "2 of 20 points are left out" in caplog.text


def test_times_of_other_zones(tmp_path: Path) -> None:
    [place] = read_gpx(write(tmp_path, point(0, zone="+02:00")))
    assert place.time_s == T0 - 7200
    [place] = read_gpx(write(tmp_path, point(0, zone="")))
    assert place.time_s == T0  # GPX counts in UTC


def test_points_without_a_time_of_their_own_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    places = read_gpx(write(tmp_path, point(0) + point(None) + point(0, 49.5) + point(2)))
    assert [(place.time_s - T0, place.position.latitude_deg) for place in places] == [(0, 49.0), (2, 49.0)]
    assert "track.gpx: 2 of 4 points have no time of their own, and are left out" in caplog.messages[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file is empty"),
        ("<gpx>", "is no GPX"),
        ("hello", "is no GPX"),
        ("<kml></kml>", "holds no track|is no GPX"),
        ('<!DOCTYPE g [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><gpx>&c;</gpx>', "is no GPX"),
    ],
)
def test_what_is_no_gpx(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "track.gpx").write_text(text)
    with pytest.raises(InputError, match=told) as refused:
        read_gpx(tmp_path / "track.gpx")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("segments", "told"),
    [
        ([], "holds no track; export the track as GPX, with times"),
        ([point(None) + point(None)], "none of its 2 points has a time"),
        ([point(5) + point(4)], "times fall within a segment, at 49.0, 8.4"),
        ([point(5, 490)], "latitude 490.0 is not within -90 to 90"),
        ([point(5, "nan")], "latitude nan is not within -90 to 90"),
        ([point(5, "north")], "is no GPX"),
        ([point(99)], "none of its 1 points has a time|is no GPX"),
    ],
)
def test_tracks_that_are_refused(tmp_path: Path, segments: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told) as refused:
        read_gpx(write(tmp_path, *segments))
    assert "\n" not in str(refused.value)


def test_a_track_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the file is missing"):
        read_gpx(tmp_path / "track.gpx")
