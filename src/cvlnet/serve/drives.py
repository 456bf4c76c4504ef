"""The drives on the server's disk that can be tracked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path

from cvlnet.config import JourneyFiles
from cvlnet.data.journey import Journey
from cvlnet.data.open_journey import open_journey
from cvlnet.serve.wire import DriveInfo


class Drives:
    """Drives by their names, those of their folders; the first one is the example."""

    def __init__(self, files: Mapping[str, JourneyFiles]) -> None:
        self._files = dict(files)
        self._open = lru_cache(maxsize=4)(open_journey)

    @staticmethod
    def named(drives: Iterable[Path], folders: Iterable[Path]) -> Drives:
        """KITTI drives and video folders. Folders of the same name get numbers."""
        files: dict[str, JourneyFiles] = {}
        for given in (*(JourneyFiles(drive=path) for path in drives), *(JourneyFiles(folder=path) for path in folders)):
            name = plain = (given.drive or given.folder or Path()).resolve().name
            number = 2
            while name in files:
                name, number = f"{plain}-{number}", number + 1
            files[name] = given
        return Drives(files)

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def journey(self, name: str) -> Journey:
        """A drive. Raises KeyError if there is none of the name, InputError as `open_journey` does."""
        return self._open(self._files[name])

    @cached_property
    def infos(self) -> list[DriveInfo]:
        """All of them, as the API gives them. Raises InputError as `open_journey` does."""
        found = []
        for number, name in enumerate(self._files):
            journey = self.journey(name)
            found.append(
                DriveInfo(name=name, frames=count(journey), has_truth=bool(journey.places), example=number == 0)
            )
        return found

    def frames(self, name: str) -> int | None:
        """The number of a drive's frames; None if there is no such drive."""
        return next((info.frames for info in self.infos if info.name == name), None)


def count(journey: Journey) -> int:
    """The number of its moments, of a journey whose pictures are files."""
    return sum(1 for _ in journey.moments())
