"""A folder becomes a recording: places, headings, what is left out, and what is refused."""

from math import cos, pi, radians, sin
from pathlib import Path

import numpy as np
import pytest
from video_tree import START, bend, table, write_camera, write_frames, write_table, write_video

from cvlnet.data.clips import ClipSpec, assemble_clip
from cvlnet.data.folder import read_folder
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.image_spec import ImageSpec

STRAIGHT = bend(4, course_deg=0, turn_deg=0)


def way_m(folder: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    frames = read_folder(folder).frames
    return LocalFrame(frames[0].position).xy_world_m([frame.position.degrees for frame in frames])


def test_a_folder_is_a_recording_that_clips_are_made_of(tmp_path: Path) -> None:
    recording = read_folder(write_video(tmp_path, STRAIGHT))
    assert [frame.index for frame in recording.frames] == [0, 1, 2, 3]
    assert [frame.time_s for frame in recording.frames] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert recording.name == str(tmp_path)
    clip = assemble_clip(recording, 3, ClipSpec(ImageSpec(62, 16), frames=4))
    assert clip.images.shape == (4, 3, 16, 62)
    ahead = [[0.8 - i, 0.0, 1.5] for i in range(4)]
    assert np.allclose(clip.ground_from_cam.translation_m, ahead, atol=1e-5)
    assert clip.ground_from_cam.rotation[0, :, 2].tolist() == [1.0, 0.0, 0.0]


def test_latitudes_and_longitudes(tmp_path: Path) -> None:
    way = bend()
    recording = read_folder(write_video(tmp_path, way, geographic=True, edit=lambda cells: cells.pop(3)))
    assert [frame.index for frame in recording.frames] == [0, 1, *range(3, 20)]  # a frame without a pose is a hole
    assert recording.left_out == {2: "poses.csv has no pose of 0002.png"}
    places_m = LocalFrame(START).xy_world_m([frame.position.degrees for frame in recording.frames])
    assert np.allclose(places_m, np.delete(way, 2, axis=0)[:, :2], atol=1e-3)
    assert recording.frames[-1].yaw_rad == pytest.approx(radians(90))


@pytest.mark.parametrize(
    "origin_m",
    [
        (0, 0),
        (456000, 5428000),
        (3456000, 5428000),
        (334000, 6252000),
        (935000, 6276000),
        (-8.2e6, 4.97e6),
        (-3e7, 4e7),
    ],
    ids=["zero", "UTM 32N", "Gauss-Krueger", "UTM 56S", "Web Mercator", "New York", "beyond the earth"],
)
@pytest.mark.parametrize("yaw_offset_deg", [0, 130])
def test_only_differences_of_metres_count(tmp_path: Path, origin_m: tuple[float, float], yaw_offset_deg: float) -> None:
    """The same to a tenth of a millimetre whatever is added to x and y, however the world is turned."""
    way = bend(40, step_m=10.0)
    moved = way + np.array([*origin_m, 0.0])
    cos_, sin_ = cos(radians(yaw_offset_deg)), sin(radians(yaw_offset_deg))
    found_m = way_m(write_video(tmp_path, moved, yaw_offset_deg=yaw_offset_deg, frame_s=0.5))
    assert np.abs(found_m - way[:, :2] @ [[cos_, sin_], [-sin_, cos_]]).max() < 1e-4
    frames = read_folder(tmp_path).frames
    assert np.degrees([frame.yaw_rad for frame in frames]) == pytest.approx(way[:, 2] + yaw_offset_deg)


def test_a_way_in_metres_that_is_too_wide_is_refused(tmp_path: Path) -> None:
    way = bend(8, step_m=35_000.0)
    told = r"poses.csv: the way reaches 230 km far, and 200 km are the most in metres; check that"
    with pytest.raises(InputError, match=told):
        read_folder(write_video(tmp_path, way, frame_s=1000.0))


def test_a_yaw_offset_turns_the_whole_world(tmp_path: Path) -> None:
    folder = write_video(tmp_path, STRAIGHT, yaw_offset_deg=90)
    assert np.allclose(way_m(folder), [[0, i] for i in range(4)], atol=1e-6)
    assert read_folder(folder).frames[0].yaw_rad == pytest.approx(pi / 2)


def test_a_heading_offset_turns_the_headings_alone(tmp_path: Path) -> None:
    way = bend() - [0.0, 0.0, 25.0]
    folder = write_video(tmp_path, way, heading_offset_deg=25)
    assert np.allclose(way_m(folder), way[:, :2], atol=1e-6)
    assert np.degrees(read_folder(folder).frames[0].yaw_rad) == pytest.approx(20.0)


def zero(rows):
    def edit(cells):
        for row in rows:
            cells[1 + row][2] = cells[1 + row][3] = "0.0"

    return edit


@pytest.mark.parametrize("rows", [[5], [19], list(range(14)), [0, 7, 8]])
def test_rows_without_a_fix_are_left_out(tmp_path: Path, rows: list[int], caplog: pytest.LogCaptureFixture) -> None:
    recording = read_folder(write_video(tmp_path, geographic=True, edit=zero(rows)))
    assert [frame.index for frame in recording.frames] == [i for i in range(20) if i not in rows]
    assert sorted(recording.left_out) == rows
    assert recording.jumps_m == {}
    [told] = caplog.messages
    assert told.startswith(f"{tmp_path}/poses.csv: {len(rows)} of 20 lines are left out: no position or heading (line")


@pytest.mark.parametrize("word", ["nan", "", "inf", "NULL", "N/A"])
@pytest.mark.parametrize("column", [2, 4])
def test_a_row_without_a_number_is_left_out(
    tmp_path: Path, word: str, column: int, caplog: pytest.LogCaptureFixture
) -> None:
    def edit(cells):
        cells[8][column] = word

    recording = read_folder(write_video(tmp_path, edit=edit))
    assert recording.left_out == {
        7: f"it has no position (0, 0 or no number), or no heading ({tmp_path}/poses.csv, line 9)"
    }
    assert caplog.messages == [
        f"{tmp_path}/poses.csv: 1 of 20 lines are left out: no position or heading (line 9); "
        "correct their positions, or delete them"
    ]


def test_a_row_that_jumps_is_left_out_and_not_located(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def edit(cells):
        cells[20][2] = str(float(cells[20][2]) + 0.002)

    recording = read_folder(write_video(tmp_path, geographic=True, edit=edit))
    assert [message.partition("left out: ")[2] for message in caplog.messages] == [
        "no vehicle can have driven there (line 21); correct their positions, or delete them"
    ]
    told = (
        r"frame 19 cannot be used: no vehicle can have driven from the frames around it to its position \(.*line 21\)"
    )
    with pytest.raises(InputError, match=told):
        assemble_clip(recording, 19, ClipSpec(ImageSpec(62, 16)))


def test_a_heading_that_drops_out_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def edit(cells):
        cells[11][4] = "0.0"

    recording = read_folder(write_video(tmp_path, bend(course_deg=100), edit=edit))
    assert recording.left_out == {10: f"its heading stands out from those around it ({tmp_path}/poses.csv, line 12)"}
    assert [message.partition("left out: ")[2] for message in caplog.messages] == [
        "a heading that stands out from those around it (line 12); correct their positions, or delete them"
    ]


def test_a_jump_that_lasts_cuts_the_drive(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    way = bend()
    way[:12, :2] = 0.0  # 12 rows without odometry, in metres
    recording = read_folder(write_video(tmp_path, way + [0.0, 500.0, 0.0] * (np.arange(20) >= 12)[:, None]))
    assert list(recording.jumps_m) == [12]
    assert [message.partition(" at ")[2] for message in caplog.messages] == [
        "line 14 and continues from there; correct the positions; until then no clip reaches back over the jump"
    ]


def test_several_jumps_are_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    way = bend(45, turn_deg=30)
    way[15:, 1] += 300.0
    way[30:, 1] += 500.0
    assert sorted(read_folder(write_video(tmp_path, way)).jumps_m) == [15, 30]
    assert caplog.messages == [
        f"{tmp_path}/poses.csv: the position jumps by up to 501 m at lines 17, 32 and continues from there; "
        "correct the positions; until then no clip reaches back over the jump"
    ]


def test_positions_of_a_slow_receiver_count_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once a second, for ten frames a second."""
    way = bend(40, turn_deg=0)
    way[:, :2] = way[np.arange(40) // 10 * 10, :2]
    recording = read_folder(write_video(tmp_path, way))
    assert [frame.index for frame in recording.frames if frame.index <= 30] == [0, 10, 20, 30]
    assert "an earlier position repeated while the vehicle drives on (lines" in caplog.messages[0]


@pytest.mark.parametrize("times", ["0.0", "", None])
def test_times_may_be_missing(tmp_path: Path, times: str | None) -> None:
    def edit(cells):
        for row in cells[1:]:
            row[1] = times
        for row in cells if times is None else ():
            del row[1]

    recording = read_folder(write_video(tmp_path, edit=edit))
    assert [frame.time_s for frame in recording.frames] == list(range(20))  # a second a frame


def test_times_in_milliseconds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"the times rise by 100 s from frame to frame, .* hardly moves; give times in"
    ):
        read_folder(write_video(tmp_path, frame_s=100.0))


def test_positions_that_no_vehicle_drives_are_refused(tmp_path: Path) -> None:
    told = (
        r"are not those of a vehicle: they move at 10000 m/s, more than 70 m/s, or jump to and fro; give positions in"
    )
    with pytest.raises(InputError, match=told):
        read_folder(write_video(tmp_path, bend(step_m=1000.0)))


def test_a_folder_without_any_position_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"poses.csv: no line holds a position and a heading; give the positions"):
        read_folder(write_video(tmp_path, geographic=True, edit=zero(range(20))))


def test_missing_folder_frames_and_camera(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: the folder does not exist"):
        read_folder(tmp_path / "none")
    with pytest.raises(InputError, match="frames: no PNG or JPEG frames; put"):
        read_folder(tmp_path)
    (tmp_path / "frames").mkdir()
    for name in ("1.heic", "2.HEIC", "clip.mp4", ".DS_Store", "notes"):
        (tmp_path / "frames" / name).write_bytes(b"")
    told = r"frames: no PNG or JPEG frames \(but .HEIC, .heic, .mp4\); put the video's frames there, as PNG or JPEG"
    with pytest.raises(InputError, match=told):
        read_folder(tmp_path)
    folder = write_video(tmp_path)
    (folder / "camera.json").unlink()
    with pytest.raises(InputError, match=r"camera.json: the file is missing"):
        read_folder(folder)


def headings(change):
    """Write other headings, from those that are right."""

    def edit(cells):
        for row in cells[1:]:
            row[4] = f"{change(float(row[4])):.6f}"

    return edit


OR_RIGHT = '; if the headings are right, write "heading_convention": "east_ccw"'
COMPASS = 'write "heading_convention": "compass" in camera.json'


@pytest.mark.parametrize("geographic", [False, True])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda yaw: 90 - yaw, ("yaw_deg is a compass bearing", COMPASS)),
        (radians, ("yaw_deg is in radians", "name the column yaw_rad")),
        (
            lambda yaw: radians(90 - yaw),
            ("yaw_deg is a compass bearing in radians", f"name the column yaw_rad and {COMPASS}"),
        ),
        (lambda yaw: yaw - 90, ("they do not count from {zero}", 'write "heading_offset_deg": 90 in camera.json')),
        (lambda yaw: yaw + 90, ("they do not count from {zero}", 'write "heading_offset_deg": -90 in camera.json')),
        (lambda yaw: yaw + 33, ("they do not count from {zero}", 'write "heading_offset_deg": -33 in camera.json')),
    ],
    ids=["compass", "radians", "compass in radians", "zero is north", "zero is south", "33 degrees"],
)
def test_headings_beside_the_way_are_refused_with_their_cause(tmp_path: Path, change, told, geographic: bool) -> None:
    way = bend(40, course_deg=-40, turn_deg=-100)
    with pytest.raises(InputError) as caught:
        read_folder(write_video(tmp_path, way, geographic=geographic, edit=headings(change)))
    how, remedy = (text.format(zero="east" if geographic else "the x axis") for text in told)
    assert caught.value.what.endswith("degrees away from the direction of travel")
    assert f"if {how}, {remedy};" in caught.value.remedy
    assert caught.value.remedy.endswith(OR_RIGHT)


def exchanged(cells):
    for row in cells[1:]:
        row[2], row[3] = row[3], row[2]


def test_exchanged_columns_are_told_beside_the_other_cause(tmp_path: Path) -> None:
    """Exchanging x and y mirrors the way, as a compass bearing mirrors the heading: motion cannot tell which it is."""
    with pytest.raises(InputError) as caught:
        read_folder(write_video(tmp_path, edit=exchanged))
    exchange = "if x_m and y_m are exchanged, exchange them"
    assert caught.value.remedy == f"if yaw_deg is a compass bearing, {COMPASS}; {exchange}{OR_RIGHT}"
    with pytest.raises(InputError, match="latitude_deg and longitude_deg are exchanged"):
        read_folder(write_video(tmp_path / "b", bend(40), geographic=True, edit=exchanged))


@pytest.mark.parametrize(("column", "name"), [(2, "x_m"), (3, "y_m")])
def test_a_mirrored_axis_is_told(tmp_path: Path, column: int, name: str) -> None:
    def edit(cells):
        for row in cells[1:]:
            row[column] = str(-float(row[column]))

    with pytest.raises(InputError, match=f"of travel; if {name} counts the other way, change the sign of {name}; if"):
        read_folder(write_video(tmp_path, bend(40, turn_deg=140), edit=edit))


def test_what_was_written_is_read_so(tmp_path: Path) -> None:
    """Each remedy works."""
    right = np.degrees([frame.yaw_rad for frame in read_folder(write_video(tmp_path / "right")).frames])

    def yaw_rad(cells):
        cells[0][4] = "yaw_rad"
        headings(radians)(cells)

    folders = [
        write_video(tmp_path / "compass", edit=headings(lambda yaw: 90 - yaw), heading_convention="compass"),
        write_video(tmp_path / "radians", edit=yaw_rad),
        write_video(tmp_path / "north", edit=headings(lambda yaw: yaw - 90), heading_offset_deg=90),
    ]
    for folder in folders:
        assert np.degrees([frame.yaw_rad for frame in read_folder(folder).frames]) == pytest.approx(right, abs=1e-3)


def test_a_declared_convention_is_not_questioned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A camera that looks to the left, whose heading is given."""
    edit = headings(lambda yaw: yaw + 90)
    recording = read_folder(write_video(tmp_path, edit=edit, heading_convention="east_ccw"))
    assert np.degrees(recording.frames[0].yaw_rad) == pytest.approx(110)
    assert caplog.messages == [
        f"{tmp_path}/poses.csv: the headings are 90 degrees away from the direction of travel; "
        "check yaw and the axes of the positions, unless it does drive sideways"
    ]


def test_a_contradiction_that_nothing_explains_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_folder(write_video(tmp_path, bend(60, turn_deg=120), edit=headings(lambda yaw: 2.5 * yaw)))
    assert len(caplog.messages) == 1
    assert "degrees away from the direction of travel; check yaw" in caplog.messages[0]


def test_a_short_drive_is_not_questioned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_folder(write_video(tmp_path, bend(5), edit=headings(lambda yaw: 90 - yaw)))
    assert caplog.messages == []


def test_frames_are_in_the_order_in_which_a_person_counts(tmp_path: Path) -> None:
    files = [f"{i}.png" for i in range(12)]
    write_frames(tmp_path, files)
    write_camera(tmp_path)
    write_table(tmp_path, table(bend(12), files))
    frames = read_folder(tmp_path).frames
    assert [frame.images[2].name for frame in frames] == files


def test_the_sphere_is_whole(tmp_path: Path) -> None:
    """Over the antimeridian."""
    way = bend(20, course_deg=0)

    def edit(cells):
        frame = LocalFrame(LatLon(-17.0, 179.99996))
        for row, place in zip(cells[1:], frame.latlon_deg(way[:, :2]).tolist(), strict=True):
            row[2:4] = [f"{value:.9f}" for value in place]

    folder = write_video(tmp_path, way, geographic=True, edit=edit)
    assert np.allclose(way_m(folder), way[:, :2], atol=1e-3)
