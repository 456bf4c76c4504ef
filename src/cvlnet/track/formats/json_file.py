"""JSON: everything of a trajectory, a line for each fix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cvlnet.errors import InputError
from cvlnet.io.outputs import write_json_list
from cvlnet.io.text import read_json
from cvlnet.track.formats.fields import empty_trajectory, entry_of, fixes_of, header_of, refuse_large
from cvlnet.track.types import Trajectory


def write_json_file(trajectory: Trajectory, path: Path) -> None:
    """Write an object with "cvlnet_track" (the format's number), "name", "credit" and "fixes"."""
    write_json_list(header_of(trajectory.name, trajectory.credit), "fixes", map(entry_of, trajectory.fixes), path)


def read_json_file(path: Path) -> Trajectory:
    """What `write_json_file` has written. Raises InputError if it is something else."""
    refuse_large(path)
    remedy = "give a file that `cvlnet track` has written"
    whole = read_json(path, remedy)
    trajectory, entries = empty_trajectory(whole, path), whole.get("fixes")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError("its fixes are no list of objects", where=path, remedy=remedy)
    numbered = ((f"{path}, fix {number}", entry) for number, entry in enumerate(entries, 1))
    return replace(trajectory, fixes=fixes_of(numbered))
