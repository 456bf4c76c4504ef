"""What stands before the API: who may ask, how often, how much; and what browsers are told."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi.responses import RedirectResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cvlnet.serve.limits import Limits, Rate
from cvlnet.serve.problems import ProblemError, response_of, too_many

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SAFE = ("GET", "HEAD", "OPTIONS")
_UPLOAD, _FRAMES = "/api/sessions/upload", "/frames"
_LONGEST_LENGTH = 15  # digits of a content length
_FORM_BYTES = 100_000  # of a multipart request besides its files
_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class Access:
    """Who may ask. token: that every request needs; None for servers on this machine alone.

    names: of the host, as requests may call it, besides the loopback's. any_address: whether a request may call it by
    any IP address, as it has to where the server listens on all of them.
    """

    token: str | None = None
    names: Sequence[str] = ()
    any_address: bool = False

    def knows_host(self, host: str) -> bool:
        """Whether a Host header names this server. Others come from pages that have their own name lead here."""
        name = (_hostname(host) or "").lower()
        if name in LOOPBACK or name in (known.lower() for known in self.names):
            return True
        return self.any_address and _is_address(name)

    @property
    def cookie(self) -> str:
        """The name of the cookie that holds the token: of its own for each, as browsers share a host's among ports."""
        return f"cvlnet-{sha256((self.token or '').encode()).hexdigest()[:12]}"

    def is_token(self, given: str | None) -> bool:
        """Whether a request may be answered that gives this token."""
        return self.token is None or (given is not None and secrets.compare_digest(given.encode(), self.token.encode()))


class Guard:
    """An ASGI application before another one, which gets the requests alone that may be answered."""

    def __init__(self, app: ASGIApp, access: Access, limits: Limits) -> None:
        self._app, self._access, self._limits = app, access, limits
        self._all = Rate(limits.requests_per_s, limits.burst)
        self._new = Rate(limits.new_per_s, limits.new_burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            entrance = self._entrance(scope)
            if entrance is not None:
                await entrance(scope, receive, send_with_headers)
                return
            most_bytes = self._checked(scope)
        except ProblemError as error:
            await response_of(error)(scope, receive, send_with_headers)
            return
        await self._app(scope, _bounded(receive, most_bytes), send_with_headers)

    def _entrance(self, scope: Scope) -> RedirectResponse | None:
        """The way in for a browser that has the token in the page's address: it is kept in a cookie from then on."""
        headers = Headers(scope=scope)
        if not self._access.knows_host(headers.get("host", "")):
            remedy = "use the name that `cvlnet serve` was given, or give it another by --name"
            raise ProblemError(421, "the server has another name", where="Host", remedy=remedy)
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query).get("token")
        if scope["path"] != "/" or given is None or self._access.token is None or not self._access.is_token(given):
            return None
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        answer = RedirectResponse("/" + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(
            self._access.cookie, given, httponly=True, samesite="strict", secure=scope["scheme"] == "https"
        )
        return answer

    def _checked(self, scope: Scope) -> int:
        """The most bytes that a request may have. Raises ProblemError unless it may be answered."""
        headers, path, method = Headers(scope=scope), scope["path"], scope["method"]
        if not self._access.is_token(_token(headers, self._access.cookie)):
            remedy = "send it as Authorization: Bearer TOKEN, or open the page's address with ?token=TOKEN once"
            challenge = {"WWW-Authenticate": "Bearer"}
            raise ProblemError(401, "a token is needed", where="Authorization", remedy=remedy, headers=challenge)
        if method not in _SAFE:
            _require_own_page(headers)
        client = scope["client"][0] if scope.get("client") else ""
        begins = method == "POST" and path.rstrip("/") in ("/api/sessions", _UPLOAD)
        wait_s = self._all.wait_s(client) or (self._new.wait_s(client) if begins else 0.0)
        if wait_s > 0:
            raise too_many("too many requests", wait_s)
        most_bytes = self._most_bytes(path)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > _LONGEST_LENGTH or int(length) > most_bytes:
            raise _too_large(most_bytes)
        return most_bytes

    def _most_bytes(self, path: str) -> int:
        if path.rstrip("/") == _UPLOAD:
            return self._limits.upload_bytes + _FORM_BYTES
        if path.rstrip("/").endswith(_FRAMES):
            return self._limits.frame_bytes + _FORM_BYTES
        return self._limits.json_bytes


def _token(headers: Headers, cookie_name: str) -> str | None:
    """The token that a request gives: as a bearer, or in its cookie."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(cookie_name)
    except CookieError:
        return None
    return None if cookie is None else cookie.value


def _require_own_page(headers: Headers) -> None:
    """Raise ProblemError for a request that changes something and comes from the page of another server."""
    origin = headers.get("origin")
    other = origin is not None and _netloc(origin) != headers.get("host", "").lower()
    if other or headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ProblemError(403, "the request comes from the page of another server", where="Origin")


def _bounded(receive: Receive, most_bytes: int) -> Receive:
    """The body of a request, which may not state its length, up to so many bytes."""
    left = most_bytes

    async def receive_some() -> Message:
        nonlocal left
        message = await receive()
        if message["type"] == "http.request":
            left -= len(message.get("body", b""))
            if left < 0:
                raise _too_large(most_bytes)
        return message

    return receive_some


def _too_large(most_bytes: int) -> ProblemError:
    return ProblemError(413, f"the request is too large: {most_bytes / 1e6:.2g} MB are the most", remedy="send less")


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
