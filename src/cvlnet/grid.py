"""The metric overhead grid: cells and pixels of everything that is seen from above, and their places in metres.

Rows run south and columns east. An integer index is a cell's *centre*, which is the cell's location; only this module
knows half cells. An overhead image is a grid, too: its pixels are the cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """``rows`` x ``cols`` square cells of ``cell_m`` metres around ``center_xy_m`` (east, north)."""

    rows: int
    cols: int
    cell_m: float
    center_xy_m: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.rows < 1 or self.cols < 1 or not self.cell_m > 0:
            raise ValueError(
                f"a grid has at least one cell of positive size, not {self.rows} x {self.cols} of {self.cell_m} m"
            )

    @property
    def size_m(self) -> tuple[float, float]:
        """Extent of the whole cells, (east-west, north-south)."""
        return self.cols * self.cell_m, self.rows * self.cell_m

    def xy_m(self, row_col: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """Place (east, north) of fractional indices (row, column)."""
        row, col = row_col.unbind(-1)
        east_m = (col - (self.cols - 1) / 2) * self.cell_m + self.center_xy_m[0]
        north_m = ((self.rows - 1) / 2 - row) * self.cell_m + self.center_xy_m[1]
        return torch.stack([east_m, north_m], dim=-1)

    def row_col(self, xy_m: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """Fractional indices (row, column) of places; integers are cell centres."""
        east_m, north_m = xy_m.unbind(-1)
        row = (self.rows - 1) / 2 - (north_m - self.center_xy_m[1]) / self.cell_m
        col = (self.cols - 1) / 2 + (east_m - self.center_xy_m[0]) / self.cell_m
        return torch.stack([row, col], dim=-1)

    def holds(self, row_col: Int[Tensor, 2]) -> bool:
        """Whether there is a cell of these indices."""
        return 0 <= int(row_col[0]) < self.rows and 0 <= int(row_col[1]) < self.cols

    def corners_xy_m(self, dtype: torch.dtype = torch.float64) -> Float[Tensor, "4 2"]:
        """Place (east, north) of the outer corners: north-west, north-east, south-east, south-west."""
        top, left = -0.5, -0.5
        bottom, right = self.rows - 0.5, self.cols - 0.5
        return self.xy_m(torch.tensor([[top, left], [top, right], [bottom, right], [bottom, left]], dtype=dtype))

    def cell_centers_xy_m(self, dtype: torch.dtype = torch.float64) -> Float[Tensor, "rows cols 2"]:
        """Place (east, north) of every cell."""
        rows = torch.arange(self.rows, dtype=dtype)
        cols = torch.arange(self.cols, dtype=dtype)
        return self.xy_m(torch.stack(torch.meshgrid(rows, cols, indexing="ij"), dim=-1))

    def centered_at(self, xy_m: tuple[float, float]) -> Grid:
        """The same cells around another centre."""
        return replace(self, center_xy_m=xy_m)

    def resampled(self, factor: int) -> Grid:
        """The grid in which blocks of ``factor`` x ``factor`` cells are one cell, as after a network's stride.

        Raises ValueError unless rows and columns are multiples of the factor.
        """
        if self.rows % factor or self.cols % factor:
            raise ValueError(f"{self.rows} x {self.cols} cells cannot be joined in groups of {factor} x {factor}")
        return Grid(self.rows // factor, self.cols // factor, self.cell_m * factor, self.center_xy_m)
