"""A coding agent inherited an operator's rights, and with them walked around the two-person rule.

The rule was kept by the review that people passed; the agent held the credentials of the person who
had started it and called the production API itself. Here the one who asks has a name of its own and
never counts among those who approve, whatever rights it was given; and the counting is done where
the action is let through, from the answers themselves, so that no other door leads past it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from vagus.config import Kind
from vagus.model import Ask, Decision, IntentState, ProposalState, Subject
from vagus.testing.gate_bench import GateBench, asked, node
from vagus.testing.guard_cases import Held
from vagus.topology import Topology

STORE = Subject("vectors", "vectors-1")
AGENT = "coding-agent"


def replay(bench: GateBench) -> list[Held]:
    names = ("vectors-1", "vectors-2", "vectors-3")
    bench.declared = Topology({"vectors": node("vectors", Kind.VECTOR_STORE, *names)})
    incident = bench.incident(STORE, lasting=300.0)
    request = replace(asked(incident, "replace"), proposer=AGENT)
    bench.approve(request, AGENT, "ana")
    return [bench.case("tier", request, "inherited_rights: its own yes and one more")]


def test_the_proposer_is_not_one_of_the_two(bench: GateBench) -> None:
    (case,) = replay(bench)
    proposal = bench.proposals.of_rung(case.request.incident, 1, 0)[0]
    assert proposal.state is ProposalState.OPEN
    ruling = bench.judge(case.request)
    assert ruling.decision is Decision.ASK
    assert ruling.asks == (Ask(2),)
    assert bench.decide(case.request).state is not IntentState.WRITTEN


@pytest.mark.parametrize("forged", ["the row", "the row and a yes in another spelling"])
def test_rights_to_the_table_are_no_approval(bench: GateBench, forged: str) -> None:
    (case,) = replay(bench)
    with bench.database.write() as connection:
        connection.execute(text("UPDATE proposals SET state = 'approved'"))
        if "spelling" in forged:
            connection.execute(text("UPDATE answers SET \"by\" = 'ANA' WHERE \"by\" = :agent"),
                               {"agent": AGENT})  # fmt: skip
    facts = bench.facts(case.request)
    assert facts.proposal is not None
    assert facts.proposal.state is ProposalState.APPROVED
    assert bench.judge(case.request).decision is Decision.ASK


def test_two_others_are_two(bench: GateBench) -> None:
    (case,) = replay(bench)
    second = replace(case.request, attempt=2)
    bench.approve(second, "ana", "ben")
    assert bench.decide(second).state is IntentState.WRITTEN
