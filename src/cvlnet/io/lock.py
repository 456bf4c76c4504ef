"""One process at a time in a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cvlnet.errors import InputError

LOCK = ".lock"  # name of the file in the folder


@contextmanager
def locked(folder: Path, busy: str, *, tidy: bool = False) -> Iterator[None]:
    """A folder, made as needed, that no other process has locked or can lock before the block ends.

    busy: what the error says if another process has it. tidy: whether the file of the lock is removed at the end.
    Raises InputError if another process has it, or the folder cannot be written.
    """
    handle = _opened(folder, busy)
    try:
        yield
    finally:
        if tidy:
            (folder / LOCK).unlink(missing_ok=True)
        os.close(handle)


def _opened(folder: Path, busy: str) -> int:
    """The file of the lock, opened and locked."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            what = f"cannot be written ({error.strerror})"
            raise InputError(what, where=folder, remedy="choose another place") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise InputError(busy, where=folder, remedy="wait until it has ended") from error
        if _is_there(handle, folder / LOCK):
            return handle
        os.close(handle)  # another process has removed it meanwhile


def _is_there(handle: int, path: Path) -> bool:
    """Whether an open file is the one of a name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
