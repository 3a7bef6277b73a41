"""Probes in time: which replica is asked, and how often.

A replica that is well is asked rarely, so that probing costs next to nothing; one that is suspect,
out of traffic or coming back is asked at once and then often, because there a probe is the only
witness. At most one probe of a replica is under way, so one that hangs delays nobody else's; when
the places are few, those that have attention go first.

Rhythms start at a random phase and differ by a little, so that a start doesn't ask a whole fleet at
once and siblings don't fall in step.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable, Iterator, Mapping

import structlog

from vagus.clock import Clock
from vagus.config import Kind
from vagus.model import Subject
from vagus.ports import Emit, Prober
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.topology import Topology

log = structlog.get_logger()

LOOK = 0.05  # s between two looks at whom to ask: how late "at once" can be
AT_ONCE = 32  # probes under way in all
JITTER = 0.2  # share of the interval by which rhythms differ


class ProbeSource:
    """Implements :class:`~vagus.ports.Source` by asking."""

    name = "probes"

    def __init__(
        self,
        probers: Mapping[Kind, Prober],
        topology: Callable[[], Topology],
        attention: Callable[[], frozenset[Subject]],
        clock: Clock,
        rejections: Rejections,
        *,
        interval: float,
        interval_suspect: float,
        seed: int = 0,
    ) -> None:
        self._probers = probers
        self._topology = topology
        self._attention = attention
        self._clock = clock
        self._rejections = rejections
        self._interval = interval
        self._interval_suspect = interval_suspect
        self._random = random.Random(seed)
        self._known: Topology | None = None
        self._prober_of: dict[Subject, Prober] = {}
        self._pause: dict[Subject, float] = {}  # between two of its probes while it is well
        self._asked: dict[Subject, float] = {}  # when its latest probe began
        self._due: list[tuple[float, Subject]] = []  # a heap; one entry for each that is known
        self._under_way: dict[Subject, asyncio.Task[None]] = {}

    async def run(self, emit: Emit) -> None:
        try:
            while True:
                self._follow_topology()
                now = self._clock.monotonic()
                for subject in self._whom_to_ask(now):
                    self._asked[subject] = now
                    self._under_way[subject] = asyncio.create_task(self._ask(subject, emit))
                await self._clock.sleep(LOOK)
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    def _whom_to_ask(self, now: float) -> Iterator[Subject]:
        """Those that have attention and then those whose turn it is, while there are places."""
        for subject in sorted(self._attention() & self._prober_of.keys()):
            if len(self._under_way) >= AT_ONCE:
                return
            asked = self._asked.get(subject, float("-inf"))
            if subject not in self._under_way and now - asked >= self._interval_suspect:
                yield subject
        while self._due and self._due[0][0] <= now and len(self._under_way) < AT_ONCE:
            _, subject = heapq.heappop(self._due)
            if subject not in self._prober_of:
                continue
            due = self._asked.get(subject, float("-inf")) + self._pause[subject]
            if due <= now and subject not in self._under_way:
                due = now + self._pause[subject]
                yield subject
            # Asked meanwhile, for it had attention, or still under way: not before its turn.
            heapq.heappush(self._due, (max(due, now + LOOK), subject))

    async def _ask(self, subject: Subject, emit: Emit) -> None:
        try:
            probe = await self._prober_of[subject].probe(subject)
        except Exception as error:
            # Whatever a replica does is in the probe: this is a bug, and must not end the others.
            log.exception("probe.broke", subject=str(subject))
            self._rejections.count(Rejected.PROBE_BROKE, str(subject), type(error).__name__)
        else:
            emit([probe])
        finally:
            del self._under_way[subject]

    def _follow_topology(self) -> None:
        topology = self._topology()
        if topology is self._known:
            return
        self._known = topology
        kinds = {node.name: node.kind for node in topology.components.values()}
        self._prober_of = {
            subject: self._probers[kinds[subject.component]]
            for subject in topology.replicas()
            if kinds[subject.component] in self._probers
        }
        for gone in self._pause.keys() - self._prober_of.keys():
            del self._pause[gone]
            self._asked.pop(gone, None)
        scheduled = {subject for _, subject in self._due}
        for subject in self._prober_of:
            if subject not in self._pause:
                differs = 1 + JITTER * (2 * self._random.random() - 1)
                self._pause[subject] = self._interval * differs
            if subject not in scheduled:
                phase = self._random.random() * self._pause[subject]
                heapq.heappush(self._due, (self._clock.monotonic() + phase, subject))
