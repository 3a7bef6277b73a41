"""An incident as a trace, from real healings on a real state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vagus import healing
from vagus.errors import ActionError
from vagus.model import Decision, GuardRuling, Incident, IncidentState
from vagus.model.trace import Span, Trace
from vagus.remediation.action import Order
from vagus.testing.bench import Bench
from vagus.tracing import trace_of


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(healing, "LOOK_EVERY", 0.02)
    made = Bench(tmp_path)
    yield made
    made.close()


def traced(bench: Bench, incident: Incident) -> Trace:
    findings = bench.incidents.findings(incident.id)
    return trace_of(incident, findings, bench.ledger.of_incident(incident.id), "test")


def names(trace: Trace) -> list[str]:
    return [span.name for span in trace.children]


def only(trace: Trace, name: str) -> Span:
    (span,) = [span for span in trace.children if span.name == name]
    return span


def test_from_finding_to_return(bench: Bench) -> None:
    incident = bench.heal(bench.sicken())
    trace = traced(bench, incident)
    assert names(trace) == [
        f"finding {bench.incidents.findings(incident.id)[0].symptom.value}",
        "plan",
        *("gate", "contain eject"),
        *("gate", "treat restart", "verify"),
        *("gate", "return weight", "verify"),
        *("gate", "return restore", "verify"),
    ]
    root = trace.root
    assert root.name == f"incident {incident.cause.fault}"
    assert (root.began, root.ended) == (incident.opened_at, incident.closed_at)
    assert root.ok is True
    assert root.attributes["vagus.incident.state"] == "resolved"
    assert root.attributes["vagus.replica"] == "chat-2"
    assert [event.name for event in root.events] == ["incident resolved"]
    restart = only(trace, "treat restart")
    assert restart.ok is True
    assert restart.attributes["vagus.action"] == "restart"
    assert restart.attributes["vagus.action.tier"] == "R1"
    assert (restart.attributes["vagus.component"], restart.attributes["vagus.replica"]) == (
        "chat",
        "chat-2",
    )


def test_spans_lie_within_their_incident_and_in_order(bench: Bench) -> None:
    incident = bench.heal(bench.sicken())
    trace = traced(bench, incident)
    steps = [span for span in trace.children if not span.name.startswith("finding")]
    for span in steps:
        assert trace.root.began <= span.began <= span.ended <= trace.root.ended, span.name
    assert [span.ended for span in steps] == sorted(span.ended for span in steps)
    gate, contain = steps[1], steps[2]
    assert contain.began == gate.ended, "an action begins with its ruling"
    treat, verify = only(trace, "treat restart"), steps[5]
    assert verify.began == pytest.approx(treat.ended, abs=0.5)


def test_made_again_it_is_the_same(bench: Bench) -> None:
    incident = bench.heal(bench.sicken())
    one, other = traced(bench, incident), traced(bench, bench.incidents.get(incident.id))
    assert one == other
    keys = [span.key for span in (one.root, *one.children)]
    assert len(set(keys)) == len(keys)


def test_what_the_gate_refused_says_which_guard(bench: Bench) -> None:
    bench.deny["eject"] = GuardRuling("capacity_floor", Decision.DENY, "1 of 3 would be left", 5.0)
    incident = bench.heal(bench.sicken())
    assert incident.state is IncidentState.ESCALATED
    gate = only(traced(bench, incident), "gate")
    assert gate.attributes["vagus.ruling.decision"] == "deny"
    (objection,) = gate.events
    assert objection.attributes["vagus.guard"] == "capacity_floor"
    assert objection.attributes["vagus.ruling.reason"] == "1 of 3 would be left"


def test_what_failed_and_what_did_not_help(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(order: Order) -> None:
        raise ActionError("the supervisor says no")

    restart = bench.healer._hands.actions["restart"]
    monkeypatch.setattr(restart, "apply", refuse)
    incident = bench.heal(bench.sicken(until="replace"))
    failed = [span for span in traced(bench, incident).children if span.name == "treat restart"]
    assert failed
    for span in failed:
        assert (span.ok, span.error) == (False, "the supervisor says no")
        assert span.attributes["error.type"] == "failed"


def test_a_remedy_that_did_not_help(bench: Bench) -> None:
    incident = bench.heal(bench.sicken(until="replace"))
    verdicts = [span for span in traced(bench, incident).children if span.name == "verify"]
    assert verdicts[0].ok is False
    assert verdicts[0].attributes["error.type"] == "unchanged"
    assert verdicts[-1].ok is True


def test_a_second_run_of_the_ladder_is_in_the_same_trace(bench: Bench) -> None:
    bench.deny["eject"] = GuardRuling("capacity_floor", Decision.DENY, "too few", 5.0)
    incident = bench.heal(bench.sicken())
    bench.deny.clear()
    again = bench.incidents.update(incident, state=IncidentState.OPEN, new_epoch=True)
    healed = bench.heal(again)
    assert healed.state is IncidentState.RESOLVED
    trace = traced(bench, healed)
    assert [event.name for event in trace.root.events] == [
        "incident escalated",
        "incident resolved",
    ]
    assert {span.attributes["vagus.epoch"] for span in trace.children if span.name == "gate"} == {
        1,
        2,
    }
    plans = [span for span in trace.children if span.name == "plan"]
    assert plans[1].began == plans[1].ended, "nobody wrote down when the second run began"


def test_shadow_and_what_went_away(bench: Bench) -> None:
    bench.shadow = True
    incident = bench.heal(bench.sicken())
    over = bench.incidents.update(incident, state=IncidentState.SUBSIDED)
    trace = traced(bench, over)
    assert trace.root.ok is None
    assert trace.root.attributes["vagus.incident.state"] == "subsided"
    assert not [span for span in trace.children if span.name.startswith(("contain", "treat"))]
