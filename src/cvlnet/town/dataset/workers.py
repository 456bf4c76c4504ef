"""Processes that draw: they compile once between them, and none outlives the process that started them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from multiprocessing import active_children, parent_process
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Lock
from time import sleep

import cv2
import torch

from cvlnet.town.dataset.warmup import compile_kernels

_LOOK_S = 0.5  # between two looks whether the parent process is still there


def start_worker(first: Lock, niceness: int = 0) -> None:
    """Prepare a drawing process.

    The first one to acquire ``first`` compiles all kernels while the others plan, so that most find them in the cache.
    niceness: by how much the process is less urgent than its parent.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(niceness)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if first.acquire(block=False):
        compile_kernels()


@contextmanager
def stopped_at_once(pool: Executor) -> Iterator[None]:
    """Terminate the pool's processes on the way out, whatever they are doing. They are started by "spawn"."""
    others = set(active_children())
    try:
        yield
    finally:
        for child in set(active_children()) - others:
            if isinstance(child, SpawnProcess):  # others may read pictures, say
                child.terminate()
        pool.shutdown(cancel_futures=True)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Child processes started within the block ignore Ctrl-C; the parent process stops them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, heard)


def _end_with_parent() -> None:
    """End this process when its parent has ended, be it killed."""
    parent = parent_process()
    while parent is not None and os.getppid() == parent.pid:
        sleep(_LOOK_S)
    os._exit(1)
