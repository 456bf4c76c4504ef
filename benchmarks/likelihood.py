"""The numbers of `cvlnet.track.likelihood.Likelihood`, fitted to drives on validation towns.

    python benchmarks/likelihood.py DRIVES... --out FOLDER

DRIVES are data sets with overhead maps, as `cvlnet synth --preset drives` makes them. The frames stand where the true
odometry of the drives says, and a clip every 5 m is compared with all places of its map.

sharpness, level, floor: by maximum likelihood. With a prior of one half for the vehicle being on the map, the place
of each clip has a probability; with the surroundings of the true place off the map, "elsewhere" has one.
The sum of their logarithms is maximized. independent_m: likewise for stretches of clips 10 m apart, whose ratios are
multiplied, each to the power of its share. sigma_m, heading_rad: what the shape of the peak does not explain of the
mean squared error around a drive's own offset. registration_m: standard deviation of these offsets along an axis.
Intervals: 95 %, by bootstrap over drives.
Each drive leaves a file in FOLDER and is not compared again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from math import radians
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from cvlnet.data.journey import Journey
from cvlnet.geometry import Pose
from cvlnet.io.files import written_whole
from cvlnet.localize import Localizer
from cvlnet.localize.stream import ClipStream, View
from cvlnet.track.likelihood import Likelihood
from cvlnet.track.measure import measured_around
from cvlnet.track.odometry import OdometryNoise
from cvlnet.track.pose_filter import PoseBelief
from cvlnet.track.searched import SearchedMap
from cvlnet.track.tracker import Frame, TrackSpec
from measure import print_results, run
from track import journeys, map_of

CLIP_M = 5.0  # between clips
EVERY = 2  # of which clips of a stretch are taken
STRETCHES = (2, 4, 8)  # clips
NEAR, FAR = 2, 8  # cells around the true place that count as right; beyond which places are wrong
BINS = np.arange(-2.0, 2.5, 0.01)  # of scores
SUMS = np.arange(-60.0, 120.0, 0.05)  # of log likelihood ratios
PRIOR = 0.5
RESAMPLED = 50
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """What the clips of one drive show.

    near: scores around the true place of each clip. counts: of the scores of wrong places, by ``BINS``. length: number
    of clips of each stretch. right, summed: the same of the sums of the log likelihood ratios of a stretch, by
    ``SUMS``, for the likelihood in use. offset_m: from the true place to the measured one. shape_m2: variance of the
    peak along an axis. turn_rad, turn_variance: error of the measured heading, and what the curvature of the scores
    says of it.
    """

    near: Float[np.ndarray, "clips side side"]
    counts: Float[np.ndarray, "clips bins"]
    length: Float[np.ndarray, " stretches"]
    right: Float[np.ndarray, "stretches side side"]
    summed: Float[np.ndarray, "stretches bins"]
    offset_m: Float[np.ndarray, "clips 2"]
    shape_m2: Float[np.ndarray, " clips"]
    turn_rad: Float[np.ndarray, " clips"]
    turn_variance: Float[np.ndarray, " clips"]


def seen(localizer: Localizer, path: Path, journey: Journey) -> Seen:
    """Compare the clips of a drive with its map."""
    model, searched = localizer.model, SearchedMap(localizer.model, localizer.area(path))
    likelihood, spec = Likelihood(), TrackSpec()
    number = min(journey.cameras)
    stream, moments = ClipStream(model), list(journey.moments())
    places = np.array([searched.frame.xy_world_m(place.position.degrees) for place in journey.places])
    times_s = [place.time_s for place in journey.places]
    found: dict[str, list[object]] = {field.name: [] for field in fields(Seen)}
    volumes: list[tuple[NDArray[np.int64], torch.Tensor]] = []
    last_m = last_clip_m = np.full(2, np.inf)
    for moment in moments:
        if number not in moment.pictures:
            continue
        xy_m = np.array([np.interp(moment.odometry.time_s, times_s, places[:, axis]) for axis in (0, 1)])
        if np.linalg.norm(xy_m - last_m) < spec.frame_m:
            continue
        last_m = xy_m
        frame = Frame.seen(
            moment.pictures[number], journey.cameras[number].camera, journey.road_from_cam(number), model.image_spec
        )
        # the odometry of a drive is its true motion, with true yaw
        yaw = torch.tensor(
            moment.odometry.yaw_rad + searched.frame.convergence_rad((xy_m[0], xy_m[1])), dtype=torch.float64
        )
        zero = torch.zeros((), dtype=torch.float64)
        world_from_road = Pose.from_euler(zero, zero, yaw, torch.tensor([*xy_m, 0.0], dtype=torch.float64))
        stream.take([View(frame.image, frame.camera, world_from_road @ frame.road_from_cam.to(torch.float64))])
        if not stream.is_ready or stream.way_m < 30.0 or np.linalg.norm(xy_m - last_clip_m) < CLIP_M:
            continue
        last_clip_m = xy_m
        turns = (-spec.turn_rad, 0.0, spec.turn_rad)
        clips = stream.clip_features(torch.from_numpy(xy_m), turns_rad=turns)
        scores = searched.scores(clips[1:2])[0]
        place = searched.grid.row_col(torch.from_numpy(xy_m)).round().long()
        volumes.append((place.numpy(), scores))
        found["near"].append(around(scores, place.numpy(), NEAR).copy())
        found["counts"].append(counted(scores, place.numpy(), BINS))
        region = searched.around((float(xy_m[0]), float(xy_m[1])))
        assert region is not None
        expected = PoseBelief.at(np.array([*xy_m, 0.0]), np.diag([9.0, 9.0, radians(3) ** 2]), OdometryNoise())
        bare = replace(likelihood, sigma_m=1e-3, heading_rad=1e-6)
        measured = measured_around(clips, turns, region, expected, bare, 1.0)
        assert measured is not None
        found["offset_m"].append(measured.xy_m - xy_m)
        found["shape_m2"].append(np.trace(measured.covariance_m2) / 2)
        found["turn_rad"].append(np.nan if measured.turn_rad is None else measured.turn_rad)
        found["turn_variance"].append(measured.turn_variance)
    for length in STRETCHES:
        for first in range(0, len(volumes) - EVERY * (length - 1), EVERY * length):
            right, counts = stretch(volumes[first::EVERY][:length], likelihood)
            found["length"].append(float(length))
            found["right"].append(right)
            found["summed"].append(counts)
    return Seen(**{name: np.array(values, dtype=np.float64) for name, values in found.items()})


def stretch(clips: Sequence[tuple[NDArray[np.int64], torch.Tensor]], likelihood: Likelihood) -> tuple[F64, F64]:
    """The sum of the log likelihood ratios of clips at the places that the vehicle is at with the first of them.

    Around the true place, and of all wrong ones counted by ``SUMS``.
    """
    (start, total), *others = ((place, likelihood.ratio(scores).log()) for place, scores in clips)
    total = total.clone()
    rows, cols = total.shape
    for place, values in others:
        down, right = (place - start).tolist()
        moved = torch.full_like(total, -torch.inf)
        moved[max(-down, 0) : rows - max(down, 0), max(-right, 0) : cols - max(right, 0)] = values[
            max(down, 0) : rows + min(down, 0), max(right, 0) : cols + min(right, 0)
        ]
        total += moved
    return around(total, start, NEAR), counted(total, start, SUMS)


def around(values: torch.Tensor, place: NDArray[np.int64], reach: int) -> F64:
    """The values of the cells around a place, as a view."""
    rows, cols = (slice(at - reach, at + reach + 1) for at in place.tolist())
    return np.asarray(values[rows, cols].numpy())


def counted(values: torch.Tensor, place: NDArray[np.int64], bins: F64) -> F64:
    """How many places that are wrong have values in each bin; what lies beyond the last bins is counted with them."""
    wrong = values.clone()
    around(wrong, place, FAR)[:] = -np.inf
    found = wrong[wrong.isfinite()].numpy().clip(bins[0], bins[-1])
    return np.histogram(found, bins)[0].astype(np.float64)


def loss(log_right: F64, log_wrong: F64, counts: F64) -> float:
    """Minus the log probability of the truth, for a vehicle at the place, and for one that is not on the map.

    log_right: log ratios around the true place. log_wrong: of each bin of ``counts``, the wrong places.
    """
    log_number = np.log(counts.sum(axis=1))
    right = logsumexp(log_right.reshape(len(log_right), -1), axis=1) - log_number
    wrong = logsumexp(log_wrong, b=counts, axis=1) - log_number
    odds = np.log(PRIOR / (1 - PRIOR))
    on_map = right + odds - np.logaddexp(np.logaddexp(right, wrong) + odds, 0.0)
    off_map = -np.logaddexp(wrong + odds, 0.0)
    return float(-(on_map + off_map).mean() / 2)


def middles(bins: F64) -> F64:
    """The middle of each bin."""
    return (bins[1:] + bins[:-1]) / 2


def fitted_ratio(drives: Sequence[Seen]) -> tuple[float, float, float]:
    """sharpness, level, floor."""
    near, counts = np.concatenate([drive.near for drive in drives]), np.concatenate([drive.counts for drive in drives])

    def cost(logs: F64) -> float:
        sharpness, level, log_floor = np.exp(logs[0]), logs[1], logs[2]
        log_right = np.logaddexp(log_floor, sharpness * (near - level))
        log_wrong = np.logaddexp(log_floor, sharpness * (middles(BINS) - level))
        return loss(log_right, log_wrong[None], counts)

    best = minimize(
        cost, [np.log(Likelihood().sharpness), Likelihood().level, np.log(Likelihood().floor)], method="Nelder-Mead"
    )
    return float(np.exp(best.x[0])), float(best.x[1]), float(np.exp(best.x[2]))


def fitted_independent_m(drives: Sequence[Seen], length: int) -> float:
    """The way of an independent clip, from stretches of so many clips."""
    chosen = [drive.length == length for drive in drives]
    right = np.concatenate([drive.right[some] for drive, some in zip(drives, chosen, strict=True)])
    counts = np.concatenate([drive.summed[some] for drive, some in zip(drives, chosen, strict=True)])

    def cost(logs: F64) -> float:
        share = CLIP_M * EVERY / np.exp(logs[0])
        return loss(share * right, (share * middles(SUMS))[None], counts)

    return float(np.exp(minimize(cost, [np.log(20.0)], method="Nelder-Mead").x[0]))


def fitted_sigmas(drives: Sequence[Seen]) -> tuple[float, float, float]:
    """sigma_m, heading_rad, registration_m."""
    own_m = [np.median(drive.offset_m, axis=0) for drive in drives]
    off_m = np.concatenate([drive.offset_m - own for drive, own in zip(drives, own_m, strict=True)])
    left_m2 = (off_m**2).mean() - np.concatenate([drive.shape_m2 for drive in drives]).mean()
    turn_rad, said = (
        np.concatenate([getattr(drive, name) for drive in drives]) for name in ("turn_rad", "turn_variance")
    )
    known = np.isfinite(turn_rad)
    left_rad2 = (turn_rad[known] ** 2).mean() - said[known].mean()
    return max(left_m2, 0.0) ** 0.5, max(left_rad2, 0.0) ** 0.5, float(np.mean(np.square(own_m)) ** 0.5)


def bootstrapped(
    fit: Callable[[Sequence[Seen]], Sequence[float]], drives: Sequence[Seen]
) -> list[tuple[float, float, float]]:
    """Each fitted number with its interval."""
    rng = np.random.default_rng(0)
    again = np.array([fit([drives[i] for i in rng.integers(0, len(drives), len(drives))]) for _ in range(RESAMPLED)])
    return list(zip(fit(drives), *np.quantile(again, (0.025, 0.975), axis=0), strict=True))


def kept(localizer: Localizer, root: Path, name: str, date: str, journey: Journey, out: Path) -> Seen:
    """What a drive shows; from its file where it was compared before."""
    path = out / f"{root.name}-{name}.npz"
    if not path.exists():
        result = seen(localizer, map_of(localizer, root, date, out), journey)
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **vars(result))
    with np.load(path) as values:
        return Seen(**{field.name: values[field.name] for field in fields(Seen)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drives", type=Path, nargs="+", help="data sets with overhead maps")
    parser.add_argument("--out", type=Path, required=True, help="folder of results and maps, kept between calls")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    localizer = Localizer()
    drives = [
        kept(localizer, root, name, date, journey, asked.out)
        for root in asked.drives
        for name, date, journey in journeys(root)
    ]
    used = Likelihood()
    fits = [
        (("sharpness", "level", "floor"), bootstrapped(fitted_ratio, drives)),
        (
            tuple(f"independent_m, {length} clips" for length in STRETCHES),
            bootstrapped(lambda some: [fitted_independent_m(some, length) for length in STRETCHES], drives),
        ),
        (("sigma_m", "heading_rad", "registration_m"), bootstrapped(fitted_sigmas, drives)),
    ]
    rows = [
        (name, f"{value:.3g}", f"{low:.3g} to {high:.3g}", f"{getattr(used, name.partition(',')[0]):g}")
        for names, values in fits
        for name, (value, low, high) in zip(names, values, strict=True)
    ]
    clips = sum(len(drive.near) for drive in drives)
    print_results(f"{clips:,} clips of {len(drives)} drives", ("", "fitted", "95 %", "in use"), rows)


if __name__ == "__main__":
    run(main)
