"""The painted ground: its triangles, its albedo at several resolutions, and its look close up."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log2, sqrt

import cv2
import numpy as np
import numpy.typing as npt

from cvlnet.grid import Grid
from cvlnet.town.compiled import kernel, noise2, ramp
from cvlnet.town.materials import GROUND
from cvlnet.town.scene import Ground, Mesh
from cvlnet.town.terrain import height_at

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
U8 = npt.NDArray[np.uint8]

LEVELS = 7  # of halved resolution, from the albedo's own cells on
TRIANGLE_M = 4.0  # edge of the ground's triangles where it is not flat
FLAT_TRIANGLE_M = 32.0  # and where it is
MOST_SAMPLES = 6  # of the albedo along a long pixel


@dataclass(frozen=True)
class GroundTexture:
    """The albedo, level after level of half resolution, one behind the other in ``texels`` [N, 3].

    table: for every level its first texel, rows and columns, [LEVELS, 3]. corner_m: the west and north border.
    """

    texels: U8
    table: npt.NDArray[np.int64]
    corner_m: F64
    cell_m: float


def ground_texture(ground: Ground) -> GroundTexture:
    """Average the albedo to its levels of detail."""
    grid, image = ground.albedo_grid, ground.albedo
    levels, table, first = [], [], 0
    for _ in range(LEVELS):
        levels.append(image.reshape(-1, 3))
        table.append((first, image.shape[0], image.shape[1]))
        first += len(levels[-1])
        size = (max(ceil(image.shape[1] / 2), 1), max(ceil(image.shape[0] / 2), 1))
        padded = cv2.copyMakeBorder(image, 0, image.shape[0] % 2, 0, image.shape[1] % 2, cv2.BORDER_REPLICATE)
        image = np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA))
    width_m, height_m = grid.size_m
    corner_m = np.array([grid.center_xy_m[0] - width_m / 2, grid.center_xy_m[1] + height_m / 2])
    return GroundTexture(np.concatenate(levels), np.array(table, np.int64), corner_m, grid.cell_m)


def ground_mesh(ground: Ground) -> Mesh:
    """Triangles of the ground over the whole painted square."""
    flat = float(np.ptp(ground.height_m)) < 1e-3
    width_m, height_m = ground.albedo_grid.size_m
    step_m = FLAT_TRIANGLE_M if flat else TRIANGLE_M
    east, north = ground.albedo_grid.center_xy_m
    x = np.linspace(east - width_m / 2, east + width_m / 2, ceil(width_m / step_m) + 1)
    y = np.linspace(north + height_m / 2, north - height_m / 2, ceil(height_m / step_m) + 1)
    xyz = np.empty((len(y), len(x), 3), np.float32)
    xyz[..., 0], xyz[..., 1] = x, y[:, None]
    xyz[..., 2] = height_at(ground, xyz[..., :2])
    nw, ne, sw, se = xyz[:-1, :-1], xyz[:-1, 1:], xyz[1:, :-1], xyz[1:, 1:]
    corners = np.concatenate(
        [np.stack([nw, sw, se], axis=2).reshape(-1, 3, 3), np.stack([nw, se, ne], axis=2).reshape(-1, 3, 3)]
    )
    count = len(corners)
    return Mesh(
        corners,
        np.ascontiguousarray(corners[:, :, :2]),
        np.full(count, GROUND, np.uint8),
        np.full((count, 3), 128, np.uint8),
        np.zeros(count, np.uint32),
    )


@kernel
def _texel(
    texels: U8, table: npt.NDArray[np.int64], corner_m: F64, cell_m: float, level: int, x: float, y: float, out: F64
) -> None:
    """Add the albedo at (x, y), bilinear on one level, 0 to 255, to ``out``."""
    first, rows, cols = table[level, 0], table[level, 1], table[level, 2]
    size_m = cell_m * 2.0**level
    col, row = (x - corner_m[0]) / size_m - 0.5, (corner_m[1] - y) / size_m - 0.5
    col, row = min(max(col, 0.0), cols - 1.0), min(max(row, 0.0), rows - 1.0)
    i, j = int(floor(row)), int(floor(col))
    t, s = row - i, col - j
    i1, j1 = min(i + 1, rows - 1), min(j + 1, cols - 1)
    for c in range(3):
        above = texels[first + i * cols + j, c] * (1 - s) + texels[first + i * cols + j1, c] * s
        below = texels[first + i1 * cols + j, c] * (1 - s) + texels[first + i1 * cols + j1, c] * s
        out[c] += above * (1 - t) + below * t


@kernel
def paint_ground(
    texels: U8,
    table: npt.NDArray[np.int64],
    corner_m: F64,
    cell_m: float,
    x: float,
    y: float,
    along_x: float,
    along_y: float,
    soft: float,
    colour: F64,
) -> None:
    """sRGB (0 to 1) of the ground at (x, y), averaged over a pixel.

    The pixel is ``soft`` metres wide and reaches over the vector (along_x, along_y).
    """
    long_m = sqrt(along_x * along_x + along_y * along_y)
    samples = min(max(int(ceil(long_m / max(soft, cell_m))), 1), MOST_SAMPLES)
    level = int(min(max(floor(log2(max(soft, long_m / samples) / cell_m) + 0.5), 0.0), LEVELS - 1.0))
    colour[:] = 0.0
    for k in range(samples):
        step = (k + 0.5) / samples - 0.5
        _texel(texels, table, corner_m, cell_m, level, x + step * along_x, y + step * along_y, colour)
    colour /= 255.0 * samples
    pixel_m = max(soft, long_m)
    if pixel_m < 0.25:
        _close_up(x, y, pixel_m, colour)


@kernel
def _close_up(x: float, y: float, pixel_m: float, colour: F64) -> None:
    """What is finer than the albedo's cells: the grain of asphalt, the blades of grass."""
    green = ramp(colour[1] - 0.5 * (colour[0] + colour[2]), 0.01, 0.06)
    fine = min(1.0, 0.012 / pixel_m) * (noise2(x / 0.012, y / 0.012, 3) - 0.5)
    middle = min(1.0, 0.05 / pixel_m) * (noise2(x / 0.045, y / 0.045, 5) - 0.5)
    coarse = min(1.0, 0.3 / pixel_m) * (noise2(x / 0.27, y / 0.27, 7) - 0.5)
    factor = 1.0 + (0.34 + 0.5 * green) * fine + (0.16 + 0.6 * green) * middle + (0.05 + 0.2 * green) * coarse
    for c in range(3):
        colour[c] *= factor


@kernel
def paint_land(x: float, y: float, pixel_m: float, colour: F64) -> None:
    """sRGB of the land beyond the town: fields and woods."""
    field = noise2(x / 90.0, y / 60.0, 11)
    wood = ramp(noise2(x / 140.0, y / 140.0, 13), 0.52, 0.6)
    detail = 1.0 + 0.25 * min(1.0, 3.0 / pixel_m) * (noise2(x / 3.0, y / 3.0, 17) - 0.5)
    colour[0] = ((0.36 + 0.2 * field) * (1 - wood) + 0.17 * wood) * detail
    colour[1] = ((0.42 + 0.1 * field) * (1 - wood) + 0.24 * wood) * detail
    colour[2] = ((0.25 + 0.1 * field) * (1 - wood) + 0.13 * wood) * detail
