"""Tracks and their truth on disk, evaluated together."""

from __future__ import annotations

import csv
import json
from math import pi
from pathlib import Path

import cv2
import numpy as np
import pytest

from cvlnet.cli import run
from cvlnet.data.journey import KnownPlace
from cvlnet.errors import InputError
from cvlnet.evaluation.report import theme
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.track.formats import write_trajectory
from cvlnet.track.formats.truth import read_truth, write_truth
from cvlnet.track.report import evaluate_tracks, write_report
from cvlnet.track.types import TrackFix, Trajectory

ORIGIN = LatLon(49.0, 8.4)


def latlon(east_m: float, north_m: float) -> LatLon:
    return LatLon(*LocalFrame(ORIGIN).latlon_deg((east_m, north_m)).tolist())


def write_track(folder: Path, *, name: str = "drive", off_m: float = 2.0, count: int = 30, truth: bool = True) -> Path:
    """A drive to the north, ten metres a second; tracked from its fourth moment on, with an error to the east."""
    fixes = []
    for i in range(count):
        known = i >= 3
        place, covariance = (latlon(off_m, 10.0 * i), np.diag([1.0, 1.0, 0.01])) if known else (None, None)
        state, yaw_rad = ("tracking", pi / 2) if known else ("searching", None)
        fixes.append(TrackFix(i, float(i), state, place, yaw_rad, covariance, 0.99 if known else 0.0))  # type: ignore[arg-type]
    write_trajectory(Trajectory(name, tuple(fixes)), folder / "track.jsonl")
    if truth:
        write_truth([KnownPlace(float(i), latlon(0.0, 10.0 * i), pi / 2) for i in range(count)], folder / "truth.csv")
    return folder


def test_the_truth_is_read_back(tmp_path: Path) -> None:
    places = (KnownPlace(0.0, latlon(0.0, 0.0), 0.3), KnownPlace(0.1, latlon(0.5, 0.1)))
    write_truth(places, tmp_path / "truth.csv")
    first, second = read_truth(tmp_path / "truth.csv")
    assert first.yaw_rad == pytest.approx(0.3)
    assert (first.time_s, first.position) == (places[0].time_s, places[0].position)
    assert second == places[1]


def test_everything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tracks = [str(write_track(tmp_path / name, name=name, off_m=off_m)) for name, off_m in (("a", 2.0), ("b", 20.0))]
    out = tmp_path / "report"
    assert run(["evaluate-tracks", *tracks, "--out", str(out)]) == 0
    told = capsys.readouterr().out
    lines = {name.strip(): value.strip() for name, value in (line.split("|")[1:3] for line in told.splitlines()[2:19])}
    assert lines["found, %"] == "50 (0 to 100)"
    assert lines["found after, m"] == "never (30 to never)"
    assert lines["across, m"] == "11.00 (2.00 to 20.00)"
    assert told in (out / "tracks.md").read_text()
    assert (out / "tracks.md").read_text().count("\n| a ") == 1
    values = json.loads((out / "tracks.json").read_text())
    assert [(drive["name"], drive["converged_m"]) for drive in values["drives"]] == [
        ("a", pytest.approx(30.0, abs=1e-3)),
        ("b", None),
    ]
    assert values["all"]["across_m"]["value"] == pytest.approx(11.0, abs=1e-3)
    assert values["all"]["along_m"]["value"] == pytest.approx(0.0, abs=1e-3)
    assert values["all"]["per_100m_m"]["value"] == pytest.approx(0.0, abs=1e-3)
    assert values["drives"][1]["misled_s"] == 27.0
    assert values["ellipses"][-1] == {"probability": pytest.approx(0.95), "share_inside": 0.5}
    assert values["confidence"] == [{"mean_stated": pytest.approx(0.99), "share_right": 0.5, "moments": 54}]
    assert values["precision_over_coverage"][-1] == {"share_answered": pytest.approx(0.9), "share_right": 0.5}
    with (out / "tracks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["drive"] for row in rows] == ["a", "b", "all"]
    assert float(rows[0]["median_m"]) == pytest.approx(2.0, abs=1e-3)
    assert rows[1]["converged_m"] == ""
    assert cv2.imread(str(out / "tracks.png")).shape[1] > 12 * theme.DPI


def test_a_single_drive_has_no_intervals(tmp_path: Path) -> None:
    drives = evaluate_tracks([write_track(tmp_path / "a")])
    table = write_report(drives, tmp_path / "out")
    assert table.header == ("", "drive")
    assert ("median error, m", "2.00") in table.rows
    assert "brackets" not in table.note


def test_drives_that_were_never_found_can_be_reported(tmp_path: Path) -> None:
    drives = evaluate_tracks([write_track(tmp_path / "a", count=3)])
    assert ("found after, m", "never") in write_report(drives, tmp_path / "out").rows
    assert (tmp_path / "out" / "tracks.png").exists()


def test_tracks_of_one_drive_are_called_by_their_paths(tmp_path: Path) -> None:
    paths = [write_track(tmp_path / name) for name in ("plain", "smoothed")]
    assert [drive.name for drive in evaluate_tracks(paths)] == [str(path) for path in paths]


def test_a_single_file_and_a_truth_that_lies_elsewhere(tmp_path: Path) -> None:
    folder, other = write_track(tmp_path / "a", truth=False), write_track(tmp_path / "b", off_m=3.0)
    (found,) = evaluate_tracks([folder / "track.jsonl"], other / "truth.csv")
    np.testing.assert_allclose(found.across_m[3:], -2.0, atol=1e-3)
    with pytest.raises(InputError, match=r"a/truth.csv: the true places are missing; give --truth"):
        evaluate_tracks([folder])
    with pytest.raises(InputError, match="track: none is given"):
        evaluate_tracks([])
    for truth in (None, other / "truth.csv"):
        with pytest.raises(InputError, match="nowhere: there is no track; name folders"):
            evaluate_tracks([tmp_path / "nowhere"], truth)


def test_a_track_is_counted_once(tmp_path: Path) -> None:
    folder = write_track(tmp_path / "a")
    with pytest.raises(InputError, match=r"track.jsonl: is given more than once; name every track once"):
        evaluate_tracks([folder, folder / "track.jsonl"])
