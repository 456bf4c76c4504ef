"""The error for the user: one line that says what was wrong, where, and what to do."""

from pathlib import Path


class InputError(Exception):
    """What the user gave cannot be used.

    The message is one line, ``where: what; remedy``. The command line prints it and exits with status 2.
    """

    def __init__(self, what: str, *, where: str | Path, remedy: str) -> None:
        super().__init__(f"{where}: {what}; {remedy}")
        self.what = what
        self.where = where
        self.remedy = remedy
