"""Height of the ground: gentle waves with wavelengths of 30 to 110 m."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from cvlnet.grid import Grid
from cvlnet.town.streams import stream

HEIGHT_CELL_M = 4.0
AMPLITUDE_M = 0.3
WAVES = 24


def make_height(seed: int, size_m: float, unevenness: float) -> tuple[Grid, Float32[np.ndarray, "rows cols"]]:
    """Heights of about +-0.3 m times ``unevenness``, on a coarse grid that covers the square with a margin."""
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
