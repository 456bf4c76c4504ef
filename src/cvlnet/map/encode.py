"""Encoding overhead imagery of any extent: window by window, so that no seam shows and memory stays bounded.

A window is encoded together with the pixels around it that its cells can see. Windows begin at multiples of four cells
of the grid, as the strides of the network demand, so that a cell's features do not depend on the window it falls into.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from cvlnet.geo import LatLon
from cvlnet.grid import Grid
from cvlnet.imagery.crop import covered, crop_over_edge, holds, missing
from cvlnet.imagery.overhead import Imagery
from cvlnet.model.cvlnet import CVLNet

WINDOW_PX = 1536
_MARGIN_PX = 192  # of the surroundings: the default network's cells see no further
_MULTIPLE = 4  # of cells, to which the network's coarsest stride belongs


@dataclass(frozen=True)
class Window:
    """Rows and columns of a grid's cells."""

    rows: slice
    cols: slice

    def of(self, grid: Grid) -> Grid:
        """The part of a grid that lies in the window."""
        sides = (self.rows, self.cols)
        middle = torch.tensor([(side.start + side.stop - 1) / 2 for side in sides], dtype=torch.float64)
        east_m, north_m = grid.xy_m(middle).tolist()
        rows, cols = (side.stop - side.start for side in sides)
        return Grid(rows, cols, grid.cell_m, (east_m, north_m))

    def seen_from(self, offset: tuple[int, int]) -> Window:
        """The same cells, counted from the row and column ``offset``."""
        row, col = offset
        return Window(
            slice(self.rows.start - row, self.rows.stop - row), slice(self.cols.start - col, self.cols.stop - col)
        )

    def extended(self, more: int) -> Window:
        """The window with as many further rows in the south and columns in the east."""
        return Window(slice(self.rows.start, self.rows.stop + more), slice(self.cols.start, self.cols.stop + more))


@dataclass(frozen=True)
class EncodedCells:
    """What a window's cells look like.

    descriptor: in half precision, zero where the image shows nothing. uncertainty: positive, of a vehicle at the corner
    south-east of each cell. known: whether the image shows a cell. gone: whether it lies in one of the image's holes.
    on_image: whether the corner south-east of a cell lies on the image. preview: the cells' mean colours, RGB.
    """

    descriptor: Float[Tensor, "channels rows cols"]
    uncertainty: Float[Tensor, "rows cols"]
    known: Bool[Tensor, "rows cols"]
    gone: Bool[Tensor, "rows cols"]
    on_image: Bool[Tensor, "rows cols"]
    preview: UInt8[Tensor, "3 rows cols"]

    def __getitem__(self, part: Window) -> EncodedCells:
        """The cells of a window."""
        return EncodedCells(*(getattr(self, field.name)[..., part.rows, part.cols] for field in fields(self)))

    @staticmethod
    def joined(parts: Sequence[tuple[Window, EncodedCells]]) -> EncodedCells:
        """The cells of a grid from windows that cover it."""
        rows, cols = (max(getattr(window, side).stop for window, _ in parts) for side in ("rows", "cols"))
        whole = []
        for field in fields(EncodedCells):
            like: Tensor = getattr(parts[0][1], field.name)
            tensor = like.new_empty(*like.shape[:-2], rows, cols)
            for window, cells in parts:
                tensor[..., window.rows, window.cols] = getattr(cells, field.name)
            whole.append(tensor)
        return EncodedCells(*whole)


@dataclass(frozen=True)
class _Pixels:
    """A window's pixels with their surroundings, and what the image shows of its cells."""

    rgb: UInt8[Tensor, "3 rows_px cols_px"]
    known: Bool[Tensor, "rows cols"]
    gone: Bool[Tensor, "rows cols"]
    on_image: Bool[Tensor, "rows cols"]


def windows(cells: Grid, side: int) -> list[Window]:
    """Windows of ``side`` x ``side`` cells that cover a grid, row by row from the north-west; the last are smaller.

    Raises ValueError unless the side is a multiple of four cells.
    """
    if side % _MULTIPLE:
        raise ValueError(f"windows begin at multiples of {_MULTIPLE} cells, not of {side}")
    return [
        Window(slice(row, min(row + side, cells.rows)), slice(col, min(col + side, cells.cols)))
        for row in range(0, cells.rows, side)
        for col in range(0, cells.cols, side)
    ]


