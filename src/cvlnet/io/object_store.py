"""Folders and object stores by one interface: s3://, gs://, abfs:// and all else that fsspec knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs  # type: ignore[import-untyped]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from cvlnet.errors import InputError
from cvlnet.io.files import written_whole


@dataclass(frozen=True)
class Store:
    """A folder, on this machine or in an object store. Methods raise InputError where it cannot be reached.

    remedy: for files that are missing.
    """

    url: str
    remedy: str
    files: Any
    root: str

    @staticmethod
    def of(url: str, remedy: str) -> Store:
        """The store at an address. Raises InputError if its kind is not known, or not installed."""
        try:
            return Store(url, remedy, *url_to_fs(url))
        except (ImportError, ValueError) as error:
            known = "give a folder, or an address such as s3://BUCKET/city.map (for which s3fs is installed)"
            raise InputError(f"cannot be used ({error})", where=url, remedy=known) from error

    @property
    def folder(self) -> Path | None:
        """The folder, if it is on this machine."""
        return Path(self.root) if isinstance(self.files, LocalFileSystem) else None

    def where(self, name: str) -> str:
        """A file, for messages."""
        return f"{self.url.rstrip('/')}/{name}"

    def read(self, name: str, most_bytes: int) -> bytes:
        """A file, or as much of it as shows that it is larger."""
        with self._reached(name):
            content: bytes = self.files.cat_file(f"{self.root}/{name}", start=0, end=most_bytes + 1)
            return content

    def last_four(self, name: str, size: int) -> str:
        """The last four bytes of a file, as text."""
        with self._reached(name):
            end: bytes = self.files.cat_file(f"{self.root}/{name}", start=max(size - 4, 0), end=size)
            return end.hex()

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        if self.folder is not None:
            with written_whole(self.folder / name) as temporary:
                temporary.write_bytes(content)
            return
        with self._reached(name):
            self.files.pipe_file(f"{self.root}/{name}", content)

    def sizes(self, name: str) -> dict[str, int]:
        """Sizes in bytes of all files in a folder of the store, by their names in it."""
        with self._reached(name):
            self.files.invalidate_cache()
            top = f"{self.root}/{name}/"
            found: dict[str, dict[str, Any]] = self.files.find(top, detail=True)
            return {path.partition(top)[2]: int(about["size"]) for path, about in found.items()}

    def remove(self, name: str) -> None:
        """Remove a file."""
        with self._reached(name):
            self.files.rm_file(f"{self.root}/{name}")

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        with self._reached(name):
            return bool(self.files.exists(f"{self.root}/{name}"))

    @contextmanager
    def _reached(self, name: str) -> Iterator[None]:
        """Turns whatever a store raises, each kind its own errors, into an InputError."""
        try:
            yield
        except FileNotFoundError as error:
            raise InputError("is missing", where=self.where(name), remedy=self.remedy) from error
        except Exception as error:
            remedy = "check the address, the network and your rights, then repeat the command, which resumes"
            reason = " ".join(f"{type(error).__name__} {error}".split())[:200]
            raise InputError(f"cannot be reached ({reason})", where=self.where(name), remedy=remedy) from error
