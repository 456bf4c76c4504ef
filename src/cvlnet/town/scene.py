"""What a town is made of before it is looked at: a painted ground and triangles with materials.

Both views are drawn from these alone: the camera in perspective, the overhead image orthographically.
Coordinates are the world frame's (x east, y north, z up, metres).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8, UInt32

from cvlnet.grid import Grid


class Material(IntEnum):
    """How a surface is drawn. uv counts metres: u along the surface, v up from its lower edge."""

    PLAIN = 0  # one colour, little grain
    PLASTER_FACADE = 1  # plaster with rows of windows, doors at the ground
    BRICK_FACADE = 2
    SHOP_FACADE = 3  # shop windows and an awning strip at the ground, windows above
    INDUSTRIAL_FACADE = 4  # corrugated sheet, few high windows, gates
    BARE_WALL = 5  # garden walls, fire walls
    ROOF_TILES = 6
    ROOF_FLAT = 7  # gravel or bitumen, stains
    ROOF_METAL = 8  # standing seams
    SOLAR = 9  # panels
    FOLIAGE = 10  # leaves with holes: part of the surface is not there
    BARK = 11
    HEDGE = 12
    FENCE = 13  # bars or mesh with holes
    CAR_PAINT = 14
    GLASS = 15
    TYRE = 16
    METAL = 17  # poles, rails
    SIGN = 18  # painted plate: rim and figure by the object's seed
    NEEDLES = 19  # foliage that stays in winter


@dataclass(frozen=True)
class Mesh:
    """Triangles without shared corners.

    xyz_m: corners, [T, 3, 3]. uv_m: surface coordinates of the corners, [T, 3, 2]. material: [T]. rgb: base colour
    (sRGB), [T, 3]. seed: the object's own randomness, [T], equal on all triangles of one object.
    """

    xyz_m: Float32[np.ndarray, "triangles 3 3"]
    uv_m: Float32[np.ndarray, "triangles 3 2"]
    material: UInt8[np.ndarray, " triangles"]
    rgb: UInt8[np.ndarray, "triangles 3"]
    seed: UInt32[np.ndarray, " triangles"]

    def __len__(self) -> int:
        return len(self.material)

    def moved(self, xyz_m: tuple[float, float, float], yaw_rad: float) -> Mesh:
        """The mesh turned about the z axis and carried to a place."""
        cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
        rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        moved = self.xyz_m.astype(np.float64) @ rotation.T + np.asarray(xyz_m)
        return Mesh(moved.astype(np.float32), self.uv_m, self.material, self.rgb, self.seed)

    def selected(self, keep: Bool[np.ndarray, " triangles"] | Int64[np.ndarray, " kept"]) -> Mesh:
        """The triangles chosen by a mask or by indices."""
        return Mesh(self.xyz_m[keep], self.uv_m[keep], self.material[keep], self.rgb[keep], self.seed[keep])

    @staticmethod
    def join(meshes: Sequence[Mesh]) -> Mesh:
        """All triangles of several meshes (of none: no triangles)."""
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
    """The painted ground: albedo (sRGB) on a fine grid, height on a coarse one, bilinear between cell centres."""

    albedo_grid: Grid
    albedo: UInt8[np.ndarray, "rows cols 3"]
    height_grid: Grid
    height_m: Float32[np.ndarray, "height_rows height_cols"]

    def height_at(self, xy_m: Float64[np.ndarray, "*places 2"]) -> Float64[np.ndarray, "*places"]:
        """Height at places [..., 2], bilinear; beyond the grid that of its border."""
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
    """A car, bus, tram or cyclist under way: its mesh stands on the ground at the origin, nose along +x."""

    mesh: Mesh
    time_s: Float64[np.ndarray, " times"]  # rising
    xy_m: Float64[np.ndarray, "times 2"]
    yaw_rad: Float64[np.ndarray, " times"]


@dataclass(frozen=True)
class Scene:
    """One town.

    static: what both views see. parked_at_flight and parked_at_drive: standing cars, different at the two times, and
    whatever else has changed between them. traffic_at_flight: moving cars caught by the overhead picture.
    """

    ground: Ground
    static: Mesh
    parked_at_flight: Mesh
    parked_at_drive: Mesh
    traffic_at_flight: Mesh


@dataclass(frozen=True)
class Drive:
    """The way of the camera car, sampled at the frame rate, and the traffic that it meets.

    xyz_m is the point of the road under the car's GPS/IMU unit; pitch and roll follow the road, without shake.
    """

    time_s: Float64[np.ndarray, " frames"]
    xyz_m: Float64[np.ndarray, "frames 3"]
    yaw_rad: Float64[np.ndarray, " frames"]
    pitch_rad: Float64[np.ndarray, " frames"]  # positive: nose down
    roll_rad: Float64[np.ndarray, " frames"]  # positive: left side up
    traffic: tuple[MovingObject, ...]
