"""The smoother of tracks beside a factor graph of the same measurements. Needs gtsam: pip install gtsam.

    python benchmarks/smoother.py DRIVES --out FOLDER

DRIVES is a data set with overhead maps, as for benchmarks/track.py, whose odometry's errors are taken, too. Each drive
is tracked once. What the tracker's Kalman filter measured is then put together by the filter itself, by the smoother of
`cvlnet track --smooth` (Rauch, Tung and Striebel), and by GTSAM: the motions as factors between poses with an unknown
scale and drift, the measured places and headings as factors with an unknown aim of the cameras and a Gaussian or a
robust kernel. All see the same motions, measurements and covariances. Maps are kept in FOLDER.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from unittest.mock import patch

import gtsam
import numpy as np
from gtsam.symbol_shorthand import X
from scipy.stats import chi2
from tqdm import tqdm

from cvlnet.data.journey import Journey
from cvlnet.data.odometry import OdometryPose, wrapped_rad
from cvlnet.localize import Localizer
from cvlnet.localize.turned import Heading
from cvlnet.track.evaluate import TrackErrors, errors_of
from cvlnet.track.follow import follow
from cvlnet.track.measure import Measurement, updated
from cvlnet.track.odometry import OdometryErrors, OdometryNoise, with_errors
from cvlnet.track.pose_filter import AIM, PoseBelief, motion_from
from cvlnet.track.smoother import Followed, smoothed
from cvlnet.track.tracker import Tracker
from cvlnet.track.types import TrackFix, Trajectory
from measure import print_results, run
from track import journeys, map_of

LEAST_SIGMA = np.array([1e-3, 1e-3, 1e-5])  # of a motion: a vehicle that stands has none, and a graph needs one
ERRORS = gtsam.symbol("o", 0)  # the odometry's scale and drift, and the cameras' aim
SEEN = np.eye(6)[:3] + np.outer([0, 0, 1], np.eye(6)[AIM])  # what pictures show of a pose and the errors


@dataclass(frozen=True)
class Measured:
    """What a drive's Kalman filter has seen. first: moment and belief at which it began. found: by moment."""

    moments: list[Followed]
    fixes: list[TrackFix]
    first: tuple[int, PoseBelief]
    found: dict[int, Measurement]


