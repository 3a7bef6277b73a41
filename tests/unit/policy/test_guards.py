from __future__ import annotations

import pytest

from vagus.config import Kind, Mode, PolicySettings
from vagus.model import (
    Ask,
    Decision,
    Finding,
    IntentState,
    Purpose,
    Request,
    Sense,
    SensesReport,
    Stop,
    Subject,
    Symptom,
    Tier,
)
from vagus.policy.facts import Facts
from vagus.policy.guards.budget import budget
from vagus.policy.guards.capacity_floor import capacity_floor
from vagus.policy.guards.cooldown import cooldown
from vagus.policy.guards.evidence import FRESH_S, evidence
from vagus.policy.guards.kill_switch import kill_switch
from vagus.policy.guards.mode import mode
from vagus.policy.guards.senses_trusted import senses_trusted
from vagus.policy.guards.target_bounded import target_bounded
from vagus.policy.guards.tier import tier
from vagus.testing.cases import CHAT, NOW, a_finding, a_policy, a_request, an_intent, some_facts

ALLOW, ASK, DENY = Decision.ALLOW, Decision.ASK, Decision.DENY
C1, C2, C3 = CHAT
EJECT = a_request("eject", purpose=Purpose.CONTAIN)
RESTART = a_request()


# --- kill switch, mode, senses --------------------------------------------------------------------


def test_kill_switch_gives_the_reason_it_was_set_for() -> None:
    said = kill_switch(EJECT, some_facts(stopped=Stop("Ada", "migration")))
    assert (said.decision, said.reason) == (DENY, "migration (Ada)")
    assert said.retry_after is None
    assert kill_switch(EJECT, some_facts()).decision is ALLOW


@pytest.mark.parametrize(
    ("setting", "decision"),
    [(Mode.OFF, DENY), (Mode.SHADOW, ALLOW), (Mode.SUGGEST, ASK), (Mode.AUTO, ALLOW)],
)
def test_mode(setting: Mode, decision: Decision) -> None:
    said = mode(RESTART, some_facts(mode=setting))
    assert said.decision is decision
    if decision is ASK:
        assert said.numbers["approvers"] == 1


@pytest.mark.parametrize(
    ("purpose", "action", "decision"),
    [
        (Purpose.CONTAIN, "eject", DENY),
        (Purpose.TREAT, "restart", DENY),
        (Purpose.RETURN, "restore", DENY),
        (Purpose.UNDO, "eject", ALLOW),
    ],
)
def test_who_can_not_see_holds_still(purpose: Purpose, action: str, decision: Decision) -> None:
    blind = some_facts(senses=SensesReport(False, "everything is silent", silent=9, watched=9))
    said = senses_trusted(a_request(action, purpose=purpose), blind)
    assert said.decision is decision
    assert said.numbers == {"silent": 9.0, "watched": 9.0}
    if decision is DENY:
        assert "everything is silent" in said.reason
        assert said.retry_after is not None
    assert senses_trusted(RESTART, some_facts()).decision is ALLOW


# --- target ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "decision"),
    [
        (a_request(target=Subject("chat", "chat-1")), ALLOW),
        (a_request(target=Subject("chat", "")), DENY),
        (a_request(target=Subject("", "")), DENY),
        (a_request(target=Subject("", "chat-1")), DENY),
        (a_request(target=Subject("chat", "chat-9")), DENY),
        (a_request(target=Subject("embed", "chat-1")), DENY),
        (a_request("eject", target=Subject("chat", "chat-9"), purpose=Purpose.UNDO), ALLOW),
        (a_request("eject", target=Subject("chat", ""), purpose=Purpose.UNDO), DENY),
        (a_request("weight", share=0.25), ALLOW),
        (a_request("weight", share=1.0), ALLOW),
        (a_request("weight"), DENY),
        (a_request("weight", share=-0.5), DENY),
        (a_request("weight", share=1.5), DENY),
        (a_request("weight", share=float("nan")), DENY),
        (a_request("restore"), ALLOW),
    ],
)
def test_target_is_one_known_replica(asked: Request, decision: Decision) -> None:
    assert target_bounded(asked, some_facts()).decision is decision


