"""Plots: recall over radius, errors, what the margin is worth, and the map of the fixes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from cvlnet.arrays import F64, U8
from cvlnet.evaluation.best_fixes import best_fixes
from cvlnet.evaluation.metrics import position_errors_m, precision_over_answers
from cvlnet.evaluation.predict import Predictions
from cvlnet.evaluation.report.maps import FixMap
from cvlnet.evaluation.report.theme import EDGE, ERROR_CLASSES, TRUTH, Theme, error_class
from cvlnet.model.confidence import FOUND_M

FARTHEST_M = 50.0  # of the recall plot
BINS_PER_DECADE = 8


def recall_over_radius(predictions: Predictions, theme: Theme) -> Figure:
    """Share of queries found within a radius, by the best fix and by the best of ten."""
    figure = theme.figure(6.4, 4.2)
    axes = figure.add_subplot()
    theme.dress(axes, "How often the place is found", "radius around the true position [m]", "share of queries")
    radius_m = np.linspace(0, FARTHEST_M, 251)
    for (name, ranking), color in zip(predictions.rankings.items(), theme.series, strict=False):
        errors_m = position_errors_m(ranking.xy_m, predictions.true_xy_m[ranking.queries])
        for rank, line in ((10, (0, (2, 1.5))), (1, "-")):
            nearest_m = np.sort(errors_m[:, :rank].min(axis=1))
            share = np.searchsorted(nearest_m, radius_m, side="right") / len(nearest_m)
            label = f"{name} @{rank}: {'best fix' if rank == 1 else f'one of the best {rank}'}"
            axes.plot(radius_m, share, color=color, linestyle=line, linewidth=2, label=label)
    axes.set_xlim(0, FARTHEST_M)
    _share_axis(axes)
    theme.legend(axes, "lower right")
    return figure


def error_histograms(predictions: Predictions, split: str, theme: Theme) -> Figure:
    """Errors of all queries on a logarithmic axis, and of the found ones along and across the heading."""
    fixes = best_fixes(predictions, split)
    figure = theme.figure(9.6, 3.8)
    everyone, axiswise = figure.subplots(1, 2)
    theme.dress(everyone, f"Error of the best fix ({split})", "distance from the true position [m]", "queries")
    _histogram_by_class(everyone, fixes.error_m, theme)
    is_found = fixes.error_m <= FOUND_M
    title = f"Along and across the road, if within {FOUND_M:.0f} m"
    theme.dress(axiswise, title, "signed error [m]: ahead or left is positive", "queries")
    _axis_histograms(axiswise, fixes.ahead_left_m[is_found], theme)
    return figure


def precision_over_answered(predictions: Predictions, split: str, theme: Theme) -> Figure:
    """How many fixes are right if only the surest are given: does the system know when it does not know."""
    fixes = best_fixes(predictions, split)
    figure = theme.figure(6.4, 4.2)
    axes = figure.add_subplot()
    title, confidence = f"Does it know when it is right? ({split})", predictions.confidence
    measure = "margin" if confidence is None else "confidence"
    theme.dress(
        axes, title, f"share of queries answered, largest {measure} first", "share of the answers that are right"
    )
    trust = fixes.margin if confidence is None else fixes.confidence(confidence)
    answered, right = precision_over_answers(trust, fixes.error_m <= FOUND_M)
    axes.plot(
        answered / len(fixes),
        right,
        color=theme.series[1],
        linewidth=2,
        label=f"right to {FOUND_M:.0f} m, by {measure}",
    )
    if confidence is not None:
        coverage = float((trust >= confidence.threshold).mean())
        axes.axvline(coverage, color=theme.faint, linewidth=1.2, label=f"answered from {confidence.threshold:.2f} on")
    all_right = float(right[-1])
    axes.axhline(
        all_right, color=theme.faint, linewidth=1.2, linestyle=(0, (2, 2)), label=f"if the {measure} were worthless"
    )
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _share_axis(axes)
    theme.legend(axes, "lower left")
    return figure


def error_map(fix_map: FixMap, picture: U8, theme: Theme) -> Figure:
    """The true way, the fixes by their error, and lines from wrong ones to the truth, on the picture from above."""
    figure = theme.figure(8.0, 8.0 * fix_map.height_m / fix_map.width_m + 0.6)
    axes = figure.add_subplot()
    axes.imshow(picture, extent=(0, fix_map.width_m, fix_map.height_m, 0))
    for points in fix_map.tracks:
        way_m = np.array([point.split(",") for point in points.split()], dtype=float)
        axes.plot(*way_m.T, color=EDGE, linewidth=4.2)
        axes.plot(*way_m.T, color=TRUTH, linewidth=2.4)
    for number, group in enumerate(ERROR_CLASSES):
        fixes = [fix for fix in fix_map.fixes if fix["group"] == number]
        if number > 0:
            ends_m = [((fix["true_x"], fix["true_y"]), (fix["x"], fix["y"])) for fix in fixes]
            axes.add_collection(LineCollection(ends_m, colors=group.color, linewidths=0.9, alpha=0.6))
        x_m, y_m = [fix["x"] for fix in fixes], [fix["y"] for fix in fixes]
        axes.scatter(x_m, y_m, s=26, color=group.color, edgecolors=EDGE, linewidths=0.7, zorder=3, label=group.label)
    _bar(axes, fix_map)
    axes.set_xlim(0, fix_map.width_m)
    axes.set_ylim(fix_map.height_m, 0)
    theme.dress_picture(axes, "White: the true way. Dots: where it was said to be")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=4, frameon=False, labelcolor=theme.ink)
    return figure


def _bar(axes: Axes, fix_map: FixMap) -> None:
    """The scale."""
    left_m, bottom_m = 0.03 * fix_map.width_m, 0.97 * fix_map.height_m
    axes.plot([left_m, left_m + fix_map.bar_m], [bottom_m, bottom_m], color=EDGE, linewidth=5)
    axes.plot([left_m, left_m + fix_map.bar_m], [bottom_m, bottom_m], color=TRUTH, linewidth=2.4)
    text = axes.text(left_m, bottom_m - 0.012 * fix_map.height_m, f"{fix_map.bar_m:g} m, north is up", color=TRUTH)
    text.set_path_effects([withStroke(linewidth=2.5, foreground=EDGE)])


def _share_axis(axes: Axes) -> None:
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _histogram_by_class(axes: Axes, error_m: F64, theme: Theme) -> None:
    """Bars in the colour of their class of errors; bins do not straddle the classes' bounds."""
    finite_m = np.clip(error_m[np.isfinite(error_m)], 0.1, None)
    bounds_m = [0.1, *(group.up_to_m for group in ERROR_CLASSES[:-1]), max(float(finite_m.max(initial=0)), 100.0)]
    parts = [
        np.geomspace(low, high, max(1, round(BINS_PER_DECADE * np.log10(high / low))) + 1)
        for low, high in pairwise(bounds_m)
    ]
    edges_m = np.unique(np.concatenate(parts))
    counts, _ = np.histogram(finite_m, edges_m)
    middle_m = np.sqrt(edges_m[:-1] * edges_m[1:])
    colors = [ERROR_CLASSES[error_class(m)].color for m in middle_m]
    axes.bar(edges_m[:-1], counts, np.diff(edges_m), align="edge", color=colors, edgecolor=theme.paper, linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    median_m = float(np.median(error_m))
    axes.axvline(median_m, color=theme.ink, linewidth=1.4, linestyle=(0, (3, 2)))
    axes.annotate(
        f"median {median_m:.1f} m", (median_m, 1), (5, -2), xycoords=("data", "axes fraction"),
        textcoords="offset points", va="top", color=theme.ink, fontsize=8.5,
    )  # fmt: skip


def _axis_histograms(axes: Axes, ahead_left_m: F64, theme: Theme) -> None:
    edges_m = np.linspace(-FOUND_M, FOUND_M, 41).tolist()
    for axis, (name, color) in enumerate(zip(("longitudinal", "lateral"), theme.series, strict=True)):
        error_m = ahead_left_m[:, axis]
        if len(error_m) == 0:
            continue
        label = f"{name}: median {np.median(np.abs(error_m)):.1f} m"
        axes.hist(error_m, edges_m, histtype="stepfilled", color=color, alpha=0.25)
        axes.hist(error_m, edges_m, histtype="step", color=color, linewidth=1.6, label=label)
    axes.set_xlim(-FOUND_M, FOUND_M)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    if len(ahead_left_m):
        axes.set_ylim(0, axes.get_ylim()[1] * 1.25)  # room for the legend
        theme.legend(axes, "upper left")
    else:
        axes.annotate("no query was found", (0.5, 0.5), xycoords="axes fraction", ha="center", color=theme.faint)
