import json
from pathlib import Path

import pytest

from cvlnet.errors import InputError
from cvlnet.fetch.manifest import FetchedFile, Manifest, digest_of, read_manifest

EMPTY = Manifest("bw", "Baden", "credit line", "dl-de/by-2-0")


def entry(path: Path, piece: str = "p", address: str = "https://example.org/p.zip") -> FetchedFile:
    return FetchedFile(
        piece,
        address,
        digest_of(path, "sha256"),
        path.stat().st_size,
        "2026-01-02T03:04:05+00:00",
        "2023-06-14",
        "EPSG:25832",
        1.5,
    )


@pytest.fixture
def filled(tmp_path: Path) -> Manifest:
    (tmp_path / "a.tif").write_bytes(b"abc")
    (tmp_path / "b.tif").write_bytes(b"")
    return EMPTY.with_files({name: entry(tmp_path / name) for name in ("a.tif", "b.tif")}).without("q")


def test_what_is_written_is_read(filled: Manifest, tmp_path: Path) -> None:
    filled.write(tmp_path)
    assert read_manifest(tmp_path) == filled
    described = json.loads((tmp_path / "manifest.json").read_text())
    assert described["credit"] == "credit line"
    assert described["files"]["a.tif"] == {
        "piece": "p",
        "address": "https://example.org/p.zip",
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "bytes": 3,
        "retrieved": "2026-01-02T03:04:05+00:00",
        "flown": "2023-06-14",
        "crs": "EPSG:25832",
        "ground_m2": 1.5,
    }


def test_no_manifest(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    assert read_manifest(tmp_path / "missing") is None


def test_it_holds_what_is_there_unchanged(filled: Manifest, tmp_path: Path) -> None:
    address = "https://example.org/p.zip"
    assert filled.holds("p", address, tmp_path)
    assert not filled.holds("p", f"{address}2", tmp_path)
    assert not filled.holds("q", address, tmp_path)
    (tmp_path / "a.tif").write_bytes(b"abd")
    assert not filled.holds("p", address, tmp_path)
    (tmp_path / "a.tif").unlink()
    assert not filled.holds("p", address, tmp_path)


def test_files_of_a_piece_replace_its_earlier_ones(filled: Manifest, tmp_path: Path) -> None:
    other = filled.with_files({"c.tif": entry(tmp_path / "a.tif", "q")})
    assert set(other.files) == {"a.tif", "b.tif", "c.tif"}
    assert other.not_there == ()
    assert set(other.with_files({"b.tif": entry(tmp_path / "b.tif")}).files) == {"b.tif", "c.tif"}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"format": 2}, "is no manifest of format 1"),
        ({"credit": None}, "lacks files, not_there, source"),
        ({"files": []}, "lacks files"),
        ({"not_there": [1]}, "lacks files"),
        ({"files": {"../a.tif": {}}}, "names '../a.tif', which is no file beside it"),
        ({"files": {"/a.tif": {}}}, "names '/a.tif'"),
        ({"files": {"": {}}}, "names '', which is no file"),
        ({"files": {"..": {}}}, "names '..'"),
        ({"files": {"a.tif": {}}}, "its entry a.tif lacks some of the keys"),
        ({"files": {"a.tif": 1}}, "its entry a.tif lacks some of the keys"),
        ({"bytes": "3"}, "its entry a.tif is malformed"),
        ({"bytes": None}, "its entry a.tif is malformed"),
        ({"bytes": True}, "its entry a.tif is malformed"),
        ({"sha256": 3}, "its entry a.tif is malformed"),
        ({"flown": 3}, "its entry a.tif is malformed"),
        ({"ground_m2": "1"}, "its entry a.tif is malformed"),
    ],
)
def test_what_is_malformed(filled: Manifest, tmp_path: Path, change: dict[str, object], what: str) -> None:
    filled.write(tmp_path)
    path = tmp_path / "manifest.json"
    described = json.loads(path.read_text())
    in_entry = change.keys() <= described["files"]["a.tif"].keys()
    (described["files"]["a.tif"] if in_entry else described).update(change)
    path.write_text(json.dumps(described))
    with pytest.raises(InputError, match=what):
        read_manifest(tmp_path)


def test_one_that_is_too_large(filled: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvlnet.io.text._MOST_JSON_BYTES", 100)
    filled.write(tmp_path)
    with pytest.raises(InputError, match=r"manifest.json: the file has .* and 0 MB are the most"):
        read_manifest(tmp_path)
