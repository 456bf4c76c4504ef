"""One session: what is known of it, its fixes and pictures, and where they lie on disk.

SESSION/session.json     what is known of it, and how it is resumed
SESSION/track.jsonl      the log of `cvlnet track`
SESSION/fixes.jsonl      the fixes as they are sent
SESSION/odometry.jsonl   time_s, x_m, y_m, yaw_rad of every moment
SESSION/truth.jsonl      true places, where they are known
SESSION/moments.jsonl    which moments have pictures, and where these lie
SESSION/pictures/        000012-frame.jpg and others
SESSION/upload/          what was uploaded
"""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cvlnet.data.journey import KnownPlace
from cvlnet.data.odometry import OdometryPose
from cvlnet.errors import InputError
from cvlnet.io.files import written_whole
from cvlnet.io.outputs import write_text
from cvlnet.serve import wire
from cvlnet.serve.fixes import fix_of, odometry_places, places_of, truth_of
from cvlnet.serve.lines import Lines
from cvlnet.serve.pictures import Picture
from cvlnet.serve.problems import Problem
from cvlnet.track.formats import read_trajectory
from cvlnet.track.formats.log import LOG
from cvlnet.track.types import TrackFix, Trajectory

SUFFIX = {"frame": ".jpg", "projection": ".webp", "score": ".png", "belief": ".png"}
OPEN: tuple[wire.Status, ...] = ("waiting", "running")
_MOST_PICTURED = 3000  # moments of a session whose pictures are kept


