"""What a process says that stands by: that it lives, that it doesn't lead, and who does.

It has the port of the API and none of what the API shows: a standby senses nothing, so it has
nothing to show, and whoever asks it for more is sent to the leader.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from vagus.api.problems import Problem
from vagus.api.server import serve
from vagus.config import ApiSettings


@asynccontextmanager
async def serve_standby(settings: ApiSettings, leader: Callable[[], str]) -> AsyncIterator[int]:
    """Answer ``/healthz`` with 200 and the role ``standby``, and everything else with 503, until
    the context ends; gives the port. ``leader`` names whoever leads; it may block. Raises
    VagusError if the port is taken."""

    async def healthz(_request: Request) -> JSONResponse:
        who = await asyncio.to_thread(leader)
        return JSONResponse({"ok": True, "role": "standby", "leader": who})

    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        who = await asyncio.to_thread(leader)
        detail = f"this process stands by, and {who} leads; ask there"
        await Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail).response()(scope, receive, send)

    app = Starlette(routes=[Route("/healthz", healthz), Mount("/", app=other)])
    async with serve(app, settings) as port:
        yield port
