"""The picture of an answer: the frames, and on the overhead image the fixes, the score of every place, a close-up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from cvlnet.arrays import Xy
from cvlnet.ellipse import CONFIDENCE, ellipse_xy_m
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.grid import Grid
from cvlnet.io.files import written_whole
from cvlnet.localize.answer import Answer, forward_xy

_BEST, _OTHER, _TRUTH = "#ff3b30", "#ffd60a", "#32d74b"
_HALO = [withStroke(linewidth=3, foreground="#000000b0")]
_LONGEST_PX = 2000  # of the overhead image as drawn
_CLOSE_M = 25.0  # the close-up reaches at least this far from the best fix
_ARROW_M = 9.0
_FRAMES = 4  # of the newest ones are drawn
_HOLE = np.uint8(128)  # grey, where the image has no data


def draw(answer: Answer, path: Path) -> None:
    """Draw an answer as PNG (or what the suffix says), the file whole or not at all."""
    figure = Figure(figsize=(16.5, 7.4), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    rows: Any = figure.subfigures(2, 1, height_ratios=(1, 3.9))
    maps_row = rows[1]
    _draw_frames(rows[0], answer)
    fixes, heat, close = maps_row.subplots(1, 3)
    overhead = _Overhead(answer)
    _draw_fixes(fixes, answer, overhead)
    _draw_scores(maps_row, heat, answer, overhead)
    _draw_close(close, answer, overhead)
    if answer.image.credit is not None:
        figure.supxlabel(answer.image.credit, fontsize=8, color="0.35", parse_math=False)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=110)


class _Overhead:
    """The overhead image on axes in its own pixels, so that no map projection bends it."""

    def __init__(self, answer: Answer) -> None:
        self.image, self.raster = answer.image, answer.image.raster
        self.frame = answer.region.frame
        corners_px = self.xy_px(answer.region.cells.corners_xy_m().numpy())
        rows, cols = self.image.shape
        self.left, self.top = np.clip(corners_px.min(axis=0), 0, [cols, rows]).tolist()
        self.right, self.bottom = np.clip(corners_px.max(axis=0), 0, [cols, rows]).tolist()
        middle_x, middle_y = (self.left + self.right) / 2, (self.top + self.bottom) / 2
        pixel_m = self.frame.xy_world_m(self.raster.latlon_deg([[middle_x, middle_y], [middle_x + 1, middle_y]]))
        self.m_per_px = float(np.linalg.norm(pixel_m[1] - pixel_m[0]))

    def xy_px(self, xy_m: Float64[np.ndarray, "*batch 2"]) -> Float64[np.ndarray, "*batch 2"]:
        """Pixel coordinates of places in the region's frame."""
        return self.raster.xy_px(self.frame.latlon_deg(xy_m))

    def place_px(self, place: LatLon) -> Xy:
        """Pixel coordinates of a place on earth."""
        return self.raster.xy_px(place.degrees)

    def show(self, axes: Any, left: float, top: float, right: float, bottom: float, dimmed: bool = False) -> None:
        """Draw the part of the image between these edges, with a bar of round length."""
        rows, cols = self.image.shape
        first_col, first_row = max(int(left), 0), max(int(top), 0)
        last_col, last_row = min(int(np.ceil(right)), cols), min(int(np.ceil(bottom)), rows)
        reduction = max(1, max(last_row - first_row, last_col - first_col) // _LONGEST_PX)
        patch = self.image.read(slice(first_row, last_row), slice(first_col, last_col), reduction)
        part = patch.pixels if patch.valid is None else np.where(patch.valid[..., None], patch.pixels, _HOLE)
        if dimmed:
            grey = part.mean(axis=-1, keepdims=True)
            part = np.repeat(0.55 * grey + 30, 3, axis=-1).astype(np.uint8)
        axes.imshow(part, extent=(first_col, last_col, last_row, first_row), interpolation="antialiased")
        axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
        self._draw_bar(axes, left, bottom, right - left)

    def _draw_bar(self, axes: Any, left: float, bottom: float, width: float) -> None:
        longest_m = width * self.m_per_px / 4
        step_m = 10 ** np.floor(np.log10(longest_m))
        bar_m = step_m * max(n for n in (1, 2, 5) if n * step_m <= longest_m)
        x, y = left + 0.04 * width, bottom - 0.04 * width
        axes.plot([x, x + bar_m / self.m_per_px], [y, y], color="white", linewidth=3, path_effects=_HALO)
        text = {"color": "white", "fontsize": 9, "path_effects": _HALO, "va": "bottom"}
        axes.text(x, y - 0.012 * width, f"{bar_m:g} m", **text)


def _draw_frames(figure: Any, answer: Answer) -> None:
    columns = figure.subplots(1, _FRAMES)
    for axes in columns[len(answer.clip.images) :]:
        axes.set_axis_off()
    for i, axes in enumerate(columns[: len(answer.clip.images)]):
        axes.imshow(answer.clip.images[i].permute(1, 2, 0).numpy())
        behind_m = float(torch.linalg.vector_norm(_foot(answer, i) - _foot(answer, 0)))
        title = "newest frame, the one that is located" if i == 0 else f"{behind_m:.1f} m before"
        axes.set_title(title, fontsize=10)
        axes.set(xticks=[], yticks=[])


def _foot(answer: Answer, index: int) -> torch.Tensor:
    return answer.clip.ground_from_cam.translation_m[index, :2]


def _draw_fixes(axes: Any, answer: Answer, overhead: _Overhead) -> None:
    overhead.show(axes, overhead.left, overhead.top, overhead.right, overhead.bottom)
    for rank, fix in reversed(list(enumerate(answer.fixes, 1))):
        x, y = overhead.place_px(fix.position)
        best = rank == 1
        colour = _BEST if best else _OTHER
        _draw_heading(axes, answer, overhead, rank, colour, 2.5 if best else 1.5)
        axes.scatter(x, y, s=190 if best else 120, color=colour, edgecolor="black", linewidth=0.8, zorder=4)
        axes.text(
            x, y, str(rank), ha="center", va="center_baseline", fontsize=9 if best else 7.5, zorder=5, clip_on=True
        )
    _draw_truth(axes, answer, overhead)
    _draw_searched(axes, answer, overhead)
    found = len(answer.fixes)
    axes.set_title(f"the {found} best places" if found > 1 else "the only place", fontsize=11)


def _draw_searched(axes: Any, answer: Answer, overhead: _Overhead) -> None:
    """An outline around the places that were searched."""
    region = answer.region
    outline_px = overhead.xy_px(region.places.cell_centers_xy_m().numpy())
    axes.contour(
        outline_px[..., 0],
        outline_px[..., 1],
        region.searched.double().numpy(),
        levels=[0.5],
        colors="white",
        linewidths=1,
        linestyles="dashed",
    )


def _draw_scores(figure: Any, axes: Any, answer: Answer, overhead: _Overhead) -> None:
    overhead.show(axes, overhead.left, overhead.top, overhead.right, overhead.bottom, dimmed=True)
    corners_px = overhead.xy_px(_cell_corners_m(answer.region.places))
    values = np.where(answer.region.searched.numpy(), answer.scores.numpy(), np.nan)
    mesh = axes.pcolormesh(
        corners_px[..., 0],
        corners_px[..., 1],
        np.ma.masked_invalid(values),
        cmap="magma",
        vmin=float(np.nanquantile(values, 0.3)),
        alpha=0.8,
        rasterized=True,
        linewidth=0,
    )
    place = axes.inset_axes((0.93, 0.03, 0.02, 0.3))
    figure.colorbar(mesh, cax=place, ticklocation="left").solids.set(alpha=1)
    place.tick_params(colors="white", labelsize=8)
    best = overhead.place_px(answer.fixes[0].position)
    axes.scatter(*best, s=160, facecolor="none", edgecolor=_BEST, linewidth=2)
    _draw_truth(axes, answer, overhead)
    axes.set_title(f"score of every place ({len(answer.region):,} places)", fontsize=11)


def _draw_close(axes: Any, answer: Answer, overhead: _Overhead) -> None:
    best = answer.fixes[0]
    curve_m = ellipse_xy_m(best.covariance_m2)
    x, y = overhead.place_px(best.position)
    reach_px = max(_CLOSE_M, 1.3 * float(np.abs(curve_m).max())) / overhead.m_per_px
    overhead.show(axes, x - reach_px, y - reach_px, x + reach_px, y + reach_px)
    curve_px = overhead.raster.xy_px(LocalFrame(best.position).latlon_deg(curve_m))
    label = f"{CONFIDENCE:.0%} ellipse"
    axes.fill(*curve_px.T, facecolor=_BEST + "30", edgecolor=_BEST, linewidth=2, label=label)
    _draw_heading(axes, answer, overhead, 1, _BEST, 3.0)
    axes.scatter(x, y, s=60, color=_BEST, edgecolor="black", zorder=4, label="best fix and heading")
    _draw_truth(axes, answer, overhead)
    error = f", error {answer.errors_m[0]:.1f} m" if answer.errors_m is not None else ""
    trust = f"margin {best.margin:.3f}" if best.confidence is None else f"confidence {best.confidence:.0%}"
    axes.set_title(f"best fix: {trust}{error}", fontsize=11)
    axes.legend(loc="upper right", fontsize=9, framealpha=0.85)


def _draw_heading(axes: Any, answer: Answer, overhead: _Overhead, rank: int, colour: str, width: float) -> None:
    place, tip_m = answer.fixes[rank - 1].position, _ARROW_M * forward_xy(answer.headings_rad[rank - 1])
    start, tip = overhead.place_px(place), overhead.raster.xy_px(LocalFrame(place).latlon_deg(tip_m))
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": width, "mutation_scale": 7 + 3 * width}
    arrow = axes.annotate("", xy=tip, xytext=start, arrowprops=style, zorder=3, annotation_clip=True)
    arrow.arrow_patch.set_path_effects(_HALO)


def _draw_truth(axes: Any, answer: Answer, overhead: _Overhead) -> None:
    if answer.truth is None:
        return
    x, y = overhead.place_px(answer.truth)
    mark = {"s": 130, "color": _TRUTH, "linewidth": 2.5, "path_effects": _HALO, "zorder": 6}
    axes.scatter(x, y, marker="x", label="true place", **mark)


def _cell_corners_m(grid: Grid) -> Float64[np.ndarray, "rows1 cols1 2"]:
    """Corners of a grid's cells, a row and a column more than cells."""
    corners = Grid(grid.rows + 1, grid.cols + 1, grid.cell_m, grid.center_xy_m)
    return np.asarray(corners.cell_centers_xy_m().numpy())
