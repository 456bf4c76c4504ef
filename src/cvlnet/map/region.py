"""A region: a part of a map in memory, and the places on it where a vehicle is sought."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cvlnet.arrays import Xy
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.grid import Grid
from cvlnet.imagery.crop import covered, farthest_m, reach_m
from cvlnet.imagery.overhead import Imagery
from cvlnet.map.encode import EncodedCells, encoded, window_cells, windows
from cvlnet.model.cvlnet import CVLNet
from cvlnet.model.dense import DenseMatcher
from cvlnet.model.ssm import with_unseen
from cvlnet.types import ClipFeatures

NEAR_M = 100.0
_MOST_CELLS = 2**26  # 2 GiB of descriptors


@dataclass(frozen=True)
class Layout:
    """How the cells of a network and the places of a vehicle lie to each other.

    clip_cells: side of a clip's grid. steps: side of a tile's window of displacements. offset_m: (east, north) of a
    cell's features from the middle of its pixels.
    """

    cell_m: float
    clip_cells: int
    steps: int
    offset_m: tuple[float, float]

    @staticmethod
    def of(model: CVLNet) -> Layout:
        """The layout of a network."""
        return Layout(model.map_grid.cell_m, model.clip_grid.rows, model.steps, model.map_grid.center_xy_m)

    def pixels(self, cells: Grid) -> Grid:
        """Where the pixels of cells lie, which their features lie beside."""
        (east_m, north_m), (offset_east_m, offset_north_m) = cells.center_xy_m, self.offset_m
        return cells.centered_at((east_m - offset_east_m, north_m - offset_north_m))

    def tiled(self, half_m: float) -> int:
        """Places along a side, whole tiles of them, that reach as far to both sides of the middle."""
        return self.steps * max(1, ceil((2 * half_m / self.cell_m + 1 - 1e-6) / self.steps))

    @property
    def first(self) -> int:
        """Row and column of the cell whose south-eastern corner is the first place."""
        return self.clip_cells // 2 - 1

    def places(self, cells: Grid) -> Grid:
        """The places whose clips lie on a grid of cells: corners between cells, by the middle of their pixels."""
        less = self.clip_cells - 1
        return Grid(cells.rows - less, cells.cols - less, self.cell_m, self.pixels(cells).center_xy_m)

    def cells(self, places: Grid) -> Grid:
        """The cells that clips at these places see."""
        more = self.clip_cells - 1
        center_m = (places.center_xy_m[0] + self.offset_m[0], places.center_xy_m[1] + self.offset_m[1])
        return Grid(places.rows + more, places.cols + more, self.cell_m, center_m)


@dataclass(frozen=True)
class Region:
    """What an overhead image looks like, and the places on it where a vehicle is sought.

    Both grids are in metres (east, north) around ``anchor``. descriptor: of ``cells``, in half precision, zero where
    the image shows nothing. known: whether it shows a cell. uncertainty: positive, of a vehicle at each of the
    ``places``. searched: whether a place is shown and near enough. steps: the side of a tile in places, the
    displacements within it; a fix names its tile.
    """

    descriptor: Float[Tensor, "channels cell_rows cell_cols"]
    known: Bool[Tensor, "cell_rows cell_cols"]
    uncertainty: Float[Tensor, "rows cols"]
    searched: Bool[Tensor, "rows cols"]
    cells: Grid
    places: Grid
    steps: int
    anchor: LatLon
    _matchers: dict[torch.device, DenseMatcher] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        """Number of places that are searched."""
        return int(self.searched.sum())

    @property
    def frame(self) -> LocalFrame:
        """The world frame of the region."""
        return LocalFrame(self.anchor)

    def matcher(self, device: torch.device) -> DenseMatcher:
        """The map's features, prepared for matching on a device; made once."""
        if device not in self._matchers:
            clip_cells = self.cells.rows - self.places.rows + 1
            self._matchers[device] = DenseMatcher(self.descriptor.to(device), clip_cells)
        return self._matchers[device]

    def scores(
        self, clips: ClipFeatures, device: torch.device, neutral: float | None
    ) -> Float[Tensor, "clips rows cols"]:
        """The scores of clips at all places, on the CPU; minus infinity where none is sought.

        neutral: the score that says nothing about a place. What the map does not show of a clip counts as much
        (`cvlnet.model.ssm.with_unseen`), or as unlike if it is None.
        """
        matcher = self.matcher(device)
        found = matcher.scores(clips).cpu() / self.uncertainty
        if neutral is not None:
            for (rows, cols), unseen in matcher.unseen(clips):
                found[:, rows, cols] = with_unseen(found[:, rows, cols], unseen.cpu(), neutral)
        return found.masked_fill_(~self.searched, -torch.inf)

    def searches(self, place: LatLon) -> bool:
        """Whether a place is among those that are searched."""
        row_col = self.places.row_col(torch.from_numpy(self.frame.xy_world_m(place.degrees))).round().long()
        return self.places.holds(row_col) and bool(self.searched[tuple(row_col.tolist())])

    def near(self, place: LatLon, radius_m: float, source: Path) -> Region:
        """The region with the places alone that lie within a radius of a place on earth.

        Raises InputError, about ``source``, if no place is left.
        """
        east_m, north_m = self.frame.xy_world_m(place.degrees).tolist()
        searched = self.searched & _within(self.places, (east_m, north_m), radius_m)
        if not searched.any():
            raise _nothing_shown(source)
        return replace(self, searched=searched)

    def known_share(self, row_col: Int[Tensor, 2], weight: Float[Tensor, "clip_rows clip_cols"]) -> float:
        """How much of what a clip sees (the weights of its cells) the image would show if it were at a place."""
        row, col = row_col.tolist()
        around = self.known[row : row + weight.shape[0], col : col + weight.shape[1]]
        return float((weight * around).sum() / weight.sum().clamp(min=1e-12))

    def tile_center_m(self, row_col: Int[Tensor, 2]) -> Float[Tensor, 2]:
        """Middle (east, north) of the tile that holds a place."""
        return self.places.xy_m((row_col // self.steps * self.steps + self.steps // 2).double())


def region_of(layout: Layout, encoded_cells: EncodedCells, cells: Grid, anchor: LatLon) -> Region:
    """The region of encoded cells on a grid around ``anchor``.

    Places off the image and in its holes are not searched.
    """
    places, first = layout.places(cells), layout.first
    rows, cols = slice(first, first + places.rows), slice(first, first + places.cols)
    gone = encoded_cells.gone[first : first + places.rows + 1, first : first + places.cols + 1]
    return Region(
        descriptor=encoded_cells.descriptor,
        known=encoded_cells.known,
        uncertainty=encoded_cells.uncertainty[rows, cols].contiguous(),
        searched=encoded_cells.on_image[rows, cols] & ~_in_holes(gone),
        cells=cells,
        places=places,
        steps=layout.steps,
        anchor=anchor,
    )


def encode_region(
    model: CVLNet,
    image: Imagery,
    *,
    near: LatLon | None = None,
    radius_m: float = NEAR_M,
    progress: bool = False,
) -> Region:
    """Encode an image; with ``near`` the part that a search of the places within ``radius_m`` of it needs.

    Beyond the image's edge and in its holes the descriptor is zero (`Region.scores`). Places in holes are not searched.
    Raises InputError if no place of the image is near enough, or the image is too large, or damaged.
    """
    require_metric(model, image)
    anchor = image.center if near is None else near
    half_m = reach_m(image) if near is None else np.minimum(radius_m, farthest_m(image, near))
    layout = Layout.of(model)
    places = _places(layout, half_m, image)
    center_m = None if near is None else (0.0, 0.0)
    if not (covered(image, anchor, places) & _within(places, center_m, radius_m)).any():
        raise InputError(
            f"nothing within {radius_m:g} m of {anchor.latitude_deg:.6f}, {anchor.longitude_deg:.6f} is on the map",
            where=image.source,
            remedy="give a map that holds the place, or a larger radius",
        )
    cells = layout.cells(places)
    parts = windows(cells, window_cells(model))
    whole = EncodedCells.joined(list(encoded(model, image, anchor, cells, parts, progress=progress)))
    region = region_of(layout, whole, cells, anchor)
    if near is not None:
        return region.near(near, radius_m, image.source)
    if not len(region):
        raise _nothing_shown(image.source)
    return region


def require_metric(model: CVLNet, image: Imagery) -> None:
    """Raise InputError for a network whose cells do not form a metric grid."""
    if not model.is_metric:
        remedy = "use it with cvlnet evaluate, or give weights of another projection"
        raise InputError("a network of panoramas sees single tiles only", where=image.source, remedy=remedy)


def _places(layout: Layout, half_m: Xy, image: Imagery) -> Grid:
    """Places a cell apart, whole tiles of them, as far as ``half_m`` (east, north) from the anchor."""
    cell_m = layout.cell_m
    cols, rows = map(layout.tiled, half_m.tolist())
    if rows * cols > _MOST_CELLS:
        raise InputError(
            f"{rows * cell_m / 1000:.1f} x {cols * cell_m / 1000:.1f} km are too much to be searched at once",
            where=image.source,
            remedy="build a map of it by cvlnet map build, or search near a place",
        )
    return Grid(rows, cols, cell_m)


def _nothing_shown(source: Path) -> InputError:
    remedy = "give a map without holes there"
    return InputError("the map shows nothing where it is to be searched", where=source, remedy=remedy)


def _within(places: Grid, center_m: tuple[float, float] | None, radius_m: float) -> Bool[Tensor, "rows cols"]:
    """Which places lie within a radius; all if there is no centre."""
    if center_m is None:
        return torch.ones(places.rows, places.cols, dtype=torch.bool)
    from_center_m = places.cell_centers_xy_m() - torch.tensor(center_m, dtype=torch.float64)
    return torch.as_tensor(torch.linalg.vector_norm(from_center_m, dim=-1) <= radius_m)


def _in_holes(gone: Bool[Tensor, "rows1 cols1"]) -> Bool[Tensor, "rows cols"]:
    """Which corners between cells lie in holes: at least two of the four cells around them do."""
    count = gone.int()
    return torch.as_tensor(count[:-1, :-1] + count[:-1, 1:] + count[1:, :-1] + count[1:, 1:] >= 2)
