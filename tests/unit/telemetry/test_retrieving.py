"""Searches in time: each cluster in turn, closer where there is doubt, and never two at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from vagus.clock import ManualClock
from vagus.config import Kind
from vagus.errors import TargetUnreachable
from vagus.model import Document, Evidence, Failure, Query, Retrieval, Subject
from vagus.telemetry.rejections import Rejections
from vagus.telemetry.retrieving import RetrievalSource
from vagus.telemetry.searches import summed_up
from vagus.telemetry.slices import NEW, Slices
from vagus.topology import ComponentNode, Topology

PASSAGES = Subject("vectors", "passages")
NODE = ComponentNode("vectors", Kind.VECTOR_STORE, "pgvector", {}, collections=("passages",))
TOPOLOGY = Topology({"vectors": NODE})
CENTRES = np.eye(8, dtype=np.float32) * 10


def some_vectors(count: int, centres: Sequence[int] = range(8), seed: int = 0) -> list[np.ndarray]:
    chance = np.random.default_rng(seed)
    return [
        (CENTRES[centres[n % len(centres)]] + chance.normal(0, 0.3, 8)).astype(np.float32)
        for n in range(count)
    ]


class Store:
    """Implements the probe's port: most documents are of one cluster."""

    def __init__(self) -> None:
        self.down = False
        self.under_way = self.most_under_way = 0
        self.asked: list[Query] = []

    async def documents(self, subject: Subject, count: int) -> Sequence[Document]:
        if self.down:
            raise TargetUnreachable("down")
        vectors = some_vectors(count // 2, [0]) + some_vectors(count - count // 2)
        return [Document(str(n), f"text {n}", vector) for n, vector in enumerate(vectors)]

    async def search(self, subject: Subject, query: Query, k: int) -> Retrieval:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.asked.append(query)
        await asyncio.sleep(0)
        self.under_way -= 1
        return Retrieval(subject, 0.0, query=query.text, cluster=query.cluster, k=k, exact=k)


class Run:
    def __init__(self) -> None:
        self.store, self.clock = Store(), ManualClock()
        self.emitted: list[Evidence] = []
        self.focus: str | None = None
        self.golden: Query | None = None
        self.suspect = False
        self.source = RetrievalSource(
            {"vectors": self.store},
            lambda: TOPOLOGY,
            lambda: frozenset({PASSAGES}) if self.suspect else frozenset(),
            lambda subject: self.focus,
            self._golden,
            self.clock,
            Rejections(self.clock),
            k=10,
            interval=1.0,
            interval_suspect=0.1,
        )

    async def _golden(self, subject: Subject) -> Query | None:
        return self.golden

    async def for_seconds(self, seconds: float) -> None:
        running = asyncio.create_task(self.source.run(self.emitted.extend))
        try:
            for _ in range(int(seconds / 0.05)):
                for _ in range(12):
                    await asyncio.sleep(0)
                self.clock.advance(0.05)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_small_cluster_is_asked_as_often_as_a_large_one() -> None:
    run = Run()
    await run.for_seconds(80)
    asked = Counter(query.cluster for query in run.store.asked)
    assert len(asked) == 8
    assert max(asked.values()) <= 2 * min(asked.values()) + 2
    assert run.store.most_under_way == 1
    assert 60 <= len(run.store.asked) <= 82, "one a second, as it is set"


async def test_where_there_is_doubt_it_looks_closer() -> None:
    run = Run()
    run.suspect = True
    run.focus = "1"
    await run.for_seconds(5)
    asked = Counter(query.cluster for query in run.store.asked)
    assert len(run.store.asked) >= 30, "ten a second, as it is set"
    assert asked["1"] > len(run.store.asked) / 4


async def test_every_third_query_is_golden() -> None:
    run = Run()
    run.golden = Query("golden?", CENTRES[0], "golden", ("7",))
    await run.for_seconds(30)
    golden = [query for query in run.store.asked if query.expected]
    assert len(golden) in range(len(run.store.asked) // 3 - 1, len(run.store.asked) // 3 + 2)


async def test_a_store_that_is_down_is_absence_and_comes_back() -> None:
    run = Run()
    run.store.down = True
    await run.for_seconds(10)
    assert run.emitted
    assert {e.failure for e in run.emitted if isinstance(e, Retrieval)} == {Failure.REFUSED}
    run.store.down = False
    run.emitted.clear()
    await run.for_seconds(10)
    assert {e.failure for e in run.emitted if isinstance(e, Retrieval)} == {None}


def test_clusters_stay_and_what_lies_outside_of_them_is_new() -> None:
    slices = Slices(some_vectors(400), seed=1)
    names = [slices.of(vector) for vector in some_vectors(80, seed=2)]
    assert NEW not in names
    assert len(set(names)) == 8
    for centre in range(8):
        assert len(set(names[centre::8])) == 1, "each is one cluster"
    assert slices.of(np.full(8, -30, dtype=np.float32)) == NEW


def test_of_few_documents_there_are_few_clusters() -> None:
    assert Slices([], seed=1).of(CENTRES[0]) == "all"
    same = Slices([CENTRES[0]] * 20, seed=1)
    assert same.of(CENTRES[0]) in {"1", "2"}


def test_searches_are_summed_up_by_cluster() -> None:
    def search(cluster: str, agreed: int, **more: object) -> Retrieval:
        seen = {"exact": 10, "returned": 10, "latency": 0.1} | more
        return Retrieval(PASSAGES, 1.0, cluster=cluster, k=10, agreed=agreed, **seen)

    assert summed_up([]) is None
    assert summed_up([search("1", 0, failure=Failure.TIMEOUT), search("1", 0, exact=0)]) is None
    summary = summed_up([search("1", 10), search("1", 8), search("2", 3, returned=5, latency=0.3)])
    assert summary is not None
    assert summary.whole.count == 3
    assert summary.whole.recall == pytest.approx(0.7)
    assert {part.cluster: part.recall for part in summary.slices} == pytest.approx(
        {"1": 0.9, "2": 0.3}
    )
    assert summary.returned == pytest.approx(2.5 / 3)
    assert summary.latency == 0.1
