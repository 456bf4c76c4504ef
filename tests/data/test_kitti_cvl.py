import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kitti_tree import DATE, DRIVE, NAME, place, shared, write_drive, write_kitti_cvl, write_picture

from cvlnet.data.kitti import UNIT_PITCH_RAD
from cvlnet.data.kitti_cvl import (
    open_tile,
    read_recording,
    read_recordings,
    read_split,
    read_split_list,
    require_trainable,
)
from cvlnet.errors import InputError
from cvlnet.geo import LocalFrame, web_mercator_m_per_px

LISTS = ("train", "test1", "test2")


def write_dataset(root: Path, **changes: Any) -> None:
    about = {"role": "train", "tile": {"m_per_px": 0.25, "size_px": 400}, **changes}
    (root / "dataset.json").write_text(json.dumps(about))


@pytest.mark.parametrize("name", LISTS)
def test_a_split_ties_frames_to_tiles_on_disk(tmp_path: Path, name: Any) -> None:
    latitude, longitude = write_kitti_cvl(tmp_path)
    split = read_split(tmp_path, name)
    (tile,) = split.tiles.values()
    assert [(query.recording, query.frame, query.tile) for query in split.queries] == [
        (NAME, frame, tile.id) for frame in (9, 10, 12)
    ]
    assert split.queries[0].id == f"{NAME}/0000000009"
    assert tile.id == f"{DRIVE}/{latitude}_{longitude}"
    assert tile.center.degrees == pytest.approx(place(10).degrees)
    assert tile.holds_query
    assert tile.path.is_file()
    assert split.left_out == ()
    assert list(read_recordings(split)) == [NAME]


def test_training_tiles_are_named_after_a_frame(tmp_path: Path) -> None:
    write_kitti_cvl(tmp_path)
    for path in (tmp_path / "satmap" / "test" / DRIVE).iterdir():
        path.unlink()
    (tile,) = read_split(tmp_path, "train").tiles.values()
    assert tile.path.name == "0000000009.png"


def test_a_test_query_is_never_sought_on_a_training_tile(tmp_path: Path) -> None:
    write_kitti_cvl(tmp_path)
    for path in (tmp_path / "satmap" / "test" / DRIVE).iterdir():
        path.unlink()
    with pytest.raises(InputError, match="3 queries have no tile on disk"):
        read_split(tmp_path, "test1")


def test_published_tiles_are_web_mercator_and_a_town_s_in_true_metres(tmp_path: Path) -> None:
    write_kitti_cvl(tmp_path)
    expected_m = {None: 10 * web_mercator_m_per_px(49.0, 18, 512), 0.25: 2.5}
    for m_per_px, ten_pixels_m in expected_m.items():
        if m_per_px:
            write_dataset(tmp_path)
        (tile,) = read_split(tmp_path, "test1").tiles.values()
        image = open_tile(tile)
        assert tile.m_per_px == m_per_px
        assert image.center.degrees == pytest.approx(tile.center.degrees)
        south = LocalFrame(tile.center).xy_world_m(image.raster.latlon_deg([200.0, 210.0]))
        assert south == pytest.approx([0.0, -ten_pixels_m], rel=2e-3, abs=1e-6)


def test_the_unit_is_front_down_in_kitti_and_level_in_a_town(tmp_path: Path) -> None:
    write_kitti_cvl(tmp_path)
    drive_dir = tmp_path / "raw_data" / DATE / DRIVE
    assert read_recording(drive_dir).road_from_body.rotation[0, 2] == pytest.approx(np.sin(UNIT_PITCH_RAD))
    write_dataset(tmp_path)
    assert read_recording(drive_dir).road_from_body.rotation[0, 2] == 0


def test_a_data_set_says_how_its_unit_is_mounted_and_that_its_tiles_are_the_published_ones(tmp_path: Path) -> None:
    write_kitti_cvl(tmp_path)
    drive_dir = tmp_path / "raw_data" / DATE / DRIVE
    write_dataset(tmp_path, unit_pitch_deg=1.5, tile={"projection": "Web Mercator", "zoom": 18, "scale": 2})
    assert read_recording(drive_dir).road_from_body.rotation[0, 2] == pytest.approx(np.sin(np.radians(1.5)))
    assert next(iter(read_split(tmp_path, "train").tiles.values())).m_per_px is None
    write_dataset(tmp_path, tile={"projection": "Web Mercator", "zoom": 19, "scale": 2})
    with pytest.raises(InputError, match=r"dataset.json: has no m_per_px; make the data set again"):
        read_split(tmp_path, "train")


@pytest.mark.parametrize("folder", ["", "satmap"])
def test_distractors_join_the_gallery_of_test2_only(tmp_path: Path, folder: str) -> None:
    write_kitti_cvl(tmp_path)
    tiles = tmp_path / "satmap" / "test"
    others = [
        tiles / DRIVE / "49.01_8.41.png",
        tiles / "ignored_sync" / "49.02_8.4.png",
        tiles / "unlisted" / "1_2.png",
    ]
    for path in others:
        write_picture(path, 4, 4)
    (tmp_path / folder / "test.csv").write_text(
        f"drive,latitude,longitude,query\n{DRIVE},49.01,8.41,0\nignored_sync,,,\n"
    )
    (tmp_path / folder / "ignore.csv").write_text("drive\nignored_sync\n")
    gallery = read_split(tmp_path, "test2").tiles
    assert Counter(tile.holds_query for tile in gallery.values()) == {True: 1, False: 1}
    assert gallery[f"{DRIVE}/49.01_8.41"].path == others[0]
    assert len(read_split(tmp_path, "test1").tiles) == 1


