"""Files that are no trajectories, and those that a killed writer has left."""

import json
from dataclasses import replace

import pytest
from drives import drive, same

from cvlnet.errors import InputError
from cvlnet.track.formats import read_trajectory, write_trajectory

FIXES = drive().fixes


def entry(line, **changes):
    """The changed line of a log, or fix of JSON."""
    return json.dumps({**json.loads(line), **changes})


@pytest.fixture
def lines(tmp_path):
    """The lines of a log, of which the first is the header."""
    write_trajectory(drive(), tmp_path / "good.jsonl")
    return (tmp_path / "good.jsonl").read_text().splitlines()


BAD_FIXES = [
    ({"state": "parked"}, "'parked' is no state; give one of searching, tracking, lost"),
    ({"state": None}, "has no state; write the file again with `cvlnet track`"),
    ({"index": 1.5}, "index 1.5 is no whole number"),
    ({"time_s": "soon"}, "time_s 'soon' is not a number"),
    ({"time_s": True}, "time_s True is not a number"),
    ({"time_s": 0.5}, "the time 0.5 s does not come after 0.5 s; give the fixes by rising time, each once"),
    ({"time_s": 0.4}, "the time 0.4 s does not come after 0.5 s"),
    ({"latitude_deg": 91.0}, "latitude 91.0 is not within -90 to 90 degrees"),
    ({"longitude_deg": None}, "has latitude_deg, but no longitude_deg"),
    ({"sigma_yaw_deg": None}, "has sigma_east_m, but no sigma_yaw_deg"),
    ({"sigma_north_m": -1.0}, "a standard deviation is negative"),
    ({"sigma_east_m": 1e308}, "a standard deviation is too large"),
    ({"confidence": 1.1}, "confidence 1.1 is not between 0 and 1"),
    ({"scale": None}, "has no scale"),
    ({"hypotheses": {}}, "its hypotheses are no list of objects"),
    ({"hypotheses": [{"latitude_deg": 1, "longitude_deg": 2}]}, "a hypothesis has no place or no yaw_deg"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_FIXES)
def test_a_bad_line_of_a_log_is_named(tmp_path, lines, changes, message):
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join([*lines[:3], entry(lines[3], **changes), *lines[4:]]) + "\n")
    with pytest.raises(InputError) as caught:
        read_trajectory(path)
    assert str(caught.value).startswith(f"{path}, line 4: {message}")


@pytest.mark.parametrize(("changes", "message"), BAD_FIXES)
def test_a_bad_fix_of_json_is_named(tmp_path, lines, changes, message):
    path = tmp_path / "bad.json"
    fixes = [json.loads(line) for line in lines[1:]]
    fixes[2] |= changes
    path.write_text(json.dumps({**json.loads(lines[0]), "fixes": fixes}))
    with pytest.raises(InputError) as caught:
        read_trajectory(path)
    assert str(caught.value).startswith(f"{path}, fix 3: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no trajectory"),
        ("nothing\n", "line 1: is no JSON"),
        ("[1]\n", "line 1: is no JSON object"),
        ('{"name": "a"}\n', "line 1: is no trajectory"),
        ('{"cvlnet_track": 2, "name": "a", "credit": null}\n', "line 1: has the format 2 instead of 1; read it "
                                                               "with the version of cvlnet that wrote it"),
        ('{"cvlnet_track": 1, "name": "a", "credit": 3}\n', "line 1: is no trajectory"),
        ('{"cvlnet_track": 1, "name": "a", "credit": null}\n\n', "line 2: is no JSON"),
        ('{"cvlnet_track": 1, "name": "a", "credit": null}\n{"index": 1\n', "line 2: is no JSON"),
    ],
)  # fmt: skip
def test_what_is_no_log_is_refused(tmp_path, text, message):
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_trajectory(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ('{"cvlnet_track": 1, "name": "a", "credit": null, "fixes": [', "is no JSON"),
        ("[]", "is no JSON object"),
        ('{"type": "FeatureCollection", "features": []}', "is no trajectory"),
        ('{"cvlnet_track": 1, "name": "a", "credit": null}', "its fixes are no list of objects"),
        ('{"cvlnet_track": 1, "name": "a", "credit": null, "fixes": [1]}', "its fixes are no list of objects"),
    ],
)
def test_what_is_no_json_of_a_trajectory_is_refused(tmp_path, text, message):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_trajectory(path)


