"""Types of a town's scene: the painted ground, and triangles with materials.

Both views are rendered from these alone: the camera's in perspective, the overhead image in parallel projection.
Coordinates are in the world frame (x east, y north, z up, metres).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8, UInt32

from cvlnet.grid import Grid


class Material(IntEnum):
    """How a surface is drawn. Surface coordinates are metres: u along the surface, v up from its lower edge."""

    PLAIN = 0  # one colour, little grain
    PLASTER_FACADE = 1  # plaster with rows of windows, doors at the ground
    BRICK_FACADE = 2
    SHOP_FACADE = 3  # shop windows and signs on the ground floor, windows above
    INDUSTRIAL_FACADE = 4  # corrugated sheet, few high windows, gates
    BARE_WALL = 5  # garden walls, fire walls
    ROOF_TILES = 6
    ROOF_FLAT = 7  # gravel or bitumen, stains
    ROOF_METAL = 8  # standing seams
    SOLAR = 9  # panels
    FOLIAGE = 10  # leaves, with holes between them
    BARK = 11
    HEDGE = 12
    FENCE = 13  # bars or wire mesh, with holes
    CAR_PAINT = 14
    GLASS = 15
    TYRE = 16
    METAL = 17  # poles, rails
    SIGN = 18  # painted plate with writing
    NEEDLES = 19  # evergreen foliage


@dataclass(frozen=True)
class Mesh:
    """Triangles without shared vertices.

    xyz_m: corners. uv_m: surface coordinates of the corners. rgb: base colour (sRGB). seed: for random variation, the
    same on all triangles of an object.
    """

    xyz_m: Float32[np.ndarray, "triangles 3 3"]
    uv_m: Float32[np.ndarray, "triangles 3 2"]
    material: UInt8[np.ndarray, " triangles"]
    rgb: UInt8[np.ndarray, "triangles 3"]
    seed: UInt32[np.ndarray, " triangles"]

    def __len__(self) -> int:
        return len(self.material)

    def moved(self, xyz_m: tuple[float, float, float], yaw_rad: float) -> Mesh:
        """The mesh rotated about the z axis, then moved."""
        cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
        rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        moved = self.xyz_m.astype(np.float64) @ rotation.T + np.asarray(xyz_m)
        return Mesh(moved.astype(np.float32), self.uv_m, self.material, self.rgb, self.seed)

    def selected(self, keep: Bool[np.ndarray, " triangles"] | Int64[np.ndarray, " kept"]) -> Mesh:
        """The triangles chosen by a mask or by indices."""
        return Mesh(self.xyz_m[keep], self.uv_m[keep], self.material[keep], self.rgb[keep], self.seed[keep])

    @staticmethod
    def join(meshes: Sequence[Mesh]) -> Mesh:
        """All triangles of several meshes; an empty mesh if there are none."""
        if not meshes:
            return Mesh(
                np.zeros((0, 3, 3), np.float32),
                np.zeros((0, 3, 2), np.float32),
                np.zeros(0, np.uint8),
                np.zeros((0, 3), np.uint8),
                np.zeros(0, np.uint32),
            )
        return Mesh(
            np.concatenate([m.xyz_m for m in meshes]),
            np.concatenate([m.uv_m for m in meshes]),
            np.concatenate([m.material for m in meshes]),
            np.concatenate([m.rgb for m in meshes]),
            np.concatenate([m.seed for m in meshes]),
        )


@dataclass(frozen=True)
class Ground:
    """The ground: albedo (sRGB) on a fine grid, height on a coarse one, bilinear between cell centres."""

    albedo_grid: Grid
    albedo: UInt8[np.ndarray, "rows cols 3"]
    height_grid: Grid
    height_m: Float32[np.ndarray, "height_rows height_cols"]

    def height_at(self, xy_m: Float64[np.ndarray, "*places 2"]) -> Float64[np.ndarray, "*places"]:
        """Height at points, bilinear; clamped to the border outside the grid."""
        grid = self.height_grid
        xy = np.asarray(xy_m, dtype=np.float64)
        col = np.clip((grid.cols - 1) / 2 + (xy[..., 0] - grid.center_xy_m[0]) / grid.cell_m, 0, grid.cols - 1.001)
        row = np.clip((grid.rows - 1) / 2 - (xy[..., 1] - grid.center_xy_m[1]) / grid.cell_m, 0, grid.rows - 1.001)
        i, j = row.astype(np.int64), col.astype(np.int64)
        v, u = row - i, col - j
        h = self.height_m
        low = h[i, j] * (1 - u) + h[i, j + 1] * u
        high = h[i + 1, j] * (1 - u) + h[i + 1, j + 1] * u
        return np.asarray(low * (1 - v) + high * v)


@dataclass(frozen=True)
class MovingObject:
    """A moving vehicle: its mesh at the origin, facing +x, and its trajectory."""

    mesh: Mesh
    time_s: Float64[np.ndarray, " times"]  # rising
    xy_m: Float64[np.ndarray, "times 2"]
    yaw_rad: Float64[np.ndarray, " times"]


@dataclass(frozen=True)
class Scene:
    """The scene of a town.

    static: what is there at both times. parked_at_flight, parked_at_drive: parked cars at the two times, and everything
    else that has changed in between. traffic_at_flight: moving vehicles in the overhead image.
    """

    ground: Ground
    static: Mesh
    parked_at_flight: Mesh
    parked_at_drive: Mesh
    traffic_at_flight: Mesh


@dataclass(frozen=True)
class Drive:
    """Trajectory of the camera car at the frame rate, and the traffic that it meets.

    xyz_m is the point of the road below the car's GPS/IMU unit; pitch and roll are the road's.
    """

    time_s: Float64[np.ndarray, " frames"]
    xyz_m: Float64[np.ndarray, "frames 3"]
    yaw_rad: Float64[np.ndarray, " frames"]
    pitch_rad: Float64[np.ndarray, " frames"]  # positive: front down
    roll_rad: Float64[np.ndarray, " frames"]  # positive: left side up
    traffic: tuple[MovingObject, ...]
