"""Files of JSON lines that grow, and are read by parts while they do."""

from __future__ import annotations

import threading
from array import array
from pathlib import Path

from cvlnet.errors import InputError


class Lines:
    """A file of lines. Only the places of the lines are in memory. What a writer that was killed left is cut off.

    Several threads may read while one appends. Raises InputError if the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._ends: array[int] | None = None  # behind each line; found when they are wanted first

    def __len__(self) -> int:
        with self._lock:
            return len(self._found())

    def append(self, line: str) -> None:
        """Add a line. It is in the file when this returns."""
        content = line.encode() + b"\n"
        with self._lock:
            ends = self._found()
            begin = ends[-1] if ends else 0
            try:
                with self.path.open("r+b" if self.path.exists() else "w+b") as file:
                    file.truncate(begin)
                    file.seek(begin)
                    file.write(content)
            except OSError as error:
                what = f"cannot be written ({error.strerror})"
                raise InputError(what, where=self.path, remedy="free some space") from error
            ends.append(begin + len(content))

    def read(self, first: int = 0, most: int | None = None) -> list[str]:
        """Lines from a number on, at most so many."""
        with self._lock:
            ends = self._found()
            last = len(ends) if most is None else min(len(ends), first + most)
            if first >= last:
                return []
            begin, end = ends[first - 1] if first else 0, ends[last - 1]
        try:
            with self.path.open("rb") as file:
                file.seek(begin)
                content = file.read(end - begin)
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", where=self.path, remedy="delete it") from error
        return content.decode().split("\n")[:-1]

    def cut(self, count: int) -> None:
        """Keep the first lines alone."""
        with self._lock:
            del self._found()[count:]

    def _found(self) -> array[int]:
        if self._ends is None:
            self._ends, at = array("Q"), 0
            if self.path.exists():
                with self.path.open("rb") as file:
                    for line in file:
                        at += len(line)
                        if line.endswith(b"\n"):
                            self._ends.append(at)
        return self._ends
