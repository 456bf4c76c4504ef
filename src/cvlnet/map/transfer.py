"""Copying maps between folders and object stores: s3://, gs://, abfs:// and all else that fsspec knows.

The current version is copied as a whole, its pointer last, so that a map at the target is whole or not there. Maps are
not searched in an object store itself: every chunk that a search reads would take several requests of tens of
milliseconds, and the panels of a search are read as a whole anyway.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs  # type: ignore[import-untyped]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]
from tqdm import tqdm

from cvlnet.errors import InputError
from cvlnet.io.files import remove_unfinished, written_whole
from cvlnet.map.arrays import REMEDY
from cvlnet.map.store import LARGEST_MANIFEST_BYTES, MANIFEST, POINTER, ListedFile, Map, manifest_of, version_of
from cvlnet.map.versions import locked

_LARGEST_POINTER_BYTES = 2**16
_LARGEST_FILE_BYTES = 2**30
_AT_ONCE = 8  # files in memory
_NAME = re.compile(r"([a-z]+/)?zarr\.json|[a-z]+/c(/[0-9]{1,9}){2,3}")


@dataclass(frozen=True)
class _Store:
    """A folder, on this machine or in an object store. Methods raise InputError where it cannot be reached."""

    url: str
    files: Any
    root: str

    @staticmethod
    def of(url: str) -> _Store:
        """The store at an address. Raises InputError if its kind is not known, or not installed."""
        try:
            return _Store(url, *url_to_fs(url))
        except (ImportError, ValueError) as error:
            remedy = "give a folder, or an address such as s3://BUCKET/city.map (for which s3fs is installed)"
            raise InputError(f"cannot be used ({error})", where=url, remedy=remedy) from error

    @property
    def folder(self) -> Path | None:
        """The folder, if it is on this machine."""
        return Path(self.root) if isinstance(self.files, LocalFileSystem) else None

    def where(self, name: str) -> str:
        """A file, for messages."""
        return f"{self.url.rstrip('/')}/{name}"

    def read(self, name: str, most_bytes: int) -> bytes:
        """A file, or as much of it as shows that it is larger."""
        with self._reached(name):
            content: bytes = self.files.cat_file(f"{self.root}/{name}", start=0, end=most_bytes + 1)
            return content

    def last_four(self, name: str, size: int) -> str:
        """The last four bytes of a file, as text."""
        with self._reached(name):
            end: bytes = self.files.cat_file(f"{self.root}/{name}", start=max(size - 4, 0), end=size)
            return end.hex()

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        if self.folder is not None:
            with written_whole(self.folder / name) as temporary:
                temporary.write_bytes(content)
            return
        with self._reached(name):
            self.files.pipe_file(f"{self.root}/{name}", content)

    def sizes(self, name: str) -> dict[str, int]:
        """Sizes in bytes of all files in a folder of the store, by their names in it."""
        with self._reached(name):
            self.files.invalidate_cache()
            top = f"{self.root}/{name}/"
            found: dict[str, dict[str, Any]] = self.files.find(top, detail=True)
            return {path.partition(top)[2]: int(about["size"]) for path, about in found.items()}

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        with self._reached(name):
            return bool(self.files.exists(f"{self.root}/{name}"))

    @contextmanager
    def _reached(self, name: str) -> Iterator[None]:
        """Turns whatever a store raises, each kind its own errors, into an InputError."""
        try:
            yield
        except FileNotFoundError as error:
            raise InputError("is missing", where=self.where(name), remedy=REMEDY) from error
        except Exception as error:
            remedy = "check the address, the network and your rights, then repeat the command, which resumes"
            reason = " ".join(f"{type(error).__name__} {error}".split())[:200]
            raise InputError(f"cannot be reached ({reason})", where=self.where(name), remedy=remedy) from error


def copy_map(source: str, target: str, *, progress: bool = False) -> None:
    """Copy the current version of a map from a folder or object store to another; files that are there are kept.

    An older version at the target stays for those who read it. Raises InputError if there is no map at the source, it
    is damaged, the target has another map or a newer version, or one of them cannot be reached.
    """
    here, there = _Store.of(source), _Store.of(target)
    if here.folder is not None:
        Map.open(here.folder)
    pointer, version, manifest_text, manifest = _current(here)
    with nullcontext() if there.folder is None else locked(there.folder):
        _require_older(there, pointer, version)
        if there.folder is not None:
            remove_unfinished(there.folder / version)
        held = there.sizes(version)
        strays = held.keys() - manifest.keys() - {MANIFEST}
        if strays:
            remedy = f"delete {version} there, or choose another place"
            raise InputError("belongs to another map", where=there.where(f"{version}/{min(strays)}"), remedy=remedy)
        _copy_files(here, there, version, manifest, held, progress=progress)
        there.write(f"{version}/{MANIFEST}", manifest_text)
        there.write(POINTER, pointer)
    if there.folder is not None:
        Map.open(there.folder)


def _current(store: _Store) -> tuple[bytes, str, bytes, dict[str, ListedFile]]:
    """The pointer, the version that it names, that version's manifest, as it is and as it reads."""
    pointer = store.read(POINTER, _LARGEST_POINTER_BYTES)
    version, checksum = version_of(_json(pointer, store), store.where(POINTER))
    where = store.where(f"{version}/{MANIFEST}")
    text = store.read(f"{version}/{MANIFEST}", LARGEST_MANIFEST_BYTES)
    manifest = manifest_of(text, checksum, where)
    for name, about in manifest.items():
        if not (_NAME.fullmatch(name) and isinstance(about.size, int) and 0 < about.size <= _LARGEST_FILE_BYTES):
            raise InputError(f"lists what is no file of a map ({name[:100]!r})", where=where, remedy=REMEDY)
    return pointer, version, text, manifest


def _json(pointer: bytes, store: _Store) -> dict[str, Any]:
    try:
        found = json.loads(pointer)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is no JSON ({error})", where=store.where(POINTER), remedy=REMEDY) from error
    return found if isinstance(found, dict) else {}


def _require_older(store: _Store, pointer: bytes, version: str) -> None:
    """Raise InputError unless a store has no map, or this very version of one, or one with a smaller number."""
    if not store.has(POINTER):
        return
    had = store.read(POINTER, _LARGEST_POINTER_BYTES)
    if had == pointer:
        return
    had_version, _ = version_of(_json(had, store), store.where(POINTER))
    if int(had_version[1:]) >= int(version[1:]):
        what = f"has another map, or a newer version ({had_version}; to be copied: {version})"
        raise InputError(what, where=store.url, remedy="choose another place, or delete what is there")


def _copy_files(
    here: _Store,
    there: _Store,
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


def _copy(here: _Store, there: _Store, name: str, expected: ListedFile, held: int | None) -> int:
    """Copy a file unless the target has it: its size. Chunks end with their own checksum, by which they are known."""
    is_chunk = "/c/" in name
    if is_chunk and held == expected.size and there.last_four(name, held) == expected.crc:
        return expected.size
    content = here.read(name, expected.size)
    if len(content) != expected.size or sha256(content).hexdigest() != expected.sha256:
        raise InputError("does not have its checksum", where=here.where(name), remedy=REMEDY)
    there.write(name, content)
    return expected.size
