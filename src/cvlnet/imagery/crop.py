"""Crops of overhead images, in true metres, as the model sees them.

Missing pixels are filled from their neighbours before an image is encoded, and `missing` marks them, so that nothing is
ever found there.
"""

from __future__ import annotations

from math import cos, floor, sin

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float64, UInt8
from scipy import ndimage
from torch import Tensor

from cvlnet.arrays import Corners, Matrix2, Rgb, Xy
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame, MetricRaster, Pairs, Raster
from cvlnet.grid import Grid
from cvlnet.imagery.overhead import Imagery, OverheadImage, Patch

NORTH_UP: Matrix2 = np.eye(2)
_EDGE_PX = 1.0  # how far a crop may reach over the edge, for rounding
_FINE_PX = 4.0  # an image with more pixels a cell is read at a lower resolution


def crop(
    image: Imagery, center: LatLon, grid: Grid, crop_from_world: Matrix2 = NORTH_UP
) -> UInt8[Tensor, "3 rows cols"]:
    """What the cells of ``grid`` see, in true metres around ``center``, RGB.

    A cell takes the average of what it covers, or is interpolated where it is smaller than a pixel. ``crop_from_world``
    turns the world about ``center`` first, see `turn_of_world`.
    Raises InputError if the crop reaches over the image's edge.
    """
    corners = crop_corners_px(image, center, grid, crop_from_world)
    if not _inside(corners, image.shape):
        rows, cols = image.shape
        raise InputError(
            f"the image of {cols} x {rows} px does not hold the crop of {grid.size_m[0]:.1f} x {grid.size_m[1]:.1f} m "
            f"around {center.latitude_deg:.6f}, {center.longitude_deg:.6f}",
            where=image.source,
            remedy="take a larger overhead image, or a smaller crop",
        )
    return _tensor(_sampled(image, corners, grid, cv2.BORDER_REPLICATE))


def crop_over_edge(image: Imagery, center: LatLon, grid: Grid) -> UInt8[Tensor, "3 rows cols"]:
    """What `crop` gives; beyond the image's edge its mirror image, and in holes the nearest pixels."""
    return _tensor(_sampled(image, crop_corners_px(image, center, grid), grid, cv2.BORDER_REFLECT_101))


def holds(image: Imagery, center: LatLon, grid: Grid, crop_from_world: Matrix2 = NORTH_UP) -> bool:
    """Whether the crop lies on the image."""
    return _inside(crop_corners_px(image, center, grid, crop_from_world), image.shape)


def covered(image: Imagery, center: LatLon, grid: Grid) -> Bool[Tensor, "rows cols"]:
    """Which cells of a grid around ``center`` have their centres on the image."""
    cells_px = image.raster.xy_px(LocalFrame(center).latlon_deg(grid.cell_centers_xy_m().numpy()))
    rows, cols = image.shape
    return torch.from_numpy(((cells_px >= 0) & (cells_px <= np.array([cols, rows]))).all(axis=-1))


def missing(image: Imagery, center: LatLon, grid: Grid) -> Bool[Tensor, "rows cols"]:
    """Which cells of a grid around ``center`` lie in holes of the image: at least half of their pixels are missing."""
    nowhere = np.zeros((grid.rows, grid.cols), dtype=np.bool_)
    if not image.may_lack_pixels:
        return torch.from_numpy(nowhere)
    corners = crop_corners_px(image, center, grid)
    patch, corners = _read_around(image, corners, grid)
    if patch.valid is None:
        return torch.from_numpy(nowhere)
    share = resample((~patch.valid).astype(np.uint8) * np.uint8(255), corners, grid)
    return torch.from_numpy(share >= 128)


