"""Errors as the API gives them: RFC 9457, application/problem+json."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from cvlnet.errors import InputError

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger("cvlnet")


class Problem(BaseModel):
    """What is wrong. where: in the input, and remedy: what to do about it, where that can be said."""

    model_config = ConfigDict(extra="forbid")

    title: str
    status: int
    detail: str
    where: str | None = None
    remedy: str | None = None


class ProblemError(HTTPException):
    """An answer of the API that is an error."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        where: str | None = None,
        remedy: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        title = HTTPStatus(status).phrase
        self.problem = Problem(title=title, status=status, detail=detail, where=where, remedy=remedy)


def response_of(error: ProblemError) -> JSONResponse:
    """The answer to a request that failed."""
    content = error.problem.model_dump(exclude_none=True)
    return JSONResponse(content, error.problem.status, error.headers, MEDIA_TYPE)


def refused(error: InputError, folder: Path | None = None, *, status: int = 422) -> ProblemError:
    """What is wrong with input. folder: of the session, whose path on the server is left out of the message.

    Characters that no encoding has, which JSON may hold as lone surrogates, are replaced.
    """
    return ProblemError(
        status,
        _inside(error.what, folder),
        where=_inside(str(error.where), folder),
        remedy=_inside(error.remedy, folder),
    )


def failure_of(error: Exception, folder: Path) -> ProblemError:
    """What ends a session. folder: of the session. An error that the input does not explain is logged."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, InputError):
        return refused(error, folder)
    if isinstance(error, ValueError):
        return ProblemError(422, str(error), remedy="correct what was sent")
    _log.error("session %s", folder.name, exc_info=error)
    return ProblemError(500, "the server has an error; its log says which")


def _inside(text: str, folder: Path | None) -> str:
    sendable = text.encode(errors="replace").decode()
    return sendable if folder is None else sendable.replace(f"{folder}/", "").replace(str(folder), "the upload")


def too_many(detail: str, wait_s: float) -> ProblemError:
    """A request that has to wait."""
    return ProblemError(
        429, detail, remedy="try again later", headers={"Retry-After": str(max(1, round(wait_s + 0.5)))}
    )
