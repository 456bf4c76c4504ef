from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from kitti_tree import shared

from cvlnet.config import DatasetConfig
from cvlnet.data.kitti_cvl import ListedFrame, read_split_list
from cvlnet.dataset import plan as planning
from cvlnet.dataset.plan import Track, choose_test_drives, plan_by_lists, plan_by_rules, tile_of, tile_px
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame

PLACE = LatLon(49.0, 8.4)
RULES = DatasetConfig(first_query=2, test_drives=("b",))


def track(name, start_m, ahead_m=(0.0, 1.0), count=25):
    """A drive straight ahead, a metre a frame, from a place to the east and north of PLACE."""
    xy_m = np.array(start_m) + np.arange(count)[:, None] * np.array(ahead_m)
    return Track(f"day/{name}", np.arange(count), LocalFrame(PLACE).latlon_deg(xy_m))


def listed(name, frame, latitude, longitude):
    return ListedFrame(f"day/{name}", frame, (latitude, longitude), LatLon(float(latitude), float(longitude)))


def test_a_drive_is_for_training_or_for_tests_and_every_query_has_its_nearest_tile():
    tracks = [track("a", (0, 0)), track("b", (500, 0), (1.0, 0.4)), track("short", (0, 900), count=2)]
    plan = plan_by_rules(tracks, RULES)
    assert {split: {q.recording for q in queries} for split, queries in plan.queries.items()} == {
        "train": {"day/a"},
        "test1": {"day/b"},
        "test2": {"day/b"},
    }
    assert plan.test_drives == {"day/b"}
    assert list(plan.tracks) == ["day/a", "day/b"]
    assert [q.frame for q in plan.queries["train"]] == list(range(2, 25))
    tiles = {tile.id: tile for tile in plan.tiles}
    for query in (*plan.queries["train"], *plan.queries["test2"]):
        position = plan.tracks[query.recording].latlon_deg[query.frame]
        away_m = {i: np.hypot(*LocalFrame(t.center).xy_world_m(position)) for i, t in tiles.items()}
        assert away_m[tile_of(query)] == pytest.approx(min(away_m.values()), abs=0.02)
        assert not tiles[tile_of(query)].is_distractor
    assert [f"{t.center.latitude_deg:.12f}" for t in plan.tiles] == [t.id[1][0] for t in plan.tiles]


def test_a_training_tile_has_the_name_of_each_of_its_frames_and_a_test_tile_that_of_its_place():
    plan = plan_by_rules([track("a", (0, 0)), track("b", (500, 0))], RULES)
    of_a = [tile for tile in plan.tiles if tile.recording == "day/a"]
    folder = Path("satmap/train_10mgap/day/a")
    assert [list(t.paths) for t in of_a] == [
        [folder / f"{frame:010d}.png" for frame in frames] for frames in (range(2, 5), range(5, 15), range(15, 25))
    ]
    of_b = [tile for tile in plan.tiles if tile.recording == "day/b"]
    assert [t.paths for t in of_b] == [(Path("satmap/test/b", f"{'_'.join(t.id[1])}.png"),) for t in of_b]
    assert Counter(t.is_distractor for t in of_b) == {False: 3, True: 1}  # 24 m are covered up to 30 m


def test_lists_are_taken_by_the_letter():
    latitude, longitude = "49.00004500", "8.40"
    splits = {
        "train": [listed("a", 3, latitude, longitude), listed("absent", 3, latitude, longitude)],
        "test1": [listed("a", 4, latitude, longitude)],
        "test2": [listed("b", 9, "49.0", "8.4068")],
    }
    tracks = {f"day/{name}": track(name, start_m) for name, start_m in {"a": (0, 0), "b": (497, 0)}.items()}
    plan = plan_by_lists(tracks, splits, RULES)
    assert [(q.recording, q.frame) for q in plan.queries["train"]] == [("day/a", 3)]
    of_a = next(tile for tile in plan.tiles if tile.recording == "day/a")
    assert of_a.id == ("day/a", (latitude, longitude))
    assert of_a.center == LatLon(49.000045, 8.4)
    train = Path("satmap/train_10mgap/day/a")
    assert of_a.paths == (
        train / "0000000003.png",
        train / "0000000004.png",
        Path("satmap/test/a/49.00004500_8.40.png"),
    )
    assert plan.test_drives == {"day/b"}
    assert {tile.is_distractor for tile in plan.tiles if tile.recording == "day/b"} == {False, True}


