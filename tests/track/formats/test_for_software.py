"""TUM's format, NMEA and CSV, read back by evo, pynmea2 and csv."""

import csv
from datetime import timedelta
from itertools import pairwise
from math import radians

import numpy as np
import pynmea2
import pytest
from drives import COVARIANCE, NOON, TRACKED, drive
from evo.tools.file_interface import read_tum_trajectory_file

from cvlnet.geo import LatLon, LocalFrame
from cvlnet.track.formats import write_trajectory
from cvlnet.track.types import TrackFix, Trajectory

DRIVE = drive()


def sentences(path):
    lines = path.read_bytes().decode().split("\r\n")
    assert lines.pop() == ""
    assert all(len(line) <= 80 for line in lines)
    return [pynmea2.parse(line, check=True) for line in lines]


def nmea_of(tmp_path, *fixes):
    write_trajectory(Trajectory("drive", fixes), tmp_path / "drive.nmea", start=NOON)
    return sentences(tmp_path / "drive.nmea")


def at(place, time_s=0.0, *, yaw_rad=0.0, covariance=COVARIANCE):
    return TrackFix(0, time_s, "tracking", place, yaw_rad, covariance, 1.0)


@pytest.mark.parametrize("origin", [LatLon(49.0, 8.4), LatLon(-10.0, 179.9999), LatLon(89.9999, 0.0)])
def test_evo_reads_tum(tmp_path, origin):
    write_trajectory(drive(origin), tmp_path / "drive.tum", start=NOON)
    found = read_tum_trajectory_file(tmp_path / "drive.tum")
    assert found.check()[0]
    assert found.timestamps.tolist() == [number / 2 for number in TRACKED]
    xy_m = found.positions_xyz[:, :2]
    steps_m = [np.hypot(3, 4) * (b - a) for a, b in pairwise(TRACKED)]
    assert np.hypot(*np.diff(xy_m, axis=0).T) == pytest.approx(steps_m, abs=1e-5)
    assert (found.positions_xyz[:, 2] == 0).all()
    if origin.latitude_deg < 89:
        np.testing.assert_allclose(xy_m, [(3.0 * (n - 3), 4.0 * (n - 3)) for n in TRACKED], atol=1e-4)
        yaw_rad = [euler[2] for euler in found.get_orientations_euler()]
        assert yaw_rad == pytest.approx([radians(50 + number) for number in TRACKED], abs=1e-5)


@pytest.mark.parametrize("latitude_deg", [49.0, 89.99])
def test_a_way_that_is_straight_on_the_ground_is_straight_in_tum(tmp_path, latitude_deg):
    """The heading from true east changes along it, as the meridians converge; in the frame it does not."""
    way = LocalFrame(LatLon(latitude_deg, 8.4))
    fixes = []
    for number in range(4):
        here, there = way.latlon_deg([(400.0 * number, 300.0 * number), (400.0 * number + 4, 300.0 * number + 3)])
        east_m, north_m = LocalFrame(LatLon(*here.tolist())).xy_world_m(there)
        fixes.append(at(LatLon(*here.tolist()), 1.0 * number, yaw_rad=np.arctan2(north_m, east_m)))
    write_trajectory(Trajectory("straight", tuple(fixes)), tmp_path / "drive.tum")
    found = read_tum_trajectory_file(tmp_path / "drive.tum")
    assert [euler[2] for euler in found.get_orientations_euler()] == pytest.approx([np.arctan2(3, 4)] * 4, abs=1e-5)


def test_tum_says_where_its_frame_lies(tmp_path):
    write_trajectory(DRIVE, tmp_path / "drive.tum")
    comments = [line for line in (tmp_path / "drive.tum").read_text().splitlines() if line.startswith("#")]
    first = DRIVE.fixes[3].position
    assert comments == [
        "# drive & <9>: time_s east_m north_m up_m qx qy qz qw",
        '# Bilder: © "LGL" & <Ämter>, 2023',
        f"# anchor latitude_deg {first.latitude_deg!r} longitude_deg {first.longitude_deg!r} (WGS84)",
    ]


def test_pynmea2_reads_every_fix(tmp_path):
    write_trajectory(DRIVE, tmp_path / "drive.nmea", start=NOON)
    found = sentences(tmp_path / "drive.nmea")
    ggas = [sentence for sentence in found if sentence.sentence_type == "GGA"]
    rmcs = [sentence for sentence in found if sentence.sentence_type == "RMC"]
    assert len(ggas) == len(rmcs) == len(DRIVE.fixes)
    assert [i for i, gga in enumerate(ggas) if gga.is_valid] == list(TRACKED)
    assert [i for i, rmc in enumerate(rmcs) if rmc.is_valid] == list(TRACKED)
    assert {gga.gps_qual for i, gga in enumerate(ggas) if i not in TRACKED} == {0}
    assert all(s.lat == s.lon == "" for s in (*ggas, *rmcs) if not s.is_valid)
    for number in TRACKED:
        place = DRIVE.fixes[number].position
        for sentence in (ggas[number], rmcs[number]):
            assert sentence.latitude == pytest.approx(place.latitude_deg, abs=1e-9)
            assert sentence.longitude == pytest.approx(place.longitude_deg, abs=1e-9)
        assert rmcs[number].datetime == NOON + timedelta(seconds=number / 2)
        assert float(ggas[number].horizontal_dil) == pytest.approx(np.sqrt(3.25 * (1 + number)), abs=5e-3)


