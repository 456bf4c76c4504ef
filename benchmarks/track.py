"""Drives tracked from an unknown start, beside simpler answers, and beside controls that see nothing of use.

    python benchmarks/track.py DRIVES --out FOLDER [--beside DRIVES]

DRIVES is a data set in KITTI-CVL's layout with overhead maps, as `cvlnet synth --preset drives` makes it. Odometry is
that of the drives with errors: 1 % of scale, 0.5 degrees of yaw in 100 m, and a yaw at the start that is wrong by up to
five degrees, or by any angle. Each drive of each condition leaves a file in FOLDER and is not computed again. For
"beside other towns" the vehicle may be on the maps of further data sets as well; for "map of another town" the drives
take turns on those maps, and without --beside each is shown the next town's of its own data set. For "map ends
half-way" the map has one half of the drive's places only, and the vehicle leaves it or enters it on its way. What is
described wrongly is so with a sign that alternates from drive to drive.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import pairwise
from math import ceil, radians, sqrt
from pathlib import Path

import numpy as np
import torch
from scipy.stats import binomtest

from cvlnet.arrays import Rgb
from cvlnet.data.clips import looking_up
from cvlnet.data.journey import Journey, Moment, Picture, journey_of
from cvlnet.data.kitti_cvl import read_recordings, read_split
from cvlnet.data.label_maps import label_shares, read_label_map
from cvlnet.data.recording import MountedCamera
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.geometry import Pose
from cvlnet.grid import Grid
from cvlnet.image_spec import Window
from cvlnet.imagery.georef import open_overhead
from cvlnet.io.files import written_whole
from cvlnet.labels import Label
from cvlnet.localize import Localizer
from cvlnet.localize.turned import Heading
from cvlnet.map.build import build_map
from cvlnet.map.region import Region
from cvlnet.track.evaluate import TrackErrors, errors_of
from cvlnet.track.follow import follow
from cvlnet.track.odometry import OdometryErrors, with_errors
from cvlnet.track.searched import SearchedMap
from cvlnet.track.summary import CONFIDENCES, confidence_shares, figures_of
from cvlnet.track.tracker import Tracker, TrackSpec, carried
from cvlnet.track.types import TrackFix, Trajectory
from cvlnet.types import ClipFeatures
from measure import evenly, print_results, run

KNOWN, UNKNOWN = Heading.parse("±5"), Heading.parse("unknown")
LAST_CLIPS = 20
WRONG_PITCH_RAD = radians(3.0)
YAW_DEG = 5.0  # largest error of the yaw at the start, where the heading is known
FIELDS = ("time_s", "way_m", "tracked", "error_m", "along_m", "across_m", "yaw_rad", "nees", "confidence")


class RoadsAlone(SearchedMap):
    """A map whose only evidence is where roads are: nothing of what the camera sees enters."""

    def __init__(self, localizer: Localizer, path: Path, root: Path, date: str) -> None:
        super().__init__(localizer.model, localizer.area(path))
        labels = read_label_map(root, date)
        assert labels is not None
        center = LatLon(*self.frame.latlon_deg(self.grid.center_xy_m).tolist())
        road = label_shares(labels, center, self.grid.centered_at((0.0, 0.0)))[Label.ROAD] > 127
        self._scores = torch.where(road, 1.1, 0.0).masked_fill(~self.searched, -torch.inf)

    def scores(self, clips: ClipFeatures, neutral: float | None = None) -> torch.Tensor:  # noqa: ARG002
        """The same for every clip."""
        return self._scores.expand(len(clips.weight), -1, -1)


class JoinedMaps(SearchedMap):
    """Several maps beside one another on one grid, any of which the vehicle may be on; the first keeps its place.

    Around places of the other maps nothing can be refined, so that what is tracked there goes on by odometry.
    """

    def __init__(self, localizer: Localizer, paths: Sequence[Path]) -> None:
        super().__init__(localizer.model, localizer.area(paths[0]))
        self._own = SearchedMap(localizer.model, localizer.area(paths[0]))
        self._others = [SearchedMap(localizer.model, localizer.area(path)) for path in paths[1:]]
        self._across = ceil(sqrt(len(paths)))
        self._rows = max(part.grid.rows for part in self._parts)
        self._cols = max(part.grid.cols for part in self._parts)

    @property
    def _parts(self) -> list[SearchedMap]:
        return [self._own, *self._others]

    @cached_property
    def grid(self) -> Grid:
        """The own map's grid, with room for the others to the east and south."""
        own = self._own.grid
        west_m, north_m = own.center_xy_m[0] - own.size_m[0] / 2, own.center_xy_m[1] + own.size_m[1] / 2
        rows, cols = self._rows * ceil(len(self._parts) / self._across), self._cols * self._across
        return Grid(rows, cols, own.cell_m, (west_m + cols * own.cell_m / 2, north_m - rows * own.cell_m / 2))

    def _joined(self, values: Sequence[torch.Tensor], rest: float) -> torch.Tensor:
        whole = torch.full((*values[0].shape[:-2], self.grid.rows, self.grid.cols), rest, dtype=values[0].dtype)
        for number, part in enumerate(values):
            row, col = divmod(number, self._across)
            rows, cols = part.shape[-2:]
            top, left = row * self._rows, col * self._cols
            whole[..., top : top + rows, left : left + cols] = part
        return whole

    @cached_property
    def searched(self) -> torch.Tensor:
        """Where any of the maps is searched."""
        return self._joined([part.searched for part in self._parts], 0)

    def scores(self, clips: ClipFeatures, neutral: float | None = None) -> torch.Tensor:
        """Those of all maps."""
        return self._joined([part.scores(clips, neutral) for part in self._parts], -torch.inf)

    def around(self, xy_m: tuple[float, float]) -> Region | None:
        """What the own map has around a place."""
        return self._own.around(xy_m)


