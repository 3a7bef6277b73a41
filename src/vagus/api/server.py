"""``/healthz``, ``/metrics`` and ``/status`` of the running process.

Read-only: nothing here changes state, so nothing here needs a token. Who watches Vagus scrapes
``/metrics`` like any other target; ``vagus status`` reads ``/status``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import web

from vagus.config import ApiSettings
from vagus.errors import VagusError
from vagus.snapshot import Snapshot
from vagus.state.records import encode


class Served(Protocol):
    """What the server shows: the running whole."""

    def snapshot(self) -> Snapshot: ...

    def counters(self) -> Mapping[str, float]:
        """Vagus's own counters by metric name, without prefix; ``_total`` marks what only grows."""
        ...


@asynccontextmanager
async def serve(vagus: Served, settings: ApiSettings) -> AsyncIterator[None]:
    """Listen until the context ends. Raises VagusError if the port is taken."""
    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", lambda request: _health(vagus)),
            web.get("/metrics", lambda request: _metrics(vagus)),
            web.get("/status", lambda request: _status(vagus)),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port, shutdown_timeout=1.0).start()
        except OSError as error:
            raise VagusError(
                f"port {settings.port} is in use" if error.errno == 98 else str(error),
                where=f"{settings.host}:{settings.port}",
                mend="set api.port to another one, or to 0 for any",
            ) from error
        yield
    finally:
        await runner.cleanup()


async def _health(vagus: Served) -> web.Response:
    """200 while Vagus works; it says so too when it holds still because it distrusts its senses:
    restarting it then would help nobody."""
    snapshot = vagus.snapshot()
    body = {"ok": True, "mode": snapshot.mode, "senses_trusted": snapshot.senses.trusted}
    return web.json_response(body)


async def _status(vagus: Served) -> web.Response:
    return web.json_response(text=json.dumps(encode(vagus.snapshot())))


async def _metrics(vagus: Served) -> web.Response:
    snapshot = vagus.snapshot()
    gauges = {
        "senses_trusted": float(snapshot.senses.trusted),
        "kill_switch": float(snapshot.stopped is not None),
        "incidents_active": float(len(snapshot.incidents)),
    }
    lines = []
    for name, value in {**gauges, **vagus.counters()}.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        lines.append(f"# TYPE vagus_{name} {kind}\nvagus_{name} {value:g}\n")
    for view in snapshot.replicas:
        labels = f'component="{view.subject.component}",replica="{view.subject.replica}"'
        lines.append(f"vagus_replica_share{{{labels}}} {view.share:g}\n")
    return web.Response(text="".join(lines), content_type="text/plain", charset="utf-8")
