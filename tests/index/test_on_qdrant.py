"""Qdrant's engine beside all products, computed by NumPy."""

import json
import shutil

import numpy as np
import pytest

from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.index.area import Circle
from cvlnet.index.manifest import About, Lattice
from cvlnet.index.on_qdrant import PLACE, REGION, QdrantIndex, points_of, write_qdrant_index
from cvlnet.index.segment import Codec, Segment

ANCHOR = LatLon(49.0, 8.4)
DIMS = 12


def about(storage="float16"):
    return About("map", "descriptor", Lattice((-3.0, 5.0), 9.6), Codec(DIMS, storage))


def segment(first, seed, rows=30, cols=40):
    """Four places of five have descriptors, which half precision holds exactly."""
    rng = np.random.default_rng(seed)
    held = rng.random((rows, cols)) < 0.8
    descriptors = rng.standard_normal((int(held.sum()), DIMS)).astype(np.float16).astype(np.float32)
    return Segment(first, held, descriptors)


SEGMENTS = {"west": segment((-15, -40), 1), "east": segment((-15, 0), 2)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("qdrant") / "index"
    write_qdrant_index(path, about(), ANCHOR, SEGMENTS.items())
    return path


@pytest.fixture
def index(folder):
    opened = QdrantIndex(folder)
    yield opened
    opened.close()


def brute_force(queries, most, within=None):
    """Rows and columns and products of the best places, by all products in double precision."""
    row_col = np.concatenate([np.argwhere(each.held) + each.first for each in SEGMENTS.values()])
    descriptors = np.concatenate([each.descriptors for each in SEGMENTS.values()]).astype(float)
    products = (descriptors @ queries.astype(np.float16).astype(float).T).max(axis=1)
    if within is not None:
        xy_m = np.array([-3.0, 5.0]) + row_col[:, ::-1] * [9.6, -9.6]
        near = np.linalg.norm(xy_m - within.center_xy_m, axis=1) <= within.radius_m
        row_col, products = row_col[near], products[near]
    best = np.argsort(-products)[:most]
    return row_col[best], products[best]


QUERIES = np.random.default_rng(7).standard_normal((3, DIMS)).astype(np.float32)
CIRCLES = (None, Circle((0.0, 0.0), 60.0), Circle((-200.0, 90.0), 150.0), Circle((57.0, 0.0), 9.0))


@pytest.mark.parametrize("within", CIRCLES)
@pytest.mark.parametrize("most", [1, 10, 100])
def test_the_best_places_are_those_of_all_products(index, within, most):
    assert len(index) == sum(len(each.descriptors) for each in SEGMENTS.values())
    for queries in (QUERIES[:1], QUERIES):
        row_col, products = brute_force(queries, most, within)
        found = index.search(queries, most, within=within)
        assert len(found.row_col) == len(row_col) > 0
        assert np.array_equal(found.row_col, row_col)
        np.testing.assert_allclose(found.products, products, rtol=1e-5)


@pytest.mark.parametrize(
    ("anchor", "spacing_m", "held", "within"),
    [
        # at the equator a sphere's distances to the north are 0.6 % too long: of these places, 10 m at the last one
        (LatLon(0.0, 8.4), 9.6, np.ones((200, 2), bool), Circle((0.0, 0.0), 190 * 9.6 + 0.1)),
        # of a small circle many places lie beyond its edge, within the metre that is added
        (ANCHOR, 0.1, np.ones((60, 60), bool), Circle((2.0, -2.0), 2.003)),
    ],
)
def test_circles_are_those_of_the_map_not_of_a_sphere(tmp_path, anchor, spacing_m, held, within):
    descriptors = np.random.default_rng(3).standard_normal((held.size, DIMS)).astype(np.float32)
    of_these = About("map", "descriptor", Lattice((0.0, 0.0), spacing_m), Codec(DIMS, "float16"))
    write_qdrant_index(tmp_path / "index", of_these, anchor, [("a", Segment((0, 0), held, descriptors))])
    index = QdrantIndex(tmp_path / "index")
    row_col = np.argwhere(held)
    inside = np.linalg.norm(row_col[:, ::-1] * [spacing_m, -spacing_m] - within.center_xy_m, axis=1) <= within.radius_m
    for most in (30, 5000):
        found = index.search(QUERIES[:1], most, within=within)
        assert len(found.row_col) == min(most, int(inside.sum()))
        assert {tuple(place) for place in found.row_col} <= {tuple(place) for place in row_col[inside]}
    index.close()


def test_nothing_is_found_where_nothing_is(index):
    found = index.search(QUERIES, 5, within=Circle((5000.0, 0.0), 100.0))
    assert found.row_col.shape == (0, 2)
    assert found.products.shape == (0,)


def test_places_lie_where_the_map_has_them():
    (points,) = points_of(about(), ANCHOR, "west", segment((2**20, -3), 5, rows=2, cols=3))
    rows, cols = np.divmod(np.array(points.ids), 2**32) - np.array([[2**31], [2**31]])
    assert set(rows) <= {2**20, 2**20 + 1}
    assert set(cols) <= {-3, -2, -1}
    assert {payload[REGION] for payload in points.payloads} == {"west"}
    for row, col, payload in zip(rows, cols, points.payloads, strict=True):
        xy_m = LocalFrame(ANCHOR).xy_world_m([payload[PLACE]["lat"], payload[PLACE]["lon"]])
        np.testing.assert_allclose(xy_m, [-3.0 + 9.6 * col, 5.0 - 9.6 * row], atol=1e-3 if row < 9 else 1.0, rtol=1e-6)


def test_batches_hold_all_places():
    many = segment((0, 0), 3, rows=60, cols=60)
    parts = list(points_of(about(), ANCHOR, "a", many))
    assert [len(part.ids) for part in parts] == [1000, 1000, len(many.descriptors) - 2000]
    assert np.array_equal(np.concatenate([part.vectors for part in parts]), many.descriptors)
    assert len({each for part in parts for each in part.ids}) == len(many.descriptors)


def test_int8_is_close_and_exact_searches_do_not_use_it(tmp_path):
    write_qdrant_index(tmp_path / "index", about("int8"), ANCHOR, SEGMENTS.items(), graph=True)
    index = QdrantIndex(tmp_path / "index")
    row_col, products = brute_force(QUERIES[:1], 10)
    exact = index.search(QUERIES[:1], 10)
    assert np.array_equal(exact.row_col, row_col)
    np.testing.assert_allclose(exact.products, products, rtol=1e-5)
    close = index.search(QUERIES[:1], 10, exact=False)
    assert len({tuple(each) for each in close.row_col} & {tuple(each) for each in row_col}) >= 8
    index.close()


def test_files_are_as_they_were_after_a_search_and_have_their_checksums(folder, index):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    index.search(QUERIES, 5)
    index.verify()
    index.close()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_place_that_is_held_twice_is_refused(tmp_path):
    twice = {"a": segment((0, 0), 1, rows=4, cols=4), "b": segment((3, 0), 1, rows=4, cols=4)}
    with pytest.raises(InputError, match=r"index: segments hold [1-4] places twice; leave one of them out"):
        write_qdrant_index(tmp_path / "index", about(), ANCHOR, twice.items())
    assert list(tmp_path.iterdir()) == []


def test_an_index_is_not_written_over(folder):
    with pytest.raises(InputError, match="index: is there already; delete it, or choose another name"):
        write_qdrant_index(folder, about(), ANCHOR, SEGMENTS.items())


def test_of_two_who_write_an_index_at_once_one_is_refused(tmp_path):
    def while_another_one_finishes():
        write_qdrant_index(tmp_path / "index", about(), ANCHOR, SEGMENTS.items())
        yield from SEGMENTS.items()

    with pytest.raises(InputError, match=r"index: cannot be written .*; choose another place"):
        write_qdrant_index(tmp_path / "index", about(), ANCHOR, while_another_one_finishes())
    assert [path.name for path in tmp_path.iterdir()] == ["index"]
    QdrantIndex(tmp_path / "index").close()


def test_a_full_disk_is_one_line_about_the_index_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("cvlnet.index.on_qdrant.qdrant.EdgeShard.create", full)
    with pytest.raises(InputError, match=r"/index: cannot be used \(OSError No space left .*\); free some space"):
        write_qdrant_index(tmp_path / "index", about(), ANCHOR, SEGMENTS.items())
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_half_precision_lacks_are_refused(index):
    for bad in (1e5, np.nan, np.inf):
        with pytest.raises(ValueError, match="finite numbers each"):
            index.search(np.full((1, DIMS), bad, np.float32), 3)
    with pytest.raises(ValueError, match="not of 12 finite"):
        index.search(np.zeros((1, 3), np.float32), 3)
    large = Segment((0, 0), np.ones((1, 1), bool), np.full((1, DIMS), 1e5, np.float32))
    with pytest.raises(ValueError, match="beyond 65504"):
        list(points_of(about(), ANCHOR, "a", large))
    with pytest.raises(ValueError, match="descriptors of 3 numbers"):
        list(points_of(about(), ANCHOR, "a", Segment((0, 0), np.ones((1, 1), bool), np.zeros((1, 3), np.float32))))


def copied(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "index")
    return tmp_path / "index"


def test_every_file_that_is_missing_cut_or_added_is_found_on_opening(folder, tmp_path):
    path = copied(folder, tmp_path)
    for file in [each for each in (path / "shard").rglob("*") if each.is_file()]:
        content = file.read_bytes()
        for damage in (file.unlink, lambda file=file, content=content: file.write_bytes(content + b"x")):
            damage()
            with pytest.raises(InputError, match="is missing, is not whole, or does not belong") as caught:
                QdrantIndex(path)
            assert file.name in str(caught.value)
        file.write_bytes(content)
    QdrantIndex(path).close()
    (path / "shard" / "more").write_bytes(b"")
    with pytest.raises(InputError, match="shard/more: is missing, is not whole, or does not belong"):
        QdrantIndex(path)


def test_a_flipped_bit_is_found_by_its_checksum(folder, tmp_path):
    path = copied(folder, tmp_path)
    file = next(each for each in (path / "shard").rglob("matrix.dat"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    index = QdrantIndex(path)
    with pytest.raises(InputError, match=r"matrix.dat: its contents do not have their checksum; restore the index"):
        index.verify()
    index.close()


@pytest.mark.parametrize("name", ["segment.json", "edge_config.json"])
def test_what_the_engine_refuses_is_one_line(folder, tmp_path, name):
    path = copied(folder, tmp_path)
    file = next(each for each in (path / "shard").rglob(name))
    file.write_bytes(b"\xff" * file.stat().st_size)
    with pytest.raises(InputError, match="cannot be used") as caught:
        QdrantIndex(path)
    assert len(str(caught.value).splitlines()) == 1


class Panic(BaseException):
    """What a panic of the engine is in Python: no Exception."""


@pytest.mark.parametrize(
    ("raised", "expected"), [(Panic("out of\n bounds"), InputError), (KeyboardInterrupt(), KeyboardInterrupt)]
)
def test_a_panic_of_the_engine_is_one_line_and_an_interruption_is_none(index, monkeypatch, raised, expected):
    class Engine:
        def query(self, request):
            raise raised

        def close(self):
            pass

    monkeypatch.setattr(index, "_shard", Engine())
    with pytest.raises(expected, match=r"cannot be used \(Panic out of bounds\)" if expected is InputError else None):
        index.search(QUERIES, 3)


def test_an_index_of_another_map_or_descriptor_is_refused(index):
    index.require(map_fingerprint="map", descriptor_fingerprint="descriptor")
    for map_fingerprint, descriptor_fingerprint in (("x", "descriptor"), ("map", "x")):
        with pytest.raises(InputError, match="the index is of another map, or by another descriptor; build it again"):
            index.require(map_fingerprint=map_fingerprint, descriptor_fingerprint=descriptor_fingerprint)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"lattice": {"first_xy_m": [0.0], "spacing_m": 9.6}},
        {"lattice": {"first_xy_m": [0.0, 0.0], "spacing_m": 0}},
        {"codec": {"dims": 0, "storage": "float16"}},
        {"codec": 5},
        {"anchor": {"latitude_deg": 91.0, "longitude_deg": 0.0}},
        {"files": {"../../x": [1, "0"]}},
        {"files": {"/x": [1, "0"]}},
        {"files": [1]},
        {"files": {"x": [1]}},
    ],
)
def test_a_description_that_cannot_be_is_one_line(folder, tmp_path, change):
    path = copied(folder, tmp_path)
    described = json.loads((path / "index.json").read_text())
    (path / "index.json").write_text(json.dumps(described | change))
    with pytest.raises(InputError, match=r"index.json: describes no index \("):
        QdrantIndex(path)


def test_no_index_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"index.json: the file is missing"):
        QdrantIndex(tmp_path)
