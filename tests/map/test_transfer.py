"""Copying maps between folders and an object store, which fsspec keeps in memory here."""

import json
import shutil
import sys
from hashlib import sha256
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem

from cvlnet.errors import InputError
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.index.manifest import About, Lattice
from cvlnet.index.place_index import PlaceIndex, change_index, create_index, verify_index
from cvlnet.index.segment import Codec, Segment
from cvlnet.map import encode as encode_module
from cvlnet.map import overlay as overlay_module
from cvlnet.map.build import build_map
from cvlnet.map.overlay import update_map
from cvlnet.map.store import Map
from cvlnet.map.transfer import copy_map
from cvlnet.map.versions import locked
from cvlnet.model.build import build_model

STORE = "memory://bucket/city.map"


@pytest.fixture
def store(monkeypatch):
    """Everything in the object store, by its name: {} at first."""
    contents: dict = {}
    monkeypatch.setattr(MemoryFileSystem, "store", contents)
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    return contents


@pytest.fixture
def model(tiny_config, monkeypatch):
    monkeypatch.setattr(encode_module, "WINDOW_PX", 64)
    monkeypatch.setattr(encode_module, "_MARGIN_PX", 32)
    monkeypatch.setattr(overlay_module, "_EDGE_CELLS", 4)
    torch.manual_seed(3)
    return build_model(tiny_config).eval()


@pytest.fixture
def source(model, image, tmp_path):
    return build_map(model, image, tmp_path / "source").path


def update(model, image, path):
    """A second version, half of it new."""
    newer = OverheadImage(np.ascontiguousarray(image.pixels[::-1]), image.raster, Path("newer.png"))
    return update_map(model, path, newer)


def files_of(folder: Path) -> dict[str, bytes]:
    names = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in names}


def stored(store) -> dict[str, bytes]:
    return {name.removeprefix("/bucket/city.map/"): file.getvalue() for name, file in store.items()}


def test_a_map_goes_to_a_store_and_comes_back(source, store, tmp_path):
    copy_map(str(source), STORE)
    assert stored(store) == files_of(source)
    copy_map(STORE, str(tmp_path / "back"))
    assert files_of(tmp_path / "back") == files_of(source)
    Map.open(tmp_path / "back").verify()


def test_addresses_of_files_are_folders(source, tmp_path):
    copy_map(source.as_uri(), (tmp_path / "new/copy").as_uri() + "/")
    assert files_of(tmp_path / "new/copy") == files_of(source)


def writes_of(monkeypatch, fails_after=None):
    """Names in the order in which the store writes them."""
    written, write = [], MemoryFileSystem.pipe_file

    def noted(self, path, value, **named):
        if len(written) == fails_after:
            raise PermissionError("denied\n by the owner")
        written.append(path.partition("city.map/")[2])
        write(self, path, value, **named)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", noted)
    return written


def test_the_pointer_is_written_last(source, store, monkeypatch):
    written = writes_of(monkeypatch)
    copy_map(str(source), STORE)
    assert written[-2:] == ["v1/manifest.json", "map.json"]
    assert sorted(written) == sorted(files_of(source))


