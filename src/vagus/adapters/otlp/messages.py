"""Our values as OTLP's messages.

Straight to the protobuf messages, which Vagus has already, since it receives them: an SDK would
make spans while code runs, and ours are made of what was written down, with ids of our choice.

An id is a hash of what the thing is known by. So a trace that is sent again, because nobody knows
whether it arrived, is the same trace and not a second one.

Specification: OpenTelemetry protocol (OTLP) 1.x, traces and metrics.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import attrgetter

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
)
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from vagus.metrics import Metric, Reading, Type
from vagus.model.trace import Attribute, Span, SpanEvent, Trace

SCOPE = "vagus"
_NANO = 1_000_000_000
_MICRO = 1_000_000
_STATUS = {
    None: trace_pb2.Status.STATUS_CODE_UNSET,
    True: trace_pb2.Status.STATUS_CODE_OK,
    False: trace_pb2.Status.STATUS_CODE_ERROR,
}


def trace_request(trace: Trace, resource: Mapping[str, Attribute]) -> ExportTraceServiceRequest:
    root = _id(trace.key, trace.root.key)[:8]
    spans = [_span(trace, trace.root, b""), *(_span(trace, one, root) for one in trace.children)]
    scoped = trace_pb2.ScopeSpans(scope=_scope(resource), spans=spans)
    described = Resource(attributes=_attributes(resource))
    return ExportTraceServiceRequest(
        resource_spans=[trace_pb2.ResourceSpans(resource=described, scope_spans=[scoped])]
    )


def metrics_request(
    readings: Iterable[Reading], resource: Mapping[str, Attribute], *, began_at: float, at: float
) -> ExportMetricsServiceRequest:
    """``began_at`` is when our counters began to count."""
    ordered = sorted(readings, key=lambda one: one.metric.name)
    metrics = [
        _metric(metric, group, nanoseconds(began_at), nanoseconds(at))
        for metric, group in groupby(ordered, key=attrgetter("metric"))
    ]
    scoped = metrics_pb2.ScopeMetrics(scope=_scope(resource), metrics=metrics)
    described = Resource(attributes=_attributes(resource))
    return ExportMetricsServiceRequest(
        resource_metrics=[metrics_pb2.ResourceMetrics(resource=described, scope_metrics=[scoped])]
    )


def _metric(metric: Metric, readings: Iterable[Reading], began: int, at: int) -> metrics_pb2.Metric:
    counts = metric.type is Type.COUNTER
    points = [
        metrics_pb2.NumberDataPoint(
            attributes=_attributes(dict(zip(metric.labels, one.labels, strict=True))),
            start_time_unix_nano=began if counts else 0,
            time_unix_nano=at,
            as_double=one.value,
        )
        for one in readings
    ]
    made = metrics_pb2.Metric(name=metric.otel_name, description=metric.help, unit=metric.unit)
    if counts:
        made.sum.is_monotonic = True
        made.sum.aggregation_temporality = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
        made.sum.data_points.extend(points)
    else:
        made.gauge.data_points.extend(points)
    return made


def _span(trace: Trace, span: Span, parent: bytes) -> trace_pb2.Span:
    return trace_pb2.Span(
        trace_id=_id(trace.key)[:16],
        span_id=_id(trace.key, span.key)[:8],
        parent_span_id=parent,
        name=span.name,
        kind=trace_pb2.Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=nanoseconds(span.began),
        end_time_unix_nano=nanoseconds(span.ended),
        attributes=_attributes(span.attributes),
        events=[_event(event) for event in span.events],
        status=trace_pb2.Status(code=_STATUS[span.ok], message=span.error),
    )


def _event(event: SpanEvent) -> trace_pb2.Span.Event:
    return trace_pb2.Span.Event(
        name=event.name,
        time_unix_nano=nanoseconds(event.at),
        attributes=_attributes(event.attributes),
    )


def _scope(resource: Mapping[str, Attribute]) -> InstrumentationScope:
    return InstrumentationScope(name=SCOPE, version=str(resource.get("service.version", "")))


def _attributes(attributes: Mapping[str, Attribute]) -> list[KeyValue]:
    """Without those that are empty: they say nothing."""
    return [
        KeyValue(key=key, value=_value(value))
        for key, value in attributes.items()
        if value not in ("", ())
    ]


def _value(value: Attribute) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
    return AnyValue(array_value=ArrayValue(values=map(_value, value)))


def _id(*known_by: str) -> bytes:
    return hashlib.sha256("\0".join(known_by).encode()).digest()


def nanoseconds(seconds: float) -> int:
    """To a microsecond: a Unix time in a double is no more exact."""
    return round(seconds * _MICRO) * (_NANO // _MICRO)
