from __future__ import annotations

from dataclasses import replace

import pytest

from vagus.config import Kind, Mode, PolicySettings
from vagus.model import (
    VAGUS,
    Answer,
    Ask,
    Decision,
    IntentState,
    ProposalState,
    Purpose,
    Remedy,
    Request,
    Subject,
    Tier,
)
from vagus.policy.approvals import binding, tally
from vagus.policy.facts import Facts
from vagus.policy.gate import judge
from vagus.policy.rules import parse_rules
from vagus.testing.cases import (
    CHAT,
    NOW,
    a_finding,
    a_policy,
    a_proposal,
    a_request,
    an_intent,
    no,
    some_facts,
    yes,
)

C1, C2, C3 = CHAT
ROLLBACK = a_request("rollback")  # R3: one approver
GROUPS = {"dba": frozenset({"ana", "ben"})}
OPEN, APPROVED, DENIED = ProposalState.OPEN, ProposalState.APPROVED, ProposalState.DENIED


# --- counting -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "asks", "answers", "state"),
    [
        ("nobody yet", (Ask(1),), (), OPEN),
        ("one of one", (Ask(1),), (yes("ana"),), APPROVED),
        ("one of two", (Ask(2),), (yes("ana"),), OPEN),
        ("two of two", (Ask(2),), (yes("ana"), yes("eve")), APPROVED),
        ("one twice", (Ask(2),), (yes("ana"), yes("ana")), OPEN),
        ("one in two spellings", (Ask(2),), (yes("ana"), yes(" Ana ")), OPEN),
        ("the proposer", (Ask(1),), (yes("carol"),), OPEN),
        ("the proposer, shouting", (Ask(1),), (yes("CAROL"),), OPEN),
        ("the proposer and another", (Ask(2),), (yes("carol"), yes("ana")), OPEN),
        ("Vagus itself", (Ask(1),), (yes(VAGUS),), OPEN),
        ("nobody at all", (Ask(1),), (yes(""), yes("  ")), OPEN),
        ("of the group", (Ask(1, "dba"),), (yes("ana"),), APPROVED),
        ("not of the group", (Ask(1, "dba"),), (yes("eve"),), OPEN),
        ("half of the group", (Ask(2, "dba"),), (yes("ana"), yes("eve")), OPEN),
        ("a group that is not there", (Ask(1, "sre"),), (yes("ana"),), OPEN),
        ("one question of two", (Ask(1), Ask(2, "dba")), (yes("ana"),), OPEN),
        ("both questions", (Ask(1), Ask(2, "dba")), (yes("ana"), yes("ben")), APPROVED),
        ("one no denies", (Ask(1),), (yes("ana"), no("eve")), DENIED),
        ("the proposer may withdraw", (Ask(1),), (yes("ana"), no("carol")), DENIED),
        ("too late", (Ask(1),), (yes("ana", age=-900.0),), OPEN),
        ("at the last moment", (Ask(1),), (yes("ana", age=-839.9),), APPROVED),
        ("before it was asked", (Ask(1),), (yes("ana", age=61.0),), OPEN),
        ("a no that was too late", (Ask(1),), (yes("ana"), no("eve", age=-900.0)), APPROVED),
        ("a question for nobody is one for one", (Ask(0),), (), OPEN),
        ("no question at all", (), (yes("ana"),), OPEN),
    ],
)
def test_tally(
    why: str, asks: tuple[Ask, ...], answers: tuple[Answer, ...], state: ProposalState
) -> None:
    asked = replace(ROLLBACK, proposer="carol")
    proposal = a_proposal(asked, some_facts(), *answers, asks=asks, state=OPEN)
    assert tally(proposal, GROUPS) is state, why


@pytest.mark.parametrize("state", [s for s in ProposalState if s is not OPEN])
def test_what_was_decided_stays_decided(state: ProposalState) -> None:
    proposal = a_proposal(ROLLBACK, some_facts(), yes("ana"), no("eve"), state=state)
    assert tally(proposal, GROUPS) is state


# --- settling -------------------------------------------------------------------------------------


