"""A running sequence gives what its clips give, and encodes each frame once."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cvlnet.config import ModelConfig
from cvlnet.data.clips import ClipSpec, assemble_clip, looking_up
from cvlnet.data.kitti_cvl import read_recordings, read_split
from cvlnet.geo import LocalFrame
from cvlnet.geometry import Camera, Pose
from cvlnet.localize import stream as stream_module
from cvlnet.localize.stream import ClipStream, Correction, View
from cvlnet.localize.turned import turned_features
from cvlnet.model.build import build_model
from cvlnet.types import Clip

CONFIG = ModelConfig(image_width_px=128, image_height_px=32, clip_cells=16, window_cells=2, channels=8)
PROJECTIONS = [CONFIG, replace(CONFIG, heights_m=(0.0,), projection="images")]


def batch_of_one(clip):
    return Clip(clip.images[None], Camera.stack([clip.camera]), Pose.stack([clip.ground_from_cam]))


@pytest.mark.parametrize("config", PROJECTIONS)
def test_a_stream_gives_what_its_clips_give(tiny_town, config):
    torch.manual_seed(0)
    model = build_model(config).eval()
    recording = next(iter(read_recordings(read_split(tiny_town, "train")).values()))
    spec, world = ClipSpec(model.image_spec), LocalFrame(recording.frames[0].position)
    mounted = recording.cameras[2]
    stream = ClipStream(model)
    compared = 0
    for frame in recording.frames:
        alone = assemble_clip(recording, frame.index, ClipSpec(model.image_spec, frames=1))
        xy_m = torch.from_numpy(np.asarray(world.xy_world_m(frame.position.degrees)))
        level = torch.zeros((), dtype=torch.float64)
        world_from_road = Pose.from_euler(
            level, level, level + frame.yaw_rad, torch.cat([xy_m, torch.zeros(1, dtype=torch.float64)])
        )
        world_from_cam = world_from_road @ recording.road_from_body @ mounted.body_from_cam
        assert stream.is_ready == (frame.index > 3)
        window = spec.image.window(mounted.camera, recording.road_from_cam(2))
        stream.push(alone.images[0], window.camera(mounted.camera), world_from_cam)
        if not stream.is_ready:
            with pytest.raises(ValueError, match="a clip needs 4 frames"):
                stream.clip_features(xy_m)
            continue
        with torch.inference_mode():
            expected = model.encode_clip(batch_of_one(assemble_clip(recording, frame.index, spec)))
        whole = assemble_clip(recording, frame.index, spec)
        clip = stream.clip(xy_m)
        assert torch.equal(clip.images, whole.images)
        torch.testing.assert_close(clip.camera.focal_px, whole.camera.focal_px.float())
        torch.testing.assert_close(clip.ground_from_cam.rotation, whole.ground_from_cam.rotation.float())
        torch.testing.assert_close(
            clip.ground_from_cam.translation_m, whole.ground_from_cam.translation_m.float(), atol=1e-3, rtol=1e-4
        )
        found = stream.clip_features(xy_m)
        torch.testing.assert_close(found.descriptor, expected.descriptor, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found.weight, expected.weight, atol=1e-5, rtol=1e-4)
        compared += 1
    assert compared > 1


def test_a_frame_is_encoded_once(monkeypatch):
    model = build_model(CONFIG).eval()
    stream, encoded = ClipStream(model, frames=3), []
    plain = model.encode_frames
    monkeypatch.setattr(model, "encode_frames", lambda images: encoded.append(len(images)) or plain(images))
    camera = Camera(torch.tensor([60.0, 60.0]), torch.tensor([64.0, 10.0]), 128, 32)
    for _ in range(7):
        stream.push(torch.zeros(3, 32, 128, dtype=torch.uint8), camera, Pose.level_from_cam())
        if stream.is_ready:
            stream.clip_features(torch.zeros(2))
    assert encoded == [1] * 7


def test_standing_traffic_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(stream_module, "MOST_KEPT", 6)
    stream = ClipStream(build_model(CONFIG).eval(), frames=3, way_m=9.0)
    camera = Camera(torch.tensor([60.0, 60.0]), torch.tensor([64.0, 10.0]), 128, 32)
    for east_m in (0.0, 3.0, 6.0, *[9.0] * 20):
        level = torch.zeros((), dtype=torch.float64)
        pose = Pose.from_euler(level, level, level, torch.tensor([east_m, 0.0, 1.6], dtype=torch.float64))
        stream.push(torch.zeros(3, 32, 128, dtype=torch.uint8), camera, pose @ Pose.level_from_cam())
    kept_m = [kept.xy_m[0] for kept in stream._kept]
    assert kept_m == [9.0, 9.0, 9.0, 6.0, 3.0, 0.0]
    assert stream.clip_features(torch.zeros(2)).descriptor.isfinite().all()


@pytest.mark.parametrize(("frames", "way_m"), [(0, 36.0), (17, 36.0), (4, 0.0)])
def test_a_clip_that_cannot_be_is_refused(frames, way_m):
    with pytest.raises(ValueError, match="a clip has 1 to 16 frames"):
        ClipStream(build_model(CONFIG), frames=frames, way_m=way_m)


def pushed(pose, *, height_px=32, camera_height_px=32):
    stream = ClipStream(build_model(CONFIG).eval(), frames=1)
    camera = Camera(torch.tensor([60.0, 60.0]), torch.tensor([64.0, 10.0]), 128, camera_height_px)
    stream.push(torch.zeros(3, height_px, 128, dtype=torch.uint8), camera, pose)
    return stream


def rotated(*rows):
    return Pose(torch.tensor(rows, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize(
    "world_from_cam",
    [
        Pose.identity(),
        rotated([0, 0, 1], [1, 0, 0], [0, 1, 0]),
        rotated([-1, 0, 0], [0, 1, 0], [0, 0, -1]) @ rotated([1, 0, 0], [0, -1, 0], [0, 0, -1]),
    ],
    ids=["a world with y down", "upside down", "looks up"],
)
def test_a_world_whose_z_axis_is_not_up_is_refused(world_from_cam):
    with pytest.raises(ValueError, match="the camera is upside down, or looks up: is the world's z axis up"):
        pushed(world_from_cam)


def test_a_camera_may_look_down():
    assert pushed(rotated([0, -1, 0], [-1, 0, 0], [0, 0, -1])).is_ready


@pytest.mark.parametrize("sizes", [{"height_px": 16}, {"camera_height_px": 16}])
def test_a_frame_of_another_size_is_refused(sizes):
    with pytest.raises(ValueError, match="a frame and its camera have 128 x 32 px, not"):
        pushed(Pose.level_from_cam(), **sizes)


def test_a_vehicle_far_from_its_camera_is_refused():
    stream = pushed(Pose.level_from_cam())
    stream.clip_features(torch.tensor([5.0, -3.0]))
    with pytest.raises(ValueError, match="the vehicle is 5447120 m from its camera: are both in one world"):
        stream.clip_features(torch.tensor([456000.0, 5428000.0], dtype=torch.float64))


def view(seed, pose):
    image = torch.randint(0, 256, (3, 32, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return View(image, Camera(torch.tensor([60.0 + seed, 60.0]), torch.tensor([64.0, 10.0]), 128, 32), pose)


def stands(east_m, yaw_rad=0.0):
    """A camera 1.6 m above the road."""
    level = torch.zeros((), dtype=torch.float64)
    world_from_road = Pose.from_euler(
        level, level, level + yaw_rad, torch.tensor([east_m, 0.0, 1.6], dtype=torch.float64)
    )
    return world_from_road @ Pose.level_from_cam()


def test_a_clip_of_several_cameras_has_the_views_of_all_at_its_moments():
    """Two moments 5 m apart; a camera that looks ahead, and one that looks back."""
    torch.manual_seed(0)
    model = build_model(CONFIG).eval()
    stream, moments = ClipStream(model, frames=2), []
    for number, east_m in enumerate((0.0, 5.0)):
        moments.append([view(2 * number, stands(east_m)), view(2 * number + 1, stands(east_m - 1.0, np.pi))])
        stream.take(moments[-1])
    vehicle_m = torch.tensor([4.0, 0.5], dtype=torch.float64)
    views = [*moments[1], *moments[0]]  # newest first
    origin = Pose(torch.eye(3, dtype=torch.float64), torch.tensor([-4.0, -0.5, 0.0], dtype=torch.float64))
    with torch.inference_mode():
        encoded = model.encode_frames(torch.stack([each.image for each in views]))
    cameras = Camera.stack([each.camera for each in views])
    poses = Pose.stack([origin @ each.world_from_cam for each in views])
    expected = turned_features(model, encoded, cameras, poses, (0.3, -1.0))
    found = stream.clip_features(vehicle_m, turns_rad=(0.3, -1.0))
    torch.testing.assert_close(found.descriptor, expected.descriptor, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.weight, expected.weight, atol=1e-5, rtol=1e-4)
    lower = stream.clip_features(vehicle_m, turns_rad=(0.3, -1.0), correction=Correction(0.05))
    tilted = turned_features(model, encoded, cameras, looking_up(poses, -0.05), (0.3, -1.0))
    torch.testing.assert_close(lower.descriptor, tilted.descriptor, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(lower.weight, found.weight, atol=1e-3)
    alone = ClipStream(model, frames=2)
    for moment in moments:
        alone.take(moment[:1])
    assert float(found.weight.sum()) > 1.2 * float(alone.clip_features(vehicle_m, turns_rad=(0.3, -1.0)).weight.sum())


def test_a_way_that_is_longer_than_stated_moves_earlier_moments_back():
    """Two moments 5 m apart, of two cameras 1 m apart: 6 m where the way is a fifth longer."""
    model, vehicle_m = build_model(CONFIG).eval(), torch.tensor([5.0, 0.0], dtype=torch.float64)

    def stream(first_m):
        found = ClipStream(model, frames=2)
        for number, east_m in enumerate((first_m, 5.0)):
            found.take([view(2 * number, stands(east_m)), view(2 * number + 1, stands(east_m - 1.0, np.pi))])
        return found

    stated = stream(0.0)
    longer, expected = (
        stated.clip_features(vehicle_m, correction=Correction(way_scale=1.2)),
        stream(-1.0).clip_features(vehicle_m),
    )
    torch.testing.assert_close(longer.descriptor, expected.descriptor, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(longer.weight, expected.weight, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(longer.weight, stated.clip_features(vehicle_m).weight, atol=1e-3)


def test_cameras_that_look_aside_turn_where_they_stand():
    """Described 0.1 rad too far to the right, and corrected: as if they had been described rightly."""
    torch.manual_seed(0)
    model, vehicle_m = build_model(CONFIG).eval(), torch.tensor([5.0, 0.0], dtype=torch.float64)

    def stream(aim_rad):
        found = ClipStream(model, frames=2)
        for number, east_m in enumerate((0.0, 5.0)):
            found.take(
                [view(2 * number, stands(east_m, aim_rad)), view(2 * number + 1, stands(east_m, aim_rad + np.pi))]
            )
        return found

    corrected, correction = stream(-0.1), Correction(yaw_rad=0.1)
    found = corrected.clip_features(vehicle_m, correction=correction)
    expected = stream(0.0).clip_features(vehicle_m)
    torch.testing.assert_close(found.descriptor, expected.descriptor, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.weight, expected.weight, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(found.weight, corrected.clip_features(vehicle_m).weight, atol=1e-3)
    poses = stream(0.0).clip(vehicle_m).ground_from_cam
    torch.testing.assert_close(corrected.clip(vehicle_m, correction).ground_from_cam.rotation, poses.rotation)
    torch.testing.assert_close(corrected.clip(vehicle_m, correction).ground_from_cam.translation_m, poses.translation_m)


def test_the_cameras_of_a_moment_are_encoded_together(monkeypatch):
    model, encoded = build_model(CONFIG).eval(), []
    stream, plain = ClipStream(model, frames=2), model.encode_frames
    monkeypatch.setattr(model, "encode_frames", lambda images: encoded.append(len(images)) or plain(images))
    for east_m in (0.0, 2.0, 4.0):
        stream.take([view(0, stands(east_m)), view(1, stands(east_m, np.pi)), view(2, stands(east_m, 1.0))])
        if stream.is_ready:
            stream.clip_features(torch.tensor([east_m, 0.0], dtype=torch.float64))
    assert encoded == [3, 3, 3]


def test_every_camera_of_a_moment_is_checked():
    stream = ClipStream(build_model(CONFIG).eval(), frames=1)
    with pytest.raises(ValueError, match="the camera is upside down, or looks up"):
        stream.take([view(0, stands(0.0)), view(1, Pose.identity())])
    assert not stream.is_ready


def test_how_far_the_way_reaches_back():
    """It is that of the first camera, and no longer than a clip's."""
    stream = ClipStream(build_model(CONFIG).eval(), frames=2, way_m=9.0)
    assert stream.way_m == 0
    ways_m = []
    for east_m in (0.0, 4.0, 3.0, 8.0, 14.0):
        stream.take([view(0, stands(east_m)), view(1, stands(0.0, np.pi))])
        ways_m.append(stream.way_m)
    assert ways_m == pytest.approx([0.0, 4.0, 3.0, 8.0, 9.0])
