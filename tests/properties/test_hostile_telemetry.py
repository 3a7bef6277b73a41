"""Whatever is sent to us or found at a target: it is counted by name, and touches nothing else.

Each property has a good neighbour in it, whose numbers must come out as if it were alone.
"""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_service

from vagus.clock import ManualClock
from vagus.config import Kind
from vagus.errors import MalformedData
from vagus.model import Histogram, Scrape, Sense, Subject, signals
from vagus.telemetry.dialects import dialect_of
from vagus.telemetry.exposition import Parser
from vagus.telemetry.otlp import OtlpMetrics
from vagus.telemetry.otlp_layout import Layouts, walk
from vagus.telemetry.pushed import Pushed
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.remote_write import RemoteWrite, unpacked
from vagus.telemetry.senders import Senders
from vagus.telemetry.spans import OtlpTraces
from vagus.telemetry.store import Store
from vagus.telemetry.translate import Translator
from vagus.topology import ComponentNode, Topology

BAD, GOOD = Subject("chat", "bad"), Subject("chat", "good")
STACK = Topology(
    {
        "chat": ComponentNode(
            "chat",
            Kind.MODEL_SERVER,
            "vllm",
            {"bad": "http://127.0.0.1:34101", "good": "http://127.0.0.1:34102"},
        )
    }
)
ANY = st.floats(allow_nan=True, allow_infinity=True)
TIMES = st.one_of(
    st.integers(0, 2**64 - 1), st.integers(1_700_000_000_000_000_000, 1_700_000_100_000_000_000)
)
SLOW = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])


