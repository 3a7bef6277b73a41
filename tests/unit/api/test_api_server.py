"""The API on a real socket: the live feed, the port, and an end that nothing holds up."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import aiohttp
import pytest

from vagus.api.routes import events
from vagus.api.server import serve
from vagus.api.standby import serve_standby
from vagus.config import ApiSettings
from vagus.errors import VagusError
from vagus.testing.office import Office

PATIENCE = 60.0  # s: for a busy machine, not for a slow answer


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield session


def listening(office: Office, port: int = 0) -> AbstractAsyncContextManager[int]:
    return serve(office.app, ApiSettings(port=port), office.app.state.feeds.ending)


async def read(answer: aiohttp.ClientResponse, count: int) -> list[tuple[int, dict[str, object]]]:
    """The next ``count`` events: id and data."""
    found: list[tuple[int, dict[str, object]]] = []
    number = 0
    while len(found) < count:
        line = (await answer.content.readline()).decode()
        assert line, "the feed ended"
        name, _, value = line.rstrip("\n").partition(": ")
        if name == "id":
            number = int(value)
        elif name == "data":
            found.append((number, json.loads(value)))
    return found


async def test_the_feed_tells_what_is_written_and_goes_on_where_it_was(
    office: Office, session: aiohttp.ClientSession
) -> None:
    ledger = office.served.ledger
    async with listening(office) as port:
        url = f"http://127.0.0.1:{port}/v1/events"
        async with session.get(url, headers=office.headers("viewer")) as answer:
            assert answer.content_type == "text/event-stream"
            for step in ("a", "b"):
                ledger.append("w", step, "planned", {"ladder": [step]})
            first, second = await read(answer, 2)
        assert [data["sentence"] for _, data in (first, second)] == ["plan: a", "plan: b"]
        assert second[0] == ledger.head().seq  # from now on: nothing of what was before
        ledger.append("w", "c", "planned", {"ladder": ["c"]})
        headers = {**office.headers("viewer"), "Last-Event-ID": str(first[0])}
        async with session.get(url, headers=headers) as answer:
            again = await read(answer, 2)
        assert [data["step"] for _, data in again] == ["b", "c"]


async def test_an_open_feed_does_not_hold_up_the_end(
    office: Office, session: aiohttp.ClientSession
) -> None:
    async with listening(office) as port:
        url = f"http://127.0.0.1:{port}/v1/events"
        headers = {**office.headers("viewer"), "Last-Event-ID": "0"}
        answer = await session.get(url, headers=headers)
        await read(answer, 1)
    # The feed ended by itself: whoever read it sees an end, not a broken connection.
    await answer.content.read()
    assert office.app.state.feeds.open == 0


async def test_feeds_are_bounded(office: Office, session: aiohttp.ClientSession) -> None:
    office.app.state.feeds.open = events.FEEDS
    async with listening(office) as port:
        url = f"http://127.0.0.1:{port}/v1/events"
        async with session.get(url, headers=office.headers("viewer")) as answer:
            assert answer.status == 503
            assert answer.content_type == "application/problem+json"


async def test_a_feed_ends_with_its_token(office: Office, session: aiohttp.ClientSession) -> None:
    tokens = office.served.tokens
    viewer = next(token for token in tokens.all() if token.name == "viewer")
    async with listening(office) as port:
        url = f"http://127.0.0.1:{port}/v1/events"
        headers = {**office.headers("viewer"), "Last-Event-ID": "0"}
        async with session.get(url, headers=headers) as answer:
            await read(answer, 1)
            tokens.revoke(viewer.id, "test")
            rest = (await answer.content.read()).decode()  # until its end
    assert "token.revoked" not in rest


async def test_a_watchdog_may_ask_for_the_head_alone(
    office: Office, session: aiohttp.ClientSession
) -> None:
    async with listening(office) as port:
        for path, status in (("/healthz", 200), ("/v1/mode", 405)):
            url = f"http://127.0.0.1:{port}{path}"
            async with session.head(url, headers=office.headers("viewer")) as answer:
                assert answer.status == status


async def test_the_feed_needs_a_token(office: Office, session: aiohttp.ClientSession) -> None:
    async with (
        listening(office) as port,
        session.get(f"http://127.0.0.1:{port}/v1/events") as answer,
    ):
        assert answer.status == 401


async def test_a_forwarded_address_is_not_believed(
    office: Office, session: aiohttp.ClientSession
) -> None:
    """Else a guesser would have a fresh rate with each made-up address."""
    seen: list[object] = []
    inner = office.app.router

    async def looks(scope, receive, send):  # type: ignore[no-untyped-def]
        seen.append(scope["client"][0])
        await inner(scope, receive, send)

    office.app.middleware_stack = None
    office.app.router = looks  # type: ignore[assignment]
    async with listening(office) as port:
        headers = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
        async with session.get(f"http://127.0.0.1:{port}/healthz", headers=headers) as answer:
            assert answer.status == 200
            assert "server" not in answer.headers
    assert seen == ["127.0.0.1"]


async def test_a_port_that_is_taken_is_one_line(office: Office) -> None:
    async with listening(office) as port:
        with pytest.raises(VagusError, match=rf"127\.0\.0\.1:{port}: port {port} is in use"):
            async with listening(office, port):
                pass


async def test_a_port_is_free_again_at_once(office: Office) -> None:
    async with listening(office) as port:
        pass
    office.app.state.feeds.ending.clear()
    async with listening(office, port) as again:
        assert again == port


async def test_signals_stay_with_whoever_had_them(office: Office) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with listening(office):
        await asyncio.sleep(0)
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


async def test_a_standby_says_who_leads_and_nothing_else(session: aiohttp.ClientSession) -> None:
    async with serve_standby(ApiSettings(port=0), lambda: "vagus-1") as port:
        url = f"http://127.0.0.1:{port}"
        async with session.get(f"{url}/healthz") as answer:
            assert await answer.json() == {"ok": True, "role": "standby", "leader": "vagus-1"}
        for method, path in (("GET", "/"), ("PUT", "/v1/kill-switch"), ("GET", "/status")):
            async with session.request(method, url + path) as answer:
                assert answer.status == 503
                assert answer.content_type == "application/problem+json"
                assert "vagus-1 leads" in (await answer.json(content_type=None))["detail"]
