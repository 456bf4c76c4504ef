from dataclasses import replace
from math import atan2, hypot, inf, nan, pi, radians
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kitti_tree import DATE, DRIVE, NAME, write_drive

from cvlnet.data.clips import (
    AS_DESCRIBED,
    ClipErrors,
    ClipSpec,
    Pitch,
    assemble_clip,
    clip_frames,
    mirrored,
    misdescribed,
    pitched,
    pitches,
    spread,
    turned,
    warn_if_short,
)
from cvlnet.data.images import ImageCache, read_frame
from cvlnet.data.kitti import read_drive
from cvlnet.data.recording import Recording
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.image_spec import ImageSpec
from cvlnet.types import Clip

SPEC = ClipSpec(ImageSpec(62, 16), way_m=9.0)


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """A drive to the north, a metre a frame, cameras a metre ahead and 0.25 and 0.75 m right of the unit."""
    write_drive(tmp_path)
    return read_drive(tmp_path, DATE, DRIVE, unit_pitch_rad=0.0)


def test_a_clip_is_every_third_frame_newest_first(recording: Recording) -> None:
    clip = assemble_clip(recording, 10, SPEC)
    assert clip.images.shape == (4, 3, 16, 62)
    assert clip.images.dtype == torch.uint8
    for picture, index in zip(clip.images, (10, 7, 4, 1), strict=True):
        frame = recording.frame(index)
        assert frame is not None
        window = SPEC.image.window(recording.cameras[2].camera, recording.road_from_cam(2))
        expected = read_frame(frame.images[2], recording.cameras[2], window)
        assert np.array_equal(picture.permute(1, 2, 0).numpy(), expected)
    assert clip.camera.focal_px.tolist() == [[36.0, 36.0]] * 4


def test_frames_stand_where_they_were_taken_relative_to_the_newest(recording: Recording) -> None:
    clip = assemble_clip(recording, 10, SPEC)
    expected = [[0.25, 1.0 - 3 * i, 0.93 + 0.7] for i in range(4)]  # north is +y, right of the unit is east
    assert np.allclose(clip.ground_from_cam.translation_m, expected, atol=1e-4)
    assert torch.allclose(
        clip.ground_from_cam.rotation[:, :, 2], torch.tensor([0.0, 1.0, 0.0]), atol=1e-6
    )  # looks north


def test_measured_roll_and_pitch_do_not_count_but_the_mounting_does(tmp_path: Path) -> None:
    write_drive(tmp_path)  # whose oxts roll and pitch by a degree
    level = assemble_clip(read_drive(tmp_path, DATE, DRIVE, unit_pitch_rad=0.0), 10, SPEC)
    down = assemble_clip(read_drive(tmp_path, DATE, DRIVE, unit_pitch_rad=0.1), 10, SPEC)
    assert level.ground_from_cam.rotation[0, 2, 2] == 0
    assert down.ground_from_cam.rotation[0, 2, 2] == pytest.approx(-np.sin(0.1))


def test_two_cameras_alternate(recording: Recording) -> None:
    clip = assemble_clip(recording, 10, ClipSpec(ImageSpec(62, 16), frames=2, way_m=3.0, camera_ids=(2, 3)))
    assert clip.images.shape[0] == 4
    assert clip.ground_from_cam.translation_m[:, 0].tolist() == pytest.approx([0.25, 0.75, 0.25, 0.75], abs=1e-4)
    assert clip.ground_from_cam.translation_m[:, 1].tolist() == pytest.approx([1, 1, -2, -2], abs=1e-4)


@pytest.mark.parametrize("angle_rad", [0.3, -2.0])
def test_a_turned_clip_turns_about_the_newest_vehicle_position(recording: Recording, angle_rad: float) -> None:
    clip = assemble_clip(recording, 10, SPEC)
    again = turned(turned(clip, angle_rad), -angle_rad)
    moved = turned(clip, angle_rad).ground_from_cam
    xy, turned_xy = clip.ground_from_cam.translation_m[:, :2], moved.translation_m[:, :2]
    assert torch.allclose(again.ground_from_cam.translation_m, clip.ground_from_cam.translation_m, atol=1e-5)
    assert torch.allclose(xy.norm(dim=1), turned_xy.norm(dim=1), atol=1e-5)
    turn = torch.atan2(turned_xy[:, 1], turned_xy[:, 0]) - torch.atan2(xy[:, 1], xy[:, 0])
    assert torch.allclose(torch.remainder(turn - angle_rad + pi, 2 * pi), torch.full((4,), pi), atol=1e-5)
    assert torch.equal(moved.translation_m[:, 2], clip.ground_from_cam.translation_m[:, 2])