def csv_cells(tmp_path):
    write_trajectory(drive(), tmp_path / "good.csv")
    return [line.split(",") for line in (tmp_path / "good.csv").read_text().splitlines()]


def test_csv_of_earlier_versions_is_read(tmp_path):
    cells = csv_cells(tmp_path)
    assert cells[0][-2:] == ["pitch_offset_deg", "camera_yaw_offset_deg"]
    path = tmp_path / "drive.csv"
    path.write_text("".join(",".join(line[:-2]) + "\n" for line in cells))
    found = read_trajectory(path)
    assert {(fix.pitch_offset_rad, fix.camera_yaw_offset_rad) for fix in found.fixes} == {(None, None)}
    assert [fix.position for fix in found.fixes] == [fix.position for fix in drive().fixes]


@pytest.mark.parametrize(
    ("row", "column", "cell", "message"),
    [
        (0, "scale", "size", ": has no column scale; give a table that `cvlnet track` has written"),
        (5, "time_s", "x", ", line 6: time_s 'x' is not a number"),
        (5, "time_s", "nan", ", line 6: time_s 'nan' is not a number"),
        (5, "time_s", "", ", line 6: has no time_s"),
        (5, "time_s", "1.5", ", line 6: the time 1.5 s does not come after 1.5 s"),
        (5, "state", "", ", line 6: has no state"),
        (5, "latitude_deg", "", ", line 6: has longitude_deg, but no latitude_deg"),
        (5, "longitude_deg", "181", ", line 6: longitude 181.0 is not within -180 to 180 degrees"),
        (5, "sigma_east_m", "inf", ", line 6: sigma_east_m 'inf' is not a number"),
        (6, "index", "1,2", ", line 7: 22 values for 21 columns"),
    ],
)
def test_a_bad_line_of_csv_is_named(tmp_path, row, column, cell, message):
    cells = csv_cells(tmp_path)
    cells[row][cells[0].index(column)] = cell
    path = tmp_path / "bad.csv"
    path.write_text("".join(",".join(line) + "\n" for line in cells))
    with pytest.raises(InputError) as caught:
        read_trajectory(path)
    assert str(caught.value).startswith(f"{path}{message}")


def test_other_columns_of_csv_do_not_matter_nor_does_their_order(tmp_path):
    cells = [["note", *reversed(line)] for line in csv_cells(tmp_path)]
    (tmp_path / "turned.csv").write_text("".join(",".join(line) + "\n" for line in cells))
    assert same(read_trajectory(tmp_path / "turned.csv"), read_trajectory(tmp_path / "good.csv"))


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_file_cut_anywhere_reads_back_up_to_its_last_whole_line(tmp_path, ending):
    whole = tmp_path / f"whole{ending}"
    write_trajectory(drive(), whole)
    content, cut = whole.read_bytes(), tmp_path / f"cut{ending}"
    header = content.index(b"\n") + 1
    for size in range(header, len(content), 97):
        cut.write_bytes(content[:size])
        found = read_trajectory(cut)
        assert len(found.fixes) == content[:size].count(b"\n") - 1
        expected = replace(drive(), fixes=FIXES[: len(found.fixes)])
        if ending == ".csv":
            expected = replace(expected, fixes=tuple(replace(fix, hypotheses=()) for fix in expected.fixes))
        assert same(found, expected)


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_last_line_that_has_its_end_is_not_dropped_however_short(tmp_path, ending):
    path = tmp_path / f"cut{ending}"
    write_trajectory(drive(), path)
    content = path.read_bytes()
    path.write_bytes(content[:-40] + b"\n")
    with pytest.raises(InputError, match="line 14: "):
        read_trajectory(path)


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl"])
def test_files_that_are_missing_or_too_large_are_refused(tmp_path, ending, monkeypatch):
    path = tmp_path / f"drive{ending}"
    with pytest.raises(InputError):
        read_trajectory(path)
    write_trajectory(drive(), path)
    monkeypatch.setattr("cvlnet.track.formats.fields.LARGEST_BYTES", 1000)
    with pytest.raises(InputError, match="larger than"):
        read_trajectory(path)
