"""A recorded drive as a journey: pictures by file, and positions kept apart from the odometry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kitti_tree import STEP_M, place, write_drive

from cvlnet.data.images import read_frame
from cvlnet.data.journey import journey_of
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.data.odometry import odometry_of
from cvlnet.data.recording import Recording
from cvlnet.errors import InputError
from cvlnet.image_spec import ImageSpec


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return read_recording(write_drive(tmp_path / "raw"))


def test_moments_are_the_frames_with_their_odometry(recording: Recording) -> None:
    journey = journey_of(recording)
    for _ in range(2):  # from the first one with every call
        moments = list(journey.moments())
        assert [moment.index for moment in moments] == [frame.index for frame in recording.frames]
        assert [moment.odometry for moment in moments] == list(odometry_of(recording))
    assert (journey.name, journey.cameras) == (recording.name, recording.cameras)


@pytest.mark.parametrize(
    ("name", "title"),
    [("2011_09_26/2011_09_26_drive_0002_sync", "2011_09_26_drive_0002_sync"), ("/data/drive.mp4", "drive.mp4")],
)
def test_a_drive_is_called_after_its_folder_or_file(recording: Recording, name: str, title: str) -> None:
    assert replace(journey_of(recording), name=name).title == title


def test_the_folder_of_the_process_has_a_name(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_video").mkdir()
    monkeypatch.chdir(tmp_path / "my_video")
    assert replace(journey_of(recording), name=".").title == "my_video"


def test_pictures_are_read_when_they_are_wanted(recording: Recording) -> None:
    journey = journey_of(recording)
    moment = list(journey.moments())[4]
    window = ImageSpec(128, 32).window(recording.cameras[3].camera, journey.road_from_cam(3))
    expected = read_frame(recording.frames[4].images[3], recording.cameras[3], window)
    np.testing.assert_array_equal(moment.pictures[3](window), expected)
    recording.frames[4].images[3].write_bytes(b"no picture")
    assert len(list(journey.moments())) == 13
    with pytest.raises(InputError):
        moment.pictures[3](window)


def test_positions_are_kept_apart(recording: Recording) -> None:
    places = journey_of(recording).places
    assert [known.position for known in places] == [frame.position for frame in recording.frames]
    assert [known.time_s for known in places] == [frame.time_s for frame in recording.frames]
    assert [known.yaw_rad for known in places] == [frame.yaw_rad for frame in recording.frames]
    assert {known.sigma_m for known in places} == {None}
    assert places[0].position == place(0)


def test_positions_in_metres_are_no_places_on_earth(recording: Recording) -> None:
    journey = journey_of(replace(recording, geographic=False))
    assert journey.places == ()
    assert [m.odometry.y_m for m in journey.moments()] == pytest.approx([STEP_M * i for i in range(13)], abs=1e-5)


def test_how_a_camera_is_mounted(recording: Recording) -> None:
    found, expected = journey_of(recording).road_from_cam(3), recording.road_from_cam(3)
    np.testing.assert_array_equal(found.rotation, expected.rotation)
    np.testing.assert_array_equal(found.translation_m, expected.translation_m)
