"""Overhead images of any size and resolution, and what the model takes from them: crops in true metres."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, floor, sin
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from cvlnet.data.images import U8
from cvlnet.errors import InputError
from cvlnet.geo import Array, LatLon, LocalFrame, MetricRaster, Points
from cvlnet.grid import Grid

NORTH_UP: Array = np.eye(2)
_EDGE_PX = 1.0  # a crop may reach so far over the edge, for rounding


@runtime_checkable
class Raster(Protocol):
    """Where an image lies; see `cvlnet.geo.MercatorRaster` and `cvlnet.geo.MetricRaster`."""

    def xy_px(self, latlon_deg: Points) -> Array:
        """Pixel coordinates, [..., 2], of latitudes and longitudes, [..., 2]."""

    def latlon_deg(self, xy_px: Points) -> Array:
        """Latitudes and longitudes, [..., 2], of pixel coordinates, [..., 2]."""


@dataclass(frozen=True)
class OverheadImage:
    """A decoded overhead image, RGB [rows, columns, 3], where it lies, and the file that errors speak of."""

    pixels: U8
    raster: Raster
    source: Path

    @property
    def center(self) -> LatLon:
        """The place of the image's middle."""
        rows, cols = self.pixels.shape[:2]
        return LatLon(*self.raster.latlon_deg([cols / 2, rows / 2]).tolist())


def crop(
    image: OverheadImage, center: LatLon, grid: Grid, crop_from_world: Array = NORTH_UP
) -> UInt8[Tensor, "3 rows cols"]:
    """What the cells of ``grid`` see, in true metres around ``center``, RGB.

    A cell takes the average of what it covers, or is interpolated where it is smaller than a pixel. ``crop_from_world``
    turns the world about ``center`` first, see `turn_of_world`.
    Raises InputError if the crop reaches over the image's edge.
    """
    corners = crop_corners_px(image, center, grid, crop_from_world)
    if not _inside(corners, image.pixels):
        rows, cols = image.pixels.shape[:2]
        raise InputError(
            f"the image of {cols} x {rows} px does not hold the crop of {grid.size_m[0]:.1f} x {grid.size_m[1]:.1f} m "
            f"around {center.latitude_deg:.6f}, {center.longitude_deg:.6f}",
            where=image.source,
            remedy="take a larger overhead image, or a smaller crop",
        )
    return _tensor(resample(image.pixels, corners, grid))


def crop_over_edge(image: OverheadImage, center: LatLon, grid: Grid) -> UInt8[Tensor, "3 rows cols"]:
    """What `crop` gives, and where it reaches over the image's edge the image's mirror image."""
    return _tensor(resample(image.pixels, crop_corners_px(image, center, grid), grid, cv2.BORDER_REFLECT_101))


def holds(image: OverheadImage, center: LatLon, grid: Grid, crop_from_world: Array = NORTH_UP) -> bool:
    """Whether the crop lies on the image."""
    return bool(_inside(crop_corners_px(image, center, grid, crop_from_world), image.pixels))


def covered(image: OverheadImage, center: LatLon, grid: Grid) -> Bool[Tensor, "rows cols"]:
    """Which cells of a grid around ``center`` have their centres on the image."""
    cells_px = image.raster.xy_px(LocalFrame(center).latlon_deg(grid.cell_centers_xy_m().numpy()))
    rows, cols = image.pixels.shape[:2]
    return torch.from_numpy(((cells_px >= 0) & (cells_px <= np.array([cols, rows]))).all(axis=-1))


def reach_m(image: OverheadImage) -> Array:
    """How far the image reaches from its centre at least, eastward and northward, in true metres, [2]."""
    rows, cols = image.pixels.shape[:2]
    edges_px = np.array([[cols / 2, 0.0], [cols, rows / 2], [cols / 2, rows], [0.0, rows / 2]])
    north, east, south, west = LocalFrame(image.center).xy_world_m(image.raster.latlon_deg(edges_px))
    return np.array([min(east[0], -west[0]), min(north[1], -south[1])])


