"""Scraping real connections on loopback: what each kind of trouble is called, and that it is one
target's own."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from vagus.clock import SystemClock
from vagus.config import Kind
from vagus.model import Evidence, Failure, Scrape, Subject, signals
from vagus.telemetry import scrape
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.scrape import ScrapeSource
from vagus.topology import ComponentNode, Topology

RECORDED = Path(__file__).parents[2] / "data" / "expositions"
LLAMA = (RECORDED / "llamacpp.txt").read_bytes()
GOOD, OTHER = Subject("chat", "good"), Subject("chat", "other")

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def llama(request: web.Request) -> web.StreamResponse:
    return web.Response(body=LLAMA, headers={"Content-Type": "text/plain; version=0.0.4"})


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/metrics", answer)
    app.router.add_get("/elsewhere", llama)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await server.close()


@asynccontextmanager
async def saying(raw: bytes, *, hold: bool = False) -> AsyncIterator[str]:
    """A server that says just this, whatever it is asked; ``hold``: and keeps the line open."""
    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        if not hold:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()


def chat(path: str = "/metrics", **addresses: str) -> Topology:
    node = ComponentNode("chat", Kind.MODEL_SERVER, "llama.cpp", addresses, metrics_path=path)
    return Topology({"chat": node})


class Scraping:
    """A source that runs; ``until`` waits for evidence."""

    def __init__(self, topology: Topology, session: aiohttp.ClientSession, timeout: float) -> None:
        self.topology = topology
        self.seen: list[Scrape] = []
        self._came = asyncio.Event()
        clock = SystemClock()
        self.rejections = Rejections(clock)
        self.source = ScrapeSource(
            lambda: self.topology,
            session,
            clock,
            self.rejections,
            interval=0.05,
            timeout=timeout,
        )

    def emit(self, batch: Sequence[Evidence]) -> None:
        self.seen += [evidence for evidence in batch if isinstance(evidence, Scrape)]
        self._came.set()

    def of(self, subject: Subject) -> list[Scrape]:
        return [s for s in self.seen if s.subject == subject]

    def good(self) -> int:
        return sum(s.failure is None for s in self.of(GOOD))

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                self._came.clear()
                await self._came.wait()


@asynccontextmanager
async def scraping(topology: Topology, timeout: float = 15.0) -> AsyncIterator[Scraping]:
    async with aiohttp.ClientSession() as session:
        found = Scraping(topology, session, timeout)
        task = asyncio.create_task(found.source.run(found.emit))
        try:
            yield found
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def first_of(address: str, timeout: float = 15.0) -> tuple[Scrape, Scraping]:
    """The first scrape of a target, while a good one beside it is scraped on."""
    async with (
        serving(llama) as good,
        scraping(chat(good=good, other=address), timeout) as found,
    ):
        await found.until(lambda: bool(found.of(OTHER)))
        so_far = found.good()
        await found.until(lambda: found.good() >= so_far + 2)
        return found.of(OTHER)[0], found


async def test_a_real_exposition_becomes_canonical_signals() -> None:
    async with serving(llama) as address:
        scraped, found = await first_of(address)
    assert scraped.failure is None
    assert scraped.values[signals.STEPS] == 8
    assert scraped.values[signals.RUNNING] == 0
    assert not found.rejections.counts


async def test_gzip_is_unpacked() -> None:
    async def packed(request: web.Request) -> web.StreamResponse:
        assert "gzip" in request.headers["Accept-Encoding"]
        headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
        return web.Response(body=gzip.compress(LLAMA), headers=headers)

    async with serving(packed) as address:
        scraped, _ = await first_of(address)
    assert scraped.values[signals.STEPS] == 8


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    scraped, found = await first_of(f"http://127.0.0.1:{port}")
    assert scraped.failure is Failure.REFUSED
    assert not scraped.values
    assert found.rejections.counts[Rejected.SCRAPE_FAILED] >= 1


async def test_accepted_and_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        scraped, _ = await first_of(f"http://127.0.0.1:{silent.getsockname()[1]}", 0.3)
    assert scraped.failure is Failure.TIMEOUT


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.mark.parametrize(
    ("raw", "hold", "failure"),
    [
        (b"", False, Failure.RESET),
        (b"SSH-2.0-OpenSSH_9.2\r\n", False, Failure.UNPARSEABLE),
        (HEAD + b"Content-Length: 99\r\n\r\na 1\n", False, Failure.TRUNCATED),
        (HEAD + b"Content-Length: 99\r\n\r\na 1\n", True, Failure.TIMEOUT),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\na 1\n", False, Failure.TRUNCATED),
        (HEAD + b"Content-Encoding: gzip\r\n\r\nnot packed", False, Failure.TRUNCATED),
        (HEAD + b"\r\n<html>hello</html>", False, Failure.UNPARSEABLE),
        (HEAD + b"\r\n", False, Failure.UNPARSEABLE),
        (HEAD + b"\r\n\x00\x01\x02\x03", False, Failure.UNPARSEABLE),
    ],
)
async def test_what_a_broken_answer_is_called(raw: bytes, hold: bool, failure: Failure) -> None:
    async with saying(raw, hold=hold) as address:
        scraped, _ = await first_of(address, 0.5 if hold else 15.0)
    assert scraped.failure is failure


@pytest.mark.parametrize(
    ("status", "content_type", "failure"),
    [
        (200, "text/html", Failure.WRONG_TYPE),
        (200, "application/json", Failure.WRONG_TYPE),
        (500, "text/plain", Failure.SERVER_ERROR),
        (503, "text/html", Failure.SERVER_ERROR),
        (404, "text/plain", Failure.WRONG_TYPE),
        (401, "text/plain", Failure.WRONG_TYPE),
    ],
)
async def test_what_is_not_metrics(status: int, content_type: str, failure: Failure) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=LLAMA, content_type=content_type)

    async with serving(answer) as address:
        scraped, _ = await first_of(address)
    assert scraped.failure is failure


async def test_a_redirect_is_not_followed() -> None:
    async def away(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/elsewhere")

    async with serving(away) as address:
        scraped, _ = await first_of(address)
    assert scraped.failure is Failure.WRONG_TYPE


async def test_an_answer_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "MAX_BYTES", 1 << 20)
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        while True:
            await response.write(b"a 1\n" * 4096)
            sent += 4 * 4096

    async with serving(endless) as address:
        scraped, _ = await first_of(address)
    assert scraped.failure is Failure.UNPARSEABLE
    assert sent < 200 << 20


async def test_a_small_packet_that_unpacks_to_100_mb() -> None:
    bomb = gzip.compress(b"a 1\n" * (25 << 20))

    async def packed(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
        return web.Response(body=bomb, headers=headers)

    async with serving(packed) as address:
        scraped, _ = await first_of(address)
    assert scraped.failure in (Failure.UNPARSEABLE, Failure.TRUNCATED)


async def test_a_broken_line_is_counted_and_the_others_are_taken() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b'x{y="} 1\n' + LLAMA, content_type="text/plain")

    async with serving(answer) as address:
        scraped, found = await first_of(address)
    assert scraped.values[signals.STEPS] == 8
    assert found.rejections.counts[Rejected.EXPOSITION_LINE] >= 1


async def test_a_long_exposition_is_parsed_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "PARSED_ASIDE", 100)
    async with serving(llama) as address:
        scraped, _ = await first_of(address)
    assert scraped.values[signals.STEPS] == 8


async def test_a_component_without_metrics_is_not_asked() -> None:
    async with serving(llama) as address, scraping(chat(good=address)) as found:
        silent = ComponentNode("db", Kind.VECTOR_STORE, "pgvector", {})
        unmeasured = ComponentNode(
            "old", Kind.PIPELINE, "generic", {"old-1": address}, metrics_path=""
        )
        found.topology = Topology({**found.topology.components, "db": silent, "old": unmeasured})
        await found.until(lambda: len(found.seen) >= 3)
        assert {s.subject for s in found.seen} == {GOOD}


async def test_targets_follow_the_topology(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "FOLLOW", 0.02)
    async with serving(llama) as address, scraping(chat(good=address)) as found:
        await found.until(lambda: bool(found.of(GOOD)))
        found.topology = chat(good=address, other=address)
        await found.until(lambda: bool(found.of(OTHER)))
        found.topology = chat(other=address)
        so_far = len(found.of(OTHER))
        await found.until(lambda: len(found.of(OTHER)) >= so_far + 2)
        assert [subject for subject, _ in found.source._tasks] == [OTHER]
        # The same replica at another address, where nobody listens.
        found.topology = chat(other="http://127.0.0.1:1")
        await found.until(lambda: found.of(OTHER)[-1].failure is Failure.REFUSED)


async def test_a_bug_in_one_scrape_does_not_end_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = scrape._Target.read

    def read(target: scrape._Target, body: bytes) -> object:
        if target.subject == OTHER:
            raise RuntimeError("a bug")
        return real(target, body)

    monkeypatch.setattr(scrape._Target, "read", read)
    async with (
        serving(llama) as address,
        scraping(chat(good=address, other=address)) as found,
    ):
        await found.until(lambda: len(found.of(GOOD)) >= 3)
        assert not found.of(OTHER)
        assert all(not task.done() for task in found.source._tasks.values())