class Bench:
    """A store with a good replica in it, which tells one step more a second."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.rejections = Rejections(self.clock)
        self.store = Store(lambda: STACK, self.rejections)
        pushed = Pushed(self.clock, self.rejections)
        senders = Senders(lambda: STACK)
        self.otlp = OtlpMetrics(senders, pushed, self.rejections)
        self.traces = OtlpTraces(senders, pushed, self.rejections)
        self.writes = RemoteWrite(lambda: STACK, self.clock, self.rejections)
        self._steps = 0.0

    def tick(self) -> None:
        self.clock.advance(1.0)
        self._steps += 1.0
        now = self.clock.now()
        told = Histogram((1.0, 2.0), (0.0, self._steps, 0.0))
        good = Scrape(
            GOOD,
            now,
            values={signals.STEPS: self._steps, signals.RUNNING: 3.0},
            histograms={signals.DURATION: told},
        )
        self.store.observe([good])
        self.store.tick(now)

    def is_well(self) -> bool:
        """The good one is as if it were alone."""
        latency = self.store.quantile(GOOD, signals.DURATION, 0.5, sense=Sense.SCRAPE)
        return (
            self.store.last(GOOD, signals.STEPS, 1).tolist() == [1.0]
            and self.store.last(GOOD, signals.RUNNING, 1).tolist() == [3.0]
            and latency is not None
            and 1.0 <= latency <= 2.0
        )


# --- a target -------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        "vllm:num_requests_running",
        "vllm:generation_tokens_total",
        "vllm:kv_cache_usage_perc",
        "vllm:e2e_request_latency_seconds_bucket",
        "vllm:e2e_request_latency_seconds_sum",
        "other",
    ]
)
LABELS = st.one_of(
    st.just(""),
    st.builds(
        lambda le, engine: f'{{engine="{engine}",le="{le}"}}',
        st.one_of(ANY.map(str), st.just("+Inf"), st.text(max_size=3)),
        st.sampled_from(["0", "1"]),
    ),
)
LINES = st.one_of(
    st.builds(lambda n, labels, v: f"{n}{labels} {v}", NAMES, LABELS, ANY), st.text(max_size=30)
)


@SLOW
@given(st.lists(st.lists(LINES, max_size=12), min_size=1, max_size=6))
def test_a_target_that_tells_anything(scrapes: list[list[str]]) -> None:
    bench, parser = Bench(), Parser(max_series=16)
    translator = Translator(dialect_of("vllm"), parser)
    for lines in scrapes:
        try:
            told = translator.translate(parser.parse("\n".join([*lines, ""]).encode()))
        except (MalformedData, UnicodeEncodeError):
            continue
        bench.store.observe(
            [Scrape(BAD, bench.clock.now(), values=told.values, histograms=told.histograms)]
        )
        bench.tick()
    bench.tick()
    bench.tick()
    assert bench.is_well()
    assert len(parser.series) <= 16


@SLOW
@given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=True, allow_infinity=True),
            st.dictionaries(st.sampled_from([signals.STEPS, signals.RUNNING, "moon"]), ANY),
            st.lists(ANY, max_size=4),
            st.lists(ANY, max_size=5),
        ),
        max_size=8,
    )
)
def test_readings_at_any_time(
    readings: list[tuple[float, dict[str, float], list[float], list[float]]],
) -> None:
    bench = Bench()
    for at, values, bounds, counts in readings:
        histogram = Histogram(tuple(bounds), tuple(counts))
        bench.store.observe(
            [Scrape(BAD, at, values=values, histograms={signals.DURATION: histogram})]
        )
        bench.tick()
    bench.tick()
    bench.tick()
    assert bench.is_well()
    for signal in (signals.STEPS, signals.RUNNING):
        told = bench.store.last(BAD, signal, 20)
        assert not np.isinf(told).any()


def test_a_target_that_alternates_between_two_identities() -> None:
    """Two servers behind one address: each scrape is a reset or a leap, and is named so."""
    bench = Bench()
    for tick in range(10):
        steps = 1_000_000.0 + tick if tick % 2 else 5.0 + tick
        bench.store.observe([Scrape(BAD, bench.clock.now(), values={signals.STEPS: steps})])
        bench.tick()
    assert bench.is_well()
    assert bench.rejections.counts[Rejected.COUNTER_RESET] == 4


# --- OTLP -----------------------------------------------------------------------------------------

METRICS = st.sampled_from(
    [
        signals.WAITING,
        signals.CLIENT_TOKENS_IN,
        signals.CLIENT_DURATION,
        "gen_ai.client.token.usage",
        "vllm:num_requests_running",
        "moon",
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> metrics_service.ExportMetricsServiceRequest:
    request = metrics_service.ExportMetricsServiceRequest()
    for _ in range(draw(st.integers(1, 3))):
        resource = request.resource_metrics.add()
        for name in ("service.name", "service.instance.id"):
            attribute = resource.resource.attributes.add()
            attribute.key = name
            attribute.value.string_value = draw(st.sampled_from(["chat", "bad", "x", ""]))
        scope = resource.scope_metrics.add()
        for _ in range(draw(st.integers(0, 3))):
            metric = scope.metrics.add()
            metric.name = draw(METRICS)
            metric.unit = draw(st.sampled_from(["", "s", "ms", "1", "furlong"]))
            _fill(draw, metric)
    return request


def _fill(draw: st.DrawFn, metric: metrics_service.metrics__pb2.Metric) -> None:
    kind = draw(st.sampled_from(["gauge", "sum", "histogram", "exponential_histogram"]))
    data = getattr(metric, kind)
    if kind != "gauge":
        data.aggregation_temporality = draw(st.integers(0, 2))
    if kind == "sum":
        data.is_monotonic = draw(st.booleans())
    data.SetInParent()
    for _ in range(draw(st.integers(0, 3))):
        point = data.data_points.add()
        point.time_unix_nano, point.start_time_unix_nano = draw(TIMES), draw(TIMES)
        attribute = point.attributes.add()
        attribute.key = draw(st.sampled_from(["error.type", "gen_ai.token.type", "k"]))
        attribute.value.string_value = draw(st.sampled_from(["input", "output", ""]))
        if kind in ("gauge", "sum"):
            if draw(st.booleans()):
                point.as_double = draw(ANY)
            else:
                point.as_int = draw(st.integers(-(2**63), 2**63 - 1))
        elif kind == "histogram":
            point.sum = draw(ANY)
            point.explicit_bounds.extend(draw(st.lists(ANY, max_size=4)))
            point.bucket_counts.extend(draw(st.lists(st.integers(0, 2**64 - 1), max_size=5)))
        else:
            point.scale = draw(st.integers(-(2**31), 2**31 - 1))
            point.positive.offset = draw(st.integers(-(2**31), 2**31 - 1))
            point.positive.bucket_counts.extend(
                draw(st.lists(st.integers(0, 2**64 - 1), max_size=5))
            )


@SLOW
@given(st.lists(requests(), min_size=1, max_size=4))
def test_otlp_of_any_content(sent: list[metrics_service.ExportMetricsServiceRequest]) -> None:
    bench = Bench()
    for request in [*sent, *sent]:
        bench.store.observe(bench.otlp.take(request.SerializeToString())[0])
        bench.tick()
    bench.tick()
    bench.tick()
    assert bench.is_well()


@SLOW
@given(requests(), st.data())
def test_otlp_cut_and_garbled(
    request: metrics_service.ExportMetricsServiceRequest, data: st.DataObject
) -> None:
    body = bytearray(request.SerializeToString())
    for _ in range(data.draw(st.integers(0, 3))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(body[: data.draw(st.integers(0, len(body)))])
    bench = Bench()
    for take in (
        bench.otlp.take,
        bench.writes.take,
        lambda body: bench.traces.take(body, 0.0),
    ):
        try:
            bench.store.observe(take(cut)[0])
        except MalformedData:
            continue
    for _ in range(3):
        bench.tick()
    assert bench.is_well()


@SLOW
@given(st.lists(requests(), min_size=1, max_size=3), st.data())
def test_a_layout_that_fits_says_what_a_walk_would(
    sent: list[metrics_service.ExportMetricsServiceRequest], data: st.DataObject
) -> None:
    """Bytes of a known request are garbled: either it is walked anew, or it makes no difference."""
    layouts = Layouts()
    for request in sent:
        body = bytearray(request.SerializeToString())
        known = np.frombuffer(bytes(body), dtype=np.uint8)
        layouts.of(known)
        if not body:
            continue
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        payload = np.frombuffer(bytes(body), dtype=np.uint8)
        try:
            walked = walk(payload)
        except MalformedData:
            with pytest.raises(MalformedData):
                layouts.of(payload)
            continue
        found = layouts.of(payload)
        assert repr(found.points) == repr(walked.points)  # NaN in bounds is not equal to itself


@SLOW
@given(
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.dictionaries(
        st.sampled_from(
            [
                "gen_ai.operation.name",
                "db.system",
                "db.response.returned_rows",
                "gen_ai.usage.input_tokens",
                "server.port",
                "server.address",
            ]
        ),
        st.one_of(st.text(max_size=5), st.integers(-(2**63), 2**63 - 1), ANY, st.booleans()),
    ),
)
def test_spans_of_any_content(
    start: int, end: int, attributes: dict[str, str | int | float | bool]
) -> None:
    request = trace_service.ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    name = resource.resource.attributes.add()
    name.key, name.value.string_value = "service.name", "chat"
    span = resource.scope_spans.add().spans.add()
    span.kind, span.start_time_unix_nano, span.end_time_unix_nano = 3, start, end
    for key, value in attributes.items():
        attribute = span.attributes.add()
        attribute.key = key
        if isinstance(value, bool):
            attribute.value.bool_value = value
        elif isinstance(value, int):
            attribute.value.int_value = value
        elif isinstance(value, float):
            attribute.value.double_value = value
        else:
            attribute.value.string_value = value
    bench = Bench()
    for _ in range(2):
        bench.store.observe(bench.traces.take(request.SerializeToString(), 0.0)[0])
        bench.tick()
    bench.tick()
    assert bench.is_well()


# --- remote write ---------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_what_is_unpacked_is_bounded(body: bytes) -> None:
    with suppress(MalformedData):
        assert len(unpacked(body, 1000)) <= 1000


@SLOW
@given(st.lists(st.tuples(ANY, st.integers(0, 2**64 - 1)), max_size=6))
def test_remote_write_of_any_sample(samples: list[tuple[float, int]]) -> None:
    bench = Bench()
    labels = b""
    for name, value in (
        (b"__name__", b"vllm:num_requests_running"),
        (b"instance", b"127.0.0.1:34101"),
    ):
        inner = b"\x0a" + bytes([len(name)]) + name + b"\x12" + bytes([len(value)]) + value
        labels += b"\x0a" + bytes([len(inner)]) + inner
    for value, time in samples:
        sample = b"\x09" + np.float64(value).tobytes() + b"\x10" + _varint(time)
        series = labels + b"\x12" + bytes([len(sample)]) + sample
        body = b"\x0a" + _varint(len(series)) + series
        bench.store.observe(bench.writes.take(body)[0])
        bench.tick()
    bench.tick()
    bench.tick()
    assert bench.is_well()


def _varint(value: int) -> bytes:
    found = b""
    while value >= 0x80:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])


# --- bounds ---------------------------------------------------------------------------------------


def test_series_without_end_are_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vagus.telemetry.pushed.MAX_SOURCES", 10)
    bench = Bench()
    for number in range(30):
        request = metrics_service.ExportMetricsServiceRequest()
        resource = request.resource_metrics.add()
        name = resource.resource.attributes.add()
        name.key, name.value.string_value = "service.name", "chat"
        metric = resource.scope_metrics.add().metrics.add()
        metric.name = signals.WAITING
        point = metric.gauge.data_points.add()
        point.as_double, point.time_unix_nano = 1.0, 5
        label = point.attributes.add()
        label.key, label.value.string_value = "request.id", f"{number}"
        bench.otlp.take(request.SerializeToString())
    assert bench.rejections.counts[Rejected.TOO_MANY_SERIES] >= 20
    # Those that have been silent for long make room.
    bench.clock.advance(3600.0)
    point.attributes[0].value.string_value = "new"
    told, refused = bench.otlp.take(request.SerializeToString())
    assert (told[0].values, refused) == ({signals.WAITING: 1.0}, 0)
    assert math.isfinite(told[0].at)
