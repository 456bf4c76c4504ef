"""Damaged, odd and hostile maps on disk: each is refused in one line that names what is wrong, or read rightly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cvlnet.errors import InputError
from cvlnet.geo import LatLon, MetricRaster
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.map import encode as encode_module
from cvlnet.map.build import build_map
from cvlnet.map.encode import EncodedCells, Window
from cvlnet.map.store import Map, listed
from cvlnet.model.build import build_model
from seeing import TINY

Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map of two by two windows."""
    patch = pytest.MonkeyPatch()
    patch.setattr(encode_module, "WINDOW_PX", 96)
    patch.setattr(encode_module, "_MARGIN_PX", 16)
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(1, 256, (100, 100, 3), dtype=np.uint8)
    image = OverheadImage(pixels, MetricRaster(LatLon(49.01, 8.43), 100, 100, 0.5), Path("map.png"))
    out = tmp_path_factory.mktemp("maps") / "good"
    build_map(build_model(TINY).eval(), image, out)
    patch.undo()
    return out


@pytest.fixture(scope="module")
def cells(good: Path) -> EncodedCells:
    return everything(good)


def everything(path: Path) -> EncodedCells:
    opened = Map.open(path)
    grid = opened.header.cells
    return opened.read(Window(slice(0, grid.rows), slice(0, grid.cols)))


def same(a: EncodedCells, b: EncodedCells) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__)


def raw(name: str, change: Callable[[bytes], bytes]) -> Change:
    """Change the bytes of a file of the map."""

    def apply(root: Path) -> None:
        (root / name).write_bytes(change((root / name).read_bytes()))

    return apply


def flipped(at: float) -> Callable[[bytes], bytes]:
    def flip(data: bytes) -> bytes:
        index = int(at * (len(data) - 1))
        return data[:index] + bytes([data[index] ^ 4]) + data[index + 1 :]

    return flip


def pointer(**changes: Any) -> Change:
    return raw("map.json", lambda data: json.dumps(json.loads(data) | changes).encode())


def signed(root: Path) -> None:
    """Make manifest and pointer right again, as a forger would."""
    version = root / "v1"
    files = [path for path in version.rglob("*") if path.is_file() and path.name != "manifest.json"]
    about = {str(path.relative_to(version)): asdict(listed(path)) for path in files}
    (version / "manifest.json").write_text(json.dumps(about))
    checksum = sha256((version / "manifest.json").read_bytes()).hexdigest()
    (root / "map.json").write_text(json.dumps({"version": "v1", "manifest_sha256": checksum}))


def header(**changes: Any) -> Change:
    """A forged header, with checksums that are right."""

    def apply(root: Path) -> None:
        group = zarr.open_group(root / "v1", mode="r+")
        old = dict(group.attrs["cvlnet-map"])
        new = {name: value(old[name]) if callable(value) else value for name, value in changes.items()}
        group.attrs["cvlnet-map"] = old | new
        signed(root)

    return apply


def array(name: str, **how: Any) -> Change:
    """Another array in place of one, with checksums that are right."""

    def apply(root: Path) -> None:
        group = zarr.open_group(root / "v1", mode="r+")
        old = group[name]
        shutil.rmtree(root / "v1" / name)
        keywords = {"shape": old.shape, "chunks": old.chunks, "dtype": old.dtype, "compressors": old.compressors}
        values = how.pop("values", None)
        made = group.create_array(name, fill_value=old.fill_value, **(keywords | how))
        if values is not None:
            made[...] = values
        signed(root)

    return apply


def meta(name: str, change: Callable[[dict[str, Any]], object]) -> Change:
    """Forged metadata of an array, with checksums that are right."""

    def apply(root: Path) -> None:
        path = root / "v1" / name / "zarr.json"
        about = json.loads(path.read_text())
        change(about)
        path.write_text(json.dumps(about))
        signed(root)

    return apply


def linked_outside(root: Path) -> None:
    (root / "v1" / "state" / "c" / "0" / "0").unlink()
    (root / "v1" / "state" / "c" / "0" / "0").symlink_to("/dev/zero")


def manifest_of(root: Path, text: str) -> None:
    """Another manifest, whose checksum is right."""
    (root / "v1" / "manifest.json").write_text(text)
    pointer(manifest_sha256=sha256(text.encode()).hexdigest())(root)


def unlisted(root: Path) -> None:
    """A manifest without a chunk that is there."""
    files = json.loads((root / "v1" / "manifest.json").read_text())
    manifest_of(root, json.dumps({name: about for name, about in files.items() if name != "state/c/0/0"}))


@dataclass(frozen=True)
class Case:
    change: Change
    says: str  # "" where the map is read as it is


