"""No yes passes the gate that a careful clerk would not have counted.

Proposals are made up from whole cloth: answers by whomever, whenever, twice, in two spellings,
rows that say *approved* without one, bindings of other worlds, rungs of other requests. Whatever
the gate lets pass, a clerk who knows nothing of how it counts must have let pass too.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from vagus.config import PolicySettings
from vagus.model import Answer, Ask, Decision, Proposal, ProposalState, Request, Tier
from vagus.policy.approvals import binding
from vagus.policy.facts import Facts
from vagus.policy.gate import judge
from vagus.policy.rules import parse_rules
from vagus.testing.cases import CHAT, NOW, a_proposal, a_request, an_intent, some_facts

GROUPS = {"dba": ("ana", "ben"), "sre": ("ben", "cid")}
RULES = parse_rules(
    """
rules:
  - {name: dba, when: "replica == 'chat-2'", then: {ask: {approvers: 2, group: dba}}, because: x}
  - {name: sre, when: "replica == 'chat-3'", then: {ask: {approvers: 1, group: sre}}, because: x}
"""
)
POLICY = PolicySettings.model_validate({"approvers": GROUPS, "budget": "100% per 1s"})
PERSON = st.sampled_from(["ana", "ben", "cid", "ANA", " ana", "vagus", "", "eve", "Eve"])
ANSWER = st.builds(Answer, PERSON, st.booleans(), st.sampled_from([NOW - 61, NOW - 5, NOW + 900]))
YES = st.builds(Answer, PERSON, st.just(True), st.just(NOW - 5))


@st.composite
def requests(draw: st.DrawFn) -> Request:
    request = a_request(
        "rollback",
        target=draw(st.sampled_from(CHAT)),
        tier=draw(st.sampled_from([Tier.R3, Tier.R4])),
        rung=draw(st.integers(0, 1)),
        incident=draw(st.sampled_from(["inc-1", "inc-2"])),
    )
    proposer = draw(st.sampled_from(["vagus", "ana", "cid"]))
    return replace(request, proposer=proposer, attempt=draw(st.integers(1, 2)))


def world(request: Request, *, moved: bool = False, spent: bool = False) -> Facts:
    findings = tuple(replace(f, subject=request.remedy.target) for f in some_facts().findings)
    others = frozenset(CHAT) - {request.remedy.target}
    done = an_intent(replace(request, attempt=0), age=500.0)
    return some_facts(
        policy=POLICY,
        rules=RULES,
        findings=findings,
        shares={min(others): 0.9} if moved else {},
        recent=(done,) if spent else (),
    )


@settings(max_examples=200, deadline=None)
@given(
    request=requests(),
    proposed=requests(),
    answers=st.one_of(st.lists(YES, max_size=5), st.lists(ANSWER, max_size=5)),
    state=st.sampled_from(ProposalState) | st.just(ProposalState.APPROVED),
    same=st.booleans() | st.just(True),
    moved=st.booleans(),
    spent=st.booleans(),
    asked=st.sampled_from([(), (Ask(1),), (Ask(0, "dba"),)]),
    age=st.sampled_from([60.0, 60.0, 60.0, 900.0, -1.0]),
)
@example(
    request=a_request("rollback", tier=Tier.R4),
    proposed=a_request("rollback"),
    answers=[Answer("ana", True, NOW - 5), Answer("ben", True, NOW - 5)],
    state=ProposalState.APPROVED,
    same=True,
    moved=False,
    spent=False,
    asked=(Ask(2),),
    age=60.0,
)
def test_what_passes_was_approved(
    request: Request,
    proposed: Request,
    answers: list[Answer],
    state: ProposalState,
    same: bool,
    moved: bool,
    spent: bool,
    asked: tuple[Ask, ...],
    age: float,
) -> None:
    if same:
        proposed = replace(request, attempt=proposed.attempt)
    then, now = world(proposed), world(request, moved=moved, spent=spent)
    proposal = a_proposal(proposed, then, *answers, asks=asked, state=state, age=age)
    assert proposal.binding == binding(proposed, then)
    ruling = judge(request, replace(now, proposal=proposal))
    # What was done and did not help is refused whatever people say (recreates_fault).
    assert ruling.decision is not Decision.DENY or spent, ruling.reason
    expected = (
        same_but_for_the_attempt(request, proposed)
        and not moved
        and not spent
        and bool(asked)
        and age == 60.0
        and clerk_approves(request, proposal)
    )
    assert (ruling.decision is Decision.ALLOW) == expected


def same_but_for_the_attempt(one: Request, other: Request) -> bool:
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ("incident", "epoch", "rung", "remedy", "purpose", "proposer", "tier")
    )


def clerk_approves(request: Request, proposal: Proposal) -> bool:
    """By hand, question after question."""
    if proposal.state is not ProposalState.APPROVED:
        return False
    answers = [a for a in proposal.answers if a.at in (NOW - 5,)]
    if [a for a in answers if not a.yes]:
        return False
    people = {a.by.strip().lower() for a in answers} - {"", "vagus", request.proposer}
    exact = {a.by.strip() for a in answers} & people
    questions = [("", 2 if request.tier is Tier.R4 else 1)]
    questions += {"chat-2": [("dba", 2)], "chat-3": [("sre", 1)]}.get(
        request.remedy.target.replica, []
    )
    questions += [(ask.group, max(1, ask.approvers)) for ask in proposal.asks]
    for group, count in questions:
        counted = exact & set(GROUPS[group]) if group else people
        if len(counted) < count:
            return False
    return True
