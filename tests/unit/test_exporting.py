"""What ended is told once it is over, also after a restart, and whatever the collector does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from vagus.clock import ManualClock
from vagus.errors import MalformedData, StateUnavailable, TargetUnreachable
from vagus.exporting import PATIENCE, Exporter
from vagus.metrics import Reading, reading
from vagus.model import Cause, Incident, IncidentState, Subject
from vagus.model.trace import Trace
from vagus.state.db import Database, open_database
from vagus.state.incidents import Incidents
from vagus.state.ledger import Ledger


class Collector:
    """Takes, or raises what it is told to."""

    def __init__(self) -> None:
        self.traces: list[str] = []
        self.metrics = 0
        self.trouble: Callable[[Trace | None], Exception | None] = lambda trace: None

    async def push_trace(self, trace: Trace) -> None:
        if (error := self.trouble(trace)) is not None:
            raise error
        self.traces.append(str(trace.root.attributes["vagus.incident.id"]))

    async def push_metrics(
        self, readings: Sequence[Reading], *, began_at: float, at: float
    ) -> None:
        if (error := self.trouble(None)) is not None:
            raise error
        self.metrics += 1


class Bench:
    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.clock = clock
        self.incidents = Incidents(database)
        self.ledger = Ledger(database)
        self.collector = Collector()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.exporter = self.another()
        self._number = 0

    def another(self) -> Exporter:
        return Exporter(
            self.collector,
            self.clock,
            every=15.0,
            environment="test",
            readings=lambda: [reading("vagus_ticks_total", 1)],
            incidents=self.incidents,
            ledger=self.ledger,
            counts=self.counts,
        )

    def ended(self) -> Incident:
        """One more incident that is over."""
        self._number += 1
        subject = Subject("chat", f"chat-{self._number}")
        incident = self.incidents.open(subject, Cause("replica-hung", subject, 0.9), [])
        self.clock.advance(1)
        return self.incidents.update(incident, state=IncidentState.RESOLVED)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock = ManualClock()
    database = open_database(f"sqlite:///{tmp_path / 'vagus.db'}", clock)
    yield Bench(database, clock)
    database.close()


async def test_each_incident_once_when_it_is_over(bench: Bench) -> None:
    lasting = Subject("chat", "chat-9")
    bench.incidents.open(lasting, Cause("replica-hung", lasting, 0.9), [])
    first = bench.ended()
    await bench.exporter.round()
    second = bench.ended()
    for _ in range(3):
        bench.clock.advance(15)
        await bench.exporter.round()
    assert bench.collector.traces == [first.id, second.id]
    assert bench.collector.metrics == 4
    assert bench.counts["exported", "traces"] == 2


async def test_what_ended_shortly_before_a_restart_is_sent_again(bench: Bench) -> None:
    before = bench.ended()
    bench.clock.advance(60)
    await bench.another().round()
    assert bench.collector.traces == [before.id]
    bench.clock.advance(PATIENCE)
    await bench.another().round()
    assert bench.collector.traces == [before.id], "an hour later it is history"


async def test_while_nobody_listens_it_waits(bench: Bench) -> None:
    bench.collector.trouble = lambda trace: TargetUnreachable("refused")
    names = [bench.ended().id for _ in range(3)]
    for _ in range(4):
        await bench.exporter.round()
        bench.clock.advance(15)
    assert bench.counts["failures", "traces"] == 4, "one try a round: the others would fail too"
    assert bench.counts["failures", "metrics"] == 4
    bench.collector.trouble = lambda trace: None
    await bench.exporter.round()
    assert bench.collector.traces == names
    assert not bench.counts["given_up", "traces"]


async def test_for_an_hour(bench: Bench) -> None:
    bench.collector.trouble = lambda trace: TargetUnreachable("refused")
    bench.ended()
    await bench.exporter.round()
    bench.clock.advance(PATIENCE + 1)
    await bench.exporter.round()
    bench.collector.trouble = lambda trace: None
    await bench.exporter.round()
    assert bench.collector.traces == []
    assert bench.counts["given_up", "traces"] == 1


async def test_what_will_not_be_had_is_given_up_and_holds_up_nobody(bench: Bench) -> None:
    first, second = bench.ended(), bench.ended()

    def refuse(trace: Trace | None) -> Exception | None:
        is_first = trace and trace.root.attributes["vagus.incident.id"] == first.id
        return MalformedData("answers 400") if is_first else None

    bench.collector.trouble = refuse
    for _ in range(2):
        await bench.exporter.round()
    assert bench.collector.traces == [second.id]
    assert bench.counts["given_up", "traces"] == 1
    assert bench.counts["failures", "traces"] == 1


async def test_more_than_a_page(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vagus.exporting._PAGE", 3)
    names = [bench.ended().id for _ in range(8)]
    for _ in range(6):
        await bench.exporter.round()
    assert bench.collector.traces == names


async def test_without_the_state_metrics_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(since: float, limit: int) -> Sequence[Incident]:
        raise StateUnavailable("it is locked")

    monkeypatch.setattr(bench.incidents, "closed_since", away)
    await bench.exporter.round()
    assert bench.collector.metrics == 1


async def test_a_bug_of_ours_is_counted_and_it_goes_on(bench: Bench) -> None:
    bench.collector.trouble = lambda trace: RuntimeError("a bug")
    bench.exporter._clock = _Rounds(bench.clock, 2)
    with pytest.raises(_Enough):
        await bench.exporter.run()
    assert bench.counts["failures", "traces"] == 2


class _Enough(BaseException):
    pass


class _Rounds:
    """A clock whose sleepers wake at once, so many times."""

    def __init__(self, clock: ManualClock, rounds: int) -> None:
        self._clock = clock
        self._left = rounds

    def now(self) -> float:
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        self._left -= 1
        if self._left < 0:
            raise _Enough
        self._clock.advance(seconds)
