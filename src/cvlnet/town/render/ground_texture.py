"""The ground as rendered: its triangles, its albedo as a mipmap, and procedural detail close up."""

from __future__ import annotations

from math import ceil, floor, log2, sqrt
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from cvlnet.arrays import F64, U8
from cvlnet.town.compiled import kernel, noise2, ramp
from cvlnet.town.render.materials import GROUND
from cvlnet.town.scene import Ground, Mesh

LEVELS = 7  # of the mipmap, from the albedo's own resolution on
TRIANGLE_M = 4.0  # edge of the triangles of uneven ground
FLAT_TRIANGLE_M = 32.0  # and of flat ground
MOST_SAMPLES = 6  # of the albedo along the long side of a pixel's footprint


class Texels(NamedTuple):
    """The albedo's mipmap, with all levels in one array ``rgb`` [N, 3].

    table: first texel, rows and columns of every level, [LEVELS, 3]. corner_m: west and north border.
    """

    rgb: U8
    table: npt.NDArray[np.int64]
    corner_m: tuple[float, float]
    cell_m: float


def ground_texels(ground: Ground) -> Texels:
    """Make the mipmap of a ground's albedo."""
    grid, image = ground.albedo_grid, ground.albedo
    levels, table, first = [], [], 0
    for _ in range(LEVELS):
        levels.append(image.reshape(-1, 3))
        table.append((first, image.shape[0], image.shape[1]))
        first += len(levels[-1])
        size = (max(ceil(image.shape[1] / 2), 1), max(ceil(image.shape[0] / 2), 1))
        padded = cv2.copyMakeBorder(image, 0, image.shape[0] % 2, 0, image.shape[1] % 2, cv2.BORDER_REPLICATE)
        image = np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), np.uint8)
    width_m, height_m = grid.size_m
    corner_m = (grid.center_xy_m[0] - width_m / 2, grid.center_xy_m[1] + height_m / 2)
    return Texels(np.concatenate(levels), np.array(table, np.int64), corner_m, grid.cell_m)


def ground_mesh(ground: Ground) -> Mesh:
    """Triangles of the ground over the whole square."""
    flat = float(np.ptp(ground.height_m)) < 1e-3
    width_m, height_m = ground.albedo_grid.size_m
    step_m = FLAT_TRIANGLE_M if flat else TRIANGLE_M
    east, north = ground.albedo_grid.center_xy_m
    x = np.linspace(east - width_m / 2, east + width_m / 2, ceil(width_m / step_m) + 1)
    y = np.linspace(north + height_m / 2, north - height_m / 2, ceil(height_m / step_m) + 1)
    xyz = np.empty((len(y), len(x), 3), np.float32)
    xyz[..., 0], xyz[..., 1] = x, y[:, None]
    xyz[..., 2] = ground.height_at(xyz[..., :2].astype(np.float64))
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
def _texel(texels: Texels, level: int, x: float, y: float, out: F64) -> None:
    """Add the albedo at (x, y), 0 to 255, bilinear on one level, to ``out``."""
    first, rows, cols = texels.table[level, 0], texels.table[level, 1], texels.table[level, 2]
    size_m = texels.cell_m * 2.0**level
    col, row = (x - texels.corner_m[0]) / size_m - 0.5, (texels.corner_m[1] - y) / size_m - 0.5
    col, row = min(max(col, 0.0), cols - 1.0), min(max(row, 0.0), rows - 1.0)
    i, j = floor(row), floor(col)
    t, s = row - i, col - j
    above, below = first + i * cols, first + min(i + 1, rows - 1) * cols
    j1 = min(j + 1, cols - 1)
    for c in range(3):
        top = texels.rgb[above + j, c] * (1 - s) + texels.rgb[above + j1, c] * s
        bottom = texels.rgb[below + j, c] * (1 - s) + texels.rgb[below + j1, c] * s
        out[c] += top * (1 - t) + bottom * t


@kernel
def sample_ground(texels: Texels, place: F64, along_x: float, along_y: float, soft: float, colour: F64) -> None:
    """Ground colour (sRGB, 0 to 1) at a point, averaged over a pixel's footprint.

    The footprint is ``soft`` metres wide and extends over the vector (along_x, along_y), metres.
    """
    x, y, cell_m = place[0], place[1], texels.cell_m
    long_m = sqrt(along_x * along_x + along_y * along_y)
    samples = min(max(ceil(long_m / max(soft, cell_m)), 1), MOST_SAMPLES)
    level = floor(min(max(log2(max(soft, long_m / samples) / cell_m) + 0.5, 0.0), LEVELS - 1.0))
    colour[0], colour[1], colour[2] = 0.0, 0.0, 0.0
    for k in range(samples):
        step = (k + 0.5) / samples - 0.5
        _texel(texels, level, x + step * along_x, y + step * along_y, colour)
    for c in range(3):
        colour[c] /= 255.0 * samples
    pixel_m = max(soft, 0.5 * long_m)
    if pixel_m < 0.3:
        _close_up(x, y, pixel_m, colour)


@kernel
def _close_up(x: float, y: float, pixel_m: float, colour: F64) -> None:
    """Detail finer than the albedo's cells: grain of asphalt, blades of grass."""
    green = ramp(colour[1] - 0.5 * (colour[0] + colour[2]), 0.01, 0.06)
    fine = min(1.0, 0.016 / pixel_m) * (noise2(x / 0.013, y / 0.013, 3) - 0.5)
    middle = min(1.0, 0.06 / pixel_m) * (noise2(x / 0.04, y / 0.04, 5) - 0.5)
    coarse = min(1.0, 0.3 / pixel_m) * (noise2(x / 0.21, y / 0.21, 7) - 0.5)
    factor = 1.0 + (0.5 + 0.6 * green) * fine + (0.3 + 0.6 * green) * middle + (0.08 + 0.25 * green) * coarse
    for c in range(3):
        colour[c] *= factor


@kernel
def sample_land(x: float, y: float, pixel_m: float, colour: F64) -> None:
    """Colour (sRGB, 0 to 1) of the land beyond the town: fields and woods."""
    field = noise2(x / 90.0, y / 60.0, 11)
    wood = ramp(noise2(x / 140.0, y / 140.0, 13) + 0.06 * noise2(x / 9.0, y / 9.0, 15), 0.55, 0.6)
    crowns = noise2(x / 5.0, y / 5.0, 17) + 0.5 * noise2(x / 1.7, y / 1.7, 18) - 0.75
    blades = noise2(x / 0.7, y / 0.7, 19) + noise2(x / 2.3, y / 2.3, 20) - 1.0
    detail = 1.0 + min(1.0, 1.5 / pixel_m) * (0.9 * wood * crowns + 0.15 * (1.0 - wood) * blades)
    colour[0] = ((0.30 + 0.16 * field) * (1 - wood) + 0.15 * wood) * detail
    colour[1] = ((0.38 + 0.08 * field) * (1 - wood) + 0.22 * wood) * detail
    colour[2] = ((0.21 + 0.08 * field) * (1 - wood) + 0.11 * wood) * detail
