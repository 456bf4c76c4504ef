import json
import shutil
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from kitti_tree import DATE, DRIVE, NAME, START, place, shared, write_drive

from cvlnet.config import DatasetConfig
from cvlnet.data.images import read_image
from cvlnet.data.kitti import UNIT_PITCH_RAD
from cvlnet.data.kitti_cvl import open_tile, read_recording, read_recordings, read_split, read_split_list
from cvlnet.dataset import build as building
from cvlnet.dataset.build import build_dataset
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.grid import Grid
from cvlnet.imagery.crop import crop
from geotiffs import pattern, write_geotiff, write_pattern

OTHER = "2011_09_26_drive_0002_sync"
FRAMES = 25  # a metre each, to the north
RULES = DatasetConfig(first_query=3, tile_m=20.0, test_drives=(OTHER,))  # tiles of 512 px, 100 m
GRID = Grid(60, 60, 1.0)


@pytest.fixture
def raw(tmp_path):
    """Two drives along the same street."""
    write_drive(tmp_path / "kitti" / "raw_data", range(FRAMES))
    return with_test_drive(tmp_path / "kitti" / "raw_data")


@pytest.fixture(scope="module")
def imagery(tmp_path_factory):
    """All that can be seen from the street, and its manifest."""
    path = write_pattern(tmp_path_factory.mktemp("imagery") / "street.tif", START, size_m=200.0, pixel_m=0.4)
    files = {"street.tif": {"flown": "2019-07-01"}}
    (path.parent / "manifest.json").write_text(json.dumps({"credit": "LGL, dl-de/by-2-0", "files": files}))
    return path


@pytest.fixture(scope="module")
def south(tmp_path_factory):
    """Imagery that ends 57 m to the north of the start; a tile of the street shows 50 m to the north of its centre."""
    path = tmp_path_factory.mktemp("south") / "south.tif"
    return write_pattern(path, START, center_m=(0.0, -43.0), size_m=200.0, pixel_m=0.4)


def with_test_drive(raw: Path) -> Path:
    shutil.copytree(raw / DATE / DRIVE, raw / DATE / OTHER)
    return raw


def contents(root: Path) -> dict[str, bytes]:
    """All files, links included, less the drives."""
    return {
        str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file() and "raw_data" not in p.parts
    }


def test_what_is_built_is_read_as_the_published_data_set_is(tmp_path, raw, imagery):
    out = tmp_path / "out"
    report = build_dataset(raw, [imagery], out, RULES)
    assert (report.splits["train"].queries, report.splits["train"].tiles) == (22, 3)
    for name, drive, galleries in (("train", DRIVE, 3), ("test1", OTHER, 3), ("test2", OTHER, 4)):
        split = read_split(out, name)
        assert [(q.recording, q.frame) for q in split.queries] == [(f"{DATE}/{drive}", n) for n in range(3, FRAMES)]
        assert len(split.tiles) == galleries
        assert split.left_out == ()
        recordings = read_recordings(split)
        for query in split.queries:
            offset_m = LocalFrame(split.tiles[query.tile].center).xy_world_m(place(query.frame).degrees)
            assert np.hypot(*offset_m) < 5.1
        pitch = recordings[f"{DATE}/{drive}"].road_from_body.rotation[0, 2]
        assert pitch == pytest.approx(np.sin(UNIT_PITCH_RAD))  # KITTI's unit, although there is a dataset.json
    assert not list(out.rglob("*unfinished*"))


def test_a_tile_shows_what_lies_around_its_centre(tmp_path, raw, imagery):
    """In true metres, after the change from UTM to the published projection and back."""
    build_dataset(raw, [imagery], tmp_path / "out", RULES)
    for tile in read_split(tmp_path / "out", "test2").tiles.values():
        assert read_image(tile.path).shape == (512, 512, 3)
        seen = crop(open_tile(tile), tile.center, GRID).permute(1, 2, 0).numpy()
        there_deg = LocalFrame(tile.center).latlon_deg(GRID.cell_centers_xy_m().numpy())
        assert np.abs(seen - pattern(there_deg, START)).max() < 4  # 10 cm would be 3 more, and cells are averages


