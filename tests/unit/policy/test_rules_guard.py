"""The guard that asks operators' rules: what it tells them, and what it makes of their answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vagus.config import Kind, PolicySettings
from vagus.model import Ask, Cause, Decision, GuardRuling, Purpose, Ruling, Tier, TrackRecord
from vagus.policy.facts import Facts
from vagus.policy.guards.rules import rules, seen
from vagus.policy.rules import parse_rules
from vagus.testing.cases import CHAT, a_request, some_facts


def facts(*written: str, timezone: str = "UTC", **changes: object) -> Facts:
    """``written``: ``CONDITION => VERDICT``."""
    lines = [f"timezone: {timezone}", "rules:" if written else "rules: []"]
    for number, rule in enumerate(written):
        when, then = rule.split(" => ")
        lines.append(f'  - {{name: r{number}, when: "{when}", then: {then}, because: reason}}')
    return some_facts(rules=parse_rules("\n".join(lines)), **changes)


def ruled(*written: str) -> GuardRuling:
    return rules(a_request(), facts(*written))


def test_without_rules_it_allows() -> None:
    assert ruled().decision is Decision.ALLOW
    assert ruled("tier > 4 => deny").reason == "none of 1 matches"


def test_deny_wins_and_every_rule_that_denies_is_named() -> None:
    said = ruled(
        "true => allow",
        "tier > 0 => deny",
        "tier > 4 => deny",
        "production == false => deny",
        "hour >= 0 => {ask: {}}",
    )
    assert said.decision is Decision.DENY
    assert said.reason == "r1 denies: reason; r3 denies: reason"
    assert said.numbers == {"rules": 5.0, "matched": 4.0}
    assert said.retry_after is None


def test_allow_weakens_nothing() -> None:
    assert ruled("true => allow").decision is Decision.ALLOW
    assert ruled("true => allow", "tier > 0 => {ask: {}}").decision is Decision.ASK
    assert ruled("true => allow").reason == "r0 allows: reason"


def test_each_group_is_asked_for_the_most_that_a_rule_wants_of_it() -> None:
    said = ruled(
        "tier >= 0 => {ask: {approvers: 1, group: dba}}",
        "tier >= 1 => {ask: {approvers: 2, group: dba}}",
        "true => {ask: {approvers: 1, group: sre}}",
        "hour >= 0 => {ask: {approvers: 3}}",
    )
    assert said.decision is Decision.ASK
    asks = Ruling(Decision.ASK, (said,)).asks
    assert asks == (Ask(3, ""), Ask(2, "dba"), Ask(1, "sre"))
    assert said.numbers["approvers"] == 3.0
    assert "r1 asks 2 people of dba: reason" in said.reason


@pytest.mark.parametrize(
    ("tier", "decision", "asks"),
    [
        ("R1", Decision.ALLOW, ()),
        ("R2", Decision.ASK, (Ask(1),)),  # there is no licence
        ("R3", Decision.ASK, (Ask(1),)),
        ("R4", Decision.ASK, (Ask(2),)),
        ("R5", Decision.DENY, ()),
    ],
)
def test_a_tier_that_is_raised_to_means_what_it_always_means(
    tier: str, decision: Decision, asks: tuple[Ask, ...]
) -> None:
    said = ruled(f"true => {{raise: {tier}}}")
    assert said.decision is decision
    assert Ruling(decision, (said,)).asks == asks
    assert said.numbers["tier"] == float(Tier[tier])
    assert said.reason.startswith(f"r0 raises it to {tier}: reason")


def test_a_rule_that_can_not_be_answered_denies_although_another_allows() -> None:
    said = ruled("true => allow", "error_budget_left < 0.5 => allow")
    assert said.decision is Decision.DENY
    assert said.reason == (
        "r1 denies: it can't be answered: "
        "error_budget_left is not known (ask error_budget_left_known first)"
    )


@pytest.mark.parametrize("purpose", [Purpose.RETURN, Purpose.UNDO])
def test_recoveries_pass_rules_that_deny_everything(purpose: Purpose) -> None:
    denying = facts("true => deny")
    assert rules(a_request("restore", purpose=purpose), denying).decision is Decision.ALLOW
    assert rules(a_request("restore", purpose=Purpose.TREAT), denying).decision is Decision.DENY
    assert rules(a_request("restart", purpose=Purpose.RETURN), denying).decision is Decision.DENY


def test_what_rules_are_told() -> None:
    request = replace(
        a_request("weight", share=0.25, purpose=Purpose.CONTAIN),
        cause=Cause("replica-slow", CHAT[0], 0.7),
        proposer="agent",
        tier=Tier.R2,
    )
    world = facts(
        timezone="Asia/Tokyo",
        now=1_764_284_400.0,  # 2025-11-27 23:00 UTC
        kind=Kind.VECTOR_STORE,
        policy=PolicySettings(production=True, environment="prod"),
        record=TrackRecord("weight", "replica-slow", "chat", samples=9, bound=0.6),
    )
    told = seen(request, world)
    assert (told.action, told.purpose, told.proposer) == ("weight", "contain", "agent")
    assert (told.component, told.replica, told.kind) == ("chat", "chat-1", "vector-store")
    assert (told.fault, told.confidence, told.tier) == ("replica-slow", 0.7, 2)
    assert (told.weekday, told.hour, told.date) == ("fri", 8, "2025-11-28")
    assert (told.mode, told.production, told.environment) == ("auto", True, "prod")
    assert (told.record_samples, told.record_bound) == (9, 0.6)
    assert told.replicas == 3
    assert told.blast_radius == pytest.approx(0.75 / 3)


def test_the_blast_radius_is_what_is_taken_from_callers() -> None:
    assert seen(a_request("eject"), facts()).blast_radius == pytest.approx(1 / 3)
    assert seen(a_request("restart"), facts(shares={CHAT[0]: 0.25})).blast_radius == pytest.approx(
        0.25 / 2.25  # of what carries callers now
    )
    assert seen(a_request("restart"), facts(dead=frozenset({CHAT[0]}))).blast_radius == 0.0
    assert seen(a_request("restart"), facts(replicas=frozenset())).blast_radius == 1.0


def test_an_action_can_not_talk_its_tier_down() -> None:
    assert seen(replace(a_request("replace"), tier=Tier.R0), facts()).tier == 2
