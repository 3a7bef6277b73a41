"""What people must decide: asked, waited for, acted upon once, and no answer means no."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vagus import healing
from vagus.model import (
    Ask,
    Decision,
    GuardRuling,
    Incident,
    IncidentState,
    IntentState,
    Proposal,
    ProposalState,
)
from vagus.testing.bench import CHAT_2, Bench

ASK = GuardRuling("tier", Decision.ASK, "a person must say so", ask=Ask(1))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(healing, "LOOK_EVERY", 0.02)
    made = Bench(tmp_path)
    made.deny["restart"] = ASK
    yield made
    made.close()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def asked(bench: Bench, incident: Incident, number: int = 1) -> Proposal:
    """The question that the workflow waits with, once it does."""
    bench.healer.ensure(incident.id, incident.epoch)
    until(lambda: len(bench.proposals.recent(9)) == number and bench.proposals.waiting())
    return bench.proposals.waiting()[0]


def events(bench: Bench) -> list[str]:
    return [entry.event for entry in bench.ledger.entries()]


def restarts(bench: Bench) -> int:
    return len(bench.world.replicas_by_name["chat-2"].restarts)


def test_what_was_approved_is_done_once(bench: Bench) -> None:
    incident = bench.sicken()
    proposal = asked(bench, incident)
    assert restarts(bench) == 0
    bench.answer(proposal, yes=True)
    assert bench.heal(incident).state is IncidentState.RESOLVED
    assert restarts(bench) == 1
    assert bench.done(incident)[:3] == [
        ("eject", IntentState.APPLIED),
        ("restart", IntentState.ASKED),
        ("restart", IntentState.APPLIED),
    ]
    told = events(bench)
    assert told.index("proposed") < told.index("proposal.approved") < told.index("resolved")


def test_the_sheet_says_what_a_person_needs(bench: Bench) -> None:
    sheet = asked(bench, bench.sicken()).sheet
    assert sheet.what == "restart chat/chat-2"
    assert sheet.why == ("chat-2 refuses", "asked because of tier: a person must say so")
    assert sheet.confidence == 0.9
    assert sheet.blast_radius == "chat/chat-2"
    assert "3 good probes" in sheet.checks
    assert "can't be taken back" in sheet.undo
    assert "after 15 min it counts as no" in sheet.unanswered
    assert sheet.record == "restart was never tried for replica-gone on chat"


def test_whoever_waits_for_people_holds_no_target(bench: Bench) -> None:
    asked(bench, bench.sicken())
    assert bench.leases.acquire(CHAT_2, "somebody else", 1.0) is not None


def test_no_means_no_and_why_is_kept(bench: Bench) -> None:
    incident = bench.sicken()
    bench.answer(asked(bench, incident), yes=False)
    ended = bench.heal(incident)
    assert ended.state is IncidentState.ESCALATED
    assert ended.note == "restart was not done: anna said no"
    assert bench.done(incident)[1:] == [("restart", IntentState.REFUSED)]
    assert bench.world.endpoint("chat-2").health == "unhealthy"
    assert restarts(bench) == 0
    assert ended.retry_at is not None
    assert ended.retry_at > bench.clock.now() + 1800


def test_no_answer_means_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, patience=0.3)
    try:
        bench.deny["restart"] = ASK
        incident = bench.sicken()
        ended = bench.heal(incident)
        assert ended.state is IncidentState.ESCALATED
        assert "nobody answered (1 person asked)" in ended.note
        assert [p.state for p in bench.proposals.recent(9)] == [ProposalState.EXPIRED]
        assert restarts(bench) == 0
        assert "proposal.expired" in events(bench)
    finally:
        bench.close()


def test_a_yes_to_another_world_is_void_and_it_asks_again(bench: Bench) -> None:
    incident = bench.sicken()
    first = asked(bench, incident)
    bench.binding = "another replica fell out"
    bench.answer(first, yes=True)
    second = asked(bench, incident, number=2)
    assert second.id != first.id
    void = bench.proposals.get(first.id)
    assert void is not None
    assert void.state is ProposalState.VOID
    assert restarts(bench) == 0
    bench.answer(second, yes=True)
    assert bench.heal(incident).state is IncidentState.RESOLVED
    assert restarts(bench) == 1


def test_evidence_that_goes_away_needs_no_answer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "LISTEN", 0.05)
    incident = bench.sicken()
    proposal = asked(bench, incident)
    bench.world.replicas_by_name["chat-2"].sick_until = None
    bench.close_findings(incident)
    assert bench.heal(incident).state is IncidentState.RESOLVED
    void = bench.proposals.get(proposal.id)
    assert void is not None
    assert (void.state, void.note) == (ProposalState.VOID, "the evidence went away")
    assert restarts(bench) == 0


def test_a_containment_that_is_asked_for_and_no_longer_needed_touches_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "LISTEN", 0.05)
    bench.deny["eject"] = ASK
    incident = bench.sicken()
    asked(bench, incident)
    bench.close_findings(incident)
    assert bench.heal(incident).state is IncidentState.SUBSIDED
    assert bench.world.operations == []


def test_a_decision_that_nobody_passed_on_is_found_by_looking(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "LISTEN", 0.05)
    monkeypatch.setattr(bench.healer, "wake", lambda proposal: None)
    incident = bench.sicken()
    bench.answer(asked(bench, incident), yes=True)
    assert bench.heal(incident).state is IncidentState.RESOLVED


def test_a_kill_switch_that_is_set_while_people_think_stops_what_they_approve(
    bench: Bench,
) -> None:
    incident = bench.sicken()
    proposal = asked(bench, incident)
    bench.stop_reason = "release freeze"
    bench.answer(proposal, yes=True)
    ended = bench.heal(incident)
    assert ended.state is IncidentState.ESCALATED
    assert "release freeze" in ended.note
    assert restarts(bench) == 0


def test_an_incident_that_others_took_over_asks_nobody(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "LISTEN", 0.05)
    incident = bench.sicken()
    proposal = asked(bench, incident)
    bench.incidents.update(bench.incidents.get(incident.id), new_epoch=True)
    workflow = healing.DBOS.retrieve_workflow(incident.workflow_id)
    assert workflow.get_result(polling_interval_sec=0.02) == "superseded"
    void = bench.proposals.get(proposal.id)
    assert void is not None
    assert void.state is ProposalState.VOID


def test_shadow_asks_nobody(bench: Bench) -> None:
    bench.shadow = True
    incident = bench.heal(bench.sicken())
    assert incident.state is IncidentState.SHADOWED
    assert bench.proposals.recent(9) == []


def test_two_are_asked_and_one_yes_is_not_enough(bench: Bench) -> None:
    bench.deny["restart"] = replace(ASK, ask=Ask(2))
    incident = bench.sicken()
    proposal = asked(bench, incident)
    bench.answer(proposal, yes=True, by="anna")
    still = bench.proposals.get(proposal.id)
    assert still is not None
    assert still.state is ProposalState.OPEN
    bench.answer(proposal, yes=True, by="bert")
    assert bench.heal(incident).state is IncidentState.RESOLVED