# --- evidence -------------------------------------------------------------------------------------

PROBE, GATEWAY, SCRAPE = Sense.PROBE, Sense.GATEWAY, Sense.SCRAPE


@pytest.mark.parametrize(
    ("findings", "moves", "touches"),
    [
        ((), DENY, DENY),
        ((a_finding(PROBE),), ALLOW, DENY),
        ((a_finding(PROBE), a_finding(GATEWAY)), ALLOW, ALLOW),
        ((a_finding(SCRAPE), a_finding(GATEWAY)), ALLOW, ALLOW),
        # two findings of one sense are one witness
        ((a_finding(PROBE), a_finding(PROBE, Symptom.SLOW)), ALLOW, DENY),
        ((a_finding(PROBE, age=FRESH_S + 1), a_finding(GATEWAY)), ALLOW, DENY),
        ((a_finding(PROBE, age=FRESH_S), a_finding(GATEWAY)), ALLOW, ALLOW),
        ((a_finding(PROBE, closed=True), a_finding(GATEWAY)), ALLOW, DENY),
        # about somebody else
        ((a_finding(PROBE, subject=C2), a_finding(GATEWAY, subject=C3)), DENY, DENY),
        ((a_finding(PROBE), a_finding(GATEWAY, subject=Subject("rag", "rag-1"))), ALLOW, DENY),
        # missing metrics are neither sick nor well
        ((a_finding(SCRAPE, Symptom.SILENT),), DENY, DENY),
        ((a_finding(SCRAPE, Symptom.SILENT), a_finding(PROBE)), ALLOW, DENY),
    ],
)
def test_senses_needed(findings: tuple[Finding, ...], moves: Decision, touches: Decision) -> None:
    facts = some_facts(findings=findings)
    for action in ("eject", "drain"):
        assert evidence(a_request(action, purpose=Purpose.CONTAIN), facts).decision is moves
    assert (
        evidence(a_request("weight", purpose=Purpose.CONTAIN, share=0.5), facts).decision is moves
    )
    for action in ("restart", "replace", "something-new"):
        assert evidence(a_request(action), facts).decision is touches


@pytest.mark.parametrize(
    ("share", "findings", "decision"),
    [
        # it can't be seen at the gateway any more, so what was seen there goes on counting
        (0.0, (a_finding(PROBE), a_finding(GATEWAY, age=300.0)), ALLOW),
        (0.0, (a_finding(PROBE), a_finding(GATEWAY, age=300.0, closed=True)), ALLOW),
        # while it has traffic, it could be seen
        (0.25, (a_finding(PROBE), a_finding(GATEWAY, age=300.0)), DENY),
        # something must be seen now
        (0.0, (a_finding(PROBE, age=300.0), a_finding(GATEWAY, age=300.0)), DENY),
        # other senses are as able as before
        (0.0, (a_finding(PROBE), a_finding(SCRAPE, age=300.0)), DENY),
        # nonsense can be read by a probe alone: enough once nobody is served by it
        (0.0, (a_finding(PROBE, Symptom.NONSENSE),), ALLOW),
        (1.0, (a_finding(PROBE, Symptom.NONSENSE),), DENY),
        (0.0, (a_finding(PROBE, Symptom.NONSENSE, age=300.0),), DENY),
        # and so is whatever a probe goes on seeing when no traffic is left to explain it
        (0.0, (a_finding(PROBE, Symptom.WRONG_SHAPE, lasting=5.0),), ALLOW),
        (1.0, (a_finding(PROBE, Symptom.WRONG_SHAPE, lasting=5.0),), DENY),
        (0.0, (a_finding(PROBE, Symptom.SLOW, lasting=5.0),), ALLOW),
        (0.0, (a_finding(PROBE, Symptom.SLOW, lasting=1.0),), DENY),
        (1.0, (a_finding(PROBE, Symptom.SLOW, lasting=5.0),), DENY),
        (0.0, (a_finding(SCRAPE, Symptom.SLOW, lasting=5.0),), DENY),
    ],
)
def test_evidence_about_a_replica_out_of_traffic(
    share: float, findings: tuple[Finding, ...], decision: Decision
) -> None:
    said = evidence(RESTART, some_facts(shares={C1: share}, findings=findings))
    assert said.decision is decision
    assert (said.retry_after is None) == (decision is ALLOW)


