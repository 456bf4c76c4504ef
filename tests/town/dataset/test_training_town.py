"""A town for training: the pictures of any town, and nothing that training does not read."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from cvlnet.data.kitti_cvl import read_recordings, read_split
from cvlnet.data.label_maps import read_label_map
from cvlnet.town.dataset.training_town import draw_town, is_drawn
from cvlnet.town.presets import TownConfig, TrainingTown

TOWN = TrainingTown(
    TownConfig(7, 220.0, drives=3, frames_per_drive=12, frame_width_px=621, cameras=(2,)), first_query=10, labels=True
)  # as the shared fixture has it, with one camera


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn") / "town"
    draw_town(TOWN, out)
    return out


def test_pictures_and_tiles_are_those_of_the_whole_data_set(drawn: Path, tiny_town: Path) -> None:
    frames = [path.relative_to(drawn) for path in drawn.rglob("image_02/data/*.png")]
    assert len(frames) == 3 * 12
    for path in frames:
        np.testing.assert_array_equal(cv2.imread(str(drawn / path)), cv2.imread(str(tiny_town / path)))
    whole = cv2.imread(str(next(tiny_town.glob("overhead/*.tif"))))
    tiles = list(drawn.glob("satmap/train_10mgap/*/*/*.png"))
    assert len(tiles) == 3
    for path in tiles:
        tile = np.asarray(cv2.imread(str(path)))
        at = cv2.matchTemplate(whole, tile, cv2.TM_SQDIFF)
        _, _, (col, row), _ = cv2.minMaxLoc(at)
        np.testing.assert_array_equal(whole[row : row + tile.shape[0], col : col + tile.shape[1]], tile)


def test_all_drives_are_for_training(drawn: Path) -> None:
    split = read_split(drawn, "train")
    assert not split.left_out
    assert len(split.queries) == TOWN.clips == 3 * 2
    assert {query.frame for query in split.queries} == {10, 11}
    recordings = read_recordings(split)
    assert len(recordings) == 3
    assert read_label_map(drawn, split.queries[0].date) is not None


def test_nothing_is_drawn_that_training_does_not_read(drawn: Path) -> None:
    names = {path.name for path in drawn.iterdir()}
    assert names == {"dataset.json", "labels", "raw_data", "satmap", "train_files_with_sat_GPS.txt"}
    assert [path.name for path in (drawn / "satmap").iterdir()] == ["train_10mgap"]
    assert not list(drawn.rglob("image_03/data/*.png"))


def test_a_whole_town_is_kept_and_any_other_is_drawn_anew(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def write(town: TrainingTown, out: Path) -> None:
        written.append(town)
        out.mkdir()

    monkeypatch.setattr("cvlnet.town.dataset.training_town._write", write)
    draw_town(TOWN, drawn)
    assert written == []
    other = replace(TOWN, first_query=9)
    assert is_drawn(TOWN, drawn)
    assert not is_drawn(other, drawn)
    copy = drawn.with_name("copy")
    copy.mkdir()
    (copy / "dataset.json").write_text(json.dumps(json.loads((drawn / "dataset.json").read_text())))
    draw_town(other, copy)
    assert written == [other]
    assert list(copy.iterdir()) == []


def test_a_town_without_labels_is_another_one() -> None:
    assert replace(TOWN, labels=False) != TOWN
    assert TOWN.clips == 6
    assert replace(TOWN, config=replace(TOWN.config, frame_step=5)).clips == 3  # frame 10 of 0, 5, 10