class BestOfClips(Tracker):
    """The place with the best score among the last few clips, each found by itself, carried on by odometry."""

    def __init__(self, *args: object, clips: int, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self._found: deque[tuple[float, np.ndarray, object]] = deque(maxlen=clips)

    def _search(self) -> None:
        """Find the newest clip by itself."""
        turns = self._belief.turns_rad
        scores = self.map.scores(self._clips(0.0, turns))
        best = int(scores.argmax())
        turn, place = divmod(best, scores[0].numel())
        row, col = divmod(place, scores.shape[2])
        xy_m = self.map.grid.xy_m(torch.tensor([row, col], dtype=torch.float64)).numpy()
        self._found.append((float(scores.max()), np.array([*xy_m, turns[turn]]), self._now))
        self._coarse_at = self._now

    def update(self, *args: object, **options: object) -> TrackFix:
        """As the tracker, with the best clip's place."""
        fix = super().update(*args, **options)  # type: ignore[arg-type]
        if not self._found:
            return fix
        _, mean, at = max(self._found, key=lambda found: found[0])
        assert self._now is not None
        mean = carried(mean, at, self._now)  # type: ignore[arg-type]
        place = self._latlon(mean)
        return replace(
            fix, state="tracking", position=place, yaw_rad=self._yaw_rad(mean, self._now), covariance=np.eye(3)
        )


def journeys(root: Path) -> Iterator[tuple[str, str, Journey]]:
    """The drives of a data set: name, date and journey."""
    for name, recording in read_recordings(read_split(root, "test1")).items():
        yield name.replace("/", "-"), recording.name.partition("_drive")[0][-10:], journey_of(recording)


def map_of(localizer: Localizer, root: Path, date: str, out: Path) -> Path:
    """The map of a date's town, built once."""
    path = out / f"map-{date}"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        build_map(localizer.model, open_overhead(root / "overhead" / f"{date}.tif"), path)
    return path


def towns_of(beside: Sequence[Path]) -> list[tuple[Path, str]]:
    """The towns of further data sets: root and date. Raises InputError for a data set without overhead maps."""
    towns = [(root, path.stem) for root in beside for path in sorted((root / "overhead").glob("*.tif"))]
    for root in beside:
        if root not in dict(towns):
            raise InputError("has no overhead maps", where=root, remedy="make it by cvlnet synth")
    return towns


def trajectory(tracker: Tracker, name: str, journey: Journey) -> Trajectory:
    """All fixes of a journey."""
    return Trajectory(name, tuple(follow(tracker, journey)))


def begun_later(journey: Journey, share: float) -> Journey:
    """A drive without its first part."""
    moments = tuple(journey.moments())
    later = moments[round(share * len(moments)) :]
    begin_s = later[0].odometry.time_s
    places = tuple(place for place in journey.places if place.time_s >= begin_s)
    return replace(journey, moments=lambda: iter(later), places=places)


def half_of(region: Region, journey: Journey, is_east: bool) -> Region:
    """The part of a map on one side of half of a drive's places; north or south where the drive extends that way more.

    is_east: whether it is the eastern or northern part.
    """
    xy_m = region.frame.xy_world_m(np.array([place.position.degrees for place in journey.places]))
    axis = int(np.ptp(xy_m, axis=0).argmax())
    border_m = float(np.median(xy_m[:, axis]))
    known, searched = (
        values & ((grid.cell_centers_xy_m()[..., axis] >= border_m) == is_east)
        for values, grid in ((region.known, region.cells), (region.searched, region.places))
    )
    return replace(region, descriptor=region.descriptor * known, known=known, searched=searched)


def blank(journey: Journey) -> Journey:
    """A drive whose pictures show noise."""

    def seen(number: int, picture: Picture, window: Window) -> Rgb:
        shape = picture(window).shape
        return np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)

    def moments() -> Iterator[Moment]:
        for number, moment in enumerate(journey.moments()):
            pictures = {at: partial(seen, number, picture) for at, picture in moment.pictures.items()}
            yield replace(moment, pictures=pictures)

    return replace(journey, moments=moments)


