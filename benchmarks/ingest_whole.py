"""From bytes to the store: what a sample costs until it can be judged, and not only parsed.

*Scrape to store*: expositions of a fleet of vLLM servers (the recorded one, with other numbers each
time), parsed, translated by the dialect with its histograms, and taken in, with a tick a round.
*OTLP to store*: a collector's requests with twenty gauges and counters of each of a hundred
replicas, in protobuf, from the bytes to the same tick. Its peer decodes the same requests with the
generated classes and walks over points and attributes, without doing anything with them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_service

from vagus.clock import ManualClock
from vagus.config import Kind
from vagus.model import Scrape
from vagus.model.signals import SIGNALS, Instrument
from vagus.telemetry.dialects import dialect_of
from vagus.telemetry.exposition import Parser
from vagus.telemetry.otlp import OtlpMetrics
from vagus.telemetry.otlp_layout import walk
from vagus.telemetry.pushed import Pushed
from vagus.telemetry.rejections import Rejections
from vagus.telemetry.senders import Senders
from vagus.telemetry.store import Store
from vagus.telemetry.translate import Translator
from vagus.topology import ComponentNode, Topology

SCRAPED, SENT = 25, 100  # replicas
SIGNALS_SENT = 20
REQUESTS = 20  # of OTLP, in a round
SEED = 11
_TOLD = [
    signal
    for signal in SIGNALS.values()
    if signal.instrument in (Instrument.GAUGE, Instrument.COUNTER)
][:SIGNALS_SENT]

Round = Callable[[], tuple[int, float]]
"""Does a round of work: (how many samples that were, seconds of CPU time)."""


def scrape_to_store(scrapes: Sequence[bytes], samples: int) -> Round:
    """Every replica tells one of ``scrapes``, with ``samples`` in each."""
    clock, topology = ManualClock(), _fleet(SCRAPED)
    store = Store(lambda: topology, Rejections(clock))
    readers = []
    for subject in topology.replicas():
        parser = Parser()
        readers.append((subject, parser, Translator(dialect_of("vllm"), parser)))
    rounds = 0

    def work() -> tuple[int, float]:
        nonlocal rounds
        clock.advance(1.0)
        began = time.process_time()
        for number, (subject, parser, translator) in enumerate(readers):
            read = translator.translate(parser.parse(scrapes[(rounds + number) % len(scrapes)]))
            told = Scrape(subject, clock.now(), values=read.values, histograms=read.histograms)
            store.observe([told])
        store.tick(clock.now())
        rounds += 1
        return samples * len(readers), time.process_time() - began

    return work


def otlp_to_store() -> Round:
    clock, topology = ManualClock(), _fleet(SENT)
    rejections = Rejections(clock)
    store = Store(lambda: topology, rejections)
    otlp = OtlpMetrics(Senders(lambda: topology), Pushed(clock, rejections), rejections)
    requests = _Requests(topology)

    def work() -> tuple[int, float]:
        bodies = requests.make()
        began = time.process_time()
        for body in bodies:
            clock.advance(1.0)
            store.observe(otlp.take(body)[0])
            store.tick(clock.now())
        return requests.points * len(bodies), time.process_time() - began

    return work


def otlp_walked() -> Round:
    """The peer: generated classes, every attribute looked at."""
    requests = _Requests(_fleet(SENT))

    def work() -> tuple[int, float]:
        bodies = requests.make()
        began = time.process_time()
        for body in bodies:
            _walk(metrics_service.ExportMetricsServiceRequest.FromString(body))
        return requests.points * len(bodies), time.process_time() - began

    return work


def _walk(request: metrics_service.ExportMetricsServiceRequest) -> float:
    total = 0.0
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                is_gauge = metric.HasField("gauge")
                points = metric.gauge.data_points if is_gauge else metric.sum.data_points
                for point in points:
                    labels = {kv.key: kv.value.string_value for kv in point.attributes}
                    total += point.as_double + len(labels)
    return total


class _Requests:
    """A collector's: the same series each time, later and with other numbers."""

    def __init__(self, topology: Topology) -> None:
        self._first = np.frombuffer(_request(topology), dtype=np.uint8)
        points = walk(self._first).points
        self.points = len(points)
        self._times = np.array([p.time_at for p in points])[:, None] + np.arange(8)
        self._values = np.array([p.value_at for p in points])[:, None] + np.arange(8)
        self._draw = np.random.default_rng(SEED)
        self._told = np.zeros(self.points)
        self._now = 1_700_000_000_000_000_000

    def make(self) -> list[bytes]:
        return [self._next() for _ in range(REQUESTS)]

    def _next(self) -> bytes:
        self._now += 1_000_000_000
        self._told += self._draw.integers(0, 100, self.points)
        body = self._first.copy()
        times = np.full(self.points, self._now, dtype="<i8")
        body[self._times] = times.view(np.uint8).reshape(-1, 8)
        body[self._values] = self._told.astype("<f8").view(np.uint8).reshape(-1, 8)
        return body.tobytes()


def _request(topology: Topology) -> bytes:
    request = metrics_service.ExportMetricsServiceRequest()
    for subject in topology.replicas():
        resource = request.resource_metrics.add()
        names = {"service.name": subject.component, "service.instance.id": subject.replica}
        for name, value in names.items():
            attribute = resource.resource.attributes.add()
            attribute.key, attribute.value.string_value = name, value
        scope = resource.scope_metrics.add()
        for signal in _TOLD:
            metric = scope.metrics.add()
            metric.name, metric.unit = signal.name, signal.unit
            if signal.instrument is Instrument.GAUGE:
                point = metric.gauge.data_points.add()
            else:
                metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, 2
                point = metric.sum.data_points.add()
            point.as_double = point.time_unix_nano = point.start_time_unix_nano = 1
            for name in ("gen_ai.request.model", "gen_ai.operation.name", "server.address"):
                attribute = point.attributes.add()
                attribute.key, attribute.value.string_value = name, f"{name} of {subject}"
    return bytes(request.SerializeToString())


def _fleet(replicas: int) -> Topology:
    named = {f"chat-{n}": f"http://10.0.0.{n + 1}:8000" for n in range(replicas)}
    return Topology({"chat": ComponentNode("chat", Kind.MODEL_SERVER, "vllm", named)})
