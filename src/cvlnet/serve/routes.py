"""The routes of the API."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from asyncio import wrap_future
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, no_type_check

from fastapi import APIRouter, File, Form, Header, Query, Request, Response, UploadFile
from fastapi import Path as InPath
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from pydantic import ValidationError

from cvlnet import __version__
from cvlnet.errors import InputError
from cvlnet.geo import LatLon
from cvlnet.serve import wire
from cvlnet.serve.fixes import truth_of
from cvlnet.serve.pictures import without_alpha
from cvlnet.serve.problems import MEDIA_TYPE, ProblemError, refused, too_many
from cvlnet.serve.service import Service
from cvlnet.serve.session import Session, Watcher
from cvlnet.serve.uploads import upload_name
from cvlnet.track.formats import write_trajectory
from cvlnet.track.formats.clock import time_zero_of

Export = Literal["geojson", "gpx", "kml", "csv", "tum", "nmea", "json"]
_TYPES: dict[str, str] = {
    "geojson": "application/geo+json",
    "gpx": "application/gpx+xml",
    "kml": "application/vnd.google-earth.kml+xml",
    "csv": "text/csv; charset=utf-8",
    "tum": "text/plain; charset=utf-8",
    "nmea": "text/plain; charset=utf-8",
    "json": "application/json",
}
_Sent = TypeVar("_Sent", wire.MeasuredPlace, wire.Odometry)
_HEARTBEAT_S = 15.0
_AT_ONCE = 500  # fixes that are read together
_MOST_FIXES = 10_000  # of an answer
_TILE_AGE_S = 86_400
_NUMBER = 2**53  # up to which JSON's numbers are whole

Key = Annotated[str, InPath(max_length=64, description="Id of the session")]
After = Annotated[int, Query(ge=-1, lt=_NUMBER, description="Number of a moment; -1 for all")]
MomentNumber = Annotated[int, InPath(ge=0, lt=_NUMBER, description="Number of the moment, from 0")]


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, for OpenAPI."""
    schema = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    texts = {
        400: "The request is malformed",
        404: "There is nothing of this name",
        409: "The session is not in a state for this",
        410: "The session is gone",
        413: "Too large",
        415: "Of another format",
        422: "The input cannot be used",
        429: "Too many requests, or sessions; see Retry-After",
    }
    return {status: {"description": texts[status], **schema} for status in statuses}