def farthest_m(image: OverheadImage, place: LatLon) -> Array:
    """How far the image's corners are from a place at most, eastward and northward, in true metres, [2]."""
    rows, cols = image.pixels.shape[:2]
    corners_px = np.array([[0.0, 0.0], [cols, 0.0], [cols, rows], [0.0, rows]])
    xy_m: Array = np.abs(LocalFrame(place).xy_world_m(image.raster.latlon_deg(corners_px))).max(axis=0)
    return xy_m


def resampled(image: OverheadImage, grid: Grid) -> OverheadImage:
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


def crop_corners_px(image: OverheadImage, center: LatLon, grid: Grid, crop_from_world: Array = NORTH_UP) -> Array:
    """Where the corners of a crop lie in the image, [4, 2], from the crop's north-west one clockwise."""
    world_corners_xy_m = grid.corners_xy_m().numpy() @ crop_from_world
    return image.raster.xy_px(LocalFrame(center).latlon_deg(world_corners_xy_m))


def turn_of_world(turn_rad: float, mirror: bool = False) -> Array:
    """``crop_from_world``, the matrix [2, 2] that turns directions (east, north) counter-clockwise.

    With ``mirror`` north and south change places after that, so that traffic keeps to the other side.
    """
    turn = np.array([[cos(turn_rad), -sin(turn_rad)], [sin(turn_rad), cos(turn_rad)]])
    return np.diag([1.0, -1.0]) @ turn if mirror else turn


def _inside(corners_px: Array, pixels: U8) -> npt.NDArray[np.bool_]:
    """Whether all corners of crops, [..., 4, 2], lie in the image, [...]."""
    rows, cols = pixels.shape[:2]
    within = (corners_px >= -_EDGE_PX) & (corners_px <= np.array([cols, rows]) + _EDGE_PX)
    return np.asarray(within.all(axis=(-2, -1)))


def _tensor(pixels: U8) -> UInt8[Tensor, "3 rows cols"]:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def resample(pixels: U8, corners_px: Array, grid: Grid, border: int = cv2.BORDER_REPLICATE) -> U8:
    """Cells of a grid whose corners lie at ``corners_px``, up to four channels; OpenCV's ``border`` over the edge.

    Over the few hundred metres of a crop every map projection is affine to a small part of a pixel.
    """
    cells = np.array([[0, 0], [grid.cols, 0], [grid.cols, grid.rows], [0, grid.rows]], dtype=np.float64)
    image_from_cell = np.linalg.lstsq(np.column_stack([cells, np.ones(4)]), corners_px, rcond=None)[0].T  # [2, 3]
    px_per_cell = float(np.sqrt(abs(np.linalg.det(image_from_cell[:, :2]))))
    finer = max(1, int(np.ceil(px_per_cell - 1e-2)))  # samples a cell, along each side
    part, left, top = window(pixels, corners_px)
    image_from_cell[:, 2] -= (left, top)
    part_from_sample = image_from_cell @ np.diag([1 / finer, 1 / finer, 1.0])
    part_from_sample[:, 2] += part_from_sample[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV counts from pixel centres
    size = (grid.cols * finer, grid.rows * finer)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    samples = cv2.warpAffine(part, part_from_sample, size, flags=flags, borderMode=border)
    if finer > 1:
        samples = cv2.resize(samples, (grid.cols, grid.rows), interpolation=cv2.INTER_AREA)
    return np.asarray(samples, dtype=np.uint8)


def window(pixels: U8, corners_px: Array) -> tuple[U8, int, int]:
    """The part of the image that a crop can see (a mapped file is read there only), and its left and top."""
    margin = 2
    rows, cols = pixels.shape[:2]
    left, top = np.clip(np.floor(corners_px.min(axis=0)).astype(int) - margin, 0, [cols - 1, rows - 1]).tolist()
    right, bottom = np.clip(np.ceil(corners_px.max(axis=0)).astype(int) + margin, 1, [cols, rows]).tolist()
    return np.ascontiguousarray(pixels[top:bottom, left:right]), left, top
