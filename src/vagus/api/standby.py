"""What a process says that stands by: that it lives, that it doesn't lead, and who does.

It has the port of the API and none of what the API shows: a standby senses nothing, so it has
nothing to show, and whoever asks it for more is sent to the leader.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from vagus.config import ApiSettings
from vagus.errors import VagusError


@asynccontextmanager
async def serve_standby(settings: ApiSettings, leader: Callable[[], str]) -> AsyncIterator[None]:
    """Answer ``/healthz`` with 200 and the role ``standby``, and everything else with 503, until
    the context ends. ``leader`` names whoever leads; it may block. Raises VagusError if the port is
    taken."""

    async def healthz(_request: web.Request) -> web.Response:
        body = {"ok": True, "role": "standby", "leader": await asyncio.to_thread(leader)}
        return web.json_response(body)

    async def other(_request: web.Request) -> web.Response:
        body = {
            "type": "about:blank",
            "title": "This process stands by",
            "status": 503,
            "detail": f"{await asyncio.to_thread(leader)} leads; ask there",
        }
        return web.json_response(body, status=503, content_type="application/problem+json")

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.route("*", "/{path:.*}", other)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as error:
            raise VagusError(
                f"can't listen: {error.strerror}",
                where=f"{settings.host}:{settings.port}",
                mend="set api.port to another one, or to 0 for any",
            ) from error
        yield
    finally:
        await runner.cleanup()