def test_the_published_lists_give_the_published_tiles():
    oxts = np.load(shared("kitti_cvl", "oxts.npz"))
    tracks = {f"{n[:10]}/{n}_sync": Track(f"{n[:10]}/{n}_sync", np.arange(len(oxts[n])), oxts[n][:, :2]) for n in oxts}
    splits = {
        name: read_split_list(shared("kitti_cvl", f"{name}_files_with_sat_GPS.txt"))
        for name in ("train", "test1", "test2")
    }
    plan = plan_by_lists(tracks, splits, DatasetConfig())
    tiles = {name: len({tile_of(query) for query in queries}) for name, queries in plan.queries.items()}
    assert tiles == {"train": 2942, "test1": 1482, "test2": 295}
    assert len(plan.test_drives) == 7
    assert Counter(tile.is_distractor for tile in plan.tiles) == {False: 3251, True: 3528}
    # training opens a file for every query of the first two lists; distractors continue the lattice of the queries
    assert sum("train_10mgap" in path.parts for tile in plan.tiles for path in tile.paths) >= 23905
    drive = [tile for tile in plan.tiles if "_0015_" in tile.recording]
    latitudes = np.unique(np.round([tile.center.latitude_deg for tile in drive], 9))
    assert np.ptp(np.diff(latitudes)) < 3e-9


def test_drives_for_tests_are_named_or_drawn():
    names = [f"day/{letter}" for letter in "abcdefghij"]
    assert choose_test_drives(names, DatasetConfig(test_drives=("b", "day/d"))) == {"day/b", "day/d"}
    with pytest.raises(InputError, match="several dates have a drive b: day/b, night/b; name those that are meant"):
        choose_test_drives([*names, "night/b"], DatasetConfig(test_drives=("b",)))
    drawn = choose_test_drives(names, DatasetConfig(test_share=0.3))
    assert len(drawn) == 3
    assert drawn == choose_test_drives(names[::-1], DatasetConfig(test_share=0.3))
    assert len({choose_test_drives(names, DatasetConfig(test_share=0.3, seed=seed)) for seed in range(5)}) > 1
    assert len(choose_test_drives(names[:2], DatasetConfig(test_share=0.01))) == 1
    assert len(choose_test_drives(names[:2], DatasetConfig(test_share=0.99))) == 1
    assert choose_test_drives(names[:1], DatasetConfig()) == {"day/a"}


def test_what_cannot_be_planned_is_one_line(monkeypatch):
    tracks = [track("drive_0001", (0, 0)), track("drive_0002", (0, 0))]
    with pytest.raises(
        InputError, match=r"--test-drives: no drive with a query is named drive_001 \(did you mean driv"
    ):
        plan_by_rules(tracks, DatasetConfig(first_query=2, test_drives=("drive_001",)))
    with pytest.raises(InputError, match=r"--drives: no drive has a query: a frame from number 48 on, after 0.1958 m"):
        plan_by_rules(tracks, DatasetConfig())
    with pytest.raises(InputError, match="--drives: has none of the drives that the lists name"):
        plan_by_lists({}, {"train": [listed("a", 3, "49.0", "8.4")]}, DatasetConfig())
    swapped = {"train": [listed("a", 3, "8.4", "49.0")]}
    with pytest.raises(InputError, match=r"frame 3 of day/a was taken [0-9]{7} m from the tile of its line; check"):
        plan_by_lists({"day/a": track("a", (0, 0))}, swapped, DatasetConfig())
    monkeypatch.setattr(planning, "MOST_TILES", 100)
    wide = [track("a", (0, 0)), track("b", (0, 0), (4.0, 4.0))]
    with pytest.raises(
        InputError, match=r"day/b: the rectangle around the way has 121 tiles, more than 100; .* --distractors-m 100"
    ):
        plan_by_rules(wide, RULES)
    near = DatasetConfig(first_query=2, test_drives=("b",), distractors_m=8.0)
    assert len(plan_by_rules(wide, near).tiles) < 50
    monkeypatch.setattr(planning, "MOST_PLACES", 100)
    with pytest.raises(InputError, match=r"day/b: the rectangle .* has 121 tiles, more than 100; divide the drive"):
        plan_by_rules(wide, near)
    monkeypatch.setattr(planning, "MOST_PLACES", 1000)
    monkeypatch.setattr(planning, "MOST_TILES", 10)
    with pytest.raises(InputError, match=r"--drives: [0-9]+ tiles are too many for one data set; it has 10 at most"):
        plan_by_rules(wide, near)


@pytest.mark.parametrize(
    ("latitudes_deg", "tile_m", "expected"),
    [((49.0, 48.0), 200.0, 1024), ((0.0,), 200.0, 704), ((0.0, -60.0), 200.0, 1344), ((49.0,), 20.0, 512)],
)
def test_tiles_are_wide_enough_at_every_latitude(latitudes_deg, tile_m, expected):
    assert tile_px(latitudes_deg, DatasetConfig(tile_m=tile_m), 0.29858) == expected
