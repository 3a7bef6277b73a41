"""Epochs, hold-down, warm-up, what a treatment recreates, and licences."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vagus.config import Kind
from vagus.model import (
    Ask,
    Decision,
    IntentState,
    Licence,
    Purpose,
    Request,
    Rollout,
    Sense,
    Symptom,
    Tier,
)
from vagus.policy.facts import Replacement
from vagus.policy.guards.current import current
from vagus.policy.guards.hold_down import HOLD_DOWN_S, hold_down
from vagus.policy.guards.licence import licence
from vagus.policy.guards.recreates_fault import recreates_fault
from vagus.policy.guards.warm_up import warm_up
from vagus.testing.cases import CHAT, NOW, a_finding, a_policy, a_request, an_intent, some_facts

ALLOW, ASK, DENY = Decision.ALLOW, Decision.ASK, Decision.DENY
C1, C2, C3 = CHAT
EJECT = a_request("eject", purpose=Purpose.CONTAIN)
RESTORE = a_request("restore", purpose=Purpose.RETURN)
UNDO = a_request("eject", purpose=Purpose.UNDO)
RESTART, REPLACE = a_request(), a_request("replace")


# --- current --------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [EJECT, RESTART, RESTORE, UNDO])
@pytest.mark.parametrize(("epoch", "decision"), [(1, ALLOW), (2, DENY), (0, DENY)])
def test_an_old_plan_is_not_listened_to(request_: Request, epoch: int, decision: Decision) -> None:
    said = current(request_, some_facts(epoch=epoch))
    assert said.decision is decision
    assert said.numbers == {"epoch": 1.0, "now": float(epoch)}
    assert said.retry_after is None


@pytest.mark.parametrize(
    ("request_", "decision"), [(EJECT, DENY), (RESTART, DENY), (RESTORE, DENY), (UNDO, ALLOW)]
)
def test_after_its_end_only_an_undo_may_come(request_: Request, decision: Decision) -> None:
    assert current(request_, some_facts(epoch=None)).decision is decision


# --- hold-down ------------------------------------------------------------------------------------


def seen_for(*seconds: float, **changes: object) -> tuple[object, ...]:
    return tuple(a_finding(lasting=s - 1.0, age=1.0, **changes) for s in seconds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("why", "findings", "wait"),
    [
        ("nothing was seen", (), HOLD_DOWN_S),
        ("43 s of partition", seen_for(43.0), 17.0),
        ("long enough", seen_for(HOLD_DOWN_S), None),
        ("the first of its findings counts", seen_for(5.0, 90.0), None),
        ("what is closed does not", seen_for(90.0, closed=True), HOLD_DOWN_S),
        ("nor silence", seen_for(90.0, symptom=Symptom.SILENT), HOLD_DOWN_S),
        ("nor what was seen of another", seen_for(90.0, subject=C2), HOLD_DOWN_S),
        ("a clock that was set back", seen_for(-500.0), HOLD_DOWN_S),
    ],
)
def test_hold_down(why: str, findings: tuple[object, ...], wait: float | None) -> None:
    store = some_facts(kind=Kind.VECTOR_STORE, findings=findings)
    said = hold_down(RESTART, store)
    assert said.retry_after == wait, why
    assert said.decision is (ALLOW if wait is None else DENY)
    assert hold_down(EJECT, store).decision is ALLOW
    assert hold_down(RESTART, replace(store, kind=Kind.MODEL_SERVER)).decision is ALLOW


# --- warm-up --------------------------------------------------------------------------------------


def started(age: float, state: IntentState = IntentState.APPLIED, **changes: object) -> object:
    return an_intent(a_request(rung=7, **changes), state, age=age)  # type: ignore[arg-type]


def returned(age: float) -> object:
    return an_intent(replace(RESTORE, rung=8), age=age)


@pytest.mark.parametrize(
    ("why", "recent", "wait"),
    [
        ("never", (), None),
        ("a moment ago", (started(10.0),), 20.0),
        ("long enough ago", (started(30.0),), None),
        ("the last start counts", (started(300.0), started(5.0)), 25.0),
        ("somebody else", (started(5.0, target=C2),), None),
        ("a move of traffic is no start", (started(5.0, action="eject"),), None),
        ("what failed did not start it", (started(5.0, IntentState.FAILED),), None),
        ("it was given traffic since", (started(10.0), returned(3.0)), None),
        ("... before", (started(10.0), returned(60.0)), 20.0),
        ("a clock that was set back", (started(-500.0),), 30.0),
    ],
)
def test_warm_up(why: str, recent: tuple[object, ...], wait: float | None) -> None:
    facts = some_facts(recent=recent)
    said = warm_up(RESTART, facts)
    assert said.retry_after == wait, why
    assert said.decision is (ALLOW if wait is None else DENY)
    assert warm_up(EJECT, facts).decision is ALLOW


def test_a_replacement_is_given_time_too() -> None:
    facts = some_facts(replacements={C1: Replacement("replica-slow", NOW - 12.0)}, warm_up=60.0)
    assert warm_up(RESTART, facts).retry_after == pytest.approx(48.0)
    assert warm_up(a_request(target=C2), facts).decision is ALLOW


def test_a_replica_that_gets_a_new_version_is_given_time_too() -> None:
    rollout = Rollout("r-1", "chat", "v2", "v1", (C1.replica,), NOW - 4.0, "pipeline")
    facts = some_facts(rollout=rollout, warm_up=10.0)
    assert warm_up(RESTART, facts).retry_after == pytest.approx(6.0)
    assert warm_up(EJECT, facts).decision is ALLOW
    assert warm_up(a_request(target=C2), facts).decision is ALLOW
    assert warm_up(RESTART, replace(facts, now=NOW + 6.0)).decision is ALLOW


# --- what a treatment recreates -------------------------------------------------------------------


def test_a_fault_that_the_replacement_shows_too_is_not_treated_anywhere() -> None:
    facts = some_facts(
        recreated=frozenset({"replica-gone"}),
        replacements={C2: Replacement("replica-gone", NOW - 60.0)},
    )
    for request in (RESTART, REPLACE, a_request(target=C3)):
        said = recreates_fault(request, facts)
        assert (said.decision, said.retry_after) == (DENY, None)
        assert "chat/chat-2" in said.reason
    assert recreates_fault(EJECT, facts).decision is ALLOW
    slow = replace(RESTART, cause=replace(RESTART.cause, fault="replica-slow"))
    assert recreates_fault(slow, facts).decision is ALLOW


@pytest.mark.parametrize(
    ("why", "before", "decision"),
    [
        ("it was tried and did not help", started(600.0), DENY),
        ("longer than an hour ago", started(3601.0), ALLOW),
        ("another remedy", started(600.0, action="replace"), ALLOW),
        ("another replica", started(600.0, target=C2), ALLOW),
        ("in another incident, so it helped", started(600.0, incident="inc-0"), ALLOW),
        ("it was not carried out", started(600.0, IntentState.FAILED), ALLOW),
    ],
)
def test_what_did_not_help_is_not_done_again(why: str, before: object, decision: Decision) -> None:
    said = recreates_fault(RESTART, some_facts(recent=(before,)))
    assert (said.decision, said.retry_after) == (decision, None), why


# --- licences -------------------------------------------------------------------------------------


def a_licence(bound: float = 0.9, *, by: str = "vagus") -> Licence:
    return Licence(
        "l-1", "replace", "chat", "default", issued_by=by, bound=bound, samples=20,
        reason="rehearsed", expires_at=NOW + 60.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("why", "request_", "held", "decision"),
    [
        ("R1 needs none", RESTART, (), ALLOW),
        ("R2 without", REPLACE, (), ASK),
        ("R2, proven", REPLACE, (a_licence(0.8),), ALLOW),
        ("R2, not proven enough", REPLACE, (a_licence(0.79),), ASK),
        ("the best of several", REPLACE, (a_licence(0.1), a_licence(0.9)), ALLOW),
        ("somebody vouches for it", REPLACE, (a_licence(0.0, by="ada"),), ALLOW),
        ("R3 is people's", a_request("rollback"), (), ALLOW),
        ("a move of traffic", EJECT, (), ALLOW),
        ("a recovery", UNDO, (), ALLOW),
        ("no recovery", a_request("replace", purpose=Purpose.UNDO), (), ASK),
    ],
)
def test_licence(
    why: str, request_: Request, held: tuple[Licence, ...], decision: Decision
) -> None:
    said = licence(request_, some_facts(licences=held))
    assert said.decision is decision, why
    assert said.ask == (Ask(1) if decision is ASK else None)


def test_it_says_what_was_proven_and_by_whom() -> None:
    said = licence(REPLACE, some_facts(licences=(a_licence(0.5),)))
    assert said.reason == (
        "replace for replica-gone on chat is R2 and has proven 50% of 80%: a person decides"
    )
    assert dict(said.numbers) == {
        "tier": 2.0,
        "needed": 0.8,
        "licences": 1.0,
        "bound": 0.5,
        "approvers": 1.0,
    }
    manual = licence(REPLACE, some_facts(licences=(a_licence(0.0, by="ada"),)))
    assert manual.reason == "l-1, granted by ada: rehearsed"
    earned = licence(REPLACE, some_facts(licences=(a_licence(),)))
    assert earned.reason == "l-1: it heals at least 90% of the time, by 20 trials"


def test_a_policy_may_want_one_from_r1_on() -> None:
    strict = a_policy().model_copy(update={"licence_from": "R1"})
    for request in (RESTART, EJECT):
        assert licence(request, some_facts(policy=strict)).decision is ASK
    on_trial = licence(RESTART, some_facts(policy=strict, experiment="inj-1"))
    assert (on_trial.decision, "inj-1" in on_trial.reason) == (ALLOW, True)
    held = (a_licence(0.5),)
    assert licence(RESTART, some_facts(policy=strict, licences=held)).decision is ALLOW
    assert licence(RESTORE, some_facts(policy=strict)).decision is ALLOW


def test_a_raised_tier_needs_what_every_request_of_it_needs() -> None:
    production = a_policy().model_copy(update={"production": True})
    assert licence(RESTART, some_facts(policy=production)).decision is ASK
    assert licence(a_request(tier=Tier.R2), some_facts()).decision is ASK
    assert Sense.PROBE in {f.sense for f in some_facts().findings}
