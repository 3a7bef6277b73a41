"""OTLP metrics: requests in, readings out.

What a request's series mean is worked out when its layout is first met and then kept beside it
(:mod:`vagus.telemetry.otlp_layout`): the rows of :class:`~vagus.telemetry.pushed.Pushed` that each
number goes to. From the second request on the numbers are taken out of the bytes and added up, all
at once, without a look at a name.

The plan is made anew when the stack has changed, since who a sender is depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_service

from vagus.errors import MalformedData
from vagus.model import Scrape, Subject
from vagus.telemetry.dialects import Dialect, dialect_of
from vagus.telemetry.otlp_exponential import exponential_points
from vagus.telemetry.otlp_layout import Bytes, Layout, Layouts, Point, Temporality, numbers
from vagus.telemetry.otlp_meaning import Mismatch, Of, Part, parts
from vagus.telemetry.pushed import GRID_BOUNDS, Pushed, Told
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.senders import Senders
from vagus.telemetry.sketch import Floats, Ints
from vagus.topology import Topology


@dataclass(slots=True)
class _Group:
    """Points whose numbers are taken and added up in the same way."""

    temporality: Temporality
    of: Of
    scale: float  # of bounds
    bounds: tuple[float, ...]
    rows: list[int] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)  # of values


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The same, as arrays."""

    temporality: Temporality
    of: Of
    scale: float
    bounds: tuple[float, ...]
    rows: Ints
    places: Ints
    is_integer: np.ndarray[tuple[int], np.dtype[np.bool_]]
    scales: Floats
    times: Ints
    starts: Ints


@dataclass(frozen=True, slots=True)
class _Plan:
    topology: Topology
    epoch: int
    numbers: tuple[_Numbers, ...]
    told: tuple[Told, ...]
    refused: tuple[tuple[Rejected, str, str], ...]


