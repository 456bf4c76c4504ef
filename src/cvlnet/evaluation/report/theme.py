"""One palette for plots, sheets and the page, by day and by night, and how axes are dressed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from cvlnet.io.files import written_whole

DPI = 130


@dataclass(frozen=True)
class Theme:
    """Colours of one time of day. series: of the galleries, told apart by colour-blind readers, too."""

    name: str
    paper: str
    ink: str
    faint: str
    rule: str
    series: tuple[str, str]

    def figure(self, width_in: float, height_in: float) -> Figure:
        """An empty figure with its own canvas; nothing global is touched."""
        figure = Figure((width_in, height_in), facecolor=self.paper)
        figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))
        FigureCanvasAgg(figure)
        return figure

    def dress(self, axes: Axes, title: str, x: str = "", y: str = "") -> None:
        """Title at the left, thin rules, no box."""
        axes.set_facecolor(self.paper)
        axes.set_title(title, loc="left", color=self.ink, fontsize=11, fontweight="bold", pad=8)
        axes.set_xlabel(x, color=self.ink, fontsize=9)
        axes.set_ylabel(y, color=self.ink, fontsize=9)
        axes.tick_params(colors=self.faint, labelcolor=self.ink, labelsize=8.5, length=3)
        axes.grid(True, color=self.rule, linewidth=0.8)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("bottom", "left"):
            axes.spines[side].set_color(self.faint)

    def dress_picture(self, axes: Axes, title: str, note: str = "") -> None:
        """A picture with a title above and a note below, without axes."""
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(title, loc="left", color=self.ink, fontsize=9.5, fontweight="bold", pad=5)
        axes.set_xlabel(note, color=self.faint, fontsize=8, loc="left", labelpad=4)
        for spine in axes.spines.values():
            spine.set_visible(False)

    def legend(self, axes: Axes, place: Literal["lower left", "lower right", "upper left"]) -> None:
        """The legend of the labelled lines, without a frame."""
        axes.legend(frameon=False, fontsize=8.5, labelcolor=self.ink, loc=place)


DAY = Theme("day", "#ffffff", "#1c2330", "#687387", "#e4e8ee", ("#2166c4", "#d4660a"))
NIGHT = Theme("night", "#171b22", "#e8ecf2", "#93a0b4", "#2b323d", ("#6db1ff", "#ff9f4a"))
THEMES = (DAY, NIGHT)


@dataclass(frozen=True)
class ErrorClass:
    """A range of errors and its colour; ``up_to_m`` is infinite for the last."""

    up_to_m: float
    color: str
    label: str


ERROR_CLASSES = (
    ErrorClass(5.0, "#2e8bff", "within 5 m"),
    ErrorClass(10.0, "#4fd8ff", "5 to 10 m"),
    ErrorClass(25.0, "#ffb31f", "10 to 25 m"),
    ErrorClass(float("inf"), "#ff3355", "wrong by more than 25 m"),
)
TRUTH = "#ffffff"  # the true track and place, on pictures from above, with a dark edge
EDGE = "#10141b"


def error_class(error_m: float) -> int:
    """Index into ERROR_CLASSES."""
    return next((i for i, group in enumerate(ERROR_CLASSES) if error_m <= group.up_to_m), len(ERROR_CLASSES) - 1)


def save_png(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=DPI, facecolor=figure.get_facecolor())
