"""Video files: times, orientation, what is converted when, and what is damaged."""

from math import radians
from pathlib import Path

import av
import numpy as np
import pytest
from recorded import TIMES_S, UPRIGHT, WHOLE, number_of, write_camera, write_encoded, write_odometry

from cvlnet.config import JourneyFiles
from cvlnet.data.camera_file import read_camera_file
from cvlnet.data.open_journey import open_journey
from cvlnet.data.recording import MountedCamera
from cvlnet.data.video import frame_count, read_video
from cvlnet.errors import InputError


def camera(folder: Path, **changes: object) -> MountedCamera:
    return read_camera_file(write_camera(folder / "camera.json", **changes)).mounted


@pytest.mark.parametrize("name", ["drive.mp4", "drive.mkv", "drive.mov"])
def test_frames_have_their_own_times(tmp_path: Path, name: str) -> None:
    video = read_video(write_encoded(tmp_path / name), camera(tmp_path))
    assert (video.begin_s, video.end_s) == pytest.approx((0.0, 1.0), abs=2e-3)
    for _ in range(2):
        taken = list(video.taken())
        assert [time_s for _, time_s, _ in taken] == pytest.approx(TIMES_S, abs=2e-3)
        assert [index for index, _, _ in taken] == [0, 1, 2, 3, 4]
    assert [number_of(picture(WHOLE)) for _, _, picture in taken] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("name", "count"), [("drive.mp4", 5), ("drive.mkv", None)])
def test_how_many_frames_a_file_says_that_it_has(tmp_path: Path, name: str, count: int | None) -> None:
    assert frame_count(write_encoded(tmp_path / name)) == count


@pytest.mark.parametrize("name", ["drive.mp4", "drive.mkv", "drive.ts"])
def test_times_count_from_the_first_frame(tmp_path: Path, name: str) -> None:
    path = write_encoded(tmp_path / name, [time_s + 7.5 for time_s in TIMES_S])
    video = read_video(path, camera(tmp_path), time_offset_s=100.0)
    assert [time_s for _, time_s, _ in video.taken()] == pytest.approx([100 + t for t in TIMES_S], abs=2e-3)
    assert (video.begin_s, video.end_s) == pytest.approx((100.0, 101.0), abs=2e-3)


def test_only_pictures_that_are_asked_for_are_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converted = []
    monkeypatch.setattr("cvlnet.data.video._picture", lambda frame, *_: converted.append(frame.pts))
    pictures = [picture for _, _, picture in read_video(write_encoded(tmp_path / "a.mp4"), camera(tmp_path)).taken()]
    assert converted == []
    pictures[3](WHOLE)
    assert len(converted) == 1


@pytest.mark.parametrize(
    ("degrees", "corner"), [(-90, (slice(0, 12), slice(-12, None))), (90, (slice(-12, None), slice(0, 12)))]
)
def test_the_calibration_tells_that_a_video_lies_on_its_side(
    tmp_path: Path, degrees: float, corner: tuple[slice, slice]
) -> None:
    """Turned clockwise, the patch at the top left comes to the top right."""
    mounted = camera(tmp_path, width=48, height=64, cx=23.5, cy=31.5)
    video = read_video(write_encoded(tmp_path / "phone.mp4", degrees=degrees), mounted)
    image = next(video.taken())[2](UPRIGHT.window(mounted.camera, mounted.body_from_cam))
    assert image.shape == (64, 48, 3)
    assert image[corner].min() > 240
    assert (image > 128).mean() == pytest.approx(16 * 16 / (64 * 48), abs=0.01)


def test_the_calibration_tells_that_a_video_is_taken_as_it_is_stored(tmp_path: Path) -> None:
    video = read_video(write_encoded(tmp_path / "phone.mp4", degrees=90), camera(tmp_path))
    assert next(video.taken())[2](WHOLE)[:12, :12].min() > 240


@pytest.mark.parametrize(
    ("degrees", "hflip", "corner"),
    [(180, False, (slice(-12, None), slice(-12, None))), (0, True, (slice(0, 12), slice(-12, None)))],
)
def test_a_video_upside_down_or_mirrored(
    tmp_path: Path, degrees: float, hflip: bool, corner: tuple[slice, slice]
) -> None:
    path = write_encoded(tmp_path / "phone.mp4", degrees=degrees, hflip=hflip)
    with pytest.raises(InputError, match=r'phone.mp4: the video says that the picture is to be turned .*"ignore" if'):
        read_video(path, camera(tmp_path))
    shown = next(read_video(path, camera(tmp_path, exif_orientation="apply")).taken())[2](WHOLE)
    assert shown[corner].min() > 240
    stored = next(read_video(path, camera(tmp_path, exif_orientation="ignore")).taken())[2](WHOLE)
    assert stored[:12, :12].min() > 240


