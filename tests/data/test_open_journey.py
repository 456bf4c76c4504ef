"""One entry for every source: exactly one, with what goes with it."""

from pathlib import Path

import pytest
from kitti_tree import START, shared, write_drive
from recorded import write_bag, write_camera, write_encoded, write_odometry
from test_bag import plain
from test_gpx import T0, point, write
from video_tree import bend, write_video

from cvlnet.config import JourneyFiles
from cvlnet.data.open_journey import open_journey
from cvlnet.errors import InputError
from cvlnet.geo import LocalFrame

DRIVE, VIDEO, BAG, OTHER = Path("a_drive"), Path("a.mp4"), Path("a.bag"), Path("other")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (JourneyFiles(), "--drive, --folder, --video, --bag: exactly one drive is needed; give one of them"),
        (JourneyFiles(drive=DRIVE, bag=BAG), "--drive, --bag: exactly one drive is needed"),
        (JourneyFiles(video=VIDEO), "a.mp4: a video needs --camera-file and --odometry; give camera.json"),
        (JourneyFiles(video=VIDEO, odometry=OTHER), "a.mp4: a video needs --camera-file;"),
        (JourneyFiles(video=VIDEO, image_topic="/a"), "--image-topic: does not go with --video; .* for --bag"),
        (JourneyFiles(drive=DRIVE, odometry=OTHER), "--odometry: does not go with --drive; .* for --video"),
        (JourneyFiles(folder=DRIVE, time_offset_s=1.0), "--time-offset-s: does not go with --folder; .* or --bag"),
        (JourneyFiles(bag=BAG, camera_file=OTHER, height_m=1.0), "camera.json says how the camera is mounted"),
        (JourneyFiles(bag=BAG), "a.bag: the bag does not exist"),
        (JourneyFiles(drive=DRIVE), "a_drive: the drive does not exist"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(files: JourneyFiles, told: str) -> None:
    with pytest.raises(InputError, match=told):
        open_journey(files)


@pytest.mark.parametrize("setting", ["time_offset_s", "gps_offset_s", "height_m", "pitch_deg"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_settings_are_finite(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{setting} must be finite"):
        JourneyFiles(**{setting: value})


def test_drives_and_folders(tmp_path: Path) -> None:
    drive = open_journey(JourneyFiles(drive=write_drive(tmp_path / "raw")))
    assert (len(list(drive.moments())), sorted(drive.cameras), len(drive.places)) == (13, [2, 3], 13)
    folder = open_journey(JourneyFiles(folder=write_video(tmp_path / "video")))
    assert (len(list(folder.moments())), sorted(folder.cameras), folder.places) == (20, [2], ())


def test_places_of_a_gpx_track(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gpx = write(tmp_path, point(0) + point(1, 49.0001))
    folder = write_video(tmp_path / "video")
    told = r"track.gpx: its times go from 1714564800 to 1714564801 s, and those of the odometry from 0 to 1.9 s; give"
    with pytest.raises(InputError, match=told) as error:
        open_journey(JourneyFiles(folder=folder, gps=gpx))
    assert "(-1714564800 more if both began together)" in str(error.value)
    journey = open_journey(JourneyFiles(folder=folder, gps=gpx, gps_offset_s=-T0))
    assert [(place.time_s, place.position.latitude_deg) for place in journey.places] == [(0.0, 49.0), (1.0, 49.0001)]
    assert caplog.messages == []


def test_places_of_a_csv_file_replace_those_of_the_drive(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    way = bend(5)
    places = LocalFrame(START).latlon_deg(way[:, :2]).tolist()
    rows = [f"{0.1 * i},{lat:.9f},{lon:.9f},{way[i, 2]}" for i, (lat, lon) in enumerate(places)]
    (tmp_path / "gps.csv").write_text("time_s,latitude_deg,longitude_deg,yaw_deg\n" + "\n".join(rows))
    folder = write_video(tmp_path / "video", geographic=True)
    journey = open_journey(JourneyFiles(folder=folder, gps=tmp_path / "gps.csv"))
    assert len(journey.places) == 5
    assert any("its positions are taken instead of the drive's own" in message for message in caplog.messages)


@pytest.mark.parametrize(("library", "extra"), [("av", "video"), ("rosbags", "ros")])
def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, extra: str) -> None:
    monkeypatch.setattr("cvlnet.data.open_journey.find_spec", lambda name: None if name == library else object())
    files = JourneyFiles(bag=BAG) if extra == "ros" else JourneyFiles(video=VIDEO, camera_file=OTHER, odometry=OTHER)
    with pytest.raises(InputError, match=rf"needs {library}; install the extra: pip install 'cvlnet\[{extra}\]'"):
        open_journey(files)


def test_the_same_drive_is_the_same_journey_from_every_source(tmp_path: Path) -> None:
    """Motion and times agree whether pictures and odometry come as a video or as a bag."""
    bag = open_journey(JourneyFiles(bag=write_bag(tmp_path, "mcap", plain), height_m=1.5))
    video = open_journey(
        JourneyFiles(
            video=write_encoded(tmp_path / "a.mp4"),
            camera_file=write_camera(tmp_path / "camera.json"),
            odometry=write_odometry(tmp_path / "o.csv"),
        )
    )
    for first, second in zip(bag.moments(), video.moments(), strict=True):
        assert first.odometry.time_s - 1.7e9 == pytest.approx(second.odometry.time_s, abs=2e-3)
        assert first.odometry.x_m == pytest.approx(second.odometry.x_m, abs=0.01)
    assert bag.road_from_cam(2).translation_m.tolist() == video.road_from_cam(2).translation_m.tolist()


def test_a_real_drive(caplog: pytest.LogCaptureFixture) -> None:
    raw = shared("kitti", "raw_data", "2011_09_26", "2011_09_26_drive_0002_sync")
    journey = open_journey(JourneyFiles(drive=raw))
    moments = list(journey.moments())
    assert len(moments) == len(journey.places) == 77
    assert sum(bool(moment.pictures) for moment in moments) == 12
