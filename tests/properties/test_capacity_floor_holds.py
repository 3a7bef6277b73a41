"""The capacity floor holds at every instant, whatever happens in whatever order, and whoever asks
at the same time.

The real gate decides over the real tables, from several threads at once, while replicas die and
come back, the data plane ejects by itself, overrides come and go and actions are carried out late.
What is in traffic is counted here anew, by a model that knows nothing of how the guard counts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from vagus.clock import ManualClock
from vagus.config import Kind, Mode
from vagus.model import (
    Aspect,
    Cause,
    Check,
    Finding,
    Intent,
    IntentState,
    Override,
    Purpose,
    Remedy,
    Request,
    Sense,
    SensesReport,
    Subject,
    Symptom,
    Tier,
)
from vagus.policy.facts import Facts, Kept, Law, Moment, gather
from vagus.policy.gate import judge
from vagus.state import tables
from vagus.state.db import Database, open_database
from vagus.state.incidents import Incidents
from vagus.state.intents import Intents
from vagus.state.overrides import Overrides
from vagus.testing.cases import a_policy
from vagus.topology import ComponentNode, Topology

MOST = 6
REPLICA = st.integers(0, MOST - 1)
ACTION = st.sampled_from(["eject", "drain", "weight", "restart", "replace"])

ASK = st.tuples(st.just("ask"), st.lists(st.tuples(ACTION, REPLICA), min_size=1, max_size=4))
EVENT = st.one_of(
    ASK,
    ASK,
    ASK,
    st.tuples(st.just("finish"), st.booleans()),
    st.tuples(st.just("die"), REPLICA),
    st.tuples(st.just("revive"), REPLICA),
    st.tuples(st.just("plane"), REPLICA),
    st.tuples(st.just("return"), REPLICA),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 40.0])),
)


class Stack:
    """What really is in traffic, and a Vagus that decides about it."""

    def __init__(self, database: Database, clock: ManualClock, size: int, floor: float) -> None:
        with database.write() as connection:
            for table in (tables.findings, tables.incidents, tables.intents, tables.overrides):
                connection.execute(delete(table))
        self.clock = clock
        self.incidents = Incidents(database)
        self.intents = Intents(database)
        self.overrides = Overrides(database)
        self.policy = a_policy(floor=floor, budget="100% per 1ms", cooldown="0s")
        self.size = size
        self.subjects = [Subject("chat", f"chat-{n}") for n in range(size)]
        names = {s.replica: "http://127.0.0.1:1" for s in self.subjects}
        self.topology = Topology(
            {"chat": ComponentNode("chat", Kind.MODEL_SERVER, "generic", names)}
        )
        self.dead: set[Subject] = set()
        self.ejected: set[Subject] = set()
        self.shares: dict[Subject, float] = {}
        self.asked = 0
        self.incident_of = {
            subject: self.incidents.open(subject, Cause("replica-hung", subject, 0.9), []).id
            for subject in self.subjects
        }

    def see(self, subject: Subject, symptom: Symptom, *, closed: bool = False) -> None:
        now = self.clock.now()
        found = [
            Finding(subject, symptom, sense, now, now, "…", closed_at=now if closed else None)
            for sense in (Sense.PROBE, Sense.GATEWAY)
        ]
        self.incidents.record_findings(self.incident_of[subject], found)

    def ask(self, wanted: Sequence[tuple[str, int]]) -> list[Intent]:
        """All of them at once, each from a thread of its own; those that may be done."""
        requests = []
        for action, number in wanted:
            subject = self.subjects[number % self.size]
            self.see(subject, Symptom.HUNG)
            self.asked += 1
            requests.append(
                Request(
                    purpose=Purpose.CONTAIN if action in ("eject", "drain") else Purpose.TREAT,
                    incident=self.incident_of[subject],
                    epoch=1,
                    rung=self.asked,
                    attempt=1,
                    remedy=Remedy(action, subject, 0.25 if action == "weight" else 0.0),
                    cause=Cause("replica-hung", subject, 0.9),
                    tier=Tier.R1,
                )
            )
        results: list[Intent] = []
        barrier = threading.Barrier(len(requests))

        def decide(request: Request) -> None:
            barrier.wait()
            check = Check(request.remedy.target, 3, 5.0, 60.0)
            results.append(
                self.intents.decide(
                    request, check, lambda: judge(request, self.facts(request)), shadow=False
                )
            )

        threads = [threading.Thread(target=decide, args=(request,)) for request in requests]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(results) == len(requests)
        return [intent for intent in results if intent.state is IntentState.WRITTEN]

    def facts(self, request: Request) -> Facts:
        moment = Moment(
            now=self.clock.now(),
            mode=Mode.AUTO,
            stopped=None,
            senses=SensesReport(True),
            ejected=frozenset(self.ejected),
            topology=self.topology,
        )
        kept = Kept(self.incidents, self.intents, self.overrides)
        return gather(request, Law(self.policy), moment, kept)

    def finish(self, intent: Intent, *, well: bool) -> None:
        """It is carried out: moves of traffic leave a row, a restarted replica is there again."""
        self.intents.begin(intent.token)
        self.intents.finish(intent.token, IntentState.APPLIED if well else IntentState.FAILED)
        target, action = intent.request.remedy.target, intent.request.remedy.action
        if not well or action in ("restart", "replace"):
            return
        aspect, value = {
            "eject": (Aspect.HEALTH, "unhealthy"),
            "drain": (Aspect.HEALTH, "draining"),
            "weight": (Aspect.WEIGHT, "0.25"),
        }[action]
        now, incident = self.clock.now(), intent.request.incident
        self.overrides.put(Override(target, aspect, value, incident, now))
        share = 0.25 if action == "weight" else 0.0
        self.shares[target] = min(share, self.shares.get(target, 1.0))

    def give_back(self, subject: Subject) -> None:
        self.overrides.drop(self.incident_of[subject], subject)
        self.shares.pop(subject, None)

    def in_traffic(self, about_to_be_done: Sequence[Intent]) -> float:
        """What carries callers at the worst moment, when all of these are being done at once."""
        total = 0.0
        for subject in self.subjects:
            share = self.shares.get(subject, 1.0)
            if subject in self.dead or subject in self.ejected:
                share = 0.0
            for intent in about_to_be_done:
                if intent.request.remedy.target == subject:
                    share = min(share, intent.request.remedy.share)
            total += share
        return total


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock(1_000_000.0)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, clock: ManualClock) -> Iterator[Database]:
    file = tmp_path_factory.mktemp("floor") / "vagus.db"
    database = open_database(f"sqlite:///{file}", clock)
    yield database
    database.close()


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, MOST),
    floor=st.sampled_from([0.0, 0.34, 0.5, 0.75, 1.0]),
    events=st.lists(EVENT, min_size=1, max_size=14),
)
@example(size=3, floor=0.5, events=[("ask", [("eject", 0), ("eject", 1)])])
@example(size=3, floor=0.5, events=[("ask", [("restart", 0)]), ("ask", [("eject", 1)])])
@example(size=3, floor=0.5, events=[("plane", 0), ("ask", [("drain", 1), ("replace", 2)])])
@example(
    size=3,
    floor=0.5,
    events=[
        ("die", 0),
        ("ask", [("eject", 0)]),
        ("finish", True),
        ("revive", 0),
        ("ask", [("eject", 1)]),
    ],
)
def test_no_decision_takes_a_component_below_its_floor(
    database: Database,
    clock: ManualClock,
    size: int,
    floor: float,
    events: list[tuple[str, object]],
) -> None:
    play(Stack(database, clock, size, floor), floor, events)


def play(stack: Stack, floor: float, events: list[tuple[str, object]]) -> None:
    pending: list[Intent] = []
    for kind, what in events:
        if kind == "ask":
            before = stack.in_traffic(pending)
            pending += stack.ask(what)  # type: ignore[arg-type]
            after = stack.in_traffic(pending)
            assert after >= before - 1e-9 or after >= floor * stack.size - 1e-9
        elif kind == "finish" and pending:
            stack.finish(pending.pop(0), well=bool(what))
        elif kind == "wait":
            stack.clock.advance(float(what))  # type: ignore[arg-type]
        elif isinstance(what, int) and not isinstance(what, bool):
            subject = stack.subjects[what % stack.size]
            if kind == "die":
                stack.dead.add(subject)
                stack.see(subject, Symptom.GONE)
            elif kind == "revive":
                stack.dead.discard(subject)
                stack.see(subject, Symptom.GONE, closed=True)
            elif kind == "plane":
                stack.ejected ^= {subject}
            elif kind == "return":
                stack.give_back(subject)


def test_the_model_would_see_a_floor_that_is_broken(database: Database, clock: ManualClock) -> None:
    """The property can fail: intents that nobody judged do take the component below its floor."""
    stack = Stack(database, clock, 3, 0.5)
    allowed = stack.ask([("eject", 0)])
    assert len(allowed) == 1
    request = allowed[0].request
    other = replace(request, remedy=Remedy("eject", stack.subjects[1]))
    assert stack.in_traffic([*allowed, replace(allowed[0], request=other)]) < 1.5
