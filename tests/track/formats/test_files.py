"""What all formats have in common."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from math import nan

import pytest
from drives import EMPTY, NEVER, NOON, drive, same

from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.track.formats import check_output, read_trajectory, write_trajectory
from cvlnet.track.formats.files import ENDINGS

READ = (".csv", ".json", ".jsonl")
DATED = (".geojson", ".gpx", ".kml", ".nmea", ".mcap", ".bag", ".rosbag2")
EDGES = (LatLon(0.0, 180.0), LatLon(0.0, -179.99999), LatLon(90.0, 0.0), LatLon(-90.0, 120.0), LatLon(89.9999, -180.0))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("trajectory", [EMPTY, NEVER, *map(drive, EDGES)])
def test_every_format_takes_every_drive(tmp_path, ending, trajectory):
    path = tmp_path / "new" / f"drive{ending.upper() if ending != '.rosbag2' else ending}"
    write_trajectory(trajectory, path, start=NOON)
    assert path.exists()
    assert [found.name for found in path.parent.iterdir()] == [path.name]  # nothing unfinished is left


@pytest.mark.parametrize("ending", READ)
@pytest.mark.parametrize("trajectory", [EMPTY, NEVER, drive(), *map(drive, EDGES)])
def test_what_is_written_reads_back(tmp_path, ending, trajectory):
    path = tmp_path / f"drive{ending}"
    write_trajectory(trajectory, path)
    found = read_trajectory(path)
    if ending == ".csv":
        trajectory = replace(trajectory, fixes=tuple(replace(fix, hypotheses=()) for fix in trajectory.fixes))
        assert (found.name, found.credit) == ("drive", None)
    else:
        assert (found.name, found.credit) == (trajectory.name, trajectory.credit)
    assert same(found, trajectory)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_place_that_is_not_known_is_never_zero(tmp_path, ending):
    """Nor is the place nor its guess shown as a track where the vehicle is not tracked."""
    path = tmp_path / f"drive{ending}"
    write_trajectory(NEVER, path, start=NOON)
    if ending in READ:
        found = read_trajectory(path)
        assert [fix.position is None for fix in found.fixes] == [fix.position is None for fix in NEVER.fixes]
    elif ending == ".geojson":
        features = json.loads(path.read_text())["features"]
        assert [feature["properties"]["index"] for feature in features] == [12, 18, 21]
    elif ending in (".gpx", ".kml"):
        assert not any(word in path.read_text() for word in ("<trkpt", "<coordinates"))
    elif ending == ".tum":
        assert all(line.startswith("#") for line in path.read_text().splitlines())
    elif ending == ".nmea":
        assert all(",,,,," in line for line in path.read_text().splitlines())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.gpxx", "the ending '.gpxx' is unknown (did you mean .gpx?); use .csv, .json, .jsonl, .tum, .geojson, .gpx, "
                   ".kml, .nmea, .mcap, .bag, .rosbag2"),
        ("a", "the ending '' is unknown; use .csv, .json, .jsonl, .tum, .geojson, .gpx, .kml, .nmea, .mcap, .bag, "
              ".rosbag2"),
    ],
)  # fmt: skip
def test_another_ending_is_refused_with_those_that_are_known(tmp_path, name, message):
    with pytest.raises(InputError, match="unknown") as caught:
        write_trajectory(EMPTY, tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}: {message}"
    with pytest.raises(InputError, match=r"cannot be read; give \.csv, \.json, \.jsonl$"):
        read_trajectory(tmp_path / name)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_folder_is_not_written_over(tmp_path, ending):
    path = tmp_path / f"drive{ending}"
    path.mkdir()
    with pytest.raises(InputError, match=r"drive\..*: is there already; delete it, or choose another name"):
        check_output(path)


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    for ending in ENDINGS:
        with pytest.raises(InputError, match="cannot be written"):
            write_trajectory(drive(), tmp_path / "file" / f"drive{ending}")


@pytest.mark.parametrize("ending", [".mcap", ".bag", ".rosbag2"])
def test_bags_need_their_extra(tmp_path, ending, monkeypatch):
    monkeypatch.setattr("cvlnet.track.formats.files.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs rosbags; install the extra: pip install 'cvlnet\[ros\]'"):
        check_output(tmp_path / f"drive{ending}")
    check_output(tmp_path / "drive.gpx")


@pytest.mark.parametrize("ending", [".nmea", ".mcap", ".bag", ".rosbag2"])
@pytest.mark.parametrize("shift", [timedelta(seconds=-1), timedelta(seconds=2**31 - 6)])  # the drive lasts six seconds
def test_dates_that_some_formats_lack_are_refused(tmp_path, ending, shift):
    start = datetime.fromtimestamp(0, NOON.tzinfo) + shift
    with pytest.raises(InputError, match="is no date between 1970 and 2038; give the time at which the drive began"):
        write_trajectory(drive(), tmp_path / f"drive{ending}", start=start)
    write_trajectory(drive(), tmp_path / f"drive{ending}", start=start + timedelta(seconds=1 if shift.days < 0 else -1))


@pytest.mark.parametrize("ending", [".geojson", ".gpx", ".kml"])
def test_other_formats_take_any_date(tmp_path, ending):
    """Such as those of a drive whose clock begins before 1970."""
    write_trajectory(drive(), tmp_path / f"drive{ending}", start=datetime(1969, 7, 20, 20, 17, tzinfo=NOON.tzinfo))
    assert b"1969-07-20T" in (tmp_path / f"drive{ending}").read_bytes()
    with pytest.raises(InputError, match="is no date; give the time at which the drive began"):
        write_trajectory(drive(), tmp_path / f"drive{ending}", start=datetime.max.replace(tzinfo=NOON.tzinfo))


def test_a_start_has_a_time_zone(tmp_path):
    with pytest.raises(ValueError, match="no time zone"):
        write_trajectory(drive(), tmp_path / "drive.gpx", start=datetime(2024, 5, 1))


@pytest.mark.parametrize("ending", READ)
def test_numbers_that_are_not_finite_are_not_written(tmp_path, ending):
    wrong = drive()
    wrong = replace(wrong, fixes=(replace(wrong.fixes[0], score=nan),))
    with pytest.raises(ValueError, match="fix 10: score not finite"):
        write_trajectory(wrong, tmp_path / f"drive{ending}")
    assert not list(tmp_path.iterdir())