def test_speed_and_course_follow_from_tracked_fixes_in_a_row(tmp_path):
    write_trajectory(DRIVE, tmp_path / "drive.nmea")
    rmcs = [s for s in sentences(tmp_path / "drive.nmea") if s.sentence_type == "RMC"]
    moving = [number for number, rmc in enumerate(rmcs) if rmc.spd_over_grnd is not None]
    assert moving == [4, 5, 6, 10]
    assert rmcs[5].spd_over_grnd == pytest.approx(10 * 3600 / 1852, abs=0.01)  # 5 m in half a second
    assert rmcs[5].true_course == pytest.approx(np.degrees(np.arctan2(3, 4)), abs=0.01)


def test_a_standing_vehicle_has_no_course(tmp_path):
    place = LatLon(49.0, 8.4)
    rmc = nmea_of(tmp_path, at(place), at(place, 0.1))[5]
    assert (rmc.spd_over_grnd, rmc.true_course) == (0.0, None)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (LatLon(49.0, 8.4), ("4900.0000000", "N", "00824.0000000", "E")),
        (LatLon(-0.5, -179.75), ("0030.0000000", "S", "17945.0000000", "W")),
        (LatLon(49.99999999999, -8.0), ("5000.0000000", "N", "00800.0000000", "W")),
        (LatLon(90.0, 180.0), ("9000.0000000", "N", "18000.0000000", "E")),
    ],
)
def test_minutes_never_reach_sixty(tmp_path, place, words):
    gga = nmea_of(tmp_path, at(place))[0]
    assert (gga.lat, gga.lat_dir, gga.lon, gga.lon_dir) == words


@pytest.mark.parametrize(
    ("yaw_deg", "heading"), [(0.0, 90.0), (90.0, 0.0), (90.001, 0.0), (-180.0, 270.0), (45.0, 45.0)]
)
def test_headings_are_a_compass_s(tmp_path, yaw_deg, heading):
    hdt = nmea_of(tmp_path, at(LatLon(49.0, 8.4), yaw_rad=radians(yaw_deg)))[3]
    assert (float(hdt.heading), hdt.hdg_true) == (heading, "T")


@pytest.mark.parametrize(
    ("en", "expected"),
    [([[1.0, 0.0], [0.0, 4.0]], (2.0, 1.0, 0.0)), ([[4.0, 0.0], [0.0, 1.0]], (2.0, 1.0, 90.0)),
     ([[2.5, 1.5], [1.5, 2.5]], (2.0, 1.0, 45.0)), ([[2.5, -1.5], [-1.5, 2.5]], (2.0, 1.0, 135.0))],
)  # fmt: skip
def test_the_ellipse_is_told_from_north(tmp_path, en, expected):
    covariance = COVARIANCE.copy()
    covariance[:2, :2] = en
    gst = nmea_of(tmp_path, at(LatLon(49.0, 8.4), covariance=covariance))[2]
    assert (gst.std_dev_major, gst.std_dev_minor, gst.orientation) == expected
    assert gst.std_dev_latitude == pytest.approx(np.sqrt(en[1][1]), abs=1e-3)
    assert gst.std_dev_longitude == pytest.approx(np.sqrt(en[0][0]), abs=1e-3)


def test_a_fix_without_covariance_says_so(tmp_path):
    found = nmea_of(tmp_path, at(LatLon(49.0, 8.4), covariance=None))
    assert [sentence.sentence_type for sentence in found] == ["GGA", "RMC", "HDT"]
    assert found[0].horizontal_dil == ""


def test_csv_has_a_row_for_each_fix(tmp_path):
    write_trajectory(DRIVE, tmp_path / "drive.csv")
    with (tmp_path / "drive.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["index"]) for row in rows] == [fix.index for fix in DRIVE.fixes]
    assert {name for name, cell in rows[0].items() if cell} == {
        "index", "time_s", "state", "confidence", "scale", "drift_deg_per_m",
    }  # fmt: skip
    row, place, smooth = rows[5], DRIVE.fixes[5].position, DRIVE.fixes[5].smooth_position
    assert row["state"] == "tracking"
    expected = {
        "time_s": 2.5,
        "latitude_deg": place.latitude_deg,
        "longitude_deg": place.longitude_deg,
        "yaw_deg": 55,
        "sigma_east_m": np.sqrt(6 * 1.0),
        "sigma_north_m": np.sqrt(6 * 2.25),
        "covariance_en_m2": 6 * 0.2,
        "sigma_yaw_deg": np.degrees(np.sqrt(6 * 0.0025)),
        "covariance_east_yaw_m_deg": np.degrees(6 * 0.01),
        "covariance_north_yaw_m_deg": np.degrees(6 * 0.02),
        "confidence": 0.65,
        "smooth_latitude_deg": smooth.latitude_deg,
        "smooth_longitude_deg": smooth.longitude_deg,
        "smooth_yaw_deg": 54,
        "scale": 1.005,
        "drift_deg_per_m": 0.005,
        "score": 0.7,
        "pitch_offset_deg": 1.5,
        "camera_yaw_offset_deg": -0.5,
    }
    assert {name: float(row[name]) for name in expected} == pytest.approx(expected, rel=1e-12)
    assert set(row) == {*expected, "index", "state"}
