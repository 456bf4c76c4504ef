"""Real frames over real imagery: clips, each sought on a whole overhead image.

    python benchmarks/real_kitti.py
    python benchmarks/real_kitti.py --symmetries
    python benchmarks/real_kitti.py --queries QUERIES.json

Without QUERIES five clips of KITTI on images of 250 m, which lie outside the repository (``--shared``, in the layout of
docs/results/real-streets.md); where they are absent there is nothing to measure. QUERIES.json lists clips of your own:

    {"queries": [{"drive": "my-drive", "overhead": "town.tif", "frame": 120, "frames": 4}]}

Paths start at the list's folder. drive: of KITTI, or a video folder with latitudes and longitudes, which are the truth.
overhead: a GeoTIFF, or a picture with georef.json. frame: the newest one. frames: of the clip, 4 if it is not given.
Candidates are all peaks of the score that stand 10 m apart. With ``--symmetries`` every clip is sought in eight worlds,
turned by quarter turns and mirrored, which says more than one answer: to the network they are eight places.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import log, pi, radians
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cvlnet.config import MOST_PITCH_ERROR_DEG, PITCH_ERROR_DEG
from cvlnet.data.clips import mirrored, turned
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.overhead import Imagery, OverheadImage
from cvlnet.io.text import read_json
from cvlnet.localize import Localizer
from cvlnet.localize.answer import Answer
from cvlnet.localize.clip_files import files_of, read_clip
from cvlnet.localize.picture import draw
from cvlnet.localize.search import MOST_FIXES
from cvlnet.types import Clip
from measure import print_results, run

DATE = "2011_09_26"
FOUND_M = 12.0
MOST_CANDIDATES = 100_000  # which no image of a street has
MOST_QUERIES = 10_000
SHARED = Path(__file__).resolve().parents[2] / "shared"
KITTI = {"0002": ((9, 4), (38, 1), (75, 1)), "0009": ((223, 1), (445, 1))}  # newest frame, frames of the clip
LIST = 'write {"queries": [{"drive": ..., "overhead": ..., "frame": ..., "frames": ...}, ...]}'


@dataclass(frozen=True)
class Query:
    """A clip to be found. frame: the newest of its ``frames``."""

    name: str
    drive: Path
    overhead: Path
    frame: int
    frames: int


@dataclass(frozen=True)
class Symmetry:
    """A world that is mirrored, north for south, and then turned counter-clockwise by quarter turns."""

    quarter_turns: int
    is_mirrored: bool

    def image(self, image: OverheadImage) -> OverheadImage:
        """The image of that world. Raises InputError unless it is square."""
        rows, cols = image.shape
        if rows != cols:
            raise InputError("is not square", where=image.source, remedy="leave --symmetries out")
        valid = None if image.valid is None else self._moved(image.valid)
        return replace(image, pixels=self._moved(image.pixels), valid=valid)

    def place(self, image: OverheadImage, place: LatLon) -> LatLon:
        """Where a place of the image is then."""
        half_px = image.shape[0] / 2
        x_px, y_px = (image.raster.xy_px(place.degrees) - half_px).tolist()
        y_px = -y_px if self.is_mirrored else y_px
        for _ in range(self.quarter_turns):
            x_px, y_px = y_px, -x_px
        return LatLon(*image.raster.latlon_deg(np.array([x_px, y_px]) + half_px).tolist())

    def _moved(self, pixels: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(np.rot90(pixels[::-1] if self.is_mirrored else pixels, self.quarter_turns))

    def clip(self, clip: Clip) -> Clip:
        """The clip of that world."""
        return turned(mirrored(clip) if self.is_mirrored else clip, self.quarter_turns * pi / 2)


SYMMETRIES = tuple(Symmetry(turns, is_mirrored) for is_mirrored in (False, True) for turns in range(4))


@dataclass(frozen=True)
class Case:
    """How one clip fared. rank: of the first of the ``candidates`` within 12 m, if any is."""

    drive: str
    frame: int
    frames: int
    error_m: float
    rank: int | None
    candidates: int
    random_error_m: float
    confidence: float | None

    @property
    def counted_rank(self) -> int:
        """A place that no candidate names ranks behind all of them."""
        return self.candidates + 1 if self.rank is None else self.rank


def main() -> None:
    options = parse_options()
    queries = kitti_queries(options.shared) if options.queries is None else read_queries(options.queries)
    if queries:
        localizer, pitch_error_rad = Localizer(options.weights), radians(options.pitch_error_deg)
        if options.symmetries:
            report_symmetries(localizer, queries, pitch_error_rad)
        else:
            report(asked(localizer, queries, options.pictures, pitch_error_rad), options.json)
    else:
        print(f"skipped: no real frames in {options.shared}")


def kitti_queries(shared: Path) -> list[Query]:
    """Five clips of KITTI; none where the frames are absent."""
    drives = {drive: shared / f"kitti/raw_data/{DATE}/{DATE}_drive_{drive}_sync" for drive in KITTI}
    if not all(path.is_dir() for path in drives.values()):
        return []
    return [
        Query(drive, drives[drive], shared / "overhead" / f"{DATE}_drive_{drive}.png", frame, frames)
        for drive, clips in KITTI.items()
        for frame, frames in clips
    ]


def read_queries(path: Path) -> list[Query]:
    """The queries of a list. Raises InputError if it is none, or an entry has not what a query needs."""
    entries = read_json(path, LIST).get("queries")
    if not isinstance(entries, list) or not 0 < len(entries) <= MOST_QUERIES:
        raise InputError(f"has no list of 1 to {MOST_QUERIES} queries", where=path, remedy=LIST)
    return [_query(path, number, entry) for number, entry in enumerate(entries, 1)]


def _query(path: Path, number: int, entry: Any) -> Query:
    given: dict[str, Any] = {"frames": 4} | entry if isinstance(entry, dict) else {}
    kinds = {"drive": str, "overhead": str, "frame": int, "frames": int}
    where = f"{path}, query {number}"
    for key in given.keys() - kinds.keys():
        raise InputError(f"has the key {key}, which is unknown", where=where, remedy=LIST)
    for key, kind in kinds.items():
        if type(given.get(key)) is not kind:
            raise InputError(f"has no {key}, or one of another type than {kind.__name__}", where=where, remedy=LIST)
    drive = path.parent / given["drive"]
    return Query(drive.name, drive, path.parent / given["overhead"], given["frame"], given["frames"])


def asked(
    localizer: Localizer,
    queries: Sequence[Query],
    pictures: Path | None = None,
    pitch_error_rad: float = radians(PITCH_ERROR_DEG),
    symmetry: Symmetry | None = None,
) -> list[Case]:
    """How every clip fares. pictures: a folder to draw the answers into. pitch_error_rad: as of `Localizer.locate`."""
    images = {query.overhead: open_overhead(query.overhead) for query in queries}
    shown = images if symmetry is None else {path: symmetry.image(_whole(image)) for path, image in images.items()}
    regions = {path: localizer.encode(image) for path, image in shown.items()}
    cases = []
    for query in queries:
        image, region = shown[query.overhead], regions[query.overhead]
        files = replace(files_of(query.drive), frame=query.frame, frames=query.frames)
        clip, truth = read_clip(files, localizer.model.image_spec)
        if truth is None:
            remedy = "give its poses as latitudes and longitudes"
            raise InputError("where it was taken is not known", where=query.drive, remedy=remedy)
        if symmetry is not None:
            clip, truth = symmetry.clip(clip), symmetry.place(_whole(images[query.overhead]), truth)
        if not region.searches(truth):
            what = f"frame {query.frame} was not taken on {query.overhead.name}"
            raise InputError(what, where=query.drive, remedy="choose the image of its place")
        answer = localizer.locate(
            clip, image, region=region, pitch_error_rad=pitch_error_rad, most=MOST_CANDIDATES, truth=truth
        )
        cases.append(judge(answer, query))
        if pictures:
            path = pictures / f"{query.name}_{query.frame}.png"
            draw(replace(answer, fixes=answer.fixes[:MOST_FIXES]), path)
    return cases


def _whole(image: Imagery) -> OverheadImage:
    """An image that is in memory. Raises InputError if it is too large for that."""
    if not isinstance(image, OverheadImage):
        raise InputError("is too large to be turned", where=image.source, remedy="leave --symmetries out")
    return image


def report_symmetries(localizer: Localizer, queries: Sequence[Query], pitch_error_rad: float) -> None:
    """Print the ranks of every clip in the eight worlds."""
    worlds = [
        asked(localizer, queries, None, pitch_error_rad, symmetry)
        for symmetry in tqdm(SYMMETRIES, "worlds", leave=False)
    ]
    rows = []
    for cases in zip(*worlds, strict=True):
        ranks = " ".join(f"{case.rank or '-'}" for case in cases)
        rows.append((f"{cases[0].drive} / {cases[0].frame}", ranks, f"{mean_log_rank(list(cases)):.2f}"))
    header = ("drive / frame", f"ranks within {FOUND_M:g} m", "mean logarithm")
    print_results("Real frames over real imagery, turned and mirrored", header, rows)
    print(f"mean natural logarithm of the rank: {np.mean([mean_log_rank(cases) for cases in worlds]):.2f}")


def mean_log_rank(cases: list[Case]) -> float:
    """Mean natural logarithm of the true place's rank."""
    return float(np.mean([log(case.counted_rank) for case in cases]))


