"""Searches in time: which query is put to which collection, and how often.

A query is a document of the collection, taken by chance, because what callers ask is mostly like
what is there, and what they ask in words can't be seen from outside of them. Golden queries, whose
answers are known, take their turn between. Each cluster of queries is asked in turn, so that a
small one is judged as soon as a large one; where there is doubt, every other query is of the
cluster that is doubted.

One search of a collection is under way at a time and the pause between two is a setting: that is
all the load that judging can put on a store.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from vagus.clock import Clock
from vagus.errors import SourceError
from vagus.model import Failure, Query, Retrieval, Subject
from vagus.ports import Emit, RetrievalProbe
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.slices import Slices
from vagus.topology import Topology

log = structlog.get_logger()

SAMPLE = 400  # documents that clusters are made of
POOL = 160  # documents that are fetched at a time, to be asked for; none of them twice
POOL_AGE = 15.0  # s after which others are fetched: what just came in is to be asked for soon
POOL_AGE_FOCUSED = 3.0  # the same where a cluster is doubted of which no more are left
GOLDEN_EVERY = 3  # of the queries one is golden, if there are any
RETRY = 2.0  # s until a store that gave no documents is asked again
LOOK = 0.05  # s between two looks at whether attention was aroused meanwhile


class RetrievalSource:
    """Implements :class:`~vagus.ports.Source` for the collections of stores that have a probe.

    ``attention`` names whom to ask often, ``focus`` the cluster of a collection that is doubted;
    ``golden`` gives a golden query of a collection, if there are any.
    """

    name = "retrieval"

    def __init__(
        self,
        probes: Mapping[str, RetrievalProbe],
        topology: Callable[[], Topology],
        attention: Callable[[], frozenset[Subject]],
        focus: Callable[[Subject], str | None],
        golden: Callable[[Subject], Awaitable[Query | None]],
        clock: Clock,
        rejections: Rejections,
        *,
        k: int,
        interval: float,
        interval_suspect: float,
        seed: int = 0,
    ) -> None:
        self._probes = probes
        self._topology = topology
        self._attention = attention
        self._focus = focus
        self._golden = golden
        self._clock = clock
        self._rejections = rejections
        self._k = k
        self._interval = interval
        self._interval_suspect = interval_suspect
        self._seed = seed

    async def run(self, emit: Emit) -> None:
        async with asyncio.TaskGroup() as group:
            for subject in self._topology().collections():
                if subject.component in self._probes:
                    group.create_task(self._follow(subject, emit), name=f"retrieval {subject}")

    async def _follow(self, subject: Subject, emit: Emit) -> None:
        probe = self._probes[subject.component]
        questions = _Questions()
        told = False
        while True:
            try:
                await self._fill(questions, probe, subject)
            except SourceError as error:
                if not told:
                    log.warning("retrieval.no_documents", subject=str(subject), error=str(error))
                told = True
                emit([Retrieval(subject, self._clock.now(), Failure.REFUSED, k=self._k)])
                await self._clock.sleep(max(self._interval, RETRY))
                continue
            told = False
            query = await self._golden(subject) if questions.golden_is_due() else None
            query = query or questions.next(self._focus(subject))
            if query is not None:
                try:
                    emit([await probe.search(subject, query, self._k)])
                except Exception as error:
                    # What the store does is in the answer: this is a bug, and ends no other source.
                    log.exception("retrieval.broke", subject=str(subject))
                    what = type(error).__name__
                    self._rejections.count(Rejected.PROBE_BROKE, str(subject), what)
            await self._pause(subject)

    async def _pause(self, subject: Subject) -> None:
        """Until it is time for the next one; attention that is aroused meanwhile shortens it."""
        began = self._clock.monotonic()
        while True:
            urgent = subject in self._attention()
            left = (self._interval_suspect if urgent else self._interval) - (
                self._clock.monotonic() - began
            )
            if left <= 0:
                return
            await self._clock.sleep(min(left, LOOK) if not urgent else left)

    async def _fill(self, questions: _Questions, probe: RetrievalProbe, subject: Subject) -> None:
        now = self._clock.monotonic()
        if questions.slices is None:
            sample = await probe.documents(subject, SAMPLE)
            if sample:
                questions.slices = Slices([d.vector for d in sample], seed=self._seed)
        age = POOL_AGE_FOCUSED if questions.lacking(self._focus(subject)) else POOL_AGE
        if questions.empty or now - questions.filled_at > age:
            documents = await probe.documents(subject, POOL)
            slices = questions.slices
            queries = [
                Query(d.text or f"document {d.id}", d.vector, slices.of(d.vector))
                for d in documents
                if slices is not None
            ]
            questions.fill(queries, now)


class _Questions:
    """What is going to be asked of one collection."""

    def __init__(self) -> None:
        self.slices: Slices | None = None
        self.filled_at = float("-inf")
        self._by_cluster: dict[str, deque[Query]] = {}
        self._turns: deque[str] = deque()
        self._asked = 0
        self._since_golden = 0

    @property
    def empty(self) -> bool:
        return not any(self._by_cluster.values())

    def lacking(self, focus: str | None) -> bool:
        """Whether no more of the cluster that is doubted are left."""
        return focus is not None and not self._by_cluster.get(focus)

    def fill(self, queries: Sequence[Query], now: float) -> None:
        self.filled_at = now
        self._by_cluster = {}
        for query in queries:
            self._by_cluster.setdefault(query.cluster, deque()).append(query)
        for name in self._by_cluster:
            if name not in self._turns:
                self._turns.append(name)

    def golden_is_due(self) -> bool:
        self._since_golden = (self._since_golden + 1) % GOLDEN_EVERY
        return self._since_golden == 0

    def next(self, focus: str | None) -> Query | None:
        """The next one; None if there is nothing to ask for."""
        self._asked += 1
        if focus is not None and self._asked % 2 and self._by_cluster.get(focus):
            return self._by_cluster[focus].popleft()
        for _ in range(len(self._turns)):
            name = self._turns[0]
            self._turns.rotate(-1)
            if self._by_cluster.get(name):
                return self._by_cluster[name].popleft()
        return None