def api(service: Service) -> APIRouter:
    """The routes under /api."""
    common = {**_errors(422, 429)}
    router = APIRouter(prefix="/api", responses=common)
    events: dict[int | str, dict[str, Any]] = {
        200: {"content": {"text/event-stream": {}}},
        204: {"description": "Nothing more will come"},
        **_errors(404),
    }
    streams = asyncio.Semaphore(service.limits.streams)

    @router.get("/health", tags=["server"])
    def health() -> wire.Health:
        """Whether the server works, and how busy it is."""
        return wire.Health(status="ok", version=__version__, sessions=len(service.sessions()), tracked=service.tracked)

    @router.get("/map", tags=["map"])
    def get_map() -> wire.MapInfo:
        """The map on which drives are tracked."""
        return info

    info = service.served.info()

    @router.get(
        "/map/tiles/{z}/{x}/{y}.webp",
        tags=["map"],
        response_class=Response,
        responses={200: {"content": {"image/webp": {}}}, **_errors(404)},
    )
    def get_tile(z: int, x: int, y: int) -> Response:
        """A Web Mercator tile of 256 pixels of the overhead image, transparent outside of it."""
        try:
            tile = service.served.tiles.tile(z, x, y)
        except KeyError as error:
            raise ProblemError(404, "there is no such tile", where="z, x, y") from error
        return Response(tile, media_type="image/webp", headers={"Cache-Control": f"private, max-age={_TILE_AGE_S}"})

    @router.get("/drives", tags=["sessions"])
    def get_drives() -> list[wire.DriveInfo]:
        """The drives on the server's disk."""
        try:
            return service.drives.infos
        except InputError as error:
            raise refused(error, status=500) from error

    @router.post(
        "/sessions", status_code=201, tags=["sessions"], responses=_errors(400, 404, 413), response_model=wire.Session
    )
    def new_session(asked: wire.NewSession, response: Response) -> wire.Session:
        """Begin a session: of one of the server's drives, or of frames that will be sent."""
        return _created(service.begin(asked), response)

    @router.post(
        "/sessions/upload",
        status_code=201,
        tags=["sessions"],
        responses=_errors(400, 413),
        response_model=wire.Session,
    )
    @no_type_check  # FastAPI's files are not of the class that it has one name
    async def upload(
        request: Request,
        response: Response,
        video: Annotated[UploadFile, File(description="Video file, or ZIP file of pictures")],
        camera: Annotated[UploadFile, File(description="camera.json")],
        odometry: Annotated[UploadFile, File(description="CSV or TUM; of pictures with a line for each")],
        heading: Annotated[str | None, Form(max_length=40, description="As for other sessions")] = None,
        start: Annotated[
            str | None,
            Form(
                max_length=1000,
                description="A place near which the drive begins, as JSON: latitude_deg, longitude_deg, sigma_m",
            ),
        ] = None,
    ) -> wire.Session:
        """Begin a session of a recorded drive that is uploaded."""
        place = None if start is None else _read(wire.MeasuredPlace, start, "start")
        asked = wire.NewSession(heading=heading, start=place)
        name = upload_name(video.filename or "")
        session = await run_in_threadpool(service.upload, video.file, camera.file, odometry.file, asked, name)
        if await request.is_disconnected():  # whoever sent it has given up
            await run_in_threadpool(service.delete, session.about.id)
        return _created(session, response)

    @router.get("/sessions", tags=["sessions"])
    def get_sessions() -> list[wire.Session]:
        """All sessions, the newest first."""
        return [session.about.sent() for session in service.sessions()]

    @router.get("/sessions/{key}", tags=["sessions"], responses=_errors(404))
    def get_session(key: Key) -> wire.Session:
        """One session."""
        return service.session(key).about.sent()

    @router.delete("/sessions/{key}", status_code=204, tags=["sessions"], responses=_errors(404))
    def delete_session(key: Key) -> None:
        """Stop a session and delete all of its data."""
        service.delete(key)

    @router.post(
        "/sessions/{key}/frames",
        tags=["frames"],
        response_model=wire.Fix,
        responses=_errors(400, 404, 409, 413, 415),
    )
    @no_type_check  # as above
    async def add_frame(
        key: Key,
        odometry: Annotated[str, Form(max_length=1000, description="JSON: time_s, x_m, y_m, yaw_rad")],
        image: Annotated[UploadFile | None, File(description="JPEG or PNG, of the camera's size")] = None,
    ) -> Response:
        """Send a moment: its odometry, and a picture or none. The answer is the fix."""
        pose = _read(wire.Odometry, odometry, "odometry")
        answer = await run_in_threadpool(service.update, key, None if image is None else image.file, pose)
        return _json(await wrap_future(answer))

    @router.post(
        "/sessions/{key}/positions", tags=["frames"], response_model=wire.Fix, responses=_errors(400, 404, 409, 413)
    )
    async def add_position(key: Key, place: wire.MeasuredPlace) -> Response:
        """Send a measured position of the newest moment, such as a GPS fix. The answer is the fix that follows.

        It is not added to the session's fixes: the next moment's shows its effect.
        """
        position = LatLon(place.latitude_deg, place.longitude_deg)
        return _json(await wrap_future(service.fed(key).locate(position, place.sigma_m)))

    @router.post("/sessions/{key}/end", tags=["frames"], responses=_errors(404, 409))
    async def end_session(key: Key) -> wire.Session:
        """End a session to which moments were sent."""
        await wrap_future(service.fed(key).end())
        return service.session(key).about.sent()

    @router.get("/sessions/{key}/fixes", tags=["results"], response_model=list[wire.Fix], responses=_errors(404))
    def get_fixes(
        key: Key,
        after: After = -1,
        limit: Annotated[int, Query(ge=1, le=_MOST_FIXES)] = 1000,
    ) -> Response:
        """The fixes of the moments after one."""
        return _json(f"[{','.join(service.session(key).fixes(after, limit))}]")

    @router.get(
        "/sessions/{key}/events",
        tags=["results"],
        response_class=StreamingResponse,
        responses=events,
    )
    async def get_events(
        key: Key,
        after: After = -1,
        last_event_id: Annotated[
            str | None, Header(max_length=20, description="Id of the last event received; replaces after")
        ] = None,
    ) -> Response:
        """Server-sent events: every fix as it comes ("fix"), and the session where it changes ("status").

        The fixes are those of the moments after ``after``. The id of an event is the moment of the last fix so far, -1
        before the first. The stream ends with the session; a request with the last id is then answered by 204.
        """
        session = await run_in_threadpool(service.session, key)
        resumed = _moment_of(last_event_id)
        if resumed is not None:
            after = resumed
            if not session.is_open and after >= session.about.fixes - 1:
                return Response(status_code=204)  # so that the browser asks no more
        if streams.locked():
            raise too_many("too many event streams", 5.0)
        return EventSourceResponse(_limited(streams, _events(service, session, after)))

    @router.get("/sessions/{key}/moments", tags=["results"], responses=_errors(404))
    def get_moments(key: Key) -> list[wire.Moment]:
        """The moments with pictures."""
        return service.session(key).moments()

    def picture(
        key: str, moment: int, name: str, media_type: str, convert: Callable[[bytes], bytes] = bytes
    ) -> Response:
        found = service.session(key).picture(moment, name)
        if found is None:
            raise ProblemError(404, f"the moment has no {name}", where="moment", remedy="see /moments")
        path, corners = found
        headers = {"Cache-Control": "private, max-age=3600"}
        if corners is not None:
            headers["X-Corners"] = json.dumps(corners)
        try:
            return Response(convert(path.read_bytes()), media_type=media_type, headers=headers)
        except FileNotFoundError as error:
            raise ProblemError(404, f"the moment has no {name} any more", where="moment") from error

    jpeg: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}}, **_errors(404)}
    png: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}, **_errors(404)}
    webp: dict[int | str, dict[str, Any]] = {200: {"content": {"image/webp": {}}}, **_errors(404)}
    place = "/sessions/{key}/moments/{moment}"

    @router.get(f"{place}/frame.jpg", tags=["results"], response_class=Response, responses=jpeg)
    def get_frame(key: Key, moment: MomentNumber) -> Response:
        """The newest frame, as the network sees it."""
        return picture(key, moment, "frame", "image/jpeg")

    @router.get(f"{place}/projection.jpg", tags=["results"], response_class=Response, responses=jpeg)
    def get_projection(key: Key, moment: MomentNumber) -> Response:
        """The frames of the newest clip on the ground, north up. X-Corners: its position, if a place is likely."""
        return picture(key, moment, "projection", "image/jpeg", without_alpha)

    @router.get(f"{place}/projection.webp", tags=["results"], response_class=Response, responses=webp)
    def get_clear_projection(key: Key, moment: MomentNumber) -> Response:
        """The same, transparent where no frame sees the ground."""
        return picture(key, moment, "projection", "image/webp")

    @router.get(f"{place}/score.png", tags=["results"], response_class=Response, responses=png)
    def get_score(key: Key, moment: MomentNumber) -> Response:
        """The scores of the places around the vehicle. X-Corners: their position."""
        return picture(key, moment, "score", "image/png")

    @router.get(f"{place}/belief.png", tags=["results"], response_class=Response, responses=png)
    def get_belief(key: Key, moment: MomentNumber) -> Response:
        """The probability of every place of the map. X-Corners: their position."""
        return picture(key, moment, "belief", "image/png")

    @router.get("/sessions/{key}/truth", tags=["results"], responses=_errors(404))
    def get_truth(key: Key) -> list[wire.TruePlace]:
        """The true positions of the vehicle, if they are known."""
        return truth_of(service.session(key).truth())

    @router.get("/sessions/{key}/odometry", tags=["results"], responses=_errors(404))
    def get_odometry(key: Key) -> list[wire.OdometryPlace]:
        """The track of odometry alone, aligned with the first tracked fix."""
        return service.session(key).odometry()

    @router.get(
        "/sessions/{key}/export/{format}",
        tags=["results"],
        response_class=Response,
        responses={200: {"content": {kind.partition(";")[0]: {} for kind in _TYPES.values()}}, **_errors(404, 409)},
    )
    def export(
        key: Key,
        format: Export,  # noqa: A002
        time_zero: Annotated[
            str | None,
            Query(
                max_length=40,
                description="Date and time, with its zone, at which time_s is 0, in ISO 8601; for formats with dates. "
                "Without it times count from 1970",
            ),
        ] = None,
    ) -> Response:
        """The track as a file."""
        session = service.session(key)
        if not session.about.fixes:
            raise ProblemError(409, "the session has no fixes yet", where="id", remedy="wait for the first")
        start = None if time_zero is None else time_zero_of(time_zero, "time_zero")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"track.{format}"
            try:
                write_trajectory(session.trajectory(), path, start=start)
            except InputError as error:
                raise refused(error, Path(folder)) from error
            content = path.read_bytes()
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", session.about.name)[:80]
        headers = {"Content-Disposition": f'attachment; filename="{name}.{format}"'}
        return Response(content, media_type=_TYPES[format], headers=headers)

    return router


