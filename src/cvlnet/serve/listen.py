"""A service at an address of the network, until it is interrupted."""

from __future__ import annotations

import ipaddress
import secrets
import signal
import socket
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

import uvicorn

from cvlnet.errors import InputError
from cvlnet.serve.app import create_app
from cvlnet.serve.security import LOOPBACK, Access
from cvlnet.serve.service import Service

_PATIENCE_S = 2  # for answers that are under way at the end


@dataclass(frozen=True)
class Address:
    """Where a server listens, and what it asks for.

    token: None makes one where other machines may reach the server. names: by which requests may call it besides.
    """

    host: str
    port: int
    token: str | None = None
    names: tuple[str, ...] = ()

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone reaches it."""
        return self.host in LOOPBACK

    def access(self) -> Access:
        """Who may ask there."""
        token = self.token or (None if self.is_loopback else secrets.token_urlsafe(24))
        any_address = False
        with suppress(ValueError):  # a name
            any_address = ipaddress.ip_address(self.host).is_unspecified
        return Access(token, (self.host, socket.gethostname(), *self.names), any_address)


def listen(service: Service, address: Address, *, show: bool = False, session: str | None = None) -> None:
    """Answer requests until the process is interrupted. show: opens the page in the browser, with a session if given.

    Raises InputError if the address cannot be used.
    """
    access = address.access()
    config = uvicorn.Config(
        create_app(service, access),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE_S,
    )
    with _bound(address) as listener:
        host = f"[{address.host}]" if ":" in address.host else address.host
        place = f"http://{host}:{listener.getsockname()[1]}/"
        place += "" if access.token is None else f"?token={access.token}"
        place += "" if session is None else f"#session={session}"
        print(f"{service.served.info().name} at {place} (Ctrl-C ends it)", flush=True)  # noqa: T201
        if show:
            webbrowser.open(place)
        with _ended_by_sigterm():
            _Server(config, service).run([listener])


class _Server(uvicorn.Server):
    """A server that ends the event streams first when it is interrupted."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As uvicorn has it."""
        self._service.hush()
        super().handle_exit(sig, frame)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, which uvicorn passes on at its end, leave the block instead of ending the process within it."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _bound(address: Address) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return socket.create_server((address.host, address.port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        remedy = "give another --port or --host"
        where = f"{address.host}:{address.port}"
        raise InputError(f"cannot be listened on ({error})", where=where, remedy=remedy) from error
