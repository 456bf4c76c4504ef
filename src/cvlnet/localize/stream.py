"""A running sequence: every frame is encoded once, when it arrives, and its features are projected for each clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from cvlnet.arrays import Series
from cvlnet.config import WAY_M
from cvlnet.data.clips import ClipSpec, looking_up, spread
from cvlnet.geometry import Camera, Pose
from cvlnet.localize.turned import turned_features
from cvlnet.model.cvlnet import CVLNet
from cvlnet.types import Clip, ClipFeatures

MOST_KEPT = 256
FARTHEST_M = 30.0  # of the camera from the vehicle's reference point
_UPRIGHT, _STEEP = 0.1, 0.9  # sines: a camera whose own down axis does not point down looks down itself


@dataclass(frozen=True)
class View:
    """What one camera sees: RGB in the size of the model's ``image_spec``, its camera, and where that stood.

    See `cvlnet.image_spec.ImageSpec.window` for the frame and its camera.
    """

    image: UInt8[Tensor, "3 height width"]
    camera: Camera
    world_from_cam: Pose


@dataclass(frozen=True)
class Correction:
    """How the poses of a stream's cameras differ from those that were given.

    pitch_rad, yaw_rad: by how much farther down, and to the left, all cameras look. way_scale: how much longer the way
    between the frames is.
    """

    pitch_rad: float = 0.0
    yaw_rad: float = 0.0
    way_scale: float = 1.0

    def of_cameras(self, world_from_cams: Pose) -> Pose:
        """The corrected poses of cameras, where they stand."""
        zero = torch.zeros((), dtype=torch.float64)
        left = Pose.from_euler(zero, zero, zero + self.yaw_rad, zero.new_zeros(3))
        looking = looking_up(world_from_cams.to(torch.float64), -self.pitch_rad)
        return replace(looking, rotation=left.rotation @ looking.rotation)


AS_GIVEN = Correction()


@dataclass(frozen=True)
class _Kept:
    """A moment. xy_m: of its first camera."""

    images: UInt8[Tensor, "cameras 3 height_px width_px"]
    encoded: Float[Tensor, "cameras channels height width"]
    cameras: Camera
    world_from_cams: Pose
    xy_m: tuple[float, float]


class ClipStream:
    """The last frames of a vehicle's cameras, as the features that clips are made of.

    A clip has ``frames`` moments, spread over the last ``way_m`` of the way as `cvlnet.data.clips.ClipSpec` has it; the
    way is the camera's. Frames of that way are kept, at most 256: in standing traffic, those that stand apart.
    Raises ValueError for a clip of no frames, or more than 16, or of no way.
    """

    def __init__(self, model: CVLNet, *, frames: int = 4, way_m: float = WAY_M) -> None:
        self.model, self._spec = model, ClipSpec(model.image_spec, frames, way_m)
        self._kept: list[_Kept] = []  # newest first

    @property
    def is_ready(self) -> bool:
        """Whether there are frames enough for a clip."""
        return len(self._kept) >= self._spec.frames

    def push(self, image: UInt8[Tensor, "3 height width"], camera: Camera, world_from_cam: Pose) -> None:
        """Take the next frame of a single camera; see `take`."""
        self.take([View(image, camera, world_from_cam)])

    def take(self, views: Sequence[View]) -> None:
        """Take what the cameras see at the next moment, in the same order at each.

        The world has x east and y north, as the map has, z up and zero on the road, in metres; its origin may be
        anywhere. Odometry that began in another direction is turned first, ``world_from_odometry @ odometry_from_cam``.
        Raises ValueError if a frame has another size, or if a camera would not stand upright.
        """
        size = (self.model.image_spec.height_px, self.model.image_spec.width_px)
        for view in views:
            if tuple(view.image.shape[1:]) != size or (view.camera.height_px, view.camera.width_px) != size:
                shape = tuple(view.image.shape[:0:-1])
                raise ValueError(f"a frame and its camera have {size[1]} x {size[0]} px, not {shape}")
            down, ahead = view.world_from_cam.rotation[2, 1:].tolist()  # how far these axes of the camera point up
            if down > -_UPRIGHT and ahead > -_STEEP:
                raise ValueError("the camera is upside down, or looks up: is the world's z axis up?")
        with torch.inference_mode():
            images = torch.stack([view.image for view in views])
            encoded = self.model.encode_frames(images.to(self.model.device))
        east_m, north_m, _ = views[0].world_from_cam.translation_m.tolist()
        cameras, poses = Camera.stack([view.camera for view in views]), Pose.stack([v.world_from_cam for v in views])
        self._kept.insert(0, _Kept(images, encoded, cameras, poses, (east_m, north_m)))
        back_m = self._back_m()
        del self._kept[max(int(np.searchsorted(back_m, self._spec.way_m)) + 1, self._spec.frames) :]
        if len(self._kept) > MOST_KEPT:
            del self._kept[2 + int(np.diff(back_m[1 : len(self._kept)]).argmin())]

    def _back_m(self) -> Series:
        """How far the way to each frame leads back; see `cvlnet.data.clips.ClipSpec`."""
        xy_m = np.array([kept.xy_m for kept in self._kept])
        return np.maximum.accumulate(np.linalg.norm(xy_m - xy_m[0], axis=1))

    def clip_features(
        self,
        vehicle_xy_m: Float[Tensor, 2],
        *,
        turns_rad: Sequence[float] = (0.0,),
        correction: Correction = AS_GIVEN,
    ) -> ClipFeatures:
        """Features of the newest clip around the vehicle's place (east, north) in the world, one clip for each turn.

        turns_rad: by how much the world is turned counter-clockwise about the vehicle.
        Raises ValueError if there are not yet frames enough, or if the vehicle is far from the newest one.
        """
        chosen, cameras, poses = self._newest(vehicle_xy_m, correction)
        encoded = torch.cat([kept.encoded for kept in chosen])
        return turned_features(self.model, encoded, cameras, poses, turns_rad)

    def clip(self, vehicle_xy_m: Float[Tensor, 2], correction: Correction = AS_GIVEN) -> Clip:
        """The frames that `clip_features` takes, around the vehicle's place. Raises ValueError as it does.

        Of several cameras, the frames of a moment follow each other.
        """
        chosen, cameras, poses = self._newest(vehicle_xy_m, correction)
        images = torch.cat([kept.images for kept in chosen])
        return Clip(images, cameras.to(torch.float32), poses.to(torch.float32))

    def _newest(self, vehicle_xy_m: Float[Tensor, 2], correction: Correction) -> tuple[list[_Kept], Camera, Pose]:
        """The moments of the newest clip, and for each of their frames the camera and where it stood."""
        if not self.is_ready:
            raise ValueError(f"a clip needs {self._spec.frames} frames, and {len(self._kept)} have come")
        far_m = float(np.linalg.norm(np.asarray(vehicle_xy_m.tolist()) - self._kept[0].xy_m))
        if far_m > FARTHEST_M:
            raise ValueError(f"the vehicle is {far_m:.0f} m from its camera: are both in one world?")
        chosen = [self._kept[i] for i in spread(self._back_m(), self._spec.frames, self._spec.way_m)]
        newest_m, level = np.array(chosen[0].xy_m), torch.eye(3, dtype=torch.float64)
        poses = []
        for kept in chosen:
            farther_m = (correction.way_scale - 1) * (np.array(kept.xy_m) - newest_m)
            moved_m = torch.from_numpy(np.append(farther_m, 0.0))
            moved_m[:2] -= vehicle_xy_m.double()
            poses.append(Pose(level, moved_m) @ correction.of_cameras(kept.world_from_cams))
        cameras = Camera.stack([kept.cameras[i] for kept in chosen for i in range(len(kept.encoded))])
        return chosen, cameras, Pose.stack([pose[i] for pose in poses for i in range(len(pose.rotation))])

    @property
    def way_m(self) -> float:
        """How far the way reaches back that the newest clip's frames are spread over; 0 without frames."""
        return min(float(self._back_m()[-1]), self._spec.way_m) if self._kept else 0.0
