"""Work on what a store keeps while it serves: of R2, by licence, on one collection that is known,
and taken back in any case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vagus.config import Kind
from vagus.model import Decision, IntentState, Licence, Purpose, Sense, Subject, Symptom, Tier
from vagus.policy.facts import Facts
from vagus.policy.gate import judge
from vagus.policy.tiers import assess
from vagus.testing.cases import NOW, a_finding, a_policy, a_request, an_intent, some_facts

PASSAGES = Subject("vectors", "passages")
LICENCE = Licence(
    id="l1",
    action="rebuild-index",
    component="vectors",
    environment="default",
    issued_at=0.0,
    expires_at=NOW + 1e6,
    issued_by="anna",
    reason="tried",
)
REBUILD = a_request("rebuild-index", target=PASSAGES, tier=Tier.R2)
UNDO = replace(a_request("rebuild-index", target=PASSAGES, purpose=Purpose.UNDO), undoes="t")


def facts(**changes: object) -> Facts:
    known: dict[str, object] = {
        "kind": Kind.VECTOR_STORE,
        "replicas": frozenset(),
        "collections": frozenset({PASSAGES}),
        "findings": (a_finding(Sense.PROBE, Symptom.RECALL_LOW, subject=PASSAGES),),
        "licences": (LICENCE,),
    }
    return some_facts(**(known | changes))


def test_one_sense_and_a_licence_are_enough() -> None:
    ruling = judge(REBUILD, facts())
    assert (ruling.decision, ruling.tier) == (Decision.ALLOW, Tier.R2), ruling.reason


def test_without_a_licence_a_person_decides() -> None:
    ruling = judge(REBUILD, facts(licences=()))
    assert ruling.decision is Decision.ASK
    assert [said.guard for said in ruling.deciding] == ["licence"]


def test_people_who_depend_on_it_make_it_riskier() -> None:
    policy = a_policy().model_copy(update={"production": True})
    assert assess(REBUILD, facts(policy=policy)).tier is Tier.R3


@pytest.mark.parametrize(
    ("request_", "changes", "guard"),
    [
        (REBUILD, {"findings": ()}, "evidence"),
        (
            REBUILD,
            {"findings": (a_finding(subject=PASSAGES, age=120.0),)},
            "evidence",
        ),
        (REBUILD, {"collections": frozenset()}, "target_bounded"),
        (
            a_request("rebuild-index", target=Subject("vectors"), tier=Tier.R2),
            {},
            "target_bounded",
        ),
        (
            REBUILD,
            {"recent": (an_intent(replace(REBUILD, incident="inc-0"), age=10.0),)},
            "cooldown",
        ),
        (REBUILD, {"recent": (an_intent(REBUILD, age=300.0),)}, "recreates_fault"),
    ],
)
def test_who_denies_it(request_: object, changes: dict[str, object], guard: str) -> None:
    ruling = judge(request_, facts(**changes))  # type: ignore[arg-type]
    assert ruling.decision is Decision.DENY
    assert guard in [said.guard for said in ruling.deciding]


def test_what_was_done_is_taken_back_though_it_was_done_just_now() -> None:
    done = an_intent(replace(REBUILD, cause=UNDO.cause), age=1.0)
    ruling = judge(UNDO, facts(recent=(done,), licences=(), findings=()))
    assert (ruling.decision, ruling.tier) == (Decision.ALLOW, Tier.R1), ruling.reason


def test_a_vacuum_is_no_undo_whatever_it_is_called() -> None:
    called = a_request("vacuum", target=PASSAGES, purpose=Purpose.UNDO, tier=Tier.R2)
    ruling = judge(called, facts(licences=()))
    assert ruling.decision is not Decision.ALLOW


def test_a_restart_of_a_store_is_no_lighter_for_it() -> None:
    restart = a_request("restart", target=Subject("vectors", "vectors-1"))
    known = facts(replicas=frozenset({Subject("vectors", "vectors-1")}))
    assert assess(restart, known).tier is Tier.R3


def test_an_unfinished_rebuild_takes_no_capacity() -> None:
    unfinished = an_intent(replace(REBUILD, incident="inc-0"), IntentState.ACTING)
    ruling = judge(REBUILD, facts(unfinished=(unfinished,)))
    assert "capacity_floor" not in [said.guard for said in ruling.deciding]
