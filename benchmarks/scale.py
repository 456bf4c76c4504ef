"""What maps of a campus, a city, a state and a country take: measured on a small map and index, and extrapolated.

Times are of the processor, summed over its cores, so that they can be divided among cores and machines. Vectors are
random, and the imagery too: neither sizes nor times depend on what they show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Literal

import numpy as np
import torch

from cvlnet.checkpoint import load_model, shipped_weights
from cvlnet.geo import LatLon, MetricRaster
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.index.area import Circle
from cvlnet.index.manifest import About, Lattice
from cvlnet.index.on_qdrant import QdrantIndex, write_qdrant_index
from cvlnet.index.place_index import PlaceIndex, change_index, create_index
from cvlnet.index.segment import Codec, Segment
from cvlnet.map.build import build_map
from cvlnet.map.encode import windows
from dense import random_clip
from measure import in_own_process, print_results, run

Storage = Literal["float16", "int8"]
STORAGES: tuple[Storage, ...] = ("float16", "int8")

AREAS_KM2 = {"campus": 1, "city": 100, "state": 25_000, "country": 350_000}
ANCHOR = LatLon(49.0, 8.4)
SIDE_M, M_PER_PX = 2000.0, 0.4
SPACING_M, DIMS = 9.6, 256
FAISS_SIDE, QDRANT_SIDE = 512, 256  # places
AROUND_M = 5000.0  # where the vehicle is known to be, by a phone's cell or the like
CANDIDATES = 1000


def processor_s(call: Callable[[], object], times: int = 3) -> float:
    """Seconds of all cores that a call takes: the least of several, the first not counted."""
    call()
    taken = []
    for _ in range(times):
        start = process_time()
        call()
        taken.append(process_time() - start)
    return min(taken)


def measure_map(storage: Storage) -> tuple[float, float, float, float]:
    """Of a square kilometre: bytes in whole windows, seconds to encode it, and of a first and of a further question."""
    side_px = round(SIDE_M / M_PER_PX)
    pixels = np.random.default_rng(0).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
    image = OverheadImage(pixels, MetricRaster(ANCHOR, side_px, side_px, M_PER_PX), Path("random"))
    model, _ = load_model(shipped_weights())
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        start = process_time()
        built = build_map(model, image, Path(folder) / "map", storage=storage)
        encode_s = process_time() - start
        header, clip = built.header, random_clip()
        window_km2 = (header.window * header.cells.cell_m / 1000) ** 2
        first, *_ = windows(header.cells, header.window)
        window_bytes = sum(built.manifest[name].size for name in built.arrays.chunks_of(first))
        start = process_time()
        matcher = built.region().matcher(torch.device("cpu"))
        matcher.scores(clip)
        first_s = process_time() - start
        further_s = processor_s(lambda: matcher.scores(clip))
        km2 = built.known_km2
        return window_bytes / window_km2, encode_s / km2, first_s / km2, further_s / km2


def segment(side: int) -> Segment:
    """Descriptors of length one of a square of places."""
    descriptors = np.random.default_rng(1).standard_normal((side * side, DIMS), dtype=np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    return Segment((-side // 2, -side // 2), np.ones((side, side), bool), descriptors)


def measure_index(kind: str, storage: Storage) -> tuple[float, float, float, float]:
    """Of a million places: bytes, seconds to write, and of a question to all, and to those in a circle of a tenth."""
    side = FAISS_SIDE if kind == "FAISS" else QDRANT_SIDE
    about, one = About("", "", Lattice((0.0, 0.0), SPACING_M), Codec(DIMS, storage, 0.5)), segment(side)
    query = one.descriptors[:1] + 0.01
    tenth = Circle((0.0, 0.0), float(np.sqrt(0.1 / np.pi) * side * SPACING_M))
    with TemporaryDirectory() as name:
        folder = Path(name) / "index"
        start = process_time()
        opened: PlaceIndex | QdrantIndex
        if kind == "FAISS":
            create_index(folder, about)
            change_index(folder, put=[("all", one)])
            opened = PlaceIndex(folder)
        else:
            write_qdrant_index(folder, about, ANCHOR, [("all", one)])
            opened = QdrantIndex(folder)
        write_s = process_time() - start
        size = sum(512 * path.stat().st_blocks for path in folder.rglob("*") if path.is_file())
        everywhere_s = processor_s(lambda: opened.search(query, CANDIDATES))
        circle_s = processor_s(lambda: opened.search(query, CANDIDATES, within=tenth))
    millions = side * side / 1e6
    return size / millions, write_s / millions, everywhere_s / millions, circle_s / millions


def size_text(size_bytes: float) -> str:
    """Bytes in a unit that leaves few digits."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.3g} {unit}"
    return f"{size_bytes / 1e6:.3g} MB"


