"""Label maps on disk: read with their place, cut to shares."""

import json
from math import pi

import cv2
import numpy as np
import pytest

from cvlnet.data.label_maps import label_shares, read_label_map
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.grid import Grid
from cvlnet.imagery.crop import turn_of_world
from cvlnet.labels import LABELS, Label

DATE = "2011_09_26"
CENTER = LatLon(48.0, 7.5)


def write_map(root, bits):
    folder = root / "labels"
    folder.mkdir()
    cv2.imwrite(str(folder / f"{DATE}.png"), bits)
    about = {"center": CENTER.degrees, "m_per_px": 0.5}
    (folder / f"{DATE}.json").write_text(json.dumps(about))


@pytest.fixture
def bits():
    """Road in the northern half, a tree over the two eastern columns; 0.5 m per pixel."""
    drawn = np.zeros((8, 8), np.uint8)
    drawn[:4] |= Label.ROAD.bit
    drawn[:, 6:] |= Label.TREE.bit
    return drawn


def test_shares_by_hand(tmp_path, bits):
    write_map(tmp_path, bits)
    labels = read_label_map(tmp_path, DATE)
    shares = label_shares(labels, CENTER, Grid(2, 2, 2.0))
    assert shares.shape == (LABELS, 2, 2)
    assert shares[Label.ROAD].tolist() == [[255, 255], [0, 0]]
    assert shares[Label.TREE, :, 0].tolist() == [0, 0]
    assert shares[Label.TREE, :, 1].tolist() == pytest.approx([128, 128], abs=1)
    assert int(shares[Label.HEDGE].max()) == 0


def test_a_turned_world(tmp_path, bits):
    """Turned counter-clockwise by a quarter, what was in the north is in the west."""
    write_map(tmp_path, bits)
    shares = label_shares(read_label_map(tmp_path, DATE), CENTER, Grid(2, 2, 2.0), turn_of_world(pi / 2))
    assert (shares[Label.ROAD, :, 0] > 250).all()
    assert (shares[Label.ROAD, :, 1] < 5).all()


def test_a_data_set_without_labels(tmp_path):
    assert read_label_map(tmp_path, DATE) is None


def test_a_damaged_map_is_told(tmp_path, bits):
    write_map(tmp_path, bits)
    path = tmp_path / "labels" / f"{DATE}.png"
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(InputError, match="cut short"):
        read_label_map(tmp_path, DATE)


def test_a_map_without_extent_is_told(tmp_path, bits):
    write_map(tmp_path, bits)
    path = tmp_path / "labels" / f"{DATE}.json"
    path.write_text(path.read_text().replace("0.5}", "0.0}"))
    with pytest.raises(InputError, match="m_per_px 0 is not positive"):
        read_label_map(tmp_path, DATE)
