"""An OTLP metrics request as a layout with holes.

An exporter sends the same series again and again, and in protobuf everything that changes between
two of its requests (times, values, counts of buckets) is eight bytes wide: the requests differ in
those places and nowhere else. So the first one is walked, field by field, to learn which series it
has and where their numbers stand; of every further one the bytes outside of the holes are compared
with the first, all at once, and the numbers are taken out of the holes. What took a walk over every
attribute of every point is then a comparison of memory.

That a match is enough is no guess: whatever says what a number is, how long it is and where it
stands is among the bytes that were compared. A request that differs is walked anew.

Exponential histograms are not read here: their buckets are varints, so they have no such layout.

Format: opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest, protobuf encoding.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from vagus.errors import MalformedData
from vagus.telemetry.wire import parts, text

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Attributes = tuple[tuple[str, str], ...]
"""Sorted by name; values as text, those that are lists or mappings left out."""

REMEMBERED = 16 << 20  # bytes of requests in all; with what was learnt of them some 100 MB
LARGEST = 2 << 20  # bytes of a request that is remembered
_ALIKE = 4  # layouts that are as long and begin alike


class Temporality(Enum):
    GAUGE = 0
    DELTA = 1
    CUMULATIVE = 2


@dataclass(frozen=True, slots=True)
class Metric:
    """What stands above a point."""

    origin: Attributes  # of the resource: who sends it
    name: str
    unit: str
    temporality: Temporality


@dataclass(frozen=True, slots=True)
class Point:
    """One series, and at which byte its numbers stand; -1 for a number that is not there."""

    metric: Metric
    labels: Attributes
    start_at: int
    time_at: int
    value_at: int  # of a histogram: its sum
    is_integer: bool = False
    counts_at: int = -1
    bounds: tuple[float, ...] | None = None  # of a histogram

    @property
    def is_histogram(self) -> bool:
        return self.bounds is not None


@dataclass(frozen=True, eq=False)
class Layout:
    """Is itself: what is planned for it is kept beside it."""

    points: tuple[Point, ...]
    exponential: bool  # it has exponential histograms, too
    first: Bytes  # the request that it was learnt from
    _kept: Bytes  # all bits set outside of the holes

    def fits(self, payload: Bytes) -> bool:
        if len(payload) != len(self.first):
            return False
        return not ((payload ^ self.first) & self._kept).any()


def numbers(payload: Bytes, places: Ints, dtype: str) -> NDArray[np.generic]:
    """The eight-byte numbers at ``places`` (shape as theirs); 0 where a place is -1."""
    if len(payload) < 8:
        return np.zeros(places.shape, dtype)
    # Every eight bytes, from each byte on: numbers stand where they stand, not where it is even.
    every = np.ndarray((len(payload) - 7,), dtype, payload.data, strides=(1,))
    missing = places < 0
    if missing.any():
        return np.where(missing, np.zeros(1, dtype), every[np.where(missing, 0, places)])
    return every[places]


class Layouts:
    """The layouts of the latest requests."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, list[Layout]] = OrderedDict()
        self._bytes = 0
        self.walked = 0  # requests that were walked, so far

    def of(self, payload: Bytes) -> Layout:
        """Raises MalformedData."""
        # Requests that fit begin alike and are as long; a few may share that and differ later.
        key = b"%d:" % len(payload) + payload[:64].tobytes()
        known = self._known.get(key, [])
        for layout in known:
            if layout.fits(payload):
                self._known.move_to_end(key)
                return layout
        self.walked += 1
        layout = walk(payload)
        if len(payload) <= LARGEST and not layout.exponential:
            self._remember(key, [layout, *known[: _ALIKE - 1]])
        return layout

    def _remember(self, key: bytes, layouts: list[Layout]) -> None:
        size = len(layouts[0].first)
        self._bytes += size * (len(layouts) - len(self._known.get(key, ())))
        self._known[key] = layouts
        self._known.move_to_end(key)
        while self._bytes > REMEMBERED:
            _, oldest = self._known.popitem(last=False)
            self._bytes -= len(oldest[0].first) * len(oldest)


def walk(payload: Bytes) -> Layout:
    """Read ``payload`` field by field. Raises MalformedData."""
    walker = _Walker(payload.tobytes())
    walker.request()
    kept = np.full(len(payload), 0xFF, dtype=np.uint8)
    for begin, end in walker.holes:
        kept[begin:end] = 0
    return Layout(tuple(walker.points), walker.exponential, payload, kept)


_SUM, _GAUGE, _HISTOGRAM, _EXPONENTIAL = 7, 5, 9, 10
_DELTA = 1
_MAX_BUCKETS = 512


