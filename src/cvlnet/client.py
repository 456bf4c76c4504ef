"""A client of `cvlnet serve`, for programs on other machines. Needs the extra ``client``: pip install 'cvlnet[client]'.

    client = Client("http://127.0.0.1:8080")
    for fix in client.track(moments, camera=json.loads(Path("camera.json").read_text()), heading="unknown"):
        print(fix["state"], fix["latitude_deg"], fix["longitude_deg"], fix["confidence"])

Fixes and sessions are dictionaries with the keys of the API; docs/serve.md describes them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, SupportsFloat

import httpx

Fix = dict[str, Any]
Session = dict[str, Any]

_TRIES = 5  # of a request that the server puts off, and of a connection
_LONGEST_WAIT_S = 60.0
_PAUSE_S = 0.25  # half of the first pause before a connection is opened again
_PASSING = (429, 502, 503, 504)  # status of answers of a busy server, and of a proxy while the server restarts
_OPEN = ("waiting", "running")  # status of a session that goes on


class ServerError(Exception):
    """An error of the server. problem: title, detail, status, and where and remedy if they are known."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        parts = [problem.get(key) for key in ("where", "detail", "remedy")]
        super().__init__("; ".join(str(part) for part in parts if part))
        self.problem = dict(problem)

    @property
    def status(self) -> int:
        """The status of the answer."""
        return int(self.problem.get("status", 0))


@dataclass(frozen=True)
class Moment:
    """A moment of a drive: the odometry, and a picture or none.

    picture: the path of a JPEG or PNG file, or its bytes, in an object of any kind, such as what cv2.imencode returns.
    x_m, y_m, yaw_rad: in a frame that stays the same; the yaw is counter-clockwise from x.
    """

    time_s: SupportsFloat
    x_m: SupportsFloat
    y_m: SupportsFloat
    yaw_rad: SupportsFloat
    picture: Any = None


