"""What became of a data set: what was cut, what is lacking, and how it compares with the published one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from cvlnet.arrays import Positions
from cvlnet.config import SplitName
from cvlnet.data.kitti_cvl import ListedFrame
from cvlnet.dataset.manifest import Provenance, day_of, years_between
from cvlnet.dataset.plan import Plan, PlannedTile, TileId, tile_of
from cvlnet.dataset.rules import share_near

PUBLISHED: Mapping[SplitName, tuple[int, int]] = {  # queries and their tiles
    "train": (23_905, 2_942),
    "test1": (2_362, 1_482),
    "test2": (2_473, 295),
}
NEAR_M = 50.0  # a test query as near to a training query sees the same place
_MOST_NAMED = 5  # drives in a line of the summary


@dataclass(frozen=True)
class CutTile:
    """missing: share of a tile that the imagery lacks. sheets: the images that it shows."""

    missing: float
    sheets: tuple[str, ...]


@dataclass(frozen=True)
class SplitCounts:
    """Queries and their tiles, those that the lists or rules name beyond them, and those of the published split."""

    queries: int
    tiles: int
    queries_left_out: int
    tiles_left_out: int
    published_queries: int
    published_tiles: int


@dataclass(frozen=True)
class DriveReport:
    """One drive. years_since_flight: least and most, negative where the flight came later; None if it is not known.

    outside: tiles of which the imagery shows nothing. left_out: further tiles of which it lacks too much. holes: tiles
    that were kept although it lacks something.
    """

    recording: str
    for_tests: bool
    queries: int
    tiles: int
    distractors: int
    outside: int
    left_out: int
    holes: int
    years_since_flight: tuple[float, float] | None


@dataclass(frozen=True)
class Report:
    """What a data set consists of, and what it lacks.

    splits: by name. absent: number of queries of the lists whose drives are not on disk, by recording. without_query:
    recordings that are too short for one. test_near_training: share of the test queries within `NEAR_M` of a training
    query.
    """

    splits: Mapping[str, SplitCounts]
    distractors: int
    drives: tuple[DriveReport, ...]
    absent: Mapping[str, int]
    without_query: tuple[str, ...]
    test_near_training: float
    largest_missing: float
    credit: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """The report as it is written to report.json."""
        return asdict(self)

    @property
    def lines(self) -> list[str]:
        """A summary for a terminal."""
        return [*self._split_lines(), *self._drive_lines(), *self._further_lines()]

    def _split_lines(self) -> list[str]:
        lines = [f"{'':8}{'queries':>9}{'tiles':>8}{'left out':>10}   published"]
        for name, n in self.splits.items():
            published = f"{n.published_queries:,} queries, {n.published_tiles:,} tiles"
            lines.append(f"{name:8}{n.queries:>9,}{n.tiles:>8,}{n.queries_left_out:>10,}   {published}")
        return [*lines, f"distractors of test2: {self.distractors:,} tiles"]

    def _drive_lines(self) -> list[str]:
        outside = [d.recording for d in self.drives if not d.tiles and not d.distractors]
        total = Counter[str]()
        for drive in self.drives:
            total += Counter(outside=drive.outside, left_out=drive.left_out, holes=drive.holes)
        lines = []
        if outside:
            lines.append(f"outside the imagery: {_listed(outside)}")
        if total["outside"]:
            lines.append(f"tiles outside the imagery: {total['outside']:,}")
        if total["left_out"]:
            what = f"tiles of which the imagery lacks more than {self.largest_missing:.0%}, left out"
            lines.append(f"{what}: {total['left_out']:,}")
        if total["holes"]:
            lines.append(f"tiles with small holes, filled from beside them: {total['holes']:,}")
        return lines

    def _further_lines(self) -> list[str]:
        lines = []
        if self.absent:
            count = sum(self.absent.values())
            lines.append(f"{count:,} queries of the lists have no drive on disk: {_listed(list(self.absent))}")
        if self.without_query:
            lines.append(f"drives that are too short for a query: {_listed(self.without_query)}")
        years = [y for drive in self.drives if drive.years_since_flight is not None for y in drive.years_since_flight]
        if years:
            lines.append(f"flights: {_apart(min(years), max(years))}")
        if self.test_near_training:
            lines.append(f"test queries within {NEAR_M:.0f} m of a training query: {self.test_near_training:.1%}")
        return [*lines, *(f"imagery: {credit}" for credit in self.credit)]


def report_of(
    plan: Plan,
    cut: Mapping[TileId, CutTile],
    provenance: Mapping[str, Provenance],
    largest_missing: float,
    *,
    absent: Mapping[str, int],
    without_query: Sequence[str],
) -> Report:
    """What became of a plan.

    cut: every tile of the plan. provenance: of every image, by the name that `CutTile` has. absent, without_query: see
    `Report`.
    """
    there = frozenset(tile.id for tile in plan.tiles if cut[tile.id].missing <= largest_missing)
    by_drive = {name: [tile for tile in plan.tiles if tile.recording == name] for name in plan.tracks}
    return Report(
        {name: _counts(name, listed, there) for name, listed in plan.queries.items()},
        sum(tile.is_distractor and tile.id in there for tile in plan.tiles),
        tuple(_drive(plan, name, by_drive[name], there, cut, provenance) for name in plan.tracks),
        absent,
        tuple(without_query),
        _near_training(plan, there),
        largest_missing,
        tuple(sorted({about.credit for about in provenance.values() if about.credit is not None})),
    )


def _counts(split: SplitName, listed: Sequence[ListedFrame], there: frozenset[TileId]) -> SplitCounts:
    kept = [tile_of(query) for query in listed if tile_of(query) in there]
    lost = [tile_of(query) for query in listed if tile_of(query) not in there]
    return SplitCounts(len(kept), len(set(kept)), len(lost), len(set(lost)), *PUBLISHED[split])


def _drive(
    plan: Plan,
    recording: str,
    tiles: Sequence[PlannedTile],
    there: frozenset[TileId],
    cut: Mapping[TileId, CutTile],
    provenance: Mapping[str, Provenance],
) -> DriveReport:
    kept = [tile for tile in tiles if tile.id in there]
    lost = [cut[tile.id].missing for tile in tiles if tile.id not in there]
    queries = [query for listed in plan.queries.values() for query in listed if query.recording == recording]
    frames = {query.frame for query in queries if tile_of(query) in there}
    seen = {sheet for tile in kept for sheet in cut[tile.id].sheets}
    flown = {day for sheet in seen for day in provenance[sheet].flown}
    driven = day_of(recording)
    return DriveReport(
        recording,
        recording in plan.test_drives,
        len(frames),
        sum(not tile.is_distractor for tile in kept),
        sum(tile.is_distractor for tile in kept),
        sum(missing >= 1 for missing in lost),
        sum(missing < 1 for missing in lost),
        sum(cut[tile.id].missing > 0 for tile in kept),
        None if driven is None else years_between(sorted(flown), driven),
    )


def _near_training(plan: Plan, there: frozenset[TileId]) -> float:
    """The share of the kept test queries that lie near a kept training query."""

    def places_m(split: SplitName) -> Positions:
        kept = [query for query in plan.queries.get(split, ()) if tile_of(query) in there]
        by_drive: dict[str, list[int]] = {}
        for query in kept:
            by_drive.setdefault(query.recording, []).append(query.frame)
        parts = [plan.tracks[n].places_m[np.isin(plan.tracks[n].numbers, frames)] for n, frames in by_drive.items()]
        return np.concatenate([np.zeros((0, 3)), *parts])

    return share_near(places_m("test2"), places_m("train"), NEAR_M)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _apart(least_years: float, most_years: float) -> str:
    """When flights were, by the years from them to the drives."""
    ends = [f"{abs(years):.1f} years {'after' if years < 0 else 'before'}" for years in (most_years, least_years)]
    return f"{' to '.join(dict.fromkeys(ends))} the drives"
