"""GeoJSON, GPX and KML, read back by GDAL and by gpxpy."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import gpxpy
import numpy as np
import pyogrio.raw
import pytest
import shapely
from drives import COVARIANCE, KARLSRUHE, NOON, TRACKED, drive
from shapely.geometry import shape

from cvlnet.ellipse import CONFIDENCE, ellipse_xy_m
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.track.formats import write_trajectory

STRETCHES = ((3, 4, 5, 6), (9, 10), (12,))
WORDS = 'Bilder: © "LGL" & <Ämter>, 2023'  # the credit, on one line
DRIVE = drive()


def lon_lat(number):
    place = DRIVE.fixes[number].position
    return place.longitude_deg, place.latitude_deg


def read(path, layer=None):
    """The shapes of a layer, and its columns by name, as GDAL reads them."""
    meta, _, shapes, columns = pyogrio.raw.read(path, layer=layer)
    return shapely.from_wkb(shapes), dict(zip(meta["fields"], columns, strict=True))


@pytest.fixture
def features(tmp_path):
    write_trajectory(DRIVE, tmp_path / "drive.geojson", start=NOON)
    return json.loads((tmp_path / "drive.geojson").read_text())


def of_kind(features, kind):
    return [feature for feature in features["features"] if feature["properties"]["kind"] == kind]


def test_geojson_has_a_line_for_each_stretch(features):
    lines = of_kind(features, "track")
    assert [line["geometry"]["type"] for line in lines] == ["LineString", "LineString"]  # one fix makes no line
    for line, numbers in zip(lines, STRETCHES, strict=False):
        np.testing.assert_allclose(line["geometry"]["coordinates"], [lon_lat(i) for i in numbers], rtol=0, atol=1e-9)
    assert {line["properties"]["credit"] for line in lines} == {DRIVE.credit}
    assert lines[0]["properties"]["begin_time_s"] == 1.5
    assert lines[0]["properties"]["end_time"] == "2024-05-01T12:00:03.000+00:00"
    assert (features["name"], features["credit"]) == (DRIVE.name, DRIVE.credit)


def test_geojson_has_a_point_for_each_fix_that_has_a_place(features):
    points = of_kind(features, "fix")
    placed = [number for number, fix in enumerate(DRIVE.fixes) if fix.position is not None]
    assert [point["properties"]["index"] for point in points] == [10 + number for number in placed]
    assert [point["geometry"]["coordinates"] for point in points] == [list(lon_lat(number)) for number in placed]
    assert points[1]["properties"] == pytest.approx(
        {
            "kind": "fix",
            "index": 13,
            "time_s": 1.5,
            "time": "2024-05-01T12:00:01.500+00:00",
            "state": "tracking",
            "confidence": 0.55,
            "yaw_deg": 53.0,
            "compass_deg": 37.0,
            "sigma_east_m": 2.0,
            "sigma_north_m": 3.0,
            "covariance_en_m2": 0.8,
            "sigma_yaw_deg": np.degrees(0.1),
        }
    )
    assert {point["properties"]["state"] for point in points} == {"searching", "tracking", "lost"}


def test_geojson_has_the_ellipse_of_the_last_tracked_fix_of_a_second(features):
    ellipses = of_kind(features, "ellipse")
    assert [area["properties"]["index"] - 10 for area in ellipses] == [3, 5, 6, 9, 10, 12]
    assert {area["properties"]["confidence"] for area in ellipses} == {CONFIDENCE}
    ring = np.array(ellipses[1]["geometry"]["coordinates"][0])[:, ::-1]
    xy_m = LocalFrame(DRIVE.fixes[5].position).xy_world_m(ring)
    np.testing.assert_allclose(xy_m, ellipse_xy_m(6 * COVARIANCE[:2, :2]), atol=1e-3)


def test_gdal_reads_the_geojson(tmp_path, features):
    shapes, columns = read(tmp_path / "drive.geojson")
    assert len(shapes) == len(features["features"])
    assert all(a.equals_exact(shape(b["geometry"]), 1e-12) for a, b in zip(shapes, features["features"], strict=True))
    assert columns["credit"][0] == DRIVE.credit


def test_geojson_is_cut_at_the_antimeridian(tmp_path):
    write_trajectory(drive(LatLon(10.0, 179.9999)), tmp_path / "drive.geojson")
    whole = json.loads((tmp_path / "drive.geojson").read_text())
    assert "MultiLineString" in {line["geometry"]["type"] for line in of_kind(whole, "track")}
    widths_deg = [shape(area["geometry"]).bounds for area in whole["features"]]
    assert all(west >= -180 and east <= 180 for west, _, east, _ in widths_deg)


def test_gdal_reads_the_gpx(tmp_path):
    path = tmp_path / "drive.gpx"
    write_trajectory(DRIVE, path, start=NOON)
    shapes, columns = read(path, "track_points")
    assert [(point.x, point.y) for point in shapes] == [lon_lat(number) for number in TRACKED]
    assert columns["track_seg_id"].tolist() == [0] * 4 + [1] * 2 + [2]
    assert columns["time"].astype("datetime64[ms]").tolist() == [
        (NOON + timedelta(seconds=number / 2)).replace(tzinfo=None) for number in TRACKED
    ]
    assert columns["hdop"] == pytest.approx([np.sqrt(3.25 * (1 + number)) for number in TRACKED], abs=1e-3)
    meta, _, _, columns = pyogrio.raw.read(path, layer="tracks", read_geometry=False)
    assert dict(zip(meta["fields"], columns, strict=True))["name"].tolist() == [DRIVE.name]


def test_gpxpy_reads_the_gpx(tmp_path):
    path = tmp_path / "drive.gpx"
    write_trajectory(DRIVE, path)
    found = gpxpy.parse(path.read_text())
    assert (found.version, found.name, found.description) == ("1.1", DRIVE.name, WORDS)
    points = [[(point.longitude, point.latitude) for point in part.points] for part in found.tracks[0].segments]
    assert points == [[lon_lat(number) for number in numbers] for numbers in STRETCHES]
    told = {element.tag: float(element.text) for element in found.tracks[0].segments[0].points[1].extensions}
    assert told == pytest.approx(
        {
            "{urn:cvlnet:track}confidence": 0.6,
            "{urn:cvlnet:track}yaw_deg": 54.0,
            "{urn:cvlnet:track}sigma_east_m": np.sqrt(5),
            "{urn:cvlnet:track}sigma_north_m": np.sqrt(5 * 2.25),
            "{urn:cvlnet:track}covariance_en_m2": 1.0,
            "{urn:cvlnet:track}sigma_yaw_deg": np.degrees(np.sqrt(5 * 0.0025)),
        }
    )
    assert found.tracks[0].segments[0].points[0].time == datetime(1970, 1, 1, 0, 0, 1, 500000, tzinfo=UTC)


def test_gpx_keeps_small_numbers(tmp_path):
    write_trajectory(drive(LatLon(1e-7, -1e-7)), tmp_path / "drive.gpx")
    shapes, _ = read(tmp_path / "drive.gpx", "track_points")
    expected = [drive(LatLon(1e-7, -1e-7)).fixes[number].position for number in TRACKED]
    np.testing.assert_allclose([point.y for point in shapes], [place.latitude_deg for place in expected], atol=1e-12)


def test_gdal_reads_the_kml(tmp_path):
    path = tmp_path / "drive.kml"
    sure = {3: 0.5, 4: 0.96, 5: 0.96, 6: 1.0, 9: 0.8, 10: 0.99}
    fixes = tuple(replace(fix, confidence=sure.get(number, 0.0)) for number, fix in enumerate(DRIVE.fixes))
    write_trajectory(replace(DRIVE, fixes=fixes), path, start=NOON)
    shapes, columns = read(path)
    parts = [[3], [3, 4, 5], [5, 6], [9], [9, 10], [12]]
    found = [[(x, y) for x, y, *_ in part.coords] for part in shapes]
    for coordinates, numbers in zip(found, parts, strict=True):
        np.testing.assert_allclose(coordinates, [lon_lat(number) for number in numbers], rtol=0, atol=1e-12)
    names = ["below 0.8", "from 0.95", "from 0.99", "from 0.8", "from 0.99", "below 0.8"]
    assert columns["Name"].tolist() == [f"confidence {name}" for name in names]
    begin, end = (columns[name].astype("datetime64[ms]").tolist() for name in ("begin", "end"))
    assert begin[1] == datetime(2024, 5, 1, 12, 0, 1, 500000)
    assert end[1] == datetime(2024, 5, 1, 12, 0, 2, 500000)
    text = path.read_text()
    assert all(text.count(f"<color>ff{bgr}</color>") == 1 for bgr in ("4bd732", "0ad6ff", "0095ff", "303bff"))


def test_kml_has_name_and_credit(tmp_path):
    write_trajectory(DRIVE, tmp_path / "drive.kml")
    assert pyogrio.list_layers(tmp_path / "drive.kml")[:, 0].tolist() == [DRIVE.name]
    assert "Bilder: © &quot;LGL&quot; &amp; &lt;Ämter&gt;, 2023" in (tmp_path / "drive.kml").read_text()


def test_a_stretch_ends_where_tracking_does(tmp_path):
    """Also if the next fix is tracked again at another place: a lost fix lies between."""
    write_trajectory(replace(DRIVE, fixes=DRIVE.fixes[6:10]), tmp_path / "drive.gpx")
    found = gpxpy.parse((tmp_path / "drive.gpx").read_text())
    assert [len(part.points) for part in found.tracks[0].segments] == [1, 1]
    assert KARLSRUHE.latitude_deg < found.tracks[0].segments[0].points[0].latitude < 49.001
