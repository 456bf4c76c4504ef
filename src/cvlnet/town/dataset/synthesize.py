"""A data set of synthetic towns: jobs for worker processes, split lists, ``dataset.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cvlnet.data.kitti_cvl import DESCRIPTION, STARTED
from cvlnet.errors import InputError
from cvlnet.io.files import remove_unfinished
from cvlnet.io.outputs import write_text
from cvlnet.town.dataset.survey import survey
from cvlnet.town.dataset.tiles import tile_px
from cvlnet.town.dataset.workers import deaf_children, start_worker, stopped_at_once
from cvlnet.town.dataset.writers import Listing, write_drives, write_labels, write_tiles
from cvlnet.town.presets import Nuisances, Preset, TownConfig, preset_towns, role_of_seed

FORMAT_VERSION = 1
ATTRIBUTION = "Synthetic town, drawn by cvlnet; no real imagery"
_LOOK_S = 2.0  # between two checks of the workers' progress
_PLANNING, _FRAMES, _OVERHEAD = "planning, compiling", "frames", "overhead images"
_Report = Callable[[str, int], None]  # gets the current activity, and the number of newly drawn pictures


@dataclass(frozen=True)
class Job:
    """One process's part of a town: some of its drives, and perhaps the overhead map."""

    out: Path
    index: int
    config: TownConfig
    drives: tuple[int, ...]
    tiles: bool


def synthesize(
    out: Path,
    seed: int,
    preset: Preset,
    *,
    towns: int | None = None,
    nuisances: Nuisances | None = None,
    workers: int | None = None,
) -> None:
    """Write the data set of a seed and preset into the folder ``out``, or resume an interrupted run.

    towns: number of towns; None takes the preset's.
    Raises InputError if ``out`` holds something else or cannot be written, or if the seed does not suit the preset.
    """
    try:
        configs = preset_towns(preset, seed, nuisances or Nuisances(), count=towns)
    except ValueError as error:
        raise InputError(str(error), where=f"seed {seed}", remedy="choose another seed") from error
    write_dataset(out, configs, name=preset, workers=workers or os.cpu_count() or 1)


def write_dataset(out: Path, towns: Sequence[TownConfig], *, name: str, workers: int) -> None:
    """Write towns of the same role, tile size and resolution into a folder. Raises InputError as `synthesize` does."""
    about = describe(towns, name)
    try:
        if _is_complete(out, about):
            return
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the folder cannot be used ({error.strerror})"
        raise InputError(what, where=out, remedy="choose another folder") from error
    write_text(out / STARTED, json.dumps(about, indent=1))
    (out / DESCRIPTION).unlink(missing_ok=True)
    jobs = jobs_of(out, towns, workers)
    pictures = sum(pictures_of(town) for town in towns)
    try:
        with tqdm(total=pictures, initial=_count_pictures(out), unit="picture", desc=name) as bar:
            results = _run(jobs, workers, partial(_show, bar, name))
    finally:
        remove_unfinished(out)
    write_lists(out, [listing for listing in results if listing is not None])
    (out / STARTED).unlink()
    about["files"] = _count_files(out)
    write_text(out / DESCRIPTION, json.dumps(about, indent=1))


def pictures_of(town: TownConfig) -> int:
    """Number of pictures that are drawn of a town, all cameras together."""
    return len(town.cameras) * town.drives * len(range(0, town.frames_per_drive, town.frame_step))


def describe(towns: Sequence[TownConfig], name: str) -> dict[str, Any]:
    """Contents of ``dataset.json``: what it takes to reproduce the data set and to read its tiles."""
    first = towns[0]
    return {
        "format": FORMAT_VERSION,
        "seed": first.seed,
        "preset": name,
        "role": role_of_seed(first.seed),
        "tile": {"m_per_px": first.overhead_m_per_px, "size_px": tile_px(first), "gap_m": first.tile_gap_m},
        "towns": [asdict(town) for town in towns],
        "attribution": ATTRIBUTION,
    }


