"""What is pushed is OTLP, and what a collector answers is understood."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from vagus.adapters.http import open_session
from vagus.adapters.otlp.export import OtlpExport, headers_of
from vagus.adapters.otlp.messages import nanoseconds, trace_request
from vagus.errors import MalformedData, TargetUnreachable
from vagus.metrics import METRICS, Reading, Type, reading
from vagus.model.trace import Span, SpanEvent, Trace
from vagus.testing.collector import Collector, collecting

RESOURCE = {"service.name": "vagus", "service.version": "1.2", "labels": ("a", "b")}
TRACE = Trace(
    "test:inc-1",
    Span("incident", "incident replica-hung", 1.7e9, 1.7e9 + 9, {"n": 1, "x": 0.5, "y": True}),
    (
        Span(
            "act",
            "treat restart",
            1.7e9 + 1.000001,
            1.7e9 + 2,
            {"vagus.action": "restart", "empty": "", "ladder": ("eject", "restart")},
            (SpanEvent("guard objected", 1.7e9 + 1, {"vagus.guard": "floor"}),),
            ok=False,
            error="refused",
        ),
    ),
)


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
def address(collector: Collector) -> Iterator[str]:
    with collecting(collector) as address:
        yield address


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as session:
        yield session


def export(address: str, session: aiohttp.ClientSession, **headers: str) -> OtlpExport:
    return OtlpExport(address, session, RESOURCE, headers=headers, timeout=5.0)


def test_a_trace_is_what_the_sdk_would_send() -> None:
    """The same spans, handed to OpenTelemetry's own encoder, make the same message."""
    ours = trace_request(TRACE, RESOURCE)
    (resource,) = ours.resource_spans
    (scope,) = resource.scope_spans
    root, child = scope.spans

    def context(span: object) -> SpanContext:
        return SpanContext(
            int.from_bytes(span.trace_id, "big"),  # type: ignore[attr-defined]
            int.from_bytes(span.span_id, "big"),  # type: ignore[attr-defined]
            is_remote=False,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        )

    common = {
        "resource": Resource(RESOURCE),
        "instrumentation_scope": InstrumentationScope("vagus", "1.2"),
    }
    one, other = TRACE.root, TRACE.children[0]
    theirs = encode_spans(
        [
            ReadableSpan(
                one.name,
                context(root),
                attributes=one.attributes,
                start_time=nanoseconds(one.began),
                end_time=nanoseconds(one.ended),
                **common,
            ),
            ReadableSpan(
                other.name,
                context(child),
                parent=context(root),
                attributes={k: v for k, v in other.attributes.items() if v},
                events=[
                    Event(e.name, e.attributes, timestamp=nanoseconds(e.at)) for e in other.events
                ],
                status=Status(StatusCode.ERROR, other.error),
                start_time=nanoseconds(other.began),
                end_time=nanoseconds(other.ended),
                **common,
            ),
        ]
    )
    for request in (ours, theirs):  # flags say that it was sampled, here: that is the SDK's
        for span in request.resource_spans[0].scope_spans[0].spans:
            span.flags = 0
    assert ours == theirs


def test_ids_are_those_of_the_thing() -> None:
    again = trace_request(TRACE, RESOURCE)
    assert again == trace_request(TRACE, RESOURCE)
    spans = again.resource_spans[0].scope_spans[0].spans
    assert {len(span.trace_id) for span in spans} == {16}
    assert {len(span.span_id) for span in spans} == {8}
    assert spans[1].parent_span_id == spans[0].span_id != spans[1].span_id
    other = Trace("test:inc-2", TRACE.root, ())
    assert trace_request(other, RESOURCE).resource_spans[0].scope_spans[0].spans[
        0
    ].trace_id != bytes(spans[0].trace_id)


async def test_it_arrives(
    collector: Collector, address: str, session: aiohttp.ClientSession
) -> None:
    await export(address, session, **{"api-key": "s3cret"}).push_trace(TRACE)
    assert [span.name for span in collector.spans()] == ["incident replica-hung", "treat restart"]
    assert collector.headers[0]["content-type"] == "application/x-protobuf"
    assert collector.headers[0]["api-key"] == "s3cret"


