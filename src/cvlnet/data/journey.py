"""A drive, moment by moment, with odometry and pictures but without positions on earth.

Pictures are decoded when they are used. Known positions are kept separately, as ground truth or as measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cvlnet.arrays import Rgb
from cvlnet.data.images import read_frame
from cvlnet.data.odometry import OdometryPose, has_headings, odometry_of
from cvlnet.data.recording import MountedCamera, Recording
from cvlnet.geo import LatLon
from cvlnet.geometry import Pose
from cvlnet.image_spec import Window

Picture = Callable[[Window], Rgb]
"""The model's frame of a camera's picture, turned upright and without lens distortion, by its window.

Raises InputError where the picture is damaged, or of another size than the camera's.
"""


@dataclass(frozen=True)
class Moment:
    """One moment of a journey. index: number of the frame, increasing. pictures: by camera; empty if there are none."""

    index: int
    odometry: OdometryPose
    pictures: Mapping[int, Picture] = field(default_factory=dict)


@dataclass(frozen=True)
class KnownPlace:
    """A position on earth, at a time on the odometry's clock. yaw_rad: counter-clockwise from true east, if known.

    sigma_m: standard deviation, east and north; None if it is not known.
    """

    time_s: float
    position: LatLon
    yaw_rad: float | None = None
    sigma_m: float | None = None


@dataclass(frozen=True)
class Journey:
    """A drive, from any source: its cameras by number, and its moments by increasing time.

    name: that of its folder or file, for error messages. road_from_body: as in `cvlnet.data.recording.Recording`.
    moments: iterates from the first moment on with every call. places: known positions by increasing time, or empty.
    has_headings: whether the odometry's yaw counts from east, at least roughly, and not from any direction.
    """

    name: str
    cameras: Mapping[int, MountedCamera]
    road_from_body: Pose
    moments: Callable[[], Iterator[Moment]]
    places: tuple[KnownPlace, ...] = ()
    has_headings: bool = True

    @property
    def title(self) -> str:
        """The name without its folder: the last part of it."""
        return Path(self.name).absolute().name

    def road_from_cam(self, camera_id: int) -> Pose:
        """The pose of a camera over a level road."""
        return self.road_from_body @ self.cameras[camera_id].body_from_cam


def journey_of(recording: Recording) -> Journey:
    """The journey of a drive whose pictures are files; its positions, where it has any, are the known places."""

    def moments() -> Iterator[Moment]:
        for frame, pose in zip(recording.frames, odometry_of(recording), strict=True):
            pictures: dict[int, Picture] = {
                camera: partial(read_frame, path, recording.cameras[camera]) for camera, path in frame.images.items()
            }
            yield Moment(frame.index, pose, pictures)

    places = tuple(KnownPlace(frame.time_s, frame.position, frame.yaw_rad) for frame in recording.frames)
    return Journey(
        recording.name,
        recording.cameras,
        recording.road_from_body,
        moments,
        places if recording.geographic else (),
        has_headings(recording),
    )