def approved(request: Request = ROLLBACK, facts: Facts | None = None, *by: str) -> Facts:
    """A world in which people said yes to ``request``."""
    facts = facts or some_facts()
    asks = judge(request, facts).asks
    answers = [yes(name) for name in by or ("ana",)]
    return replace(facts, proposal=a_proposal(request, facts, *answers, asks=asks))


def test_a_yes_takes_the_place_of_the_question_and_says_whose_it_was() -> None:
    assert judge(ROLLBACK, some_facts()).decision is Decision.ASK
    ruling = judge(ROLLBACK, approved())
    assert ruling.decision is Decision.ALLOW
    assert [s.reason for s in ruling.guards if s.guard == "tier"] == [
        "approved by ana (rollback is R3; 1 must approve)"
    ]
    assert ruling.asks == ()


def test_the_ruling_says_tier_and_binding_whatever_it_is() -> None:
    for facts in (some_facts(), some_facts(mode=Mode.OFF), approved()):
        ruling = judge(ROLLBACK, facts)
        assert ruling.tier is Tier.R3
        assert ruling.binding == binding(ROLLBACK, facts)


def test_two_must_be_two() -> None:
    store = some_facts(kind=Kind.VECTOR_STORE, findings=lasting())
    replacing = a_request("replace")
    assert judge(replacing, store).asks == (Ask(2),)
    assert judge(replacing, approved(replacing, store, "ana")).decision is Decision.ASK
    ruling = judge(replacing, approved(replacing, store, "ben", "ana"))
    assert ruling.decision is Decision.ALLOW
    assert any("approved by ana and ben" in said.reason for said in ruling.guards)


def lasting() -> tuple[object, ...]:
    return tuple(a_finding(f.sense, lasting=300.0) for f in some_facts().findings)


def test_a_yes_is_no_way_around_a_guard_that_denies() -> None:
    facts = approved()
    for stopped in (
        replace(facts, mode=Mode.OFF, proposal=approved(facts=some_facts(mode=Mode.OFF)).proposal),
        replace(facts, findings=()),
    ):
        assert judge(ROLLBACK, stopped).decision is Decision.DENY


def test_it_may_be_used_for_the_next_attempt_of_the_same_rung() -> None:
    assert judge(replace(ROLLBACK, attempt=2), approved()).decision is Decision.ALLOW
    failed = replace(approved(), recent=(an_intent(ROLLBACK, IntentState.FAILED, age=200.0),))
    assert judge(replace(ROLLBACK, attempt=2), failed).decision is Decision.ALLOW


@pytest.mark.parametrize(
    "other",
    [
        replace(ROLLBACK, rung=1),
        replace(ROLLBACK, epoch=2),
        replace(ROLLBACK, incident="inc-2"),
        replace(ROLLBACK, purpose=Purpose.CONTAIN),
        replace(ROLLBACK, proposer="mallory"),
        replace(ROLLBACK, remedy=Remedy("rollback", C2)),
        replace(ROLLBACK, remedy=Remedy("rollback", C1, version="v1")),
        replace(ROLLBACK, cause=replace(ROLLBACK.cause, fault="replica-slow")),
    ],
)
def test_it_is_no_yes_to_anything_else(other: Request) -> None:
    facts = replace(approved(), epoch=other.epoch)
    facts = replace(facts, findings=tuple(a_finding(f.sense, subject=other.remedy.target)
                                          for f in facts.findings))  # fmt: skip
    assert judge(other, facts).decision is Decision.ASK


@pytest.mark.parametrize(
    "moved",
    [
        {"ejected": frozenset({C2})},
        {"shares": {C1: 0.0}},
        {"dead": frozenset({C1})},
        {"replicas": frozenset({*CHAT, Subject("chat", "chat-4")})},
        {"policy": a_policy(floor=0.4)},
        {"policy": a_policy().model_copy(update={"production": True})},
        {"mode": Mode.SUGGEST},
        {"rules": parse_rules("rules: [{name: a, when: hour > 24, then: deny, because: b}]")},
    ],
)
def test_a_world_that_moved_makes_it_void(moved: dict[str, object]) -> None:
    facts = replace(approved(), **moved)  # type: ignore[arg-type]
    assert binding(ROLLBACK, facts) != binding(ROLLBACK, some_facts())
    assert judge(ROLLBACK, facts).decision is not Decision.ALLOW


