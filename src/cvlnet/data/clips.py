"""Clips: a few frames of a drive, newest first, and where each stands relative to the newest.

The vehicle is taken to stand upright on the road at every frame: only its position and heading are used, since in its
measured roll and pitch those of the road and its own cannot be separated. How the camera is mounted does count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, dist, inf, radians
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8

from cvlnet.arrays import Series
from cvlnet.config import MOST_PITCH_ERROR_DEG, WAY_M
from cvlnet.data.images import ImageCache, read_frame
from cvlnet.data.journey import Journey
from cvlnet.data.recording import MountedCamera, RecordedFrame, Recording
from cvlnet.errors import InputError, warn
from cvlnet.geo import LocalFrame, earth_centred_m
from cvlnet.geometry import Camera, Pose
from cvlnet.image_spec import ImageSpec, Window
from cvlnet.io.text import ranges
from cvlnet.types import Clip

MOST_FRAMES = 16
PITCH_STEP_RAD = radians(2.0)  # between the pitches that are tried: half of it costs no recall


@dataclass(frozen=True)
class ClipSpec:
    """What a clip is made of: ``frames`` moments of one or more cameras, spread over the last ``way_m`` of the way.

    The way back to a moment is the largest straight distance from the newest moment since then, so that noise of the
    positions does not lengthen it while the vehicle stands. With a ``step`` the clip takes every ``step``-th frame of
    the drive instead, however far the vehicle went. With several cameras it holds all cameras of the newest moment,
    then all of the one before, and so on.
    """

    image: ImageSpec
    frames: int = 4
    way_m: float = WAY_M
    camera_ids: tuple[int, ...] = (2,)
    step: int | None = None

    def __post_init__(self) -> None:
        apart = 0 < self.way_m < inf and (self.step is None or self.step >= 1)
        if not 1 <= self.frames <= MOST_FRAMES or not apart or not self.camera_ids:
            raise ValueError(
                f"a clip has 1 to {MOST_FRAMES} frames, of some way or every 1st or later one, of some camera, "
                f"not {self.frames}, {self.way_m} m, {self.step}, {self.camera_ids}"
            )


@dataclass(frozen=True)
class ClipErrors:
    """Errors in the description of a clip, the same for all its frames.

    heading_rad: how much farther to the left the vehicle is taken to head than it does. pitch_rad, height_m: how much
    farther down the cameras look, and how much higher they stand, than is described. focal_share: by which share their
    focal length exceeds the one described.
    """

    heading_rad: float = 0.0
    pitch_rad: float = 0.0
    height_m: float = 0.0
    focal_share: float = 0.0


def clip_frames(recording: Recording, newest: int, spec: ClipSpec) -> tuple[RecordedFrame, ...]:
    """The frames of the clip whose newest one has the number ``newest``, newest first.

    All hold pictures of every camera; where there is no step they are chosen by `spread`. There are fewer of them where
    the drive has no more since its position last jumped, and none where it lacks the newest one.
    """
    if not _is_whole(recording.frame(newest), spec):
        return ()
    if spec.step is not None:
        wanted = range(
            newest, max(newest - spec.frames * spec.step, (recording.last_jump(newest) or 0) - 1), -spec.step
        )
        numbered = [recording.frame(number) for number in wanted]
        return tuple(frame for frame in numbered if frame is not None and _is_whole(frame, spec))
    whole: list[RecordedFrame] = []
    back_m: list[float] = []
    _, newest_m = next(recording.until(newest))
    for frame, place_m in recording.until(newest):
        if not _is_whole(frame, spec):
            continue
        back_m.append(max([dist(newest_m, place_m), *back_m[-1:]]))
        whole.append(frame)
        if len(whole) >= spec.frames and back_m[-1] >= spec.way_m:
            break
    return tuple(whole[i] for i in spread(np.array(back_m), spec.frames, spec.way_m))


def spread(back_m: Series, count: int, way_m: float) -> list[int]:
    """Which ``count`` of the places that lie ``back_m`` along the way, rising from 0, are evenly spread over ``way_m``.

    Where the way is shorter, they are spread over all of it; where the vehicle stood, the newest ones are taken; where
    too few lie on it, they reach farther back. Only where there are fewer places than ``count`` are all of them taken.
    """
    chosen: list[int] = []
    for place, wanted_m in enumerate(np.linspace(0.0, min(back_m[-1], way_m), count)):
        first = chosen[-1] + 1 if chosen else 0
        free = back_m[first : len(back_m) - (count - 1 - place)]  # the later ones need places, too
        if len(free) == 0:
            return list(range(len(back_m)))
        chosen.append(first + int(np.abs(free - wanted_m).argmin()))
    return chosen


def assemble_clip(recording: Recording, newest: int, spec: ClipSpec, cache: ImageCache | None = None) -> Clip:
    """The clip whose newest frame has the number ``newest``; batch shape: frames x cameras, float32.

    Raises InputError if frames are missing or a camera is unknown, and as `cvlnet.data.images.read_frame` does.
    """
    require_cameras(recording, spec.camera_ids)
    frames = clip_frames(recording, newest, spec)
    if not frames:
        raise _no_clip(recording, newest, spec)
    if len(frames) < spec.frames:
        raise InputError(
            f"a clip needs {spec.frames} frames with pictures, and there are {len(frames)} up to frame {newest}"
            f"{_since_jump(recording, newest)}{_left_out_until(recording, newest)}",
            where=recording.name,
            remedy="choose a later frame, or a clip of fewer frames",
        )
    ground_from_road = _ground_from_road(frames)
    images, cameras, poses = [], [], []
    for i, frame in enumerate(frames):
        for camera_id in spec.camera_ids:
            mounted, road_from_cam = recording.cameras[camera_id], recording.road_from_cam(camera_id)
            window = spec.image.window(mounted.camera, road_from_cam)
            images.append(_image(frame.images[camera_id], mounted, window, cache))
            cameras.append(window.camera(mounted.camera))
            poses.append(ground_from_road[i] @ road_from_cam)
    stacked = torch.from_numpy(np.stack(images))  # numpy copies on one thread: torch's would wait for each other here
    return Clip(stacked, Camera.stack(cameras).to(torch.float32), Pose.stack(poses).to(torch.float32))


def turned(clip: Clip, angle_rad: float) -> Clip:
    """The clip of a world that is turned counter-clockwise about the newest vehicle position."""
    zero = clip.ground_from_cam.translation_m.new_zeros(())
    turned_from_ground = Pose.from_euler(zero, zero, zero + angle_rad, zero.new_zeros(3))
    return Clip(clip.images, clip.camera, turned_from_ground @ clip.ground_from_cam)


def misdescribed(clip: Clip, errors: ClipErrors) -> Clip:
    """The clip as if its description had these errors; its pictures stay as they are."""
    zero = clip.ground_from_cam.translation_m.new_zeros(())
    looks_up = looking_up(clip.ground_from_cam, errors.pitch_rad)
    lower = Pose(looks_up.rotation, looks_up.translation_m - zero.new_tensor([0.0, 0.0, errors.height_m]))
    shorter = replace(clip.camera, focal_px=clip.camera.focal_px / (1 + errors.focal_share))
    return turned(Clip(clip.images, shorter, lower), errors.heading_rad)


def looking_up(ground_from_cam: Pose, angle_rad: float) -> Pose:
    """The poses of cameras that look farther up by an angle, where they stand."""
    zero = ground_from_cam.translation_m.new_zeros(())
    return ground_from_cam @ Pose.from_euler(zero + angle_rad, zero, zero, zero.new_zeros(3))


class Pitch(NamedTuple):
    """How much farther down cameras are taken to look than is described, and what that takes from all scores.

    The penalty is the logarithm of how much less likely it is than the described pitch, in units of a score.
    """

    angle_rad: float
    penalty: float


AS_DESCRIBED = Pitch(0.0, 0.0)


def pitches(error_rad: float, sharpness: float) -> tuple[Pitch, ...]:
    """Pitches to try where two standard deviations of the described one's error are ``error_rad``.

    They are `PITCH_STEP_RAD` apart, and one is at most half of it away from any pitch within ``error_rad``. sharpness:
    by which the network's scores are multiplied to be logarithms of probabilities.
    Raises ValueError unless the error is from 0 to 15 degrees.
    """
    if not 0 <= error_rad <= radians(MOST_PITCH_ERROR_DEG):
        limit = f"{radians(MOST_PITCH_ERROR_DEG):.2f} rad ({MOST_PITCH_ERROR_DEG:g} degrees)"
        raise ValueError(f"the error of a pitch is from 0 to {limit}, not {error_rad} rad")
    count = max(1, ceil(2 * error_rad / PITCH_STEP_RAD - 1e-9))
    if count == 1:
        return (AS_DESCRIBED,)
    angles_rad = [PITCH_STEP_RAD * (i - (count - 1) / 2) for i in range(count)]
    return tuple(Pitch(angle, 2 * (angle / error_rad) ** 2 / sharpness) for angle in angles_rad)


def pitched(clip: Clip, pitch: Pitch) -> Clip:
    """The clip, described as of cameras that look farther down by a pitch."""
    return replace(clip, ground_from_cam=looking_up(clip.ground_from_cam, -pitch.angle_rad))


def mirrored(clip: Clip) -> Clip:
    """The clip of a world in which north and south have changed places, its pictures flipped."""
    images = torch.from_numpy(np.flip(clip.images.numpy(), axis=-1).copy())
    camera, pose = clip.camera, clip.ground_from_cam
    x_px, y_px = camera.principal_point_px.unbind(-1)
    flipped = replace(camera, principal_point_px=torch.stack([camera.width_px - x_px, y_px], dim=-1))
    south_for_north, left_for_right = pose.rotation.new_tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]])
    rotation = south_for_north.unsqueeze(-1) * pose.rotation * left_for_right
    return Clip(images, flipped, Pose(rotation, pose.translation_m * south_for_north))


def require_cameras(recording: Recording | Journey, camera_ids: Sequence[int]) -> None:
    """Raise InputError if the drive lacks one of these cameras."""
    for camera_id in camera_ids:
        if camera_id not in recording.cameras:
            known = ", ".join(map(str, sorted(recording.cameras)))
            raise InputError(f"has no camera {camera_id}", where=recording.name, remedy=f"choose among {known}")


def warn_if_short(recording: Recording, newest: int, spec: ClipSpec) -> None:
    """Warn if the clip of a frame does not reach as far back as it might because the drive's position jumps there."""
    frames = clip_frames(recording, newest, spec)
    since_jump = _since_jump(recording, newest)
    if not frames or not since_jump or spec.step is not None:
        return
    oldest, newest_m = (earth_centred_m(frame.position.degrees) for frame in (frames[-1], frames[0]))
    reach_m = float(np.linalg.norm(newest_m - oldest))
    if reach_m < spec.way_m * (1 - 1 / spec.frames):
        what = f"the clip reaches back {reach_m:.0f} m instead of {spec.way_m:g} m{since_jump}"
        warn(what, where=recording.name, remedy="correct the positions, or take a later frame")


