"""The pipeline's service under uvicorn, with small stand-ins for its upstreams on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import aiohttp
import psycopg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client.parser import text_string_to_metric_families

from vagus.clock import SystemClock
from vagus.lab import rag, sse
from vagus.lab.hop import reset
from vagus.lab.pipeline import CONTEXT_CHARACTERS, Pipeline, prompt
from vagus.lab.retrieval import Hit, PassageStore, RetrievalFailed

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ROWS = [(7, "The if statement.", 0.1), (9, "The for statement.", 0.2)]


def chunk(text: str | None, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return sse.Event(json.dumps({"choices": [choice]})).encode()


ANSWER = (chunk(None), chunk("It "), chunk("branches."), chunk("", "length"), b"data: [DONE]\n\n")


@dataclass
class Upstreams:
    """What the stand-ins answer, and what they were asked."""

    embedding: object = field(default_factory=lambda: {"data": [{"embedding": [0.5] * 384}]})
    embed_status: int = 200
    rows: Sequence[tuple[int, str, float]] = field(default_factory=lambda: list(ROWS))
    answer: Sequence[bytes] = ANSWER
    answer_type: str = "text/event-stream"
    cut: bool = False
    seen: dict[str, aiohttp.typedefs.LooseHeaders] = field(default_factory=dict)
    messages: list[dict[str, str]] = field(default_factory=list)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    hold_after: int = 1_000
    abandoned: asyncio.Event = field(default_factory=asyncio.Event)

    async def embed(self, request: web.Request) -> web.Response:
        self.seen["embed"] = request.headers.copy()
        return web.json_response(self.embedding, status=self.embed_status)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.seen["chat"] = request.headers.copy()
        self.messages = (await request.json())["messages"]
        response = web.StreamResponse(headers={"Content-Type": self.answer_type})
        await response.prepare(request)
        try:
            for number, piece in enumerate(self.answer):
                if number == self.hold_after:
                    await self.let_go.wait()
                await response.write(piece)
        except (asyncio.CancelledError, ConnectionError):
            self.abandoned.set()
            raise
        if self.cut:
            reset(request)
        return response


class Connection:
    """As much of a psycopg connection as a store uses."""

    def __init__(self, rows: Callable[[], Sequence[tuple[int, str, float]]]) -> None:
        self._rows = rows
        self.broken = False
        self.closed = False

    async def execute(self, query: str, parameters: dict[str, object]) -> Connection:
        if self.broken:
            raise psycopg.OperationalError("server closed the connection unexpectedly\nmore")
        return self

    async def fetchall(self) -> Sequence[tuple[int, str, float]]:
        return self._rows()

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def upstreams() -> Upstreams:
    return Upstreams()


@pytest.fixture
async def service(upstreams: Upstreams) -> AsyncIterator[str]:
    async def connect() -> Connection:
        return Connection(lambda: upstreams.rows)

    gateway = web.Application()
    gateway.router.add_post("/v1/embeddings", upstreams.embed)
    gateway.router.add_post("/v1/chat/completions", upstreams.chat)
    async with (
        TestServer(gateway, handler_cancellation=True) as gateway_server,
        aiohttp.ClientSession() as session,
    ):
        base = str(gateway_server.make_url("")).rstrip("/")
        pipeline = Pipeline(base, PassageStore(connect), session)
        server = rag.server(rag.RagService(pipeline, SystemClock()).app())
        listener = rag.listening_on(0)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
            listener.close()


@pytest.fixture
async def client(service: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(service) as session:
        yield session


async def ask(
    client: aiohttp.ClientSession, **headers: str
) -> tuple[aiohttp.ClientResponse, list[sse.Event]]:
    asked = {"question": "What is if?"}
    async with client.post("/ask", json=asked, headers=headers) as response:
        return response, [event async for event in sse.events(response.content.iter_any())]


async def metrics(client: aiohttp.ClientSession) -> dict[tuple[str, str], float]:
    async with client.get("/metrics") as response:
        text = await response.text()
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_question_is_answered_with_its_sources(
    client: aiohttp.ClientSession, upstreams: Upstreams
) -> None:
    response, events = await ask(client)
    assert response.status == 200
    assert response.content_type == "text/event-stream"
    *pieces, done = events
    assert [json.loads(piece.data) for piece in pieces] == [{"text": "It "}, {"text": "branches."}]
    assert done.name == "done"
    assert json.loads(done.data) == {
        "finish_reason": "length",
        "sources": [{"id": 7, "distance": 0.1}, {"id": 9, "distance": 0.2}],
    }
    assert "The if statement." in upstreams.messages[1]["content"]
    assert upstreams.messages[1]["content"].endswith("What is if?")


async def test_trace_cohort_and_id_are_passed_on_through_every_hop(
    client: aiohttp.ClientSession, upstreams: Upstreams
) -> None:
    sent = {
        "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
        "tracestate": "a=b",
        "x-user-cluster": "free",
        "x-request-id": "r-1",
    }
    await ask(client, **sent)
    for hop in ("embed", "chat"):
        seen = upstreams.seen[hop]
        assert seen["traceparent"].split("-")[1] == TRACE
        assert {name: seen[name] for name in list(sent)[1:]} == dict(list(sent.items())[1:])
    await ask(client)
    begun = {upstreams.seen[hop]["traceparent"].split("-")[1] for hop in ("embed", "chat")}
    assert len(begun) == 1
    assert begun != {TRACE}
    assert "x-user-cluster" not in upstreams.seen["chat"]


@pytest.mark.parametrize(
    ("upstream", "change"),
    [
        ("embed", {"embed_status": 503}),
        ("embed", {"embedding": {"data": [{"embedding": [0.5] * 383}]}}),
        ("embed", {"embedding": {"data": [{"embedding": [float("nan")] * 384}]}}),
        ("embed", {"embedding": ["no"]}),
        ("vectors", {"rows": []}),
        ("chat", {"answer_type": "text/html"}),
        ("chat", {"answer": [b"<html>\n\n"]}),
        ("chat", {"answer": []}),
        ("chat", {"answer": [], "cut": True}),
        ("chat", {"answer": [b'data: {"error": "busy"}\n\n']}),
        ("chat", {"answer": [chunk(None), b"data: [DONE]\n\n"]}),
    ],
)
async def test_a_failure_before_the_first_token_is_a_clean_502(
    client: aiohttp.ClientSession, upstreams: Upstreams, upstream: str, change: dict[str, object]
) -> None:
    for name, value in change.items():
        setattr(upstreams, name, value)
    async with client.post("/ask", json={"question": "What is if?"}) as response:
        assert response.status == 502
        assert response.content_type == "application/problem+json"
        problem = await response.json(content_type=None)
    assert problem["upstream"] == upstream
    assert problem["detail"]
    counted = await metrics(client)
    assert counted["rag_requests_total", "502"] == 1
    assert counted["rag_upstream_failures_total", upstream] == 1
    assert counted["rag_requests_in_flight", ""] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"answer": ANSWER[:2], "cut": True},
        {"answer": ANSWER[:3]},
        {"answer": [*ANSWER[:2], b"<html>\n\n"]},
    ],
)
async def test_a_failure_after_it_is_told_and_the_stream_has_no_end(
    client: aiohttp.ClientSession, upstreams: Upstreams, change: dict[str, object]
) -> None:
    for name, value in change.items():
        setattr(upstreams, name, value)
    received = bytearray()

    async def read_all() -> None:
        async with client.post("/ask", json={"question": "What is if?"}) as response:
            assert response.status == 200
            async for piece in response.content.iter_any():
                received.extend(piece)

    with pytest.raises(aiohttp.ClientPayloadError):
        await read_all()
    assert b"event: error" in received
    assert b'"upstream": "chat"' in received
    assert b"event: done" not in received
    counted = await metrics(client)
    assert counted["rag_streams_broken_total", ""] == 1
    assert counted["rag_requests_in_flight", ""] == 0


async def test_a_client_that_leaves_takes_its_upstream_request_along(
    client: aiohttp.ClientSession, upstreams: Upstreams
) -> None:
    upstreams.hold_after = 2
    async with client.post("/ask", json={"question": "What is if?"}) as response:
        assert await response.content.readline() == b'data: {"text": "It "}\n'
        assert (await metrics(client))["rag_requests_in_flight", ""] == 1
        response.close()
    async with asyncio.timeout(10):
        await upstreams.abandoned.wait()


@pytest.mark.parametrize("body", ["", "{}", '{"question": " "}', '{"question": 1}'])
async def test_a_bad_question_is_refused(client: aiohttp.ClientSession, body: str) -> None:
    async with client.post("/ask", data=body) as response:
        assert response.status == 400
        assert "question" in (await response.json(content_type=None))["detail"]


def test_a_prompt_holds_each_text_once_and_stays_short() -> None:
    first = CONTEXT_CHARACTERS // 2
    same = [Hit(number, "x" * first, 0.1) for number in range(2)]
    messages = prompt("And?", [*same, Hit(2, "y" * 900, 0.2), Hit(3, "z" * 900, 0.3)])
    notes = messages[1]["content"]
    assert notes.count("x") == first
    assert notes.count("y") == CONTEXT_CHARACTERS - first
    assert "z" not in notes


class Connections:
    """Hands out connections and remembers them."""

    def __init__(self) -> None:
        self.made: list[Connection] = []

    async def __call__(self) -> Connection:
        self.made.append(Connection(lambda: ROWS))
        return self.made[-1]


async def test_connections_are_kept_and_a_dead_one_is_replaced() -> None:
    connections = Connections()
    store = PassageStore(connections)
    for _ in range(3):
        assert [hit.id for hit in await store.nearest([0.0], 2)] == [7, 9]
    assert len(connections.made) == 1
    connections.made[0].broken = True
    assert len(await store.nearest([0.0], 2)) == 2
    assert len(connections.made) == 2
    assert connections.made[0].closed
    await store.close()
    assert connections.made[1].closed


async def test_a_query_that_fails_on_a_new_connection_has_failed() -> None:
    connections = Connections()

    async def broken() -> Connection:
        connection = await connections()
        connection.broken = True
        return connection

    with pytest.raises(RetrievalFailed, match=r"closed the connection unexpectedly$"):
        await PassageStore(broken).nearest([0.0], 2)
    assert len(connections.made) == 1


async def test_an_overdue_query_is_left_behind() -> None:
    never = asyncio.Event()

    async def hanging() -> Connection:
        await never.wait()
        raise AssertionError

    store = PassageStore(hanging, connections=1, timeout_s=0.01)
    for _ in range(2):
        with pytest.raises(RetrievalFailed, match=r"no answer within 0\.01 s"):
            await store.nearest([0.0], 2)
