"""How long an index over places takes to answer, how large it is, and its memory: a million random places, and ten.

A clip asks four queries at once. The numbers of places may be given: python benchmarks/index.py 1e6
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from math import pi, sqrt
from pathlib import Path
from time import perf_counter

import numpy as np
from tqdm import tqdm

from cvlnet.index.area import Circle
from cvlnet.index.manifest import About, Lattice
from cvlnet.index.place_index import PlaceIndex, change_index, create_index, verify_index
from cvlnet.index.segment import Codec, Segment, Storage
from measure import in_own_process, print_results, run, seconds_each

PLACES = (1_000_000, 10_000_000)
KINDS: tuple[tuple[int, Storage], ...] = ((256, "float16"), (256, "int8"), (128, "int8"))
SIDE = 250  # of a segment, in places
SPACING_M = 9.6
QUERIES, MOST, CIRCLE_SHARE = 4, 300, 0.1


def segments(places: int, dims: int) -> Iterator[tuple[str, Segment]]:
    """Square segments of random descriptors that together hold so many places."""
    count = places // SIDE**2
    across = round(sqrt(count))
    for number in tqdm(range(count), "writing", unit="segment"):
        numbers = np.random.default_rng(number).standard_normal((SIDE**2, dims), dtype=np.float32)
        first = (number // across * SIDE, number % across * SIDE)
        yield f"s{number}", Segment(first, np.ones((SIDE, SIDE), dtype=np.bool_), numbers)


def write(folder: Path, places: int, dims: int, storage: Storage) -> float:
    """Seconds to write an index, without those of making random numbers."""
    create_index(folder, About("map", "descriptor", Lattice((0.0, 0.0), SPACING_M), Codec(dims, storage, 8.0)))
    spent = 0.0
    for named in segments(places, dims):
        start = perf_counter()
        change_index(folder, put=[named])
        spent += perf_counter() - start
    return spent


def ask(folder: Path, dims: int) -> dict[str, float]:
    """Milliseconds to open, of a single query, of a clip's, and of a clip's in a circle; resident memory afterwards."""
    start = perf_counter()
    index = PlaceIndex(folder)
    opened_s = perf_counter() - start
    queries = np.random.default_rng(10**6).standard_normal((QUERIES, dims), dtype=np.float32)
    side_m = SPACING_M * sqrt(len(index))
    circle = Circle((side_m / 2, -side_m / 2), side_m * sqrt(CIRCLE_SHARE / pi))
    times_s = {
        "open": opened_s,
        "single": seconds_each(lambda: index.search(queries[:1], MOST)),
        "clip": seconds_each(lambda: index.search(queries, MOST)),
        "two passes": seconds_each(lambda: index.search(queries, MOST, first=8 * MOST)),
        "circle": seconds_each(lambda: index.search(queries, MOST, within=circle)),
    }
    return {name: 1e3 * seconds for name, seconds in times_s.items()} | resident_mb()


def resident_mb() -> dict[str, float]:
    """Memory of this process: its own, and pages of mapped files, which the system takes back when it needs them."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    lines = (line.partition(":") for line in status.splitlines() if line.startswith("Rss"))
    kilobytes = {name: int(rest.split()[0]) for name, _, rest in lines}
    return {"own": kilobytes["RssAnon"] / 1e3, "mapped": kilobytes["RssFile"] / 1e3}


def measure(places: int, dims: int, storage: Storage) -> tuple[str, ...]:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written_s = write(folder, places, dims, storage)
        found, peak_mib = in_own_process(ask, folder, dims)
        start = perf_counter()
        verify_index(folder)
        verified_s = perf_counter() - start
        size_mb = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    times = (f"{found[key]:.1f}" for key in ("open", "single", "clip", "two passes", "circle"))
    memory = (f"{value:.0f}" for value in (found["own"], found["mapped"], peak_mib))
    kind = (f"{places / 1e6:g} M", str(dims), storage, f"{size_mb:.0f}")
    return *kind, *times, *memory, f"{written_s:.0f}", f"{verified_s:.1f}"


def main() -> None:
    wanted = [int(float(text)) for text in sys.argv[1:]] or PLACES
    rows = [measure(places, dims, storage) for places in wanted for dims, storage in KINDS]
    header = (
        "places",
        "dims",
        "type",
        "MB on disk",
        "open ms",
        "query ms",
        "four queries ms",
        "two passes ms",
        "four in a circle ms",
    )
    memory = ("own MB", "mapped MB", "peak MiB", "write s", "verify s")
    print_results(f"An index over places, the best {MOST}", (*header, *memory), rows)


if __name__ == "__main__":
    run(main)
