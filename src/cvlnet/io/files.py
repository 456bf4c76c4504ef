"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cvlnet.errors import InputError

GB = 10**9
_SPARE_BYTES = GB // 2  # of disk space that is left to others
_UNFINISHED = ".unfinished-"  # how the names of files begin that are being written
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # errors of disks without space, and of files beyond their limit


class NoSpaceError(InputError):
    """What is to be written does not fit on the disk."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name when the block ends, and vanishes if the block fails.

    Folders are made as needed. The suffix is kept, for writers that choose the format by it.
    Raises InputError if nothing can be written there, or no space is left.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED, suffix=path.suffix)
    except OSError as error:
        raise _refusal(path, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        try:
            temporary.replace(path)
        except OSError as error:
            raise _refusal(path, error) from error
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in FULL:
            raise _refusal(path, error) from error
        raise


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """A path for a new folder that takes the place of ``path`` when the block ends, and vanishes if the block fails.

    Its name is that of ``path``, for writers that name files after it. Raises InputError if ``path`` is there already,
    nothing can be written there, or no space is left.
    """
    if path.exists():
        raise InputError("is there already", where=path, remedy="delete it, or choose another name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        surrounding = tempfile.TemporaryDirectory(dir=path.parent, prefix=_UNFINISHED)
    except OSError as error:
        raise _refusal(path, error) from error
    with surrounding as name:
        temporary = Path(name) / path.name
        try:
            yield temporary
        except OSError as error:
            if error.errno in FULL:
                raise _refusal(path, error) from error
            raise
        try:
            temporary.rename(path)
        except OSError as error:
            raise _refusal(path, error) from error


def unfinished_folder(path: Path) -> Path:
    """A new, empty folder beside ``path``, of those that `remove_unfinished` removes."""
    return Path(tempfile.mkdtemp(dir=path.parent, prefix=_UNFINISHED))


def link(path: Path, target: str) -> None:
    """A symbolic link at ``path``, whose folder ``target`` may be relative to; a file or link there is replaced.

    Raises InputError if none can be made there.
    """
    if path.is_symlink() and str(path.readlink()) == target:
        return
    temporary = path.with_name(f"{_UNFINISHED}{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _refusal(path, error) from error


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files and folders of writers that were killed, from a folder and all below it."""
    for path in list(folder.rglob(f"{_UNFINISHED}*")):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _refusal(path: Path, error: OSError) -> InputError:
    remedy = "free some space or choose another place" if error.errno in FULL else "choose another place"
    return InputError(f"cannot be written ({error.strerror})", where=path, remedy=remedy)


def require_writable(path: Path) -> None:
    """Raise InputError if no file can be written at a path: before long work rather than after it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as error:
        raise _refusal(path, error) from error


def require_at_most(path: Path, most_bytes: int) -> None:
    """Raise InputError if a file is larger than that, before it is read; a file that is not there passes."""
    if path.is_file() and path.stat().st_size > most_bytes:
        what = f"the file has {path.stat().st_size / 1e6:.0f} MB, and {most_bytes / 1e6:.0f} MB are the most"
        raise InputError(what, where=path, remedy="give a part of it")


def require_space(folder: Path, size_bytes: int) -> None:
    """Raise NoSpaceError unless so many bytes fit on a folder's disk, and some are left."""
    free_bytes = shutil.disk_usage(folder).free
    if size_bytes + _SPARE_BYTES > free_bytes:
        what = f"has {free_bytes / GB:.1f} GB of free space, and {size_bytes / GB:.1f} GB are to be written"
        raise NoSpaceError(what, where=folder, remedy="free some space")
