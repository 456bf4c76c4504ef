"""A recorded drive, whatever it was read from: its cameras, and where each frame was taken."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from cvlnet.data.lens import Lens
from cvlnet.geo import LatLon, earth_centred_m
from cvlnet.geometry import Camera, Pose


@dataclass(frozen=True)
class MountedCamera:
    """A camera and where it sits on the vehicle. The body frame is x forward, y left, z up from the reference point.

    camera: of its frames without distortion. lens: undoes the distortion of its pictures; None if they have none.
    exif_orientation: whether EXIF turns its pictures; None if that follows from their size, or the user has to say so.
    if_size_differs: what the user can do about pictures of another size than the camera's.
    """

    camera: Camera
    body_from_cam: Pose
    lens: Lens | None = None
    exif_orientation: Literal["ignore", "apply"] | None = "ignore"
    if_size_differs: str = "give pictures of the camera's size, or its calibration for theirs"


@dataclass(frozen=True)
class RecordedFrame:
    """One moment of a drive: the body's position and attitude, and the pictures that exist of it.

    time_s: on the clock of the poses; of KITTI's raw drives since the first frame. roll: positive is left side up;
    pitch: positive is front down; yaw: 0 is east, counter-clockwise. images: by camera.
    """

    index: int
    time_s: float
    position: LatLon
    roll_rad: float
    pitch_rad: float
    yaw_rad: float
    images: Mapping[int, Path]


@dataclass(frozen=True)
class Recording:
    """A drive: frames by rising index, holes allowed, and the cameras by number.

    road_from_body: how the body rests on a level road; the road frame's origin is below the body's, x ahead, y left.
    jumps_m: where the positions jump and go on from there, how far they jump, by the number of the first frame behind
    the jump; positions before it and behind it cannot be compared. left_out: why a frame is not among ``frames``
    although it was measured, by its number. geographic: False for odometry in metres, whose frames have positions
    around an arbitrary point.
    """

    name: str
    cameras: Mapping[int, MountedCamera]
    road_from_body: Pose
    frames: tuple[RecordedFrame, ...]
    jumps_m: Mapping[int, float] = field(default_factory=dict)
    left_out: Mapping[int, str] = field(default_factory=dict)
    geographic: bool = True

    def road_from_cam(self, camera_id: int) -> Pose:
        """How a camera is mounted over a level road."""
        return self.road_from_body @ self.cameras[camera_id].body_from_cam

    def frame(self, index: int) -> RecordedFrame | None:
        """The frame of that number, or None where the drive has a hole."""
        at = self._last_until(index)
        return self.frames[at] if at >= 0 and self.frames[at].index == index else None

    def last_jump(self, index: int) -> int | None:
        """The number of the frame behind the last jump up to a frame, or None if the positions have not jumped."""
        return max((jump for jump in self.jumps_m if jump <= index), default=None)

    def until(self, index: int) -> Iterator[tuple[RecordedFrame, list[float]]]:
        """The frames from the last jump up to that number, newest first, and their places, earth-centred metres."""
        jump = self.last_jump(index)
        for at in range(self._last_until(index), -1, -1):
            if jump is not None and self.frames[at].index < jump:
                return
            yield self.frames[at], self._places_m[at]

    def _last_until(self, index: int) -> int:
        return bisect_right(self.frames, index, key=lambda frame: frame.index) - 1

    @cached_property
    def _places_m(self) -> list[list[float]]:
        """Of every frame."""
        places_m: list[list[float]] = earth_centred_m([frame.position.degrees for frame in self.frames]).tolist()
        return places_m
