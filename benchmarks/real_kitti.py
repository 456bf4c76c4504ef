"""Real frames over real imagery: KITTI clips, each sought on a whole overhead image of 250 m.

The frames and images lie outside the repository (``--shared``, in the layout of docs/results/real-streets.md); without
them there is nothing to measure. Candidates are all peaks of the score that stand 10 m apart.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from math import log
from pathlib import Path

import numpy as np

from cvlnet.checkpoint import load_model, shipped_weights
from cvlnet.data.clips import ClipSpec, assemble_clip
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.data.recording import Recording
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.overhead import Imagery
from cvlnet.localize.answer import Answer
from cvlnet.localize.picture import draw
from cvlnet.localize.search import MOST_FIXES, distinct, search
from cvlnet.map.region import Region, encode_region
from cvlnet.model.cvlnet import CVLNet
from measure import print_results, run

DATE = "2011_09_26"
FOUND_M = 12.0
SHARED = Path(__file__).resolve().parents[2] / "shared"
CASES = {"0002": ((9, 4), (38, 1), (75, 1)), "0009": ((223, 1), (445, 1))}  # newest frame, frames of the clip


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
    margin: float

    @property
    def counted_rank(self) -> int:
        """A place that no candidate names ranks behind all of them."""
        return self.candidates + 1 if self.rank is None else self.rank


def main() -> None:
    options = parse_options()
    model, _ = load_model(options.weights or shipped_weights())
    cases = real_cases(model, options.shared, options.pictures)
    if cases:
        report(cases, options.json)
    else:
        print(f"skipped: no real frames in {options.shared}")


def real_cases(model: CVLNet, shared: Path, pictures: Path | None = None) -> list[Case]:
    """How every clip fares; none where the frames are absent. pictures: a folder to draw the answers into."""
    drives = {drive: shared / f"kitti/raw_data/{DATE}/{DATE}_drive_{drive}_sync" for drive in CASES}
    if not all(path.is_dir() for path in drives.values()):
        return []
    cases = []
    for drive, clips in CASES.items():
        recording = read_recording(drives[drive])
        image = open_overhead(shared / "overhead" / f"{DATE}_drive_{drive}.png")
        region = encode_region(model, image)
        for frame, frames in clips:
            answer = locate(model, recording, frame, frames, image, region)
            cases.append(judge(answer, drive, frame))
            if pictures:
                draw(replace(answer, fixes=answer.fixes[:MOST_FIXES]), pictures / f"{drive}_{frame}.png")
    return cases


def mean_log_rank(cases: list[Case]) -> float:
    """Mean natural logarithm of the true place's rank."""
    return float(np.mean([log(case.counted_rank) for case in cases]))


def locate(model: CVLNet, recording: Recording, frame: int, frames: int, image: Imagery, region: Region) -> Answer:
    """The answer for one clip, with the truth."""
    clip = assemble_clip(recording, frame, ClipSpec(model.image_spec, frames))
    scores = search(model, clip, region)
    fixes = distinct(region, scores, model.sharpness.item(), most=None)
    taken = recording.frame(frame)
    assert taken is not None  # the clip was assembled
    return Answer(clip, image, region, scores, fixes, taken.position)


def judge(answer: Answer, drive: str, frame: int) -> Case:
    """Compare all candidates with the truth."""
    truth, errors_m = answer.truth, answer.errors_m
    assert truth is not None
    assert errors_m is not None
    region = answer.region
    places_m = region.places.cell_centers_xy_m()[region.searched].numpy()
    return Case(
        drive=drive,
        frame=frame,
        frames=len(answer.clip.images),
        error_m=errors_m[0],
        rank=next((rank for rank, error_m in enumerate(errors_m, 1) if error_m <= FOUND_M), None),
        candidates=len(errors_m),
        random_error_m=float(np.linalg.norm(places_m - region.frame.xy_world_m(truth.degrees), axis=1).mean()),
        margin=answer.fixes[0].margin,
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
            f"{case.margin:.3f}",
        )
        for case in cases
    ]
    header = (
        "drive / frame",
        "frames",
        "error m",
        "random guess m",
        f"rank within {FOUND_M:g} m",
        "candidates",
        "margin",
    )
    print_results("Real KITTI frames over real imagery", header, rows)
    mean = mean_log_rank(cases)
    print(f"mean natural logarithm of the rank: {mean:.2f} (no rank counts as one more than the candidates)")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        told = {"mean_log_rank": mean, "cases": [asdict(case) for case in cases]}
        path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="file of weights; the package's own if not given")
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--pictures", type=Path, help="draw every answer into this folder")
    parser.add_argument("--json", type=Path, help="write all figures into this file")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
