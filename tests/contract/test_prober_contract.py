"""What every Prober promises: whatever a replica does, one Probe with its name, and no exception.

The replicas are real servers on loopback that write bytes as they please.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from vagus.adapters import http
from vagus.adapters.openai.chat import ChatProber
from vagus.adapters.openai.embeddings import EmbeddingsProber, digest
from vagus.adapters.openai.exchange import Exchanges
from vagus.adapters.openai.health import HealthProber
from vagus.clock import SystemClock
from vagus.model import Failure, Probe, Subject
from vagus.ports import Prober

SUBJECT = Subject("chat", "chat-1")
LONG = 20.0  # s: a deadline that is not reached
Behaviour = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Replica:
    """Reads one request and then behaves. Keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.address = ""

    async def serve(self, behave: Behaviour, stack: AsyncExitStack) -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                ]
                body = await reader.readexactly(sum(length))
                self.requests.append((head.split(b"\r\n")[0].decode(), body))
                await behave(body, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        stack.push_async_callback(_stop, server)
        self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _stop(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


class Bench:
    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.replica = Replica()

    async def prober(
        self,
        kind: str,
        behave: Behaviour | None,
        *,
        deadline: float = LONG,
        model: str | None = None,
    ) -> Prober:
        if behave is not None:
            await self.replica.serve(behave, self._stack)
        session = await self._stack.enter_async_context(http.open_session())
        exchanges = Exchanges(
            session, lambda subject: self.replica.address or None, SystemClock(), deadline
        )
        if kind == "health":
            return HealthProber(exchanges)
        made = {"chat": ChatProber, "embeddings": EmbeddingsProber}[kind]
        return made(exchanges, lambda subject: model)

    async def probe(self, kind: str, behave: Behaviour | None, deadline: float = LONG) -> Probe:
        return await (await self.prober(kind, behave, deadline=deadline)).probe(SUBJECT)


@pytest.fixture
def bench(stack: AsyncExitStack) -> Bench:
    return Bench(stack)


def says(
    body: bytes | str, *, status: str = "200 OK", kind: str = "", length: int | None = None
) -> Behaviour:
    """Answers with ``body`` and closes; ``length`` is what it claims to be long."""
    raw = body.encode() if isinstance(body, str) else body

    async def behave(request: bytes, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status}\r\n"
        if kind:
            head += f"Content-Type: {kind}\r\n"
        if length is not None:
            head += f"Content-Length: {length}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + raw)
        await writer.drain()

    return behave


async def hangs(request: bytes, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(LONG)


async def resets(request: bytes, writer: asyncio.StreamWriter) -> None:
    peer = writer.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def closes(request: bytes, writer: asyncio.StreamWriter) -> None:
    return


async def talks_nonsense(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff\x13 this is no HTTP\r\n\r\n")
    await writer.drain()


def never_ends(kind: str) -> Behaviour:
    async def behave(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode())
        for _ in range(10_000):
            writer.write(b": x" * 1000)
            await writer.drain()

    return behave


RIGHT_TYPE = {
    "chat": "text/event-stream",
    "embeddings": "application/json",
    "health": "text/plain",
}
every_kind = pytest.mark.parametrize("kind", sorted(RIGHT_TYPE))


@every_kind
@pytest.mark.parametrize(
    ("behave", "failure"),
    [
        (resets, Failure.RESET),
        (closes, Failure.RESET),
        (talks_nonsense, Failure.UNPARSEABLE),
        (says("{}", status="500 Oh", kind="application/json"), Failure.SERVER_ERROR),
        (says("", status="503 Loading"), Failure.SERVER_ERROR),
        (says("{}", status="404 No", kind="application/json"), Failure.UNPARSEABLE),
        (says("", status="302 Moved\r\nLocation: http://127.0.0.1:9/"), Failure.UNPARSEABLE),
    ],
)
async def test_whatever_it_does_is_named(
    bench: Bench, kind: str, behave: Behaviour, failure: Failure
) -> None:
    probe = await bench.probe(kind, behave)
    assert probe.failure is failure
    assert probe.subject == SUBJECT
    assert probe.at > 1e9
    assert probe.duration > 0


@every_kind
async def test_a_replica_that_is_silent_is_given_up_at_the_deadline(
    bench: Bench, kind: str
) -> None:
    assert (await bench.probe(kind, hangs, deadline=0.1)).failure is Failure.TIMEOUT


@every_kind
async def test_a_replica_that_accepts_and_never_reads_is_given_up_too(
    bench: Bench, kind: str, stack: AsyncExitStack
) -> None:
    # As a process that was stopped: the kernel accepts in its place.
    listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    bench.replica.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    assert (await bench.probe(kind, None, deadline=0.1)).failure is Failure.TIMEOUT


@every_kind
async def test_a_replica_that_is_not_there_is_refused(bench: Bench, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        bench.replica.address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    assert (await bench.probe(kind, None)).failure is Failure.REFUSED


@every_kind
@pytest.mark.parametrize("address", ["http://127.0.0.1:0", "http://[", "nonsense", ""])
async def test_an_address_that_leads_nowhere_is_a_failure_like_others(
    bench: Bench, kind: str, address: str
) -> None:
    bench.replica.address = address
    assert (await bench.probe(kind, None)).failure in (Failure.REFUSED, Failure.UNPARSEABLE)


@every_kind
async def test_an_answer_without_an_end_costs_no_more_than_a_plausible_one(
    bench: Bench, kind: str
) -> None:
    probe = await bench.probe(kind, never_ends(RIGHT_TYPE[kind]))
    assert probe.failure is Failure.UNPARSEABLE


@every_kind
async def test_an_answer_that_breaks_off_is_truncated(bench: Bench, kind: str) -> None:
    cut = says(b"data: ", kind=RIGHT_TYPE[kind], length=1000)
    assert (await bench.probe(kind, cut)).failure is Failure.TRUNCATED


@pytest.mark.parametrize("kind", ["chat", "embeddings"])
@pytest.mark.parametrize("wrong", ["text/html", ""])
async def test_a_content_type_that_it_never_answers_with(
    bench: Bench, kind: str, wrong: str
) -> None:
    assert (await bench.probe(kind, says("<p>", kind=wrong))).failure is Failure.WRONG_TYPE


# --- chat ---------------------------------------------------------------------------------------


def event(delta: object, finish: str | None = None) -> str:
    return "data: {}\n\n".format(
        json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    )


DONE = "data: [DONE]\n\n"
ROLE, ONE, TWO = event({"role": "assistant", "content": None}), event({"content": "One"}), ""
TWO = event({"content": ", two"})


def streams(text: str) -> Behaviour:
    return says(text, kind="text/event-stream; charset=utf-8")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (ROLE + ONE + TWO + event({}, "length") + DONE, "One, two"),
        (ONE + TWO + DONE, "One, two"),
        (ONE + TWO + event({}, "stop"), "One, two"),
        (": hello\r\n\r\n" + (ONE + TWO + DONE).replace("\n", "\r\n"), "One, two"),
        ("event: x\nid: 1\nretry: 5\n" + ONE + DONE, "One"),
        (ONE + 'data: {"choices": [], "usage": {"completion_tokens": 1}}\n\n' + DONE, "One"),
        (event({"reasoning_content": "Hm"}) + event({"reasoning": "m"}, "length"), "Hmm"),
        ("data:" + event({"content": "é"}).removeprefix("data: ") + DONE, "é"),
    ],
)
async def test_a_good_answer_is_kept(bench: Bench, text: str, answer: str) -> None:
    probe = await bench.probe("chat", streams(text))
    assert (probe.failure, probe.answer) == (None, answer)
    assert probe.time_to_first_token is not None
    assert 0 < probe.time_to_first_token <= probe.duration


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("", Failure.UNPARSEABLE),
        (ROLE + event({}, "stop") + DONE, Failure.UNPARSEABLE),  # nothing was said
        (ROLE + ONE, Failure.TRUNCATED),
        (ROLE, Failure.TRUNCATED),
        (ROLE + ONE + ONE[: len(ONE) // 2], Failure.TRUNCATED),
        ("<html><body>Oops</body></html>\n", Failure.UNPARSEABLE),
        ("data: <html>\n\n", Failure.UNPARSEABLE),
        ("data: 3\n\n", Failure.UNPARSEABLE),
        ("data: null\n\n", Failure.UNPARSEABLE),
        ("data: {}\n\n", Failure.UNPARSEABLE),
        ('data: {"choices": {}}\n\n' + ROLE, Failure.TRUNCATED),
        ('data: {"choices": [1]}\n\n', Failure.UNPARSEABLE),
        ('data: {"choices": [{"delta": 1}]}\n\n', Failure.UNPARSEABLE),
        (event({"content": 3}), Failure.UNPARSEABLE),
        (f"data: {'[' * 20_000}\n\n", Failure.UNPARSEABLE),
        ('data: {"error": {"message": "out of memory"}}\n\n', Failure.SERVER_ERROR),
    ],
)
async def test_a_stream_that_is_none_is_named(bench: Bench, text: str, failure: Failure) -> None:
    assert (await bench.probe("chat", streams(text))).failure is failure


async def test_bytes_that_are_no_text_are_not_parseable(bench: Bench) -> None:
    behave = says(b"data: \xff\xfe{}\n\n", kind="text/event-stream")
    assert (await bench.probe("chat", behave)).failure is Failure.UNPARSEABLE


async def test_a_stream_that_is_reset_midway_is_truncated_and_what_came_is_kept(
    bench: Bench,
) -> None:
    async def behave(request: bytes, writer: asyncio.StreamWriter) -> None:
        await streams(ROLE + ONE)(request, writer)
        await asyncio.sleep(0.05)
        await resets(request, writer)

    probe = await bench.probe("chat", behave)
    assert (probe.failure, probe.answer) == (Failure.TRUNCATED, "One")


async def test_a_stream_that_stands_still_is_a_timeout(bench: Bench) -> None:
    async def behave(request: bytes, writer: asyncio.StreamWriter) -> None:
        await streams(ROLE + ONE)(request, writer)
        await hangs(request, writer)

    probe = await bench.probe("chat", behave, deadline=0.3)
    assert probe.failure is Failure.TIMEOUT


async def test_the_first_token_and_the_pace_are_measured_apart(bench: Bench) -> None:
    async def behave(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        await streams(ROLE)(request, writer)
        for _ in range(3):
            writer.write(ONE.encode())
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.write(DONE.encode())

    probe = await bench.probe("chat", behave)
    assert probe.failure is None
    # Sleeps last at least as long as they say, so these bounds hold on a busy machine as well.
    assert probe.time_to_first_token is not None
    assert probe.time_per_token is not None
    assert probe.time_to_first_token >= 0.1
    assert probe.time_per_token >= 0.02
    assert probe.duration >= probe.time_to_first_token + 3 * 0.05 - 0.01


async def test_the_question_is_the_same_every_time_and_names_the_model_if_there_is_one(
    bench: Bench,
) -> None:
    prober = await bench.prober("chat", streams(ONE + DONE), model="smollm")
    await prober.probe(SUBJECT)
    await prober.probe(SUBJECT)
    (line, first), (_, second) = bench.replica.requests
    assert line == "POST /v1/chat/completions HTTP/1.1"
    assert first == second
    asked = json.loads(first)
    assert (asked["temperature"], asked["stream"], asked["model"]) == (0, True, "smollm")
    assert "cache_prompt" not in asked


# --- embeddings ---------------------------------------------------------------------------------


def embedding(vector: object) -> Behaviour:
    return says(json.dumps({"data": [{"embedding": vector}]}), kind="application/json")


async def test_a_vector_is_kept_as_its_dimension_and_signs(bench: Bench) -> None:
    probe = await bench.probe("embeddings", embedding([0.1, -0.2, 0, 3, 0.5]))
    assert (probe.failure, probe.answer) == (None, "5:13")
    assert bench.replica.requests[0][0] == "POST /v1/embeddings HTTP/1.1"
    assert "model" not in json.loads(bench.replica.requests[0][1])


@pytest.mark.parametrize(
    "behave",
    [
        embedding([]),
        embedding(None),
        embedding("AAAA"),
        embedding({"0": 1.0}),
        embedding([0.1, None]),
        embedding([0.1, True]),
        embedding([0.1, float("nan")]),
        embedding([0.1, float("inf")]),
        embedding([10**400]),
        says("[]", kind="application/json"),
        says("null", kind="application/json"),
        says('{"data": []}', kind="application/json"),
        says("<html>", kind="application/json"),
        says("", kind="application/json"),
        says("[" * 100_000, kind="application/json"),
        says(b"\xff\xfe", kind="application/json"),
    ],
)
async def test_what_is_no_vector_of_finite_numbers_is_not_parseable(
    bench: Bench, behave: Behaviour
) -> None:
    assert (await bench.probe("embeddings", behave)).failure is Failure.UNPARSEABLE


def test_a_digest_is_bounded_for_any_dimension() -> None:
    assert len(digest([1.0] * 100_000)) < 300


# --- health -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
async def test_health_is_any_answer_of_the_second_hundred(bench: Bench, status: str) -> None:
    probe = await bench.probe("health", says("", status=status))
    assert probe.failure is None
    assert bench.replica.requests == [("GET /health HTTP/1.1", b"")]


async def test_no_probe_uses_a_connection_of_another(stack: AsyncExitStack) -> None:
    """A kept one would be reset by a restart in between, and the replica is well again."""
    peers = []

    async def health(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        return web.Response(text="fine")

    app = web.Application()
    app.add_routes([web.get("/health", health)])
    runner = web.AppRunner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    session = await stack.enter_async_context(http.open_session())
    prober = HealthProber(Exchanges(session, lambda subject: site.name, SystemClock(), LONG))
    for _ in range(3):
        assert (await prober.probe(SUBJECT)).failure is None
    assert len(set(peers)) == 3
