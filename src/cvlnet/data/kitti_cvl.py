"""KITTI-CVL: overhead tiles beside KITTI raw, and the lists that say which frame is sought on which tile.

    ROOT/raw_data/<date>/<drive>/                           KITTI raw, see `cvlnet.data.kitti`
    ROOT/satmap/train_10mgap/<date>/<drive>/<frame>.png     the tile of a training query, named after a frame
    ROOT/satmap/test/<drive>/<lat>_<lon>.png                tiles of test drives, named after their centre
    ROOT/{train,test1,test2}_files_with_sat_GPS.txt         lines: date/drive/frame.png lat lon (of the tile's centre)
    ROOT/test.csv, ignore.csv (or in ROOT/satmap)           drives whose tiles belong to the gallery, and that do not

Test-1 and Test-2 have the same queries, those of the list test2; the gallery of Test-2 has distractors besides their
tiles. The list test1 is the published code's validation on streets of the training; it is not read here.

Published tiles are Web Mercator, zoom 18, scale 2. A synthetic town and what ``cvlnet dataset build`` makes have the
same layout and a ``dataset.json`` with the data set's role, the projection of its tiles or their resolution (true
metres, north up), and the pitch at which the GPS/IMU unit is mounted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import dist, radians
from pathlib import Path
from typing import Any

from cvlnet.config import SplitName
from cvlnet.data.images import read_image
from cvlnet.data.kitti import UNIT_PITCH_RAD, read_drive
from cvlnet.data.recording import Recording
from cvlnet.errors import InputError, warn
from cvlnet.geo import LatLon, MercatorRaster, MetricRaster, earth_centred_m, web_mercator_m_per_px
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.io.listing import PICTURES, files_in
from cvlnet.io.text import number_of, positive_of, read_json, read_text, to_numbers

DESCRIPTION, STARTED = "dataset.json", "unfinished.json"  # of a complete data set, and of one that is being made
PUBLISHED_ZOOM = 18
PUBLISHED_TILE_PX = 512  # scale 2
FARTHEST_TILE_M = 1000.0  # of a query from its tile's centre: tiles are some 100 m wide
_LINE = "`date/drive/frame.png lat lon`"
_FRAME = re.compile(r"[0-9]{1,18}")
_FOLDER = re.compile(r"(?!\.)[^/\\:\0]+")  # no hidden folder, and none that leads out of the data set
_REMAKE = "make the data set again with cvlnet synth or cvlnet dataset build"
_NAME_TILE = "name a tile <latitude>_<longitude>.png"
PUBLISHED_PROJECTION: dict[str, Any] = {"projection": "Web Mercator", "zoom": PUBLISHED_ZOOM, "scale": 2}
_FETCH_TILES = "unpack the data set's satmap folder"


@dataclass(frozen=True)
class ListedFrame:
    """One line of a split list: a frame of a recording, and the tile that it is sought on (text as listed)."""

    recording: str  # date/drive
    frame: int
    tile_latlon: tuple[str, str]
    tile_center: LatLon


@dataclass(frozen=True)
class Tile:
    """One overhead tile. m_per_px: true metres, or None for the published tiles' Web Mercator."""

    id: str
    path: Path
    center: LatLon
    m_per_px: float | None
    holds_query: bool


@dataclass(frozen=True)
class Query:
    """A frame to be located, and the tile nearest to it."""

    recording: str
    frame: int
    tile: str

    @property
    def id(self) -> str:
        """``date/drive/frame``."""
        return f"{self.recording}/{self.frame:010d}"

    @property
    def date(self) -> str:
        """Of the recording; a synthetic town has one of its own."""
        return self.recording.partition("/")[0]


@dataclass(frozen=True)
class Split:
    """Queries and the gallery of tiles, by id.

    left_out: what the lists name and the disk has not, a line each. listed: number of queries with those left out.
    """

    name: str
    root: Path
    queries: tuple[Query, ...]
    tiles: Mapping[str, Tile]
    left_out: tuple[str, ...]
    listed: int


def read_split_list(path: Path) -> tuple[ListedFrame, ...]:
    """Read one list.

    Raises InputError if it is missing or empty, a line has not three fields, names no frame or no place on earth, or
    names a frame that another line names.
    """
    lines = read_text(path, remedy=f"copy the split list there: a line {_LINE} a query").splitlines()
    line_of: dict[tuple[str, int], int] = {}
    listed = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            frame = _listed_frame(line, f"{path}, line {number}")
            first = line_of.setdefault((frame.recording, frame.frame), number)
            if first != number:
                what = f"frame {frame.frame} of {frame.recording} is in line {first}, too"
                raise InputError(what, where=f"{path}, line {number}", remedy="keep the line that is right")
            listed.append(frame)
    return tuple(listed)


