"""The sheet of one case: what the camera saw, what the network made of it, where we said it was, and where it was."""

from __future__ import annotations

from math import cos, sin
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Ellipse
from matplotlib.patheffects import AbstractPathEffect, withStroke

from cvlnet.arrays import F64, U8
from cvlnet.evaluation.report.cases import Case, TileView
from cvlnet.evaluation.report.theme import EDGE, ERROR_CLASSES, TRUTH, Theme, error_class
from cvlnet.grid import Grid

MOST_FRAMES_SHOWN = 4
ARROW_M = 16.0
_OUTLINE: list[AbstractPathEffect] = [withStroke(linewidth=3.2, foreground=EDGE)]


def case_sheet(case: Case, theme: Theme) -> Figure:
    """Frames at the left, newest first; then labels, features, the tile at the true place and the tile found."""
    columns = 3 if case.labels is None else 4
    figure = theme.figure(3.3 * (1 + columns), 6.5)
    said = f"score {case.best.score:.3f}, margin {case.margin:.3f}"
    title = f"Off by {case.error_m:.1f} m  ({said})    {case.query_id}"
    figure.suptitle(title, x=0.012, ha="left", color=theme.ink, fontsize=12, fontweight="bold")
    left, right = np.asarray(figure.subfigures(1, 2, width_ratios=(1.0, 0.54 * columns), facecolor=theme.paper))
    _frames(left, case, theme)
    panels = list(right.subplots(2, columns, gridspec_kw={"wspace": 0.05}).T)
    both = (case.nearest.scores, case.best.scores)
    scale = (float(min(scores.min() for scores in both)), float(max(scores.max() for scores in both)))
    if case.labels is not None and case.nearest.labels is not None:
        above, below = panels.pop(0)
        _from_above(above, case, case.labels, theme, "What the network recognised", "grey: road; red: houses")
        _tile_map(below, case.nearest, case.nearest.labels, theme, "What it recognised on the map", "north is up")
    compared, true, found = panels
    _from_above(compared[0], case, case.features, theme, "What it compares", "from above; same colour: alike")
    _tile_map(compared[1], case.nearest, case.nearest.features, theme, "The map there", "in the same colours")
    _tile(true[0], case.nearest, case, theme, "Where it was", found=False)
    _scores(true[1], case.nearest, case, theme, scale, "Scores there")
    _tile(found[0], case.best, case, theme, "Where we said it was", found=True)
    _scores(found[1], case.best, case, theme, scale, "Scores where we said")
    return figure


def _frames(figure: SubFigure, case: Case, theme: Theme) -> None:
    shown = case.frames[:MOST_FRAMES_SHOWN]
    for number, axes in enumerate(np.atleast_1d(figure.subplots(MOST_FRAMES_SHOWN, 1))):
        if number >= len(shown):
            axes.set_axis_off()
            continue
        axes.imshow(shown[number])
        title = "The newest frame: this is what we locate" if number == 0 else f"{case.ages_s[number]:.1f} s before"
        theme.dress_picture(axes, title)


def _from_above(axes: Axes, case: Case, rgba: U8, theme: Theme, title: str, note: str) -> None:
    axes.set_facecolor(theme.rule)
    _show(axes, rgba, case.feature_grid)
    _arrow(axes, (0.0, 0.0), case.yaw_rad)
    theme.dress_picture(axes, title, note)


def _tile_map(axes: Axes, view: TileView, rgb: U8, theme: Theme, title: str, note: str) -> None:
    _show(axes, rgb, view.feature_grid)
    theme.dress_picture(axes, title, note)