def test_a_gallery_tile_without_a_place_in_its_name(tmp_path: Path) -> None:
    write_kitti_cvl(tmp_path)
    write_picture(tmp_path / "satmap" / "test" / DRIVE / "somewhere.png", 4, 4)
    (tmp_path / "test.csv").write_text(f"{DRIVE}\n")
    with pytest.raises(InputError, match=r"somewhere.png: the name states no position; name a tile"):
        read_split(tmp_path, "test2")


def test_what_is_not_on_disk_is_told_and_left_out(tmp_path: Path) -> None:
    write_kitti_cvl(tmp_path)
    path = tmp_path / "test2_files_with_sat_GPS.txt"
    absent_drive = f"{DATE}/absent_sync/0000000009.png 49.1 8.1\n"
    write_picture(tmp_path / "satmap" / "test" / "absent_sync" / "49.1_8.1.png", 4, 4)
    path.write_text(path.read_text() + f"{NAME}/0000000011.png 48.0 8.0\n" + absent_drive)
    split = read_split(tmp_path, "test1")
    assert len(split.queries) == 3
    assert split.left_out == (f"{path}: 1 queries have no tile on disk", f"{path}: 1 queries have no drive on disk")
    path.write_text(absent_drive)
    with pytest.raises(InputError, match=r"no query can be used .*1 queries have no drive on disk"):
        read_split(tmp_path, "test1")


def test_a_town_for_tests_is_not_trained_on(tmp_path: Path) -> None:
    write_kitti_cvl(tmp_path)
    for role in ("test", "validation"):
        write_dataset(tmp_path, role=role)
        with pytest.raises(InputError, match=f"this data set is for {role}, not for training"):
            read_split(tmp_path, "train")
        assert read_split(tmp_path, "test1").queries
    write_dataset(tmp_path)
    require_trainable(tmp_path)
    assert read_split(tmp_path, "train").queries


@pytest.mark.parametrize(
    ("text", "what"),
    [("{", "is no JSON"), ("{}", "does not describe its tiles"), ('{"tile": {}}', "has no m_per_px"), ("", "is empty")],
)
def test_malformed_dataset(tmp_path: Path, text: str, what: str) -> None:
    write_kitti_cvl(tmp_path)
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=f"dataset.json: .*{what}.*; make the data set again"):
        read_split(tmp_path, "test1")


def test_unfinished_town(tmp_path: Path) -> None:
    write_kitti_cvl(tmp_path)
    (tmp_path / "unfinished.json").write_text("{}")
    with pytest.raises(InputError, match="the data set is not finished; repeat the command that makes it"):
        read_split(tmp_path, "test1")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (f"{NAME}/0000000009.png 49.0", "line 2: 2 of 3 fields; write the line as"),
        (f"{NAME}/0000000009.png 91.0 8.4", "line 2: latitude 91.0 is not within -90 to 90 degrees"),
        (f"{NAME}/0000000009.png north 8.4", "line 2: 'north' is not a number"),
        (f"{DRIVE}/0000000009.png 49.0 8.4", "line 2: .* names no frame"),
        (f"{NAME}/first.png 49.0 8.4", "line 2: .* names no frame"),
        (f"{NAME}/0000000010.txt 49.0 8.4", "line 2: .* names no frame"),
        (f"{NAME}/0000000010.png nan 8.4", "line 2: 'nan' is not a number"),
        (f"{NAME}/0000000010.png,49.0,8.4", "line 2: 1 of 3 fields"),
        (f"{NAME}/9.png 49.0 8.4", f"line 2: frame 9 of {NAME} is in line 1, too; keep the line that is right"),
    ],
)
def test_malformed_list_line(tmp_path: Path, line: str, what: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"{NAME}/0000000009.png 49.0 8.4\n{line}\n")
    with pytest.raises(InputError, match=what):
        read_split_list(path)


def test_empty_and_missing_split(tmp_path: Path) -> None:
    write_drive(tmp_path / "raw_data")
    with pytest.raises(InputError, match=r"train_files_with_sat_GPS.txt: the file is missing; copy the split list"):
        read_split(tmp_path, "train")
    (tmp_path / "train_files_with_sat_GPS.txt").write_text("\n")
    with pytest.raises(InputError, match=r"train_files_with_sat_GPS.txt: the file is empty"):
        read_split(tmp_path, "train")


