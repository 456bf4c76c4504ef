"""Rigid poses and pinhole cameras: immutable, batched over leading dimensions.

A pose is named ``target_from_source`` and maps source coordinates to target coordinates, so that frames cancel by eye:
``world_from_cam = world_from_body @ body_from_cam``. The camera frame is x right, y down, z forward; the body frame is
x forward, y left, z up; the world frame is x east, y north, z up. Angles are in radians, lengths in metres. Pixel
coordinates (x right, y down) have their origin at the *corner* of the top-left pixel, whose centre is (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Index = int | slice | tuple[slice, ...]


@dataclass(frozen=True)
class Pose:
    """Rigid motion ``target_from_source``: ``x_target = rotation @ x_source + translation_m``."""

    rotation: Float[Tensor, "*batch 3 3"]
    translation_m: Float[Tensor, "*batch 3"]

    def __matmul__(self, other: Pose) -> Pose:
        """``a_from_b @ b_from_c`` is ``a_from_c``; leading dimensions broadcast."""
        rotation = self.rotation @ other.rotation
        return Pose(rotation, _rotate(self.rotation, other.translation_m) + self.translation_m)

    def __getitem__(self, index: Index) -> Pose:
        """The poses at ``index`` of the first leading dimensions."""
        return Pose(self.rotation[index], self.translation_m[index])

    def inverse(self) -> Pose:
        """``source_from_target``."""
        rotation = self.rotation.mT
        return Pose(rotation, -_rotate(rotation, self.translation_m))

    def transform(self, xyz_m: Float[Tensor, "*batch n 3"]) -> Float[Tensor, "*batch n 3"]:
        """Points of the source frame in the target frame."""
        return xyz_m @ self.rotation.mT + self.translation_m.unsqueeze(-2)

    def yaw_rad(self) -> Float[Tensor, "*batch"]:
        """Heading of the source's x axis in the target's x-y plane, counter-clockwise from x."""
        return torch.atan2(self.rotation[..., 1, 0], self.rotation[..., 0, 0])

    def to(self, target: torch.device | torch.dtype) -> Pose:
        """The same pose on another device or in another precision."""
        return Pose(self.rotation.to(target), self.translation_m.to(target))

    @staticmethod
    def identity(dtype: torch.dtype = torch.float64) -> Pose:
        """The identity."""
        return Pose(torch.eye(3, dtype=dtype), torch.zeros(3, dtype=dtype))

    @staticmethod
    def level_from_cam(dtype: torch.dtype = torch.float64) -> Pose:
        """The pose of a camera that looks along the x axis of a frame with z up, at the frame's origin."""
        axes = [[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]
        return Pose(torch.tensor(axes, dtype=dtype), torch.zeros(3, dtype=dtype))

    @staticmethod
    def from_euler(
        roll_rad: Float[Tensor, "*batch"],
        pitch_rad: Float[Tensor, "*batch"],
        yaw_rad: Float[Tensor, "*batch"],
        translation_m: Float[Tensor, "*batch 3"],
    ) -> Pose:
        """Rotation ``Rz(yaw) @ Ry(pitch) @ Rx(roll)``, the convention of KITTI's oxts.

        With x forward, y left and z up a positive pitch turns the nose down, a positive roll the left side up.
        """
        rotation = _rotation_about("z", yaw_rad) @ _rotation_about("y", pitch_rad) @ _rotation_about("x", roll_rad)
        return Pose(rotation, translation_m)

    @staticmethod
    def stack(poses: Sequence[Pose]) -> Pose:
        """Poses of equal batch shape under a new first dimension."""
        return Pose(torch.stack([p.rotation for p in poses]), torch.stack([p.translation_m for p in poses]))


@dataclass(frozen=True)
class Camera:
    """Pinhole camera without distortion. Focal lengths and principal point in pixels; the latter from the corner."""

    focal_px: Float[Tensor, "*batch 2"]
    principal_point_px: Float[Tensor, "*batch 2"]
    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        if self.width_px < 1 or self.height_px < 1:
            raise ValueError(f"an image has at least one pixel, not {self.width_px} x {self.height_px}")

    def project(
        self, xyz_cam_m: Float[Tensor, "*batch n 3"]
    ) -> tuple[Float[Tensor, "*batch n 2"], Bool[Tensor, "*batch n"]]:
        """Pixel coordinates of points, and whether each lies in front of the camera and inside the image.

        The coordinates of other points are finite, but have no meaning.
        """
        depth_m = xyz_cam_m[..., 2]
        in_front = depth_m > _NEAREST_M
        safe_depth_m = torch.where(in_front, depth_m, torch.ones_like(depth_m))
        xy_px = xyz_cam_m[..., :2] / safe_depth_m.unsqueeze(-1) * self.focal_px.unsqueeze(-2)
        xy_px = xy_px + self.principal_point_px.unsqueeze(-2)
        x_px, y_px = xy_px.unbind(-1)
        inside = (x_px >= 0) & (x_px <= self.width_px) & (y_px >= 0) & (y_px <= self.height_px)
        return xy_px, in_front & inside

    def unproject(
        self, xy_px: Float[Tensor, "*batch n 2"], depth_m: Float[Tensor, "*batch n"]
    ) -> Float[Tensor, "*batch n 3"]:
        """Points in the camera frame at the given depth along z."""
        xy = (xy_px - self.principal_point_px.unsqueeze(-2)) / self.focal_px.unsqueeze(-2)
        return torch.cat([xy, torch.ones_like(xy[..., :1])], dim=-1) * depth_m.unsqueeze(-1)

    def __getitem__(self, index: Index) -> Camera:
        """The cameras at ``index`` of the first leading dimensions."""
        return replace(self, focal_px=self.focal_px[index], principal_point_px=self.principal_point_px[index])

    def resize(self, width_px: int, height_px: int) -> Camera:
        """The camera of the same picture, resampled to another size."""
        scale = self.focal_px.new_tensor([width_px / self.width_px, height_px / self.height_px])
        return Camera(self.focal_px * scale, self.principal_point_px * scale, width_px, height_px)

    def crop(self, left_px: float, top_px: float, width_px: int, height_px: int) -> Camera:
        """The camera of a window of the picture whose top-left corner lies at (``left_px``, ``top_px``)."""
        corner = self.principal_point_px.new_tensor([left_px, top_px])
        return Camera(self.focal_px, self.principal_point_px - corner, width_px, height_px)

    def to(self, target: torch.device | torch.dtype) -> Camera:
        """The same camera on another device or in another precision."""
        return Camera(self.focal_px.to(target), self.principal_point_px.to(target), self.width_px, self.height_px)

    @staticmethod
    def from_matrix(k: Float[Tensor, "3 3"], width_px: int, height_px: int) -> Camera:
        """From a matrix that counts pixels from the *centre* of the top-left one, as KITTI's and OpenCV's do."""
        return Camera(k.diagonal()[:2].clone(), k[:2, 2] + 0.5, width_px, height_px)

    @staticmethod
    def stack(cameras: Sequence[Camera]) -> Camera:
        """Cameras of one image size under a new first dimension. Raises ValueError if the sizes differ."""
        sizes = {(c.width_px, c.height_px) for c in cameras}
        if len(sizes) != 1:
            raise ValueError(f"cameras of one stack share an image size, got {sorted(sizes)}")
        width_px, height_px = sizes.pop()
        focal_px = torch.stack([c.focal_px for c in cameras])
        return Camera(focal_px, torch.stack([c.principal_point_px for c in cameras]), width_px, height_px)


_NEAREST_M = 1e-3  # least depth of a point in front of the camera


def _rotate(rotation: Float[Tensor, "*_ 3 3"], vector: Float[Tensor, "*_ 3"]) -> Float[Tensor, "*_ 3"]:
    return (rotation @ vector.unsqueeze(-1)).squeeze(-1)


def _rotation_about(axis: str, angle_rad: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 3 3"]:
    """Right-handed rotation about a coordinate axis."""
    cos, sin, one, zero = angle_rad.cos(), angle_rad.sin(), torch.ones_like(angle_rad), torch.zeros_like(angle_rad)
    entries = {
        "x": [one, zero, zero, zero, cos, -sin, zero, sin, cos],
        "y": [cos, zero, sin, zero, one, zero, -sin, zero, cos],
        "z": [cos, -sin, zero, sin, cos, zero, zero, zero, one],
    }[axis]
    return torch.stack(entries, dim=-1).reshape(*angle_rad.shape, 3, 3)