def read_split(root: Path, name: SplitName, *, lists: Path | None = None) -> Split:
    """Read a split of a KITTI-CVL folder or a town; ``lists`` is the folder of the lists if that is not ``root``.

    The gallery holds the tiles of the queries, and for "test2" the distractors. Queries whose drive or tile is not on
    disk are left out and reported in ``left_out``.
    A gallery of "test2" without distractors causes a warning.
    Raises InputError as `read_split_list` does, if nothing is left, or for the training split of a town made for tests.
    """
    if name == "train":
        require_trainable(root)
    listed = list_name("train" if name == "train" else "test2")
    list_path = _list_path(root, listed) if lists is None else lists / listed
    m_per_px = _true_m_per_px(root)
    tiles: dict[str, Tile] = {}
    queries, missing = [], Counter[str]()
    for group in _by_tile(read_split_list(list_path)):
        tile = _query_tile(root, name, group, m_per_px)
        drive_dir = root / "raw_data" / group[0].recording
        if tile is None:
            missing["have no tile on disk"] += len(group)
        elif not drive_dir.is_dir():
            missing["have no drive on disk"] += len(group)
        else:
            tiles[tile.id] = tile
            queries += [Query(q.recording, q.frame, tile.id) for q in group]
    left_out = tuple(f"{list_path}: {count} queries {reason}" for reason, count in missing.items())
    if not queries:
        raise InputError(f"no query can be used ({'; '.join(left_out)})", where=root, remedy=_FETCH_TILES)
    if name == "test2":
        for tile in _gallery(root, m_per_px):
            tiles.setdefault(tile.id, tile)
        if all(tile.holds_query for tile in tiles.values()):
            remedy = "name the drives in test.csv, and unpack all of satmap/test"
            warn("has no distractors: the gallery of Test-2 is that of Test-1", where=root, remedy=remedy)
    return Split(name, root, tuple(queries), tiles, left_out, len(queries) + missing.total())


def list_name(split: SplitName) -> str:
    """Name of the list that is called after a split."""
    return f"{split}_files_with_sat_GPS.txt"


def _list_path(root: Path, name: str) -> Path:
    """A list in the data set's folder, or in ``dataLoader``, where the published code keeps it."""
    beside = root / "dataLoader" / name
    return beside if beside.is_file() and not (root / name).is_file() else root / name


def require_trainable(root: Path) -> None:
    """Raise InputError if ``root`` is a town that is kept for validation or test."""
    role = role_of(root)
    if role != "train":
        raise InputError(
            f"this data set is for {role}, not for training",
            where=root / DESCRIPTION,
            remedy="train on a town of a training seed (below 100000)",
        )


def refuse_test_data(root: Path) -> None:
    """Raise InputError if ``root`` is a town that is kept for tests: nothing is chosen by it."""
    if role_of(root) == "test":
        raise InputError(
            "this data set is for tests, not for validation",
            where=root / DESCRIPTION,
            remedy="take a town of a validation seed (100000 to 199999)",
        )


def read_recordings(split: Split, *, nominal_mounting: bool = False) -> dict[str, Recording]:
    """The drives of a split's queries, by name.

    Raises InputError as `cvlnet.data.kitti.read_drive` does, or if a query is far from its tile.
    """
    names = sorted({query.recording for query in split.queries})
    raw = split.root / "raw_data"
    recordings = {name: read_recording(raw / name, nominal_mounting=nominal_mounting) for name in names}
    for query in split.queries:
        frame, tile = recordings[query.recording].frame(query.frame), split.tiles[query.tile]
        far_m = 0.0 if frame is None else dist(*earth_centred_m([frame.position.degrees, tile.center.degrees]).tolist())
        if far_m > FARTHEST_TILE_M:
            what = f"{query.id} was taken {far_m:.0f} m from the tile that the list names, {tile.id}"
            remedy = "check that the list gives the tile's latitude before its longitude"
            raise InputError(what, where=split.root, remedy=remedy)
    return recordings


def read_recording(drive_dir: Path, *, nominal_mounting: bool = False) -> Recording:
    """One drive by its folder, ``.../<date>/<drive>``, of KITTI or of a town.

    Raises InputError as `cvlnet.data.kitti.read_drive` does.
    """
    date_dir = drive_dir.absolute().parent
    raw = date_dir.parent
    unit_pitch_rad = mounted_pitch_rad(raw.parent)
    drive = (raw, date_dir.name, drive_dir.absolute().name)
    return read_drive(*drive, nominal_mounting=nominal_mounting, unit_pitch_rad=unit_pitch_rad)


def mounted_pitch_rad(root: Path) -> float:
    """The pitch of the GPS/IMU unit against the road on a data set's drives: KITTI's, or what dataset.json says.

    A town's unit is level.
    """
    dataset = _dataset(root)
    if not dataset:
        return UNIT_PITCH_RAD
    return radians(number_of(dataset, "unit_pitch_deg", root / DESCRIPTION, _REMAKE, default=0.0))


def role_of(root: Path) -> str:
    """What a data set is for: "train", "validation" or "test". KITTI-CVL is for training, less its test drives."""
    return str(_dataset(root).get("role", "train"))


def credits_of(root: Path) -> tuple[str, ...]:
    """Whom to credit for the imagery of a data set's tiles; empty where dataset.json does not say."""
    named = _dataset(root).get("credit")
    return tuple(map(str, named)) if isinstance(named, list) else ()


