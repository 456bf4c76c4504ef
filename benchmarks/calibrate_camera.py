"""How well a camera's mounting is found from false starts.

    python benchmarks/calibrate_camera.py DRIVE [DRIVE ...]

DRIVE is the folder of a drive, of KITTI or of a town. Each is calibrated from starts that are wrong by 4 degrees and
0.4 m, both ways; errors are those against the drive's own calibration.
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drives", nargs="+", type=Path)
    drives = parser.parse_args().drives
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    table = [row for drive in tqdm(drives, "drives") for row in rows(drive)]
    print_results("Mounting found from false starts", HEADER, table)


if __name__ == "__main__":
    run(main)