def print_map(measured: Mapping[Storage, tuple[float, float, float, float]]) -> None:
    """What a square kilometre takes."""
    rows = [
        (storage, f"{size / 1e6:.1f}", f"{encode_s:.1f}", f"{1000 * first_s:.0f}", f"{1000 * further_s:.0f}")
        for storage, (size, encode_s, first_s, further_s) in measured.items()
    ]
    header = ("features", "MB", "encoding s", "first question ms", "further question ms")
    print_results(f"A square kilometre of a map, measured on {SIDE_M / 1000:g} x {SIDE_M / 1000:g} km", header, rows)


def print_index(measured: Mapping[tuple[str, Storage], tuple[float, float, float, float]]) -> None:
    """What a million places take."""
    rows = [
        (f"{kind}, {storage}", f"{size / 1e6:.0f}", f"{write_s:.0f}", f"{1000 * all_s:.0f}", f"{1000 * circle_s:.0f}")
        for (kind, storage), (size, write_s, all_s, circle_s) in measured.items()
    ]
    header = ("index", "MB", "writing s", "question ms", "in a circle of a tenth ms")
    places = f"{FAISS_SIDE**2:,} (FAISS) and {QDRANT_SIDE**2:,} (Qdrant)"
    print_results(f"A million places of {DIMS} dimensions, measured on {places}", header, rows)


def print_areas(
    of_map: Mapping[Storage, tuple[float, float, float, float]],
    of_index: Mapping[tuple[str, Storage], tuple[float, float, float, float]],
) -> None:
    """What larger areas take, in proportion."""
    millions_a_km2 = (1000 / SPACING_M) ** 2 / 1e6
    question_s = of_index["FAISS", "float16"][2] * millions_a_km2
    rows = []
    for name, km2 in AREAS_KM2.items():
        features = [size_text(km2 * of_map[storage][0]) for storage in STORAGES]
        index = [size_text(km2 * millions_a_km2 * of_index["FAISS", storage][0]) for storage in STORAGES]
        encode_s, dense_s = km2 * of_map["float16"][1], km2 * of_map["float16"][3]
        around_km2 = min(km2, np.pi * (AROUND_M / 1000) ** 2)
        seconds = [f"{each_s:.2g}" for each_s in (dense_s, km2 * question_s, around_km2 * question_s)]
        rows.append((f"{name}, {km2:,} km2", *features, *index, f"{encode_s / 3600:.2g}", *seconds))
    sizes = ("features float16", "int8", "index float16", "int8")
    times = ("encoding, core hours", "dense, core s", "index, core s", f"index within {AROUND_M / 1000:g} km, core s")
    print_results("Extrapolated from these by area", ("map", *sizes, *times), rows)


def main() -> None:
    of_map = {storage: in_own_process(measure_map, storage)[0] for storage in STORAGES}
    print_map(of_map)
    kinds = [(kind, storage) for kind in ("FAISS", "Qdrant") for storage in STORAGES]
    of_index = {key: in_own_process(measure_index, *key)[0] for key in kinds}
    print_index(of_index)
    print_areas(of_map, of_index)


if __name__ == "__main__":
    run(main)
