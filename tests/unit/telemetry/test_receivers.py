"""What is pushed: a real OpenTelemetry SDK, hand-made requests, and what is refused."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import aiohttp
import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from vagus import config, outside
from vagus.clock import SystemClock
from vagus.config import Kind
from vagus.errors import ConfigError
from vagus.model import Evidence, Scrape, Sense, Subject, signals
from vagus.telemetry.receivers import MAX_PACKED, PushSource, listen
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.store import Store
from vagus.topology import ComponentNode, Topology

RAG, RAG_1 = Subject("rag"), Subject("rag", "rag-1")
STACK = Topology(
    {
        "rag": ComponentNode("rag", Kind.PIPELINE, "generic", {"rag-1": "http://127.0.0.1:34201"}),
        "chat": ComponentNode(
            "chat", Kind.MODEL_SERVER, "vllm", {"chat-1": "http://127.0.0.1:34101"}
        ),
        "vectors": ComponentNode("vectors", Kind.VECTOR_STORE, "pgvector", {}),
    }
)


class Bench:
    """A receiver on a free port, and the store behind it."""

    def __init__(self) -> None:
        clock = SystemClock()
        self.rejections = Rejections(clock)
        self.store = Store(lambda: STACK, self.rejections)
        self.batches: list[Sequence[Evidence]] = []
        listener = listen(0)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.source = PushSource(listener, lambda: STACK, clock, self.rejections)
        self._now = 1000.0

    def emit(self, batch: Sequence[Evidence]) -> None:
        self.batches.append(batch)
        self.store.observe(batch)

    def tick(self) -> None:
        self._now += 1.0
        self.store.tick(self._now)

    def latest(self) -> dict[str, float]:
        """The last value of each signal."""
        return {name: value for scrape in self.said() for name, value in scrape.values.items()}

    def said(self) -> list[Scrape]:
        return [e for batch in self.batches for e in batch if isinstance(e, Scrape)]

    async def post(self, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}{path}", data=io.BytesIO(body), headers=named) as answer,
        ):
            return answer.status, await answer.read()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    running = asyncio.create_task(bench.source.run(bench.emit))
    yield bench
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def meters(bench: Bench, **of: str) -> MeterProvider:
    named = {"service.name": "rag", "service.instance.id": "rag-1"} | {
        name.replace("_", "."): value for name, value in of.items()
    }
    exporter = OTLPMetricExporter(f"{bench.url}/v1/metrics")
    # Exports only when told to: a timer that never fires within a test.
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    view = View(
        instrument_name="gen_ai.client.operation.time_to_first_chunk",
        aggregation=ExponentialBucketHistogramAggregation(),
    )
    return MeterProvider([reader], Resource.create(named), views=[view])


async def test_a_real_sdk_sends_metrics(bench: Bench) -> None:
    provider = meters(bench)
    meter = provider.get_meter("test")
    duration = meter.create_histogram("gen_ai.client.operation.duration", "s")
    chunk = meter.create_histogram("gen_ai.client.operation.time_to_first_chunk", "s")
    tokens = meter.create_histogram("gen_ai.client.token.usage", "{token}")
    queue = meter.create_gauge("vagus.server.requests.waiting", "{request}")
    others = meter.create_counter("requests.of.mine")
    for _ in range(20):
        duration.record(3.0, {"gen_ai.operation.name": "chat"})
        duration.record(0.02, {"gen_ai.operation.name": "embeddings"})
        duration.record(9.0, {"gen_ai.operation.name": "chat", "error.type": "timeout"})
        chunk.record(0.5)
        tokens.record(100, {"gen_ai.token.type": "output"})
    queue.set(7)
    others.add(1)
    assert await asyncio.to_thread(provider.force_flush)
    bench.tick()
    store = bench.store
    assert store.last(RAG_1, signals.WAITING, 1, Sense.PUSH).tolist() == [7]
    quantile = store.quantile(RAG_1, signals.CLIENT_FIRST_CHUNK, 0.5, sense=Sense.PUSH)
    assert quantile == pytest.approx(0.5, rel=0.1)
    embedding = store.quantile(RAG_1, signals.EMBEDDING_DURATION, 0.5, sense=Sense.PUSH)
    assert embedding == pytest.approx(2.5, rel=0.1)  # the SDK's first bucket is 0 to 5
    last = bench.latest()
    assert last[signals.CLIENT_OPERATIONS] == 60
    assert last[signals.CLIENT_FAILED] == 20
    assert last[signals.CLIENT_TOKENS_OUT] == 2000
    # The same again, and nothing is counted twice.
    assert await asyncio.to_thread(provider.force_flush)
    assert bench.latest()[signals.CLIENT_OPERATIONS] == 60
    duration.record(3.0, {"gen_ai.operation.name": "chat"})
    assert await asyncio.to_thread(provider.force_flush)
    assert bench.latest()[signals.CLIENT_OPERATIONS] == 61
    await asyncio.to_thread(provider.shutdown)
    assert not bench.rejections.counts


async def test_workers_of_one_service_are_added_up(bench: Bench) -> None:
    providers = [meters(bench, service_instance_id=f"worker-{n}") for n in range(3)]
    counters = [
        provider.get_meter("test").create_counter(signals.CLIENT_TOKENS_IN, "{token}")
        for provider in providers
    ]
    for number, counter in enumerate(counters, 1):
        counter.add(100 * number)
    for provider in providers:
        assert await asyncio.to_thread(provider.force_flush)
    assert bench.said()[-1].subject == RAG
    assert bench.said()[-1].values == {signals.CLIENT_TOKENS_IN: 600}
    for provider in providers:
        await asyncio.to_thread(provider.shutdown)


async def test_a_real_sdk_sends_traces(bench: Bench) -> None:
    provider = TracerProvider(resource=Resource.create({"service.name": "rag"}))
    exporter = OTLPSpanExporter(f"{bench.url}/v1/traces")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")

    def calls() -> None:
        chat = {
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": 30,
            "gen_ai.usage.output_tokens": 8,
            "server.address": "localhost",
            "server.port": 34101,
        }
        for failed in (False, True):
            span = tracer.start_span("chat", kind=SpanKind.CLIENT, attributes=chat, start_time=1)
            if failed:
                span.set_status(Status(StatusCode.ERROR))
            span.end(2_000_000_001)
        rows = {"db.system.name": "pgvector", "db.response.returned_rows": 3}
        query = {"server.address": "vectors", **rows}
        tracer.start_span("query", kind=SpanKind.CLIENT, attributes=query, start_time=1).end(
            10_000_001
        )
        tracer.start_span("inner", start_time=1).end(2)

    await asyncio.to_thread(calls)
    await asyncio.to_thread(provider.shutdown)
    bench.tick()
    values = bench.latest()
    assert values[signals.CLIENT_OPERATIONS] == 2
    assert values[signals.CLIENT_FAILED] == 1
    assert values[signals.CLIENT_TOKENS_IN] == 60
    assert values[signals.DB_OPERATIONS] == 1
    store = bench.store
    for signal, value in (
        (signals.CLIENT_DURATION, 2.0),
        (signals.DB_DURATION, 0.01),
        (signals.DB_RETURNED_ROWS, 3.0),
    ):
        found = store.quantile(RAG, signal, 0.5, sense=Sense.PUSH)
        assert found == pytest.approx(value, rel=0.1)
    assert {(a, b): (e.calls, e.failed) for (a, b), e in bench.source.edges.items()} == {
        ("rag", "chat"): (2, 1),
        ("rag", "vectors"): (1, 0),
    }


def gauge(value: float = 1.0, name: str = signals.WAITING, service: str = "rag") -> bytes:
    request = metrics_service_pb2.ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    attribute = resource.resource.attributes.add()
    attribute.key, attribute.value.string_value = "service.name", service
    metric = resource.scope_metrics.add().metrics.add()
    metric.name = name
    point = metric.gauge.data_points.add()
    point.as_double, point.time_unix_nano = value, 5
    return request.SerializeToString()


PROTOBUF = {"Content_Type": "application/x-protobuf"}
GZIP = PROTOBUF | {"Content_Encoding": "gzip"}


async def test_json_and_gzip(bench: Bench) -> None:
    attributes = [{"key": "service.name", "value": {"stringValue": "rag"}}]
    point = {"asInt": "4", "timeUnixNano": "5"}
    metric = {"name": signals.WAITING, "gauge": {"dataPoints": [point]}, "novelty": 1}
    told = {
        "resourceMetrics": [
            {"resource": {"attributes": attributes}, "scopeMetrics": [{"metrics": [metric]}]}
        ]
    }
    body = gzip.compress(json.dumps(told).encode())
    status, answer = await bench.post(
        "/v1/metrics", body, Content_Type="application/json", Content_Encoding="gzip"
    )
    assert (status, json.loads(answer)) == (200, {})
    assert [s.values for s in bench.said()] == [{signals.WAITING: 4}]


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/v1/metrics", b"\xff\xff", PROTOBUF, 400),
        ("/v1/metrics", gauge()[:-3], PROTOBUF, 400),
        ("/v1/metrics", gauge(), {"Content_Type": "text/plain"}, 415),
        ("/v1/metrics", gauge(), PROTOBUF | {"Content_Encoding": "br"}, 415),
        ("/v1/metrics", gauge(), GZIP, 400),
        ("/v1/metrics", gzip.compress(gauge(), mtime=0)[:-4], GZIP, 400),
        (
            "/v1/metrics",
            gzip.compress(bytes(17 << 20), mtime=0),
            PROTOBUF | {"Content_Encoding": "gzip"},
            413,
        ),
        ("/v1/metrics", bytes(MAX_PACKED + 1), PROTOBUF, 413),
        ("/v1/metrics", b"[1]", {"Content_Type": "application/json"}, 400),
        ("/v1/metrics", b"[" * 5000, {"Content_Type": "application/json"}, 400),
        ("/v1/metrics", b'{"resourceMetrics": 3}', {"Content_Type": "application/json"}, 400),
        ("/v1/traces", b"\x0a\xff", PROTOBUF, 400),
        ("/api/v1/write", b"not snappy", PROTOBUF, 400),
        ("/api/v1/write", b"\xff\xff\xff\xff\x0f", PROTOBUF, 400),
        ("/api/v1/write", b"", {"Content_Type": "text/plain"}, 415),
    ],
)
async def test_what_cannot_be_read_is_answered_and_counted(
    bench: Bench, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    answered, _ = await bench.post(path, body, **headers)
    assert answered == status
    assert bench.rejections.counts[Rejected.MALFORMED_PUSH] == 1
    assert (await bench.post("/v1/metrics", gauge(3.0), **PROTOBUF))[0] == 200
    assert bench.said()[-1].values == {signals.WAITING: 3}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gauge(service="somebody"), Rejected.UNKNOWN_SENDER),
        (gauge(float("nan")), Rejected.NOT_FINITE),
        (gauge(name=signals.CLIENT_TOKENS_IN), Rejected.MISMATCH),
        (gauge(name=signals.CLIENT_DURATION), Rejected.MISMATCH),
    ],
)
async def test_points_that_cannot_be_used_are_counted(
    bench: Bench, body: bytes, reason: Rejected
) -> None:
    assert (await bench.post("/v1/metrics", body, **PROTOBUF))[0] == 200
    assert bench.rejections.counts == {reason: 1}


async def test_how_much_was_refused_is_said(bench: Bench) -> None:
    _, answer = await bench.post("/v1/metrics", gauge(service="somebody"), **PROTOBUF)
    told = metrics_service_pb2.ExportMetricsServiceResponse.FromString(answer)
    assert told.partial_success.rejected_data_points == 1


async def test_it_listens_if_a_port_is_set() -> None:
    stack = "stack: {rag: {kind: pipeline}}\n"
    names = {}
    for setting in ("", "telemetry: {otlp_port: 0}\n"):
        clock = SystemClock()
        async with outside.open_sessions() as sessions:
            chosen = outside.choose(
                config.parse(stack + setting),
                sessions,
                clock,
                lambda: STACK,
                frozenset,
                Rejections(clock),
                lambda subject: None,
            )
            names[setting] = {source.name for source in chosen.sources}
            for source in chosen.sources:
                if isinstance(source, PushSource):
                    running = asyncio.create_task(source.run(print))
                    await asyncio.sleep(0)
                    running.cancel()
                    with suppress(asyncio.CancelledError):
                        await running
    without, with_port = names.values()
    assert with_port - without == {"push"}


def test_a_port_that_is_taken_is_said() -> None:
    with listen(0) as taken, pytest.raises(ConfigError) as caught:
        listen(taken.getsockname()[1])
    assert caught.value.where == "telemetry.otlp_port"