def _no_clip(recording: Recording, newest: int, spec: ClipSpec) -> InputError:
    """Why there is no clip of a frame."""
    whole = ranges([frame.index for frame in recording.frames if _is_whole(frame, spec)])
    remedy = f"choose among {whole}" if whole else "add the pictures"
    if newest in recording.left_out:
        what = f"frame {newest} cannot be used: {recording.left_out[newest]}"
        remedy = f"correct its position, or {remedy}"
    elif recording.frame(newest) is None:
        what = f"there is no frame {newest}"
    else:
        what = f"there is no picture of frame {newest} by camera {' and '.join(map(str, spec.camera_ids))}"
    return InputError(what, where=recording.name, remedy=remedy)


def _since_jump(recording: Recording, newest: int) -> str:
    jump = recording.last_jump(newest)
    return "" if jump is None else f" since the position jumps by {recording.jumps_m[jump]:.0f} m at frame {jump}"


def _left_out_until(recording: Recording, newest: int) -> str:
    count = sum(number < newest for number in recording.left_out)
    return f" ({count} more are left out)" if count else ""


def _is_whole(frame: RecordedFrame | None, spec: ClipSpec) -> bool:
    return frame is not None and all(camera_id in frame.images for camera_id in spec.camera_ids)


def _ground_from_road(frames: Sequence[RecordedFrame]) -> Pose:
    """Of the road frame under the vehicle at each frame; the ground frame has its origin at the first one."""
    latlon_deg = np.array([frame.position.degrees for frame in frames])
    xy_m = torch.from_numpy(LocalFrame(frames[0].position).xy_world_m(latlon_deg))
    yaw_rad = torch.tensor([frame.yaw_rad for frame in frames], dtype=torch.float64)
    level_rad = torch.zeros_like(yaw_rad)
    return Pose.from_euler(level_rad, level_rad, yaw_rad, torch.cat([xy_m, torch.zeros_like(xy_m[:, :1])], dim=1))


def _image(
    path: Path, mounted: MountedCamera, window: Window, cache: ImageCache | None
) -> UInt8[np.ndarray, "3 rows cols"]:
    """The model's frame of a picture, channels first."""
    if cache is None:
        image = read_frame(path, mounted, window)
    else:
        camera, lens = mounted.camera, mounted.lens
        optics = "" if lens is None else f" {lens.model} {lens.coefficients} {_numbers(lens.camera)} {_numbers(camera)}"
        size = f"{camera.width_px} x {camera.height_px}"
        made = f"frame {window} of {size} exif {mounted.exif_orientation}{optics}"
        image = cache.get(path, made, lambda: read_frame(path, mounted, window))
    return image.transpose(2, 0, 1)


def _numbers(camera: Camera) -> list[float]:
    return [*camera.focal_px.tolist(), *camera.principal_point_px.tolist()]
