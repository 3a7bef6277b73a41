"""Approvals: a person's yes, and what it is a yes to.

Somebody looked at a proposal and said yes to *that*: this action, for this reason, under this
policy, in the world as it was shown. All of it goes into one hash, the binding. When the workflow
asks again, the gate judges anew from nothing, and a yes counts only if the binding is still the
same: if a replica fell out meanwhile, a rule was changed or the risk is another, the yes was to
something else.

Nothing is believed here because a row says so. Whether a proposal is approved is counted again from
its answers, by the groups and the questions of this moment: a row that was written by hand, an
answer from after the deadline, a proposer's own yes or one person's second one pass nobody. And an
approval is for one effect: once its rung was carried out, it is spent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from vagus.model import (
    VAGUS,
    Answer,
    Ask,
    Decision,
    GuardRuling,
    IntentState,
    Proposal,
    ProposalState,
    Request,
    Ruling,
    Tier,
)
from vagus.policy.facts import Facts
from vagus.policy.tiers import assess

_SPENT = (IntentState.WRITTEN, IntentState.ACTING, IntentState.APPLIED, IntentState.UNDONE)
_PLACES = 6  # of a share: equal shares must give equal text


def binding(request: Request, facts: Facts) -> str:
    """SHA-256 over the plan, the policy and the observed state that a decision rests on.

    Left out is what moves by itself without meaning anything for the decision: the time, the
    attempt, the samples and the confidence of findings (unless they change the tier).
    """
    return _bound(request, facts, assess(request, facts).tier)


def tally(proposal: Proposal, members: Mapping[str, frozenset[str]]) -> ProposalState:
    """What ``proposal`` has become with the answers that it has. ``members`` are the groups that
    may be asked; a group that isn't there has nobody in it.

    One *no* denies, whoever says it. APPROVED takes, of each group that is asked, so many distinct
    people. The proposer never counts, and neither does Vagus. Answers from before the proposal or
    after its deadline are none.
    """
    if proposal.state is not ProposalState.OPEN:
        return proposal.state
    if any(not answer.yes for answer in _in_time(proposal)):
        return ProposalState.DENIED
    people = _people(proposal)
    if proposal.asks and all(_enough(ask, people, members) for ask in proposal.asks):
        return ProposalState.APPROVED
    return ProposalState.OPEN


def settle(request: Request, facts: Facts, ruling: Ruling) -> Ruling:
    """``ruling`` with its tier and its binding, and with people's yes in place of the guards'
    questions if there is one for exactly this."""
    tier = assess(request, facts).tier
    bound = _bound(request, facts, tier)
    ruling = replace(ruling, tier=max(tier, _raised(ruling)), binding=bound)
    if ruling.decision is not Decision.ASK:
        return ruling
    people = _approvers(request, facts, ruling)
    if not people:
        return ruling
    guards = tuple(_granted(said, people) for said in ruling.guards)
    return replace(ruling, decision=max(said.decision for said in guards), guards=guards)


def _bound(request: Request, facts: Facts, tier: Tier) -> str:
    remedy, cause = request.remedy, request.cause
    plan = {
        "incident": request.incident,
        "epoch": request.epoch,
        "rung": request.rung,
        "purpose": request.purpose.value,
        "action": remedy.action,
        "target": str(remedy.target),
        "share": round(remedy.share, _PLACES),
        "version": remedy.version,
        "fault": cause.fault,
        "subject": str(cause.subject),
        "proposer": request.proposer,
    }
    policy = {
        "settings": facts.policy.model_dump(mode="json"),
        "mode": facts.mode.value,
        "rules": facts.rules.digest,
    }
    observed = {
        "in_traffic": {
            replica.replica: round(facts.in_traffic(replica), _PLACES) for replica in facts.replicas
        },
        "dead": remedy.target in facts.dead,
        "epoch": facts.epoch,
        "tier": tier.name,
    }
    text = json.dumps([plan, policy, observed], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _approvers(request: Request, facts: Facts, ruling: Ruling) -> tuple[str, ...]:
    """Who said yes to exactly this, if all that are asked did; else nobody."""
    proposal = facts.proposal
    if (
        proposal is None
        or proposal.state is not ProposalState.APPROVED
        or not proposal.asks
        or not _same_rung(proposal.request, request)
        or proposal.binding != ruling.binding
        or not proposal.created_at <= facts.now < proposal.expires_at
        or _is_spent(request, facts)
    ):
        return ()
    members = {group: frozenset(people) for group, people in facts.policy.approvers.items()}
    # What was asked then and what is asked now, both: neither may have become less meanwhile.
    asked = replace(proposal, state=ProposalState.OPEN, asks=(*proposal.asks, *ruling.asks))
    if tally(asked, members) is not ProposalState.APPROVED:
        return ()
    return tuple(sorted(min(names) for names in _people(proposal).values()))


def _same_rung(proposed: Request, request: Request) -> bool:
    """Whether both are of one rung; only the number of the attempt and the sureness may differ."""
    return replace(proposed, attempt=0, cause=request.cause, tier=request.tier) == replace(
        request, attempt=0
    )


def _is_spent(request: Request, facts: Facts) -> bool:
    """Whether an effect of this rung was begun. What failed was surely not done, and its yes may be
    used for the next attempt."""
    return any(
        intent.state in _SPENT
        and intent.token != request.token
        and (intent.request.incident, intent.request.epoch, intent.request.rung)
        == (request.incident, request.epoch, request.rung)
        for intent in (*facts.recent, *facts.unfinished)
    )


def _in_time(proposal: Proposal) -> Iterator[Answer]:
    return (a for a in proposal.answers if proposal.created_at <= a.at < proposal.expires_at)


def _people(proposal: Proposal) -> dict[str, set[str]]:
    """Those whose yes counts, each once however the name is capitalised: with the names given."""
    nobody = {"", VAGUS, proposal.proposer.strip().casefold()}
    people: dict[str, set[str]] = {}
    for answer in _in_time(proposal):
        name = answer.by.strip()
        if answer.yes and name.casefold() not in nobody:
            people.setdefault(name.casefold(), set()).add(name)
    return people


def _enough(
    ask: Ask, people: Mapping[str, set[str]], members: Mapping[str, frozenset[str]]
) -> bool:
    """A question for nobody is a question for one: an empty list must never mean anybody. Whoever
    is of a group is so by the name that stands there."""
    group = members.get(ask.group, frozenset())
    counted = [names for names in people.values() if not ask.group or names & group]
    return len(counted) >= max(ask.approvers, 1)


def _raised(ruling: Ruling) -> Tier:
    """The tier that operators' rules raised it to."""
    raised = [said.numbers.get("tier", 0.0) for said in ruling.guards if said.guard == "rules"]
    return Tier(int(max(raised, default=0.0)))


def _granted(said: GuardRuling, people: tuple[str, ...]) -> GuardRuling:
    if said.decision is not Decision.ASK:
        return said
    reason = f"approved by {_and(people)} ({said.reason})"
    return replace(said, decision=Decision.ALLOW, reason=reason, ask=None, also_ask=())


def _and(people: tuple[str, ...]) -> str:
    *most, last = people
    return f"{', '.join(most)} and {last}" if most else last
