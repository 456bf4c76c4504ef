"""The server as an ASGI application."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from cvlnet import __version__
from cvlnet.errors import InputError
from cvlnet.serve.problems import Problem, ProblemError, refused, response_of
from cvlnet.serve.routes import api
from cvlnet.serve.security import Access, Guard
from cvlnet.serve.service import Service

PAGE = Path(__file__).parent / "page_files"
_SWEEP_S = 10.0
_log = logging.getLogger("cvlnet")


def create_app(service: Service, access: Access = Access()) -> ASGIApp:
    """The API of a service, and the page that shows it, for those who may ask."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_sweeping, service)
            yield
            tasks.cancel_scope.cancel()

    app = FastAPI(
        title="CVLNet",
        summary="Where is the vehicle? Drives tracked on an overhead map.",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.include_router(api(service))
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(InputError, _input_error)
    app.add_exception_handler(Exception, _unexpected)
    _describe_problems(app)
    return Guard(app, access, service.limits)


async def _sweeping(service: Service) -> None:
    while True:
        await anyio.sleep(_SWEEP_S)
        try:
            await run_in_threadpool(service.sweep)
        except Exception:
            _log.exception("old sessions could not be deleted")


async def _problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)
    return response_of(error)


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return response_of(ProblemError(error.status_code, str(error.detail), headers=error.headers))


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return response_of(ProblemError(422, str(first["msg"]), where=where, remedy="see /api/openapi.json"))


async def _input_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InputError)
    return response_of(refused(error))


async def _unexpected(_: Request, error: Exception) -> JSONResponse:
    del error  # the server logs it
    return response_of(ProblemError(500, "the server has an error; its log says which"))


def _describe_problems(app: FastAPI) -> None:
    """Put the schema of errors into the OpenAPI description, where routes refer to it."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        described = original()
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        described.setdefault("components", {}).setdefault("schemas", {})["Problem"] = schema
        return described

    app.openapi = openapi  # type: ignore[method-assign]
