"""Drawing on the ground in metres: anti-aliased, exact to a sixteenth of a cell.

The layers are composed by `texture.weather` at the end, so that what is drawn here stays plain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from cvlnet.grid import Grid
from cvlnet.town.curves import ribbon
from cvlnet.town.plan import Line, Points, Rgb, Surface
from cvlnet.town.scene import U8

SHIFT_BITS = 4
NEUTRAL_WEAR = 128


@dataclass(frozen=True)
class Canvas:
    """Layers over one grid, each [rows, cols], drawn in place.

    rgb: base colour (sRGB), [rows, cols, 3]. surface: what it is made of. angle: direction of its pattern, 256 steps to
    the half turn. wear: brightness, 128 is neutral. marking: white paint, 0 none to 255 full.
    """

    grid: Grid
    rgb: U8
    surface: U8
    angle: U8
    wear: U8
    marking: U8

    @staticmethod
    def blank(grid: Grid) -> Canvas:
        """A canvas without anything on it."""
        shape = (grid.rows, grid.cols)
        return Canvas(
            grid,
            np.zeros((*shape, 3), np.uint8),
            np.zeros(shape, np.uint8),
            np.zeros(shape, np.uint8),
            np.full(shape, NEUTRAL_WEAR, np.uint8),
            np.zeros(shape, np.uint8),
        )

    def fill(self, area: BaseGeometry, surface: Surface, rgb: Rgb, angle_rad: float = 0.0) -> None:
        """Cover an area; wear and markings that lay there are gone."""
        step = round(angle_rad / np.pi * 256) % 256
        for rings in self._rings(area):
            cv2.fillPoly(self.rgb, rings, rgb, cv2.LINE_AA, SHIFT_BITS)
            cv2.fillPoly(self.surface, rings, int(surface), cv2.LINE_8, SHIFT_BITS)
            cv2.fillPoly(self.angle, rings, step, cv2.LINE_8, SHIFT_BITS)

    def paint_rgb(self, area: BaseGeometry, rgb: Rgb) -> None:
        """Recolour an area; it stays made of what it was."""
        for rings in self._rings(area):
            cv2.fillPoly(self.rgb, rings, rgb, cv2.LINE_AA, SHIFT_BITS)

    def stroke(self, xy_m: Points, width_m: float, surface: Surface, rgb: Rgb) -> None:
        """Cover a line."""
        self.fill(ribbon(xy_m, width_m / 2, width_m / 2), surface, rgb)

    def mark(self, line: Line) -> None:
        """White paint along a line."""
        half_m = max(line.width_m - self.grid.cell_m, 0.01) / 2  # drawing an edge adds about half a cell on each side
        self.mark_area(ribbon(line.xy_m, half_m, half_m), line.strength)

    def mark_area(self, area: BaseGeometry, strength: float) -> None:
        """White paint on an area."""
        for rings in self._rings(area):
            cv2.fillPoly(self.marking, rings, round(255 * strength), cv2.LINE_AA, SHIFT_BITS)

    def wear_line(self, xy_m: Points, width_m: float, brightness: float) -> None:
        """Make a line darker (negative) or brighter, in shares of the base brightness."""
        value = int(np.clip(NEUTRAL_WEAR * (1 + brightness), 0, 255))
        width_px = max(1, round(width_m / self.grid.cell_m))
        cv2.polylines(self.wear, [self._fixed(xy_m)], False, value, width_px, cv2.LINE_AA, SHIFT_BITS)

    def wear_area(self, area: BaseGeometry, brightness: float) -> None:
        """Make an area darker (negative) or brighter, in shares of the base brightness."""
        value = int(np.clip(NEUTRAL_WEAR * (1 + brightness), 0, 255))
        for rings in self._rings(area):
            cv2.fillPoly(self.wear, rings, value, cv2.LINE_AA, SHIFT_BITS)

    def _fixed(self, xy_m: Points) -> npt.NDArray[np.int32]:
        """Fixed-point (column, row) of places; OpenCV counts from cell centres as the grid does."""
        grid = self.grid
        east_m, north_m = xy_m[:, 0] - grid.center_xy_m[0], xy_m[:, 1] - grid.center_xy_m[1]
        col = (grid.cols - 1) / 2 + east_m / grid.cell_m
        row = (grid.rows - 1) / 2 - north_m / grid.cell_m
        return np.asarray(np.round(np.stack([col, row], axis=-1) * 2**SHIFT_BITS), dtype=np.int32)

    def _rings(self, area: BaseGeometry) -> Iterator[list[npt.NDArray[np.int32]]]:
        for part in polygons(area):
            yield [self._fixed(np.asarray(ring.coords)[:, :2]) for ring in (part.exterior, *part.interiors)]


def polygons(area: BaseGeometry) -> list[Polygon]:
    """The non-empty polygons of any geometry."""
    if isinstance(area, Polygon):
        return [] if area.is_empty else [area]
    return [p for part in getattr(area, "geoms", ()) for p in polygons(part)]
