"""A journey is followed moment by moment: what is decoded, what is left out, and what ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import hypot

import numpy as np
import pytest

from cvlnet.arrays import Rgb
from cvlnet.data.journey import Journey, KnownPlace, Moment
from cvlnet.data.recording import MountedCamera
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.geometry import Pose
from cvlnet.image_spec import Window
from cvlnet.track.follow import follow
from cvlnet.track.tracker import Tracker, TrackSpec
from cvlnet.track.types import TrackFix
from driving import CAMERA, FRAME, ROAD_FROM_CAM, At, circle, latlon, model, odometry, picture, region


@dataclass
class Camera:
    """A camera of a journey, and the moments whose pictures were decoded. damaged: those that cannot be."""

    damaged: frozenset[int] = frozenset()
    decoded: list[int] = field(default_factory=list)

    def picture(self, number: int, at: At) -> Callable[[Window], Rgb]:
        def decode(window: Window) -> Rgb:
            assert window.camera(CAMERA).width_px == 128
            self.decoded.append(number)
            if number in self.damaged:
                raise InputError("is damaged", where=f"{number}.png", remedy="take it out")
            return np.ascontiguousarray(picture(at).permute(1, 2, 0).numpy())

        return decode


def journey(drive: list[At], cameras: dict[int, Camera], places: tuple[KnownPlace, ...] = ()) -> Journey:
    def moments() -> Iterator[Moment]:
        for i, (at, pose) in enumerate(zip(drive, odometry(drive), strict=True)):
            yield Moment(i, pose, {number: camera.picture(i, at) for number, camera in cameras.items()})

    mounted = MountedCamera(CAMERA, ROAD_FROM_CAM)
    return Journey("drive", dict.fromkeys(cameras, mounted), Pose.identity(), moments, places)


def tracker(**named: object) -> Tracker:
    return Tracker(region(), model(), **named)  # type: ignore[arg-type]


def test_a_journey_is_followed_from_its_first_moment_to_its_last() -> None:
    drive = circle(90.0)
    fixes = list(follow(tracker(), journey(drive, {2: Camera()})))
    assert [fix.index for fix in fixes] == list(range(len(drive)))
    assert fixes[-1].state == "tracking"
    assert fixes[-1].position is not None
    east_m, north_m = FRAME.xy_world_m(fixes[-1].position.degrees).tolist()
    assert hypot(east_m - drive[-1].x_m, north_m - drive[-1].y_m) < 1.0


def test_only_pictures_that_are_needed_are_decoded() -> None:
    """A moment every half metre, of which every third is wanted; the other camera's are not."""
    camera, other = Camera(), Camera()
    list(follow(tracker(), journey(circle(15.0, step_m=0.5), {2: camera, 3: other})))
    assert camera.decoded == list(range(0, 30, 4))  # the chord of three steps is shorter than 1.5 m
    assert other.decoded == []
    list(
        follow(
            tracker(spec=TrackSpec(frame_m=1.4)), journey(circle(15.0, step_m=0.5), {2: camera, 3: other}), cameras=(3,)
        )
    )
    assert other.decoded == list(range(0, 30, 3))


def test_moments_without_a_picture_of_each_camera_have_odometry_alone() -> None:
    camera, drive = Camera(), circle(15.0)
    whole = journey(drive, {2: camera, 3: camera})
    moments = [
        replace(m, pictures={k: v for k, v in m.pictures.items() if k == 2 or m.index % 2}) for m in whole.moments()
    ]
    fixes = list(follow(tracker(), replace(whole, moments=lambda: iter(moments)), cameras=(2, 3)))
    assert camera.decoded == [i for i in range(1, 10, 2) for _ in (2, 3)]
    assert len(fixes) == 10


def test_damaged_pictures_are_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    camera, drive = Camera(frozenset(range(3, 23)) | {40}), circle(120.0, step_m=1.6)
    fixes = list(follow(tracker(), journey(drive, {2: camera})))
    assert caplog.messages == [f"{i}.png: is damaged; the frame is left out" for i in [*range(3, 23), 40]]
    assert fixes[-1].state == "tracking"


def test_many_damaged_pictures_in_succession_end_it() -> None:
    camera, drive = Camera(frozenset(range(3, 24))), circle(90.0, step_m=1.6)
    found = []
    with pytest.raises(InputError, match=r"23.png: is damaged; take it out"):
        found.extend(follow(tracker(), journey(drive, {2: camera})))
    between = Camera(frozenset(range(3, 50)) - {20, 40})
    assert len(list(follow(tracker(), journey(drive, {2: between})))) == len(drive)


def test_a_camera_that_the_journey_lacks_is_refused() -> None:
    with pytest.raises(InputError, match="drive: has no camera 5; choose among 2, 3"):
        next(follow(tracker(), journey(circle(9.0), {3: Camera(), 2: Camera()}), cameras=(2, 5)))


def places(drive: list[At], sigma_m: float | None = 2.0, *, late_s: float = 0.0) -> tuple[KnownPlace, ...]:
    return tuple(
        KnownPlace(pose.time_s + late_s, latlon(at.xy_m), sigma_m=sigma_m)
        for at, pose in zip(drive, odometry(drive), strict=True)
    )


def test_known_places_are_not_used_unless_asked_for() -> None:
    drive = circle(12.0)
    told = journey(drive, {2: Camera()}, places(drive))
    assert {fix.state for fix in follow(tracker(), told)} == {"searching"}
    assert [fix.state for fix in follow(tracker(), told, use_places=True)][-1] == "tracking"


def test_places_without_a_stated_accuracy_are_refused() -> None:
    drive = circle(12.0)
    with pytest.raises(InputError, match="drive: the accuracy of its positions is not known; state it in metres"):
        next(follow(tracker(), journey(drive, {2: Camera()}, places(drive, None)), use_places=True))


class Located(Tracker):
    """Notes when it was told which place."""

    def __init__(self) -> None:
        super().__init__(region(), model())
        self.told: list[tuple[float, float]] = []

    def locate(self, position: LatLon, sigma_m: float) -> TrackFix:
        assert self._now is not None
        self.told.append((round(self._now.time_s, 3), round(float(FRAME.xy_world_m(position.degrees)[0]), 3)))
        return super().locate(position, sigma_m)


def test_a_place_counts_once_at_the_first_moment_after_it() -> None:
    """Moments at 0, 0.2, 0.4 ...; of several places since the last moment the newest counts."""
    times = (-5.0, 0.2, 0.25, 0.3, 0.7, 99.0)
    told = tuple(KnownPlace(t, latlon((float(i), 0.0)), sigma_m=2.0) for i, t in enumerate(times))
    of = Located()
    list(follow(of, journey(circle(12.0), {2: Camera()}, told), use_places=True))
    assert of.told == [(0.2, 1.0), (0.4, 3.0), (0.8, 4.0)]  # the one of five seconds before the drive is out of date


def test_a_place_that_is_long_past_is_not_that_of_the_moment() -> None:
    of, drive = Located(), circle(12.0)
    late = journey(drive, {2: Camera()}, (KnownPlace(0.3, latlon((7.0, 0.0)), sigma_m=2.0),))
    moments = [moment for moment in late.moments() if not 0.1 < moment.odometry.time_s < 1.35]
    list(follow(of, replace(late, moments=lambda: iter(moments)), use_places=True))
    assert of.told == []
