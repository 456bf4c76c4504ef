"""The height of the ground: gentle waves of 30 to 100 m."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cvlnet.grid import Grid
from cvlnet.town.plan import Points
from cvlnet.town.scene import F32, Ground
from cvlnet.town.streams import stream

HEIGHT_CELL_M = 4.0
AMPLITUDE_M = 0.3
WAVES = 24


def make_height(seed: int, size_m: float, unevenness: float) -> tuple[Grid, F32]:
    """Heights about +-0.3 m x ``unevenness`` on a coarse grid that covers the square and a margin."""
    cells = int(np.ceil(size_m / HEIGHT_CELL_M)) + 3
    grid = Grid(cells, cells, HEIGHT_CELL_M)
    if unevenness == 0:
        return grid, np.zeros((cells, cells), np.float32)
    rng = stream(seed, "terrain")
    wavelength_m = rng.uniform(30, 110, WAVES)
    angle, phase = rng.uniform(0, 2 * np.pi, (2, WAVES))
    waves = 2 * np.pi / wavelength_m[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    weight = rng.uniform(0.3, 1, WAVES) * wavelength_m / 80
    xy = grid.cell_centers_xy_m().numpy().reshape(-1, 2)
    height = np.sin(xy @ waves.T + phase) @ weight / np.sqrt((weight**2).sum() / 2)
    scaled = AMPLITUDE_M * unevenness * 0.6 * height.reshape(cells, cells)
    return grid, scaled.astype(np.float32)


def height_at(ground: Ground, xy_m: Points) -> npt.NDArray[np.float64]:
    """Height of the ground at places [..., 2], bilinear; beyond the grid that of its border."""
    grid = ground.height_grid
    xy = np.asarray(xy_m, dtype=np.float64)
    col = np.clip((grid.cols - 1) / 2 + (xy[..., 0] - grid.center_xy_m[0]) / grid.cell_m, 0, grid.cols - 1.001)
    row = np.clip((grid.rows - 1) / 2 - (xy[..., 1] - grid.center_xy_m[1]) / grid.cell_m, 0, grid.rows - 1.001)
    i, j = row.astype(np.int64), col.astype(np.int64)
    v, u = row - i, col - j
    h = ground.height_m.astype(np.float64)
    low = h[i, j] * (1 - u) + h[i, j + 1] * u
    high = h[i + 1, j] * (1 - u) + h[i + 1, j + 1] * u
    return np.asarray(low * (1 - v) + high * v)