def test_distortion_is_undone(tmp_path: Path) -> None:
    path = write_encoded(tmp_path / "a.mp4")
    mounted = camera(tmp_path, distortion_coefficients=[-0.3, 0.1, 0, 0, 0])
    assert mounted.lens is not None
    straight = next(read_video(path, camera(tmp_path)).taken())[2](WHOLE)
    image = next(read_video(path, mounted).taken())[2](WHOLE)
    assert np.array_equal(image, mounted.lens.undistorted(straight))
    assert not np.array_equal(image, straight)


def test_a_slanted_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has a display rotation that is no multiple of 90 degrees"):
        read_video(write_encoded(tmp_path / "a.mp4", degrees=30), camera(tmp_path))


def test_a_video_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the picture has 64 x 48 px, its calibration 128 x 96"):
        read_video(write_encoded(tmp_path / "a.mp4"), camera(tmp_path, width=128, height=96))


def test_a_video_without_pictures_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(InputError, match=r"a.mkv: holds no pictures; give a video file"):
        read_video(tmp_path / "a.mkv", camera(tmp_path))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: b"", "cannot be read as a video"),
        (lambda data: b"x" * 1000, "cannot be read as a video"),
        (lambda data: data[: len(data) // 2], "cannot be read as a video"),
        (lambda data: b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\ngood.mp4\n", "cannot be read as a video"),
        (lambda data: b"ffconcat version 1.0\nfile good.mp4\n", "cannot be read as a video"),
        (lambda data: b"\x89PNG\r\n\x1a\n" + data, "cannot be read as a video"),
        (lambda data: data[:48] + bytes(len(data) - 48), "cannot be read as a video|no frame can be decoded"),
    ],
    ids=["empty", "noise", "half", "playlist", "concat", "picture", "zeros"],
)
def test_what_is_no_video_is_refused(tmp_path: Path, damage, told: str) -> None:
    data = write_encoded(tmp_path / "good.mp4").read_bytes()
    path = tmp_path / "bad.mp4"
    path.write_bytes(damage(data))
    with pytest.raises(InputError, match=told) as refused:
        read_video(path, camera(tmp_path))
    assert "\n" not in str(refused.value)


def test_a_missing_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a.mp4: the file is missing"):
        read_video(tmp_path / "a.mp4", camera(tmp_path))


def test_a_video_that_is_cut_short_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its index, at the beginning, still speaks of the frames whose data are gone."""
    long_s = [0.1 * i for i in range(80)]
    path = write_encoded(tmp_path / "whole.mov", long_s)
    with (
        av.open(str(path)) as source,
        av.open(str(tmp_path / "fast.mov"), "w", options={"movflags": "faststart"}) as target,
    ):
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    data = (tmp_path / "fast.mov").read_bytes()
    begin = data.index(b"mdat")
    (tmp_path / "cut.mov").write_bytes(data[: begin + (len(data) - begin) // 2])
    video = read_video(tmp_path / "cut.mov", camera(tmp_path))
    count = len(list(video.taken()))
    assert 10 < count < 75
    assert any("cut short" in message and "of 8.0 s" in message for message in caplog.messages)


def test_damaged_frames_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_encoded(tmp_path / "a.mp4", [0.1 * i for i in range(30)])
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
    data = bytearray(path.read_bytes())
    for packet in packets[5:8]:
        assert packet.pos is not None
        data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(data)
    taken = list(read_video(path, camera(tmp_path)).taken())
    assert 15 <= len(taken) < 30
    assert any("cannot be decoded, and are left out" in message for message in caplog.messages)
    times_s = [time_s for _, time_s, _ in taken]
    assert times_s == sorted(times_s)


def test_a_video_is_a_journey(tmp_path: Path) -> None:
    files = JourneyFiles(
        video=write_encoded(tmp_path / "drive.mp4"),
        camera_file=write_camera(tmp_path / "camera.json", yaw_offset_deg=90),
        odometry=write_odometry(tmp_path / "odometry.csv", np.arange(100.0, 100.81, 0.1).tolist()),
        time_offset_s=100.0,
    )
    journey = open_journey(files)
    moments = list(journey.moments())
    assert [moment.index for moment in moments] == [0, 1, 2, 3]  # the last one has no odometry
    assert [moment.odometry.time_s for moment in moments] == pytest.approx([100.0, 100.1, 100.2, 100.35], abs=1e-6)
    assert [moment.odometry.y_m for moment in moments] == pytest.approx([0.0, 0.5, 1.0, 1.75], abs=1e-3)
    assert moments[0].odometry.yaw_rad == pytest.approx(radians(90))
    assert number_of(moments[3].pictures[2](WHOLE)) == 3
    assert journey.road_from_cam(2).translation_m.tolist() == [0.0, 0.0, 1.5]
    assert journey.places == ()
