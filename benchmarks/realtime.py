"""A drive tracked in real time: how long each moment takes, and how late its fix comes after the camera.

    python benchmarks/realtime.py MAP DRIVE...

Every moment of a KITTI drive waits from its own time on, and is taken once those before it are done, as from a queue
that drops nothing. The clock runs only while the tracker computes, so that a drive takes no longer than that.
Decoding the pictures counts. The heading is known to five degrees, or not at all.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from cvlnet.data.journey import Journey, journey_of
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.localize import Localizer
from cvlnet.localize.turned import Heading
from cvlnet.track.follow import follow
from cvlnet.track.odometry import OdometryErrors, with_errors
from cvlnet.track.tracker import Tracker
from measure import print_results, run

LATE_S = 0.1  # until the next moment of a camera with 10 pictures a second


def computed(tracker: Tracker, journey: Journey) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """The time of every moment, how long it took, and whether the vehicle was tracked then."""
    time_s, took_s, tracked = list[float](), list[float](), list[bool]()
    begin_s = perf_counter()
    for fix in follow(tracker, journey):
        took_s.append(perf_counter() - begin_s)
        time_s.append(fix.time_s)
        tracked.append(fix.state == "tracking")
        begin_s = perf_counter()
    return np.array(time_s), np.array(took_s), np.array(tracked)


def lateness_s(
    time_s: Sequence[float] | NDArray[np.float64], took_s: Sequence[float] | NDArray[np.float64]
) -> NDArray[np.float64]:
    """How long after its own time each moment is done, if one is taken after the other."""
    done_s, late_s = -np.inf, []
    for at_s, for_s in zip(time_s, took_s, strict=True):
        done_s = max(done_s, at_s) + for_s
        late_s.append(done_s - at_s)
    return np.array(late_s)


def row(name: str, drives: Sequence[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]]) -> list[str]:
    """A line of the table for some moments of all drives, of which each has its own queue."""
    late_s = np.concatenate([lateness_s(time_s, took_s) for time_s, took_s, _ in drives])
    took_s = np.concatenate([took_s for _, took_s, _ in drives])
    length_s = sum(float(time_s[-1] - time_s[0]) for time_s, _, _ in drives)
    times = [f"{1000 * value:.0f}" for value in np.quantile(took_s, (0.5, 0.95, 0.99, 1.0))]
    busy, late = 100 * took_s.sum() / length_s, 100 * (late_s > LATE_S).mean()
    return [name, f"{len(late_s):,}", *times, f"{busy:.0f}", f"{late:.1f}", f"{late_s.max():.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("map", type=Path, help="map of cvlnet map build")
    parser.add_argument("drives", type=Path, nargs="+", metavar="DRIVE", help="KITTI drives on it")
    asked = parser.parse_args()
    localizer = Localizer()
    rows = []
    for heading in ("±5", "unknown"):
        drives = []
        for number, path in enumerate(asked.drives):
            errors = OdometryErrors.drawn(number, yaw_deg=5.0 if heading == "±5" else 180.0)
            tracker = Tracker(localizer.area(asked.map), localizer.model, heading=Heading.parse(heading))
            drives.append(computed(tracker, with_errors(journey_of(read_recording(path)), errors)))
        rows.append(row(f"heading {heading}", drives))
        tracked = [
            tuple(values[np.argmax(tracked) :] for values in (at, took, tracked)) for at, took, tracked in drives
        ]
        rows.append(row(f"heading {heading}, once found", tracked))  # type: ignore[arg-type]
    header = ("", "moments", "ms, median", "95 %", "99 %", "longest", "% busy", "% later than 0.1 s", "latest, s")
    print_results("Tracking in real time", header, rows)


if __name__ == "__main__":
    run(main)
