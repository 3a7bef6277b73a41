"""Scraping: every replica's own metrics, on the grid.

Each target has its own task, its own parser and its own rhythm with a phase of its own, so that one
that hangs, lies or floods touches no other, and a fleet is not asked in one instant. What a target
does wrong is evidence of its kind (refused, silent, not metrics); what it says too much of is
counted and not kept.
"""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Callable, Mapping

import aiohttp

from vagus.clock import Clock
from vagus.config import Kind
from vagus.errors import MalformedData
from vagus.model import Failure, Scrape, Subject
from vagus.ports import Emit
from vagus.telemetry.dialects import Dialect, dialect_of
from vagus.telemetry.exposition import Parser, Samples
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.topology import Topology

MAX_BYTES = 16 * 2**20  # of one exposition, unpacked; a large vLLM says 200 KB
FOLLOW = 1.0  # s between two looks at which targets there are
_SCRAPED = frozenset({Kind.MODEL_SERVER, Kind.EMBEDDING_SERVER, Kind.PIPELINE, Kind.VECTOR_STORE})
_ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=1"


class ScrapeSource:
    """Implements :class:`~vagus.ports.Source` over HTTP targets that follow the topology."""

    name = "scrape"

    def __init__(
        self,
        topology: Callable[[], Topology],
        session: aiohttp.ClientSession,
        clock: Clock,
        rejections: Rejections,
        *,
        interval: float,
        timeout: float,
        seed: int = 0,
    ) -> None:
        self._topology = topology
        self._session = session
        self._clock = clock
        self._rejections = rejections
        self._interval = interval
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._random = random.Random(seed)
        self._tasks: dict[tuple[Subject, str], asyncio.Task[None]] = {}

    async def run(self, emit: Emit) -> None:
        try:
            while True:
                self._follow(emit)
                await self._clock.sleep(FOLLOW)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._tasks.clear()

    def _follow(self, emit: Emit) -> None:
        """Start what is new, stop what is gone; a replica at another address is a new target."""
        wanted = dict(_targets(self._topology()))
        for key in self._tasks.keys() - wanted.keys():
            self._tasks.pop(key).cancel()
        for key, engine in wanted.items():
            if key not in self._tasks or self._tasks[key].done():
                self._tasks[key] = asyncio.create_task(self._keep(*key, dialect_of(engine), emit))

    async def _keep(self, subject: Subject, url: str, dialect: Dialect, emit: Emit) -> None:
        target = _Target(subject, url, dialect)
        due = self._clock.monotonic() + self._random.random() * self._interval
        while True:
            await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
            emit([await self._scrape(target)])
            # A scrape that took longer than the interval skips beats, it doesn't catch up.
            missed = max(0.0, self._clock.monotonic() - due) // self._interval
            due += self._interval * (1 + missed)

    async def _scrape(self, target: _Target) -> Scrape:
        try:
            async with self._session.get(
                target.url, timeout=self._timeout, headers={"Accept": _ACCEPT}
            ) as response:
                if response.status != 200:
                    return self._failed(target, Failure.SERVER_ERROR, f"HTTP {response.status}")
                body = await _body(response)
        except (aiohttp.ClientError, TimeoutError, OSError, MalformedData) as error:
            return self._failed(target, failure_of(error), str(error) or type(error).__name__)
        try:
            values = target.read(body, self._rejections)
        except MalformedData as error:
            return self._failed(target, Failure.UNPARSEABLE, error.message)
        return Scrape(target.subject, self._clock.now(), values=values)

    def _failed(self, target: _Target, failure: Failure, why: str) -> Scrape:
        self._rejections.count(Rejected.SCRAPE_FAILED, target.url, why)
        return Scrape(target.subject, self._clock.now(), failure=failure)


class _Target:
    """One target's address, parser and dialect, and which of its series mean what."""

    def __init__(self, subject: Subject, url: str, dialect: Dialect) -> None:
        self.subject = subject
        self.url = url
        self._dialect = dialect
        self._parser = Parser()
        self._meaning: list[list[tuple[str, float]]] = []  # by id of series

    def read(self, body: bytes, rejections: Rejections) -> Mapping[str, float]:
        rejected, dropped = self._parser.rejected, self._parser.dropped
        samples = self._parser.parse(body)
        if self._parser.rejected > rejected:
            rejections.count(Rejected.EXPOSITION_LINE, self.url, self._parser.last_rejection)
        if self._parser.dropped > dropped:
            rejections.count(Rejected.TOO_MANY_SERIES, self.url, "more series than are kept")
        return self._signals(samples)

    def _signals(self, samples: Samples) -> dict[str, float]:
        for series in self._parser.series[len(self._meaning) :]:
            self._meaning.append(self._dialect.signals_of(series.name, dict(series.labels)))
        values: dict[str, float] = {}
        for number, value in zip(samples.ids.tolist(), samples.values.tolist(), strict=True):
            for signal, scale in self._meaning[number]:
                values[signal] = values.get(signal, 0.0) + value * scale
        return values


def failure_of(error: Exception) -> Failure:
    """An exception of an exchange, in the terms of the exchange."""
    if isinstance(error, TimeoutError):
        return Failure.TIMEOUT
    if isinstance(error, MalformedData | aiohttp.ClientPayloadError):
        return Failure.UNPARSEABLE if isinstance(error, MalformedData) else Failure.TRUNCATED
    if isinstance(error, OSError) and error.errno == errno.ECONNREFUSED:
        return Failure.REFUSED
    if isinstance(error, aiohttp.ClientResponseError):
        return Failure.UNPARSEABLE
    return Failure.RESET


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body, unpacked. Raises MalformedData when it does not end."""
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > MAX_BYTES:
            raise MalformedData(f"the exposition is longer than {MAX_BYTES >> 20} MB")
        pieces.append(piece)
    return b"".join(pieces)


def _targets(topology: Topology) -> list[tuple[tuple[Subject, str], str]]:
    """((who, where), engine) of everything that is scraped."""
    return [
        ((Subject(node.name, replica), address + node.metrics_path), node.engine)
        for node in topology.components.values()
        if node.kind in _SCRAPED and node.metrics_path
        for replica, address in node.replicas.items()
    ]
