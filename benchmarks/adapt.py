"""Weights adapted to streets that look unlike those of their training: recall on other streets, before and after.

    python benchmarks/adapt.py DATA --out FOLDER [--bands 2 3 1] [--track track.jsonl]

DATA is a data set of one town with an overhead map, as `cvlnet synth --preset drives --towns 1` makes it. The overhead
image is shown with its bands in another order, as no training has seen it. The weights are adapted to the first drive,
whose positions are off by a constant 3 m to the east and 2 m to the south and by errors of 2 m that change slowly, and
judged on the other drives, on the same image and on that with its bands as they are. With --track, a file that `cvlnet
track` wrote of the first drive, they are adapted to the places that it was sure of instead.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cvlnet.checkpoint import load_model, load_tensors, save_tensors, shipped_weights
from cvlnet.config import AdaptConfig, RasterHints
from cvlnet.data.clips import ClipSpec
from cvlnet.data.drive_samples import DriveSamples, taken_along
from cvlnet.data.kitti_cvl import read_recordings, read_split
from cvlnet.data.recording import Recording
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.imagery.georef import open_overhead
from cvlnet.map.region import encode_region
from cvlnet.track.logged import sure_positions
from cvlnet.training.adapt import SHARE, adapt, lines, mean_of, skill
from measure import print_results, run

OFFSET_M = (3.0, -2.0)
ERROR_M, CHANGES_M = 2.0, 50.0
JUDGED_M = 25.0  # between the clips that are judged
SHARES = (0.0, 0.25, 0.5, 1.0)  # of the fine-tuned weights in the mean with those before; `cvlnet adapt` writes 0.5


def disturbed(recording: Recording) -> dict[int, LatLon]:
    """The positions of a recording, as a receiver measures them that is a few metres off."""
    rng = np.random.default_rng(0)
    error_m, before, found = rng.normal(0, ERROR_M, 2), recording.frames[0].position, {}
    for frame in recording.frames:
        way_m = float(np.linalg.norm(LocalFrame(before).xy_world_m(frame.position.degrees)))
        kept = np.exp(-way_m / CHANGES_M)
        error_m = kept * error_m + np.sqrt(1 - kept**2) * rng.normal(0, ERROR_M, 2)
        place = LocalFrame(frame.position).latlon_deg(error_m + OFFSET_M)
        found[frame.index], before = LatLon(*place.tolist()), frame.position
    return found


def judged(weights: Path, recordings: list[Recording], overhead: Path, hints: RasterHints) -> list[str]:
    """Recall and probability on drives, with positions as they are."""
    model, _ = load_model(weights)
    image = open_overhead(overhead, hints)
    region, spec = encode_region(model, image), ClipSpec(model.image_spec)
    skills, clips = [], []
    for recording in tqdm(recordings, "judging"):
        places = {frame.index: frame.position for frame in recording.frames}
        taken = taken_along(recording, places, spec, image, model.tile_grid, JUDGED_M)
        samples = DriveSamples(recording, taken, image, spec, model.tile_grid)
        skills.append(skill(model, samples, region, AdaptConfig().position_error_m))
        clips.append(len(taken))
    share = np.average([of.found for of in skills], weights=clips)
    probability = np.average([of.log_probability for of in skills], weights=clips)
    return [str(sum(clips)), f"{100 * share:.1f}", f"{probability:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data set of one town with an overhead map")
    parser.add_argument("--out", type=Path, required=True, help="folder of the adapted weights, kept between calls")
    parser.add_argument("--bands", type=int, nargs=3, default=(2, 3, 1), help="order of the image's bands")
    parser.add_argument("--track", type=Path, help="track.jsonl of the first drive to learn from, for its positions")
    parser.add_argument("--steps", type=int, default=AdaptConfig().steps, help="of the adaptation")
    asked = parser.parse_args()
    recordings = list(read_recordings(read_split(asked.data, "test1")).values())
    overheads = list((asked.data / "overhead").glob("*.tif"))
    if len(overheads) != 1:
        what = f"has {len(overheads)} overhead maps instead of one"
        raise InputError(what, where=asked.data, remedy="make it by cvlnet synth --preset drives --towns 1")
    (overhead,) = overheads
    asked.out.mkdir(parents=True, exist_ok=True)
    strange, usual, before = RasterHints(bands=tuple(asked.bands)), RasterHints(), shipped_weights()
    after = asked.out / ("adapted.safetensors" if asked.track is None else "adapted-to-track.safetensors")
    if not after.exists():
        first = recordings[0]
        image = open_overhead(overhead, strange)
        config = AdaptConfig(steps=asked.steps)
        positions = disturbed(first) if asked.track is None else sure_positions(asked.track, first.name)
        print("\n".join(lines(adapt(first, positions, image, before, after, config, workers=0))))
    (start, _), (mean, provenance) = load_tensors(before), load_tensors(after)
    rows = []
    for share in SHARES:
        weights = asked.out / f"share-{share:g}.safetensors"
        save_tensors(weights, mean_of(start, mean, share / SHARE), provenance)
        of = [judged(weights, recordings[1:], overhead, hints) for hints in (strange, usual)]
        rows.append([f"{100 * share:.0f}", *of[0], *of[1]])
    figures = ("clips", "found within 15 m, %", "mean log probability")
    header = ("% of fine-tuned weights", *figures, *(f"{name}, bands as they are" for name in figures))
    print_results("Adapted to one drive", header, rows)


if __name__ == "__main__":
    run(main)