@pytest.mark.parametrize(
    ("name", "queries", "tiles"), [("train", 23905, 2942), ("test1", 2362, 1482), ("test2", 2473, 295)]
)
def test_the_published_lists_lie_on_a_lattice_of_ten_metres(name: str, queries: int, tiles: int) -> None:
    """No query is farther from its tile than half the lattice's diagonal, 7.07 m; 16 frames lie behind every one."""
    listed = read_split_list(shared("kitti_cvl", f"{name}_files_with_sat_GPS.txt"))
    oxts = np.load(shared("kitti_cvl", "oxts.npz"))
    drives = {drive: oxts[drive.removesuffix("_sync")] for drive in {q.recording.split("/")[1] for q in listed}}
    farthest_m = 0.0
    for query in listed:
        latlon_deg = drives[query.recording.split("/")[1]][query.frame, :2]
        farthest_m = max(farthest_m, float(np.hypot(*LocalFrame(query.tile_center).xy_world_m(latlon_deg))))
    assert len(listed) == len({(q.recording, q.frame) for q in listed}) == queries
    assert len({(q.recording, q.tile_latlon) for q in listed}) == tiles
    assert 6.8 < farthest_m < 7.07
    assert min(q.frame for q in listed) >= 15 * 3


def test_the_published_lists_share_no_frame() -> None:
    frames = Counter(
        (q.recording, q.frame)
        for name in LISTS
        for q in read_split_list(shared("kitti_cvl", f"{name}_files_with_sat_GPS.txt"))
    )
    assert len(frames) == 23905 + 2362 + 2473


def test_a_folder_with_no_room_for_a_date_above_it_gets_one_line() -> None:
    with pytest.raises(InputError, match=r"^/no-such-drive: the drive does not exist"):
        read_recording(Path("/no-such-drive"))


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: text.replace(".png", ".jpg"),
        lambda text: text.replace("/", "\\"),
        lambda text: text.replace(" ", "\t  "),
    ],
)
def test_lists_that_say_the_same(tmp_path: Path, rewrite: Callable[[str], str]) -> None:
    write_kitti_cvl(tmp_path)
    expected = read_split(tmp_path, "test1").queries
    path = tmp_path / "test2_files_with_sat_GPS.txt"
    text = rewrite(path.read_text())
    for content in (text.encode(), text.removeprefix("\ufeff").encode("utf-16")):
        path.write_bytes(content)
        assert read_split(tmp_path, "test1").queries == expected


def test_hidden_files_are_no_tiles(tmp_path: Path) -> None:
    latitude, longitude = write_kitti_cvl(tmp_path)
    (tmp_path / "test.csv").write_text(f"{DRIVE}\n")
    tiles = tmp_path / "satmap" / "test" / DRIVE
    for name in (f"._{latitude}_{longitude}.png", ".DS_Store"):
        (tiles / name).write_bytes(b"\0\5\x16\7")
    assert len(read_split(tmp_path, "test2").tiles) == 1


@pytest.mark.parametrize("text", ["\ufeff{}\n", "drive;latitude\r\n{};49\r\n", '"{}"\n', "x\t{}\n"])
def test_tables_of_drives_in_any_dialect(tmp_path: Path, text: str) -> None:
    write_kitti_cvl(tmp_path)
    write_picture(tmp_path / "satmap" / "test" / DRIVE / "49.01_8.41.png", 4, 4)
    (tmp_path / "test.csv").write_bytes(text.format(DRIVE).encode())
    (tmp_path / "ignore.csv").write_text("")
    assert len(read_split(tmp_path, "test2").tiles) == 2


def test_a_gallery_without_distractors_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """There is one on disk, but no table names its drive."""
    write_kitti_cvl(tmp_path)
    write_picture(tmp_path / "satmap" / "test" / DRIVE / "49.01_8.41.png", 4, 4)
    read_split(tmp_path, "test1")
    assert not caplog.messages
    read_split(tmp_path, "test2")
    assert "has no distractors: the gallery of Test-2 is that of Test-1; name the drives in test.csv" in caplog.text
    caplog.clear()
    (tmp_path / "test.csv").write_text(f"{DRIVE}\n")
    read_split(tmp_path, "test2")
    assert not caplog.messages


def test_a_query_far_from_its_tile_is_told(tmp_path: Path) -> None:
    """Latitude and longitude are exchanged; the tile is found by the frame's number."""
    write_kitti_cvl(tmp_path)
    path = tmp_path / "train_files_with_sat_GPS.txt"
    path.write_text("".join(f"{NAME}/{frame:010d}.png 8.4 49.0\n" for frame in (9, 10, 12)))
    told = (
        f"{NAME}/0000000009 was taken [0-9]* m from the tile .*; check that the list gives the tile's latitude before"
    )
    with pytest.raises(InputError, match=told):
        read_recordings(read_split(tmp_path, "train"))


def test_tiles_may_be_jpeg(tmp_path: Path) -> None:
    write_kitti_cvl(tmp_path)
    for path in (tmp_path / "satmap").rglob("*.png"):
        path.rename(path.with_suffix(".jpg"))
    assert {tile.path.suffix for tile in read_split(tmp_path, "test1").tiles.values()} == {".jpg"}
    assert {tile.path.suffix for tile in read_split(tmp_path, "train").tiles.values()} == {".jpg"}
