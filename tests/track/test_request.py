"""A drive on disk, tracked as the command line asks for it: files that appear, and those that are refused."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from cvlnet.calibration.doubt import MountingDoubt
from cvlnet.cli import run
from cvlnet.config import JourneyFiles
from cvlnet.data.journey import KnownPlace
from cvlnet.data.open_journey import open_journey
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.localize.request import MapFiles
from cvlnet.map.build import build_map
from cvlnet.track import request as request_module
from cvlnet.track.evaluate import errors_of
from cvlnet.track.formats import read_trajectory
from cvlnet.track.formats.truth import read_truth
from cvlnet.track.report import evaluate_tracks
from cvlnet.track.request import Tracked, TrackRequest, track
from cvlnet.track.tracker import Tracker, TrackSpec
from driving import FRAME, MIDDLE, PIXEL_M, Seeing, circle, ground, latlon, model, write_video

DRIVE = circle(150.0, step_m=1.6)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with its georeference, and a map of it."""
    root = tmp_path_factory.mktemp("town")
    cv2.imwrite(str(root / "ground.png"), ground().pixels[..., ::-1])
    entry = {"center": [MIDDLE.latitude_deg, MIDDLE.longitude_deg], "m_per_px": PIXEL_M}
    (root / "georef.json").write_text(json.dumps(entry))
    (root / "manifest.json").write_text(json.dumps({"credit": "Town of Blotches"}))
    return root


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("drive") / "video", DRIVE)


@pytest.fixture(scope="module")
def whole(town: Path, video: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tracked]:
    """A whole run: its folder, and what it returned."""
    out = tmp_path_factory.mktemp("tracks") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request_module, "camera_doubt", lambda *_: None)
        return out, track(Seeing(), request(town, video, formats=("geojson", "csv", "gpx"), smooth=True), out)


PLAIN_DOUBT = request_module.camera_doubt