def test_what_was_seen_long_ago_does_not_move_traffic() -> None:
    facts = some_facts(shares={C1: 0.0}, findings=(a_finding(GATEWAY, age=300.0),))
    assert evidence(EJECT, facts).decision is DENY


# --- capacity floor -------------------------------------------------------------------------------


def pending(action: str, target: Subject, purpose: Purpose = Purpose.CONTAIN) -> object:
    asked = a_request(action, target=target, purpose=purpose, share=0.5, rung=9)
    return an_intent(asked, IntentState.WRITTEN)


@pytest.mark.parametrize(
    ("why", "asked", "changes", "decision"),
    [
        ("the first of three", EJECT, {}, ALLOW),
        ("a second of three", EJECT, {"shares": {C2: 0.0}}, DENY),
        ("... unless it is dead", EJECT, {"shares": {C2: 0.0}, "dead": {C1}}, ALLOW),
        ("... or out already", EJECT, {"shares": {C2: 0.0, C1: 0.0}}, ALLOW),
        ("a sound one while another is dead", EJECT, {"dead": {C2}}, DENY),
        ("the data plane's own ejections count", EJECT, {"ejected": {C2}}, DENY),
        ("one that the data plane has out", EJECT, {"ejected": {C1, C2}}, ALLOW),
        ("somebody is about to take another", EJECT, {"unfinished": pending("eject", C2)}, DENY),
        ("a restart takes it away, too", EJECT, {"unfinished": pending("restart", C2)}, DENY),
        ("a return is no capacity yet", EJECT,
         {"shares": {C2: 0.0}, "unfinished": pending("restore", C2, Purpose.RETURN)}, DENY),
        ("half of another's traffic", EJECT, {"shares": {C2: 0.5}}, ALLOW),
        ("less than half of it", EJECT, {"shares": {C2: 0.25}, "floor": 0.5}, DENY),
        ("a restart in traffic", RESTART, {"shares": {C2: 0.0}}, DENY),
        ("a restart out of traffic", RESTART, {"shares": {C1: 0.0, C2: 0.0}}, ALLOW),
        ("drain", a_request("drain", purpose=Purpose.CONTAIN), {"shares": {C2: 0.0}}, DENY),
        ("an action that nobody knows", a_request("shrink"), {"shares": {C2: 0.0}}, DENY),
        ("weight down, above the floor",
         a_request("weight", share=0.5), {"shares": {C2: 0.0}}, ALLOW),
        ("weight down, below it", a_request("weight", share=0.4), {"shares": {C2: 0.0}}, DENY),
        ("weight up, far below it", a_request("weight", purpose=Purpose.RETURN, share=0.25),
         {"shares": {C1: 0.0}, "dead": {C2, C3}}, ALLOW),
        ("a return that takes away is none", a_request("weight", purpose=Purpose.RETURN, share=0.1),
         {"dead": {C2}}, DENY),
        ("restore", a_request("restore", purpose=Purpose.RETURN), {"ejected": {C2, C3}}, ALLOW),
        ("undo", a_request("eject", purpose=Purpose.UNDO), {"ejected": {C2, C3}}, ALLOW),
        ("two thirds", EJECT, {"floor": 2 / 3}, ALLOW),
        ("just above two thirds", EJECT, {"floor": 0.67}, DENY),
        ("no floor", EJECT, {"floor": 0.0, "shares": {C2: 0.0, C3: 0.0}}, ALLOW),
        ("a floor of everything", EJECT, {"floor": 1.0}, DENY),
        ("a floor of everything and a dead one", EJECT, {"floor": 1.0, "dead": {C1}}, ALLOW),
    ],
)  # fmt: skip
def test_capacity_floor(
    why: str, asked: Request, changes: dict[str, object], decision: Decision
) -> None:
    changes = dict(changes)
    floor = float(str(changes.pop("floor", 0.5)))
    if "unfinished" in changes:
        changes["unfinished"] = (changes["unfinished"],)
    said = capacity_floor(asked, some_facts(policy=a_policy(floor=floor), **changes))
    assert said.decision is decision, why
    assert (said.retry_after is not None) == (decision is DENY)


