"""``/healthz``, ``/metrics`` and ``/status``: reading that needs no token, on loopback.

Who watches Vagus scrapes ``/metrics`` like any other target; ``vagus status`` reads ``/status``.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from vagus.api.access import Works, problem
from vagus.api.views.basics import View
from vagus.config import Mode
from vagus.metrics import CONTENT_TYPE, exposition
from vagus.state.records import encode

router = APIRouter(tags=["open"], responses={"default": problem("It can't be answered")})


class Health(View):
    ok: bool
    mode: Mode
    senses_trusted: bool


@router.get("/healthz")
async def healthz(works: Works) -> Health:
    """200 while Vagus works; it says so too when it holds still because it distrusts its senses:
    restarting it then would help nobody."""
    snapshot = works.snapshot()
    return Health(ok=True, mode=Mode(snapshot.mode), senses_trusted=snapshot.senses.trusted)


_STATUS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Now", "content": {"application/json": {"schema": {"type": "object"}}}}
}


@router.get("/status", responses=_STATUS)
async def status(works: Works) -> Response:
    """What Vagus sees and does: replicas, mode, senses, open incidents."""
    return Response(json.dumps(encode(works.snapshot())), media_type="application/json")


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(works: Works) -> Response:
    """Vagus's own metrics, as a Prometheus exposition."""
    return Response(exposition(works.readings()), headers={"Content-Type": CONTENT_TYPE})
