"""An index over the places of a map: made of segments, changed as a whole, searched as it was when it was opened."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64
from tqdm import tqdm

from cvlnet.arrays import F32, I64
from cvlnet.errors import InputError
from cvlnet.index.area import Area
from cvlnet.index.manifest import FILE, About, Entry, Manifest, create_manifest
from cvlnet.index.segment import REMEDY, SUFFIX, Segment, SegmentFile, sha256_of, write_segment
from cvlnet.io.files import remove_unfinished


@dataclass(frozen=True)
class Found:
    """Places whose descriptors have the largest products with a query, best first.

    row_col: in the lattice of the index. products: with the best of the queries.
    """

    row_col: Int64[np.ndarray, "places 2"]
    products: Float32[np.ndarray, " places"]


class PlaceIndex:
    """An index as it was when it was opened; later changes are seen by opening it again.

    The files are mapped into memory, not read. within: only segments that may have places there are opened.
    Raises InputError if there is no index, or it is damaged.
    """

    def __init__(self, folder: Path, *, within: Area | None = None) -> None:
        self.folder = folder
        self.about, self.entries, self._files = _mapped(folder, within)

    def __len__(self) -> int:
        """Number of places."""
        return sum(entry.count for entry in self.entries)

    def only(self, names: Collection[str]) -> PlaceIndex:
        """The part of the index that is in these of its segments, whose files stay mapped."""
        part = copy(self)
        chosen = [entry.name in names for entry in self.entries]
        part.entries, part._files = tuple(compress(self.entries, chosen)), tuple(compress(self._files, chosen))
        return part

    def reaches(self, area: Area) -> bool:
        """Whether the rectangle of a segment meets that of an area."""
        west_m, south_m, east_m, north_m = area.bounds_m
        bounds_m = np.array([entry.bounds_m(self.about.lattice) for entry in self.entries]).reshape(-1, 4)
        return bool(((bounds_m[:, :2] <= [east_m, north_m]) & (bounds_m[:, 2:] >= [west_m, south_m])).all(axis=1).any())

    def require(self, *, map_fingerprint: str, descriptor_fingerprint: str) -> None:
        """Raise InputError unless this is an index of that map, by that descriptor."""
        for what, own, wanted in (
            ("map", self.about.map, map_fingerprint),
            ("descriptor", self.about.descriptor, descriptor_fingerprint),
        ):
            if own != wanted:
                raise InputError(f"the index is of another {what}", where=self.folder, remedy="build it again")

    def search(
        self,
        queries: Float32[np.ndarray, "queries dims"],
        most: int,
        *,
        within: Area | None = None,
        first: int | None = None,
    ) -> Found:
        """The ``most`` places whose products with any of the queries are largest, in an area if one is given.

        first: takes as many places by the mean of the queries first, and the best of those; a single pass over all
        places instead of one for each query.
        Raises ValueError if the queries have other dimensions than the descriptors, or are not finite.
        """
        if queries.ndim != 2 or queries.shape[1] != self.about.codec.dims or not np.isfinite(queries).all():
            raise ValueError(f"queries of {queries.shape}, not of {self.about.codec.dims} finite numbers each")
        segments = [
            (entry, file, wanted)
            for entry, file in zip(self.entries, self._files, strict=True)
            if (wanted := self._wanted(entry, within)) is None or wanted.any()
        ]
        asked = queries if first is None else queries.mean(axis=0, keepdims=True)
        count = most if first is None else max(first, most)
        parts = [(segment, query) for segment in segments for query in asked]
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # FAISS leaves Python's lock while it searches
            results = list(pool.map(lambda part: part[0][1].search(part[1], count, part[0][2]), parts))
        if not results:
            return Found(np.empty((0, 2), np.int64), np.empty(0, np.float32))
        if first is not None:
            results = _best_by_any(queries, [file for _, file, _ in segments], results, count)
        row_col = np.concatenate(
            [entry.row_col(numbers) for ((entry, _, _), _), (_, numbers) in zip(parts, results, strict=True)]
        )
        return _best(row_col, np.concatenate([products for products, _ in results]), most)

    def _wanted(self, entry: Entry, within: Area | None) -> Bool[np.ndarray, " places"] | None:
        """Which descriptors of a segment lie in an area; None if all do."""
        if within is None:
            return None
        inside = within.contains(*entry.axes_m(self.about.lattice))[entry.held]
        return None if inside.all() else inside


def is_index(folder: Path) -> bool:
    """Whether a folder holds an index."""
    return (folder / FILE).is_file()


def create_index(folder: Path, about: About) -> None:
    """An index without places. Raises InputError if the folder has one already, or cannot be written."""
    create_manifest(folder, about)


def change_index(folder: Path, *, put: Iterable[tuple[str, Segment]] = (), remove: Collection[str] = ()) -> None:
    """Remove segments and add others, by name, as one change; one that is put replaces the one of its name.

    Who opens the index meanwhile gets it as it was. Segments are taken one after the other, so that ``put`` may make
    them as it goes. Raises InputError if the index is damaged or being changed by another process, or if segments hold
    the same place; ValueError for descriptors of other dimensions.
    """
    with Manifest.changing(folder) as manifest:
        about, before = manifest.about(), manifest.entries()
        _remove_strays(folder, before)
        for name in remove:
            manifest.remove(name)
        for name, segment in put:
            manifest.remove(name)
            file = secrets.token_hex(16) + SUFFIX
            digest = write_segment(folder / file, segment, about.codec)
            manifest.put(Entry(name, file, digest, segment.first, segment.held), about.lattice)
        after = {entry.file for entry in manifest.entries()}
        _sync(folder)  # the names of the files are on disk before the manifest names them
    for entry in before:
        if entry.file not in after:
            (folder / entry.file).unlink(missing_ok=True)


def verify_index(folder: Path, *, progress: bool = False) -> None:
    """Raise InputError unless the manifest is sound and every file has its checksum; all of them are read."""
    with Manifest.reading(folder) as manifest:
        manifest.require_sound()
        entries = manifest.entries()
    for entry in tqdm(entries, "verifying", unit="segment", disable=not progress):
        path = folder / entry.file
        if not (path.is_file() and sha256_of(path) == entry.sha256) and entry.file in _files_now(folder):
            raise InputError("missing, or its contents do not have their checksum", where=path, remedy=REMEDY)


def _mapped(folder: Path, within: Area | None) -> tuple[About, tuple[Entry, ...], tuple[SegmentFile, ...]]:
    """The manifest and its files; both anew where a change has removed a file before it was mapped."""
    before: list[str] | None = None
    while True:
        with Manifest.reading(folder) as manifest:
            about, entries = manifest.about(), manifest.entries(None if within is None else within.bounds_m)
        try:
            return about, entries, tuple(SegmentFile(folder / e.file, about.codec, e.count) for e in entries)
        except InputError:
            files = [entry.file for entry in entries]
            if files == before:
                raise
            before = files


def _files_now(folder: Path) -> set[str]:
    with Manifest.reading(folder) as manifest:
        return {entry.file for entry in manifest.entries()}


def _remove_strays(folder: Path, entries: Sequence[Entry]) -> None:
    """Remove what changes left behind that were killed. Nobody else may be changing the index."""
    remove_unfinished(folder)
    own = {entry.file for entry in entries}
    for path in folder.glob(f"*{SUFFIX}"):
        if path.name not in own:
            path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Have the names of a folder's files written to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _best_by_any(
    queries: F32, files: Sequence[SegmentFile], found: Sequence[tuple[F32, I64]], most: int
) -> list[tuple[F32, I64]]:
    """The ``most`` best places of all segments, with their largest products with any of the queries."""
    products = np.concatenate([part for part, _ in found])
    least = np.partition(products, len(products) - most)[len(products) - most] if len(products) > most else -np.inf
    kept = [numbers[part >= least] for part, numbers in found]
    return [
        ((file.descriptors(numbers) @ queries.T).max(axis=1), numbers)
        if len(numbers)
        else (np.empty(0, np.float32), numbers)
        for file, numbers in zip(files, kept, strict=True)
    ]


def _best(row_col: I64, products: F32, most: int) -> Found:
    """The places with the largest products, each once, best first; among equals the most north-western."""
    order = np.lexsort((row_col[:, 1], row_col[:, 0], -products))
    _, first = np.unique(row_col[order], axis=0, return_index=True)
    best = order[np.sort(first)[:most]]
    return Found(row_col[best], products[best])