@pytest.fixture(autouse=True)
def _quick(whole: tuple[Path, Tracked], monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes most of the time and is tested elsewhere: the camera's doubts, and the picture."""
    del whole
    monkeypatch.setattr(request_module, "camera_doubt", lambda *_: None)
    monkeypatch.setattr(request_module, "draw_track", lambda *values: values[-1].write_bytes(b""))


def request(town: Path, video: Path, **named: object) -> TrackRequest:
    return TrackRequest(MapFiles(town / "ground.png"), JourneyFiles(folder=video), **named)  # type: ignore[arg-type]


def test_a_drive_is_found_and_its_folder_holds_everything(whole: tuple[Path, Tracked]) -> None:
    out, found = whole
    assert {path.name for path in out.iterdir()} == {
        "track.jsonl",
        "track.geojson",
        "track.csv",
        "track.gpx",
        "smoothed.geojson",
        "smoothed.csv",
        "smoothed.gpx",
        "figures.json",
        "truth.csv",
        "track.png",
    }
    assert [fix.index for fix in found.trajectory.fixes] == list(range(len(DRIVE)))
    assert (found.trajectory.name, found.trajectory.credit) == ("video", "Town of Blotches")
    assert found.errors is not None
    assert found.errors.converged_m < 60.0
    assert np.median(found.errors.distance_m[found.errors.tracked]) < 0.5
    assert json.loads((out / "figures.json").read_text()) == pytest.approx(found.errors.figures())
    (again,) = evaluate_tracks([out])
    assert again.figures() == pytest.approx(found.errors.figures(), abs=1e-6)
    assert cv2.imread(str(out / "track.png")).shape[1] > 1000
    for name in ("track.jsonl", "track.csv"):
        read = read_trajectory(out / name)
        assert [fix.position for fix in read.fixes] == [fix.position for fix in found.trajectory.fixes]


def test_the_smoothed_track_reaches_back_to_the_first_moment(whole: tuple[Path, Tracked]) -> None:
    _, found = whole
    assert found.smoothed is not None
    assert found.trajectory.fixes[0].state == "searching"
    assert {fix.state for fix in found.smoothed.fixes} == {"tracking"}
    assert min(fix.confidence for fix in found.smoothed.fixes) >= TrackSpec().sure
    assert found.smoothed.fixes[0].hypotheses == ()
    truth = [KnownPlace(i / 5, latlon(at.xy_m), at.yaw_rad) for i, at in enumerate(DRIVE)]
    errors = errors_of(found.smoothed, truth)
    assert errors.distance_m.max() < 1.5
    assert np.abs(errors.yaw_rad).max() < np.radians(2.0)


def test_what_there_is_to_say(whole: tuple[Path, Tracked]) -> None:
    first, second, third = whole[1].lines()
    assert first.startswith(f"{len(DRIVE)} moments: ")
    assert " % searching, " in first
    assert first.endswith(" 0 % lost")
    assert second.startswith("at the end 49.")
    assert " degrees counter-clockwise from east, confidence 1.000" in second
    assert third.startswith("beside the ground truth: found after ")
    assert third.endswith("at a wrong place for at most 0.0 s")


@pytest.mark.parametrize(
    ("pitch_deg", "yaw_deg", "told"),
    [
        (2.64, 0.9, ["the cameras look 2.6 degrees farther down than stated"]),
        (-1.2, -0.9, ["the cameras look 1.2 degrees farther up than stated"]),
        (0.9, -1.3, ["the cameras look 1.3 degrees farther right than stated"]),
        (1.5, 2.0, ["the cameras look 1.5 degrees farther down and 2.0 degrees farther left than stated"]),
        (0.9, 0.9, []),
    ],
)
def test_cameras_that_look_elsewhere_than_stated_are_told(
    pitch_deg: float, yaw_deg: float, told: list[str], whole: tuple[Path, Tracked]
) -> None:
    offsets = {"pitch_offset_rad": np.radians(pitch_deg), "camera_yaw_offset_rad": np.radians(yaw_deg)}
    fixes = whole[1].trajectory.fixes
    tracked = tuple(replace(fix, **offsets) if fix.state == "tracking" else fix for fix in fixes)
    lines = replace(whole[1], trajectory=replace(whole[1].trajectory, fixes=tracked)).lines()
    assert [line for line in lines if line.startswith("the cameras")] == told


def test_where_on_earth_the_drive_was_does_not_enter(town: Path, tmp_path: Path, whole: tuple[Path, Tracked]) -> None:
    """The same pictures and motion, recorded on another continent, and in metres."""
    expected = whole[1].trajectory.fixes
    for name, origin in (("south", LatLon(-33.9, 151.2)), ("metres", None)):
        video = write_video(tmp_path / name, DRIVE, origin=origin)
        found = track(Seeing(), request(town, video), tmp_path / f"{name}_out")
        for fix, other in zip(found.trajectory.fixes, expected, strict=True):
            assert (fix.state, fix.index) == (other.state, other.index)
            assert fix.confidence == pytest.approx(other.confidence, abs=0.02)
            if fix.position is not None and other.position is not None:
                apart_m = FRAME.xy_world_m(fix.position.degrees) - FRAME.xy_world_m(other.position.degrees)
                assert np.abs(apart_m).max() < 0.05
    assert found.errors is None
    assert not (tmp_path / "metres_out" / "figures.json").exists()


def test_a_map_on_disk_gives_what_its_image_gives(
    town: Path, video: Path, tmp_path: Path, whole: tuple[Path, Tracked]
) -> None:
    build_map(model(), ground(), tmp_path / "city.map")
    asked = TrackRequest(MapFiles(tmp_path / "city.map"), JourneyFiles(folder=video))
    found = track(Seeing(), asked, tmp_path / "out")
    assert [fix.state for fix in found.trajectory.fixes] == [fix.state for fix in whole[1].trajectory.fixes]
    assert found.errors is not None
    assert np.median(found.errors.distance_m[found.errors.tracked]) < 0.5


def test_a_log_that_was_cut_is_continued(town: Path, video: Path, tmp_path: Path, whole: tuple[Path, Tracked]) -> None:
    """It ends within a line; what is there stays as it is, and the rest is followed from a tracked fix on."""
    log, lines = tmp_path / "track.jsonl", (whole[0] / "track.jsonl").read_bytes().splitlines(keepends=True)
    kept = lines[:76]
    log.write_bytes(b"".join(kept) + lines[76][:40])
    found = track(Seeing(), request(town, video), tmp_path, resume=True)
    assert log.read_bytes().splitlines(keepends=True)[:76] == kept
    fixes = read_trajectory(log).fixes
    assert [fix.index for fix in fixes] == list(range(len(DRIVE)))
    for fix, other in zip(fixes[75:], whole[1].trajectory.fixes[75:], strict=True):
        assert fix.state == "tracking"
        assert fix.position is not None
        assert other.position is not None
        apart_m = FRAME.xy_world_m(fix.position.degrees) - FRAME.xy_world_m(other.position.degrees)
        assert np.abs(apart_m).max() < 1.0
    assert found.errors is not None
    assert len(found.errors.time_s) == len(DRIVE)


def test_only_the_end_of_the_drive_is_followed_again(
    town: Path, video: Path, tmp_path: Path, whole: tuple[Path, Tracked], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (whole[0] / "track.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "track.jsonl").write_bytes(b"".join(lines[:76]))
    indices, plain = [], Tracker.update

    def update(self, frame, odometry, *, index=0):  # type: ignore[no-untyped-def]
        indices.append(index)
        return plain(self, frame, odometry, index=index)

    monkeypatch.setattr(Tracker, "update", update)
    track(Seeing(), request(town, video), tmp_path, resume=True)
    last = DRIVE[74]  # of the log
    begin = DRIVE[indices[0]]
    assert indices == list(range(indices[0], len(DRIVE)))
    assert 60.0 <= np.hypot(begin.x_m - last.x_m, begin.y_m - last.y_m) < 62.0


def test_a_log_without_a_place_is_begun_anew(
    town: Path, video: Path, tmp_path: Path, whole: tuple[Path, Tracked], caplog: pytest.LogCaptureFixture
) -> None:
    lines = (whole[0] / "track.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "track.jsonl").write_bytes(b"".join(lines[:6]))
    found = track(Seeing(), request(town, video), tmp_path, resume=True)
    assert caplog.messages == [f"{video}: the track starts again; its log has no fix to continue from"]
    expected = whole[1].trajectory.fixes
    assert [fix.state for fix in found.trajectory.fixes] == [fix.state for fix in expected]


def test_a_track_that_is_whole_may_be_resumed(
    town: Path, video: Path, tmp_path: Path, whole: tuple[Path, Tracked]
) -> None:
    content = (whole[0] / "track.jsonl").read_bytes()
    (tmp_path / "track.jsonl").write_bytes(content)
    track(Seeing(), request(town, video), tmp_path, resume=True)
    assert (tmp_path / "track.jsonl").read_bytes() == content
    assert (tmp_path / "track.geojson").exists()


def test_smoothing_goes_on_from_the_first_moment(
    town: Path, video: Path, tmp_path: Path, whole: tuple[Path, Tracked]
) -> None:
    lines = (whole[0] / "track.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "track.jsonl").write_bytes(b"".join(lines[:76]))
    found = track(Seeing(), request(town, video, smooth=True), tmp_path, resume=True)
    assert found.smoothed is not None
    assert [fix.position for fix in found.smoothed.fixes] == [fix.position for fix in whole[1].smoothed.fixes]  # type: ignore[union-attr]


def test_moments_of_the_same_time_are_logged_once(town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera that gives a picture twice, and one that comes late."""
    journey = open_journey(JourneyFiles(folder=write_video(tmp_path / "video", DRIVE[:30])))
    moments = list(journey.moments())
    given = [*moments[:12], replace(moments[11], index=100), moments[5], *moments[12:]]
    monkeypatch.setattr(request_module, "open_journey", lambda _: replace(journey, moments=lambda: iter(given)))
    found = track(Seeing(), request(town, tmp_path / "video", smooth=True), tmp_path / "out")
    assert [fix.index for fix in found.trajectory.fixes] == list(range(30))
    assert found.smoothed is not None
    assert [fix.index for fix in found.smoothed.fixes] == list(range(30))


def test_a_drive_that_is_never_found_is_told_so(town: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "video", DRIVE[:8])
    found = track(Seeing(), request(town, video), tmp_path / "out")
    assert found.lines() == [
        "8 moments: 100 % searching, 0 % tracking, 0 % lost",
        "at the end the place is not known: searching",
    ]
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert (figures["converged_m"], figures["median_m"], figures["available"]) == (None, None, 0.0)


def gps(folder: Path, *, every: int = 1, begin_s: float = 0.0) -> Path:
    rows = ["time_s,latitude_deg,longitude_deg,yaw_deg"]
    for i, at in list(enumerate(DRIVE))[::every]:
        latitude_deg, longitude_deg = FRAME.latlon_deg(at.xy_m).tolist()
        rows.append(f"{begin_s + i / 5},{latitude_deg!r},{longitude_deg!r},{np.degrees(at.yaw_rad)}")
    path = folder / "gps.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_the_truth_of_other_times_costs_no_track(
    town: Path, video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Positions every three seconds: no fix lies closely enough between two of them but those at their very times."""
    sparse = gps(tmp_path, every=15, begin_s=0.05)
    asked = replace(request(town, video), drive=JourneyFiles(folder=video, gps=sparse))
    found = track(Seeing(), asked, tmp_path / "out")
    assert found.errors is None
    assert any("no fix lies between the known places" in message for message in caplog.messages)
    assert (tmp_path / "out" / "track.geojson").exists()


def test_a_damaged_picture_costs_no_track(
    town: Path, video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is among those by which the mounting is checked before."""
    monkeypatch.setattr(request_module, "camera_doubt", PLAIN_DOUBT)
    damaged = shutil.copytree(video, tmp_path / "damaged")
    for picture in sorted((damaged / "frames").iterdir())[::7]:
        picture.write_bytes(picture.read_bytes()[:500])
    found = track(Seeing(), replace(request(town, video), drive=JourneyFiles(folder=damaged)), tmp_path / "out")
    assert found.trajectory.fixes[-1].state == "tracking"
    assert sum("the frame is left out" in message for message in caplog.messages) > 3


def test_a_log_of_other_moments_is_not_smoothed(town: Path, video: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(video, tmp_path / "changed")
    asked = replace(request(town, video), drive=JourneyFiles(folder=changed), smooth=True)
    track(Seeing(), asked, tmp_path / "out")
    lines = (changed / "poses.csv").read_text().splitlines(keepends=True)
    (changed / "poses.csv").write_text("".join(lines[:-3] + lines[-2:]))
    with pytest.raises(InputError, match=r"track.jsonl: is of other moments than the drive now has; delete it"):
        track(Seeing(), asked, tmp_path / "out", resume=True)


def test_a_track_that_was_sure_of_a_wrong_place_only_was_never_found(whole: tuple[Path, Tracked]) -> None:
    found = whole[1]
    assert found.errors is not None
    wrong = replace(found.errors, error_m=found.errors.error_m + 100.0, yaw_rad=np.full(len(DRIVE), np.nan))
    (*_, last) = replace(found, errors=wrong).lines()
    assert last.startswith("beside the ground truth: never found; while tracking, median error 141")
    assert "within 5 m, at a wrong place for at most" in last


def test_positions_are_measurements_where_that_is_asked_for(town: Path, video: Path, tmp_path: Path) -> None:
    drive = JourneyFiles(folder=video, gps=gps(tmp_path))
    told = replace(request(town, video), drive=drive, use_places=True, places_sigma_m=2.0)
    found = track(Seeing(), told, tmp_path / "out")
    assert found.errors is None  # they are no truth then
    assert [fix.state for fix in found.trajectory.fixes].index("tracking") < 5


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"use_places": True}, "the accuracy of its positions is not known; state it in metres"),
        ({"cameras": (7,)}, "has no camera 7; choose among 2"),
        ({"formats": ("geojson", "docx")}, "track.docx"),
    ],
)
def test_requests_that_are_refused(
    town: Path, video: Path, tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        track(Seeing(), replace(request(town, video), **changes), tmp_path / "out")  # type: ignore[arg-type]


def test_positions_in_metres_cannot_be_measurements(town: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "video", DRIVE[:4], origin=None)
    with pytest.raises(InputError, match="video: has no positions that could be used; give --gps"):
        track(Seeing(), request(town, video, use_places=True), tmp_path / "out")


def test_a_start_needs_its_deviation(town: Path, video: Path) -> None:
    with pytest.raises(ValueError, match="a start needs its standard deviation"):
        request(town, video, start=KnownPlace(0.0, MIDDLE))


def test_times_are_those_of_the_poses(town: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "video", DRIVE[:8], begin_s=1.7e9)
    found = track(Seeing(), request(town, video), tmp_path / "out")
    assert [fix.time_s for fix in found.trajectory.fixes] == pytest.approx([1.7e9 + i / 5 for i in range(8)])
    assert read_truth(tmp_path / "out" / "truth.csv")[0].time_s == 1.7e9


@pytest.fixture
def command(town: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command line, with the network that sees."""
    monkeypatch.setattr("cvlnet.localize.Localizer", Seeing)

    def call(*options: str, map_file: Path = town / "ground.png") -> int:
        return run(["track", str(map_file), "--out", str(tmp_path / "out"), "--folder", str(video), *options])

    return call


def test_the_command_line(
    command: Callable[..., int], tmp_path: Path, whole: tuple[Path, Tracked], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--formats", "csv", "--formats", "gpx") == 0
    assert capsys.readouterr().out.splitlines() == whole[1].lines()
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        "track.jsonl", "track.csv", "track.gpx", "figures.json", "truth.csv", "track.png"
    }  # fmt: skip
    assert (out / "track.jsonl").read_bytes() == (whole[0] / "track.jsonl").read_bytes()
    assert command() == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "track.jsonl: there is a track already; add --resume to continue it" in error
    assert command("--resume") == 0


def test_dates_are_those_that_are_stated(
    command: Callable[..., int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert command("--formats", "gpx", "--time-zero", "2024-05-01T12:00:00Z") == 0
    assert not any("1970" in message for message in caplog.messages)
    assert "<time>2024-05-01T12:00:" in (tmp_path / "out" / "track.gpx").read_text()
    assert command("--formats", "gpx", "--formats", "csv", "--resume") == 0
    (warning,) = (message for message in caplog.messages if "1970" in message)
    assert "the times of the drive are no dates, and track.gpx will begin in 1970; state the date" in warning


def test_dates_are_not_counted_from_another_date(town: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "video", DRIVE[:8], begin_s=1.7e9)
    asked = request(town, video, time_zero=datetime(2024, 5, 1, tzinfo=UTC))
    with pytest.raises(InputError, match="video: the times of the drive are dates already, from 2023-11-14 22:13 UTC"):
        track(Seeing(), asked, tmp_path / "out")


def test_what_the_command_line_passes_on(command: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[TrackRequest, bool, TrackSpec]] = []

    def noted(
        _: Localizer, request: TrackRequest, out: Path, *, resume: bool, spec: TrackSpec, progress: bool
    ) -> Tracked:
        assert not progress
        asked.append((request, resume, spec))
        raise InputError("enough", where=out, remedy="go")

    monkeypatch.setattr("cvlnet.track.request.track", noted)
    start = ["--start", "49.0", "8.5", "--start-sigma-m", "7"]
    near = ["--near", "49.1", "8.6", "--radius-m", "300"]
    assert command("--heading", "90±20", *start, *near, "--use-gps", "--gps-sigma-m", "3", "--smooth", "--resume") == 2
    request, resume, spec = asked[0]
    assert resume
    assert spec == TrackSpec()
    assert (request.map.near, request.map.radius_m) == (LatLon(49.1, 8.6), 300.0)
    assert request.start is not None
    assert (request.start.position, request.start.sigma_m) == (LatLon(49.0, 8.5), 7.0)
    assert (request.heading.middle_rad, request.heading.width_rad) == pytest.approx((np.pi / 2, np.radians(20)))
    assert (request.use_places, request.places_sigma_m, request.smooth) == (True, 3.0, True)
    assert request.cameras is None
    assert request.formats == ("geojson", "csv")
    assert command("--cameras", "2", "--cameras", "3", "--pitch-error-deg", "4.5") == 2
    assert asked[1][2] == TrackSpec(pitch_error_rad=np.radians(4.5))
    assert asked[1][0].cameras == (2, 3)
    assert asked[1][0].heading is None
    assert asked[1][1] is False


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--formats", "docx"), "track.docx"),
        (("--heading", "north"), "a heading is unknown"),
        (("--start", "91", "8"), "--start"),
        (("--near", "0", "0", "--radius-m", "50"), "nothing within 50 m"),
        (("--gps-sigma-m", "0"), "gps-sigma-m"),
        (("--pitch-error-deg", "16"), "pitch-error-deg"),
        (("--video", "a.mp4"), "exactly one drive is needed"),
        (("--cameras", "9"), "has no camera 9"),
        (("--time-zero", "2024-05-01 12:00"), "'2024-05-01 12:00' is no date and time with its zone; give the date"),
        (("--rerun", "drive.rec"), "drive.rec: is no name of a recording; give a name that ends in .rrd"),
    ],
)
def test_what_the_command_line_refuses(
    command: Callable[..., int], options: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*options) == 2
    assert told in capsys.readouterr().err


def test_a_recording_for_the_viewer(
    command: Callable[..., int], tmp_path: Path, whole: tuple[Path, Tracked], capsys: pytest.CaptureFixture[str]
) -> None:
    """It holds every moment, also those before an interruption, of which a resumed track sees no frames."""
    pytest.importorskip("rerun", reason="needs the extra rerun")
    from rerun.chunk import RrdReader

    def rows() -> Counter[str]:
        found: Counter[str] = Counter()
        for chunk in RrdReader(path).stream():
            found[chunk.entity_path] += chunk.num_rows
        return found

    path, log = tmp_path / "drive.rrd", tmp_path / "out" / "track.jsonl"
    assert command("--rerun", str(path)) == 0
    plain = rows()
    assert plain["/confidence"] == plain["/frames/1"] == len(DRIVE)
    assert plain["/error/along_m"] == [fix.state for fix in whole[1].trajectory.fixes].count("tracking")
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:76]))
    assert command("--resume", "--rerun", str(path)) == 0
    resumed = rows()
    assert resumed["/confidence"] == len(DRIVE)
    assert resumed["/frames/1"] == len(DRIVE) - 75
    capsys.readouterr()
    log.unlink()
    assert command("--rerun", str(path)) == 2
    assert "drive.rrd: is there already" in capsys.readouterr().err


def test_a_recording_needs_its_extra(
    command: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(request_module, "find_spec", lambda _: None)
    assert command("--rerun", str(tmp_path / "drive.rrd")) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--rerun: needs rerun-sdk; install the extra: pip install 'cvlnet[rerun]'" in error


def test_a_missing_map_is_told(command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(map_file=tmp_path / "nowhere.tif") == 2
    error = capsys.readouterr().err
    assert "nowhere.tif" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "track.jsonl").exists()


def test_a_camera_that_the_drive_contradicts_is_told(
    town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[int] = []
    doubt = MountingDoubt(0.05, 0.0, doubtful=True)
    monkeypatch.setattr(request_module, "camera_doubt", lambda _, camera: asked.append(camera) or doubt)
    track(Seeing(), request(town, write_video(tmp_path / "video", DRIVE[:4])), tmp_path / "out")
    assert asked == [2]
    assert any(f"fixes of camera 2 may all be wrong: {doubt}; correct the mounting" in m for m in caplog.messages)
