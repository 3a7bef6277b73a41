"""A collector in tests: takes OTLP over HTTP on loopback and keeps what came, as messages.

It reads with OpenTelemetry's own protobuf and refuses what is none, so that what is sent to it has
to be OTLP. It can be told to answer otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What arrived, and how to answer. ``partly``: so many of a request are refused."""

    def __init__(self) -> None:
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.partly = 0
        self.answer: bytes | None = None  # in place of OTLP's

    def spans(self) -> list[Span]:
        return [
            span
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def last_metrics(self) -> dict[str, Metric]:
        (resource,) = self.metrics[-1].resource_metrics
        (scope,) = resource.scope_metrics
        return {metric.name: metric for metric in scope.metrics}

    def take(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        if self.status != 200:
            return self.status, b""
        try:
            if path == "/v1/traces":
                self.traces.append(ExportTraceServiceRequest.FromString(body))
                taken = ExportTraceServiceResponse()
                taken.partial_success.rejected_spans = self.partly
            elif path == "/v1/metrics":
                self.metrics.append(ExportMetricsServiceRequest.FromString(body))
                taken = ExportMetricsServiceResponse()
                taken.partial_success.rejected_data_points = self.partly
            else:
                return 404, b""
        except DecodeError:
            return 400, b""
        self.headers.append(headers)
        return 200, taken.SerializeToString() if self.answer is None else self.answer


@contextmanager
def collecting(collector: Collector, port: int = 0) -> Iterator[str]:
    """Listen; yields the address (port 0 takes a free one)."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = collector.take(self.path, body, headers)
            self.send_response(status)
            if status // 100 == 3:
                self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