def down_rad(clip: Clip) -> float:
    """How far below the horizon lies what the newest picture shows five pixels below its principal point."""
    pixel = clip.camera.principal_point_px + torch.tensor([0.0, 5.0])
    xyz_m = clip.camera.unproject(pixel.unsqueeze(-2), torch.ones(len(pixel), 1))
    x, y, z = (clip.ground_from_cam.rotation[0] @ xyz_m[0, 0]).tolist()
    return atan2(-z, hypot(x, y))


def test_pitches_leave_no_error_of_more_than_a_degree() -> None:
    for error_deg in (1.2, 2.0, 3.0, 4.5):
        tried_deg = np.degrees([pitch.angle_rad for pitch in pitches(radians(error_deg), 20.0)])
        assert np.diff(tried_deg) == pytest.approx(2.0)
        assert tried_deg == pytest.approx(-tried_deg[::-1])
        assert error_deg <= tried_deg[-1] + 1 + 1e-6
        assert error_deg > tried_deg[-1] - 1 + 1e-6  # none is tried in vain
    assert pitches(0.0, 20.0) == pitches(radians(1.0), 20.0) == (AS_DESCRIBED,)


@pytest.mark.parametrize("error_rad", [-0.01, nan, inf, 3.0])
def test_an_error_of_the_pitch_that_is_none_or_in_degrees_is_refused(error_rad: float) -> None:
    with pytest.raises(ValueError, match=r"from 0 to 0.26 rad \(15 degrees\), not"):
        pitches(error_rad, 20.0)


def test_pitches_pay_for_being_unlikely() -> None:
    """The error is two standard deviations of a normal distribution; scores times sharpness are logarithms."""
    low, middle, high = pitches(radians(3.0), 20.0)
    assert middle == AS_DESCRIBED
    assert low.penalty == high.penalty == pytest.approx((2.0 / 1.5) ** 2 / 2 / 20.0)
    assert pitches(radians(3.0), 40.0)[0].penalty == pytest.approx(low.penalty / 2)


def test_a_pitched_clip_makes_good_what_a_description_lacks(recording: Recording) -> None:
    clip = assemble_clip(recording, 9, SPEC)
    lacks = misdescribed(clip, ClipErrors(pitch_rad=radians(2.0)))
    made_good = pitched(lacks, Pitch(radians(2.0), 0.0))
    torch.testing.assert_close(made_good.ground_from_cam.rotation, clip.ground_from_cam.rotation, atol=1e-6, rtol=0)
    assert torch.equal(made_good.ground_from_cam.translation_m, clip.ground_from_cam.translation_m)


def test_a_misdescribed_clip_looks_where_its_cameras_do_not(recording: Recording) -> None:
    clip = assemble_clip(recording, 10, SPEC)
    assert torch.equal(misdescribed(clip, ClipErrors()).ground_from_cam.rotation, clip.ground_from_cam.rotation)
    assert down_rad(clip) - down_rad(misdescribed(clip, ClipErrors(pitch_rad=0.05))) == pytest.approx(0.05, abs=1e-4)
    assert down_rad(misdescribed(clip, ClipErrors(focal_share=0.1))) > down_rad(clip)  # the told lens is shorter
    left = misdescribed(clip, ClipErrors(heading_rad=0.1)).ground_from_cam
    torch.testing.assert_close(left.rotation, turned(clip, 0.1).ground_from_cam.rotation)
    lower_m = misdescribed(clip, ClipErrors(height_m=0.2)).ground_from_cam.translation_m
    expected_m = clip.ground_from_cam.translation_m - torch.tensor([0.0, 0.0, 0.2])
    torch.testing.assert_close(lower_m, expected_m)


