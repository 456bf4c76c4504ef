import faiss
import numpy as np
import pytest

from cvlnet.errors import InputError
from cvlnet.index.segment import Codec, Segment, SegmentFile, sha256_of, write_segment

RNG = np.random.default_rng(0)
CODECS = [Codec(8, "float16"), Codec(8, "int8", 4.0)]


def segment(rows=5, cols=7, dims=8, seed=0):
    rng = np.random.default_rng(seed)
    held = rng.random((rows, cols)) < 0.8
    return Segment((0, 0), held, rng.standard_normal((int(held.sum()), dims)).astype(np.float32))


@pytest.mark.parametrize("codec", CODECS)
def test_the_largest_products_are_found(codec, tmp_path):
    given, query = segment(), RNG.standard_normal(8).astype(np.float32)
    digest = write_segment(tmp_path / "a.faiss", given, codec)
    file = SegmentFile(tmp_path / "a.faiss", codec, len(given.descriptors))
    products, numbers = file.search(query, 5)
    exact = given.descriptors @ query
    assert numbers.tolist() == (-exact).argsort()[:5].tolist()
    step = 0.001 if codec.storage == "float16" else 4.0 / 255
    np.testing.assert_allclose(products, np.sort(exact)[::-1][:5], atol=step * np.abs(query).sum())
    assert digest == sha256_of(tmp_path / "a.faiss")


def test_what_is_beyond_the_range_of_int8_is_cut(tmp_path):
    codec = Codec(2, "int8", 4.0)
    numbers = np.array([[100.0, -100.0], [4.0, -4.0]], dtype=np.float32)
    write_segment(tmp_path / "a.faiss", Segment((0, 0), np.ones((1, 2), bool), numbers), codec)
    products, _ = SegmentFile(tmp_path / "a.faiss", codec, 2).search(np.array([1, -1], np.float32), 2)
    np.testing.assert_allclose(products, [8.0, 8.0], atol=0.04)


@pytest.mark.parametrize("codec", CODECS)
def test_only_what_is_wanted_counts(codec, tmp_path):
    given, query = segment(), RNG.standard_normal(8).astype(np.float32)
    write_segment(tmp_path / "a.faiss", given, codec)
    wanted = np.zeros(len(given.descriptors), bool)
    wanted[[3, 11, 12]] = True
    _, numbers = SegmentFile(tmp_path / "a.faiss", codec, len(wanted)).search(query, 10, wanted)
    exact = given.descriptors @ query
    assert numbers.tolist() == sorted([3, 11, 12], key=lambda i: -exact[i])


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_has_the_bytes_that_follow_from_its_codec(codec, tmp_path):
    given = segment()
    write_segment(tmp_path / "a.faiss", given, codec)
    content, count = (tmp_path / "a.faiss").read_bytes(), len(given.descriptors)
    beginning = codec.beginning(count)
    assert content.startswith(beginning)
    assert len(content) == len(beginning) + count * codec.place_bytes
    assert len(beginning) == {"float16": 81, "int8": 89}[codec.storage]
    if codec.storage == "float16":
        assert content[81:] == given.descriptors.astype("<f2").tobytes()


@pytest.mark.parametrize("codec", CODECS)
def test_every_damaged_first_byte_and_every_other_size_is_refused_before_faiss_reads_it(codec, tmp_path, monkeypatch):
    path, given = tmp_path / "a.faiss", segment()
    write_segment(path, given, codec)
    content, count = path.read_bytes(), len(given.descriptors)
    monkeypatch.setattr(faiss, "read_index", None)
    for position in range(len(codec.beginning(count))):
        path.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        with pytest.raises(InputError, match=r"a\.faiss: damaged: it does not begin as a file of its descriptors does"):
            SegmentFile(path, codec, count)
    for other in (content[:-1], content + b"x", b""):
        path.write_bytes(other)
        with pytest.raises(InputError, match=f"has {len(other)} bytes, not {len(content)}"):
            SegmentFile(path, codec, count)
    path.unlink()
    with pytest.raises(InputError, match="No such file"):
        SegmentFile(path, codec, count)


def test_of_another_number_or_codec_is_refused(tmp_path):
    given = segment()
    count = len(given.descriptors)
    write_segment(tmp_path / "a.faiss", given, CODECS[0])
    for codec, number in ((CODECS[0], count + 1), (CODECS[1], count), (Codec(4, "float16"), 2 * count)):
        with pytest.raises(InputError, match=r"bytes, not|does not begin"):
            SegmentFile(tmp_path / "a.faiss", codec, number)


def test_a_full_disk_is_one_line_and_leaves_no_file(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("Error in write_index\nno space")

    monkeypatch.setattr(faiss, "write_index", fail)
    with pytest.raises(InputError, match=r"cannot be written \(Error in write_index\); free some space"):
        write_segment(tmp_path / "a.faiss", segment(), CODECS[0])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Codec(0, "float16"), "1 to 4096 dimensions"),
        (lambda: Codec(5000, "float16"), "1 to 4096 dimensions"),
        (lambda: Codec(8, "int8", np.inf), "up to a positive number"),
        (lambda: Codec(8, "int8", 0.0), "up to a positive number"),
        (lambda: Segment((0, 0), np.ones((2, 2), bool), np.ones((3, 8), np.float32)), "3 descriptors for 4 places"),
        (lambda: Segment((0, 0), np.zeros((2, 2), bool), np.ones((0, 8), np.float32)), "0 descriptors for 0 places"),
        (lambda: Segment((0, 0), np.ones((1, 1), bool), np.full((1, 8), np.nan, np.float32)), "not finite"),
    ],
)
def test_what_cannot_be_stored_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_descriptors_of_other_dimensions_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="descriptors of 4 dimensions, not 8"):
        write_segment(tmp_path / "a.faiss", segment(dims=4), CODECS[0])
