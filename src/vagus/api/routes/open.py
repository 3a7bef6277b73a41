"""``/healthz``, ``/metrics`` and ``/status``: reading that needs no token, on loopback.

Who watches Vagus scrapes ``/metrics`` like any other target; ``vagus status`` reads ``/status``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from vagus.api.access import Works, problem
from vagus.api.served import Served
from vagus.api.views import View
from vagus.config import Mode
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
async def metrics(request: Request, works: Works) -> Response:
    """Vagus's own metrics, as a Prometheus exposition."""
    return PlainTextResponse("".join(_exposition(works, request.app.state.counts)))


def _exposition(works: Served, counts: dict[str, int]) -> Iterator[str]:
    snapshot = works.snapshot()
    gauges = {
        "senses_trusted": float(snapshot.senses.trusted),
        "kill_switch": float(snapshot.stopped is not None),
        "incidents_active": float(len(snapshot.incidents)),
    }
    for name, value in {**gauges, **works.counters(), **counts}.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        yield f"# TYPE vagus_{name} {kind}\nvagus_{name} {value:g}\n"
    for view in snapshot.replicas:
        labels = f'component="{view.subject.component}",replica="{view.subject.replica}"'
        yield f"vagus_replica_share{{{labels}}} {view.share:g}\n"