def test_an_interrupted_copy_resumes(source, store, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        written = writes_of(patch, fails_after=7)
        with pytest.raises(InputError, match=r"cannot be reached \(PermissionError denied by the owner\); .* resumes$"):
            copy_map(str(source), STORE)
    with pytest.raises(InputError, match=r"map.json: is missing"):
        copy_map(STORE, str(tmp_path / "back"))
    chunks = {name for name in written if "/c/" in name}
    assert chunks
    rest = writes_of(monkeypatch)
    copy_map(str(source), STORE)
    assert not chunks & set(rest)
    assert stored(store) == files_of(source)


@pytest.mark.parametrize("damage", [lambda d: d[:-1], lambda d: d[:-1] + bytes([d[-1] ^ 1]), lambda d: b""])
def test_what_an_interrupted_copy_has_left_damaged_is_copied_again(source, store, damage):
    chunk = "v1/descriptor/c/0/0/0"
    fsspec.filesystem("memory").pipe_file(f"/bucket/city.map/{chunk}", damage((source / chunk).read_bytes()))
    copy_map(str(source), STORE)
    assert stored(store) == files_of(source)


def test_a_newer_version_follows_and_the_older_one_stays(model, image, source, store, tmp_path):
    copy_map(str(source), STORE)
    copy_map(STORE, str(tmp_path / "back"))
    reader = Map.open(tmp_path / "back")
    first = stored(store)
    update(model, image, source)
    copy_map(str(source), STORE)
    assert stored(store) == first | files_of(source)
    copy_map(STORE, str(tmp_path / "back"))
    assert files_of(tmp_path / "back") == stored(store)
    assert Map.open(tmp_path / "back").arrays.folder.name == "v2"
    reader.verify()


def test_another_map_and_an_older_version_are_not_written_over(model, image, source, store, tmp_path):
    other = build_map(
        model, OverheadImage(image.pixels[::-1].copy(), image.raster, image.source), tmp_path / "other"
    ).path
    copy_map(str(source), STORE)
    before = stored(store)
    with pytest.raises(
        InputError, match=r"city.map: has another map, or a newer version \(v1; to be copied: v1\); choose"
    ):
        copy_map(str(other), STORE)
    shutil.copytree(source, tmp_path / "old")
    update(model, image, source)
    copy_map(str(source), STORE)
    with pytest.raises(InputError, match=r"\(v2; to be copied: v1\)"):
        copy_map(str(tmp_path / "old"), STORE)
    assert before.items() - stored(store).items() == {("map.json", before["map.json"])}
    fsspec.filesystem("memory").pipe_file("/bucket/new.map/v2/state/c/90/0", b"left here")
    with pytest.raises(InputError, match=r"new.map/v2/state/c/90/0: belongs to another map; delete v2 there"):
        copy_map(str(source), "memory://bucket/new.map")


def test_a_later_version_of_another_map_is_not_written_over_a_map(model, image, source, store, tmp_path):
    other = OverheadImage(image.pixels[::-1].copy(), image.raster, image.source)
    later = build_map(model, other, tmp_path / "other").path
    update(model, image, later)
    copy_map(str(source), STORE)
    before = stored(store)
    with pytest.raises(InputError, match=r"has another map, or a newer version \(v1; to be copied: v2\); choose"):
        copy_map(str(later), STORE)
    assert stored(store) == before


def add_index(folder, *, seed=0, of=None):
    """An index of random descriptors, in two segments, for a map; of: the fingerprint that it states."""
    source = Map.open(folder)
    about = About(of or source.fingerprint, "descriptor", Lattice((0.0, 0.0), 10.0), Codec(4, "int8"))
    create_index(source.index_folder, about)
    random = np.random.default_rng(seed)
    for name, first in (("west", 0), ("east", 5)):
        segment = Segment((0, first), np.ones((3, 5), bool), random.random((15, 4), np.float32))
        change_index(source.index_folder, put=[(name, segment)])
    return PlaceIndex(source.index_folder)


def test_an_index_goes_with_its_map(source, store, monkeypatch, tmp_path):
    index = add_index(source)
    written = writes_of(monkeypatch)
    copy_map(str(source), STORE)
    segments = [f"index/v1/{entry.file}" for entry in index.entries]
    assert written[-4:] == [*segments, "index/v1/manifest.sqlite", "map.json"]
    copy_map(STORE, str(tmp_path / "back"))
    verify_index(tmp_path / "back/index/v1")
    found = PlaceIndex(tmp_path / "back/index/v1")
    assert found.about == index.about
    queries = np.random.default_rng(1).random((2, 4), np.float32)
    assert found.search(queries, 7).row_col.tolist() == index.search(queries, 7).row_col.tolist()
    copy_map(STORE, str(tmp_path / "back"))
    del written[:]
    copy_map(str(tmp_path / "back"), STORE)
    assert not [name for name in written if name.startswith("index/")]


def test_an_interrupted_copy_of_an_index_resumes_and_leaves_no_half_one(source, store, monkeypatch, tmp_path):
    index = add_index(source)
    count = len(Map.open(source).manifest) + 2  # the manifest of the map and a segment
    with monkeypatch.context() as patch:
        written = writes_of(patch, fails_after=count)
        with pytest.raises(InputError, match="cannot be reached"):
            copy_map(str(source), STORE)
    assert written[-1] == f"index/v1/{index.entries[0].file}"
    rest = writes_of(monkeypatch)
    copy_map(str(source), STORE)
    assert rest[-3:] == [f"index/v1/{index.entries[1].file}", "index/v1/manifest.sqlite", "map.json"]
    assert written[-1] not in rest


def test_another_index_at_the_target_is_replaced(source, tmp_path):
    add_index(source)
    copy_map(str(source), str(tmp_path / "back"))
    shutil.rmtree(source / "index")
    index = add_index(source, seed=5)
    copy_map(str(source), str(tmp_path / "back"))
    verify_index(tmp_path / "back/index/v1")
    assert PlaceIndex(tmp_path / "back/index/v1").entries[0].file == index.entries[0].file
    names = {path.name for path in (tmp_path / "back/index/v1").glob("*.faiss")}
    assert names == {entry.file for entry in index.entries}


def test_a_damaged_index_is_one_line_and_leaves_no_map(source, store, tmp_path):
    index = add_index(source)
    copy_map(str(source), STORE)
    files, place = fsspec.filesystem("memory"), f"/bucket/city.map/index/v1/{index.entries[1].file}"
    content = bytearray(files.cat_file(place))
    content[-1] ^= 1
    files.pipe_file(place, bytes(content))
    with pytest.raises(InputError, match=r"index/v1/[0-9a-f]{32}.faiss: does not have its checksum"):
        copy_map(STORE, str(tmp_path / "back"))
    files.pipe_file("/bucket/city.map/index/v1/manifest.sqlite", b"SQLite")
    with pytest.raises(InputError, match=r"manifest.sqlite: is no sound manifest"):
        copy_map(STORE, str(tmp_path / "back"))
    assert not (tmp_path / "back/map.json").exists()
    assert not (tmp_path / "back/index/v1/manifest.sqlite").exists()


def test_the_index_of_another_map_is_not_copied(source, tmp_path):
    add_index(source, of="another")
    with pytest.raises(InputError, match="index/v1: is the index of another map; build it again: cvlnet map index"):
        copy_map(str(source), str(tmp_path / "back"))


def test_without_the_extra_a_map_is_copied_without_its_index(source, tmp_path, monkeypatch, caplog):
    add_index(source)
    monkeypatch.setitem(sys.modules, "cvlnet.index.transfer", None)
    copy_map(str(source), str(tmp_path / "back"))
    assert "the index is not copied" in caplog.text
    assert "install the extra: pip install 'cvlnet[index]'" in caplog.text
    Map.open(tmp_path / "back").verify()
    assert not (tmp_path / "back/index").exists()


def test_an_index_goes_when_its_version_goes(model, image, source):
    add_index(source)
    first = Map.open(source)
    second = update(model, image, source)
    assert first.index_folder.is_dir()  # for those who have opened the first version
    assert second.has_older_index
    assert not second.index_folder.exists()
    update(model, OverheadImage(np.ascontiguousarray(image.pixels[::-1]), image.raster, Path("newest.png")), source)
    assert not first.index_folder.exists()
    assert not Map.open(source).has_older_index


def test_a_map_that_is_being_written_is_not_copied_over(source, store, tmp_path):
    copy_map(str(source), STORE)
    with locked(tmp_path / "back"), pytest.raises(InputError, match="another process is writing this map"):
        copy_map(STORE, str(tmp_path / "back"))


def forged(store, change):
    """A map in the store whose manifest was changed, with right checksums."""
    files = fsspec.filesystem("memory")
    top = "/bucket/city.map"
    manifest = json.loads(files.cat_file(f"{top}/v1/manifest.json"))
    change(manifest)
    text = json.dumps(manifest).encode()
    files.pipe_file(f"{top}/v1/manifest.json", text)
    pointer = {"version": "v1", "manifest_sha256": sha256(text).hexdigest()}
    files.pipe_file(f"{top}/map.json", json.dumps(pointer).encode())


@pytest.mark.parametrize(
    "name",
    ["../../evil", "/etc/evil", "state/c/0/../../../evil", "state\\c", ".lock", "c/0/0", "state/c/0/0/", "map.json"],
)
def test_names_that_lead_out_of_the_map_are_refused(source, store, tmp_path, name):
    copy_map(str(source), STORE)
    forged(store, lambda manifest: manifest.update({name: manifest["state/c/0/0"]}))
    with pytest.raises(InputError, match=r"v1/manifest.json: lists what is no file of a map"):
        copy_map(STORE, str(tmp_path / "back"))
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("size", [-1, 0, 2**40, None, "9"])
def test_sizes_that_no_file_has_are_refused(source, store, tmp_path, size):
    copy_map(str(source), STORE)
    forged(store, lambda manifest: manifest["state/c/0/0"].update(size=size))
    with pytest.raises(InputError, match=r"manifest.json: (lists what is no file of a map|is no manifest)"):
        copy_map(STORE, str(tmp_path / "back"))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("map.json", b"{", "map.json: is no JSON"),
        ("map.json", b"[1]", "map.json: is no JSON object"),
        ("map.json", b'{"version": "v1/../..", "manifest_sha256": "0"}', "map.json: names no version"),
        ("map.json", b'{"version": "v1", "manifest_sha256": 5}', "manifest.json: does not have its checksum"),
        ("map.json", b'{"version": "v1", "manifest_sha256": "0"}', "manifest.json: does not have its checksum"),
        ("v1/manifest.json", b"{}", "manifest.json: does not have its checksum"),
        ("v1/manifest.json", None, "manifest.json: is missing"),
        ("v1/state/c/0/0", None, "state/c/0/0: is missing"),
        ("v1/state/c/0/0", b"short", "state/c/0/0: does not have its checksum"),
        ("v1/state/c/0/0", b"long" * 1000, "state/c/0/0: does not have its checksum"),
        ("v1/zarr.json", b"{}", "v1/zarr.json: does not have its checksum"),
    ],
)
def test_a_damaged_store_is_one_line_and_leaves_no_map(source, store, tmp_path, name, content, expected):
    copy_map(str(source), STORE)
    files = fsspec.filesystem("memory")
    files.rm_file(f"/bucket/city.map/{name}")
    if content is not None:
        files.pipe_file(f"/bucket/city.map/{name}", content)
    with pytest.raises(InputError, match=expected) as caught:
        copy_map(STORE, str(tmp_path / "back"))
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "back/map.json").exists()


