"""The pose of a clip whose place is roughly known, as the literature on pose estimation states it.

    python benchmarks/pose.py DATA --out FOLDER

DATA is a data set with overhead maps, as `cvlnet synth` makes it. The place is known to 20 m along each axis, and the
heading to 10 degrees, both evenly distributed, as in the protocol on KITTI of Shi and Li (CVPR 2022) and those who
follow it. All places of that square and all headings are searched. Beside it: the middle of what is known, and pictures
that show nothing. "Without offset": less the median error of the drive, most of which is the misregistration of the
overhead image. Each way leaves a file in FOLDER and is not computed again.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from math import radians
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from cvlnet.data.clips import ClipErrors, ClipSpec, misdescribed
from cvlnet.data.kitti_cvl import read_recordings, read_split
from cvlnet.data.odometry import wrapped_rad
from cvlnet.data.samples import ClipTileSamples
from cvlnet.evaluation.metrics import longitudinal_lateral_m
from cvlnet.io.files import written_whole
from cvlnet.localize import Localizer
from cvlnet.localize.search import scores_around
from cvlnet.localize.turned import TurnedClip
from cvlnet.map.region import Region
from cvlnet.track.likelihood import Likelihood
from cvlnet.track.measure import measured_around
from cvlnet.track.odometry import OdometryNoise
from cvlnet.track.pose_filter import PoseBelief
from cvlnet.types import Clip
from measure import evenly, print_results, run, slug
from track import map_of

PRIOR_M, PRIOR_DEG = 20.0, 10.0
STEP_RAD = radians(10 / 3)  # between the headings of the search
FINE_RAD = radians(3.0)  # and of the measurement at the best one
AROUND_M = 150.0
BOUNDS = (1.0, 3.0, 5.0)  # metres and degrees
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """A query. xy_m, yaw_rad: truth, around the drive's date. off_m, off_rad: of what is known from the truth."""

    drive: str
    clip: Clip
    region: Region
    xy_m: F64
    yaw_rad: float
    off_m: F64
    off_rad: float


def pose_errors(localizer: Localizer, asked: Asked) -> tuple[F64, float]:
    """Error of the place (east, north) and of the heading: those of the best score among all that are possible."""
    clip = TurnedClip(localizer.model, misdescribed(asked.clip, ClipErrors(heading_rad=asked.off_rad)))
    turns = tuple(np.arange(-3, 4) * STEP_RAD)
    places = asked.region.places
    known = places.row_col(torch.from_numpy(asked.xy_m + asked.off_m)).round().long()
    reach = int(PRIOR_M / places.cell_m)
    scores = scores_around(clip.features(turns), asked.region, known, reach)
    turn, row, col = np.unravel_index(int(scores.argmax()), tuple(scores.shape))
    best_m = places.xy_m((known + torch.tensor([row - reach, col - reach])).double()).numpy()
    fine = tuple(turns[turn] + step * FINE_RAD for step in (-1, 0, 1))
    near = np.diag([places.cell_m**2, places.cell_m**2, FINE_RAD**2])
    expected = PoseBelief.at(np.array([*best_m, turns[turn]]), near, OdometryNoise())
    found = measured_around(clip.features(fine), fine, asked.region, expected, Likelihood(), 1.0)
    if found is None:
        return best_m - asked.xy_m, asked.off_rad + turns[turn]
    heading = turns[turn] if found.turn_rad is None else found.turn_rad
    return found.xy_m - asked.xy_m, asked.off_rad + heading


