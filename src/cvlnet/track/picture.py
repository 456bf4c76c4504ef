"""The picture of a track: the way on the overhead image by confidence, and confidence, state and errors over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from cvlnet.arrays import F64
from cvlnet.data.journey import KnownPlace
from cvlnet.geo import LatLon
from cvlnet.imagery.overhead import Imagery
from cvlnet.io.files import written_whole
from cvlnet.model.confidence import sigma_m
from cvlnet.track.evaluate import TrackErrors
from cvlnet.track.types import State, Trajectory

TRUTH_COLOUR = "#32d74b"
STATE_COLOURS: dict[State, str] = {"searching": "#8e8e93", "tracking": "#0a84ff", "lost": "#ff3b30"}
_HALO = [withStroke(linewidth=3.5, foreground="#000000b0")]
_LONGEST_PX = 1600  # of the overhead image as drawn
_AROUND = 0.15  # of the way's extent that is shown around it
_LEAST_PX = 60.0


def draw_track(
    image: Imagery, trajectory: Trajectory, truth: Sequence[KnownPlace], errors: TrackErrors | None, path: Path
) -> None:
    """Draw a track as PNG (or what the suffix says), the file whole or not at all. truth: empty where not known."""
    rows = 2 if errors is None else 3
    figure = Figure(figsize=(15, 7.5), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    halves: Any = figure.subfigures(1, 2, width_ratios=(1.15, 1))
    left, right = halves
    _draw_map(left.subplots(), image, trajectory, truth)
    axes: Any = right.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    _draw_confidence(axes[0], trajectory)
    _draw_doubt(axes[1], trajectory)
    if errors is not None:
        _draw_errors(axes[2], trajectory, errors)
    axes[-1].set_xlabel("seconds since the first frame")
    if trajectory.credit is not None:
        figure.supxlabel(trajectory.credit, fontsize=8, color="0.35", parse_math=False)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _draw_map(axes: Any, image: Imagery, trajectory: Trajectory, truth: Sequence[KnownPlace]) -> None:
    placed = [fix for fix in trajectory.fixes if fix.state == "tracking" and fix.position is not None]
    found_px = _pixels(image, [fix.position for fix in placed if fix.position is not None])
    truth_px = _pixels(image, [place.position for place in truth])
    rows, cols = image.shape
    all_px = np.concatenate([found_px, truth_px])
    inside = all_px[((all_px >= 0) & (all_px <= [cols, rows])).all(axis=1)]
    low, high = (inside.min(axis=0), inside.max(axis=0)) if len(inside) else (np.zeros(2), np.array([cols, rows]))
    side = max(float((high - low).max()) * (1 + 2 * _AROUND), _LEAST_PX)
    middle = (low + high) / 2
    left, top = (max(0, int(at)) for at in middle - side / 2)
    right, bottom = min(cols, int(middle[0] + side / 2) + 1), min(rows, int(middle[1] + side / 2) + 1)
    reduction = max(1, max(right - left, bottom - top) // _LONGEST_PX)
    patch = image.read(slice(top, bottom), slice(left, right), reduction)
    axes.imshow(patch.pixels, extent=(left, right, bottom, top), interpolation="antialiased")
    if len(truth_px):
        axes.plot(*truth_px.T, color=TRUTH_COLOUR, linewidth=4.5, alpha=0.75, label="ground truth", path_effects=_HALO)
    if placed:
        colours = [fix.confidence for fix in placed]
        drawn = axes.scatter(*found_px.T, c=colours, s=7, cmap="plasma", vmin=0.5, vmax=1.0, zorder=3, label="tracked")
        axes.figure.colorbar(drawn, ax=axes, shrink=0.6, label="confidence")
        axes.scatter(*found_px[0], marker="o", s=110, facecolor="none", edgecolor="white", linewidth=2, zorder=4)
        axes.annotate(
            "found here",
            found_px[0],
            color="white",
            fontsize=9,
            path_effects=_HALO,
            xytext=(8, 8),
            textcoords="offset points",
        )
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    if placed or len(truth_px):
        axes.legend(loc="lower right", fontsize=9)


def _draw_confidence(axes: Any, trajectory: Trajectory) -> None:
    time_s = _times(trajectory)
    axes.plot(time_s, [fix.confidence for fix in trajectory.fixes], color="black", linewidth=1.2)
    axes.set(ylim=(0, 1.02), ylabel="confidence")
    states = [fix.state for fix in trajectory.fixes]
    begin = 0
    for at in range(1, len(states) + 1):
        if at == len(states) or states[at] != states[begin]:
            end_s = time_s[min(at, len(states) - 1)]
            axes.axvspan(time_s[begin], end_s, color=STATE_COLOURS[states[begin]], alpha=0.2, linewidth=0)
            begin = at
    for state, colour in STATE_COLOURS.items():
        if state in states:
            axes.fill_between([], [], color=colour, alpha=0.3, label=state)
    axes.legend(loc="lower right", fontsize=9)


def _draw_doubt(axes: Any, trajectory: Trajectory) -> None:
    doubt_m = [
        np.nan if fix.covariance is None or fix.state != "tracking" else float(sigma_m(fix.covariance[:2, :2]))
        for fix in trajectory.fixes
    ]
    axes.plot(_times(trajectory), doubt_m, color=STATE_COLOURS["tracking"], linewidth=1.2)
    axes.set(ylabel="standard deviation, m", ylim=(0, None))


def _draw_errors(axes: Any, trajectory: Trajectory, errors: TrackErrors) -> None:
    known_s = errors.time_s + (errors.begin_s - trajectory.fixes[0].time_s)
    for values, name, colour in ((errors.along_m, "along", "#ff9f0a"), (errors.across_m, "across", "#bf5af2")):
        axes.plot(known_s, np.where(errors.tracked, values, np.nan), color=colour, linewidth=1.2, label=name)
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set(ylabel="error, m")
    axes.legend(loc="upper right", fontsize=9)


def _times(trajectory: Trajectory) -> F64:
    return np.array([fix.time_s for fix in trajectory.fixes]) - trajectory.fixes[0].time_s


def _pixels(image: Imagery, places: Sequence[LatLon]) -> F64:
    if not places:
        return np.empty((0, 2))
    return np.asarray(image.raster.xy_px(np.array([place.degrees for place in places])))
