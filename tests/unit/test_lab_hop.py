"""A hop passes bytes of a real server, and lies about ``/v1/*`` alone when told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from yarl import URL

from vagus.clock import SystemClock
from vagus.lab.hop import CONTROL_PATH, hop_to

EVENTS = [b'data: {"choices":[{"delta":{"content":"word%d"}}]}\n\n' % n for n in range(6)]


@dataclass
class Upstream:
    """A tiny model server; streams wait for :attr:`go` after their first event."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    headers: Mapping[str, str] = field(default_factory=dict)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.stream)
        app.router.add_post("/v1/echo", self.echo)
        app.router.add_get("/health", self.health)
        app.router.add_post("/v1/broken", self.broken)
        return app

    async def stream(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            await response.write(EVENTS[0])
            await self.go.wait()
            for event in EVENTS[1:]:
                await response.write(event)
                await asyncio.sleep(0)
        except (asyncio.CancelledError, ConnectionError):
            self.left.set()
            raise
        return response

    async def echo(self, request: web.Request) -> web.Response:
        self.headers = request.headers
        return web.Response(
            status=418,
            body=await request.read(),
            headers={"X-Query": request.rel_url.raw_query_string},
        )

    async def health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def broken(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response


@dataclass
class Setup:
    upstream: Upstream
    client: aiohttp.ClientSession
    base: str

    async def order(self, fault: str | None, **parameters: float) -> None:
        order = {"fault": fault, **parameters}
        async with self.client.post(self.base + CONTROL_PATH, json=order) as response:
            assert response.status == 200, await response.text()

    def ask(self) -> aiohttp.client._RequestContextManager:
        return self.client.post(f"{self.base}/v1/chat/completions", json={"stream": True})


@asynccontextmanager
async def running() -> AsyncIterator[Setup]:
    upstream = Upstream()
    server = TestServer(upstream.app())
    await server.start_server()
    port = unused_port()
    try:
        async with (
            hop_to(f"http://127.0.0.1:{server.port}", port, SystemClock()),
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as client,
        ):
            yield Setup(upstream, client, f"http://127.0.0.1:{port}")
    finally:
        await server.close()


async def test_bytes_status_and_headers_pass_unchanged() -> None:
    async with running() as s:
        body = bytes(range(256)) * 40
        headers = {"Traceparent": "00-abc-def-01", "X-User-Cluster": "gold"}
        async with s.client.post(
            URL(f"{s.base}/v1/echo?a=%20b&c=%2F", encoded=True), data=body, headers=headers
        ) as response:
            assert response.status == 418
            assert await response.read() == body
            assert response.headers["X-Query"] == "a=%20b&c=%2F"
        assert {name: s.upstream.headers.get(name) for name in headers} == headers


async def test_a_stream_is_handed_on_as_it_comes() -> None:
    async with running() as s, s.ask() as response:
        first = await response.content.readuntil(b"\n\n")
        assert first == EVENTS[0]
        assert not s.upstream.go.is_set()
        s.upstream.go.set()
        assert await response.read() == b"".join(EVENTS[1:])


async def test_a_caller_who_leaves_ends_the_servers_work() -> None:
    async with running() as s:
        async with s.ask() as response:
            await response.content.readuntil(b"\n\n")
            response.close()
        await asyncio.wait_for(s.upstream.left.wait(), 10)


async def test_a_cut_stream_is_a_reset_connection() -> None:
    async with running() as s:
        s.upstream.go.set()
        await s.order("cut", chunks=1)
        async with s.ask() as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientPayloadError, match="reset by peer"):
                await response.read()


async def test_a_server_that_breaks_off_is_passed_on_as_broken() -> None:
    async with running() as s, s.client.post(f"{s.base}/v1/broken") as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_garbage_comes_at_once_and_without_the_server() -> None:
    async with running() as s:
        await s.order("garbage")
        async with s.ask() as response:
            assert response.status == 200
            assert response.content_type == "text/html"
        assert s.upstream.asked == 0


async def test_nonsense_has_the_right_content_type_and_no_word_of_the_answer() -> None:
    async with running() as s:
        s.upstream.go.set()
        await s.order("garbage-json")
        async with s.ask() as response:
            assert response.content_type == "text/event-stream"
            text = await response.text()
        assert text.count("data: ") == len(EVENTS)
        assert "word" not in text


async def test_slow_answers_are_complete() -> None:
    async with running() as s:
        s.upstream.go.set()
        await s.order("slow", factor=2)
        async with s.ask() as response:
            assert await response.read() == b"".join(EVENTS)


@pytest.mark.parametrize("fault", ["garbage", "cut", "http-500"])
async def test_health_stays_what_the_server_says(fault: str) -> None:
    async with running() as s:
        await s.order(fault)
        async with s.client.get(f"{s.base}/health") as response:
            assert await response.json() == {"status": "ok"}


async def test_null_ends_a_fault() -> None:
    async with running() as s:
        s.upstream.go.set()
        await s.order("http-500", status=503)
        async with s.ask() as response:
            assert response.status == 503
        await s.order(None)
        async with s.ask() as response:
            assert await response.read() == b"".join(EVENTS)


async def test_a_dead_server_is_503() -> None:
    dead = f"http://127.0.0.1:{unused_port()}"
    port = unused_port()
    async with (
        hop_to(dead, port, SystemClock()),
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/health") as response,
    ):
        assert response.status == 503


Send = Callable[[aiohttp.ClientSession, str], Awaitable[aiohttp.ClientResponse]]


@pytest.mark.parametrize(
    "send",
    [
        lambda client, to: client.post(to, data={"fault": "garbage"}),
        lambda client, to: client.post(to, data=b"{", headers={"Content-Type": "application/json"}),
        lambda client, to: client.post(to, json={"fault": "explode"}),
    ],
    ids=["form", "not-json", "unknown"],
)
async def test_a_bad_order_changes_nothing_and_says_the_mend(send: Send) -> None:
    async with running() as s:
        async with await send(s.client, s.base + CONTROL_PATH) as response:
            assert response.status == 400
            assert set(await response.json()) == {"error", "mend"}
        async with s.client.get(s.base + CONTROL_PATH) as response:
            assert await response.json() == {"fault": None}