def queries(localizer: Localizer, root: Path, most: int, out: Path) -> list[Asked]:
    """Test queries of a data set, evenly spaced, each with what is known of it."""
    split = read_split(root, "test2")
    recordings = read_recordings(split)
    model = localizer.model
    samples = ClipTileSamples(split, recordings, ClipSpec(model.image_spec), model.tile_grid)
    rng = np.random.default_rng(0)
    found = []
    for number in evenly(len(samples), most):
        query = samples.queries[number]
        frame = recordings[query.recording].frame(query.frame)
        assert frame is not None
        area = localizer.area(map_of(localizer, root, query.date, out))
        off_m = rng.uniform(-PRIOR_M, PRIOR_M, 2)
        off_rad = radians(float(rng.uniform(-PRIOR_DEG, PRIOR_DEG)))
        region = area.map.region(near=frame.position, radius_m=AROUND_M)
        xy_m = region.frame.xy_world_m(frame.position.degrees)
        clip = samples[number].clip
        found.append(Asked(query.recording, clip, region, xy_m, frame.yaw_rad, off_m, off_rad))
    return found


def computed(way: str, localizer: Localizer, root: Path, most: int, out: Path) -> dict[str, F64]:
    """The errors of all queries under one way; from its file where they were computed before."""
    path = out / f"{slug(way)}.npz"
    if not path.exists():
        drives, off_m, off_rad, yaw_rad = [], [], [], []
        for asked in tqdm(queries(localizer, root, most, out), way):
            if way == "the middle of what is known":
                errors = asked.off_m, asked.off_rad
            else:
                images = asked.clip.images
                shown = images if way == "found" else torch.full_like(images, 127)
                errors = pose_errors(localizer, replace(asked, clip=replace(asked.clip, images=shown)))
            drives.append(asked.drive)
            off_m.append(errors[0])
            off_rad.append(wrapped_rad(errors[1]))
            yaw_rad.append(asked.yaw_rad)
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                drive=np.array(drives),
                off_m=np.array(off_m),
                off_rad=np.array(off_rad),
                yaw_rad=np.array(yaw_rad),
            )
    with np.load(path) as kept:
        return {name: kept[name] for name in kept.files}


def row(name: str, off_m: F64, off_rad: F64, yaw_rad: F64) -> tuple[str, ...]:
    """A line of the table."""
    ahead_m, left_m = np.abs(longitudinal_lateral_m(off_m, yaw_rad)).T
    away_m, turned_deg = np.linalg.norm(off_m, axis=1), np.degrees(np.abs(off_rad))
    shares = [f"{100 * (error <= bound).mean():.1f}" for error in (left_m, ahead_m, turned_deg) for bound in BOUNDS]
    means = [
        f"{np.mean(away_m):.2f}",
        f"{np.median(away_m):.2f}",
        f"{np.mean(turned_deg):.2f}",
        f"{np.median(turned_deg):.2f}",
    ]
    return (name, *shares, *means)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data set with overhead maps")
    parser.add_argument("--out", type=Path, required=True, help="folder of results and maps, kept between calls")
    parser.add_argument("--most", type=int, default=400, help="queries")
    parser.add_argument("--weights", type=Path, help="file of weights; the package's own by default")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    localizer = Localizer(asked.weights)
    rows = []
    for way in ("found", "the middle of what is known", "pictures that show nothing"):
        errors = computed(way, localizer, asked.data, asked.most, asked.out)
        off_m, off_rad, yaw_rad = errors["off_m"], errors["off_rad"], errors["yaw_rad"]
        rows.append(row(way, off_m, off_rad, yaw_rad))
        if way == "found":
            own_m = np.zeros_like(off_m)
            for drive in set(errors["drive"].tolist()):
                own_m[errors["drive"] == drive] = np.median(off_m[errors["drive"] == drive], axis=0)
            rows.append(row("found, without offset", off_m - own_m, off_rad, yaw_rad))
    header = (
        "",
        *(
            f"{axis} {bound:g} {unit}"
            for axis, unit in (("lateral", "m"), ("longitudinal", "m"), ("heading", "deg"))
            for bound in BOUNDS
        ),
        "mean m",
        "median m",
        "mean deg",
        "median deg",
    )
    count = len(errors["yaw_rad"])
    print_results(f"{count} clips, known to {PRIOR_M:g} m and {PRIOR_DEG:g} degrees; % within", header, rows)


if __name__ == "__main__":
    run(main)