def open_tile(tile: Tile) -> OverheadImage:
    """Decode a tile. Raises InputError as `cvlnet.data.images.read_image` does."""
    pixels = read_image(tile.path)
    height_px, width_px = pixels.shape[:2]
    if tile.m_per_px is not None:
        return OverheadImage(pixels, MetricRaster(tile.center, width_px, height_px, tile.m_per_px), tile.path)
    m_per_px = web_mercator_m_per_px(tile.center.latitude_deg, PUBLISHED_ZOOM, PUBLISHED_TILE_PX)
    return OverheadImage(pixels, MercatorRaster.around(tile.center, width_px, height_px, m_per_px), tile.path)


def _listed_frame(line: str, where: str) -> ListedFrame:
    remedy = f"write the line as {_LINE}"
    fields = line.split()
    if len(fields) != 3:
        raise InputError(f"{len(fields)} of 3 fields", where=where, remedy=remedy)
    path, latitude, longitude = fields
    parts = path.replace("\\", "/").split("/")
    name = Path(parts[-1])
    is_frame = _FRAME.fullmatch(name.stem) and name.suffix.lower() in ("", *PICTURES)
    if len(parts) != 3 or not is_frame or not all(map(_FOLDER.fullmatch, parts[:2])):
        raise InputError(f"{path!r} names no frame", where=where, remedy=remedy)
    try:
        center = LatLon(*to_numbers((latitude, longitude), where, remedy))
    except ValueError as error:
        raise InputError(str(error), where=where, remedy=remedy) from error
    return ListedFrame("/".join(parts[:2]), int(name.stem), (latitude, longitude), center)


def _by_tile(listed: Sequence[ListedFrame]) -> list[list[ListedFrame]]:
    groups: dict[tuple[str, tuple[str, str]], list[ListedFrame]] = {}
    for query in listed:
        groups.setdefault((query.recording, query.tile_latlon), []).append(query)
    return list(groups.values())


def _query_tile(root: Path, split: SplitName, group: Sequence[ListedFrame], m_per_px: float | None) -> Tile | None:
    """The tile that the queries of ``group`` share, or None if it is not on disk."""
    date, drive = group[0].recording.split("/")
    name = "_".join(group[0].tile_latlon)
    train_dir = root / "satmap" / "train_10mgap" / date / drive
    if split == "train":
        stems = [train_dir / f"{query.frame:010d}" for query in group]
    else:
        stems = [root / "satmap" / "test" / drive / name]
    for path in (stem.with_name(stem.name + suffix) for stem in stems for suffix in PICTURES):
        if path.is_file():
            return Tile(f"{drive}/{name}", path, group[0].tile_center, m_per_px, holds_query=True)
    return None


def _gallery(root: Path, m_per_px: float | None) -> list[Tile]:
    """All tiles of the drives of test.csv less those of ignore.csv; none where there is no test.csv."""
    test, ignored = _csv_cells(root, "test.csv"), _csv_cells(root, "ignore.csv")
    test_dir = root / "satmap" / "test"
    drives = sorted(path.name for path in test_dir.iterdir() if path.is_dir()) if test_dir.is_dir() else []
    tiles = []
    for drive in drives:
        if drive in test and drive not in ignored:
            tiles += [_gallery_tile(path, m_per_px) for path in files_in(test_dir / drive, PICTURES)]
    return tiles


def _gallery_tile(path: Path, m_per_px: float | None) -> Tile:
    try:
        latitude, longitude = path.stem.split("_")
        center = LatLon(*to_numbers((latitude, longitude), path, _NAME_TILE))
    except ValueError as error:
        raise InputError("the name states no position", where=path, remedy=_NAME_TILE) from error
    return Tile(f"{path.parent.name}/{path.stem}", path, center, m_per_px, holds_query=False)


def _csv_cells(root: Path, name: str) -> set[str]:
    """Everything that stands in a table, wherever; the published tables have no fixed columns."""
    path = next((folder / name for folder in (root, root / "satmap") if (folder / name).is_file()), None)
    if path is None or not path.read_bytes().strip():
        return set()
    return {
        cell.strip(' "') for line in read_text(path, _FETCH_TILES).splitlines() for cell in re.split("[,;\t]", line)
    }


def _true_m_per_px(root: Path) -> float | None:
    """Resolution of the tiles; None if they are in the published projection."""
    dataset = _dataset(root)
    if not dataset or dataset["tile"].items() >= PUBLISHED_PROJECTION.items():
        return None
    return positive_of(dataset["tile"], "m_per_px", root / DESCRIPTION, _REMAKE)


def _dataset(root: Path) -> dict[str, Any]:
    """The contents of dataset.json; nothing for KITTI-CVL as it is published."""
    path = root / DESCRIPTION
    if (root / STARTED).is_file():
        remedy = "repeat the command that makes it, which resumes"
        raise InputError("the data set is not finished", where=root, remedy=remedy)
    if not path.is_file():
        return {}
    dataset = read_json(path, _REMAKE)
    if not isinstance(dataset.get("tile"), dict):
        raise InputError("does not describe its tiles", where=path, remedy=_REMAKE)
    return dataset
