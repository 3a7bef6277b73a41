"""Receivers: OTLP over HTTP, and Prometheus's remote write, on a port of their own.

Beside what Vagus fetches, a stack may send. The port is on loopback and off unless it is set;
4318 is the one that OpenTelemetry's exporters try by themselves. It is apart from the API, because
it belongs to the sources: what arrives is evidence, goes the way of all evidence, and a sender that
floods it takes nothing from those who ask how things are.

Whatever a request holds, it is answered: with 200 and how much of it was refused, with 400 if it
can't be read, 413 if it is too large, 415 if it is something else. Requests are unpacked no further
than is allowed, and taken one at a time, long ones on a thread.

Protocol: OTLP/HTTP 1.x (``/v1/metrics``, ``/v1/traces``, protobuf and JSON, gzip); Prometheus
remote write 1.0 (``/api/v1/write``, protobuf, snappy).
"""

from __future__ import annotations

import asyncio
import json
import socket
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from google.protobuf import json_format  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_service

from vagus.clock import Clock
from vagus.errors import ConfigError, MalformedData
from vagus.model import Scrape
from vagus.ports import Emit
from vagus.telemetry.otlp import OtlpMetrics
from vagus.telemetry.pushed import Pushed
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.remote_write import CONTENT_TYPE, RemoteWrite, unpacked
from vagus.telemetry.senders import Senders
from vagus.telemetry.spans import Edge, OtlpTraces
from vagus.topology import Topology

MAX_PACKED = 4 << 20  # bytes of a body as it comes
MAX_BYTES = 16 << 20  # unpacked
READ_ASIDE = 256 << 10  # bytes; a longer one is read on a thread, so that others don't wait

_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_STILL_OPEN = 1.0  # s that requests under way may take when the process ends

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Take = Callable[[bytes], tuple[list[Scrape], int]]


@dataclass(frozen=True, slots=True)
class _Refused(Exception):
    """An answer that is an error."""

    status: int
    why: str


class PushSource:
    """Implements :class:`~vagus.ports.Source` by listening."""

    name = "push"

    def __init__(
        self,
        listener: socket.socket,
        topology: Callable[[], Topology],
        clock: Clock,
        rejections: Rejections,
    ) -> None:
        self._listener = listener
        self._clock = clock
        self._rejections = rejections
        senders = Senders(topology)
        pushed = Pushed(clock, rejections)
        self._metrics = OtlpMetrics(senders, pushed, rejections)
        self._traces = OtlpTraces(senders, pushed, rejections)
        self._writes = RemoteWrite(topology, clock, rejections)
        self._turn = asyncio.Lock()

    @property
    def edges(self) -> dict[tuple[str, str], Edge]:
        """(caller, callee) -> what was observed of its calls."""
        return self._traces.edges

    async def run(self, emit: Emit) -> None:
        try:
            await self._serve(emit)
        except asyncio.CancelledError:
            self._listener.close()
            raise

    async def _serve(self, emit: Emit) -> None:
        application = web.Application(client_max_size=MAX_PACKED)
        application.add_routes(
            [
                web.post("/v1/metrics", self._otlp(emit, self._metrics.take, metrics_service)),
                web.post("/v1/traces", self._otlp(emit, self._take_traces, trace_service)),
                web.post("/api/v1/write", self._remote_write(emit)),
            ]
        )
        runner = web.AppRunner(
            application, access_log=None, auto_decompress=False, shutdown_timeout=_STILL_OPEN
        )
        await runner.setup()
        # A copy: the site closes what it was given, and a source may be started again.
        listener = self._listener.dup()
        try:
            await web.SockSite(runner, listener).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
            listener.close()

    def _take_traces(self, request: bytes) -> tuple[list[Scrape], int]:
        return self._traces.take(request, self._clock.now())

    def _otlp(self, emit: Emit, take: Take, service: object) -> Handler:
        is_metrics = service is metrics_service
        message = (
            metrics_service.ExportMetricsServiceRequest
            if is_metrics
            else trace_service.ExportTraceServiceRequest
        )

        async def handle(request: web.Request) -> web.Response:
            kind = request.content_type
            if kind not in (_PROTOBUF, _JSON):
                return self._refuse(request, _Refused(415, f"{kind} instead of {_PROTOBUF}"))
            try:
                body = _inflated(await _body(request), request.headers.get("Content-Encoding", ""))
                if kind == _JSON:
                    body = _from_json(body, message)
                refused = await self._take(emit, take, body)
            except _Refused as refusal:
                return self._refuse(request, refusal)
            except MalformedData as error:
                return self._refuse(request, _Refused(400, error.message))
            return _answer(kind, refused, is_metrics=is_metrics)

        return handle

    def _remote_write(self, emit: Emit) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            try:
                if request.content_type != CONTENT_TYPE:
                    raise _Refused(415, f"{request.content_type} instead of {CONTENT_TYPE}")
                if "io.prometheus.write.v2" in request.headers.get("Content-Type", ""):
                    raise _Refused(415, "remote write 2.0 instead of 1.0")
                body = unpacked(await _body(request), MAX_BYTES)
                await self._take(emit, self._writes.take, body)
            except _Refused as refusal:
                return self._refuse(request, refusal)
            except MalformedData as error:
                return self._refuse(request, _Refused(400, error.message))
            return web.Response(status=204)

        return handle

    async def _take(self, emit: Emit, take: Take, body: bytes) -> int:
        async with self._turn:
            if len(body) > READ_ASIDE:
                scrapes, refused = await asyncio.to_thread(take, body)
            else:
                scrapes, refused = take(body)
        if scrapes:
            emit(scrapes)
        return refused

    def _refuse(self, request: web.Request, refusal: _Refused) -> web.Response:
        self._rejections.count(Rejected.MALFORMED_PUSH, request.path, refusal.why)
        return web.json_response({"message": refusal.why}, status=refusal.status)


