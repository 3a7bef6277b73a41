"""The live feed: entries of the ledger as they are written, as server-sent events.

It reads the ledger and is told nothing by those who write it: so it shows what other processes of
the same state wrote, misses nothing between a reconnect and the next look, and can't slow anybody
down. Each event's id is the entry's number; a browser's ``EventSource`` sends the last one it saw
as ``Last-Event-ID`` when it comes back. An open feed ends with the server, at once, and with the
token that opened it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.responses import StreamingResponse

from vagus.api.access import Caller, Works, needs
from vagus.api.problems import Problem
from vagus.api.served import Served
from vagus.api.views.ledger import EntryView
from vagus.model import Role

router = APIRouter(prefix="/events", tags=["events"])

LOOK_EVERY = 0.2  # s between two looks at the ledger
STILL_HERE = 15.0  # s of silence after which a comment keeps proxies from giving up
AT_ONCE = 100  # entries of one look
FEEDS = 32  # open at the same time

_NUMBER = r"^[0-9]{1,15}$"
_TELLS = needs(Role.VIEWER, HTTPStatus.SERVICE_UNAVAILABLE)
_ANSWERS: dict[int | str, dict[str, Any]] = {
    **_TELLS.pop("responses"),
    200: {
        "description": "`id` is the entry's number, `data` the entry as JSON",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
}


class Feeds:
    """How many are open, and the sign to end."""

    def __init__(self) -> None:
        self.open = 0
        self.ending = asyncio.Event()


@router.get("", response_class=StreamingResponse, responses=_ANSWERS, **_TELLS)
async def feed(
    request: Request,
    works: Works,
    caller: Caller,
    last_event_id: Annotated[
        str | None,
        Header(pattern=_NUMBER, description="the number of the last entry that was seen"),
    ] = None,
) -> StreamingResponse:
    """Entries of the ledger from now on, or after `Last-Event-ID`, as they are written."""
    feeds: Feeds = request.app.state.feeds
    if feeds.open >= FEEDS:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"{FEEDS} feeds are open already",
            mend="close one",
            headers={"Retry-After": "5"},
        )
    if last_event_id is None:
        after = (await asyncio.to_thread(works.ledger.head)).seq
    else:
        after = int(last_event_id)
    return StreamingResponse(
        _entries(works, feeds, caller.id, after),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _entries(works: Served, feeds: Feeds, token: str, after: int) -> AsyncIterator[str]:
    feeds.open += 1
    try:
        yield f"retry: {1000 * LOOK_EVERY:.0f}\n\n"
        silent = 0.0
        while not feeds.ending.is_set():
            found = await asyncio.to_thread(_next, works, token, after)
            if found is None:
                return
            for entry in found:
                after = entry.seq
                yield f"id: {entry.seq}\ndata: {entry.model_dump_json()}\n\n"
            silent = 0.0 if found else silent + LOOK_EVERY
            if silent >= STILL_HERE:
                silent = 0.0
                yield ": still here\n\n"
            if len(found) < AT_ONCE:
                await _until(feeds.ending, LOOK_EVERY)
    finally:
        feeds.open -= 1


def _next(works: Served, token: str, after: int) -> list[EntryView] | None:
    """What was written since; None if whoever listens may no longer."""
    if not works.tokens.stands(token):
        return None
    return [EntryView.of(entry) for entry in works.ledger.page(after, AT_ONCE)]


async def _until(ending: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await ending.wait()
    except TimeoutError:
        return
