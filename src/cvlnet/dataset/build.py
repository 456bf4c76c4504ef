"""Makes the overhead half of KITTI-CVL: cuts the tiles that a plan names, and writes lists, tables and a report.

    OUT/raw_data                                            a link to the drives
    OUT/satmap/train_10mgap/<date>/<drive>/<frame>.png      of each training query; a tile is a file once, else a link
    OUT/satmap/test/<drive>/<lat>_<lon>.png                 of test drives, with the distractors
    OUT/{train,test1,test2}_files_with_sat_GPS.txt, satmap/test.csv, satmap/ignore.csv
    OUT/dataset.json, report.json
    OUT/satmap/tiles.jsonl                                  what every tile lacks, a line each, as they were cut

Tiles are in the projection of the published ones, which both the published code and this package read without loss: the
middle 512 px are what the published code sees. Existing tiles are kept, so that an interrupted run can be resumed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from math import degrees
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cvlnet.config import DatasetConfig, RasterHints, SplitName
from cvlnet.data.kitti import UNIT_PITCH_RAD, read_drive
from cvlnet.data.kitti_cvl import (
    DESCRIPTION,
    PUBLISHED_PROJECTION,
    PUBLISHED_TILE_PX,
    PUBLISHED_ZOOM,
    STARTED,
    ListedFrame,
    list_name,
    mounted_pitch_rad,
    read_split_list,
    role_of,
)
from cvlnet.dataset.manifest import provenance_of
from cvlnet.dataset.plan import Plan, PlannedTile, TileId, Track, plan_by_lists, plan_by_rules, tile_of, tile_px
from cvlnet.dataset.report import CutTile, Report, report_of
from cvlnet.dataset.sheets import Sheets
from cvlnet.errors import InputError, warn
from cvlnet.geo import LatLon, MercatorRaster, web_mercator_m_per_px
from cvlnet.io.files import link, remove_unfinished
from cvlnet.io.outputs import write_png, write_text
from cvlnet.io.text import read_json

REPORT = "report.json"
_JOURNAL = Path("satmap", "tiles.jsonl")


def build_dataset(
    drives: Path,
    imagery: Sequence[Path],
    out: Path,
    config: DatasetConfig = DatasetConfig(),
    *,
    lists: Path | None = None,
    hints: RasterHints = RasterHints(),
) -> Report:
    """Make a data set of KITTI's drives, or a town's, and overhead images, or go on with one that was interrupted.

    drives: the folder of the dates. lists: the folder of the lists whose tiles are cut; without it the drives are
    divided by `cvlnet.dataset.rules`.
    Raises InputError if drives, lists or images cannot be read, if ``out`` holds something else or cannot be written,
    or if no query lies on the imagery.
    """
    raw = drives / "raw_data" if (drives / "raw_data").is_dir() else drives
    linked = out / "raw_data"
    in_place = linked.is_dir() and linked.samefile(raw) and not linked.is_symlink()
    listed = None if lists is None else _read_lists(lists)
    sheets = Sheets(imagery, hints)
    plan, absent, without_query = _planned(raw, listed, config)
    side_px = tile_px((t.center.latitude_deg for t in plan.tiles), config, _m_per_px(0.0))
    about = _description(raw, lists, config, hints, side_px, plan, in_place=in_place)
    _begin(out, about, in_place=in_place)
    if not in_place:
        link(linked, str(raw.resolve()))
    try:
        cut = _cut_tiles(out, plan.tiles, sheets, side_px, config.most_missing)
    finally:
        remove_unfinished(out / "satmap")
    shown = {sheet for tile in cut.values() for sheet in tile.sheets}  # some perhaps in an earlier run
    _warn_of_other_imagery(out, shown, imagery)
    provenance = {sheet: provenance_of(Path(sheet)) for sheet in shown}
    report = report_of(plan, cut, provenance, config.most_missing, absent=absent, without_query=without_query)
    if not any(split.queries for split in report.splits.values()):
        what = f"no query lies on the imagery, of {len(plan.tiles):,} tiles"
        raise InputError(what, where="--imagery", remedy="give imagery of where the drives are, or a smaller --tile-m")
    _write_lists(out, plan, cut, config.most_missing)
    write_text(out / REPORT, json.dumps(report.to_json(), indent=1))
    write_text(out / DESCRIPTION, json.dumps(about | {"credit": report.credit}, indent=1))
    (out / STARTED).unlink()
    return report


def cut_tile(sheets: Sheets, center: LatLon, side_px: int) -> tuple[Any, CutTile]:
    """The pixels of a tile in the published projection, and what is to be known of it."""
    raster = MercatorRaster.around(center, side_px, side_px, _m_per_px(center.latitude_deg))
    patch, used = sheets.show(raster, side_px)
    assert patch.valid is not None
    return patch.pixels, CutTile(float(1 - patch.valid.mean()), tuple(map(str, used)))


def _m_per_px(latitude_deg: float) -> float:
    return web_mercator_m_per_px(latitude_deg, PUBLISHED_ZOOM, PUBLISHED_TILE_PX)


def _read_lists(folder: Path) -> dict[SplitName, tuple[ListedFrame, ...]]:
    """The lists that are in a folder; at least one has to be."""
    found = {split: read_split_list(path) for split, path in _list_paths(folder).items()}
    if not found:
        remedy = "give the folder of the lists, such as the published code's dataLoader"
        raise InputError(f"holds none of the lists, such as {list_name('train')}", where=folder, remedy=remedy)
    return found


def _list_paths(folder: Path) -> dict[SplitName, Path]:
    """Those of the three lists that are in a folder."""
    splits: tuple[SplitName, ...] = ("train", "test1", "test2")
    paths = {split: folder / list_name(split) for split in splits}
    return {split: path for split, path in paths.items() if path.is_file()}


def _planned(
    raw: Path, listed: Mapping[SplitName, Sequence[ListedFrame]] | None, config: DatasetConfig
) -> tuple[Plan, dict[str, int], list[str]]:
    """The plan; how many queries of the lists have no drive on disk, by recording; drives without a query."""
    on_disk = sorted("/".join(folder.parts[-3:-1]) for folder in raw.glob("*/*/oxts"))
    if not on_disk:
        remedy = "give KITTI's raw_data: folders DATE/DRIVE with oxts, such as 2011_09_26/2011_09_26_drive_0001_sync"
        raise InputError("holds no drive", where=raw, remedy=remedy)
    if listed is None:
        tracks = _read_tracks(raw, on_disk)
        plan = plan_by_rules(list(tracks.values()), config)
        return plan, {}, [name for name in tracks if name not in plan.tracks]
    per_drive = Counter(query.recording for queries in listed.values() for query in queries)
    plan = plan_by_lists(_read_tracks(raw, [name for name in on_disk if name in per_drive]), listed, config)
    return plan, {name: count for name, count in per_drive.items() if name not in on_disk}, []


def _read_tracks(raw: Path, recordings: Sequence[str]) -> dict[str, Track]:
    tracks = {}
    for name in tqdm(recordings, desc="positions of the drives", unit="drive", disable=None):
        tracks[name] = Track.of(read_drive(raw, *name.split("/")))
    return tracks


def _description(
    raw: Path,
    lists: Path | None,
    config: DatasetConfig,
    hints: RasterHints,
    side_px: int,
    plan: Plan,
    *,
    in_place: bool,
) -> dict[str, Any]:
    """The contents of dataset.json, less the credit: what the reader needs, and what makes the tiles."""
    source = raw.absolute().parent
    pitch_rad, role = (UNIT_PITCH_RAD, "train") if in_place else (mounted_pitch_rad(source), role_of(source))
    digest = sha256()
    for path in () if lists is None else _list_paths(lists).values():
        digest.update(path.name.encode() + path.read_bytes())
    return {
        "format": 1,
        "role": role,
        "unit_pitch_deg": round(degrees(pitch_rad), 9),
        "tile": {**PUBLISHED_PROJECTION, "size_px": side_px},
        "rules": asdict(config),
        "image": asdict(hints),
        "lists": None if lists is None else digest.hexdigest(),
        "plan": _digest(plan),
    }


def _digest(plan: Plan) -> str:
    """Stands for where all tiles lie, and under which names: those for training are named after frames."""
    lines = (f"{tile.id} {' '.join(path.as_posix() for path in tile.paths)}\n" for tile in plan.tiles)
    return sha256("".join(lines).encode()).hexdigest()


def _begin(out: Path, about: dict[str, Any], *, in_place: bool) -> None:
    """Mark a folder as unfinished. Raises InputError if it holds something else."""
    if out.exists() and not out.is_dir():
        raise InputError("is a file", where=out, remedy="choose a folder")
    marks = [out / name for name in (STARTED, DESCRIPTION) if (out / name).is_file()]
    others = [path.name for path in out.iterdir() if not (in_place and path.name == "raw_data")] if out.is_dir() else []
    if not marks and others:
        raise InputError(f"holds other files, such as {others[0]}", where=out, remedy="choose a new or empty folder")
    wanted = json.loads(json.dumps(about))
    for mark in marks:
        found = read_json(mark, "delete the folder")
        if {key: found.get(key) for key in wanted} != wanted:
            remedy = "choose another folder, or delete this one"
            raise InputError("holds a data set of other drives, lists or settings", where=out, remedy=remedy)
    write_text(out / STARTED, json.dumps(about, indent=1))


def _warn_of_other_imagery(out: Path, shown: Collection[str], imagery: Sequence[Path]) -> None:
    """Warn if tiles of an earlier run show imagery that is not given now."""
    others = sorted(set(shown) - set(map(str, imagery)))
    if others:
        what = f"tiles that were cut before show other imagery than is given now, such as {others[0]}"
        warn(
            what, where=out, remedy="choose another folder, or delete this one, if only the new imagery is to be shown"
        )


def _cut_tiles(
    out: Path, tiles: Sequence[PlannedTile], sheets: Sheets, side_px: int, largest_missing: float
) -> dict[TileId, CutTile]:
    """Cut the tiles that are not there, and link further names to them; those that lack too much are not written."""
    known = _read_journal(out / _JOURNAL)
    write_text(out / _JOURNAL, "".join(_entry(path, tile) for path, tile in known.items()))
    cut = {}
    with (out / _JOURNAL).open("a", encoding="utf-8") as journal:
        for tile in tqdm(tiles, desc="overhead tiles", unit="tile", disable=None):
            name = tile.paths[0].as_posix()
            about = known.get(name)
            if about is None or not (out / name).is_file():  # as those are that lacked too much before
                pixels, about = cut_tile(sheets, tile.center, side_px)
                if about.missing <= largest_missing:
                    write_png(out / name, pixels)
                journal.write(_entry(name, about))
                journal.flush()
            if about.missing <= largest_missing:
                for other in tile.paths[1:]:
                    link(out / other, os.path.relpath(tile.paths[0], other.parent))
            cut[tile.id] = about
    return cut


def _entry(path: str, tile: CutTile) -> str:
    return json.dumps({"tile": path, **asdict(tile)}) + "\n"


def _read_journal(path: Path) -> dict[str, CutTile]:
    """What was cut before, by path. A line that a killed process did not finish is dropped."""
    known = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            entry = json.loads(line)
            known[str(entry["tile"])] = CutTile(float(entry["missing"]), tuple(map(str, entry["sheets"])))
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return known


def _write_lists(out: Path, plan: Plan, cut: Mapping[TileId, CutTile], largest_missing: float) -> None:
    """The lists, without queries whose tile is not there, and the tables of the gallery."""
    there = {key for key, tile in cut.items() if tile.missing <= largest_missing}
    for split, listed in plan.queries.items():
        kept = [query for query in listed if tile_of(query) in there]
        lines = "".join(f"{q.recording}/{q.frame:010d}.png {' '.join(q.tile_latlon)}\n" for q in kept)
        if lines:
            write_text(out / list_name(split), lines)
    gallery = [tile for tile in plan.tiles if tile.recording in plan.test_drives and tile.id in there]
    rows = [(t.recording.partition("/")[2], *t.id[1], str(int(not t.is_distractor))) for t in gallery]
    table = [("drive", "latitude", "longitude", "holds_query"), *rows]
    write_text(out / "test.csv", "".join(f"{','.join(row)}\n" for row in table))
    write_text(out / "ignore.csv", "drive\n")
