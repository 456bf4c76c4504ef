"""How well a camera's mounting is found from false starts, and its focal length.

    python benchmarks/calibrate_camera.py DRIVE [DRIVE ...]
    python benchmarks/calibrate_camera.py DRIVE [DRIVE ...] --focal

DRIVE is the folder of a drive, of KITTI or of a town. Each is calibrated from starts that are wrong by 4 degrees and
0.4 m, both ways; errors are those against the drive's own calibration. With --focal the focal length is wrong by 5 and
10 %, both ways, too, with a pitch and a height that are wrong by 2 degrees and 0.2 m.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from math import degrees, radians
from pathlib import Path
from time import perf_counter

import cv2
import torch
from tqdm import tqdm

from cvlnet.calibration.doubt import mounting_doubt
from cvlnet.calibration.estimate import calibrated
from cvlnet.calibration.focal import focal_found, scaled
from cvlnet.calibration.stretches import read_stretches
from cvlnet.data.journey import journey_of
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.errors import InputError
from cvlnet.road.geometry import Mounting
from cvlnet.road.tracks import whole
from measure import print_results, run

CAMERA = 2
STARTS = ((radians(4.0), 0.4), (radians(-4.0), -0.4))
HEADER = ("drive", "start", "roll, deg", "pitch, deg", "yaw, deg", "height, cm", "sigma pitch, height", "doubts", "s")

FOCAL_SHARES = (-0.1, -0.05, 0.05, 0.1)
FOCAL_HEADER = ("drive", "start", "found, %", "sigma, %", "mounting, focal length as stated", "as found", "s")


def rows(drive: Path) -> Iterator[tuple[str, ...]]:
    """Errors from every start, and of how many stretches the false mounting and the true one are doubted."""
    journey = journey_of(read_recording(drive))
    full = journey.cameras[CAMERA].camera
    camera, true = whole(full).camera(full), Mounting.of(journey.road_from_cam(CAMERA))
    stretches = read_stretches(journey, CAMERA)
    right = [mounting_doubt(camera, true, stretch) for stretch in stretches]
    for pitch_rad, height_m in STARTS:
        name, start = drive.name, f"{degrees(pitch_rad):+.0f} deg, {height_m:+.1f} m"
        stated = replace(true, pitch_rad=true.pitch_rad + pitch_rad, height_m=true.height_m + height_m)
        wrong = [mounting_doubt(camera, stated, stretch) for stretch in stretches]
        shares = [
            f"{sum(d.doubtful for d in found if d)} / {sum(d is not None for d in found)}" for found in (wrong, right)
        ]
        doubts = " and ".join(shares)
        begun = perf_counter()
        try:
            found = calibrated(camera, stated, stretches, name)
        except InputError as error:
            yield name, start, error.what, *[""] * 4, doubts, f"{perf_counter() - begun:.0f}"
            continue
        own = found.mounting
        angles = (own.roll_rad - true.roll_rad, own.pitch_rad - true.pitch_rad, own.yaw_rad - true.yaw_rad)
        errors = [f"{degrees(angle):+.2f}" for angle in angles]
        sigma = f"{degrees(found.sigma[1]):.2f} deg, {100 * found.sigma[3]:.1f} cm"
        height = f"{100 * (own.height_m - true.height_m):+.1f}"
        yield name, start, *errors, height, sigma, doubts, f"{perf_counter() - begun:.0f}"


def focal_rows(drive: Path) -> Iterator[tuple[str, ...]]:
    """Errors of the focal length, and of the mounting if the focal length that was found is used, and if not."""
    journey = journey_of(read_recording(drive))
    full = journey.cameras[CAMERA].camera
    camera, true = whole(full).camera(full), Mounting.of(journey.road_from_cam(CAMERA))
    bends, stretches = read_stretches(journey, CAMERA, bends=True), read_stretches(journey, CAMERA)
    stated = replace(true, pitch_rad=true.pitch_rad + radians(2.0), height_m=true.height_m + 0.2)
    for share in FOCAL_SHARES:
        wrong, begun = scaled(camera, 1 + share), perf_counter()
        row = [drive.name, f"{100 * share:+.0f} %"]
        try:
            found = focal_found(wrong, stated, bends, drive.name)
        except InputError as error:
            yield (*row, error.what.partition(": ")[2], "", "", "", f"{perf_counter() - begun:.0f}")
            continue
        row += [f"{100 * ((1 + share) * found.scale - 1):+.1f}", f"{100 * found.sigma:.1f}"]
        for used in (wrong, scaled(wrong, found.scale)) if share == max(FOCAL_SHARES) else ():
            try:
                own = calibrated(used, stated, stretches, drive.name).mounting
                pitch_deg, height_cm = degrees(own.pitch_rad - true.pitch_rad), 100 * (own.height_m - true.height_m)
                row.append(f"{pitch_deg:+.2f} deg, {height_cm:+.1f} cm")
            except InputError as error:
                row.append(error.what)
        yield (*row, *[""] * (6 - len(row)), f"{perf_counter() - begun:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drives", nargs="+", type=Path)
    parser.add_argument("--focal", action="store_true", help="seek the focal length, too")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if asked.focal:
        table = [row for drive in tqdm(asked.drives, "drives") for row in focal_rows(drive)]
        print_results("Focal length found from bends", FOCAL_HEADER, table)
        return
    table = [row for drive in tqdm(asked.drives, "drives") for row in rows(drive)]
    print_results("Mounting found from false starts", HEADER, table)


if __name__ == "__main__":
    run(main)