class Noting(Tracker):
    """A tracker that keeps its measurements, and the belief from which each stretch begins."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.found: dict[float, Measurement] = {}
        self.begun: list[tuple[float, PoseBelief]] = []

    def _refine(self, pose: PoseBelief) -> float | None:
        assert self._now is not None
        time_s = self._now.time_s

        def noted(expected: PoseBelief, found: Measurement) -> PoseBelief:
            turn_rad = None if found.turn_rad is None else found.turn_rad + expected.aim_rad
            self.found[time_s] = replace(found, turn_rad=turn_rad)  # as the pictures show it
            return updated(expected, found)

        with patch("cvlnet.track.tracker.updated", noted):
            return super()._refine(pose)

    def _judge(self) -> None:
        stretch = self._stretch
        super()._judge()
        if self._stretch > stretch and self._pose is not None and self._now is not None:
            self.begun.append((self._now.time_s, self._pose))


def measured(tracker: Noting, journey: Journey) -> Measured | None:
    """A drive, tracked; None unless it was tracked in one stretch to its end, which both smoothers take."""
    moments, fixes = [], []
    for fix in follow(tracker, journey):
        moments.append(tracker.followed)
        fixes.append(fix)
    if len(tracker.begun) != 1 or moments[-1].pose is None:
        return None
    number = {moment.odometry.time_s: i for i, moment in enumerate(moments)}
    time_s, belief = tracker.begun[0]
    return Measured(moments, fixes, (number[time_s], belief), {number[t]: m for t, m in tracker.found.items()})


def by_filter(drive: Measured, _: OdometryNoise) -> list[PoseBelief | None]:
    """What was known at the time."""
    return [moment.pose for moment in drive.moments]


def by_smoother(drive: Measured, noise: OdometryNoise) -> list[PoseBelief | None]:
    """As `cvlnet track --smooth`."""
    return list(smoothed(drive.moments, noise))


def by_graph(
    kernel: gtsam.noiseModel.mEstimator.Base | None,
) -> Callable[[Measured, OdometryNoise], list[PoseBelief | None]]:
    """A factor graph, with a robust kernel over the measurements."""

    def solve(drive: Measured, noise: OdometryNoise) -> list[PoseBelief | None]:
        poses = [moment.odometry for moment in drive.moments]
        graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
        start = by_smoother(drive, noise)
        last = start[-1]
        assert last is not None
        known = [belief or last for belief in start]
        for i, belief in enumerate(known):
            values.insert(X(i), belief.mean[:3])
        values.insert(ERRORS, known[-1].mean[3:])
        for i in range(len(poses) - 1):
            graph.add(motion_factor(i, poses[i], poses[i + 1], noise))
        at, belief = drive.first
        graph.add(observed_factor(at, np.eye(6), belief.mean, belief.covariance))
        for i, found in drive.found.items():
            covariance, mean = np.eye(3) * 1e6, np.append(found.xy_m, 0.0)
            covariance[:2, :2] = found.covariance_m2
            if found.turn_rad is not None:
                mean[2], covariance[2, 2] = found.turn_rad, found.turn_variance
            graph.add(observed_factor(i, SEEN, mean, covariance, kernel))
        values = gtsam.LevenbergMarquardtOptimizer(graph, values).optimize()
        marginals, errors = gtsam.Marginals(graph, values), values.atVector(ERRORS)
        beliefs: list[PoseBelief | None] = []
        for i in range(len(poses)):
            covariance = np.eye(6)
            covariance[:3, :3] = marginals.marginalCovariance(X(i))
            beliefs.append(PoseBelief(np.concatenate([values.atVector(X(i)), errors]), covariance))
        return beliefs

    return solve


def motion_factor(i: int, before: OdometryPose, after: OdometryPose, noise: OdometryNoise) -> gtsam.CustomFactor:
    """Between two poses, given the errors of odometry and cameras."""
    grown = motion_from(np.zeros(6), before, after, noise).grown[:3, :3]
    model = gtsam.noiseModel.Diagonal.Sigmas(np.maximum(np.sqrt(np.diag(grown)), LEAST_SIGMA))

    keys = [X(i), X(i + 1), ERRORS]

    def error(_: gtsam.CustomFactor, values: gtsam.Values, jacobians: list[np.ndarray] | None) -> np.ndarray:
        here, there, errors = map(values.atVector, keys)
        motion = motion_from(np.concatenate([here, errors]), before, after, noise)
        if jacobians is not None:
            jacobians[0], jacobians[1], jacobians[2] = -motion.change[:3, :3], np.eye(3), -motion.change[:3, 3:]
        return wrapped(there - motion.mean[:3])

    return gtsam.CustomFactor(model, keys, error)


def observed_factor(
    i: int,
    observe: np.ndarray,
    mean: np.ndarray,
    covariance: np.ndarray,
    kernel: gtsam.noiseModel.mEstimator.Base | None = None,
) -> gtsam.CustomFactor:
    """Measured combinations of a pose and the errors, the third of which is an angle."""
    model: gtsam.noiseModel.Base = gtsam.noiseModel.Gaussian.Covariance(covariance)
    if kernel is not None:
        model = gtsam.noiseModel.Robust.Create(kernel, model)

    keys = [X(i), ERRORS]

    def error(_: gtsam.CustomFactor, values: gtsam.Values, jacobians: list[np.ndarray] | None) -> np.ndarray:
        if jacobians is not None:
            jacobians[0], jacobians[1] = observe[:, :3], observe[:, 3:]
        return wrapped(observe @ np.concatenate([values.atVector(key) for key in keys]) - mean)

    return gtsam.CustomFactor(model, keys, error)


def wrapped(apart: np.ndarray) -> np.ndarray:
    """A difference whose third number is an angle."""
    apart[2] = wrapped_rad(float(apart[2]))
    return apart


WAYS: dict[str, Callable[[Measured, OdometryNoise], list[PoseBelief | None]]] = {
    "filter, as it goes": by_filter,
    "smoother (RTS)": by_smoother,
    "graph, Gaussian": by_graph(None),
    "graph, Huber": by_graph(gtsam.noiseModel.mEstimator.Huber.Create(1.345)),
    "graph, Cauchy": by_graph(gtsam.noiseModel.mEstimator.Cauchy.Create(1.0)),
}


def errors_by(way: str, drive: Measured, tracker: Tracker, journey: Journey) -> tuple[TrackErrors, float]:
    """The errors from the moment on at which the vehicle was found, and the seconds that it took."""
    begun = perf_counter()
    beliefs = WAYS[way](drive, tracker.noise)
    took_s = perf_counter() - begun
    fixes = [
        replace(tracker.at(fix, moment.odometry, belief), state="tracking")
        for i, (fix, moment, belief) in enumerate(zip(drive.fixes, drive.moments, beliefs, strict=True))
        if belief is not None and i >= drive.first[0]
    ]
    return errors_of(Trajectory(journey.title, tuple(fixes)), journey.places), took_s


def row_of(way: str, drives: Sequence[TrackErrors], seconds: Sequence[float]) -> tuple[str, ...]:
    """A line of the table."""
    distance_m = np.concatenate([drive.distance_m for drive in drives])
    relative_m = np.concatenate([np.linalg.norm(drive.error_m - drive.offset_m, axis=1) for drive in drives])
    motion_m = np.concatenate([drive.relative_m(100.0) for drive in drives])
    yaw_deg = np.degrees(np.abs(np.concatenate([drive.yaw_rad for drive in drives])))
    nees = np.concatenate([drive.nees for drive in drives])
    return (
        way,
        f"{np.median(distance_m):.2f}",
        f"{np.quantile(distance_m, 0.95):.2f}",
        f"{np.median(relative_m):.2f}",
        f"{np.quantile(relative_m, 0.95):.2f}",
        f"{np.median(motion_m):.2f}",
        f"{np.median(yaw_deg):.2f}",
        f"{100 * np.mean(nees <= chi2.ppf(0.95, 2)):.0f}",
        f"{np.mean(nees):.1f}",
        f"{np.mean(seconds):.2f}",
    )


HEADER = (
    "",
    "median m",
    "95 % m",
    "without offset",
    "95 % m",
    "over 100 m",
    "heading degrees",
    "% in 95 % ellipse",
    "NEES (2)",
    "s a drive",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drives", type=Path, help="data set with overhead maps")
    parser.add_argument("--out", type=Path, required=True, help="folder of the maps, kept between calls")
    parser.add_argument("--most-drives", type=int, help="drives, from the first one on; all by default")
    asked = parser.parse_args()
    localizer = Localizer()
    found: dict[str, list[tuple[TrackErrors, float]]] = {way: [] for way in WAYS}
    for number, (_, date, journey) in enumerate(tqdm(list(journeys(asked.drives))[: asked.most_drives], "drives")):
        area = localizer.area(map_of(localizer, asked.drives, date, asked.out))
        tracker = Noting(area, localizer.model, heading=Heading.parse("±5"))
        drive = measured(tracker, with_errors(journey, OdometryErrors.drawn(number, yaw_deg=5.0)))
        if drive is None:
            print(f"{journey.title}: was not tracked in one stretch")
            continue
        for way in WAYS:
            found[way].append(errors_by(way, drive, tracker, journey))
    rows = [row_of(way, [one for one, _ in each], [took_s for _, took_s in each]) for way, each in found.items()]
    print_results(f"Smoothers, {len(next(iter(found.values())))} drives", HEADER, rows)


if __name__ == "__main__":
    run(main)
