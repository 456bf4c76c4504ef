"""Which tiles a data set consists of, and which frames are sought on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from cvlnet.arrays import Positions
from cvlnet.config import DatasetConfig, SplitName
from cvlnet.data.kitti_cvl import FARTHEST_TILE_M, ListedFrame
from cvlnet.data.recording import Recording
from cvlnet.dataset.rules import PUBLISHED_LATITUDE_DEG, LatLons, Lattice, Places, distractors, query_frames
from cvlnet.errors import InputError
from cvlnet.geo import LatLon, earth_centred_m
from cvlnet.io.text import did_you_mean

MOST_TILES = 200_000  # of a data set
MOST_PLACES = 10_000_000  # of a lattice of which only those near the way become tiles
_DEGREES = 12  # decimals of latitudes and longitudes in names
_SHORTER = "divide the drive into shorter ones"
_FEWER = "let distractors lie only near the way, such as with --distractors-m 100, or give fewer drives"


@dataclass(frozen=True)
class Track:
    """Where the frames of a drive were taken."""

    recording: str  # date/drive
    numbers: Int64[np.ndarray, " frames"]
    latlon_deg: LatLons

    @staticmethod
    def of(recording: Recording) -> Track:
        """The positions of a drive's frames, less those that cannot be true."""
        numbers = np.array([frame.index for frame in recording.frames], dtype=np.int64)
        return Track(recording.name, numbers, np.array([frame.position.degrees for frame in recording.frames]))

    @property
    def drive(self) -> str:
        """The name of the drive's folder."""
        return self.recording.partition("/")[2]

    @property
    def places_m(self) -> Positions:
        """Positions in the earth-centred frame."""
        return earth_centred_m(self.latlon_deg)


TileId = tuple[str, tuple[str, str]]  # a recording and the text of a latitude and longitude, as lines of lists have it


@dataclass(frozen=True)
class PlannedTile:
    """A tile to be cut. paths: within the data set; the first is the file, the others are links to it."""

    id: TileId
    center: LatLon
    paths: tuple[Path, ...]
    is_distractor: bool = False

    @property
    def recording(self) -> str:
        """The drive that it belongs to, date/drive."""
        return self.id[0]


def tile_of(query: ListedFrame) -> TileId:
    """The tile that a line of a list names."""
    return query.recording, query.tile_latlon


@dataclass(frozen=True)
class Plan:
    """What a data set will consist of, as far as the imagery reaches.

    queries: by split, in the order of the lists. tiles: by drive, first those of its queries. test_drives: recordings
    whose tiles are the gallery of Test-2.
    """

    queries: Mapping[SplitName, tuple[ListedFrame, ...]]
    tiles: tuple[PlannedTile, ...]
    test_drives: frozenset[str]
    tracks: Mapping[str, Track]


def plan_by_rules(tracks: Sequence[Track], config: DatasetConfig) -> Plan:
    """Tiles and queries of drives, each drive for training or for tests.

    Raises InputError if no drive has a query, if a test drive is none of the drives, or if there are too many tiles.
    """
    lattices = {track.recording: Lattice.around(track.latlon_deg, config.gap_m) for track in tracks}
    queries = {track.recording: _queries(track, lattices[track.recording], config) for track in tracks}
    used = [track for track in tracks if queries[track.recording]]
    if not used:
        raise InputError(
            f"no drive has a query: a frame from number {config.first_query} on, after {config.moved_m:g} m of way",
            where="--drives",
            remedy="give longer drives, or let queries begin earlier with --first-query",
        )
    tested = choose_test_drives([track.recording for track in used], config)
    lines = {
        test: [q for name, listed in queries.items() if (name in tested) == test for q in listed] for test in (0, 1)
    }
    splits: dict[SplitName, Sequence[ListedFrame]] = {"train": lines[0], "test1": lines[1], "test2": lines[1]}
    return _plan({track.recording: track for track in used}, splits, tested, lattices, config)


