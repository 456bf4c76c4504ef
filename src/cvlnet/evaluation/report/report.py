"""From predictions to a folder: figures, plots, sheets of cases, and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from math import isnan, radians
from pathlib import Path

from tqdm import tqdm

import cvlnet
from cvlnet.checkpoint import load_network
from cvlnet.config import EvaluationConfig, TestSplit
from cvlnet.data.clips import AS_DESCRIBED, ClipSpec, Pitch
from cvlnet.data.images import ImageCache, read_image
from cvlnet.data.kitti_cvl import credits_of, read_recordings, read_split
from cvlnet.evaluation.best_fixes import best_fixes
from cvlnet.evaluation.bootstrap import INTERVAL_LEVEL
from cvlnet.evaluation.controls import controlled
from cvlnet.evaluation.metrics import Interval
from cvlnet.evaluation.predict import SPLITS, Predictions, encode
from cvlnet.evaluation.report.cases import Case, best_and_worst, examine
from cvlnet.evaluation.report.maps import FixMap, fix_maps, write_thumbnails
from cvlnet.evaluation.report.page import Page, Picture, Section, Stat, draw, write_page
from cvlnet.evaluation.report.plots import error_histograms, error_map, precision_over_answered, recall_over_radius
from cvlnet.evaluation.report.sheets import case_sheet
from cvlnet.evaluation.report.tables import controls_table, markdown, metres, percent, tables
from cvlnet.evaluation.report.theme import DAY, save_png
from cvlnet.evaluation.summary import Figures, SplitFigures, figures_of, save_all
from cvlnet.io.files import written_whole
from cvlnet.model.confidence import FOUND_M, for_prior
from cvlnet.model.device import named_device
from cvlnet.model.network import MatchingNetwork
from cvlnet.model.provenance import Provenance

MOST_THUMBNAILS = 400  # a page with more queries goes without the frames on its map


@dataclass(frozen=True)
class Report:
    """What was written. lines: the main figures, for the terminal."""

    page: Path
    figures: Figures
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Evaluated:
    """A model, the data set that it was asked about, what it answered, and what it answered as a control.

    pitches: those that every clip was sought under.
    """

    model: MatchingNetwork
    provenance: Provenance
    weights: Path
    root: Path
    clip_spec: ClipSpec
    predictions: Predictions
    cache: ImageCache | None = None
    controls: Mapping[str, Predictions] = field(default_factory=dict)
    pitches: tuple[Pitch, ...] = (AS_DESCRIBED,)


@dataclass(frozen=True)
class Wording:
    """What the page says above its figures; ``{...}`` of the lead is filled as by `_lead`."""

    title: str
    lead: str


def evaluate_and_report(
    root: Path,
    weights: Path,
    out: Path,
    config: EvaluationConfig = EvaluationConfig(),
    *,
    wording: Wording | None = None,
    progress: bool = True,
) -> Report:
    """Locate the queries of a data set, and write predictions, metrics and a page that shows them.

    ``out`` gets predictions.npz, figures.json, figures.md, plots/, cases/, map/ and index.html.
    Raises InputError for weights, data or a device that cannot be used.
    """
    model, provenance = load_network(weights, config.precision)
    confidence = for_prior(provenance.confidence, config.share_mapped, weights)
    model.to(named_device(config.device))
    cache = ImageCache(config.cache) if config.cache else None
    clip_spec = ClipSpec(model.image_spec, config.frames, config.way_m, config.cameras, config.step)
    encoded = encode(
        model, root, clip_spec, splits=config.splits, most_queries=config.most_queries, cache=cache,
        workers=config.workers, pitch_error_rad=radians(config.pitch_error_deg), progress=progress,
    )  # fmt: skip
    predictions = encoded.predictions(model, published_decoding=config.published_decoding, progress=progress)
    predictions = replace(predictions, confidence=confidence)
    predictions.save(out / "predictions.npz")
    controls: Mapping[str, Predictions] = {}
    if config.controls:
        controls = controlled(model, root, encoded, confidence, workers=config.workers, progress=progress)
    evaluated = Evaluated(model, provenance, weights, root, clip_spec, predictions, cache, controls, encoded.pitches)
    return write_report(out, evaluated, wording or _evaluation(root, weights), cases=config.cases, progress=progress)


def write_report(out: Path, evaluated: Evaluated, wording: Wording, *, cases: int = 3, progress: bool = True) -> Report:
    """Everything that follows from predictions, about the largest gallery where one is shown."""
    predictions = evaluated.predictions
    figures = figures_of(predictions)
    figures.save(out / "figures.json")
    shown_tables = tables(figures)
    if evaluated.controls:
        controls = {name: figures_of(control) for name, control in evaluated.controls.items()}
        save_all(controls, out / "controls.json")
        shown_tables = (*shown_tables[:1], controls_table(figures, controls), *shown_tables[1:])
    with written_whole(out / "figures.md") as temporary:
        temporary.write_text(markdown(shown_tables), encoding="utf-8")
    shown = _shown_split(predictions)
    maps = _maps(out, evaluated, shown)
    _draw_map(out, maps[0])
    page = Page(
        title=wording.title,
        lead=_lead(wording.lead, figures.splits[shown]),
        stats=_stats(figures.splits[shown]),
        maps=maps,
        plots=_plots(out, predictions, shown),
        sections=_sections(out, evaluated, shown, cases, progress),
        tables=shown_tables,
        facts=_facts(evaluated),
    )
    write_page(out / "index.html", page)
    return Report(out / "index.html", figures, _lines(figures))


def _evaluation(root: Path, weights: Path) -> Wording:
    return Wording(f"CVLNet on {root.resolve().name}, weights {weights.stem}", _LEAD)


_LEAD = (
    "For each of {queries} moments of a drive the network compared the last few camera frames with {gallery} "
    "overhead tiles and named one place, without GPS. In {found} of the cases it was within 10 m of the truth; half "
    "of all fixes are off by less than {median}."
)


def _lead(lead: str, split: SplitFigures) -> str:
    said = lead.format(
        queries=f"{split.queries:,}",
        gallery=f"{split.gallery:,}",
        found=f"{100 * split.found.value:.0f} %",
        median=f"{split.median_m.value:.1f} m",
    )
    if split.queries_left_out:
        why = "their drive, their tile or a frame of their clip is missing"
        said += f" {split.queries_left_out:,} further moments were left out: {why}."
    return said


def _stats(split: SplitFigures) -> tuple[Stat, ...]:
    lateral = split.accuracy_found.lateral.within_3m
    return (
        _share_stat(split, 5.0),
        _share_stat(split, FOUND_M),
        Stat(
            f"{split.median_m.value:.1f} m",
            "median error, all queries",
            _bounds(split.median_m, 1.0, ".1f", "m"),
        ),
        Stat(
            "none found" if isnan(lateral.value) else f"{100 * lateral.value:.0f} %",
            "right to 3 m across the road",
            f"of those found to {FOUND_M:.0f} m: the right lane, about",
        ),
    )


def _share_stat(split: SplitFigures, radius_m: float) -> Stat:
    share = split.recall_at(1, radius_m)
    about = f"right to {radius_m:.0f} m at the first guess"
    return Stat(f"{100 * share.value:.0f} %", about, _bounds(share, 100.0, ".0f", "%"))


def _bounds(interval: Interval, scale: float, decimals: str, unit: str) -> str:
    """An interval as text. scale: by which its numbers are multiplied."""
    if isnan(interval.low):
        return "no interval: all queries are of one stretch of road"
    low, high = (format(scale * bound, decimals) for bound in (interval.low, interval.high))
    return f"{INTERVAL_LEVEL:.0%} interval: {low} to {high} {unit}"


def _maps(out: Path, evaluated: Evaluated, shown: TestSplit) -> tuple[FixMap, ...]:
    predictions, fixes = evaluated.predictions, best_fixes(evaluated.predictions, shown)
    split = read_split(evaluated.root, shown)
    ids = tuple(predictions.query_ids[i] for i in fixes.query)
    thumbnails: dict[str, str] = {}
    if len(ids) <= MOST_THUMBNAILS:
        thumbnails = write_thumbnails(out, ids, read_recordings(split), evaluated.clip_spec.camera_ids[0])
    return fix_maps(out, predictions, fixes, split, thumbnails)


def _draw_map(out: Path, fix_map: FixMap) -> None:
    """The largest area as a picture of its own, for other documents than the page."""
    save_png(error_map(fix_map, read_image(out / fix_map.picture), DAY), out / "plots/map.png")


def _plots(out: Path, predictions: Predictions, shown: str) -> tuple[Picture, ...]:
    recall = Picture(
        "plots/recall", "Recall over the radius", "@10: one of the ten best tiles, each after its own displacement."
    )
    sure = Picture(
        "plots/precision",
        "Share of right answers over the share of queries answered",
        "Fixes sorted by their confidence, or by their margin, the lead over the best fix elsewhere: when it answers "
        "only if it is sure, it is right more often. The farther the line stays above the dashed one, the better it "
        "knows.",
    )
    errors = Picture("plots/errors", "Histograms of the errors", "Left: all queries. Right: those found.", wide=True)
    return (
        draw(out, recall, partial(recall_over_radius, predictions)),
        draw(out, sure, partial(precision_over_answered, predictions, shown)),
        draw(out, errors, partial(error_histograms, predictions, shown)),
    )


def _sections(out: Path, evaluated: Evaluated, shown: TestSplit, count: int, progress: bool) -> tuple[Section, ...]:
    best, worst = best_and_worst(best_fixes(evaluated.predictions, shown), count)
    cases = examine(
        evaluated.model, evaluated.root, evaluated.clip_spec, evaluated.predictions, shown, [*best, *worst],
        labels=evaluated.provenance.recognises, to_try=evaluated.pitches, cache=evaluated.cache,
    )  # fmt: skip
    sheets = []
    for number, case in enumerate(tqdm(cases, "drawing cases", unit="case", disable=not progress)):
        name = f"cases/best-{number + 1}" if number < len(best) else f"cases/worst-{number - len(best) + 1}"
        sheets.append(draw(out, Picture(name, _alt(case), wide=True), partial(case_sheet, case)))
    return (
        Section("The best cases", _how_to_read(evaluated.provenance.recognises), tuple(sheets[: len(best)])),
        Section("The worst cases", "The largest errors, to learn from.", tuple(sheets[len(best) :])),
    )


def _how_to_read(labels: bool) -> str:
    recognised = (
        "what the network recognised (road grey, other pavement beige, green light green, trees dark green, houses "
        "red), in the frames and on the map; "
    )
    return (
        f"Left: what the camera saw. Then, from above: {recognised if labels else ''}the features that it compares, of "
        "frames and map in the same colours (blank is what no frame sees); the overhead picture at the true place and "
        "at the place that was named, with the window that was searched (dashed); and the score of every displacement "
        "within that window."
    )


def _alt(case: Case) -> str:
    return f"Frames, features, tiles and scores of {case.query_id}, off by {case.error_m:.1f} m"


def _facts(evaluated: Evaluated) -> tuple[tuple[str, str], ...]:
    provenance = evaluated.provenance
    network = provenance.published or provenance.model.backbone
    return (
        ("data set", evaluated.root.resolve().name),
        ("weights", f"{evaluated.weights.name}, {origin(provenance)}"),
        ("model", f"{network}, {evaluated.clip_spec.frames} frames a clip"),
        ("cells", f"{evaluated.model.map_grid.cell_m:.2f} m, window of +-{evaluated.model.window_cells} cells"),
        *(("imagery", credit) for credit in credits_of(evaluated.root)),
        ("made by", f"cvlnet {cvlnet.__version__}, {date.today().isoformat()}"),
    )


def origin(provenance: Provenance) -> str:
    """How weights were made, and of which data."""
    made = f"mean of {len(provenance.parents)}" if provenance.is_mean else f"step {provenance.step}"
    names = ", ".join(str(data.get("name", "?")) for data in provenance.all_data)
    return f"{made}, trained on {names or 'data that is not recorded'}"


def _shown_split(predictions: Predictions) -> TestSplit:
    """The gallery with most tiles is the hardest, and the one a user meets."""
    rankings = predictions.rankings
    names = [name for name in SPLITS if name in rankings]
    return max(names, key=lambda name: rankings[name].gallery_size)


def _lines(figures: Figures) -> tuple[str, ...]:
    return tuple(
        f"{name}: {split.queries} queries{_left_out(split)} among {split.gallery} tiles, "
        f"recall@1 within 5 m {percent(split.recall_at(1, 5.0))}, within 10 m {percent(split.recall_at(1, 10.0))}, "
        f"median error {metres(split.median_m)}"
        for name, split in figures.splits.items()
    )


def _left_out(split: SplitFigures) -> str:
    return f" ({split.queries_left_out} left out)" if split.queries_left_out else ""
