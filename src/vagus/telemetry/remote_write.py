"""Prometheus's remote write: what somebody else has scraped, as if we had.

A sample belongs to a replica if its label ``instance`` is the replica's address, and is read by
the dialect of its engine. Queues of the sender cut one scrape into pieces, so a replica's samples
of one time are gathered, and told once they are complete or newer ones begin: half a histogram is
none.

A series comes with its labels every time, and they are the same every time: what they mean is
remembered by their bytes, and only a series that was never met is read label by label. Series that
say nothing to us are remembered too, as that.

Specification: Prometheus Remote-Write 1.0; prometheus/prompb, messages WriteRequest, TimeSeries,
Label and Sample.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import cramjam
import numpy as np

from vagus.clock import Clock
from vagus.errors import MalformedData
from vagus.model import Scrape, Sense, Subject
from vagus.telemetry.dialects import dialect_of
from vagus.telemetry.exposition import Samples
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.sample_line import Series
from vagus.telemetry.sketch import Ints
from vagus.telemetry.translate import Translator
from vagus.telemetry.wire import parts, text, varint
from vagus.topology import Topology

CONTENT_TYPE = "application/x-protobuf"
MAX_SERIES = 4096  # that mean something, of one replica
REMEMBERED = 200_000  # series by their bytes
OLDEST = 300.0  # s; what is older is history, and would be judged as if it were now
AHEAD = 60.0  # s that a sender's clock may be ahead of ours

_STALE = 0x7FF0000000000002  # the NaN by which Prometheus says that a series has ended
_TAIL = struct.Struct("<2sBdB")  # tag and length of a sample, tag, value, tag
_SAMPLE = b"\x12\x10"  # field 2 of 16 bytes: a value and a time of this century
_TAIL_SIZE = 18

_Place = tuple["_Replica", int]


@dataclass
class _Replica:
    """One replica's series that mean something, and their latest values."""

    subject: Subject
    where: str
    series: list[Series] = field(default_factory=list)
    index: dict[Series, int] = field(default_factory=dict)
    epoch: int = 0
    values: list[float] = field(default_factory=list)
    times: list[int] = field(default_factory=list)  # ms; 0: it has ended, or not begun
    ids: Ints | None = None  # of the series that are alive
    at: int = 0  # ms; of what is being gathered
    gathered: int = 0


def unpacked(body: bytes, limit: int) -> bytes:
    """Snappy's block format, unpacked. Raises MalformedData, before unpacking what is too large."""
    size, _ = varint(body, 0, min(len(body), 10))
    if size > limit:
        raise MalformedData(f"longer than {limit >> 20} MB unpacked")
    try:
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise MalformedData(f"is not snappy: {error}") from error