def plan_by_lists(
    tracks: Mapping[str, Track], splits: Mapping[SplitName, Sequence[ListedFrame]], config: DatasetConfig
) -> Plan:
    """Tiles and queries that lists name; those of other drives than ``tracks`` are dropped.

    The drives of the list of "test2" are those for tests.
    Raises InputError if nothing is left, if a query is far from its tile, or if there are too many tiles.
    """
    kept = {name: [q for q in listed if q.recording in tracks] for name, listed in splits.items()}
    if not any(kept.values()):
        raise InputError(
            "has none of the drives that the lists name", where="--drives", remedy="give the folder of them"
        )
    tested = frozenset(query.recording for query in kept.get("test2", ()))
    listed_deg: dict[str, list[tuple[float, float]]] = {}
    for query in (query for listed in kept.values() for query in listed):
        listed_deg.setdefault(query.recording, []).append(query.tile_center.degrees)
    named = {name: track for name, track in tracks.items() if name in listed_deg}
    _require_near(named, [query for listed in kept.values() for query in listed])
    lattices = {n: _lattice_of_tiles(named[n], np.array(centers), config) for n, centers in listed_deg.items()}
    return _plan(named, kept, tested, lattices, config)


def choose_test_drives(recordings: Sequence[str], config: DatasetConfig) -> frozenset[str]:
    """The recordings for tests: those that are named, by drive or by date/drive, or else a share of all.

    At least one, and not all if there are several. Raises InputError if a name is none of a drive, or one of several.
    """
    if config.test_drives:
        by_name: dict[str, list[str]] = {}
        for recording in recordings:
            for name in (recording, recording.partition("/")[2]):
                by_name.setdefault(name, []).append(recording)
        for name in config.test_drives:
            if name not in by_name:
                what = f"no drive with a query is named {name}{did_you_mean(name, by_name)}"
                raise InputError(what, where="--test-drives", remedy="name the folder of a drive")
            if len(by_name[name]) > 1:
                what = f"several dates have a drive {name}: {', '.join(by_name[name])}"
                raise InputError(what, where="--test-drives", remedy="name those that are meant, as DATE/DRIVE")
        return frozenset(by_name[name][0] for name in config.test_drives)
    count = max(min(round(config.test_share * len(recordings)), len(recordings) - 1), 1)
    order = np.random.default_rng(config.seed).permutation(len(recordings))
    return frozenset(sorted(recordings)[index] for index in order[:count].tolist())


def tile_px(latitudes_deg: Iterable[float], config: DatasetConfig, m_per_px_at_equator: float) -> int:
    """Width of the tiles: at least ``tile_m`` at all latitudes, a multiple of 64 and at least the published 512."""
    narrowest_m = m_per_px_at_equator * float(np.cos(np.radians(list(latitudes_deg))).min())
    return max(ceil(config.tile_m / narrowest_m / 64 - 1e-9) * 64, 512)


def _queries(track: Track, lattice: Lattice, config: DatasetConfig) -> list[ListedFrame]:
    chosen = query_frames(lattice, track.latlon_deg, track.numbers, first=config.first_query, moved_m=config.moved_m)
    centers = _named(lattice, lattice.nearest(track.latlon_deg[chosen]))
    numbers = track.numbers[chosen].tolist()
    return [ListedFrame(track.recording, n, *named) for n, named in zip(numbers, centers, strict=True)]


def _named(lattice: Lattice, places: Places) -> list[tuple[tuple[str, str], LatLon]]:
    """Places of a lattice as names and centres, which are what the names say."""
    wrapped = [LatLon.wrapped(*place) for place in lattice.latlon_deg(places).tolist()]
    texts = [(f"{p.latitude_deg:.{_DEGREES}f}", f"{p.longitude_deg:.{_DEGREES}f}") for p in wrapped]
    return [(text, LatLon(float(text[0]), float(text[1]))) for text in texts]