class Client:
    """A connection to a server. token: if the server asks for one. transport: httpx's, for tests.

    All methods raise ServerError where the server refuses, and httpx.HTTPError where it cannot be reached.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout_s: float = 120.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, transport=transport)

    def map(self) -> dict[str, Any]:
        """The server's map."""
        return dict(self.ask("GET", "/api/map").json())

    def drives(self) -> list[dict[str, Any]]:
        """The drives on the server's disk."""
        return list(self.ask("GET", "/api/drives").json())

    def sessions(self) -> list[Session]:
        """All sessions, the newest first."""
        return list(self.ask("GET", "/api/sessions").json())

    def session(self, key: str) -> Session:
        """One session."""
        return dict(self.ask("GET", f"/api/sessions/{key}").json())

    def begin_drive(
        self,
        name: str,
        *,
        heading: str | None = None,
        start: tuple[float, float] | None = None,
        start_sigma_m: float = 20.0,
    ) -> Session:
        """Track one of the server's drives. heading and start: as `begin` has them."""
        asked = {"drive": name, **_known(heading, start, start_sigma_m)}
        return dict(self.ask("POST", "/api/sessions", json=asked).json())

    def upload(
        self,
        video: Path,
        camera: Path,
        odometry: Path,
        *,
        heading: str | None = None,
        start: tuple[float, float] | None = None,
        start_sigma_m: float = 20.0,
    ) -> Session:
        """Upload a recorded drive and track it. heading and start: as `begin` has them.

        video: a video file, or a ZIP file of pictures. camera: camera.json. odometry: CSV or TUM.
        """
        known = _known(heading, start, start_sigma_m)
        asked = {name: value if isinstance(value, str) else json.dumps(value) for name, value in known.items()}
        with video.open("rb") as first, camera.open("rb") as second, odometry.open("rb") as third:
            files = {"video": first, "camera": second, "odometry": third}
            return dict(self.ask("POST", "/api/sessions/upload", data=asked, files=files).json())

    def begin(
        self,
        camera: Mapping[str, Any],
        *,
        heading: str | None = None,
        start: tuple[float, float] | None = None,
        start_sigma_m: float = 20.0,
    ) -> LiveSession:
        """Begin a session to which you send the moments of a drive.

        camera: the keys of camera.json. heading: what is known of the first frame's, "±5" around that of the odometry,
        "90±20" (degrees clockwise from true north) or "unknown"; by default "±5", or "unknown" if the odometry begins
        with a yaw of about 0. start: latitude and longitude near which the drive begins, with the standard deviation
        start_sigma_m; anywhere on the map by default.
        """
        asked = {"camera": dict(camera), **_known(heading, start, start_sigma_m)}
        return LiveSession(self, dict(self.ask("POST", "/api/sessions", json=asked).json())["id"])

    def track(
        self, moments: Iterable[Moment], *, camera: Mapping[str, Any], heading: str | None = None
    ) -> Iterator[Fix]:
        """Send moments, and yield the fix of each."""
        with self.begin(camera, heading=heading) as session:
            for moment in moments:
                yield session.update(moment)

    def fixes(self, key: str, *, after: int = -1) -> Iterator[Fix]:
        """The fixes that a session has so far, those of the moments after one."""
        while some := self.ask("GET", f"/api/sessions/{key}/fixes", params={"after": after}).json():
            yield from some
            after = some[-1]["moment"]

    def follow(self, key: str, *, after: int = -1) -> Iterator[Fix]:
        """The fixes of a session as they come, those of the moments after one, until it ends.

        A connection that is lost is opened again, and the fixes go on where they stopped; the error is raised if that
        fails five times in a row.
        """
        failures = 0
        while True:
            try:
                for kind, data in self._events(key, after):
                    failures = 0
                    if kind == "fix":
                        after = data["moment"]
                        yield data
                    elif data["status"] not in _OPEN:
                        return
                raise httpx.RemoteProtocolError("the events end before the session does")
            except (httpx.TransportError, ServerError) as error:
                failures += 1
                if failures == _TRIES or (isinstance(error, ServerError) and error.status not in _PASSING):
                    raise
                time.sleep(_PAUSE_S * 2**failures)

    def _events(self, key: str, after: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events of a session on one connection: kind and data."""
        address, silence = f"/api/sessions/{key}/events", httpx.Timeout(60.0)
        with self._http.stream("GET", address, params={"after": after}, timeout=silence) as answer:
            if answer.is_error:
                answer.read()
            _require_success(answer)
            event = ""
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    yield event, dict(json.loads(value))

    def export(self, key: str, ending: str, *, time_zero: datetime | None = None) -> bytes:
        """The track of a session as a file: geojson, gpx, kml, csv, tum, nmea or json.

        time_zero: the date and time, with its zone, at which the drive's time is 0, for formats with dates; without it
        the times count from 1970.
        """
        dated = {} if time_zero is None else {"time_zero": time_zero.isoformat()}
        return self.ask("GET", f"/api/sessions/{key}/export/{ending}", params=dated).content

    def delete(self, key: str) -> None:
        """Delete a session."""
        self.ask("DELETE", f"/api/sessions/{key}")

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, method: str, address: str, **content: Any) -> httpx.Response:
        """Any request of the API; repeated while the server answers with status 429. content: arguments of httpx."""
        for tried in range(_TRIES):
            answer = self._http.request(method, address, **content)
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS or tried == _TRIES - 1:
                break
            wait_s = answer.headers.get("Retry-After", "")  # a proxy may write a date
            time.sleep(min(float(wait_s) if wait_s.isdecimal() else 1.0, _LONGEST_WAIT_S))
        _require_success(answer)
        return answer


class LiveSession:
    """A session to which moments are sent; it ends with the ``with`` block.

    with client.begin(camera) as session:
        fix = session.update(Moment(time_s, x_m, y_m, yaw_rad, picture))
    """

    def __init__(self, client: Client, key: str) -> None:
        self._client, self.key, self._ended = client, key, False

    def update(self, moment: Moment) -> Fix:
        """Send a moment; return its fix."""
        odometry = {name: float(getattr(moment, name)) for name in ("time_s", "x_m", "y_m", "yaw_rad")}
        files: dict[str, tuple[str | None, str | bytes]] = {"odometry": (None, json.dumps(odometry))}
        if (picture := moment.picture) is not None:
            is_path = isinstance(picture, str | Path)
            files["image"] = ("image", Path(picture).read_bytes() if is_path else bytes(memoryview(picture)))
        return dict(self._client.ask("POST", f"/api/sessions/{self.key}/frames", files=files).json())

    def locate(self, latitude_deg: SupportsFloat, longitude_deg: SupportsFloat, sigma_m: SupportsFloat) -> Fix:
        """Send a measured position of the newest moment; return the new fix."""
        place = _measured(latitude_deg, longitude_deg, sigma_m)
        return dict(self._client.ask("POST", f"/api/sessions/{self.key}/positions", json=place).json())

    def end(self) -> Session:
        """End the session."""
        self._ended = True
        return dict(self._client.ask("POST", f"/api/sessions/{self.key}/end").json())

    def __enter__(self) -> LiveSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ended:
            return
        if error is None:
            self.end()
            return
        with suppress(ServerError, httpx.HTTPError):  # the first error is the one to raise
            self.end()


def _known(heading: str | None, start: tuple[float, float] | None, sigma_m: float) -> dict[str, Any]:
    """What is known at the beginning of a session, as the API has it."""
    place = None if start is None else _measured(*start, sigma_m)
    return {name: value for name, value in (("heading", heading), ("start", place)) if value is not None}


def _measured(latitude_deg: SupportsFloat, longitude_deg: SupportsFloat, sigma_m: SupportsFloat) -> dict[str, float]:
    return {"latitude_deg": float(latitude_deg), "longitude_deg": float(longitude_deg), "sigma_m": float(sigma_m)}


def _require_success(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"status": answer.status_code, "detail": f"the server answers with status {answer.status_code}"}
    raise ServerError(problem)
