"""Figures as tables of text: for the terminal (Markdown) and for the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan

from cvlnet.evaluation.bootstrap import INTERVAL_LEVEL
from cvlnet.evaluation.metrics import Interval
from cvlnet.evaluation.summary import RADII_M, RANKS, STRETCH_M, AxisErrors, Figures, SplitFigures
from cvlnet.model.confidence import FOUND_M, PRECISION

GALLERIES = {
    "test1": "tiles that hold a query (Test-1)",
    "test2": "with distractor tiles (Test-2)",
}


@dataclass(frozen=True)
class Table:
    """Cells of text, one row a figure; the first cell of a row names it. note: how to read it."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """The table as Markdown, its columns aligned for a terminal."""
        lines = (self.header, *self.rows)
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.header))]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        padded = [
            [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
            for line in lines
        ]
        padded.insert(1, rule)
        text = "\n".join(f"| {' | '.join(cells)} |" for cells in padded)
        return f"### {self.title}\n\n{text}\n" + (f"\n{self.note}\n" if self.note else "")


def markdown(of: Sequence[Table]) -> str:
    """Tables below one another, for the terminal and for a file."""
    return "\n".join(table.markdown() for table in of)


def tables(figures: Figures) -> tuple[Table, ...]:
    """Every figure, a column for each gallery."""
    trusted = (_trusted(figures),) if any(split.trusted for split in figures.splits.values()) else ()
    return (_recall(figures), _errors(figures), *trusted, _accuracy(figures), _calibration(figures))


def controls_table(figures: Figures, controls: Mapping[str, Figures]) -> Table:
    """What the network finds, beside what is found without information; see `cvlnet.evaluation.controls`."""
    names = [name for name in GALLERIES if name in figures.splits]
    header = (
        "",
        *(f"{name}: {what}" for name in names for what in ("within 5 m", "within 10 m", "median", "answered")),
    )
    rows = []
    for title, one in {"frames and map as they are": figures, **controls}.items():
        cells = list[str]()
        for name in names:
            split = one.splits[name]
            cells += [percent(split.recall_at(1, radius_m)) for radius_m in (5.0, 10.0)]
            cells += [metres(split.median_m), "" if split.trusted is None else percent(split.trusted.coverage)]
        rows.append((title, *cells))
    note = (
        "Recall@1 and the median error. Answered: share of the queries for which the best fix reaches the confidence "
        "from which answers are given; pictures that show nothing should have none."
    )
    return Table("Controls: what is found without information from pictures or map", header, tuple(rows), note)


def percent(interval: Interval, digits: int = 1) -> str:
    """A share with its interval, if there is one, in percent."""
    return _with_interval(interval, lambda x: f"{100 * x:.{digits}f}", " %")


def metres(interval: Interval) -> str:
    """A length with its interval, if there is one, in metres."""
    return _with_interval(interval, lambda x: f"{x:.1f}" if x < 100 else f"{x:.0f}", " m")


def _with_interval(interval: Interval, text: Callable[[float], str], unit: str) -> str:
    if isnan(interval.value):
        return "none to count"
    if isnan(interval.low):
        return f"{text(interval.value)}{unit}"
    return f"{text(interval.value)}{unit} ({text(interval.low)} to {text(interval.high)})"


def _table(title: str, figures: Figures, rows: Sequence[tuple[str, Callable[[SplitFigures], str]]], note: str) -> Table:
    header = ("", *(GALLERIES.get(name, name) for name in figures.splits))
    cells = tuple((name, *(show(split) for split in figures.splits.values())) for name, show in rows)
    return Table(title, header, cells, note)


def _recall(figures: Figures) -> Table:
    rows: list[tuple[str, Callable[[SplitFigures], str]]] = [
        ("queries / tiles", lambda s: f"{s.queries:,} / {s.gallery:,}")
    ]
    if any(split.queries_left_out for split in figures.splits.values()):
        rows.append(("queries left out: drive, tile or frame is missing", lambda s: f"{s.queries_left_out:,}"))
    for radius_m in RADII_M:
        for rank in RANKS:
            rows.append(
                (
                    f"recall@{rank} within {radius_m:.0f} m",
                    lambda s, k=rank, r=radius_m: percent(s.recall_at(k, r)),  # type: ignore[misc]
                )
            )
    note = (
        "recall@k: share of queries for which one of the best k tiles, after its displacement, is right to so many "
        f"metres. In brackets: {INTERVAL_LEVEL:.0%} interval, from redrawing {STRETCH_M:.0f} m stretches of road; "
        "that of 0 and 100 % is the exact binomial one for as many queries as there are stretches."
    )
    return _table("How often the place is found", figures, rows, note)


def _errors(figures: Figures) -> Table:
    rows: list[tuple[str, Callable[[SplitFigures], str]]] = [
        ("median", lambda s: metres(s.median_m)),
        ("mean", lambda s: metres(s.mean_m)),
        ("95th percentile", lambda s: metres(s.p95_m)),
    ]
    return _table("Error of the best fix, all queries", figures, rows, "Fixes in a wrong street count in full.")


def _accuracy(figures: Figures) -> Table:
    rows: list[tuple[str, Callable[[SplitFigures], str]]] = []
    for base in ("found", "all"):
        for axis in ("longitudinal", "lateral"):
            rows += _axis_rows(base, axis)
    note = f"Longitudinal: along the heading; lateral: across it. Found: best fix right to {FOUND_M:.0f} m."
    return _table("Accuracy along and across the road", figures, rows, note)


def _axis_rows(base: str, axis: str) -> list[tuple[str, Callable[[SplitFigures], str]]]:
    def errors(split: SplitFigures) -> AxisErrors:
        accuracy = split.accuracy_found if base == "found" else split.accuracy_all
        return accuracy.longitudinal if axis == "longitudinal" else accuracy.lateral

    return [
        (f"{axis}, {base}: median", lambda s: metres(errors(s).median_m)),
        (f"{axis}, {base}: within 1 m", lambda s: percent(errors(s).within_1m)),
        (f"{axis}, {base}: within 3 m", lambda s: percent(errors(s).within_3m)),
        (f"{axis}, {base}: within 5 m", lambda s: percent(errors(s).within_5m)),
    ]


def _calibration(figures: Figures) -> Table:
    rows: list[tuple[str, Callable[[SplitFigures], str]]] = [
        ("found", lambda s: percent(s.found)),
        ("truth within the 1-sigma ellipse (39 % if well calibrated)", lambda s: percent(s.within_1_sigma)),
        ("truth within the 2-sigma ellipse (86 %)", lambda s: percent(s.within_2_sigma)),
    ]
    note = f"Among the queries found to {FOUND_M:.0f} m. More than asked for: too cautious; less: too sure of itself."
    return _table("Does the stated uncertainty hold?", figures, rows, note)


def _trusted(figures: Figures) -> Table:
    def show(split: SplitFigures, name: str) -> str:
        interval = None if split.trusted is None else getattr(split.trusted, name)
        return "none to count" if interval is None else percent(interval)

    prior = next(split.trusted.share_mapped for split in figures.splits.values() if split.trusted)
    rows: list[tuple[str, Callable[[SplitFigures], str]]] = [
        ("queries answered", lambda s: show(s, "coverage")),
        (f"of the answers right to {FOUND_M:.0f} m", lambda s: show(s, "precision")),
        ("answered though the place is not on the map", lambda s: show(s, "unmapped")),
        (f"of all answers right, if {100 * prior:.0f} % of the places are on the map", lambda s: show(s, "overall")),
    ]
    note = (
        f"Answers are fixes whose confidence reaches the threshold from which at least {100 * PRECISION:.0f} % of all "
        "answers are right, by the calibration."
    )
    return _table("Does it know when it does not know?", figures, rows, note)
