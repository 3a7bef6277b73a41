"""Many senders, one series: what was added, whoever begins anew; and who a sender is."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.clock import ManualClock
from vagus.config import Kind
from vagus.model import Subject, signals
from vagus.telemetry.pushed import FRESH, Pushed
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.senders import Senders
from vagus.topology import ComponentNode, Topology

RAG = Subject("rag")


class Bench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.rejections = Rejections(self.clock)
        self.pushed = Pushed(self.clock, self.rejections)
        self.began = self.ns()
        self.clock.advance(10.0)

    def ns(self) -> int:
        return round(self.clock.now() * 1e9)

    def row(self, sender: str, signal: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        row = self.pushed.row((sender, signal), RAG, signal)
        assert row is not None
        return np.array([row], dtype=np.int64)

    def total(self, sender: str, value: float, start: int, after: float = 1.0) -> None:
        self.clock.advance(after)
        rows = self.row(sender, signals.CLIENT_OPERATIONS)
        times, starts = np.array([self.ns()]), np.array([start])
        self.pushed.totals(rows, np.array([value]), times, starts)

    def gauge(self, sender: str, value: float, signal: str = signals.WAITING) -> None:
        self.clock.advance(1.0)
        rows = self.row(sender, signal)
        self.pushed.gauges(rows, np.array([value]), np.array([self.ns()]))

    def stands(self, signal: str) -> float | None:
        told = self.pushed.told(self.row("nobody in particular", signal))
        return next((s.values.get(signal) for s in self.pushed.scrapes(told)), None)


def test_a_sender_that_began_before_us_counts_from_its_first_point() -> None:
    bench = Bench()
    bench.total("a", 1000.0, bench.began - 1)
    bench.total("a", 1003.0, bench.began - 1)
    assert bench.stands(signals.CLIENT_OPERATIONS) == 3


def test_a_sender_that_began_after_us_counts_from_zero_and_so_does_its_next_life() -> None:
    bench = Bench()
    bench.total("a", 5.0, bench.began + 1)
    bench.total("a", 7.0, bench.began + 1)
    bench.total("a", 2.0, bench.began + 2)  # started anew
    bench.total("b", 4.0, bench.began + 1)
    assert bench.stands(signals.CLIENT_OPERATIONS) == 7 + 2 + 4
    assert not bench.rejections.counts


def test_a_counter_that_went_down_within_its_life() -> None:
    bench = Bench()
    for value in (5.0, 9.0, 2.0):
        bench.total("a", value, bench.began + 1)
    assert bench.stands(signals.CLIENT_OPERATIONS) == 9 + 2
    assert bench.rejections.counts == {Rejected.COUNTER_RESET: 1}


def test_the_same_point_twice_counts_once() -> None:
    bench = Bench()
    bench.total("a", 5.0, bench.began + 1)
    bench.total("a", 9.0, bench.began + 1, after=0.0)
    assert bench.stands(signals.CLIENT_OPERATIONS) == 5
    assert bench.rejections.counts == {Rejected.OUT_OF_ORDER: 1}


def test_a_senders_clock_that_is_set_back_begins_anew() -> None:
    bench = Bench()
    bench.total("a", 5.0, bench.began + 1)
    bench.clock.jump(-3600.0)
    bench.total("a", 8.0, bench.began + 1)
    bench.total("a", 9.0, bench.began + 1)
    assert bench.stands(signals.CLIENT_OPERATIONS) == 5 + 1
    assert bench.rejections.counts == {Rejected.CLOCK_JUMPED: 1}


def test_gauges_of_several_senders_are_put_together_while_they_are_fresh() -> None:
    bench = Bench()
    for sender, waiting, used in (("a", 3.0, 0.2), ("b", 4.0, 0.7)):
        bench.gauge(sender, waiting)
        bench.gauge(sender, used, signals.KV_CACHE)
        bench.gauge(sender, used, signals.CACHE_HIT_RATIO)
    assert bench.stands(signals.WAITING) == 7
    assert bench.stands(signals.KV_CACHE) == 0.7
    assert bench.stands(signals.CACHE_HIT_RATIO) == pytest.approx(0.45)
    bench.clock.advance(FRESH)
    bench.gauge("a", 2.0)
    assert bench.stands(signals.WAITING) == 2
    assert bench.stands(signals.KV_CACHE) is None


def test_what_was_added_is_added() -> None:
    bench = Bench()
    rows = bench.row("a", signals.CLIENT_TOKENS_IN)
    for amount in (5.0, 6.0, float("nan"), -1.0):
        bench.pushed.added(rows, np.array([amount]))
    assert bench.stands(signals.CLIENT_TOKENS_IN) == 11
    assert bench.rejections.counts == {Rejected.NOT_FINITE: 2}


@pytest.mark.parametrize(
    ("told", "subject"),
    [
        ({"service.name": "chat"}, Subject("chat")),
        ({"service.name": "chat", "service.instance.id": "chat-2"}, Subject("chat", "chat-2")),
        ({"service.name": "chat", "service.instance.id": "worker"}, Subject("chat")),
        ({"service.instance.id": "10.0.0.1:80"}, Subject("chat", "chat-1")),
        ({"service.instance.id": "chat-2"}, Subject("chat", "chat-2")),
        ({"service.name": "chat-2"}, Subject("chat", "chat-2")),
        ({"server.address": "localhost", "server.port": "81"}, Subject("chat", "chat-2")),
        # Whoever calls somebody is not that somebody.
        ({"service.name": "rag", "server.address": "10.0.0.1", "server.port": "80"}, RAG),
        ({"service.name": "billing"}, None),
        ({}, None),
    ],
)
def test_who_a_sender_is(told: dict[str, str], subject: Subject | None) -> None:
    replicas = {"chat-1": "http://10.0.0.1:80", "chat-2": "http://127.0.0.1:81"}
    topology = Topology(
        {
            "chat": ComponentNode("chat", Kind.MODEL_SERVER, "vllm", replicas),
            "rag": ComponentNode("rag", Kind.PIPELINE, "generic", {}),
        }
    )
    assert Senders(lambda: topology).subject(told) == subject
