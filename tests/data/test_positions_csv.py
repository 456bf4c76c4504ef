"""Positions of a GPS receiver in a table, without headings."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvlnet.data.odometry_files import read_places
from cvlnet.data.positions_csv import read_positions
from cvlnet.errors import InputError
from cvlnet.io.text import read_table

HEADER = "time_s,latitude_deg,longitude_deg"
LINES = ["0.5,49.0,8.4", "1.5,49.0001,8.4", "2.5,49.0002,8.4"]  # eleven metres a second


def write(folder: Path, lines: list[str], header: str = HEADER) -> Path:
    path = folder / "gps.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_positions_need_no_heading(tmp_path: Path) -> None:
    places = read_places(write(tmp_path, LINES), None)
    assert [place.time_s for place in places] == [0.5, 1.5, 2.5]
    assert [place.position.degrees for place in places] == [(49.0, 8.4), (49.0001, 8.4), (49.0002, 8.4)]
    assert all(place.yaw_rad is None and place.sigma_m is None for place in places)


def test_without_camera_json_headings_are_not_read(tmp_path: Path) -> None:
    """Nothing says how they count."""
    rows = [f"{line},90" for line in LINES]
    places = read_places(write(tmp_path, rows, f"{HEADER},yaw_deg"), None)
    assert [place.yaw_rad for place in places] == [None] * 3


def test_what_is_no_fix_or_no_vehicle_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [*LINES, "3.5,0,0", "4.5,49.5,8.4", "5.5,49.0005,8.4", "6.5,,", "7.5,49.0007,8.4"]
    places = read_positions(read_table(write(tmp_path, rows), ""))
    assert [place.time_s for place in places] == [0.5, 1.5, 2.5, 5.5, 7.5]
    assert "3 of 8 lines are left out" in caplog.messages[0]
    assert "(lines 5, 8)" in caplog.messages[0]


@pytest.mark.parametrize(
    ("lines", "header", "told"),
    [
        (LINES, "time_s,latitude,longitude_deg", "has no column latitude_deg .*latitude"),
        (LINES, "t,latitude_deg,longitude_deg", "has no column time_s"),
        ([], HEADER, "has no line below its header"),
        (["0,49,8.4", "0,49,8.4"], HEADER, "line 3: time_s 0 does not rise"),
        ([",49,8.4"], HEADER, "line 2: has no time_s"),
        (["0,91,8.4"], HEADER, "line 2: "),
        (["0,49,north"], HEADER, "line 2: longitude_deg 'north'"),
        (["0,0.85,0.14", "1,0.85,0.14"], HEADER, "all places lie in the Gulf of Guinea"),
        (["0,0,0"], HEADER, "no line holds a position"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, lines: list[str], header: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_places(write(tmp_path, lines, header), None)


def test_other_files_need_camera_json(tmp_path: Path) -> None:
    (tmp_path / "a.tum").write_text("0 0 0 0 0 0 0 1\n")
    with pytest.raises(InputError, match=r"a\.tum: is neither a GPX track nor a CSV file"):
        read_places(tmp_path / "a.tum", None)