def described(journey: Journey, change: Callable[[MountedCamera], MountedCamera]) -> Journey:
    """A drive whose cameras are described otherwise."""
    return replace(journey, cameras={at: change(mounted) for at, mounted in journey.cameras.items()})


def tilted(journey: Journey, sign: int) -> Journey:
    """A drive whose cameras are said to look 3 degrees farther up than they do."""
    angle_rad = sign * WRONG_PITCH_RAD
    return described(journey, lambda at: replace(at, body_from_cam=looking_up(at.body_from_cam, angle_rad)))


def raised(journey: Journey, sign: int) -> Journey:
    """A drive whose cameras are said to stand 0.3 m higher than they do."""
    up = _moved(torch.tensor([0.0, 0.0, sign * 0.3], dtype=torch.float64))
    return described(journey, lambda at: replace(at, body_from_cam=up @ at.body_from_cam.to(torch.float64)))


def aside(journey: Journey, sign: int) -> Journey:
    """A drive whose cameras are said to look 3 degrees farther to the left than they do."""
    left = _moved(torch.zeros(3, dtype=torch.float64), sign * radians(3.0))
    return described(journey, lambda at: replace(at, body_from_cam=left @ at.body_from_cam.to(torch.float64)))


def zoomed(journey: Journey, sign: int) -> Journey:
    """A drive whose cameras are said to have focal lengths 5 % longer than they have."""
    return described(
        journey, lambda at: replace(at, camera=replace(at.camera, focal_px=at.camera.focal_px * (1 + sign * 0.05)))
    )


def delayed(journey: Journey, sign: int) -> Journey:
    """A drive each of whose pictures comes with the odometry of the moment of the next picture, or the one before."""

    def moments() -> Iterator[Moment]:
        clean = tuple(journey.moments())
        seen = [number for number, moment in enumerate(clean) if moment.pictures]
        shown = {after: before for before, after in pairwise(seen[::sign])}
        for number, moment in enumerate(clean):
            yield replace(moment, pictures=clean[shown[number]].pictures if number in shown else {})

    return replace(journey, moments=moments)


def _moved(translation_m: torch.Tensor, yaw_rad: float = 0.0) -> Pose:
    zero = translation_m.new_zeros(())
    return Pose.from_euler(zero, zero, zero + yaw_rad, translation_m)


def kidnapped(journey: Journey, other: Journey) -> Journey:
    """The first half of a drive and the second half of another; the odometry goes on as if nothing had happened."""

    def moments() -> Iterator[Moment]:
        first, second = tuple(journey.moments()), tuple(other.moments())
        half, later = len(first) // 2, len(second) // 2
        yield from first[:half]
        end, begin = first[half - 1].odometry, second[later - 1].odometry
        for moment in second[later:]:
            pose = moment.odometry
            place = {"x_m": pose.x_m - begin.x_m + end.x_m, "y_m": pose.y_m - begin.y_m + end.y_m}
            time_s = pose.time_s - begin.time_s + end.time_s
            yield replace(moment, odometry=replace(pose, time_s=time_s, **place))

    half, later = len(journey.places) // 2, len(other.places) // 2
    shift_s = journey.places[half - 1].time_s - other.places[later - 1].time_s
    places = [replace(place, time_s=place.time_s + shift_s) for place in other.places[later:]]
    return replace(journey, moments=moments, places=(*journey.places[:half], *places))


