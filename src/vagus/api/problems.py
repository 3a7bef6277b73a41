"""Every error as ``application/problem+json`` (RFC 9457): what is wrong, and the mend.

What is the caller's doing is said plainly. What is ours is logged with everything and answered with
nothing: an unexpected exception may hold whatever it was working with. What was sent is never
echoed, so that no answer carries a secret that stood in the wrong place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from vagus.errors import Conflict, NotFound, StateError, VagusError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"

SCHEMA: Mapping[str, object] = {
    "title": "Problem",
    "description": "Why it was not done (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "always about:blank: the status says the kind"},
        "title": {"type": "string", "description": "the status in words"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what is wrong with this very request"},
        "mend": {"type": "string", "description": "what to do about it"},
        "errors": {
            "type": "array",
            "description": "each mistake in what was sent, and where",
            "items": {
                "type": "object",
                "properties": {"where": {"type": "string"}, "what": {"type": "string"}},
            },
        },
    },
    "examples": [
        {
            "type": "about:blank",
            "title": "Conflict",
            "status": 409,
            "detail": "inc-1f0c9a3e:1:1:1: its time is over, which means no",
        }
    ],
}


class Problem(Exception):
    """Ends a request with this answer."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        mend: str = "",
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.mend = mend
        self.headers = dict(headers or {})
        self.errors = list(errors)

    def response(self) -> Response:
        body: dict[str, object] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
        }
        if self.mend:
            body["mend"] = self.mend
        if self.errors:
            body["errors"] = self.errors
        # ASCII, since what is quoted may hold text that UTF-8 can't (lone surrogates).
        text = json.dumps(body, ensure_ascii=True)
        return Response(text, int(self.status), self.headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let ``app`` answer every error this way."""

    async def problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return _answered(request, error)

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, VagusError)
        return _answered(request, _of_error(error))

    async def theirs(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        detail = _PLAIN.get(status, error.detail)
        return _answered(request, Problem(status, detail, headers=error.headers))

    async def misfit(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _answered(request, _of_misfit(error))

    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("api.failed", path=request.url.path, exc_info=error)
        detail = "Vagus failed to answer this; its log says why"
        return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail).response()

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(VagusError, ours)
    app.add_exception_handler(HTTPException, theirs)
    app.add_exception_handler(RequestValidationError, misfit)
    app.add_exception_handler(Exception, unexpected)


_PLAIN = {
    HTTPStatus.NOT_FOUND: "there is nothing at this path",
    HTTPStatus.METHOD_NOT_ALLOWED: "this can't be done at this path",
}


def _answered(request: Request, problem: Problem) -> Response:
    request.state.why = problem.detail  # for the audit
    return problem.response()


def _of_error(error: VagusError) -> Problem:
    where = f"{error.where}: " if error.where else ""
    if isinstance(error, Conflict):
        return Problem(HTTPStatus.CONFLICT, f"{where}{error.message}", mend=error.mend)
    if isinstance(error, NotFound):
        return Problem(HTTPStatus.NOT_FOUND, f"{where}{error.message}", mend=error.mend)
    if isinstance(error, StateError):
        log.error("api.state", error=str(error))
        return Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "the state can't be used now, so nothing was changed; Vagus's log says why",
            headers={"Retry-After": "5"},
        )
    log.error("api.failed", error=str(error))
    return Problem(HTTPStatus.BAD_GATEWAY, error.message, mend=error.mend)


def _of_misfit(error: RequestValidationError) -> Problem:
    errors = [
        {"where": "/".join(str(part) for part in found["loc"]), "what": str(found["msg"])}
        for found in error.errors()[:20]
    ]
    detail = "; ".join(f"{e['where']}: {e['what']}" for e in errors[:3])
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)
