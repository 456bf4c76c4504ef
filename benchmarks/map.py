"""How long it takes to encode a map, how large it is, and what its number formats and unknown headings cost in recall.

    python benchmarks/map.py TOWN

TOWN is a synthetic town (`cvlnet synth`), with its overhead map and the drives whose clips are sought.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import get_args

import numpy as np

from cvlnet.data.clips import ClipSpec
from cvlnet.imagery.georef import open_overhead
from cvlnet.localize import Localizer
from cvlnet.localize.trial import Trial, try_map
from cvlnet.localize.turned import Heading
from cvlnet.map.build import build_map
from cvlnet.map.header import Storage
from measure import in_own_process, print_results, run

HEADINGS = ("as recorded", "±5", "±20", "unknown")


def build(imagery: Path, out: Path, storage: Storage) -> tuple[float, float]:
    """Seconds and MB a square kilometre of a map of an image."""
    model, image = Localizer().model, open_overhead(imagery)
    start = perf_counter()
    built = build_map(model, image, out, storage=storage)
    seconds, km2 = perf_counter() - start, built.known_km2
    return seconds / km2, built.size_bytes / 1e6 / km2


def seek(town: Path, path: Path, date: str, heading: str, most_queries: int) -> Trial:
    """Seek the queries of a town, whose drives are of this date, on its map; the heading is known to some degrees."""
    localizer = Localizer()
    known = Heading() if heading == HEADINGS[0] else Heading.parse(heading)
    spec = ClipSpec(localizer.model.image_spec)
    return try_map(
        localizer, town, {date: localizer.area(path)}, clip_spec=spec, heading=known, most_queries=most_queries
    )


def _shares(trial: Trial) -> tuple[str, ...]:
    shares = (f"{100 * np.mean(trial.errors_m <= radius_m):.1f}" for radius_m in (5, 10))
    return (*shares, f"{np.median(trial.errors_m):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("town", type=Path, help="folder of a synthetic town")
    parser.add_argument("--most-queries", type=int, default=200, help="queries that are sought (%(default)s)")
    asked = parser.parse_args()
    imagery = sorted((asked.town / "overhead").glob("*.tif"))[0]
    with TemporaryDirectory() as folder:
        rows, paths = [], {}
        for storage in get_args(Storage):
            paths[storage] = Path(folder) / storage
            (seconds, megabytes), peak_mib = in_own_process(build, imagery, paths[storage], storage)
            trial, _ = in_own_process(seek, asked.town, paths[storage], imagery.stem, HEADINGS[0], asked.most_queries)
            rows.append((storage, f"{seconds:.1f}", f"{megabytes:.1f}", f"{peak_mib:.0f}", *_shares(trial)))
        header = ("storage", "s a km2", "MB a km2", "peak MiB", "% within 5 m", "% within 10 m", "median m")
        print_results("Building a map, and asking it", header, rows)
        rows = []
        for heading in HEADINGS:
            trial, peak_mib = in_own_process(
                seek, asked.town, paths["float16"], imagery.stem, heading, asked.most_queries
            )
            found = trial.heading_errors_rad[trial.errors_m <= 10]
            off = f"{np.degrees(np.median(found)):.2f}"
            rows.append((heading, *_shares(trial), off, f"{1000 * np.median(trial.question_s):.0f}", f"{peak_mib:.0f}"))
        header = ("heading", "% within 5 m", "% within 10 m", "median m", "heading error", "ms a question", "peak MiB")
        print_results("What is known of the heading", header, rows)
        sys.stdout.flush()


if __name__ == "__main__":
    run(main)