class OtlpMetrics:
    def __init__(self, senders: Senders, pushed: Pushed, rejections: Rejections) -> None:
        self.layouts = Layouts()
        self.points = 0  # taken, so far
        self._senders = senders
        self._pushed = pushed
        self._rejections = rejections
        self._plans: WeakKeyDictionary[Layout, _Plan] = WeakKeyDictionary()

    def take(self, request: bytes) -> tuple[list[Scrape], int]:
        """(how what it speaks of stands now, how many of its points were refused).

        Raises MalformedData for what is no request.
        """
        payload = np.frombuffer(request, dtype=np.uint8)
        layout = self.layouts.of(payload)
        plan = self._plan(layout)
        for reason, where, why in plan.refused:
            self._rejections.count(reason, where, why)
        for group in plan.numbers:
            self._add(group, payload)
        self.points += len(layout.points)
        scrapes = self._pushed.scrapes(plan.told)
        if layout.exponential:
            rows = np.array(sorted(set(self._take_exponential(request))), dtype=np.int64)
            scrapes += self._pushed.scrapes(self._pushed.told(rows))
        return scrapes, len(plan.refused)

    # --- the numbers of one request ---------------------------------------------------------------

    def _add(self, group: _Numbers, payload: Bytes) -> None:
        times = numbers(payload, group.times, "<i8").astype(np.int64)
        starts = numbers(payload, group.starts, "<i8").astype(np.int64)
        if group.of is Of.VALUE:
            values = numbers(payload, group.places, "<f8").astype(np.float64)
            if group.is_integer.any():
                whole = numbers(payload, group.places, "<i8").astype(np.float64)
                values = np.where(group.is_integer, whole, values)
            self._add_values(group, values * group.scales, times, starts)
            return
        counts = numbers(payload, group.places, "<u8").astype(np.float64)
        if group.of is Of.COUNT:
            self._add_values(group, counts.sum(axis=1), times, starts)
        elif group.temporality is Temporality.DELTA:
            self._pushed.bucket_added(group.rows, group.bounds, counts, group.scale)
        else:
            self._pushed.bucket_totals(group.rows, group.bounds, counts, times, starts, group.scale)

    def _add_values(self, group: _Numbers, values: Floats, times: Ints, starts: Ints) -> None:
        if group.temporality is Temporality.GAUGE:
            self._pushed.gauges(group.rows, values, times)
        elif group.temporality is Temporality.DELTA:
            self._pushed.added(group.rows, values)
        else:
            self._pushed.totals(group.rows, values, times, starts)

    def _take_exponential(self, request: bytes) -> Iterator[int]:
        try:
            message = metrics_service.ExportMetricsServiceRequest.FromString(request)
        except DecodeError as error:
            raise MalformedData("is no OTLP request") from error
        for point, counts, time, start in exponential_points(message):
            for part, row in self._rows_of(point, []):
                one = np.array([row], dtype=np.int64)
                at = np.array([time], dtype=np.int64)
                since = np.array([start], dtype=np.int64)
                if part.of is Of.COUNT:
                    total = np.array([counts.sum()])
                    if point.metric.temporality is Temporality.DELTA:
                        self._pushed.added(one, total)
                    else:
                        self._pushed.totals(one, total, at, since)
                elif part.of is Of.BUCKETS and point.metric.temporality is Temporality.DELTA:
                    self._pushed.bucket_added(one, GRID_BOUNDS, counts[None], part.scale)
                elif part.of is Of.BUCKETS:
                    self._pushed.bucket_totals(
                        one, GRID_BOUNDS, counts[None], at, since, part.scale
                    )
                yield row
            self.points += 1

    # --- what a layout means ----------------------------------------------------------------------

    def _plan(self, layout: Layout) -> _Plan:
        topology = self._senders.topology()
        plan = self._plans.get(layout)
        if plan is None or plan.topology is not topology or plan.epoch != self._pushed.epoch:
            plan = self._plans[layout] = self._made(layout, topology)
        return plan

    def _made(self, layout: Layout, topology: Topology) -> _Plan:
        refused: list[tuple[Rejected, str, str]] = []
        groups: dict[tuple[object, ...], _Group] = {}
        seen: set[int] = set()
        for point in layout.points:
            for part, row in self._rows_of(point, refused):
                if row in seen:
                    where = point.metric.name
                    refused.append((Rejected.OUT_OF_ORDER, where, "twice in one request"))
                    continue
                seen.add(row)
                _put(groups, point, part, row)
        found = tuple(_arrays(group) for group in groups.values())
        rows = np.array(sorted(seen), dtype=np.int64)
        return _Plan(topology, self._pushed.epoch, found, self._pushed.told(rows), tuple(refused))

    def _rows_of(
        self, point: Point, refused: list[tuple[Rejected, str, str]]
    ) -> Iterator[tuple[Part, int]]:
        metric = point.metric
        subject = self._senders.subject(dict(metric.origin))
        if subject is None:
            name = dict(metric.origin).get("service.name", "a sender without service.name")
            refused.append((Rejected.UNKNOWN_SENDER, name[:80], "nobody of that name in the stack"))
            return
        try:
            told = list(parts(point, self._dialect(subject)))
        except Mismatch as error:
            refused.append((Rejected.MISMATCH, str(subject), str(error)))
            return
        for part in told:
            if part.of is not Of.VALUE and not point.bounds:
                refused.append(
                    (Rejected.BUCKETS_DIFFER, str(subject), f"{metric.name}: no buckets")
                )
                continue
            key = (metric.origin, metric.name, point.labels, part.signal)
            row = self._pushed.row(key, subject, part.signal)
            if row is None:
                refused.append((Rejected.TOO_MANY_SERIES, str(subject), metric.name))
            else:
                yield part, row

    def _dialect(self, subject: Subject) -> Dialect | None:
        node = self._senders.topology().components.get(subject.component)
        return dialect_of(node.engine, node.metrics) if node is not None else None


def _put(groups: dict[tuple[object, ...], _Group], point: Point, part: Part, row: int) -> None:
    bounds = () if part.of is Of.VALUE else point.bounds or ()
    scale = part.scale if part.of is Of.BUCKETS else 1.0
    key = (point.metric.temporality, part.of, scale, bounds)
    group = groups.setdefault(key, _Group(point.metric.temporality, part.of, scale, bounds))
    group.rows.append(row)
    group.points.append(point)
    group.scales.append(part.scale if part.of is Of.VALUE else 1.0)


def _arrays(group: _Group) -> _Numbers:
    points: Sequence[Point] = group.points
    if group.of is Of.VALUE:
        places = np.array([point.value_at for point in points], dtype=np.int64)
    else:
        first = np.array([point.counts_at for point in points], dtype=np.int64)
        places = first[:, None] + 8 * np.arange(len(group.bounds) + 1)
    return _Numbers(
        group.temporality,
        group.of,
        group.scale,
        group.bounds,
        np.array(group.rows, dtype=np.int64),
        places,
        np.array([point.is_integer for point in points], dtype=np.bool_),
        np.array(group.scales, dtype=np.float64),
        np.array([point.time_at for point in points], dtype=np.int64),
        np.array([point.start_at for point in points], dtype=np.int64),
    )
