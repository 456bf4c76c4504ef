"""How much one server takes: sizes, numbers and rates."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

_MOST_CLIENTS = 4096  # whose rates are kept


@dataclass(frozen=True)
class Limits:
    """What is taken at most.

    tracked: sessions that are tracked at the same time; each holds its belief over the whole map in memory. kept:
    sessions in all, the oldest ended ones are deleted for new ones. kept_bytes: of all sessions on disk.
    upload_bytes, unpacked_bytes: of an upload, and of the pictures in a ZIP file. frame_bytes, frame_pixels: of a frame
    that is sent. json_bytes: of any other request. pending: frames of a session that wait for the tracker. streams:
    event streams at the same time. idle_s: after which a session that gets no frames is closed. requests_per_s,
    burst: of one client. new_per_s, new_burst: sessions that one client begins.
    """

    tracked: int = 16
    kept: int = 200
    kept_bytes: int = 20 * 10**9
    upload_bytes: int = 2 * 10**9
    unpacked_bytes: int = 4 * 10**9
    frame_bytes: int = 16 * 10**6
    frame_pixels: int = 32 * 10**6
    json_bytes: int = 65_536
    pending: int = 8
    streams: int = 64
    idle_s: float = 900.0
    requests_per_s: float = 200.0
    burst: int = 1000
    new_per_s: float = 0.5
    new_burst: int = 20


class Rate:
    """A token bucket for each client: ``per_s`` requests in the long run, ``burst`` at once."""

    def __init__(self, per_s: float, burst: int, *, now_s: Callable[[], float] = monotonic) -> None:
        self._per_s, self._burst, self._now_s = per_s, float(burst), now_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted
        self._lock = threading.Lock()

    def wait_s(self, client: str) -> float:
        """Take a request of a client: 0 if it may be answered, else the seconds after which one may be."""
        with self._lock:
            now_s = self._now_s()
            had, then_s = self._left.pop(client, (self._burst, now_s))
            left = min(self._burst, had + (now_s - then_s) * self._per_s)
            allowed = left >= 1
            self._left[client] = (left - 1 if allowed else left, now_s)
            if len(self._left) > _MOST_CLIENTS:
                self._left.popitem(last=False)
            return 0.0 if allowed else (1 - left) / self._per_s