def _tile(axes: Axes, view: TileView, case: Case, theme: Theme, title: str, *, found: bool) -> None:
    _show(axes, view.image, view.image_grid)
    window = view.score_grid.corners_xy_m().numpy()
    axes.plot(*np.vstack([window, window[:1]]).T, color=TRUTH, linewidth=0.9, linestyle=(0, (3, 2)), alpha=0.8)
    holds_truth = _inside(view.image_grid, view.true_m)
    if holds_truth:
        _arrow(axes, view.true_m, case.yaw_rad)
    note = "arrow: true place and heading"
    if found:
        _ellipse(axes, view.found_m, view.covariance_m2, ERROR_CLASSES[error_class(case.error_m)].color)
        note = "ellipse: its own 2 sigma" + ("" if holds_truth else "; truth is elsewhere")
    axes.set_xlim(_limits(view.image_grid)[:2])
    axes.set_ylim(_limits(view.image_grid)[2:])
    theme.dress_picture(axes, title, note)


def _scores(axes: Axes, view: TileView, case: Case, theme: Theme, scale: tuple[float, float], title: str) -> None:
    _show(axes, view.scores, view.score_grid, scale)
    color = ERROR_CLASSES[error_class(case.error_m)].color
    if _inside(view.score_grid, view.true_m):
        _cross(axes, view.true_m)
    axes.plot(*view.found_m, "o", markersize=9, markerfacecolor="none", markeredgecolor=color, markeredgewidth=2.2)
    theme.dress_picture(axes, title, f"cross: truth; ring: best; {scale[0]:.2f} to {scale[1]:.2f}")


def _show(axes: Axes, pixels: npt.NDArray[Any], grid: Grid, scale: tuple[float, float] | None = None) -> None:
    low, high = scale or (None, None)
    axes.imshow(pixels, "magma", extent=_limits(grid), interpolation="nearest", vmin=low, vmax=high)


def _limits(grid: Grid) -> tuple[float, float, float, float]:
    """West, east, south, north: matplotlib's extent."""
    corners = grid.corners_xy_m().numpy()
    return float(corners[0, 0]), float(corners[1, 0]), float(corners[2, 1]), float(corners[0, 1])


def _inside(grid: Grid, xy_m: tuple[float, float]) -> bool:
    west, east, south, north = _limits(grid)
    return west <= xy_m[0] <= east and south <= xy_m[1] <= north


def _arrow(axes: Axes, xy_m: tuple[float, float], yaw_rad: float) -> None:
    """The vehicle's place (its base) and heading."""
    tip = (xy_m[0] + ARROW_M * cos(yaw_rad), xy_m[1] + ARROW_M * sin(yaw_rad))
    arrow = axes.annotate("", tip, xy_m, arrowprops={"arrowstyle": "-|>", "color": TRUTH, "linewidth": 2, "shrinkA": 0})
    if arrow.arrow_patch is not None:
        arrow.arrow_patch.set_path_effects(_OUTLINE)
    axes.plot(*xy_m, "o", markersize=7, color=TRUTH, markeredgecolor=EDGE, markeredgewidth=1.4)


def _cross(axes: Axes, xy_m: tuple[float, float]) -> None:
    (line,) = axes.plot(*xy_m, "+", markersize=13, color=TRUTH, markeredgewidth=2)
    line.set_path_effects(_OUTLINE)


def _ellipse(axes: Axes, xy_m: tuple[float, float], covariance_m2: F64, color: str) -> None:
    half_axes_m, turn_deg = ellipse_of(covariance_m2)
    width_m, height_m = 4 * half_axes_m  # two sigma to each side
    outline = {"xy": xy_m, "width": width_m, "height": height_m, "angle": turn_deg, "fill": False}
    axes.add_patch(Ellipse(**outline, edgecolor=EDGE, linewidth=3.6))
    axes.add_patch(Ellipse(**outline, edgecolor=color, linewidth=2.0))
    axes.plot(*xy_m, "o", markersize=6, color=color, markeredgecolor=EDGE, markeredgewidth=1.2)


def ellipse_of(covariance_m2: F64) -> tuple[F64, float]:
    """Half-axes of the one-sigma ellipse, the longer first, and its turn in degrees counter-clockwise from east."""
    variance_m2, axes = np.linalg.eigh(covariance_m2)
    turn_deg = float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])))
    return np.sqrt(variance_m2[::-1]), turn_deg