def jobs_of(out: Path, towns: Sequence[TownConfig], workers: int) -> list[Job]:
    """Split every town among the workers to spare; the part with the fewest drives also draws the overhead map."""
    parts = max(1, workers // len(towns))
    jobs = []
    for index, town in enumerate(towns):
        count = min(parts, town.drives + 1)
        drives = [tuple(range(town.drives))[part::count] for part in range(count)]
        jobs += [Job(out, index, town, drives[part], tiles=part == count - 1) for part in range(count)]
    return jobs


def write_lists(out: Path, listings: Sequence[Listing]) -> None:
    """Write the split lists and the tables of the test gallery."""
    test = "".join(f"{line}\n" for listing in listings for line in listing.test)
    train = "".join(f"{line}\n" for listing in listings for line in listing.train)
    rows = "".join(f"{row}\n" for listing in listings for row in listing.test_rows)
    for split, lines in (("train", train), ("test1", test), ("test2", test)):
        write_text(out / f"{split}_files_with_sat_GPS.txt", lines)
    write_text(out / "satmap" / "test.csv", f"drive,latitude,longitude,holds_query\n{rows}")
    write_text(out / "satmap" / "ignore.csv", "drive\n")


def _is_complete(out: Path, about: dict[str, Any]) -> bool:
    """Whether ``out`` holds the complete data set. Raises InputError if it holds something else."""
    if out.exists() and not out.is_dir():
        raise InputError("is a file", where=out, remedy="choose a folder")
    marks = [out / name for name in (DESCRIPTION, STARTED) if (out / name).is_file()]
    if not marks:
        if out.is_dir() and any(out.iterdir()):
            raise InputError("holds other files", where=out, remedy="choose a new or empty folder")
        return False
    try:
        found = json.loads(marks[0].read_text(encoding="utf-8"))
    except ValueError:
        found = None
    known = _of_today(found) if isinstance(found, dict) else {}
    wanted = json.loads(json.dumps(about))
    if {k: known.get(k) for k in wanted} != wanted:
        raise InputError(
            "holds a data set of another seed, preset or configuration",
            where=out,
            remedy="choose another folder, or delete this one",
        )
    return marks[0].name == DESCRIPTION and known.get("files") == _count_files(out)


def _of_today(about: dict[str, Any]) -> dict[str, Any]:
    """The description of a data set of an earlier version, whose towns lack the nuisances that came later: 0."""
    none, towns = asdict(Nuisances.none()), about.get("towns")
    if not isinstance(towns, list) or not all(isinstance(town, dict) for town in towns):
        return about
    filled = [
        {**town, "nuisances": none | given} if isinstance(given := town.get("nuisances"), dict) else town
        for town in towns
    ]
    return {**about, "towns": filled}


def _count_files(out: Path) -> int:
    return sum(path.is_file() for path in out.rglob("*") if path != out / DESCRIPTION)


def _show(bar: Any, name: str, doing: str, more: int) -> None:
    """Update the progress bar; its rate does not count the time before the first picture."""
    if more and bar.n == bar.initial:
        bar.unpause()
    bar.set_description(f"{name}, {doing}", refresh=not more)
    bar.update(more)


def _run(jobs: Sequence[Job], workers: int, report: _Report) -> list[Listing | None]:
    """Run all jobs, in this process if one worker is enough, otherwise in ``workers`` processes.

    Raises InputError if a worker is killed, for example by the system when memory runs out.
    """
    if min(workers, len(jobs)) == 1:
        return [_do(job, report) for job in jobs]
    context = get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, start_worker, (context.Lock(),))
    with stopped_at_once(pool):
        with deaf_children():
            pending = [pool.submit(_do, job) for job in jobs]
        _follow(pending, jobs, report)
        try:
            return [future.result() for future in pending]
        except BrokenProcessPool as error:
            what = "a worker process was killed, perhaps because memory ran out"
            remedy = "repeat the command with fewer --workers; it resumes where this run stopped"
            raise InputError(what, where=jobs[0].out, remedy=remedy) from error


def _follow(pending: Sequence[Future[Any]], jobs: Sequence[Job], report: _Report) -> None:
    """Report the workers' progress, seen by the pictures on disk, until all are done or one has failed."""
    out, towns = jobs[0].out, {job.index: job.config for job in jobs}
    total = sum(pictures_of(town) for town in towns.values())
    first = drawn = _count_pictures(out)
    report(_PLANNING, 0)
    while not _at_end(pending):
        before, drawn = drawn, _count_pictures(out)
        report(_PLANNING if drawn == first else _FRAMES if drawn < total else _OVERHEAD, drawn - before)
    report(_OVERHEAD, _count_pictures(out) - drawn)


def _at_end(pending: Sequence[Future[Any]]) -> bool:
    """Whether all are done or one has failed; waits for ``_LOOK_S`` at most."""
    done, waiting = wait(pending, _LOOK_S, FIRST_EXCEPTION)
    return not waiting or any(future.exception() for future in done)


def _unheard(doing: str, more: int) -> None:
    """Workers do not report; the parent process looks at the files on disk."""


def _do(job: Job, report: _Report = _unheard) -> Listing | None:
    report(_PLANNING, 0)
    town = survey(job.config, job.index)
    write_drives(job.out, town, job.drives, partial(report, _FRAMES, 1))
    if not job.tiles:
        return None
    report(_OVERHEAD, 0)
    write_labels(job.out, town)
    return write_tiles(job.out, town)


def _count_pictures(out: Path) -> int:
    return sum(1 for _ in (out / "raw_data").glob("*/*/image_*/data/*.png"))