def test_each_training_frame_has_a_file_of_which_one_is_no_link(tmp_path, raw, imagery):
    """The published training opens a file for every query."""
    out = tmp_path / "out"
    build_dataset(raw, [imagery], out, RULES)
    folder = out / "satmap" / "train_10mgap" / DATE / DRIVE
    assert sorted(p.name for p in folder.iterdir()) == [f"{n:010d}.png" for n in range(3, FRAMES)]
    links = {p.name: str(p.readlink()) for p in folder.iterdir() if p.is_symlink()}
    assert Counter(links.values()) == {"0000000003.png": 1, "0000000005.png": 9, "0000000015.png": 9}
    moved = tmp_path / "moved"
    out.rename(moved)
    assert len(read_split(moved, "train").queries) == 22


def test_drives_are_linked_and_tables_name_the_gallery(tmp_path, raw, imagery):
    out = tmp_path / "out"
    report = build_dataset(raw.parent, [imagery], out, RULES)  # the folder above raw_data will do
    assert (out / "raw_data").is_symlink()
    assert (out / "raw_data").resolve() == raw.resolve()
    rows = [line.split(",") for line in (out / "test.csv").read_text().splitlines()]
    assert rows[0] == ["drive", "latitude", "longitude", "holds_query"]
    assert Counter((row[0], row[3]) for row in rows[1:]) == {(OTHER, "1"): 3, (OTHER, "0"): 1}
    assert (out / "ignore.csv").read_text() == "drive\n"
    assert sorted(p.stem for p in (out / "satmap" / "test" / OTHER).iterdir()) == sorted(
        f"{row[1]}_{row[2]}" for row in rows[1:]
    )
    about = json.loads((out / "dataset.json").read_text())
    assert about["role"] == "train"
    assert about["credit"] == ["LGL, dl-de/by-2-0"]
    assert about["tile"] == {"projection": "Web Mercator", "zoom": 18, "scale": 2, "size_px": 512}
    assert json.loads((out / "report.json").read_text()) == json.loads(json.dumps(report.to_json()))


def test_lists_are_cut_at_the_places_that_they_name(tmp_path, raw, imagery):
    latitude, longitude = "49.00009", "8.40002"
    far = f"{DATE}/absent_sync/0000000003.png {latitude} {longitude}\n"
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "train_files_with_sat_GPS.txt").write_text(f"{NAME}/0000000007.png {latitude} {longitude}\n{far}")
    (lists / "test1_files_with_sat_GPS.txt").write_text(f"{NAME}/0000000009.png {latitude} {longitude}\n")
    (lists / "test2_files_with_sat_GPS.txt").write_text(f"{DATE}/{OTHER}/0000000011.png {latitude} {longitude}\n")
    out = tmp_path / "out"
    report = build_dataset(raw, [imagery], out, DatasetConfig(tile_m=20.0), lists=lists)
    assert report.absent == {f"{DATE}/absent_sync": 1}
    for name, drive, frame in (("train", DRIVE, 7), ("test1", OTHER, 11), ("test2", OTHER, 11)):
        split = read_split(out, name)
        assert [(q.recording, q.frame) for q in split.queries] == [(f"{DATE}/{drive}", frame)]
        tile = split.tiles[f"{drive}/{latitude}_{longitude}"]
        seen = crop(open_tile(tile), LatLon(49.00009, 8.40002), GRID).permute(1, 2, 0).numpy()
        there_deg = LocalFrame(tile.center).latlon_deg(GRID.cell_centers_xy_m().numpy())
        assert np.abs(seen - pattern(there_deg, START)).max() < 4
    assert len(read_split(out, "test2").tiles) == 1 + report.distractors
    # the published validation opens the tile of a frame of "test1" by the frame's number
    assert (out / "satmap" / "train_10mgap" / DATE / DRIVE / "0000000009.png").is_file()


def test_what_the_imagery_lacks_is_left_out_and_told(tmp_path, raw, south):
    out = tmp_path / "out"
    report = build_dataset(raw, [south], out, DatasetConfig(**{**vars(RULES), "most_missing": 0.05}))
    assert {name: (n.queries, n.tiles) for name, n in report.splits.items()} == {
        "train": (12, 2),
        "test1": (12, 2),
        "test2": (12, 2),
    }
    drive = report.drives[0]
    assert (drive.queries, drive.tiles) == (12, 2)
    assert (drive.outside, drive.left_out, drive.holes) == (0, 1, 1)
    split = read_split(out, "train")
    assert [q.frame for q in split.queries] == list(range(3, 15))
    assert split.left_out == ()  # the lists name no tile that is not there
    assert len(read_split(out, "test2").tiles) == 2
    assert not any("_30" in p.name for p in (out / "satmap").rglob("*.png"))
    printed = "\n".join(report.lines)
    assert "tiles of which the imagery lacks more than 5%, left out: 3" in printed  # 1, 1 and a distractor
    assert "tiles with small holes, filled from beside them: 2" in printed


