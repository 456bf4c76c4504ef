"""CSV: a row for each fix, with all of its numbers; hypotheses and credit are in JSON only."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path

from cvlnet.errors import InputError
from cvlnet.io.outputs import write_text
from cvlnet.io.text import read_table
from cvlnet.track.formats.fields import COLUMNS, LATER_COLUMNS, fields_of, fixes_of, refuse_large
from cvlnet.track.types import Trajectory

_REMEDY = "give a table that `cvlnet track` has written"


def write_csv(trajectory: Trajectory, path: Path) -> None:
    """Write the columns `cvlnet.track.formats.fields.COLUMNS`; what is not known is an empty cell."""
    text = StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(fields_of(fix) for fix in trajectory.fixes)
    write_text(path, text.getvalue())


def read_csv(path: Path) -> Trajectory:
    """What `write_csv` has written, named after the file. A last line without its end is left out.

    Other columns are ignored. Raises InputError if a column is missing, or a line cannot be read.
    """
    refuse_large(path)
    table = read_table(path, _REMEDY, finished_lines=True)
    missing = [name for name in COLUMNS if name not in table.columns and name not in LATER_COLUMNS]
    if missing:
        raise InputError(f"has no column {', '.join(missing)}", where=path, remedy=_REMEDY)
    rows = ((table.where(line), {name: cell or None for name, cell in cells.items()}) for line, cells in table.rows)
    return Trajectory(path.stem, fixes_of(rows))
