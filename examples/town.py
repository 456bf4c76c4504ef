"""The data that the examples run on: a tiny town in the layout of KITTI-CVL, drawn once into examples/data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from cvlnet.data.kitti_cvl import Query, Split, read_split
from cvlnet.town.dataset.synthesize import synthesize

DATA = Path(__file__).parent / "data"
SEED = 300_001  # of a town for tests: nothing was trained on it


def town() -> Path:
    """The folder of the town; half a minute the first time."""
    folder = DATA / "town"
    synthesize(folder, SEED, "tiny")
    return folder


def test_split() -> Split:
    """Its test queries and all of its tiles."""
    return read_split(town(), "test2")


def drive_of(query: Query) -> Path:
    """The folder of a query's drive."""
    return town() / "raw_data" / query.recording


def map_of(split: Split, query: Query) -> Path:
    """The overhead image around a query as a user would have it: a picture and a .json that places it."""
    tile = split.tiles[query.tile]
    folder = DATA / "map"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(tile.path, folder / "map.png")
    place = {"center": list(tile.center.degrees), "m_per_px": tile.m_per_px}
    (folder / "map.json").write_text(json.dumps(place))
    return folder / "map.png"
