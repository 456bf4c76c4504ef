"""How the fixes of a session come about: from a drive whose files are there, or from frames that are sent."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol, runtime_checkable

from cvlnet.data.camera_file import CameraFile
from cvlnet.data.images import decoded_frame
from cvlnet.data.journey import Journey
from cvlnet.data.odometry import OdometryPose
from cvlnet.data.picture_file import CutShortError, read_header
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.localize.turned import Heading
from cvlnet.serve.fixes import fix_of
from cvlnet.serve.limits import Limits
from cvlnet.serve.pictures import pictures_of
from cvlnet.serve.problems import ProblemError, failure_of, too_many
from cvlnet.serve.served_map import ServedMap
from cvlnet.serve.session import Session
from cvlnet.track.follow import follow
from cvlnet.track.formats import TrackLog
from cvlnet.track.formats.log import LOG
from cvlnet.track.logged import begun, logged
from cvlnet.track.tracker import Frame, Tracker
from cvlnet.track.types import TrackFix

Start = tuple[LatLon, float] | None

_FASTEST_M_S, _STEP_M = 100.0, 10.0  # of odometry that is taken


@runtime_checkable
class Run(Protocol):
    """What makes the fixes of a session."""

    def step(self) -> bool:
        """Do the next piece; whether there is more to do at once. Errors end the session, and are told there."""

    def close(self) -> None:
        """Do no more, and let everything go."""


class DriveRun:
    """A drive that is tracked to its end, a moment with each step.

    opened: gives the drive; it is called with the first step.
    """

    def __init__(
        self, session: Session, served: ServedMap, opened: Callable[[], Journey], heading: Heading | None, start: Start
    ) -> None:
        self._session, self._served, self._opened = session, served, opened
        self._heading, self._start = heading, start
        self._steps = self._tracked()

    def step(self) -> bool:
        """As `Run` says."""
        for _ in self._steps:
            return True
        return False

    def close(self) -> None:
        """As `Run` says."""
        self._steps.close()

    def _tracked(self) -> Generator[None]:
        journey, session = self._opened(), self._session
        session.begin(journey.places, session.about.moments_total)
        localizer = self._served.localizer
        with TrackLog(session.folder / LOG, session.about.name, self._served.credit) as log:
            tracker, rest = begun(
                self._served.area,
                localizer.model,
                journey,
                log.fixes,
                heading=self._heading,
                start=self._start,
                spec=self._served.spec,
            )
            for fix, is_new in logged(log, follow(tracker, rest)):
                if is_new:
                    session.add(fix, tracker.followed.odometry, pictures_of(tracker))
                yield
        if not session.about.fixes:
            raise InputError("has no moment that could be tracked", where=journey.name, remedy="give another drive")
        session.change(status="ended")


class FedRun:
    """A drive whose moments are sent one by one. Requests of several threads are answered in their order."""

    def __init__(
        self,
        session: Session,
        served: ServedMap,
        camera: CameraFile,
        heading: Heading | None,
        start: Start,
        limits: Limits,
        wake: Callable[[], None],
    ) -> None:
        self._session, self._served, self._limits, self._wake = session, served, limits, wake
        self._mounted, self._road_from_cam = camera.mounted, camera.mounted.body_from_cam
        self._heading, self._start = heading, start
        self._waiting: deque[tuple[Callable[[], str], Future[str]]] = deque()
        self._lock = threading.Lock()
        self._closed = False
        self._tracker: Tracker | None = None
        self._log: TrackLog | None = None
        self._last: tuple[TrackFix, OdometryPose] | None = None

    def update(self, encoded: bytes | None, odometry: OdometryPose) -> Future[str]:
        """The fix of a moment, with its picture or without one.

        Raises ProblemError if the picture cannot be used, or too many moments wait; the answer raises it if time does
        not rise, or the vehicle would have flown.
        """
        with self._lock:  # before a picture is decoded
            self._require_room()
        frame = None if encoded is None else self._frame(encoded)
        return self._asked(lambda: self._updated(frame, odometry))

    def locate(self, position: LatLon, sigma_m: float) -> Future[str]:
        """The fix of the newest moment after a measured position. The answer raises ProblemError before the first."""
        return self._asked(lambda: self._located(position, sigma_m))

    def end(self) -> Future[str]:
        """Take no more moments."""
        return self._asked(self._ended)

    def step(self) -> bool:
        """As `Run` says."""
        with self._lock:
            if not self._waiting:
                return False
            ask, answer = self._waiting.popleft()
        if not answer.set_running_or_notify_cancel():  # who asked is gone
            return True
        try:
            answer.set_result(ask())
        except ProblemError as error:  # of this request alone
            answer.set_exception(error)
        except Exception as error:
            failure = failure_of(error, self._session.folder)
            self._session.fail(failure.problem)
            answer.set_exception(failure)
        return True

    def close(self) -> None:
        """As `Run` says."""
        with self._lock:
            self._closed = True
            waiting = list(self._waiting)
            self._waiting.clear()
        for _, answer in waiting:
            if answer.set_running_or_notify_cancel():
                answer.set_exception(_over())
        if self._log is not None:
            self._log.close()
        self._tracker = None

    def _asked(self, ask: Callable[[], str]) -> Future[str]:
        answer: Future[str] = Future()
        with self._lock:
            self._require_room()
            self._waiting.append((ask, answer))
        self._wake()
        return answer

    def _require_room(self) -> None:
        if self._closed:
            raise _over()
        if len(self._waiting) >= self._limits.pending:
            raise too_many("too many frames of this session wait for their turn", 1.0)

    def _frame(self, encoded: bytes) -> Frame:
        try:
            header = read_header(encoded)
        except CutShortError as error:
            raise ProblemError(422, "the picture file is cut short", where="image", remedy="send all of it") from error
        if header is None:
            raise ProblemError(415, "the picture is neither PNG nor JPEG", where="image", remedy="send one of the two")
        if header.width_px * header.height_px > self._limits.frame_pixels:
            what = f"the picture of {header.width_px} x {header.height_px} px is too large"
            raise ProblemError(413, what, where="image", remedy="send the size that the camera was calibrated for")
        spec = self._served.localizer.model.image_spec
        picture = partial(decoded_frame, encoded, self._mounted, where="image")
        return Frame.seen(picture, self._mounted.camera, self._road_from_cam, spec)

    def _updated(self, frame: Frame | None, odometry: OdometryPose) -> str:
        tracker, log = self._begun()
        if self._last is not None:
            _require_motion(self._last[1], odometry)
        index = self._session.about.fixes
        fix = tracker.update(frame, odometry, index=index)
        log.write(fix)
        self._last = fix, odometry
        return self._session.add(fix, odometry, pictures_of(tracker))

    def _located(self, position: LatLon, sigma_m: float) -> str:
        if self._tracker is None or self._last is None:
            raise ProblemError(
                409, "a position is measured at a moment, and none has come", remedy="send a frame first"
            )
        fix = self._tracker.locate(position, sigma_m)
        return fix_of(fix, self._session.about.fixes - 1).model_dump_json()

    def _ended(self) -> str:
        self._session.change(status="ended")
        self.close()
        return ""

    def _begun(self) -> tuple[Tracker, TrackLog]:
        if self._tracker is None or self._log is None:
            self._session.begin((), None)
            self._log = TrackLog(self._session.folder / LOG, self._session.about.name, self._served.credit)
            model = self._served.localizer.model
            heading, start, spec = self._heading, self._start, self._served.spec
            self._tracker = Tracker(self._served.area, model, heading=heading, start=start, spec=spec)
        return self._tracker, self._log


def _require_motion(before: OdometryPose, now: OdometryPose) -> None:
    """Raise ProblemError for a pose that does not come after the last one, or that no vehicle reaches from there."""
    if now.time_s <= before.time_s:
        what = f"time_s {now.time_s:.12g} does not come after that of the last moment, {before.time_s:.12g}"
        raise ProblemError(409, what, where="odometry", remedy="send the moments in the order in which they happened")
    way_m, most_m = before.way_m(now), _FASTEST_M_S * (now.time_s - before.time_s) + _STEP_M
    if way_m > most_m:
        what = f"the odometry moves {way_m:.6g} m in {now.time_s - before.time_s:.6g} s"
        raise ProblemError(
            422, what, where="odometry", remedy="give metres and seconds, in a frame that stays the same"
        )


def _over() -> ProblemError:
    return ProblemError(409, "the session takes no more frames", remedy="open a new session")


def start_of(place: Any) -> Start:
    """The start of a session, as a tracker takes it."""
    return None if place is None else (LatLon(place.latitude_deg, place.longitude_deg), place.sigma_m)
