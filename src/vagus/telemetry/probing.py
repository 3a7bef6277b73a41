"""Probes in time: which replica is asked, and how often.

A replica that is well is asked rarely, so that probing costs next to nothing; one that is suspect,
out of traffic or coming back is asked at once and then often, because there a probe is the only
witness. Each replica has its own rhythm and at most one probe under way, so a replica that hangs
delays nobody else's.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

from vagus.clock import Clock
from vagus.config import Kind
from vagus.model import Subject
from vagus.ports import Emit, Prober
from vagus.topology import Topology

LOOK = 0.05  # s between two looks at whom to ask
AT_ONCE = 32  # probes under way in all
JITTER = 0.2  # share of the interval by which rhythms differ, so that they don't fall in step


class ProbeSource:
    """Implements :class:`~vagus.ports.Source` by asking."""

    name = "probes"

    def __init__(
        self,
        probers: Mapping[Kind, Prober],
        topology: Callable[[], Topology],
        attention: Callable[[], frozenset[Subject]],
        clock: Clock,
        *,
        interval: float,
        interval_suspect: float,
        seed: int = 0,
    ) -> None:
        self._probers = probers
        self._topology = topology
        self._attention = attention
        self._clock = clock
        self._interval = interval
        self._interval_suspect = interval_suspect
        self._random = random.Random(seed)
        self._asked: dict[Subject, float] = {}  # when its latest probe began
        self._pause: dict[Subject, float] = {}  # between two of its probes, while it is well
        self._under_way: dict[Subject, asyncio.Task[None]] = {}

    async def run(self, emit: Emit) -> None:
        try:
            while True:
                self._ask_whoever_is_due(emit)
                await self._clock.sleep(LOOK)
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)
            self._under_way.clear()

    def _ask_whoever_is_due(self, emit: Emit) -> None:
        topology, attention, now = self._topology(), self._attention(), self._clock.monotonic()
        present = topology.replicas()
        for subject in self._asked.keys() - set(present):
            del self._asked[subject], self._pause[subject]
        # Whoever has attention goes first: the places are few when many are sick.
        for subject in sorted(present, key=lambda s: s not in attention):
            prober = self._probers.get(topology.components[subject.component].kind)
            if prober is None or subject in self._under_way:
                continue
            if len(self._under_way) >= AT_ONCE:
                return
            if self._is_due(subject, subject in attention, now):
                self._asked[subject] = now
                self._under_way[subject] = asyncio.create_task(self._ask(prober, subject, emit))

    def _is_due(self, subject: Subject, has_attention: bool, now: float) -> bool:
        if subject not in self._asked:
            # Spread the first round, so that a start does not ask the whole fleet at once.
            spread = self._random.random()
            self._pause[subject] = self._interval * (1 - JITTER + 2 * JITTER * spread)
            self._asked[subject] = now - self._pause[subject] * self._random.random()
        pause = self._interval_suspect if has_attention else self._pause[subject]
        return now - self._asked[subject] >= pause

    async def _ask(self, prober: Prober, subject: Subject, emit: Emit) -> None:
        try:
            emit([await prober.probe(subject)])
        finally:
            del self._under_way[subject]