@dataclass
class _Walker:
    data: bytes
    points: list[Point] = field(default_factory=list)
    holes: list[tuple[int, int]] = field(default_factory=list)
    exponential: bool = False

    def request(self) -> None:
        for number, begin, end in parts(self.data, 0, len(self.data)):
            if number == 1:
                self._resource(begin, end)

    def _resource(self, begin: int, end: int) -> None:
        found = [p for p in parts(self.data, begin, end) if p[0] in (1, 2)]
        origin: list[tuple[str, str]] = []
        for number, start, stop in found:
            if number == 1:
                origin += self._attributes(start, stop, 1)
        told = tuple(sorted(dict(origin).items()))
        for number, start, stop in found:
            if number == 2:
                for inner, first, last in parts(self.data, start, stop):
                    if inner == 2:
                        self._metric(told, first, last)

    def _metric(self, origin: Attributes, begin: int, end: int) -> None:
        name = unit = ""
        data: list[tuple[int, int, int]] = []
        for number, start, stop in parts(self.data, begin, end):
            if number == 1:
                name = text(self.data, start, stop)
            elif number == 3:
                unit = text(self.data, start, stop)
            elif number in (_GAUGE, _SUM, _HISTOGRAM, _EXPONENTIAL):
                data.append((number, start, stop))
        for kind, start, stop in data:
            self.exponential |= kind == _EXPONENTIAL
            if kind != _EXPONENTIAL:
                self._data(origin, name, unit, kind, start, stop)

    def _data(
        self, origin: Attributes, name: str, unit: str, kind: int, begin: int, end: int
    ) -> None:
        aggregation, monotonic, where = 0, kind == _HISTOGRAM, list[tuple[int, int]]()
        for number, start, stop in parts(self.data, begin, end):
            if number == 1:
                where.append((start, stop))
            elif number == -2:
                aggregation = start
            elif number == -3:
                monotonic = bool(start)
        if not monotonic and kind == _SUM and aggregation == _DELTA:
            return  # ups and downs, without a point to start from
        temporality = Temporality.GAUGE
        if kind != _GAUGE and monotonic:
            temporality = Temporality.DELTA if aggregation == _DELTA else Temporality.CUMULATIVE
        metric = Metric(origin, name, unit, temporality)
        for start, stop in where:
            if kind == _HISTOGRAM:
                self._histogram(metric, start, stop)
            else:
                self._number(metric, start, stop)

    def _number(self, metric: Metric, begin: int, end: int) -> None:
        labels: list[tuple[str, str]] = []
        start_at = time_at = value_at = -1
        is_integer = False
        for number, start, stop in parts(self.data, begin, end):
            if number == 7:
                labels += self._attribute(start, stop)
            elif number == 2:
                start_at = self._hole(start, stop)
            elif number == 3:
                time_at = self._hole(start, stop)
            elif number in (4, 6):
                value_at, is_integer = self._hole(start, stop), number == 6
            elif number == 5:
                self.holes.append((start, stop))  # an exemplar
        if value_at >= 0:
            told = tuple(sorted(dict(labels).items()))
            self.points.append(Point(metric, told, start_at, time_at, value_at, is_integer))

    def _histogram(self, metric: Metric, begin: int, end: int) -> None:
        labels: list[tuple[str, str]] = []
        start_at = time_at = sum_at = counts_at = -1
        buckets, bounds = 0, tuple[float, ...]()
        for number, start, stop in parts(self.data, begin, end):
            if number == 9:
                labels += self._attribute(start, stop)
            elif number == 2:
                start_at = self._hole(start, stop)
            elif number == 3:
                time_at = self._hole(start, stop)
            elif number == 5:
                sum_at = self._hole(start, stop)
            elif number == 6 and (stop - start) % 8 == 0:
                counts_at, buckets = start, (stop - start) // 8
                self.holes.append((start, stop))
            elif number == 7 and (stop - start) % 8 == 0:
                bounds = tuple(np.frombuffer(self.data[start:stop], "<f8").tolist())
            elif number in (4, 8, 11, 12):
                self.holes.append((start, stop))  # count, exemplar, min, max
        rising = bool(np.isfinite(bounds).all() and (np.diff(bounds) > 0).all())
        if counts_at < 0 or not rising or not 1 < buckets == len(bounds) + 1 <= _MAX_BUCKETS:
            counts_at, bounds = -1, ()
        told = tuple(sorted(dict(labels).items()))
        self.points.append(Point(metric, told, start_at, time_at, sum_at, False, counts_at, bounds))

    def _hole(self, begin: int, end: int) -> int:
        if end - begin != 8:
            raise MalformedData("is no OTLP request: a number is not eight bytes wide")
        self.holes.append((begin, end))
        return begin

    def _attributes(self, begin: int, end: int, field_number: int) -> Iterator[tuple[str, str]]:
        for number, start, stop in parts(self.data, begin, end):
            if number == field_number:
                yield from self._attribute(start, stop)

    def _attribute(self, begin: int, end: int) -> Iterator[tuple[str, str]]:
        key, value = "", None
        for number, start, stop in parts(self.data, begin, end):
            if number == 1:
                key = text(self.data, start, stop)
            elif number == 2:
                value = self._plain(start, stop)
        if key and value is not None:
            yield key, value

    def _plain(self, begin: int, end: int) -> str | None:
        for number, start, stop in parts(self.data, begin, end):
            if number == 1:
                return text(self.data, start, stop)
            if number == -2:
                return "true" if start else "false"
            if number == -3:
                return str(start - (1 << 64) if start >> 63 else start)
            if number == 4 and stop - start == 8:
                return str(float(np.frombuffer(self.data[start:stop], "<f8")[0]))
        return None
