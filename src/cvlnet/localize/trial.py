"""How well clips of known places are found on a map as a whole, and how long a question takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import degrees, pi, remainder
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64
from tqdm import tqdm

from cvlnet.data.clips import ClipSpec, assemble_clip
from cvlnet.data.kitti_cvl import Query, read_recordings, read_split
from cvlnet.data.recording import Recording
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, LocalFrame
from cvlnet.localize.answer import heading_rad
from cvlnet.localize.area import MapArea
from cvlnet.localize.localizer import Localizer
from cvlnet.localize.turned import Heading, TurnedClip, turned

if TYPE_CHECKING:  # the extra "index" may not be installed
    from cvlnet.localize.indexed import IndexedPlaces

FOUND_M = (1.0, 3.0, 5.0, 10.0)


@dataclass(frozen=True)
class Trial:
    """Questions about clips of known places.

    positions_deg: latitude and longitude of the best fix. errors_m: of the best fix. confidence: NaN where the
    weights have none. heading_errors_rad: of the best fix, from 0 to pi. encode_s: seconds for the features of a
    clip under its recorded heading. question_s: seconds from the clip to its fixes. off_map: queries that were left
    out because the map does not show their place.
    """

    positions_deg: Float64[np.ndarray, "queries 2"]
    errors_m: Float64[np.ndarray, " queries"]
    confidence: Float64[np.ndarray, " queries"]
    heading_errors_rad: Float64[np.ndarray, " queries"]
    encode_s: Float64[np.ndarray, " queries"]
    question_s: Float64[np.ndarray, " queries"]
    off_map: int

    def lines(self, heading: Heading) -> list[str]:
        """The figures as text."""
        shares = ", ".join(f"{100 * np.mean(self.errors_m <= radius):.1f} % within {radius:g} m" for radius in FOUND_M)
        encode_ms, question_ms = (1000 * float(np.median(times)) for times in (self.encode_s, self.question_s))
        lines = [
            f"{len(self.errors_m):,} queries on the whole map: {shares}, median {np.median(self.errors_m):.1f} m",
            f"a question took {question_ms:.0f} ms (median), of which {encode_ms:.0f} ms are for encoding the frames",
        ]
        if heading.width_rad > 0:
            found = self.heading_errors_rad[self.errors_m <= FOUND_M[-1]]
            median = degrees(float(np.median(found))) if len(found) else float("nan")
            known = f"heading known to ±{degrees(heading.width_rad):g} degrees"
            lines.append(f"{known}; in the fixes within 10 m it is wrong by {median:.2f} degrees (median)")
        if self.off_map:
            lines.append(f"{self.off_map:,} queries were left out: the map does not show their place")
        return lines


def same_share(one: Trial, other: Trial) -> float:
    """For which share of the queries two trials, of the same queries, have the same best fix, to a metre."""
    apart_m = [
        np.hypot(*LocalFrame(LatLon(*first)).xy_world_m(second))
        for first, second in zip(one.positions_deg.tolist(), other.positions_deg.tolist(), strict=True)
    ]
    return float(np.mean(np.array(apart_m) < 1.0))


def try_map(
    localizer: Localizer,
    root: Path,
    areas: Mapping[str, MapArea],
    *,
    clip_spec: ClipSpec,
    heading: Heading = Heading(),
    most_queries: int | None = None,
    index: IndexedPlaces | None = None,
    progress: bool = False,
) -> Trial:
    """Seek the test queries of a data set in KITTI-CVL's layout on maps.

    areas: by the date of the recordings; "" for all dates that have none of their own. heading: clips are turned by
    random angles up to its width, the same ones in every trial, before they are sought. index: of the one map, which
    finds the clips then.
    Raises InputError as the readers do, or if no query lies on a map.
    """
    split = read_split(root, "test1")
    recordings = read_recordings(split)
    mapped = [(query, area) for query in split.queries if (area := areas.get(query.date, areas.get(""))) is not None]
    if most_queries is not None and len(mapped) > most_queries:
        mapped = [mapped[i] for i in np.linspace(0, len(mapped) - 1, most_queries).round().astype(int)]
    asked = [
        (query, area) for query, area in mapped if area.map.shows_place(_place(recordings[query.recording], query))
    ]
    if not asked:
        remedy = "give a map of the place where the drives were recorded"
        raise InputError("no query lies on the map", where=root, remedy=remedy)
    turns_rad = np.random.default_rng(0).uniform(-1, 1, len(asked)) * heading.width_rad
    rows = [
        _asked(localizer, index or area, recordings[query.recording], query, clip_spec, heading, turn_rad)
        for (query, area), turn_rad in zip(
            tqdm(asked, "searching the map", disable=not progress), turns_rad.tolist(), strict=True
        )
    ]
    found = np.array(rows, dtype=np.float64)
    errors_m, confidence, heading_errors_rad, encode_s, question_s = found[:, 2:].T
    off_map = len(mapped) - len(asked)
    return Trial(found[:, :2], errors_m, confidence, heading_errors_rad, encode_s, question_s, off_map)


def _asked(
    localizer: Localizer,
    area: MapArea | IndexedPlaces,
    recording: Recording,
    query: Query,
    clip_spec: ClipSpec,
    heading: Heading,
    turn_rad: float,
) -> Sequence[float]:
    """One question: latitude and longitude, error, confidence, heading error, seconds to encode and in all."""
    clip = turned(assemble_clip(recording, query.frame, clip_spec), turn_rad)
    truth = _place(recording, query)
    start = perf_counter()
    asked, turns_rad = TurnedClip(localizer.model, clip), heading.turns_rad(heading_rad(clip))
    asked.features([0.0])
    encoded = perf_counter()
    if isinstance(area, MapArea):
        _, _, (best, *_) = area.find(asked, turns_rad=turns_rad, confidence=localizer.confidence)
    else:
        best, *_ = area.find(asked, turns_rad=turns_rad, confidence=localizer.confidence)
    ended = perf_counter()
    error_m = float(np.hypot(*LocalFrame(truth).xy_world_m(best.position.degrees)))
    trust = np.nan if best.confidence is None else best.confidence
    heading_error_rad = abs(remainder(best.turn_rad + turn_rad, 2 * pi))
    return *best.position.degrees, error_m, trust, heading_error_rad, encoded - start, ended - start


def _place(recording: Recording, query: Query) -> LatLon:
    frame = recording.frame(query.frame)
    if frame is None:
        raise InputError(f"has no frame {query.frame}", where=recording.name, remedy="copy the whole drive")
    return frame.position
