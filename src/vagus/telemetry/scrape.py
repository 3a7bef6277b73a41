"""Scraping: every replica's own metrics, on the grid.

Each target has its own task, its own parser and its own phase, so that one that hangs, lies or
floods touches no other, and a fleet is not asked in one instant. What a target does wrong is
evidence of its kind (refused, silent, not metrics); what it says too much of is counted and not
kept. Redirects are not followed: metrics that are elsewhere are somebody else's.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import aiohttp
import structlog

from vagus.clock import Clock
from vagus.errors import MalformedData
from vagus.model import Failure, Scrape, Subject
from vagus.ports import Emit
from vagus.telemetry.dialects import Dialect, dialect_of
from vagus.telemetry.exposition import Parser
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.translate import Translated, Translator
from vagus.topology import Topology

log = structlog.get_logger()

MAX_BYTES = 16 * 2**20  # of one exposition, unpacked; a large vLLM says 200 KB
PARSED_ASIDE = 256 * 1024  # bytes; a longer one is parsed on a thread, so that others don't wait
FOLLOW = 1.0  # s between two looks at which targets there are

_ACCEPT = "text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5, */*;q=0.1"
_TEXT = frozenset({"text/plain", "application/openmetrics-text", "application/octet-stream"})
"""The last one is what a server says that says nothing."""


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
        wanted = _targets(self._topology())
        for key in self._tasks.keys() - wanted.keys():
            self._tasks.pop(key).cancel()
        for key in wanted.keys() - self._tasks.keys():
            target = _Target(*key, wanted[key], self._rejections)
            self._tasks[key] = asyncio.create_task(self._keep(target, emit))

    async def _keep(self, target: _Target, emit: Emit) -> None:
        due = self._clock.monotonic() + self._random.random() * self._interval
        while True:
            await self._clock.sleep(due - self._clock.monotonic())
            try:
                emit([await self._scrape(target)])
            except Exception:
                # Whatever a target does is in the scrape: this is a bug, and must not blind us.
                log.exception("scrape.broke", target=target.url)
            # A scrape that took longer than the interval skips beats, it doesn't catch up.
            late = max(0.0, self._clock.monotonic() - due)
            due += self._interval * (1 + late // self._interval)

    async def _scrape(self, target: _Target) -> Scrape:
        try:
            body = await self._fetch(target.url)
            if len(body) > PARSED_ASIDE:
                told = await asyncio.to_thread(target.read, body)
            else:
                told = target.read(body)
        except _Unusable as error:
            return self._failed(target, error.failure, error.message)
        except MalformedData as error:
            return self._failed(target, Failure.UNPARSEABLE, error.message)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return self._failed(target, failure_of(error), str(error) or type(error).__name__)
        return Scrape(
            target.subject, self._clock.now(), values=told.values, histograms=told.histograms
        )

    async def _fetch(self, url: str) -> bytes:
        """The body, unpacked, read no further than is plausible."""
        async with self._session.get(
            url, timeout=self._timeout, headers={"Accept": _ACCEPT}, allow_redirects=False
        ) as response:
            if response.status != 200:
                server_error = response.status >= 500
                failure = Failure.SERVER_ERROR if server_error else Failure.WRONG_TYPE
                raise _Unusable(failure, f"HTTP {response.status}")
            if "Content-Type" in response.headers and response.content_type not in _TEXT:
                raise _Unusable(
                    Failure.WRONG_TYPE, f"answers {response.content_type} instead of metrics"
                )
            pieces, size = [], 0
            async for piece in response.content.iter_any():
                size += len(piece)
                if size > MAX_BYTES:
                    raise MalformedData(f"longer than {MAX_BYTES >> 20} MB")
                pieces.append(piece)
            return b"".join(pieces)

    def _failed(self, target: _Target, failure: Failure, why: str) -> Scrape:
        self._rejections.count(Rejected.SCRAPE_FAILED, target.url, f"{failure.value}: {why}")
        return Scrape(target.subject, self._clock.now(), failure=failure)


class _Unusable(MalformedData):
    """An answer that says by its head that it is not metrics."""

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


class _Target:
    """Who is scraped where, and what is remembered of its expositions."""

    def __init__(
        self, subject: Subject, url: str, dialect: Dialect, rejections: Rejections
    ) -> None:
        self.subject = subject
        self.url = url
        self._rejections = rejections
        self._parser = Parser()
        self._translator = Translator(dialect, self._parser)

    def read(self, body: bytes) -> Translated:
        """Raises MalformedData."""
        parser, translator = self._parser, self._translator
        rejected, dropped, unusable = parser.rejected, parser.dropped, translator.rejected
        try:
            return translator.translate(parser.parse(body))
        finally:
            if more := translator.rejected - unusable:
                self._rejections.count(
                    Rejected.BUCKETS_DIFFER, self.url, translator.last_rejection, more
                )
            if more := parser.rejected - rejected:
                self._rejections.count(
                    Rejected.EXPOSITION_LINE, self.url, parser.last_rejection, more
                )
            if more := parser.dropped - dropped:
                self._rejections.count(
                    Rejected.TOO_MANY_SERIES, self.url, "twice the same, or beyond the limit", more
                )


def failure_of(error: Exception) -> Failure:
    """An exception of an exchange over HTTP, in the terms of the exchange."""
    if isinstance(error, TimeoutError):
        return Failure.TIMEOUT
    if isinstance(error, ConnectionRefusedError | aiohttp.ClientConnectorError):
        refused = isinstance(getattr(error, "os_error", error), ConnectionRefusedError)
        return Failure.REFUSED if refused else Failure.RESET
    if isinstance(error, aiohttp.ClientPayloadError):
        return Failure.TRUNCATED
    if isinstance(error, aiohttp.ClientResponseError):
        return Failure.UNPARSEABLE  # it does not speak HTTP
    return Failure.RESET


def _targets(topology: Topology) -> dict[tuple[Subject, str], Dialect]:
    """(who, where) -> how it speaks, of everything that has metrics."""
    return {
        (Subject(node.name, replica), address + node.metrics_path): dialect_of(
            node.engine, node.metrics
        )
        for node in topology.components.values()
        if node.metrics_path
        for replica, address in node.replicas.items()
    }
