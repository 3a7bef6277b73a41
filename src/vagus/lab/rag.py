"""The pipeline as a service: ``POST /ask`` with a question, an answer as server-sent events.

::

    data: {"text": "An assert"}        as many as the answer has pieces
    event: done                        the last event: sources, and why the answer ended
    event: error                       or this one, and then the connection breaks

An answer begins when the model's first token is there. Until then every failure is a plain 502 that
names the upstream (RFC 9457); after it the status can't be taken back, so the failure is told in
the stream, and the stream is left without its end: no client, and no gateway, takes it for whole.

Every hop goes through the gateway and carries what the caller sent: its trace (W3C trace context),
its cohort (``x-user-cluster``) and the request's id.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import aiohttp
import uvicorn
from pydantic import BaseModel, StringConstraints, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from vagus.clock import Clock, SystemClock
from vagus.errors import LabError
from vagus.lab import trace, vectors
from vagus.lab.hop import port_taken
from vagus.lab.metrics import CONTENT_TYPE, Counter, Gauge, Histogram, exposition
from vagus.lab.pipeline import Delta, Pipeline, UpstreamFailed
from vagus.lab.retrieval import Hit, PassageStore, connecting_to
from vagus.lab.settings import HOST, LabSettings, url
from vagus.lab.sse import CONTENT_TYPE as EVENT_STREAM
from vagus.lab.sse import Event

_PASSED_ON = ("x-user-cluster", "x-request-id", "tracestate")
_KEEP_ALIVE_S = 3600
"""Longer than any gateway keeps an idle connection: who closes first should not be us."""

T = TypeVar("T")


def command(settings: LabSettings, name: str, port: int) -> list[str]:
    """The command line of the replica ``name`` on ``port``."""
    return [
        *(sys.executable, "-m", "vagus.lab.rag"),
        *("--settings", str(settings.settings_file), "--name", name, "--port", str(port)),
    ]


class AskRequest(BaseModel):
    """The body of ``POST /ask``."""

    question: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class RagMetrics:
    """What the service tells of itself."""

    def __init__(self, started_at: float) -> None:
        self.requests = Counter("rag_requests_total", "Questions, by status code.")
        self.broken = Counter("rag_streams_broken_total", "Answers that broke after their start.")
        self.failures = Counter("rag_upstream_failures_total", "Failed steps, by upstream.")
        self.in_flight = Gauge("rag_requests_in_flight", "Questions being answered.")
        self.first_token = Histogram("rag_time_to_first_token_seconds", "Until an answer begins.")
        self.duration = Histogram("rag_request_duration_seconds", "Until an answer ends.")
        self.steps = Histogram("rag_step_duration_seconds", "Embedding and retrieval, each.")
        self.started = Gauge("process_start_time_seconds", "Unix time of start.", started_at)
        self.broken.add(0)

    def exposition(self) -> str:
        return exposition(
            *(self.requests, self.broken, self.failures, self.in_flight),
            *(self.first_token, self.duration, self.steps, self.started),
        )


@dataclass(frozen=True)
class _Begun:
    """An answer whose first piece is there."""

    first: Delta
    rest: AsyncGenerator[Delta, None]
    hits: list[Hit]


class RagService:
    """The HTTP side of one :class:`~vagus.lab.pipeline.Pipeline`."""

    def __init__(self, pipeline: Pipeline, clock: Clock) -> None:
        self._pipeline = pipeline
        self._clock = clock
        self._metrics = RagMetrics(clock.now())

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/ask", self._ask, methods=["POST"]),
                Route("/health", self._health),
                Route("/metrics", self._tell_metrics),
            ]
        )

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _tell_metrics(self, request: Request) -> Response:
        return Response(self._metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def _ask(self, request: Request) -> Response:
        try:
            question = AskRequest.model_validate_json(await request.body()).question
        except ValidationError as error:
            self._metrics.requests.add(code="400")
            return _problem(400, "Bad Request", f"question: {error.errors()[0]['msg']}")
        began = self._clock.monotonic()
        self._metrics.in_flight.value += 1
        try:
            begun = await self._begin(question, _onward_headers(request))
        except UpstreamFailed as failed:
            self._ended(began, "502")
            self._metrics.failures.add(upstream=failed.upstream)
            return _problem(502, "Bad Gateway", failed.reason, upstream=failed.upstream)
        except BaseException:
            self._ended(began, "500")
            raise
        self._metrics.first_token.observe(self._clock.monotonic() - began)
        return _Answer(self._events(begun), lambda: self._ended(began, "200"))

    async def _begin(self, question: str, headers: Mapping[str, str]) -> _Begun:
        """Go all the way to the model's first token: till then, failing is cheap and clean."""
        vector = await self._timed("embed", self._pipeline.embed(question, headers))
        hits = await self._timed("vectors", self._pipeline.retrieve(vector))
        rest = self._pipeline.answer(question, hits, headers)
        try:
            first = await anext(rest)
            if not first.text:
                raise UpstreamFailed("chat", "an empty answer")
        except BaseException:
            await rest.aclose()
            raise
        return _Begun(first, rest, hits)

    async def _timed(self, step: str, work: Awaitable[T]) -> T:
        began = self._clock.monotonic()
        result = await work
        self._metrics.steps.observe(self._clock.monotonic() - began, step=step)
        return result

    async def _events(self, begun: _Begun) -> AsyncGenerator[bytes, None]:
        """The body of the answer; what it raises has been told in it."""
        try:
            async with aclosing(begun.rest):
                yield _event("message", text=begun.first.text)
                async for delta in begun.rest:
                    if delta.text:
                        yield _event("message", text=delta.text)
                    else:
                        sources = [{"id": hit.id, "distance": hit.distance} for hit in begun.hits]
                        yield _event("done", finish_reason=delta.finish_reason, sources=sources)
        except UpstreamFailed as failed:
            self._metrics.broken.add()
            self._metrics.failures.add(upstream=failed.upstream)
            yield _event("error", upstream=failed.upstream, detail=failed.reason)
            raise

    def _ended(self, began: float, code: str) -> None:
        self._metrics.in_flight.value -= 1
        self._metrics.requests.add(code=code)
        self._metrics.duration.observe(self._clock.monotonic() - began)