class About(BaseModel):
    """What is known of a session, and how it is resumed.

    map: stands for the map that it was tracked on. upload: the files of an upload by the names of `JourneyFiles`,
    relative to the session's folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    name: str
    source: wire.Source
    map: str
    created_at: str
    heading: str | None
    status: wire.Status = "waiting"
    error: Problem | None = None
    fixes: int = 0
    duration_s: float = 0.0
    has_truth: bool = False
    moments_total: int | None = None
    warnings: list[str] = []
    drive: str | None = None
    start: wire.MeasuredPlace | None = None
    camera: dict[str, Any] | None = None
    upload: dict[str, str] = {}

    def sent(self) -> wire.Session:
        """As the API gives it."""
        return wire.Session(**{name: getattr(self, name) for name in wire.Session.model_fields})


class _Pictured(BaseModel):
    """A moment with pictures, by their names, and where these lie."""

    moment: int
    pictures: dict[str, wire.Corners | None]


@dataclass(frozen=True)
class Watcher:
    """An event of an asyncio loop, set from any thread when a session changes."""

    loop: asyncio.AbstractEventLoop
    event: asyncio.Event

    def wake(self) -> None:
        """Set the event."""
        with suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(self.event.set)


class Session:
    """A session and its folder. Any thread may read; one at a time, which holds ``working``, adds to it."""

    def __init__(self, folder: Path, about: About) -> None:
        self.folder = folder
        self.working = threading.Lock()
        self.used_s = monotonic()
        self._about = about
        self._lock = threading.RLock()  # a signal may come while it is held
        self._fixes, self._odometry, self._moments = (
            Lines(folder / f"{name}.jsonl") for name in ("fixes", "odometry", "moments")
        )
        self._pictured: dict[int, dict[str, wire.Corners | None]] | None = None
        self._truth: tuple[KnownPlace, ...] | None = None
        self._before: OdometryPose | None = None
        self._begin_s: float | None = None
        self._watchers: set[Watcher] = set()
        self._gone = False
        self._pictures_lock = threading.Lock()
        self._below_bytes = _bytes_of(folder.glob("*/**/*"))  # of pictures and uploads, in folders of the session's

    @staticmethod
    def created(folder: Path, about: About) -> Session:
        """A new session, whose folder is there or is made."""
        session = Session(folder, about)
        session._save()
        return session

    @staticmethod
    def loaded(folder: Path) -> Session:
        """A session from its folder. Raises InputError if there is none, or it is damaged."""
        try:
            about = About.model_validate_json((folder / "session.json").read_bytes())
        except (OSError, ValidationError) as error:
            raise InputError("holds no session", where=folder, remedy="delete the folder") from error
        session = Session(folder, about)
        if session.is_open:  # its last fixes have not been counted
            session._about = about.model_copy(update={"fixes": len(session._fixes)})
        return session

    @property
    def about(self) -> About:
        """What is known of it now."""
        return self._about

    @property
    def is_open(self) -> bool:
        """Whether more fixes may come."""
        return self._about.status in OPEN

    def change(self, **changes: Any) -> None:
        """Change what is known of it."""
        with self._lock:
            self._about = self._about.model_copy(update=changes)
            self._save()
        self.wake()

    def fail(self, problem: Problem) -> None:
        """End it with an error."""
        self.change(status="failed", error=problem)

    def begin(self, truth: Sequence[KnownPlace], moments_total: int | None) -> None:
        """Take what is known before the first fix, and bring what was sent in line with the log, after a restart."""
        self._truth = tuple(truth)
        if truth:
            write_text(self.folder / "truth.jsonl", "".join(f"{p.model_dump_json()}\n" for p in truth_of(truth)))
        fixes = read_trajectory(self.folder / LOG).fixes if (self.folder / LOG).exists() else ()
        self._fixes.cut(len(fixes))
        for moment in range(len(self._fixes), len(fixes)):
            self._fixes.append(fix_of(fixes[moment], moment, truth=self._truth).model_dump_json())
        poses = self._poses()
        self._before, self._begin_s = poses[-1] if poses else None, fixes[0].time_s if fixes else None
        self.change(
            status="running" if fixes else "waiting",
            fixes=len(fixes),
            duration_s=fixes[-1].time_s - fixes[0].time_s if fixes else 0.0,
            has_truth=bool(truth),
            moments_total=moments_total,
        )

    def add(self, fix: TrackFix, odometry: OdometryPose, pictures: Mapping[str, Picture]) -> str:
        """Take the fix of a new moment, which the log holds already; the fix as it is sent."""
        moment = len(self._fixes)
        for name, picture in pictures.items():
            with written_whole(self._picture_path(moment, name)) as temporary:
                temporary.write_bytes(picture.encoded)
        if pictures:
            self._show(moment, {name: picture.corners for name, picture in pictures.items()})
        before, self._before = self._before, odometry
        self._odometry.append(json.dumps([odometry.time_s, odometry.x_m, odometry.y_m, odometry.yaw_rad]))
        self._below_bytes += sum(len(picture.encoded) for picture in pictures.values())
        sent = fix_of(fix, moment, truth=self._truth or (), before=before, now=odometry).model_dump_json()
        self._fixes.append(sent)
        self._begin_s = fix.time_s if self._begin_s is None else self._begin_s
        with self._lock:
            changes = {"fixes": moment + 1, "duration_s": fix.time_s - self._begin_s}
            began = self._about.status == "waiting"
            self._about = self._about.model_copy(update=changes | ({"status": "running"} if began else {}))
            if began:
                self._save()
        self.wake()
        return sent

    def fixes(self, after: int = -1, limit: int | None = None) -> list[str]:
        """The fixes of the moments after one, as they are sent."""
        return self._fixes.read(after + 1, limit)

    def trajectory(self) -> Trajectory:
        """All fixes. Raises InputError before the first."""
        if not (self.folder / LOG).exists():
            raise InputError("has no fixes yet", where=self._about.name, remedy="wait for the first")
        return read_trajectory(self.folder / LOG)

    def truth(self) -> tuple[KnownPlace, ...]:
        """True places; empty where none are known."""
        if self._truth is None:
            lines = Lines(self.folder / "truth.jsonl").read()
            self._truth = places_of([wire.TruePlace.model_validate_json(line) for line in lines])
        return self._truth

    def odometry(self) -> list[wire.OdometryPlace]:
        """Odometry alone, laid at the first fix that was tracked."""
        return odometry_places(self.trajectory().fixes if self._about.fixes else (), self._poses())

    def moments(self) -> list[wire.Moment]:
        """The moments with pictures."""
        return [
            wire.Moment(moment=moment, **{name: name in pictures for name in wire.PICTURES})
            for moment, pictures in sorted(self._shown().copy().items())
        ]

    def picture(self, moment: int, name: str) -> tuple[Path, wire.Corners | None] | None:
        """A picture's file, and where it lies; None if there is none."""
        pictures = self._shown().get(moment, {})
        path = self._picture_path(moment, name)
        return (path, pictures[name]) if name in pictures and path.is_file() else None

    def watched(self, watcher: Watcher) -> None:
        """Wake a watcher with every change from now on."""
        with self._lock:
            self._watchers.add(watcher)

    def unwatched(self, watcher: Watcher) -> None:
        """Wake it no more."""
        with self._lock:
            self._watchers.discard(watcher)

    def wake(self) -> None:
        """Wake all watchers."""
        with self._lock:
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher.wake()

    def size_bytes(self) -> int:
        """On disk. Pictures are counted as they are written."""
        return self._below_bytes + _bytes_of(self.folder.glob("*"))

    def deleted(self) -> None:
        """Delete its folder; nothing is written from now on."""
        self._gone = True
        shutil.rmtree(self.folder, ignore_errors=True)
        self.wake()

    def _poses(self) -> list[OdometryPose]:
        return [OdometryPose(*json.loads(line)) for line in self._odometry.read()]

    def _show(self, moment: int, pictures: dict[str, wire.Corners | None]) -> None:
        shown = self._shown()
        with self._pictures_lock:
            self._moments.append(_Pictured(moment=moment, pictures=pictures).model_dump_json())
            shown[moment] = pictures
            oldest = next(iter(shown))
            gone = shown.pop(oldest) if len(shown) > _MOST_PICTURED else {}
        for path in (self._picture_path(oldest, name) for name in gone):
            if path.is_file():
                self._below_bytes -= path.stat().st_size
            path.unlink(missing_ok=True)

    def _shown(self) -> dict[int, dict[str, wire.Corners | None]]:
        with self._pictures_lock:
            if self._pictured is None:
                entries = [_Pictured.model_validate_json(line) for line in self._moments.read()[-_MOST_PICTURED:]]
                self._pictured = {entry.moment: entry.pictures for entry in entries}
            return self._pictured

    def _picture_path(self, moment: int, name: str) -> Path:
        return self.folder / "pictures" / f"{moment:06d}-{name}{SUFFIX[name]}"

    def _save(self) -> None:
        if not self._gone:
            write_text(self.folder / "session.json", self._about.model_dump_json(indent=1) + "\n")


def _bytes_of(paths: Iterable[Path]) -> int:
    """The size of those that are files."""
    total = 0
    for path in paths:
        with suppress(FileNotFoundError):  # an unfinished one, which has its name by now
            total += path.stat().st_size if path.is_file() else 0
    return total
