"""Who is probed when, on a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from vagus.clock import ManualClock
from vagus.config import Kind
from vagus.model import Evidence, Probe, Subject
from vagus.telemetry import probing
from vagus.telemetry.probing import JITTER, LOOK, ProbeSource
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.topology import ComponentNode, Topology

CHAT_1, CHAT_2, RAG_1 = Subject("chat", "chat-1"), Subject("chat", "chat-2"), Subject("rag", "r-1")
INTERVAL, SUSPECT = 10.0, 0.5


def stack(chat: int = 2) -> Topology:
    replicas = {f"chat-{n}": f"http://127.0.0.1:{31000 + n}" for n in range(1, chat + 1)}
    return Topology(
        {
            "chat": ComponentNode("chat", Kind.MODEL_SERVER, "llama.cpp", replicas),
            "rag": ComponentNode("rag", Kind.PIPELINE, "generic", {"r-1": "http://127.0.0.1:1"}),
        }
    )


class Answering:
    """Answers after ``takes`` seconds of the clock; remembers who was asked, and when."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.takes: dict[Subject, float] = {}
        self.broken: set[Subject] = set()
        self.asked: list[tuple[float, Subject]] = []
        self.under_way: Counter[Subject] = Counter()
        self.most_under_way = 0

    async def probe(self, subject: Subject) -> Probe:
        self.asked.append((self.clock.monotonic(), subject))
        self.under_way[subject] += 1
        assert self.under_way[subject] == 1
        self.most_under_way = max(self.most_under_way, self.under_way.total())
        try:
            if subject in self.takes:
                await self.clock.sleep(self.takes[subject])
            if subject in self.broken:
                raise RuntimeError("a bug")
            return Probe(subject, self.clock.now())
        finally:
            self.under_way[subject] -= 1

    def times(self, subject: Subject) -> list[float]:
        return [at for at, who in self.asked if who == subject]


class Probing:
    def __init__(self, chat: int) -> None:
        self.clock = ManualClock()
        self.topology = stack(chat)
        self.attention: frozenset[Subject] = frozenset()
        self.prober = Answering(self.clock)
        self.rejections = Rejections(self.clock)
        self.emitted: list[Evidence] = []
        self.source = ProbeSource(
            {Kind.MODEL_SERVER: self.prober},
            lambda: self.topology,
            lambda: self.attention,
            self.clock,
            self.rejections,
            interval=INTERVAL,
            interval_suspect=SUSPECT,
        )

    def emit(self, batch: Sequence[Evidence]) -> None:
        self.emitted += batch

    async def passes(self, seconds: float) -> None:
        for _ in range(round(seconds / LOOK)):
            self.clock.advance(LOOK)
            for _ in range(6):
                await asyncio.sleep(0)


@asynccontextmanager
async def probing_of(chat: int = 2) -> AsyncIterator[Probing]:
    found = Probing(chat)
    task = asyncio.create_task(found.source.run(found.emit))
    await asyncio.sleep(0)
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert found.prober.under_way.total() == 0


async def test_whoever_is_well_is_asked_at_its_own_rhythm() -> None:
    async with probing_of() as found:
        await found.passes(60)
        for subject in (CHAT_1, CHAT_2):
            times = found.prober.times(subject)
            assert 0 <= times[0] <= INTERVAL * (1 + JITTER)
            gaps = [b - a for a, b in itertools.pairwise(times)]
            assert all(
                INTERVAL * (1 - JITTER) <= gap <= INTERVAL * (1 + JITTER) + 2 * LOOK for gap in gaps
            )
        assert found.prober.times(CHAT_1)[0] != found.prober.times(CHAT_2)[0]
        assert len(found.emitted) == len(found.prober.asked)


async def test_kinds_that_nobody_can_ask_are_left_alone() -> None:
    async with probing_of() as found:
        found.attention = frozenset({RAG_1})
        await found.passes(2 * INTERVAL)
        assert found.prober.times(RAG_1) == []


async def test_attention_means_at_once_and_then_often() -> None:
    async with probing_of() as found:
        await found.passes(12.5)
        began = found.clock.monotonic()
        found.attention = frozenset({CHAT_1})
        await found.passes(5)
        times = [at for at in found.prober.times(CHAT_1) if at >= began]
        assert times[0] - began <= SUSPECT
        assert 9 <= len(times) <= 11
        assert len([at for at in found.prober.times(CHAT_2) if at >= began]) <= 1


async def test_without_attention_the_old_rhythm_comes_back() -> None:
    async with probing_of() as found:
        found.attention = frozenset({CHAT_1})
        await found.passes(30)
        found.attention = frozenset()
        ended = found.clock.monotonic()
        await found.passes(30)
        later = [at for at in found.prober.times(CHAT_1) if at > ended]
        assert 2 <= len(later) <= 4


async def test_flapping_attention_is_no_way_to_ask_more_often() -> None:
    async with probing_of() as found:
        for _ in range(50):
            found.attention = frozenset({CHAT_1})
            await found.passes(LOOK)
            found.attention = frozenset()
            await found.passes(LOOK)
        assert len(found.prober.times(CHAT_1)) <= 5 / SUSPECT + 2


async def test_one_that_hangs_is_asked_once_and_delays_nobody() -> None:
    async with probing_of() as found:
        found.attention = frozenset({CHAT_1, CHAT_2})
        found.prober.takes[CHAT_1] = 1000.0
        await found.passes(5)
        assert len(found.prober.times(CHAT_1)) == 1
        assert len(found.prober.times(CHAT_2)) >= 9


async def test_a_prober_that_breaks_is_told_and_the_others_go_on() -> None:
    async with probing_of() as found:
        found.attention = frozenset({CHAT_1, CHAT_2})
        found.prober.broken = {CHAT_1}
        await found.passes(3)
        assert found.rejections.counts[Rejected.PROBE_BROKE] >= 5
        assert {e.subject for e in found.emitted} == {CHAT_2}


async def test_replicas_come_and_go() -> None:
    async with probing_of() as found:
        await found.passes(12)
        found.topology = stack(3)
        await found.passes(12)
        assert found.prober.times(Subject("chat", "chat-3"))
        found.topology = stack(1)
        left = found.clock.monotonic()
        found.attention = frozenset({CHAT_2})
        await found.passes(24)
        assert all(at <= left for at in found.prober.times(CHAT_2))
        found.topology = stack(2)
        await found.passes(1)
        assert any(at > left for at in found.prober.times(CHAT_2))


async def test_only_so_many_at_once_and_the_suspect_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "AT_ONCE", 3)
    async with probing_of(10) as found:
        for n in range(1, 11):
            found.prober.takes[Subject("chat", f"chat-{n}")] = 3.0
        await found.passes(20)
        found.attention = frozenset({Subject("chat", "chat-9")})
        began = found.clock.monotonic()
        await found.passes(7)
        assert found.prober.most_under_way == 3
        assert [at for at in found.prober.times(Subject("chat", "chat-9")) if at >= began]
