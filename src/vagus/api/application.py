"""The API, put together: routes behind the doors, every error a problem, one OpenAPI.

There are no pages of documentation here, since the usual ones load scripts from elsewhere; the
OpenAPI is at ``/openapi.json`` and, for people, in docs/reference/http-api.md. There is no CORS:
no page of another origin has any business here.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI

from vagus import __version__
from vagus.api import problems
from vagus.api.doors import GUARDED, Doors
from vagus.api.routes import (
    controls,
    events,
    incidents,
    injections,
    ledger,
    licences,
    open,
    proposals,
    rollouts,
)
from vagus.api.served import Served

_ABOUT = """\
What Vagus sees, decides and does, and the levers that people hold.

Everything under `/v1` needs a bearer token, made by `vagus token create`. Each role may do what
those before it may: viewer, operator, approver, admin. Errors are problems (RFC 9457), times are
seconds since the Unix epoch, and every call that changes something is in the ledger with its author
and its result.
"""

_ROUTERS = (incidents, proposals, ledger, licences, rollouts, injections, controls, events)


def build(served: Served) -> FastAPI:
    """The ASGI application."""
    app = _routes()
    app.state.served = served
    app.state.feeds = events.Feeds()
    problems.install(app)
    app.add_middleware(Doors, served=served, counts=served.refused)
    return app


def openapi() -> dict[str, Any]:
    """The OpenAPI of it, for which nothing has to run."""
    return _routes().openapi()


def _routes() -> FastAPI:
    app = FastAPI(
        title="Vagus",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,
    )
    app.include_router(open.router)
    guarded = APIRouter(prefix=GUARDED)
    for module in _ROUTERS:
        guarded.include_router(module.router)
    app.include_router(guarded)
    _describe_problems(app)
    return app


def _describe_problems(app: FastAPI) -> None:
    """Add the schema that every refusal refers to."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        schema = made()
        schema["components"]["schemas"]["Problem"] = dict(problems.SCHEMA)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
