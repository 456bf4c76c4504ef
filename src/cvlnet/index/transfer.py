"""Copying an index between folders and object stores: its manifest last, so that it is there whole or not at all."""

from __future__ import annotations

import re
import tempfile
from hashlib import sha256
from pathlib import Path

from tqdm import tqdm

from cvlnet.errors import InputError
from cvlnet.index.manifest import FILE, About, Entry, Manifest, write_snapshot
from cvlnet.index.segment import REMEDY, SUFFIX
from cvlnet.io.object_store import Store

_MOST_MANIFEST_BYTES = 2**30
_OWN = re.compile(rf"{re.escape(FILE)}.*|[^/]*{re.escape(SUFFIX)}|\.unfinished-[^/]*")


def copy_index(here: Store, there: Store, name: str, *, map_fingerprint: str, progress: bool = False) -> None:
    """Copy the index in the folder ``name`` of a store to that of another; segments that are there are kept.

    Another index that is there is replaced. Raises InputError if the index is damaged or that of another map, or a
    store cannot be reached.
    """
    with tempfile.TemporaryDirectory() as temporary:
        about, entries = _manifest(here, name, Path(temporary))
        if about.map != map_fingerprint:
            remedy = "build it again: cvlnet map index, or delete it"
            raise InputError("is the index of another map", where=here.where(name), remedy=remedy)
        manifest = (Path(temporary) / FILE).read_bytes()
    wanted = {entry.file: about.codec.file_bytes(entry.count) for entry in entries} | {FILE: len(manifest)}
    held = there.sizes(name)
    if wanted.items() <= held.items() and there.read(f"{name}/{FILE}", len(manifest)) == manifest:
        return
    for old in sorted(held, key=lambda file: file != FILE):  # the manifest first: without it there is no index
        if _OWN.fullmatch(old) and (old not in wanted or old == FILE):
            there.remove(f"{name}/{old}")
    for entry in tqdm(entries, desc="copying the index", unit="segment", disable=not progress):
        size = wanted[entry.file]
        if held.get(entry.file) != size:  # a name is random, and never given twice
            there.write(f"{name}/{entry.file}", _segment(here, f"{name}/{entry.file}", entry, size))
    there.write(f"{name}/{FILE}", manifest)


def _manifest(store: Store, name: str, folder: Path) -> tuple[About, tuple[Entry, ...]]:
    """What the manifest of an index says, as it is now; it is copied into a folder."""
    if store.folder is not None:
        write_snapshot(store.folder / name, folder)
    else:
        content = store.read(f"{name}/{FILE}", _MOST_MANIFEST_BYTES)
        if len(content) > _MOST_MANIFEST_BYTES:
            raise InputError("is too large", where=store.where(f"{name}/{FILE}"), remedy=REMEDY)
        (folder / FILE).write_bytes(content)
    with Manifest.reading(folder) as manifest:
        manifest.require_sound()
        return manifest.about(), manifest.entries()


def _segment(store: Store, name: str, entry: Entry, size: int) -> bytes:
    content = store.read(name, size)
    if len(content) != size or sha256(content).hexdigest() != entry.sha256:
        raise InputError("does not have its checksum", where=store.where(name), remedy=REMEDY)
    return content