def by_odometry(name: str, journey: Journey, errors: OdometryErrors) -> Trajectory:
    """Odometry alone from the true start."""
    start = journey.places[0]
    frame, fixes, first = LocalFrame(start.position), [], None
    for moment in with_errors(journey, errors).moments():
        pose = moment.odometry
        first = first or pose
        place = LatLon(*frame.latlon_deg([pose.x_m - first.x_m, pose.y_m - first.y_m]).tolist())
        fixes.append(TrackFix(moment.index, pose.time_s, "tracking", place, pose.yaw_rad, np.eye(3), 1.0))
    return Trajectory(name, tuple(fixes))


def tried(condition: str, root: Path, number: int, out: Path, beside: Sequence[Path]) -> TrackErrors:
    """A drive under a condition; from its file where it has been computed before. beside: data sets of other towns."""
    listed = list(journeys(root))
    name, date, journey = listed[number]
    others = listed[number + 1 :] + listed[:number]
    dates = sorted({date for _, date, _ in listed})
    towns = [(other, at, out / "beside" / other.name) for other, at in towns_of(beside)]
    folder, shown = condition.replace(" ", "-"), (root, date, out)
    if condition == "map of another town":
        shown = root, dates[(dates.index(date) + 1) % len(dates)], out
        if towns:
            shown = towns[number % len(towns)]
            folder = f"{folder}-{shown[0].name}-{shown[1]}"
    path = out / folder / f"{name}.npz"
    if path.exists():
        with np.load(path) as kept:
            return TrackErrors(name, 0.0, *(kept[field] for field in FIELDS))
    localizer = Localizer()
    unknown = condition.startswith("heading unknown")
    errors = OdometryErrors.drawn(number, yaw_deg=180.0 if unknown else YAW_DEG)
    if condition in ERRORS:
        errors = ERRORS[condition](number)
    area = localizer.area(map_of(localizer, *shown))
    heading = UNKNOWN if unknown else KNOWN
    if condition == "kidnapped half-way":
        journey = kidnapped(journey, next(other for _, at, other in others if at == date))
    if condition == "begun half-way":
        journey = begun_later(journey, 0.5)
    if condition == "pictures of noise":
        journey = blank(journey)
    change = WRONG.get(condition.removesuffix(", stated pitch alone"))
    if change is not None:
        journey = change(journey, 1 if number % 2 else -1)
    driven = with_errors(journey, errors)
    if condition == "odometry alone":
        found = by_odometry(name, journey, errors)
    elif condition in ("single clips", "best of 20 clips"):
        clips = 1 if condition == "single clips" else LAST_CLIPS
        found = trajectory(BestOfClips(area, localizer.model, heading=heading, clips=clips), name, driven)
    else:
        spec = TrackSpec(pitch_error_rad=0.0) if condition.endswith("stated pitch alone") else TrackSpec()
        tracker = Tracker(area, localizer.model, heading=heading, spec=spec)
        if condition == "map ends half-way":
            (region,) = area.regions()
            tracker.map = SearchedMap(localizer.model, half_of(region, journey, number % 2 == 1))
        if condition == "roads alone":
            tracker.map = RoadsAlone(localizer, map_of(localizer, root, date, out), root, date)
        if condition in ("all towns at once", "beside other towns"):
            paths = [map_of(localizer, root, at, out) for at in (date, *(at for at in dates if at != date))]
            if condition == "beside other towns":
                paths += [map_of(localizer, *town) for town in towns]
            tracker.map = JoinedMaps(localizer, paths)
        found = trajectory(tracker, name, driven)
    result = errors_of(found, journey.places)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **{field: getattr(result, field) for field in FIELDS})
    return result


def share(count: int, total: int) -> str:
    """A share in percent with its 95 % interval (Wilson)."""
    if not total:
        return "-"
    low, high = binomtest(count, total).proportion_ci(method="wilson")
    return f"{100 * count / total:.0f} ({100 * low:.0f} to {100 * high:.0f})"