def test_what_means_nothing_leaves_it_standing() -> None:
    facts = approved()
    for later in (
        replace(facts, now=NOW + 600.0, findings=tuple(
            replace(f, last_seen_at=NOW + 599.0, samples=99) for f in facts.findings)),
        replace(facts, recent=(an_intent(a_request("eject", rung=9), age=5.0),)),
        replace(facts, replicas=frozenset(reversed(CHAT)), shares={C2: 1.0}),
    ):  # fmt: skip
        assert judge(ROLLBACK, later).decision is Decision.ALLOW
    surer = replace(ROLLBACK, cause=replace(ROLLBACK.cause, confidence=0.95))
    assert judge(surer, facts).decision is Decision.ALLOW


@pytest.mark.parametrize("state", [s for s in ProposalState if s is not ProposalState.APPROVED])
def test_only_what_is_approved_counts(state: ProposalState) -> None:
    facts = approved()
    assert facts.proposal is not None
    waiting = replace(facts, proposal=replace(facts.proposal, state=state))
    assert judge(ROLLBACK, waiting).decision is Decision.ASK


@pytest.mark.parametrize("now", [NOW + 840.0, NOW + 10_000.0, NOW - 61.0])
def test_it_ends_with_its_proposal_and_with_a_clock_that_jumps(now: float) -> None:
    facts = approved()
    seen = tuple(replace(f, last_seen_at=now) for f in facts.findings)
    assert judge(ROLLBACK, replace(facts, now=now, findings=seen)).decision is Decision.ASK


@pytest.mark.parametrize("by", ["vagus", "", "carol"])
def test_a_row_that_says_approved_is_not_believed(by: str) -> None:
    asked = replace(ROLLBACK, proposer="carol")
    facts = approved(asked)
    assert facts.proposal is not None
    assert judge(asked, facts).decision is Decision.ALLOW
    forged = replace(facts, proposal=replace(facts.proposal, answers=(yes(by),)))
    assert judge(asked, forged).decision is Decision.ASK
    unanswered = replace(facts, proposal=replace(facts.proposal, answers=()))
    assert judge(asked, unanswered).decision is Decision.ASK


@pytest.mark.parametrize(
    "state", [IntentState.WRITTEN, IntentState.ACTING, IntentState.APPLIED, IntentState.UNDONE]
)
def test_it_is_spent_once_its_effect_began(state: IntentState) -> None:
    policy = a_policy(cooldown="0s")
    done = an_intent(ROLLBACK, state, age=200.0)
    facts = approved(facts=some_facts(policy=policy))
    again = replace(ROLLBACK, attempt=2)
    assert judge(again, facts).decision is Decision.ALLOW
    assert judge(again, replace(facts, recent=(done,))).decision is not Decision.ALLOW


def test_a_group_that_lost_its_people_meanwhile() -> None:
    policy = PolicySettings.model_validate(
        {"budget": "34% per 10m", "approvers": {"dba": ["ana", "ben"]}}
    )
    rules = parse_rules(
        "rules: [{name: a, when: action == 'rollback', then: {ask: {group: dba}}, because: b}]"
    )
    facts = some_facts(policy=policy, rules=rules)
    assert judge(ROLLBACK, facts).asks == (Ask(1), Ask(1, "dba"))
    assert judge(ROLLBACK, approved(ROLLBACK, facts, "eve")).decision is Decision.ASK
    assert judge(ROLLBACK, approved(ROLLBACK, facts, "ben")).decision is Decision.ALLOW
    gone = policy.model_copy(update={"approvers": {"dba": ("ana",)}})
    now_bound = a_proposal(
        ROLLBACK, replace(facts, policy=gone), yes("ben"), asks=(Ask(1), Ask(1, "dba"))
    )
    moved = replace(facts, policy=gone, proposal=now_bound)
    assert judge(ROLLBACK, moved).decision is Decision.ASK
