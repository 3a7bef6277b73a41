"""OTLP traces: spans of calls become latencies, tokens and who calls whom.

Of a trace only the callers' side is read: spans of kind CLIENT that are calls of a model (GenAI
conventions) or of a database, and of any other the edge. Spans are events and may be sampled, so
where a sender's *metrics* tell the same, those count and its spans don't; otherwise every call
would be there twice.

Edges are observed calls, component to component. They are what the stack does, whatever it was
declared to do; a thousand of them are more than a stack has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_service
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from vagus.errors import MalformedData
from vagus.model import Scrape, Subject, signals
from vagus.telemetry.otlp_exponential import attributes, plain
from vagus.telemetry.otlp_meaning import ERROR, OPERATION
from vagus.telemetry.pushed import Pushed
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.senders import HOST, PEER, PORT, Senders

MAX_EDGES = 1024
LONGEST = 86_400.0  # s; a span that takes a day is a clock that was set

_SYSTEM, _OLD_SYSTEM = "db.system.name", "db.system"
_ROWS = "db.response.returned_rows"
_TOKENS_IN, _TOKENS_OUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
_READ = frozenset(
    {OPERATION, ERROR, HOST, PORT, PEER, _SYSTEM, _OLD_SYSTEM, _ROWS, _TOKENS_IN, _TOKENS_OUT}
)


@dataclass(slots=True)
class Edge:
    """Calls of one component by another, as far as they were observed."""

    calls: int = 0
    failed: int = 0
    seconds: float = 0.0  # of those that did not fail
    last_at: float = 0.0  # by our clock


@dataclass(frozen=True, slots=True)
class _Call:
    told: Mapping[str, str]
    seconds: float
    failed: bool


class OtlpTraces:
    def __init__(self, senders: Senders, pushed: Pushed, rejections: Rejections) -> None:
        self.edges: dict[tuple[str, str], Edge] = {}  # caller, callee
        self.spans = 0  # read, so far
        self._senders = senders
        self._pushed = pushed
        self._rejections = rejections

    def take(self, request: bytes, now: float) -> tuple[list[Scrape], int]:
        """(how what it speaks of stands now, how many of its spans were refused).

        Raises MalformedData for what is no request.
        """
        try:
            message = trace_service.ExportTraceServiceRequest.FromString(request)
        except DecodeError as error:
            raise MalformedData("is no OTLP request") from error
        rows: set[int] = set()
        refused = 0
        for resource in message.resource_spans:
            origin = dict(attributes(resource.resource.attributes))
            subject = self._senders.subject(origin)
            spans = [span for scope in resource.scope_spans for span in scope.spans]
            self.spans += len(spans)
            if subject is None:
                name = origin.get("service.name", "a sender without service.name")[:80]
                why = "nobody of that name in the stack"
                self._rejections.count(Rejected.UNKNOWN_SENDER, name, why, len(spans))
                refused += len(spans)
                continue
            calls = [
                call
                for span in spans
                if span.kind == Span.SPAN_KIND_CLIENT
                and (call := self._call(span, subject)) is not None
            ]
            for call in calls:
                self._note_edge(subject, call, now)
            rows.update(self._note(subject, calls))
        told = self._pushed.told(np.array(sorted(rows), dtype=np.int64))
        return self._pushed.scrapes(told), refused

    def _call(self, span: Span, subject: Subject) -> _Call | None:
        seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        if not 0 <= seconds <= LONGEST:
            self._rejections.count(
                Rejected.CLOCK_JUMPED, str(subject), "a span ends before it began"
            )
            return None
        told = {}
        for attribute in span.attributes:
            if attribute.key in _READ:
                text = plain(attribute)
                if text is not None:
                    told[attribute.key] = text
        failed = span.status.code == Status.STATUS_CODE_ERROR or ERROR in told
        return _Call(told, seconds, failed)

    def _note_edge(self, subject: Subject, call: _Call, now: float) -> None:
        callee = self._senders.callee(call.told)
        if callee is None or callee == subject.component:
            return
        edge = self.edges.get((subject.component, callee))
        if edge is None:
            if len(self.edges) >= MAX_EDGES:
                return
            edge = self.edges[subject.component, callee] = Edge()
        edge.calls += 1
        edge.failed += call.failed
        edge.seconds += 0.0 if call.failed else call.seconds
        edge.last_at = now

    def _note(self, subject: Subject, calls: Iterable[_Call]) -> Iterator[int]:
        counts: dict[str, float] = {}
        for call in calls:
            for signal, amount in _counted(call):
                counts[signal] = counts.get(signal, 0.0) + amount
            for signal, value in _measured(call):
                row = self._row(subject, signal)
                if row is not None:
                    self._pushed.seen(row, value)
                    yield row
        for signal, amount in counts.items():
            row = self._row(subject, signal)
            if row is not None:
                self._pushed.added(np.array([row], dtype=np.int64), np.array([amount]))
                yield row

    def _row(self, subject: Subject, signal: str) -> int | None:
        """None where the sender's metrics tell it already."""
        key = ("span", subject, signal)
        if self._pushed.is_told(subject, signal, besides=key):
            return None
        return self._pushed.row(key, subject, signal)


def _counted(call: _Call) -> Iterator[tuple[str, float]]:
    told = call.told
    if OPERATION in told:
        yield signals.CLIENT_OPERATIONS, 1.0
        yield signals.CLIENT_FAILED, float(call.failed)
        for name, signal in (
            (_TOKENS_IN, signals.CLIENT_TOKENS_IN),
            (_TOKENS_OUT, signals.CLIENT_TOKENS_OUT),
        ):
            yield signal, _number(told.get(name)) or 0.0
    elif _is_database(told):
        yield signals.DB_OPERATIONS, 1.0
        yield signals.DB_FAILED, float(call.failed)


def _measured(call: _Call) -> Iterator[tuple[str, float]]:
    """How long a failure took is no latency."""
    if call.failed:
        return
    if OPERATION in call.told:
        embeds = call.told[OPERATION] == "embeddings"
        yield signals.EMBEDDING_DURATION if embeds else signals.CLIENT_DURATION, call.seconds
    elif _is_database(call.told):
        yield signals.DB_DURATION, call.seconds
        returned = _number(call.told.get(_ROWS))
        if returned is not None:
            yield signals.DB_RETURNED_ROWS, returned


def _is_database(told: Mapping[str, str]) -> bool:
    return _SYSTEM in told or _OLD_SYSTEM in told


def _number(text: str | None) -> float | None:
    """None for what is no number that can be counted."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
