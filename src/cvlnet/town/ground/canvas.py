"""Anti-aliased drawing on the ground, in metres.

The canvas holds plain colours in layers; `texture.apply_texture` combines them in the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64, UInt8
from shapely.geometry.base import BaseGeometry

from cvlnet.arrays import Points
from cvlnet.grid import Grid
from cvlnet.town.curves import ribbon
from cvlnet.town.ground.coverage import paint_polygon
from cvlnet.town.plan import Marking, Rgb, Surface
from cvlnet.town.polygons import polygons

SHIFT_BITS = 4
NEUTRAL_WEAR = 128


@dataclass(frozen=True)
class Canvas:
    """Layers on one grid, drawn in place.

    rgb: base colour (sRGB). kind: the `Surface`, and the direction of its pattern in 256 steps of a half turn.
    wear: brightness, 128 is neutral. marking: coverage with white paint, 0 to 255.
    """

    grid: Grid
    rgb: UInt8[np.ndarray, "rows cols 3"]
    kind: UInt8[np.ndarray, "rows cols 2"]
    wear: UInt8[np.ndarray, "rows cols"]
    marking: UInt8[np.ndarray, "rows cols"]

    @staticmethod
    def blank(grid: Grid) -> Canvas:
        """An empty canvas."""
        shape = (grid.rows, grid.cols)
        return Canvas(
            grid,
            np.zeros((*shape, 3), np.uint8),
            np.zeros((*shape, 2), np.uint8),
            np.full(shape, NEUTRAL_WEAR, np.uint8),
            np.zeros(shape, np.uint8),
        )

    def fill(self, area: BaseGeometry, surface: Surface, rgb: Rgb, angle_rad: float = 0.0) -> None:
        """Cover an area with a surface."""
        kind = np.array([int(surface), round(angle_rad / np.pi * 256) % 256], np.uint8)
        for rings in self._rings(area):
            paint_polygon(self.rgb, np.array(rgb, np.uint8), self.kind, kind, rings)

    def stroke(self, xy_m: Points, width_m: float, surface: Surface, rgb: Rgb) -> None:
        """Cover a line with a surface."""
        self.fill(ribbon(xy_m, width_m / 2, width_m / 2), surface, rgb)

    def mark(self, marking: Marking) -> None:
        """Paint a marking."""
        half_m = marking.width_m / 2
        self._blend(self.marking, ribbon(marking.xy_m, half_m, half_m), round(255 * marking.strength))

    def wear_line(self, xy_m: Points, width_m: float, brightness: float) -> None:
        """Make a line darker (negative) or brighter, as a fraction of the base brightness."""
        value = _wear_value(brightness)
        width_px = max(1, round(width_m / self.grid.cell_m))
        fixed = np.round(self._col_row(xy_m) * 2**SHIFT_BITS).astype(np.int32)
        cv2.polylines(self.wear, [fixed], False, value, width_px, cv2.LINE_AA, SHIFT_BITS)

    def wear_area(self, area: BaseGeometry, brightness: float) -> None:
        """Make an area darker (negative) or brighter, as a fraction of the base brightness."""
        self._blend(self.wear, area, _wear_value(brightness))

    def _blend(self, layer: UInt8[np.ndarray, "rows cols"], area: BaseGeometry, value: int) -> None:
        nothing = np.zeros((1, 1, 0), np.uint8)
        for rings in self._rings(area):
            paint_polygon(layer[..., None], np.array([value], np.uint8), nothing, nothing[0, 0], rings)

    def _col_row(self, xy_m: Float64[np.ndarray, "points 2"]) -> Float64[np.ndarray, "points 2"]:
        """(column, row) of points, integers at cell centres."""
        grid = self.grid
        col = (grid.cols - 1) / 2 + (xy_m[:, 0] - grid.center_xy_m[0]) / grid.cell_m
        row = (grid.rows - 1) / 2 - (xy_m[:, 1] - grid.center_xy_m[1]) / grid.cell_m
        return np.stack([col, row], axis=-1)

    def _rings(self, area: BaseGeometry) -> Iterator[list[Points]]:
        for part in polygons(area):
            rings = (part.exterior, *part.interiors)
            yield [self._col_row(np.asarray(ring.coords, dtype=np.float64)[:-1, :2]) for ring in rings]


def _wear_value(brightness: float) -> int:
    return int(np.clip(NEUTRAL_WEAR * (1 + brightness), 0, 255))
