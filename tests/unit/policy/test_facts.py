"""Facts are gathered from the real tables, under the lock in which the intent will be written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from vagus.config import Mode
from vagus.errors import VagusError
from vagus.model import (
    Aspect,
    Decision,
    Finding,
    Incident,
    IncidentState,
    IntentState,
    Licence,
    Outcome,
    Override,
    Purpose,
    Request,
    Sense,
    Subject,
    Symptom,
    Trial,
)
from vagus.testing.cases import CHAT, a_request
from vagus.testing.gate_bench import EMBED, GateBench, asked, gate_bench

C1, C2, C3 = CHAT


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[GateBench]:
    with gate_bench(tmp_path) as bench:
        yield bench


def eject(incident: Incident, target: Subject, rung: int = 0) -> Request:
    request = a_request("eject", purpose=Purpose.CONTAIN, target=target, rung=rung)
    return replace(request, incident=incident.id)


def restart(incident: Incident, target: Subject, rung: int = 5) -> Request:
    return replace(a_request(target=target, rung=rung), incident=incident.id)


def test_overrides_become_shares(bench: GateBench) -> None:
    bench.hold(C1, "unhealthy")
    bench.hold(C2, "0.25")
    bench.hold(EMBED, "unhealthy")
    facts = bench.facts(a_request())
    assert facts.shares == {C1: 0.0, C2: 0.25}
    assert facts.replicas == frozenset(CHAT)


def test_an_expired_override_holds_nothing_back(bench: GateBench) -> None:
    bench.hold(C1, "draining", expires_in=10.0)
    assert bench.facts(a_request()).in_traffic(C1) == 0.0
    bench.clock.advance(10.0)
    assert bench.facts(a_request()).in_traffic(C1) == 1.0


def test_dead_is_who_has_an_open_finding_of_it_in_whatever_incident(bench: GateBench) -> None:
    bench.incident(C1)
    gone = bench.incident(C2, Symptom.GONE)
    bench.incident(EMBED, Symptom.GONE)
    assert bench.facts(a_request()).dead == {C2}
    closed = [replace(f, closed_at=1.0) for f in bench.incidents.findings(gone.id)]
    bench.incidents.record_findings(gone.id, closed)
    assert bench.facts(a_request()).dead == frozenset()


def test_the_second_of_three_is_not_ejected_while_the_first_is_only_written_down(
    bench: GateBench,
) -> None:
    one, two = bench.incident(C1), bench.incident(C2)
    assert bench.decide(eject(one, C1)).state is IntentState.WRITTEN
    second = bench.decide(eject(two, C2))
    assert second.state is IntentState.REFUSED
    assert [said.guard for said in second.ruling.deciding] == ["capacity_floor"]


def test_one_that_died_may_go_as_well(bench: GateBench) -> None:
    one, two = bench.incident(C1), bench.incident(C2, Symptom.GONE)
    bench.decide(eject(two, C2))
    bench.hold(C2, "unhealthy")
    assert bench.decide(eject(one, C1)).state is IntentState.REFUSED
    bench.incidents.record_findings(
        one.id, [Finding(C1, Symptom.GONE, Sense.PROBE, 1.0, bench.clock.now(), "gone")]
    )
    assert bench.decide(eject(one, C1, rung=1)).state is IntentState.WRITTEN


def test_what_an_incident_that_is_over_left_behind_blocks_nobody(bench: GateBench) -> None:
    one, two = bench.incident(C1), bench.incident(C2)
    assert bench.decide(restart(one, C1)).state is IntentState.WRITTEN
    assert bench.decide(restart(two, C2)).state is IntentState.REFUSED
    bench.incidents.update(one, state=IncidentState.SUBSIDED)
    assert bench.decide(restart(two, C2, rung=6)).state is IntentState.WRITTEN


def test_a_treatment_counts_from_when_it_was_done(bench: GateBench) -> None:
    one = bench.incident(C1)
    token = bench.decide(restart(one, C1)).token
    bench.clock.advance(5000.0)  # Vagus was down
    bench.intents.begin(token)
    bench.intents.finish(token, IntentState.APPLIED)
    bench.clock.advance(30.0)
    treatments = bench.facts(restart(one, C1, rung=6)).treatments
    assert [t.at for t in treatments] == [bench.clock.now() - 30.0]


def test_shadow_decides_as_if_its_decisions_were_carried_out(bench: GateBench) -> None:
    bench.mode = Mode.SHADOW
    one, two = bench.incident(C1), bench.incident(C2)
    assert bench.decide(eject(one, C1)).state is IntentState.SHADOW
    assert bench.decide(eject(two, C2)).state is IntentState.REFUSED
    assert bench.decide(restart(one, C1)).state is IntentState.SHADOW
    bench.incidents.update(one, state=IncidentState.SUBSIDED)
    assert bench.decide(eject(two, C2, rung=1)).state is IntentState.SHADOW
    bench.mode = Mode.AUTO
    assert bench.facts(a_request()).shares == {}


def test_facts_that_can_not_be_gathered_let_nothing_pass(bench: GateBench) -> None:
    one = bench.incident(C1)
    with bench.database.write() as connection:
        connection.execute(text("DROP TABLE overrides"))
    with pytest.raises(VagusError):
        bench.decide(eject(one, C1))
    assert bench.intents.of_incident(one.id) == []


def test_the_ruling_is_written_down_whole(bench: GateBench) -> None:
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


# --- what was decided, tried and earned -----------------------------------------------------------


def test_the_epoch_is_that_of_the_incident_now(bench: GateBench) -> None:
    incident = bench.incident(C1)
    request = asked(incident)
    assert bench.facts(request).epoch == 1
    later = bench.incidents.update(incident, new_epoch=True)
    assert bench.facts(request).epoch == 2
    bench.incidents.update(later, state=IncidentState.RESOLVED)
    assert bench.facts(request).epoch is None
    assert bench.facts(a_request(incident="nobody-knows-it")).epoch is None


def test_only_licences_that_are_valid_and_cover_the_request(bench: GateBench) -> None:
    now = bench.clock.now()

    def grant(name: str, **scope: object) -> None:
        known = {"action": "restart", "component": "chat", "environment": "default"}
        lasts = {"issued_at": now, "expires_at": now + 60}
        bench.licences.issue(Licence(id=name, **(known | lasts | scope)))  # type: ignore[arg-type]

    grant("any-fault")
    grant("this-fault", fault="replica-hung")
    grant("other-fault", fault="replica-gone")
    grant("other-action", action="replace")
    grant("other-component", component="embed")
    grant("other-stack", environment="lab")
    grant("expired", issued_at=now - 60, expires_at=now)
    grant("not-yet", issued_at=now + 1)
    grant("revoked")
    bench.licences.revoke("revoked", "it made things worse")
    request = asked(bench.incident(C1))
    assert {licence.id for licence in bench.facts(request).licences} == {"any-fault", "this-fault"}


def test_the_record_is_of_this_remedy_for_this_fault_here(bench: GateBench) -> None:
    incident = bench.incident(C1)
    for n, (fault, environment) in enumerate(
        [("replica-hung", "default"), ("replica-gone", "default"), ("replica-hung", "lab")]
    ):
        bench.trials.record(
            Trial(f"t{n}", 1.0, "restart", fault, C2, environment, Outcome.HEALED, 5.0)
        )
    record = bench.facts(asked(incident)).record
    assert record is not None
    assert (record.samples, record.healed) == (1, 1)


def replaced(bench: GateBench, by: Subject) -> Incident:
    """``chat-1``, for it hung."""
    incident = bench.incident(C1)
    request = asked(incident, "restart")
    bench.act(request)
    now = bench.clock.now()
    bench.overrides.put(Override(C1, Aspect.MEMBER, "", incident.id, now))
    bench.overrides.put(Override(by, Aspect.MEMBER, "http://127.0.0.1:2", incident.id, now))
    return incident


def test_a_replacement_that_shows_the_fault_it_was_made_for(bench: GateBench) -> None:
    fresh = Subject("chat", "chat-4")
    first = replaced(bench, fresh)
    facts = bench.facts(asked(first))
    assert facts.replacements[fresh].fault == "replica-hung"
    assert fresh in facts.replicas
    assert facts.recreated == frozenset()
    bench.clock.advance(bench.warm_up)
    second = bench.incident(fresh)
    assert bench.facts(asked(second)).recreated == frozenset()  # it is starting
    bench.clock.advance(1.0)
    second = bench.incident(fresh)
    assert bench.facts(asked(second)).recreated == {"replica-hung"}
    assert bench.facts(asked(bench.incident(EMBED))).recreated == frozenset()


def test_another_fault_of_a_replacement_is_another_story(bench: GateBench) -> None:
    fresh = Subject("chat", "chat-4")
    replaced(bench, fresh)
    bench.clock.advance(bench.warm_up + 1)
    assert bench.facts(asked(bench.incident(fresh, Symptom.SLOW))).recreated == frozenset()


def test_who_needs_the_target(bench: GateBench) -> None:
    chat, rag = bench.declared.components["chat"], bench.declared.components["embed"]
    rag = replace(rag, depends_on=("chat",))
    bench.declared = replace(bench.declared, components={"chat": chat, "embed": rag})
    assert bench.facts(asked(bench.incident(C1))).callers == {"embed"}
    assert bench.facts(asked(bench.incident(EMBED))).callers == frozenset()