class RemoteWrite:
    def __init__(
        self, topology: Callable[[], Topology], clock: Clock, rejections: Rejections
    ) -> None:
        self._topology = topology
        self._clock = clock
        self._rejections = rejections
        self._known: Topology | None = None
        self._replicas: dict[Subject, _Replica] = {}
        self._translators: dict[Subject, Translator] = {}
        self._places: dict[bytes, _Place | None] = {}  # None: it says nothing to us

    def take(self, request: bytes) -> tuple[list[Scrape], int]:
        """(what is complete of the replicas that it speaks of, how many samples were refused).

        Raises MalformedData, and then has taken nothing.
        """
        self._follow_topology()
        found = [s for number, *s in parts(request, 0, len(request)) if number == 1]
        samples = [sample for begin, end in found for sample in self._samples(request, begin, end)]
        scrapes: list[Scrape] = []
        refused = 0
        now = self._clock.now()
        for (replica, index), value, time in samples:
            if not now - OLDEST <= time / 1000 <= now + AHEAD:
                self._rejections.count(Rejected.CLOCK_JUMPED, replica.where, "from another time")
                refused += 1
            elif time <= replica.times[index] or time < replica.at:
                self._rejections.count(Rejected.OUT_OF_ORDER, replica.where, "a sample of the past")
                refused += 1
            else:
                scrapes += self._gather(replica, index, value, time)
        return scrapes, refused

    def _gather(self, replica: _Replica, index: int, value: float, time: int) -> list[Scrape]:
        told: list[Scrape] = []
        if time > replica.at:
            if replica.gathered:
                told.append(self._tell(replica))
            replica.at = time
        if math.isnan(value) and struct.unpack("<Q", struct.pack("<d", value))[0] == _STALE:
            if replica.times[index]:
                replica.times[index], replica.ids = 0, None
            return told
        if not replica.times[index]:
            replica.ids = None
        replica.values[index], replica.times[index] = value, time
        replica.gathered += 1
        if replica.ids is not None and replica.gathered == len(replica.ids):
            told.append(self._tell(replica))
        return told

    def _tell(self, replica: _Replica) -> Scrape:
        """Of what has been told at this time, and nothing of what was left from before."""
        alive = [i for i, time in enumerate(replica.times) if time == replica.at]
        if replica.ids is None or len(replica.ids) != len(alive) or replica.ids.tolist() != alive:
            replica.ids = np.array(alive, dtype=np.int64)
        replica.gathered = 0
        values = np.array(replica.values, dtype=np.float64)[replica.ids]
        translator = self._translators[replica.subject]
        refused = translator.rejected
        told = translator.translate(Samples(replica.ids, values))
        if more := translator.rejected - refused:
            why = translator.last_rejection
            self._rejections.count(Rejected.BUCKETS_DIFFER, replica.where, why, more)
        return Scrape(
            replica.subject,
            replica.at / 1000,
            values=told.values,
            sense=Sense.PUSH,
            histograms=told.histograms,
        )

    # --- what a series is -------------------------------------------------------------------------

    def _samples(self, data: bytes, begin: int, end: int) -> list[tuple[_Place, float, int]]:
        """Of one series, in the order of time."""
        if end - begin > _TAIL_SIZE and data[end - _TAIL_SIZE : end - 16] == _SAMPLE:
            # As nearly all are: labels that were met before, and one sample.
            key = data[begin : end - _TAIL_SIZE]
            if key in self._places:
                place = self._places[key]
                if place is None:
                    return []
                _, tag, value, time_tag = _TAIL.unpack_from(data, end - _TAIL_SIZE)
                if tag == 9 and time_tag == 16:
                    time, _ = varint(data, end - 6, end)
                    return [(place, value, time)]
        return self._read(data, begin, end)

    def _read(self, data: bytes, begin: int, end: int) -> list[tuple[_Place, float, int]]:
        labels: dict[str, str] = {}
        samples: list[tuple[float, int]] = []
        labels_end = begin
        for number, start, stop in parts(data, begin, end):
            if number == 1:
                labels.update([_label(data, start, stop)])
                labels_end = stop
            elif number == 2:
                samples.append(_sample(data, start, stop))
        place = self._place(labels)
        if labels_end == end - _TAIL_SIZE:
            if len(self._places) >= REMEMBERED:
                self._places.clear()
            self._places[data[begin:labels_end]] = place
        return [] if place is None else [(place, value, time) for value, time in samples]

    def _place(self, labels: dict[str, str]) -> _Place | None:
        topology = self._topology()
        subject = topology.subject_at(labels.get("instance", ""))
        if subject is None:
            return None
        name = labels.pop("__name__", "")
        node = topology.components[subject.component]
        dialect = dialect_of(node.engine, node.metrics)
        own = {k: v for k, v in labels.items() if k not in ("instance", "job")}
        series = Series(name, tuple(sorted(own.items())))
        if not dialect.meanings(series):
            return None
        replica = self._replicas.get(subject)
        if replica is None:
            replica = self._replicas[subject] = _Replica(subject, labels["instance"])
            self._translators[subject] = Translator(dialect, replica)
        known = replica.index.get(series)
        if known is not None:
            return replica, known
        if len(replica.series) >= MAX_SERIES:
            self._rejections.count(Rejected.TOO_MANY_SERIES, replica.where, name)
            return None
        replica.index[series] = len(replica.series)
        replica.series.append(series)
        replica.values.append(math.nan)
        replica.times.append(0)
        return replica, len(replica.series) - 1

    def _follow_topology(self) -> None:
        topology = self._topology()
        if topology is not self._known and topology != self._known:
            self._known = topology
            self._replicas, self._translators, self._places = {}, {}, {}


def _label(data: bytes, begin: int, end: int) -> tuple[str, str]:
    name = value = ""
    for number, start, stop in parts(data, begin, end):
        if number == 1:
            name = text(data, start, stop)
        elif number == 2:
            value = text(data, start, stop)
    return name, value


def _sample(data: bytes, begin: int, end: int) -> tuple[float, int]:
    value, time = 0.0, 0
    for number, start, stop in parts(data, begin, end):
        if number == 1 and stop - start == 8:
            (value,) = struct.unpack_from("<d", data, start)
        elif number == -2:
            time = start - (1 << 64) if start >> 63 else start
    return value, time
