"""A log of fixes that grows with the drive and stays readable whatever happens: JSON lines."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from dataclasses import replace
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

from cvlnet.errors import InputError
from cvlnet.io.outputs import write_text
from cvlnet.track.formats.fields import empty_trajectory, entry_of, fixes_of, header_of, refuse_large
from cvlnet.track.types import TrackFix, Trajectory

LOG = "track.jsonl"  # in the folder of a track
_REMEDY = "give a log that `cvlnet track` has written"


class TrackLog:
    """A file of JSON lines that takes each fix as it comes.

        with TrackLog(Path("drive.jsonl"), "drive", credit) as log:
            log.write(fix)

    The first line holds the name, the credit and the format's number; it is written at once. A log that is there is
    continued: ``fixes`` are those that it holds, and a last line that was not finished is removed. One without fixes
    is begun anew. One process at a time may write.
    Raises InputError if another one does, or the file is something else, or the log of another drive.
    """

    def __init__(self, path: Path, name: str, credit: str | None = None) -> None:
        self.path = path
        self._file = _claimed(path)
        try:
            self.fixes = self._continued(name, credit)
        except InputError:
            self.close()
            raise
        self._last_s = self.fixes[-1].time_s if self.fixes else None

    def _continued(self, name: str, credit: str | None) -> tuple[TrackFix, ...]:
        """The fixes that are there, behind which the file now ends; behind its header if there are none."""
        there = read_log(self.path) if self.path.stat().st_size else None
        if there is None or not there.fixes:
            self._file.truncate(0)
            self._append(_line(header_of(name, credit)))
            return ()
        if (there.name, there.credit) != (name, credit):
            what = f"is the log of {there.name!r} ({there.credit!r}) instead of {name!r} ({credit!r})"
            raise InputError(what, where=self.path, remedy="give another file, or delete it")
        self._file.truncate(_finished_bytes(self.path))
        self._file.seek(0, 2)
        return there.fixes

    def write(self, fix: TrackFix) -> None:
        """Add a fix. It is in the file when this returns. Raises ValueError if it is not later than the last one."""
        if self._last_s is not None and fix.time_s <= self._last_s:
            raise ValueError(f"the time {fix.time_s} s does not come after {self._last_s} s")
        self._append(_line(entry_of(fix)))
        self._last_s = fix.time_s

    def _append(self, text: str) -> None:
        line = text.encode()
        try:
            written = self._file.write(line)
            while written < len(line):
                written += self._file.write(line[written:])
        except OSError as error:
            self.close()  # nothing may follow an unfinished line
            remedy = "free some space and resume"
            raise InputError(f"cannot be written ({error.strerror})", where=self.path, remedy=remedy) from error

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def __enter__(self) -> TrackLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_log(trajectory: Trajectory, path: Path) -> None:
    """Write a whole trajectory as a log."""
    lines = [header_of(trajectory.name, trajectory.credit), *map(entry_of, trajectory.fixes)]
    write_text(path, "".join(map(_line, lines)))


def read_log(path: Path) -> Trajectory:
    """A log as far as its lines are finished. Raises InputError if it cannot be read, with the line."""
    refuse_large(path)
    lines = _lines(path)
    where, header = next(lines, (str(path), {}))
    return replace(empty_trajectory(header, where), fixes=fixes_of(lines))


def _claimed(path: Path) -> FileIO:
    """A file to be written by this process alone, for as long as it is open. Raises InputError if it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        file = path.open("r+b", buffering=0)
    except OSError as error:
        raise InputError(f"cannot be written ({error.strerror})", where=path, remedy="choose another") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        remedy = "wait until it has ended, or give another folder"
        raise InputError("another process is writing this track", where=path, remedy=remedy) from error
    return file


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, allow_nan=False) + "\n"


def _finished_bytes(path: Path) -> int:
    """Size of the file up to the end of its last finished line."""
    return path.read_bytes().rfind(b"\n") + 1


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The finished lines with an object each, and where they stand."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, remedy=_REMEDY) from error
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        where = f"{path}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"is no JSON ({error})", where=where, remedy="delete the line") from error
        if not isinstance(value, dict):
            raise InputError("is no JSON object", where=where, remedy="delete the line")
        yield where, value
