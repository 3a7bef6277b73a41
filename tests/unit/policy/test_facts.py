"""Facts are gathered from the real tables, under the lock in which the intent will be written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vagus.clock import ManualClock
from vagus.config import Kind, Mode, PolicySettings
from vagus.model import (
    Aspect,
    Cause,
    Check,
    Decision,
    Finding,
    Incident,
    IncidentState,
    Intent,
    IntentState,
    Override,
    Purpose,
    Request,
    Ruling,
    Sense,
    SensesReport,
    Subject,
    Symptom,
)
from vagus.policy.facts import Facts, gather
from vagus.policy.gate import judge
from vagus.state.db import open_database
from vagus.state.incidents import Incidents
from vagus.state.intents import Intents
from vagus.state.overrides import Overrides
from vagus.testing.cases import CHAT, a_request
from vagus.topology import ComponentNode, Topology

C1, C2, C3 = CHAT
EMBED = Subject("embed", "embed-1")


class Bench:
    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(1_000_000.0)
        self.database = open_database(f"sqlite:///{folder / 'vagus.db'}", self.clock)
        self.incidents = Incidents(self.database)
        self.intents = Intents(self.database)
        self.overrides = Overrides(self.database)
        self.mode = Mode.AUTO
        self.topology = Topology(
            {
                "chat": ComponentNode(
                    "chat", Kind.MODEL_SERVER, "generic", {r.replica: "" for r in CHAT}
                ),
                "embed": ComponentNode("embed", Kind.EMBEDDING_SERVER, "generic", {"embed-1": ""}),
            }
        )

    def incident(self, subject: Subject, symptom: Symptom = Symptom.HUNG) -> Incident:
        now = self.clock.now()
        seen = [Finding(subject, symptom, s, now, now, "…") for s in (Sense.PROBE, Sense.GATEWAY)]
        return self.incidents.open(subject, Cause(symptom.value, subject, 0.9), seen)

    def facts(self, request: Request) -> Facts:
        return gather(
            request,
            now=self.clock.now(),
            mode=self.mode,
            policy=PolicySettings(),
            stopped=None,
            senses=SensesReport(True),
            ejected=frozenset(),
            topology=self.topology,
            incidents=self.incidents,
            intents=self.intents,
            overrides=self.overrides,
        )

    def decide(self, request: Request, judged: list[Facts] | None = None) -> Intent:
        def asked() -> Ruling:
            facts = self.facts(request)
            if judged is not None:
                judged.append(facts)
            return judge(request, facts)

        check = Check(request.remedy.target, 3, 5.0, 60.0)
        shadow = self.mode is Mode.SHADOW
        return self.intents.decide(request, check, asked, shadow=shadow)

    def hold(self, subject: Subject, value: str, expires_in: float | None = None) -> None:
        now = self.clock.now()
        aspect = Aspect.HEALTH if value.isalpha() else Aspect.WEIGHT
        until = None if expires_in is None else now + expires_in
        self.overrides.put(Override(subject, aspect, value, "inc-x", now, until))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.database.close()


def eject(incident: Incident, target: Subject, rung: int = 0) -> Request:
    request = a_request("eject", purpose=Purpose.CONTAIN, target=target, rung=rung)
    return replace(request, incident=incident.id)


def restart(incident: Incident, target: Subject, rung: int = 5) -> Request:
    return replace(a_request(target=target, rung=rung), incident=incident.id)


def test_overrides_become_shares(bench: Bench) -> None:
    bench.hold(C1, "unhealthy")
    bench.hold(C2, "0.25")
    bench.hold(EMBED, "unhealthy")
    facts = bench.facts(a_request())
    assert facts.shares == {C1: 0.0, C2: 0.25}
    assert facts.replicas == frozenset(CHAT)


def test_an_expired_override_holds_nothing_back(bench: Bench) -> None:
    bench.hold(C1, "draining", expires_in=10.0)
    assert bench.facts(a_request()).in_traffic(C1) == 0.0
    bench.clock.advance(10.0)
    assert bench.facts(a_request()).in_traffic(C1) == 1.0


def test_dead_is_who_has_an_open_finding_of_it_in_whatever_incident(bench: Bench) -> None:
    bench.incident(C1)
    gone = bench.incident(C2, Symptom.GONE)
    bench.incident(EMBED, Symptom.GONE)
    assert bench.facts(a_request()).dead == {C2}
    closed = [replace(f, closed_at=1.0) for f in bench.incidents.findings(gone.id)]
    bench.incidents.record_findings(gone.id, closed)
    assert bench.facts(a_request()).dead == frozenset()


def test_the_second_of_three_is_not_ejected_while_the_first_is_only_written_down(
    bench: Bench,
) -> None:
    one, two = bench.incident(C1), bench.incident(C2)
    assert bench.decide(eject(one, C1)).state is IntentState.WRITTEN
    second = bench.decide(eject(two, C2))
    assert second.state is IntentState.REFUSED
    assert [said.guard for said in second.ruling.deciding] == ["capacity_floor"]


def test_one_that_died_may_go_as_well(bench: Bench) -> None:
    one, two = bench.incident(C1), bench.incident(C2, Symptom.GONE)
    bench.decide(eject(two, C2))
    bench.hold(C2, "unhealthy")
    assert bench.decide(eject(one, C1)).state is IntentState.REFUSED
    bench.incidents.record_findings(
        one.id, [Finding(C1, Symptom.GONE, Sense.PROBE, 1.0, bench.clock.now(), "gone")]
    )
    assert bench.decide(eject(one, C1, rung=1)).state is IntentState.WRITTEN


def test_what_an_incident_that_is_over_left_behind_blocks_nobody(bench: Bench) -> None:
    one, two = bench.incident(C1), bench.incident(C2)
    assert bench.decide(restart(one, C1)).state is IntentState.WRITTEN
    assert bench.decide(restart(two, C2)).state is IntentState.REFUSED
    bench.incidents.update(one, state=IncidentState.SUBSIDED)
    assert bench.decide(restart(two, C2, rung=6)).state is IntentState.WRITTEN


def test_a_treatment_counts_from_when_it_was_done(bench: Bench) -> None:
    one = bench.incident(C1)
    token = bench.decide(restart(one, C1)).token
    bench.clock.advance(5000.0)  # Vagus was down
    bench.intents.begin(token)
    bench.intents.finish(token, IntentState.APPLIED)
    bench.clock.advance(30.0)
    treatments = bench.facts(restart(one, C1, rung=6)).treatments
    assert [t.at for t in treatments] == [bench.clock.now() - 30.0]


def test_shadow_decides_as_if_its_decisions_were_carried_out(bench: Bench) -> None:
    bench.mode = Mode.SHADOW
    one, two = bench.incident(C1), bench.incident(C2)
    assert bench.decide(eject(one, C1)).state is IntentState.SHADOW
    assert bench.decide(eject(two, C2)).state is IntentState.REFUSED
    assert bench.decide(restart(one, C1)).state is IntentState.SHADOW
    bench.incidents.update(one, state=IncidentState.SUBSIDED)
    assert bench.decide(eject(two, C2, rung=1)).state is IntentState.SHADOW
    bench.mode = Mode.AUTO
    assert bench.facts(a_request()).shares == {}


def test_facts_that_can_not_be_gathered_let_nothing_pass(bench: Bench) -> None:
    one = bench.incident(C1)
    bench.database.close()
    (bench.database.path).write_bytes(b"x" * 5000)
    for leftover in bench.database.path.parent.glob("vagus.db-*"):
        leftover.unlink()
    with pytest.raises(Exception, match="damaged"):
        bench.decide(eject(one, C1))


def test_the_ruling_is_written_down_whole(bench: Bench) -> None:
    intent = bench.decide(restart(bench.incident(C1), C1))
    kept = bench.intents.get(intent.token)
    assert kept == intent
    assert kept is not None
    assert kept.ruling.decision is Decision.ALLOW
    assert {said.guard: dict(said.numbers) for said in kept.ruling.guards}["capacity_floor"] == {
        "replicas": 3.0,
        "in_traffic": 3.0,
        "after": 2.0,
        "floor": 1.5,
    }
