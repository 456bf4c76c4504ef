"""The one thread that computes: sessions with something to do take turns, a step each."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

Step = Callable[[], bool]
"""Does a little of a session's work; whether there is more to do at once."""

_log = logging.getLogger("cvlnet")


class Worker:
    """Steps of several sessions, by their ids, one after the other in a thread."""

    def __init__(self) -> None:
        self._steps: dict[str, Step] = {}  # in the order in which they take their turns
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="cvlnet-tracking", daemon=True)
        self._thread.start()

    def wake(self, name: str, step: Step) -> None:
        """Let a session take turns until its step says that there is no more to do."""
        with self._changed:
            self._steps.setdefault(name, step)
            self._changed.notify()

    def stop(self) -> None:
        """Finish the step at hand and end."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._steps)
                if self._stopped:
                    return
                name = next(iter(self._steps))
                step = self._steps.pop(name)
            try:
                more = step()
            except Exception:  # a step answers for its own errors; this thread must not end
                _log.exception("session %s", name)
                more = False
            if more:
                self.wake(name, step)