def judge(answer: Answer, query: Query) -> Case:
    """Compare all candidates with the truth."""
    truth, errors_m = answer.truth, answer.errors_m
    assert truth is not None
    assert errors_m is not None
    region = answer.region
    places_m = region.places.cell_centers_xy_m()[region.searched].numpy()
    return Case(
        drive=query.name,
        frame=query.frame,
        frames=len(answer.clip.images),
        error_m=errors_m[0],
        rank=next((rank for rank, error_m in enumerate(errors_m, 1) if error_m <= FOUND_M), None),
        candidates=len(errors_m),
        random_error_m=float(np.linalg.norm(places_m - region.frame.xy_world_m(truth.degrees), axis=1).mean()),
        confidence=answer.best.confidence,
    )


def report(cases: list[Case], path: Path | None) -> None:
    """Print the table and write JSON."""
    rows = [
        (
            f"{case.drive} / {case.frame}",
            f"{case.frames}",
            f"{case.error_m:.1f}",
            f"{case.random_error_m:.1f}",
            f"{case.rank or '-'}",
            f"{case.candidates}",
            "-" if case.confidence is None else f"{case.confidence:.2f}",
        )
        for case in cases
    ]
    header = (
        "drive / frame",
        "frames",
        "error m",
        "chance level m",
        f"rank within {FOUND_M:g} m",
        "candidates",
        "confidence",
    )
    print_results("Real frames over real imagery", header, rows)
    mean = mean_log_rank(cases)
    print(f"mean natural logarithm of the rank: {mean:.2f} (no rank counts as one more than the candidates)")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        told = {"mean_log_rank": mean, "cases": [asdict(case) for case in cases]}
        path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="file of weights; the package's own if not given")
    parser.add_argument(
        "--pitch-error-deg", type=float, default=PITCH_ERROR_DEG, help="as of cvlnet localize; 0 tries no other pitch"
    )
    parser.add_argument("--queries", type=Path, help="list of clips to find; by default those of KITTI")
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder of KITTI's frames and images")
    parser.add_argument("--symmetries", action="store_true", help="seek every clip eight times: turned and mirrored")
    parser.add_argument("--pictures", type=Path, help="draw every answer into this folder")
    parser.add_argument("--json", type=Path, help="write all figures into this file")
    options = parser.parse_args()
    if not 0 <= options.pitch_error_deg <= MOST_PITCH_ERROR_DEG:
        parser.error(f"--pitch-error-deg is from 0 to {MOST_PITCH_ERROR_DEG:g}")
    return options


if __name__ == "__main__":
    run(main)