def test_a_mirrored_clip_shows_north_and_south_exchanged(recording: Recording) -> None:
    """Every point lands in the other half of the picture, in the same row, on the same colour."""
    clip = turned(assemble_clip(recording, 10, ClipSpec(ImageSpec(62, 16), frames=2, camera_ids=(2, 3))), 0.4)
    mirror = mirrored(clip)
    unit = torch.rand(4, 200, 3, generator=torch.Generator().manual_seed(0))
    xyz_m = torch.tensor([-20.0, 0.0, 0.0]) + unit * torch.tensor([40.0, 40.0, 4.0])
    xy_px, seen = clip.camera.project(clip.ground_from_cam.inverse().transform(xyz_m))
    flipped_m = xyz_m * torch.tensor([1.0, -1.0, 1.0])
    flipped_px, seen_again = mirror.camera.project(mirror.ground_from_cam.inverse().transform(flipped_m))
    assert seen.any()
    assert torch.equal(seen, seen_again)
    torch.testing.assert_close(flipped_px[seen], torch.tensor([62.0, 0.0]) - xy_px[seen] * torch.tensor([1.0, -1.0]))
    assert torch.equal(mirror.images, clip.images.flip(-1))
    torch.testing.assert_close(torch.linalg.det(mirror.ground_from_cam.rotation), torch.ones(4))
    torch.testing.assert_close(
        mirrored(mirror).ground_from_cam.translation_m, clip.ground_from_cam.translation_m, rtol=0, atol=0
    )


def test_a_clip_that_lacks_frames_is_refused_not_padded(recording: Recording) -> None:
    assert [frame.index for frame in clip_frames(recording, 2, SPEC)] == [2, 1, 0]
    with pytest.raises(InputError, match=r"needs 4 frames with pictures, and there are 3 up to frame 2; choose"):
        assemble_clip(recording, 2, SPEC)
    with pytest.raises(InputError, match="there is no frame 20; choose among 0 to 12"):
        assemble_clip(recording, 20, SPEC)


def test_a_clip_does_not_reach_back_over_a_jump(recording: Recording) -> None:
    jumped = replace(recording, jumps_m={7: 50.0})
    assert [frame.index for frame in clip_frames(jumped, 12, SPEC)] == [12, 10, 9, 7]
    assert [frame.index for frame in clip_frames(jumped, 6, SPEC)] == [6, 4, 2, 0]
    assert [frame.index for frame in clip_frames(jumped, 11, ClipSpec(ImageSpec(62, 16), step=2))] == [11, 9, 7]
    told = r"needs 4 frames with pictures, and there are 3 up to frame 9 since the position jumps by 50 m at frame 7;"
    with pytest.raises(InputError, match=told):
        assemble_clip(jumped, 9, SPEC)


def test_a_clip_that_a_jump_shortens_is_told(recording: Recording, caplog: pytest.LogCaptureFixture) -> None:
    jumped = replace(recording, jumps_m={7: 50.0})
    warn_if_short(recording, 12, SPEC)
    warn_if_short(jumped, 6, SPEC)
    warn_if_short(jumped, 12, replace(SPEC, way_m=5.0))
    assert caplog.messages == []
    warn_if_short(jumped, 12, SPEC)
    assert caplog.messages == [
        f"{NAME}: the clip reaches back 5 m instead of 9 m since the position jumps by 50 m at frame 7; "
        "correct the positions, or take a later frame"
    ]


def test_a_frame_that_cannot_be_the_newest_is_told(recording: Recording) -> None:
    frames = tuple(replace(f, images={}) if f.index == 5 else f for f in recording.frames if f.index != 8)
    lacking = replace(recording, frames=frames, left_out={8: "it has no position (frame 8)"})
    with pytest.raises(InputError, match=r"there is no picture of frame 5 by camera 2; choose among 0 to 4, 6, 7, 9"):
        assemble_clip(lacking, 5, SPEC)
    told = r"frame 8 cannot be used: it has no position \(frame 8\); correct its position, or choose among 0 to 4"
    with pytest.raises(InputError, match=told):
        assemble_clip(lacking, 8, SPEC)
    told = r"a clip needs 16 frames with pictures, and there are 11 up to frame 12 \(1 more are left out\); choose"
    with pytest.raises(InputError, match=told):
        assemble_clip(lacking, 12, replace(SPEC, frames=16))