async def _events(service: Service, session: Session, after: int) -> AsyncIterator[bytes]:
    """The events of a session, from the moment after one on."""
    watcher = Watcher(asyncio.get_running_loop(), asyncio.Event())
    session.watched(watcher)
    last: wire.Session | None = None
    try:
        while not service.is_closing:
            watcher.event.clear()
            about = session.about
            status = about.sent()
            while fixes := await run_in_threadpool(partial(session.fixes, after, _AT_ONCE)):
                for fix in fixes:
                    after += 1
                    yield format_sse_event(event="fix", data_str=fix, id=str(after))
            if last is None or status.model_copy(update=_progress(last)) != last:
                last = status
                yield format_sse_event(event="status", data_str=status.model_dump_json(), id=str(after))
            if not session.is_open:
                if status.status == session.about.status:
                    return
                continue
            try:
                await asyncio.wait_for(watcher.event.wait(), _HEARTBEAT_S)
            except TimeoutError:
                yield KEEPALIVE_COMMENT
    finally:
        session.unwatched(watcher)


def _progress(session: wire.Session) -> dict[str, Any]:
    """What changes with every fix."""
    return {"fixes": session.fixes, "duration_s": session.duration_s}


async def _limited(streams: asyncio.Semaphore, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with streams:
        async for event in events:
            yield event


def _moment_of(event_id: str | None) -> int | None:
    """The moment that the id of an event names, -1 before the first; None for what is no such id."""
    return int(event_id) if event_id is not None and re.fullmatch("-1|[0-9]{1,15}", event_id) else None


def _created(session: Session, response: Response) -> wire.Session:
    response.headers["Location"] = f"/api/sessions/{session.about.id}"
    return session.about.sent()


def _json(content: str) -> Response:
    return Response(content, media_type="application/json")


def _read(kind: type[_Sent], text: str, where: str) -> _Sent:
    """A JSON object in a field of a form. Raises ProblemError for anything else."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        remedy = f"send {{{', '.join(kind.model_fields)}}} with finite numbers"
        raise ProblemError(422, _first(error.errors()), where=where, remedy=remedy) from error


def _first(errors: Any) -> str:
    """What the first of pydantic's errors says."""
    error = errors[0]
    where = ".".join(str(part) for part in error["loc"])
    return f"{where}: {error['msg']}" if where else str(error["msg"])