def test_a_flipped_bit_in_a_store_is_found(source, store, tmp_path):
    copy_map(str(source), STORE)
    content = bytearray((source / "v1/state/c/0/0").read_bytes())
    content[3] ^= 1
    fsspec.filesystem("memory").pipe_file("/bucket/city.map/v1/state/c/0/0", bytes(content))
    with pytest.raises(InputError, match="state/c/0/0: does not have its checksum"):
        copy_map(STORE, str(tmp_path / "back"))
    assert not (tmp_path / "back/map.json").exists()


def test_what_a_killed_copy_was_writing_is_removed(source, tmp_path):
    (tmp_path / "back/v1/state").mkdir(parents=True)
    (tmp_path / "back/v1/state/.unfinished-x").write_bytes(b"half")
    copy_map(str(source), str(tmp_path / "back"))
    assert files_of(tmp_path / "back") == files_of(source)


def test_addresses_that_cannot_be_used_are_one_line(source, tmp_path):
    with pytest.raises(
        InputError, match=r"^zip2://x: cannot be used \(Protocol not known: zip2\); give a folder, or an"
    ):
        copy_map(str(source), "zip2://x")
    with pytest.raises(InputError, match="there is no map; make one by cvlnet map build"):
        copy_map(str(tmp_path), str(tmp_path / "back"))
