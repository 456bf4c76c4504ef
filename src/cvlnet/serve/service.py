"""All sessions of a server: begun, computed in turn, kept on disk, and dropped when their time is over."""

from __future__ import annotations

import fcntl
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import BinaryIO

from cvlnet.calibration.doubt import camera_doubt
from cvlnet.data.camera_file import CameraFile, camera_file_of
from cvlnet.data.journey import Journey
from cvlnet.data.odometry import OdometryPose
from cvlnet.data.open_journey import open_journey
from cvlnet.data.video import frame_count
from cvlnet.errors import InputError, warn
from cvlnet.serve import uploads, wire
from cvlnet.serve.drives import Drives, count
from cvlnet.serve.fixes import heading_of
from cvlnet.serve.limits import Limits
from cvlnet.serve.problems import ProblemError, failure_of, refused, too_many
from cvlnet.serve.runs import DriveRun, FedRun, Run, start_of
from cvlnet.serve.served_map import ServedMap
from cvlnet.serve.session import About, Session
from cvlnet.serve.worker import Worker

_WAIT_S = 30.0  # that a client is told to wait for a session to end
_CAMERA = Path("camera")  # as messages name it


class Service:
    """The sessions of one server. All methods may be called from any thread.

    state: the folder in which sessions are kept; those of an earlier server are taken over, and drives that it had not
    finished go on. Raises InputError if another server uses the folder, or nothing can be written there.
    """

    def __init__(self, served: ServedMap, drives: Drives, state: Path, limits: Limits = Limits()) -> None:
        self.served, self.drives, self.limits = served, drives, limits
        self._folder = state / "sessions"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._claim = _claimed(state / "lock")
        except OSError as error:
            what = f"sessions cannot be kept there ({error.strerror})"
            raise InputError(what, where=state, remedy="choose another folder") from error
        self._sessions: dict[str, Session] = {}
        self._runs: dict[str, Run] = {}
        self._lock = threading.RLock()
        self._worker = Worker()
        self.is_closing = False
        self._doubts = ThreadPoolExecutor(1, "cvlnet-doubts")
        self._restore()

    def hush(self) -> None:
        """End the event streams, which would go on as long as their sessions."""
        self.is_closing = True
        for session in self.sessions():
            session.wake()

    def close(self) -> None:
        """Stop computing; what was not finished goes on with the next server."""
        self._worker.stop()
        self._doubts.shutdown(cancel_futures=True)
        for run in self._runs.values():
            run.close()
        self._claim.close()

    @property
    def tracked(self) -> int:
        """How many sessions are being tracked."""
        return sum(session.is_open for session in self.sessions())

    def sessions(self) -> list[Session]:
        """All of them, the newest first."""
        with self._lock:
            return sorted(self._sessions.values(), key=lambda session: session.about.created_at, reverse=True)

    def session(self, key: str) -> Session:
        """The session of an id. Raises ProblemError if there is none."""
        with self._lock:
            session = self._sessions.get(key)
        if session is None:
            raise ProblemError(404, "there is no session of this id", where="id", remedy="GET /api/sessions lists them")
        return session

    def begin(self, asked: wire.NewSession) -> Session:
        """A new session of a drive, or of frames that will be sent. Raises ProblemError if it cannot be."""
        if (asked.drive is None) == (asked.camera is None):
            remedy = "give the name of a drive, or the camera whose frames will be sent"
            raise ProblemError(422, "a session needs either a drive or a camera", where="drive, camera", remedy=remedy)
        try:
            heading_of(asked.heading)
            if asked.camera is not None:
                camera = camera_file_of(asked.camera, _CAMERA)
                return self._fed(asked, camera)
            assert asked.drive is not None
            if asked.drive not in self.drives:
                remedy = "GET /api/drives lists them"
                raise ProblemError(404, "the server has no drive of this name", where="drive", remedy=remedy)
            journey = self.drives.journey(asked.drive)
        except InputError as error:
            raise refused(error) from error
        self._make_room()
        about = self._about(
            "drive", asked.drive, asked, drive=asked.drive, moments_total=self.drives.frames(asked.drive)
        )
        return self._started(Session.created(self._folder / about.id, about), lambda: journey)

    def upload(
        self, video: BinaryIO, camera: BinaryIO, odometry: BinaryIO, asked: wire.NewSession, name: str = "upload"
    ) -> Session:
        """A new session of files that are sent. asked: heading and start. Raises ProblemError if it cannot be."""
        self._make_room()
        about = self._about("upload", name, asked)
        folder = self._folder / about.id
        try:
            heading_of(asked.heading)
            stored = uploads.store(folder, video, camera, odometry, self.limits)
            files = uploads.files_of(folder, stored)
            journey = open_journey(files)
            total = count(journey) if files.video is None else frame_count(files.video)
        except InputError as error:
            Session(folder, about).deleted()
            raise refused(error, folder) from error
        except BaseException:
            Session(folder, about).deleted()
            raise
        about = about.model_copy(update={"upload": stored, "moments_total": total})
        session = self._started(Session.created(folder, about), lambda: journey)
        self._doubts.submit(self._doubt, session, journey)
        return session

    def fed(self, key: str) -> FedRun:
        """What takes the frames of a session. Raises ProblemError if it takes none."""
        session = self.session(key)
        with self._lock:
            run = self._runs.get(key)
        if session.about.source != "api":
            remedy = "open a session with a camera"
            raise ProblemError(409, "the session tracks a drive, and takes no frames", where="id", remedy=remedy)
        if not isinstance(run, FedRun):
            about = session.about
            why = f"it is {about.status}" if about.error is None else about.error.detail
            what = f"the session takes no more frames: {why}"
            raise ProblemError(409, what, where="id", remedy="open a new session")
        session.used_s = monotonic()
        return run

    def update(self, key: str, picture: BinaryIO | None, odometry: wire.Odometry) -> Future[str]:
        """The fix of a moment that is sent, once it has had its turn."""
        pose = OdometryPose(odometry.time_s, odometry.x_m, odometry.y_m, odometry.yaw_rad)
        return self.fed(key).update(None if picture is None else picture.read(), pose)

    def delete(self, key: str) -> None:
        """Stop a session and delete all that is kept of it. Raises ProblemError if there is none."""
        session = self.session(key)
        with self._lock:
            self._sessions.pop(key, None)
        self._stop(session)
        session.change(status="closed")
        session.deleted()

    def sweep(self) -> None:
        """Close sessions that get no frames, and delete the oldest ended ones beyond the bounds."""
        for session in self.sessions():
            idle_s = monotonic() - session.used_s
            if session.is_open and session.about.source == "api" and idle_s > self.limits.idle_s:
                self._stop(session)
                session.change(status="closed")
        self._delete_oldest(self.limits.kept)
        left = self.limits.kept_bytes
        for session in self.sessions():
            left -= session.size_bytes()
            if left < 0 and not session.is_open:
                self.delete(session.about.id)

    def _about(
        self,
        source: wire.Source,
        name: str,
        asked: wire.NewSession,
        *,
        drive: str | None = None,
        moments_total: int | None = None,
    ) -> About:
        return About(
            id=secrets.token_hex(8),
            name=name,
            source=source,
            map=self.served.fingerprint,
            created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            heading=asked.heading,
            drive=drive,
            start=asked.start,
            camera=asked.camera,
            moments_total=moments_total,
        )

    def _make_room(self) -> None:
        if self.tracked >= self.limits.tracked:
            raise too_many(f"{self.limits.tracked} sessions are tracked already", _WAIT_S)
        self._delete_oldest(self.limits.kept - 1)

    def _delete_oldest(self, kept: int) -> None:
        sessions = self.sessions()
        ended = [session for session in reversed(sessions) if not session.is_open]
        for session in ended[: max(0, len(sessions) - kept)]:
            with suppress(ProblemError):  # another thread has deleted it
                self.delete(session.about.id)

    def _fed(self, asked: wire.NewSession, camera: CameraFile) -> Session:
        self._make_room()
        about = self._about("api", "live", asked)
        session = Session.created(self._folder / about.id, about)

        def wake() -> None:
            self._worker.wake(about.id, partial(self._step, session, run))

        run = FedRun(session, self.served, camera, heading_of(asked.heading), start_of(asked.start), self.limits, wake)
        with self._lock:
            self._sessions[about.id], self._runs[about.id] = session, run
        return session

    def _started(self, session: Session, opened: Callable[[], Journey]) -> Session:
        about = session.about
        run = DriveRun(session, self.served, opened, heading_of(about.heading), start_of(about.start))
        with self._lock:
            self._sessions[about.id], self._runs[about.id] = session, run
        self._worker.wake(about.id, partial(self._step, session, run))
        return session

    def _step(self, session: Session, run: Run) -> bool:
        """A step of a session, in the worker's thread; its errors end it."""
        with session.working:
            if not session.is_open:
                return False
            try:
                more = run.step()
            except Exception as error:
                session.fail(failure_of(error, session.folder).problem)
            else:
                if session.is_open:
                    return more
        self._stop(session)
        return False

    def _stop(self, session: Session) -> None:
        with self._lock:
            run = self._runs.pop(session.about.id, None)
        if run is not None:
            with session.working:
                run.close()

    def _doubt(self, session: Session, journey: Journey) -> None:
        """Warn where the pictures contradict the odometry, or how the camera is said to be mounted."""
        with suppress(InputError):
            doubt = camera_doubt(journey, min(journey.cameras))
            if doubt is not None and session.about.status != "closed":
                session.change(warnings=[f"the fixes may all be wrong: {doubt}; {doubt.remedy}"])

    def _restore(self) -> None:
        """Take over the sessions of an earlier server."""
        for folder in sorted(self._folder.iterdir()):
            try:
                session = Session.loaded(folder)
            except InputError as error:
                warn(error.what, where=error.where, remedy=error.remedy)
                continue
            self._sessions[session.about.id] = session
            if session.is_open:
                self._resume(session)

    def _resume(self, session: Session) -> None:
        about = session.about
        if about.source == "api":
            what = "the server was restarted, and the state of this session's tracker is lost"
            session.fail(ProblemError(410, what, remedy="open a new session, and send the frames again").problem)
        elif about.map != self.served.fingerprint:
            what = "the server was restarted with another map"
            session.fail(ProblemError(410, what, remedy="open a new session").problem)
        elif about.source == "drive" and (about.drive is None or about.drive not in self.drives):
            what = "the server was restarted without this drive"
            session.fail(ProblemError(410, what, remedy="open a session of another drive").problem)
        elif about.drive is not None:
            self._started(session, partial(self.drives.journey, about.drive))
        else:
            self._started(session, partial(open_journey, uploads.files_of(session.folder, about.upload)))


def _claimed(path: Path) -> BinaryIO:
    """A lock on a file, for as long as it is open. Raises InputError if another process has it."""
    file = path.open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        remedy = "give each server a folder of its own"
        raise InputError("another server uses this folder", where=path.parent, remedy=remedy) from error
    return file
