"""An index beside all products, computed by NumPy; changes seen by readers; damage found."""

import json
import os
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from cvlnet.errors import InputError
from cvlnet.index import manifest, place_index
from cvlnet.index.area import Circle, Outline
from cvlnet.index.manifest import About, Lattice, Manifest
from cvlnet.index.place_index import PlaceIndex, change_index, create_index, verify_index
from cvlnet.index.segment import Codec, Segment

DIMS = 12
LATTICE = Lattice((-3.0, 5.0), 10.0)
ABOUT = About("map", "descriptor", LATTICE, Codec(DIMS, "float16"))


def segment(first, seed, rows=12, cols=15):
    """Four places of five have descriptors, which half precision holds exactly."""
    rng = np.random.default_rng(seed)
    held = rng.random((rows, cols)) < 0.8
    descriptors = rng.standard_normal((int(held.sum()), DIMS)).astype(np.float16).astype(np.float32)
    return Segment(first, held, descriptors)


WEST, EAST = segment((-4, -15), 1), segment((-4, 0), 2)
QUERIES = np.random.default_rng(9).standard_normal((3, DIMS)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    create_index(tmp_path / "index", ABOUT)
    change_index(tmp_path / "index", put=[("west", WEST), ("east", EAST)])
    return tmp_path / "index"


def exhaustive(segments, queries, most, inside=lambda xy_m: np.ones(len(xy_m), bool)):
    """Rows, columns and products of the best places, by all products."""
    row_col = np.concatenate([np.argwhere(part.held) + part.first for part in segments])
    products = (np.concatenate([part.descriptors for part in segments]) @ queries.T).max(axis=1)
    xy_m = np.stack([-3.0 + 10.0 * row_col[:, 1], 5.0 - 10.0 * row_col[:, 0]], axis=1)
    wanted = np.flatnonzero(inside(xy_m))
    best = wanted[(-products[wanted]).argsort()[:most]]
    return row_col[best].tolist(), products[best]


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_the_best_places_of_all_segments_are_found_each_once(folder, most):
    found = PlaceIndex(folder).search(QUERIES, most)
    places, products = exhaustive([WEST, EAST], QUERIES, most)
    assert found.row_col.tolist() == places
    np.testing.assert_allclose(found.products, products, atol=1e-5)


def test_with_a_first_pass_the_queries_choose_among_the_best_of_their_mean(folder):
    row_col = np.concatenate([np.argwhere(part.held) + part.first for part in (WEST, EAST)])
    descriptors = np.concatenate([WEST.descriptors, EAST.descriptors])
    first = (-(descriptors @ QUERIES.mean(axis=0))).argsort()[:40]
    products = (descriptors[first] @ QUERIES.T).max(axis=1)
    best = first[(-products).argsort()[:5]]
    found = PlaceIndex(folder).search(QUERIES, 5, first=40)
    assert found.row_col.tolist() == row_col[best].tolist()
    np.testing.assert_allclose(found.products, np.sort(products)[::-1][:5], atol=1e-5)


def test_a_first_pass_over_everything_changes_nothing(folder):
    index = PlaceIndex(folder)
    assert index.search(QUERIES, 7, first=10**6).row_col.tolist() == index.search(QUERIES, 7).row_col.tolist()


def test_int8_finds_the_best_place(tmp_path):
    create_index(tmp_path, About("map", "descriptor", LATTICE, Codec(DIMS, "int8", 5.0)))
    change_index(tmp_path, put=[("west", WEST), ("east", EAST)])
    found, (places, products) = PlaceIndex(tmp_path).search(QUERIES, 3), exhaustive([WEST, EAST], QUERIES, 3)
    assert found.row_col.tolist() == places
    np.testing.assert_allclose(found.products, products, atol=0.15)


@pytest.mark.parametrize(
    ("area", "inside"),
    [
        (Circle((0.0, 0.0), 35.0), lambda xy_m: np.hypot(*xy_m.T) <= 35.0),
        (Circle((-100.0, 20.0), 30.0), lambda xy_m: np.hypot(*(xy_m - [-100.0, 20.0]).T) <= 30.0),  # in one segment
        (Outline.box(-50.0, -30.0, 60.0, 25.0), lambda xy_m: ((xy_m >= [-50, -30]) & (xy_m <= [60, 25])).all(axis=1)),
        (Outline.box(-1e4, -1e4, 1e4, 1e4), lambda xy_m: np.ones(len(xy_m), bool)),
        (Outline.box(500.0, 500.0, 600.0, 600.0), lambda xy_m: np.zeros(len(xy_m), bool)),
    ],
)
def test_in_an_area_only_its_places_count(folder, area, inside):
    places, products = exhaustive([WEST, EAST], QUERIES, 9, inside)
    for index in (PlaceIndex(folder), PlaceIndex(folder, within=area)):
        found = index.search(QUERIES, 9, within=area)
        assert found.row_col.tolist() == places
        np.testing.assert_allclose(found.products, products, atol=1e-5)


def test_only_the_segments_of_an_area_are_opened(folder):
    assert [entry.name for entry in PlaceIndex(folder, within=Circle((-100.0, 0.0), 30.0)).entries] == ["west"]
    assert len(PlaceIndex(folder, within=Circle((0.0, 0.0), 30.0)).entries) == 2
    assert len(PlaceIndex(folder, within=Circle((900.0, 0.0), 30.0))) == 0


def test_a_part_of_an_index_is_searched_alone(folder):
    """East of the western segment's last column at -13 m, the eastern one begins at -3 m."""
    whole = PlaceIndex(folder)
    east = whole.only({"east", "none"})
    places, _ = exhaustive([EAST], QUERIES, 9)
    assert east.search(QUERIES, 9).row_col.tolist() == places
    assert [entry.name for entry in whole.entries] == ["east", "west"]
    between, west = Circle((-8.0, 0.0), 4.0), Circle((-9.0, 0.0), 5.0)
    assert [index.reaches(between) for index in (whole, east, whole.only({"west"}))] == [False] * 3
    assert [index.reaches(west) for index in (whole, east, whole.only({"west"}))] == [True, False, True]
    assert not east.reaches(Circle((0.0, 900.0), 30.0))
    assert not whole.only(set()).reaches(west)


def test_a_lattice_runs_south_and_east():
    assert LATTICE.xy_m(np.array([[0, 0], [2, 1]])).tolist() == [[-3.0, 5.0], [7.0, -15.0]]


def test_who_has_opened_an_index_keeps_it_and_who_opens_it_again_has_the_new_one(folder):
    before, other = PlaceIndex(folder), segment((-4, -15), 3, rows=5)
    change_index(folder, put=[("west", other)], remove=["east"])
    assert before.search(QUERIES, 5).row_col.tolist() == exhaustive([WEST, EAST], QUERIES, 5)[0]
    assert PlaceIndex(folder).search(QUERIES, 5).row_col.tolist() == exhaustive([other], QUERIES, 5)[0]
    assert len(list(folder.glob("*.faiss"))) == 1
    assert len(before) == len(WEST.descriptors) + len(EAST.descriptors)


def test_a_change_that_fails_leaves_the_index_as_it_was(folder):
    def some():
        yield "west", segment((-4, -15), 3)
        assert len(PlaceIndex(folder)) == len(WEST.descriptors) + len(EAST.descriptors)  # while it is being changed
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        change_index(folder, put=some(), remove=["east"])
    assert PlaceIndex(folder).search(QUERIES, 5).row_col.tolist() == exhaustive([WEST, EAST], QUERIES, 5)[0]
    verify_index(folder)
    assert len(list(folder.glob("*.faiss"))) == 3  # the next change removes what this one left
    change_index(folder)
    assert len(list(folder.glob("*.faiss"))) == 2


def test_a_change_between_the_manifest_and_its_files_is_no_fault(folder, monkeypatch):
    """The reader has the old manifest when the old file vanishes: it reads both anew."""
    other, opened = segment((-4, -15), 3), place_index.SegmentFile

    def late(path, codec, count):
        monkeypatch.setattr(place_index, "SegmentFile", opened)
        change_index(folder, put=[("west", other)], remove=["east"])
        return opened(path, codec, count)

    monkeypatch.setattr(place_index, "SegmentFile", late)
    assert PlaceIndex(folder).search(QUERIES, 5).row_col.tolist() == exhaustive([other], QUERIES, 5)[0]


def test_one_change_at_a_time(folder, monkeypatch):
    monkeypatch.setattr(manifest, "_BUSY_S", 0.01)
    line = "another process is changing the index; wait until it has finished"
    with Manifest.changing(folder), pytest.raises(InputError, match=line):
        change_index(folder, remove=["west"])
    change_index(folder, remove=["west"])
    assert [entry.name for entry in PlaceIndex(folder).entries] == ["east"]


def test_no_place_is_in_two_segments(folder):
    beside = segment((-4, 15), 4)
    change_index(folder, put=[("beside", beside)])
    overlapping = Segment((7, -1), np.ones((1, 2), bool), np.ones((2, DIMS), np.float32))
    with pytest.raises(InputError, match=r"segment (east|west) holds places of segment corner; remove it"):
        change_index(folder, put=[("corner", overlapping)])
    change_index(folder, put=[("corner", overlapping)], remove=["east", "west"])
    assert [entry.name for entry in PlaceIndex(folder).entries] == ["beside", "corner"]


def test_segments_may_interlock(folder):
    gaps = Segment(EAST.first, ~EAST.held, np.ones((int((~EAST.held).sum()), DIMS), np.float32))
    change_index(folder, put=[("gaps", gaps)])
    assert len(PlaceIndex(folder)) == len(WEST.descriptors) + EAST.held.size


def test_an_index_can_be_read_where_nothing_can_be_written(folder, monkeypatch):
    with closing(sqlite3.connect(folder / manifest.FILE)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for path in folder.glob("*-*"):
        path.unlink()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert len(PlaceIndex(folder)) == len(WEST.descriptors) + len(EAST.descriptors)
    assert list(folder.glob("*-*")) == []


def test_an_index_is_of_one_map_and_one_descriptor(folder):
    index = PlaceIndex(folder)
    index.require(map_fingerprint="map", descriptor_fingerprint="descriptor")
    with pytest.raises(InputError, match="the index is of another map; build it again"):
        index.require(map_fingerprint="other", descriptor_fingerprint="descriptor")
    with pytest.raises(InputError, match="the index is of another descriptor"):
        index.require(map_fingerprint="map", descriptor_fingerprint="other")


@pytest.mark.parametrize("queries", [np.zeros((1, DIMS + 1)), np.full((1, DIMS), np.nan)])
def test_queries_that_are_none_are_refused(folder, queries):
    with pytest.raises(ValueError, match="finite numbers each"):
        PlaceIndex(folder).search(queries.astype(np.float32), 3)


def test_where_there_is_an_index_none_is_created_and_where_there_is_none_none_is_opened(folder, tmp_path):
    with pytest.raises(InputError, match="there is an index already"):
        create_index(folder, ABOUT)
    with pytest.raises(InputError, match="there is no index; build one, or name its folder"):
        PlaceIndex(tmp_path / "elsewhere")


def test_every_flipped_byte_of_a_segment_is_found(folder):
    verify_index(folder)
    path = sorted(folder.glob("*.faiss"))[0]
    content = path.read_bytes()
    for position in range(0, len(content), 97):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with pytest.raises(InputError, match="missing, or its contents do not have their checksum; restore the index"):
            verify_index(folder)
    path.unlink()
    with pytest.raises(InputError, match="missing"):
        verify_index(folder)
    with pytest.raises(InputError, match="No such file"):
        PlaceIndex(folder)


def test_every_flipped_byte_of_the_manifest_is_found_or_without_effect(folder):
    with closing(sqlite3.connect(folder / manifest.FILE)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = folder / manifest.FILE
    content, refused = path.read_bytes(), 0
    expected = PlaceIndex(folder).search(QUERIES, 5).row_col.tolist()
    for position in range(0, len(content), 241):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :])
        try:
            verify_index(folder)
            assert PlaceIndex(folder).search(QUERIES, 5).row_col.tolist() == expected
        except InputError:
            refused += 1
    assert refused > 5


def altered(folder, statement, *values):
    """What a stranger may have written into the manifest; rows get the checksum that they then need."""
    with closing(sqlite3.connect(folder / manifest.FILE)) as connection, connection:
        connection.execute(statement, values)
        for key, *row in connection.execute(f"SELECT id, {manifest._COLUMNS} FROM segments").fetchall():
            digest = manifest._checksum(tuple(row))
            connection.execute("UPDATE segments SET checksum = ? WHERE id = ?", (digest, key))


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE segments SET file = '../secret.faiss' WHERE name = 'west'", "not a name"),
        ("UPDATE segments SET file = '/etc/passwd' WHERE name = 'west'", "not a name"),
        ("UPDATE segments SET name = 'a' || char(10) || 'b' WHERE name = 'west'", "not a name"),
        ("UPDATE segments SET sha256 = 'abc'", "not a name"),
        ("UPDATE segments SET rows = 1000000000, cols = 1000000000", "places in one segment"),
        ("UPDATE segments SET rows = -12", "places in one segment"),
        ("UPDATE segments SET rows = 13", "a mask of 23 bytes for 13 x 15 places"),
        ("UPDATE segments SET rows = 'many'", "is no sound manifest"),
        ("UPDATE segments SET held = 'text of 23 characters..'", "is no sound manifest"),
        ("UPDATE segments SET held = zeroblob(23)", "a segment without places"),
        ("UPDATE segments SET first_row = 1e300", "is no sound manifest"),
        ("UPDATE segments SET first_row = 9000000000", "no place of a lattice"),
        ("UPDATE about SET json = '{}'", "its description does not have its checksum"),
        ("DELETE FROM about", "is no sound manifest"),
        ("DROP TABLE about", "its tables are not those of an index"),
        ("DROP TABLE extents", "its tables are not those of an index"),
        ("CREATE TRIGGER t AFTER DELETE ON segments BEGIN SELECT 1; END", "its tables are not those of an index"),
        ("CREATE VIEW v AS SELECT 1", "its tables are not those of an index"),
        ("ALTER TABLE about ADD COLUMN more", "its tables are not those of an index"),
    ],
)
def test_a_manifest_that_is_not_ours_is_one_line(folder, statement, message):
    altered(folder, statement)
    with pytest.raises(InputError, match=message):
        PlaceIndex(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2, not 1"),
        ({"codec": {"dims": 10**9, "storage": "float16", "largest": 1.0}}, "1 to 4096 dimensions"),
        ({"codec": {"dims": 8, "storage": "pickle", "largest": 1.0}}, "is no sound manifest"),
        ({"codec": {"dims": 8, "storage": "float16", "largest": 1.0, "more": 1}}, "is no sound manifest"),
        ({"lattice": {"first_xy_m": [0.0], "spacing_m": 9.6}}, "is no sound manifest"),
        ({"lattice": {"first_xy_m": [0.0, 0.0], "spacing_m": float("nan")}}, "no lattice"),
        ({"lattice": None}, "is no sound manifest"),
    ],
)
def test_a_description_that_is_none_is_one_line(folder, change, message):
    with closing(sqlite3.connect(folder / manifest.FILE)) as connection, connection:
        ((text,),) = connection.execute("SELECT json FROM about").fetchall()
        text = json.dumps(json.loads(text) | change)
        connection.execute("UPDATE about SET json = ?, checksum = ?", (text, manifest._checksum(text)))
    with pytest.raises(InputError, match=message):
        PlaceIndex(folder)


def test_a_row_without_its_checksum_is_refused(folder):
    with closing(sqlite3.connect(folder / manifest.FILE)) as connection, connection:
        connection.execute("UPDATE segments SET first_row = first_row + 1 WHERE name = 'east'")
    with pytest.raises(InputError, match=r"the row of segment .east. does not have its checksum"):
        PlaceIndex(folder)


@pytest.mark.parametrize("statement", ["UPDATE extents SET east_m = east_m + 100", "DELETE FROM extents"])
def test_a_tree_that_is_not_that_of_the_segments_is_found(folder, statement):
    with closing(sqlite3.connect(folder / manifest.FILE)) as connection, connection:
        connection.execute(statement)
    with pytest.raises(InputError, match=r"the rectangle of segment east is not where its places are"):
        verify_index(folder)


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(100)])
def test_what_is_no_database_is_one_line(folder, content):
    for path in folder.glob("*-*"):
        path.unlink()
    (folder / manifest.FILE).write_bytes(content)
    with pytest.raises(InputError, match=r"manifest.sqlite: (is no sound manifest|cannot be used)"):
        PlaceIndex(folder)