def row_of(condition: str, drives: list[TrackErrors], within_m: float) -> tuple[str, ...]:
    """A line of the table."""
    converged = sum(drive.converged_m <= within_m for drive in drives)
    figures = {name: interval.value for name, interval in figures_of(drives).items()}

    def text(name: str, decimals: int, scale: int = 1) -> str:
        return "-" if np.isnan(figures[name]) else f"{scale * figures[name]:.{decimals}f}"

    return (
        condition,
        share(converged, len(drives)),
        text("converged_m", 0),
        text("available", 0, 100),
        text("median_m", 2),
        text("median_relative_m", 2),
        text("within_5m", 1, 100),
        text("yaw_deg", 2),
        text("in_ellipse", 0, 100),
        text("nees", 1),
        text("misled_s", 1),
    )


def reliability(drives: list[TrackErrors]) -> list[tuple[str, ...]]:
    """How often places with a stated confidence are right to 10 m, while searching and tracking."""
    rows = list[tuple[str, ...]]()
    for stated, right, moments in confidence_shares(drives):
        low, high = next(pair for pair in pairwise(CONFIDENCES) if stated <= pair[1])
        rows.append((f"{low:g} to {high:g}", f"{moments:,}", f"{100 * stated:.1f}", f"{100 * right:.1f}"))
    return rows


WRONG: dict[str, Callable[[Journey, int], Journey]] = {
    "pitch wrong by 3 degrees": tilted,
    "camera height wrong by 0.3 m": raised,
    "camera turned aside by 3 degrees": aside,
    "focal length wrong by 5 %": zoomed,
    "pictures a third of a second early or late": delayed,
}
ERRORS: dict[str, Callable[[int], OdometryErrors]] = {
    "distances wrong by 5 %": lambda number: OdometryErrors.drawn(number, scale=0.05, yaw_deg=YAW_DEG),
    "yaw drifts by 2 degrees in 100 m": lambda number: OdometryErrors.drawn(
        number, drift_deg_per_100_m=2.0, yaw_deg=YAW_DEG
    ),
    "heading wrong by 12 degrees": lambda number: replace(
        OdometryErrors.drawn(number), yaw_rad=radians(12.0 if number % 2 else -12.0)
    ),
}
CONDITIONS = {
    "heading to 5 degrees": 150.0,
    "heading unknown": 250.0,
    "begun half-way": 150.0,
    "all towns at once": 150.0,
    "beside other towns": 150.0,
    "kidnapped half-way": 150.0,
    "stated pitch alone": 150.0,
    **dict.fromkeys(WRONG, 150.0),
    **dict.fromkeys(ERRORS, 150.0),
    "pitch wrong by 3 degrees, stated pitch alone": 150.0,
    "single clips": 150.0,
    "best of 20 clips": 150.0,
    "odometry alone": 150.0,
    "map ends half-way": 400.0,
    "map of another town": 150.0,
    "pictures of noise": 150.0,
    "roads alone": 150.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drives", type=Path, help="data set with overhead maps")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results and maps, kept between calls")
    parser.add_argument(
        "--conditions", nargs="+", choices=CONDITIONS, help="rows of the table; by default all that can be computed"
    )
    parser.add_argument("--beside", type=Path, nargs="+", default=[], help="data sets of other towns, for their maps")
    parser.add_argument("--most-drives", type=int, help="drives of each condition, spread over all; all by default")
    asked = parser.parse_args()
    conditions = asked.conditions or [at for at in CONDITIONS if asked.beside or at != "beside other towns"]
    if "beside other towns" in conditions and not asked.beside:
        parser.error("beside other towns: name their data set with --beside")
    if asked.most_drives is not None and asked.most_drives < 1:
        parser.error("--most-drives is 1 or more")
    count = len(list(journeys(asked.drives)))
    numbers = evenly(count, asked.most_drives or count)
    rows, stated = list[tuple[str, ...]](), list[tuple[str, ...]]()
    for condition in conditions:
        drives = [tried(condition, asked.drives, number, asked.out, asked.beside) for number in numbers]
        rows.append(row_of(condition, drives, CONDITIONS[condition]))
        if condition.startswith("heading"):
            stated += [(condition, *row) for row in reliability(drives)]
    header = (
        "",
        "% converged (150 m, unknown heading 250 m)",
        "median m to converge",
        "% available",
        "median m",
        "without offset",
        "% within 5 m",
        "heading degrees",
        "% in 95 % ellipse",
        "NEES (2)",
        "longest misled s",
    )
    print_results("Drives from an unknown start", header, rows)
    if stated:
        print_results("The stated confidence", ("", "confidence", "moments", "mean %", "right to 10 m %"), stated)


if __name__ == "__main__":
    run(main)