@pytest.mark.parametrize(("replicas", "ejectable"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2)])
def test_how_many_of_so_many_may_go(replicas: int, ejectable: int) -> None:
    """One after the other, with a floor of 50 %."""
    all_ = [Subject("chat", f"chat-{n}") for n in range(replicas)]
    shares: dict[Subject, float] = {}
    for replica in all_:
        asked = a_request("eject", purpose=Purpose.CONTAIN, target=replica)
        facts = some_facts(replicas=frozenset(all_), shares=dict(shares))
        if capacity_floor(asked, facts).decision is ALLOW:
            shares[replica] = 0.0
    assert len(shares) == ejectable


def test_the_floor_says_what_it_counted() -> None:
    said = capacity_floor(EJECT, some_facts(shares={C2: 0.0}))
    assert said.numbers == {"replicas": 3.0, "in_traffic": 2.0, "after": 1.0, "floor": 1.5}
    assert "1 of 3 replicas would stay" in said.reason
    assert "chat-2 carry less already" in said.reason


# --- budget and cooldown --------------------------------------------------------------------------


def done(
    target: Subject,
    age: float,
    state: IntentState = IntentState.APPLIED,
    *,
    action: str = "restart",
    purpose: Purpose = Purpose.TREAT,
) -> object:
    incident = f"inc-{target.replica}"  # so that no two have the same token
    asked = a_request(action, purpose=purpose, target=target, incident=incident, rung=int(age) + 10)
    return an_intent(asked, state, age=age)


def policy(places: float) -> PolicySettings:
    return a_policy(budget=f"{places:.0%} per 600s")


@pytest.mark.parametrize(
    ("why", "places", "recent", "wait"),
    [
        ("nothing yet", 0.1, [], None),
        ("at least one, of three at 10 %", 0.1, [done(C2, 30)], 570),
        ("places come back a period later", 0.1, [done(C2, 600)], None),
        ("the same again takes no further place", 0.1, [done(C1, 30)], None),
        ("two of three", 0.67, [done(C2, 30)], None),
        ("two others of two places", 0.67, [done(C2, 30), done(C3, 100)], 500),
        ("the budget was cut since", 0.1, [done(C2, 30), done(C3, 100)], 570),
        ("all", 1.0, [done(C2, 30), done(C3, 100)], None),
        ("its last treatment is what counts", 0.1, [done(C2, 500), done(C2, 30)], 570),
        ("moves of traffic don't count", 0.1, [done(C2, 30, action="eject")], None),
        ("nor what was refused", 0.1, [done(C2, 30, IntentState.REFUSED)], None),
        ("nor what was shadow, in auto", 0.1, [done(C2, 30, IntentState.SHADOW)], None),
        ("what failed may have been done", 0.1, [done(C2, 30, IntentState.FAILED)], 570),
        ("what was undone was done", 0.1, [done(C2, 30, IntentState.UNDONE)], 570),
        ("a clock that was set back", 0.1, [done(C2, -5000)], 600),
    ],
)
def test_budget(why: str, places: float, recent: list[object], wait: float | None) -> None:
    said = budget(RESTART, some_facts(policy=policy(places), recent=tuple(recent)))
    assert said.retry_after == wait, why
    assert said.decision is (ALLOW if wait is None else DENY)


def test_after_the_wait_there_is_a_place() -> None:
    recent = (done(C2, 30), done(C3, 100))
    wait = budget(RESTART, some_facts(policy=policy(0.67), recent=recent)).retry_after
    assert wait is not None
    later = some_facts(policy=policy(0.67), recent=recent, now=NOW + wait)
    assert budget(RESTART, later).decision is ALLOW


def test_what_is_not_finished_takes_a_place_for_as_long() -> None:
    unfinished = done(C2, 10_000, IntentState.WRITTEN)
    said = budget(RESTART, some_facts(policy=policy(0.1), unfinished=(unfinished,)))
    assert (said.decision, said.retry_after) == (DENY, 600.0)