def window_cells(model: CVLNet) -> int:
    """The side of the windows in which imagery is encoded."""
    return WINDOW_PX // _stride(model)


def encoded(
    model: CVLNet, image: Imagery, anchor: LatLon, cells: Grid, parts: Sequence[Window], *, progress: bool = False
) -> Iterator[tuple[Window, EncodedCells]]:
    """Windows of a grid around ``anchor``, encoded. The pixels of the next one are read while one is encoded.

    Raises InputError where the image is damaged.
    """
    with (
        ThreadPoolExecutor(max_workers=1) as reader,
        tqdm(total=len(parts), desc="encoding the map", unit="window", disable=not progress) as bar,
    ):
        ahead = [reader.submit(_read, model, image, anchor, cells, part) for part in parts[:1]]
        for number, part in enumerate(parts, 1):
            pixels = ahead.pop().result()
            ahead += [
                reader.submit(_read, model, image, anchor, cells, following) for following in parts[number : number + 1]
            ]
            yield part, _encode(model, pixels)
            bar.update()


def _stride(model: CVLNet) -> int:
    """Pixels a cell."""
    return model.tile_grid.rows // model.map_grid.rows


def _read(model: CVLNet, image: Imagery, anchor: LatLon, cells: Grid, part: Window) -> _Pixels:
    stride = _stride(model)
    window = part.of(cells)
    sides, (east_m, north_m) = (window.rows, window.cols), window.center_xy_m
    # the sides are filled up to the south-east to multiples of four cells; features lie beside their pixels
    rows, cols = (-(-side // _MULTIPLE) * _MULTIPLE for side in sides)
    middle_m = (
        east_m + (cols - sides[1]) / 2 * cells.cell_m - model.map_grid.center_xy_m[0],
        north_m - (rows - sides[0]) / 2 * cells.cell_m - model.map_grid.center_xy_m[1],
    )
    around_px = 2 * _margin(model) * stride
    pixels = Grid(rows * stride + around_px, cols * stride + around_px, model.tile_grid.cell_m, middle_m)
    gone = missing(image, anchor, window)
    known = ~gone if holds(image, anchor, pixels) else covered(image, anchor, window) & ~gone
    place_m = (
        east_m + cells.cell_m / 2 - model.map_grid.center_xy_m[0],
        north_m - cells.cell_m / 2 - model.map_grid.center_xy_m[1],
    )
    on_image = covered(image, anchor, window.centered_at(place_m))
    shows_nothing = not known.any()
    blank = torch.zeros(3, pixels.rows, pixels.cols, dtype=torch.uint8)
    return _Pixels(blank if shows_nothing else crop_over_edge(image, anchor, pixels), known, gone, on_image)


def _margin(model: CVLNet) -> int:
    """Cells around a window that are encoded with it."""
    return _MARGIN_PX // _stride(model)


def _encode(model: CVLNet, pixels: _Pixels) -> EncodedCells:
    margin, (rows, cols) = _margin(model), pixels.known.shape
    inner = (slice(margin, margin + rows), slice(margin, margin + cols))
    states = (pixels.known, pixels.gone, pixels.on_image)
    if not pixels.known.any():
        nothing = torch.zeros(model.overhead_head.out_channels, rows, cols, dtype=torch.float16)
        return EncodedCells(nothing, torch.ones(rows, cols), *states, torch.zeros(3, rows, cols, dtype=torch.uint8))
    with torch.inference_mode():
        features, unsure = (t[0].cpu() for t in model.encode_overhead(pixels.rgb.to(model.device).unsqueeze(0)))
        means = functional.avg_pool2d(pixels.rgb.float(), _stride(model))[:, *inner]
        descriptor = features[:, *inner].half().masked_fill(~pixels.known, 0.0)
        return EncodedCells(descriptor, unsure[inner], *states, means.round().to(torch.uint8) * pixels.known)
