"""Tracking as the command line asks for it: files in, a folder of files out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.util import find_spec
from math import degrees, isfinite, radians
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from cvlnet.calibration.doubt import camera_doubt
from cvlnet.config import JourneyFiles
from cvlnet.data.journey import Journey, KnownPlace
from cvlnet.data.open_journey import open_journey
from cvlnet.errors import InputError, warn
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.overhead import Imagery
from cvlnet.io.outputs import write_json
from cvlnet.localize.area import MapArea
from cvlnet.localize.localizer import Localizer
from cvlnet.localize.request import MapFiles, area_of
from cvlnet.localize.turned import Heading
from cvlnet.map.region import Region
from cvlnet.map.store import is_map
from cvlnet.model.confidence import sigma_m as sigma_of
from cvlnet.track.evaluate import TrackErrors, errors_of
from cvlnet.track.follow import follow
from cvlnet.track.formats import TrackLog, check_output, read_trajectory, write_trajectory
from cvlnet.track.formats.clock import are_dates
from cvlnet.track.formats.files import DATED, require_no_dates
from cvlnet.track.formats.log import LOG
from cvlnet.track.formats.truth import TRUTH, write_truth
from cvlnet.track.logged import begun, logged
from cvlnet.track.picture import draw_track
from cvlnet.track.smoother import Followed, smoothed
from cvlnet.track.tracker import Tracker, TrackSpec
from cvlnet.track.types import STATES, TrackFix, Trajectory

if TYPE_CHECKING:
    from cvlnet.track.rerun_file import RerunFile

_OFFSET_TOLD_RAD = radians(1.0)  # from which on the cameras' pitch or yaw is worth a word


@dataclass(frozen=True)
class TrackRequest:
    """What is tracked, and what is known of it.

    heading: of the first moment, as for `Tracker`. start: a place near which the vehicle begins, with its standard
    deviation in metres; without a heading of its own.
    cameras: by number, the first by default. use_places: whether the positions of the drive are measurements, with
    ``places_sigma_m`` where the files do not state their accuracy; else they are ground truth, which the tracker does
    not see. formats: endings of the files that are written beside the log. recording: a file for the Rerun viewer.
    time_zero: the date and time, with its zone, at which the drive's time is 0; None if it is not known, or if the
    times count from 1970.
    """

    map: MapFiles
    drive: JourneyFiles
    heading: Heading | None = None
    start: KnownPlace | None = None
    cameras: tuple[int, ...] | None = None
    use_places: bool = False
    places_sigma_m: float | None = None
    smooth: bool = False
    formats: tuple[str, ...] = ("geojson", "csv")
    recording: Path | None = None
    time_zero: datetime | None = None

    def __post_init__(self) -> None:
        if self.start is not None and self.start.sigma_m is None:
            raise ValueError("a start needs its standard deviation")


@dataclass(frozen=True)
class Tracked:
    """A tracked drive. smoothed: as it looks from its end, if that was asked for. errors: where the truth is known."""

    trajectory: Trajectory
    smoothed: Trajectory | None
    errors: TrackErrors | None

    @property
    def _offsets(self) -> str:
        """How the cameras look beside what is stated, where it is worth a word: the median over the drive."""
        offsets_rad = [
            (fix.pitch_offset_rad or 0.0, fix.camera_yaw_offset_rad or 0.0)
            for fix in self.trajectory.fixes
            if fix.state == "tracking"
        ]
        pitch_rad, yaw_rad = np.median(offsets_rad, axis=0).tolist() if offsets_rad else (0.0, 0.0)
        ways = ((pitch_rad, ("down", "up")), (yaw_rad, ("left", "right")))
        return " and ".join(
            f"{degrees(abs(offset_rad)):.1f} degrees farther {way[offset_rad < 0]}"
            for offset_rad, way in ways
            if abs(offset_rad) > _OFFSET_TOLD_RAD
        )

    def lines(self) -> list[str]:
        """What there is to say of it, as text."""
        fixes = self.trajectory.fixes
        shares = [f"{100 * np.mean([fix.state == state for fix in fixes]):.0f} % {state}" for state in STATES]
        lines = [f"{len(fixes):,} moments: {', '.join(shares)}"]
        last = fixes[-1]
        if last.state == "tracking" and last.position is not None and last.yaw_rad is not None:
            latitude_deg, longitude_deg = last.position.degrees
            sigma_m = 0.0 if last.covariance is None else float(sigma_of(last.covariance[:2, :2]))
            lines.append(
                f"at the end {latitude_deg:.6f}, {longitude_deg:.6f} (standard deviation {sigma_m:.1f} m), heading "
                f"{degrees(last.yaw_rad):.1f} degrees counter-clockwise from east, confidence {last.confidence:.3f}"
            )
        else:
            lines.append(f"at the end the place is not known: {last.state}")
        if offsets := self._offsets:
            lines.append(f"the cameras look {offsets} than stated")
        if self.errors is not None:
            figures = self.errors.figures()
            if not self.errors.tracked.any():
                return lines
            way_m, yaw_deg = figures["converged_m"], figures["yaw_deg"]
            found = f"found after {way_m:.0f} m" if isfinite(way_m) else "never found"
            heading = f", heading {yaw_deg:.2f} degrees" if isfinite(yaw_deg) else ""
            lines.append(
                f"beside the ground truth: {found}; while tracking, median error {figures['median_m']:.2f} m, "
                f"{100 * figures['within_5m']:.1f} % within 5 m{heading}, at a wrong place for at most "
                f"{figures['misled_s']:.1f} s"
            )
        return lines


def track(
    localizer: Localizer,
    request: TrackRequest,
    out: Path,
    *,
    resume: bool = False,
    spec: TrackSpec = TrackSpec(),
    progress: bool = False,
) -> Tracked:
    """Track a drive and write the folder ``out``: the log as it grows, then the other formats, figures and a picture.

    resume: continues the log of an interrupted call. Raises InputError as the readers and the tracker do, or if there
    is a log and it is not to be continued.
    """
    names = [f"track.{ending}" for ending in request.formats]
    for name in names:
        check_output(out / name)
    _require_free(out / LOG, resume=resume)
    if request.recording is not None:
        _check_recording(request.recording, resume=resume)
    journey = _journey(request)
    _check_dates(request, journey, names)
    area, credit, preview = searched_map(localizer, request.map, progress=progress)
    _check_cameras(journey, request.cameras)
    start = None
    if request.start is not None and request.start.sigma_m is not None:
        start = request.start.position, request.start.sigma_m
    moments: list[Followed] = []
    truth = () if request.use_places else journey.places
    with TrackLog(out / LOG, journey.title, credit) as log, ExitStack() as stack:
        known = () if request.smooth else log.fixes
        tracker, journey = begun(area, localizer.model, journey, known, heading=request.heading, start=start, spec=spec)
        recording = None
        if request.recording is not None:
            recording = stack.enter_context(_recording(request.recording, journey.title, preview, tracker, truth))
            for fix in log.fixes:
                recording.write(fix)
        fixes = logged(log, follow(tracker, journey, cameras=request.cameras, use_places=request.use_places))
        found = list(log.fixes)
        for fix, is_new in tqdm(fixes, "tracking", unit="frame", disable=not progress):
            if request.smooth:
                moments.append(tracker.followed)
            if is_new:
                found.append(fix)
                if recording is not None:
                    recording.write(fix, tracker)
    trajectory = Trajectory(journey.title, tuple(found), credit)
    if not found:
        raise InputError("has no moment that could be tracked", where=journey.name, remedy="give another drive")
    if request.smooth and [fix.time_s for fix in found] != [moment.odometry.time_s for moment in moments]:
        remedy = "delete it, or leave --smooth out"
        raise InputError("is of other moments than the drive now has", where=out / LOG, remedy=remedy)
    later = Trajectory(journey.title, _smoothed(tracker, found, moments), credit) if request.smooth else None
    errors = _errors(trajectory, truth) if truth else None
    for name in names:
        write_trajectory(trajectory, out / name, start=request.time_zero)
        if later is not None:
            write_trajectory(later, out / name.replace("track.", "smoothed.", 1), start=request.time_zero)
    if truth:
        write_truth(truth, out / TRUTH)
    if errors is not None:
        figures = {name: value if isfinite(value) else None for name, value in errors.figures().items()}
        write_json(figures, out / "figures.json")
    draw_track(preview, trajectory, truth, errors, out / "track.png")
    return Tracked(trajectory, later, errors)


def _journey(request: TrackRequest) -> Journey:
    journey = open_journey(request.drive)
    if not request.use_places:
        return journey
    if not journey.places:
        remedy = "give --gps, or leave --use-gps out"
        raise InputError("has no positions that could be used", where=journey.name, remedy=remedy)
    if request.places_sigma_m is None:
        return journey
    places = tuple(replace(place, sigma_m=place.sigma_m or request.places_sigma_m) for place in journey.places)
    return replace(journey, places=places)


def _check_dates(request: TrackRequest, journey: Journey, names: Sequence[str]) -> None:
    """Warn of files that will have dates of 1970. Raises InputError if times that are dates are given another one."""
    dated = [name for name in names if Path(name).suffix.lower() in DATED]
    if not dated and request.time_zero is None:
        return
    first = next(iter(journey.moments()), None)
    if first is None:
        return
    if request.time_zero is not None:
        require_no_dates(first.odometry.time_s, journey.name)
    elif not are_dates(first.odometry.time_s):
        what = f"the times of the drive are no dates, and {', '.join(dated)} will begin in 1970"
        warn(what, where=journey.name, remedy="state the date at which they are 0 (--time-zero)")


def _require_free(log: Path, *, resume: bool) -> None:
    """Raise InputError if there is a track that is not to be continued."""
    if not resume and log.exists() and log.stat().st_size and read_trajectory(log).fixes:
        remedy = "add --resume to continue it, or give another folder"
        raise InputError("there is a track already", where=log, remedy=remedy)


def _check_recording(path: Path, *, resume: bool) -> None:
    """Raise InputError if no recording could be written there."""
    if path.suffix != ".rrd":
        raise InputError("is no name of a recording", where=path, remedy="give a name that ends in .rrd")
    if path.is_dir() or (path.exists() and not resume):
        raise InputError("is there already", where=path, remedy="delete it, or choose another name")
    if find_spec("rerun") is None:
        raise InputError("needs rerun-sdk", where="--rerun", remedy="install the extra: pip install 'cvlnet[rerun]'")


def _recording(path: Path, name: str, image: Imagery, tracker: Tracker, truth: Sequence[KnownPlace]) -> RerunFile:
    from cvlnet.track.rerun_file import RerunFile

    return RerunFile(path, name, image, tracker.map.frame, truth)


def _check_cameras(journey: Journey, cameras: tuple[int, ...] | None) -> None:
    """Warn where the pictures contradict the odometry or what is stated of a camera: no fix would be right."""
    for camera in cameras or sorted(journey.cameras)[:1]:
        if camera not in journey.cameras:
            continue
        with suppress(InputError):  # of a damaged picture, which tracking leaves out
            doubt = camera_doubt(journey, camera)
            if doubt is not None:
                warn(f"fixes of camera {camera} may all be wrong: {doubt}", where=journey.name, remedy=doubt.remedy)


def searched_map(
    localizer: Localizer, files: MapFiles, *, progress: bool = False
) -> tuple[MapArea | Region, str | None, Imagery]:
    """What is searched, the imagery's credit, and an image of it to draw on."""
    if is_map(files.path):
        area = area_of(localizer, files)
        preview = area.map.preview()
        return area, preview.credit, preview
    image = open_overhead(files.path, files.hints)
    region = localizer.encode(image, near=files.near, radius_m=files.radius_m, progress=progress)
    return region, image.credit, image


def _errors(trajectory: Trajectory, truth: Sequence[KnownPlace]) -> TrackErrors | None:
    """The errors; None, with a warning, where the truth is of other times: the track is worth keeping nevertheless."""
    try:
        return errors_of(trajectory, truth)
    except InputError as error:
        warn(error.what, where=error.where, remedy=error.remedy)
        return None


def _smoothed(tracker: Tracker, fixes: list[TrackFix], moments: list[Followed]) -> tuple[TrackFix, ...]:
    """The fixes with the poses that all moments together give; a fix without one keeps its own.

    A fix before a place was found has the confidence of the place that it is followed back from.
    """
    found: list[TrackFix] = []
    place: TrackFix | None = None
    for fix, moment, pose in reversed(list(zip(fixes, moments, smoothed(moments, tracker.noise), strict=True))):
        if pose is None:
            found.append(fix)
            continue
        if fix.state == "tracking" or place is None:
            place = fix
        at = tracker.at(fix, moment.odometry, pose)
        guesses = fix.hypotheses if place is fix else ()
        found.append(replace(at, state="tracking", confidence=place.confidence, hypotheses=guesses))
    return tuple(reversed(found))
