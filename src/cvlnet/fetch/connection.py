"""Answers of a server that may be slow, interrupted or hostile: bounded in size, resumed, and from known hosts only."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests

from cvlnet import __version__
from cvlnet.errors import InputError
from cvlnet.io import files
from cvlnet.io.files import GB, NoSpaceError, written_whole

_MOST_REDIRECTIONS, _REDIRECTED = 5, (301, 302, 303, 307, 308)
_NOT_THERE = (404, 410)
_LATER = (408, 425, 429, 500, 502, 503, 504)  # states of a server that pass
_CHUNK_BYTES = 1 << 16  # of which the last is lost when a connection breaks
_LONGEST_WAIT_S = 60.0
_RESUME = "run the command again: what has arrived is kept"

_Answer = TypeVar("_Answer")


class NotThereError(Exception):
    """The server has nothing at an address, or only a blank picture."""


class StoppedError(InputError):
    """Nothing more can be fetched from this source now: a limit is reached, or its server cannot be reached."""

    @staticmethod
    def of(error: NoSpaceError) -> StoppedError:
        """Where the disk is full."""
        return StoppedError(error.what, where=error.where, remedy=f"{error.remedy} and {_RESUME}")


class _PassingError(Exception):
    """An error that may not occur again. after_s: when the server wants to be asked again."""

    def __init__(self, what: str, after_s: float = 0.0) -> None:
        super().__init__(what)
        self.after_s = after_s


@dataclass
class Connection:
    """The requests to one source.

    hosts: that may be asked, and that may be redirected to. secure: whether by https only. most_bytes: that are
    received in all. wait: for a number of seconds. arrived: is called with the number of bytes of every chunk.
    """

    hosts: Collection[str]
    secure: bool
    most_bytes: int
    attempts: int = 5
    timeout_s: float = 60.0
    wait: Callable[[float], None] = time.sleep
    arrived: Callable[[int], None] = lambda _: None
    received_bytes: int = 0
    _session: requests.Session = field(default_factory=requests.Session, repr=False)

    def read(self, address: str, most_bytes: int) -> bytes:
        """What a server answers, in memory.

        Raises NotThereError if it has nothing there, and InputError as `download` does.
        """

        def attempt() -> bytes:
            with self._answer(address, {}) as response:
                return b"".join(self._chunks(response, address, most_bytes))

        return self._persistently(attempt, address)

    def download(self, address: str, path: Path, most_bytes: int) -> None:
        """Download a file. What has arrived stays beside it (.part) while it can be resumed.

        Raises NotThereError if the server has nothing there, StoppedError if it cannot be reached, too much has been
        received or the disk is full, and InputError if the file is too large or the answer is a web page.
        """
        part = path.with_name(f"{path.name}.part")
        try:
            self._persistently(lambda: self._continue(address, part, most_bytes), address)
            part.replace(path)
            _version_file(part).unlink(missing_ok=True)
        except StoppedError:
            raise
        except InputError:
            part.unlink(missing_ok=True)
            _version_file(part).unlink(missing_ok=True)
            raise
        except OSError as error:
            remedy = "free some space or choose another place"
            raise StoppedError(f"cannot be written ({error.strerror})", where=path, remedy=remedy) from error

    def _persistently(self, attempt: Callable[[], _Answer], address: str) -> _Answer:
        """The result of an attempt that is repeated after errors that may pass, each time after a longer wait."""
        for number in range(self.attempts):
            try:
                return attempt()
            except _PassingError as error:
                reason = error
            except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
                raise InputError(f"is no address ({error})", where=address, remedy="correct it") from error
            except requests.RequestException as error:
                reason = _PassingError(_in_words(error))
            if number + 1 < self.attempts:
                self.wait(min(max(2.0**number, reason.after_s), _LONGEST_WAIT_S))
        what = f"cannot be reached, after {self.attempts} attempts ({reason})"
        raise StoppedError(what, where=address, remedy=f"later {_RESUME}") from reason

    def _continue(self, address: str, part: Path, most_bytes: int) -> None:
        """Download what is missing of a file; all of it unless the server still has the same version."""
        version = _version_of(part, address)
        have = part.stat().st_size if version is not None else 0
        asked = {"Range": f"bytes={have}-", "If-Range": version} if version is not None and have else {}
        with self._answer(address, asked) as response:
            start, total = _extent(response)
            if response.status_code == 416 and have and total == have:
                return
            if response.status_code == 416 or start not in (0, have):
                part.unlink(missing_ok=True)
                raise _PassingError("the server does not resume where it was asked to")
            if start == 0:
                part.unlink(missing_ok=True)
                _keep_version(part, address, response)
            if total is not None:
                require_space(part.parent, total - start)
            with part.open("ab") as file:
                for chunk in self._chunks(response, address, most_bytes - start):
                    file.write(chunk)
                size = file.tell()
        if total is not None and size != total:
            raise _PassingError(f"the connection broke after {size} of {total} bytes")

    @contextmanager
    def _answer(self, address: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        """The answer behind redirections, its body not yet read."""
        sent = {"User-Agent": f"cvlnet/{__version__}", "Accept-Encoding": "identity", **headers}
        here = address
        for _ in range(_MOST_REDIRECTIONS + 1):
            self._require_known(here, address)
            with self._session.get(
                here, headers=sent, stream=True, timeout=(self.timeout_s, self.timeout_s), allow_redirects=False
            ) as response:
                if response.status_code not in _REDIRECTED:
                    _require_answer(response, here)
                    yield response
                    return
                here = urljoin(here, response.headers.get("Location", ""))
        raise InputError("redirects without end", where=address, remedy="check the address in a browser")

    def _require_known(self, here: str, address: str) -> None:
        """Whether a server may be asked. A redirection must not lead elsewhere, or to a connection without https."""
        there = urlsplit(here)
        schemes = ("https",) if self.secure else ("http", "https")
        if there.scheme not in schemes or (there.hostname or "") not in self.hosts:
            led = (
                "is not on a server of this source" if here == address else f"leads to {here}, which is another server"
            )
            raise InputError(led, where=address, remedy="check the source's address in a browser")

    def _chunks(self, response: requests.Response, address: str, most_bytes: int) -> Iterator[bytes]:
        """The body of an answer, counted."""
        length = response.headers.get("Content-Length", "")
        expected = int(length) if length.isdecimal() else 0
        if expected > most_bytes:
            raise _too_large(address, most_bytes)
        if self.received_bytes + expected > self.most_bytes:
            raise self._full(address)
        count = 0
        for chunk in response.iter_content(_CHUNK_BYTES):
            count += len(chunk)
            self.received_bytes += len(chunk)
            if count > most_bytes:
                raise _too_large(address, most_bytes)
            if self.received_bytes > self.most_bytes:
                raise self._full(address)
            self.arrived(len(chunk))
            yield chunk

    def _full(self, address: str) -> StoppedError:
        what = f"needs more than the {self.most_bytes / GB:g} GB that may be received in total"
        return StoppedError(what, where=address, remedy=f"raise --max-gb and {_RESUME}")


def require_space(folder: Path, size_bytes: int) -> None:
    """Raises StoppedError unless so many bytes fit on a folder's disk, and some are left."""
    try:
        files.require_space(folder, size_bytes)
    except NoSpaceError as error:
        raise StoppedError.of(error) from error


