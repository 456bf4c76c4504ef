"""The versions of a map in its folder: one is begun, filled window by window, and published as the current one.

A version is written into a hidden folder and becomes the current one by a single rename at its end, so that a map is
there whole or not at all. What was killed on the way goes on when it is repeated.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from cvlnet.errors import InputError
from cvlnet.io import lock
from cvlnet.io.files import remove_unfinished, written_whole
from cvlnet.io.text import read_json
from cvlnet.map.arrays import REMEDY, MapArrays
from cvlnet.map.encode import Window
from cvlnet.map.grids import offset_of
from cvlnet.map.header import MapHeader
from cvlnet.map.store import INDEX, MANIFEST, POINTER, Map, crc_of, is_map, listed, version_of

_STAGING, _PLAN = ".building", "plan.json"
_FINISHED = "finished"  # folder with an empty file for each window that was laid over


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """One writer at a time. Raises InputError if another process writes the map, or the folder cannot be written."""
    with lock.locked(out, "another process is writing this map"):
        yield


def begun(out: Path, header: MapHeader, *, base: Map | None) -> MapArrays:
    """The arrays of a map that is being written: those of an earlier call with the same plan, or new ones.

    base: the map whose chunks the new one begins with.
    Raises InputError if an unfinished map with another plan is there.
    """
    staging = out / _STAGING
    plan = json.dumps({"header": header.to_json(), "base": None if base is None else str(base.arrays.folder.resolve())})
    _recover(out, staging)
    if staging.exists() and not (staging / "map").exists():
        shutil.rmtree(staging)  # its map is published; the writer was killed before it could tidy up
    if staging.exists():
        if _text(staging / _PLAN) == plan:
            remove_unfinished(staging)
            return MapArrays(staging / "map", read_only=False)
        if (staging / _PLAN).exists():
            remedy = f"repeat the command that began it, or delete {staging}"
            raise InputError("holds an unfinished map of other imagery, weights or settings", where=out, remedy=remedy)
        shutil.rmtree(staging)  # killed before its plan was written: nothing was encoded
    arrays = MapArrays.create(staging / "map", header)
    if base is not None:
        _link(base, arrays)
    with written_whole(staging / _PLAN) as temporary:
        temporary.write_text(plan, encoding="utf-8")
    return arrays


def _link(base: Map, arrays: MapArrays) -> None:
    """Take over the chunks of a map whose windows are windows of the arrays, without copying where the disk allows."""
    row, col = (count // arrays.header.window for count in offset_of(arrays.header.cells, base.header.cells))
    for name in base.manifest:
        array, _, rest = name.partition("/c/")
        if rest:
            *leading, own_row, own_col = rest.split("/")
            target = (
                arrays.folder / array / "c" / "/".join([*leading, str(int(own_row) + row), str(int(own_col) + col)])
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(base.arrays.folder / name, target)
            except OSError:
                shutil.copy2(base.arrays.folder / name, target)


def is_finished(arrays: MapArrays, part: Window) -> bool:
    """Whether a window of a map that is being written was marked by `mark_finished`, in this call or an earlier one."""
    return _marker(arrays, part).is_file()


def mark_finished(arrays: MapArrays, part: Window) -> None:
    """Note that a window of a map that is being written holds what it is to hold. The note goes at publication."""
    marker = _marker(arrays, part)
    marker.parent.mkdir(exist_ok=True)
    marker.touch()


def _marker(arrays: MapArrays, part: Window) -> Path:
    return arrays.folder.parent / _FINISHED / f"{part.rows.start}-{part.cols.start}"


def has_chunks_of(arrays: MapArrays, other: Map) -> bool:
    """Whether a map that is being written has the very chunks of another one, by their checksums, at any windows."""
    theirs = Counter(about.crc for name, about in other.manifest.items() if "/c/" in name)
    return Counter(crc_of(path) for path in arrays.folder.glob("*/c/**/*") if path.is_file()) == theirs


def abandon(out: Path) -> None:
    """Remove the map that is being written."""
    shutil.rmtree(out / _STAGING)


def published(out: Path) -> Map:
    """Make what was built the current version; the one before it stays for those who read it."""
    staging, versions = out / _STAGING, _versions(out)
    folder = out / f"v{max(versions, default=0) + 1}"
    for leftover in (staging / "map").rglob("*.partial"):
        leftover.unlink()
    files = sorted(path for path in (staging / "map").rglob("*") if path.is_file() and path.name != MANIFEST)
    manifest = {path.relative_to(staging / "map").as_posix(): asdict(listed(path)) for path in files}
    with written_whole(staging / "map" / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest), encoding="utf-8")
    replaced = _current(out)
    (staging / "map").rename(folder)
    _point(out, folder)
    for number in versions:
        if number != replaced:
            (out / f"v{number}").rename(staging / f"v{number}")  # at once, for those who are reading it
            for index in (out / INDEX).glob(f"*v{number}"):
                shutil.rmtree(index)
    shutil.rmtree(staging)
    return Map.open(out)


def _point(out: Path, folder: Path) -> None:
    checksum = sha256((folder / MANIFEST).read_bytes()).hexdigest()
    with written_whole(out / POINTER) as temporary:
        temporary.write_text(json.dumps({"version": folder.name, "manifest_sha256": checksum}) + "\n", encoding="utf-8")


def _recover(out: Path, staging: Path) -> None:
    """Take back a version that was finished, but is not the current one: its writer was killed in between."""
    ahead = [number for number in _versions(out) if number > _current(out)]
    if ahead and staging.is_dir() and not (staging / "map").exists():
        (out / f"v{ahead[-1]}").rename(staging / "map")


def _current(out: Path) -> int:
    """The number of the current version; 0 if there is none."""
    return _number(version_of(read_json(out / POINTER, REMEDY), out / POINTER)[0]) if is_map(out) else 0


def _versions(out: Path) -> list[int]:
    return sorted(_number(path.name) for path in out.glob("v*") if path.is_dir() and path.name[1:].isdecimal())


def _number(version: str) -> int:
    return int(version[1:])


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
