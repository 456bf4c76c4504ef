"""The evaluation of tracks as files: all figures as JSON, tables as CSV and Markdown, plots on one page."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from math import isfinite
from pathlib import Path
from typing import Any

from cvlnet.errors import InputError
from cvlnet.evaluation.metrics import Interval
from cvlnet.evaluation.report.tables import Table
from cvlnet.evaluation.report.theme import save_png
from cvlnet.io.outputs import write_json, write_text
from cvlnet.track.evaluate import LOST_M, RELATIVE_M, RIGHT_M, TrackErrors, errors_of
from cvlnet.track.formats import read_trajectory
from cvlnet.track.formats.log import LOG
from cvlnet.track.formats.truth import TRUTH, read_truth
from cvlnet.track.plots import plots
from cvlnet.track.summary import confidence_shares, ellipse_shares, figures_of, precision_over_coverage


@dataclass(frozen=True)
class _Shown:
    """How a figure is shown: its name with the unit, by what it is multiplied, and its decimals."""

    name: str
    decimals: int
    scale: int = 1

    def text(self, value: float) -> str:
        """Nothing for what is not defined, "never" for what did not come to be."""
        if value == float("inf"):
            return "never"
        return f"{self.scale * value:.{self.decimals}f}" if isfinite(value) else ""

    def with_interval(self, interval: Interval) -> str:
        """The figure, and its interval where there is one."""
        value, low, high = map(self.text, (interval.value, interval.low, interval.high))
        return f"{value} ({low} to {high})" if low and high else value


_SHOWN = {
    "way_m": _Shown("way, m", 0),
    "converged": _Shown("found, %", 0, 100),
    "converged_m": _Shown("found after, m", 0),
    "available": _Shown("tracked from there on, %", 1, 100),
    "median_m": _Shown("median error, m", 2),
    "p95_m": _Shown("95th percentile, m", 2),
    "median_relative_m": _Shown("without offset, m", 2),
    "along_m": _Shown("along, m", 2),
    "across_m": _Shown("across, m", 2),
    "per_100m_m": _Shown(f"over {RELATIVE_M:.0f} m of way, m", 2),
    "yaw_deg": _Shown("heading, degrees", 2),
    "within_5m": _Shown(f"within {RIGHT_M:.0f} m, %", 1, 100),
    "in_ellipse": _Shown("in 95 % ellipse, %", 1, 100),
    "nees": _Shown("NEES (2 if right)", 1),
    "misled_s": _Shown("longest at a wrong place, s", 1),
}
_NAME_TRACKS = "name folders that `cvlnet track` has written"
_NOTE = (
    "Errors are those of tracked moments, along and across the vehicle's direction, as medians. Found: sure of a place "
    f"that is right to {LOST_M:.0f} m. Without offset: with the median error of each drive taken out. Over "
    f"{RELATIVE_M:.0f} m of way: by how much the motion is wrong. NEES: squared error by the stated covariance."
)


def evaluate_tracks(tracks: Sequence[Path], truth: Path | None = None) -> list[TrackErrors]:
    """The errors of tracks: of folders that `cvlnet track` has written, or of single files of tracks.

    truth: the true places of all of them; by default ``truth.csv`` beside each. Tracks of the same name are called by
    their paths. Raises InputError if there is no track, or one is given twice, or a track or its truth is missing,
    cannot be read, or is of another time.
    """
    if not tracks:
        raise InputError("none is given", where="track", remedy=_NAME_TRACKS)
    for path, times in Counter(_file_of(path).resolve() for path in tracks).items():
        if times > 1:
            raise InputError("is given more than once", where=path, remedy="name every track once")
    found = [_errors_of(path, truth) for path in tracks]
    count = Counter(errors.name for errors in found)
    return [
        replace(errors, name=str(path)) if count[errors.name] > 1 else errors
        for path, errors in zip(tracks, found, strict=True)
    ]


def _errors_of(path: Path, truth: Path | None) -> TrackErrors:
    if not path.exists():
        raise InputError("there is no track", where=path, remedy=_NAME_TRACKS)
    file = _file_of(path)
    known = file.parent / TRUTH if truth is None else truth
    if not known.exists():
        remedy = "give --truth, or track the drive again: `cvlnet track` writes it where the drive has positions"
        raise InputError("the true places are missing", where=known, remedy=remedy)
    return errors_of(read_trajectory(file), read_truth(known))


def _file_of(path: Path) -> Path:
    """The file of a track, which may be named by its folder."""
    return path / LOG if path.is_dir() else path


def write_report(drives: Sequence[TrackErrors], out: Path) -> Table:
    """Write ``tracks.json``, ``tracks.csv``, ``tracks.md`` and ``tracks.png`` into a folder; the table of all drives.

    Raises InputError if they cannot be written, ValueError without a drive.
    """
    together = figures_of(drives)
    found = all_together(drives, together)
    write_json(_values(drives, together), out / "tracks.json")
    write_text(out / "tracks.csv", _csv(drives, together))
    write_text(out / "tracks.md", f"{found.markdown()}\n{by_drive(drives).markdown()}")
    save_png(plots(drives, together), out / "tracks.png")
    return found


def all_together(drives: Sequence[TrackErrors], together: Mapping[str, Interval]) -> Table:
    """The figures of all drives, which `cvlnet.track.summary.figures_of` gives; intervals where there are several."""
    several = len(drives) > 1
    rows = tuple(
        (shown.name, shown.with_interval(together[name]) if several else shown.text(together[name].value))
        for name, shown in _SHOWN.items()
    )
    number = f"{len(drives)} drives" if several else drives[0].name
    intervals = " In brackets: 95 % intervals from redrawing whole drives." if several else ""
    return Table("Tracks beside the ground truth", ("", number), rows, _NOTE + intervals)


def by_drive(drives: Sequence[TrackErrors]) -> Table:
    """A row for each drive."""
    of_one = {name: shown for name, shown in _SHOWN.items() if name != "converged"}
    rows = tuple(
        (drive.name, *(shown.text(figures[name]) for name, shown in of_one.items()))
        for drive in drives
        for figures in [drive.figures()]
    )
    return Table("By drive", ("", *(shown.name for shown in of_one.values())), rows)


def _csv(drives: Sequence[TrackErrors], together: Mapping[str, Interval]) -> str:
    """A row for each drive, and one for all."""
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    each = [drive.figures() for drive in drives]
    table.writerow(["drive", *each[0]])
    rows = [(drive.name, figures) for drive, figures in zip(drives, each, strict=True)]
    rows.append(("all", {name: together[name].value for name in each[0]}))
    table.writerows([name, *map(_number, figures.values())] for name, figures in rows)
    return text.getvalue()


def _values(drives: Sequence[TrackErrors], together: Mapping[str, Interval]) -> dict[str, Any]:
    """Everything, in JSON's types; None for what is not defined or did not come to be."""
    share, right = precision_over_coverage(drives)
    return {
        "all": {
            name: {key: _number(value) for key, value in vars(interval).items()} for name, interval in together.items()
        },
        "drives": [{"name": drive.name, **_finite(drive.figures())} for drive in drives],
        "ellipses": [{"probability": level, "share_inside": held} for level, held in ellipse_shares(drives)],
        "confidence": [
            {"mean_stated": stated, "share_right": held, "moments": moments}
            for stated, held, moments in confidence_shares(drives)
        ],
        "precision_over_coverage": [
            {"share_answered": float(share[at]), "share_right": float(right[at])} for at in _spread(len(share))
        ],
    }


def _spread(count: int, most: int = 100) -> list[int]:
    """Indices of at most so many entries, evenly spread, with the last one."""
    return sorted({(count * step - 1) // most for step in range(1, most + 1)} - {-1}) if count else []


def _finite(figures: dict[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in figures.items()}


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
