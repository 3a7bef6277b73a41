"""Proposals: an answer is taken once a person, only while it waits, and of two one decides."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from vagus.clock import ManualClock
from vagus.errors import Conflict, NotFound, StateError
from vagus.model import Answer, Ask, Proposal, ProposalState, Sheet
from vagus.policy.approvals import tally
from vagus.state.db import Database
from vagus.state.proposals import Proposals
from vagus.testing.cases import a_request

SHEET = Sheet("restart", ("it hangs",), "replica-hung", 0.9, "1 of 3", "probes", "no", "no", "new")


def count(proposal: Proposal) -> ProposalState:
    return tally(proposal, {})


@pytest.fixture
def proposals(database: Database) -> Proposals:
    return Proposals(database)


def a_proposal(clock: ManualClock, *, rung: int = 1, approvers: int = 1) -> Proposal:
    now = clock.now()
    asks = (Ask(approvers),)
    return Proposal(a_request(rung=rung), asks, "binding", SHEET, now, now + 900.0)


def yes(by: str, reason: str = "") -> Answer:
    return Answer(by, True, 0.0, reason)


def no(by: str) -> Answer:
    return Answer(by, False, 0.0)


def test_it_is_kept_as_it_was_written(proposals: Proposals, clock: ManualClock) -> None:
    opened = proposals.open(a_proposal(clock))
    assert proposals.get(opened.id) == opened
    assert proposals.waiting() == [opened]
    assert proposals.get("inc-9:1:1:1") is None


def test_opening_again_changes_nothing(proposals: Proposals, clock: ManualClock) -> None:
    opened = proposals.open(a_proposal(clock))
    clock.advance(60)
    assert proposals.open(a_proposal(clock)) == opened
    proposals.answer(opened.id, no("anna"), count)
    assert proposals.open(a_proposal(clock)).state is ProposalState.DENIED


def test_one_yes_approves_what_asks_for_one(proposals: Proposals, clock: ManualClock) -> None:
    opened = proposals.open(a_proposal(clock))
    clock.advance(5)
    approved = proposals.answer(opened.id, yes("anna", "seen it before"), count)
    assert approved.state is ProposalState.APPROVED
    assert approved.decided_at == clock.now()
    assert approved.answers == (Answer("anna", True, clock.now(), "seen it before"),)
    assert proposals.get(opened.id) == approved
    assert proposals.waiting() == []


def test_two_are_two_people(proposals: Proposals, clock: ManualClock) -> None:
    opened = proposals.open(a_proposal(clock, approvers=2))
    for _ in range(2):
        assert proposals.answer(opened.id, yes("anna"), count).state is ProposalState.OPEN
    assert len(proposals.get(opened.id).answers) == 1  # type: ignore[union-attr]
    assert proposals.answer(opened.id, yes("bert"), count).state is ProposalState.APPROVED


def test_who_said_yes_can_not_say_no(proposals: Proposals, clock: ManualClock) -> None:
    opened = proposals.open(a_proposal(clock, approvers=2))
    proposals.answer(opened.id, yes("anna"), count)
    with pytest.raises(Conflict, match="anna said yes before"):
        proposals.answer(opened.id, no("anna"), count)


def test_a_decision_takes_no_more_answers_but_may_be_heard_again(
    proposals: Proposals, clock: ManualClock
) -> None:
    opened = proposals.open(a_proposal(clock))
    denied = proposals.answer(opened.id, no("anna"), count)
    with pytest.raises(Conflict, match="takes no more answers"):
        proposals.answer(opened.id, yes("bert"), count)
    assert proposals.answer(opened.id, no("anna"), count) == denied


def test_an_answer_after_the_deadline_is_none_whatever_time_it_claims(
    proposals: Proposals, clock: ManualClock
) -> None:
    opened = proposals.open(a_proposal(clock))
    clock.advance(900)
    with pytest.raises(Conflict, match="which means no"):
        proposals.answer(opened.id, replace(yes("anna"), at=opened.created_at + 1), count)
    assert proposals.get(opened.id) == opened


def test_an_answer_that_policy_does_not_take_was_not_given(
    proposals: Proposals, clock: ManualClock
) -> None:
    opened = proposals.open(a_proposal(clock))

    def refuses(_: Proposal) -> ProposalState:
        raise StateError("not a member")

    with pytest.raises(StateError, match="not a member"):
        proposals.answer(opened.id, yes("mallory"), refuses)
    assert proposals.get(opened.id) == opened


@pytest.mark.parametrize("state", [ProposalState.EXPIRED, ProposalState.VOID])
def test_people_can_not_say_what_only_time_can(
    proposals: Proposals, clock: ManualClock, state: ProposalState
) -> None:
    opened = proposals.open(a_proposal(clock))
    with pytest.raises(ValueError, match="people can't"):
        proposals.answer(opened.id, yes("anna"), lambda _: state)
    assert proposals.get(opened.id) == opened


def test_nobody_can_not_answer(proposals: Proposals, clock: ManualClock) -> None:
    opened = proposals.open(a_proposal(clock))
    with pytest.raises(ValueError, match="somebody"):
        proposals.answer(opened.id, yes(""), count)
    with pytest.raises(NotFound):
        proposals.answer("forged:1:1:1", yes("anna"), count)


def test_a_proposal_can_not_be_opened_as_approved(proposals: Proposals, clock: ManualClock) -> None:
    forged = replace(a_proposal(clock), state=ProposalState.APPROVED)
    with pytest.raises(ValueError, match="begins open"):
        proposals.open(forged)
    with pytest.raises(ValueError, match="without answers"):
        proposals.open(replace(a_proposal(clock), answers=(yes("anna"),)))


def test_time_closes_only_what_people_left_open(proposals: Proposals, clock: ManualClock) -> None:
    first, second = (proposals.open(a_proposal(clock, rung=rung)) for rung in (1, 2))
    proposals.answer(first.id, yes("anna"), count)
    assert proposals.close(first.id, ProposalState.EXPIRED).state is ProposalState.APPROVED
    expired = proposals.close(second.id, ProposalState.EXPIRED, "nobody answered")
    assert (expired.state, expired.note) == (ProposalState.EXPIRED, "nobody answered")
    with pytest.raises(Conflict, match="nobody answered"):
        proposals.answer(second.id, yes("anna"), count)
    assert proposals.close(second.id, ProposalState.VOID).state is ProposalState.EXPIRED


def test_a_yes_is_void_when_the_world_moved_and_a_no_stays_one(
    proposals: Proposals, clock: ManualClock
) -> None:
    first, second = (proposals.open(a_proposal(clock, rung=rung)) for rung in (1, 2))
    proposals.answer(first.id, yes("anna"), count)
    proposals.answer(second.id, no("anna"), count)
    assert proposals.close(first.id, ProposalState.VOID).state is ProposalState.VOID
    assert proposals.close(second.id, ProposalState.VOID).state is ProposalState.DENIED
    with pytest.raises(ValueError, match="only people"):
        proposals.close(first.id, ProposalState.APPROVED)


def test_lists(proposals: Proposals, clock: ManualClock) -> None:
    made = []
    for rung in (1, 2, 3):
        made.append(proposals.open(a_proposal(clock, rung=rung)))
        clock.advance(10)
    proposals.answer(made[1].id, no("anna"), count)
    assert [p.id for p in proposals.waiting()] == [made[0].id, made[2].id]
    assert [p.id for p in proposals.recent(2)] == [made[2].id, made[1].id]
    assert [p.id for p in proposals.recent(9, before=made[1].created_at)] == [made[0].id]
    assert [p.id for p in proposals.of_rung("inc-1", 1, 2)] == [made[1].id]
    assert proposals.of_rung("inc-1", 2, 2) == []
    assert proposals.decided(clock.now()) == [made[1].id]
    assert proposals.decided(clock.now() + 1) == []


def test_of_many_who_answer_at_once_so_many_count_as_there_are(
    proposals: Proposals, clock: ManualClock
) -> None:
    """Each of two people says yes four times, and the one no comes at the same moment."""
    opened = proposals.open(a_proposal(clock, approvers=2))
    start, ends = threading.Barrier(9), []

    def say(answer: Answer) -> None:
        start.wait()
        try:
            ends.append(proposals.answer(opened.id, answer, count).state)
        except Conflict:
            ends.append(None)

    said = [yes("anna")] * 4 + [yes("bert")] * 4 + [no("carl")]
    threads = [threading.Thread(target=say, args=(answer,)) for answer in said]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = proposals.get(opened.id)
    assert ended is not None
    people = [answer.by for answer in ended.answers]
    assert len(people) == len(set(people))
    denied = "carl" in people
    assert ended.state is (ProposalState.DENIED if denied else ProposalState.APPROVED)
    assert denied or set(people) == {"anna", "bert"}