async def test_metrics_with_their_kinds_and_units(
    collector: Collector, address: str, session: aiohttp.ClientSession
) -> None:
    readings = [
        reading("vagus_rejections_total", 3, reason="not_finite"),
        reading("vagus_ticks_total", 7),
        reading("vagus_rejections_total", 4, reason="log_line"),
        reading("vagus_loop_lag_seconds", 0.25),
    ]
    await export(address, session).push_metrics(readings, began_at=1.0, at=2.5)
    seen = collector.last_metrics()
    lag = seen["vagus.loop_lag"]
    assert (lag.unit, lag.gauge.data_points[0].as_double) == ("s", 0.25)
    rejections = seen["vagus.rejections"].sum
    assert rejections.is_monotonic
    assert rejections.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    assert {p.attributes[0].value.string_value: p.as_double for p in rejections.data_points} == {
        "not_finite": 3,
        "log_line": 4,
    }
    point = rejections.data_points[0]
    assert (point.start_time_unix_nano, point.time_unix_nano) == (10**9, 25 * 10**8)


async def test_the_whole_catalogue_can_be_pushed(
    collector: Collector, address: str, session: aiohttp.ClientSession
) -> None:
    readings = [Reading(m, 1.0, tuple("x" for _ in m.labels)) for m in METRICS.values()]
    await export(address, session).push_metrics(readings, began_at=1.0, at=2.0)
    seen = collector.last_metrics()
    assert seen.keys() == {metric.otel_name for metric in METRICS.values()}
    counters = {m.otel_name for m in METRICS.values() if m.type is Type.COUNTER}
    assert {name for name, metric in seen.items() if metric.HasField("sum")} == counters


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_may_be_tried_again(
    collector: Collector, address: str, session: aiohttp.ClientSession, status: int
) -> None:
    collector.status = status
    with pytest.raises(TargetUnreachable, match=str(status)):
        await export(address, session).push_trace(TRACE)


@pytest.mark.parametrize("status", [307, 400, 401, 404, 413, 500])
async def test_what_may_not(
    collector: Collector, address: str, session: aiohttp.ClientSession, status: int
) -> None:
    collector.status = status
    with pytest.raises(MalformedData, match=str(status)):
        await export(address, session).push_metrics([], began_at=0.0, at=1.0)


async def test_nobody_there(collector: Collector, session: aiohttp.ClientSession) -> None:
    with collecting(collector) as address:
        pass
    with pytest.raises(TargetUnreachable) as caught:
        await export(address, session, **{"api-key": "s3cret"}).push_trace(TRACE)
    assert "s3cret" not in str(caught.value)


async def test_a_part_that_was_refused(
    collector: Collector, address: str, session: aiohttp.ClientSession
) -> None:
    collector.partly = 1
    with pytest.raises(MalformedData, match="a part"):
        await export(address, session).push_trace(TRACE)
    with pytest.raises(MalformedData, match="a part"):
        await export(address, session).push_metrics([], began_at=0.0, at=1.0)


@pytest.mark.parametrize("answer", [b"", b"<html>thanks</html>", b"{}"])
async def test_an_answer_that_is_no_otlp_was_taken(
    collector: Collector, address: str, session: aiohttp.ClientSession, answer: bytes
) -> None:
    collector.answer = answer
    await export(address, session).push_trace(TRACE)


async def test_an_answer_without_an_end_is_not_read(
    collector: Collector, address: str, session: aiohttp.ClientSession
) -> None:
    collector.answer = b"x" * 1_000_000
    with pytest.raises(MalformedData):
        await export(address, session).push_trace(TRACE)


def test_headers_as_opentelemetry_writes_them() -> None:
    assert headers_of("") == {}
    assert headers_of("api-key=a%20b==, tenant = x ,") == {"api-key": "a b==", "tenant": "x"}
    with pytest.raises(ValueError, match="name=value") as caught:
        headers_of("s3cret")
    assert "s3cret" not in str(caught.value)
