"""Short stretches of a drive: pictures a few metres apart, and the motion between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import radians

import numpy as np

from cvlnet.arrays import Rgb
from cvlnet.data.journey import Journey
from cvlnet.data.odometry import OdometryPose, wrapped_rad
from cvlnet.road.geometry import Motion
from cvlnet.road.tracks import Gray, to_gray, whole

LEAST_M, MOST_M = 2.0, 6.0  # of the way between two pictures that are compared
MOST_TURN_RAD = radians(15.0)
PAIRS, FEWEST_PAIRS = 8, 5  # of pictures in a stretch
MOST_STRETCHES = 12


@dataclass(frozen=True)
class Stretch:
    """Pictures in order, the vehicle's pose at each, and which pairs of them are compared."""

    pictures: tuple[Gray, ...]
    odometry: tuple[OdometryPose, ...]
    pairs: tuple[tuple[int, int], ...]

    def motions(self) -> Iterator[Motion]:
        """Of every pair, by the odometry."""
        for before, after in self.pairs:
            yield motion_between(self.odometry[before], self.odometry[after])


def motion_between(before: OdometryPose, after: OdometryPose) -> Motion:
    """The motion from one pose to another."""
    return Motion.between((before.x_m, before.y_m, before.yaw_rad), (after.x_m, after.y_m, after.yaw_rad))


def comparable_pairs(odometry: Sequence[OdometryPose]) -> list[tuple[int, int]]:
    """Each pose with the first later one that is far enough away, unless the vehicle has turned or gone too far."""
    pairs = []
    for before, pose in enumerate(odometry):
        way_m = 0.0
        for after in range(before + 1, len(odometry)):
            way_m = pose.way_m(odometry[after])
            if way_m >= LEAST_M:
                turn_rad = wrapped_rad(odometry[after].yaw_rad - pose.yaw_rad)
                if way_m <= MOST_M and abs(turn_rad) <= MOST_TURN_RAD:
                    pairs.append((before, after))
                break
    return pairs


def spread(pairs: Sequence[tuple[int, int]], most: int = MOST_STRETCHES) -> list[list[tuple[int, int]]]:
    """At most so many groups of successive pairs, spread evenly; pairs of a group hang together, groups share none."""
    runs: list[list[tuple[int, int]]] = []
    for pair in pairs:
        if runs and len(runs[-1]) < PAIRS and pair[0] <= runs[-1][-1][1]:
            runs[-1].append(pair)
        else:
            runs.append([pair])
    runs = [run for run in runs if len(run) >= FEWEST_PAIRS]
    if not runs:
        return []
    chosen = np.unique(np.linspace(0, len(runs) - 1, min(most, len(runs))).round().astype(int))
    return [runs[i] for i in chosen]


def sharpest(
    groups: Sequence[Sequence[tuple[int, int]]], odometry: Sequence[OdometryPose], most: int = MOST_STRETCHES
) -> list[Sequence[tuple[int, int]]]:
    """The groups of pairs within which the vehicle turns most, in their order."""

    def turned_rad(group: Sequence[tuple[int, int]]) -> float:
        turns = (wrapped_rad(odometry[after].yaw_rad - odometry[before].yaw_rad) for before, after in group)
        return sum(map(abs, turns))

    by_turn = sorted(range(len(groups)), key=lambda number: -turned_rad(groups[number]))
    return [groups[number] for number in sorted(by_turn[:most])]


def read_stretches(
    journey: Journey, camera_id: int, most: int = MOST_STRETCHES, *, bends: bool = False
) -> list[Stretch]:
    """At most so many stretches of a drive, spread evenly. Only the pictures that are needed are decoded.

    bends: those in which the vehicle turns most. Raises InputError as the pictures do.
    """
    moments = [moment.odometry for moment in journey.moments() if camera_id in moment.pictures]
    pairs = comparable_pairs(moments)
    groups: Sequence[Sequence[tuple[int, int]]] = (
        sharpest(spread(pairs, len(pairs)), moments, most) if bends else spread(pairs, most)
    )
    wanted = {at for group in groups for pair in group for at in pair}
    window = whole(journey.cameras[camera_id].camera)
    pictured = (moment.pictures[camera_id] for moment in journey.moments() if camera_id in moment.pictures)
    gray = {at: to_gray(picture(window)) for at, picture in enumerate(pictured) if at in wanted}
    return [_stretch(group, gray, moments) for group in groups]


def stretch_of(pictures: Sequence[Rgb], odometry: Sequence[OdometryPose]) -> Stretch:
    """The last pictures that a tracker has taken, with the pose of each, as one stretch."""
    pairs = comparable_pairs(odometry)
    return Stretch(tuple(map(to_gray, pictures)), tuple(odometry), tuple(pairs))


def _stretch(group: Sequence[tuple[int, int]], gray: dict[int, Gray], odometry: Sequence[OdometryPose]) -> Stretch:
    places = sorted({at for pair in group for at in pair})
    number = {at: i for i, at in enumerate(places)}
    pairs = tuple((number[before], number[after]) for before, after in group)
    return Stretch(tuple(gray[at] for at in places), tuple(odometry[at] for at in places), pairs)
