from __future__ import annotations

from dataclasses import replace

import pytest

from vagus.config import Kind
from vagus.model import Outcome, Purpose, Request, Subject, Tier, TrackRecord, Trial
from vagus.policy.facts import Facts
from vagus.policy.remedies import MOVES_TRAFFIC
from vagus.policy.tiers import FLOORS, assess, blast_radius, floor_of
from vagus.testing.cases import CHAT, a_policy, a_request, some_facts

C1, C2, C3 = CHAT
RESTART = a_request()
REPLACE = a_request("replace")
PRODUCTION = a_policy().model_copy(update={"production": True})


def record(*outcomes: Outcome) -> TrackRecord:
    trials = [
        Trial(str(n), float(n), "restart", "replica-gone", C1, "default", outcome, 5.0)
        for n, outcome in enumerate(outcomes)
    ]
    return TrackRecord.of("restart", "replica-gone", "chat", trials)


FAILED, HEALED = Outcome.UNCHANGED, Outcome.HEALED


@pytest.mark.parametrize(
    ("why", "request_", "changes", "expected"),
    [
        ("one of three", RESTART, {}, Tier.R1),
        ("one of two", RESTART, {"replicas": frozenset({C1, C2})}, Tier.R1),
        ("it carries nothing any more", RESTART, {"shares": {C1: 0.0}}, Tier.R1),
        ("a dead one of two", RESTART, {"replicas": frozenset({C1, C2}), "dead": {C1}}, Tier.R1),
        ("two thirds of what is left", RESTART, {"shares": {C2: 0.5}, "dead": {C3}}, Tier.R2),
        ("the only one", RESTART, {"replicas": frozenset({C1})}, Tier.R3),
        ("the last one in traffic", RESTART, {"dead": {C2, C3}}, Tier.R3),
        ("two callers", RESTART, {"callers": frozenset("ab")}, Tier.R1),
        ("three callers", RESTART, {"callers": frozenset("abc")}, Tier.R2),
        ("... who don't reach it", RESTART,
         {"callers": frozenset("abc"), "shares": {C1: 0.0}}, Tier.R1),
        ("a store", RESTART, {"kind": Kind.VECTOR_STORE}, Tier.R3),
        ("a cache", RESTART, {"kind": Kind.CACHE}, Tier.R3),
        ("a store that would be gone", REPLACE, {"kind": Kind.VECTOR_STORE}, Tier.R4),
        ("production", RESTART, {"policy": PRODUCTION}, Tier.R2),
        ("production, replaced", REPLACE, {"policy": PRODUCTION}, Tier.R3),
        ("a store in production", RESTART,
         {"policy": PRODUCTION, "kind": Kind.VECTOR_STORE}, Tier.R4),
        ("people at most", REPLACE, {"policy": PRODUCTION, "kind": Kind.VECTOR_STORE}, Tier.R4),
        ("never tried", RESTART, {"record": record()}, Tier.R1),
        ("four failures are no proof", RESTART, {"record": record(*[FAILED] * 4)}, Tier.R1),
        ("five are", RESTART, {"record": record(*[FAILED] * 5)}, Tier.R2),
        ("every other time is not poor", RESTART, {"record": record(*[FAILED, HEALED] * 8)},
         Tier.R1),
        ("an unknown action", a_request("drop-database"), {}, Tier.R5),
        ("a rollback", a_request("rollback"), {}, Tier.R3),
        ("asked for as more", a_request(tier=Tier.R4), {}, Tier.R4),
        ("a claim can't go lower", a_request("rollback", tier=Tier.R0), {}, Tier.R3),
    ],
)  # fmt: skip
def test_tier_of_a_request(
    why: str, request_: Request, changes: dict[str, object], expected: Tier
) -> None:
    found = assess(request_, some_facts(**changes))
    assert found.tier is expected, why
    assert bool(found.reasons) == (found.tier > found.floor)


@pytest.mark.parametrize(("confidence", "expected"), [(0.5, Tier.R1), (0.49, Tier.R2)])
def test_a_guess_is_riskier(confidence: float, expected: Tier) -> None:
    request = replace(RESTART, cause=replace(RESTART.cause, confidence=confidence))
    assert assess(request, some_facts()).tier is expected


@pytest.mark.parametrize("confidence", [0.6, 0.7, 0.95])
@pytest.mark.parametrize("size", [2, 3])
def test_a_small_stack_of_stateless_replicas_heals_by_itself(confidence: float, size: int) -> None:
    facts = some_facts(replicas=frozenset(CHAT[:size]), callers=frozenset({"rag"}))
    for request, most in ((RESTART, Tier.R1), (REPLACE, Tier.R2)):
        asked = replace(request, cause=replace(request.cause, confidence=confidence))
        assert assess(asked, facts).tier <= most


@pytest.mark.parametrize("action", sorted(MOVES_TRAFFIC))
def test_moves_of_traffic_stay_what_they_are(action: str) -> None:
    worst = some_facts(
        policy=PRODUCTION, kind=Kind.VECTOR_STORE, callers=frozenset("abcdef"), dead={C2, C3}
    )
    request = a_request(action, purpose=Purpose.CONTAIN)
    found = assess(request, worst)
    assert (found.tier, found.reasons) == (Tier.R1, ())


@pytest.mark.parametrize("action", [*FLOORS, "something-new"])
@pytest.mark.parametrize("facts", [some_facts(), some_facts(policy=PRODUCTION)])
def test_it_is_never_below_the_floor(action: str, facts: Facts) -> None:
    for claimed in Tier:
        found = assess(a_request(action, tier=claimed), facts)
        assert found.tier >= max(floor_of(action), claimed)


def test_a_recovery_is_the_way_out_and_stays_r1() -> None:
    for request in (
        a_request("restore", purpose=Purpose.RETURN),
        a_request("eject", purpose=Purpose.UNDO),
    ):
        assert assess(request, some_facts(policy=PRODUCTION)).tier is Tier.R1


def test_every_raise_says_why() -> None:
    facts = some_facts(policy=PRODUCTION, replicas=frozenset({C1}), record=record(*[FAILED] * 5))
    assert str(assess(RESTART, facts)) == (
        "R4, raised from R1: it takes all of chat that carries callers; "
        "people depend on this stack (production)"
    )
    assert str(assess(RESTART, some_facts())) == "R1"


@pytest.mark.parametrize(
    ("request_", "changes", "share"),
    [
        (RESTART, {}, 1 / 3),
        (RESTART, {"dead": {C2}}, 1 / 2),
        (RESTART, {"dead": {C1}}, 0.0),
        (RESTART, {"dead": set(CHAT)}, 0.0),
        (a_request("weight", share=0.25), {}, 0.25),
        (a_request("restore", purpose=Purpose.RETURN), {}, 0.0),
        (a_request(target=Subject("chat")), {}, 1.0),
    ],
)
def test_blast_radius(request_: Request, changes: dict[str, object], share: float) -> None:
    assert blast_radius(request_, some_facts(**changes)) == pytest.approx(share)
