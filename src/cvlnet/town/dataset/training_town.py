"""A single town with nothing but what a training reads of it: all drives to train on, no map, no gallery.

TOWN/raw_data/<date>/...            as of any town, see `writers`
TOWN/satmap/train_10mgap/...        tiles of all drives
TOWN/labels/<date>.{png,json}       if asked for
TOWN/train_files_with_sat_GPS.txt   the only list
TOWN/dataset.json
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from cvlnet.data.kitti_cvl import DESCRIPTION, list_name
from cvlnet.io.files import folder_written_whole
from cvlnet.io.outputs import write_png, write_text
from cvlnet.town.dataset.survey import survey
from cvlnet.town.dataset.synthesize import describe
from cvlnet.town.dataset.writers import write_drives, write_labels, write_training_tiles
from cvlnet.town.presets import TrainingTown


def about(town: TrainingTown) -> dict[str, Any]:
    """Contents of the town's ``dataset.json``."""
    drawn = {"first_query": town.first_query, "labels": town.labels}
    contents: dict[str, Any] = json.loads(json.dumps(describe((town.config,), "stream") | {"drawn": drawn}))
    return contents


def draw_town(town: TrainingTown, out: Path) -> None:
    """Draw a town into the folder ``out``, which appears when all of it is there; one that is there is kept.

    Raises InputError if nothing can be written there, ValueError if the town cannot be driven through.
    """
    if is_drawn(town, out):
        return
    if out.exists():
        shutil.rmtree(out)
    with folder_written_whole(out) as temporary:
        _write(town, temporary)


def is_drawn(town: TrainingTown, out: Path) -> bool:
    """Whether a folder holds the town, and all of it."""
    try:
        found = json.loads((out / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found == about(town))


def _write(town: TrainingTown, out: Path) -> None:
    surveyed = survey(town.config, 0)
    write = partial(write_png, runs_only=True)  # the files are soon deleted
    write_drives(out, surveyed, range(len(surveyed.drives)), lambda: None, write)
    lines = write_training_tiles(out, surveyed, town.first_query, write)
    if town.labels:
        write_labels(out, surveyed)
    write_text(out / list_name("train"), "".join(f"{line}\n" for line in lines))
    write_text(out / DESCRIPTION, json.dumps(about(town), indent=1))
