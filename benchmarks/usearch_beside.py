"""The index beside usearch (pip install usearch): its exact search, and its graph viewed from disk, on the same data.

    python benchmarks/usearch_beside.py [PLACES]

Descriptors are like learned ones: a few directions have most of the energy. The best candidates of comparing all in
float32 are the truth.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from tqdm import tqdm
from usearch.index import Index, MetricKind, search

from cvlnet.arrays import F32
from cvlnet.index.manifest import About, Lattice
from cvlnet.index.place_index import PlaceIndex, change_index, create_index
from cvlnet.index.segment import Codec, Segment
from measure import print_results, run, seconds_each

DIMS, SIDE, MOST, QUERIES = 256, 250, 300, 20
RANGE = 8.0


def descriptors(count: int, seed: int) -> F32:
    """Random numbers whose energy falls off along the dimensions, as principal components have it."""
    energy = (np.arange(DIMS, dtype=np.float32) + 1) ** -0.5
    return np.asarray(np.random.default_rng(seed).standard_normal((count, DIMS), dtype=np.float32) * energy)


def recall(found: np.ndarray, true: np.ndarray) -> float:
    """Share of the true best that was found, in percent."""
    return 100 * float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, true, strict=True)]))


def main() -> None:
    places = int(float(sys.argv[1])) if len(sys.argv) > 1 else 250_000
    places -= places % SIDE**2
    vectors, queries = descriptors(places, 0), descriptors(QUERIES, 1)
    true = np.argsort(-(queries @ vectors.T), axis=1)[:, :MOST]
    scaled = np.clip(np.round(vectors * 127 / RANGE), -127, 127).astype(np.int8)
    asked = np.clip(np.round(queries * 127 / RANGE), -127, 127).astype(np.int8)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = perf_counter()
        create_index(folder / "own", About("map", "descriptor", Lattice((0.0, 0.0), 9.6), Codec(DIMS, "int8", RANGE)))
        for number in range(places // SIDE**2):
            part = vectors[number * SIDE**2 : (number + 1) * SIDE**2]
            segment = Segment((number * SIDE, 0), np.ones((SIDE, SIDE), dtype=np.bool_), part)
            change_index(folder / "own", put=[(f"s{number}", segment)])
        written_s = perf_counter() - start
        index = PlaceIndex(folder / "own")
        each_s = seconds_each(lambda: index.search(queries[:1], MOST))
        own = np.stack([index.search(query[None], MOST).row_col @ (SIDE, 1) for query in queries])
        rows.append(("this index, int8, exact", f"{1e3 * each_s:.1f}", f"{recall(own, true):.1f}", f"{written_s:.0f}"))
        each_s = seconds_each(lambda: search(scaled, asked[:1], MOST, MetricKind.IP, exact=True))
        found = search(scaled, asked, MOST, MetricKind.IP, exact=True)
        rows.append(("usearch, int8, exact", f"{1e3 * each_s:.1f}", f"{recall(found.keys, true):.1f}", "0"))
        graph = Index(ndim=DIMS, metric=MetricKind.IP, dtype="i8")
        start = perf_counter()
        for first in tqdm(range(0, places, 10_000), "usearch's graph", disable=not sys.stderr.isatty()):
            graph.add(np.arange(first, min(first + 10_000, places)), scaled[first : first + 10_000])
        built_s = perf_counter() - start
        graph.save(str(folder / "graph"))
        viewed = Index.restore(str(folder / "graph"), view=True)
        viewed.expansion_search = 2 * MOST
        each_s = seconds_each(lambda: viewed.search(asked[:1], MOST))
        found = viewed.search(asked, MOST)
        rows.append(
            (
                "usearch, int8, graph from disk",
                f"{1e3 * each_s:.1f}",
                f"{recall(found.keys, true):.1f}",
                f"{built_s:.0f}",
            )
        )
    header = ("search", "query ms", f"% of the best {MOST}", "s to build")
    print_results(f"{places:,} places of {DIMS} numbers", header, rows)


if __name__ == "__main__":
    run(main)