def listen(port: int) -> socket.socket:
    """The port on loopback. Raises ConfigError if it is taken."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise ConfigError(
            f"port {port} can't be listened on: {error.strerror}",
            where="telemetry.otlp_port",
            mend="end what listens there, or choose another port",
        ) from error


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise _Refused(413, f"longer than {MAX_PACKED >> 20} MB") from error


def _inflated(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "deflate"):
        raise _Refused(415, f"content encoding {encoding!r}")
    inflating = zlib.decompressobj(wbits=47)  # gzip or zlib, as its head says
    try:
        found = inflating.decompress(body, MAX_BYTES + 1)
    except zlib.error as error:
        raise MalformedData(f"is not {encoding}: {error}") from error
    if len(found) > MAX_BYTES:
        raise _Refused(413, f"longer than {MAX_BYTES >> 20} MB unpacked")
    if not inflating.eof:
        raise MalformedData(f"is not {encoding}: it is cut off")
    return found


def _from_json(
    body: bytes,
    message: type[metrics_service.ExportMetricsServiceRequest]
    | type[trace_service.ExportTraceServiceRequest],
) -> bytes:
    try:
        told = json_format.ParseDict(
            json.loads(body), message(), ignore_unknown_fields=True, max_recursion_depth=32
        )
        return bytes(told.SerializeToString())
    except (json_format.ParseError, ValueError, RecursionError, AttributeError, TypeError) as error:
        raise MalformedData(f"is no OTLP request in JSON: {str(error)[:200]}") from error


def _answer(kind: str, refused: int, *, is_metrics: bool) -> web.Response:
    """200, with how much was refused, in the encoding of the request."""
    why = "see Vagus's log, and the counters of what it rejected" if refused else ""
    if is_metrics:
        answer = metrics_service.ExportMetricsServiceResponse()
        if refused:
            answer.partial_success.rejected_data_points = refused
            answer.partial_success.error_message = why
        told = answer
    else:
        told = trace_service.ExportTraceServiceResponse()
        if refused:
            told.partial_success.rejected_spans = refused
            told.partial_success.error_message = why
    if kind == _JSON:
        return web.json_response(text=json_format.MessageToJson(told, indent=None))
    return web.Response(body=told.SerializeToString(), content_type=_PROTOBUF)
