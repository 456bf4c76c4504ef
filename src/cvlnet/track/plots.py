"""The evaluation of tracks on one page: errors, the way until a drive is found, and whether stated doubts hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from cvlnet.arrays import F64
from cvlnet.evaluation.metrics import Interval
from cvlnet.evaluation.report.theme import DAY
from cvlnet.track.evaluate import LOST_M, RIGHT_M, TrackErrors
from cvlnet.track.summary import confidence_shares, ellipse_shares, precision_over_coverage

_WAYS_M = (10.0, 20.0, 50.0, 100.0, 200.0, 400.0)  # over which the motion is compared
_LEAST_PAIRS = 10  # of moments, for a point of that curve
_COLOURS = ("#2166c4", "#d4660a", "#2f8f57", "#7a4fb5")
_TOLD = {"total": _COLOURS[0], "without offset": _COLOURS[3], "along": _COLOURS[1], "across": _COLOURS[2]}


def plots(drives: Sequence[TrackErrors], figures: Mapping[str, Interval]) -> Figure:
    """The page. figures: of all drives, from `cvlnet.track.summary.figures_of`."""
    figure = DAY.figure(15.0, 9.0)
    axes = figure.subplots(2, 3).ravel()
    _draw_errors(axes[0], drives)
    _draw_relative(axes[1], drives)
    _draw_found(axes[2], drives)
    _draw_ellipses(axes[3], drives, figures["nees"].value)
    _draw_confidence(axes[4], drives)
    _draw_precision(axes[5], drives)
    return figure


def _draw_errors(axes: Axes, drives: Sequence[TrackErrors]) -> None:
    """Shares of the tracked moments whose error is no larger."""
    DAY.dress(axes, "How far tracked places are off", "error [m]", "share of tracked moments")
    values = {
        "total": [drive.distance_m for drive in drives],
        "without offset": [np.linalg.norm(drive.error_m - drive.offset_m, axis=1) for drive in drives],
        "along": [np.abs(drive.along_m) for drive in drives],
        "across": [np.abs(drive.across_m) for drive in drives],
    }
    farthest_m = 1.0
    for name, of_drives in values.items():
        error_m = np.concatenate([errors[drive.tracked] for errors, drive in zip(of_drives, drives, strict=True)])
        error_m = np.sort(error_m[np.isfinite(error_m)])
        if not len(error_m):
            continue
        farthest_m = max(farthest_m, 1.2 * float(np.quantile(error_m, 0.98)))
        label = f"{name}: median {np.median(error_m):.2f} m"
        axes.plot(error_m, np.arange(1, len(error_m) + 1) / len(error_m), color=_TOLD[name], linewidth=2, label=label)
    axes.set_xlim(0, min(farthest_m, 50.0))
    _shares(axes)
    if axes.lines:
        DAY.legend(axes, "lower right")


def _draw_relative(axes: Axes, drives: Sequence[TrackErrors]) -> None:
    """The error of the motion over lengths of way: the median, and what nine in ten stay below."""
    DAY.dress(axes, "How wrong the motion is", "length of way [m]", "error over it [m]")
    of_ways = [(way_m, np.concatenate([drive.relative_m(way_m) for drive in drives])) for way_m in _WAYS_M]
    of_ways = [(way_m, values) for way_m, values in of_ways if len(values) >= _LEAST_PAIRS]
    ways_m = [way_m for way_m, _ in of_ways]
    for level, colour, name in ((0.5, _COLOURS[0], "median"), (0.9, _COLOURS[1], "90th percentile")):
        axes.plot(
            ways_m,
            [float(np.quantile(values, level)) for _, values in of_ways],
            color=colour,
            linewidth=2,
            marker="o",
            markersize=4,
            label=name,
        )
    axes.set(ylim=(0, None), xlim=(0, None))
    if of_ways:
        DAY.legend(axes, "lower right")


def _draw_found(axes: Axes, drives: Sequence[TrackErrors]) -> None:
    """Shares of the drives that have been found by then."""
    DAY.dress(axes, "The way until it is found", "way from the first moment [m]", "share of drives")
    converged_m = np.sort([drive.converged_m for drive in drives])
    found_m = converged_m[np.isfinite(converged_m)]
    end_m = max(float(np.median([drive.way_m[-1] for drive in drives])), *found_m.tolist(), 1.0)
    steps = np.concatenate([[0.0], found_m, [end_m]])
    shares = np.concatenate([np.arange(len(found_m) + 1), [len(found_m)]]) / len(drives)
    axes.step(steps, shares, where="post", color=_COLOURS[0], linewidth=2)
    axes.set_xlim(0, end_m)
    _shares(axes)


def _draw_ellipses(axes: Axes, drives: Sequence[TrackErrors], nees: float) -> None:
    """Whether true places lie within the stated ellipses as often as stated."""
    title = f"Does the ellipse hold? (NEES {nees:.1f}, 2 if it does)" if np.isfinite(nees) else "Does the ellipse hold?"
    DAY.dress(axes, title, "stated probability of the ellipse", "share of true places inside")
    _diagonal(axes, "if it were right")
    if shares := np.array(ellipse_shares(drives)).reshape(-1, 2).tolist():
        axes.plot(*zip(*shares, strict=True), color=_COLOURS[0], linewidth=2, label="tracked moments")
    DAY.legend(axes, "upper left")


def _draw_confidence(axes: Axes, drives: Sequence[TrackErrors]) -> None:
    """Whether places are right as often as their confidence says; the number of moments stands beside each point."""
    DAY.dress(axes, "Does the confidence hold?", "stated confidence", f"share right to {LOST_M:.0f} m")
    _diagonal(axes, "if it were right")
    shares = confidence_shares(drives)
    stated, right = [one[0] for one in shares], [one[1] for one in shares]
    axes.plot(stated, right, color=_COLOURS[0], linewidth=2, marker="o", label="all moments with a place")
    for place, (x, y, moments) in enumerate(shares):
        below = -14 - 10 * (place % 3)  # one below the other: the highest confidences lie close together
        axes.annotate(
            f"{moments:,}", (x, y), (0, 8 if y < 0.4 else below), textcoords="offset points", ha="center", fontsize=8,
            color=DAY.faint,
        )  # fmt: skip
    DAY.legend(axes, "lower right")


def _draw_precision(axes: Axes, drives: Sequence[TrackErrors]) -> None:
    """How many answers are right if only the surest moments are answered."""
    DAY.dress(
        axes, "Does it know when it is right?", "share of moments answered, surest first", "share of answers right"
    )
    lowest = 1.0
    for within_m, colour in ((LOST_M, _COLOURS[0]), (RIGHT_M, _COLOURS[1])):
        answered, right = precision_over_coverage(drives, within_m)
        lowest = min(lowest, float(right.min(initial=1.0)))
        axes.plot(answered, right, color=colour, linewidth=2, label=f"right to {within_m:.0f} m")
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _shares(axes)
    axes.set_ylim(max(0.0, np.floor(10 * lowest - 1) / 10), 1.01)
    DAY.legend(axes, "lower left")


def _diagonal(axes: Axes, label: str) -> None:
    ends: F64 = np.array([0.0, 1.0])
    axes.plot(ends, ends, color=DAY.faint, linewidth=1.2, linestyle=(0, (2, 2)), label=label)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _shares(axes)


def _shares(axes: Axes) -> None:
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