def _lattice_of_tiles(track: Track, centers_deg: LatLons, config: DatasetConfig) -> Lattice:
    """The published lattice of a drive, if its tiles lie on it."""
    published = Lattice.around(track.latlon_deg, config.gap_m, PUBLISHED_LATITUDE_DEG)
    return published if published.holds(centers_deg) else Lattice.around(track.latlon_deg, config.gap_m)


def _plan(
    tracks: Mapping[str, Track],
    splits: Mapping[SplitName, Sequence[ListedFrame]],
    tested: frozenset[str],
    lattices: Mapping[str, Lattice],
    config: DatasetConfig,
) -> Plan:
    tiles: dict[TileId, PlannedTile] = {}
    for split, listed in splits.items():
        for query in listed:
            key = tile_of(query)
            tile = tiles.setdefault(key, PlannedTile(key, query.tile_center, ()))
            paths = [path for path in _paths(query, split, tested) if path not in tile.paths]
            tiles[key] = replace(tile, paths=(*tile.paths, *paths))
    others: list[PlannedTile] = []
    for name in sorted(tested):
        lattice, track = lattices[name], tracks[name]
        most = MOST_TILES if config.distractors_m is None else MOST_PLACES
        if lattice.size > most:
            what = f"the rectangle around the way has {lattice.size:,} tiles, more than {most:,}"
            raise InputError(what, where=name, remedy=_FEWER if config.distractors_m is None else _SHORTER)
        centers_deg = np.array([tile.center.degrees for tile in tiles.values() if tile.recording == name])
        free = distractors(lattice, lattice.nearest(centers_deg), track.latlon_deg, config.distractors_m)
        for text, center in _named(lattice, free):
            others.append(PlannedTile((name, text), center, (_test_path(name, text),), is_distractor=True))
    if len(tiles) + len(others) > MOST_TILES:
        what = f"{len(tiles) + len(others):,} tiles are too many for one data set; it has {MOST_TILES:,} at most"
        raise InputError(what, where="--drives", remedy=_FEWER)
    ordered = sorted((*tiles.values(), *others), key=lambda tile: tile.recording)  # of a drive, queries' tiles first
    return Plan({split: tuple(listed) for split, listed in splits.items()}, tuple(ordered), tested, tracks)


def _paths(query: ListedFrame, split: SplitName, tested: frozenset[str]) -> list[Path]:
    """Where the tile of a query is looked for.

    The published training opens a file for each query, also for those of its validation list, which is "test1".
    """
    by_frame = Path("satmap", "train_10mgap", query.recording, f"{query.frame:010d}.png")
    by_place = _test_path(query.recording, query.tile_latlon)
    if query.recording in tested:
        return [by_place]
    return [by_frame] if split == "train" else [by_frame, by_place]


def _test_path(recording: str, latlon: tuple[str, str]) -> Path:
    return Path("satmap", "test", recording.partition("/")[2], f"{'_'.join(latlon)}.png")


def _require_near(tracks: Mapping[str, Track], queries: Sequence[ListedFrame]) -> None:
    """Raise InputError if a query was not taken near the tile that its list names."""
    rows = {name: {n: row for row, n in enumerate(track.numbers.tolist())} for name, track in tracks.items()}
    known = [query for query in queries if query.frame in rows[query.recording]]
    if not known:
        return
    taken_deg = [tracks[query.recording].latlon_deg[rows[query.recording][query.frame]] for query in known]
    centers_deg = [query.tile_center.degrees for query in known]
    away_m = np.linalg.norm(earth_centred_m(np.array(taken_deg)) - earth_centred_m(centers_deg), axis=-1)
    worst = int(away_m.argmax())
    if away_m[worst] > FARTHEST_TILE_M:
        query = known[worst]
        what = f"frame {query.frame} of {query.recording} was taken {away_m[worst]:.0f} m from the tile of its line"
        raise InputError(what, where="--lists", remedy="check that the lists give latitude before longitude")