def _require_answer(response: requests.Response, address: str) -> None:
    """Whether a server answers with what was asked for."""
    status = response.status_code
    if status in _NOT_THERE:
        raise NotThereError(address)
    if status in _LATER:
        after = response.headers.get("Retry-After", "")
        raise _PassingError(f"status {status}", float(after) if after.isdecimal() else 0.0)
    if status not in (200, 206, 416):
        what = f"answers with status {status} ({response.reason})"
        raise InputError(what, where=address, remedy="check in a browser that the source still has this address")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        what = "sends compressed data that was not requested"
        raise InputError(what, where=address, remedy="tell the source's maintainers")
    if response.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "text/html":
        what = "answers with a web page instead of data"
        raise InputError(what, where=address, remedy="read that page in a browser; the source may have moved")


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """Where the body of an answer begins in the file, and the size of the whole file, if the server says so."""
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    found = re.fullmatch(r"bytes (?:([0-9]+)-[0-9]+|\*)/([0-9]+|\*)", response.headers.get("Content-Range", ""))
    if found is None:
        return -1, None
    start, total = found.groups()
    return int(start or -1), None if total == "*" else int(total)


def _version_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _keep_version(part: Path, address: str, response: requests.Response) -> None:
    """Keep what tells whether the server still has the same file: a strong ETag, or else the time of its change."""
    etag = response.headers.get("ETag", "")
    version = etag if etag.startswith('"') else response.headers.get("Last-Modified")
    with written_whole(_version_file(part)) as temporary:
        temporary.write_text(json.dumps({"address": address, "version": version}), encoding="utf-8")


def _version_of(part: Path, address: str) -> str | None:
    """The version that a file's beginning is of; None if it cannot be continued from this address."""
    try:
        kept = json.loads(_version_file(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    version = kept.get("version") if isinstance(kept, dict) and kept.get("address") == address else None
    return version if isinstance(version, str) and version.isprintable() and part.is_file() else None


def _too_large(address: str, most_bytes: int) -> InputError:
    what = f"is larger than {most_bytes / 10**6:,.0f} MB, the most that is expected there"
    return InputError(what, where=address, remedy="check the source in a browser")


def _in_words(error: requests.RequestException) -> str:
    match error:
        case requests.Timeout():
            return "no answer in time"
        case requests.exceptions.SSLError():
            return "its certificate cannot be verified"
        case requests.exceptions.ProxyError():
            return "the proxy does not let it through"
        case requests.exceptions.ChunkedEncodingError():
            return "the connection broke"
        case _:
            return "no connection"
