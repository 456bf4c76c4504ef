"""The log of a training: JSON lines, and TensorBoard's events where it is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cvlnet.errors import InputError
from cvlnet.io.files import written_whole

LOG = "log.jsonl"


class Journal:
    """Losses and figures by step, in a run's folder.

    step: the one that the training continues from. Entries of later steps, left by an interrupted run, are removed.
    Raises InputError if the folder's log is damaged, or nothing can be written there.
    """

    def __init__(self, out: Path, step: int) -> None:
        self._path = out / LOG
        kept = _lines_up_to(step, self._path) if self._path.is_file() else []
        with written_whole(self._path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._events = _event_writer(out, step)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add the values of one step."""
        if not values:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what TensorBoard's events still hold back."""
        if self._events is not None:
            self._events.close()


def _lines_up_to(step: int, path: Path) -> list[str]:
    """The lines of a log up to a step; what came after it is trained, and logged, again.

    A process that was killed may have left its last line unfinished: that one is dropped. Raises InputError if any
    other line is broken.
    """
    kept = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if number < len(lines):
                remedy = "correct or delete the line, or choose another folder"
                raise InputError(f"line {number} is no entry of a training's log", where=path, remedy=remedy) from error
    return kept


def _event_writer(out: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(out), purge_step=step + 1)
