"""Views: one kind of projection for the camera, the overhead image and the sun's shadow map.

A view maps a world point linearly to (X, Y, W, nearness). Its pixel is (X / W, Y / W), from the image's corner.
Nearness / W is linear over a triangle's pixels and grows towards the viewer: 1 / depth in perspective, height along the
line of sight in parallel projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

import numpy as np
from jaxtyping import Float64

from cvlnet.geometry import Camera, Pose
from cvlnet.grid import Grid


@dataclass(frozen=True)
class View:
    """A projection.

    matrix: rows X, Y, W and nearness, applied to a world point (x, y, z, 1).
    eye: position of the viewer (x, y, z, 1), or direction towards a viewer at infinity (x, y, z, 0).
    m_per_px: size of a pixel across the line of sight, where W is 1.
    nearest: points with a smaller W are not visible.
    """

    matrix: Float64[np.ndarray, "4 4"]
    eye: Float64[np.ndarray, " 4"]
    m_per_px: float
    width_px: int
    height_px: int
    nearest: float


def perspective(camera: Camera, world_from_cam: Pose, nearest_m: float = 0.1) -> View:
    """The view of a pinhole camera; W is the depth in metres."""
    cam_from_world = world_from_cam.inverse()
    extrinsic = np.concatenate(
        [cam_from_world.rotation.double().numpy(), cam_from_world.translation_m.double().numpy()[:, None]], axis=1
    )
    (fx, fy), (cx, cy) = camera.focal_px.tolist(), camera.principal_point_px.tolist()
    intrinsic = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    matrix = np.concatenate([intrinsic @ extrinsic, [[0, 0, 0, 1]]])
    eye = np.append(world_from_cam.translation_m.double().numpy(), 1.0)
    return View(matrix, eye, 2 / (fx + fy), camera.width_px, camera.height_px, nearest_m)


def from_above(grid: Grid, lean: tuple[float, float] = (0.0, 0.0)) -> View:
    """The view from above onto the cells of a grid; a point at height z is displaced by ``lean`` times z."""
    west_m = grid.center_xy_m[0] - grid.size_m[0] / 2
    north_m = grid.center_xy_m[1] + grid.size_m[1] / 2
    matrix = np.array(
        [
            [1 / grid.cell_m, 0, lean[0] / grid.cell_m, -west_m / grid.cell_m],
            [0, -1 / grid.cell_m, -lean[1] / grid.cell_m, north_m / grid.cell_m],
            [0, 0, 0, 1],
            [0, 0, 1, 0],
        ]
    )
    return View(matrix, np.array([-lean[0], -lean[1], 1.0, 0.0]), grid.cell_m, grid.cols, grid.rows, 0.5)


def from_sun(
    toward_sun: Float64[np.ndarray, " 3"],
    low_xyz_m: Float64[np.ndarray, " 3"],
    high_xyz_m: Float64[np.ndarray, " 3"],
    cell_m: float,
) -> View:
    """The view from the sun of the box from ``low_xyz_m`` to ``high_xyz_m``, for shadow maps."""
    horizontal = max(hypot(toward_sun[0], toward_sun[1]), 1e-9)
    across = np.array([-toward_sun[1], toward_sun[0], 0.0]) / horizontal
    up = np.cross(toward_sun, across)
    corners = np.array(np.meshgrid(*zip(low_xyz_m, high_xyz_m, strict=True))).reshape(3, -1)
    (left, right), (low, high) = [(axis.min() - 1, axis.max() + 1) for axis in np.stack([across, up]) @ corners]
    matrix = np.array(
        [
            [*across / cell_m, -left / cell_m],
            [*up / cell_m, -low / cell_m],
            [0, 0, 0, 1],
            [*toward_sun, 0],
        ]
    )
    size_px = (int(np.ceil((right - left) / cell_m)), int(np.ceil((high - low) / cell_m)))
    return View(matrix, np.append(toward_sun, 0.0), cell_m, *size_px, 0.5)
