"""Backfill: the past, from whoever has kept it.

A baseline needs weeks, and a stack that is worth watching has a Prometheus (or a VictoriaMetrics)
that holds them. It is asked for the same signals that Vagus would have scraped, and the answers
become columns in segments of history like any other, so that whoever learns from history doesn't
need to know where it came from.

It is fetched a chunk of two hours at a time, all of a chunk is in memory at once and nothing else;
a chunk is a segment, written whole and named for when it begins. So a run that was interrupted goes
on with the first chunk that is missing, and running it again fetches only what is new.

API: Prometheus HTTP API v1, ``query_range``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np

from vagus.clock import Clock
from vagus.errors import MalformedData, SourceError, TargetUnreachable
from vagus.model import Sense, Subject
from vagus.model.series import Column, Floats, SeriesKey
from vagus.model.signals import RATIOS, SIGNALS, Combine
from vagus.telemetry.dialects import dialect_of
from vagus.telemetry.promql import Query, queries
from vagus.telemetry.recording import column_line, series_line
from vagus.telemetry.segments import is_segment, write_segment
from vagus.topology import Topology, authority

CHUNK = 7200.0  # s; 480 columns at a step of 15 s
INSTANCES = 100  # asked for at once
AT_ONCE = 4  # queries under way: it is somebody's production
MAX_ANSWER = 64 << 20  # bytes
TIMEOUT = 120.0  # s that a query may take
ATTEMPTS = 3
PAUSE = 2.0  # s between two of them

Progress = Callable[[int, int, int], None]
"""Told chunks done, chunks in all, and values fetched so far."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What a run fetched."""

    chunks: int
    already_there: int
    series: int
    values: int


class Backfill:
    """Fetches from ``url`` into ``folder``; times are whole steps."""

    def __init__(
        self,
        url: str,
        folder: Path,
        topology: Topology,
        session: aiohttp.ClientSession,
        clock: Clock,
        *,
        step: float,
    ) -> None:
        self._url = url.rstrip("/") + "/api/v1/query_range"
        self._folder = folder
        self._topology = topology
        self._session = session
        self._clock = clock
        self._step = step
        self._places = asyncio.Semaphore(AT_ONCE)
        self._values = 0
        self._series: set[SeriesKey] = set()

    async def run(self, days: float, progress: Progress) -> Learned:
        """Raises SourceError if it can't be had; what was fetched until then stays."""
        end = self._clock.now() // CHUNK * CHUNK
        count = max(1, round(days * 86400 / CHUNK))
        starts = [end - CHUNK * back for back in range(count, 0, -1)]
        there = [start for start in starts if is_segment(self._folder, start)]
        done = len(there)
        progress(done, count, 0)
        for start in starts:
            if start not in there:
                lines = list(_lines(await self._chunk(start)))
                await asyncio.to_thread(write_segment, self._folder, start, lines)
                done += 1
                progress(done, count, self._values)
        return Learned(count - len(there), len(there), len(self._series), self._values)

    async def _chunk(self, start: float) -> _Chunk:
        chunk = _Chunk(start, self._step)
        asked = [query for batch in self._batches() for query in batch]
        answers = await asyncio.gather(*(self._answer(query, start) for query in asked))
        for query, answer in zip(asked, answers, strict=True):
            for host, times, values in answer:
                subject = self._topology.subject_at(host)
                if subject is not None:
                    self._values += len(values)
                    chunk.put(subject, query.signal, times, values)
        chunk.close()
        self._series.update(chunk.rows)
        return chunk

    def _batches(self) -> Iterator[Sequence[Query]]:
        for node in self._topology.components.values():
            instances = [authority(address) for address in node.replicas.values()]
            dialect = dialect_of(node.engine, node.metrics)
            for first in range(0, len(instances), INSTANCES):
                some = instances[first : first + INSTANCES]
                yield list(queries(dialect, some, self._step))

    async def _answer(self, query: Query, start: float) -> list[tuple[str, Floats, Floats]]:
        asked = {
            "query": query.expression,
            "start": f"{start:.3f}",
            "end": f"{start + CHUNK - self._step:.3f}",
            "step": f"{self._step:g}",
        }
        async with self._places:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    return _read(await self._post(asked), self._url)
                except TargetUnreachable:
                    if attempt == ATTEMPTS:
                        raise
                await self._clock.sleep(PAUSE)
        raise AssertionError("unreachable")

    async def _post(self, asked: Mapping[str, str]) -> bytes:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        try:
            async with self._session.post(
                self._url, data=asked, timeout=timeout, allow_redirects=False
            ) as answer:
                body = await answer.content.read(MAX_ANSWER + 1)
                while len(body) <= MAX_ANSWER and (more := await answer.content.readany()):
                    body += more
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = str(error) or type(error).__name__
            raise TargetUnreachable(f"does not answer: {why}", where=self._url) from error
        if status >= 500:
            raise TargetUnreachable(f"answers HTTP {status}", where=self._url)
        if len(body) > MAX_ANSWER:
            raise MalformedData("answers more than 64 MB to one query", where=self._url)
        return body


