"""Evidence in, columns out: rates, resets, gaps, tails, and rows that come and go."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from vagus.clock import ManualClock
from vagus.config import Kind
from vagus.model import Attempt, Failure, Histogram, Phase, Probe, Scrape, Sense, Subject, signals
from vagus.model.series import Column, SeriesKey
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.store import MAX_COHORTS, MAX_SERIES, Store
from vagus.topology import ComponentNode, Topology

CHAT_1, CHAT_2 = Subject("chat", "chat-1"), Subject("chat", "chat-2")


def stack(*replicas: str) -> Topology:
    addresses = {name: f"http://127.0.0.1:{31000 + i}" for i, name in enumerate(replicas)}
    return Topology({"chat": ComponentNode("chat", Kind.MODEL_SERVER, "llama.cpp", addresses)})


class Bench:
    """A store whose ticks are a second apart."""

    def __init__(self, *replicas: str) -> None:
        self.topology = stack(*(replicas or ("chat-1", "chat-2")))
        self.rejections = Rejections(ManualClock())
        self.store = Store(lambda: self.topology, self.rejections)
        self.now = 1000.0

    def tick(self, seconds: float = 1.0) -> Column:
        self.now += seconds
        return self.store.tick(self.now)

    def scrape(self, subject: Subject = CHAT_1, at: float | None = None, **values: float) -> None:
        named = {getattr(signals, name): value for name, value in values.items()}
        self.store.observe([Scrape(subject, self.now if at is None else at, values=named)])

    def steps(self, subject: Subject = CHAT_1) -> float:
        return float(self.store.last(subject, signals.STEPS, 1)[0])


def answered(ttft: float | None, *, failure: Failure | None = None, size: int = 0) -> Attempt:
    return Attempt(
        CHAT_1,
        "id",
        Phase.ENDED,
        at=1000.0,
        started_at=999.0,
        status=200,
        failure=failure,
        time_to_first_token=ttft,
        duration=1.0,
        received_bytes=size,
    )


def test_a_counter_becomes_the_rate_between_two_readings() -> None:
    bench = Bench()
    bench.scrape(STEPS=100, at=1000.2)
    bench.tick()
    assert math.isnan(bench.steps())
    bench.scrape(STEPS=130, at=1001.7)
    bench.tick()
    assert bench.steps() == pytest.approx(20.0)


def test_a_counter_that_was_reset_has_grown_from_zero() -> None:
    bench = Bench()
    bench.scrape(STEPS=100, at=1000.0)
    bench.tick()
    bench.scrape(STEPS=150, at=1001.0)
    bench.scrape(STEPS=7, at=1002.0)
    bench.tick()
    assert bench.steps() == pytest.approx((50 + 7) / 2)


def test_a_value_stands_in_for_one_tick_and_then_it_is_missing() -> None:
    bench = Bench()
    bench.scrape(RUNNING=3)
    seen = [bench.tick() for _ in range(3)]
    row = seen[0].series.index(
        next(key for key in seen[0].series if key is not None and key.signal == signals.RUNNING)
    )
    assert [column.values[row] for column in seen[:2]] == [3, 3]
    assert math.isnan(seen[2].values[row])


def test_a_failed_scrape_is_not_a_value() -> None:
    bench = Bench()
    bench.store.observe([Scrape(CHAT_1, 1000.0, failure=Failure.REFUSED)])
    assert bench.tick().series == ()


def test_readings_out_of_order_are_refused_and_counted() -> None:
    bench = Bench()
    bench.scrape(STEPS=100, at=1000.0)
    bench.scrape(STEPS=110, at=1001.0)
    bench.scrape(STEPS=105, at=1000.5)
    bench.scrape(STEPS=110, at=1001.0)
    bench.tick()
    assert bench.steps() == pytest.approx(10.0)
    assert bench.rejections.counts[Rejected.OUT_OF_ORDER] == 2


def test_counting_goes_on_after_the_clock_was_set_back() -> None:
    bench = Bench()
    for at, steps in ((1000.0, 100), (400.0, 110), (401.0, 115)):
        bench.scrape(STEPS=steps, at=at)
        bench.tick()
    assert bench.steps() == pytest.approx(5.0)


def test_what_is_no_number_is_counted_and_spoils_nothing() -> None:
    bench = Bench()
    bench.scrape(STEPS=100, RUNNING=1, at=1000.0)
    bench.scrape(STEPS=math.inf, RUNNING=math.nan, at=1001.0)
    bench.scrape(STEPS=120, RUNNING=2, at=1002.0)
    bench.tick()
    assert bench.steps() == pytest.approx(10.0)
    assert bench.store.last(CHAT_1, signals.RUNNING, 1)[0] == 2
    assert bench.rejections.counts[Rejected.NOT_FINITE] == 2


def test_an_unknown_signal_is_counted_and_the_others_are_kept() -> None:
    bench = Bench()
    bench.store.observe([Scrape(CHAT_1, 1000.0, values={"moon.phase": 1, signals.RUNNING: 4})])
    bench.tick()
    assert bench.store.last(CHAT_1, signals.RUNNING, 1)[0] == 4
    assert bench.rejections.counts[Rejected.UNKNOWN_SIGNAL] == 1


def test_a_target_that_names_other_signals_at_each_scrape() -> None:
    bench = Bench()
    bench.scrape(STEPS=10, RUNNING=1, at=1000.0)
    bench.scrape(RUNNING=2, WAITING=5, at=1001.0)
    bench.scrape(STEPS=30, at=1002.0)
    bench.tick()
    assert bench.steps() == pytest.approx(10.0)
    assert bench.store.last(CHAT_1, signals.RUNNING, 1)[0] == 2
    assert bench.store.last(CHAT_1, signals.WAITING, 1)[0] == 5


def test_attempts_are_counted_by_the_second_and_none_is_zero() -> None:
    bench = Bench()
    bench.tick()
    bench.store.observe([answered(0.1), answered(None, failure=Failure.RESET)])
    bench.tick(2.0)
    bench.tick()
    rates = bench.store.last(CHAT_1, signals.ATTEMPTS, 2, Sense.GATEWAY)
    failed = bench.store.last(CHAT_1, signals.ATTEMPTS_FAILED, 2, Sense.GATEWAY)
    assert rates.tolist() == [1.0, 0.0]
    assert failed.tolist() == [0.5, 0.0]


def test_a_tick_of_unknown_length_has_no_rate() -> None:
    bench = Bench()
    bench.tick()
    bench.store.observe([answered(0.1)])
    bench.tick(-100.0)
    assert math.isnan(bench.store.last(CHAT_1, signals.ATTEMPTS, 1, Sense.GATEWAY)[0])


def test_the_tail_over_the_last_ticks_and_no_longer() -> None:
    bench = Bench()
    for ttft in (9.0, 0.1, 0.2, 0.3):
        bench.store.observe([answered(ttft)] * 10)
        bench.tick()
    ttft = signals.TIME_TO_FIRST_TOKEN
    assert bench.store.quantile(CHAT_1, ttft, 0.95, 3) == pytest.approx(0.3, rel=0.011)
    assert bench.store.quantile(CHAT_1, ttft, 0.95, 4) == pytest.approx(9.0, rel=0.011)
    assert bench.store.quantile(CHAT_2, ttft, 0.95) is None
    medians = bench.store.last(CHAT_1, ttft, 4, Sense.GATEWAY)
    assert medians.tolist() == [9.0, 0.1, 0.2, 0.3]


def test_how_long_a_failure_took_is_no_latency() -> None:
    bench = Bench()
    bench.store.observe([answered(0.001, failure=Failure.WRONG_TYPE)])
    bench.tick()
    assert bench.store.quantile(CHAT_1, signals.TIME_TO_FIRST_TOKEN, 0.5) is None


def test_probes_and_the_gateway_are_series_of_their_own() -> None:
    bench = Bench()
    probe = Probe(CHAT_1, 1000.0, time_to_first_token=2.0, time_per_token=0.05, duration=3.0)
    bench.store.observe([answered(0.1, size=900), probe, Probe(CHAT_1, 1001.0, Failure.TIMEOUT)])
    bench.tick()

    def last(signal: str, sense: Sense) -> float:
        return float(bench.store.last(CHAT_1, signal, 1, sense)[0])

    assert last(signals.TIME_TO_FIRST_TOKEN, Sense.GATEWAY) == 0.1
    assert last(signals.TIME_TO_FIRST_TOKEN, Sense.PROBE) == 2.0
    assert last(signals.TIME_PER_TOKEN, Sense.PROBE) == 0.05
    assert last(signals.TIME_PER_BYTE, Sense.GATEWAY) == pytest.approx(0.001)


def test_a_row_is_used_again_and_inherits_nothing() -> None:
    bench = Bench("chat-1")
    bench.scrape(RUNNING=8, STEPS=5)
    bench.store.observe([answered(7.0)])
    before = bench.tick()
    bench.store.observe([answered(7.0)])  # in the tick that is still open
    bench.topology = stack("chat-2")
    bench.scrape(CHAT_1, RUNNING=8)  # of somebody who is gone
    bench.scrape(CHAT_2, RUNNING=1)
    for name in ("KV_CACHE", "WAITING", "STEPS"):
        bench.scrape(CHAT_2, **{name: 1})
    after = bench.tick()
    assert {key.subject for key in after.series if key is not None} == {CHAT_2}
    assert len(after.series) <= len(before.series)
    assert bench.store.last(CHAT_2, signals.RUNNING, 2)[0] != 8
    assert bench.store.quantile(CHAT_2, signals.TIME_TO_FIRST_TOKEN, 0.5) is None
    assert math.isnan(bench.steps(CHAT_2))


def test_the_series_are_the_same_object_until_a_row_changes_hands() -> None:
    bench = Bench()
    bench.scrape(RUNNING=1)
    first, second = bench.tick(), bench.tick()
    bench.scrape(WAITING=1)
    third = bench.tick()
    assert first.series is second.series
    assert second.series is not third.series


def test_a_fleet_grows_one_by_one() -> None:
    names = [f"chat-{i}" for i in range(1, 201)]
    bench = Bench(*names)
    for number, name in enumerate(names):
        bench.scrape(Subject("chat", name), RUNNING=number, WAITING=0)
    column = bench.tick()
    by_subject = {
        key.subject.replica: value
        for key, value in zip(column.series, column.values, strict=True)
        if key is not None and key.signal == signals.RUNNING
    }
    assert by_subject == {name: number for number, name in enumerate(names)}


def test_one_subject_has_only_so_many_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vagus.telemetry.store.MAX_SERIES", 2)
    bench = Bench()
    bench.scrape(RUNNING=1, WAITING=2, STEPS=3)
    assert len(bench.tick().series) == 2
    assert bench.rejections.counts[Rejected.TOO_MANY_SERIES] == 1
    assert len(signals.SIGNALS) * len(Sense) < MAX_SERIES


def test_the_ring_forgets_what_is_older_than_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vagus.telemetry.store.TICKS", 4)
    bench = Bench()
    for value in range(6):
        bench.scrape(RUNNING=value, at=1000.0 + value)
        bench.tick()
    assert bench.store.last(CHAT_1, signals.RUNNING, 10).tolist() == [2, 3, 4, 5]


def test_the_live_figures() -> None:
    bench = Bench()
    bench.tick()
    for _ in range(10):
        bench.scrape(RUNNING=2, at=bench.now)
        bench.store.observe([answered(0.2)] * 3 + [answered(None, failure=Failure.RESET)])
        bench.tick()
    vitals = bench.store.vitals()
    seen, unseen = vitals[CHAT_1], vitals[CHAT_2]
    assert seen.requests_per_s == pytest.approx(4.0)
    assert seen.failed_per_s == pytest.approx(1.0)
    assert seen.ttft_p95 == pytest.approx(0.2, rel=0.011)
    assert seen.running == 2
    assert seen.ttft_trend[-10:] == (0.2,) * 10
    assert unseen.requests_per_s is unseen.ttft_p50 is unseen.running is None


def test_columns_are_copies() -> None:
    bench = Bench()
    bench.scrape(RUNNING=1)
    column = bench.tick()
    column.values[:] = 99
    assert not np.any(bench.store.last(CHAT_1, signals.RUNNING, 1) == 99)


def told(at: float, *counts: float) -> Scrape:
    return Scrape(CHAT_1, at, histograms={signals.DURATION: Histogram((1.0, 2.0, 4.0), counts)})


def test_an_engines_histogram_is_a_distribution() -> None:
    bench = Bench()
    bench.store.observe([told(1000.0, 0, 0, 0, 0)])
    bench.tick()
    bench.store.observe([told(1001.0, 0, 100, 0, 0)])
    column = bench.tick()
    found = bench.store.quantile(CHAT_1, signals.DURATION, 0.95, sense=Sense.SCRAPE)
    assert found == pytest.approx(1.95, rel=0.03)
    row = column.series.index(SeriesKey(CHAT_1, signals.DURATION, Sense.SCRAPE))
    assert column.values[row] == pytest.approx(1.5, rel=0.03)
    assert bench.store.quantile(CHAT_1, signals.DURATION, 0.5) is None  # callers saw none


def test_a_histogram_of_what_is_none_is_refused() -> None:
    bench = Bench()
    histogram = Histogram((1.0,), (1.0, 1.0))
    bench.store.observe(
        [Scrape(CHAT_1, 1000.0, histograms={signals.RUNNING: histogram, "moon": histogram})]
    )
    assert bench.tick().series == ()
    assert bench.rejections.counts == {Rejected.UNKNOWN_SIGNAL: 2}


def test_a_ratio_is_of_what_both_grew_by() -> None:
    bench = Bench()
    for at, hits, misses in ((1000.0, 50, 50), (1001.0, 59, 51), (1002.0, 59, 51)):
        bench.scrape(CACHE_HITS=hits, CACHE_MISSES=misses, at=at)
        bench.tick()
    ratios = bench.store.last(CHAT_1, signals.CACHE_HIT_RATIO, 3).tolist()
    assert ratios == pytest.approx([math.nan, 0.9, math.nan], nan_ok=True)


def test_a_ratio_that_the_engine_tells_itself_is_left_alone() -> None:
    bench = Bench()
    bench.scrape(CACHE_HITS=1, CACHE_MISSES=1, CACHE_HIT_RATIO=0.25)
    bench.tick()
    assert bench.store.last(CHAT_1, signals.CACHE_HIT_RATIO, 1).tolist() == [0.25]


def test_cohorts_are_kept_apart_and_bounded() -> None:
    bench = Bench()
    cohorts = [f"c{n}" for n in range(MAX_COHORTS + 3)]
    bench.store.observe(
        [replace(answered(1.0 + n), cohort=cohort) for n, cohort in enumerate(cohorts)]
    )
    bench.tick()
    chat = Subject("chat")
    first = bench.store.last(chat, signals.TIME_TO_FIRST_TOKEN, 1, Sense.GATEWAY, "c1")
    assert first.tolist() == [2.0]
    slow = bench.store.quantile(chat, signals.TIME_TO_FIRST_TOKEN, 0.5, cohort="c9")
    assert slow == pytest.approx(10.0, rel=0.02)
    assert bench.rejections.counts == {Rejected.TOO_MANY_COHORTS: 3}
    median = bench.store.last(CHAT_1, signals.TIME_TO_FIRST_TOKEN, 1, Sense.GATEWAY)
    assert median.tolist() == [1.0 + (len(cohorts) - 1) // 2]  # the replica's own has them all


def test_a_component_that_is_gone_takes_its_cohorts_with_it() -> None:
    bench = Bench()
    bench.store.observe([replace(answered(1.0), cohort="eu")])
    bench.tick()
    bench.topology = Topology({})
    assert set(bench.tick().series) <= {None}


def test_a_component_as_a_whole_has_series_too() -> None:
    bench = Bench()
    values = {signals.CLIENT_TOKENS_OUT: 5.0}
    for at in (1000.0, 1001.0):
        bench.store.observe([Scrape(Subject("chat"), at, values=values, sense=Sense.PUSH)])
        bench.tick()
    found = bench.store.last(Subject("chat"), signals.CLIENT_TOKENS_OUT, 1, Sense.PUSH)
    assert found.tolist() == [0.0]