def test_frames_are_spread_over_the_way(recording: Recording) -> None:
    """It drives a metre from frame to frame."""
    cases = ((4, 9.0, [12, 9, 6, 3]), (3, 4.0, [12, 10, 8]), (4, 36.0, [12, 8, 4, 0]), (1, 9.0, [12]))
    for frames, way_m, chosen in cases:
        spec = ClipSpec(ImageSpec(62, 16), frames, way_m)
        assert [frame.index for frame in clip_frames(recording, 12, spec)] == chosen


def test_frames_without_pictures_do_not_lengthen_the_way(recording: Recording) -> None:
    """The odd ones have none, and are measured 5 m beside the road."""
    beside = tuple(
        replace(f, images={}, position=LatLon(f.position.latitude_deg, f.position.longitude_deg + 7e-5))
        if f.index % 2
        else f
        for f in recording.frames
    )
    spec = ClipSpec(ImageSpec(62, 16), frames=3, way_m=8.0)
    assert [f.index for f in clip_frames(replace(recording, frames=beside), 12, spec)] == [12, 8, 4]


def test_noise_while_the_vehicle_stands_does_not_lengthen_the_way(recording: Recording) -> None:
    """From frame 8 on it stands, and is measured half a metre to the east and to the west in turn."""
    stand = recording.frames[8].position
    noisy = (
        replace(f, position=LatLon(stand.latitude_deg, stand.longitude_deg + 7e-6 * (-1) ** f.index))
        if f.index > 8
        else f
        for f in recording.frames
    )
    spec = ClipSpec(ImageSpec(62, 16), frames=3, way_m=8.0)
    assert [f.index for f in clip_frames(replace(recording, frames=tuple(noisy)), 12, spec)] == [12, 4, 0]


def test_a_step_takes_every_so_many_th_frame(recording: Recording) -> None:
    spec = ClipSpec(ImageSpec(62, 16), step=3)
    assert [frame.index for frame in clip_frames(recording, 11, spec)] == [11, 8, 5, 2]
    assert [frame.index for frame in clip_frames(recording, 8, spec)] == [8, 5, 2]
    with pytest.raises(InputError, match="a clip needs 4 frames with pictures, and there are 3 up to frame 8"):
        assemble_clip(recording, 8, spec)
    with pytest.raises(ValueError, match="every 1st or later one"):
        ClipSpec(ImageSpec(62, 16), step=0)


def test_where_the_vehicle_stood_the_newest_are_taken() -> None:
    assert spread(np.zeros(9), 4, 36.0) == [0, 1, 2, 3]
    assert spread(np.array([0.0, 0.0, 0.0, 0.0, 10.0, 20.0, 30.0]), 4, 30.0) == [0, 4, 5, 6]
    assert spread(np.array([0.0, 1.0, 50.0]), 3, 36.0) == [0, 1, 2]
    assert spread(np.array([0.0, 1.0]), 3, 36.0) == [0, 1]


@given(st.lists(st.floats(0, 20), min_size=1, max_size=40), st.integers(1, 16), st.floats(0.1, 100))
def test_chosen_frames_are_distinct_and_as_many_as_can_be(legs_m: list[float], count: int, way_m: float) -> None:
    back_m = np.cumsum([0.0, *legs_m])
    chosen = spread(back_m, count, way_m)
    assert chosen[0] == 0
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, len(back_m))


def test_an_unknown_camera_is_refused(recording: Recording) -> None:
    with pytest.raises(InputError, match="has no camera 5; choose among 2, 3"):
        assemble_clip(recording, 10, ClipSpec(ImageSpec(62, 16), camera_ids=(5,)))


@pytest.mark.parametrize("frames", [0, 17])
def test_a_clip_has_one_to_sixteen_frames(frames: int) -> None:
    with pytest.raises(ValueError, match="a clip has 1 to 16 frames"):
        ClipSpec(ImageSpec(62, 16), frames=frames)


@pytest.mark.parametrize("way_m", [0.0, -1.0, inf, nan])
def test_a_clip_is_of_some_way(way_m: float) -> None:
    with pytest.raises(ValueError, match="of some way"):
        ClipSpec(ImageSpec(62, 16), way_m=way_m)


def test_a_cached_clip_is_the_same(recording: Recording, tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "cache")
    plain = assemble_clip(recording, 10, SPEC)
    for _ in range(2):
        assert torch.equal(assemble_clip(recording, 10, SPEC, cache).images, plain.images)
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 4