class _Chunk:
    """Two hours of all series: a row a series, a column a step."""

    def __init__(self, start: float, step: float) -> None:
        self.times: Floats = start + step * np.arange(round(CHUNK / step), dtype=np.float64)
        self.rows: dict[SeriesKey, Floats] = {}
        self._step = step

    def put(self, subject: Subject, signal: str, times: Floats, values: Floats) -> None:
        """Put ``values`` together with what there is of the signal."""
        key = SeriesKey(subject, signal, Sense.SCRAPE)
        row = self.rows.setdefault(key, np.full(len(self.times), np.nan))
        steps = np.rint((times - self.times[0]) / self._step)
        good = (steps >= 0) & (steps < len(row)) & np.isfinite(values)
        places, values = steps[good].astype(np.int64), values[good]
        before = row[places]
        is_first = np.isnan(before)
        if SIGNALS[signal].combine is Combine.SUM and not _is_share(signal):
            row[places] = np.where(is_first, values, before + values)
        else:
            row[places] = np.where(is_first, values, np.maximum(before, values))

    def close(self) -> None:
        """The ratios that nobody tells."""
        for subject in {key.subject for key in self.rows}:
            for name, ratio in RATIOS.items():
                parts = [self._row(subject, one) for one in (ratio.part, *ratio.whole)]
                rows = [row for row in parts if row is not None]
                if self._row(subject, name) is not None or len(rows) < len(parts):
                    continue
                total = np.sum(rows[1:], axis=0)
                share = np.full(len(total), np.nan)
                np.divide(rows[0], total, out=share, where=total > 0)
                self.rows[SeriesKey(subject, name, Sense.SCRAPE)] = share

    def _row(self, subject: Subject, signal: str) -> Floats | None:
        return self.rows.get(SeriesKey(subject, signal, Sense.SCRAPE))


def _is_share(signal: str) -> bool:
    """Whether adding two of them makes no sense: a median plus a median is no median."""
    return SIGNALS[signal].unit == "1" or SIGNALS[signal].instrument == "distribution"


def _lines(chunk: _Chunk) -> Iterator[bytes]:
    """Of the columns that hold anything."""
    if not chunk.rows:
        return
    series = tuple(chunk.rows)
    matrix = np.array([chunk.rows[key] for key in series])
    yield series_line(series)
    for index in np.flatnonzero(np.isfinite(matrix).any(axis=0)).tolist():
        yield column_line(Column(float(chunk.times[index]), series, matrix[:, index]))


def _read(body: bytes, where: str) -> list[tuple[str, Floats, Floats]]:
    """(instance, times, values) of each series. Raises SourceError."""
    try:
        told = json.loads(body)
        if told["status"] != "success":
            why = str(told.get("error", "no reason given"))[:200]
            raise SourceError(f"refuses the query: {why}", where=where)
        found = []
        for series in told["data"]["result"]:
            points = np.array(series["values"], dtype=np.float64).reshape(-1, 2)
            found.append((str(series["metric"].get("instance", "")), points[:, 0], points[:, 1]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MalformedData(
            f"does not answer as a Prometheus does: {str(error)[:120]}",
            where=where,
            mend="give the address under which its API is, such as http://127.0.0.1:9090",
        ) from error
    return found
