"""What a training tells while it runs: JSON lines, and TensorBoard's events where it is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cvlnet.files import written_whole

LOG = "log.jsonl"


class Journal:
    """Losses and figures by step, as JSON lines and, where TensorBoard is installed, as its events."""

    def __init__(self, out: Path, step: int) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._path = out / LOG
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] <= step]  # what came after is trained again
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


def _event_writer(out: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(out), purge_step=step + 1)
