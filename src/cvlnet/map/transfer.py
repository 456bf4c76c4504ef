"""Copying maps between folders and object stores: s3://, gs://, abfs:// and all else that fsspec knows.

The current version is copied as a whole, with its index, and its pointer last, so that a map at the target is whole or
not there. Maps are not searched in an object store itself: every chunk that a search reads would take several requests
of tens of milliseconds, and the panels of a search are read as a whole anyway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import replace
from hashlib import sha256

from tqdm import tqdm

from cvlnet.errors import InputError, warn
from cvlnet.io.files import remove_unfinished
from cvlnet.io.object_store import Store
from cvlnet.io.text import json_object
from cvlnet.map.arrays import HEADER, REMEDY
from cvlnet.map.header import MapHeader
from cvlnet.map.store import (
    INDEX,
    LARGEST_MANIFEST_BYTES,
    MANIFEST,
    POINTER,
    ListedFile,
    Map,
    fingerprint_of,
    manifest_of,
    version_of,
)
from cvlnet.map.versions import locked

_LARGEST_POINTER_BYTES = 2**16
_LARGEST_GROUP_BYTES = 2**24
_LARGEST_FILE_BYTES = 2**30
_AT_ONCE = 8  # files in memory
_NAME = re.compile(r"([a-z]+/)?zarr\.json|[a-z]+/c(/[0-9]{1,9}){2,3}")


def copy_map(source: str, target: str, *, progress: bool = False) -> None:
    """Copy the current version of a map from a folder or object store to another; files that are there are kept.

    Its index is copied, too; where the extra ``index`` is not installed, a warning says that it is not. An older
    version at the target stays for those who read it. Raises InputError if there is no map at the source, it is
    damaged, the target has another map or a newer version, or one of them cannot be reached.
    """
    here, there = Store.of(source, REMEDY), Store.of(target, REMEDY)
    if here.folder is not None:
        Map.open(here.folder)
    pointer, version, manifest_text, manifest = _current(here)
    with nullcontext() if there.folder is None else locked(there.folder):
        _require_older(here, there, pointer, version)
        if there.folder is not None:
            remove_unfinished(there.folder / version)
        held = there.sizes(version)
        strays = held.keys() - manifest.keys() - {MANIFEST}
        if strays:
            remedy = f"delete {version} there, or choose another place"
            raise InputError("belongs to another map", where=there.where(f"{version}/{min(strays)}"), remedy=remedy)
        _copy_files(here, there, version, manifest, held, progress=progress)
        there.write(f"{version}/{MANIFEST}", manifest_text)
        _copy_index(here, there, version, fingerprint_of(manifest), progress=progress)
        there.write(POINTER, pointer)
    if there.folder is not None:
        Map.open(there.folder)


def _current(store: Store) -> tuple[bytes, str, bytes, dict[str, ListedFile]]:
    """The pointer, the version that it names, that version's manifest, as it is and as it reads."""
    pointer = store.read(POINTER, _LARGEST_POINTER_BYTES)
    version, checksum = _version(store, pointer)
    where = store.where(f"{version}/{MANIFEST}")
    text = store.read(f"{version}/{MANIFEST}", LARGEST_MANIFEST_BYTES)
    manifest = manifest_of(text, checksum, where)
    for name, about in manifest.items():
        if not (_NAME.fullmatch(name) and isinstance(about.size, int) and 0 < about.size <= _LARGEST_FILE_BYTES):
            raise InputError(f"lists what is no file of a map ({name[:100]!r})", where=where, remedy=REMEDY)
    return pointer, version, text, manifest


def _version(store: Store, pointer: bytes) -> tuple[str, str]:
    """The version that a pointer names, and the checksum of its manifest."""
    where = store.where(POINTER)
    return version_of(json_object(pointer, where, REMEDY), where)


def _require_older(here: Store, there: Store, pointer: bytes, version: str) -> None:
    """Raise InputError unless a store has no map, or this very version of one, or one that updates made into it."""
    if not there.has(POINTER):
        return
    had = there.read(POINTER, _LARGEST_POINTER_BYTES)
    if had == pointer:
        return
    had_version, _ = _version(there, had)
    is_later = int(version[1:]) > int(had_version[1:])
    if not (is_later and _follows(_header(here, version), _header(there, had_version))):
        what = f"has another map, or a newer version ({had_version}; to be copied: {version})"
        raise InputError(what, where=there.url, remedy="choose another place, or delete what is there")


def _header(store: Store, version: str) -> MapHeader:
    """The header of a version. Raises InputError if it cannot be read."""
    name = f"{version}/zarr.json"
    group = json_object(store.read(name, _LARGEST_GROUP_BYTES), store.where(name), REMEDY)
    try:
        return MapHeader.of_json(group["attributes"][HEADER])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"describes no map ({error})", where=store.where(name), remedy=REMEDY) from error


def _follows(later: MapHeader, earlier: MapHeader) -> bool:
    """Whether updates, which add imagery, can have made one version of another."""
    had = later.sources[: len(earlier.sources)]
    return replace(later, cells=earlier.cells, sources=had) == earlier


def _copy_index(here: Store, there: Store, version: str, map_fingerprint: str, *, progress: bool) -> None:
    """Copy the index of a version, if it has one."""
    name = f"{INDEX}/{version}"
    if not here.sizes(name):
        return
    try:
        from cvlnet.index.transfer import copy_index
    except ModuleNotFoundError as error:
        remedy = "install the extra: pip install 'cvlnet[index]', and repeat the command"
        warn(f"the index is not copied ({error})", where=here.where(name), remedy=remedy)
        return
    copy_index(here, there, name, map_fingerprint=map_fingerprint, progress=progress)


def _copy_files(
    here: Store,
    there: Store,
    version: str,
    manifest: Mapping[str, ListedFile],
    held: Mapping[str, int],
    *,
    progress: bool,
) -> None:
    total = sum(about.size for about in manifest.values())
    with (
        tqdm(total=total, desc="copying the map", unit="B", unit_scale=True, disable=not progress) as bar,
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        tasks = [
            pool.submit(_copy, here, there, f"{version}/{name}", about, held.get(name))
            for name, about in manifest.items()
        ]
        try:
            for task in as_completed(tasks):
                bar.update(task.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _copy(here: Store, there: Store, name: str, expected: ListedFile, held: int | None) -> int:
    """Copy a file unless the target has it: its size. Chunks end with their own checksum, by which they are known."""
    is_chunk = "/c/" in name
    if is_chunk and held == expected.size and there.last_four(name, held) == expected.crc:
        return expected.size
    content = here.read(name, expected.size)
    if len(content) != expected.size or sha256(content).hexdigest() != expected.sha256:
        raise InputError("does not have its checksum", where=here.where(name), remedy=REMEDY)
    there.write(name, content)
    return expected.size
