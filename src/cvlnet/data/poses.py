"""The poses of a video, whichever file they come from: where the vehicle was at each frame, and where it headed.

A file is read as camera.json says. Where that leaves something open, the poses are also read as they might be meant
instead: `cvlnet.data.folder` compares the readings with how the vehicle moves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64

from cvlnet.arrays import Indices, Series

FARTHEST_M = 1e9  # of a position from its origin; greater numbers are no positions on earth
_UNIT = 0.05  # how far the length of a quaternion may differ from 1, as files and messages round


def is_unit(quaternion: Float64[np.ndarray, "*batch 4"]) -> Bool[np.ndarray, "*batch"]:
    """Whether quaternions have unit length, up to rounding. Those with a value that is not finite do not."""
    with np.errstate(over="ignore"):
        return np.asarray(np.abs(np.linalg.norm(quaternion, axis=-1) - 1) <= _UNIT)


@dataclass(frozen=True)
class PoseReading:
    """One way to read a file's poses. how: what they are taken to be; remedy: how to write that; both in words.

    place: latitude and longitude in degrees, or x and y in metres. yaw_rad: counter-clockwise from east, or from the x
    axis. NaN where nothing was measured.
    """

    how: str
    remedy: str
    place: Float64[np.ndarray, "n 2"]
    yaw_rad: Series


@dataclass(frozen=True)
class Poses:
    """The poses of a file, by rising frame.

    line: where each stands in the file, counted in ``unit``. frame: its frame's place in the order of frames, or of the
    poses where there are no frames. time_s: NaN where there is none. as_read, others: by what the file and camera.json
    say, and as the poses might be meant instead.
    """

    path: Path
    line: Int64[np.ndarray, " n"]
    frame: Int64[np.ndarray, " n"]
    time_s: Series
    geographic: bool
    as_read: PoseReading
    others: tuple[PoseReading, ...]
    unit: str = "line"

    def chosen(self, rows: Indices) -> Poses:
        """Some of the poses, by rising row."""

        def of(reading: PoseReading) -> PoseReading:
            return replace(reading, place=reading.place[rows], yaw_rad=reading.yaw_rad[rows])

        return replace(
            self,
            line=self.line[rows],
            frame=self.frame[rows],
            time_s=self.time_s[rows],
            as_read=of(self.as_read),
            others=tuple(map(of, self.others)),
        )

    def turned(self, angle_rad: float) -> Poses:
        """The poses of a world that is turned counter-clockwise; latitudes and longitudes stay, headings do not."""
        cos, sin = np.cos(angle_rad), np.sin(angle_rad)
        turn = np.eye(2) if self.geographic else np.array([[cos, sin], [-sin, cos]])

        def turned(reading: PoseReading) -> PoseReading:
            return replace(reading, place=reading.place @ turn, yaw_rad=reading.yaw_rad + angle_rad)

        return replace(self, as_read=turned(self.as_read), others=tuple(map(turned, self.others)))