CHUNK = "v1/descriptor/c/0/0/0"
CASES = {
    # what leaves the map whole
    "untouched": Case(lambda _: None, ""),
    "a hidden file of macOS": Case(lambda r: (r / "._map.json").write_bytes(b"x"), ""),
    "a strange file beside the versions": Case(lambda r: (r / "notes.txt").write_text("mine"), ""),
    "a later version without a pointer": Case(lambda r: shutil.copytree(r / "v1", r / "v2"), ""),
    "an unfinished update": Case(lambda r: (r / ".building").mkdir(), ""),
    "signed again": Case(signed, ""),
    # the pointer
    "no pointer": Case(lambda r: (r / "map.json").unlink(), "there is no map; make one by cvlnet map build"),
    "an empty pointer": Case(raw("map.json", lambda _: b""), "map.json: the file is empty"),
    "a pointer cut short": Case(raw("map.json", lambda d: d[: len(d) // 2]), "map.json: is no JSON"),
    "a pointer of bytes": Case(raw("map.json", lambda _: b"\xff\xfe\x00"), "map.json"),
    "a pointer that is a list": Case(raw("map.json", lambda _: b"[]"), "map.json: is no JSON object"),
    "a pointer without a version": Case(raw("map.json", lambda _: b"{}"), "map.json: names no version (None)"),
    "a pointer out of the folder": Case(pointer(version="../other"), "names no version ('../other')"),
    "a pointer to an absolute path": Case(pointer(version="/etc"), "names no version ('/etc')"),
    "a version that is a number": Case(pointer(version=1), "names no version (1)"),
    "a version that is not there": Case(pointer(version="v7"), "v7/manifest.json: is missing"),
    "another checksum": Case(pointer(manifest_sha256="0" * 64), "manifest.json: does not have its checksum"),
    "no checksum": Case(pointer(manifest_sha256=None), "manifest.json: does not have its checksum"),
    "a deep pointer": Case(raw("map.json", lambda _: b"[" * 100_000), "map.json: is no JSON"),
    # the manifest
    "no manifest": Case(lambda r: (r / "v1" / "manifest.json").unlink(), "manifest.json: is missing"),
    "a manifest cut short": Case(
        raw("v1/manifest.json", lambda d: d[:-9]), "manifest.json: does not have its checksum"
    ),
    "a bit of the manifest": Case(raw("v1/manifest.json", flipped(0.5)), "manifest.json: does not have its checksum"),
    # metadata
    "no group": Case(
        lambda r: (r / "v1" / "zarr.json").unlink(), "zarr.json: is missing, or does not have its checksum"
    ),
    "a bit of the header": Case(
        raw("v1/zarr.json", flipped(0.5)), "zarr.json: is missing, or does not have its checksum"
    ),
    "a bit of an array's metadata": Case(
        raw("v1/state/zarr.json", flipped(0.3)), "state/zarr.json: is missing, or does"
    ),
    "no array": Case(lambda r: shutil.rmtree(r / "v1" / "state"), "state/zarr.json: is missing, or does not"),
    # chunks
    "a chunk is missing": Case(lambda r: (r / CHUNK).unlink(), "descriptor/c/0/0/0: is missing, or is not whole"),
    "a chunk cut short": Case(raw(CHUNK, lambda d: d[:-1]), "is missing, or is not whole"),
    "an empty chunk": Case(raw(CHUNK, lambda _: b""), "is missing, or is not whole"),
    "a chunk with bytes behind it": Case(raw(CHUNK, lambda d: d + b"x"), "is missing, or is not whole"),
    "a bit of a chunk": Case(raw(CHUNK, flipped(0.5)), "descriptor is damaged"),
    "the first bit of a chunk": Case(raw(CHUNK, flipped(0.0)), "descriptor is damaged"),
    "a bit of its checksum": Case(raw(CHUNK, flipped(1.0)), "descriptor/c/0/0/0: does not have its checksum"),
    "a bit of the uncertainty": Case(raw("v1/uncertainty/c/1/1", flipped(0.1)), "uncertainty is damaged"),
    "a bit of the state": Case(raw("v1/state/c/0/1", flipped(0.2)), "state is damaged"),
    "a bit of the preview": Case(raw("v1/preview/c/0/1/0", flipped(0.2)), "preview is damaged"),
    "another window's chunk": Case(
        lambda r: shutil.copy(r / "v1/descriptor/c/0/1/1", r / CHUNK), "descriptor/c/0/0/0: does not have its checksum"
    ),
    "a chunk that the manifest does not list": Case(unlisted, "is not listed in the map's manifest"),
    "a chunk is a folder": Case(lambda r: ((r / CHUNK).unlink(), (r / CHUNK).mkdir()), "is missing, or is not whole"),
    "a chunk without end": Case(linked_outside, "is missing, or is not whole"),
    # forged, with right checksums
    "an earlier format": Case(header(format=0), "no encoded map inside (format 0, not 1)"),
    "a later format": Case(header(format=2), "no encoded map inside (format 2, not 1)"),
    "no header": Case(header(cells=None), "no encoded map inside"),
    "an anchor off the earth": Case(header(anchor={"latitude_deg": 91, "longitude_deg": 8}), "latitude 91.0 is not"),
    "an anchor that is no number": Case(header(anchor={"latitude_deg": "a", "longitude_deg": 8}), "no encoded map"),
    "more rows than chunks": Case(header(cells=lambda c: c | {"rows": c["rows"] + 1}), "no encoded map inside"),
    "rows beyond memory": Case(header(cells=lambda c: c | {"rows": 10**12}), "no encoded map inside"),
    "no rows": Case(header(cells=lambda c: c | {"rows": 0}), "whole numbers from 1 are wanted, not 0"),
    "half a row": Case(header(cells=lambda c: c | {"rows": 40.5}), "whole numbers from 1 are wanted"),
    "true rows": Case(header(cells=lambda c: c | {"rows": True}), "no encoded map inside"),
    "cells of no size": Case(header(cells=lambda c: c | {"cell_m": 0.0}), "a grid has at least one cell"),
    "cells of another size": Case(header(cells=lambda c: c | {"cell_m": 3.0}), "cells of 3.0 m"),
    "a centre that is not finite": Case(
        header(cells=lambda c: c | {"center_xy_m": [float("nan"), 0]}), "no encoded map"
    ),
    "a centre far away": Case(header(cells=lambda c: c | {"center_xy_m": [2e5, 0.0]}), "m from its anchor"),
    "a centre of three numbers": Case(header(cells=lambda c: c | {"center_xy_m": [0, 0, 0]}), "no encoded map inside"),
    "clips larger than the map": Case(header(layout=lambda c: c | {"clip_cells": 500}), "hold no clip"),
    "no steps": Case(header(layout=lambda c: c | {"steps": 0}), "whole numbers from 1 are wanted"),
    "an unknown entry": Case(header(layout=lambda c: c | {"added": 1}), ""),
    "a manifest of numbers": Case(lambda r: manifest_of(r, "[1]"), "is no JSON object"),
    "a manifest without sizes": Case(lambda r: manifest_of(r, '{"zarr.json": {"sha256": ""}}'), "is no manifest"),
    "a manifest of nothing": Case(lambda r: manifest_of(r, "{}"), "is not listed in the map's manifest"),
    "other channels": Case(header(channels=5), "descriptor is float16 of"),
    "many channels": Case(header(channels=10**9), "no encoded map inside"),
    "other windows": Case(header(window=28), "no encoded map inside"),
    "another storage": Case(header(storage="int8"), "descriptor is float16 of"),
    "an unknown storage": Case(header(storage="float64"), "storage 'float64'"),
    "sources of numbers": Case(header(sources=[{"name": 1, "credit": None, "state": ""}]), "no encoded map inside"),
    "sources of nothing": Case(header(sources=[{}]), "no encoded map inside"),
    "an array of another type": Case(array("uncertainty", dtype="float64"), "uncertainty is float64"),
    "an array of another shape": Case(array("state", shape=(9, 9)), "state is uint8 of (9, 9)"),
    "an array of other chunks": Case(array("state", chunks=(5, 5)), "in chunks of (5, 5)"),
    "an array that is compressed": Case(array("state", compressors="auto"), "state is compressed by"),
    "an array without checksums": Case(array("state", compressors=None), "state is compressed by"),
    "an array of chunks in shards": Case(array("state", shards=(48, 48)), "state is"),
    "uncertainty of zero": Case(array("uncertainty", values=0.0), "is not finite, or not positive"),
    "uncertainty that is no number": Case(array("uncertainty", values=np.nan), "is not finite, or not positive"),
    "descriptors that are no numbers": Case(array("descriptor", values=np.nan), "is not finite, or not positive"),
    "an unknown codec": Case(meta("state", lambda m: m["codecs"].append({"name": "evil"})), "no encoded map inside"),
    "a shape beyond memory": Case(meta("state", lambda m: m.update(shape=[10**15, 10**15])), "no encoded map inside"),
    "metadata of Zarr 2": Case(meta("state", lambda m: m.update(zarr_format=2)), "no encoded map inside"),
    "a group in place of an array": Case(
        meta("state", lambda m: (m.clear(), m.update(zarr_format=3, node_type="group", attributes={}))),
        "no encoded map inside",
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_maps_are_read_rightly_or_refused_in_one_line(
    kind: str, good: Path, cells: EncodedCells, tmp_path: Path
) -> None:
    case, path = CASES[kind], tmp_path / "map"
    shutil.copytree(good, path)
    case.change(path)
    if not case.says:
        assert same(everything(path), cells)
        return
    with pytest.raises(InputError) as caught:
        everything(path)
    assert case.says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert str(path) in str(caught.value)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_or_missing_byte_anywhere_is_found(
    good: Path, cells: EncodedCells, tmp_path: Path, data: Any
) -> None:
    path = tmp_path / "map"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(good, path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != ".lock")
    file = data.draw(st.sampled_from(files))
    content = file.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        changed = content[:at] + bytes([content[at] ^ (1 << data.draw(st.integers(0, 7)))]) + content[at + 1 :]
    else:
        changed = content[:at]
    file.write_bytes(changed)
    found = None
    try:
        read = everything(path)
        Map.open(path).verify()
    except InputError as error:
        found = str(error)
    if found is None:
        assert file.name == "map.json"  # white space, or letters of a checksum in the other case
        assert same(read, cells)
    else:
        assert len(found.splitlines()) == 1