def on_raster(image: Imagery, raster: Raster, rows: int, cols: int) -> Patch:
    """What an image shows on the pixels of another raster, of the extent of a crop; averaged where those are larger.

    A pixel is valid if at least half of it lies on the image and in none of its holes.
    """
    whole = np.array([[0.0, 0.0], [cols, 0.0], [cols, rows], [0.0, rows]])
    grid = Grid(rows, cols, 1.0)  # the pixels' own size: `resample` goes by the corners
    patch, corners = _read_around(image, image.raster.xy_px(raster.latlon_deg(whole)), grid)
    there = np.ones(patch.pixels.shape[:2], np.bool_) if patch.valid is None else patch.valid
    share = resample(there.astype(np.uint8) * np.uint8(255), corners, grid, cv2.BORDER_CONSTANT)
    return Patch(resample(filled(patch), corners, grid), share >= 128)


def filled(patch: Patch) -> Rgb:
    """The pixels of a patch; its holes hold the nearest pixel that is there."""
    if patch.valid is None or patch.valid.all() or not patch.valid.any():
        return patch.pixels
    nearest = ndimage.distance_transform_edt(~patch.valid, return_distances=False, return_indices=True)
    return np.ascontiguousarray(patch.pixels[tuple(nearest)])


def reach_m(image: Imagery) -> Xy:
    """The least distance from the image's centre to its edges, eastward and northward, in true metres."""
    rows, cols = image.shape
    edges_px = np.array([[cols / 2, 0.0], [cols, rows / 2], [cols / 2, rows], [0.0, rows / 2]])
    north, east, south, west = LocalFrame(image.center).xy_world_m(image.raster.latlon_deg(edges_px))
    return np.array([min(east[0], -west[0]), min(north[1], -south[1])])


def farthest_m(image: Imagery, place: LatLon) -> Xy:
    """The largest distance from a place to the image's corners, eastward and northward, in true metres."""
    rows, cols = image.shape
    corners_px = np.array([[0.0, 0.0], [cols, 0.0], [cols, rows], [0.0, rows]])
    xy_m: Xy = np.abs(LocalFrame(place).xy_world_m(image.raster.latlon_deg(corners_px))).max(axis=0)
    return xy_m


def resampled(image: Imagery, grid: Grid) -> OverheadImage:
    """The largest part of the image that has the cells of ``grid``, north up in true metres around the image's centre.

    Its rows and columns are even or odd as the grid's are, so that a crop at its centre takes whole pixels.
    Raises InputError if the image is smaller than the grid.
    """
    center = image.center
    more_cols, more_rows = (
        max(floor(reach / grid.cell_m - cells / 2 + 1e-6), 0)
        for reach, cells in zip(reach_m(image), (grid.cols, grid.rows), strict=True)
    )
    whole = Grid(grid.rows + 2 * more_rows, grid.cols + 2 * more_cols, grid.cell_m)
    pixels = np.ascontiguousarray(crop(image, center, whole).numpy().transpose(1, 2, 0))
    return OverheadImage(pixels, MetricRaster(center, whole.cols, whole.rows, grid.cell_m), image.source)


def ground_m_per_px(raster: Raster, xy_px: Pairs) -> tuple[float, float]:
    """Size of the pixel at a place of the image, in true metres: along its row and along its column."""
    x, y = np.asarray(xy_px, dtype=np.float64).tolist()
    here, right, below = raster.latlon_deg([[x, y], [x + 1, y], [x, y + 1]]).tolist()
    right_m, below_m = np.linalg.norm(LocalFrame(LatLon(*here)).xy_world_m([right, below]), axis=-1).tolist()
    return right_m, below_m


def crop_corners_px(image: Imagery, center: LatLon, grid: Grid, crop_from_world: Matrix2 = NORTH_UP) -> Corners:
    """Where the corners of a crop lie in the image, from the crop's north-west one clockwise."""
    world_corners_xy_m = grid.corners_xy_m().numpy() @ crop_from_world
    return image.raster.xy_px(LocalFrame(center).latlon_deg(world_corners_xy_m))