class _Answer(StreamingResponse):
    """A stream that is ended properly only if its body was; else the connection just closes.

    ``ended`` is called in any case, also if the client was gone before the first byte.
    """

    media_type = EVENT_STREAM

    def __init__(self, body: AsyncGenerator[bytes, None], ended: Callable[[], None]) -> None:
        super().__init__(body, headers={"Cache-Control": "no-store"})
        self._body = body
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with aclosing(self._body):
                await super().__call__(scope, receive, send)
        finally:
            self._ended()

    async def stream_response(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async for piece in self._body:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except UpstreamFailed:
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _event(name: str, **fields: object) -> bytes:
    return Event(json.dumps(fields), name).encode()


def _problem(status: int, title: str, detail: str, **more: str) -> Response:
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(problem, status, media_type="application/problem+json")


def _onward_headers(request: Request) -> dict[str, str]:
    kept = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
    return {**kept, "traceparent": trace.passed_on(request.headers.get("traceparent"))}


async def run(settings: LabSettings, port: int) -> None:
    """Serve on ``port`` until SIGTERM."""
    store = PassageStore(connecting_to(vectors.dsn(settings, through_gateway=True)))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        pipeline = Pipeline(url(settings.gateway_port), store, session)
        service = RagService(pipeline, SystemClock())
        try:
            await server(service.app()).serve(sockets=[listening_on(port)])
        finally:
            await store.close()


def listening_on(port: int) -> socket.socket:
    """A loopback socket that accepts connections; 0 is any free port."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise port_taken(port, error) from error
    return listener


def server(app: Starlette) -> uvicorn.Server:
    """Serves ``app`` on the sockets that it is given."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
        )
    )


def main() -> None:
    """The command line of a replica."""
    parser = argparse.ArgumentParser(prog="python -m vagus.lab.rag")
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--name", default="rag")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    try:
        asyncio.run(run(LabSettings.load(options.settings), options.port))
    except LabError as error:
        sys.exit(f"{options.name}: {error}")


if __name__ == "__main__":
    main()
