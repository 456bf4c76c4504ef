"""Messages for the user, of one line: an error that ends the command, or a warning beside its answer.

Both say where, what, and what to do. Warnings go to the logger ``cvlnet``; the command line prints them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

_log = logging.getLogger("cvlnet")


class InputError(Exception):
    """The user's input cannot be used.

    The message is one line, ``where: what; remedy``. The command line prints it and exits with status 2.
    """

    def __init__(self, what: str, *, where: str | Path, remedy: str) -> None:
        super().__init__(f"{where}: {what}; {remedy}")
        self.what = what
        self.where = where
        self.remedy = remedy

    def __reduce__(self) -> tuple[Callable[[], InputError], tuple[()]]:
        """Pickles what, where and remedy, so that it crosses processes; by default the message alone would be kept."""
        return partial(InputError, self.what, where=self.where, remedy=self.remedy), ()


def warn(what: str, *, where: str | Path, remedy: str) -> None:
    """Log one line, ``where: what; remedy``, about input that looks wrong but is used, or is left out in part."""
    _log.warning("%s: %s; %s", where, what, remedy)