def test_what_never_began_and_never_will_takes_none() -> None:
    abandoned = done(C2, 30, IntentState.WRITTEN)  # its incident is over: not in ``unfinished``
    assert budget(RESTART, some_facts(policy=policy(0.1), recent=(abandoned,))).decision is ALLOW


def test_in_shadow_what_would_have_been_done_counts() -> None:
    shadow = done(C2, 30, IntentState.SHADOW)
    facts = some_facts(mode=Mode.SHADOW, policy=policy(0.1), recent=(shadow,))
    assert budget(RESTART, facts).decision is DENY


@pytest.mark.parametrize("guard", [budget, cooldown])
def test_containment_has_neither_budget_nor_cooldown(guard: object) -> None:
    assert callable(guard)
    busy = some_facts(policy=policy(0.1), recent=(done(C1, 1), done(C2, 1)))
    for asked in (EJECT, a_request("restore", purpose=Purpose.RETURN)):
        assert guard(asked, busy).decision is ALLOW


@pytest.mark.parametrize("guard", [budget, cooldown])
def test_a_process_is_a_process_whatever_it_is_ended_for(guard: object) -> None:
    assert callable(guard)
    busy = some_facts(policy=policy(0.1), recent=(done(C1, 1), done(C2, 1)))
    for purpose in (Purpose.CONTAIN, Purpose.RETURN):
        assert guard(a_request(purpose=purpose), busy).decision is DENY


@pytest.mark.parametrize(
    ("why", "recent", "wait"),
    [
        ("never", [], None),
        ("a moment ago", [done(C1, 10)], 50),
        ("long enough ago", [done(C1, 60)], None),
        ("twice, so twice as long", [done(C1, 61), done(C1, 200)], 59),
        ("twice, long enough ago", [done(C1, 120), done(C1, 200)], None),
        ("three times", [done(C1, 0), done(C1, 300), done(C1, 800)], 240),
        ("what is older than an hour is forgiven", [done(C1, 61), done(C1, 3601)], None),
        ("ten times: an hour at most", [done(C1, 300.0 * n) for n in range(10)], 3600),
        ("somebody else", [done(C2, 10)], None),
        ("a clock that was set back", [done(C1, -5000)], 60),
    ],
)
def test_cooldown(why: str, recent: list[object], wait: float | None) -> None:
    said = cooldown(RESTART, some_facts(policy=policy(1.0), recent=tuple(recent)))
    assert said.retry_after == wait, why
    assert said.decision is (ALLOW if wait is None else DENY)


# --- tier -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claimed", "action", "decision", "approvers"),
    [
        (Tier.R0, "restart", ALLOW, None),
        (Tier.R1, "restart", ALLOW, None),
        (Tier.R2, "replace", ALLOW, None),
        (Tier.R3, "restart", ASK, 1),
        (Tier.R4, "restart", ASK, 2),
        (Tier.R5, "restart", DENY, None),
        (Tier.R0, "drop-database", DENY, None),  # a request can't talk itself down
    ],
)
def test_tier(claimed: Tier, action: str, decision: Decision, approvers: int | None) -> None:
    said = tier(a_request(action, tier=claimed), some_facts())
    assert said.decision is decision
    assert said.numbers.get("approvers") == approvers
    assert said.ask == (None if approvers is None else Ask(approvers))


def test_the_tier_says_why() -> None:
    said = tier(RESTART, some_facts(kind=Kind.VECTOR_STORE))
    assert said.reason == "restart is R3, raised from R1: chat keeps data; 1 must approve"
    assert dict(said.numbers) == {
        "tier": 3.0,
        "floor": 1.0,
        "blast_radius": pytest.approx(1 / 3),
        "callers": 0.0,
        "confidence": 0.9,
        "approvers": 1.0,
    }


def test_facts_are_a_value() -> None:
    with pytest.raises(AttributeError):
        some_facts().now = 0.0  # type: ignore[misc]
    assert isinstance(some_facts(), Facts)