def turn_of_world(turn_rad: float, mirror: bool = False) -> Matrix2:
    """``crop_from_world``: turns directions (east, north) counter-clockwise.

    With ``mirror`` north and south change places after that, so that traffic keeps to the other side.
    """
    turn = np.array([[cos(turn_rad), -sin(turn_rad)], [sin(turn_rad), cos(turn_rad)]])
    return np.diag([1.0, -1.0]) @ turn if mirror else turn


def _inside(corners_px: Corners, shape: tuple[int, int]) -> bool:
    """Whether all corners of a crop lie in an image of this shape."""
    rows, cols = shape
    within = (corners_px >= -_EDGE_PX) & (corners_px <= np.array([cols, rows]) + _EDGE_PX)
    return bool(within.all())


def _tensor(pixels: Rgb) -> UInt8[Tensor, "3 rows cols"]:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def _sampled(image: Imagery, corners_px: Corners, grid: Grid, border: int) -> Rgb:
    patch, corners = _read_around(image, corners_px, grid)
    return resample(filled(patch), corners, grid, border)


def _read_around(image: Imagery, corners_px: Corners, grid: Grid) -> tuple[Patch, Corners]:
    """The window of the image that a crop can see, and the crop's corners in the window's own pixels."""
    px_per_cell = float(np.sqrt(abs(np.linalg.det(_image_from_cell(corners_px, grid)[:, :2]))))
    reduction = int(px_per_cell / _FINE_PX * 2) if px_per_cell > _FINE_PX else 1
    rows, cols = window(image.shape, corners_px, margin=2 * reduction)
    return image.read(rows, cols, reduction), (corners_px - (cols.start, rows.start)) / reduction


def resample(
    pixels: UInt8[np.ndarray, "_ _ *channels"], corners_px: Corners, grid: Grid, border: int = cv2.BORDER_REPLICATE
) -> UInt8[np.ndarray, "rows cols *channels"]:
    """Cells of a grid whose corners lie at ``corners_px``, up to four channels; OpenCV's ``border`` over the edge.

    Over the few hundred metres of a crop every map projection is affine to a small part of a pixel.
    """
    image_from_cell = _image_from_cell(corners_px, grid)
    px_per_cell = float(np.sqrt(abs(np.linalg.det(image_from_cell[:, :2]))))
    finer = max(1, int(np.ceil(px_per_cell - 1e-2)))  # samples a cell, along each side
    rows, cols = window((pixels.shape[0], pixels.shape[1]), corners_px)
    image_from_cell[:, 2] -= (cols.start, rows.start)
    part_from_sample = image_from_cell @ np.diag([1 / finer, 1 / finer, 1.0])
    part_from_sample[:, 2] += part_from_sample[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV counts from pixel centres
    size = (grid.cols * finer, grid.rows * finer)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    part = np.ascontiguousarray(pixels[rows, cols])
    samples = cv2.warpAffine(part, part_from_sample, size, flags=flags, borderMode=border)
    if finer > 1:
        samples = cv2.resize(samples, (grid.cols, grid.rows), interpolation=cv2.INTER_AREA)
    return np.asarray(samples, dtype=np.uint8)


def window(shape: tuple[int, int], corners_px: Corners, margin: int = 2) -> tuple[slice, slice]:
    """Rows and columns of an image that a crop can see; at least one of each, however far away the crop lies."""
    rows, cols = shape
    left, top = np.clip(np.floor(corners_px.min(axis=0)).astype(int) - margin, 0, [cols - 1, rows - 1]).tolist()
    right, bottom = np.clip(np.ceil(corners_px.max(axis=0)).astype(int) + margin, 1, [cols, rows]).tolist()
    return slice(top, bottom), slice(left, right)


def _image_from_cell(corners_px: Corners, grid: Grid) -> Float64[np.ndarray, "2 3"]:
    """The affine map from fractional cells to pixels that fits a crop's corners best."""
    cells = np.array([[0, 0], [grid.cols, 0], [grid.cols, grid.rows], [0, grid.rows]], dtype=np.float64)
    return np.asarray(np.linalg.lstsq(np.column_stack([cells, np.ones(4)]), corners_px, rcond=None)[0].T)