def test_imagery_elsewhere_is_refused(tmp_path, raw):
    imagery = write_pattern(tmp_path / "imagery" / "far.tif", START, center_m=(3000.0, 0.0), size_m=50.0)
    with pytest.raises(InputError, match="--imagery: no query lies on the imagery, of 7 tiles; give imagery of where"):
        build_dataset(raw, [imagery], tmp_path / "out", RULES)


def test_an_interrupted_run_resumes(tmp_path, raw, imagery, monkeypatch):
    whole, out = tmp_path / "whole", tmp_path / "out"
    build_dataset(raw, [imagery], whole, RULES)
    cut_tile, cut = building.cut_tile, []

    def interrupted(*args):
        if len(cut) == 3:
            raise KeyboardInterrupt
        cut.append(args)
        return cut_tile(*args)

    monkeypatch.setattr(building, "cut_tile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_dataset(raw, [imagery], out, RULES)
    with pytest.raises(InputError, match="the data set is not finished; repeat the command that makes it"):
        read_split(out, "train")
    with (out / "satmap" / "tiles.jsonl").open("a") as journal:
        journal.write('{"tile": "satmap/tr')  # a process that was killed may leave half a line
    again = []
    monkeypatch.setattr(building, "cut_tile", lambda *args: again.append(args) or cut_tile(*args))
    build_dataset(raw, [imagery], out, RULES)
    assert len(again) == 7 - 3
    assert contents(out) == contents(whole)
    build_dataset(raw, [imagery], out, RULES)
    assert len(again) == 7 - 3
    assert contents(out) == contents(whole)


def test_more_imagery_adds_the_tiles_that_were_left_out(tmp_path, raw, imagery, south):
    out = tmp_path / "out"
    assert build_dataset(raw, [south], out, RULES).splits["train"].tiles == 1
    report = build_dataset(raw, [imagery], out, RULES)
    assert report.splits["train"].tiles == 3
    assert report.credit == ("LGL, dl-de/by-2-0",)
    assert len(read_split(out, "train").queries) == 22


def test_a_folder_of_something_else_is_refused(tmp_path, raw, imagery):
    out = tmp_path / "out"
    build_dataset(raw, [imagery], out, RULES)
    with pytest.raises(InputError, match="out: holds a data set of other drives, lists or settings; choose another"):
        build_dataset(raw, [imagery], out, DatasetConfig(first_query=4, tile_m=20.0))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(InputError, match=r"mine: holds other files, such as thesis.txt; choose a new or empty folder"):
        build_dataset(raw, [imagery], tmp_path / "mine", RULES)
    with pytest.raises(InputError, match=r"thesis.txt: is a file; choose a folder"):
        build_dataset(raw, [imagery], tmp_path / "mine" / "thesis.txt", RULES)
    with pytest.raises(InputError, match=r"mine: holds no drive; give KITTI's raw_data"):
        build_dataset(tmp_path / "mine", [imagery], tmp_path / "new", RULES)
    with pytest.raises(InputError, match=r"mine: holds none of the lists, such as train_files_with_sat_GPS.txt"):
        build_dataset(raw, [imagery], tmp_path / "new", RULES, lists=tmp_path / "mine")
    assert not (tmp_path / "new").exists()


def test_drives_that_were_corrected_are_other_drives(tmp_path, raw, imagery):
    """Tiles for training are named after frames, and would show where the frames were said to be before."""
    build_dataset(raw, [imagery], tmp_path / "out", RULES)
    for path in (raw / DATE / DRIVE / "oxts" / "data").iterdir():
        latitude, rest = path.read_text().split(" ", 1)
        path.write_text(f"{float(latitude) + 0.0003} {rest}")
    with pytest.raises(InputError, match="out: holds a data set of other drives, lists or settings"):
        build_dataset(raw, [imagery], tmp_path / "out", RULES)


def test_tiles_of_other_imagery_are_told(tmp_path, raw, imagery, caplog):
    build_dataset(raw, [imagery], tmp_path / "out", RULES)
    other = shutil.copy(imagery, tmp_path / "other.tif")
    build_dataset(raw, [other, imagery], tmp_path / "out", RULES)
    assert not caplog.messages
    build_dataset(raw, [other], tmp_path / "out", RULES)
    assert "tiles that were cut before show other imagery than is given now, such as" in caplog.text


def test_tiles_may_be_made_beside_the_drives(tmp_path, raw, imagery):
    """KITTI/raw_data is there, KITTI/satmap is made; again after an interruption."""
    root = raw.parent
    (root / "unfinished.json").unlink(missing_ok=True)
    for _ in range(2):
        build_dataset(raw, [imagery], root, RULES)
    assert not (root / "raw_data").is_symlink()
    assert len(read_split(root, "train").queries) == 22
    pitch = read_recording(raw / DATE / DRIVE).road_from_body.rotation[0, 2]
    assert pitch == pytest.approx(np.sin(UNIT_PITCH_RAD))


def test_of_a_town_the_role_and_the_level_unit_are_kept(tmp_path, small_data):
    imagery = write_pattern(tmp_path / "town.tif", LatLon(48.1, 10.9), size_m=240.0, pixel_m=0.8)
    rules = DatasetConfig(first_query=3, tile_m=20.0)
    build_dataset(small_data / "raw_data", [imagery], tmp_path / "out", rules)
    split = read_split(tmp_path / "out", "test2")
    assert all(r.road_from_body.rotation[0, 2] == 0 for r in read_recordings(split).values())
    with pytest.raises(InputError, match="this data set is for test, not for training"):
        read_split(tmp_path / "out", "train")


def test_flights_and_credit_are_told(tmp_path, raw, imagery):
    report = build_dataset(raw, [imagery], tmp_path / "out", RULES)
    years = (date(2011, 9, 26) - date(2019, 7, 1)).days / 365.25
    assert report.drives[0].years_since_flight == (years, years)
    assert "flights: 7.8 years after the drives" in report.lines
    assert "imagery: LGL, dl-de/by-2-0" in report.lines
    assert "test queries within 50 m of a training query: 100.0%" in report.lines  # the drives are the same


def test_real_drives_on_real_imagery(tmp_path):
    """The published tiles of drive 0002, cut from an image in the published projection, are that image."""
    georef = json.loads(shared("overhead", "georef.json").read_text())["2011_09_26_drive_0002"]
    pixels = read_image(shared("overhead", "2011_09_26_drive_0002.png"))
    m_per_px = 2 * np.pi * 6378137 / 256 / 2**19
    west, north = (m_per_px * v for v in _mercator_px(*georef["north_west"]))
    write_geotiff(tmp_path / "0002.tif", pixels, "EPSG:3857", west, north, m_per_px)
    lists = shared("kitti_cvl", "test2_files_with_sat_GPS.txt").parent
    out = tmp_path / "out"
    report = build_dataset(
        shared("kitti", "raw_data"), [tmp_path / "0002.tif"], out, DatasetConfig(tile_m=100.0), lists=lists
    )
    counts = report.splits["test2"]
    assert (counts.queries, counts.tiles, counts.queries_left_out, counts.tiles_left_out) == (29, 5, 106, 7)
    assert report.distractors == 31
    assert sum(report.absent.values()) == 28740 - 29 - 106
    assert "outside the imagery: 2011_09_26/2011_09_26_drive_0005_sync" in report.lines
    split = read_split(out, "test2")
    named = {q.tile_latlon for q in read_split_list(lists / "test2_files_with_sat_GPS.txt") if "_0002_" in q.recording}
    assert {tuple(t.path.stem.split("_")) for t in split.tiles.values() if t.holds_query} == named
    for tile in split.tiles.values():
        cut = open_tile(tile)
        assert cut.shape == (512, 512)
        x, y = _mercator_px(*tile.center.degrees)
        corner = np.array([x - west / m_per_px, north / m_per_px - y]) - 256
        left, top = np.round(corner).astype(int)
        same = pixels[top : top + 512, left : left + 512].astype(int)
        assert np.abs(cut.pixels.astype(int) - same).mean() < 12  # they are apart by half a pixel at most
        wrong = pixels[top + 5 : top + 517, left : left + 512].astype(int)
        assert np.abs(cut.pixels.astype(int) - wrong).mean() > np.abs(cut.pixels.astype(int) - same).mean() * 1.5


def _mercator_px(latitude_deg, longitude_deg):
    """East and north in pixels of zoom 18, scale 2."""
    per_radian = 256 * 2**19 / (2 * np.pi)
    north = np.log(np.tan(np.pi / 4 + np.radians(latitude_deg) / 2))
    return per_radian * np.radians(longitude_deg), per_radian * north
